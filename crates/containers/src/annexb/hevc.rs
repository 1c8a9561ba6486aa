//! Access units of HEVC (ITU-T H.265, 7.4.2.4.4) and picture order count (8.3.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use reelcore_media::h264::{START_CODE, unescape_into};

use super::hevc_sets::{Pps, Sps, Vps};
use super::splitter::{Picture, Role, VideoInfo};
use crate::bitstream::Bits;

/// Bytes of a slice header up to its picture order count, at most: the flags, two codes, reserved flags.
const SLICE_HEAD: usize = 48;

/// Bytes of a parameter set that are read.
const MAX_SET: usize = 16 << 10;

/// nal_unit_type (table 7-1).
mod kind {
    pub(super) const RADL_N: u8 = 6;
    pub(super) const RASL_R: u8 = 9;
    pub(super) const RSV_VCL_R15: u8 = 15;
    pub(super) const BLA_W_LP: u8 = 16;
    pub(super) const BLA_N_LP: u8 = 18;
    pub(super) const IDR_W_RADL: u8 = 19;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const RSV_IRAP_VCL23: u8 = 23;
    pub(super) const VPS: u8 = 32;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
    pub(super) const EOS: u8 = 36;
    pub(super) const EOB: u8 = 37;
}

#[derive(Clone, Debug)]
struct Set<T> {
    nal: Vec<u8>,
    parsed: T,
}

#[derive(Clone, Debug, Default)]
struct Sets {
    vps: BTreeMap<u8, Set<Vps>>,
    sps: BTreeMap<u8, Set<Arc<Sps>>>,
    pps: BTreeMap<u8, Set<Pps>>,
}

/// What reading HEVC carries from NAL unit to NAL unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hevc {
    /// Shared with the points that can be returned to.
    sets: Arc<Sets>,
    /// The set of the last picture, and the timing of its video parameter set.
    active: Option<(Arc<Sps>, Option<(u32, u32)>)>,
    /// PicOrderCntVal of the last picture that others can count from (prevTid0Pic).
    previous: i32,
    /// A picture has come since the start or the end of a sequence.
    running: bool,
    scratch: Vec<u8>,
}

/// nal_unit_type and nuh_layer_id of a header.
fn header(bytes: &[u8]) -> Option<(u8, u8)> {
    let &[a, b] = bytes.first_chunk()?;
    (a & 0x80 == 0).then_some((a >> 1 & 0x3f, (a & 1) << 5 | b >> 3))
}

impl Hevc {
    pub(super) fn stands_before(bytes: &[u8]) -> bool {
        // VPS, SPS, PPS, access unit delimiter, prefix SEI, and what is reserved or left free for such.
        matches!(
            header(bytes),
            Some((32..=35 | 39 | 41..=44 | 48..=55, 0))
        )
    }

    pub(super) fn restart(&mut self) {
        self.previous = 0;
        self.running = false;
        self.scratch = Vec::new();
    }

    pub(super) fn read(&mut self, nal: &[u8]) -> Role {
        let Some((kind, layer)) = header(nal) else {
            return Role::After;
        };
        if layer > 0 {
            return Role::After;
        }
        match kind {
            0..=31 => self.slice(nal, kind),
            kind::VPS => {
                let known = self.sets.vps.values().any(|set| set.nal == nal);
                if !known && let Some(parsed) = Vps::parse(self.payload(nal)) {
                    let set = Set {
                        nal: nal.to_vec(),
                        parsed,
                    };
                    Arc::make_mut(&mut self.sets).vps.insert(set.parsed.id, set);
                }
                Role::Before { sets: false }
            }
            kind::SPS => {
                let known = self.sets.sps.values().any(|set| set.nal == nal);
                if !known && let Some(parsed) = Sps::parse(self.payload(nal)) {
                    let set = Set {
                        nal: nal.to_vec(),
                        parsed: Arc::new(parsed),
                    };
                    Arc::make_mut(&mut self.sets).sps.insert(set.parsed.id, set);
                }
                Role::Before { sets: true }
            }
            kind::PPS => {
                let known = self.sets.pps.values().any(|set| set.nal == nal);
                if !known && let Some(parsed) = Pps::parse(self.payload(nal)) {
                    let set = Set {
                        nal: nal.to_vec(),
                        parsed,
                    };
                    Arc::make_mut(&mut self.sets).pps.insert(set.parsed.id, set);
                }
                Role::Before { sets: false }
            }
            kind::EOS | kind::EOB => {
                self.running = false;
                Role::After
            }
            _ if Self::stands_before(nal) => Role::Before { sets: false },
            _ => Role::After,
        }
    }

