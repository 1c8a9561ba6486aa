//! Shapes of code that naga's WGSL writer cannot take as they are, lowered, against the same shader over a plain 2D texture.

mod device;
mod lowering;

use device::{Bound, Device};
use lowering::{CAPABILITIES, lower};
use reelcore_gpu::lower::{LowerError, lower_external_textures};
use reelcore_gpu::wgpu_types as wgt;

/// A shader over an external texture and over a plain one. Its `main` does `body`, where `c` is a texel.
fn sources(declarations: &str, body: &str) -> (String, String) {
    let source = |ty: &str, level: &str| {
        format!(
            "{declarations}
             @group(0) @binding(0) var tex: {ty};
             @group(0) @binding(9) var<storage, read_write> out: array<u32>;
             @compute @workgroup_size(1) fn main() {{
                 let c = textureLoad(tex, vec2u(0u) {level});
                 {body}
             }}"
        )
    };
    (
        source("texture_external", ""),
        source("texture_2d<f32>", ", 0"),
    )
}

/// What `main` of each of `runs` writes: shaders, and values for their overrides.
fn outputs(runs: &[(&str, &[(&str, f64)])]) -> Vec<Vec<u32>> {
    let device = Device::open();
    let texture = device.texture(
        1,
        1,
        wgt::TextureFormat::Rgba8Unorm,
        wgt::TextureUsages::TEXTURE_BINDING | wgt::TextureUsages::COPY_DST,
    );
    device.write_texture(texture, 1, 1, &[77, 130, 201, 255]);
    let bindings = [(0, Bound::Texture(texture))];
    let run = |&(source, constants): &(&str, _)| {
        let module = device.shader(source);
        device.compute(module, "main", None, &bindings, constants, 16)
    };
    runs.iter().map(run).collect()
}

/// Both write the same, and not nothing.
#[track_caller]
fn same(declarations: &str, body: &str) {
    let (external, plain) = sources(declarations, body);
    let lowered = lower(&external).source;
    let written = outputs(&[(&plain, &[]), (&lowered, &[])]);
    assert!(written[0].iter().any(|&word| word != 0), "nothing");
    assert_eq!(written[1], written[0], "{lowered}");
}

#[test]
fn composite_values_come_after_arrays_of_overridden_sizes() {
    for (later, value) in [
        ("const A = array(7u, 8u, 9u);", "A[sh[0]]"),
        ("const A = vec4f(1, 2, 3, 4);", "u32(A[sh[0]])"),
        ("var<private> p = vec3f(5, 2, 3);", "u32(p.x)"),
        (
            "var<workgroup> tile: array<vec4f, N * 2 + 1>; const LUMA = vec3f(0.25, 0.5, 0.25);",
            "u32(dot(tile[1].rgb + 8.0, LUMA))",
        ),
    ] {
        let (external, plain) = sources(
            &format!("override N: u32 = 3; var<workgroup> sh: array<u32, N>; {later}"),
            &format!("sh[0] = 1u; out[1] = {value}; out[2] = sh[0] + N; _ = c;"),
        );
        let lowered = lower(&external).source;
        let defaults = outputs(&[(&plain, &[]), (&lowered, &[]), (&lowered, &[("N", 5.0)])]);
        assert_ne!(defaults[0][1], 0);
        assert_eq!(defaults[1], defaults[0], "{lowered}");
        // wgpu refuses the plain shader with another value than the default: its own order of
        // types fails there.
        let mut wanted = defaults[0].clone();
        wanted[2] += 2;
        assert_eq!(defaults[2], wanted, "{lowered}");
    }
}

#[test]
fn sums_of_many_hundred_terms_overflow_no_stack() {
    let join = |term: &dyn Fn(usize) -> String, operator: &str| {
        (0..1500).map(term).collect::<Vec<_>>().join(operator)
    };
    let sum = join(&|_| "c.x".to_owned(), " + ");
    let vectors = join(&|i| format!("w[{}] * c", i % 16), " - ");
    let indices = join(&|i| format!("u32(w[{}].x)", i % 16), " + ");
    same(
        "var<private> w: array<vec4f, 16>;",
        &format!(
            "w[3] = c * 9.0;
             out[0] = bitcast<u32>({sum});
             for (var i = 0u; i < 2u; i++) {{ if (i == 1u) {{ out[1 + i] = bitcast<u32>(({vectors}).y); }} }}
             w[({indices}) % 16u].y = 2.0;
             out[3] = u32(w[0].y + w[1].y + w[2].y + w[4].y + w[5].y + w[6].y) + 1u;"
        ),
    );
}

#[test]
fn overrides_of_hundreds_of_terms_are_refused_by_name() {
    let sum = vec!["n"; 3000].join(" + ");
    let (source, _) = sources(
        &format!("override n = 3u; override many = {sum};"),
        "out[0] = many;",
    );
    let refused = lower_external_textures(&source, CAPABILITIES);
    let Err(LowerError::Unsupported(what)) = refused else {
        panic!("it has no place for a `let`: {refused:?}");
    };
    assert!(what.contains("steps"), "{what}");
}

