//! From pictures and sound to packets, each track on a thread of its own.

use std::sync::Arc;

use reelcore_engine::{AudioEncode, Codec, ThreadLease, VideoEncode, VideoInput};
use reelcore_media::codec_string::family;
use reelcore_media::demux::{TrackConfig, TrackKind};
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, ContentHint, EncodeOptions, EncodedAudio, EncodedVideo,
    LatencyMode, OpusOptions, ScalabilityMode, VideoBitrateMode,
};
use reelcore_media::mux::{OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{
    AudioCodec, AudioEncoderConfig, ChunkKind, MediaError, SampleFormat, Size, VideoCodec,
    VideoEncoderConfig, VideoFrame,
};

use crate::audio::filters::Resample;
use crate::codecs::{self, Demand, VideoChoice};
use crate::decode::{codec_of, has_codec};
use crate::error::{self, JobError};
use crate::job::{Alpha, AudioStream, BitrateMode, Content, EncodeMode, SourceKind, VideoStream};
use crate::source::{self, Content as MediaContent, Media};
use crate::stream::{Context, Inlet, Outlet, Pictures, Pull, Sound, Sounds};

/// Packets that wait for the muxer.
const PACKETS_AHEAD: usize = 32;

/// The first pictures, which the frame rate is measured on.
const MEASURED: usize = 8;

/// The longest time between key pictures, in microseconds, if nothing is said.
const KEY_INTERVAL: i64 = 5_000_000;

/// What an encoder hands to the muxer: first the track, then packets.
pub(crate) enum Item {
    Track(Box<OutputTrack>),
    Packet(OutputPacket),
}

/// One that gives its first item, then those of the rest.
struct Begun<T> {
    first: std::vec::IntoIter<T>,
    rest: Box<dyn Pull<T>>,
}

impl<T: Send> Pull<T> for Begun<T> {
    fn next(&mut self) -> Result<Option<T>, JobError> {
        match self.first.next() {
            Some(item) => Ok(Some(item)),
            None => self.rest.next(),
        }
    }
}

/// Encodes pictures.
pub(crate) fn video(
    context: &Context,
    mut pictures: Pictures,
    choice: VideoChoice,
    options: &VideoStream,
    path: &str,
    language: Option<String>,
) -> Result<Inlet<Item>, JobError> {
    let (options, of_thread) = (options.clone(), context.clone());
    let path = format!("{path}.codec");
    context.stage("encode video", PACKETS_AHEAD, move |outlet| {
        let mut first = Vec::new();
        while first.len() < MEASURED
            && let Some(frame) = pictures.next()?
        {
            first.push(frame);
        }
        let framerate = measured_rate(&first);
        let Some(frame) = first.first() else {
            return Ok(());
        };
        let mut encoder =
            VideoEncoding::start(&of_thread, frame, choice, &options, framerate, &path)?;
        encoder.language = language;
        let mut frames = Begun {
            first: first.into_iter(),
            rest: pictures,
        };
        while let Some(frame) = frames.next()? {
            encoder.encode(frame, outlet)?;
        }
        encoder.finish(outlet)
    })
}

/// Frames a second of the middle one of the first pictures.
fn measured_rate(frames: &[VideoFrame]) -> f64 {
    let mut durations: Vec<u64> = frames
        .iter()
        .filter_map(|frame| frame.duration)
        .filter(|&d| d > 0)
        .collect();
    durations.sort_unstable();
    let rate = durations
        .get(durations.len() / 2)
        .map_or(25.0, |&duration| 1e6 / duration as f64);
    // Times are whole microseconds: more digits than these are noise.
    ((rate * 100.0).round() / 100.0).clamp(0.1, 1000.0)
}

struct VideoEncoding {
    instance: <VideoEncode as Codec>::Instance,
    config: VideoEncoderConfig,
    _threads: ThreadLease,
    quantizer: Option<u16>,
    key_interval: i64,
    last_key: Option<i64>,
    ready: Vec<EncodedVideo>,
    started: bool,
    language: Option<String>,
}

impl VideoEncoding {
    fn start(
        context: &Context,
        frame: &VideoFrame,
        choice: VideoChoice,
        options: &VideoStream,
        framerate: f64,
        path: &str,
    ) -> Result<Self, JobError> {
        let size = frame.visible_rect.size();
        let even = Size::new(size.width & !1, size.height & !1);
        let mut refused = None;
        // Where an encoder takes no odd sizes, the picture loses half a pixel rather than the job its output.
        for size in [size, even].into_iter().filter(|size| size.area() > 0) {
            let demand = Demand {
                size,
                framerate,
                bitrate: options.bitrate,
                depth: frame.format.map_or(8, |format| format.bit_depth()),
            };
            let codecs = match choice {
                VideoChoice::Exact(codec) => vec![codec],
                VideoChoice::Name(name) => codecs::candidates(name, &demand)
                    .iter()
                    .filter_map(|codec| VideoCodec::parse(codec).ok())
                    .collect(),
                VideoChoice::Copy => Vec::new(),
            };
            for codec in codecs {
                let config = video_config(codec, size, frame, options, framerate);
                match start_video(context, &config) {
                    Ok((instance, threads)) => {
                        return Ok(Self {
                            instance,
                            config,
                            _threads: threads,
                            quantizer: options.quantizer,
                            key_interval: options
                                .key_interval
                                .map_or(KEY_INTERVAL, |interval| interval.0),
                            last_key: None,
                            ready: Vec::new(),
                            started: false,
                            language: None,
                        });
                    }
                    // The best choice's reason says most.
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
        }
        Err(refused.map_or_else(
            || JobError::failed("no encoder"),
            |refused| error::encoder(path, refused),
        ))
    }

    fn encode(&mut self, frame: VideoFrame, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        let time = frame.timestamp;
        let key = self
            .last_key
            .is_none_or(|last| time.saturating_sub(last) >= self.key_interval);
        if key {
            self.last_key = Some(time);
        }
        let input = VideoInput {
            frame,
            options: EncodeOptions {
                key_frame: key,
                quantizer: self.quantizer,
            },
        };
        let ready = &mut self.ready;
        VideoEncode::process(&mut self.instance, &input, &mut |picture| {
            ready.push(picture)
        })?;
        self.deliver(outlet)
    }

    fn finish(mut self, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        let ready = &mut self.ready;
        VideoEncode::flush(&mut self.instance, &mut |picture| ready.push(picture))?;
        self.deliver(outlet)
    }

    fn deliver(&mut self, outlet: &mut Outlet<Item>) -> Result<(), JobError> {
        for picture in self.ready.drain(..) {
            let mut packet = OutputPacket::new(picture.chunk);
            if let Some(decoder) = &picture.decoder_config {
                match self.started {
                    true => packet.description = decoder.description.clone(),
                    false => {
                        let kind = OutputKind::Video {
                            coded_size: decoder.coded_size.unwrap_or(self.config.size),
                            display_aspect: decoder.display_aspect,
                            rotation: decoder.rotation,
                            flip: decoder.flip,
                            color_space: decoder.color_space,
                            framerate: None,
                            alpha: self.config.keep_alpha,
                        };
                        outlet.push(Item::Track(Box::new(OutputTrack {
                            kind,
                            codec: decoder.codec.to_string(),
                            description: decoder.description.clone(),
                            language: self.language.take(),
                            name: None,
                        })))?;
                        self.started = true;
                    }
                }
            }
            outlet.push(Item::Packet(packet))?;
        }
        Ok(())
    }
}

fn start_video(
    context: &Context,
    config: &VideoEncoderConfig,
) -> Result<(<VideoEncode as Codec>::Instance, ThreadLease), MediaError> {
    let mut result = Err(MediaError::unsupported("no encoder"));
    for backend in VideoEncode::backends(&context.registry, config)? {
        let threads = context
            .engine
            .budget
            .lease(VideoEncode::threads(&backend, config));
        match VideoEncode::start(&backend, config, &context.engine, threads.threads()) {
            Ok(instance) => return Ok((instance, threads)),
            Err(error) => result = Err(error),
        }
    }
    result
}

fn video_config(
    codec: VideoCodec,
    size: Size,
    frame: &VideoFrame,
    options: &VideoStream,
    framerate: f64,
) -> VideoEncoderConfig {
    let visible = frame.visible_rect.size();
    // The display size is that after rotation, the aspect ratio that of before.
    let display = match frame.rotation.swaps_axes() {
        true => Size::new(frame.display_size.height, frame.display_size.width),
        false => frame.display_size,
    };
    let square = u64::from(display.width) * u64::from(visible.height)
        == u64::from(display.height) * u64::from(visible.width);
    let usual = codecs::usual_bitrate(&codec, size, framerate);
    VideoEncoderConfig {
        display_size: (!square && display.area() > 0).then_some(display),
        bitrate: match options.quantizer {
            Some(_) => None,
            None => Some(options.bitrate.unwrap_or(usual)),
        },
        framerate: Some(framerate),
        keep_alpha: options.alpha == Some(Alpha::Keep),
        scalability: options
            .scalability_mode
            .as_deref()
            .and_then(ScalabilityMode::parse)
            .unwrap_or_default(),
        bitrate_mode: match (options.quantizer, options.bitrate_mode) {
            (Some(_), _) => VideoBitrateMode::Quantizer,
            (None, Some(BitrateMode::Constant)) => VideoBitrateMode::Constant,
            (None, _) => VideoBitrateMode::Variable,
        },
        latency_mode: match options.mode {
            Some(EncodeMode::Realtime) => LatencyMode::Realtime,
            _ => LatencyMode::Quality,
        },
        content_hint: match options.content {
            None => ContentHint::None,
            Some(Content::Motion) => ContentHint::Motion,
            Some(Content::Detail) => ContentHint::Detail,
            Some(Content::Text) => ContentHint::Text,
        },
        ..VideoEncoderConfig::new(codec, size)
    }
}

/// What is known of where sound comes from.
pub(crate) struct Origin {
    pub(crate) language: Option<String>,
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
        encoder.language = origin.language;
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
    language: Option<String>,
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
            language: None,
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
                    language: self.language.take(),
                    name: None,
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

/// Copies packets as they are, until a time in microseconds.
pub(crate) fn copy(
    context: &Context,
    media: Arc<Media>,
    kind: SourceKind,
    number: usize,
    to: i64,
) -> Result<Inlet<Item>, JobError> {
    let of_thread = context.clone();
    context.stage("copy", PACKETS_AHEAD, move |outlet| {
        let missing = || {
            JobError::input(
                &media.path,
                format!("it has no {} track of number {number}", kind.as_str()),
            )
        };
        let MediaContent::Tracks(demuxer, origin) = &media.content else {
            return Err(missing());
        };
        let (index, track) = media.track(kind, number).ok_or_else(missing)?;
        has_codec(&media, index, track)?;
        let codec = codec_of(track).map_err(|error| JobError::input(&media.path, error))?;
        let codec_text = codec.clone();
        let failed = |error| error::demux(&media.path, &error);
        let mut reader = source::reader(demuxer, index).map_err(failed)?;
        let mut next = reader.next_sample().map_err(failed)?;
        let mut began: Option<Arc<TrackConfig>> = None;
        let empty = next.is_none();
        // Of a recording that begins in the middle, what nobody can decode is left out.
        while let Some(packet) = next
            .as_mut()
            .filter(|packet| kind == SourceKind::Video && packet.chunk.kind == ChunkKind::Delta)
        {
            of_thread.cancel.check()?;
            began = packet.config.take().or(began);
            next = reader.next_sample().map_err(failed)?;
        }
        match &mut next {
            Some(packet) => packet.config = packet.config.take().or(began),
            None if empty => {}
            None => {
                return Err(JobError::input(
                    &media.path,
                    "expected a key picture to begin at, found none",
                ));
            }
        }
        let kind = match &track.kind {
            TrackKind::Video {
                coded_size,
                display_aspect,
                rotation,
                flip,
                color_space,
                ..
            } => OutputKind::Video {
                coded_size: *coded_size,
                display_aspect: Some(*display_aspect).filter(|aspect| aspect.area() > 0),
                rotation: *rotation,
                flip: *flip,
                color_space: *color_space,
                framerate: None,
                alpha: next.as_ref().is_some_and(|packet| {
                    packet
                        .chunk
                        .side
                        .as_ref()
                        .is_some_and(|side| side.alpha.is_some())
                }),
            },
            TrackKind::Audio {
                sample_rate,
                channels,
            } => OutputKind::Audio {
                sample_rate: *sample_rate,
                channels: *channels,
            },
            TrackKind::Other(_) => return Err(missing()),
        };
        outlet.push(Item::Track(Box::new(OutputTrack {
            kind,
            codec,
            description: track.description.clone(),
            language: track.language.clone(),
            name: None,
        })))?;
        let mut last = i64::MIN;
        while let Some(packet) = next {
            let decode_time = packet.decode_time.saturating_sub(*origin);
            if decode_time < last {
                let reason = match demuxer.container() {
                    "mp4" => ", as an edit list that cuts or repeats makes them",
                    _ => "",
                };
                return Err(JobError::input(
                    &media.path,
                    format!(
                        "its times go back from {last} us to {decode_time} us{reason}, which packets that are copied cannot follow: decode and encode the track"
                    ),
                ));
            }
            last = decode_time;
            if decode_time >= to {
                break;
            }
            let mut output = OutputPacket::new(packet.chunk);
            output.chunk.timestamp = output.chunk.timestamp.saturating_sub(*origin);
            output.decode_time = Some(decode_time);
            if let Some(config) = &packet.config {
                let now = codec_of(&track.with_config(config))
                    .map_err(|error| JobError::input(&media.path, error))?;
                if family(&now) != family(&codec_text) {
                    return Err(JobError::input(
                        &media.path,
                        format!("the track changes from {codec_text} to {now}, which cannot be copied into one track"),
                    ));
                }
                output.description.clone_from(&config.description);
            }
            outlet.push(Item::Packet(output))?;
            next = reader.next_sample().map_err(failed)?;
        }
        Ok(())
    })
}
