//! What every video encoder keeps beside its library: running time, temporal layers, key pictures that fall due,
//! quantizers, and which frame a coded picture belongs to.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::{ChunkKind, EncodedChunk};
use crate::codec::VideoDecoderConfig;
use crate::codec_string::VideoCodec;
use crate::color::ColorSpace;
use crate::encoder::{
    EncodeOptions, EncodedVideo, LatencyMode, ScalabilityMode, VideoBitrateMode, VideoEncoderConfig,
};
use crate::error::MediaError;
use crate::frame::VideoFrame;

pub use crate::encode_input::{input_image, repaired_words};

/// Frames a second where nothing is known of them.
pub const DEFAULT_FRAMERATE: f64 = 30.0;

/// Steps from frame to frame that rate control believes, in microseconds. Shorter ones are counters that a script
/// passes as timestamps, longer ones pauses.
const STEP: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;

/// The longest duration that is believed of the first frame, in microseconds: its picture gets what that is worth, and no
/// step says yet whether it is true.
const FIRST_DURATION: u64 = 100_000;

/// The longest time without a key picture, in microseconds.
const fn key_interval(mode: LatencyMode) -> i64 {
    match mode {
        // Files are sought in.
        LatencyMode::Quality => 10_000_000,
        // A key picture costs a live connection dear, and who joins asks for one.
        LatencyMode::Realtime => 100_000_000,
    }
}

/// Bits a second for `config`, its own or a default that grows with pixels a second to the power of 0.75: 720p at 30
/// frames a second gets 2.5 Mbit/s of H.264 or VP8, 1.75 Mbit/s of VP9 or HEVC, 1.5 Mbit/s of AV1.
pub fn bitrate(config: &VideoEncoderConfig) -> u64 {
    config.bitrate.unwrap_or_else(|| {
        let at_720p = match config.codec {
            VideoCodec::Avc(_) | VideoCodec::Vp8 => 2_500_000.0,
            VideoCodec::Vp9(_) | VideoCodec::Hevc(_) => 1_750_000.0,
            VideoCodec::Av1(_) => 1_500_000.0,
        };
        let rate = framerate(config).unwrap_or(DEFAULT_FRAMERATE);
        let share = config.size.area() as f64 * rate / (1280.0 * 720.0 * 30.0);
        (at_720p * share.powf(0.75)).max(10_000.0) as u64
    })
}

/// The configured frames a second, where that is a number that can be.
pub fn framerate(config: &VideoEncoderConfig) -> Option<f64> {
    config
        .framerate
        .filter(|rate| (0.001..=1_000.0).contains(rate))
}

/// Holds the average of a variable bit rate to the target, for libraries whose one-pass rate control does not: it
/// looks at what the pictures so far took, and asks for less or more by up to half.
#[derive(Clone, Debug)]
pub struct RateCorrection {
    /// Bits a second.
    target: f64,
    /// Bits that were spent above the target, or saved below it.
    debt: f64,
    /// The running time up to which the target is counted.
    until: i64,
    /// When the last correction was, and what it asked for.
    corrected: (i64, f64),
}

impl RateCorrection {
    /// The time in which a debt is paid back, in seconds.
    const HORIZON: f64 = 2.0;
    /// The time between two corrections, in microseconds.
    const PERIOD: i64 = 250_000;

    /// For a target in bits a second.
    pub fn new(target: u64) -> Self {
        let target = target as f64;
        Self {
            target,
            debt: 0.0,
            until: 0,
            corrected: (0, target),
        }
    }

    /// Counts a picture of `bytes`.
    pub fn spent(&mut self, bytes: usize) {
        self.debt += bytes as f64 * 8.0;
    }

    /// The bits a second to ask the library for before it gets the frame of `plan`, where that is to change.
    pub fn next(&mut self, plan: &FramePlan) -> Option<u64> {
        let seconds = (plan.time - self.until) as f64 / 1e6;
        self.until = plan.time;
        // What content did not need in the past is not owed to it for ever, nor the other way round.
        let most = self.target * Self::HORIZON;
        self.debt = (self.debt - self.target * seconds).clamp(-most, most);
        let (when, asked) = self.corrected;
        if plan.time - when < Self::PERIOD {
            return None;
        }
        let share = (self.debt / most).clamp(-0.5, 0.5);
        let ask = self.target * (1.0 - share);
        self.corrected = (plan.time, ask);
        ((ask - asked).abs() > 0.01 * self.target).then_some(ask as u64)
    }
}

