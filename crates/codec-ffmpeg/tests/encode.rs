//! Encode HEVC over libx265, decode with both HEVC decoders and the ffmpeg command.

use std::collections::HashSet;

use reelcore_codec_ffmpeg::{Ffmpeg, FfmpegEncoder, FfmpegHardwareEncoder, available};
use reelcore_codec_hevc::Hevc;
use reelcore_conformance::encoding::{
    bits_a_second, chunks, encode_all, encoder_context, ffmpeg_checksums, scene_frame,
    scene_frames, worst_psnr,
};
use reelcore_conformance::ffmpeg_framemd5;
use reelcore_conformance::video::{checksums, context, decode_all};
use reelcore_containers::{mp4::Mp4Muxer, mux::MemorySink};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, LatencyMode, NalFormat, ScalabilityMode, VideoBitrateMode,
    VideoEncoderConfig,
};
use reelcore_media::hevc::{HvcC, Nal, NalType, Packaging, Sps, nal_units};
use reelcore_media::mux::{MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{
    ChunkKind, ColorSpace, ErrorKind, PixelFormat, Rotation, Size, VideoCodec, VideoDecoderBackend,
    VideoEncoderBackend, VideoFrame,
};

/// Not a multiple of a coding block: the stream crops.
const SIZE: Size = Size::new(202, 110);
const STEP: i64 = 40_000;
const I420: PixelFormat = PixelFormat::I420;
const MAIN: &str = "hvc1.1.6.L93.B0";

/// At the rate of [`STEP`]: where it is another, the stream starts anew once that is clear.
fn config(codec: &str, size: Size) -> VideoEncoderConfig {
    let codec = VideoCodec::parse(codec).expect("a codec string");
    let mut config = VideoEncoderConfig::new(codec, size);
    config.framerate = Some(25.0);
    config
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
    assert!(available(), "install libavcodec-dev: ./x setup does");
    let mut encoder = FfmpegEncoder
        .start(config, &encoder_context(2))
        .unwrap_or_else(|error| panic!("{config:?}: {error}"));
    encode_all(&mut *encoder, frames, options)
}

/// Decodes with the configuration that the encoder gave.
fn decode(backend: &dyn VideoDecoderBackend, pictures: &[EncodedVideo]) -> Vec<VideoFrame> {
    let first = pictures[0].decoder_config.as_ref().expect("with a key");
    let mut decoder = backend.start(first, &context(1)).expect("starts");
    decode_all(&mut *decoder, &chunks(pictures))
}

fn packaging(config: &VideoEncoderConfig) -> Packaging {
    match config.nal_format {
        NalFormat::AnnexB => Packaging::AnnexB,
        NalFormat::LengthPrefixed => Packaging::Hevc { length_size: 4 },
    }
}

fn kinds(config: &VideoEncoderConfig, data: &[u8]) -> Vec<NalType> {
    nal_units(data, packaging(config))
        .map(|nal| nal.expect("a NAL unit").nal_type)
        .collect()
}

/// What holds of every stream: a chunk a frame, their times, kinds, and parameter sets where they belong.
fn check_chunks(config: &VideoEncoderConfig, frames: &[VideoFrame], pictures: &[EncodedVideo]) {
    assert_eq!(pictures.len(), frames.len(), "a chunk a frame");
    for (index, (picture, frame)) in pictures.iter().zip(frames).enumerate() {
        let chunk = &picture.chunk;
        assert_eq!(
            (chunk.timestamp, chunk.duration),
            (frame.timestamp, frame.duration)
        );
        let key = chunk.kind == ChunkKind::Key;
        let kinds = kinds(config, &chunk.data);
        assert_eq!(key, kinds.iter().any(|kind| kind.is_idr()), "chunk {index}");
        let in_band = config.nal_format == NalFormat::AnnexB
            || matches!(config.codec, VideoCodec::Hevc(hevc) if hevc.in_band);
        if key && in_band {
            let sets = [NalType::VPS, NalType::SPS, NalType::PPS];
            assert_eq!(kinds[..3], sets, "chunk {index}");
        } else {
            assert!(
                kinds.iter().all(|kind| kind.is_slice()),
                "chunk {index}: {kinds:?}"
            );
        }
        assert_eq!(picture.decoder_config.is_some(), index == 0);
    }
    assert_eq!(pictures[0].chunk.kind, ChunkKind::Key);
    let first = pictures[0].decoder_config.as_ref().expect("checked");
    assert_eq!(first.codec, config.codec);
    assert_eq!(first.coded_size, Some(config.size));
    assert_eq!(first.color_space, frames[0].color_space);
    let annex_b = config.nal_format == NalFormat::AnnexB;
    assert_eq!(first.description.is_none(), annex_b);
}

fn sps(config: &VideoEncoderConfig, picture: &EncodedVideo) -> Sps {
    let decoder = picture.decoder_config.as_ref();
    if let Some(description) = decoder.and_then(|config| config.description.as_ref()) {
        let record = HvcC::parse(description).expect("an hvcC");
        assert_eq!(record.length_size, 4);
        let in_band = matches!(config.codec, VideoCodec::Hevc(hevc) if hevc.in_band);
        assert!(record.arrays.iter().all(|array| array.complete != in_band));
        let unit = record.units(NalType::SPS).next().expect("an SPS");
        let sps = Sps::parse(&Nal::new(0, unit).expect("a NAL unit")).expect("an SPS");
        assert_eq!(record.profile, sps.profile);
        return sps;
    }
    let mut nals = nal_units(&picture.chunk.data, packaging(config));
    let nal = nals.find(|nal| nal.as_ref().is_ok_and(|nal| nal.nal_type == NalType::SPS));
    Sps::parse(&nal.expect("parameter sets").expect("a NAL unit")).expect("an SPS")
}

#[test]
fn every_packaging_and_mode_decodes_to_what_went_in() {
    let frames = scene_frames(I420, SIZE, 12, STEP);
    for codec in [MAIN, "hev1.1.6.L93.B0"] {
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
                    assert_eq!((sps.profile.profile, sps.profile.level), (1, 93));
                    assert_eq!(sps.visible.size(), SIZE);
                    let ours = decode(&Hevc, &pictures);
                    assert_eq!(
                        checksums(&ours),
                        checksums(&decode(&Ffmpeg::new(), &pictures))
                    );
                    let (worst, frame, plane) = worst_psnr(&frames, &ours);
                    let name = format!("{codec} {nal_format:?} {latency_mode:?} {bitrate_mode:?}");
                    println!("{name}: {worst:.1} dB");
                    assert!(worst > 29.0, "{name}: {worst} dB in {plane} of {frame}");
                }
            }
        }
    }
}

