//! Access units of an Annex B stream (7.4.1.2.3), for sources that come without packets.

use std::ops::Range;

use super::nal::{Nal, NalKind, Packaging, nal_units};
use super::pps::Pps;
use super::slice::SliceHeader;
use super::sps::Sps;
use crate::error::MediaError;

/// The byte ranges of the access units of `stream`, each one chunk of WebCodecs' "annexb" form.
///
/// # Errors
/// `InvalidData` for what is no Annex B stream, or slices without their parameter sets.
pub fn access_units(stream: &[u8]) -> Result<Vec<Range<usize>>, MediaError> {
    let mut sps: Vec<Option<Sps>> = vec![None; 32];
    let mut pps: Vec<Option<Pps>> = vec![None; 256];
    let mut scratch = Vec::new();
    let mut starts = vec![0usize];
    let mut previous: Option<(SliceHeader, u8)> = None;
    // Where the NAL units begin that precede the next picture's first slice.
    let mut lead: Option<usize> = None;
    for nal in nal_units(stream, Packaging::AnnexB) {
        let nal = nal?;
        let begin = start_of(stream, &nal);
        match nal.kind {
            NalKind::Slice | NalKind::IdrSlice => {
                let id = SliceHeader::pps_id(&nal, &mut scratch)?;
                let missing = || {
                    MediaError::invalid_data(format!(
                        "slice at byte {} refers to PPS {id}, which has not come with its SPS",
                        nal.offset
                    ))
                };
                let set = pps.get(usize::from(id)).and_then(Option::as_ref);
                let set = set.ok_or_else(missing)?;
                let sequence = sps.get(usize::from(set.sps_id)).and_then(Option::as_ref);
                let sequence = sequence.ok_or_else(missing)?;
                let header = SliceHeader::parse(&nal, sequence, set, &mut scratch)?;
                if header.redundant_pic_cnt > 0 {
                    continue;
                }
                if let Some((last, ref_idc)) = &previous
                    && (lead.is_some() || header.starts_picture(last, (*ref_idc, nal.ref_idc)))
                {
                    starts.push(lead.unwrap_or(begin));
                }
                lead = None;
                previous = Some((header, nal.ref_idc));
            }
            NalKind::Sps => {
                let set = Sps::parse(&nal)?;
                let id = usize::from(set.id);
                sps[id] = Some(set);
                lead.get_or_insert(begin);
            }
            NalKind::Pps => {
                let set = Pps::parse(&nal)?;
                let id = usize::from(set.id);
                pps[id] = Some(set);
                lead.get_or_insert(begin);
            }
            NalKind::Aud | NalKind::Sei | NalKind::Other(14..=18) => {
                lead.get_or_insert(begin);
            }
            NalKind::Partition | NalKind::Other(_) => {}
        }
        if previous.is_none() {
            lead = None;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    Ok(starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(a, b)| a..b)
        .collect())
}

/// Where the start code of `nal` begins, its zero_byte included.
fn start_of(stream: &[u8], nal: &Nal<'_>) -> usize {
    let code = nal.offset.saturating_sub(3);
    if code > 0 && stream.get(code - 1) == Some(&0) {
        code - 1
    } else {
        code
    }
}
