#version 450
// words[i] = value + i * step
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) writeonly buffer Words { uint words[]; };
layout(push_constant) uniform Arguments { uint count; uint value; uint step; };

void main()
{
	uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;

	for (uint i = gl_GlobalInvocationID.x; i < count; i += stride)
		words[i] = value + i * step;
}
