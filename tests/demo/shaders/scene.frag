#version 450
// A herd of glossy spheres that hops over a meadow towards the evening sun, traced ray by ray.
#define HERD 20

layout(location = 0) out vec4 colour;
layout(set = 0, binding = 0) uniform Herd {
	vec4 spheres[HERD];  // centre and radius
	vec4 paint[HERD];    // colour, and how much it mirrors
	vec4 view;           // width, height, time, distance walked
};

const vec3 SUN = normalize(vec3(-0.55, 0.26, -0.8));

vec3 sky(vec3 ray)
{
	float up = max(ray.y, 0.0), towards = max(dot(ray, SUN), 0.0);
	vec3 horizon = mix(vec3(0.62, 0.34, 0.38), vec3(1.0, 0.62, 0.28), towards * towards);
	vec3 c = mix(horizon, vec3(0.10, 0.17, 0.42), 1.0 - exp(-3.2 * up));
	// thin clouds, lit from below
	vec2 at = ray.xz / (up + 0.12);
	float cloud = sin(at.x * 1.3 + sin(at.y * 0.9) * 1.7) * sin(at.y * 0.7 + 1.1 * sin(at.x * 0.6));

	c += vec3(0.30, 0.14, 0.09) * smoothstep(0.35, 1.0, cloud) * smoothstep(0.02, 0.3, up);
	// hills far away, in the haze
	float west = atan(ray.x, -ray.z);

	for (int i = 0; i < 3; i++) {
		float f = float(i), hill = 0.105 - 0.030 * f + 0.020 * sin(west * (5.0 + 3.0 * f) + 2.0 * f) + 0.010 * sin(west * (17.0 + 5.0 * f));

		c = mix(c, mix(vec3(0.36, 0.27, 0.36), vec3(0.30, 0.25, 0.20), 0.5 * f) + 0.25 * horizon * (1.0 - 0.28 * f),
			smoothstep(0.004, -0.002, ray.y - hill) * 0.85);
	}
	if (ray.y < 0.1 && towards < 0.999)
		return c + vec3(1.0, 0.75, 0.45) * 0.25 * pow(towards, 24.0);
	c += vec3(1.0, 0.75, 0.45) * (0.35 * pow(towards, 24.0) + 2.0 * smoothstep(0.9991, 0.9996, towards));
	return c;
}

vec3 meadow(vec2 at)
{
	vec2 p = at + vec2(0.0, -view.w);
	float rows = sin(p.x * 2.1 + 0.6 * sin(p.y * 0.8)), patches = sin(p.x * 0.53 + 1.7) * sin(p.y * 0.61);
	float blades = sin(p.x * 23.0 + 3.0 * sin(p.y * 7.0)) * sin(p.y * 19.0 + 2.0 * sin(p.x * 5.0));
	vec3 c = mix(vec3(0.10, 0.25, 0.06), vec3(0.32, 0.40, 0.09), 0.5 + 0.5 * patches);

	c *= 0.90 + 0.10 * rows + 0.10 * blades * exp(-0.06 * dot(at, at));
	// flowers
	vec2 cell = floor(p * 1.5), in_cell = fract(p * 1.5) - 0.5;
	float luck = fract(sin(dot(cell, vec2(12.9898, 78.233))) * 43758.5453);
	float flower = smoothstep(0.13, 0.05, length(in_cell - 0.25 * vec2(luck - 0.5, fract(luck * 7.0) - 0.5)));

	return mix(c, mix(vec3(0.95, 0.80, 0.25), vec3(0.85, 0.35, 0.50), step(0.9, luck)), flower * step(0.72, luck) * exp(-0.015 * dot(at, at)));
}

