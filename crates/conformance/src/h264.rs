//! The presentation order of an Annex B stream, from its own picture order counts and not from a decoder.

use std::ops::Range;

use reelcore_media::MediaError;
use reelcore_media::h264::{
    NalKind, Packaging, PictureOrder, Pps, SliceHeader, Sps, access_units, nal_units,
};

/// One access unit.
pub(crate) struct Unit {
    /// Its bytes.
    pub range: Range<usize>,
    /// Its picture is IDR.
    pub idr: bool,
    /// Which frame of the output it is, counted from 0.
    pub rank: usize,
}

/// The access units of `stream` in decoding order.
pub(crate) fn units(stream: &[u8]) -> Result<Vec<Unit>, MediaError> {
    let mut sps: Vec<Option<Sps>> = vec![None; 32];
    let mut pps: Vec<Option<Pps>> = vec![None; 256];
    let mut order = PictureOrder::default();
    let mut scratch = Vec::new();
    let mut units = Vec::new();
    // Coded video sequence and picture order count of each unit.
    let mut keys = Vec::new();
    let mut sequence = 0u32;
    for range in access_units(stream)? {
        let mut idr = None;
        for nal in nal_units(stream.get(range.clone()).unwrap_or(&[]), Packaging::AnnexB) {
            let nal = nal?;
            match nal.kind {
                NalKind::Sps => {
                    let set = Sps::parse(&nal)?;
                    if let Some(slot) = sps.get_mut(usize::from(set.id)) {
                        *slot = Some(set);
                    }
                }
                NalKind::Pps => {
                    let set = Pps::parse(&nal)?;
                    if let Some(slot) = pps.get_mut(usize::from(set.id)) {
                        *slot = Some(set);
                    }
                }
                NalKind::Slice | NalKind::IdrSlice if idr.is_none() => {
                    let missing = || MediaError::invalid_data("a slice without its parameter sets");
                    let id = usize::from(SliceHeader::pps_id(&nal, &mut scratch)?);
                    let pps = pps.get(id).and_then(Option::as_ref).ok_or_else(missing)?;
                    let sps = sps.get(usize::from(pps.sps_id)).and_then(Option::as_ref);
                    let sps = sps.ok_or_else(missing)?;
                    let header = SliceHeader::parse(&nal, sps, pps, &mut scratch)?;
                    let poc = order.next(sps, &header, nal.ref_idc);
                    // Both start counting anew, after everything before them (8.2.1).
                    sequence += u32::from(header.idr_pic_id.is_some() || header.mmco5);
                    keys.push((sequence, poc));
                    idr = Some(header.idr_pic_id.is_some());
                }
                _ => {}
            }
        }
        let Some(idr) = idr else {
            return Err(MediaError::invalid_data(format!(
                "the access unit at byte {} has no picture",
                range.start
            )));
        };
        units.push(Unit {
            range,
            idr,
            rank: 0,
        });
    }
    let mut sorted: Vec<usize> = (0..units.len()).collect();
    sorted.sort_by_key(|&index| keys.get(index));
    for (rank, index) in sorted.into_iter().enumerate() {
        if let Some(unit) = units.get_mut(index) {
            unit.rank = rank;
        }
    }
    Ok(units)
}