    fn payload(&mut self, nal: &[u8]) -> &[u8] {
        unescape_into(nal.get(2..).unwrap_or_default(), MAX_SET, &mut self.scratch);
        &self.scratch
    }

    fn slice(&mut self, nal: &[u8], kind: u8) -> Role {
        let temporal_id = nal.get(1).map_or(0, |b| (b & 7).saturating_sub(1));
        let irap = (kind::BLA_W_LP..=kind::RSV_IRAP_VCL23).contains(&kind);
        let idr = matches!(kind, kind::IDR_W_RADL | kind::IDR_N_LP);
        let bla = (kind::BLA_W_LP..=kind::BLA_N_LP).contains(&kind);
        unescape_into(nal.get(2..).unwrap_or_default(), SLICE_HEAD, &mut self.scratch);
        let mut bits = Bits::new(&self.scratch);
        // first_slice_segment_in_pic_flag
        if bits.flag() != Some(true) {
            return Role::Slice;
        }
        let restart = idr || bla || irap && !self.running;
        let lsb = read_order(&mut bits, &self.sets, irap, idr);
        let mut picture = Picture {
            key: irap,
            restart,
            poc: None,
            field: false,
            reorder: 0,
        };
        self.running = true;
        let Some((sps, vps_timing, lsb)) = lsb else {
            return Role::Picture(picture);
        };
        // 8.3.1
        let max = 1_i32 << sps.log2_max_poc_lsb;
        let (previous_lsb, previous_msb) = (self.previous & (max - 1), self.previous & !(max - 1));
        let msb = if restart {
            0
        } else if lsb < previous_lsb && previous_lsb - lsb >= max / 2 {
            previous_msb.wrapping_add(max)
        } else if lsb > previous_lsb && lsb - previous_lsb > max / 2 {
            previous_msb.wrapping_sub(max)
        } else {
            previous_msb
        };
        let poc = msb.wrapping_add(lsb);
        // Neither leading pictures nor those of a sub-layer that no other refers to.
        let leading = (kind::RADL_N..=kind::RASL_R).contains(&kind);
        let non_reference = kind < kind::RSV_VCL_R15 && kind % 2 == 0;
        if temporal_id == 0 && !leading && !non_reference {
            self.previous = poc;
        }
        picture.poc = Some(poc);
        picture.reorder = sps.reorder;
        self.active = Some((sps, vps_timing));
        Role::Picture(picture)
    }

    pub(super) fn info(&self) -> Option<VideoInfo> {
        let (sps, vps_timing) = self.active.as_ref()?;
        Some(VideoInfo {
            codec: sps.codec_string(),
            size: sps.visible,
            sample_aspect: sps.sample_aspect,
            color: sps.color,
            frame_duration: sps
                .timing
                .or(*vps_timing)
                .map(|(units, scale)| (u64::from(units), u64::from(scale))),
            reorder: sps.reorder,
        })
    }

    pub(super) fn parameter_sets(&self) -> Vec<u8> {
        let vps = self.sets.vps.values().map(|set| &set.nal);
        let sps = self.sets.sps.values().map(|set| &set.nal);
        let pps = self.sets.pps.values().map(|set| &set.nal);
        vps.chain(sps)
            .chain(pps)
            .flat_map(|nal| START_CODE.iter().chain(nal))
            .copied()
            .collect()
    }
}

/// slice_segment_header() (7.3.6.1) of a first slice, from after its first flag to slice_pic_order_cnt_lsb.
fn read_order(
    bits: &mut Bits<'_>,
    sets: &Sets,
    irap: bool,
    idr: bool,
) -> Option<(Arc<Sps>, Option<(u32, u32)>, i32)> {
    if irap {
        // no_output_of_prior_pics_flag
        bits.skip(1)?;
    }
    let id = u8::try_from(bits.ue()?).ok()?;
    let pps = &sets.pps.get(&id)?.parsed;
    let sps = &sets.sps.get(&pps.sps_id)?.parsed;
    let timing = sets.vps.get(&sps.vps_id).and_then(|set| set.parsed.timing);
    bits.skip(usize::from(pps.extra_slice_header_bits))?;
    // slice_type
    bits.ue()?;
    if pps.output_flag_present {
        bits.skip(1)?;
    }
    if sps.separate_planes {
        bits.skip(2)?;
    }
    let lsb = if idr {
        0
    } else {
        bits.u(usize::from(sps.log2_max_poc_lsb))?
    };
    Some((Arc::clone(sps), timing, i32::try_from(lsb).ok()?))
}
