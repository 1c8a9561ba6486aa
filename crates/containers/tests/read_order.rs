//! Which of two places holds where a file says a thing twice, or not where it is needed.

mod support;
#[path = "support/ts.rs"]
mod ts;

use std::sync::Arc;

use reelcore_media::ChunkKind;
use reelcore_media::ColorSpace;
use reelcore_media::demux::TrackKind;
use support::{
    DATA, TrackBuilder, bx, full, open_bytes, packets, progressive, ten_pictures, visual_entry,
};
use ts::h264_units;

#[test]
fn the_colour_box_holds_against_the_configuration_of_vp9() {
    // Profile 0, level 1, 8 bits of 4:2:0; BT.709 throughout.
    let config = full(b"vpcC", 1, 0, &[&[0, 10, 0x82, 1, 1, 1, 0, 0]]);
    // BT.2020, PQ, in the full range.
    let colour = bx(b"colr", &[b"nclx\0\x09\0\x10\0\x09\x80"]);
    let of_box = ColorSpace {
        full_range: Some(true),
        ..ColorSpace::from_code_points(9, 16, 9, true)
    };
    let of_config = ColorSpace {
        full_range: Some(false),
        ..ColorSpace::from_code_points(1, 1, 1, false)
    };
    for (boxes, want) in [
        ([&config[..], &colour].concat(), of_box),
        ([&colour[..], &config].concat(), of_box),
        (config, of_config),
    ] {
        let track = TrackBuilder {
            entry: visual_entry(b"vp09", 64, 48, &boxes),
            tables: ten_pictures(),
            ..TrackBuilder::video(1000)
        };
        let file = progressive(&[0; 10], &[track.build()]);
        assert_eq!(file[DATA as usize..][..10], [0; 10]);
        let demuxer = open_bytes(file).expect("it opens");
        let TrackKind::Video { color_space, .. } = demuxer.tracks()[0].kind else {
            panic!("pictures");
        };
        assert_eq!(color_space, want);
    }
}

#[test]
fn after_a_seek_in_annex_b_the_parameter_sets_come_first() {
    let units = h264_units("h264-fragmented.mp4");
    // The sets between the delimiter of the first picture and what follows them.
    let first = &units[0].data;
    let is_other =
        |at: &usize| first[*at..].starts_with(&[0, 0, 1]) && !matches!(first[at + 3] & 31, 7..=9);
    let delimiter = 6;
    let end = (delimiter..first.len()).find(is_other).expect("a slice");
    let sets = &first[delimiter..end];
    // Only the first picture has them.
    let mut stream = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        let plain = match unit.key && index > 0 {
            true => [&unit.data[..delimiter], &unit.data[end..]].concat(),
            false => unit.data.clone(),
        };
        stream.push(plain);
    }
    let demuxer = open_bytes(stream.concat()).expect("it opens");
    assert_eq!(demuxer.container(), "h264");
    let all = packets(&demuxer, 0).expect("pictures");
    assert_eq!(all.len(), stream.len());
    let keys: Vec<usize> = (0..all.len())
        .filter(|&at| all[at].chunk.kind == ChunkKind::Key)
        .collect();
    assert!(keys.len() > 1, "{keys:?}");
    let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
    for &key in keys.iter().rev() {
        let time = all[key].chunk.timestamp;
        assert_eq!(reader.seek(time).expect("sought"), Some(time));
        let packet = reader.next_sample().expect("read").expect("a packet");
        let want = match key {
            0 => stream[0].clone(),
            _ => [sets, &stream[key]].concat(),
        };
        assert!(packet.chunk.data == want, "picture {key}");
        let next = reader.next_sample().expect("read").expect("a packet");
        assert!(next.chunk.data == stream[key + 1], "behind picture {key}");
    }
}