/// What the library is told of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlan {
    /// Running time in microseconds: 0 for the first frame, then rising by the durations below. It is for rate control
    /// alone.
    pub time: i64,
    /// How long the frame is shown, in microseconds, 1,000 to 1,000,000: the step from the frame before, as long as
    /// timestamps make sense. What the frame says is taken of the first one, up to a tenth of a second, and where they do not.
    pub duration: u64,
    /// It must become a key picture.
    pub key: bool,
    /// Its temporal layer.
    pub layer: u8,
    /// Its quantizer on the registration's scale, in quantizer mode.
    pub quantizer: Option<u16>,
    /// The colour space that the stream is to say from this frame on, where that changes; such a frame is key.
    pub new_color_space: Option<ColorSpace>,
}

/// A frame that is in the library.
#[derive(Debug)]
struct Pending {
    time: i64,
    elapsed: i64,
    timestamp: i64,
    duration: Option<u64>,
    layer: u8,
    color_space: ColorSpace,
}

/// The last frame that was planned.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: i64,
    time: i64,
    /// Microseconds since the first frame, by the steps between frames alone.
    elapsed: i64,
    duration: u64,
    /// The duration, where nothing is known of the step to the next frame.
    step: u64,
}

/// The part of a video encoder that is the same for all libraries. [`plan`](Self::plan) before a frame is given to the
/// library, [`output`](Self::output) for each picture that comes out.
#[derive(Debug)]
pub struct EncodeSession {
    scalability: ScalabilityMode,
    max_quantizer: Option<u16>,
    quantizer: Option<u16>,
    key_interval: i64,
    last: Option<Last>,
    default_duration: u64,
    /// When the last key picture was, as [`Last::elapsed`].
    last_key: i64,
    /// Frames since the last key frame of a stream with layers.
    layer_index: u64,
    color_space: Option<ColorSpace>,
    pending: VecDeque<Pending>,
    decoder_config: VideoDecoderConfig,
    announced: Option<Arc<VideoDecoderConfig>>,
}

impl EncodeSession {
    /// A session for `config`. In quantizer mode quantizers are 0 to `max_quantizer`, and `first_quantizer` is that of
    /// frames before the first that names one.
    pub fn new(config: &VideoEncoderConfig, max_quantizer: u16, first_quantizer: u16) -> Self {
        let quantizers = config.bitrate_mode == VideoBitrateMode::Quantizer;
        let mut decoder_config = VideoDecoderConfig::new(config.codec);
        decoder_config.coded_size = Some(config.size);
        let duration = 1e6 / framerate(config).unwrap_or(DEFAULT_FRAMERATE);
        Self {
            scalability: config.scalability,
            max_quantizer: quantizers.then_some(max_quantizer),
            quantizer: quantizers.then_some(first_quantizer),
            key_interval: key_interval(config.latency_mode),
            last: None,
            default_duration: clamp_step(duration as i64),
            last_key: 0,
            layer_index: 0,
            color_space: None,
            pending: VecDeque::new(),
            decoder_config,
            announced: None,
        }
    }

    /// What the library is to be told of `frame`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a quantizer out of range. A quantizer outside
    /// quantizer mode is ignored.
    pub fn plan(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
    ) -> Result<FramePlan, MediaError> {
        if let (Some(max), Some(quantizer)) = (self.max_quantizer, options.quantizer) {
            if quantizer > max {
                return Err(MediaError::argument(format!(
                    "quantizer {quantizer}, expected 0 to {max}"
                )));
            }
            self.quantizer = Some(quantizer);
        }
        // The step from the frame before, where timestamps make sense.
        let step = self
            .last
            .map(|last| frame.timestamp.saturating_sub(last.timestamp))
            .filter(|step| step >= STEP.start())
            .map(clamp_step);
        let said = frame
            .duration
            .filter(|&d| i64::try_from(d).is_ok_and(|d| STEP.contains(&d)));
        // How long the frame will be shown nobody knows yet but who says so, and who says so is often wrong. The steps
        // before tell the rate: all are one frame late.
        let likely = step
            .or(said)
            .or(self.last.map(|last| last.step))
            .unwrap_or(self.default_duration);
        let duration = match self.last {
            None if said.is_some() => likely.min(FIRST_DURATION),
            _ => likely,
        };
        // Libraries take the time from the end of one frame to that of the next for the frame rate: there are no gaps.
        let (time, elapsed) = match self.last {
            None => (0, 0),
            Some(last) => (
                last.time.saturating_add_unsigned(last.duration),
                last.elapsed
                    .saturating_add_unsigned(step.unwrap_or(last.step)),
            ),
        };
        let new_color_space =
            (self.color_space != Some(frame.color_space)).then_some(frame.color_space);
        let key = self.last.is_none()
            || options.key_frame
            || new_color_space.is_some()
            || elapsed - self.last_key >= self.key_interval;
        if key {
            self.last_key = elapsed;
            self.layer_index = 0;
        }
        let layer = self.scalability.temporal_layer(self.layer_index);
        self.layer_index += 1;
        self.color_space = Some(frame.color_space);
        self.last = Some(Last {
            timestamp: frame.timestamp,
            time,
            elapsed,
            duration,
            step: likely,
        });
        self.pending.push_back(Pending {
            time,
            elapsed,
            timestamp: frame.timestamp,
            duration: frame.duration,
            layer,
            color_space: frame.color_space,
        });
        Ok(FramePlan {
            time,
            duration,
            key,
            layer,
            quantizer: self.quantizer,
            new_color_space,
        })
    }

