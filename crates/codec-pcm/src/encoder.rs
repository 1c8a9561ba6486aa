//! Audio to chunks.

use bytes::Bytes;
use reelcore_media::encode_queue::PacketClock;
use reelcore_media::encoder::{
    AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat,
};

use crate::backend::samples;
use crate::decoder::Samples;
use crate::g711::{alaw_code, ulaw_code};

/// Uncompressed audio, A-law and mu-law, at any rate and with any number of channels. Each run becomes a chunk.
///
/// Bit rates are what they are: those of a configuration are not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct PcmEncoder;

fn coding(config: &AudioEncoderConfig) -> Result<Samples, MediaError> {
    if config.options != AudioCodecOptions::None {
        return Err(MediaError::unsupported(format!(
            "{} has no options of its own, found {:?}",
            config.codec, config.options
        )));
    }
    samples(config.codec, config.sample_rate, config.channels)
}

impl AudioEncoderBackend for PcmEncoder {
    fn name(&self) -> &'static str {
        "pcm"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        matches!(
            codec,
            AudioCodec::Pcm(_) | AudioCodec::Alaw | AudioCodec::Ulaw
        )
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        coding(config).map(drop)
    }

    fn input_format(&self, config: &AudioEncoderConfig) -> SampleFormat {
        // What the decoder gives is what the encoder takes: exact for every sample there and back.
        coding(config).map_or(SampleFormat::F32, Samples::format)
    }

    fn start(
        &self,
        config: &AudioEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError> {
        let decoder_config = AudioDecoderConfig {
            codec: config.codec,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: None,
        };
        Ok(Box::new(Encoder {
            samples: coding(config)?,
            channels: config.channels,
            clock: PacketClock::new(config.sample_rate, 0, decoder_config),
            pool: context.pool.clone(),
        }))
    }
}

struct Encoder {
    samples: Samples,
    channels: u32,
    clock: PacketClock,
    pool: BufferPool,
}

impl Encoder {
    /// Samples of `N` bytes each, in native order, coded as `M` bytes each, in memory of the pool.
    fn map<const N: usize, const M: usize>(
        &self,
        samples: &[u8],
        code: impl Fn([u8; N]) -> [u8; M],
    ) -> Bytes {
        let (samples, _) = samples.as_chunks::<N>();
        let mut buffer = self.pool.take(samples.len() * M);
        let (coded, _) = buffer.as_chunks_mut::<M>();
        for (to, from) in coded.iter_mut().zip(samples) {
            *to = code(*from);
        }
        buffer.freeze()
    }

    /// Native samples as little-endian ones: the run's own bytes where both are the same.
    fn little<const N: usize>(&self, data: &Bytes) -> Bytes {
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

impl AudioEncoder for Encoder {
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let format = self.samples.format();
        let bytes = (data.frames as usize)
            .checked_mul(self.channels as usize)
            .and_then(|samples| samples.checked_mul(format.sample_bytes()));
        let run = match (data.planes.first(), bytes) {
            (Some(plane), Some(bytes))
                if data.format == format
                    && data.channels == self.channels
                    && plane.len() >= bytes =>
            {
                plane.slice(..bytes)
            }
            _ => {
                return Err(MediaError::argument(format!(
                    "expected {} channels of {}, found {} frames of {} channels of {}",
                    self.channels,
                    format.as_str(),
                    data.frames,
                    data.channels,
                    data.format.as_str()
                )));
            }
        };
        let coded = match self.samples {
            Samples::U8 => run,
            Samples::S16 => self.little::<2>(&run),
            Samples::S32 | Samples::F32 => self.little::<4>(&run),
            Samples::S24 => self.map(&run, |sample: [u8; 4]| {
                let [_, a, b, c] = i32::from_ne_bytes(sample).to_le_bytes();
                [a, b, c]
            }),
            Samples::Alaw => self.map(&run, |s: [u8; 2]| [alaw_code(i16::from_ne_bytes(s))]),
            Samples::Ulaw => self.map(&run, |s: [u8; 2]| [ulaw_code(i16::from_ne_bytes(s))]),
        };
        let frames = u64::from(data.frames);
        self.clock.input(data.timestamp, frames);
        sink(self.clock.output(coded, frames, false));
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        self.clock.restart();
        Ok(())
    }
}
