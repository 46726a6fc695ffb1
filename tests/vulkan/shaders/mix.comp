#version 450
// One round of a computation in which every word depends on words all over the source.
layout(local_size_x = 64) in;
layout(set = 0, binding = 0) readonly buffer Source { uint source[]; };
layout(set = 0, binding = 1) buffer Destination { uint destination[]; };
layout(push_constant) uniform Arguments { uint count; uint seed; uint rounds; };

void main()
{
	uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;

	for (uint i = gl_GlobalInvocationID.x; i < count; i += stride) {
		uint h = destination[i] ^ seed;

		for (uint r = 0; r < rounds; r++) {
			h = (h ^ source[(i * 2654435761u + h) % count]) * 0x01000193u;
			h ^= h >> 15;
		}
		destination[i] = h;
	}
}
