//! The corpus: shaders that say `texture_external`, lowered, against the same shaders over a plain
//! 2D texture. Each is written once: `TEXTURE` and `LEVEL` stand for what differs.

mod device;
mod lowering;

use device::{Bound, Device};
use lowering::{CAPABILITIES, TRIANGLE, lower};
use reelcore_gpu::lower::{Lowered, Stage, lower_stages_alike};
use reelcore_gpu::wgpu_core::pipeline::ShaderModuleSource;
use reelcore_gpu::wgpu_types as wgt;

fn external(template: &str) -> String {
    template
        .replace("TEXTURE", "texture_external")
        .replace("LEVEL", "")
}

fn plain(template: &str) -> String {
    template
        .replace("TEXTURE", "texture_2d<f32>")
        .replace("LEVEL", ", 0")
}

/// 7x5 pixels, no two alike.
fn pixels(seed: u8) -> Vec<u8> {
    (0..7 * 5 * 4)
        .map(|i: u32| {
            (i.wrapping_mul(2_654_435_761) >> 13) as u8
                ^ seed.wrapping_mul(29).wrapping_add(i as u8)
        })
        .collect()
}

struct Scene {
    device: Device,
    bindings: Vec<(u32, Bound)>,
}

impl Scene {
    /// Bindings 0 and 1: textures; 2 and 3: samplers that would repeat, linear and nearest.
    fn new() -> Self {
        let device = Device::open();
        let mut bindings = Vec::new();
        for seed in 0..2 {
            let texture = device.texture(
                7,
                5,
                wgt::TextureFormat::Rgba8Unorm,
                wgt::TextureUsages::TEXTURE_BINDING | wgt::TextureUsages::COPY_DST,
            );
            device.write_texture(texture, 7, 5, &pixels(seed as u8));
            bindings.push((seed, Bound::Texture(texture)));
        }
        for (binding, filter) in [(2, wgt::FilterMode::Linear), (3, wgt::FilterMode::Nearest)] {
            let sampler = device.sampler(filter, wgt::AddressMode::Repeat);
            bindings.push((binding, Bound::Sampler(sampler)));
        }
        Self { device, bindings }
    }

    fn bound(&self, used: &[u32]) -> Vec<(u32, Bound)> {
        let used = |binding: &u32| used.contains(binding);
        self.bindings
            .iter()
            .filter(|(b, _)| used(b))
            .copied()
            .collect()
    }

