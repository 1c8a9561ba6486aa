//! Audio decoding as a [`Codec`] of the engine.

use std::sync::Arc;
use std::time::Duration;

use reelcore_media::codec::{DecoderContext, Successor};
use reelcore_media::frame::Lease;
use reelcore_media::{
    AudioData, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, EncodedChunk, MediaError,
    Registry, SideData,
};

use crate::actor::Codec;
use crate::{Engine, Options};

/// Decodes [`EncodedChunk`]s to [`AudioData`].
#[derive(Debug)]
pub enum AudioDecode {}

/// A decoder, and what its calls give before it is trimmed.
pub struct Running {
    decoder: Box<dyn AudioDecoder>,
    outputs: Vec<AudioData>,
}

impl Codec for AudioDecode {
    type Config = AudioDecoderConfig;
    type Input = EncodedChunk;
    type Output = AudioData;
    type Backend = Arc<dyn AudioDecoderBackend>;
    type Instance = Running;

    // The clock for each packet of AAC was 0.4 % of decoding it.
    const UNTIMED: u32 = 4;

    fn backends(
        registry: &Registry,
        config: &AudioDecoderConfig,
    ) -> Result<Vec<Self::Backend>, MediaError> {
        registry.audio_decoders(config)
    }

    fn max_inputs(options: &Options) -> usize {
        // Packets of audio take some microseconds each: a turn of a worker may not use them up, nor what it does until
        // the owner is awake and has sent more.
        options.max_inputs.saturating_mul(16)
    }

    fn threads(_: &Self::Backend, _: &AudioDecoderConfig) -> usize {
        // No library has use for a second one; another worker may have a decoder of its own.
        1
    }

    fn start(
        backend: &Self::Backend,
        config: &AudioDecoderConfig,
        engine: &Engine,
        threads: usize,
    ) -> Result<Running, MediaError> {
        let context = DecoderContext {
            pool: engine.pool.clone(),
            threads,
            limits: engine.options.limits,
        };
        Ok(Running {
            decoder: backend.start(config, &context)?,
            outputs: Vec::new(),
        })
    }

    fn process(
        instance: &mut Running,
        input: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let Some(side) = input.side.as_ref().filter(|side| !side.counts_kept) else {
            return instance.decoder.decode(input, sink);
        };
        let outputs = &mut instance.outputs;
        outputs.clear();
        let result = instance
            .decoder
            .decode(input, &mut |output| outputs.push(output));
        trim(outputs, side);
        outputs.drain(..).for_each(sink);
        result
    }

    fn flush(instance: &mut Running, sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        instance.decoder.flush(sink)
    }

    const PARALLEL: bool = true;

    fn preroll(instance: &Running, before: &[EncodedChunk]) -> Option<usize> {
        instance.decoder.preroll(before)
    }

    fn prime(instance: &mut Running, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        instance.decoder.prime(preroll)
    }

    fn is_seamless(instance: &Running, input: &EncodedChunk) -> bool {
        instance.decoder.is_seamless(input)
    }

    fn catch_up(instance: &mut Running, inputs: &[EncodedChunk]) -> Result<Successor, MediaError> {
        instance.decoder.catch_up(inputs)
    }

    fn finish(_: &AudioDecoderConfig, output: &mut AudioData, lease: Lease) {
        output.lease = Some(Arc::new(lease));
    }

    fn output_bytes(output: &AudioData) -> usize {
        output.byte_size()
    }
}

/// The nearest whole number of frames.
fn frames(time: Duration, sample_rate: f32) -> u32 {
    (time.as_secs_f64() * f64::from(sample_rate)).round() as u32
}

/// Drops what the container says is no part of the sound: priming at the start, padding at the end.
fn trim(outputs: &mut Vec<AudioData>, side: &SideData) {
    let Some(rate) = outputs.first().map(|output| output.sample_rate) else {
        return;
    };
    let mut drop = frames(side.discard_start, rate);
    outputs.retain_mut(|output| {
        let here = drop.min(output.frames);
        drop -= here;
        match output.slice(here, output.frames - here) {
            Some(rest) => *output = rest,
            None => return false,
        }
        true
    });
    let mut drop = frames(side.discard_end, rate);
    while drop > 0
        && let Some(mut last) = outputs.pop()
    {
        let here = drop.min(last.frames);
        drop -= here;
        if let Some(rest) = last.slice(0, last.frames - here) {
            last = rest;
            outputs.push(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reelcore_media::SampleFormat;

    fn outputs(lengths: &[u32]) -> Vec<AudioData> {
        let mut at = 0;
        lengths
            .iter()
            .map(|&frames| {
                let data = Bytes::from(vec![0; frames as usize]);
                let timestamp = i64::from(at) * 1_000_000 / 8000;
                at += frames;
                AudioData::new(SampleFormat::U8, 8000.0, frames, 1, timestamp, data).unwrap()
            })
            .collect()
    }

    fn side(start: u64, end: u64) -> SideData {
        SideData {
            // Rounded as containers round: frames must come out exact all the same.
            discard_start: Duration::from_nanos(start * 125_000 + 40_000),
            discard_end: Duration::from_nanos(end * 125_000),
            ..SideData::default()
        }
    }

    #[test]
    fn discarded_frames_are_cut_from_both_ends_and_the_time_moves_along() {
        for (lengths, start, end, want) in [
            (&[10][..], 3, 2, vec![(375, 5)]),
            (&[4, 6], 5, 0, vec![(625, 5)]),
            (&[4, 6], 0, 7, vec![(0, 3)]),
            (&[4, 6], 4, 6, vec![]),
            (&[4], 9, 9, vec![]),
            (&[], 1, 1, vec![]),
        ] {
            let mut outputs = outputs(lengths);
            trim(&mut outputs, &side(start, end));
            let got: Vec<_> = outputs.iter().map(|o| (o.timestamp, o.frames)).collect();
            assert_eq!(got, want, "{lengths:?} - {start} - {end}");
        }
    }
}
