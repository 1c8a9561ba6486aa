//! Encode with libvpx, decode with this crate's decoder.

use std::collections::HashSet;

use reelcore_codec_vpx::{Vpx, VpxEncoder};
use reelcore_conformance::encoding::{
    self, bits_a_second, chunks, encode_all, encoder_context, ffmpeg_checksums,
    frames_of_wrong_durations, ivf, scene_frame, scene_frames, worst_psnr,
};
use reelcore_conformance::video::{checksums, context, decode_all};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::encoder::{
    ContentHint, EncodeOptions, EncodedVideo, LatencyMode, ScalabilityMode, VideoBitrateMode,
    VideoEncoderConfig,
};
use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};
use reelcore_media::{
    ChunkKind, ColorSpace, EncodedChunk, ErrorKind, PixelFormat, Size, VideoCodec,
    VideoDecoderBackend, VideoDecoderConfig, VideoEncoderBackend, VideoFrame,
};

const SIZE: Size = Size::new(176, 98);
const STEP: i64 = 40_000;

fn config(codec: &str, size: Size) -> VideoEncoderConfig {
    VideoEncoderConfig::new(VideoCodec::parse(codec).expect("a codec string"), size)
}

fn no_options(_: usize) -> EncodeOptions {
    EncodeOptions::default()
}

fn encode(config: &VideoEncoderConfig, frames: &[VideoFrame]) -> Vec<EncodedVideo> {
    encode_with(config, frames, no_options)
}

fn encode_with(
    config: &VideoEncoderConfig,
    frames: &[VideoFrame],
    options: impl Fn(usize) -> EncodeOptions,
) -> Vec<EncodedVideo> {
    let mut encoder = VpxEncoder
        .start(config, &encoder_context(2))
        .unwrap_or_else(|error| panic!("{config:?}: {error}"));
    encode_all(&mut *encoder, frames, options)
}

fn decode(codec: VideoCodec, chunks: &[EncodedChunk]) -> Vec<VideoFrame> {
    let config = VideoDecoderConfig::new(codec);
    let mut decoder = Vpx.start(&config, &context(1)).expect("starts");
    decode_all(&mut *decoder, chunks)
}

/// Whether the chunk holds a key picture, by its bits.
fn is_key(codec: &VideoCodec, data: &[u8]) -> bool {
    if *codec == VideoCodec::Vp8 {
        return Vp8FrameHeader::parse(data).unwrap().key.is_some();
    }
    let frames = Superframe::parse(data).unwrap();
    let kinds = frames
        .frames()
        .iter()
        .map(|frame| Vp9FrameHeader::parse(&data[frame.clone()]).unwrap().kind);
    kinds.into_iter().any(|kind| kind == Vp9FrameKind::Key)
}

fn check_chunks(config: &VideoEncoderConfig, frames: &[VideoFrame], pictures: &[EncodedVideo]) {
    encoding::check_chunks(config, frames, pictures, |data| is_key(&config.codec, data));
}

#[test]
fn every_format_and_mode_decodes_to_what_went_in() {
    let streams = [
        ("vp8", PixelFormat::I420),
        ("vp09.00.10.08", PixelFormat::I420),
        ("vp09.01.10.08.02", PixelFormat::I422),
        ("vp09.01.10.08.03", PixelFormat::I444),
        ("vp09.02.10.10", PixelFormat::I420P10),
        ("vp09.02.10.12", PixelFormat::I420P12),
        ("vp09.03.10.10.02", PixelFormat::I422P10),
        ("vp09.03.10.10.03", PixelFormat::I444P10),
        ("vp09.03.10.12.02", PixelFormat::I422P12),
        ("vp09.03.10.12.03", PixelFormat::I444P12),
    ];
    for (codec, format) in streams {
        let frames = scene_frames(format, SIZE, 12, STEP);
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
                let mut config = config(codec, SIZE);
                config.latency_mode = latency_mode;
                config.bitrate_mode = bitrate_mode;
                config.bitrate = Some(600_000);
                assert_eq!(VpxEncoder.input_format(&config), format);
                let pictures = encode(&config, &frames);
                check_chunks(&config, &frames, &pictures);
                let decoded = decode(config.codec, &chunks(&pictures));
                let (worst, frame, plane) = worst_psnr(&frames, &decoded);
                println!("{codec} {latency_mode:?} {bitrate_mode:?}: {worst:.1} dB");
                assert!(
                    worst > 29.0,
                    "{codec} {latency_mode:?} {bitrate_mode:?}: {worst} dB in plane {plane} of frame {frame}"
                );
            }
        }
    }
}

