//! Builds Matroska elements by hand, for files that no encoder at hand writes.
#![allow(dead_code)]

/// An ID as it is written.
fn id_bytes(id: u32) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes[skip..].to_vec()
}

/// A size in as few bytes as hold it.
pub fn size(value: u64) -> Vec<u8> {
    let length = (1..=8)
        .find(|n| value < (1 << (7 * n)) - 1)
        .expect("a size");
    let marked = value | 1 << (7 * length);
    marked.to_be_bytes()[8 - length..].to_vec()
}

/// An element.
pub fn el(id: u32, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [id_bytes(id), size(body.len() as u64), body].concat()
}

/// An element of unknown size.
pub fn unknown(id: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.extend([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    out.extend(parts.concat());
    out
}

/// An unsigned integer.
pub fn uint(id: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|&&byte| byte == 0).count().min(7);
    el(id, &[&bytes[skip..]])
}

/// A signed integer.
pub fn int(id: u32, value: i64) -> Vec<u8> {
    el(id, &[&value.to_be_bytes()])
}

/// A floating-point number.
pub fn float(id: u32, value: f64) -> Vec<u8> {
    el(id, &[&value.to_be_bytes()])
}

/// The EBML header.
pub fn head(doc_type: &str) -> Vec<u8> {
    el(
        0x1A45_DFA3,
        &[
            &uint(0x4286, 1),
            &uint(0x42F7, 1),
            &uint(0x42F2, 4),
            &uint(0x42F3, 8),
            &el(0x4282, &[doc_type.as_bytes()]),
            &uint(0x4287, 4),
            &uint(0x4285, 2),
        ],
    )
}

/// An Info element with a scale of one millisecond.
pub fn info() -> Vec<u8> {
    el(0x1549_A966, &[&uint(0x2A_D7B1, 1_000_000)])
}

/// A TrackEntry; `kind` is 1 for video, 2 for audio.
pub fn track(number: u64, kind: u64, codec: &str, more: &[&[u8]]) -> Vec<u8> {
    el(
        0xAE,
        &[
            &uint(0xD7, number),
            &uint(0x73C5, number + 100),
            &uint(0x83, kind),
            &el(0x86, &[codec.as_bytes()]),
            &more.concat(),
        ],
    )
}

/// A Video element of 64 by 48.
pub fn video(more: &[&[u8]]) -> Vec<u8> {
    el(0xE0, &[&uint(0xB0, 64), &uint(0xBA, 48), &more.concat()])
}

/// An Audio element.
pub fn audio(rate: f64, channels: u64, bits: u64) -> Vec<u8> {
    el(
        0xE1,
        &[
            &float(0xB5, rate),
            &uint(0x9F, channels),
            &uint(0x6264, bits),
        ],
    )
}

pub fn tracks(entries: &[&[u8]]) -> Vec<u8> {
    el(0x1654_AE6B, entries)
}

/// What Block and SimpleBlock hold.
pub fn block_body(track: u8, time: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | track];
    out.extend(time.to_be_bytes());
    out.push(flags);
    out.extend(data);
    out
}

/// A SimpleBlock; flags 0x80 make it a key frame.
pub fn simple(track: u8, time: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    el(0xA3, &[&block_body(track, time, flags, data)])
}

/// A BlockGroup with more elements after its block.
pub fn group(track: u8, time: i16, data: &[u8], more: &[&[u8]]) -> Vec<u8> {
    let block = el(0xA1, &[&block_body(track, time, 0, data)]);
    el(0xA0, &[&block, &more.concat()])
}

pub fn cluster(time: u64, blocks: &[&[u8]]) -> Vec<u8> {
    el(0x1F43_B675, &[&uint(0xE7, time), &blocks.concat()])
}

/// As [`cluster`], of unknown size.
pub fn open_cluster(time: u64, blocks: &[&[u8]]) -> Vec<u8> {
    unknown(0x1F43_B675, &[&uint(0xE7, time), &blocks.concat()])
}

/// A cue of track 1; `pos` is relative to the Segment's data.
pub fn cue(time: u64, pos: u64) -> Vec<u8> {
    let position = el(0xB7, &[&uint(0xF7, 1), &uint(0xF1, pos)]);
    el(0xBB, &[&uint(0xB3, time), &position])
}

pub fn cues(points: &[&[u8]]) -> Vec<u8> {
    el(0x1C53_BB6B, points)
}

/// A file: the header and a Segment of known size.
pub fn file(parts: &[&[u8]]) -> Vec<u8> {
    [head("matroska"), el(0x1853_8067, parts)].concat()
}

/// A file whose Segment has no known size.
pub fn live(parts: &[&[u8]]) -> Vec<u8> {
    [head("webm"), unknown(0x1853_8067, parts)].concat()
}
