//! What comes after a seek in sound: packets with which the decoder settles, then those that are heard.
#![allow(dead_code)]

use reelcore_media::demux::{Packet, PacketReader, Track, TrackKind};

/// How long a decoder takes to settle, in microseconds.
fn least(track: &Track) -> i64 {
    match (&track.kind, track.codec.as_deref()) {
        (TrackKind::Audio { .. }, Some("opus")) => 80_000,
        (TrackKind::Audio { .. }, Some("mp3")) => 200_000,
        (TrackKind::Audio { .. }, Some(codec)) if codec.starts_with("mp4a") => 90_000,
        _ => 0,
    }
}

/// Reads on to the packet at `at` of `all`, to which `reader` was moved: what comes before is of `all`, decoded and not
/// heard, and as long as the decoder needs. The packet, as it was read.
pub fn settled(
    reader: &mut dyn PacketReader,
    track: &Track,
    all: &[Packet],
    at: usize,
    what: &str,
) -> Packet {
    let want = &all[at];
    let place = |p: &Packet| (p.offset, p.chunk.timestamp);
    let mut before = Vec::new();
    let found = loop {
        let next = reader.next_sample().expect(what).expect(what);
        if place(&next) == place(want) {
            break next;
        }
        before.push(next);
    };
    let first = at.checked_sub(before.len()).expect(what);
    for (was, is) in all[first..].iter().zip(&before) {
        assert_eq!(place(is), place(was), "{what}");
        assert_eq!(is.chunk.data, was.chunk.data, "{what}");
        assert!(!is.presented, "{what}: lets the decoder settle");
        let dropped = is.chunk.side.as_ref().map(|side| side.discard_start);
        let dropped = dropped.unwrap_or_default().as_micros();
        let lasts = is.chunk.duration.map_or(0, u128::from);
        assert!(dropped > lasts, "{what}: all of it is dropped");
    }
    let needed = (want.chunk.timestamp - all[0].chunk.timestamp).min(least(track));
    let settles = want.chunk.timestamp - all[first].chunk.timestamp;
    // Times may be rounded to milliseconds.
    assert!(
        settles >= needed - 1000,
        "{what}: {settles} us of {needed} us to settle"
    );
    assert!(settles <= 2_000_000, "{what}: {settles} us to settle");
    found
}
