#version 450
// Counts words that aren't value + i * step, and remembers the first one and what it was.
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) readonly buffer Words { uint words[]; };
layout(set = 0, binding = 1) buffer Result { uint wrong; uint first; uint looked_at; };
layout(push_constant) uniform Arguments { uint count; uint value; uint step; };

void main()
{
	uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
	uint found = 0;

	for (uint i = gl_GlobalInvocationID.x; i < count; i += stride) {
		if (words[i] != value + i * step) {
			atomicAdd(wrong, 1);
			atomicMin(first, i);
		}
		found++;
	}
	atomicAdd(looked_at, found);
}
