//! HEVC over libx265: bits, quantizers and frame rates that the level of the codec string does not hold, and frames
//! that come at uneven steps.

use bytes::Bytes;
use reelcore_codec_ffmpeg::{Ffmpeg, FfmpegEncoder, available};
use reelcore_conformance::encoding::{
    bits_a_second, chunks, encode_all, encoder_context, scene_frames,
};
use reelcore_conformance::video::{context, decode_all};
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, LatencyMode, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::hevc::{HvcC, Nal, NalType, Sps, Vps};
use reelcore_media::{
    ChunkKind, ColorSpace, CpuImage, ErrorKind, PixelFormat, Plane, Size, VideoCodec,
    VideoDecoderBackend, VideoEncoderBackend, VideoFrame,
};

const STEP: i64 = 40_000;
const MAIN: &str = "hvc1.1.6.L93.B0";

fn config(codec: &str, size: Size) -> VideoEncoderConfig {
    assert!(available(), "install libavcodec-dev: ./x setup does");
    let codec = VideoCodec::parse(codec).expect("a codec string");
    let mut config = VideoEncoderConfig::new(codec, size);
    config.framerate = Some(25.0);
    config.latency_mode = LatencyMode::Realtime;
    config
}

fn encode(
    config: &VideoEncoderConfig,
    frames: &[VideoFrame],
    options: EncodeOptions,
) -> Vec<EncodedVideo> {
    let mut encoder = FfmpegEncoder
        .start(config, &encoder_context(2))
        .unwrap_or_else(|error| panic!("{config:?}: {error}"));
    encode_all(&mut *encoder, frames, |_| options)
}

/// Frames in which every sample is random.
fn noise(size: Size, count: i64) -> Vec<VideoFrame> {
    let mut seed = 1u32;
    let mut plane = |width: u32, height: u32| Plane {
        data: (0..width * height)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                64 + (seed >> 25) as u8
            })
            .collect::<Bytes>(),
        stride: width as usize,
    };
    (0..count)
        .map(|n| {
            let (width, height) = (size.width, size.height);
            let planes = vec![
                plane(width, height),
                plane(width / 2, height / 2),
                plane(width / 2, height / 2),
            ];
            let image = CpuImage::new(PixelFormat::I420, size, planes).expect("a picture");
            VideoFrame::from_cpu(image, n * STEP, None, ColorSpace::REC709)
        })
        .collect()
}

fn bytes(pictures: &[EncodedVideo]) -> Vec<usize> {
    pictures.iter().map(|p| p.chunk.data.len()).collect()
}

fn keys(pictures: &[EncodedVideo]) -> Vec<usize> {
    let key = |n: &usize| pictures[*n].chunk.kind == ChunkKind::Key;
    (0..pictures.len()).filter(key).collect()
}

/// Level and tier, which the record and both of its parameter sets must say alike.
fn level(picture: &EncodedVideo) -> (u8, bool) {
    let config = picture.decoder_config.as_ref().expect("a configuration");
    let record = HvcC::parse(config.description.as_ref().expect("an hvcC")).expect("an hvcC");
    let set = |nal_type| record.units(nal_type).next().expect("a set").to_vec();
    let (vps, sps) = (set(NalType::VPS), set(NalType::SPS));
    let vps = Vps::parse(&Nal::new(0, &vps).unwrap()).expect("a VPS");
    let sps = Sps::parse(&Nal::new(0, &sps).unwrap()).expect("an SPS");
    assert_eq!(record.profile, sps.profile);
    assert_eq!(record.profile, vps.profile);
    (sps.profile.level, sps.profile.high_tier)
}

#[test]
fn the_level_takes_no_bits_from_a_quantizer_and_is_stated_as_it_was_asked_for() {
    let size = Size::new(640, 480);
    let frames = noise(size, 6);
    let with = |codec, quantizer| {
        let mut config = config(codec, size);
        config.bitrate_mode = VideoBitrateMode::Quantizer;
        let options = EncodeOptions {
            key_frame: false,
            quantizer: Some(quantizer),
        };
        encode(&config, &frames, options)
    };
    let mut before = f64::INFINITY;
    for quantizer in [5, 10, 20, 30, 40] {
        let pictures = with(MAIN, quantizer);
        assert_eq!(level(&pictures[0]), (93, false));
        let first = pictures[0].decoder_config.as_ref().expect("with a key");
        let mut decoder = Ffmpeg::new().start(first, &context(1)).expect("starts");
        assert_eq!(decode_all(&mut *decoder, &chunks(&pictures)).len(), 6);
        let sizes = bytes(&pictures);
        let total: usize = sizes.iter().sum();
        println!("{quantizer}: {total} bytes");
        let bits = total as f64 * 8.0;
        assert!(bits < 0.9 * before, "{quantizer}: {bits} of {before}");
        before = bits;
        if quantizer == 10 {
            // A full buffer of the level, and what flows into it meanwhile at 10 Mbit/s.
            let held = 10e6 + 10e6 * 6.0 * 0.04;
            assert!(bits > 1.2 * held, "the level would hold it");
            let higher = with("hvc1.1.6.H150.B0", quantizer);
            assert_eq!(level(&higher[0]), (150, true));
            assert_eq!(bytes(&higher), sizes);
        }
    }
}

