#version 450
// The counterpart of image_fill.
layout(local_size_x = 8, local_size_y = 8) in;
layout(set = 0, binding = 1) buffer Result { uint wrong; uint first; uint looked_at; };
layout(set = 0, binding = 3, rgba8) readonly uniform image2D pixels;
layout(push_constant) uniform Arguments { uint width; uint height; uint seed; };

void main()
{
	uvec2 at = gl_GlobalInvocationID.xy;
	uint h = (at.x + at.y * width) * 2654435761u + seed;

	if (at.x >= width || at.y >= height)
		return;
	if (packUnorm4x8(imageLoad(pixels, ivec2(at))) != h) {
		atomicAdd(wrong, 1);
		atomicMin(first, at.x + at.y * width);
	}
	atomicAdd(looked_at, 1);
}
