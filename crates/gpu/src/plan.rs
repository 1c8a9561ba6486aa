//! What a read-back has to convert, if anything.

use reelcore_media::color::{Matrix, Transfer};
use reelcore_media::convert::{ChromaSiting, effective_color_space};
use reelcore_media::format::PixelLayout;
use reelcore_media::frame::ReadBack;
use reelcore_media::{ColorSpace, PixelFormat, Size};

use crate::convert::{Curve, From, Map, Params, To, code_rows};
use crate::error::{GpuError, place};
use crate::readback::Placed;

/// How an image becomes what is wanted.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The wanted planes are those of the image.
    Copy,
    /// Passes into a buffer of so many bytes, and where each plane lies there.
    Pack {
        params: Vec<Params>,
        places: Vec<Placed>,
        bytes: u64,
    },
}

/// Planes begin on multiples of this, in bytes: a cache line.
const PLANE_ALIGNMENT: u64 = 64;

/// The plan for an image of `format` and `size`.
pub(crate) fn plan(format: PixelFormat, size: Size, wanted: &ReadBack) -> Result<Plan, GpuError> {
    let rect = wanted.rect;
    if !rect.fits(size) || rect.size().area() == 0 || wanted.size.area() == 0 {
        return Err(GpuError::Validation(format!(
            "{} of an image of {}x{} cannot be read back as {}x{} pixels",
            place(rect),
            size.width,
            size.height,
            wanted.size.width,
            wanted.size.height
        )));
    }
    let color = effective_color_space(wanted.color_space, format, size);
    // Where the two say the same, what is unknown is guessed alike.
    let target =
        match wanted.color_space == wanted.target && format.is_rgb() == wanted.format.is_rgb() {
            true => color,
            false => effective_color_space(wanted.target, wanted.format, size),
        };
    let curve = |color: ColorSpace| Curve::of(color.transfer.unwrap_or(Transfer::Bt709));
    let same_light = color.primaries == target.primaries && curve(color) == curve(target);
    let same_codes =
        same_light && color.matrix == target.matrix && color.full_range == target.full_range;
    let to = match (same_light, target.primaries) {
        // Only depth and subsampling differ.
        (true, _) if same_codes && !format.is_rgb() && !wanted.format.is_rgb() => To::Codes,
        (true, _) => To::Signal,
        (false, Some(primaries)) if curve(target) == Curve::Sdr => To::Srgb(primaries),
        _ => {
            return Err(GpuError::unsupported(format!(
                "convert colours to {:?}",
                target.transfer
            )));
        }
    };
    let scaled = rect.size() != wanted.size;
    let same_planes = format.layout() == wanted.format.layout()
        && format.bit_depth() == wanted.format.bit_depth()
        && (format.has_alpha() == wanted.format.has_alpha()
            || (!format.is_rgb() && format.has_alpha()));
    if same_codes && same_planes && !scaled && format.rect_is_sample_aligned(rect) {
        return Ok(Plan::Copy);
    }
    let from = From {
        format,
        rect,
        color,
        alpha: format.has_alpha() && wanted.format.has_alpha(),
    };
    let (fx, fy) = (
        f64::from(rect.width) / f64::from(wanted.size.width),
        f64::from(rect.height) / f64::from(wanted.size.height),
    );
    let map = Map::IDENTITY.after((fx, fy), (0.0, 0.0));
    let mut bytes = 0u64;
    let depth = wanted.format.bit_depth();
    let places = (0..wanted.format.num_planes()).map(|plane| {
        let row_bytes = u32::try_from(wanted.format.row_bytes(plane, wanted.size.width))
            .map_err(|_| GpuError::unsupported("convert to rows of more than 4 GiB"))?;
        let place = Placed {
            offset: bytes,
            stride: row_bytes.next_multiple_of(4),
            rows: wanted.format.plane_size(plane, wanted.size).height,
            row_bytes,
        };
        bytes += u64::from(place.stride) * u64::from(place.rows);
        bytes = bytes.next_multiple_of(PLANE_ALIGNMENT);
        Ok(place)
    });
    let places = places.collect::<Result<Vec<_>, GpuError>>()?;
    let first_word = |place: &Placed| {
        u32::try_from(place.offset / 4)
            .map_err(|_| GpuError::unsupported("convert an image of more than 16 GiB"))
    };
    let mut params = Vec::with_capacity(places.len());
    for (plane, place) in places.iter().enumerate() {
        // U and V are made in one pass, of the same pixels.
        let both = match wanted.format.layout() {
            PixelLayout::Yuv420 | PixelLayout::Yuv422 | PixelLayout::Yuv444 if plane == 2 => {
                continue;
            }
            PixelLayout::Yuv420 | PixelLayout::Yuv422 | PixelLayout::Yuv444 => plane == 1,
            PixelLayout::Nv12 | PixelLayout::Rgba | PixelLayout::Bgra => false,
        };
        let (h, v) = wanted.format.subsampling(plane);
        let siting = ChromaSiting::of(wanted.format, target);
        let map = if (h, v) == (1, 1) {
            map
        } else {
            // From indices of chroma (and a half) to positions.
            let (x, y) = siting.index(h, v);
            let shift = |(factor, shift): (f64, f64)| (-0.5 - shift) / factor;
            map.after((1.0 / x.0, 1.0 / y.0), (shift(x), shift(y)))
        };
        let mut pass = Params::new(&from, map, to);
        if scaled {
            pass.set_scaled();
        } else {
            pass.set_unscaled();
        }
        if !scaled && format.is_rgb() && (h, v) != (1, 1) {
            pass.set_halved(siting.taps(h, v));
        }
        let components = pack_rows(
            &mut pass,
            wanted.format,
            plane,
            to,
            target,
            format.bit_depth(),
        );
        let plane_size = wanted.format.plane_size(plane, wanted.size);
        let bits = if depth > 8 { 16 } else { 8 };
        pass.scale[2] = ((1u32 << depth) - 1) as f32;
        pass.out = [components, bits, place.stride / 4, first_word(place)?];
        pass.out_size = [plane_size.width, plane_size.height, 0, 1];
        if both && let Some(second) = places.get(2) {
            let mut rows = pass;
            pack_rows(&mut rows, wanted.format, 2, to, target, format.bit_depth());
            pass.pack[1] = rows.pack[0];
            pass.pack_offset[1] = rows.pack_offset[0];
            pass.out_size[2] = first_word(second)?;
            pass.out_size[3] = 2;
        }
        params.push(pass);
    }
    Ok(Plan::Pack {
        params,
        places,
        bytes,
    })
}

