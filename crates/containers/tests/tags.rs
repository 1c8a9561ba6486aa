//! Tags and the trimming of sound in MP4, against FFmpeg's files.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::{TrackBuilder, bx, clips, full, moov, open_bytes, packets, words};

fn ffmpeg(args: &[&str], name: &str) -> Vec<u8> {
    let out: PathBuf = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .arg(clips().join("h264-aac.mp4"))
        .args(args)
        .arg(&out)
        .status()
        .expect("the ffmpeg command (./x setup installs it)");
    assert!(status.success());
    std::fs::read(out).expect("the clip")
}

const TAGS: [(&str, &str); 5] = [
    ("title", "A title: \u{fc}ml\u{e4}ut"),
    ("artist", "Somebody"),
    ("album", "Records"),
    ("date", "2026"),
    ("comment", "none"),
];

#[test]
fn tags_of_itunes_and_of_quicktime_are_read() {
    let pairs: Vec<String> = TAGS.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut args = vec!["-c", "copy"];
    for pair in &pairs {
        args.extend(["-metadata", pair]);
    }
    for name in ["tags.mp4", "tags.mov"] {
        let demuxer = open_bytes(ffmpeg(&args, name)).expect("it opens");
        for (key, value) in TAGS {
            let wanted = (key.to_owned(), value.to_owned());
            assert!(
                demuxer.tags().contains(&wanted),
                "{name}: {:?}",
                demuxer.tags()
            );
        }
    }
    args.extend(["-movflags", "use_metadata_tags", "-metadata", "mood=grey"]);
    let demuxer = open_bytes(ffmpeg(&args, "keys.mp4")).expect("it opens");
    let wanted = ("mood".to_owned(), "grey".to_owned());
    assert!(demuxer.tags().contains(&wanted), "{:?}", demuxer.tags());
}

#[test]
fn a_track_number_is_a_pair() {
    let args = ["-c", "copy", "-metadata", "track=3/12"];
    let demuxer = open_bytes(ffmpeg(&args, "track.mp4")).expect("it opens");
    let wanted = ("track".to_owned(), "3/12".to_owned());
    assert!(demuxer.tags().contains(&wanted), "{:?}", demuxer.tags());
}

/// A file with this `moov/udta/meta/ilst`.
fn with_items(items: &[Vec<u8>]) -> Vec<u8> {
    let hdlr = full(b"hdlr", 0, 0, &[&words(&[0]), b"mdirappl", &[0; 9]]);
    let meta = full(b"meta", 0, 0, &[&hdlr, &bx(b"ilst", &[&items.concat()])]);
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        moov(&[TrackBuilder::video(1000).build()], &bx(b"udta", &[&meta])),
    ]
    .concat()
}

fn item(kind: &[u8; 4], class: u32, value: &[u8]) -> Vec<u8> {
    bx(kind, &[&bx(b"data", &[&words(&[class, 0]), value])])
}

#[test]
fn an_item_that_is_cut_short_hides_none_behind_it() {
    for damaged in [
        item(b"gnre", 0, &[17]),
        item(b"gnre", 0, &[]),
        item(b"trkn", 0, &[0, 0, 0]),
        bx(b"disk", &[&bx(b"data", &[&[0; 7]])]),
        bx(b"\xa9alb", &[&bx(b"data", &[])]),
        bx(b"----", &[&bx(b"name", &[&[0; 3]])]),
        bx(b"\xa9ART", &[&words(&[100]), b"data"]),
    ] {
        let title = item(b"\xa9nam", 1, b"behind it");
        let demuxer = open_bytes(with_items(&[damaged, title])).expect("it opens");
        let wanted = ("title".to_owned(), "behind it".to_owned());
        assert_eq!(demuxer.tags(), [wanted]);
    }
}