#[test]
fn ffmpeg_decodes_the_same_pictures() {
    for (codec, fourcc, pix_fmt) in [
        ("vp8", b"VP80", "yuv420p"),
        ("vp09.00.10.08", b"VP90", "yuv420p"),
        ("vp09.03.10.10.03", b"VP90", "yuv444p10le"),
    ] {
        let mut config = config(codec, SIZE);
        config.scalability = ScalabilityMode::L1T3;
        let frames = scene_frames(VpxEncoder.input_format(&config), SIZE, 9, STEP);
        let pictures = encode(&config, &frames);
        let ours = checksums(&decode(config.codec, &chunks(&pictures)));
        let theirs = ffmpeg_checksums(&ivf(fourcc, SIZE, &pictures), "ivf", pix_fmt);
        assert_eq!(
            theirs.expect("the ffmpeg command (apt-get install ffmpeg)"),
            ours
        );
    }
}

#[test]
fn odd_and_tiny_sizes_are_encoded() {
    for codec in ["vp8", "vp09.00.10.08", "vp09.03.10.10.03"] {
        for size in [(1, 1), (2, 17), (65, 33), (161, 99)] {
            let size = Size::new(size.0, size.1);
            let mut config = config(codec, size);
            config.bitrate = Some(1_000_000);
            for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
                config.latency_mode = latency_mode;
                let frames = scene_frames(VpxEncoder.input_format(&config), size, 3, STEP);
                let pictures = encode(&config, &frames);
                check_chunks(&config, &frames, &pictures);
                let decoded = decode(config.codec, &chunks(&pictures));
                let (worst, ..) = worst_psnr(&frames, &decoded);
                assert!(worst > 28.0, "{codec} {size:?}: {worst} dB");
            }
        }
    }
}

/// Five seconds at 25 frames a second of a target that the scene can fill.
fn rate(codec: &str, framerate: Option<f64>, change: impl Fn(&mut VideoEncoderConfig)) -> f64 {
    let mut config = config(codec, Size::new(256, 144));
    config.bitrate = Some(300_000);
    config.framerate = framerate;
    change(&mut config);
    let format = VpxEncoder.input_format(&config);
    let frames = scene_frames(format, config.size, 125, STEP);
    bits_a_second(&encode(&config, &frames), 5.0)
}

#[test]
fn the_bit_rate_is_held_over_five_seconds_whatever_the_frame_rate_is_said_to_be() {
    for codec in ["vp8", "vp09.00.10.08", "vp09.02.10.10"] {
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
                for framerate in [None, Some(60.0)] {
                    if codec == "vp09.02.10.10" && framerate.is_none() {
                        continue;
                    }
                    let found = rate(codec, framerate, |config| {
                        config.latency_mode = latency_mode;
                        config.bitrate_mode = bitrate_mode;
                    });
                    println!("{codec} {latency_mode:?} {bitrate_mode:?} {framerate:?}: {found:.0}");
                    assert!(
                        (255_000.0..345_000.0).contains(&found),
                        "{codec} {latency_mode:?} {bitrate_mode:?} {framerate:?}: {found} bit/s"
                    );
                }
            }
        }
    }
}

/// What frames say of their durations is often wrong: rate control goes by their timestamps.
#[test]
fn wrong_durations_do_not_move_the_bit_rate() {
    let size = Size::new(256, 144);
    let modes = [VideoBitrateMode::Constant, VideoBitrateMode::Variable];
    let streams = ["vp8", "vp09.00.10.08"].map(|codec| modes.map(|mode| (codec, mode)));
    for (codec, bitrate_mode) in streams.into_iter().flatten() {
        for (name, frames) in frames_of_wrong_durations(PixelFormat::I420, size) {
            let mut config = config(codec, size);
            config.bitrate = Some(300_000);
            config.bitrate_mode = bitrate_mode;
            config.latency_mode = LatencyMode::Realtime;
            let found = bits_a_second(&encode(&config, &frames), 5.0);
            println!("{codec} {bitrate_mode:?} {name}: {found:.0}");
            assert!(
                (255_000.0..345_000.0).contains(&found),
                "{codec} {bitrate_mode:?} {name}: {found} bit/s"
            );
        }
    }
}

