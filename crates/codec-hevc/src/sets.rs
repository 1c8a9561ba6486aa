//! Parameter sets, and what rusty_h265 decodes rightly.

use std::sync::Arc;

use reelcore_media::hevc::{HvcC, Nal, NalType, Packaging, Pps, SliceStart, Sps, nal_units};
use reelcore_media::{MediaError, PixelFormat, Size};
use rusty_h265::nal::unescape;
use rusty_h265::ps;

/// MaxLumaPs of level 6.2 (table A.8).
const MAX_LUMA_SAMPLES: u64 = 35_651_584;

/// A sequence parameter set as both readers see it.
#[derive(Debug)]
pub(crate) struct StoredSps {
    pub sps: Sps,
    pub library: Arc<ps::Sps>,
    /// The NAL unit that it was read from.
    nal: Vec<u8>,
}

/// A picture parameter set.
#[derive(Debug)]
pub(crate) struct StoredPps {
    pub library: Arc<ps::Pps>,
    nal: Vec<u8>,
}

/// The parameter sets that were received. VPSs say nothing that decoding a single layer needs.
#[derive(Debug)]
pub(crate) struct ParameterSets {
    sps: [Option<Arc<StoredSps>>; 16],
    pps: [Option<Arc<StoredPps>>; 64],
}

impl ParameterSets {
    pub(crate) fn new() -> Self {
        Self {
            sps: Default::default(),
            pps: [const { None }; 64],
        }
    }

    /// The sets of `record`, all of which must be decodable.
    pub(crate) fn of_record(record: &HvcC) -> Result<Self, MediaError> {
        let mut sets = Self::new();
        for nal_type in [NalType::SPS, NalType::PPS] {
            for unit in record.units(nal_type) {
                let nal = Nal::new(0, unit)?;
                if nal.nal_type != nal_type {
                    return Err(MediaError::invalid_data(format!(
                        "a NAL unit of type {} among those of type {}",
                        nal.nal_type.0, nal_type.0
                    )));
                }
                // Those of other layers are not decoded.
                if nal.layer_id == 0 {
                    sets.store(&nal)?;
                }
            }
        }
        for sps in sets.sps.iter().flatten() {
            check_sps(&sps.sps)?;
        }
        for pps in sets.pps.iter().flatten() {
            check_pps(&pps.library)?;
        }
        Ok(sets)
    }

