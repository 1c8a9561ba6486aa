// Planes of integers: samples of more than eight bits.
@group(0) @binding(1) var plane0: texture_2d<u32>;
@group(0) @binding(2) var plane1: texture_2d<u32>;
@group(0) @binding(3) var plane2: texture_2d<u32>;
@group(0) @binding(4) var plane3: texture_2d<u32>;

fn load(plane: u32, at: vec2<i32>) -> vec4<f32> {
    switch plane {
        case 0u: { return vec4<f32>(textureLoad(plane0, at, 0)); }
        case 1u: { return vec4<f32>(textureLoad(plane1, at, 0)); }
        case 2u: { return vec4<f32>(textureLoad(plane2, at, 0)); }
        default: { return vec4<f32>(textureLoad(plane3, at, 0)); }
    }
}