// The nearest sphere along a ray; -1: none.
int nearest(vec3 from, vec3 ray, inout float far)
{
	int hit = -1;

	for (int i = 0; i < HERD; i++) {
		vec3 to = spheres[i].xyz - from;
		float along = dot(to, ray), off = dot(to, to) - along * along;
		float reach = spheres[i].w * spheres[i].w - off;

		if (reach > 0.0) {
			float at = along - sqrt(reach);

			if (at > 0.001 && at < far) {
				far = at;
				hit = i;
			}
		}
	}
	return hit;
}

// How much of the sun, and of the sky, reaches a point: soft, by how near the spheres come.
vec2 light_at(vec3 from, vec3 normal)
{
	float sun = 1.0, open = 1.0;

	for (int i = 0; i < HERD; i++) {
		vec3 to = spheres[i].xyz - from;
		float r = spheres[i].w, square = dot(to, to), along = dot(to, SUN);

		if (square < r * r * 1.02)
			continue;
		if (along > 0.0)
			sun = min(sun, smoothstep(-0.06, 0.10, (sqrt(max(square - along * along, 0.0)) - r) / along));
		open *= 1.0 - max(dot(normal, to), 0.0) * r * r / (square * sqrt(square));
	}
	return vec2(sun, open);
}

vec3 lit(vec3 c, vec3 at, vec3 normal)
{
	vec2 light = light_at(at, normal);

	return c * (vec3(1.9, 1.25, 0.75) * max(dot(normal, SUN), 0.0) * light.x +
		    vec3(0.42, 0.40, 0.55) * (0.55 + 0.45 * normal.y) * light.y);
}

vec3 ground(vec3 from, vec3 ray, float far)
{
	vec3 at = from + ray * far;

	return mix(sky(normalize(vec3(ray.x, 0.0, ray.z))), lit(meadow(at.xz), at, vec3(0, 1, 0)), exp(-0.0011 * far * far));
}

float to_ground(vec3 from, vec3 ray)
{
	return ray.y < -0.0005 ? -from.y / ray.y : 1e9;
}

// What a mirroring sphere shows: one bounce.
vec3 mirrored(vec3 from, vec3 ray)
{
	float far = to_ground(from, ray);
	int hit = nearest(from, ray, far);

	if (hit < 0)
		return far < 1e8 ? ground(from, ray, far) : sky(ray);
	vec3 at = from + ray * far;

	return lit(paint[hit].rgb, at, (at - spheres[hit].xyz) / spheres[hit].w);
}

void main()
{
	vec2 p = (gl_FragCoord.xy * 2.0 - view.xy) / view.y;
	float t = view.z;
	vec3 eye = vec3(2.9 * sin(0.16 * t + 0.5), 1.35 + 0.2 * sin(0.23 * t), 6.3);
	vec3 forward = normalize(vec3(-0.3, 0.55, -0.5) - eye), right = normalize(cross(forward, vec3(0, 1, 0)));
	vec3 ray = normalize(forward * 1.6 + right * p.x - cross(right, forward) * p.y);
	float far = to_ground(eye, ray);
	int hit = nearest(eye, ray, far);
	vec3 c;

	if (hit >= 0) {
		vec3 at = eye + ray * far, normal = (at - spheres[hit].xyz) / spheres[hit].w;
		float edge = pow(1.0 + dot(ray, normal), 4.0), shine = paint[hit].a;
		vec3 bounce = reflect(ray, normal);

		c = lit(paint[hit].rgb, at, normal);
		c = mix(c, mirrored(at + normal * 0.002, bounce), clamp(shine + 0.6 * edge, 0.0, 1.0));
		c += vec3(1.0, 0.8, 0.5) * pow(max(dot(bounce, SUN), 0.0), 90.0) * light_at(at, normal).x;
	} else {
		c = far < 1e8 ? ground(eye, ray, far) : sky(ray);
	}
	c *= 1.3;
	c = c * (1.0 + c * 0.12) / (1.0 + c * 0.75);
	// a little noise against bands in eight bits
	float noise = fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)))) - 0.5;

	colour = vec4(pow(c, vec3(0.85)) + noise / 255.0, 1.0);
}
