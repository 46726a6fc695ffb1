#version 450
// A frame's work on one buffer: each word becomes a mixture of itself and its neighbours, with some arithmetic.
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) buffer Words { uint words[]; };
layout(set = 0, binding = 1) readonly buffer Neighbour { uint neighbour[]; };
layout(push_constant) uniform Arguments { uint count; uint frame; };

void main()
{
	uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;

	for (uint i = gl_GlobalInvocationID.x; i < count; i += stride) {
		uint h = words[i] + neighbour[i] * 3u + frame;

		for (uint round = 0; round < 8; round++) {
			h = h * 2654435761u + 12345u;
			h ^= h >> 13;
		}
		words[i] = h;
	}
}
