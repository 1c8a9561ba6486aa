//! Copying audio samples, with conversion between the eight formats.

use crate::audio::AudioData;
use crate::counters::count_copy;
use crate::error::MediaError;
use crate::format::SampleFormat;

/// Why a copy cannot be made. WebCodecs has a RangeError for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AudioCopyError {
    /// There is no such plane.
    #[error("planeIndex {plane} is out of range: {format} has {planes} plane(s)")]
    Plane {
        /// The plane that was asked for.
        plane: u32,
        /// The destination's format.
        format: &'static str,
        /// The planes there are.
        planes: u32,
    },
    /// The first frame is past the end.
    #[error("frameOffset {offset} is out of range: there are {frames} frames")]
    Offset {
        /// The first frame that was asked for.
        offset: u32,
        /// The frames there are.
        frames: u32,
    },
    /// There are not as many frames.
    #[error("frameCount {count} exceeds the {available} frames from frameOffset on")]
    Count {
        /// The number of frames that was asked for.
        count: u32,
        /// The frames there are from the first on.
        available: u32,
    },
}

/// Compute Copy Element Count: the samples that a copy writes. Without `frame_count`, all frames
/// from `frame_offset` on.
/// <https://w3c.github.io/webcodecs/#compute-copy-element-count>
///
/// # Errors
/// [`AudioCopyError`], as the algorithm says.
pub fn audio_copy_elements(
    source: &AudioData,
    format: SampleFormat,
    plane_index: u32,
    frame_offset: u32,
    frame_count: Option<u32>,
) -> Result<usize, AudioCopyError> {
    // 1-3. destFormat; planeIndex is 0 for an interleaved format, else below [[number of channels]].
    let planes = if format.is_planar() {
        source.channels
    } else {
        1
    };
    if plane_index >= planes {
        return Err(AudioCopyError::Plane {
            plane: plane_index,
            format: format.as_str(),
            planes,
        });
    }
    // 4. Every conversion is supported.
    // 5-6. If options.frameOffset is greater than or equal to frameCount, throw a RangeError.
    if frame_offset >= source.frames {
        return Err(AudioCopyError::Offset {
            offset: frame_offset,
            frames: source.frames,
        });
    }
    // 7-8. copyFrameCount, which options.frameCount may reduce but not exceed.
    let available = source.frames - frame_offset;
    let count = frame_count.unwrap_or(available);
    if count > available {
        return Err(AudioCopyError::Count { count, available });
    }
    // 9-11. Interleaved formats have a sample of each channel for each frame.
    let samples = if format.is_planar() {
        1
    } else {
        source.channels
    };
    Ok((count as usize).saturating_mul(samples as usize))
}

/// Copies `frame_count` frames of `source` from `frame_offset` on into the start of `destination`,
/// in `format`: one plane of a planar format, every channel of an interleaved one.
/// <https://w3c.github.io/webcodecs/#dom-audiodata-copyto>
///
/// A change of sample type scales by powers of two: 128 of `u8`, 2^15 of `s16`, 2^31 of `s32` stand
/// for 1.0 of `f32`. To fewer bits integers are rounded down (an arithmetic shift); floats are
/// rounded to the nearest, held within the range, and NaN is silence. `f32` to `f32` is exact.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for what [`audio_copy_elements`] refuses,
/// and when `destination` is too small. Nothing is written then.
pub fn copy_audio(
    source: &AudioData,
    format: SampleFormat,
    plane_index: u32,
    frame_offset: u32,
    frame_count: u32,
    destination: &mut [u8],
) -> Result<(), MediaError> {
    let elements =
        audio_copy_elements(source, format, plane_index, frame_offset, Some(frame_count))
            .map_err(|error| MediaError::argument(error.to_string()))?;
    let bytes = elements.saturating_mul(format.sample_bytes());
    let len = destination.len();
    let Some(destination) = destination.get_mut(..bytes) else {
        return Err(MediaError::argument(format!(
            "{elements} samples of {} need {bytes} bytes, the destination has {len}",
            format.as_str()
        )));
    };
    let copy = Copy {
        channels: (source.channels as usize).max(1),
        offset: frame_offset as usize,
        frames: frame_count as usize,
    };
    let copied = match source.format.interleaved() {
        SampleFormat::U8 => copy.from::<u8>(source, format, plane_index as usize, destination),
        SampleFormat::S16 => copy.from::<i16>(source, format, plane_index as usize, destination),
        SampleFormat::S32 => copy.from::<i32>(source, format, plane_index as usize, destination),
        _ => copy.from::<f32>(source, format, plane_index as usize, destination),
    };
    copied.ok_or_else(|| {
        MediaError::argument(format!(
            "the planes do not hold {} frames of {} channels of {}",
            source.frames,
            source.channels,
            source.format.as_str()
        ))
    })?;
    count_copy(bytes);
    Ok(())
}

