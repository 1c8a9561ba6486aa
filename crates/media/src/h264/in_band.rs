//! Parameter sets of chunks: those that came before, kept for a decoder that starts later in the stream, and those that
//! a chunk starts with.

use std::sync::Arc;

use super::nal::{Nal, NalKind, Packaging, START_CODE, nal_units};
use super::pps::Pps;
use super::slice::SliceHeader;
use super::sps::Sps;
use crate::error::MediaError;

/// seq_parameter_set_id is 0 to 31, pic_parameter_set_id 0 to 255 (7.4.2.1, 7.4.2.2).
const MAX_SPS: usize = 32;
const MAX_PPS: usize = 256;

/// The largest set that is kept: what an avcC can hold (ISO/IEC 14496-15, 5.3.3.1).
const MAX_SET_BYTES: usize = 65_535;

/// The slice that a picture starts with is looked for in so many bytes in Annex B, where it takes a walk through all of
/// them. What stands before it are sets and messages.
const MAX_SEARCHED: usize = 16 * 1024;

/// The NAL units of the sets that came in chunks, the last one of each id. They may not come again.
#[derive(Clone, Debug)]
pub struct InBandSets {
    sps: Vec<Vec<u8>>,
    pps: Vec<(PpsUse, Vec<u8>)>,
}

/// What a decoder must know to read a picture parameter set.
#[derive(Clone, Copy, Debug, Default)]
pub struct PpsUse {
    /// seq_parameter_set_id.
    pub sps_id: u8,
    /// num_slice_groups_minus1 + 1.
    pub slice_groups: u32,
}

impl From<&Pps> for PpsUse {
    fn from(pps: &Pps) -> Self {
        Self {
            sps_id: pps.sps_id,
            slice_groups: pps.slice_groups,
        }
    }
}

impl Default for InBandSets {
    fn default() -> Self {
        Self {
            sps: vec![Vec::new(); MAX_SPS],
            pps: vec![(PpsUse::default(), Vec::new()); MAX_PPS],
        }
    }
}

impl InBandSets {
    /// Keeps a sequence parameter set with its NAL unit.
    ///
    /// # Errors
    /// `LimitExceeded` for one that no avcC could hold.
    pub fn keep_sps(&mut self, sps: &Sps, nal: &Nal<'_>) -> Result<(), MediaError> {
        match self.sps.get_mut(usize::from(sps.id)) {
            Some(kept) => keep(kept, nal),
            None => Ok(()),
        }
    }

    /// Keeps a picture parameter set with its NAL unit.
    ///
    /// # Errors
    /// As [`keep_sps`](Self::keep_sps).
    pub fn keep_pps(&mut self, pps: &Pps, nal: &Nal<'_>) -> Result<(), MediaError> {
        match self.pps.get_mut(usize::from(pps.id)) {
            Some((needs, kept)) => {
                *needs = pps.into();
                keep(kept, nal)
            }
            None => Ok(()),
        }
    }

    /// Appends them as a chunk holds them. Picture parameter sets that `is_readable` says no to are left out: where nobody has
    /// what they refer to, no decoder can read them.
    pub fn write(
        &self,
        packaging: Packaging,
        is_readable: impl Fn(PpsUse) -> bool,
        out: &mut Vec<u8>,
    ) {
        let pps = self.pps.iter().filter(|(needs, _)| is_readable(*needs));
        let sets = self.sps.iter().chain(pps.map(|(_, nal)| nal));
        for nal in sets.filter(|nal| !nal.is_empty()) {
            match packaging {
                Packaging::AnnexB => out.extend_from_slice(&START_CODE),
                Packaging::Avc { length_size } => {
                    // It came with a length of this size, so it has room in one.
                    let length = (nal.len() as u64).to_be_bytes();
                    out.extend(length.iter().skip(8usize.saturating_sub(length_size)));
                }
            }
            out.extend_from_slice(nal);
        }
    }
}

fn keep(kept: &mut Vec<u8>, nal: &Nal<'_>) -> Result<(), MediaError> {
    if nal.bytes.len() > MAX_SET_BYTES {
        return Err(MediaError::limit(format!(
            "a parameter set of {} bytes, expected at most {MAX_SET_BYTES}",
            nal.bytes.len()
        )));
    }
    if kept.as_slice() != nal.bytes {
        kept.clear();
        kept.extend_from_slice(nal.bytes);
    }
    Ok(())
}

