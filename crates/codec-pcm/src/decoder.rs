//! Chunks to audio.

use bytes::Bytes;
use reelcore_media::pool::BufferPool;
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError, SampleFormat};

use crate::g711::{ALAW, ULAW};

/// How a chunk's samples are stored.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    U8,
    S16,
    S24,
    S32,
    F32,
    Alaw,
    Ulaw,
}

impl Samples {
    /// Bytes of one sample in a chunk.
    fn coded_bytes(self) -> usize {
        match self {
            Self::U8 | Self::Alaw | Self::Ulaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
        }
    }

    /// What comes out of a decoder, and goes into an encoder.
    pub fn format(self) -> SampleFormat {
        match self {
            Self::U8 => SampleFormat::U8,
            Self::S16 | Self::Alaw | Self::Ulaw => SampleFormat::S16,
            // There is no 24-bit format: the samples stand in the upper bits.
            Self::S24 | Self::S32 => SampleFormat::S32,
            Self::F32 => SampleFormat::F32,
        }
    }
}

pub struct Decoder {
    pub samples: Samples,
    pub sample_rate: u32,
    pub channels: u32,
    pub pool: BufferPool,
    pub max_bytes: usize,
}

impl Decoder {
    /// Samples of `N` bytes each, converted to `M` bytes each, in memory of the pool.
    fn map<const N: usize, const M: usize>(
        &self,
        coded: &[u8],
        convert: impl Fn([u8; N]) -> [u8; M],
    ) -> Bytes {
        let (coded, _) = coded.as_chunks::<N>();
        let mut buffer = self.pool.take(coded.len() * M);
        let (decoded, _) = buffer.as_chunks_mut::<M>();
        for (to, from) in decoded.iter_mut().zip(coded) {
            *to = convert(*from);
        }
        buffer.freeze()
    }

    /// Little-endian samples as native ones: the chunk's own bytes where both are the same.
    fn native<const N: usize>(&self, data: &Bytes) -> Bytes {
        if cfg!(target_endian = "little") {
            data.clone()
        } else {
            self.map(data, |mut sample: [u8; N]| {
                sample.reverse();
                sample
            })
        }
    }
}

impl AudioDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let data = &chunk.data;
        let width = self.samples.coded_bytes();
        let frame = width as u64 * u64::from(self.channels);
        let len = data.len() as u64;
        if len == 0 || !len.is_multiple_of(frame) {
            return Err(MediaError::invalid_data(format!(
                "expected whole frames of {frame} bytes, found {len} bytes in the chunk with timestamp {}",
                chunk.timestamp
            )));
        }
        let format = self.samples.format();
        let decoded = (data.len() / width).checked_mul(format.sample_bytes());
        if decoded.is_none_or(|bytes| bytes > self.max_bytes) {
            return Err(MediaError::limit(format!(
                "a chunk of {len} bytes gives more than max_audio_bytes ({})",
                self.max_bytes
            )));
        }
        let frames = u32::try_from(len / frame).map_err(|_| {
            MediaError::limit(format!("a chunk of {len} bytes has more than 2^32 frames"))
        })?;
        let bytes = match self.samples {
            Samples::U8 => data.clone(),
            Samples::S16 => self.native::<2>(data),
            Samples::S32 | Samples::F32 => self.native::<4>(data),
            Samples::S24 => self.map(data, |[a, b, c]: [u8; 3]| {
                i32::from_le_bytes([0, a, b, c]).to_ne_bytes()
            }),
            Samples::Alaw => self.map(data, |[code]: [u8; 1]| {
                ALAW[usize::from(code)].to_ne_bytes()
            }),
            Samples::Ulaw => self.map(data, |[code]: [u8; 1]| {
                ULAW[usize::from(code)].to_ne_bytes()
            }),
        };
        sink(AudioData::new(
            format,
            self.sample_rate as f32,
            frames,
            self.channels,
            chunk.timestamp,
            bytes,
        )?);
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        Ok(())
    }

    fn reset(&mut self) {}
}
