#version 450
// Every pixel says where it is.
layout(local_size_x = 8, local_size_y = 8) in;
layout(set = 0, binding = 3, rgba8) writeonly uniform image2D pixels;
layout(push_constant) uniform Arguments { uint width; uint height; uint seed; };

void main()
{
	uvec2 at = gl_GlobalInvocationID.xy;
	uint h = (at.x + at.y * width) * 2654435761u + seed;

	if (at.x < width && at.y < height)
		imageStore(pixels, ivec2(at), unpackUnorm4x8(h));
}
