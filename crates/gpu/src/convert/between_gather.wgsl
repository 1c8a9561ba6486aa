// Chroma between two samples, or four: linear. One look gives all four.
@group(0) @binding(6) var nearest: sampler;

// Of four samples, from the lower left one against the clock, the value at a part of the way from the upper left one.
fn mixed(four: vec4<f32>, part: vec2<f32>) -> f32 {
    let rows = mix(four.wx, four.zy, part.x);
    return mix(rows.x, rows.y, part.y);
}

fn between(plane: u32, centre: vec2<f32>) -> vec4<f32> {
    let bounds = params.chroma_bounds;
    // At the bounds all is of one side; beyond them nothing counts.
    let base = clamp(vec2<i32>(floor(centre)), bounds.xy, max(bounds.zw - 1, bounds.xy));
    let inside = select(vec2<f32>(0.0), vec2<f32>(1.0), bounds.zw > bounds.xy);
    let part = clamp(centre - vec2<f32>(base), vec2<f32>(0.0), inside);
    // The corner that the four share.
    let at = vec2<f32>(base + 1) / vec2<f32>(textureDimensions(plane1));
    if LAYOUT == LAYOUT_NV12 {
        let u = mixed(vec4<f32>(textureGather(0, plane1, nearest, at)), part);
        let v = mixed(vec4<f32>(textureGather(1, plane1, nearest, at)), part);
        return vec4<f32>(u, v, 0.0, 0.0);
    }
    if plane == 1u {
        return vec4<f32>(mixed(vec4<f32>(textureGather(0, plane1, nearest, at)), part), 0.0, 0.0, 0.0);
    }
    return vec4<f32>(mixed(vec4<f32>(textureGather(0, plane2, nearest, at)), part), 0.0, 0.0, 0.0);
}