    /// The coded picture of the frame that was planned for `time`. Frames before it that gave no picture are
    /// forgotten: the library dropped them.
    ///
    /// # Errors
    /// [`Backend`](crate::ErrorKind::Backend) when no frame of that time is in the library.
    pub fn output(
        &mut self,
        time: i64,
        key: bool,
        data: Bytes,
        description: Option<&Bytes>,
    ) -> Result<EncodedVideo, MediaError> {
        let index = self.pending.iter().position(|frame| frame.time == time);
        let Some(frame) = index.and_then(|index| self.pending.drain(..=index).next_back()) else {
            return Err(MediaError::backend(format!(
                "the library gave a picture of time {time}, which no frame has"
            )));
        };
        let mut layer = frame.layer;
        if key {
            self.last_key = self.last_key.max(frame.elapsed);
            if layer != 0 {
                // The library's own key picture, which starts the layers anew.
                layer = 0;
                self.layer_index = 1 + self.pending.len() as u64;
            }
        }
        Ok(EncodedVideo {
            chunk: EncodedChunk {
                kind: if key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp: frame.timestamp,
                duration: frame.duration,
                data,
                side: None,
            },
            decoder_config: self.announce(frame.color_space, description),
            temporal_layer: (self.scalability != ScalabilityMode::L1T1).then_some(layer),
        })
    }

    /// Frames whose pictures have not come yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The decoder's configuration, where it is not the last one that was given out.
    fn announce(
        &mut self,
        color_space: ColorSpace,
        description: Option<&Bytes>,
    ) -> Option<Arc<VideoDecoderConfig>> {
        let config = &mut self.decoder_config;
        config.color_space = color_space;
        if config.description.as_ref() != description {
            config.description = description.cloned();
        }
        if self.announced.as_deref() == Some(config) {
            return None;
        }
        let config = Arc::new(config.clone());
        self.announced = Some(config.clone());
        Some(config)
    }
}