/// Which frames.
struct Copy {
    channels: usize,
    offset: usize,
    frames: usize,
}

impl Copy {
    fn from<S>(
        &self,
        source: &AudioData,
        format: SampleFormat,
        plane: usize,
        destination: &mut [u8],
    ) -> Option<()>
    where
        S: Sample + To<u8> + To<i16> + To<i32> + To<f32>,
    {
        match format.interleaved() {
            SampleFormat::U8 => self.run::<S, u8>(source, format, plane, destination),
            SampleFormat::S16 => self.run::<S, i16>(source, format, plane, destination),
            SampleFormat::S32 => self.run::<S, i32>(source, format, plane, destination),
            _ => self.run::<S, f32>(source, format, plane, destination),
        }
    }

    /// `None` when the source has not got the samples.
    fn run<S: To<D>, D: Sample>(
        &self,
        source: &AudioData,
        format: SampleFormat,
        plane: usize,
        destination: &mut [u8],
    ) -> Option<()> {
        let same = source.format.interleaved() == format.interleaved();
        let bytes = |samples: usize| samples.checked_mul(S::BYTES);
        match (source.format.is_planar(), format.is_planar()) {
            (true, true) => {
                let from = source.planes.get(plane)?.get(bytes(self.offset)?..)?;
                let from = from.get(..bytes(self.frames)?)?;
                convert::<S, D>(from, 1, destination, 1, same);
            }
            (false, false) => {
                let start = bytes(self.offset.checked_mul(self.channels)?)?;
                let count = bytes(self.frames.checked_mul(self.channels)?)?;
                let from = source.planes.first()?.get(start..)?.get(..count)?;
                convert::<S, D>(from, 1, destination, 1, same);
            }
            (false, true) => {
                let start = bytes(self.offset.checked_mul(self.channels)?)?;
                let count = bytes(self.frames.checked_mul(self.channels)?)?;
                let from = source.planes.first()?.get(start..)?.get(..count)?;
                let from = from.get(bytes(plane)?..).unwrap_or(&[]);
                convert::<S, D>(from, self.channels, destination, 1, same);
            }
            (true, false) => {
                // All planes are looked at before anything is written.
                let range = bytes(self.offset)?..bytes(self.offset.checked_add(self.frames)?)?;
                let planes: Option<Vec<&[u8]>> = (0..self.channels)
                    .map(|channel| source.planes.get(channel)?.get(range.clone()))
                    .collect();
                for (channel, from) in planes?.into_iter().enumerate() {
                    let to = destination
                        .get_mut(channel * D::BYTES..)
                        .unwrap_or_default();
                    convert::<S, D>(from, 1, to, self.channels, same);
                }
            }
        }
        Some(())
    }
}

/// Converts every `from_step`th sample into every `to_step`th, as far as both go.
fn convert<S: To<D>, D: Sample>(
    from: &[u8],
    from_step: usize,
    to: &mut [u8],
    to_step: usize,
    same: bool,
) {
    if same && from_step == 1 && to_step == 1 {
        let len = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        return;
    }
    let types = std::marker::PhantomData::<(S, D)>;
    pulp::Arch::new().dispatch(Job {
        from,
        from_step,
        to,
        to_step,
        types,
    });
}

/// A conversion, compiled once for each set of vector instructions that a processor may have.
struct Job<'a, S, D> {
    from: &'a [u8],
    from_step: usize,
    to: &'a mut [u8],
    to_step: usize,
    types: std::marker::PhantomData<(S, D)>,
}