#[test]
fn layers_hold_the_bit_rate_too() {
    for codec in ["vp8", "vp09.00.10.08"] {
        for scalability in [ScalabilityMode::L1T2, ScalabilityMode::L1T3] {
            for size in [Size::new(256, 144), Size::new(257, 145)] {
                let found = rate(codec, Some(25.0), |config| {
                    config.size = size;
                    config.scalability = scalability;
                    config.latency_mode = LatencyMode::Realtime;
                    config.bitrate_mode = VideoBitrateMode::Constant;
                });
                println!("{codec} {scalability:?} {size:?}: {found:.0}");
                assert!(
                    (255_000.0..345_000.0).contains(&found),
                    "{codec} {scalability:?} {size:?}: {found} bit/s"
                );
            }
        }
    }
}

/// libvpx's own lines go past what the test harness catches, so that this is seen from outside of the process.
#[test]
fn layers_of_an_odd_size_do_not_make_libvpx_write_to_stdout() {
    const INSIDE: &str = "REELCORE_TEST_ODD_LAYERS";
    if std::env::var_os(INSIDE).is_some() {
        for (width, height) in [(85, 49), (86, 49), (85, 48), (1, 1)] {
            for scalability in [ScalabilityMode::L1T2, ScalabilityMode::L1T3] {
                let mut config = config("vp09.00.10.08", Size::new(width, height));
                config.scalability = scalability;
                let frames = scene_frames(PixelFormat::I420, config.size, 5, STEP);
                let pictures = encode(&config, &frames);
                check_chunks(&config, &frames, &pictures);
                let decoded = decode(config.codec, &chunks(&pictures));
                assert_eq!(decoded.len(), frames.len());
            }
        }
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "layers_of_an_odd_size_do_not_make_libvpx_write_to_stdout",
        ])
        .env(INSIDE, "1")
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    assert!(!text.contains("Warning"), "{text}");
}

#[test]
fn a_stream_without_its_upper_layers_decodes_to_the_same_pictures() {
    for codec in ["vp8", "vp09.00.10.08", "vp09.03.10.10.03"] {
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            for scalability in [ScalabilityMode::L1T2, ScalabilityMode::L1T3] {
                let mut config = config(codec, SIZE);
                config.bitrate = Some(1_000_000);
                config.latency_mode = latency_mode;
                config.scalability = scalability;
                let frames = scene_frames(VpxEncoder.input_format(&config), SIZE, 26, STEP);
                let pictures = encode_with(&config, &frames, |n| EncodeOptions {
                    key_frame: n == 11,
                    quantizer: None,
                });
                check_chunks(&config, &frames, &pictures);
                let expected = |n: u64| scalability.temporal_layer(if n < 11 { n } else { n - 11 });
                for (index, picture) in pictures.iter().enumerate() {
                    assert_eq!(picture.temporal_layer, Some(expected(index as u64)));
                    let key = picture.chunk.kind == ChunkKind::Key;
                    assert_eq!(key, index == 0 || index == 11, "{codec} {index}");
                }
                let whole = decode(config.codec, &chunks(&pictures));
                let (worst, ..) = worst_psnr(&frames, &whole);
                assert!(worst > 28.0, "{codec} {scalability:?}: {worst} dB");
                for highest in 0..scalability.temporal_layers() as u8 - 1 {
                    let kept = |p: &&EncodedVideo| p.temporal_layer <= Some(highest);
                    let base: Vec<_> = pictures.iter().filter(kept).cloned().collect();
                    let found = checksums(&decode(config.codec, &chunks(&base)));
                    let times: HashSet<i64> = base.iter().map(|p| p.chunk.timestamp).collect();
                    let whole: Vec<_> = whole
                        .iter()
                        .filter(|frame| times.contains(&frame.timestamp))
                        .cloned()
                        .collect();
                    assert_eq!(
                        found,
                        checksums(&whole),
                        "{codec} {latency_mode:?} {scalability:?} up to layer {highest}"
                    );
                }
            }
        }
    }
}

