//! Scalable streams, put together from streams of single layers: operating points, spatial and temporal layers.
//! <https://aomediacodec.github.io/av1-spec/#sequence-header-obu-syntax>

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::{ffmpeg_framemd5, ffmpeg_make, ivf_frames};
use reelcore_media::{ChunkKind, EncodedChunk};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME: u8 = 6;

/// Bits, the most significant of each byte first.
struct Bits(Vec<bool>);

impl Bits {
    fn of(bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
                .collect(),
        )
    }

    fn get(&self, at: &mut usize, count: usize) -> u32 {
        let value = self.0[*at..*at + count].iter();
        *at += count;
        value.fold(0, |value, &bit| value << 1 | u32::from(bit))
    }

    fn put(&mut self, value: u32, count: usize) {
        self.0
            .extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let bytes = self.0.chunks(8);
        bytes
            .map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
            .collect()
    }
}

/// Type and payload of each unit, all of which state their sizes and none of which has an extension.
fn units(mut data: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut units = Vec::new();
    while let [header, rest @ ..] = data {
        assert_eq!(header & 0b111, 0b010, "size, no extension");
        let (mut size, mut length) = (0, 0);
        loop {
            let byte = rest[length];
            size |= usize::from(byte & 0x7f) << (7 * length);
            length += 1;
            if byte < 0x80 {
                break;
            }
        }
        units.push((header >> 3 & 15, rest[length..length + size].to_vec()));
        data = &rest[length + size..];
    }
    units
}

/// A unit, with an extension where it has a layer: temporal and spatial.
fn unit(kind: u8, layer: Option<(u8, u8)>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind << 3 | 2];
    if let Some((temporal, spatial)) = layer {
        out[0] |= 4;
        out.push(temporal << 5 | spatial << 3);
    }
    let mut size = payload.len();
    while size > 0x7f {
        out.push(size as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
    out.extend_from_slice(payload);
    out
}

/// What of a sequence header the tests need.
struct Sequence {
    bits: Bits,
    /// Where what follows the size is.
    after_size: usize,
    level: u32,
    chooses_screen_content: bool,
    chooses_integer_mv: bool,
    order_hint_bits: usize,
}

impl Sequence {
    /// A header as libaom writes it: no timing information, one operating point.
    fn parse(payload: &[u8]) -> Self {
        let bits = Bits::of(payload);
        let at = &mut 3;
        assert_eq!(bits.get(at, 4), 0, "still picture, reduced, timing, delay");
        assert_eq!(bits.get(at, 5 + 12), 0, "one operating point, of no layers");
        let level = bits.get(at, 5);
        assert!(level <= 7, "no tier");
        let (width, height) = (bits.get(at, 4) + 1, bits.get(at, 4) + 1);
        *at += (width + height) as usize;
        let after_size = *at;
        assert_eq!(bits.get(at, 1), 0, "frame identifiers");
        *at += 7;
        assert_eq!(bits.get(at, 1), 1, "order hints");
        *at += 2;
        let chooses_screen_content = bits.get(at, 1) == 1;
        assert!(chooses_screen_content);
        let chooses_integer_mv = bits.get(at, 1) == 1;
        if !chooses_integer_mv {
            *at += 1;
        }
        let order_hint_bits = bits.get(at, 3) as usize + 1;
        Self {
            bits,
            after_size,
            level,
            chooses_screen_content,
            chooses_integer_mv,
            order_hint_bits,
        }
    }

    /// With these operating points, and sizes of 8 bits each.
    fn with_points(&self, points: &[u32], size: (u32, u32)) -> Vec<u8> {
        let mut out = Bits(self.bits.0[..7].to_vec());
        out.put(points.len() as u32 - 1, 5);
        for &point in points {
            out.put(point, 12);
            out.put(self.level, 5);
        }
        out.put(7, 4);
        out.put(7, 4);
        out.put(size.0 - 1, 8);
        out.put(size.1 - 1, 8);
        // The trailing bits follow the rest without a gap of whole bytes.
        out.0.extend(&self.bits.0[self.after_size..]);
        let last = out
            .0
            .iter()
            .rposition(|&bit| bit)
            .expect("the trailing bit");
        out.0.truncate(last + 1);
        out.bytes()
    }

    /// A key frame with a size of its own: two bytes more, which keeps everything behind them aligned.
    fn with_size(&self, frame: &[u8], size: (u32, u32)) -> Vec<u8> {
        let bits = Bits::of(frame);
        let at = &mut 0;
        assert_eq!(bits.get(at, 4), 0b0001, "a key frame that is shown");
        *at += 1;
        if self.chooses_screen_content && bits.get(at, 1) == 1 && self.chooses_integer_mv {
            *at += 1;
        }
        let flag = *at;
        assert_eq!(bits.get(at, 1), 0, "frame_size_override_flag");
        *at += self.order_hint_bits;
        let mut out = Bits(bits.0[..*at].to_vec());
        out.0[flag] = true;
        out.put(size.0 - 1, 8);
        out.put(size.1 - 1, 8);
        out.0.extend(&bits.0[*at..]);
        out.bytes()
    }
}

/// A stream of one layer: its sequence header, a frame for each temporal unit, and what FFmpeg decodes.
struct Layer {
    sequence: Sequence,
    frames: Vec<Vec<u8>>,
    md5: Vec<String>,
    size: (u32, u32),
}

impl Layer {
    /// Eight key frames.
    fn make(size: (u32, u32), source: &str) -> Self {
        let (width, height) = size;
        let input = format!("{source}=size={width}x{height}:rate=10:duration=0.8");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &input,
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libaom-av1",
            "-cpu-used",
            "8",
            "-crf",
            "30",
            "-g",
            "1",
            "-lag-in-frames",
            "0",
        ];
        let path = ffmpeg_make(&args, &format!("layer-{width}.ivf")).expect("the ffmpeg command");
        let md5 = ffmpeg_framemd5(&path, "yuv420p").expect("the ffmpeg command");
        let bytes = Bytes::from(std::fs::read(&path).expect("the clip"));
        let mut sequence = None;
        let mut frames = Vec::new();
        for data in ivf_frames(&path, &bytes).expect("IVF") {
            for (kind, payload) in units(&data) {
                match kind {
                    SEQUENCE_HEADER => sequence = Some(Sequence::parse(&payload)),
                    TEMPORAL_DELIMITER => {}
                    FRAME => frames.push(payload),
                    other => panic!("a unit of type {other}"),
                }
            }
        }
        assert_eq!((frames.len(), md5.len()), (8, 8));
        Self {
            sequence: sequence.expect("a sequence header"),
            frames,
            md5,
            size,
        }
    }
}

