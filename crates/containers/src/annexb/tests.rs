//! Streams that are written bit by bit, for what no encoder at hand makes.

use std::sync::Arc;

use reelcore_media::ChunkKind;
use reelcore_media::demux::Demuxer;

use super::*;
use crate::BytesSource;

/// Writes bits, most significant first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: usize,
}

impl Writer {
    fn u(mut self, count: usize, value: u32) -> Self {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte");
            *last |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
        self
    }

    fn ue(self, value: u32) -> Self {
        let bits = 32 - (value + 1).leading_zeros() as usize;
        self.u(2 * bits - 1, value + 1)
    }

    fn ues(self, values: &[u32]) -> Self {
        values.iter().fold(self, |writer, &value| writer.ue(value))
    }

    /// The NAL unit, with a start code, a stop bit and emulation prevention.
    fn nal(self, header: u8) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 1, header];
        reelcore_media::h264::escape_into(&self.u(1, 1).bytes, &mut out);
        out
    }
}

/// Main profile, 16x32, fields allowed, 50 fields a second, one frame is reordered.
fn sets() -> Vec<u8> {
    let sps = Writer::default().u(8, 77).u(8, 0).u(8, 30);
    let sps = sps.ues(&[0, 0, 0, 0, 1]).u(1, 0).ues(&[0, 0]).u(4, 0b0010);
    let sps = sps.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 50).u(1, 1);
    let sps = sps.u(4, 0b0001).u(1, 1).ues(&[0, 0, 0, 0, 1, 2]);
    let pps = Writer::default()
        .ues(&[0, 0])
        .u(2, 0)
        .ues(&[0, 0, 0])
        .u(3, 0);
    let pps = pps.ues(&[0, 0, 0]).u(3, 0);
    [sps.nal(0x67), pps.nal(0x68)].concat()
}

/// A slice: header byte, first_mb_in_slice, frame_num, the field (`Some(1)` for a bottom one), pic_order_cnt_lsb.
fn slice(header: u8, first_mb: u32, frame_num: u32, field: Option<u32>, lsb: u32) -> Vec<u8> {
    let idr = header & 31 == 5;
    let kind = if idr { 7 } else { 5 };
    let mut out = Writer::default().ues(&[first_mb, kind, 0]).u(4, frame_num);
    out = match field {
        Some(bottom) => out.u(2, 2 | bottom),
        None => out.u(1, 0),
    };
    if idr {
        out = out.ue(3);
    }
    out = out.u(4, lsb);
    if !idr {
        // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0
        out = out.u(2, 0);
    }
    if header & 0x60 != 0 {
        out = out.u(if idr { 2 } else { 1 }, 0);
    }
    out.u(32, 0x5555_5555).nal(header)
}

/// An IDR picture of two fields, a frame in two slices, two fields that are shown before it; with delimiters or without.
fn fields(delimited: bool) -> Vec<Vec<u8>> {
    let delimiter = |primary: u32| match delimited {
        true => Writer::default().u(3, primary).nal(9),
        false => Vec::new(),
    };
    let frame = [slice(0x41, 0, 1, None, 4), slice(0x41, 1, 1, None, 4)].concat();
    let pictures = [
        [sets(), slice(0x65, 0, 0, Some(0), 0)].concat(),
        slice(0x41, 0, 0, Some(1), 1),
        frame,
        slice(0x01, 0, 2, Some(0), 2),
        slice(0x01, 0, 2, Some(1), 3),
    ];
    pictures
        .iter()
        .map(|picture| [delimiter(0), picture.clone()].concat())
        .collect()
}

fn opened(stream: &[u8]) -> Arc<AnnexBDemuxer> {
    let source = Arc::new(BytesSource::new(stream.to_vec()));
    Arc::new(AnnexBDemuxer::open(source, &Limits::default()).expect("opens"))
}

#[test]
fn fields_are_access_units_of_their_own_and_last_half_a_frame() {
    for delimited in [false, true] {
        let units = fields(delimited);
        let stream = units.concat();
        assert!(probe(&stream));
        let demuxer = opened(&stream);
        assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("avc1.4d001e"));
        let mut reader = demuxer.reader(0).expect("the track");
        let mut found = Vec::new();
        while let Some(packet) = reader.next_sample().expect("reads") {
            found.push(packet);
        }
        let data: Vec<&[u8]> = found.iter().map(|p| &p.chunk.data[..]).collect();
        assert_eq!(data, units, "delimited: {delimited}");
        let times: Vec<_> = found
            .iter()
            .map(|p| {
                (
                    p.chunk.timestamp,
                    p.chunk.duration.unwrap_or(0),
                    p.decode_time,
                )
            })
            .collect();
        let want = [
            (0, 20_000, -40_000),
            (20_000, 20_000, -20_000),
            (80_000, 40_000, 0),
            (40_000, 20_000, 40_000),
            (60_000, 20_000, 60_000),
        ];
        assert_eq!(times, want);
        // The second field of an IDR picture is no place to start at.
        let keys: Vec<bool> = found
            .iter()
            .map(|p| p.chunk.kind == ChunkKind::Key)
            .collect();
        assert_eq!(keys, [true, false, false, false, false]);
    }
}

