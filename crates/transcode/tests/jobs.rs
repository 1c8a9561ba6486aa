//! Jobs against real output: what is written is opened by the demuxers again, and looked at by `ffprobe`.

mod common;

use std::path::Path;

use common::*;
use reelcore_media::demux::TrackKind;
use reelcore_transcode::{Job, JobError};

#[test]
fn a_file_is_transcoded_with_every_picture_and_all_of_its_sound() {
    let folder = folder();
    let out = folder.path().join("out.webm");
    let report = done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [{ "path": out, "streams": [
            { "video": { "codec": "vp9", "mode": "realtime", "bitrate": 1_000_000 } }, { "audio": { "codec": "opus" } }
        ] }],
    }));
    let kinds: Vec<_> = report.outputs[0]
        .streams
        .iter()
        .map(|stream| (stream.kind, stream.codec.as_str()))
        .collect();
    assert_eq!((kinds[0].0, kinds[1]), ("video", ("audio", "opus")));
    assert_eq!(report.outputs[0].streams[0].packets, 50);
    let demuxer = open(&out);
    assert!(
        matches!(demuxer.tracks()[0].kind, TrackKind::Video { coded_size, .. } if coded_size.width == 320)
    );
    let duration = demuxer.duration().expect("a duration");
    assert!((1_960_000..2_060_000).contains(&duration), "{duration}");
    assert_eq!(
        ffprobe(&out, "stream=codec_name,nb_read_frames")
            .lines()
            .next(),
        Some("vp9,50")
    );
    assert_eq!(names(folder.path()), ["out.webm"]);
}

#[test]
fn a_filter_scales_and_a_trim_is_exact() {
    let folder = folder();
    let (out, wav) = (folder.path().join("out.mp4"), folder.path().join("out.wav"));
    done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip(), "from": 0.4, "to": 1.2 } },
        "filters": { "small": { "scale": { "input": "clip:video", "width": 160 } } },
        "outputs": [
            { "path": out, "streams": [{ "video": { "source": "small", "codec": "h264" } }] },
            { "path": wav, "streams": [{ "audio": { "source": "clip:audio", "codec": "pcm-s16" } }] },
        ],
    }));
    assert_eq!(
        ffprobe(&out, "stream=codec_name,width,height,nb_read_frames"),
        "h264,160,120,20"
    );
    assert_eq!(ffprobe(&wav, "stream=duration_ts"), "38400");
}

#[test]
fn a_thumbnail_is_an_image_of_the_size_of_the_video() {
    let folder = folder();
    let out = folder.path().join("thumb.png");
    done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip(), "from": 1 } }, "outputs": [{ "path": out }],
    }));
    assert_eq!(
        ffprobe(&out, "stream=codec_name,width,height"),
        "png,320,240"
    );
}

#[test]
fn files_that_follow_one_another_are_as_long_as_both() {
    let folder = folder();
    let out = folder.path().join("out.mp4");
    done(serde_json::json!({
        "version": 1,
        "inputs": { "both": { "concat": [{ "path": clip(), "to": 1 }, { "path": clip(), "from": 0.52 }] } },
        "outputs": [{ "path": out }],
    }));
    let counts = ffprobe(&out, "stream=codec_name,nb_read_frames");
    assert_eq!(counts.lines().next(), Some("h264,62"), "{counts}");
}