/// Temporal units as chunks, 1000 apart.
fn chunks(units: impl IntoIterator<Item = Vec<u8>>) -> Vec<EncodedChunk> {
    let chunk = |(index, data): (usize, Vec<u8>)| {
        let data = [unit(TEMPORAL_DELIMITER, None, &[]), data].concat();
        EncodedChunk::new(ChunkKind::Key, index as i64 * 1000, data.into())
    };
    units.into_iter().enumerate().map(chunk).collect()
}

fn decoded(chunks: &[EncodedChunk]) -> Vec<(i64, String)> {
    let decode = |threads| {
        let frames = decode_all(&mut *start(&context(threads)), chunks);
        frames
            .iter()
            .map(|f| (f.timestamp, md5(f)))
            .collect::<Vec<_>>()
    };
    let one = decode(1);
    assert_eq!(decode(3), one, "threads");
    one
}

/// The pictures of `layer` with the times of their units, those for which `chosen` says so.
fn expected(layer: &Layer, chosen: impl Fn(usize) -> bool) -> Vec<(i64, String)> {
    let all = layer
        .md5
        .iter()
        .enumerate()
        .filter(|(index, _)| chosen(*index));
    all.map(|(index, md5)| (index as i64 * 1000, md5.clone()))
        .collect()
}

#[test]
fn of_two_spatial_layers_the_larger_is_output_and_the_smaller_where_there_is_no_other() {
    let base = Layer::make((64, 48), "testsrc2");
    let top = Layer::make((128, 96), "testsrc2");
    // One sequence header for both: they differ in nothing but the size.
    let rest = |sequence: &Sequence| sequence.bits.0[sequence.after_size..].to_vec();
    let (a, b) = (rest(&base.sequence), rest(&top.sequence));
    let common = a.len().min(b.len()) - 16;
    assert_eq!(a[..common], b[..common]);
    // Operating point 0: both spatial layers. 1: the smaller one.
    let header = top.sequence.with_points(&[0x301, 0x101], top.size);
    let header = unit(SEQUENCE_HEADER, None, &header);
    let assemble = |with_top: &dyn Fn(usize) -> bool| {
        chunks((0..8).map(|index| {
            let small = base.sequence.with_size(&base.frames[index], base.size);
            let mut data = header.clone();
            data.extend(unit(FRAME, Some((0, 0)), &small));
            if with_top(index) {
                data.extend(unit(FRAME, Some((0, 1)), &top.frames[index]));
            }
            data
        }))
    };
    assert_eq!(decoded(&assemble(&|_| true)), expected(&top, |_| true));
    // Without the larger layer in every third unit.
    let there = |index: usize| index % 3 != 1;
    let mut want = expected(&top, there);
    want.extend(expected(&base, |index| !there(index)));
    want.sort();
    assert_eq!(decoded(&assemble(&there)), want);
    let frames = decode_all(&mut *start(&context(1)), &assemble(&there));
    for (index, frame) in frames.iter().enumerate() {
        let (width, height) = if there(index) { top.size } else { base.size };
        assert_eq!(
            (frame.coded_size.width, frame.coded_size.height),
            (width, height)
        );
    }
}

#[test]
fn the_first_operating_point_decides_which_layers_are_decoded() {
    let layer = Layer::make((64, 48), "testsrc2");
    let assemble = |points: &[u32]| {
        let header = layer.sequence.with_points(points, layer.size);
        let header = unit(SEQUENCE_HEADER, None, &header);
        let units = layer.frames.iter().enumerate().map(|(index, frame)| {
            let temporal = (index % 2) as u8;
            [header.clone(), unit(FRAME, Some((temporal, 0)), frame)].concat()
        });
        chunks(units)
    };
    // Both temporal layers, as 0x103 says; the lower one alone as the second choice.
    assert_eq!(
        decoded(&assemble(&[0x103, 0x101])),
        expected(&layer, |_| true)
    );
    // No layers are named: all is decoded.
    assert_eq!(decoded(&assemble(&[0])), expected(&layer, |_| true));
    // The lower one is the first choice: units of the other are skipped, and give neither a picture nor an error.
    let lower = expected(&layer, |index| index % 2 == 0);
    assert_eq!(decoded(&assemble(&[0x101, 0x103])), lower);
}