impl<S: To<D>, D: Sample> pulp::WithSimd for Job<'_, S, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<V: pulp::Simd>(self, _: V) {
        let (from, to) = (self.from, self.to);
        // The steps of mono and stereo are constants in the loops, which lets them be vectors.
        match (self.from_step, self.to_step) {
            (1, 1) => convert_steps::<S, D>(from, 1, to, 1),
            (2, 1) => convert_steps::<S, D>(from, 2, to, 1),
            (1, 2) => convert_steps::<S, D>(from, 1, to, 2),
            (from_step, to_step) => convert_steps::<S, D>(from, from_step, to, to_step),
        }
    }
}

#[inline(always)]
fn convert_steps<S: To<D>, D: Sample>(
    from: &[u8],
    from_step: usize,
    to: &mut [u8],
    to_step: usize,
) {
    let (from_step, to_step) = (S::BYTES * from_step, D::BYTES * to_step);
    let count = from
        .len()
        .div_ceil(from_step)
        .min(to.len().div_ceil(to_step));
    // The last sample may have nothing behind it; all before it fill their steps.
    let Some(last) = count.checked_sub(1) else {
        return;
    };
    let steps = to
        .chunks_exact_mut(to_step)
        .zip(from.chunks_exact(from_step));
    for (to, from) in steps.take(last) {
        S::read(from).to().write(to);
    }
    if let (Some(to), Some(from)) = (to.get_mut(last * to_step..), from.get(last * from_step..)) {
        S::read(from).to().write(to);
    }
}

/// A sample in memory, in native byte order.
trait Sample: std::marker::Copy {
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! samples {
    ($($type:ty)*) => {$(
        impl Sample for $type {
            const BYTES: usize = size_of::<$type>();

            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let bytes = bytes.first_chunk().copied();
                Self::from_ne_bytes(bytes.unwrap_or_default())
            }

            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                if let Some(bytes) = bytes.first_chunk_mut() {
                    *bytes = self.to_ne_bytes();
                }
            }
        }
    )*};
}

samples! { u8 i16 i32 f32 }

/// The same sample of another type.
trait To<D>: Sample {
    fn to(self) -> D;
}

macro_rules! conversions {
    ($($from:ty => $to:ty, |$sample:ident| $result:expr;)*) => {$(
        impl To<$to> for $from {
            #[inline(always)]
            fn to(self) -> $to {
                let $sample = self;
                $result
            }
        }
    )*};
}

/// A signed sample of eight bits, and back.
#[inline(always)]
fn signed(sample: u8) -> i8 {
    (sample ^ 0x80) as i8
}

#[inline(always)]
fn unsigned(sample: i8) -> u8 {
    sample as u8 ^ 0x80
}

/// Rounds to the nearest integer, ties to even, without a call: beyond this number an `f32` has no
/// fraction. For magnitudes up to 2^22.
#[inline(always)]
fn nearest(value: f32) -> f32 {
    const NO_FRACTION: f32 = 12_582_912.0;
    (value + NO_FRACTION) - NO_FRACTION
}

#[inline(always)]
fn nearest_f64(value: f64) -> f64 {
    const NO_FRACTION: f64 = 6_755_399_441_055_744.0;
    (value + NO_FRACTION) - NO_FRACTION
}

conversions! {
    u8 => u8, |s| s;
    u8 => i16, |s| i16::from(signed(s)) << 8;
    u8 => i32, |s| i32::from(signed(s)) << 24;
    u8 => f32, |s| f32::from(signed(s)) * (1.0 / 128.0);
    i16 => u8, |s| unsigned((s >> 8) as i8);
    i16 => i16, |s| s;
    i16 => i32, |s| i32::from(s) << 16;
    i16 => f32, |s| f32::from(s) * (1.0 / 32_768.0);
    i32 => u8, |s| unsigned((s >> 24) as i8);
    i32 => i16, |s| (s >> 16) as i16;
    i32 => i32, |s| s;
    i32 => f32, |s| s as f32 * (1.0 / 2_147_483_648.0);
    // The casts saturate, and make 0 of NaN.
    f32 => u8, |s| unsigned(nearest((s * 128.0).clamp(-128.0, 127.0)) as i8);
    f32 => i16, |s| nearest((s * 32_768.0).clamp(-32_768.0, 32_767.0)) as i16;
    // An `f32` cannot hold the largest `i32`, an `f64` can.
    f32 => i32, |s| nearest_f64((f64::from(s) * 2_147_483_648.0).clamp(-2_147_483_648.0, 2_147_483_647.0)) as i32;
    f32 => f32, |s| s;
}