#[test]
fn a_picture_is_laid_over_where_the_job_says() {
    let folder = folder();
    let (logo, out) = (
        folder.path().join("logo.png"),
        folder.path().join("out.png"),
    );
    let mut encoder = png::Encoder::new(std::fs::File::create(&logo).expect("a file"), 40, 20);
    encoder.set_color(png::ColorType::Rgba);
    let pixels: Vec<u8> = [20, 200, 150, 255].repeat(800);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .expect("an image");
    done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() }, "logo": { "path": logo } },
        "filters": { "marked": { "overlay": { "input": "clip:video", "over": "logo:video", "x": 30, "y": 50 } } },
        "outputs": [{ "path": out, "streams": [{ "video": { "source": "marked" } }] }],
    }));
    let decoder = png::Decoder::new(std::io::BufReader::new(
        std::fs::File::open(&out).expect("a file"),
    ));
    let mut reader = decoder.read_info().expect("an image");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("pixels");
    let at = |x: usize, y: usize| &pixels[(y * 320 + x) * 3..][..3];
    for (x, y) in [(31, 51), (68, 68), (50, 60)] {
        let pixel = at(x, y);
        assert!(
            pixel
                .iter()
                .zip([20, 200, 150])
                .all(|(a, b)| a.abs_diff(b) < 5),
            "{pixel:?} at {x},{y}"
        );
    }
    assert_ne!(at(28, 60), at(50, 60));
}

#[test]
fn a_probe_says_what_is_in_the_inputs() {
    let report = done(serde_json::json!({
        "version": 1, "operation": "probe", "inputs": { "clip": { "path": clip() }, "other": { "path": other_clip() } },
    }));
    let clip = &report.inputs["clip"];
    assert_eq!((clip.container, clip.tracks.len()), ("mp4", 2));
    let video = clip.tracks[0].video.as_ref().expect("pictures");
    assert_eq!(
        (video.coded_width, video.coded_height, video.frame_rate),
        (320, 240, Some(25.0))
    );
    assert_eq!(clip.tracks[0].decoder, Some("openh264"));
    let sound = report.inputs["other"].tracks[1]
        .audio
        .as_ref()
        .expect("sound");
    assert_eq!((sound.sample_rate, sound.channels), (44_100, 1));
    for (field, input) in [
        (
            "inputs.clip.from",
            serde_json::json!({ "path": "a.mp4", "from": 1 }),
        ),
        (
            "inputs.clip.concat",
            serde_json::json!({ "concat": [{ "path": "a.mp4" }] }),
        ),
    ] {
        let spec =
            serde_json::json!({ "version": 1, "operation": "probe", "inputs": { "clip": input } });
        let error =
            Job::from_json(spec.to_string().as_bytes()).expect_err("a probe is of whole files");
        assert!(
            matches!(&error, JobError::Spec { path, .. } if path == field),
            "{error:?}"
        );
    }
}

#[test]
fn sound_is_extracted_as_it_is_or_in_another_codec() {
    let folder = folder();
    let out = |name: &str| folder.path().join(name);
    done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [
            { "path": out("copy.aac"), "streams": [{ "audio": { "codec": "copy" } }] },
            { "path": out("tone.wav") },
            { "path": out("tone.ogg"), "streams": [{ "audio": { "bitrate": 64_000 } }] },
        ],
    }));
    assert_eq!(
        ffprobe_errors(&out("copy.aac"), "stream=codec_name,sample_rate,channels"),
        "aac,48000,2"
    );
    assert_eq!(
        ffprobe(&out("tone.wav"), "stream=codec_name,sample_rate,channels"),
        "pcm_s16le,48000,2"
    );
    assert_eq!(
        ffprobe(&out("tone.ogg"), "stream=codec_name,channels"),
        "opus,2"
    );
    let want = samples(&clip(), "atrim=end=2");
    let got = samples(&out("tone.wav"), "");
    let got = &got[..want.len().min(got.len())];
    assert_sounds_like("tone.wav", got, &want[..got.len()], 60.0);
    // The ends of the tone are encoded with less care.
    let got = samples(&out("tone.ogg"), "");
    let middle = 2 * 9600..2 * 86_400;
    assert_sounds_like("tone.ogg", &got[middle.clone()], &want[middle], 18.0);
}

