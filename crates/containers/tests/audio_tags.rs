//! Tags of sound files, of which some forms are rare.

#[path = "support/sound.rs"]
mod sound;
mod support;

use sound::{ape, id3, id3_frame, mp3};
use support::open_bytes;

#[test]
fn an_extended_header_of_id3_is_skipped_as_its_version_counts_it() {
    let title = id3_frame(b"TIT2", b"\0Found");
    let sound: Vec<u8> = (0..20).flat_map(|mark| mp3(0, mark)).collect();
    for (major, header) in [
        // 2.4: the size counts itself; one byte of flags, none of them set; then with a checksum.
        (4, &[0, 0, 0, 6, 1, 0][..]),
        (4, &[0, 0, 0, 12, 1, 0x20, 5, 0, 1, 2, 3, 4]),
        // 2.3: the size does not count itself; flags and the size of the padding; then with a checksum.
        (3, &[0, 0, 0, 6, 0, 0, 0, 0, 0, 0]),
        (3, &[0, 0, 0, 10, 0x80, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
    ] {
        let tag = id3(major, 0x40, &[header, &title].concat());
        let demuxer = open_bytes([&tag[..], &sound].concat()).expect("it opens");
        assert_eq!(demuxer.container(), "mp3");
        let want = [("title".to_owned(), "Found".to_owned())];
        assert_eq!(demuxer.tags(), want, "2.{major}, {header:?}");
    }
}

#[test]
fn the_values_of_a_list_in_an_ape_tag_are_told_apart() {
    let sound: Vec<u8> = (0..20).flat_map(|mark| mp3(0, mark)).collect();
    for (value, want) in [
        ("One", "One"),
        ("One\0Two", "One;Two"),
        ("One\0Two\0Three", "One;Two;Three"),
    ] {
        let demuxer = open_bytes([&sound[..], &ape("Artist", value)].concat()).expect("it opens");
        assert_eq!(demuxer.tags(), [("artist".to_owned(), want.to_owned())]);
    }
}
