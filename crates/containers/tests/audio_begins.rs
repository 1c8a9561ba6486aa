//! Sound that begins late: behind a tag and the padding that stands outside of it, or behind padding alone.

#[path = "support/sound.rs"]
mod sound;
mod support;

use sound::*;
use support::{Arriving, open_bytes, packets};

use reelcore_containers::open;

/// Six frames of each format.
fn files() -> [(&'static str, Vec<u8>); 2] {
    [
        ("mp3", (1..7).flat_map(|mark| mp3(0, mark)).collect()),
        (
            "adts",
            (1..7)
                .flat_map(|mark| adts(&[mark; 200], 1, false))
                .collect(),
        ),
    ]
}

#[test]
fn frames_are_found_behind_more_padding_than_the_first_look_holds() {
    for (container, frames) in files() {
        let plain = packets(&open_bytes(frames.clone()).expect(container), 0).expect(container);
        assert_eq!(plain.len(), 6, "{container}");
        let tag = id3(3, 0, &id3_frame(b"TIT2", b"\0Late"));
        for tag in [tag, Vec::new()] {
            // In sight of the first look as a whole, in part, just not, and far behind it.
            for padding in [1000, 3800, 4095, 4096, 5000, 60_000] {
                let what = format!("{container}, {} and {padding} bytes", tag.len());
                let bytes = [&tag[..], &vec![0; padding], &frames].concat();
                let demuxer = open_bytes(bytes.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(demuxer.container(), container, "{what}");
                let titled = demuxer.tags().iter().any(|(_, value)| value == "Late");
                assert_eq!(titled, !tag.is_empty(), "{what}");
                let late = packets(&demuxer, 0).expect(&what);
                assert_eq!(late.len(), plain.len(), "{what}");
                for (late, plain) in late.iter().zip(&plain) {
                    assert_eq!(late.chunk, plain.chunk, "{what}");
                }
                let arrived = bytes.len();
                let streamed = open(Arriving::new(
                    [bytes, frames.repeat(100)].concat(),
                    arrived + 70_000,
                ));
                let streamed = streamed.unwrap_or_else(|e| panic!("{what}, a stream: {e}"));
                assert_eq!(streamed.container(), container, "{what}");
            }
        }
    }
}

#[test]
fn what_is_no_padding_is_not_looked_through_for_sound() {
    let (_, frames) = files()[0].clone();
    let mut padding = vec![0; 6000];
    padding[500] = 1;
    let error = open_bytes([padding, frames].concat()).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("unknown container"), "{error}");
    let error = open_bytes([id3(3, 0, &[]), vec![0; 200_000]].concat()).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("unknown container"), "{error}");
}

#[test]
fn a_stream_whose_frames_stand_behind_their_tag_is_not_waited_for() {
    for (container, frames) in files() {
        let bytes = [id3(3, 0, &[0; 100]), frames.repeat(40)].concat();
        let source = Arriving::new(bytes, 9000);
        assert!(open(source.clone()).is_ok(), "{container}");
        assert_eq!(source.waits(), 0, "{container}");
    }
}
