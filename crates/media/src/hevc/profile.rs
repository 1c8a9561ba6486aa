//! profile_tier_level() (7.3.3).

use crate::codec_string::Hevc;
use crate::error::MediaError;
use crate::h264::BitReader;

/// Profile, tier and level of the whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// general_profile_space: 0.
    pub profile_space: u8,
    /// general_tier_flag: the high tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10, 3 Main Still Picture, 4 range extensions.
    pub profile: u8,
    /// general_profile_compatibility_flags, bit 31 for flag 0.
    pub compatibility: u32,
    /// The six bytes from general_progressive_source_flag to general_inbld_flag.
    pub constraints: [u8; 6],
    /// general_level_idc: thirty times the level.
    pub level: u8,
}

impl ProfileTierLevel {
    /// Whether the stream conforms to `profile`.
    pub const fn conforms_to(&self, profile: u8) -> bool {
        self.profile == profile || (profile < 32 && self.compatibility & (1 << (31 - profile)) != 0)
    }

    /// The codec string: `hev1` with `in_band` parameter sets, else `hvc1`.
    pub const fn codec(&self, in_band: bool) -> Hevc {
        Hevc {
            in_band,
            profile_space: self.profile_space,
            profile: self.profile,
            compatibility: self.compatibility,
            high_tier: self.high_tier,
            level: self.level,
            constraints: self.constraints,
        }
    }

    /// Reads profile_tier_level(1, `sub_layers` - 1), and passes over what is said of single sub-layers.
    pub(super) fn read(r: &mut BitReader<'_>, sub_layers: u32) -> Result<Self, MediaError> {
        let profile_space = r.u(2, "general_profile_space")? as u8;
        let high_tier = r.flag("general_tier_flag")?;
        let profile = r.u(5, "general_profile_idc")? as u8;
        let compatibility = r.u(32, "general_profile_compatibility_flag")?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = r.u(8, "general constraint flags")? as u8;
        }
        let level = r.u(8, "general_level_idc")? as u8;
        let others = sub_layers.saturating_sub(1);
        let mut present = [(false, false); 8];
        for entry in present.iter_mut().take(others as usize) {
            *entry = (
                r.flag("sub_layer_profile_present_flag")?,
                r.flag("sub_layer_level_present_flag")?,
            );
        }
        if others > 0 {
            for _ in others..8 {
                r.u(2, "reserved_zero_2bits")?;
            }
        }
        for &(has_profile, has_level) in present.iter().take(others as usize) {
            if has_profile {
                // 88 bits.
                r.u(32, "sub_layer profile")?;
                r.u(32, "sub_layer profile")?;
                r.u(24, "sub_layer profile")?;
            }
            if has_level {
                r.u(8, "sub_layer_level_idc")?;
            }
        }
        Ok(Self {
            profile_space,
            high_tier,
            profile,
            compatibility,
            constraints,
            level,
        })
    }
}
