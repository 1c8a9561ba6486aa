//! Audio to packets.

use bytes::Bytes;
use reelcore_media::encode_queue::{EncodeQueue, PacketClock};
use reelcore_media::encoder::{
    AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat,
};

use crate::frames::{RATES_1, RATES_2, SAMPLE_RATES, frame_len, samples};
use crate::library::{Library, Setup};

/// MP3, mono and stereo at 8 to 48 kHz, over LAME.
///
/// Packets are frames, and there is no description: <https://w3c.github.io/webcodecs/mp3_codec_registration.html>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mp3;

/// Kilobits a second of one channel, where the configuration says nothing.
const DEFAULT_CHANNEL_RATE: u32 = 64;

/// Frames that a decoder's filter bank holds back: ISO/IEC 11172-3, and what all decoders have.
const DECODER_DELAY: u32 = 529;

fn setup(config: &AudioEncoderConfig) -> Result<Setup, MediaError> {
    let refuse = |message: String| Err(MediaError::unsupported(format!("MP3: {message}")));
    if config.codec != AudioCodec::Mp3 {
        return refuse(format!("expected mp3, found {}", config.codec));
    }
    if config.options != AudioCodecOptions::None {
        return refuse(format!(
            "it has no options of its own, found {:?}",
            config.options
        ));
    }
    let channels = match config.channels {
        1 => 1,
        2 => 2,
        other => return refuse(format!("expected 1 or 2 channels, found {other}")),
    };
    let sample_rate = config.sample_rate;
    let known = |rate: &u32| (0..3).any(|shift| rate >> shift == sample_rate);
    if !SAMPLE_RATES.iter().any(known) {
        return refuse(format!(
            "expected 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 or 48 kHz, found {sample_rate} Hz"
        ));
    }
    let rates = match sample_rate {
        32_000.. => RATES_1,
        // MPEG-2.5 has the same codes, decoders beyond 64 kbit/s are few.
        _ => RATES_2,
    };
    let (least, most) = (rates[0], rates[13]);
    let bitrate = config.bitrate.unwrap_or_else(|| {
        let default = DEFAULT_CHANNEL_RATE * u32::from(channels);
        u64::from(default.min(most)) * 1000
    });
    let kilobits = u32::try_from(bitrate / 1000).unwrap_or(u32::MAX);
    if !(least..=most).contains(&kilobits) {
        return refuse(format!(
            "expected a bitrate of {least}000 to {most}000 at {sample_rate} Hz, found {bitrate}"
        ));
    }
    Ok(Setup {
        sample_rate,
        channels,
        kilobits,
        mode: config.bitrate_mode,
    })
}

impl AudioEncoderBackend for Mp3 {
    fn name(&self) -> &'static str {
        "lame"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        *codec == AudioCodec::Mp3
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        setup(config).map(drop)
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
        let library = Library::new(&setup)?;
        let decoder_config = AudioDecoderConfig {
            codec: AudioCodec::Mp3,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: None,
        };
        let delay = u64::from(library.delay() + DECODER_DELAY);
        Ok(Box::new(Encoder {
            queue: EncodeQueue::new(samples(setup.sample_rate) as usize, config.channels),
            stream: Stream {
                setup,
                library: Some(library),
                clock: PacketClock::new(config.sample_rate, delay, decoder_config),
                clean: Vec::new(),
                bytes: Vec::new(),
            },
        }))
    }
}

struct Encoder {
    queue: EncodeQueue<f32>,
    stream: Stream,
}

struct Stream {
    setup: Setup,
    /// `None` after a flush, until there is input again: LAME encodes no further after an end.
    library: Option<Library>,
    clock: PacketClock,
    clean: Vec<f32>,
    /// What is no whole frame yet.
    bytes: Vec<u8>,
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
        self.stream.finish(sink)
    }
}

impl Stream {
    fn push(
        &mut self,
        samples: &[f32],
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let library = match &mut self.library {
            Some(library) => library,
            none => none.insert(Library::new(&self.setup)?),
        };
        self.clean.clear();
        self.clean
            .extend(samples.iter().map(|sample| match sample.is_nan() {
                true => 0.0,
                false => sample.clamp(-1.0, 1.0),
            }));
        self.bytes.extend_from_slice(library.encode(&self.clean)?);
        self.frames(false, sink)
    }

    fn finish(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        if let Some(mut library) = self.library.take() {
            self.bytes.extend_from_slice(library.finish()?);
        }
        self.frames(true, sink)?;
        self.bytes.clear();
        self.clock.restart();
        Ok(())
    }

    /// Gives all whole frames but, in mid-stream, none that could be the last; and at the end none that only brings
    /// padding.
    fn frames(
        &mut self,
        ended: bool,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let frames = u64::from(samples(self.setup.sample_rate));
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| rest.len() >= 4) {
            let length =
                frame_len(rest).ok_or_else(|| MediaError::backend("LAME made no frame of MP3"))?;
            let Some(frame) = rest.get(..length) else {
                break;
            };
            if self.clock.missing() > 0 {
                let last = ended && self.clock.missing() <= frames;
                let data = Bytes::copy_from_slice(frame);
                sink(self.clock.output(data, frames, last));
            }
            at += length;
        }
        self.bytes.drain(..at);
        Ok(())
    }
}