    /// The layout that a bind group layout with `externalTexture: {}` becomes.
    fn layout(used: &[u32], visibility: wgt::ShaderStages) -> Vec<wgt::BindGroupLayoutEntry> {
        let mut entries: Vec<_> = used
            .iter()
            .map(|&binding| wgt::BindGroupLayoutEntry {
                binding,
                visibility,
                ty: if binding < 2 {
                    wgt::BindingType::Texture {
                        sample_type: wgt::TextureSampleType::Float { filterable: true },
                        view_dimension: wgt::TextureViewDimension::D2,
                        multisampled: false,
                    }
                } else {
                    wgt::BindingType::Sampler(wgt::SamplerBindingType::Filtering)
                },
                count: None,
            })
            .collect();
        if visibility == wgt::ShaderStages::COMPUTE {
            entries.push(wgt::BindGroupLayoutEntry {
                binding: 9,
                visibility,
                ty: wgt::BindingType::Buffer {
                    ty: wgt::BufferBindingType::Storage { read_only: false },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            });
        }
        entries
    }

    /// Runs `entry` of both shaders: written WGSL and module, automatic and explicit layout.
    #[track_caller]
    fn same_compute(&self, template: &str, used: &[u32], entry: &str, constants: &[(&str, f64)]) {
        const WORDS: u64 = 512;
        let lowered = lower(&external(template));
        let bindings = self.bound(used);
        let run = |module, layout: Option<&[wgt::BindGroupLayoutEntry]>| {
            self.device
                .compute(module, entry, layout, &bindings, constants, WORDS)
        };
        let wanted = run(self.device.shader(&plain(template)), None);
        assert!(
            wanted.iter().any(|&word| word != 0),
            "the shader wrote nothing"
        );
        let written = self.device.shader(&lowered.source);
        assert_eq!(run(written, None), wanted, "{}", lowered.source);
        let layout = Self::layout(used, wgt::ShaderStages::COMPUTE);
        assert_eq!(run(written, Some(&layout)), wanted, "explicit layout");
        let source = ShaderModuleSource::Naga(std::borrow::Cow::Owned(lowered.module));
        let (module, error) = self.device.try_shader(source);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(run(module, None), wanted, "as a module");
    }

    #[track_caller]
    fn same_render(&self, template: &str, used: &[u32], entries: (&str, &str)) {
        let lowered = lower(&external(template));
        let bindings = self.bound(used);
        let run = |source: &str, layout: Option<&[wgt::BindGroupLayoutEntry]>| {
            let module = self.device.shader(source);
            let (vertex, fragment) = ((module, entries.0), (module, entries.1));
            self.device.render(vertex, fragment, layout, &bindings)
        };
        let wanted = run(&plain(template), None);
        assert!(drew(&wanted), "the shader drew nothing");
        assert_eq!(run(&lowered.source, None), wanted, "{}", lowered.source);
        let layout = Self::layout(used, wgt::ShaderStages::VERTEX_FRAGMENT);
        assert_eq!(run(&lowered.source, Some(&layout)), wanted);
    }

    /// Renders two stages, `vs` and `fs`, of which one alone samples the texture 0: with a derived layout, and with one that
    /// shows the sampler 2 to the stage `samples` alone.
    #[track_caller]
    fn same_stages(&self, vertex: &str, fragment: &str, samples: wgt::ShaderStages) {
        let bindings = self.bound(&[0, 2]);
        let run = |vertex: &str, fragment: &str, layout: Option<&[wgt::BindGroupLayoutEntry]>| {
            let vertex = (self.device.shader(vertex), "vs");
            let fragment = (self.device.shader(fragment), "fs");
            self.device.render(vertex, fragment, layout, &bindings)
        };
        let mut layout = Self::layout(&[0, 2], wgt::ShaderStages::VERTEX_FRAGMENT);
        layout[1].visibility = samples;
        let wanted = run(&plain(vertex), &plain(fragment), Some(&layout));
        assert!(drew(&wanted), "the shader drew nothing");
        let (vertex, fragment) = (external(vertex), external(fragment));
        let own = (lower(&vertex).source, lower(&fragment).source);
        assert_eq!(run(&own.0, &own.1, Some(&layout)), wanted, "explicit");
        let stage = |source, entry_point| Stage {
            source,
            entry_point,
        };
        for entries in [(None, None), (Some("vs"), Some("fs"))] {
            let (vertex, fragment) = (stage(&vertex, entries.0), stage(&fragment, entries.1));
            let alike = lower_stages_alike(&vertex, &fragment, CAPABILITIES).unwrap();
            let changed = (alike.vertex.is_some(), alike.fragment.is_some());
            let lacks = samples == wgt::ShaderStages::FRAGMENT;
            assert_eq!(changed, (lacks, !lacks), "the one that does not sample");
            let vertex = alike.vertex.as_ref().unwrap_or(&own.0);
            let fragment = alike.fragment.as_ref().unwrap_or(&own.1);
            assert_eq!(run(vertex, fragment, None), wanted, "{vertex}\n{fragment}");
        }
    }
}

/// Whether pixels are not all alike.
fn drew(pixels: &[u8]) -> bool {
    let mut distinct: Vec<&[u8]> = pixels.chunks_exact(4).collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() > 4
}

#[test]
fn loads_with_signed_unsigned_and_abstract_coordinates_give_the_texels() {
    Scene::new().same_compute(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
         const corner = vec2(6, 4);
         @compute @workgroup_size(7, 5)
         fn main(@builtin(local_invocation_id) id: vec3u) {
             let at = id.y * 7u + id.x;
             out[at] = textureLoad(tex, id.xy LEVEL);
             out[at + 35u] = textureLoad(tex, vec2i(id.xy) LEVEL) + textureLoad(tex, vec2(1, 2) LEVEL);
             out[at + 70u] = textureLoad(tex, corner LEVEL);
         }",
        &[0],
        "main",
        &[],
    );
}

#[test]
fn loads_outside_the_texture_are_like_those_of_a_plain_texture() {
    Scene::new().same_compute(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
         @compute @workgroup_size(10, 10)
         fn main(@builtin(local_invocation_id) id: vec3u) {
             out[id.y * 10u + id.x] = textureLoad(tex, vec2i(id.xy) - vec2i(2) LEVEL);
         }",
        &[0],
        "main",
        &[],
    );
}

#[test]
fn samples_are_clamped_half_a_texel_from_the_edges_whatever_the_sampler() {
    let template = |sampler: u32| {
        format!(
            "@group(0) @binding(0) var tex: TEXTURE;
             @group(0) @binding({sampler}) var smp: sampler;
             @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
             @compute @workgroup_size(11, 11)
             fn main(@builtin(local_invocation_id) id: vec3u) {{
                 let uv = (vec2f(id.xy) - 1.5) / 8.0;
                 out[id.y * 11u + id.x] = textureSampleBaseClampToEdge(tex, smp, uv);
             }}"
        )
    };
    let scene = Scene::new();
    scene.same_compute(&template(2), &[0, 2], "main", &[]);
    scene.same_compute(&template(3), &[0, 3], "main", &[]);
}

#[test]
fn dimensions_are_those_of_the_frame() {
    Scene::new().same_compute(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(9) var<storage, read_write> out: array<vec2u>;
         @compute @workgroup_size(1) fn main() { out[3] = textureDimensions(tex); }",
        &[0],
        "main",
        &[],
    );
}

#[test]
fn textures_are_passed_through_functions_together_with_samplers() {
    Scene::new().same_compute(
        "alias Frame = TEXTURE;
         @group(0) @binding(1) var second: TEXTURE;
         @group(0) @binding(0) var first: Frame;
         @group(0) @binding(2) var smp: sampler;
         @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
         fn texel(t: Frame, at: vec2u) -> vec4f { return textureLoad(t, at LEVEL); }
         fn both(a: TEXTURE, b: Frame, s: sampler, at: vec2u) -> vec4f {
             let size = vec2f(textureDimensions(b));
             return texel(a, at) * 0.5 + textureSampleBaseClampToEdge(b, s, vec2f(at) / size);
         }
         fn outer(s: sampler, at: vec2u) -> vec4f { return both(first, second, s, at) + texel(second, at); }
         @compute @workgroup_size(7, 5)
         fn main(@builtin(local_invocation_id) id: vec3u) {
             out[id.y * 7u + id.x] = outer(smp, id.xy) - both(second, first, smp, id.yx);
         }",
        &[0, 1, 2],
        "main",
        &[],
    );
}

#[test]
fn a_plain_texture_beside_an_external_one_keeps_its_levels_and_its_type() {
    Scene::new().same_compute(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(1) var other: texture_2d<f32>;
         @group(0) @binding(2) var smp: sampler;
         @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
         fn plain_only(t: texture_2d<f32>, at: vec2u) -> vec4f { return textureLoad(t, at, i32(textureNumLevels(t)) - 1); }
         @compute @workgroup_size(7, 5)
         fn main(@builtin(local_invocation_id) id: vec3u) {
             var sum = vec4f();
             for (var i = 0u; i < 3u; i++) {
                 if (i == 1u) { continue; }
                 let uv = (vec2f(id.xy) + f32(i)) / 7.0;
                 sum += textureLoad(tex, id.xy LEVEL) + textureSampleLevel(other, smp, uv, 0.0);
                 sum += plain_only(other, id.xy) * textureSampleBaseClampToEdge(tex, smp, uv);
             }
             out[id.y * 7u + id.x] = sum;
         }",
        &[0, 1, 2],
        "main",
        &[],
    );
}

#[test]
fn fragment_shaders_sample_in_loops_branches_and_switches() {
    Scene::new().same_render(
        &format!(
            "{TRIANGLE}
             @group(0) @binding(0) var tex: TEXTURE;
             @group(0) @binding(1) var overlay: TEXTURE;
             @group(0) @binding(2) var smp: sampler;
             @fragment fn fs(@builtin(position) at: vec4f) -> @location(0) vec4f {{
                 let uv = at.xy / vec2f(64.0, 16.0);
                 var color = textureSampleBaseClampToEdge(tex, smp, uv);
                 switch u32(at.x) % 3u {{
                     case 0u: {{ color = color.bgra; }}
                     case 1u, 7u: {{ color *= textureLoad(overlay, vec2u(at.xy) % textureDimensions(overlay) LEVEL); }}
                     default: {{}}
                 }}
                 if (at.y > 8.0) {{ color = 1.0 - textureSampleBaseClampToEdge(overlay, smp, uv * 2.0 - 0.5); }}
                 return color;
             }}"
        ),
        &[0, 1, 2],
        ("vs", "fs"),
    );
}

#[test]
fn vertex_shaders_load_and_sample() {
    Scene::new().same_render(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(2) var smp: sampler;
         struct Out { @builtin(position) at: vec4f, @location(0) @interpolate(flat, either) first: vec4f, @location(3) color: vec4f }
         @vertex fn vertex(@builtin(vertex_index) i: u32) -> Out {
             var out: Out;
             out.at = vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
             out.first = textureLoad(tex, vec2u(i, 2u) LEVEL);
             out.color = textureSampleBaseClampToEdge(tex, smp, vec2f(f32(i) * 0.4));
             return out;
         }
         @fragment fn fragment(in: Out) -> @location(0) vec4f { return mix(in.first, in.color, 0.75); }",
        &[0, 2],
        ("vertex", "fragment"),
    );
}

#[test]
fn a_derived_layout_takes_stages_of_which_one_alone_samples() {
    let scene = Scene::new();
    let texture = "@group(0) @binding(0) var tex: TEXTURE;";
    let sampler = "@group(0) @binding(2) var smp: sampler;";
    let place = "vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0)";
    // What a stage does with the texture but to sample it.
    for used in [
        "vec4f(vec2f(textureDimensions(tex)), 0.0, 0.0) * 0.001",
        "textureLoad(tex, vec2u(1u) LEVEL) * 0.1",
    ] {
        let vertex = format!(
            "@vertex fn vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {{ return {place} + {used}; }}"
        );
        let fragment = "@fragment fn fs(@builtin(position) at: vec4f) -> @location(0) vec4f {
            return textureSampleBaseClampToEdge(tex, smp, at.xy / vec2f(64.0, 16.0));
        }";
        let stages = wgt::ShaderStages::FRAGMENT;
        let both = format!("{texture} {sampler} {vertex} {fragment}");
        scene.same_stages(&both, &both, stages);
        let (vertex, fragment) = (
            format!("{texture} {vertex}"),
            format!("{texture} {sampler} {fragment}"),
        );
        scene.same_stages(&vertex, &fragment, stages);

        let vertex = format!(
            "struct Out {{ @builtin(position) at: vec4f, @location(0) color: vec4f }}
             fn look(t: TEXTURE, uv: vec2f) -> vec4f {{ return textureSampleBaseClampToEdge(t, smp, uv); }}
             @vertex fn vs(@builtin(vertex_index) i: u32) -> Out {{ return Out({place}, look(tex, vec2f(f32(i) * 0.4))); }}"
        );
        let fragment = format!(
            "@fragment fn fs(@location(0) color: vec4f) -> @location(0) vec4f {{ return color + {used}; }}"
        );
        let stages = wgt::ShaderStages::VERTEX;
        let both = format!("{texture} {sampler} {vertex} {fragment}");
        scene.same_stages(&both, &both, stages);
        let (vertex, fragment) = (
            format!("{texture} {sampler} {vertex}"),
            format!("{texture} {fragment}"),
        );
        scene.same_stages(&vertex, &fragment, stages);
    }
}

