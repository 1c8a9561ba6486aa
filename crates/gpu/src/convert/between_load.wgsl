// Chroma between two samples, or four: linear.
fn between(plane: u32, centre: vec2<f32>) -> vec4<f32> {
    let lower = floor(centre);
    let part = centre - lower;
    let first = vec2<i32>(lower);
    let bounds = params.chroma_bounds;
    let a = load(plane, clamp(first, bounds.xy, bounds.zw));
    let b = load(plane, clamp(first + vec2<i32>(1, 0), bounds.xy, bounds.zw));
    let c = load(plane, clamp(first + vec2<i32>(0, 1), bounds.xy, bounds.zw));
    let d = load(plane, clamp(first + vec2<i32>(1, 1), bounds.xy, bounds.zw));
    return mix(mix(a, b, part.x), mix(c, d, part.x), part.y);
}
