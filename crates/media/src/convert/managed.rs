//! To RGB of another gamut or transfer function: linear light, a 3x3 matrix, and back.
//!
//! In 32-bit floating point from the stored samples on, so that nothing is rounded to eight bits
//! before the end. Arithmetic runs over blocks, as vectors; curves are tables.

use super::color::{Matrix3, YuvMatrix, gamut_matrix};
use super::samples::{BLOCK, CHROMA, YuvPlanes};
use super::target::Rows;
use super::transfer::{Curve, Encode, HLG_GAMMA_LESS_ONE, Linearize, PEAK};
use crate::color::{Matrix, Primaries, Transfer};
use crate::format::PixelLayout;
use crate::frame::{CpuImage, Plane};
use crate::geometry::Rect;

/// A change of primaries and transfer function.
pub(super) struct Managed {
    linearize: Linearize,
    encode: Encode,
    gamut: [[f32; 3]; 3],
    curve: Curve,
}

/// BT.2020's luminance, by which HLG's OOTF is defined.
const HLG_LUMA: [f32; 3] = [0.2627, 0.6780, 0.0593];

/// One block of pixels, a component each.
struct Block {
    r: [f32; BLOCK],
    g: [f32; BLOCK],
    b: [f32; BLOCK],
    a: [u8; BLOCK],
}

/// Where pixels come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Yuv {
        planes: YuvPlanes<'a>,
        coefficients: YuvMatrix,
        identity: bool,
    },
    Rgb {
        plane: &'a Plane,
        bgr: bool,
    },
}

impl Managed {
    /// `None` where the two differ in nothing that shows.
    pub(super) fn new(from: Primaries, transfer: Transfer, to: Primaries) -> Option<Self> {
        let curve = Curve::of(transfer);
        if from == to && curve == Curve::Sdr {
            return None;
        }
        let gamut: Matrix3 = gamut_matrix(from, to);
        Some(Self {
            linearize: Linearize::new(curve),
            encode: Encode::new(),
            gamut: gamut.map(|row| row.map(|value| value as f32)),
            curve,
        })
    }

    /// Converts `rect` of a YUV image.
    pub(super) fn convert_yuv(
        &self,
        planes: &YuvPlanes<'_>,
        rect: Rect,
        matrix: Matrix,
        full_range: bool,
        alpha: bool,
        rows: &mut Rows<'_>,
    ) {
        let source = Source::Yuv {
            planes: *planes,
            coefficients: YuvMatrix::new(matrix, full_range, planes.depth.bits()),
            identity: matrix == Matrix::Rgb,
        };
        self.run(source, rect, alpha, rows);
    }

    /// Converts `rect` of an RGB image.
    pub(super) fn convert_rgb(
        &self,
        image: &CpuImage,
        rect: Rect,
        alpha: bool,
        rows: &mut Rows<'_>,
    ) {
        let Some(plane) = image.planes().first() else {
            return;
        };
        let bgr = image.format().layout() == PixelLayout::Bgra;
        self.run(Source::Rgb { plane, bgr }, rect, alpha, rows);
    }

    fn run(&self, source: Source<'_>, rect: Rect, alpha: bool, rows: &mut Rows<'_>) {
        pulp::Arch::new().dispatch(Job {
            managed: self,
            source,
            rect,
            alpha,
            rows,
        });
    }

    /// From signals of the source to pixels of the destination.
    #[inline(always)]
    fn finish(&self, block: &mut Block, bgr: bool, out: &mut [[u8; 4]]) {
        let pixels = out.len().min(BLOCK);
        let Block { r, g, b, a } = block;
        let (r, g, b) = (&mut r[..pixels], &mut g[..pixels], &mut b[..pixels]);
        self.linearize.apply(r);
        self.linearize.apply(g);
        self.linearize.apply(b);
        if self.curve == Curve::Hlg {
            for ((r, g), b) in r.iter_mut().zip(&mut *g).zip(&mut *b) {
                [*r, *g, *b] = hlg_ootf([*r, *g, *b]);
            }
        }
        if self.curve.is_hdr() {
            for ((r, g), b) in r.iter_mut().zip(&mut *g).zip(&mut *b) {
                [*r, *g, *b] = tone_map([*r, *g, *b]);
            }
        }
        let (gamut, encode) = (self.gamut, self.encode);
        for ((r, g), b) in r.iter_mut().zip(&mut *g).zip(&mut *b) {
            let light = [*r, *g, *b];
            [*r, *g, *b] =
                gamut.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2]);
        }
        for (out, (((r, g), b), a)) in out.iter_mut().zip(r.iter().zip(g).zip(b).zip(a)) {
            let [r, g, b] = [*r, *g, *b].map(|light| encode.get(light));
            *out = if bgr { [b, g, r, *a] } else { [r, g, b, *a] };
        }
    }
}

/// The conversion, compiled once for each set of vector instructions that a processor may have.
struct Job<'a, 'b, 'c> {
    managed: &'a Managed,
    source: Source<'b>,
    rect: Rect,
    alpha: bool,
    rows: &'a mut Rows<'c>,
}

