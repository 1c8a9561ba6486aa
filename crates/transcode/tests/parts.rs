//! Parts of files: where decoding begins, what is left out before it, and what is silent where a file has no sound.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use serde_json::json;

/// H.264 in open groups of pictures: of the key pictures only the first is IDR.
fn open_groups(name: &str) -> PathBuf {
    made(
        "-f lavfi -i testsrc2=size=192x112:rate=25:duration=3 -c:v libx264 -profile:v main -pix_fmt yuv420p \
         -g 25 -bf 2 -x264-params open-gop=1:scenecut=0",
        name,
    )
}

#[test]
fn a_part_is_whole_wherever_key_pictures_are() {
    let refreshed = made(
        "-f lavfi -i testsrc2=size=192x112:rate=25:duration=3 -c:v libx264 -profile:v main -pix_fmt yuv420p \
         -g 25 -bf 0 -x264-params intra-refresh=1",
        "transcode-refresh.mp4",
    );
    for path in [
        open_groups("transcode-open.mp4"),
        open_groups("transcode-open.mkv"),
        open_groups("transcode-open.ts"),
        refreshed,
    ] {
        let folder = folder();
        let out = folder.path().join("out.mkv");
        done(json!({
            "version": 1, "inputs": { "a": { "path": path, "from": 2.4, "to": 2.8 } },
            "outputs": [{ "path": out, "streams": [lossless("a:video")] }],
        }));
        let got = pictures(&out, (192, 112), "yuv420p", "");
        let whole = pictures(&path, (192, 112), "yuv420p", "");
        assert_eq!(got.frames.len(), 10, "{}", path.display());
        for frame in 0..10 {
            // Pictures beside it are below 40 dB.
            let value = psnr(&got.plane(frame, 0), &whole.plane(60 + frame, 0), 8);
            assert!(
                value > 50.0,
                "{}: picture {frame}: {value:.1} dB",
                path.display()
            );
        }
    }
}

/// The last two thirds of a transport stream of a flash and a click at 2 s: as a receiver has it that is switched on.
fn recording(folder: &Path) -> PathBuf {
    let whole = made(
        "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3,drawbox=color=white:t=fill:enable=between(t\\,1.99\\,2.09) \
         -f lavfi -i aevalsrc=exprs=if(between(t\\,2\\,2.005)\\,0.8*sin(2*PI*2000*t)\\,0):s=48000:d=3 \
         -c:v libx264 -profile:v main -bf 2 -g 20 -pix_fmt yuv420p -c:a aac -b:a 128k",
        "transcode-broadcast.ts",
    );
    let bytes = std::fs::read(whole).expect("a file");
    let path = folder.join("recording.ts");
    std::fs::write(&path, &bytes[bytes.len() / 188 / 3 * 188..]).expect("a file");
    path
}

/// The times of the first bright picture and of the first loud sample, in seconds.
fn flash_and_click(path: &Path) -> (f64, f64) {
    let frames = pictures(path, (160, 120), "yuv420p", "");
    let bright = (0..frames.frames.len()).find(|&frame| {
        let luma = frames.plane(frame, 0);
        luma.iter().filter(|&&y| y > 220).count() * 10 > luma.len() * 9
    });
    let times = times(path);
    assert_eq!(times.len(), frames.frames.len());
    let sound = samples(
        path,
        "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=mono",
    );
    let loud = sound.iter().position(|sample| sample.abs() > 0.25);
    (
        times[bright.expect("a flash")],
        loud.expect("a click") as f64 / 48_000.0,
    )
}

#[test]
fn a_recording_that_begins_between_key_pictures_keeps_pictures_and_sound_together() {
    let folder = folder();
    let path = recording(folder.path());
    let encoded = json!([{ "video": { "codec": "vp9", "mode": "realtime" } }, { "audio": { "codec": "opus" } }]);
    let copied = json!([{ "video": { "codec": "copy" } }, { "audio": { "codec": "copy" } }]);
    for (name, streams) in [("encoded.mkv", encoded), ("copied.mkv", copied)] {
        let out = folder.path().join(name);
        done(json!({
            "version": 1, "inputs": { "a": { "path": path } }, "outputs": [{ "path": out, "streams": streams }],
        }));
        let (flash, click) = flash_and_click(&out);
        println!("{name}: flash at {flash}, click at {click}");
        // It was cut somewhere after 0.8 s.
        assert!(
            (0.1..1.3).contains(&flash) && (flash - click).abs() < 0.021,
            "{name}: flash at {flash}, click at {click}"
        );
    }
}

