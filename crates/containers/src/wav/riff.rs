//! The chunks of RIFF WAV, RF64/BW64 and W64.
//! <https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html>, EBU Tech 3306 and ITU-R BS.2088 for `ds64`.

use reelcore_media::demux::DemuxError;

use super::format::{Format, MAX};
use crate::audio::tags::{MAX_TEXT, Tags};
use crate::audio::{id3, invalid};
use crate::window::{AHEAD_SPARSE, Window};

/// Chunks that are looked at, at most.
const MAX_CHUNKS: usize = 1 << 16;

/// Bytes of a LIST chunk that are read, at most.
const MAX_LIST: u64 = 1 << 20;

/// What W64's identifiers end with: `riff` has one ending, the others share one (but `wave`, which is told apart by its
/// place).
const W64_RIFF: [u8; 16] = [
    b'r', b'i', b'f', b'f', 0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0, 0,
];
const W64_END: [u8; 12] = [
    0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Riff,
    /// RF64 or BW64: sizes of 64 bits stand in `ds64`.
    Rf64,
    W64,
}

/// Which of them `head` begins.
pub(crate) fn kind(head: &[u8]) -> Option<Kind> {
    match (head.get(..4)?, head.get(8..12)?) {
        (b"RIFF", b"WAVE") => Some(Kind::Riff),
        (b"RF64" | b"BW64", b"WAVE") => Some(Kind::Rf64),
        _ => {
            let wave = head.get(24..28)? == b"wave" && head.get(28..40)? == W64_END;
            (head.starts_with(&W64_RIFF) && wave).then_some(Kind::W64)
        }
    }
}

/// Where the sound is, and what it is.
#[derive(Debug)]
pub(crate) struct Riff {
    pub(crate) format: Format,
    pub(crate) start: u64,
    /// `None`: as far as the source goes.
    pub(crate) end: Option<u64>,
    /// Samples of each channel, as `fact` counts them; of data that are cut off, their share.
    pub(crate) samples: Option<u64>,
}

struct Chunk {
    id: [u8; 4],
    body: u64,
    /// `None`: the writer did not know it.
    size: Option<u64>,
    next: Option<u64>,
}

fn chunk(
    window: &mut Window,
    kind: Kind,
    at: u64,
    long: Option<u64>,
) -> Result<Option<Chunk>, DemuxError> {
    let header = if kind == Kind::W64 { 24 } else { 8 };
    let head = window.peek(at, header, AHEAD_SPARSE)?;
    let Some(head) = head.get(..header) else {
        return Ok(None);
    };
    let id = head.first_chunk().copied().unwrap_or_default();
    let body = at.saturating_add(header as u64);
    if kind == Kind::W64 {
        let size = head
            .last_chunk()
            .map_or(0, |size| u64::from_le_bytes(*size));
        let Some(size) = size.checked_sub(24) else {
            return Err(invalid(
                at + 16,
                format!("expected a chunk of 24 bytes or more, found {size}"),
            ));
        };
        // An identifier of another kind is none of those that are read.
        let id = if head.get(4..16) == Some(&W64_END[..]) {
            id
        } else {
            [0; 4]
        };
        let next = body.saturating_add(size);
        let next = next.checked_next_multiple_of(8).unwrap_or(u64::MAX);
        return Ok(Some(Chunk {
            id,
            body,
            size: Some(size),
            next: Some(next),
        }));
    }
    let size = head
        .last_chunk()
        .map_or(0, |size| u32::from_le_bytes(*size));
    let size = match (size, &id) {
        (u32::MAX, b"data") => long,
        (0, b"data") => None,
        (size, _) => Some(u64::from(size)),
    };
    // Chunks of an odd size are padded.
    let next = size.map(|size| body.saturating_add(size).saturating_add(size & 1));
    Ok(Some(Chunk {
        id,
        body,
        size,
        next,
    }))
}