impl pulp::WithSimd for Job<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { rect, rows, .. } = self;
        let rows_bgr = rows.bgr;
        let (left, top, width) = (rect.x as usize, rect.y as usize, rect.width as usize);
        let mut block = Block {
            r: [0.0; BLOCK],
            g: [0.0; BLOCK],
            b: [0.0; BLOCK],
            a: [255; BLOCK],
        };
        let mut samples = Samples {
            y: [0; BLOCK],
            u: [0; CHROMA],
            v: [0; CHROMA],
        };
        for row in 0..rect.height as usize {
            let mut done = 0;
            while done < width {
                let pixels = BLOCK.min(width - done);
                let (line, column) = (top + row, left + done);
                match &self.source {
                    Source::Yuv {
                        planes,
                        coefficients,
                        identity,
                    } => {
                        let at = (line, column, pixels);
                        load_yuv(
                            planes,
                            at,
                            coefficients,
                            *identity,
                            &mut samples,
                            &mut block,
                        );
                        if self.alpha {
                            load_alpha(planes, at, &mut samples, &mut block);
                        }
                    }
                    Source::Rgb { plane, bgr } => {
                        let start = line * plane.stride + column * 4;
                        let source = plane.data.get(start..).unwrap_or(&[]).as_chunks().0;
                        load_rgb(source, *bgr, pixels, self.alpha, &mut block);
                    }
                }
                let out = rows.get(row, done, pixels);
                self.managed.finish(&mut block, rows_bgr, out);
                done += pixels;
            }
        }
    }
}

/// One block's worth of stored samples, scaled to 16 bits.
struct Samples {
    y: [u16; BLOCK],
    u: [u16; CHROMA],
    v: [u16; CHROMA],
}

/// Scene light to display light, diffuse white as 1. ITU-R BT.2100, table 5.
#[inline(always)]
fn hlg_ootf(scene: [f32; 3]) -> [f32; 3] {
    let luma = scene[0] * HLG_LUMA[0] + scene[1] * HLG_LUMA[1] + scene[2] * HLG_LUMA[2];
    let gain = PEAK as f32 * luma.powf(HLG_GAMMA_LESS_ONE as f32);
    scene.map(|light| light * gain)
}

/// Brings HDR within 0 to 1: the extended curve of Reinhard on the largest component, so that hue
/// is kept. The peak becomes 1.
#[inline(always)]
fn tone_map(light: [f32; 3]) -> [f32; 3] {
    let largest = light[0].max(light[1]).max(light[2]);
    let scale = (1.0 + largest * (1.0 / (PEAK * PEAK)) as f32) / (1.0 + largest);
    light.map(|light| light * scale)
}

/// Signals of the first `pixels` of `source`.
#[inline(always)]
fn load_rgb(source: &[[u8; 4]], bgr: bool, pixels: usize, alpha: bool, block: &mut Block) {
    let Block { r, g, b, a } = block;
    let out = r.iter_mut().zip(g).zip(b).zip(a).take(pixels);
    for ((((r, g), b), a), &[first, green, third, last]) in out.zip(source) {
        let (red, blue) = if bgr { (third, first) } else { (first, third) };
        *r = f32::from(red) / 255.0;
        *g = f32::from(green) / 255.0;
        *b = f32::from(blue) / 255.0;
        *a = if alpha { last } else { 255 };
    }
}

/// Alpha of a block, in 8 bits.
#[inline(always)]
fn load_alpha(
    planes: &YuvPlanes<'_>,
    (row, column, pixels): (usize, usize, usize),
    samples: &mut Samples,
    block: &mut Block,
) {
    let a = &mut samples.y[..pixels];
    planes.load(3, row, column, a);
    // The word has the sample in its upper bits.
    let max = f32::from(u16::MAX << (16 - planes.depth.bits()));
    for (out, &mut a) in block.a.iter_mut().zip(a) {
        *out = (f32::from(a) * (255.0 / max) + 0.5) as u8;
    }
}

/// Signals of a block: row, first column and number of pixels. They may be below 0 or above 1.
#[inline(always)]
fn load_yuv(
    planes: &YuvPlanes<'_>,
    (row, column, pixels): (usize, usize, usize),
    matrix: &YuvMatrix,
    identity: bool,
    samples: &mut Samples,
    block: &mut Block,
) {
    let Samples { y, u, v } = samples;
    planes.load(0, row, column, &mut y[..pixels]);
    let halved = usize::from(planes.halved_columns);
    let skip = column & halved;
    let count = (pixels + skip).div_ceil(1 + halved);
    let chroma_row = row >> usize::from(planes.halved_rows);
    planes.load_chroma(
        chroma_row,
        column >> halved,
        &mut u[..count],
        &mut v[..count],
    );
    if planes.halved_columns {
        // From the end, so that nothing is overwritten before it is read.
        for i in (0..count * 2).rev() {
            (u[i], v[i]) = (u[i / 2], v[i / 2]);
        }
    }
    // Words hold samples in their upper bits.
    let unit = 1.0 / f64::from(1u32 << (16 - planes.depth.bits()));
    let y_scale = (matrix.y_scale * unit) as f32;
    let y_offset = (-matrix.y_zero * matrix.y_scale) as f32;
    let zero = (matrix.c_zero / unit) as f32;
    let [r_v, g_u, g_v, b_u] =
        [matrix.r_v, matrix.g_u, matrix.g_v, matrix.b_u].map(|value| (value * unit) as f32);
    let Block { r, g, b, .. } = block;
    let out = r.iter_mut().zip(g).zip(b).take(pixels);
    let chroma = u[skip..].iter().zip(&v[skip..]);
    for ((((r, g), b), &mut y), (&u, &v)) in out.zip(y).zip(chroma) {
        let y = f32::from(y) * y_scale + y_offset;
        if identity {
            *g = y;
            *b = f32::from(u) * y_scale + y_offset;
            *r = f32::from(v) * y_scale + y_offset;
        } else {
            let (u, v) = (f32::from(u) - zero, f32::from(v) - zero);
            *r = y + r_v * v;
            *g = y + g_u * u + g_v * v;
            *b = y + b_u * u;
        }
    }
}
