//! Audio encoding as a [`Codec`] of the engine: samples are brought to the format that the encoder takes.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::convert::{audio_copy_elements, copy_audio};
use reelcore_media::encoder::{EncodedAudio, EncoderContext};
use reelcore_media::frame::Lease;
use reelcore_media::{
    AudioData, AudioEncoder, AudioEncoderBackend, AudioEncoderConfig, MediaError, Registry,
    SampleFormat,
};

use crate::Engine;
use crate::actor::Codec;

/// Encodes [`AudioData`] to [`EncodedAudio`].
#[derive(Debug)]
pub enum AudioEncode {}

/// An encoder, and the format that it takes.
pub struct Running {
    encoder: Box<dyn AudioEncoder>,
    config: AudioEncoderConfig,
    format: SampleFormat,
}

impl Codec for AudioEncode {
    type Config = AudioEncoderConfig;
    type Input = AudioData;
    type Output = EncodedAudio;
    type Backend = Arc<dyn AudioEncoderBackend>;
    type Instance = Running;

    fn backends(
        registry: &Registry,
        config: &AudioEncoderConfig,
    ) -> Result<Vec<Self::Backend>, MediaError> {
        registry.audio_encoders(config)
    }

    fn threads(_: &Self::Backend, _: &AudioEncoderConfig) -> usize {
        // Packets of audio are too small to be worth a second thread.
        1
    }

    fn start(
        backend: &Self::Backend,
        config: &AudioEncoderConfig,
        engine: &Engine,
        threads: usize,
    ) -> Result<Running, MediaError> {
        let context = EncoderContext {
            pool: engine.pool.clone(),
            threads,
        };
        Ok(Running {
            encoder: backend.start(config, &context)?,
            config: config.clone(),
            format: backend.input_format(config),
        })
    }

    fn process(
        instance: &mut Running,
        input: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let config = &instance.config;
        if input.channels != config.channels || input.sample_rate != config.sample_rate as f32 {
            return Err(MediaError::argument(format!(
                "the encoder is configured for {} channels at {} Hz, the audio at {} microseconds has {} at {} Hz",
                config.channels,
                config.sample_rate,
                input.timestamp,
                input.channels,
                input.sample_rate
            )));
        }
        let sink = &mut |output| sink(marked(output));
        match input.format == instance.format {
            true => instance.encoder.encode(input, sink),
            false => {
                let input = convert(input, instance.format)?;
                instance.encoder.encode(&input, sink)
            }
        }
    }

    fn flush(instance: &mut Running, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        instance.encoder.flush(&mut |output| sink(marked(output)))
    }

    fn finish(_: &AudioEncoderConfig, _: &mut EncodedAudio, lease: Lease) {
        // Chunks cannot be closed: they do not count among the outputs that stall a codec.
        drop(lease);
    }

    fn output_bytes(output: &EncodedAudio) -> usize {
        output.chunk.data.len()
    }
}

/// Says of a packet with frames to drop how its timestamp is counted.
fn marked(mut output: EncodedAudio) -> EncodedAudio {
    if let Some(side) = &mut output.chunk.side {
        Arc::make_mut(side).counts_kept = true;
    }
    output
}

/// The same audio in another format: encoders take one.
fn convert(input: &AudioData, format: SampleFormat) -> Result<AudioData, MediaError> {
    let planes = if format.is_planar() {
        input.channels
    } else {
        1
    };
    let mut copies = Vec::with_capacity(planes as usize);
    for plane in 0..planes {
        let samples = audio_copy_elements(input, format, plane, 0, None)
            .map_err(|error| MediaError::argument(error.to_string()))?;
        let mut copy = vec![0; samples.saturating_mul(format.sample_bytes())];
        copy_audio(input, format, plane, 0, input.frames, &mut copy)?;
        copies.push(Bytes::from(copy));
    }
    Ok(AudioData {
        format,
        planes: copies,
        ..input.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_brought_to_every_other_with_its_channels_in_place() {
        let samples = [0.5f32, -0.25, 0.125, -0.5];
        let data: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
        let source = AudioData::new(SampleFormat::F32, 8000.0, 2, 2, 3, data.into()).unwrap();
        for &middle in SampleFormat::ALL {
            let there = convert(&source, middle).unwrap();
            assert_eq!(
                (there.format, there.frames, there.timestamp),
                (middle, 2, 3)
            );
            let back = convert(&there, SampleFormat::F32Planar).unwrap();
            let left: Vec<f32> = floats(&back.planes[0]);
            let right: Vec<f32> = floats(&back.planes[1]);
            assert_eq!(
                (left, right),
                (vec![0.5, 0.125], vec![-0.25, -0.5]),
                "{middle:?}"
            );
        }
    }

    fn floats(bytes: &[u8]) -> Vec<f32> {
        let words = bytes.chunks_exact(4);
        words
            .map(|w| f32::from_ne_bytes(w.try_into().unwrap()))
            .collect()
    }
}