#[test]
fn as_many_else_ifs_as_can_be_written_back_are_and_more_are_refused_by_name() {
    let chain = |len: usize| {
        let arms: Vec<String> = (0..len)
            .map(|i| format!("if (c.x * 1000.0 < {}.0) {{ out[0] = {i}u; }}", i * 5))
            .collect();
        arms.join(" else ")
    };
    same("", &chain(126));
    for len in [127, 1000] {
        let (source, _) = sources("", &chain(len));
        let refused = lower_external_textures(&source, CAPABILITIES);
        let Err(LowerError::Unsupported(what)) = refused else {
            panic!("{len}: {refused:?}");
        };
        assert!(what.contains("`else if`"), "{what}");
    }
}

#[test]
fn pointers_to_parts_of_variables_are_refused_where_they_are_passed() {
    for (declarations, body, argument) in [
        (
            "fn inc(p: ptr<function, u32>) { *p += 1u; }",
            "var a = array<u32, 2>(); inc(&a[1]); out[0] = a[1];",
            "&a[1]",
        ),
        (
            "struct S { a: u32, b: u32 } fn inc(p: ptr<function, u32>) { *p += 1u; }",
            "var a = S(); if (c.x > 0.0) { inc(&a.b); } out[0] = a.b;",
            "&a.b",
        ),
        (
            "var<private> w: array<vec2u, 2>; fn inc(p: ptr<private, vec2u>) -> u32 { (*p).x += 1u; return p.x; }",
            "loop { switch out[1] { default: { out[0] = inc(&w[out[2]]); } } break; }",
            "&w[out[2]]",
        ),
    ] {
        let (source, _) = sources(declarations, body);
        let refused = lower_external_textures(&source, CAPABILITIES);
        let Err(LowerError::Invalid { message, location }) = refused else {
            panic!("naga's SPIR-V writer panics at it: {refused:?}");
        };
        let at = location.expect("a place");
        let text = &source[at.offset as usize..(at.offset + at.length) as usize];
        assert!(
            argument.contains(text) && !text.is_empty(),
            "{text}: {message}"
        );
        assert!(
            message.contains("unrestricted_pointer_parameters"),
            "{message}"
        );
    }
}

#[test]
fn pointers_to_whole_variables_are_passed_on() {
    same(
        "var<private> w: array<vec2u, 2>;
         fn inner(p: ptr<function, u32>) { *p += 1u; }
         fn inc(p: ptr<function, u32>) { inner(p); *p *= 3u; }
         fn at(p: ptr<private, array<vec2u, 2>>, i: u32) { (*p)[i].y = 7u; }",
        "var a = 4u; inc(&a); let p = &a; inc(p); at(&w, 1u); out[0] = a; out[1] = w[1].y;",
    );
}

#[test]
fn variables_and_arrays_hold_results_that_have_no_type_name() {
    same(
        "var<workgroup> w: atomic<u32>;
         var<workgroup> i: atomic<i32>;
         struct Parts { fract: f32, whole: f32 }
         fn split(x: f32) -> f32 { var r = modf(x); r.whole += 0.5; return r.fract * r.whole; }",
        "var r = modf(c.x * 10.0);
         out[0] = bitcast<u32>(r.fract); out[1] = bitcast<u32>(r.whole);
         r = modf(c.y * 20.0); r.fract += 1.0;
         let copy = r;
         out[2] = bitcast<u32>(copy.fract);
         var f = frexp(c.xyz * 9.0);
         out[3] = bitcast<u32>(f.fract.z); out[4] = bitcast<u32>(f.exp.y);
         f = frexp(c.yzw);
         out[5] = bitcast<u32>(f.exp.x);
         var swapped = atomicCompareExchangeWeak(&w, 0u, 5u);
         out[6] = swapped.old_value + u32(swapped.exchanged) * 2u;
         for (var n = 0; n < 3; n++) {
             if (n == 1) { continue; }
             swapped = atomicCompareExchangeWeak(&w, u32(n) + 3u, 6u);
         }
         out[7] = swapped.old_value; out[8] = atomicLoad(&w);
         let once = atomicCompareExchangeWeak(&i, 0, -3);
         out[9] = u32(once.exchanged);
         let several = array(modf(1.5 * c.x), modf(c.y * 7.0), r);
         out[10] = bitcast<u32>(several[1u].whole); out[11] = bitcast<u32>(several[2].fract);
         let at = &r; (*at).whole = 3.0; out[12] = bitcast<u32>(r.whole);
         out[13] = bitcast<u32>(split(c.z * 5.0) + modf(c.z * 6.0).fract);
         out[14] = bitcast<u32>(Parts(r.fract, f.fract.x).whole);",
    );
}

#[test]
fn results_that_no_variable_holds_are_written_as_before() {
    let (source, _) = sources(
        "",
        "let r = modf(c.x); let s = r; out[0] = bitcast<u32>(s.whole + r.fract); _ = frexp(c.y);",
    );
    let lowered = lower(&source).source;
    assert!(
        !lowered.contains("whole:") && !lowered.contains("exp:"),
        "{lowered}"
    );
}