#[test]
fn packets_are_copied_as_they_are() {
    let folder = folder();
    let streams =
        serde_json::json!([{ "video": { "codec": "copy" } }, { "audio": { "codec": "copy" } }]);
    for name in ["copy.mkv", "copy.mp4", "copy.ts"] {
        let out = folder.path().join(name);
        done(serde_json::json!({
            "version": 1, "inputs": { "clip": { "path": clip() } }, "outputs": [{ "path": out, "streams": streams }],
        }));
        let (got, want) = (
            pictures(&out, (320, 240), "yuv420p", ""),
            pictures(&clip(), (320, 240), "yuv420p", ""),
        );
        assert_like(name, &got, &want, [100.0, 100.0]);
        let (got, want) = (times(&out), times(&clip()));
        let step = |times: &[f64]| times[49] - times[0];
        assert!((step(&got) - step(&want)).abs() < 0.0015, "{name}");
        if name != "copy.ts" {
            let packets = |path: &Path, track: usize| {
                let mut reader = open(path).reader(track).expect("a track");
                let mut all = Vec::new();
                while let Some(packet) = reader.next_packet().expect("a packet") {
                    all.push(packet.data);
                }
                all
            };
            for track in [0, 1] {
                assert!(
                    packets(&out, track) == packets(&clip(), track),
                    "{name}: track {track}"
                );
            }
        }
    }
    let out = folder.path().join("part.mkv");
    done(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip(), "to": 1 } }, "outputs": [{ "path": out, "streams": streams }],
    }));
    let counts = ffprobe(&out, "stream=nb_read_frames");
    let pictures: usize = counts
        .lines()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(
        (25..=29).contains(&pictures),
        "{pictures}: those that are decoded before 1 s"
    );
}

#[test]
fn alpha_goes_through_and_is_laid_over() {
    let source = made(
        "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4,format=yuva420p,geq=lum=p(X\\,Y):a=X*2 \
         -c:v libvpx-vp9 -lossless 1 -pix_fmt yuva420p -auto-alt-ref 0",
        "transcode-alpha.webm",
    );
    let folder = folder();
    let (kept, over) = (
        folder.path().join("kept.webm"),
        folder.path().join("over.webm"),
    );
    done(serde_json::json!({
        "version": 1, "inputs": { "alpha": { "path": source }, "clip": { "path": clip() } },
        "filters": { "both": { "overlay": { "input": "clip:video", "over": "alpha:video", "x": 64, "y": 32 } } },
        "outputs": [
            { "path": kept, "streams": [{ "video": {
                "source": "alpha:video", "codec": "vp9", "bitrate": 2_000_000, "alpha": "keep",
            } }] },
            { "path": over, "streams": [lossless("both")] },
        ],
    }));
    let (got, want) = (
        pictures(&kept, (128, 96), "yuva420p", ""),
        pictures(&source, (128, 96), "yuva420p", ""),
    );
    assert_like("alpha", &got, &want, [34.0, 30.0]);
    let (got, base) = (
        pictures(&over, (320, 240), "yuv420p", ""),
        pictures(&clip(), (320, 240), "yuv420p", ""),
    );
    assert_eq!(got.frames.len(), 50);
    for frame in [0, 4] {
        let (got, base, over) = (
            got.plane(frame, 0),
            base.plane(frame, 0),
            want.plane(frame, 0),
        );
        let alpha = want.plane(frame, 3);
        let mut mixed = base.clone();
        for (at, (&over, &alpha)) in over.iter().zip(&alpha).enumerate() {
            let place = (32 + at / 128) * 320 + 64 + at % 128;
            let weight = f64::from(alpha) / 255.0;
            mixed[place] =
                (f64::from(base[place]) * (1.0 - weight) + f64::from(over) * weight).round() as u16;
        }
        let value = psnr(&got, &mixed, 8);
        assert!(value > 50.0, "picture {frame}: {value:.1} dB");
    }
}

