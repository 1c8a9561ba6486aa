//! Pictures coded as fields. No encoder at hand writes them (x264 codes frames of macroblock pairs), so that the streams are
//! written here: macroblocks of plain samples (I_PCM), and skipped ones.

mod common;

use common::{annexb, decode, start};
use reelcore_conformance::random::Random;
use reelcore_media::{
    ChunkKind, EncodedChunk, ErrorKind, VideoCodec, VideoDecoderConfig, VideoFrame,
};

/// Macroblocks of a field, side by side.
const COLUMNS: usize = 2;
const WIDTH: usize = 16 * COLUMNS;
/// Rows of luma samples of a field, which is one row of macroblocks.
const ROWS: usize = 16;

/// Writes bits, the most significant first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(&mut self, count: u32, value: u32) -> &mut Self {
        self.0
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let bits = 32 - (value + 1).leading_zeros();
        self.u(bits - 1, 0).u(bits, value + 1)
    }

    /// The NAL unit, with its stop bit and emulation prevention.
    fn nal(&mut self, header: u8) -> Vec<u8> {
        self.u(1, 1);
        let mut nal = vec![header];
        let mut zeros = 0;
        for bits in self.0.chunks(8) {
            let byte = (0..8).fold(0, |byte, at| {
                byte << 1 | u8::from(bits.get(at) == Some(&true))
            });
            if zeros == 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// Main profile, level 3, 32x32, fields allowed, two reference frames, picture order count type 0 with 8 bits.
fn sps() -> Vec<u8> {
    let mut b = Bits::default();
    b.u(8, 77)
        .u(8, 0)
        .u(8, 30)
        .ue(0)
        .ue(0)
        .ue(0)
        .ue(4)
        .ue(2)
        .u(1, 0);
    // Width, height in units of field macroblocks; frame_mbs_only_flag, mb_adaptive_frame_field_flag,
    // direct_8x8_inference_flag; no cropping, no VUI.
    b.ue(COLUMNS as u32 - 1)
        .ue(0)
        .u(1, 0)
        .u(1, 0)
        .u(1, 1)
        .u(1, 0)
        .u(1, 0);
    b.nal(0x67)
}

/// CAVLC, with the deblocking filter in the slice headers' hands.
fn pps() -> Vec<u8> {
    let mut b = Bits::default();
    b.ue(0)
        .ue(0)
        .u(1, 0)
        .u(1, 0)
        .ue(0)
        .ue(0)
        .ue(0)
        .u(1, 0)
        .u(2, 0);
    b.ue(0).ue(0).ue(0).u(1, 1).u(1, 0).u(1, 0);
    b.nal(0x68)
}

/// The samples of a field: luma, Cb, Cr, each row by row.
type Field = [Vec<u8>; 3];

fn noise(random: &mut Random) -> Field {
    [1, 2, 2].map(|part| {
        let samples = WIDTH / part * ROWS / part;
        // Without zeros, which are escaped: the writer is tested elsewhere.
        (0..samples).map(|_| 1 + random.next(255) as u8).collect()
    })
}

/// A slice header up to its data, of the frame `number` (also its frame_num).
fn header(number: u32, idr: bool, intra: bool, bottom: bool, refers: bool) -> Bits {
    let mut b = Bits::default();
    b.ue(0).ue(if intra { 7 } else { 5 }).ue(0).u(4, number);
    b.u(1, 1).u(1, u32::from(bottom));
    if idr {
        b.ue(0);
    }
    b.u(8, 2 * number + u32::from(bottom));
    if !intra {
        // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0
        b.u(1, 0).u(1, 0);
    }
    if refers {
        // Reference marking: none but the sliding window.
        b.u(if idr { 2 } else { 1 }, 0);
    }
    // slice_qp_delta; the deblocking filter is off.
    b.ue(0).ue(1);
    b
}

fn intra(number: u32, idr: bool, bottom: bool, field: &Field) -> Vec<u8> {
    intra_columns(number, idr, bottom, field, COLUMNS)
}

/// A slice that ends after so many macroblocks.
fn intra_columns(number: u32, idr: bool, bottom: bool, field: &Field, columns: usize) -> Vec<u8> {
    let mut b = header(number, idr, true, bottom, true);
    for column in 0..columns {
        // I_PCM
        b.ue(25);
        while !b.0.len().is_multiple_of(8) {
            b.u(1, 0);
        }
        for (plane, part) in field.iter().zip([1, 2, 2]) {
            let side = 16 / part;
            for row in plane.chunks(WIDTH / part) {
                for &sample in &row[column * side..(column + 1) * side] {
                    b.u(8, u32::from(sample));
                }
            }
        }
    }
    b.nal(if idr { 0x65 } else { 0x61 })
}

/// Every macroblock skipped: the field that the first reference has.
fn skipped(number: u32, bottom: bool) -> Vec<u8> {
    let mut b = header(number, false, false, bottom, true);
    b.ue(COLUMNS as u32);
    b.nal(0x61)
}

fn chunk(at: i64, kind: ChunkKind, nals: &[Vec<u8>]) -> EncodedChunk {
    EncodedChunk::new(kind, at, annexb(nals))
}

/// The rows of both fields in turns, cut to what is shown.
fn frame(top: &Field, bottom: &Field) -> Vec<u8> {
    let mut all = Vec::new();
    for plane in 0..3 {
        let width = if plane == 0 { WIDTH } else { WIDTH / 2 };
        for (a, b) in top[plane].chunks(width).zip(bottom[plane].chunks(width)) {
            all.extend_from_slice(a);
            all.extend_from_slice(b);
        }
    }
    all
}

fn samples(frame: &VideoFrame) -> Vec<u8> {
    let image = frame.resource.cpu().expect("in memory");
    let mut all = Vec::new();
    for (index, plane) in image.planes().iter().enumerate() {
        let size = image.format().plane_size(index, image.size());
        for row in 0..size.height as usize {
            let from = row * plane.stride;
            all.extend_from_slice(&plane.data[from..from + size.width as usize]);
        }
    }
    all
}

fn config() -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::parse("avc1.4d001e").expect("a codec string"))
}

