// Colours of an image at any position, in the colour space that is asked for. `Params` in params.rs has the same members.
struct Params {
    // From a position in the destination to one in the image, both in pixels whose centres are at halves: factors of
    // x and y, offset, and how many pixels of the image lie between two samples of the destination.
    to_x: vec4<f32>,
    to_y: vec4<f32>,
    // The first and the last column and row of luma, and of chroma, that may be read.
    luma_bounds: vec4<i32>,
    chroma_bounds: vec4<i32>,
    // From a position in the image to an index of chroma: factors of x and y, and offsets.
    chroma: vec4<f32>,
    // From code values to R'G'B'; the last column is added.
    yuv: array<vec4<f32>, 3>,
    // From linear light to linear light of other primaries.
    gamut: array<vec4<f32>, 3>,
    // From R'G'B'A, or code values, to those of the destination's components.
    pack: array<vec4<f32>, 4>,
    pack_offset: vec4<f32>,
    // Texel to code value, code value of alpha to alpha, largest code value of the destination.
    scale: vec4<f32>,
    // What the pipeline's constants were made of: layout, transfer function, flags, kernel.
    modes: vec4<u32>,
    // Components and bits of a sample of the destination, words of a row, first word.
    out: vec4<u32>,
    // Samples and rows of the destination; first word of the second plane, planes.
    out_size: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;

// What differs from conversion to conversion and not from frame to frame is constant in a pipeline: each then has the code that it needs.
override LAYOUT: u32;
override TRANSFER: u32;
override FLAGS: u32;
override KERNEL: u32;

const LAYOUT_PLANAR = 0u;
const LAYOUT_NV12 = 1u;
const LAYOUT_RGB = 2u;

const TRANSFER_KEEP = 0u;
const TRANSFER_SDR = 1u;
const TRANSFER_LINEAR = 2u;
const TRANSFER_PQ = 3u;
const TRANSFER_HLG = 4u;

const FLAG_PREMULTIPLY = 1u;
const FLAG_UNPREMULTIPLY = 2u;
const FLAG_OPAQUE = 4u;
const FLAG_DECODE_SRGB = 8u;
const FLAG_ALPHA_PLANE = 16u;
// The picture is scaled, and has alpha.
const FLAG_COVERED = 32u;

// Pixel to pixel, where only chroma is interpolated; linear; Catmull-Rom.
const KERNEL_EXACT = 0u;
const KERNEL_LINEAR = 1u;
const KERNEL_CATMULL_ROM = 2u;
// Linear with every other column, row or both: above these bits stand the taps of a row, above those the taps of a column.
const KERNEL_HALVED = 3u;
const KERNEL_BITS = 4u;

// The most taps that a kernel has to one side. Beyond, it skips samples: no size can hang the GPU.
const MAX_TAPS = 64.0;

fn flag(bit: u32) -> bool {
    return (FLAGS & bit) != 0u;
}

fn weight(distance: vec2<f32>) -> vec2<f32> {
    let d = abs(distance);
    if KERNEL == KERNEL_CATMULL_ROM {
        let near = (1.5 * d - 2.5) * d * d + 1.0;
        let far = ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0;
        return select(select(vec2<f32>(0.0), far, d < vec2<f32>(2.0)), near, d < vec2<f32>(1.0));
    }
    return max(vec2<f32>(1.0) - d, vec2<f32>(0.0));
}

// A plane at a position between its samples, whose indices are whole: linear between two, or a kernel as wide as the destination's
// samples are apart.
fn filtered(plane: u32, centre: vec2<f32>, spacing: vec2<f32>, bounds: vec4<i32>) -> vec4<f32> {
    let width = max(spacing, vec2<f32>(1.0));
    let support = select(width, width * 2.0, KERNEL == KERNEL_CATMULL_ROM);
    let first = vec2<i32>(floor(centre - support)) + 1;
    let last = vec2<i32>(ceil(centre + support)) - 1;
    let step = vec2<i32>(ceil(support / MAX_TAPS));
    var sum = vec4<f32>(0.0);
    var total = 0.0;
    for (var y = first.y; y <= last.y; y += step.y) {
        for (var x = first.x; x <= last.x; x += step.x) {
            let w = weight((vec2<f32>(vec2<i32>(x, y)) - centre) / width);
            let product = w.x * w.y;
            sum += product * load(plane, clamp(vec2<i32>(x, y), bounds.xy, bounds.zw));
            total += product;
        }
    }
    return sum / total;
}

// What a tap counts: KERNEL_LINEAR's weights where the destination's samples are two apart and lie on a sample or in the middle of two.
fn tap(taps: u32, index: u32) -> f32 {
    switch taps {
        case 3u: { return select(0.25, 0.5, index == 1u); }
        case 4u: { return select(0.125, 0.375, index == 1u || index == 2u); }
        default: { return 1.0; }
    }
}

fn halved(plane: u32, centre: vec2<f32>, bounds: vec4<i32>) -> vec4<f32> {
    let columns = (KERNEL >> KERNEL_BITS) & 15u;
    let rows = KERNEL >> (2u * KERNEL_BITS);
    let first = vec2<i32>(floor(centre - 0.5 * vec2<f32>(vec2<u32>(columns, rows)) + 1.0));
    var sum = vec4<f32>(0.0);
    for (var y = 0u; y < rows; y++) {
        for (var x = 0u; x < columns; x++) {
            let at = clamp(first + vec2<i32>(vec2<u32>(x, y)), bounds.xy, bounds.zw);
            sum += tap(columns, x) * tap(rows, y) * load(plane, at);
        }
    }
    return sum;
}

fn luma(plane: u32, position: vec2<f32>, spacing: vec2<f32>) -> vec4<f32> {
    if KERNEL == KERNEL_EXACT {
        return load(plane, clamp(vec2<i32>(floor(position)), params.luma_bounds.xy, params.luma_bounds.zw));
    }
    if (KERNEL & 15u) == KERNEL_HALVED {
        return halved(plane, position - 0.5, params.luma_bounds);
    }
    return filtered(plane, position - 0.5, spacing, params.luma_bounds);
}

fn chroma(plane: u32, centre: vec2<f32>, spacing: vec2<f32>) -> vec4<f32> {
    if KERNEL == KERNEL_EXACT {
        return between(plane, centre);
    }
    return filtered(plane, centre, spacing, params.chroma_bounds);
}

// The stored values of one pixel, whose chroma is interpolated.
fn pixel(at: vec2<i32>) -> vec4<f32> {
    let first = load(0u, at);
    if LAYOUT == LAYOUT_RGB {
        return first;
    }
    // No layout with alpha has U and V in one plane.
    let centre = (vec2<f32>(at) + 0.5) * params.chroma.xy + params.chroma.zw;
    return vec4<f32>(first.x, between(1u, centre).x, between(2u, centre).x, load(3u, at).x);
}

// As `filtered`, of whole pixels whose colours count as much as they are seen: what is transparent does not show at the edges of what
// is not.
fn covered(centre: vec2<f32>, spacing: vec2<f32>) -> vec4<f32> {
    let width = max(spacing, vec2<f32>(1.0));
    let support = select(width, width * 2.0, KERNEL == KERNEL_CATMULL_ROM);
    let first = vec2<i32>(floor(centre - support)) + 1;
    let last = vec2<i32>(ceil(centre + support)) - 1;
    let step = vec2<i32>(ceil(support / MAX_TAPS));
    let bounds = params.luma_bounds;
    var sum = vec4<f32>(0.0);
    var unseen = vec3<f32>(0.0);
    var total = 0.0;
    for (var y = first.y; y <= last.y; y += step.y) {
        for (var x = first.x; x <= last.x; x += step.x) {
            let w = weight((vec2<f32>(vec2<i32>(x, y)) - centre) / width);
            let product = w.x * w.y;
            let c = pixel(clamp(vec2<i32>(x, y), bounds.xy, bounds.zw));
            sum += product * vec4<f32>(c.xyz * c.w, c.w);
            unseen += product * c.xyz;
            total += product;
        }
    }
    if sum.w <= 0.0 {
        return vec4<f32>(unseen, sum.w) / total;
    }
    // Where a kernel with negative weights leaves next to no alpha, the quotient could be anything.
    let top = 1.0 / (params.scale.x * params.scale.y);
    return vec4<f32>(clamp(sum.xyz / sum.w, vec3<f32>(0.0), vec3<f32>(top)), sum.w / total);
}

// The stored values around a position, filtered.
fn stored(position: vec2<f32>, spacing: vec2<f32>) -> vec4<f32> {
    if flag(FLAG_COVERED) && !flag(FLAG_UNPREMULTIPLY) {
        return covered(position - 0.5, spacing);
    }
    let first = luma(0u, position, spacing);
    if LAYOUT == LAYOUT_RGB {
        return first;
    }
    let centre = position * params.chroma.xy + params.chroma.zw;
    let spread = spacing * params.chroma.xy;
    var uv: vec2<f32>;
    if LAYOUT == LAYOUT_NV12 {
        uv = chroma(1u, centre, spread).xy;
    } else {
        uv = vec2<f32>(
            chroma(1u, centre, spread).x,
            chroma(2u, centre, spread).x,
        );
    }
    var alpha = 0.0;
    if flag(FLAG_ALPHA_PLANE) {
        alpha = luma(3u, position, spacing).x;
    }
    return vec4<f32>(first.x, uv, alpha);
}

// R'G'B'A (or code values and A) of the image for the destination's position `at`.
fn image(at: vec2<f32>) -> vec4<f32> {
    let position = vec2<f32>(
        params.to_x.x * at.x + params.to_x.y * at.y + params.to_x.z,
        params.to_y.x * at.x + params.to_y.y * at.y + params.to_y.z,
    );
    let codes = params.scale.x * stored(position, vec2<f32>(params.to_x.w, params.to_y.w));
    let one = vec4<f32>(codes.xyz, 1.0);
    var alpha = 1.0;
    if !flag(FLAG_OPAQUE) {
        alpha = codes.w * params.scale.y;
    }
    return vec4<f32>(dot(params.yuv[0], one), dot(params.yuv[1], one), dot(params.yuv[2], one), alpha);
}

fn srgb_to_linear(signal: vec3<f32>) -> vec3<f32> {
    let s = abs(signal);
    let low = s / 12.92;
    let high = pow((s + 0.055) / 1.055, vec3<f32>(2.4));
    // Beyond black and white the curve goes on, mirrored below black.
    return sign(signal) * select(high, low, s <= vec3<f32>(0.04045));
}

fn linear_to_srgb(light: vec3<f32>) -> vec3<f32> {
    let l = abs(light);
    let low = l * 12.92;
    let high = 1.055 * pow(l, vec3<f32>(1.0 / 2.4)) - 0.055;
    return sign(light) * select(high, low, l <= vec3<f32>(0.0031308));
}

// Nits of HDR's diffuse white and of the peak that tone mapping brings down to white.
const WHITE_NITS = 203.0;
const PEAK = 1000.0 / 203.0;

// ITU-R BT.2100, table 4; diffuse white is 1.
fn pq_to_linear(signal: vec3<f32>) -> vec3<f32> {
    let power = pow(clamp(signal, vec3<f32>(0.0), vec3<f32>(1.0)), vec3<f32>(32.0 / 2523.0));
    let numerator = max(power - 107.0 / 128.0, vec3<f32>(0.0));
    let denominator = 2413.0 / 128.0 - 2392.0 / 128.0 * power;
    return 10000.0 / WHITE_NITS * pow(numerator / denominator, vec3<f32>(8192.0 / 1305.0));
}

// ITU-R BT.2100, table 5, with the OOTF of a display whose peak is 1000 nits.
fn hlg_to_linear(signal: vec3<f32>) -> vec3<f32> {
    let s = clamp(signal, vec3<f32>(0.0), vec3<f32>(1.0));
    let low = s * s / 3.0;
    let high = (exp((s - 0.55991073) / 0.17883277) + 0.28466892) / 12.0;
    let scene = select(high, low, s <= vec3<f32>(0.5));
    let luma = dot(scene, vec3<f32>(0.2627, 0.6780, 0.0593));
    return scene * PEAK * pow(luma, 0.2);
}

// The extended curve of Reinhard on the largest component: hue is kept, the peak becomes 1.
fn tone_map(light: vec3<f32>) -> vec3<f32> {
    let largest = max(max(light.x, light.y), light.z);
    return light * ((1.0 + largest / (PEAK * PEAK)) / (1.0 + largest));
}

// To the destination's primaries and curve.
fn managed(signal: vec3<f32>) -> vec3<f32> {
    if TRANSFER == TRANSFER_KEEP {
        return signal;
    }
    var light = signal;
    switch TRANSFER {
        case TRANSFER_SDR: { light = srgb_to_linear(signal); }
        case TRANSFER_PQ: { light = tone_map(pq_to_linear(signal)); }
        case TRANSFER_HLG: { light = tone_map(hlg_to_linear(signal)); }
        default: {}
    }
    return linear_to_srgb(vec3<f32>(
        dot(params.gamut[0].xyz, light),
        dot(params.gamut[1].xyz, light),
        dot(params.gamut[2].xyz, light),
    ));
}

// The destination's colour at the position `at`, premultiplied if that is asked for.
fn colour(at: vec2<f32>) -> vec4<f32> {
    var c = image(at);
    if flag(FLAG_UNPREMULTIPLY) {
        c = vec4<f32>(select(vec3<f32>(0.0), c.xyz / c.w, c.w > 0.0), c.w);
    }
    c = vec4<f32>(managed(c.xyz), c.w);
    if flag(FLAG_PREMULTIPLY) {
        c = vec4<f32>(c.xyz * c.w, c.w);
    }
    return c;
}