#[test]
fn a_bit_rate_above_the_level_is_reached_in_a_stream_of_a_higher_one() {
    let size = Size::new(320, 240);
    let frames = noise(size, 75);
    for (bitrate_mode, most) in [
        (VideoBitrateMode::Constant, 1.25),
        // x265 takes some seconds to find the quantizer of noise.
        (VideoBitrateMode::Variable, 1.6),
    ] {
        for (codec, bitrate, want) in [
            ("hvc1.1.6.L60.B0", 1_500_000, 60),
            ("hvc1.1.6.L60.B0", 5_000_000, 90),
        ] {
            let mut config = config(codec, size);
            config.bitrate_mode = bitrate_mode;
            config.bitrate = Some(bitrate);
            let pictures = encode(&config, &frames, EncodeOptions::default());
            assert_eq!(level(&pictures[0]), (want, false));
            let found = bits_a_second(&pictures, 3.0) / bitrate as f64;
            println!("{bitrate_mode:?} {bitrate}: {found:.2}");
            assert!(
                (0.8..most).contains(&found),
                "{bitrate_mode:?} {bitrate}: {found}"
            );
        }
    }
}

#[test]
fn a_frame_rate_above_the_level_raises_the_level_instead_of_failing() {
    // 108 frames a second at level 3.1.
    let size = Size::new(640, 480);
    let frames = noise(size, 3);
    for mode in [VideoBitrateMode::Variable, VideoBitrateMode::Quantizer] {
        for (codec, framerate, want) in [
            (MAIN, None, (93, false)),
            (MAIN, Some(108.0), (93, false)),
            (MAIN, Some(120.0), (120, false)),
            // Level 3.1 has no high tier, and 4 has; x265 states the main one where that has the bits.
            ("hvc1.1.6.H93.B0", Some(108.0), (93, false)),
            (
                "hvc1.1.6.H93.B0",
                Some(120.0),
                (120, mode == VideoBitrateMode::Quantizer),
            ),
        ] {
            let mut config = config(codec, size);
            (config.framerate, config.bitrate_mode) = (framerate, mode);
            let pictures = encode(&config, &frames, EncodeOptions::default());
            assert_eq!(level(&pictures[0]), want, "{codec} {mode:?} {framerate:?}");
        }
    }
}

#[test]
fn bits_that_no_level_holds_are_refused_and_small_pictures_where_only_large_blocks_may() {
    let mut config = config(MAIN, Size::new(640, 480));
    config.bitrate = Some(240_000_000);
    FfmpegEncoder.check(&config).expect("level 6.2");
    config.bitrate = Some(240_000_001);
    let error = FfmpegEncoder.check(&config).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("240000000"), "{error}");
    assert!(FfmpegEncoder.start(&config, &encoder_context(1)).is_err());
    config.size = Size::new(16, 16);
    config.bitrate = Some(20_000_000);
    let frames = scene_frames(PixelFormat::I420, config.size, 2, STEP);
    let pictures = encode(&config, &frames, EncodeOptions::default());
    assert_eq!(level(&pictures[0]), (123, false));
    config.bitrate = Some(20_000_001);
    let error = FfmpegEncoder.check(&config).unwrap_err();
    assert!(error.message.contains("32x32"), "{error}");
}

#[test]
fn frames_that_come_faster_than_the_level_allows_do_not_end_the_encoder() {
    for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
        // 56.9 frames a second at level 2.1.
        let mut config = config("hvc1.1.6.L63.B0", Size::new(480, 270));
        config.bitrate_mode = bitrate_mode;
        config.framerate = None;
        let frames = scene_frames(PixelFormat::I420, config.size, 20, 8_333);
        let pictures = encode(&config, &frames, EncodeOptions::default());
        assert_eq!(keys(&pictures), [0, 8]);
        assert_eq!(level(&pictures[0]), (63, false));
        assert_eq!(level(&pictures[8]), (90, false));
        // 15 at level 1, which is what is guessed of it then.
        config.codec = VideoCodec::parse("hvc1.1.6.L30.B0").expect("a codec string");
        config.size = Size::new(192, 192);
        let frames = scene_frames(PixelFormat::I420, config.size, 20, 66_667);
        let pictures = encode(&config, &frames, EncodeOptions::default());
        assert_eq!(keys(&pictures), [0]);
        assert_eq!(level(&pictures[0]), (30, false));
    }
}

#[test]
fn frames_at_uneven_steps_keep_the_bit_rate_and_get_no_key_picture() {
    let size = Size::new(320, 180);
    for (framerate, pattern) in [
        (30.0, &[20_000, 46_667][..]),
        (30.0, &[46_667, 20_000]),
        (40.0, &[16_667, 33_333]),
        (45.0, &[16_667, 16_667, 33_333]),
    ] {
        for with_durations in [false, true] {
            for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
                let mut config = config(MAIN, size);
                config.framerate = Some(framerate);
                config.bitrate_mode = bitrate_mode;
                config.bitrate = Some(400_000);
                let count = (5.0 * framerate) as u32;
                let mut frames = scene_frames(PixelFormat::I420, size, count, 0);
                let mut time = 0;
                for (frame, step) in frames.iter_mut().zip(pattern.iter().cycle()) {
                    frame.timestamp = time;
                    frame.duration = with_durations.then_some(*step as u64);
                    time += step;
                }
                let pictures = encode(&config, &frames, EncodeOptions::default());
                let found = bits_a_second(&pictures, 5.0);
                let name = format!("{framerate} {pattern:?} {with_durations} {bitrate_mode:?}");
                println!("{name}: {found:.0}");
                assert_eq!(keys(&pictures), [0], "{name}");
                assert!(
                    (340_000.0..460_000.0).contains(&found),
                    "{name}: {found} bit/s"
                );
            }
        }
    }
}