    /// Stores the set of `nal`, unless it is there already.
    pub(crate) fn store(&mut self, nal: &Nal<'_>) -> Result<(), MediaError> {
        match nal.nal_type {
            NalType::SPS => {
                let same =
                    |s: &Option<Arc<StoredSps>>| s.as_ref().is_some_and(|s| s.nal == nal.bytes);
                if self.sps.iter().any(same) {
                    return Ok(());
                }
                let sps = Sps::parse(nal)?;
                let library = ps::parse_sps(&unescape(nal.payload()).data).map_err(media_error)?;
                if let Some(slot) = self.sps.get_mut(usize::from(sps.id)) {
                    *slot = Some(Arc::new(StoredSps {
                        sps,
                        library: Arc::new(library),
                        // A few bytes, kept beyond the chunk.
                        nal: nal.bytes.to_vec(),
                    }));
                }
            }
            NalType::PPS => {
                let same =
                    |s: &Option<Arc<StoredPps>>| s.as_ref().is_some_and(|s| s.nal == nal.bytes);
                if self.pps.iter().any(same) {
                    return Ok(());
                }
                let library = ps::parse_pps(&unescape(nal.payload()).data).map_err(media_error)?;
                if let Some(slot) = self.pps.get_mut(usize::from(library.id)) {
                    *slot = Some(Arc::new(StoredPps {
                        library: Arc::new(library),
                        nal: nal.bytes.to_vec(),
                    }));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The sets that a slice with slice_pic_parameter_set_id `id` refers to.
    pub(crate) fn of_slice(
        &self,
        id: u8,
    ) -> Result<(&Arc<StoredSps>, &Arc<StoredPps>), MediaError> {
        let pps = self.pps.get(usize::from(id)).and_then(Option::as_ref);
        let Some(pps) = pps else {
            return Err(MediaError::invalid_data(format!(
                "a slice refers to picture parameter set {id}, which was not received"
            )));
        };
        let sps_id = pps.library.sps_id;
        let sps = self.sps.get(usize::from(sps_id)).and_then(Option::as_ref);
        let Some(sps) = sps else {
            return Err(MediaError::invalid_data(format!(
                "a slice refers to sequence parameter set {sps_id}, which was not received"
            )));
        };
        Ok((sps, pps))
    }
}

/// The slice that a picture starts with is looked for in so many bytes in Annex B, where it takes a walk through all of
/// them. What stands before it are sets and messages.
const MAX_SEARCHED: usize = 16 * 1024;

impl ParameterSets {
    /// The sequence parameter set that the first slice of a chunk refers to, in the chunk or before it. `None` where there
    /// is no slice, or anything before it cannot be read: decoding says what is wrong.
    pub(crate) fn first_sps(&self, chunk: &[u8], packaging: Packaging) -> Option<Sps> {
        let searched = match packaging {
            Packaging::AnnexB => chunk.get(..MAX_SEARCHED).unwrap_or(chunk),
            Packaging::Hevc { .. } => chunk,
        };
        let (mut new_sps, mut new_pps) = (Vec::new(), Vec::new());
        for nal in nal_units(searched, packaging) {
            let nal = nal.ok()?;
            match nal.nal_type {
                _ if nal.layer_id != 0 => {}
                NalType::SPS => new_sps.push(Sps::parse(&nal).ok()?),
                NalType::PPS => new_pps.push(Pps::parse(&nal).ok()?),
                nal_type if nal_type.is_slice() => {
                    let id = SliceStart::parse(&nal).ok()?.pps_id;
                    let new = new_pps.iter().rfind(|set| set.id == id);
                    let sps_id = match new {
                        Some(pps) => pps.sps_id,
                        None => self.pps.get(usize::from(id))?.as_ref()?.library.sps_id,
                    };
                    let new = new_sps.into_iter().rfind(|set| set.id == sps_id);
                    return new.or_else(|| {
                        let kept = self.sps.get(usize::from(sps_id))?.as_ref()?;
                        Some(kept.sps.clone())
                    });
                }
                _ => {}
            }
        }
        None
    }
}

/// An error of rusty_h265.
pub(crate) fn media_error(error: rusty_h265::Error) -> MediaError {
    use rusty_h265::Error;
    match error {
        Error::InvalidData(message) => MediaError::invalid_data(message),
        Error::Unsupported(message) => MediaError::unsupported(message),
        other => MediaError::backend(other.to_string()),
    }
}

/// Whether pictures of `size` pixels are decoded.
pub(crate) fn check_size(size: Size) -> Result<(), MediaError> {
    // A.4.1: neither side may pass sqrt(8 * MaxLumaPs).
    let side = |side: u32| u64::from(side).pow(2) <= 8 * MAX_LUMA_SAMPLES;
    if size.area() <= MAX_LUMA_SAMPLES && side(size.width) && side(size.height) {
        return Ok(());
    }
    Err(MediaError::unsupported(format!(
        "rusty_h265 decodes pictures of up to {MAX_LUMA_SAMPLES} pixels (level 6.2), not {}x{}",
        size.width, size.height
    )))
}

/// The format of the frames of a stream of `sps`.
///
/// # Errors
/// `Unsupported` for what is not decoded.
pub(crate) fn check_sps(sps: &Sps) -> Result<PixelFormat, MediaError> {
    let extension = ["range", "multilayer", "3D", "screen content coding"]
        .iter()
        .zip(sps.extensions)
        .find_map(|(name, present)| present.then_some(name));
    let [luma, chroma] = sps.bit_depth;
    let reason = if let Some(name) = extension {
        format!("the {name} extensions")
    } else if sps.chroma_format != 1 {
        let name = match sps.chroma_format {
            0 => "4:0:0 (no chroma)",
            2 => "4:2:2",
            _ => "4:4:4",
        };
        format!("{name} pictures")
    } else if !matches!((luma, chroma), (8, 8) | (10, 10)) {
        format!("samples of {luma} (luma) and {chroma} (chroma) bits")
    } else if sps.log2_ctb_size < 4 {
        "coding tree blocks of 8x8".into()
    } else {
        check_size(sps.coded_size)?;
        return Ok(if luma == 8 {
            PixelFormat::I420
        } else {
            PixelFormat::I420P10
        });
    };
    Err(MediaError::unsupported(format!(
        "rusty_h265 does not decode {reason}"
    )))
}

/// Whether pictures of `pps` are decoded.
pub(crate) fn check_pps(pps: &ps::Pps) -> Result<(), MediaError> {
    if pps.range_extension || pps.multilayer_extension || pps.ext_3d || pps.scc_extension {
        return Err(MediaError::unsupported(
            "rusty_h265 does not decode pictures with a picture parameter set extension",
        ));
    }
    // A.3.2: not in the profiles that rusty_h265 has.
    if pps.tiles_enabled && pps.entropy_coding_sync_enabled {
        return Err(MediaError::unsupported(
            "rusty_h265 does not decode wavefronts within tiles",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn both_readers_see_the_same_in_every_set_of_the_test_streams() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let mut sets = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "265") {
                continue;
            }
            let stream = std::fs::read(&path).unwrap();
            for nal in nal_units(&stream, Packaging::AnnexB) {
                let nal = nal.unwrap();
                if nal.nal_type != NalType::SPS {
                    continue;
                }
                let ours = Sps::parse(&nal).unwrap();
                let theirs = ps::parse_sps(&unescape(nal.payload()).data).unwrap();
                let name = path.display();
                assert_eq!(ours.id, theirs.id, "{name}");
                assert_eq!(
                    (ours.coded_size.width, ours.coded_size.height),
                    (theirs.width, theirs.height),
                    "{name}"
                );
                let visible = (ours.visible.width, ours.visible.height);
                assert_eq!(visible, theirs.output_size(), "{name}");
                assert_eq!(
                    ours.log2_max_poc_lsb,
                    u32::from(theirs.log2_max_poc_lsb),
                    "{name}"
                );
                assert_eq!(
                    ours.log2_ctb_size,
                    u32::from(theirs.log2_ctb_size),
                    "{name}"
                );
                assert_eq!(
                    ours.chroma_format,
                    u32::from(theirs.chroma_format_idc),
                    "{name}"
                );
                let theirs_of_highest = theirs.ordering[usize::from(theirs.max_sub_layers_minus1)];
                assert_eq!(
                    ours.ordering.max_num_reorder, theirs_of_highest.max_num_reorder_pics,
                    "{name}"
                );
                assert_eq!(ours.extensions[0], theirs.range_extension, "{name}");
                sets += 1;
            }
        }
        assert!(sets >= 25, "{sets} sets");
    }
}
