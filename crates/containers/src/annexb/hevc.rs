//! Access units of HEVC (ITU-T H.265, 7.4.2.4.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use reelcore_media::h264::{START_CODE, unescape_into};
use reelcore_media::hevc::{Nal, NalType, PictureOrder, Pps, Sps};

use super::splitter::{Picture, Role, VideoInfo};
use crate::bitstream::Bits;

/// Bytes of a slice header up to its picture order count, at most: the flags, two codes, reserved flags.
const SLICE_HEAD: usize = 48;

/// Video parameter sets that are kept for a decoder that starts in mid-stream: there are 16 of them.
const MAX_VPS: usize = 16;

/// A parameter set with the NAL unit it came in.
#[derive(Clone, Debug)]
struct Set<T> {
    nal: Vec<u8>,
    parsed: T,
}

#[derive(Clone, Debug, Default)]
struct Sets {
    vps: Vec<Vec<u8>>,
    sps: BTreeMap<u8, Set<Arc<Sps>>>,
    pps: BTreeMap<u8, Set<Pps>>,
}

/// What reading HEVC carries from NAL unit to NAL unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hevc {
    /// Shared with the points that can be returned to.
    sets: Arc<Sets>,
    /// The set of the last picture.
    active: Option<Arc<Sps>>,
    order: PictureOrder,
    /// A picture has come since the start or the end of a sequence.
    running: bool,
    scratch: Vec<u8>,
}

impl Hevc {
    pub(super) fn stands_before(header: &[u8]) -> bool {
        // VPS, SPS, PPS, access unit delimiter, prefix SEI, and what is reserved or left free for such.
        Nal::new(0, header).is_ok_and(|nal| {
            nal.layer_id == 0 && matches!(nal.nal_type.0, 32..=35 | 39 | 41..=44 | 48..=55)
        })
    }

    pub(super) fn restart(&mut self) {
        self.order = PictureOrder::default();
        self.running = false;
        self.scratch = Vec::new();
    }

    pub(super) fn read(&mut self, bytes: &[u8]) -> Role {
        let Ok(nal) = Nal::new(0, bytes) else {
            return Role::After;
        };
        // Only the base layer delimits.
        if nal.layer_id > 0 {
            return Role::After;
        }
        match nal.nal_type {
            kind if kind.is_vcl() => self.slice(&nal),
            NalType::VPS => {
                let known = self.sets.vps.iter().any(|set| set == bytes);
                if !known {
                    let sets = Arc::make_mut(&mut self.sets);
                    // vps_video_parameter_set_id
                    let id = |nal: &[u8]| nal.get(2).map(|byte| byte >> 4);
                    sets.vps.retain(|set| id(set) != id(bytes));
                    sets.vps.truncate(MAX_VPS - 1);
                    sets.vps.push(bytes.to_vec());
                }
                Role::Before { sets: false }
            }
            NalType::SPS => {
                let known = self.sets.sps.values().any(|set| set.nal == bytes);
                if !known && let Ok(sps) = Sps::parse(&nal) {
                    let set = Set {
                        nal: bytes.to_vec(),
                        parsed: Arc::new(sps),
                    };
                    Arc::make_mut(&mut self.sets).sps.insert(set.parsed.id, set);
                }
                Role::Before { sets: true }
            }
            NalType::PPS => {
                let known = self.sets.pps.values().any(|set| set.nal == bytes);
                if !known && let Ok(parsed) = Pps::parse(&nal) {
                    let set = Set {
                        nal: bytes.to_vec(),
                        parsed,
                    };
                    Arc::make_mut(&mut self.sets).pps.insert(set.parsed.id, set);
                }
                Role::Before { sets: false }
            }
            NalType::EOS | NalType::EOB => {
                self.running = false;
                Role::After
            }
            _ if Self::stands_before(bytes) => Role::Before { sets: false },
            _ => Role::After,
        }
    }

    fn slice(&mut self, nal: &Nal<'_>) -> Role {
        unescape_into(nal.payload(), SLICE_HEAD, &mut self.scratch);
        let mut bits = Bits::new(&self.scratch);
        // first_slice_segment_in_pic_flag
        if bits.flag() != Some(true) {
            return Role::Slice;
        }
        let kind = nal.nal_type;
        // NoRaslOutputFlag of 8.1.3
        let restart = kind.is_idr() || kind.is_bla() || kind.is_irap() && !self.running;
        self.running = true;
        let mut picture = Picture {
            key: kind.is_irap(),
            restart,
            poc: None,
            field: false,
            reorder: 0,
        };
        if let Some((sps, lsb)) = read_order(&mut bits, &self.sets, kind) {
            let log2_max_lsb = sps.log2_max_poc_lsb;
            picture.poc = Some(
                self.order
                    .next(kind, nal.temporal_id, restart, lsb, log2_max_lsb),
            );
            picture.field = sps.vui.fields;
            picture.reorder = reorder(&sps);
            self.active = Some(sps);
        }
        Role::Picture(picture)
    }

    pub(super) fn info(&self) -> Option<VideoInfo> {
        let sps = self.active.as_deref()?;
        let (width, height) = sps.vui.sample_aspect.unwrap_or((1, 1));
        // A tick is a picture: half a frame, where pictures are fields.
        let pictures = if sps.vui.fields { 2 } else { 1 };
        Some(VideoInfo {
            // Parameter sets stand in the stream.
            codec: sps.profile.codec(true).to_string(),
            size: sps.visible.size(),
            sample_aspect: (u64::from(width), u64::from(height)),
            color: sps.vui.color,
            frame_duration: sps.vui.timing.map(|timing| {
                let units = u64::from(timing.units_in_tick);
                (pictures * units, u64::from(timing.time_scale))
            }),
            reorder: reorder(sps),
        })
    }

    pub(super) fn parameter_sets(&self) -> Vec<u8> {
        let sps = self.sets.sps.values().map(|set| &set.nal);
        let pps = self.sets.pps.values().map(|set| &set.nal);
        let all = self.sets.vps.iter().chain(sps).chain(pps);
        all.flat_map(|nal| START_CODE.iter().chain(nal))
            .copied()
            .collect()
    }
}

fn reorder(sps: &Sps) -> u8 {
    sps.ordering.max_num_reorder.min(16) as u8
}

/// slice_segment_header() (7.3.6.1) of a first slice, from after its first flag to slice_pic_order_cnt_lsb.
fn read_order(bits: &mut Bits<'_>, sets: &Sets, kind: NalType) -> Option<(Arc<Sps>, u32)> {
    if kind.is_irap() {
        // no_output_of_prior_pics_flag
        bits.skip(1)?;
    }
    let id = u8::try_from(bits.ue()?).ok()?;
    let pps = &sets.pps.get(&id)?.parsed;
    let sps = &sets.sps.get(&pps.sps_id)?.parsed;
    bits.skip(usize::from(pps.extra_slice_header_bits))?;
    // slice_type
    bits.ue()?;
    if pps.output_flag_present {
        bits.skip(1)?;
    }
    if sps.separate_planes {
        bits.skip(2)?;
    }
    let lsb = if kind.is_idr() {
        0
    } else {
        bits.u(sps.log2_max_poc_lsb as usize)?
    };
    Some((Arc::clone(sps), lsb))
}