#[test]
fn files_of_other_sizes_and_rates_are_brought_to_the_first() {
    let folder = folder();
    let out = folder.path().join("out.mkv");
    done(serde_json::json!({
        "version": 1,
        "inputs": { "both": { "concat": [
            { "path": clip(), "to": 1 }, { "path": other_clip() }, { "path": clip(), "from": 1 },
        ] } },
        "outputs": [{ "path": out, "streams": [
            lossless("both:video"), { "audio": { "source": "both:audio", "codec": "pcm-s16" } },
        ] }],
    }));
    let probed = ffprobe(
        &out,
        "stream=codec_name,width,height,sample_rate,channels,nb_read_frames",
    );
    let lines: Vec<&str> = probed.lines().collect();
    assert!(lines[0].starts_with("vp9,320,240,"), "{probed}");
    assert!(lines[1].starts_with("pcm_s16le,48000,2,"), "{probed}");
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let base = pictures(&clip(), (320, 240), "yuv420p", "");
    let other = pictures(
        &other_clip(),
        (320, 240),
        "yuv420p",
        "scale=320:182,pad=320:240:0:28",
    );
    let (times, count) = (times(&out), got.frames.len());
    let second = times
        .iter()
        .position(|&time| time > 0.99)
        .expect("a second part");
    let third = count - 25;
    assert_eq!(second, 25);
    assert!(
        (third - second).abs_diff(45) <= 1,
        "{count}: 1.5 s at 30 a second"
    );
    for frame in 0..25 {
        assert!(same(&got, frame, &base, frame), "picture {frame}");
        assert!(
            same(&got, third + frame, &base, 25 + frame),
            "picture {}",
            third + frame
        );
    }
    let value = psnr(&got.plane(second + 10, 0), &other.plane(10, 0), 8);
    assert!(value > 26.0, "the second part: {value:.1} dB");
    // The tone of each part, at its place.
    let sound = samples(&out, "");
    let power = |from: f64, frequency: f64| {
        let start = (from * 48_000.0) as usize;
        let (mut re, mut im) = (0.0, 0.0);
        for n in 0..9600 {
            let phase = std::f64::consts::TAU * frequency * n as f64 / 48_000.0;
            let sample = f64::from(sound[2 * (start + n)]);
            re += sample * phase.cos();
            im += sample * phase.sin();
        }
        (re * re + im * im).sqrt() / 4800.0
    };
    for (from, there, absent) in [
        (0.5, 440.0, 1000.0),
        (1.6, 1000.0, 440.0),
        (2.9, 440.0, 1000.0),
    ] {
        assert!(
            power(from, there) > 0.08 && power(from, absent) < 0.01,
            "{from} s"
        );
    }
}

#[test]
fn the_job_in_the_documentation_works_as_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/transcode.md");
    let page = std::fs::read_to_string(page).expect("docs/transcode.md");
    let example = page
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let mut example: serde_json::Value =
        serde_json::from_str(example.expect("an example")).expect("JSON");
    let long = made(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=9 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=9 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a aac",
        "transcode-long.mp4",
    );
    let logo = made(
        "-f lavfi -i color=red:size=64x64:duration=0.04 -pix_fmt rgba",
        "transcode-logo.png",
    );
    let folder = folder();
    // Only the paths are others.
    for (pointer, path) in [
        ("/inputs/show/concat/0/path", clip()),
        ("/inputs/show/concat/1/path", long),
        ("/inputs/logo/path", logo),
        ("/outputs/0/path", folder.path().join("show.webm")),
        ("/outputs/1/path", folder.path().join("poster.png")),
    ] {
        *example.pointer_mut(pointer).expect("a field") = serde_json::json!(path);
    }
    let report = done(example);
    assert_eq!(names(folder.path()), ["poster.png", "show.webm"]);
    assert!(
        report.outputs[0].duration.abs_diff(8_000_000) < 50_000,
        "2 s and 6 s: {report:?}"
    );
    assert_eq!(
        ffprobe(&folder.path().join("show.webm"), "stream=width,height")
            .lines()
            .next(),
        Some("640,360")
    );
}
