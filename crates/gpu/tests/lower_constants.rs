//! Values that a shader computes from its overrides, lowered, against the same shader over a plain 2D texture.

mod device;
mod lowering;

use device::{Bound, Device};
use lowering::lower;
use reelcore_gpu::wgpu_types as wgt;

/// What the values are made of.
const DECLARATIONS: &str = "
    override n = 3u;
    override x: f32 = 2.5;
    struct Inner { b: vec2i, c: array<f32, 2> }
    struct Outer { a: f32, inner: Inner }
    const KA = array(1.5, 2.5, 4.25);
    const KS = array(Outer(1.0, Inner(vec2(3, 4), array(5.0, 6.0))), Outer(-1.0, Inner(vec2(7, 8), array(9.0, 10.0))));
";

/// Runs a shader that writes `value`, 32 bits, which `declarations` may help to compute: as it is and lowered, with the
/// overrides' defaults and with others.
#[track_caller]
fn same(device: &Device, declarations: &str, value: &str) {
    let source = |ty: &str, level: &str| {
        format!(
            "{DECLARATIONS}
             @group(0) @binding(0) var tex: {ty};
             @group(0) @binding(9) var<storage, read_write> out: array<u32>;
             {declarations}
             @compute @workgroup_size(1) fn main() {{
                 out[0] = bitcast<u32>({value});
                 out[1] = u32(textureLoad(tex, vec2u(0u) {level}).x * 255.0);
             }}"
        )
    };
    let texture = device.texture(
        1,
        1,
        wgt::TextureFormat::Rgba8Unorm,
        wgt::TextureUsages::TEXTURE_BINDING | wgt::TextureUsages::COPY_DST,
    );
    device.write_texture(texture, 1, 1, &[77, 0, 0, 255]);
    let lowered = lower(&source("texture_external", ""));
    let plain = source("texture_2d<f32>", ", 0");
    let run = |source: &str, constants: &[(&str, f64)]| {
        let module = device.shader(source);
        let bindings = [(0, Bound::Texture(texture))];
        device.compute(module, "main", None, &bindings, constants, 2)
    };
    for constants in [&[][..], &[("n", 4.0), ("x", -7.75)]] {
        let wanted = run(&plain, constants);
        assert_eq!(wanted[1], 77);
        assert_eq!(run(&lowered.source, constants), wanted, "{declarations}");
    }
}

#[test]
fn variables_begin_with_arrays_and_structures_of_overrides() {
    let device = Device::open();
    for (init, value) in [
        ("array(vec2f(f32(n)), vec2f())", "p[0].y"),
        ("array<f32, 2>(f32(n), 1)", "p[0] - p[1]"),
        (
            "array(array(n, 1u), array(2u, n * 3u))",
            "p[1][1] + p[0][0]",
        ),
        ("Inner(vec2i(i32(n)), array(x, 1.0))", "f32(p.b.x) + p.c[0]"),
        (
            "array(Outer(x, Inner()), Outer(1.0, Inner(vec2i(), array(x, x * 2.0))))",
            "p[0].a - p[1].inner.c[1]",
        ),
        ("KA[n % 2]", "p"),
        ("KS[n % 2].inner.b", "p.y"),
        ("KS[n % 2].inner", "p.c[1]"),
        (
            "Outer(x, Inner(vec2(1, i32(n)), array(1.0, 2.0))).inner.b.y",
            "p",
        ),
        ("array(1f, x)[1]", "p"),
    ] {
        let declarations = format!("var<private> p = {init};");
        same(&device, &declarations, value);
    }
}

#[test]
fn overrides_have_defaults_taken_out_of_arrays_and_structures() {
    let device = Device::open();
    for init in [
        "KA[n % 2]",
        "array(1f, f32(n))[1]",
        "KS[n % 2].a",
        "KS[n % 2].inner.c[n % 2]",
        "f32(array(vec2(1, 2), vec2i(vec2f(x, 3.0)))[1].x)",
    ] {
        same(&device, &format!("override q: f32 = {init};"), "q");
    }
}

#[test]
fn vectors_and_matrices_of_overrides_are_converted_as_they_are() {
    let device = Device::open();
    for (init, value) in [
        ("vec2i(vec2f(x))", "p.x * p.y"),
        ("vec3u(vec3f(f32(n), 2.0, 1.0))", "p.x + p.z"),
        ("vec4<bool>(vec4u(n, 0u, 1u, n))", "select(1u, 2u, p.w)"),
        ("vec2f(vec2<bool>(n > 3u, true))", "p.x + 2.0 * p.y"),
        ("i32(x)", "p"),
        ("vec2f(vec2i(vec2f(x)))", "p.x"),
    ] {
        let declarations = format!("var<private> p = {init};");
        same(&device, &declarations, value);
    }
}

#[test]
fn bitcasts_of_vectors_are_written_as_such() {
    // wgpu cannot compute them of overrides, and says so when the pipeline is made.
    for (init, written) in [
        ("bitcast<vec2u>(vec2f(x, 1.0))", "bitcast<vec2<u32>>("),
        ("bitcast<vec3f>(vec3i(i32(n), 1, 2))", "bitcast<vec3<f32>>("),
        ("bitcast<u32>(x)", "bitcast<u32>("),
    ] {
        let lowered = lower(&format!(
            "{DECLARATIONS}
             @group(0) @binding(0) var tex: texture_external;
             var<private> p = {init};
             @compute @workgroup_size(1) fn main() {{ _ = textureLoad(tex, vec2u()); _ = p; }}"
        ));
        assert!(lowered.source.contains(written), "{}", lowered.source);
    }
}

#[test]
fn a_large_constant_is_written_once_however_often_it_is_used() {
    let leaves = vec!["1.5f"; 200].join(", ");
    let uses: String = (0..100)
        .map(|i| format!("override q{i}: f32 = LARGE[n % 200u];\n"))
        .collect();
    let lowered = lower(&format!(
        "override n = 3u;
         @group(0) @binding(0) var tex: texture_external;
         const LARGE = array({leaves});
         {uses}
         @compute @workgroup_size(1) fn main() {{ _ = textureLoad(tex, vec2u()); _ = q0 + q99; }}"
    ));
    let written = lowered.source.matches("1.5f").count();
    assert!(written <= 400, "{written} times");
}
