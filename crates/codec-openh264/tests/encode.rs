//! Encode with OpenH264, decode with this crate's decoder.

#[path = "common/encoding.rs"]
mod common;

use std::collections::HashSet;

use common::*;

use reelcore_codec_openh264::{OpenH264, OpenH264Encoder};
use reelcore_conformance::encoding::{
    chunks, encoder_context, ffmpeg_checksums, scene_frame, scene_frames, worst_psnr,
};
use reelcore_conformance::video::{checksums, context, decode_all};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::encoder::{
    ContentHint, EncodeOptions, EncodedVideo, LatencyMode, NalFormat, ScalabilityMode,
    VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::{
    ChunkKind, ColorSpace, CpuImage, ErrorKind, PixelFormat, Plane, Size, VideoCodec,
    VideoDecoderBackend, VideoDecoderConfig, VideoEncoderBackend, VideoFrame,
};

#[test]
fn every_profile_packaging_and_mode_decodes_to_what_went_in() {
    let frames = scene_frames(I420, SIZE, 12, STEP);
    for (codec, profile) in [
        ("avc1.42001e", 66),
        ("avc1.42e01e", 66),
        ("avc1.4d001e", 77),
        ("avc1.64001e", 100),
        ("avc3.64001e", 100),
    ] {
        for nal_format in [NalFormat::LengthPrefixed, NalFormat::AnnexB] {
            for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
                for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
                    let mut config = config(codec, SIZE);
                    config.nal_format = nal_format;
                    config.latency_mode = latency_mode;
                    config.bitrate_mode = bitrate_mode;
                    config.bitrate = Some(800_000);
                    let pictures = encode(&config, &frames);
                    check_chunks(&config, &frames, &pictures);
                    let sps = sps(&config, &pictures[0]);
                    assert_eq!((sps.profile, sps.level), (profile, 30), "{codec}");
                    if profile == 66 {
                        // Constrained Baseline.
                        assert_eq!(sps.constraints & 0xc0, 0xc0);
                    }
                    assert_eq!(sps.visible.size(), SIZE);
                    let (worst, frame, plane) = worst_psnr(&frames, &decode(&pictures));
                    let name = format!("{codec} {nal_format:?} {latency_mode:?} {bitrate_mode:?}");
                    println!("{name}: {worst:.1} dB");
                    assert!(worst > 29.0, "{name}: {worst} dB in {plane} of {frame}");
                }
            }
        }
    }
}

#[test]
fn ffmpeg_decodes_the_same_pictures() {
    for codec in ["avc1.42001e", "avc1.64001e"] {
        let mut config = config(codec, SIZE);
        config.nal_format = NalFormat::AnnexB;
        config.scalability = ScalabilityMode::L1T3;
        let frames = scene_frames(I420, SIZE, 9, STEP);
        let pictures = encode(&config, &frames);
        let bytes: Vec<u8> = chunks(&pictures)
            .iter()
            .flat_map(|chunk| chunk.data.to_vec())
            .collect();
        let theirs = ffmpeg_checksums(&bytes, "264", "yuv420p");
        let theirs = theirs.expect("the ffmpeg command (apt-get install ffmpeg)");
        assert_eq!(theirs, checksums(&decode(&pictures)));
    }
}

#[test]
fn several_slices_make_one_picture() {
    let size = Size::new(640, 480);
    let mut config = config("avc1.64001e", size);
    assert_eq!(OpenH264Encoder.max_threads(&config), 1);
    config.size = Size::new(1280, 720);
    config.codec = VideoCodec::parse("avc1.64001f").expect("a codec string");
    assert_eq!(OpenH264Encoder.max_threads(&config), 4);
    let frames = scene_frames(I420, config.size, 3, STEP);
    let pictures = encode(&config, &frames);
    check_chunks(&config, &frames, &pictures);
    assert_eq!(kinds(&config, &pictures[1].chunk.data).len(), 2);
    let (worst, ..) = worst_psnr(&frames, &decode(&pictures));
    assert!(worst > 27.0, "{worst} dB");
}

#[test]
fn a_picture_that_takes_more_bytes_than_openh264_has_room_for_is_coded_coarser() {
    let size = Size::new(64, 64);
    let mut config = config("avc1.42001e", size);
    config.bitrate_mode = VideoBitrateMode::Quantizer;
    let mut state = 7_u32;
    let frames: Vec<_> = (0..4)
        .map(|n| {
            let planes = [64, 32, 32].map(|side: usize| {
                let noise = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    (state >> 16) as u8
                });
                Plane {
                    data: noise.take(side * side).collect(),
                    stride: side,
                }
            });
            let image = CpuImage::new(I420, size, planes.to_vec()).expect("an image");
            VideoFrame::from_cpu(image, n * STEP, None, ColorSpace::default())
        })
        .collect();
    let pictures = encode_with(&config, &frames, |_| EncodeOptions {
        key_frame: false,
        quantizer: Some(0),
    });
    assert_eq!(pictures.len(), 4);
    let decoded = decode(&pictures);
    let (worst, ..) = worst_psnr(&frames, &decoded);
    // Coarser by a few steps, not by all.
    assert!(worst > 38.0, "{worst} dB");
}