#[test]
fn ffmpeg_decodes_the_same_pictures_of_every_format() {
    use PixelFormat as F;
    for (codec, format, pix_fmt) in [
        (MAIN, F::I420, "yuv420p"),
        ("hvc1.2.4.L93.B0", F::I420P10, "yuv420p10le"),
        ("hvc1.4.10.L93.99.88", F::I420P12, "yuv420p12le"),
        ("hvc1.4.10.L93.9D.8", F::I422P10, "yuv422p10le"),
        ("hvc1.4.10.L93.9E.8", F::I444, "yuv444p"),
        ("hvc1.4.10.L93.9C.8", F::I444P10, "yuv444p10le"),
    ] {
        let mut config = config(codec, SIZE);
        config.nal_format = NalFormat::AnnexB;
        config.bitrate = Some(1_500_000);
        assert_eq!(FfmpegEncoder.input_format(&config), format, "{codec}");
        let frames = scene_frames(format, SIZE, 6, STEP);
        let pictures = encode(&config, &frames);
        check_chunks(&config, &frames, &pictures);
        let sps = sps(&config, &pictures[0]);
        assert_eq!(sps.bit_depth, [format.bit_depth(); 2], "{codec}");
        let bytes: Vec<u8> = chunks(&pictures)
            .iter()
            .flat_map(|chunk| chunk.data.to_vec())
            .collect();
        let theirs = ffmpeg_checksums(&bytes, "hevc", pix_fmt);
        let theirs = theirs.expect("the ffmpeg command (apt-get install ffmpeg)");
        let ours = decode(&Ffmpeg::new(), &pictures);
        assert_eq!(theirs, checksums(&ours), "{codec}");
        let (worst, ..) = worst_psnr(&frames, &ours);
        println!("{codec}: {worst:.1} dB");
        assert!(worst > 29.0, "{codec}: {worst} dB");
    }
}

