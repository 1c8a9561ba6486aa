//! What lowering says of a shader's source, beside what is drawn with it: bindings, errors with their places, refusals, and what it
//! leaves alone.

mod lowering;

use lowering::{CAPABILITIES, TRIANGLE, lower};
use reelcore_gpu::lower::{Alike, ExternalBinding, LowerError, Lowered, Stage, lower_stages_alike};
use reelcore_gpu::naga::valid::Capabilities;

#[test]
fn stages_that_use_their_textures_alike_are_not_lowered_again() {
    let texture = "@group(0) @binding(0) var tex: texture_external;";
    let draws = "@fragment fn fs() -> @location(0) vec4f { return textureLoad(tex, vec2u(0u)); }";
    for vertex in [
        TRIANGLE.to_owned(),
        format!("{texture} {TRIANGLE}"),
        format!(
            "{texture} @vertex fn vs() -> @builtin(position) vec4f {{ return textureLoad(tex, vec2u(0u)); }}"
        ),
        format!("{texture} {TRIANGLE} {}", TRIANGLE.replace("vs", "other")),
        "@vertex fn broken(".to_owned(),
    ] {
        let stage = |source| Stage {
            source,
            entry_point: None,
        };
        let fragment = format!("{texture} {draws}");
        let alike = lower_stages_alike(&stage(&vertex), &stage(&fragment), CAPABILITIES);
        assert_eq!(alike, Ok(Alike::default()), "{vertex}");
    }
}

#[test]
fn each_external_binding_is_reported_with_its_entry_points() {
    let lowered = lower(
        "@group(1) @binding(3) var b: texture_external;
         @group(0) @binding(7) var a: texture_external;
         @group(0) @binding(1) var plain: texture_2d<f32>;
         @group(2) @binding(0) var nobody: texture_external;
         fn deep(t: texture_external) -> vec4f { return textureLoad(t, vec2(0)); }
         fn reads_b() -> vec4f { return deep(b); }
         @vertex fn v() -> @builtin(position) vec4f { return reads_b(); }
         @fragment fn f1() -> @location(0) vec4f { return reads_b() + deep(a); }
         @fragment fn f2() -> @location(0) vec4f { return textureLoad(plain, vec2(0), 0); }",
    );
    let binding = |group, binding, entries: &[&str]| ExternalBinding {
        group,
        binding,
        entry_points: entries.iter().map(|&e| e.to_owned()).collect(),
    };
    assert_eq!(
        lowered.bindings,
        [
            binding(0, 7, &["f1"]),
            binding(1, 3, &["v", "f1"]),
            binding(2, 0, &[]),
        ]
    );
}

#[test]
fn sources_without_external_textures_and_broken_ones_are_left_alone() {
    for source in [
        "@compute @workgroup_size(1) fn main() {}",
        "// texture_external\n@compute @workgroup_size(1) fn main() {}",
        "/* /* texture_external */ */ struct texture_external_like { a: f32 }",
        "struct texture_external { a: f32 } @group(0) @binding(0) var<uniform> x: texture_external;",
        "alias texture_external = texture_2d<f32>; @group(0) @binding(0) var x: texture_external;",
        "struct S { texture_external: f32 }",
        "@group(0) @binding(0) var t: texture_external; fn broken( {",
        "@group(0) @binding(0) var t: texture_external; fn f() -> vec4f { return textureLoad(t); }",
        "texture_external",
        "",
    ] {
        let lowered = reelcore_gpu::lower::lower_external_textures(source, CAPABILITIES);
        assert!(
            matches!(lowered, Ok(Lowered::Unchanged)),
            "{source}: {lowered:?}"
        );
    }
}

#[test]
fn comments_and_names_with_the_word_change_nothing() {
    let lowered = lower(
        "// texture_external in a comment, and lowered_t_az too\n
         /* @group(0) @binding(5) var x: texture_external; */
         @group(0) @binding(0) var texture_external_a: texture_external;
         struct S { texture_external: f32, @location(1) Größe: f32 }
         fn f(lowered: S) -> f32 { return lowered.texture_external + lowered.Größe; }
         @compute @workgroup_size(1) fn main() {
             let texture_external = f(S(textureLoad(texture_external_a, vec2(0)).x, 1.0));
             _ = texture_external;
         }",
    );
    assert_eq!(lowered.bindings.len(), 1);
    assert!(
        lowered.source.contains("texture_external: f32"),
        "members keep their names:\n{}",
        lowered.source
    );
}

