//! What stages and pipelines see of a lowered shader: how values are interpolated between stages, and names.

mod device;
mod lowering;

use device::{Bound, Device};
use lowering::{CAPABILITIES, lower};
use reelcore_gpu::naga::front::wgsl;
use reelcore_gpu::naga::{Binding, TypeInner};
use reelcore_gpu::wgpu_types as wgt;

/// Each way to say, or not to say, how a value is interpolated.
const SPELLINGS: [&str; 13] = [
    "",
    "@interpolate(perspective)",
    "@interpolate(perspective, center)",
    "@interpolate(perspective, centroid)",
    "@interpolate(perspective, sample)",
    "@interpolate(linear)",
    "@interpolate(linear, center)",
    "@interpolate(linear, centroid)",
    "@interpolate(linear, sample)",
    "@interpolate(flat)",
    "@interpolate(flat, first)",
    "@interpolate(flat, either)",
    "@size(32) @interpolate(linear, center)",
];

/// The bindings of all arguments, results and members of `source`.
fn bindings(source: &str) -> Vec<Binding> {
    let mut options = wgsl::Options::new();
    options.capabilities = CAPABILITIES;
    let module = wgsl::Frontend::new_with_options(options)
        .parse(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    let mut found = Vec::new();
    for (_, ty) in module.types.iter() {
        if let TypeInner::Struct { members, .. } = &ty.inner {
            found.extend(members.iter().filter_map(|member| member.binding.clone()));
        }
    }
    for entry_point in &module.entry_points {
        let function = &entry_point.function;
        found.extend(function.arguments.iter().filter_map(|a| a.binding.clone()));
        found.extend(function.result.iter().filter_map(|r| r.binding.clone()));
    }
    found
}

#[test]
fn every_spelling_of_interpolation_comes_back_as_it_was() {
    for spelling in SPELLINGS {
        for ty in ["f32", "vec4f", "u32", "vec2i"] {
            if !ty.contains('f') && !spelling.contains("flat") {
                continue;
            }
            let parameter = match spelling.contains("@size") {
                true => "@interpolate(linear, center)",
                false => spelling,
            };
            let source = format!(
                "@group(0) @binding(0) var t: texture_external;
                 struct V {{ @builtin(position) at: vec4f, @location(0) {spelling} a: {ty}, @location(2) {spelling} b: {ty} }}
                 @vertex fn vs() -> V {{ return V(); }}
                 @fragment fn of_struct(v: V) -> @location(0) vec4f {{ _ = v.a; return textureLoad(t, vec2u()); }}
                 @fragment fn of_parameters(@location(0) {parameter} x: {ty}, @location(2) {parameter} y: {ty})
                     -> @location(0) {parameter} {ty} {{ _ = textureLoad(t, vec2u()); return x; }}"
            );
            let lowered = lower(&source);
            assert_eq!(
                bindings(&lowered.source),
                bindings(&source),
                "{}",
                lowered.source
            );
        }
    }
}

#[test]
fn a_lowered_stage_fits_one_of_another_module_that_was_not_lowered() {
    let device = Device::open();
    let texture = device.texture(
        1,
        1,
        wgt::TextureFormat::Rgba8Unorm,
        wgt::TextureUsages::TEXTURE_BINDING | wgt::TextureUsages::COPY_DST,
    );
    device.write_texture(texture, 1, 1, &[255, 255, 255, 255]);
    let vertex = |spelling: &str| {
        format!(
            "struct V {{ @builtin(position) at: vec4f, @location(0) {spelling} uv: vec4f }}
             @vertex fn vs(@builtin(vertex_index) i: u32) -> V {{
                 let w = f32(i) + 1.0;
                 let at = vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
                 return V(at * w, vec4f(at.xyx * 0.25 + 0.25, 1.0));
             }}"
        )
    };
    for spelling in SPELLINGS.iter().filter(|s| !s.contains("@size")) {
        let fragment = |ty: &str, level: &str| {
            format!(
                "@group(0) @binding(0) var t: {ty};
                 @fragment fn fs(@location(0) {spelling} uv: vec4f) -> @location(0) vec4f {{
                     return uv * textureLoad(t, vec2u(0u) {level});
                 }}"
            )
        };
        let draw = |fragment: &str| {
            let vertex = (device.shader(&vertex(spelling)), "vs");
            let fragment = (device.shader(fragment), "fs");
            device.render(vertex, fragment, None, &[(0, Bound::Texture(texture))])
        };
        let wanted = draw(&fragment("texture_2d<f32>", ", 0"));
        let lowered = lower(&fragment("texture_external", ""));
        assert_eq!(draw(&lowered.source), wanted, "{spelling}");
    }
}

#[test]
fn names_that_mean_something_by_their_place_are_names_like_others() {
    for name in [
        "flat",
        "linear",
        "perspective",
        "center",
        "centroid",
        "sample",
        "first",
        "either",
        "position",
        "interpolate",
        "location",
        "force",
        "dual_source_blending",
        "clip_distances",
    ] {
        let lowered = lower(&format!(
            "enable dual_source_blending;
             enable clip_distances;
             @group(0) @binding(0) var t: texture_external;
             struct V {{
                 @builtin(position) at: vec4f,
                 @builtin(clip_distances) planes: array<f32, 1>,
                 @location(0) @interpolate(flat) a: u32,
                 @location(1) @interpolate(flat, either) b: u32,
                 @location(2) @interpolate(flat, first) c: u32,
                 @location(3) @interpolate(linear) d: f32,
                 @location(4) @interpolate(linear, center) e: f32,
                 @location(5) @interpolate(perspective) f: f32,
                 @location(6) @interpolate(perspective, centroid) g: f32,
                 @location(7) @interpolate(linear, sample) h: f32,
             }}
             struct O {{ @location(0) @blend_src(0) a: vec4f, @location(0) @blend_src(1) b: vec4f }}
             @vertex fn vs() -> V {{ return V(); }}
             @early_depth_test(force)
             @fragment fn {name}(@location(0) @interpolate(flat) i: u32) -> O {{
                 return O(textureLoad(t, vec2u(i)), vec4f());
             }}"
        ));
        assert!(
            lowered.source.contains(&format!("fn {name}(")),
            "{}",
            lowered.source
        );
    }
}
