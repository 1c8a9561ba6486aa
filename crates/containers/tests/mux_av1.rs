//! AV1 in IVF, whose packets are whole temporal units.

#[path = "support/mux.rs"]
mod muxed;

use muxed::{packet, video};
use reelcore_containers::mux::{MemorySink, create};
use reelcore_media::ChunkKind;
use reelcore_media::mux::MuxOptions;

#[test]
fn temporal_units_in_ivf_begin_with_one_delimiter() {
    const DELIMITER: [u8; 2] = [0x12, 0];
    // A frame OBU with its size.
    const FRAME: [u8; 5] = [0x32, 3, 1, 2, 3];
    let with = [&DELIMITER[..], &FRAME].concat();
    for (codec, given, want) in [
        ("av01.0.04M.08", FRAME.to_vec(), with.clone()),
        ("av01.0.04M.08", with.clone(), with),
        // Other codecs have none.
        ("vp8", FRAME.to_vec(), FRAME.to_vec()),
    ] {
        let mut sink = MemorySink::default();
        let mut muxer = create("ivf", &MuxOptions::default()).expect("a muxer");
        muxer.add_track(video(codec, 64, 48)).expect("a codec");
        for index in 0..2 {
            let picture = packet(ChunkKind::Key, index * 40_000, 40_000, given.clone());
            muxer.write(0, picture, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let file = sink.into_bytes();
        // A header of 32 bytes; before each frame its size and time.
        let frames = file[32..].chunks(12 + want.len());
        assert_eq!(frames.len(), 2);
        for frame in frames {
            assert_eq!(frame[..4], (want.len() as u32).to_le_bytes());
            assert_eq!(frame[12..], want, "{codec}");
        }
    }
}
