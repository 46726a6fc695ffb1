#version 450
// GPU 1's part: depth of field, bloom, and trails of two older frames; pixels as 0xffRRGGBB.
layout(local_size_x = 8, local_size_y = 8) in;
layout(set = 0, binding = 0) uniform sampler2D frame;
layout(set = 0, binding = 1) uniform sampler2D near;
layout(set = 0, binding = 2) uniform sampler2D far;
layout(set = 0, binding = 3) writeonly buffer Result { uint pixels[]; };
layout(push_constant) uniform Arguments { uint width; uint height; };

#define SHARP_TAPS 6
#define BLOOM_TAPS 10

vec2 spiral(int i, int count)
{
	float angle = 2.399963 * float(i), radius = sqrt((float(i) + 0.5) / float(count));

	return radius * vec2(cos(angle), sin(angle));
}

void main()
{
	uvec2 at = gl_GlobalInvocationID.xy;
	vec2 size = vec2(width, height), uv = (vec2(at) + 0.5) / size;
	// the herd is in focus, what is nearer and farther isn't
	float blur = 0.6 + 5.0 * smoothstep(0.18, 0.55, abs(uv.y - 0.56));
	vec3 sharp = vec3(0), bloom = vec3(0), c;

	if (at.x >= width || at.y >= height)
		return;
	for (int i = 0; i < SHARP_TAPS; i++)
		sharp += textureLod(frame, uv + spiral(i, SHARP_TAPS) * blur / size, 0.0).rgb;
	for (int i = 0; i < BLOOM_TAPS; i++) {
		c = textureLod(frame, uv + spiral(i, BLOOM_TAPS) * 22.0 / size, 0.0).rgb;
		bloom += c * smoothstep(0.60, 1.0, max(c.r, max(c.g, c.b)));
	}
	c = sharp / float(SHARP_TAPS) + 0.30 * bloom / float(BLOOM_TAPS);
	c += 0.20 * max(textureLod(near, uv, 0.0).rgb - c, 0.0) * vec3(1.0, 0.8, 0.5);
	c += 0.10 * max(textureLod(far, uv, 0.0).rgb - c, 0.0) * vec3(0.6, 0.8, 1.0);
	c *= 1.0 - 0.32 * dot(uv - 0.5, uv - 0.5);
	// a little noise against bands in eight bits
	float noise = fract(52.9829189 * fract(dot(vec2(at), vec2(0.06711056, 0.00583715))));
	uvec3 rgb = uvec3(clamp(c, 0.0, 1.0) * 254.0 + noise);

	pixels[at.y * width + at.x] = 0xff000000u | rgb.r << 16 | rgb.g << 8 | rgb.b;
}