#[test]
fn entry_points_and_overrides_keep_their_names_and_defaults() {
    let template = "
        override scale2: f32 = 2.5;
        override wide_1 = i32(scale2 * 3.0) - 4;
        @id(1200) override by_id: u32;
        override flag: bool = wide_1 > 3 && true;
        override width = 2u + by_id;
        var<private> start = scale2 * 2.0 + select(0.25, 0.5, flag);
        var<workgroup> shared_values: array<f32, width * 2u>;
        struct Pair { a: vec2f, b: array<u32, 3> }
        var<workgroup> pairs: array<Pair, width>;
        var<workgroup> counts: array<atomic<u32>, width>;
        fn fill() { let p = &pairs; (*p)[1].b[2] = 11u; }
        @group(0) @binding(0) var tex: TEXTURE;
        @group(0) @binding(9) var<storage, read_write> out: array<vec4f>;
        @compute @workgroup_size(width, by_id + 1u)
        fn main_2(@builtin(local_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
            let wide = scale2; // used after something shadows a name
            { let scale2 = 7.0; start += scale2 * wide; }
            shared_values[index % (width * 2u)] = f32(wide_1);
            if (index == 0u) { fill(); atomicAdd(&counts[1], 6u); }
            workgroupBarrier();
            out[index] = textureLoad(tex, id.xy LEVEL) * start + shared_values[0] + f32(width)
                + f32(pairs[1].b[2] + atomicLoad(&counts[1]));
        }
        @compute @workgroup_size(1) fn main_1() { out[0] = vec4f(scale2); }";
    let scene = Scene::new();
    scene.same_compute(template, &[0], "main_2", &[("1200", 2.0)]);
    let set = [("1200", 1.0), ("scale2", 1.25), ("flag", 0.0)];
    scene.same_compute(template, &[0], "main_2", &set);
}

#[test]
fn memory_layouts_survive() {
    Scene::new().same_compute(
        "struct Inner { @size(32) a: f32, b: vec3f, c: f32 }
         struct Out { @align(16) first: u32, @align(64) inner: array<Inner, 2>, @size(64) flags: vec2u, rest: array<vec4f> }
         @group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(9) var<storage, read_write> out: Out;
         @compute @workgroup_size(1) fn main() {
             out.first = 1u;
             out.inner[0] = Inner(1.0, textureLoad(tex, vec2(1, 1) LEVEL).rgb, 2.0);
             out.inner[1].c = 3.0;
             let inner = &out.inner[1];
             (*inner).b = vec3f(4.0, 5.0, 6.0);
             out.flags.y = 9u;
             out.rest[arrayLength(&out.rest) - 1u] = textureLoad(tex, vec2(2, 1) LEVEL);
         }",
        &[0],
        "main",
        &[],
    );
}

#[test]
fn bindings_that_are_only_named_stay_in_the_layout() {
    // The runs bind 0, 1 and 2: with a layout that lost one, the bind group is refused.
    Scene::new().same_compute(
        "@group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(1) var unused: TEXTURE;
         @group(0) @binding(2) var smp: sampler;
         @group(0) @binding(9) var<storage, read_write> out: array<u32>;
         fn also() { _ = smp; }
         @compute @workgroup_size(1) fn main() {
             _ = tex; _ = unused; also();
             out[1] = 5u;
         }",
        &[0, 1, 2],
        "main",
        &[],
    );
}

#[test]
fn what_shaders_compute_with_survives() {
    Scene::new().same_compute(
        "requires pointer_composite_access;
         diagnostic(off, derivative_uniformity);
         struct Lane { weight: f32, on: bool }
         const table = array<vec2i, 3>(vec2(0, 1), vec2(-2, 3), vec2(4, -2147483648));
         const tiny = 1e-37; const huge = 3.4e38f; const most = 0xffffffffu;
         var<workgroup> sum: atomic<u32>;
         var<workgroup> best: atomic<i32>;
         var<workgroup> lanes: array<Lane, 4>;
         @group(0) @binding(0) var tex: TEXTURE;
         @group(0) @binding(9) var<storage, read_write> out: array<u32>;
         fn bump(p: ptr<function, vec4f>, by: f32) { (*p).y += by; *p = (*p).wxyz; }
         @must_use fn bits(v: vec4f) -> vec4u { return bitcast<vec4u>(v); }
         fn clamp(x: u32) -> u32 { return x + 100u; }
         @compute @workgroup_size(4)
         fn main(@builtin(local_invocation_index) i: u32) {
             var v = textureLoad(tex, vec2u(i, i) LEVEL);
             bump(&v, f32(table[i % 3u].y));
             lanes[i] = Lane(v.x * tiny * huge, (i & 1u) == 0u);
             let old = atomicAdd(&sum, i + 1u);
             atomicMax(&best, i32(i) - 2);
             workgroupBarrier();
             let total = workgroupUniformLoad(&sum);
             let swapped = atomicCompareExchangeWeak(&best, 1, 40);
             workgroupBarrier();
             let parts = modf(v.x * 10.0); let split = frexp(v.y);
             let m = mat2x3f(v.xyz, v.yzw) * vec2f(0.5, 2.0);
             var n = 0u;
             loop {
                 if (n > 5u) { break; }
                 continuing { n += 2u; break if n == 4u; }
             }
             let at = i * 24u;
             let b = bits(v);
             out[at] = b.x; out[at + 1u] = b.y; out[at + 2u] = total; out[at + 3u] = u32(atomicLoad(&best));
             out[at + 4u] = bitcast<u32>(parts.whole); out[at + 5u] = bitcast<u32>(parts.fract);
             out[at + 6u] = bitcast<u32>(split.exp); out[at + 7u] = bitcast<u32>(dot(m, vec3f(1.0)));
             out[at + 8u] = n; out[at + 9u] = pack4x8unorm(v); out[at + 10u] = clamp(most);
             out[at + 11u] = select(1u, 2u, lanes[i].on); out[at + 12u] = firstLeadingBit(n) << 3u;
             out[at + 13u] = extractBits(b.z, 3u, 7u); out[at + 14u] = bitcast<u32>(table[2].y);
             out[at + 15u] = u32(any(vec2<bool>(i == 1u, old < 0u))); out[at + 16u] = u32(-7 / 2 + i32(-7 % 4)) ;
             out[at + 17u] = bitcast<u32>(lanes[(i + 1u) % 4u].weight); out[at + 18u] = ~countOneBits(b.w);
             if (!swapped.exchanged) { out[at + 19u] = 1u; } else { out[at + 19u] = 1u; }
         }",
        &[0],
        "main",
        &[],
    );
}

#[test]
fn what_this_device_may_lack_is_written_back_valid() {
    for source in [
        // Only a literal needs the extension.
        "enable f16;
         @group(0) @binding(0) var t: texture_external;
         @compute @workgroup_size(1) fn main() { let x = 1.5h * 2.0h; let y = f32(x) + textureLoad(t, vec2(0)).x; _ = y; }",
        "enable f16;
         struct U { a: f16, @align(32) b: vec3<f16>, c: mat2x2<f16> }
         @group(0) @binding(1) var<uniform> u: U;
         @group(0) @binding(0) var t: texture_external;
         @fragment fn main() -> @location(0) vec4f { return textureLoad(t, vec2u(u.b.xy)) * f32(u.c[1].y); }",
        "@group(0) @binding(0) var t: texture_external;
         @group(0) @binding(1) var<storage, read_write> o: array<vec4f>;
         @compute @workgroup_size(32) fn main(@builtin(subgroup_invocation_id) s: u32, @builtin(local_invocation_index) i: u32) {
             let c = textureLoad(t, vec2u(i, 0));
             o[i] = subgroupAdd(c) + subgroupBroadcast(c, 3u) + subgroupShuffleXor(c, 1u)
                 + subgroupExclusiveAdd(c) + vec4f(subgroupBallot(s == 3u)) + quadSwapX(c);
             if (subgroupAny(s > 7u)) { subgroupBarrier(); }
         }",
        "enable dual_source_blending;
         struct O { @location(0) @blend_src(0) a: vec4f, @location(0) @blend_src(1) b: vec4f }
         @group(0) @binding(0) var t: texture_external;
         @group(0) @binding(1) var s: sampler;
         @fragment fn main(@builtin(position) @invariant at: vec4f, @builtin(front_facing) f: bool) -> O {
             let c = textureSampleBaseClampToEdge(t, s, at.xy);
             return O(c, dpdxFine(c) + fwidth(c));
         }",
        "@group(0) @binding(0) var t: texture_external;
         @group(0) @binding(1) var many: binding_array<texture_2d<f32>, 4>;
         @group(0) @binding(2) var s: sampler;
         @group(1) @binding(0) var depth: texture_depth_2d;
         @group(1) @binding(1) var cmp: sampler_comparison;
         @group(1) @binding(2) var store: texture_storage_2d<rgba8unorm, write>;
         @fragment @early_depth_test(force) fn main(@location(0) @interpolate(linear, centroid) uv: vec2f) -> @location(0) vec4f {
             textureStore(store, vec2(0), vec4f(1.0));
             return textureSampleBaseClampToEdge(t, s, uv) + textureSample(many[2], s, uv, vec2(1, -1))
                 + textureGather(1, many[1], s, uv) + textureSampleCompare(depth, cmp, uv, 0.5);
         }",
    ] {
        let lowered = lower(source);
        assert!(
            !lowered.source.contains("texture_external"),
            "{}",
            lowered.source
        );
        // A second time there is nothing left to do.
        assert!(matches!(
            reelcore_gpu::lower::lower_external_textures(&lowered.source, CAPABILITIES),
            Ok(Lowered::Unchanged)
        ));
    }
}

#[test]
fn derivatives_in_non_uniform_control_flow_stay_allowed_where_the_source_allows_them() {
    let body = "fn main(@location(0) uv: vec2f) -> @location(0) vec4f {
        if (uv.x > textureLoad(t, vec2(0)).x) { return textureSample(p, s, uv); }
        return vec4f();
    }";
    let head = "@group(0) @binding(0) var t: texture_external;
        @group(0) @binding(1) var p: texture_2d<f32>; @group(0) @binding(2) var s: sampler;";
    for source in [
        format!("diagnostic(off, derivative_uniformity); {head} @fragment {body}"),
        format!("{head} @fragment @diagnostic(off, derivative_uniformity) {body}"),
    ] {
        lower(&source);
    }
}