/// Sets the rows that make `plane`'s components; returns how many there are.
fn pack_rows(
    params: &mut Params,
    format: PixelFormat,
    plane: usize,
    to: To,
    target: ColorSpace,
    depth: u32,
) -> u32 {
    let target_depth = format.bit_depth();
    let top = ((1u32 << target_depth) - 1) as f32;
    let alpha = ([0.0, 0.0, 0.0, top], 0.0);
    let red = ([top, 0.0, 0.0, 0.0], 0.0);
    let green = ([0.0, top, 0.0, 0.0], 0.0);
    let blue = ([0.0, 0.0, top, 0.0], 0.0);
    let yuv = if to == To::Codes {
        // A change of depth does as on the CPU: limited range shifts, of full range white stays white and grey grey.
        let full = target.full_range == Some(true);
        let factor = match full {
            true => top / ((1u32 << depth) - 1) as f32,
            false => 2f32.powi(target_depth as i32 - depth as i32),
        };
        let grey = match full && target.matrix != Some(Matrix::Rgb) {
            true => (1u32 << (target_depth - 1)) as f32 - (1u32 << (depth - 1)) as f32 * factor,
            false => 0.0,
        };
        [
            ([factor, 0.0, 0.0, 0.0], 0.0),
            ([0.0, factor, 0.0, 0.0], grey),
            ([0.0, 0.0, factor, 0.0], grey),
        ]
    } else {
        let (rows, offsets) = code_rows(target, target_depth);
        std::array::from_fn(|i| {
            let [r, g, b] = rows[i].map(|value| value as f32);
            ([r, g, b, 0.0], offsets[i] as f32)
        })
    };
    let rows: &[([f32; 4], f32)] = match (format.layout(), plane) {
        (PixelLayout::Rgba, _) => &[red, green, blue, alpha],
        (PixelLayout::Bgra, _) => &[blue, green, red, alpha],
        (PixelLayout::Nv12, 1) => &[yuv[1], yuv[2]],
        (_, 3) => &[alpha],
        (_, index) => &[yuv[index.min(2)]],
    };
    for (index, (row, offset)) in rows.iter().enumerate() {
        params.pack[index] = *row;
        params.pack_offset[index] = *offset;
    }
    rows.len() as u32
}
