//! Jobs against real output: what is written is opened by the demuxers again, and looked at by `ffprobe`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use reelcore_conformance::ffmpeg_make;
use reelcore_containers::FileSource;
use reelcore_media::Registry;
use reelcore_media::demux::{Demuxer, TrackKind};
use reelcore_transcode::{Cancel, Job, JobError, Options, Report, run, run_with};

fn registry() -> Registry {
    Registry::new()
        .with_video_decoder(reelcore_codec_dav1d::Dav1d)
        .with_video_decoder(reelcore_codec_openh264::OpenH264)
        .with_video_decoder(reelcore_codec_vpx::Vpx)
        .with_audio_decoder(reelcore_codec_aac::Aac)
        .with_audio_decoder(reelcore_codec_opus::Opus)
        .with_audio_decoder(reelcore_codec_pcm::Pcm)
        .with_video_encoder(reelcore_codec_openh264::OpenH264Encoder)
        .with_video_encoder(reelcore_codec_vpx::VpxEncoder)
        .with_audio_encoder(reelcore_codec_aac::AacEncoder)
        .with_audio_encoder(reelcore_codec_opus::OpusEncoder)
        .with_audio_encoder(reelcore_codec_pcm::PcmEncoder)
}

/// Two seconds of a test picture at 25 frames a second with a tone: H.264 and AAC in MP4.
fn clip() -> PathBuf {
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x240:rate=25:duration=2",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000:duration=2",
        "-c:v",
        "libx264",
        "-profile:v",
        "main",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "96k",
        "-ac",
        "2",
    ];
    ffmpeg_make(&args, "transcode-clip.mp4").expect("ffmpeg, which `./x setup` installs")
}

fn job(json: serde_json::Value) -> Job {
    Job::from_json(json.to_string().as_bytes()).expect("a job")
}

fn done(json: serde_json::Value) -> Report {
    run(&job(json), &registry(), &mut |_| {}).expect("the job is done")
}

fn open(path: &Path) -> Arc<dyn Demuxer> {
    reelcore_containers::open(Arc::new(FileSource::open(path).expect("a file")))
        .expect("a container")
}

/// What `ffprobe` says of a file, without a word on stderr.
fn ffprobe(path: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-count_frames",
            "-of",
            "csv=p=0",
            "-show_entries",
            entries,
        ])
        .arg(path)
        .output()
        .expect("ffprobe, which `./x setup` installs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffprobe warns");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn a_file_is_transcoded_with_every_picture_and_all_of_its_sound() {
    let folder = tempfile::tempdir().expect("a folder");
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
    let folder = tempfile::tempdir().expect("a folder");
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
    let folder = tempfile::tempdir().expect("a folder");
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
    let folder = tempfile::tempdir().expect("a folder");
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
    let folder = tempfile::tempdir().expect("a folder");
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
fn nothing_is_left_of_a_job_that_fails_or_is_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.webm");
    std::fs::write(&out, b"before").expect("a file");
    let wrong = job(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "filters": { "part": { "crop": { "input": "clip:video", "width": 9999, "height": 10 } } },
        "outputs": [{ "path": out, "streams": [{ "video": { "source": "part" } }] }],
    }));
    let error = run(&wrong, &registry(), &mut |_| {}).expect_err("it is larger than the picture");
    assert_eq!(error.exit_code(), 1, "{error}");
    let right = job(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } }, "outputs": [{ "path": out }],
    }));
    let cancel = Cancel::default();
    let options = Options {
        cancel: cancel.clone(),
        ..Options::default()
    };
    let result = run_with(&right, &registry(), &options, &mut |_| cancel.cancel());
    assert_eq!(result, Err(JobError::Cancelled));
    assert_eq!(names(folder.path()), ["out.webm"]);
    assert_eq!(std::fs::read(&out).expect("the file"), b"before");
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let base = serde_json::json!({
        "version": 1, "inputs": { "a": { "path": "a.mp4" } },
        "filters": { "s": { "scale": { "input": "a:video", "width": 64 } } },
        "outputs": [{ "path": "o.mp4", "streams": [{ "video": { "source": "s" } }] }],
    });
    for (pointer, value, want) in [
        ("/version", serde_json::json!(2), "version"),
        (
            "/inputs/a",
            serde_json::json!({ "path": "a.mp4", "form": 1 }),
            "inputs.a.form",
        ),
        (
            "/inputs/a",
            serde_json::json!({ "path": "-" }),
            "inputs.a.path",
        ),
        (
            "/inputs/a",
            serde_json::json!({ "path": "a.mp4", "from": 2, "to": 1 }),
            "inputs.a.to",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "a:audio", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "s", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "x", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "a:video", "width": 0 }),
            "filters.s.scale.width",
        ),
        (
            "/outputs/0/path",
            serde_json::json!("o.xyz"),
            "outputs[0].path",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "a:video" }),
            "filters.s",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "s", "codec": "h266" }),
            "outputs[0].streams[0].video.codec",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "s", "codec": "copy" }),
            "outputs[0].streams[0].video.codec",
        ),
    ] {
        let mut json = base.clone();
        *json.pointer_mut(pointer).expect("a field") = value;
        match Job::from_json(json.to_string().as_bytes()) {
            Err(JobError::Spec { path, .. }) => assert_eq!(path, want, "{pointer}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    assert!(Job::from_json(base.to_string().as_bytes()).is_ok());
}

#[test]
fn the_checked_in_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, Job::schema()).expect("the schema is written");
    }
    let checked_in = std::fs::read_to_string(&path).expect("docs/job.schema.json");
    // As values: whether the keys of an object keep their order depends on what else is built with serde_json.
    let value =
        |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("a JSON Schema") };
    assert!(
        value(&checked_in) == value(&Job::schema()),
        "docs/job.schema.json is not that of the types: run the test with UPDATE_SCHEMA=1"
    );
}
