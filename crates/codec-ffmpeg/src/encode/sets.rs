//! Another level in parameter sets that x265 has written.

use reelcore_media::hevc::NalType;
use reelcore_media::{MediaError, h264};

/// What a stream says of the decoder that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    /// general_level_idc.
    pub(super) level: u8,
    /// general_tier_flag.
    pub(super) high_tier: bool,
}

/// Bytes of a NAL unit's header.
const HEADER: usize = 2;
/// The place of general_level_idc in profile_tier_level() (7.3.3), and the bit of general_tier_flag in its first byte.
const LEVEL_AT: usize = 11;
const TIER_BIT: u8 = 0x20;

/// The bytes of a set's payload before profile_tier_level() (7.3.2.1, 7.3.2.2).
const fn before_profile(nal_type: NalType) -> Option<usize> {
    match nal_type {
        NalType::VPS => Some(4),
        NalType::SPS => Some(1),
        _ => None,
    }
}

/// The NAL unit `unit` with `stated` where it is a VPS or SPS; `None` where it says nothing of levels.
pub(super) fn restate(
    unit: &[u8],
    nal_type: NalType,
    stated: Stated,
) -> Result<Option<Vec<u8>>, MediaError> {
    let Some(at) = before_profile(nal_type) else {
        return Ok(None);
    };
    let short = || {
        MediaError::backend(format!(
            "a parameter set of {} bytes, too short for a level",
            unit.len()
        ))
    };
    let (header, payload) = unit.split_at_checked(HEADER).ok_or_else(short)?;
    let mut rbsp = Vec::with_capacity(payload.len());
    h264::unescape_into(payload, usize::MAX, &mut rbsp);
    *rbsp.get_mut(at + LEVEL_AT).ok_or_else(short)? = stated.level;
    let first = rbsp.get_mut(at).ok_or_else(short)?;
    *first = *first & !TIER_BIT | if stated.high_tier { TIER_BIT } else { 0 };
    let mut out = Vec::with_capacity(unit.len() + 1);
    out.extend_from_slice(header);
    h264::escape_into(&rbsp, &mut out);
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What x265 3.5 writes of Main, 202x110, where it is told no level: 5.1 of the high tier.
    const VPS: [u8; 23] = [
        0x40, 1, 0x0c, 1, 0xff, 0xff, 0x21, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x99,
        0x95, 0x98,
    ];

    #[test]
    fn level_and_tier_are_changed_and_nothing_else() {
        let stated = Stated {
            level: 93,
            high_tier: false,
        };
        let vps = restate(&VPS, NalType::VPS, stated).unwrap().expect("a VPS");
        let mut want = VPS;
        (want[6], want[20]) = (1, 93);
        assert_eq!(vps, want);
        // As an SPS says it, three bytes before.
        let sps = [&[0x42, 1, 1][..], &VPS[6..]].concat();
        let found = restate(&sps, NalType::SPS, stated).unwrap();
        assert_eq!(
            found.expect("an SPS"),
            [&[0x42, 1, 1][..], &want[6..]].concat()
        );
        let high = Stated {
            level: 153,
            high_tier: true,
        };
        assert_eq!(restate(&vps, NalType::VPS, high).unwrap().unwrap(), VPS);
        assert_eq!(restate(&VPS, NalType::PPS, stated).unwrap(), None);
        assert!(restate(&VPS[..20], NalType::VPS, stated).is_err());
        assert!(restate(&VPS[..1], NalType::VPS, stated).is_err());
    }
}