/// Reads the chunks up to `data`, and those after it where the source can be read anywhere.
pub(crate) fn read(window: &mut Window, kind: Kind, tags: &mut Tags) -> Result<Riff, DemuxError> {
    let mut at = if kind == Kind::W64 { 40 } else { 12 };
    let (mut format, mut data, mut long) = (None, None, None);
    let (mut fact, mut long_fact) = (None, None);
    for _ in 0..MAX_CHUNKS {
        let chunk = match chunk(window, kind, at, long) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            // What is behind the sound and no chunk is padding, or something else that was put there.
            Err(DemuxError::Invalid { .. }) if data.is_some() => break,
            Err(error) => return Err(error),
        };
        let size = chunk.size.unwrap_or(0);
        match &chunk.id {
            b"ds64" if kind == Kind::Rf64 => {
                let bytes = window.peek(chunk.body, 24, AHEAD_SPARSE)?;
                let field = |at: usize| {
                    let field = bytes.get(at..).and_then(|field| field.first_chunk());
                    field
                        .map(|field| u64::from_le_bytes(*field))
                        .filter(|&size| size > 0)
                };
                (long, long_fact) = (field(8), field(16));
            }
            b"fact" if fact.is_none() => {
                let bytes = window.peek(chunk.body, 8, AHEAD_SPARSE)?;
                fact = match (kind, size) {
                    (Kind::W64, 8..) => bytes.first_chunk().map(|&field| u64::from_le_bytes(field)),
                    (_, 4..) => bytes
                        .first_chunk()
                        .map(|&field| u64::from(u32::from_le_bytes(field))),
                    _ => None,
                };
            }
            b"fmt " if format.is_none() => {
                let size = usize::try_from(size).unwrap_or(MAX).min(MAX);
                let bytes = window.take(chunk.body, size, AHEAD_SPARSE)?;
                format = Some(Format::parse(&bytes, chunk.body)?);
            }
            b"data" if data.is_none() => {
                if format.is_none() {
                    return Err(invalid(
                        at,
                        "expected the format before the data, found \"data\"",
                    ));
                }
                data = Some((
                    chunk.body,
                    chunk.size.map(|size| chunk.body.saturating_add(size)),
                ));
                if !window.is_seekable() || chunk.size.is_none() {
                    break;
                }
            }
            b"LIST" | b"list" if size <= MAX_LIST => {
                let list =
                    window.take(chunk.body, usize::try_from(size).unwrap_or(0), AHEAD_SPARSE)?;
                info(&list, tags);
            }
            b"id3 " | b"ID3 " => {
                id3::read_all(window, chunk.body, tags)?;
            }
            _ => {}
        }
        match chunk.next {
            Some(next) if window.len().is_none_or(|len| next < len) => at = next,
            _ => break,
        }
    }
    let Some(format) = format else {
        return Err(invalid(at, "expected a chunk \"fmt \", found none"));
    };
    let Some((start, end)) = data else {
        return Err(invalid(at, "expected a chunk \"data\", found none"));
    };
    let known = end
        .or(window.len())
        .map(|end| window.len().map_or(end, |len| end.min(len)));
    let unset = u64::from(u32::MAX);
    let fact = match fact {
        Some(fact) if fact == unset && kind == Kind::Rf64 => long_fact,
        fact => fact.filter(|&fact| fact > 0 && fact != unset),
    };
    let samples = fact.zip(end).zip(known).and_then(|((fact, end), known)| {
        let (all, have) = (end.checked_sub(start)?, known.checked_sub(start)?);
        let samples = u128::from(fact) * u128::from(have) / u128::from(all).max(1);
        u64::try_from(samples).ok()
    });
    Ok(Riff {
        format,
        start,
        end: known,
        samples,
    })
}

/// `LIST` of type `INFO`.
fn info(list: &[u8], tags: &mut Tags) {
    let Some(mut rest) = list.strip_prefix(b"INFO") else {
        return;
    };
    while let Some((&[a, b, c, d, s0, s1, s2, s3], after)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let value = after.get(..size.min(after.len())).unwrap_or_default();
        let past = size.saturating_add(size & 1);
        rest = after.get(past..).unwrap_or_default();
        let end = value
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(value.len());
        let value = value.get(..end.min(MAX_TEXT)).unwrap_or_default();
        if let Some(name) = known([a, b, c, d]) {
            tags.add(name, &String::from_utf8_lossy(value));
        }
    }
}

/// Names by FFmpeg's habit.
fn known(id: [u8; 4]) -> Option<&'static str> {
    Some(match &id {
        b"IART" => "artist",
        b"ICMT" => "comment",
        b"ICOP" => "copyright",
        b"ICRD" => "date",
        b"IGNR" => "genre",
        b"ILNG" => "language",
        b"INAM" => "title",
        b"IPRD" => "album",
        b"IPRT" | b"ITRK" => "track",
        b"ISFT" => "encoder",
        b"ISMP" => "timecode",
        b"ITCH" => "encoded_by",
        _ => return None,
    })
}