#[test]
fn fields_of_plain_samples_come_out_interleaved_in_one_chunk_or_two() {
    let mut random = Random(7);
    let fields: Vec<Field> = (0..4).map(|_| noise(&mut random)).collect();
    let first = [
        intra(0, true, false, &fields[0]),
        intra(0, false, true, &fields[1]),
    ];
    let second = [
        intra(1, false, false, &fields[2]),
        intra(1, false, true, &fields[3]),
    ];
    let want = [frame(&fields[0], &fields[1]), frame(&fields[2], &fields[3])];
    for split in [false, true] {
        for threads in [1, 3] {
            let (sps, pps) = (sps(), pps());
            let mut chunks = Vec::new();
            for (at, pair) in [(0, &first), (40, &second)] {
                let kind = if at == 0 {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                };
                let sets: &[Vec<u8>] = if at == 0 {
                    &[sps.clone(), pps.clone()]
                } else {
                    &[]
                };
                if split {
                    chunks.push(chunk(at, kind, &[sets, &pair[..1]].concat()));
                    chunks.push(chunk(at + 20, ChunkKind::Delta, &pair[1..]));
                } else {
                    chunks.push(chunk(at, kind, &[sets, &pair[..]].concat()));
                }
            }
            let (frames, error) = decode(&mut *start(&config(), threads), &chunks);
            assert!(error.is_none(), "{error:?}");
            let times: Vec<i64> = frames.iter().map(|frame| frame.timestamp).collect();
            assert_eq!(times, [0, 40], "split {split}, {threads} threads");
            for (frame, want) in frames.iter().zip(&want) {
                assert!(samples(frame) == *want, "split {split}, {threads} threads");
            }
        }
    }
}

#[test]
fn a_skipped_field_is_the_field_of_the_same_parity_before_it() {
    let mut random = Random(8);
    let (top, bottom) = (noise(&mut random), noise(&mut random));
    let chunks = [
        chunk(
            0,
            ChunkKind::Key,
            &[
                sps(),
                pps(),
                intra(0, true, false, &top),
                intra(0, false, true, &bottom),
            ],
        ),
        // 8.2.4.2.5: the fields of a list start with the same parity as the field at hand.
        chunk(40, ChunkKind::Delta, &[skipped(1, false), skipped(1, true)]),
    ];
    let (frames, error) = decode(&mut *start(&config(), 1), &chunks);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 2);
    for decoded in &frames {
        assert!(samples(decoded) == frame(&top, &bottom));
    }
}

/// ITU-T H.264 has non-paired fields, but does not say what the other rows of their frame show; libavcodec gives no frame.
#[test]
fn a_field_alone_is_an_error_that_says_so_after_the_frames_before_it() {
    let mut random = Random(9);
    let (top, bottom) = (noise(&mut random), noise(&mut random));
    let whole = chunk(
        0,
        ChunkKind::Key,
        &[
            sps(),
            pps(),
            intra(0, true, false, &top),
            intra(0, false, true, &bottom),
        ],
    );
    let alone = chunk(40, ChunkKind::Delta, &[intra(1, false, false, &top)]);
    // At the end of the stream.
    let (frames, error) = decode(&mut *start(&config(), 1), &[whole.clone(), alone.clone()]);
    assert_eq!(frames.len(), 1);
    assert!(samples(&frames[0]) == frame(&top, &bottom));
    let error = error.expect("a field is missing");
    assert_eq!(error.kind, ErrorKind::InvalidData);
    assert!(error.message.contains("second field"), "{error}");
    // Before another frame.
    let next = chunk(
        80,
        ChunkKind::Delta,
        &[intra(2, false, false, &top), intra(2, false, true, &bottom)],
    );
    let (_, error) = decode(&mut *start(&config(), 1), &[whole, alone, next]);
    let error = error.expect("a field is missing");
    assert!(error.message.contains("second field"), "{error}");
}

/// Each field has a row of the pattern by which missing blocks are found.
#[test]
fn a_macroblock_that_one_field_alone_lacks_is_found() {
    let mut random = Random(10);
    let (top, bottom) = (noise(&mut random), noise(&mut random));
    for (lacks_top, lacks_bottom) in [(false, false), (true, false), (false, true)] {
        let columns = |lacks: bool| COLUMNS - usize::from(lacks);
        for threads in [1, 3] {
            let chunks = [chunk(
                0,
                ChunkKind::Key,
                &[
                    sps(),
                    pps(),
                    intra_columns(0, true, false, &top, columns(lacks_top)),
                    intra_columns(0, false, true, &bottom, columns(lacks_bottom)),
                ],
            )];
            let (frames, error) = decode(&mut *start(&config(), threads), &chunks);
            let what = format!("top {lacks_top}, bottom {lacks_bottom}: {error:?}");
            assert_eq!(error.is_some(), lacks_top || lacks_bottom, "{what}");
            assert_eq!(frames.len(), usize::from(error.is_none()), "{what}");
        }
    }
}
