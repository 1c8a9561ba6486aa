//! Packets to audio.

use opus::MSDecoder;
use reelcore_media::codec::DecoderContext;
use reelcore_media::pool::BufferPool;
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError, SampleFormat};

use crate::head::Head;

/// Opus has one rate to decode at that loses nothing.
const SAMPLE_RATE: u32 = 48_000;

/// The longest packet, 120 ms, in frames.
const MAX_FRAMES: usize = 5760;

pub struct Decoder {
    library: MSDecoder,
    channels: u8,
    pool: BufferPool,
    max_bytes: usize,
}

impl Decoder {
    /// # Errors
    /// `Backend` where libopus cannot start.
    pub fn new(head: &Head, context: &DecoderContext) -> Result<Self, MediaError> {
        let backend = |error: opus::Error| MediaError::backend(format!("libopus: {error}"));
        let mut library = MSDecoder::new(SAMPLE_RATE, head.streams, head.coupled, &head.mapping)
            .map_err(backend)?;
        library.set_gain(i32::from(head.gain)).map_err(backend)?;
        Ok(Self {
            library,
            channels: head.mapping.len() as u8,
            pool: context.pool.clone(),
            max_bytes: context.limits.max_audio_bytes,
        })
    }
}

impl AudioDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let invalid = |what: &dyn std::fmt::Display| {
            MediaError::invalid_data(format!(
                "Opus packet of {} bytes with timestamp {}: {what}",
                chunk.data.len(),
                chunk.timestamp
            ))
        };
        // libopus takes an empty packet for a lost one, and makes sound up for it. Its lengths are 32-bit.
        if chunk.data.is_empty() || i32::try_from(chunk.data.len()).is_err() {
            return Err(invalid(&"expected 1 to 2^31 - 1 bytes"));
        }
        // All streams of a packet have the duration that the first one's table of contents says.
        let frames = opus::packet::get_nb_samples(&chunk.data, SAMPLE_RATE)
            .map_err(|error| invalid(&error))?;
        if frames == 0 || frames > MAX_FRAMES {
            return Err(invalid(&format_args!("{frames} frames")));
        }
        let bytes = frames * usize::from(self.channels) * size_of::<f32>();
        if bytes > self.max_bytes {
            return Err(MediaError::limit(format!(
                "an Opus packet gives {bytes} bytes, max_audio_bytes is {}",
                self.max_bytes
            )));
        }
        let mut buffer = self.pool.take(bytes);
        let samples: &mut [f32] = bytemuck::try_cast_slice_mut(&mut buffer)
            .map_err(|error| MediaError::backend(format!("buffer of samples: {error}")))?;
        let decoded = self
            .library
            .decode_float(&chunk.data, samples, false)
            .map_err(|error| invalid(&error))?;
        if decoded != frames {
            return Err(invalid(&format_args!(
                "expected {frames} frames, found {decoded}"
            )));
        }
        sink(AudioData::new(
            SampleFormat::F32,
            SAMPLE_RATE as f32,
            frames as u32,
            u32::from(self.channels),
            chunk.timestamp,
            buffer.freeze(),
        )?);
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        Ok(())
    }

    fn reset(&mut self) {
        // Fails for a wrong request only, which this is not.
        let _ = self.library.reset_state();
    }
}
