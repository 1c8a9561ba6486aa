//! What the tests of lowering share.
#![allow(dead_code, reason = "each test file uses a part")]

use reelcore_gpu::lower::{Lowered, LoweredShader};
use reelcore_gpu::naga::valid::Capabilities;

/// What a device without external textures can do, and a shader of the corpus may need.
pub const CAPABILITIES: Capabilities = Capabilities::SHADER_FLOAT16
    .union(Capabilities::SUBGROUP)
    .union(Capabilities::SUBGROUP_BARRIER)
    .union(Capabilities::EARLY_DEPTH_TEST)
    .union(Capabilities::CLIP_DISTANCE)
    .union(Capabilities::DUAL_SOURCE_BLENDING)
    .union(Capabilities::MULTISAMPLED_SHADING)
    .union(Capabilities::TEXTURE_AND_SAMPLER_BINDING_ARRAY);

/// A shader, lowered; it is one that can be.
#[track_caller]
pub fn lower(source: &str) -> LoweredShader {
    match reelcore_gpu::lower::lower_external_textures(source, CAPABILITIES) {
        Ok(Lowered::Shader(shader)) => *shader,
        Ok(Lowered::Unchanged) => panic!("not lowered:\n{source}"),
        Err(error) => panic!("{error}\n{source}"),
    }
}

/// A vertex stage that covers all of the target.
pub const TRIANGLE: &str = "
@vertex fn vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}
";