fn clamp_step(step: i64) -> u64 {
    step.clamp(*STEP.start(), *STEP.end()).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::PixelFormat;
    use crate::frame::{CpuImage, Plane};
    use crate::geometry::Size;

    fn config() -> VideoEncoderConfig {
        VideoEncoderConfig::new(VideoCodec::Vp8, Size::new(16, 16))
    }

    fn frame(timestamp: i64, duration: Option<u64>) -> VideoFrame {
        let plane = |len: usize| Plane {
            data: Bytes::from(vec![0; len * len]),
            stride: len,
        };
        let planes = vec![plane(16), plane(8), plane(8)];
        let image = CpuImage::new(PixelFormat::I420, Size::new(16, 16), planes).unwrap();
        VideoFrame::from_cpu(image, timestamp, duration, ColorSpace::REC709)
    }

    fn times(config: &VideoEncoderConfig, frames: &[(i64, Option<u64>)]) -> Vec<(i64, u64)> {
        let mut session = EncodeSession::new(config, 63, 32);
        let plan = |&(timestamp, duration): &(i64, Option<u64>)| {
            let plan = session
                .plan(&frame(timestamp, duration), &EncodeOptions::default())
                .unwrap();
            (plan.time, plan.duration)
        };
        frames.iter().map(plan).collect()
    }

    #[test]
    fn running_time_follows_timestamps_that_make_sense() {
        let found = times(&config(), &[(500, None), (20_500, None), (60_500, None)]);
        assert_eq!(found, [(0, 33_333), (33_333, 20_000), (53_333, 40_000)]);
        let pause = times(&config(), &[(0, None), (9_000_000, None)]);
        assert_eq!(pause, [(0, 33_333), (33_333, 1_000_000)]);
    }

    #[test]
    fn durations_that_frames_say_do_not_outweigh_their_timestamps() {
        for said in [1_000, 33_333, 1_000_000] {
            let d = Some(said);
            let found = times(&config(), &[(0, d), (16_000, d), (48_000, d), (56_000, d)]);
            let durations: Vec<_> = found.iter().map(|found| found.1).collect();
            assert_eq!(durations[1..], [16_000, 32_000, 8_000], "{said}");
            let first = said.min(100_000);
            assert_eq!(durations[0], first, "nothing else is known of the first");
        }
        // Each says the step before its own.
        let stamps = [0, 45_000, 66_000, 111_000, 132_000];
        let behind = [21_000, 21_000, 45_000, 21_000, 45_000].map(Some);
        let frames: Vec<_> = stamps.into_iter().zip(behind).collect();
        let shown = times(&config(), &frames)
            .iter()
            .map(|found| found.1)
            .sum::<u64>();
        assert_eq!(shown, 132_000 + 21_000);
    }

    #[test]
    fn frames_end_as_far_apart_as_their_timestamps_are_whatever_they_say() {
        // 60 and 120 frames a second, where 30 is what is guessed, and a pause.
        for step in [16_667, 8_333] {
            let mut stamps: Vec<i64> = (0..20).map(|n| n * step).collect();
            stamps.extend((0..20).map(|n| 800_000 + n * step));
            for said in [None, Some(33_333), Some(1_000_000)] {
                let frames: Vec<_> = stamps.iter().map(|&t| (t, said)).collect();
                let found = times(&config(), &frames);
                let ends: Vec<i64> = found.iter().map(|&(t, d)| t + d as i64).collect();
                for (ends, stamps) in ends.windows(2).zip(stamps.windows(2)) {
                    assert_eq!(ends[1] - ends[0], stamps[1] - stamps[0]);
                }
            }
        }
    }

    #[test]
    fn running_time_rises_by_durations_where_timestamps_count_frames_or_go_back() {
        let d = Some(40_000);
        let found = times(
            &config(),
            &[(0, d), (1, d), (2, d), (-70_000, d), (i64::MIN, d)],
        );
        assert_eq!(
            found.iter().map(|t| t.0).collect::<Vec<_>>(),
            [0, 40_000, 80_000, 120_000, 160_000]
        );
        let mut with_rate = config();
        with_rate.framerate = Some(50.0);
        assert_eq!(
            times(&with_rate, &[(7, None), (7, None)])[1],
            (20_000, 20_000)
        );
        let huge = Some(u64::MAX);
        let found = times(&config(), &[(i64::MIN, huge), (i64::MAX, huge)]);
        assert_eq!(found[1], (33_333, 1_000_000));
    }

    #[test]
    fn layers_start_anew_at_each_key_frame() {
        let mut config = config();
        config.scalability = ScalabilityMode::L1T3;
        let mut session = EncodeSession::new(&config, 63, 32);
        let layers: Vec<_> = (0..8)
            .map(|n| {
                let options = EncodeOptions {
                    key_frame: n == 3,
                    quantizer: None,
                };
                let plan = session.plan(&frame(n * 40_000, None), &options).unwrap();
                assert_eq!(plan.key, n == 0 || n == 3);
                plan.layer
            })
            .collect();
        assert_eq!(layers, [0, 2, 1, 0, 2, 1, 2, 0]);
    }

    #[test]
    fn a_key_picture_of_the_librarys_own_starts_layers_anew() {
        let mut config = config();
        config.scalability = ScalabilityMode::L1T3;
        let mut session = EncodeSession::new(&config, 63, 32);
        let layers: Vec<_> = (0..8)
            .map(|n| {
                let none = EncodeOptions::default();
                let plan = session.plan(&frame(n * 40_000, None), &none).unwrap();
                let key = plan.key || n == 3;
                let out = session.output(plan.time, key, Bytes::new(), None);
                out.unwrap().temporal_layer.unwrap()
            })
            .collect();
        assert_eq!(layers, [0, 2, 1, 0, 2, 1, 2, 0]);
    }

    #[test]
    fn a_key_picture_falls_due_after_a_while_and_with_a_new_colour_space() {
        let mut session = EncodeSession::new(&config(), 63, 32);
        let mut keys = Vec::new();
        for n in 0..30 {
            let mut frame = frame(n * 500_000, None);
            if n >= 27 {
                frame.color_space = ColorSpace::default();
            }
            let plan = session.plan(&frame, &EncodeOptions::default()).unwrap();
            assert_eq!(plan.new_color_space.is_some(), n == 0 || n == 27);
            if plan.key {
                keys.push(n);
            }
        }
        assert_eq!(keys, [0, 20, 27]);
    }

    #[test]
    fn quantizers_last_until_the_next_and_are_checked() {
        let mut config = config();
        let with = |quantizer| EncodeOptions {
            key_frame: false,
            quantizer: Some(quantizer),
        };
        let mut session = EncodeSession::new(&config, 63, 32);
        let plan = session.plan(&frame(0, None), &with(99)).unwrap();
        assert_eq!(plan.quantizer, None, "not in quantizer mode");
        config.bitrate_mode = VideoBitrateMode::Quantizer;
        let mut session = EncodeSession::new(&config, 63, 32);
        let none = EncodeOptions::default();
        assert_eq!(
            session.plan(&frame(0, None), &none).unwrap().quantizer,
            Some(32)
        );
        assert_eq!(
            session.plan(&frame(1, None), &with(63)).unwrap().quantizer,
            Some(63)
        );
        assert_eq!(
            session.plan(&frame(2, None), &none).unwrap().quantizer,
            Some(63)
        );
        let error = session.plan(&frame(3, None), &with(64)).unwrap_err();
        assert_eq!(error.kind, crate::ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_rate_that_drifts_is_corrected_and_an_easy_stretch_is_forgotten() {
        let plan = |n: i64| FramePlan {
            time: n * 40_000,
            duration: 40_000,
            key: false,
            layer: 0,
            quantizer: None,
            new_color_space: None,
        };
        for (drift, lowest, highest) in [(1.0, 0.97, 1.03), (1.3, 0.97, 1.15), (0.8, 0.87, 1.03)] {
            let mut correction = RateCorrection::new(1_000_000);
            let mut asked = 1_000_000.0;
            let mut bytes = 0;
            for n in 0..125 {
                if let Some(ask) = correction.next(&plan(n)) {
                    asked = ask as f64;
                }
                let picture = (asked * drift * 0.04 / 8.0) as usize;
                correction.spent(picture);
                bytes += picture;
            }
            let found = bytes as f64 * 8.0 / 5e6;
            assert!((lowest..highest).contains(&found), "{drift}: {found}");
        }
        let mut correction = RateCorrection::new(1_000_000);
        let mut asked = Vec::new();
        for n in 0..1000 {
            asked.extend(correction.next(&plan(n)));
        }
        assert_eq!(asked.last(), Some(&1_500_000), "never more than half above");
        for n in 1000..1100 {
            correction.spent(8_000);
            asked.extend(correction.next(&plan(n)));
        }
        assert!(asked.last() < Some(&1_000_000), "{:?}", asked.last());
    }

    #[test]
    fn pictures_get_the_times_of_their_frames_and_the_configuration_once() {
        let mut session = EncodeSession::new(&config(), 63, 32);
        let none = EncodeOptions::default();
        let first = session.plan(&frame(-5, Some(7)), &none).unwrap();
        let dropped = session.plan(&frame(40_000, None), &none).unwrap();
        let third = session.plan(&frame(80_000, None), &none).unwrap();
        let out = session
            .output(first.time, true, Bytes::new(), None)
            .unwrap();
        assert_eq!((out.chunk.timestamp, out.chunk.duration), (-5, Some(7)));
        let config = out.decoder_config.expect("with the first picture");
        assert_eq!(config.color_space, ColorSpace::REC709);
        let out = session
            .output(third.time, false, Bytes::new(), None)
            .unwrap();
        assert_eq!(out.chunk.timestamp, 80_000);
        assert!(out.decoder_config.is_none());
        assert!(
            session
                .output(dropped.time, false, Bytes::new(), None)
                .is_err()
        );
    }

    #[test]
    fn default_bit_rates_grow_with_the_picture() {
        let of = |codec: &str, width, height| {
            let codec = VideoCodec::parse(codec).unwrap();
            bitrate(&VideoEncoderConfig::new(codec, Size::new(width, height)))
        };
        assert_eq!(of("vp8", 1280, 720), 2_500_000);
        assert_eq!(of("av01.0.04M.08", 1280, 720), 1_500_000);
        assert!(of("vp8", 1920, 1080) > 4_000_000);
        assert_eq!(of("vp8", 1, 1), 10_000);
    }
}
