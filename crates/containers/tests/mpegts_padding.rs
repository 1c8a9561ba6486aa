//! PES packets that hold nothing of a stream.

mod support;
#[path = "support/ts.rs"]
mod ts;

use support::{open_bytes, packets};
use ts::{PMT, STREAMS, TsWriter, VIDEO, h264_units};

#[test]
fn padding_and_private_data_between_pictures_are_not_of_them() {
    let units = h264_units("h264-fragmented.mp4");
    let stream = |other: Option<u8>| {
        let mut ts = TsWriter::default();
        ts.pat(0, &[(1, PMT)]);
        ts.pmt(PMT, 1, 0, &STREAMS[..1]);
        for unit in &units[..20] {
            let stamps = Some((unit.pts + 126_000, unit.dts + 126_000));
            ts.pes(VIDEO, 0xe0, stamps, true, &unit.data);
            if let Some(id) = other {
                // What would be the end of a picture, were it one.
                ts.payload(VIDEO, &[0, 0, 1, id, 0, 8, 0x80, 0, 0, 1, 2, 3, 4, 5]);
            }
        }
        let demuxer = open_bytes(ts.out).expect("it opens");
        let all = packets(&demuxer, 0).expect("pictures");
        let all = all.into_iter();
        all.map(|packet| (packet.chunk.timestamp, packet.chunk.data))
            .collect::<Vec<_>>()
    };
    let want = stream(None);
    assert_eq!(want.len(), 20);
    // Program stream map, padding, private_stream_2, ECM, EMM, DSM-CC, H.222.1 type E, program stream directory.
    for id in [0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff] {
        assert!(stream(Some(id)) == want, "stream_id {id:#x}");
    }
}
