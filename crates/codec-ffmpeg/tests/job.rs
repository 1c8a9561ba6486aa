//! Jobs on H.264 that has few IDR pictures, or none.

use std::path::{Path, PathBuf};
use std::process::Command;

use reelcore_codec_ffmpeg::Ffmpeg;
use reelcore_codec_vpx::VpxEncoder;
use reelcore_conformance::ffmpeg_make;
use reelcore_media::Registry;
use reelcore_transcode::{Job, run};
use serde_json::{Value, json};

const LUMA: usize = 192 * 112;

/// Three seconds, 75 pictures, a key picture each second.
fn clip(params: &str, name: &str) -> PathBuf {
    let source = "testsrc2=size=192x112:rate=25:duration=3";
    let args = [
        "-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25",
    ];
    let params = ["-x264-params", params];
    ffmpeg_make(&[&args[..], &params].concat(), name).expect("ffmpeg, which `./x setup` installs")
}

/// What the pictures of `input` become in a job.
fn pictures_of_job(input: Value) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.mkv");
    let spec = json!({
        "version": 1, "inputs": { "a": input },
        "outputs": [{ "path": out, "streams": [{ "video": { "codec": "vp9", "quantizer": 0, "mode": "realtime" } }] }],
    });
    let registry = Registry::new()
        .with_video_decoder(Ffmpeg::new())
        .with_video_encoder(VpxEncoder);
    let job = Job::from_json(spec.to_string().as_bytes()).expect("a job");
    run(&job, &registry, &mut |_| {}).expect("the job is done");
    pictures(&out)
}

/// The luma of each picture, as the ffmpeg command decodes it.
fn pictures(path: &Path) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args([
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ])
        .output()
        .expect("ffmpeg, which `./x setup` installs");
    let pictures = output.stdout.chunks_exact(LUMA * 3 / 2);
    pictures.map(|picture| picture[..LUMA].to_vec()).collect()
}

/// Within what encoding takes away: pictures beside each other differ by more than 100.
fn assert_alike(got: &[Vec<u8>], want: &[Vec<u8>], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
        let error = got.iter().zip(want).map(square).sum::<f64>() / LUMA as f64;
        assert!(error < 1.0, "{what}: picture {index}: {error:.1}");
    }
}

#[test]
fn a_recording_without_an_idr_picture_is_decoded_from_its_first_recovery_point_on() {
    let whole = clip("open-gop=1:scenecut=0:bframes=2", "job-open.ts");
    let bytes = std::fs::read(&whole).expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording.ts");
    // Behind the only IDR picture.
    std::fs::write(&path, &bytes[bytes.len() / 188 / 6 * 188..]).expect("a file");
    let got = pictures_of_job(json!({ "path": path }));
    assert_alike(
        &got,
        &pictures(&whole)[25..],
        "from the first recovery point",
    );
}

#[test]
fn a_part_of_pictures_that_are_refreshed_by_and_by_is_whole_from_its_start() {
    for (params, name) in [
        ("intra-refresh=1:bframes=0", "job-refresh.mp4"),
        ("intra-refresh=1:bframes=0", "job-refresh.mkv"),
        ("open-gop=1:scenecut=0:bframes=2", "job-open.mp4"),
    ] {
        let whole = clip(params, name);
        let want = &pictures(&whole)[60..70];
        let got = pictures_of_job(json!({ "path": whole, "from": 2.4, "to": 2.8 }));
        assert_alike(&got, want, name);
    }
}

#[test]
fn a_recording_of_pictures_that_are_refreshed_by_and_by_is_decoded_from_the_first_whole_one_on() {
    let whole = clip("intra-refresh=1:bframes=0", "job-refresh.ts");
    let bytes = std::fs::read(&whole).expect("a file");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording.ts");
    std::fs::write(&path, &bytes[bytes.len() / 188 / 6 * 188..]).expect("a file");
    let got = pictures_of_job(json!({ "path": path }));
    let whole = pictures(&whole);
    assert!((25..50).contains(&got.len()), "{} pictures", got.len());
    assert_alike(
        &got,
        &whole[75 - got.len()..],
        "from the first whole picture",
    );
}
