//! Finds boxes in MP4 that was written.
#![allow(dead_code)]

/// The number of 32 bits at `at`.
pub fn word(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().expect("4 bytes"))
}

/// The boxes that stand side by side: kind, byte offset in `data`, and content.
pub fn side_by_side(data: &[u8]) -> Vec<(&str, usize, &[u8])> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let size = word(data, at) as usize;
        let kind = std::str::from_utf8(&data[at + 4..at + 8]).expect("letters");
        all.push((kind, at, &data[at + 8..at + size]));
        at += size;
    }
    all
}

/// The content of every box at `path`, as "moov/trak/tkhd".
pub fn all<'a>(data: &'a [u8], path: &str) -> Vec<&'a [u8]> {
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let here = side_by_side(data).into_iter();
    let here = here.filter(|(kind, ..)| *kind == first);
    here.flat_map(|(kind, _, body)| match rest {
        Some(rest) => all(&body[before_boxes(kind)..], rest),
        None => vec![body],
    })
    .collect()
}

/// The content of the only box at `path`.
pub fn only<'a>(data: &'a [u8], path: &str) -> &'a [u8] {
    match all(data, path)[..] {
        [body] => body,
        ref found => panic!("expected one {path}, found {}", found.len()),
    }
}

/// Bytes of fields before the boxes in a box.
fn before_boxes(kind: &str) -> usize {
    match kind {
        "meta" => 4,
        "stsd" => 8,
        "Opus" | "fLaC" | "mp4a" => 28,
        "avc1" | "hvc1" | "vp08" | "vp09" | "av01" => 78,
        _ => 0,
    }
}

/// Where the sample tables are.
pub const TABLE: &str = "moov/trak/mdia/minf/stbl";