#[test]
fn key_pictures_come_where_they_are_asked_for() {
    for codec in ["vp8", "vp09.00.10.08", "vp09.03.10.12.03"] {
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            let mut config = config(codec, SIZE);
            config.latency_mode = latency_mode;
            config.bitrate = Some(600_000);
            let frames = scene_frames(VpxEncoder.input_format(&config), SIZE, 12, STEP);
            let pictures = encode_with(&config, &frames, |n| EncodeOptions {
                key_frame: n % 5 == 0,
                quantizer: None,
            });
            check_chunks(&config, &frames, &pictures);
            let keys = |p: &EncodedVideo| p.chunk.kind == ChunkKind::Key;
            let keys: Vec<bool> = pictures.iter().map(keys).collect();
            let expected: Vec<bool> = (0..12).map(|n| n % 5 == 0).collect();
            assert_eq!(keys, expected, "{codec}");
            // Each starts a stream of its own.
            let tail = decode(config.codec, &chunks(&pictures[10..]));
            let (worst, ..) = worst_psnr(&frames[10..], &tail);
            assert!(worst > 29.0, "{codec}: {worst} dB");
        }
    }
}

#[test]
fn key_pictures_come_by_themselves_after_a_while() {
    for codec in ["vp8", "vp09.00.10.08"] {
        let config = config(codec, Size::new(32, 32));
        let frames = scene_frames(PixelFormat::I420, Size::new(32, 32), 25, 500_000);
        let pictures = encode(&config, &frames);
        check_chunks(&config, &frames, &pictures);
        // libvpx may find reasons for a key picture before.
        let keys: Vec<_> = (0..25)
            .filter(|&n: &usize| pictures[n].chunk.kind == ChunkKind::Key)
            .collect();
        let mut gaps = keys.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            keys.len() > 1 && gaps.all(|gap| gap <= 20),
            "{codec} {keys:?}"
        );
    }
}

#[test]
fn times_are_given_back_whatever_they_are() {
    for codec in ["vp8", "vp09.00.10.08"] {
        let config = config(codec, SIZE);
        let times = [
            (i64::MIN, Some(u64::MAX)),
            (-3, None),
            (-3, Some(0)),
            (-2, Some(1)),
            (5_000_000_000, Some(33_333)),
            (7, Some(20_000)),
            (i64::MAX, None),
        ];
        let frames: Vec<_> = (0..)
            .zip(times)
            .map(|(index, (timestamp, duration))| {
                let mut frame = scene_frame(PixelFormat::I420, SIZE, index, timestamp);
                frame.duration = duration;
                frame
            })
            .collect();
        check_chunks(&config, &frames, &encode(&config, &frames));
    }
}

#[test]
fn timestamps_that_count_frames_do_not_starve_the_pictures() {
    for codec in ["vp8", "vp09.00.10.08"] {
        let mut config = config(codec, SIZE);
        config.bitrate = Some(1_000_000);
        config.bitrate_mode = VideoBitrateMode::Constant;
        let frames: Vec<_> = (0..16)
            .map(|n| scene_frame(PixelFormat::I420, SIZE, n, i64::from(n)))
            .collect();
        let pictures = encode(&config, &frames);
        let (worst, ..) = worst_psnr(&frames, &decode(config.codec, &chunks(&pictures)));
        assert!(worst > 30.0, "{codec}: {worst} dB");
    }
}

fn sizes_by_quantizer(config: &VideoEncoderConfig, quantizers: &[u16]) -> Vec<(usize, f64)> {
    let frames = scene_frames(VpxEncoder.input_format(config), SIZE, 4, STEP);
    let sizes = quantizers.iter().map(|&quantizer| {
        let pictures = encode_with(config, &frames, |_| EncodeOptions {
            key_frame: false,
            quantizer: Some(quantizer),
        });
        check_chunks(config, &frames, &pictures);
        let decoded = decode(config.codec, &chunks(&pictures));
        let bytes = pictures.iter().map(|p| p.chunk.data.len()).sum();
        (bytes, worst_psnr(&frames, &decoded).0)
    });
    sizes.collect()
}

