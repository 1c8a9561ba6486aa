//! Access units of H.264 (ITU-T H.264, 7.4.1.2.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use reelcore_media::h264::{
    BitReader, Nal, NalKind, PictureOrder, Pps, RecoveryPoint, START_CODE, SliceHeader, Sps,
};

use super::splitter::{Picture, Role, VideoInfo};

/// Bytes of a slice header's first code.
const FIRST_MB: usize = 8;

/// A parameter set with the NAL unit it came in.
#[derive(Clone, Debug)]
struct Set<T> {
    nal: Vec<u8>,
    parsed: T,
}

#[derive(Clone, Debug, Default)]
struct Sets {
    sps: BTreeMap<u8, Set<Arc<Sps>>>,
    pps: BTreeMap<u8, Set<Pps>>,
}

/// What reading H.264 carries from NAL unit to NAL unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct H264 {
    /// Shared with the points that can be returned to.
    sets: Arc<Sets>,
    order: PictureOrder,
    previous: Option<(SliceHeader, u8)>,
    /// The set of the last picture.
    active: Option<Arc<Sps>>,
    /// A recovery point SEI has come for the next picture.
    recovery: bool,
    scratch: Vec<u8>,
}

impl H264 {
    pub(super) fn stands_before(header: &[u8]) -> bool {
        // SEI, SPS, PPS, access unit delimiter, 15 to 18. Prefix NAL units (14) stand before every slice of a base layer.
        matches!(header.first().map(|b| b & 0x1f), Some(6..=9 | 15..=18))
    }

    pub(super) fn restart(&mut self) {
        self.order = PictureOrder::default();
        self.previous = None;
        self.recovery = false;
        self.scratch = Vec::new();
    }

    pub(super) fn read(&mut self, bytes: &[u8], first: bool, led: bool) -> Role {
        let Ok(nal) = Nal::new(0, bytes) else {
            return Role::After;
        };
        match nal.kind {
            // Partition A (2) begins as a slice does.
            NalKind::Slice | NalKind::IdrSlice => self.slice(&nal, first, led),
            NalKind::Partition if bytes.first().is_some_and(|b| b & 0x1f == 2) => {
                self.slice(&nal, first, led)
            }
            NalKind::Sps => {
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
            NalKind::Pps => {
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
            NalKind::Sei => {
                self.recovery |= RecoveryPoint::find(&nal, &mut self.scratch).is_some();
                Role::Before { sets: false }
            }
            NalKind::Aud | NalKind::Other(15..=18) => Role::Before { sets: false },
            NalKind::Other(14) => Role::BeforeSlice,
            NalKind::Partition | NalKind::Other(_) => Role::After,
        }
    }

    fn slice(&mut self, nal: &Nal<'_>, first: bool, led: bool) -> Role {
        let sets = Arc::clone(&self.sets);
        let parsed = SliceHeader::pps_id(nal, &mut self.scratch)
            .ok()
            .and_then(|id| Some(&sets.pps.get(&id)?.parsed))
            .and_then(|pps| {
                let sps = &sets.sps.get(&pps.sps_id)?.parsed;
                let header = SliceHeader::parse(nal, sps, pps, &mut self.scratch).ok()?;
                Some((sps, header))
            });
        let Some((sps, header)) = parsed else {
            return self.slice_without_sets(nal, first, led);
        };
        if header.redundant_pic_cnt > 0 {
            return Role::Slice;
        }
        let new = match &self.previous {
            // The rest of a picture whose beginning is missing.
            _ if first && !led && header.first_mb > 0 => return Role::Slice,
            _ if first => true,
            Some((last, ref_idc)) => header.starts_picture(last, (*ref_idc, nal.ref_idc)),
            None => header.first_mb == 0,
        };
        if !new {
            self.previous = Some((header, nal.ref_idc));
            return Role::Slice;
        }
        let idr = nal.kind == NalKind::IdrSlice;
        let recovery = std::mem::take(&mut self.recovery);
        // The second field of an IDR picture can be an IDR picture too: decoding starts at the first.
        let second = self.completes_frame(&header);
        let picture = Picture {
            key: (idr || recovery) && !second,
            restart: (idr || header.mmco5) && !second,
            poc: Some(self.order.next(sps, &header, nal.ref_idc)),
            field: header.field.is_some(),
            reorder: reorder(sps),
        };
        self.active = Some(Arc::clone(sps));
        self.previous = Some((header, nal.ref_idc));
        Role::Picture(picture)
    }

    /// Whether `header` is of the field that belongs with the previous picture's.
    fn completes_frame(&self, header: &SliceHeader) -> bool {
        self.previous.as_ref().is_some_and(|(last, _)| {
            matches!((last.field, header.field), (Some(a), Some(b)) if a != b)
                && last.frame_num == header.frame_num
        })
    }

    fn slice_without_sets(&mut self, nal: &Nal<'_>, first: bool, led: bool) -> Role {
        let begins = nal
            .payload()
            .get(..FIRST_MB.min(nal.payload().len()))
            .and_then(|head| {
                BitReader::new(head, "slice header")
                    .ue("first_mb_in_slice")
                    .ok()
            })
            == Some(0);
        self.previous = None;
        // Behind a delimiter or parameter sets a picture begins with whatever slice comes.
        let starts = begins || first && led;
        if !starts {
            return Role::Slice;
        }
        let idr = nal.kind == NalKind::IdrSlice;
        Role::Picture(Picture {
            key: std::mem::take(&mut self.recovery) || idr,
            restart: idr,
            poc: None,
            field: false,
            reorder: 0,
        })
    }

    pub(super) fn info(&self) -> Option<VideoInfo> {
        let sps = self.active.as_deref()?;
        let (width, height) = sps.vui.sample_aspect.unwrap_or((1, 1));
        Some(VideoInfo {
            codec: format!(
                "avc1.{:02x}{:02x}{:02x}",
                sps.profile, sps.constraints, sps.level
            ),
            size: sps.visible.size(),
            sample_aspect: (u64::from(width), u64::from(height)),
            color: sps.vui.color,
            // Two fields.
            frame_duration: sps
                .vui
                .timing
                .map(|(units, scale)| (2 * u64::from(units), u64::from(scale))),
            reorder: reorder(sps),
        })
    }

    pub(super) fn parameter_sets(&self) -> Vec<u8> {
        let sps = self.sets.sps.values().map(|set| &set.nal);
        let pps = self.sets.pps.values().map(|set| &set.nal);
        sps.chain(pps)
            .flat_map(|nal| START_CODE.iter().chain(nal))
            .copied()
            .collect()
    }
}

fn reorder(sps: &Sps) -> u8 {
    sps.reorder_frames().min(16) as u8
}