/// The sets that the first slice of a chunk refers to: those before it in the chunk, else those that `sps` and `pps` have
/// for their ids. `None` where there is no slice, or anything before it cannot be read: who decodes the chunk says what
/// is wrong.
pub fn first_sets(
    chunk: &[u8],
    packaging: Packaging,
    sps: impl Fn(u8) -> Option<Arc<Sps>>,
    pps: impl Fn(u8) -> Option<Pps>,
) -> Option<(Arc<Sps>, Pps)> {
    let searched = match packaging {
        Packaging::AnnexB => chunk.get(..MAX_SEARCHED).unwrap_or(chunk),
        Packaging::Avc { .. } => chunk,
    };
    let (mut new_sps, mut new_pps, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for nal in nal_units(searched, packaging) {
        let nal = nal.ok()?;
        match nal.kind {
            NalKind::Sps => new_sps.push(Arc::new(Sps::parse(&nal).ok()?)),
            NalKind::Pps => new_pps.push(Pps::parse(&nal).ok()?),
            NalKind::Slice | NalKind::IdrSlice => {
                let id = SliceHeader::pps_id(&nal, &mut scratch).ok()?;
                let new = new_pps.into_iter().rfind(|set| set.id == id);
                let pps = new.or_else(|| pps(id))?;
                let new = new_sps.into_iter().rfind(|set| set.id == pps.sps_id);
                let sps = new.or_else(|| sps(pps.sps_id))?;
                return Some((sps, pps));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ue(v).
    fn ue(value: u32) -> String {
        let bits = format!("{:b}", value + 1);
        format!("{}{bits}", "0".repeat(bits.len() - 1))
    }

    /// A NAL unit with `header` of `fields` and the stop bit.
    fn unit(header: u8, fields: &[&str]) -> Vec<u8> {
        let mut bits = fields.concat() + "1";
        while !bits.len().is_multiple_of(8) {
            bits.push('0');
        }
        let bytes = bits.as_bytes().chunks(8).map(|byte| {
            let text = str::from_utf8(byte).expect("digits");
            u8::from_str_radix(text, 2).expect("bits")
        });
        [header].into_iter().chain(bytes).collect()
    }

    /// Baseline, `width` macroblocks wide, one high.
    fn sps(id: u32, width: u32) -> Vec<u8> {
        let profile = format!("{:08b}{:08b}{:08b}", 66, 0xc0, 30);
        // frame_num of four bits, order count type 2, one reference; frames only.
        let (id, width) = (ue(id), ue(width - 1));
        unit(
            0x67,
            &[
                &profile, &id, "1", "011", "010", "0", &width, "1", "1", "1", "0", "0",
            ],
        )
    }

    fn pps(id: u32, sps_id: u32) -> Vec<u8> {
        let rest = [
            "0", "0", "1", "1", "1", "0", "00", "1", "1", "1", "0", "0", "0",
        ];
        let ids = [ue(id), ue(sps_id)];
        unit(0x68, &[&[&ids[0][..], &ids[1]], &rest[..]].concat())
    }

    /// An IDR slice, as far as its sets go.
    fn slice(pps_id: u32) -> Vec<u8> {
        unit(0x65, &["1", &ue(7), &ue(pps_id), "0000"])
    }

    fn annexb(units: &[Vec<u8>]) -> Vec<u8> {
        let with_codes = units.iter().map(|nal| [&START_CODE, &nal[..]].concat());
        with_codes.collect::<Vec<_>>().concat()
    }

    fn parsed(nal: &[u8]) -> Sps {
        Sps::parse(&Nal::new(0, nal).expect("a header")).expect("a set")
    }

    #[test]
    fn the_first_slice_refers_to_the_sets_of_its_chunk_before_those_known() {
        let known = Arc::new(parsed(&sps(3, 4)));
        let known_pps = Pps::parse(&Nal::new(0, &pps(5, 3)).expect("a header")).expect("a set");
        let width = |units: &[Vec<u8>]| {
            let sets = first_sets(
                &annexb(units),
                Packaging::AnnexB,
                |id| (id == 3).then(|| known.clone()),
                |id| (id == 5).then(|| known_pps.clone()),
            );
            sets.map(|(sps, pps)| (sps.coded_size.width / 16, pps.id))
        };
        assert_eq!(width(&[slice(5)]), Some((4, 5)));
        assert_eq!(width(&[sps(3, 7), slice(5)]), Some((7, 5)));
        assert_eq!(width(&[sps(3, 7), sps(3, 8), slice(5)]), Some((8, 5)));
        let units = [sps(1, 9), pps(5, 1), slice(5), sps(1, 2), slice(5)];
        assert_eq!(width(&units), Some((9, 5)));
        assert_eq!(width(&[sps(1, 9), pps(2, 1), slice(2)]), Some((9, 2)));
        // Sets that nobody has, no slice, and what is no set.
        assert_eq!(width(&[slice(4)]), None);
        assert_eq!(width(&[pps(4, 2), slice(4)]), None);
        assert_eq!(width(&[sps(1, 9)]), None);
        assert_eq!(width(&[vec![0x67, 66], slice(5)]), None);
    }

    #[test]
    fn the_last_set_of_each_id_is_kept_and_written_with_those_it_can_be_read_with() {
        let mut sets = InBandSets::default();
        for data in [sps(0, 4), sps(1, 5), sps(0, 6)] {
            let nal = Nal::new(0, &data).expect("a header");
            sets.keep_sps(&parsed(&data), &nal).expect("small");
        }
        for data in [pps(9, 0), pps(2, 30), pps(9, 1)] {
            let nal = Nal::new(0, &data).expect("a header");
            let set = Pps::parse(&nal).expect("a set");
            sets.keep_pps(&set, &nal).expect("small");
        }
        let mut out = Vec::new();
        sets.write(Packaging::AnnexB, |needs| needs.sps_id < 2, &mut out);
        let want = [sps(0, 6), sps(1, 5), pps(9, 1)];
        assert_eq!(out, annexb(&want));
        out.clear();
        let packaging = Packaging::Avc { length_size: 2 };
        sets.write(packaging, |needs| needs.sps_id < 2, &mut out);
        let found: Vec<_> = nal_units(&out, packaging)
            .map(|nal| nal.expect("a NAL unit").bytes.to_vec())
            .collect();
        assert_eq!(found, want);
        let mut large = sps(0, 6);
        large.resize(MAX_SET_BYTES + 1, 1);
        let nal = Nal::new(0, &large).expect("a header");
        let error = sets.keep_sps(&parsed(&large), &nal).expect_err("too large");
        assert_eq!(error.kind, crate::error::ErrorKind::LimitExceeded);
    }
}
