//! Coding tools that no encoder at hand writes: PCM blocks, tiles, dependent slice segments. The streams are written
//! here, and each picture must come out as the samples that went in.

mod common;

use std::ops::Range;

use common::*;
use reelcore_media::{EncodedChunk, ErrorKind};
use rusty_h265::nal::escape_into;

/// Coding tree blocks of 16x16, each one coding block of PCM samples.
const BLOCK: usize = 16;
const COLUMNS: usize = 5;
const ROWS: usize = 4;
const WIDTH: usize = COLUMNS * BLOCK;
const HEIGHT: usize = ROWS * BLOCK;

/// Bits, the most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn u(&mut self, n: u32, value: u32) -> &mut Self {
        for bit in (0..n).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= (((value >> bit) & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let length = 32 - (value + 1).leading_zeros();
        self.u(length - 1, 0).u(length, value + 1)
    }

    fn ues(&mut self, values: &[u32]) -> &mut Self {
        for &value in values {
            self.ue(value);
        }
        self
    }

    fn align_with_zeros(&mut self) {
        self.used = self.bytes.len() * 8;
    }

    /// rbsp_trailing_bits(), byte_alignment().
    fn trailing(&mut self) -> Vec<u8> {
        self.u(1, 1).align_with_zeros();
        std::mem::take(&mut self.bytes)
    }
}

/// Table 9-52, the states that a context reaches within one picture.
const RANGE_LPS: [[u32; 4]; 21] = [
    [128, 176, 208, 240],
    [128, 167, 197, 227],
    [128, 158, 187, 216],
    [123, 150, 178, 205],
    [116, 142, 169, 195],
    [111, 135, 160, 185],
    [105, 128, 152, 175],
    [100, 122, 144, 166],
    [95, 116, 137, 158],
    [90, 110, 130, 150],
    [85, 104, 123, 142],
    [81, 99, 117, 135],
    [77, 94, 111, 128],
    [73, 89, 105, 122],
    [69, 85, 100, 116],
    [66, 80, 95, 110],
    [62, 76, 90, 104],
    [59, 72, 86, 99],
    [56, 69, 81, 94],
    [53, 65, 77, 89],
    [51, 62, 73, 85],
];

/// The arithmetic encoder (9.3.5), for bins that are the more probable symbol and for terminating ones.
struct Cabac {
    low: u32,
    range: u32,
    first: bool,
    outstanding: u32,
    bits: Bits,
}

impl Cabac {
    fn new(bits: Bits) -> Self {
        Self {
            low: 0,
            range: 510,
            first: true,
            outstanding: 0,
            bits,
        }
    }

    fn put(&mut self, bit: u32) {
        if !std::mem::take(&mut self.first) {
            self.bits.u(1, bit);
        }
        for _ in 0..std::mem::take(&mut self.outstanding) {
            self.bits.u(1, 1 - bit);
        }
    }

    fn renormalize(&mut self) {
        while self.range < 256 {
            if self.low < 256 {
                self.put(0);
            } else if self.low >= 512 {
                self.low -= 512;
                self.put(1);
            } else {
                self.low -= 256;
                self.outstanding += 1;
            }
            self.range <<= 1;
            self.low <<= 1;
        }
    }

    fn more_probable(&mut self, state: &mut usize) {
        self.range -= RANGE_LPS[*state][(self.range >> 6) as usize & 3];
        *state += 1;
        self.renormalize();
    }

    fn terminate(&mut self, bin: bool) {
        self.range -= 2;
        if bin {
            self.low += self.range;
            self.range = 2;
            self.renormalize();
            self.put((self.low >> 9) & 1);
            self.bits.u(2, ((self.low >> 7) & 3) | 1);
        } else {
            self.renormalize();
        }
    }
}

/// How a picture is cut.
#[derive(Clone, Default)]
struct Cut {
    /// Columns and rows of tiles, in blocks; one of each without tiles.
    tiles: (Vec<usize>, Vec<usize>),
    uniform: bool,
    wavefronts: bool,
    /// Slice segments: how many blocks, and whether dependent.
    segments: Vec<(usize, bool)>,
}

impl Cut {
    fn has_tiles(&self) -> bool {
        self.tiles.0.len() * self.tiles.1.len() > 1
    }

    /// Blocks in tile scan: raster address and tile.
    fn scan(&self) -> Vec<(usize, usize)> {
        let starts = |sizes: &[usize]| -> Vec<Range<usize>> {
            let mut at = 0;
            sizes
                .iter()
                .map(|size| {
                    at += size;
                    at - size..at
                })
                .collect()
        };
        let mut scan = Vec::new();
        let mut tile = 0;
        for rows in starts(&self.tiles.1) {
            for columns in starts(&self.tiles.0) {
                for y in rows.clone() {
                    scan.extend(columns.clone().map(|x| (y * COLUMNS + x, tile)));
                }
                tile += 1;
            }
        }
        scan
    }
}

