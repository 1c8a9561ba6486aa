//! Jobs on MP4 whose composition offsets go below 0, as CMAF and QuickTime files have them.

mod common;

use common::*;
use serde_json::json;

const H264: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=2 -c:v libx264 -preset veryfast -bf 3 -g 50 -x264-params b-adapt=0";
const FORMS: [(&str, &str); 3] = [
    ("tables", "-movflags negative_cts_offsets"),
    (
        "fragments",
        "-movflags frag_keyframe+empty_moov+negative_cts_offsets",
    ),
    (
        "frames",
        "-movflags frag_every_frame+empty_moov+negative_cts_offsets",
    ),
];

#[test]
fn a_cut_between_any_two_pictures_has_all_before_it() {
    let folder = folder();
    for (name, flags) in FORMS {
        let source = made(&format!("{H264} {flags}"), &format!("negative-{name}.mp4"));
        for pictures in 1..12 {
            let to = f64::from(pictures) * 0.04 - 0.02;
            let out = folder.path().join(format!("{name}-{pictures}.mkv"));
            done(json!({
                "version": 1, "inputs": { "in": { "path": source, "to": to } },
                "outputs": [{ "path": out, "streams": [{ "video": { "codec": "vp9", "mode": "realtime" } }] }],
            }));
            assert_eq!(times(&out).len(), pictures as usize, "{name} to {to}");
        }
    }
}

#[test]
fn a_copy_has_all_pictures_before_its_end_whatever_the_container() {
    let folder = folder();
    for (name, flags) in FORMS {
        let source = made(&format!("{H264} {flags}"), &format!("negative-{name}.mp4"));
        for ending in ["mp4", "mkv", "ts"] {
            let out = folder.path().join(format!("{name}.{ending}"));
            done(json!({
                "version": 1, "inputs": { "in": { "path": source, "to": 0.5 } },
                "outputs": [{ "path": out, "streams": [{ "video": { "codec": "copy" } }] }],
            }));
            let mut found = times(&out);
            found.sort_by(f64::total_cmp);
            let first = found.first().copied().unwrap_or_default();
            for picture in 0..13 {
                let time = first + f64::from(picture) * 0.04;
                assert!(
                    found.iter().any(|found| (found - time).abs() < 0.002),
                    "{name}.{ending}: no picture at {time}: {found:?}"
                );
            }
        }
    }
}