#[test]
fn a_higher_quantizer_gives_fewer_bytes_and_a_worse_picture() {
    for codec in [
        "vp09.00.10.08",
        "vp09.01.10.08.03",
        "vp09.02.10.10",
        "vp09.03.10.12.03",
    ] {
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            for scalability in [ScalabilityMode::L1T1, ScalabilityMode::L1T3] {
                let mut config = config(codec, SIZE);
                config.bitrate_mode = VideoBitrateMode::Quantizer;
                config.latency_mode = latency_mode;
                config.scalability = scalability;
                // The target of the other modes must not matter.
                config.bitrate = Some(10_000);
                let found = sizes_by_quantizer(&config, &[0, 32, 120, 255]);
                println!("{codec} {latency_mode:?} {scalability:?}: {found:?}");
                for pair in found.windows(2) {
                    assert!(pair[0].0 > pair[1].0, "{codec}: bytes {found:?}");
                    assert!(pair[0].1 > pair[1].1, "{codec}: dB {found:?}");
                }
                assert_eq!(found[0].1, 100.0, "{codec}: quantizer 0 is lossless");
                let finest = sizes_by_quantizer(&config, &[1])[0].1;
                assert!(found[1].1 < finest && finest < 100.0, "{codec}: {finest}");
                assert!(found[1].1 > 43.0, "{codec}: {found:?}");
            }
        }
    }
}

#[test]
fn the_quantizer_of_one_frame_is_that_frames() {
    let mut config = config("vp09.00.10.08", SIZE);
    config.bitrate_mode = VideoBitrateMode::Quantizer;
    config.latency_mode = LatencyMode::Realtime;
    let frames = scene_frames(PixelFormat::I420, SIZE, 12, STEP);
    let pictures = encode_with(&config, &frames, |n| EncodeOptions {
        key_frame: false,
        quantizer: Some(if n % 2 == 0 { 240 } else { 40 }),
    });
    let sizes: Vec<_> = pictures.iter().map(|p| p.chunk.data.len()).collect();
    for n in 2..12 {
        let fine = n % 2 == 1;
        assert_eq!(sizes[n] > 2 * sizes[n - 1], fine, "{sizes:?}");
    }
    let mut encoder = VpxEncoder.start(&config, &encoder_context(1)).unwrap();
    let options = EncodeOptions {
        key_frame: false,
        quantizer: Some(256),
    };
    let error = encoder
        .encode(&frames[0], &options, &mut |_| {})
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}

#[test]
fn the_colour_space_is_in_the_stream_and_its_change_starts_with_a_key_picture() {
    let space = |primaries, transfer, matrix, full| ColorSpace {
        primaries: Some(primaries),
        transfer: Some(transfer),
        matrix: Some(matrix),
        full_range: Some(full),
    };
    let spaces = [
        ColorSpace::REC709,
        space(
            Primaries::Smpte170m,
            Transfer::Smpte170m,
            Matrix::Smpte170m,
            false,
        ),
        space(Primaries::Bt2020, Transfer::Bt709, Matrix::Bt2020Ncl, true),
    ];
    let frames: Vec<_> = (0..9)
        .map(|n| {
            let mut frame = scene_frame(PixelFormat::I420, SIZE, n, i64::from(n) * STEP);
            frame.color_space = spaces[n as usize / 3];
            frame
        })
        .collect();
    let config = config("vp09.00.10.08", SIZE);
    let pictures = encode(&config, &frames);
    let decoded = decode(config.codec, &chunks(&pictures));
    for (n, (picture, frame)) in pictures.iter().zip(&decoded).enumerate() {
        let first = n % 3 == 0;
        assert_eq!(picture.chunk.kind == ChunkKind::Key, first, "{n}");
        let announced = picture.decoder_config.as_ref().map(|c| c.color_space);
        assert_eq!(announced, first.then_some(spaces[n / 3]));
        assert_eq!(frame.color_space, spaces[n / 3], "{n}");
    }
    let mut frame = scene_frame(PixelFormat::I444, SIZE, 0, 0);
    frame.color_space = ColorSpace::SRGB;
    let config = self::config("vp09.01.10.08.03.01.13.00.01", SIZE);
    let decoded = decode(config.codec, &chunks(&encode(&config, &[frame])));
    assert_eq!(decoded[0].color_space, ColorSpace::SRGB);
}