fn parameter_sets(cut: &Cut) -> [Vec<u8>; 2] {
    let mut sps = Bits::default();
    sps.u(4, 0).u(3, 0).u(1, 1);
    // Main profile, level 2.
    sps.u(8, 1)
        .u(32, 0x6000_0000)
        .u(32, 0x9000_0000)
        .u(16, 0)
        .u(8, 60);
    sps.ues(&[0, 1, WIDTH as u32, HEIGHT as u32]).u(1, 0);
    sps.ues(&[0, 0, 4]).u(1, 1).ues(&[0, 0, 0]);
    // Coding blocks of 16 only, transform blocks of 4 to 16.
    sps.ues(&[1, 0, 0, 2, 0, 0]);
    // No scaling lists, asymmetric partitions, adaptive offset; PCM of 8 bits, blocks of 16, unfiltered.
    sps.u(3, 0).u(1, 1).u(4, 7).u(4, 7).ues(&[1, 0]).u(1, 1);
    sps.ue(0).u(5, 0);
    let mut pps = Bits::default();
    let dependent = cut.segments.iter().any(|segment| segment.1);
    pps.ues(&[0, 0]).u(1, dependent.into()).u(6, 0);
    pps.ues(&[0, 0, 0]).u(3, 0).ues(&[0, 0]).u(4, 0);
    pps.u(1, cut.has_tiles().into()).u(1, cut.wavefronts.into());
    if cut.has_tiles() {
        let (columns, rows) = &cut.tiles;
        pps.ues(&[columns.len() as u32 - 1, rows.len() as u32 - 1]);
        pps.u(1, cut.uniform.into());
        if !cut.uniform {
            for sizes in [columns, rows] {
                for size in &sizes[..sizes.len() - 1] {
                    pps.ue(*size as u32 - 1);
                }
            }
        }
        pps.u(1, 1);
    }
    // Deblocking is off.
    pps.u(1, 0).u(3, 0b101).u(2, 0).ue(0).u(2, 0);
    [sps.trailing(), pps.trailing()]
}

/// The samples of a picture: zeros are frequent, so that emulation prevention is.
fn samples(seed: u32) -> [Vec<u8>; 3] {
    let mut state = seed | 1;
    let mut plane = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                if state & 0x300 == 0 { 0 } else { state as u8 }
            })
            .collect()
    };
    [
        plane(WIDTH * HEIGHT),
        plane(WIDTH * HEIGHT / 4),
        plane(WIDTH * HEIGHT / 4),
    ]
}