#[test]
fn a_stream_that_reorders_more_than_it_says_is_not_decoded_after_it_is_shown() {
    // Shown by count: 0, 8, 4, 2, 6, 10, though the sets say that one frame is reordered.
    let counts = [(1, 8), (2, 4), (3, 2), (3, 1), (3, 6), (3, 10)];
    let pictures = counts.map(|(frame, lsb)| slice(0x41, 0, frame, None, lsb));
    let stream = [sets(), slice(0x65, 0, 0, None, 0), pictures.concat()].concat();
    let mut reader = opened(&stream).reader(0).expect("the track");
    let (mut times, mut last) = (Vec::new(), i64::MIN);
    while let Some(packet) = reader.next_sample().expect("reads") {
        let (shown, decoded) = (packet.chunk.timestamp, packet.decode_time);
        assert!(decoded <= shown, "decoded at {decoded}, shown at {shown}");
        assert!(decoded >= last, "from {last} back to {decoded}");
        last = decoded;
        times.push((shown, decoded));
    }
    assert_eq!(times.len(), 7);
    let as_said = (-1..6).map(|frame| frame * 40_000);
    assert!(
        times
            .iter()
            .zip(as_said)
            .any(|((_, found), said)| *found != said),
        "the stream keeps what it says: {times:?}"
    );
}

#[test]
fn units_are_cut_the_same_however_the_bytes_arrive() {
    let units = [fields(false), fields(true), fields(false)].concat();
    let stream: Vec<u8> = units.concat();
    for piece in [1, 2, 3, 5, 50, stream.len()] {
        let mut splitter = Splitter::new(Syntax::h264());
        let (mut begin, mut end) = (0, 0);
        let mut found: Vec<&[u8]> = Vec::new();
        loop {
            let last = end == stream.len();
            match splitter.step(&stream[begin..end], last) {
                Step::More if last => break,
                Step::More => end = (end + piece).min(stream.len()),
                Step::Skip(count) => panic!("{count} bytes are passed over at {begin}"),
                Step::Unit(unit) => {
                    found.push(&stream[begin..begin + unit.len]);
                    begin += unit.len;
                }
            }
        }
        assert_eq!(found, units, "{piece} bytes at once");
    }
}

#[test]
fn prefix_units_of_scalable_streams_do_not_part_the_slices_of_a_picture() {
    // Prefix NAL units (14) stand before every slice of a base layer, slices of other layers (20) after it.
    let prefix = [0, 0, 0, 1, 0x6e, 0x40, 0x80];
    let layer = [0, 0, 0, 1, 0x74, 0x40, 0x80, 0x55];
    let first = [
        sets(),
        prefix.to_vec(),
        slice(0x65, 0, 0, None, 0),
        prefix.to_vec(),
        slice(0x65, 1, 0, None, 0),
        layer.to_vec(),
    ]
    .concat();
    let second = [prefix.to_vec(), slice(0x41, 0, 1, None, 2)].concat();
    let stream = [&first[..], &second].concat();
    let mut reader = opened(&stream).reader(0).expect("the track");
    for unit in [first, second] {
        let packet = reader.next_packet().expect("reads").expect("a packet");
        assert_eq!(packet.data, unit);
    }
    assert!(reader.next_packet().expect("reads").is_none());
}

#[test]
fn slices_whose_sets_are_missing_are_cut_by_their_first_macroblock() {
    let whole = [sets(), slice(0x65, 0, 0, None, 0)].concat();
    // Refers to a picture parameter set that never came.
    let orphan = |first_mb: u32| {
        let bits = Writer::default().ues(&[first_mb, 5, 7]).u(32, 0x5555_5555);
        bits.nal(0x41)
    };
    let lost = [orphan(0), orphan(1)].concat();
    let stream = [whole.clone(), lost.clone(), lost.clone()].concat();
    let mut reader = opened(&stream).reader(0).expect("the track");
    for unit in [whole, lost.clone(), lost] {
        let packet = reader.next_packet().expect("reads").expect("a packet");
        assert_eq!(packet.data, unit);
    }
    assert!(reader.next_packet().expect("reads").is_none());
}
