//! `sidx` of fragments that hold nothing of the track that it counts.

#[path = "support/boxes.rs"]
mod boxes;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;

use boxes::{all, only, side_by_side, word};
use mp4::{fragmented, opus};
use muxed::{packet, video};
use reelcore_containers::mp4::{FragmentIndex, Mp4Muxer};
use reelcore_containers::mux::MemorySink;
use reelcore_media::ChunkKind;
use reelcore_media::mux::{MuxOptions, Muxer};

#[test]
fn references_of_a_sidx_reach_over_fragments_without_pictures() {
    let options = MuxOptions {
        max_buffered_bytes: 3000,
        ..fragmented()
    };
    let mut muxer = Mp4Muxer::new(options).with_fragment_index(FragmentIndex::Sidx);
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    muxer.add_track(opus()).expect("Opus");
    let mut sink = MemorySink::default();
    // A picture every two seconds: more sound than a fragment takes.
    for step in 0..4 {
        let time = step * 2_000_000;
        let picture = packet(ChunkKind::Key, time, 2_000_000, vec![0; 20]);
        muxer.write(0, picture, &mut sink).expect("a picture");
        for sound in 0..100 {
            let time = time - 2_000_000 + sound * 20_000;
            if time >= 0 {
                let sound = packet(ChunkKind::Key, time, 20_000, vec![0x78, 1, 2]);
                muxer.write(1, sound, &mut sink).expect("sound");
            }
        }
    }
    muxer.finish(&mut sink).expect("finished");
    let file = sink.into_bytes();
    let sidx = only(&file, "sidx");
    let parts = side_by_side(&file);
    let index = parts.iter().position(|part| part.0 == "sidx").expect("it");
    let mut at = parts[index + 1].1;
    for reference in sidx[32..].chunks(12) {
        let part = parts.iter().find(|part| part.1 == at).expect("a box");
        let tracks = all(part.2, "traf").into_iter();
        let mut tracks = tracks.map(|traf| word(only(traf, "tfhd"), 4));
        assert!(tracks.any(|id| id == 1), "no picture at byte {at}");
        at += word(reference, 0) as usize;
    }
    assert_eq!(at, file.len(), "what is behind the last reference");
}