/// Five seconds at 25 frames a second of a target that the scene can fill.
fn rate(framerate: Option<f64>, change: impl Fn(&mut VideoEncoderConfig)) -> f64 {
    let size = Size::new(320, 180);
    let mut config = config(MAIN, size);
    config.bitrate = Some(400_000);
    config.framerate = framerate;
    change(&mut config);
    let mut frames = scene_frames(I420, size, 125, STEP);
    if framerate.is_none() {
        // Times alone tell.
        for frame in &mut frames {
            frame.duration = None;
        }
    }
    bits_a_second(&encode(&config, &frames), 5.0)
}

#[test]
fn the_bit_rate_is_held_over_five_seconds_whatever_the_frame_rate_is_said_to_be() {
    for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
        for bitrate_mode in [VideoBitrateMode::Constant, VideoBitrateMode::Variable] {
            for framerate in [None, Some(25.0), Some(60.0)] {
                let found = rate(framerate, |config| {
                    config.latency_mode = latency_mode;
                    config.bitrate_mode = bitrate_mode;
                });
                let name = format!("{latency_mode:?} {bitrate_mode:?} {framerate:?}");
                println!("{name}: {found:.0}");
                assert!(
                    (340_000.0..460_000.0).contains(&found),
                    "{name}: {found} bit/s"
                );
            }
        }
    }
}

