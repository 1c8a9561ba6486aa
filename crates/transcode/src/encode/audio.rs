//! Encodes sound.

use std::sync::Arc;

use reelcore_engine::{AudioEncode, Codec};
use reelcore_media::encoder::{AudioBitrateMode, AudioCodecOptions, EncodedAudio, OpusOptions};
use reelcore_media::mux::{OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{AudioCodec, AudioEncoderConfig, MediaError, SampleFormat};

use crate::audio::filters::Resample;
use crate::error::{self, JobError};
use crate::job::{AudioStream, BitrateMode};
use crate::stream::{Context, Inlet, Outlet, Sound, Sounds};

use super::{Begun, Item, PACKETS_AHEAD, Said};

/// What is known of where sound comes from.
pub(crate) struct Origin {
    pub(crate) said: Said,
    /// Whether all samples have the format that the first ones were decoded to.
    pub(crate) as_decoded: bool,
}

/// Encodes sound.
pub(crate) fn audio(
    context: &Context,
    mut sounds: Sounds,
    codec: AudioCodec,
    options: &AudioStream,
    path: &str,
    origin: Origin,
) -> Result<Inlet<Item>, JobError> {
    let (options, of_thread) = (options.clone(), context.clone());
    let path = format!("{path}.codec");
    context.stage("encode audio", PACKETS_AHEAD, move |outlet| {
        let Some(first) = sounds.next()? else {
            return Ok(());
        };
        let (rate, channels) = (first.data.sample_rate as u32, first.data.channels);
        let mut config = audio_config(&of_thread, codec, rate, channels, &options)
            .map_err(|refused| error::encoder(&path, refused))?;
        let converted = (config.sample_rate, config.channels) != (rate, channels);
        if codec == AudioCodec::Flac {
            // Files of FLAC have one depth. What is computed has more bits than what it is computed from.
            let narrow = matches!(
                first.data.format,
                SampleFormat::U8
                    | SampleFormat::U8Planar
                    | SampleFormat::S16
                    | SampleFormat::S16Planar
            );
            let depth = match narrow && origin.as_decoded && !converted {
                true => 16,
                false => 24,
            };
            config.options = AudioCodecOptions::Flac {
                block_size: 0,
                compress_level: FLAC_LEVEL,
                depth: Some(depth),
            };
        }
        let mut sounds: Sounds = Box::new(Begun {
            first: vec![first].into_iter(),
            rest: sounds,
        });
        if converted {
            sounds = Box::new(Resample::new(
                sounds,
                Some(config.sample_rate),
                Some(config.channels),
            ));
        }
        let mut encoder = AudioEncoding::start(&of_thread, config)?;
        encoder.said = origin.said;
        while let Some(sound) = sounds.next()? {
            encoder.encode(&sound, outlet)?;
        }
        encoder.finish(outlet)
    })
}

/// Whether a bit rate means anything to the codec.
const fn is_lossy(codec: &AudioCodec) -> bool {
    matches!(
        codec,
        AudioCodec::Aac(_) | AudioCodec::Mp3 | AudioCodec::Opus | AudioCodec::Vorbis
    )
}

/// How hard FLAC is packed: the reference encoder's usual.
const FLAC_LEVEL: u32 = 5;

/// Bits a second for each channel where nothing is said, and where an encoder takes no more for a rate: at 8 kHz AAC ends at 48,000.
const USUAL_BITRATES: &[u64] = &[64_000, 48_000, 40_000, 32_000, 24_000, 16_000, 8000];

/// The nearest configuration that an encoder takes: what was not asked for may change.
fn audio_config(
    context: &Context,
    codec: AudioCodec,
    rate: u32,
    channels: u32,
    options: &AudioStream,
) -> Result<AudioEncoderConfig, MediaError> {
    let rates: Vec<u32> = match options.sample_rate {
        Some(rate) => vec![rate],
        // From the source's on those that lose least.
        None => vec![rate, 48_000, 44_100, 32_000, 24_000, 16_000, 8000],
    };
    let counts: Vec<u32> = match options.channels {
        Some(channels) => vec![channels],
        None => [channels, 6, 2, 1]
            .into_iter()
            .filter(|&count| count <= channels)
            .collect(),
    };
    let mut refused = None;
    for &channels in &counts {
        let bitrates: Vec<Option<u64>> = match options.bitrate {
            None if is_lossy(&codec) => USUAL_BITRATES
                .iter()
                .map(|bits| Some(bits * u64::from(channels)))
                .collect(),
            said => vec![said],
        };
        // A lower bit rate loses less than another sample rate.
        let tries = rates
            .iter()
            .flat_map(|&rate| bitrates.iter().map(move |&bits| (rate, bits)));
        for (sample_rate, bitrate) in tries {
            let config = AudioEncoderConfig {
                codec,
                sample_rate,
                channels,
                bitrate,
                bitrate_mode: match options.bitrate_mode {
                    Some(BitrateMode::Constant) => AudioBitrateMode::Constant,
                    _ => AudioBitrateMode::Variable,
                },
                options: match codec {
                    AudioCodec::Opus => AudioCodecOptions::Opus(OpusOptions::default()),
                    _ => AudioCodecOptions::None,
                },
            };
            let constant = AudioEncoderConfig {
                bitrate_mode: AudioBitrateMode::Constant,
                ..config.clone()
            };
            // Some encoders have one mode only: nobody asked for the other.
            let tried = if options.bitrate_mode.is_none() {
                vec![config, constant]
            } else {
                vec![config]
            };
            for config in tried {
                match context.registry.audio_encoders(&config) {
                    Ok(_) => return Ok(config),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| MediaError::unsupported("no encoder")))
}

struct AudioEncoding {
    instance: <AudioEncode as Codec>::Instance,
    config: AudioEncoderConfig,
    ready: Vec<EncodedAudio>,
    /// What timestamps are moved back by, once it is known: packets count from the first frame that is kept, containers
    /// from the first that is decoded.
    delay: Option<i64>,
    said: Said,
}

impl AudioEncoding {
    fn start(context: &Context, config: AudioEncoderConfig) -> Result<Self, JobError> {
        let mut result = Err(MediaError::unsupported("no encoder"));
        for backend in AudioEncode::backends(&context.registry, &config)? {
            result = AudioEncode::start(&backend, &config, &context.engine, 1);
            if result.is_ok() {
                break;
            }
        }
        Ok(Self {
            instance: result?,
            config,
            ready: Vec::new(),
            delay: None,
            said: Said::default(),
        })
    }

    fn encode(&mut self, sound: &Sound, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        let ready = &mut self.ready;
        AudioEncode::process(&mut self.instance, &sound.data, &mut |packet| {
            ready.push(packet)
        })?;
        self.deliver(outlet)
    }

    fn finish(mut self, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        let ready = &mut self.ready;
        AudioEncode::flush(&mut self.instance, &mut |packet| ready.push(packet))?;
        self.deliver(outlet)
    }

    fn deliver(&mut self, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        for packet in self.ready.drain(..) {
            let mut chunk = packet.chunk;
            let first = self.delay.is_none();
            let side = chunk.side.as_ref().filter(|side| side.counts_kept);
            let delay = *self.delay.get_or_insert_with(|| {
                let delay = side.map_or(0, |side| (side.discard_start.as_nanos() + 500) / 1000);
                i64::try_from(delay).unwrap_or(0)
            });
            chunk.timestamp = chunk.timestamp.saturating_sub(delay);
            if let Some(side) = &mut chunk.side {
                Arc::make_mut(side).counts_kept = false;
            }
            let mut output = OutputPacket::new(chunk);
            match (&packet.decoder_config, first) {
                (Some(decoder), true) => outlet.push(Item::Track(Box::new(OutputTrack {
                    kind: OutputKind::Audio {
                        sample_rate: decoder.sample_rate,
                        channels: decoder.channels,
                    },
                    codec: decoder.codec.to_string(),
                    description: decoder.description.clone(),
                    language: self.said.language.take(),
                    name: self.said.name.take(),
                })))?,
                (Some(decoder), false) => output.description = decoder.description.clone(),
                (None, true) => {
                    return Err(JobError::failed(format!(
                        "the encoder of {} gave a packet before it said how to decode it",
                        self.config.codec
                    )));
                }
                (None, false) => {}
            }
            outlet.push(Item::Packet(output))?;
        }
        Ok(())
    }
}