#[test]
fn a_stream_without_its_upper_layers_decodes_to_the_same_pictures() {
    for (codec, nal_format) in [
        ("avc1.42001e", NalFormat::AnnexB),
        ("avc1.64001e", NalFormat::LengthPrefixed),
    ] {
        for content_hint in [ContentHint::None, ContentHint::Text] {
            for scalability in [ScalabilityMode::L1T2, ScalabilityMode::L1T3] {
                let mut config = config(codec, SIZE);
                config.bitrate = Some(1_000_000);
                config.nal_format = nal_format;
                config.scalability = scalability;
                config.content_hint = content_hint;
                let frames = scene_frames(I420, SIZE, 26, STEP);
                let pictures = encode_with(&config, &frames, |n| EncodeOptions {
                    key_frame: n == 11,
                    quantizer: None,
                });
                check_chunks(&config, &frames, &pictures);
                let mut since_key = 0;
                for (index, picture) in pictures.iter().enumerate() {
                    if picture.chunk.kind == ChunkKind::Key {
                        since_key = 0;
                    }
                    let expected = scalability.temporal_layer(since_key);
                    assert_eq!(picture.temporal_layer, Some(expected), "{codec} {index}");
                    since_key += 1;
                }
                assert_eq!(pictures[11].chunk.kind, ChunkKind::Key);
                let whole = decode(&pictures);
                let (worst, ..) = worst_psnr(&frames, &whole);
                assert!(worst > 29.0, "{codec} {scalability:?}: {worst} dB");
                for highest in 0..scalability.temporal_layers() as u8 - 1 {
                    let kept = |p: &&EncodedVideo| p.temporal_layer <= Some(highest);
                    let base: Vec<_> = pictures.iter().filter(kept).cloned().collect();
                    let times: HashSet<i64> = base.iter().map(|p| p.chunk.timestamp).collect();
                    let whole: Vec<_> = whole
                        .iter()
                        .filter(|frame| times.contains(&frame.timestamp))
                        .cloned()
                        .collect();
                    assert_eq!(
                        checksums(&decode(&base)),
                        checksums(&whole),
                        "{codec} {scalability:?} up to layer {highest}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_lost_base_layer_is_an_error_not_a_wrong_picture() {
    let mut config = config("avc1.64001e", SIZE);
    config.scalability = ScalabilityMode::L1T3;
    let frames = scene_frames(I420, SIZE, 12, STEP);
    let mut pictures = encode(&config, &frames);
    pictures.remove(4);
    let first = pictures[0].decoder_config.as_ref().expect("with a key");
    let mut decoder = OpenH264.start(first, &context(1)).expect("starts");
    let mut results = chunks(&pictures)
        .into_iter()
        .map(|chunk| decoder.decode(&chunk, &mut |_| {}));
    assert!(results.any(|result| result.is_err()));
}

#[test]
fn key_pictures_come_where_they_are_asked_for() {
    for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
        let mut config = config("avc1.64001e", SIZE);
        config.latency_mode = latency_mode;
        config.bitrate = Some(1_000_000);
        config.nal_format = NalFormat::AnnexB;
        let frames = scene_frames(I420, SIZE, 12, STEP);
        let pictures = encode_with(&config, &frames, |n| EncodeOptions {
            key_frame: n % 5 == 0,
            quantizer: None,
        });
        check_chunks(&config, &frames, &pictures);
        let key = |p: &EncodedVideo| p.chunk.kind == ChunkKind::Key;
        let keys: Vec<bool> = pictures.iter().map(key).collect();
        let expected: Vec<bool> = (0..12).map(|n| n % 5 == 0).collect();
        assert_eq!(keys, expected);
        // Each starts a stream of its own.
        let mut tail = pictures[10..].to_vec();
        tail[0].decoder_config = pictures[0].decoder_config.clone();
        let (worst, ..) = worst_psnr(&frames[10..], &decode(&tail));
        assert!(worst > 29.0, "{worst} dB");
    }
}

#[test]
fn key_pictures_come_by_themselves_after_a_while() {
    let config = config("avc1.42001e", Size::new(32, 32));
    let frames = scene_frames(I420, Size::new(32, 32), 25, 500_000);
    let pictures = encode(&config, &frames);
    check_chunks(&config, &frames, &pictures);
    // OpenH264 may find reasons for a key picture before.
    let keys: Vec<usize> = (0..25)
        .filter(|&n| pictures[n].chunk.kind == ChunkKind::Key)
        .collect();
    let mut gaps = keys.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(keys.len() > 1 && gaps.all(|gap| gap <= 20), "{keys:?}");
}

#[test]
fn times_are_given_back_whatever_they_are() {
    let config = config("avc1.42001e", SIZE);
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
            let mut frame = scene_frame(I420, SIZE, index, timestamp);
            frame.duration = duration;
            frame
        })
        .collect();
    check_chunks(&config, &frames, &encode(&config, &frames));
}

#[test]
fn a_higher_quantizer_gives_fewer_bytes_and_a_worse_picture() {
    let frames = scene_frames(I420, SIZE, 6, STEP);
    for codec in ["avc1.42001e", "avc1.64001e"] {
        for content_hint in [ContentHint::None, ContentHint::Text] {
            for scalability in [ScalabilityMode::L1T1, ScalabilityMode::L1T3] {
                let mut config = config(codec, SIZE);
                config.bitrate_mode = VideoBitrateMode::Quantizer;
                config.scalability = scalability;
                config.content_hint = content_hint;
                // The target of the other modes must not matter.
                config.bitrate = Some(10_000);
                let found: Vec<(usize, f64)> = [0, 10, 20, 30, 40, 51]
                    .iter()
                    .map(|&quantizer| {
                        let pictures = encode_with(&config, &frames, |_| EncodeOptions {
                            key_frame: false,
                            quantizer: Some(quantizer),
                        });
                        check_chunks(&config, &frames, &pictures);
                        let bytes = pictures.iter().map(|p| p.chunk.data.len()).sum();
                        (bytes, worst_psnr(&frames, &decode(&pictures)).0)
                    })
                    .collect();
                println!("{codec} {scalability:?} {content_hint:?}: {found:?}");
                for pair in found.windows(2) {
                    assert!(pair[0].0 > pair[1].0, "bytes {found:?}");
                    assert!(pair[0].1 > pair[1].1, "dB {found:?}");
                }
                assert!(found[0].1 > 50.0 && found[2].1 > 38.0, "{found:?}");
            }
        }
    }
}

#[test]
fn the_quantizer_of_one_frame_is_that_frames() {
    let mut config = config("avc1.64001e", SIZE);
    config.bitrate_mode = VideoBitrateMode::Quantizer;
    let frames = scene_frames(I420, SIZE, 12, STEP);
    let pictures = encode_with(&config, &frames, |n| EncodeOptions {
        key_frame: false,
        quantizer: Some(if n % 2 == 0 { 45 } else { 15 }),
    });
    // A change of quantizer starts nothing anew.
    check_chunks(&config, &frames, &pictures);
    let keys = pictures.iter().filter(|p| p.chunk.kind == ChunkKind::Key);
    assert_eq!(keys.count(), 1);
    let sizes: Vec<_> = pictures.iter().map(|p| p.chunk.data.len()).collect();
    for n in 2..12 {
        let fine = n % 2 == 1;
        assert_eq!(sizes[n] > 2 * sizes[n - 1], fine, "{sizes:?}");
    }
    let mut encoder = OpenH264Encoder.start(&config, &encoder_context(1)).unwrap();
    let options = EncodeOptions {
        key_frame: false,
        quantizer: Some(52),
    };
    let error = encoder
        .encode(&frames[0], &options, &mut |_| {})
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}

#[test]
fn the_colour_space_is_in_the_stream_and_its_change_starts_with_a_key_picture() {
    let spaces = [
        ColorSpace::REC709,
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Pq),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(true),
        },
        ColorSpace {
            matrix: Some(Matrix::Smpte170m),
            full_range: Some(false),
            ..ColorSpace::default()
        },
    ];
    let frames: Vec<_> = (0..9)
        .map(|n| {
            let mut frame = scene_frame(I420, SIZE, n, i64::from(n) * STEP);
            frame.color_space = spaces[n as usize / 3];
            frame
        })
        .collect();
    for nal_format in [NalFormat::LengthPrefixed, NalFormat::AnnexB] {
        let mut config = config("avc1.64001e", SIZE);
        config.nal_format = nal_format;
        let pictures = encode(&config, &frames);
        for n in 0..9 {
            let first = n % 3 == 0;
            assert_eq!(pictures[n].chunk.kind == ChunkKind::Key, first, "{n}");
            let announced = pictures[n].decoder_config.as_ref().map(|c| c.color_space);
            assert_eq!(announced, first.then_some(spaces[n / 3]));
        }
        for (n, space) in spaces.iter().enumerate() {
            // As the stream has it, when the configuration says nothing.
            let part = &pictures[3 * n..3 * n + 3];
            let mut bare = VideoDecoderConfig::new(config.codec);
            let given = part[0].decoder_config.as_ref().expect("checked");
            bare.description = given.description.clone();
            let mut decoder = OpenH264.start(&bare, &context(1)).expect("starts");
            for frame in decode_all(&mut *decoder, &chunks(part)) {
                assert_eq!(frame.color_space, *space);
            }
        }
    }
}