#[test]
fn each_frame_gets_the_quantizer_that_it_asks_for() {
    for (codec, format) in [(MAIN, I420), ("hvc1.2.4.L93.B0", PixelFormat::I420P10)] {
        let mut config = config(codec, SIZE);
        config.bitrate_mode = VideoBitrateMode::Quantizer;
        config.latency_mode = LatencyMode::Realtime;
        // The same picture each time, key each time.
        let frames: Vec<VideoFrame> = (0..6)
            .map(|n| scene_frame(format, SIZE, 0, n * STEP))
            .collect();
        let quantizers = [None, Some(10), Some(40), Some(26), Some(51), Some(0)];
        let pictures = encode_with(&config, &frames, |n| EncodeOptions {
            key_frame: true,
            quantizer: quantizers[n],
        });
        let sizes: Vec<usize> = pictures.iter().map(|p| p.chunk.data.len()).collect();
        println!("{codec}: {sizes:?}");
        let [first, fine, coarse, middle, coarsest, finest] = sizes[..] else {
            panic!("six chunks");
        };
        assert_eq!(
            first, middle,
            "26 is that of frames before the first that names one"
        );
        assert!(finest > fine && fine > 2 * middle, "{sizes:?}");
        assert!(middle > 2 * coarse && coarse > coarsest, "{sizes:?}");
        let decoded = decode(&Ffmpeg::new(), &pictures);
        let psnr = |n: usize| worst_psnr(&frames[n..=n], &decoded[n..=n]).0;
        assert!(psnr(5) > 47.0 && psnr(1) > 40.0, "{} {}", psnr(5), psnr(1));
        assert!(psnr(4) < 30.0, "{}", psnr(4));
    }
    let mut config = config(MAIN, SIZE);
    config.bitrate_mode = VideoBitrateMode::Quantizer;
    let mut encoder = FfmpegEncoder.start(&config, &encoder_context(1)).unwrap();
    let options = EncodeOptions {
        key_frame: false,
        quantizer: Some(52),
    };
    let frame = scene_frame(I420, SIZE, 0, 0);
    let error = encoder.encode(&frame, &options, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}

#[test]
fn key_pictures_come_where_they_are_asked_for_and_nowhere_else() {
    for latency_mode in [LatencyMode::Quality, LatencyMode::Realtime] {
        let mut config = config(MAIN, SIZE);
        config.latency_mode = latency_mode;
        let frames = scene_frames(I420, SIZE, 40, STEP);
        let asked = HashSet::from([0, 7, 8, 30]);
        let pictures = encode_with(&config, &frames, |n| EncodeOptions {
            key_frame: asked.contains(&n),
            quantizer: None,
        });
        let keys: HashSet<usize> = (0..pictures.len())
            .filter(|&n| pictures[n].chunk.kind == ChunkKind::Key)
            .collect();
        assert_eq!(keys, asked, "{latency_mode:?}");
        // From any of them on, the rest decodes.
        let mut decoder = Hevc
            .start(pictures[0].decoder_config.as_ref().unwrap(), &context(1))
            .unwrap();
        let rest = decode_all(&mut *decoder, &chunks(&pictures[30..]));
        assert_eq!(rest.len(), 10);
    }
}

#[test]
fn in_realtime_no_frame_waits_and_a_flush_changes_nothing() {
    let mut config = config(MAIN, SIZE);
    config.latency_mode = LatencyMode::Realtime;
    let mut encoder = FfmpegEncoder.start(&config, &encoder_context(2)).unwrap();
    for (n, frame) in scene_frames(I420, SIZE, 6, STEP).iter().enumerate() {
        let mut got = Vec::new();
        encoder
            .encode(frame, &EncodeOptions::default(), &mut |p| got.push(p))
            .unwrap();
        assert_eq!(got.len(), 1, "frame {n}");
        assert_eq!(got[0].chunk.kind == ChunkKind::Key, n == 0);
        encoder
            .flush(&mut |_| panic!("nothing is held back"))
            .unwrap();
    }
}

#[test]
fn after_a_flush_in_quality_mode_a_new_stream_starts() {
    let config = config(MAIN, SIZE);
    let frames = scene_frames(I420, SIZE, 30, STEP);
    let mut encoder = FfmpegEncoder.start(&config, &encoder_context(2)).unwrap();
    let mut pictures = Vec::new();
    let mut frames_and_flush = |range: std::ops::Range<usize>| {
        for frame in &frames[range] {
            let options = EncodeOptions::default();
            encoder
                .encode(frame, &options, &mut |p| pictures.push(p))
                .unwrap();
        }
        encoder.flush(&mut |p| pictures.push(p)).unwrap();
        pictures.len()
    };
    assert_eq!(frames_and_flush(0..20), 20);
    assert_eq!(frames_and_flush(20..30), 30);
    let keys = |n: &usize| pictures[*n].chunk.kind == ChunkKind::Key;
    assert_eq!((0..30).filter(keys).collect::<Vec<_>>(), [0, 20]);
    let (worst, ..) = worst_psnr(&frames, &decode(&Hevc, &pictures));
    assert!(worst > 29.0, "{worst} dB");
}

#[test]
fn a_frame_rate_that_was_said_wrong_costs_one_key_picture() {
    let mut config = config(MAIN, SIZE);
    config.framerate = Some(60.0);
    config.latency_mode = LatencyMode::Realtime;
    let mut frames = scene_frames(I420, SIZE, 30, STEP);
    for frame in &mut frames {
        frame.duration = None;
    }
    let pictures = encode(&config, &frames);
    let keys = |n: &usize| pictures[*n].chunk.kind == ChunkKind::Key;
    let keys: Vec<usize> = (0..30).filter(keys).collect();
    assert_eq!(keys, [0, 8]);
    let (worst, ..) = worst_psnr(&frames[..8], &decode(&Hevc, &pictures[..8]));
    assert!(worst > 29.0, "{worst} dB");
}

#[test]
fn the_colour_space_is_in_the_stream_and_a_new_one_starts_with_a_key_picture() {
    let config = config(MAIN, SIZE);
    let hdr = ColorSpace {
        primaries: Some(Primaries::Bt2020),
        transfer: Some(Transfer::Pq),
        matrix: Some(Matrix::Bt2020Ncl),
        full_range: Some(false),
    };
    let full = ColorSpace {
        full_range: Some(true),
        ..ColorSpace::REC709
    };
    let mut frames = scene_frames(I420, SIZE, 6, STEP);
    for (n, frame) in frames.iter_mut().enumerate() {
        frame.color_space = if n < 3 { hdr } else { full };
    }
    let pictures = encode(&config, &frames);
    let keys: Vec<bool> = pictures
        .iter()
        .map(|p| p.chunk.kind == ChunkKind::Key)
        .collect();
    assert_eq!(keys, [true, false, false, true, false, false]);
    let second = pictures[3].decoder_config.as_ref().expect("changed");
    assert_eq!(second.color_space, full);
    for (part, want) in [(&pictures[..3], hdr), (&pictures[3..], full)] {
        for frame in decode(&Ffmpeg::new(), part) {
            assert_eq!(frame.color_space, want);
        }
    }
}

#[test]
fn what_is_not_encoded_is_refused_with_its_reason() {
    let reason = |config: &VideoEncoderConfig| {
        let error = FfmpegEncoder.check(config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(FfmpegEncoder.start(config, &encoder_context(1)).is_err());
        error.message
    };
    let mut layers = config(MAIN, SIZE);
    layers.scalability = ScalabilityMode::L1T2;
    assert!(reason(&layers).contains("temporal layers"));
    assert!(reason(&config(MAIN, Size::new(201, 110))).contains("201x110"));
    assert!(reason(&config(MAIN, Size::new(1920, 1080))).contains("level_idc 93"));
    assert!(reason(&config("hvc1.3.E.L93.B0", SIZE)).contains("profiles"));
    assert!(reason(&config(MAIN, Size::new(14, 16))).contains("16x16"));
    assert!(reason(&config("hvc1.1.6.L150.B0", Size::new(64, 30))).contains("32x32"));
}

/// Where x265 is asked for more than it does it takes the whole process down.
#[test]
fn the_smallest_pictures_of_every_level_are_encoded_or_refused_not_a_crash() {
    for level in [93, 120, 123, 150, 153, 156, 180, 183, 186] {
        for (width, height) in [
            (16, 16),
            (18, 64),
            (64, 18),
            (30, 64),
            (62, 30),
            (32, 32),
            (34, 32),
            (32, 64),
            (48, 200),
            (16, 1024),
            (1024, 16),
        ] {
            for (latency_mode, bitrate_mode) in [
                (LatencyMode::Quality, VideoBitrateMode::Variable),
                (LatencyMode::Realtime, VideoBitrateMode::Variable),
                (LatencyMode::Quality, VideoBitrateMode::Quantizer),
                (LatencyMode::Realtime, VideoBitrateMode::Quantizer),
            ] {
                let size = Size::new(width, height);
                let mut config = config(&format!("hvc1.1.6.L{level}.B0"), size);
                config.latency_mode = latency_mode;
                config.bitrate_mode = bitrate_mode;
                let least = if level < 150 { 16 } else { 32 };
                let takes = width.min(height) >= least;
                let name = format!("level {level}, {width}x{height}");
                assert_eq!(FfmpegEncoder.check(&config).is_ok(), takes, "{name}");
                if takes {
                    let frames = scene_frames(I420, size, 2, STEP);
                    let pictures = encode(&config, &frames);
                    let sps = sps(&config, &pictures[0]);
                    assert_eq!(sps.profile.level, level, "{name}");
                    assert!(level < 150 || sps.log2_ctb_size >= 5, "{name}");
                    let decoded = decode(&Ffmpeg::new(), &pictures);
                    assert_eq!(decoded.len(), frames.len(), "{name}");
                }
            }
        }
    }
}

/// What ffprobe says of the file's only stream: the values of `fields`, in their order.
fn probe(path: &std::path::Path, section: &str, fields: &str) -> Vec<String> {
    let entries = format!("{section}={fields}");
    let output = std::process::Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "default=nw=1:nk=1",
            "-show_entries",
            &entries,
        ])
        .arg(path)
        .output()
        .expect("the ffprobe command (apt-get install ffmpeg)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_description_makes_an_mp4_that_ffprobe_reads_and_ffmpeg_decodes_alike() {
    for (codec, tag, pix_fmt, format) in [
        (MAIN, "hvc1", "yuv420p", I420),
        (
            "hev1.2.4.L93.B0",
            "hev1",
            "yuv420p10le",
            PixelFormat::I420P10,
        ),
    ] {
        let config = config(codec, SIZE);
        let frames = scene_frames(format, SIZE, 12, STEP);
        let pictures = encode(&config, &frames);
        let first = pictures[0].decoder_config.as_ref().expect("with a key");
        let mut muxer = Mp4Muxer::new(MuxOptions::default());
        let mut file = MemorySink::default();
        let track = muxer
            .add_track(OutputTrack {
                kind: OutputKind::Video {
                    coded_size: SIZE,
                    display_aspect: None,
                    rotation: Rotation::R0,
                    flip: false,
                    color_space: first.color_space,
                    framerate: None,
                    alpha: false,
                },
                codec: codec.into(),
                description: first.description.clone(),
                language: None,
                name: None,
            })
            .expect("a track");
        for chunk in chunks(&pictures) {
            muxer
                .write(track, OutputPacket::new(chunk), &mut file)
                .expect("written");
        }
        muxer.finish(&mut file).expect("finished");
        let path =
            std::env::temp_dir().join(format!("reelcore-x265-{}-{tag}.mp4", std::process::id()));
        std::fs::write(&path, file.into_bytes()).expect("written");
        let stream = probe(
            &path,
            "stream",
            "codec_tag_string,width,height,pix_fmt,level",
        );
        assert_eq!(stream, [tag, "202", "110", pix_fmt, "93"]);
        let times = probe(&path, "packet", "pts_time");
        let want: Vec<String> = (0..12)
            .map(|n| format!("{:.6}", f64::from(n) * 0.04))
            .collect();
        assert_eq!(times, want);
        let theirs = ffmpeg_framemd5(&path, pix_fmt).expect("the ffmpeg command");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(theirs, checksums(&decode(&Ffmpeg::new(), &pictures)));
    }
}

/// Where the hardware is there it must encode; where it is not, the reason names what was tried.
#[test]
fn hardware_encodes_or_says_which_encoders_did_not_answer() {
    for (codec, names) in [
        ("avc1.4d001e", "h264_"),
        (MAIN, "hevc_"),
        ("av01.0.04M.08", "av1_"),
    ] {
        let mut config = config(codec, Size::new(320, 192));
        config.bitrate = Some(1_000_000);
        match FfmpegHardwareEncoder.check(&config) {
            Err(error) => {
                println!("{codec}: {error}");
                assert_eq!(error.kind, ErrorKind::Unsupported);
                assert!(error.message.contains(names), "{error}");
            }
            Ok(()) => {
                let format = FfmpegHardwareEncoder.input_format(&config);
                let frames = scene_frames(format, config.size, 10, STEP);
                let mut encoder = FfmpegHardwareEncoder
                    .start(&config, &encoder_context(1))
                    .unwrap();
                let pictures = encode_all(&mut *encoder, &frames, no_options);
                assert_eq!(pictures.len(), frames.len());
                if !matches!(config.codec, VideoCodec::Av1(_)) {
                    assert_eq!(decode(&Ffmpeg::new(), &pictures).len(), frames.len());
                }
            }
        }
        config.bitrate_mode = VideoBitrateMode::Quantizer;
        assert!(FfmpegHardwareEncoder.check(&config).is_err());
    }
    assert!(FfmpegHardwareEncoder.is_hardware());
}
