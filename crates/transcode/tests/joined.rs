//! Transport streams that were put together, whose times begin anew or jump ahead in the middle.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use serde_json::json;

/// Two seconds of pictures and a tone: 50 pictures.
fn part(frequency: u32, more: &str, name: &str) -> PathBuf {
    made(
        &format!(
            "-f lavfi -i testsrc2=size=160x120:rate=25:duration=2 -f lavfi -i sine=frequency={frequency}:sample_rate=48000:duration=2 \
             -c:v libx264 -profile:v main -bf 2 -g 25 -pix_fmt yuv420p -c:a aac -b:a 128k -ac 1 {more}"
        ),
        name,
    )
}

fn joined(folder: &Path, parts: &[PathBuf]) -> PathBuf {
    let path = folder.join("joined.ts");
    let bytes: Vec<u8> = parts
        .iter()
        .flat_map(|part| std::fs::read(part).expect("a file"))
        .collect();
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// How much of `frequency` is in `samples` of 48 kHz.
fn loudness(samples: &[f32], frequency: f64) -> f64 {
    let (mut along, mut across) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let phase = std::f64::consts::TAU * frequency * at as f64 / 48_000.0;
        along += f64::from(*sample) * phase.sin();
        across += f64::from(*sample) * phase.cos();
    }
    f64::hypot(along, across) / samples.len() as f64
}

/// The sound of the file at `path` on its time line.
fn heard(path: &Path) -> Vec<f32> {
    samples(
        path,
        "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=mono",
    )
}

/// That two seconds each of 440, 880 and 440 Hz are heard.
fn assert_tones(heard: &[f32], what: &str) {
    for (second, tone, other) in [
        (0.2, 440.0, 880.0),
        (2.2, 880.0, 440.0),
        (4.2, 440.0, 880.0),
    ] {
        let from = (second * 48_000.0) as usize;
        let run = &heard[from..from + 72_000];
        assert!(
            loudness(run, tone) > 10.0 * loudness(run, other),
            "{what}: not {tone} Hz at {second} s"
        );
    }
}

#[test]
fn what_is_behind_a_jump_of_the_times_goes_on_behind_what_is_before_it() {
    let first = part(440, "", "transcode-part-440.ts");
    for (name, second) in [
        ("back", part(880, "", "transcode-part-880.ts")),
        (
            "ahead",
            part(880, "-output_ts_offset 600", "transcode-part-880-later.ts"),
        ),
    ] {
        let folder = folder();
        let path = joined(
            folder.path(),
            &[first.clone(), second.clone(), first.clone()],
        );
        let encoded = json!([lossless("a:video"), { "audio": { "codec": "pcm-s16" } }]);
        let copied = json!([{ "video": { "codec": "copy" } }, { "audio": { "codec": "copy" } }]);
        for (out, streams) in [("encoded.mkv", encoded), ("copied.mp4", copied)] {
            let out = folder.path().join(out);
            done(json!({
                "version": 1, "inputs": { "a": { "path": path } }, "outputs": [{ "path": out, "streams": streams }],
            }));
            let what = format!("{name}, {}", out.display());
            let got = pictures(&out, (160, 120), "yuv420p", "");
            assert_eq!(got.frames.len(), 150, "{what}");
            let times = times(&out);
            for (at, time) in times.iter().enumerate() {
                let expected = at as f64 / 25.0;
                assert!(
                    (time - times[0] - expected).abs() < 0.002,
                    "{what}: picture {at} at {time}"
                );
            }
            let heard = heard(&out);
            // AAC has a little more than two seconds in each part.
            let length = heard.len() as f64 / 48_000.0;
            assert!((5.9..6.2).contains(&length), "{what}: {length} s");
            assert_tones(&heard, &what);
        }
    }
}

#[test]
fn sound_that_goes_over_to_another_codec_and_back_is_encoded_as_one() {
    let first = part(440, "", "transcode-part-440.ts");
    let second = part(
        880,
        "-output_ts_offset 2.08 -c:a libmp3lame",
        "transcode-part-880-mp3.ts",
    );
    let third = part(440, "-output_ts_offset 4.08", "transcode-part-440-later.ts");
    let folder = folder();
    let path = joined(folder.path(), &[first, second, third]);
    let out = folder.path().join("encoded.mkv");
    let streams = json!([lossless("a:video"), { "audio": { "codec": "pcm-s16" } }]);
    done(json!({
        "version": 1, "inputs": { "a": { "path": path } }, "outputs": [{ "path": out, "streams": streams }],
    }));
    let got = pictures(&out, (160, 120), "yuv420p", "");
    assert_eq!(got.frames.len(), 150);
    for (at, time) in times(&out).into_iter().enumerate() {
        let expected = at as f64 / 25.0;
        assert!(
            (time - expected).abs() < 0.1,
            "picture {at} at {time}, not {expected} s"
        );
    }
    let heard = heard(&out);
    assert_tones(&heard, "AAC, MP3, AAC");
}