/// One access unit: parameter sets and an IDR picture.
fn encode(cut: &Cut, planes: &[Vec<u8>; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut unit = |nal_type: u8, payload: &[u8]| {
        out.extend_from_slice(&[0, 0, 1, nal_type << 1, 1]);
        escape_into(payload, &mut out);
    };
    let [sps, pps] = parameter_sets(cut);
    unit(33, &sps);
    unit(34, &pps);
    let scan = cut.scan();
    let tile_column = |rs: usize| -> usize {
        let mut start = 0;
        let starts = cut.tiles.0.iter().map(|size| {
            start += size;
            start - size
        });
        starts.filter(|start| *start <= rs % COLUMNS).max().unwrap()
    };
    // The state of the context of part_mode (initially 0 in I slices of QP 26), at the places where it is kept.
    let (mut state, mut above, mut segment_end) = (0, None, 0);
    let mut slice_start = 0;
    let mut at = 0;
    for &(count, dependent) in &cut.segments {
        if !dependent {
            slice_start = at;
        }
        let mut substreams: Vec<Vec<u8>> = Vec::new();
        let mut cabac = Cabac::new(Bits::default());
        for ts in at..at + count {
            let (rs, tile) = scan[ts];
            let first_in_tile = ts == 0 || scan[ts - 1].1 != tile;
            let row_start = rs % COLUMNS == tile_column(rs);
            if ts == at || first_in_tile || (cut.wavefronts && row_start) {
                // 9.3.1: where the context starts from.
                state = 0;
                if first_in_tile {
                } else if cut.wavefronts && row_start {
                    // The block above and to the right, of the same slice.
                    let rs_above = rs - COLUMNS + 1;
                    let above_ts = scan.iter().position(|(other, _)| *other == rs_above);
                    if above_ts.is_some_and(|ts| ts >= slice_start && scan[ts].1 == tile) {
                        state = above.expect("stored after the second block");
                    }
                } else if dependent {
                    state = segment_end;
                }
            }
            // part_mode PART_2Nx2N, pcm_flag.
            cabac.more_probable(&mut state);
            cabac.terminate(true);
            let mut bits = cabac.bits;
            bits.align_with_zeros();
            for (index, plane) in planes.iter().enumerate() {
                let shift = usize::from(index > 0);
                let (size, stride) = (BLOCK >> shift, WIDTH >> shift);
                let (x, y) = (rs % COLUMNS * size, rs / COLUMNS * size);
                for row in plane.chunks(stride).skip(y).take(size) {
                    for &sample in &row[x..x + size] {
                        bits.u(8, sample.into());
                    }
                }
            }
            cabac = Cabac::new(bits);
            if cut.wavefronts && rs % COLUMNS == tile_column(rs) + 1 {
                above = Some(state);
            }
            let last = ts + 1 == at + count;
            cabac.terminate(last);
            let next = scan.get(ts + 1);
            let new_tile = next.is_some_and(|next| next.1 != tile);
            let new_row = next.is_some_and(|next| next.0 % COLUMNS == tile_column(next.0));
            if !last && (new_tile || (cut.wavefronts && new_row)) {
                cabac.terminate(true);
            }
            if last || new_tile || (cut.wavefronts && new_row) {
                substreams.push(cabac.bits.bytes);
                cabac = Cabac::new(Bits::default());
            }
        }
        segment_end = state;

        let mut header = Bits::default();
        header.u(1, (at == 0).into()).u(1, 0).ue(0);
        if at > 0 {
            if cut.segments.iter().any(|segment| segment.1) {
                header.u(1, dependent.into());
            }
            // Ceil(Log2(20)) bits.
            header.u(5, scan[at].0 as u32);
        }
        if !dependent {
            header.ue(2).ue(0);
        }
        if cut.has_tiles() || cut.wavefronts {
            header.ue(substreams.len() as u32 - 1);
            if substreams.len() > 1 {
                header.ue(31);
                for substream in &substreams[..substreams.len() - 1] {
                    // Emulation prevention counts. No substream ends with 0: none stands between two.
                    let mut escaped = Vec::new();
                    escape_into(substream, &mut escaped);
                    header.u(32, escaped.len() as u32 - 1);
                }
            }
        }
        let mut payload = header.trailing();
        substreams.iter().for_each(|s| payload.extend_from_slice(s));
        unit(20, &payload);
        at += count;
    }
    assert_eq!(at, scan.len());
    out
}

#[test]
fn pcm_blocks_in_tiles_wavefronts_and_dependent_segments_come_out_as_they_went_in() {
    let whole = (vec![COLUMNS], vec![ROWS]);
    let all = vec![(20, false)];
    let cut = |tiles: &(Vec<usize>, Vec<usize>), wavefronts, segments: &[(usize, bool)]| Cut {
        tiles: tiles.clone(),
        uniform: false,
        wavefronts,
        segments: segments.to_vec(),
    };
    let tiles = (vec![2, 3], vec![1, 3]);
    let narrow = (vec![1, 3, 1], vec![2, 2]);
    let cases = [
        ("one slice", cut(&whole, false, &all)),
        (
            "slices",
            cut(&whole, false, &[(7, false), (1, false), (12, false)]),
        ),
        (
            "dependent segments",
            cut(&whole, false, &[(7, false), (4, true), (9, true)]),
        ),
        ("tiles", cut(&tiles, false, &all)),
        ("narrow tiles", cut(&narrow, false, &all)),
        (
            "uniform tiles",
            Cut {
                uniform: true,
                // Equation 6-3: 5 * 1 / 2.
                ..cut(&(vec![2, 3], vec![2, 2]), false, &all)
            },
        ),
        (
            "a slice for each tile",
            cut(
                &tiles,
                false,
                &[(2, false), (3, false), (6, false), (9, false)],
            ),
        ),
        (
            "a dependent segment for each tile",
            cut(
                &tiles,
                false,
                &[(2, false), (3, true), (6, false), (9, true)],
            ),
        ),
        ("wavefronts", cut(&whole, true, &all)),
        (
            "a dependent segment for each wavefront",
            cut(&whole, true, &[(5, false), (5, true), (5, true), (5, true)]),
        ),
        (
            "wavefronts cut within rows",
            cut(
                &whole,
                true,
                &[
                    (3, false),
                    (2, true),
                    (5, false),
                    (4, true),
                    (1, true),
                    (5, true),
                ],
            ),
        ),
    ];
    let mut decoder = start(&config());
    for (index, (name, cut)) in cases.iter().enumerate() {
        let planes = samples(0x9e37_79b9_u32.wrapping_mul(index as u32 + 1));
        let stream = encode(cut, &planes);
        if let Some(folder) = std::env::var_os("HEVC_KEEP_STREAMS") {
            let path = std::path::Path::new(&folder).join(format!("{index}.265"));
            std::fs::write(path, &stream).unwrap();
        }
        let chunk = EncodedChunk::new(kind(true), index as i64, stream.into());
        let mut frames = Vec::new();
        if let Err(error) = decoder.decode(&chunk, &mut |frame| frames.push(frame)) {
            panic!("{name}: {error}");
        }
        assert_eq!(frames.len(), 1, "{name}");
        let image = frames[0].resource.cpu().unwrap();
        for (plane, want) in image.planes().iter().zip(&planes) {
            assert!(plane.data == *want, "{name}");
        }
    }
}

#[test]
fn wavefronts_in_tiles_are_refused() {
    // No profile that is decoded has both (A.3.2), and decoders differ in what they make of it.
    let cut = Cut {
        tiles: (vec![2, 3], vec![1, 3]),
        uniform: false,
        wavefronts: true,
        segments: vec![(20, false)],
    };
    let stream = encode(&cut, &samples(1));
    let chunk = EncodedChunk::new(kind(true), 0, stream.into());
    let error = start(&config()).decode(&chunk, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
}