#[test]
fn content_hints_still_give_good_pictures() {
    for hint in [ContentHint::Motion, ContentHint::Detail, ContentHint::Text] {
        for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
            let mut config = config("avc1.64001e", SIZE);
            config.content_hint = hint;
            config.latency_mode = latency_mode;
            config.bitrate = Some(1_000_000);
            let frames = scene_frames(I420, SIZE, 10, STEP);
            let pictures = encode(&config, &frames);
            check_chunks(&config, &frames, &pictures);
            let (worst, ..) = worst_psnr(&frames, &decode(&pictures));
            assert!(worst > 29.0, "{hint:?} {latency_mode:?}: {worst} dB");
        }
    }
}

#[test]
fn what_openh264_cannot_encode_is_refused_before_it_starts() {
    let refused = |config: &VideoEncoderConfig| {
        let error = OpenH264Encoder.check(config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert!(OpenH264Encoder.start(config, &encoder_context(1)).is_err());
        error.message
    };
    assert!(refused(&config("vp8", SIZE)).contains("vp8"));
    assert!(!OpenH264Encoder.knows(&VideoCodec::Vp8));
    assert!(refused(&config("avc1.58001e", SIZE)).contains("88"));
    assert!(refused(&config("avc1.6e001e", SIZE)).contains("110"));
    assert!(refused(&config("avc1.42001e", Size::new(641, 480))).contains("641x480"));
    assert!(refused(&config("avc1.42001e", Size::new(1280, 720))).contains("3600"));
    assert!(refused(&config("avc1.64003e", Size::new(7680, 4320))).contains("36864"));
    let mut fast = config("avc1.420033", Size::new(3840, 2160));
    assert!(OpenH264Encoder.check(&fast).is_ok());
    fast.framerate = Some(60.0);
    assert!(OpenH264Encoder.check(&fast).is_ok());
    fast.framerate = Some(120.0);
    assert!(refused(&fast).contains("2073600"));
}

#[test]
fn more_frames_a_second_than_the_level_has_raise_the_level_instead_of_failing() {
    // What mediabunny makes of 640x360 with few bits: level 2.2 has 22 frames a second.
    let size = Size::new(640, 360);
    for (framerate, level) in [(None, 22), (Some(22.0), 22), (Some(30.0), 30)] {
        for mode in [VideoBitrateMode::Constant, VideoBitrateMode::Quantizer] {
            let mut config = config("avc1.640016", size);
            (config.framerate, config.bitrate_mode) = (framerate, mode);
            config.bitrate = Some(212_000);
            assert!(OpenH264Encoder.check(&config).is_ok());
            let frames = scene_frames(I420, size, 3, STEP);
            let pictures = encode(&config, &frames);
            check_chunks(&config, &frames, &pictures);
            assert_eq!(sps(&config, &pictures[0]).level, level, "{framerate:?}");
        }
    }
}

#[test]
fn every_level_that_is_accepted_is_the_one_that_is_written() {
    for level in [
        9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52,
    ] {
        let size = Size::new(176, 144);
        let mut config = config(&format!("avc1.6400{level:02x}"), size);
        config.bitrate = Some(60_000);
        let frames = scene_frames(I420, size, 2, STEP);
        let pictures = encode(&config, &frames);
        // OpenH264 writes 1.0 where that is enough for 1b.
        let expected = if level == 9 { 10 } else { level };
        assert_eq!(sps(&config, &pictures[0]).level, expected);
    }
}

#[test]
fn frames_of_another_size_or_format_are_refused() {
    let config = config("avc1.42001e", SIZE);
    let mut encoder = OpenH264Encoder.start(&config, &encoder_context(1)).unwrap();
    for (format, size) in [
        (PixelFormat::I444, SIZE),
        (I420, Size::new(SIZE.width, SIZE.height - 2)),
    ] {
        let frame = scene_frame(format, size, 0, 0);
        let result = encoder.encode(&frame, &EncodeOptions::default(), &mut |_| {});
        assert_eq!(result.unwrap_err().kind, ErrorKind::InvalidArgument);
    }
}
