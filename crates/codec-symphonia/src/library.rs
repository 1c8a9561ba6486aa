//! What the three codecs share: calls into Symphonia, and its buffers as audio.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use reelcore_media::codec::DecoderContext;
use reelcore_media::pool::BufferPool;
use reelcore_media::{AudioData, EncodedChunk, MediaError, SampleFormat};
use symphonia_core::audio::{Audio, AudioBuffer, GenericAudioBufferRef};
use symphonia_core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia_core::packet::PacketRef;
use symphonia_core::units::{Duration, Timestamp};

/// What a codec is started with.
pub fn parameters(codec: AudioCodecId, extra_data: Option<&[u8]>) -> AudioCodecParameters {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(codec);
    if let Some(data) = extra_data {
        parameters.with_extra_data(data.into());
    }
    parameters
}

/// `gapless` trims by the packet's own fields, which are 0 here. With Vorbis it also drops the first packet after a
/// reset, which has nothing to overlap with: <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-590004.3.8>.
pub fn options() -> AudioDecoderOptions {
    AudioDecoderOptions::default().gapless(true).verify(false)
}

/// Why a chunk cannot be decoded.
pub fn invalid(chunk: &EncodedChunk, what: impl std::fmt::Display) -> MediaError {
    MediaError::invalid_data(format!(
        "{what} (chunk of {} bytes with timestamp {})",
        chunk.data.len(),
        chunk.timestamp
    ))
}

/// Runs a library. Each is safe Rust whose answer to some crafted data is a failed assertion or, in builds that check
/// it, an overflow: bad data like any other.
pub fn guarded<T, E: std::fmt::Display>(run: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the decoder library gave up".to_string()),
    }
}

/// Decodes one packet and hands its buffer to `take`.
pub fn decode<T>(
    decoder: &mut dyn AudioDecoder,
    chunk: &EncodedChunk,
    data: &[u8],
    take: impl FnOnce(GenericAudioBufferRef<'_>) -> T,
) -> Result<T, MediaError> {
    let packet = PacketRef::new(0, Timestamp::new(0), Duration::ZERO, data);
    guarded(|| decoder.decode_ref(&packet).map(take)).map_err(|error| invalid(chunk, error))
}

/// Samples as bytes, without a copy.
struct Plane(Vec<f32>);

impl AsRef<[u8]> for Plane {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Where samples go to.
#[derive(Clone, Debug)]
pub struct Output {
    pool: BufferPool,
    max_bytes: usize,
    /// Bytes that earlier frames of the packet gave.
    given: usize,
}

impl Output {
    pub fn new(context: &DecoderContext) -> Self {
        Self {
            pool: context.pool.clone(),
            max_bytes: context.limits.max_audio_bytes,
            given: 0,
        }
    }

    /// A packet of several frames begins: the cap is on all of them together.
    pub fn begin(&mut self) {
        self.given = 0;
    }

    /// A frame of the packet gave `audio`.
    pub fn gave(&mut self, audio: &AudioData) {
        self.given = self.given.saturating_add(audio.byte_size());
    }

    /// Refuses `frames` of `channels` if they, with what the packet gave before, are more than the cap.
    ///
    /// # Errors
    /// `LimitExceeded`.
    pub fn check(
        &self,
        frames: usize,
        channels: usize,
        sample_bytes: usize,
    ) -> Result<usize, MediaError> {
        frames
            .checked_mul(channels)
            .and_then(|samples| samples.checked_mul(sample_bytes))
            .filter(|&bytes| bytes <= self.max_bytes.saturating_sub(self.given))
            .ok_or_else(|| {
                MediaError::limit(format!(
                    "{frames} frames of {channels} channels after {} bytes of the same packet exceed max_audio_bytes ({})",
                    self.given, self.max_bytes
                ))
            })
    }

    /// A copy of a buffer of floats, which the decoder keeps; `None` when it is empty.
    pub fn planar(
        &self,
        buffer: &AudioBuffer<f32>,
        sample_rate: u32,
        timestamp: i64,
    ) -> Result<Option<AudioData>, MediaError> {
        let (frames, channels) = (buffer.frames(), buffer.num_planes());
        let bytes = self.check(frames, channels, size_of::<f32>())?;
        if bytes == 0 {
            return Ok(None);
        }
        let mut memory = self.pool.take(bytes);
        for (index, to) in memory.chunks_exact_mut(bytes / channels).enumerate() {
            if let Some(plane) = buffer.plane(index) {
                to.copy_from_slice(bytemuck::cast_slice(plane));
            }
        }
        AudioData::new(
            SampleFormat::F32Planar,
            sample_rate as f32,
            frames as u32,
            channels as u32,
            timestamp,
            memory.freeze(),
        )
        .map(Some)
    }

    /// Channels as they are, moved; `None` when they are empty.
    pub fn planes(
        &self,
        planes: Vec<Vec<f32>>,
        sample_rate: u32,
        timestamp: i64,
    ) -> Result<Option<AudioData>, MediaError> {
        let frames = planes.iter().map(Vec::len).min().unwrap_or(0);
        if self.check(frames, planes.len(), size_of::<f32>())? == 0 {
            return Ok(None);
        }
        let planes = planes
            .into_iter()
            .map(|plane| Bytes::from_owner(Plane(plane)))
            .collect();
        AudioData::from_planes(
            SampleFormat::F32Planar,
            sample_rate as f32,
            frames as u32,
            timestamp,
            planes,
        )
        .map(Some)
    }

    /// The upper `N` bytes of 32-bit samples, interleaved.
    pub fn interleaved<const N: usize>(
        &self,
        buffer: &AudioBuffer<i32>,
        convert: impl Fn(i32) -> [u8; N],
    ) -> Result<Bytes, MediaError> {
        let (frames, channels) = (buffer.frames(), buffer.num_planes());
        let mut memory = self.pool.take(self.check(frames, channels, N)?);
        let (samples, _) = memory.as_chunks_mut::<N>();
        match (channels, buffer.plane(0), buffer.plane(1)) {
            (2, Some(left), Some(right)) => {
                let (pairs, _) = samples.as_chunks_mut::<2>();
                for ((pair, &l), &r) in pairs.iter_mut().zip(left).zip(right) {
                    *pair = [convert(l), convert(r)];
                }
            }
            _ => {
                for channel in 0..channels {
                    let plane = buffer.plane(channel).unwrap_or_default();
                    let to = samples.iter_mut().skip(channel).step_by(channels);
                    for (to, &sample) in to.zip(plane) {
                        *to = convert(sample);
                    }
                }
            }
        }
        Ok(memory.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_bad_data() {
        let error = guarded(|| -> symphonia_core::errors::Result<()> { panic!("crafted") });
        assert_eq!(error.unwrap_err(), "the decoder library gave up");
    }
}
