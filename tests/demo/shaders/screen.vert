#version 450
// One triangle that covers the screen.
void main()
{
	vec2 corner = vec2(gl_VertexIndex << 1 & 2, gl_VertexIndex & 2);

	gl_Position = vec4(corner * 2 - 1, 0, 1);
}
