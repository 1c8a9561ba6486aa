//! Audio to packets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reelcore_media::encode_queue::{EncodeQueue, PacketClock};
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat, SideData,
};

use crate::library::{Info, Library, Packet, Rate, Setup};

/// Vorbis, mono to 7.1, over libvorbis with the aoTuV and Lancer patches.
///
/// Packets are bare; the description is the three headers with Xiph lacing:
/// <https://w3c.github.io/webcodecs/vorbis_codec_registration.html>. Without a bit rate, the quality is the
/// library's 4 of -1 to 10.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vorbis;

/// As [`Vorbis`] says.
const DEFAULT_QUALITY: f32 = 0.4;

/// Frames that go to the library at a time.
const STEP: usize = 1024;

/// Samples beyond this are none that anybody means, and could grow beyond all numbers inside.
const MAX_AMPLITUDE: f32 = 8.0;

/// For each number of channels, which channel of WebCodecs' order is the next in that of Vorbis.
/// <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-810004.3.9>
const ORDER: [&[usize]; 8] = [
    &[0],
    &[0, 1],
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 4, 5, 3],
    &[0, 2, 1, 5, 6, 4, 3],
    &[0, 2, 1, 6, 7, 4, 5, 3],
];

fn setup(config: &AudioEncoderConfig) -> Result<Setup, MediaError> {
    let refuse = |message: String| Err(MediaError::unsupported(format!("Vorbis: {message}")));
    if config.codec != AudioCodec::Vorbis {
        return refuse(format!("expected vorbis, found {}", config.codec));
    }
    if config.options != AudioCodecOptions::None {
        return refuse(format!(
            "it has no options of its own, found {:?}",
            config.options
        ));
    }
    let channels = match u8::try_from(config.channels) {
        Ok(channels @ 1..=8) => channels,
        _ => {
            return refuse(format!(
                "expected 1 to 8 channels, found {}",
                config.channels
            ));
        }
    };
    let rate = match (config.bitrate, config.bitrate_mode) {
        (None, _) => Rate::Quality(DEFAULT_QUALITY),
        (Some(rate), mode) => match (u32::try_from(rate), mode) {
            (Ok(rate @ 1..), AudioBitrateMode::Constant) => Rate::Constant(rate),
            (Ok(rate @ 1..), AudioBitrateMode::Variable) => Rate::Average(rate),
            _ => return refuse(format!("no bitrate is {rate}")),
        },
    };
    Ok(Setup {
        channels,
        sample_rate: config.sample_rate,
        rate,
    })
}

impl AudioEncoderBackend for Vorbis {
    fn name(&self) -> &'static str {
        "libvorbis"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        *codec == AudioCodec::Vorbis
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        Info::new(&setup(config)?).map(drop)
    }

    fn input_format(&self, _config: &AudioEncoderConfig) -> SampleFormat {
        SampleFormat::F32
    }

    fn start(
        &self,
        config: &AudioEncoderConfig,
        _context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError> {
        let setup = setup(config)?;
        let mut library = Library::new(&setup)?;
        let description = lace(&library.headers()?);
        let decoder_config = AudioDecoderConfig {
            codec: AudioCodec::Vorbis,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: Some(description),
        };
        Ok(Box::new(Encoder {
            queue: EncodeQueue::new(STEP, config.channels),
            stream: Stream {
                setup,
                library: Some(library),
                clock: PacketClock::new(config.sample_rate, 0, decoder_config),
                block: None,
                ended_block: None,
            },
        }))
    }
}

/// Three headers as one description: how many but one, the lengths of all but the last, then the headers.
fn lace(headers: &[Vec<u8>; 3]) -> Bytes {
    let mut data = vec![2];
    for header in &headers[..2] {
        data.extend(std::iter::repeat_n(255, header.len() / 255));
        data.push((header.len() % 255) as u8);
    }
    headers
        .iter()
        .for_each(|header| data.extend_from_slice(header));
    data.into()
}

struct Encoder {
    queue: EncodeQueue<f32>,
    stream: Stream,
}

struct Stream {
    setup: Setup,
    /// `None` after a flush, until there is input again: libvorbis encodes no further after an end.
    library: Option<Library>,
    clock: PacketClock,
    /// The block of the last packet.
    block: Option<u32>,
    /// The last block before a flush: a decoder that goes on gives what overlaps with it.
    ended_block: Option<u32>,
}

impl AudioEncoder for Encoder {
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let stream = &mut self.stream;
        stream.clock.input(data.timestamp, u64::from(data.frames));
        self.queue
            .push_run(data, &mut |samples| stream.push(samples, sink))
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        if !self.stream.clock.is_running() {
            return Ok(());
        }
        let rest = self.queue.take_rest();
        if !rest.is_empty() {
            self.stream.push(rest, sink)?;
        }
        self.stream.push(&[], sink)?;
        self.stream.library = None;
        self.stream.ended_block = self.stream.block.take();
        self.stream.clock.restart();
        Ok(())
    }
}

impl Stream {
    /// Encodes interleaved samples; none are the end.
    fn push(
        &mut self,
        samples: &[f32],
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let Self {
            setup,
            library,
            clock,
            block,
            ended_block,
        } = self;
        let library = match library {
            Some(library) => library,
            none => none.insert(Library::new(setup)?),
        };
        let channels = usize::from(setup.channels);
        let order = ORDER[channels - 1];
        library.encode(
            samples.len() / channels,
            &mut |channel, room| {
                let samples = samples.iter().skip(order[channel]).step_by(channels);
                for (to, from) in room.iter_mut().zip(samples) {
                    *to = match from.is_nan() {
                        true => 0.0,
                        false => from.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE),
                    };
                }
            },
            &mut |packet: Packet| {
                let frames = |before: u32| u64::from(before / 4 + packet.block / 4);
                // The first packet of a stream gives nothing yet.
                let decoded = block.map_or(0, frames);
                let mut output = clock.output(packet.data.into(), decoded, packet.last);
                if let (None, Some(before)) = (*block, ended_block.take()) {
                    let nanos = frames(before) * 1_000_000_000 / u64::from(setup.sample_rate);
                    output.chunk.side = Some(Arc::new(SideData {
                        discard_start: Duration::from_nanos(nanos),
                        counts_kept: true,
                        ..SideData::default()
                    }));
                }
                *block = Some(packet.block);
                sink(output);
            },
        )
    }
}