#[test]
fn content_hints_still_give_good_pictures() {
    for codec in ["vp8", "vp09.00.10.08"] {
        for hint in [ContentHint::Motion, ContentHint::Detail, ContentHint::Text] {
            for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
                let mut config = config(codec, SIZE);
                config.content_hint = hint;
                config.latency_mode = latency_mode;
                config.bitrate = Some(1_000_000);
                config.bitrate_mode = VideoBitrateMode::Constant;
                let frames = scene_frames(PixelFormat::I420, SIZE, 10, STEP);
                let pictures = encode(&config, &frames);
                check_chunks(&config, &frames, &pictures);
                let decoded = decode(config.codec, &chunks(&pictures));
                let (worst, ..) = worst_psnr(&frames, &decoded);
                assert!(
                    worst > 30.0,
                    "{codec} {hint:?} {latency_mode:?}: {worst} dB"
                );
            }
        }
    }
}

#[test]
fn a_flush_does_not_end_the_stream() {
    for codec in ["vp8", "vp09.00.10.08"] {
        let config = config(codec, SIZE);
        let frames = scene_frames(PixelFormat::I420, SIZE, 8, STEP);
        let mut encoder = VpxEncoder.start(&config, &encoder_context(1)).unwrap();
        let mut pictures = encode_all(&mut *encoder, &frames[..4], no_options);
        assert_eq!(pictures.len(), 4);
        pictures.extend(encode_all(&mut *encoder, &frames[4..], no_options));
        check_chunks(&config, &frames, &pictures);
        let (worst, ..) = worst_psnr(&frames, &decode(config.codec, &chunks(&pictures)));
        assert!(worst > 30.0, "{codec}: {worst} dB");
    }
}

#[test]
fn what_libvpx_cannot_encode_is_refused_before_it_starts() {
    let refused = |config: &VideoEncoderConfig| {
        let error = VpxEncoder.check(config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert!(VpxEncoder.start(config, &encoder_context(1)).is_err());
        error.message
    };
    assert!(refused(&config("avc1.42001e", SIZE)).contains("avc1"));
    assert!(!VpxEncoder.knows(&VideoCodec::parse("avc1.42001e").unwrap()));
    assert!(refused(&config("vp8", Size::new(16_384, 16))).contains("16384x16"));
    assert!(refused(&config("vp09.00.10.08", Size::new(16, 16_385))).contains("16385"));
    assert!(refused(&config("vp8", Size::new(0, 16))).contains("0x16"));
    assert!(refused(&config("vp09.00.10.08.03", SIZE)).contains("03"));
    assert!(refused(&config("vp09.01.10.08", SIZE)).contains("01"));
    let mut quantizer = config("vp8", SIZE);
    quantizer.bitrate_mode = VideoBitrateMode::Quantizer;
    assert!(refused(&quantizer).contains("quantizer"));
    // As the Web Platform Tests have it.
    let large = config("vp09.00.10.08", Size::new(1280, 720));
    assert!(VpxEncoder.check(&large).is_ok());
}

#[test]
fn frames_of_another_size_or_format_are_refused() {
    let config = config("vp8", SIZE);
    let mut encoder = VpxEncoder.start(&config, &encoder_context(1)).unwrap();
    for (format, size) in [
        (PixelFormat::I444, SIZE),
        (PixelFormat::I420, Size::new(SIZE.width, SIZE.height - 2)),
    ] {
        let frame = scene_frame(format, size, 0, 0);
        let result = encoder.encode(&frame, &EncodeOptions::default(), &mut |_| {});
        assert_eq!(result.unwrap_err().kind, ErrorKind::InvalidArgument);
    }
}

#[test]
fn samples_above_their_depth_are_clipped_not_trusted() {
    let config = config("vp09.02.10.10", SIZE);
    let mut frame = scene_frame(PixelFormat::I420P10, SIZE, 0, 0);
    let image = frame.resource.cpu().unwrap();
    let planes = image.planes().iter().map(|plane| {
        let bytes = vec![0xff; plane.data.len()];
        reelcore_media::Plane {
            data: bytes.into(),
            stride: plane.stride,
        }
    });
    let image =
        reelcore_media::CpuImage::new(PixelFormat::I420P10, SIZE, planes.collect()).unwrap();
    frame = VideoFrame::from_cpu(image, 0, None, frame.color_space);
    let decoded = decode(config.codec, &chunks(&encode(&config, &[frame])));
    let plane = &decoded[0].resource.cpu().unwrap().planes()[0];
    let sample = u16::from_le_bytes([plane.data[0], plane.data[1]]);
    assert!((1015..1024).contains(&sample), "{sample}");
}
