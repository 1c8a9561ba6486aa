// One triangle over the whole viewport.
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let x = select(-1.0, 3.0, index == 1u);
    let y = select(-1.0, 3.0, index == 2u);
    return vec4<f32>(x, y, 0.0, 1.0);
}

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let c = colour(position.xy);
    if flag(FLAG_DECODE_SRGB) {
        // The texture encodes what is written to it.
        return vec4<f32>(srgb_to_linear(c.xyz), c.w);
    }
    return c;
}