#[test]
fn pictures_and_sound_are_together_behind_a_jump() {
    let flash = made(
        "-f lavfi -i testsrc2=size=160x120:rate=25:duration=3,drawbox=color=white:t=fill:enable=between(t\\,1.99\\,2.09) \
         -f lavfi -i aevalsrc=exprs=if(between(t\\,2\\,2.005)\\,0.8*sin(2*PI*2000*t)\\,0):s=48000:d=3 \
         -c:v libx264 -profile:v main -bf 2 -g 20 -pix_fmt yuv420p -c:a aac -b:a 128k",
        "transcode-broadcast.ts",
    );
    let folder = folder();
    let path = joined(folder.path(), &[flash.clone(), flash.clone(), flash]);
    let out = folder.path().join("out.mkv");
    done(json!({
        "version": 1, "inputs": { "a": { "path": path } },
        "outputs": [{ "path": out, "streams": [lossless("a:video"), { "audio": { "codec": "pcm-s16" } }] }],
    }));
    let frames = pictures(&out, (160, 120), "yuv420p", "");
    let times = times(&out);
    let heard = heard(&out);
    for round in 0..3 {
        // In the middle of its three seconds.
        let from = 3 * round + 1;
        let bright = (0..frames.frames.len()).find(|&frame| {
            let luma = frames.plane(frame, 0);
            times[frame] > from as f64
                && luma.iter().filter(|&&y| y > 220).count() * 10 > luma.len() * 9
        });
        let loud = heard
            .iter()
            .skip(from * 48_000)
            .position(|sample| sample.abs() > 0.25);
        let flash = times[bright.expect("a flash")];
        let click = from as f64 + loud.expect("a click") as f64 / 48_000.0;
        assert!(
            (flash - (3 * round + 2) as f64).abs() < 0.05,
            "flash at {flash}"
        );
        assert!(
            (flash - click).abs() < 0.021,
            "flash at {flash}, click at {click}"
        );
    }
}

#[test]
fn a_part_of_a_joined_stream_has_pictures_and_sound_of_one_place() {
    let first = part(440, "", "transcode-part-440.ts");
    let later = part(880, "-output_ts_offset 600", "transcode-part-880-later.ts");
    let folder = folder();
    let path = joined(folder.path(), &[first, later]);
    for from in [600.0, 600.05, 600.2, 600.6] {
        let out = folder.path().join(format!("{from}.mkv"));
        done(json!({
            "version": 1, "inputs": { "a": { "path": path, "from": from } },
            "outputs": [{ "path": out, "streams": [lossless("a:video"), { "audio": { "codec": "pcm-s16" } }] }],
        }));
        let frames = pictures(&out, (160, 120), "yuv420p", "").frames.len() as f64 / 25.0;
        let heard = samples(&out, "aformat=channel_layouts=mono");
        let length = heard.len() as f64 / 48_000.0;
        assert!(
            (length - frames).abs() < 0.1,
            "from {from}: {frames} s of pictures, {length} s of sound"
        );
        assert!(frames > 1.2, "from {from}: {frames} s");
        assert!(
            loudness(&heard, 880.0) > 10.0 * loudness(&heard, 440.0),
            "from {from}: sound of the first part"
        );
    }
}

#[test]
fn a_pause_of_the_pictures_alone_is_no_jump() {
    let path = made(
        "-f lavfi -i testsrc2=size=160x120:rate=10:duration=18 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=18 \
         -vf select=lt(t\\,2)+gte(t\\,16) -fps_mode vfr -c:v libx264 -profile:v main -bf 0 -g 10 -pix_fmt yuv420p -c:a aac -ac 1",
        "transcode-pause.ts",
    );
    let folder = folder();
    let out = folder.path().join("out.mkv");
    done(json!({
        "version": 1, "inputs": { "a": { "path": path } },
        "outputs": [{ "path": out, "streams": [lossless("a:video"), { "audio": { "codec": "pcm-s16" } }] }],
    }));
    let times = times(&out);
    let last = times[times.len() - 1] - times[0];
    assert!((last - 17.9).abs() < 0.05, "the last picture at {last} s");
}
