//! Filters of sound.

pub(crate) mod conform;
pub(crate) mod filters;

use bytes::Bytes;
use reelcore_media::convert::copy_audio;
use reelcore_media::{AudioData, MediaError, SampleFormat};

/// The samples as interleaved floats.
pub(crate) fn floats(data: &AudioData) -> Result<Vec<f32>, MediaError> {
    let mut samples = vec![0f32; data.frames as usize * data.channels as usize];
    let bytes = bytemuck::cast_slice_mut(&mut samples);
    copy_audio(data, SampleFormat::F32, 0, 0, data.frames, bytes)?;
    Ok(samples)
}

/// Samples that [`Bytes`] lie over, without a copy.
struct Samples(Vec<f32>);

impl AsRef<[u8]> for Samples {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Interleaved floats as a run of sound at time 0.
pub(crate) fn run(samples: Vec<f32>, rate: f32, channels: u32) -> Result<AudioData, MediaError> {
    let frames = samples.len() / (channels as usize).max(1);
    let frames =
        u32::try_from(frames).map_err(|_| MediaError::limit("a run of sound is too long"))?;
    AudioData::new(
        SampleFormat::F32,
        rate,
        frames,
        channels,
        0,
        Bytes::from_owner(Samples(samples)),
    )
}

/// So many frames of silence.
pub(crate) fn silence(rate: f32, channels: u32, frames: i64) -> Result<AudioData, MediaError> {
    let samples = usize::try_from(frames)
        .unwrap_or(0)
        .saturating_mul(channels as usize);
    run(vec![0.0; samples], rate, channels)
}

/// So many frames of silence of the format, the rate and the channels of `like`.
pub(crate) fn silence_like(like: &AudioData, frames: u32) -> Result<AudioData, MediaError> {
    let len = (frames as usize)
        .saturating_mul(like.channels as usize)
        .saturating_mul(like.format.sample_bytes());
    let zero = match like.format {
        SampleFormat::U8 | SampleFormat::U8Planar => 0x80,
        _ => 0,
    };
    AudioData::new(
        like.format,
        like.sample_rate,
        frames,
        like.channels,
        0,
        Bytes::from(vec![zero; len]),
    )
}
