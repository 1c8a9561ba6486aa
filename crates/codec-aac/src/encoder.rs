//! Audio to access units.

use bytes::Bytes;
use reelcore_media::encode_queue::{EncodeQueue, PacketClock};
use reelcore_media::encoder::{
    AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat,
};
use rusty_aac::AdtsHeader;
use rusty_aac::config::aot;
use rusty_aac::encode::{audio_specific_config_bytes, write_adts_header};

use crate::lc;

/// Frames of an access unit.
const FRAME: usize = lc::BLOCK;

/// AAC-LC, mono to 5.1, at the thirteen rates of MPEG-4.
///
/// In the format `aac` the description is an AudioSpecificConfig and packets are access units; in `adts` there is no
/// description, and each packet has a header:
/// <https://w3c.github.io/webcodecs/aac_codec_registration.html>.
#[derive(Clone, Copy, Debug, Default)]
pub struct AacEncoder;

/// Bits a second of one channel, where the configuration says nothing.
const DEFAULT_CHANNEL_BITRATE: u64 = 64_000;

/// The least for one channel: below, the frames' own headers leave next to nothing.
const MIN_CHANNEL_BITRATE: u64 = 16_000;

/// Frames that the filter bank puts before the input.
const DELAY: u64 = FRAME as u64;

struct Settings {
    channels: u16,
    bitrate: u32,
    rate_index: u8,
    adts: bool,
}

fn settings(config: &AudioEncoderConfig) -> Result<Settings, MediaError> {
    let refuse = |message: String| Err(MediaError::unsupported(format!("AAC: {message}")));
    if config.codec != AudioCodec::Aac(aot::AAC_LC) {
        return refuse(format!("expected mp4a.40.2 (LC), found {}", config.codec));
    }
    let adts = match config.options {
        AudioCodecOptions::None => false,
        AudioCodecOptions::Adts => true,
        other => return refuse(format!("these are options of another codec: {other:?}")),
    };
    let channels = match config.channels {
        channels @ 1..=6 => channels as u16,
        other => return refuse(format!("expected 1 to 6 channels, found {other}")),
    };
    let Some(rate_index) = rusty_aac::sf_index_for_rate(config.sample_rate) else {
        return refuse(format!(
            "expected one of the rates of MPEG-4, 7350 to 96000 Hz, found {}",
            config.sample_rate
        ));
    };
    // No access unit has more than 6144 bits a channel: ISO/IEC 14496-3, 4.5.3.1.
    let least = MIN_CHANNEL_BITRATE * u64::from(channels);
    let most = 6 * u64::from(config.sample_rate) * u64::from(channels);
    let default = (DEFAULT_CHANNEL_BITRATE * u64::from(channels)).min(most);
    let bitrate = config.bitrate.unwrap_or(default);
    if !(least..=most).contains(&bitrate) {
        return refuse(format!(
            "expected a bitrate of {least} to {most} for {channels} channels at {} Hz, found {bitrate}",
            config.sample_rate
        ));
    }
    Ok(Settings {
        channels,
        bitrate: bitrate as u32,
        rate_index,
        adts,
    })
}

impl AudioEncoderBackend for AacEncoder {
    fn name(&self) -> &'static str {
        "aac-lc"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        matches!(codec, AudioCodec::Aac(_))
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        settings(config).map(drop)
    }

    fn input_format(&self, _config: &AudioEncoderConfig) -> SampleFormat {
        SampleFormat::F32
    }

    fn start(
        &self,
        config: &AudioEncoderConfig,
        _context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError> {
        let Settings {
            channels,
            bitrate,
            rate_index,
            adts,
        } = settings(config)?;
        let description = audio_specific_config_bytes(config.sample_rate, channels);
        let decoder_config = AudioDecoderConfig {
            codec: config.codec,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: (!adts).then(|| description.into()),
        };
        Ok(Box::new(Encoder {
            queue: EncodeQueue::new(FRAME, config.channels),
            blocks: lc::Encoder::new(bitrate, channels, config.sample_rate, rate_index),
            new: (bitrate, channels, config.sample_rate, rate_index),
            output: Output {
                clock: PacketClock::new(config.sample_rate, DELAY, decoder_config),
                adts: adts.then_some((config.sample_rate, channels)),
            },
        }))
    }
}

struct Encoder {
    queue: EncodeQueue<f32>,
    blocks: lc::Encoder,
    /// What a new one is made of.
    new: (u32, u16, u32, u8),
    output: Output,
}

struct Output {
    clock: PacketClock,
    /// Rate and channels for the headers of ADTS.
    adts: Option<(u32, u16)>,
}

impl Output {
    fn packet(&mut self, unit: Vec<u8>, ended: bool) -> EncodedAudio {
        let last = ended && self.clock.missing() <= FRAME as u64;
        let data = match self.adts {
            None => unit.into(),
            Some((sample_rate, channels)) => {
                let mut frame = write_adts_header(&AdtsHeader {
                    object_type: aot::AAC_LC,
                    sample_rate,
                    channels,
                    frame_length: HEADER + unit.len(),
                    header_len: HEADER,
                });
                frame.extend_from_slice(&unit);
                Bytes::from(frame)
            }
        };
        self.clock.output(data, FRAME as u64, last)
    }
}

/// Bytes of an ADTS header without a checksum.
const HEADER: usize = 7;

impl AudioEncoder for Encoder {
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let (blocks, output) = (&mut self.blocks, &mut self.output);
        output.clock.input(data.timestamp, u64::from(data.frames));
        self.queue.push_run(data, &mut |block| {
            if let Some(unit) = blocks.push(block) {
                sink(output.packet(unit, false));
            }
            Ok(())
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        if !self.output.clock.is_running() {
            return Ok(());
        }
        let (blocks, output) = (&mut self.blocks, &mut self.output);
        let mut last = |block: &[f32]| {
            if let Some(unit) = blocks.push(block) {
                sink(output.packet(unit, true));
            }
            Ok(())
        };
        self.queue.pad(false, &mut last)?;
        // One more gives the last unit with sound, and one what the filter bank still holds of it.
        self.queue.pad(true, &mut last)?;
        self.queue.pad(true, &mut last)?;
        let (bitrate, channels, sample_rate, rate_index) = self.new;
        self.blocks = lc::Encoder::new(bitrate, channels, sample_rate, rate_index);
        self.output.clock.restart();
        Ok(())
    }
}
