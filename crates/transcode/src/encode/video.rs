//! Encodes pictures.

use reelcore_engine::{Codec, ThreadLease, VideoEncode, VideoInput};
use reelcore_media::encoder::{
    ContentHint, EncodeOptions, EncodedVideo, LatencyMode, ScalabilityMode, VideoBitrateMode,
};
use reelcore_media::mux::{OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{MediaError, Size, VideoCodec, VideoEncoderConfig, VideoFrame};

use crate::codecs::{self, Demand, VideoChoice};
use crate::error::{self, JobError};
use crate::job::{Alpha, BitrateMode, Content, EncodeMode, VideoStream};
use crate::stream::{Context, Inlet, Outlet, Pictures, Pull};

use super::{Begun, Item, PACKETS_AHEAD, Said, Shown};

/// The first pictures, which the frame rate is measured on.
const MEASURED: usize = 8;

/// The longest time between key pictures, in microseconds, if nothing is said.
const KEY_INTERVAL: i64 = 5_000_000;

/// Encodes pictures.
pub(crate) fn video(
    context: &Context,
    mut pictures: Pictures,
    choice: VideoChoice,
    options: &VideoStream,
    path: &str,
    said: Said,
    shown: Shown,
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
            VideoEncoding::start(&of_thread, frame, choice, &options, framerate, shown, &path)?;
        encoder.said = said;
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
    said: Said,
}

impl VideoEncoding {
    fn start(
        context: &Context,
        frame: &VideoFrame,
        choice: VideoChoice,
        options: &VideoStream,
        framerate: f64,
        shown: Shown,
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
                let config = video_config(codec, size, frame, options, framerate, shown);
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
                            said: Said::default(),
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
                            language: self.said.language.take(),
                            name: self.said.name.take(),
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
    shown: Shown,
) -> VideoEncoderConfig {
    let visible = frame.visible_rect.size();
    // The display size is that after rotation, the aspect ratio that of before.
    let display = match frame.rotation.swaps_axes() {
        true => Size::new(frame.display_size.height, frame.display_size.width),
        false => frame.display_size,
    };
    let usual = codecs::usual_bitrate(&codec, size, framerate);
    VideoEncoderConfig {
        display_size: shown.aspect(visible, display, size),
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
