#version 450
// GPU 0's other work on a buffer: fills it, or counts what isn't as it was filled.
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer Words { uint words[]; };
layout(set = 0, binding = 1) buffer Result { uint wrong; };
layout(push_constant) uniform Arguments { uint count; uint value; uint fill; };

void main()
{
	uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;

	for (uint i = gl_GlobalInvocationID.x; i < count; i += stride) {
		uint expected = value + i * 2654435761u;

		if (fill != 0)
			words[i] = expected;
		else if (words[i] != expected)
			atomicAdd(wrong, 1);
	}
}