#[test]
fn vorbis_from_the_middle_is_the_sound_that_is_there() {
    for rate in [48_000, 96_000] {
        let source = made(
            &format!(
                "-f lavfi -i aevalsrc=exprs=0.3*sin(2*PI*(200+300*t)*t)+0.2*random(0):s={rate}:d=2 -c:a libvorbis -q:a 5"
            ),
            &format!("transcode-vorbis-{rate}.ogg"),
        );
        let folder = folder();
        let whole = folder.path().join("whole.wav");
        let cut = |from: f64, out: &Path| {
            done(json!({
                "version": 1, "inputs": { "a": { "path": source, "from": from } },
                "outputs": [{ "path": out, "streams": [{ "audio": { "codec": "pcm-f32" } }] }],
            }));
            samples(out, "")
        };
        let whole = cut(0.0, &whole);
        for from in [0.32, 0.5, 1.0, 1.7] {
            let got = cut(from, &folder.path().join(format!("{from}.wav")));
            let want = &whole[(from * f64::from(rate)).round() as usize..];
            assert_sounds_like(&format!("{rate} Hz from {from}"), &got, want, 100.0);
        }
    }
}

#[test]
fn vorbis_of_matroska_is_cut_where_it_is_in_the_whole_to_the_millisecond() {
    let rate = 44_100_usize;
    let source = made(
        &format!(
            "-f lavfi -i aevalsrc=exprs=0.3*sin(2*PI*(200+300*t)*t)+0.2*random(0):s={rate}:d=2 -c:a libvorbis -q:a 5"
        ),
        "transcode-vorbis.mkv",
    );
    let folder = folder();
    let cut = |from: f64| {
        let out = folder.path().join(format!("{from}.mkv"));
        done(json!({
            "version": 1, "inputs": { "a": { "path": source, "from": from } },
            "outputs": [{ "path": out, "streams": [{ "audio": { "codec": "pcm-f32" } }] }],
        }));
        // From time 0 on.
        samples(&out, "aresample=async=1:first_pts=0")
    };
    let whole = cut(0.0);
    for from in [0.32, 0.5, 1.0, 1.7] {
        let got = cut(from);
        let at = (from * rate as f64).round() as usize;
        let apart = |start: usize| -> f32 {
            let pairs = whole[start..].iter().zip(&got).skip(1000).take(4000);
            pairs.map(|(a, b)| (a - b).abs()).sum()
        };
        // 6 ms to either side.
        let near = at - 264..at + 264;
        let start = near.min_by(|&a, &b| apart(a).total_cmp(&apart(b)));
        let start = start.expect("some place");
        let off = start.abs_diff(at);
        // The times of the source are rounded, where it is cut and at its start, and so are those of the output.
        assert!(
            off <= rate * 3 / 2000,
            "from {from} it is off by {off} samples"
        );
        let count = got.len().min(whole.len() - start);
        let (got, want) = (&got[1000..count], &whole[start + 1000..start + count]);
        assert_sounds_like(&format!("from {from}"), got, want, 100.0);
    }
}

#[test]
fn parts_without_sound_are_silent_in_a_concatenation() {
    let silent = made(
        "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1 -c:v libx264 -profile:v main -pix_fmt yuv420p",
        "transcode-silent.mp4",
    );
    for (parts, loud, length) in [
        (json!([{ "path": clip() }, { "path": silent }]), 0.0, 3.0),
        (json!([{ "path": silent }, { "path": clip() }]), 1.0, 3.0),
        (
            json!([{ "path": silent }, { "path": clip(), "to": 1 }, { "path": silent }]),
            1.0,
            3.0,
        ),
    ] {
        let folder = folder();
        let out = folder.path().join("out.mkv");
        done(json!({
            "version": 1, "inputs": { "all": { "concat": parts } },
            "outputs": [{ "path": out, "streams": [
                { "video": { "codec": "vp8", "mode": "realtime" } },
                { "audio": { "codec": "pcm-s16", "optional": true } },
            ] }],
        }));
        let sound = samples(
            &out,
            "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=mono",
        );
        let seconds = sound.len() as f64 / 48_000.0;
        assert!((seconds - length).abs() < 0.05, "{parts}: {seconds} s");
        for at in 0..length as usize {
            let middle = &sound[48_000 * at + 12_000..48_000 * at + 36_000];
            let peak = middle
                .iter()
                .fold(0f32, |peak, sample| peak.max(sample.abs()));
            let time = at as f64;
            let has = time >= loud && time < loud + if parts[2].is_null() { 2.0 } else { 1.0 };
            assert_eq!(peak > 0.05, has, "{parts}: a peak of {peak} at {at} s");
        }
    }
    // Where none has sound, there is no track of it.
    let folder = folder();
    let none = json!({
        "version": 1, "inputs": { "all": { "concat": [{ "path": silent }, { "path": silent }] } },
        "outputs": [{ "path": folder.path().join("out.wav"), "streams": [{ "audio": {} }] }],
    });
    assert_eq!(refused(none).exit_code(), 3);
}
