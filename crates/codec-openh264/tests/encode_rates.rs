//! The bit rate that OpenH264 is asked for, and what comes out.

#[path = "common/encoding.rs"]
mod common;

use common::*;
use reelcore_codec_openh264::OpenH264Encoder;
use reelcore_conformance::encoding::{
    bits_a_second, frames_of_wrong_durations, scene_frame, scene_frames, worst_psnr,
};
use reelcore_media::encoder::{
    ContentHint, LatencyMode, ScalabilityMode, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::{Size, VideoEncoderBackend, VideoFrame};

/// Five seconds at 25 frames a second of a target that the scene can fill.
fn rate(framerate: Option<f64>, change: impl Fn(&mut VideoEncoderConfig)) -> f64 {
    let size = Size::new(320, 180);
    let mut config = config("avc1.64001f", size);
    config.bitrate = Some(500_000);
    config.framerate = framerate;
    change(&mut config);
    let frames = scene_frames(I420, size, 125, STEP);
    bits_a_second(&encode(&config, &frames), 5.0)
}

#[test]
fn the_bit_rate_is_held_over_five_seconds_whatever_the_frame_rate_is_said_to_be() {
    for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
        for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
            for (framerate, scalability, content_hint) in [
                (None, ScalabilityMode::L1T1, ContentHint::None),
                (Some(25.0), ScalabilityMode::L1T1, ContentHint::None),
                (Some(60.0), ScalabilityMode::L1T1, ContentHint::None),
                (Some(25.0), ScalabilityMode::L1T2, ContentHint::None),
                (Some(25.0), ScalabilityMode::L1T3, ContentHint::None),
                (Some(25.0), ScalabilityMode::L1T1, ContentHint::Text),
            ] {
                let found = rate(framerate, |config| {
                    config.latency_mode = latency_mode;
                    config.bitrate_mode = bitrate_mode;
                    config.scalability = scalability;
                    config.content_hint = content_hint;
                });
                let name = format!(
                    "{latency_mode:?} {bitrate_mode:?} {framerate:?} {scalability:?} {content_hint:?}"
                );
                println!("{name}: {found:.0}");
                assert!(
                    (425_000.0..575_000.0).contains(&found),
                    "{name}: {found} bit/s"
                );
            }
        }
    }
}

#[test]
fn the_bit_rate_is_held_at_more_frames_a_second_than_openh264_takes() {
    for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
        for (step, said) in [
            (8_333, Some(120.0)),
            (8_333, None),
            (4_167, Some(240.0)),
            (11_111, Some(90.0)),
        ] {
            let size = Size::new(256, 144);
            let mut config = config("avc1.640028", size);
            config.bitrate = Some(500_000);
            config.bitrate_mode = bitrate_mode;
            config.framerate = said;
            let frames = scene_frames(I420, size, (4_000_000 / step) as u32, step);
            let found = bits_a_second(&encode(&config, &frames), 4.0);
            assert!(
                (425_000.0..575_000.0).contains(&found),
                "{bitrate_mode:?} {step} us: {found} bit/s"
            );
        }
    }
}

/// What frames say of their durations is often wrong: rate control goes by their timestamps.
#[test]
fn wrong_durations_do_not_move_the_bit_rate() {
    let size = Size::new(256, 144);
    for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
        for (name, frames) in frames_of_wrong_durations(I420, size) {
            let mut config = config("avc1.64001f", size);
            config.bitrate = Some(300_000);
            config.bitrate_mode = bitrate_mode;
            config.latency_mode = LatencyMode::Realtime;
            let found = bits_a_second(&encode(&config, &frames), 5.0);
            println!("{bitrate_mode:?} {name}: {found:.0}");
            assert!(
                (255_000.0..345_000.0).contains(&found),
                "{bitrate_mode:?} {name}: {found} bit/s"
            );
        }
    }
}

#[test]
fn timestamps_that_count_frames_do_not_starve_the_pictures() {
    let mut config = config("avc1.42001e", SIZE);
    config.bitrate = Some(1_000_000);
    config.bitrate_mode = VideoBitrateMode::Constant;
    let frames: Vec<_> = (0..16)
        .map(|n| scene_frame(I420, SIZE, n, i64::from(n)))
        .collect();
    let (worst, ..) = worst_psnr(&frames, &decode(&encode(&config, &frames)));
    assert!(worst > 29.0, "{worst} dB");
}

#[test]
fn a_bit_rate_above_the_level_raises_the_level_instead_of_failing() {
    let size = Size::new(128, 96);
    for (codec, bitrate, level) in [
        // Without one, the default keeps within the level.
        ("avc1.42000a", None, 10),
        ("avc1.42000a", Some(76_800), 10),
        ("avc1.42000a", Some(76_801), 11),
        ("avc1.4d001f", Some(16_800_000), 31),
        ("avc1.4d001f", Some(20_000_000), 32),
        ("avc1.640028", Some(25_000_000), 41),
        ("avc1.640028", Some(1_000_000_000), 52),
        ("avc1.640034", Some(u64::MAX), 52),
        ("avc1.640028", Some(1), 40),
    ] {
        for mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
            let mut config = config(codec, size);
            (config.bitrate, config.bitrate_mode) = (bitrate, mode);
            assert!(OpenH264Encoder.check(&config).is_ok());
            let frames = scene_frames(I420, size, 3, STEP);
            let pictures = encode(&config, &frames);
            check_chunks(&config, &frames, &pictures);
            assert_eq!(
                sps(&config, &pictures[0]).level,
                level,
                "{codec} {bitrate:?}"
            );
        }
    }
}

/// A still picture takes few bits, so rate control is asked for half as many again as the target.
#[test]
fn a_bit_rate_just_below_that_of_the_level_does_not_fail_when_it_is_corrected() {
    let size = Size::new(128, 96);
    for (codec, bitrate, level) in [
        ("avc1.42000a", 70_000, 10),
        ("avc1.42000a", 220_000, 11),
        ("avc1.640034", 288_000_000, 52),
        ("avc1.640034", 1_000_000_000, 52),
    ] {
        let mut config = config(codec, size);
        config.bitrate = Some(bitrate);
        let still = scene_frame(I420, size, 0, 0);
        let frames: Vec<VideoFrame> = (0..50)
            .map(|n| VideoFrame {
                timestamp: n * STEP,
                ..still.clone()
            })
            .collect();
        let pictures = encode(&config, &frames);
        assert_eq!(pictures.len(), frames.len());
        assert_eq!(sps(&config, &pictures[0]).level, level);
    }
}