#[test]
fn errors_of_the_shader_have_the_lines_of_its_source() {
    let source = "@group(0) @binding(0) var t: texture_external;
@group(0) @binding(1) var s: sampler;
@fragment fn main() -> @location(0) vec4f {
    let fine = textureLoad(t, vec2(0));
    return fine + textureSampleLevel(t, s, vec2f(0.5), 0.0);
}";
    let Err(LowerError::Invalid { message, location }) =
        reelcore_gpu::lower::lower_external_textures(source, CAPABILITIES)
    else {
        panic!("external textures have no levels");
    };
    assert_eq!(location.map(|l| l.line), Some(5), "{message}");
    let at = location.unwrap();
    let text = &source[at.offset as usize..(at.offset + at.length) as usize];
    assert!(text.starts_with("textureSampleLevel"), "{text}");
    assert!(message.contains("wgsl:5:"), "{message}");
}

#[test]
fn what_the_device_lacks_is_reported_before_anything_is_written() {
    let source = "@group(0) @binding(0) var t: texture_external;
        @compute @workgroup_size(1) fn main(@builtin(subgroup_size) n: u32) { _ = textureLoad(t, vec2(n)); }";
    let lowered = reelcore_gpu::lower::lower_external_textures(source, Capabilities::empty());
    assert!(
        matches!(lowered, Err(LowerError::Invalid { .. })),
        "{lowered:?}"
    );
}

#[test]
fn what_cannot_be_written_back_is_refused_by_name() {
    let source = "@group(0) @binding(0) var t: texture_external;
        override min = 3u;
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
            _ = textureLoad(t, id.xy + min) + f32(max(id.x, 4u));
        }";
    // `min` is written as itself, and no built-in min is needed: fine.
    lower(source);
    let captured = source
        .replace("override min", "override clamp")
        .replace("+ min", "+ clamp")
        .replace(
            "_ = ",
            "_ = textureSampleBaseClampToEdge(t, s, vec2f(id.xy)) + ",
        )
        + "@group(0) @binding(1) var s: sampler;";
    let refused = reelcore_gpu::lower::lower_external_textures(&captured, CAPABILITIES);
    let Err(LowerError::Unsupported(what)) = refused else {
        panic!("the override would capture the built-in function: {refused:?}");
    };
    assert!(what.contains("clamp"), "{what}");

    let rays = "enable wgpu_ray_query;
        @group(0) @binding(0) var t: texture_external;
        @group(0) @binding(1) var scene: acceleration_structure;
        @compute @workgroup_size(1) fn main() {
            var query: ray_query;
            rayQueryInitialize(&query, scene, RayDesc(0u, 0xFFu, 0.1, 100.0, vec3f(), vec3f(0.0, 1.0, 0.0)));
            _ = rayQueryProceed(&query);
            _ = textureLoad(t, vec2(0));
        }";
    let refused =
        reelcore_gpu::lower::lower_external_textures(rays, CAPABILITIES | Capabilities::RAY_QUERY);
    assert!(
        matches!(refused, Err(LowerError::Unsupported(_))),
        "{refused:?}"
    );
}

#[test]
fn a_gpu_lowers_with_the_capabilities_of_its_device() {
    let gpu = reelcore_gpu::Gpu::open(&reelcore_gpu::OpenOptions::default())
        .expect("no adapter: install the package mesa-vulkan-drivers");
    let source = "@group(0) @binding(0) var t: texture_external;
        @compute @workgroup_size(1) fn main() { _ = textureLoad(t, vec2(0)); }";
    assert!(matches!(
        gpu.lower_wgsl(source),
        Ok(Lowered::Shader(shader)) if shader.bindings.len() == 1
    ));
    // 64-bit floats are no feature that the device was made with.
    let lacking = source.replace("_ =", "_ = vec4<f64>(1.0lf); _ =");
    assert!(
        matches!(
            gpu.lower_wgsl(&lacking),
            Err(LowerError::Invalid { .. }) | Ok(Lowered::Unchanged)
        ),
        "for wgpu to refuse, or refused already"
    );
    gpu.retire();
    assert!(matches!(gpu.lower_wgsl(source), Ok(Lowered::Unchanged)));
}
