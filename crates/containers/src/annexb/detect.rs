//! Which syntax a byte stream is of: its first parameter set tells, which may stand behind pictures where a recording began in
//! the middle.

use reelcore_media::demux::DemuxError;
use reelcore_media::{h264 as avc, hevc as h265};

use super::MAX_OPEN;
use super::splitter::{Syntax, find_start_code};
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// The syntax that the first bytes are of: the first parameter set that can be read decides.
pub(super) fn detect(head: &[u8]) -> Option<Syntax> {
    let mut code = first_code(head)?;
    loop {
        let begin = code + 3;
        let next = find_start_code(head, begin);
        let nal = head.get(begin..next.unwrap_or(head.len()))?;
        // forbidden_zero_bit; the start codes of MPEG video and program streams have it set.
        let first = *nal.first()?;
        if first & 0x80 != 0 {
            return None;
        }
        if let Some(syntax) = of_set(nal, Codecs::ALL) {
            return Some(syntax);
        }
        code = next?;
    }
}

/// As [`detect`] of bytes in which no set stands and that look like units of one of the codecs: looks on in the source.
pub(super) fn detect_behind(
    head: &[u8],
    window: &mut Window,
) -> Result<Option<Syntax>, DemuxError> {
    let (codecs, last) = looks_like(head);
    if codecs == Codecs::NONE {
        return Ok(None);
    }
    let most = usize::try_from(MAX_OPEN).unwrap_or(usize::MAX);
    let mut at = last as u64;
    let mut need = AHEAD_SPARSE;
    while at < MAX_OPEN {
        let data = window.peek(at, need, AHEAD)?;
        let ended = data.len() < need;
        let data = data.get(..data.len().min(most)).unwrap_or_default();
        let next = find_start_code(data, 3);
        if next.is_none() && !ended && data.len() < most {
            need = data.len() + data.len() / 2 + 1;
            continue;
        }
        let nal = data.get(3..next.unwrap_or(data.len())).unwrap_or_default();
        if let Some(syntax) = of_set(nal, codecs) {
            return Ok(Some(syntax));
        }
        let Some(next) = next else {
            break;
        };
        at = at.saturating_add(next as u64);
        need = AHEAD_SPARSE;
    }
    Ok(None)
}

/// The first start code, before which stand zeros alone.
fn first_code(head: &[u8]) -> Option<usize> {
    let code = find_start_code(head, 0)?;
    let zeros = head.get(..code)?.iter().all(|&byte| byte == 0);
    zeros.then_some(code)
}

/// Codecs that a stream may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Codecs {
    h264: bool,
    hevc: bool,
}

impl Codecs {
    const ALL: Self = Self {
        h264: true,
        hevc: true,
    };
    const NONE: Self = Self {
        h264: false,
        hevc: false,
    };
}

/// The syntax of the parameter set that `nal` is, of one of `codecs`.
fn of_set(nal: &[u8], codecs: Codecs) -> Option<Syntax> {
    if codecs.h264
        && let Ok(nal) = avc::Nal::new(0, nal)
        && nal.kind == avc::NalKind::Sps
        && nal.ref_idc > 0
        && avc::Sps::parse(&nal).is_ok()
    {
        return Some(Syntax::h264());
    }
    if codecs.hevc
        && let Ok(nal) = h265::Nal::new(0, nal)
        && nal.nal_type == h265::NalType::SPS
        && nal.layer_id == 0
        && h265::Sps::parse(&nal).is_ok()
    {
        return Some(Syntax::hevc());
    }
    None
}

/// Of which codecs the units whose headers stand in `head` can all be, and where the last start code stands.
fn looks_like(head: &[u8]) -> (Codecs, usize) {
    let mut codecs = Codecs::NONE;
    let (mut next, mut last) = (first_code(head), None);
    while let Some(code) = next {
        // The header of the last one may not be at hand.
        let Some(&[first, second]) = head.get(code + 3..).and_then(|nal| nal.first_chunk()) else {
            break;
        };
        if last.is_none() {
            codecs = Codecs::ALL;
        }
        codecs.h264 &= is_h264(first);
        codecs.hevc &= is_hevc(first, second);
        last = Some(code);
        next = find_start_code(head, code + 3);
    }
    (codecs, last.unwrap_or(0))
}

/// Whether this can be the header of a unit of H.264 (7.4.1): kinds that are defined, with the nal_ref_idc that they have.
fn is_h264(header: u8) -> bool {
    let referred = header & 0x60 != 0;
    header & 0x80 == 0
        && match header & 0x1f {
            5 | 7 | 8 | 13 | 15 => referred,
            6 | 9..=12 => !referred,
            1..=4 | 14 | 16 | 19..=21 => true,
            _ => false,
        }
}

/// Whether this can be the header of a unit of HEVC (7.4.2.2) in the base layer, of a kind that is defined.
fn is_hevc(first: u8, second: u8) -> bool {
    let base = first & 0x81 == 0 && second & 0xf8 == 0 && second & 7 > 0;
    base && matches!(first >> 1, 0..=9 | 16..=21 | 32..=40)
}