#[test]
fn a_second_list_of_a_tracks_user_data_does_not_take_its_name() {
    let name = |text: &[u8]| bx(b"udta", &[&bx(b"name", &[text])]);
    let other = bx(b"udta", &[&bx(b"free", &[])]);
    for lists in [
        vec![name(b"Commentary")],
        vec![name(b"Commentary"), other.clone()],
        vec![other, name(b"Commentary"), name(b"Another")],
    ] {
        let track = TrackBuilder::video(1000).build();
        let track = bx(b"trak", &[&track[8..], &lists.concat()]);
        let bytes = [bx(b"ftyp", &[b"isom\0\0\0\0"]), moov(&[track], &[])].concat();
        let demuxer = open_bytes(bytes).expect("it opens");
        assert_eq!(demuxer.tracks()[0].name.as_deref(), Some("Commentary"));
    }
}

#[test]
fn a_genre_by_number_has_its_name() {
    for (number, name) in [
        (1, Some("Blues")),
        (18, Some("Rock")),
        (80, Some("Hard Rock")),
        (81, Some("Folk")),
        (128, Some("Drum & Bass")),
        (192, Some("Psybient")),
    ]
    .into_iter()
    .chain([0, 193, 255, 0xffff].map(|number| (number, None)))
    {
        let number = u16::to_be_bytes(number);
        let title = item(b"\xa9nam", 1, b"behind it");
        let bytes = with_items(&[item(b"gnre", 0, &number), title]);
        let demuxer = open_bytes(bytes).expect("it opens");
        let tag = |name: &str| {
            let found = demuxer.tags().iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(tag("genre").as_deref(), name, "{number:?}");
        assert_eq!(tag("title").as_deref(), Some("behind it"));
    }
}

#[test]
fn languages_of_quicktime_are_read() {
    let mut args = vec!["-c", "copy"];
    args.extend(["-metadata:s:v:0", "language=ita"]);
    args.extend(["-metadata:s:a:0", "language=fra"]);
    for name in ["languages.mov", "languages.mp4"] {
        let demuxer = open_bytes(ffmpeg(&args, name)).expect("it opens");
        let of_tracks = demuxer.tracks().iter();
        let of_tracks: Vec<_> = of_tracks.map(|track| track.language.as_deref()).collect();
        assert_eq!(of_tracks, [Some("ita"), Some("fra")], "{name}");
    }
}

#[test]
fn priming_and_padding_of_aac_are_named_for_the_decoder_to_drop() {
    let demuxer = open_bytes(std::fs::read(clips().join("h264-aac.mp4")).expect("it"));
    let packets = packets(&demuxer.expect("it opens"), 1).expect("packets");
    let nanos = |samples: u64| Duration::from_nanos(samples * 1_000_000_000 / 44_100);
    let (first, last) = (packets.first().expect("one"), packets.last().expect("one"));
    // The edit list starts after the first packet; the last holds 839 of 1024 samples, says `stts`.
    let side = first.chunk.side.as_ref().expect("priming");
    assert_eq!(
        (side.discard_start, side.discard_end),
        (nanos(1024), Duration::ZERO)
    );
    let side = last.chunk.side.as_ref().expect("padding");
    assert_eq!(
        (side.discard_start, side.discard_end),
        (Duration::ZERO, nanos(1024 - 839))
    );
    let middle = packets.get(1..packets.len() - 1).expect("more");
    assert!(middle.iter().all(|packet| packet.chunk.side.is_none()));
}

#[test]
fn an_edit_that_ends_early_cuts_the_sound_there() {
    // FFmpeg copies whole packets, and writes where the sound ends.
    let args = ["-c", "copy", "-vn", "-t", "2"];
    let demuxer = open_bytes(ffmpeg(&args, "cut.mp4")).expect("it opens");
    let packets = packets(&demuxer, 0).expect("packets");
    let heard: f64 = packets
        .iter()
        .map(|packet| {
            let side = packet.chunk.side.as_deref().cloned().unwrap_or_default();
            let dropped = side.discard_start + side.discard_end;
            1024.0 / 44100.0 - dropped.as_secs_f64()
        })
        .sum();
    let said = demuxer.tracks()[0].duration.expect("known") as f64 / 1e6;
    assert!(
        (heard - said).abs() < 0.001,
        "{heard} s heard, {said} s said"
    );
}
