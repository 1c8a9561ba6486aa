//! One picture: its slices, then the in-loop filters, by rusty_h265.

use std::sync::Arc;

use reelcore_media::MediaError;
use reelcore_media::hevc::Nal;
use rusty_h265::Picture;
use rusty_h265::bits::BitReader;
use rusty_h265::ctu::{Ablate, CtxStore, ScalingFactors, SliceDecoder, SliceInputs};
use rusty_h265::decoder::{CurrentPicture, FilterScratch};
use rusty_h265::filters::apply_in_loop_filters;
use rusty_h265::nal::{NalHeader, Rbsp};
use rusty_h265::pic::{PicState, SeqTables};
use rusty_h265::ps::TileLayout;
use rusty_h265::slice::{SliceHeader, parse_slice_header};

use crate::references::CurrentReferences;
use crate::sets::{ParameterSets, StoredPps, StoredSps, media_error};

/// What lasts from picture to picture, for its memory.
#[derive(Default)]
pub(crate) struct Workspace {
    tables: Option<Tables>,
    state: Option<PicState>,
    filters: FilterScratch,
    payload: Rbsp,
}

/// What depends on the parameter sets only.
struct Tables {
    sps: Arc<StoredSps>,
    pps: Arc<StoredPps>,
    tiles: Arc<TileLayout>,
    sequence: SeqTables,
}

impl Workspace {
    /// The tables of these sets.
    fn tables(
        &mut self,
        sps: &Arc<StoredSps>,
        pps: &Arc<StoredPps>,
    ) -> Result<&Tables, MediaError> {
        let kept = self.tables.take();
        let tables = match kept {
            Some(kept) if Arc::ptr_eq(&kept.sps, sps) && Arc::ptr_eq(&kept.pps, pps) => kept,
            kept => {
                let tiles = TileLayout::new(&sps.library, &pps.library).map_err(media_error)?;
                // Streams that change the picture parameter set from picture to picture rarely change the tiles.
                let sequence = kept
                    .map(|kept| kept.sequence)
                    .filter(|sequence| sequence.matches(&sps.library, &tiles))
                    .unwrap_or_else(|| SeqTables::build(&sps.library, &tiles));
                Tables {
                    sps: sps.clone(),
                    pps: pps.clone(),
                    tiles: Arc::new(tiles),
                    sequence,
                }
            }
        };
        Ok(self.tables.insert(tables))
    }

    /// Removes the emulation prevention of a slice's payload, and reads its header. `previous` is the last independent
    /// slice segment header of the picture.
    pub(crate) fn read_slice(
        &mut self,
        nal: &Nal<'_>,
        sets: &ParameterSets,
        previous: Option<&SliceHeader>,
    ) -> Result<SliceHeader, MediaError> {
        unescape(nal.payload(), &mut self.payload);
        let header = NalHeader::parse(nal.bytes)
            .ok_or_else(|| MediaError::invalid_data("a NAL unit without a header"))?;
        let lookup = |id: u8| {
            let (sps, pps) = sets.of_slice(id).ok()?;
            Some((&*sps.library, &*pps.library))
        };
        let mut reader = BitReader::new(&self.payload.data);
        parse_slice_header(&mut reader, &header, &lookup, previous).map_err(media_error)
    }
}

/// Removes emulation prevention (7.3.1.1), and notes where it stood: entry points count it.
fn unescape(payload: &[u8], out: &mut Rbsp) {
    out.data.clear();
    out.epb_pos.clear();
    let mut from = 0;
    let mut at = 2;
    while let Some(&byte) = payload.get(at) {
        // A byte above 3 cannot be in the pattern 00 00 03, so the two after it cannot end it.
        if byte > 3 {
            at += 3;
        } else if byte == 3 && at >= from + 2 && payload[at - 1] == 0 && payload[at - 2] == 0 {
            out.data.extend_from_slice(&payload[from..at]);
            out.epb_pos.push(at);
            from = at + 1;
            at += 3;
        } else {
            at += 1;
        }
    }
    out.data
        .extend_from_slice(payload.get(from..).unwrap_or(&[]));
}

/// A picture in work.
pub(crate) struct PictureInWork {
    current: CurrentPicture,
    references: CurrentReferences,
    /// Coding tree blocks that are decoded, all from the first on in tile scan.
    done: usize,
}

impl PictureInWork {
    /// Starts a picture with the first slice `header`, in `memory`.
    pub(crate) fn new(
        nal: &Nal<'_>,
        header: &SliceHeader,
        poc: i32,
        sets: (&Arc<StoredSps>, &Arc<StoredPps>),
        references: CurrentReferences,
        memory: Picture,
        workspace: &mut Workspace,
    ) -> Result<Self, MediaError> {
        let (sps, pps) = sets;
        let kept = workspace.state.take();
        let tables = workspace.tables(sps, pps)?;
        let mut state = match kept {
            Some(mut state) => state.reuse(&sps.library, &tables.sequence).then_some(state),
            None => None,
        };
        let state = state
            .take()
            .unwrap_or_else(|| PicState::with_tables(&sps.library, &tables.sequence));
        let lists = pps.library.scaling_list.as_ref();
        let scaling = sps.library.scaling_list_enabled.then(|| {
            lists
                .or(sps.library.scaling_list.as_ref())
                .map(ScalingFactors::new)
        });
        let header_of_nal = NalHeader::parse(nal.bytes)
            .ok_or_else(|| MediaError::invalid_data("a NAL unit without a header"))?;
        let mut pic = memory;
        pic.poc = poc;
        let current = CurrentPicture {
            pic,
            poc,
            sps: sps.library.clone(),
            pps: pps.library.clone(),
            tiles: tables.tiles.clone(),
            nal_type: header_of_nal.nal_type,
            temporal_id: nal.temporal_id,
            output_flag: header.pic_output_flag,
            pts: None,
            last_indep_header: None,
            ref_lists: Vec::new(),
            slice_segments: 0,
            num_refs: header.num_pic_total_curr as usize,
            errored: false,
            state,
            store: CtxStore::default(),
            headers: Vec::new(),
            slice_addr_rs: 0,
            expected_hash: None,
            scaling: scaling.flatten(),
        };
        Ok(Self {
            current,
            references,
            done: 0,
        })
    }

    /// The last independent slice segment header.
    pub(crate) fn last_header(&self) -> Option<&SliceHeader> {
        self.current.last_indep_header.as_ref()
    }

    /// PicOrderCntVal.
    pub(crate) fn poc(&self) -> i32 {
        self.current.poc
    }

    /// Decodes the slice segment whose `header` was just read into `workspace`.
    pub(crate) fn decode_slice(
        &mut self,
        header: SliceHeader,
        workspace: &Workspace,
    ) -> Result<(), MediaError> {
        let current = &mut self.current;
        if header.pps_id != current.pps.id {
            return Err(MediaError::invalid_data(format!(
                "a slice refers to picture parameter set {}, others of its picture to {}",
                header.pps_id, current.pps.id
            )));
        }
        // 7.4.7.1: these are the same in all slices of a picture.
        if let Some(first) = current.headers.first()
            && (first.poc_lsb != header.poc_lsb
                || first.num_pic_total_curr != header.num_pic_total_curr)
        {
            return Err(MediaError::invalid_data(
                "the slices of a picture differ in picture order count or references",
            ));
        }
        let address = header.segment_address as usize;
        let start = current.tiles.rs_to_ts.get(address).copied();
        if start != u32::try_from(self.done).ok() {
            return Err(MediaError::invalid_data(format!(
                "a slice segment starts at coding tree block {address}, {} blocks before it or of it are missing or decoded already",
                start.map_or(0, |start| self.done.abs_diff(start as usize))
            )));
        }
        let index = u16::try_from(current.headers.len())
            .map_err(|_| MediaError::invalid_data("a picture of more than 65536 slices"))?;
        if !header.dependent_slice_segment {
            current.last_indep_header = Some(header.clone());
            // SliceAddrRs.
            current.slice_addr_rs = header.segment_address as i32;
        }
        let lists = self.references.lists(&header)?;
        let decoder = SliceDecoder::new(SliceInputs {
            sps: &current.sps,
            pps: &current.pps,
            sh: &header,
            tiles: &current.tiles,
            pic: &mut current.pic,
            st: &mut current.state,
            store: &mut current.store,
            rbsp: &workspace.payload,
            scaling: current.scaling.as_ref(),
            refs: &lists,
            poc: current.poc,
            ablate: Ablate::default(),
            slice_addr_rs: current.slice_addr_rs,
            slice_idx: index,
        });
        decoder
            .and_then(SliceDecoder::decode)
            .map_err(media_error)?;
        let blocks = current.tiles.ts_to_rs.get(self.done..).unwrap_or(&[]);
        self.done += blocks
            .iter()
            .take_while(|&&rs| current.state.ctb_done.get(rs as usize) == Some(&true))
            .count();
        current.ref_lists.push(lists);
        current.headers.push(header);
        Ok(())
    }

    /// Ends the picture: the in-loop filters, and the motion that later pictures predict from.
    pub(crate) fn finish(mut self, workspace: &mut Workspace) -> Result<Picture, MediaError> {
        let total = self.current.tiles.ts_to_rs.len();
        if self.done != total {
            return Err(MediaError::invalid_data(format!(
                "the picture is incomplete: {} of {total} coding tree blocks",
                self.done
            )));
        }
        apply_in_loop_filters(&mut self.current, &mut workspace.filters);
        let CurrentPicture { mut pic, state, .. } = self.current;
        // 8.5.3.2.9: the motion of every 16th sample.
        pic.motion16_w = state.width.div_ceil(16);
        pic.motion16.clear();
        for y in (0..state.height).step_by(16) {
            let row = (0..state.width).step_by(16);
            pic.motion16
                .extend(row.filter_map(|x| state.motion.get(state.idx4(x, y)).copied()));
        }
        workspace.state = Some(state);
        Ok(pic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_removed_as_rusty_h265_does() {
        let cases: [&[u8]; 9] = [
            &[],
            &[0],
            &[0, 0],
            &[0, 0, 3],
            &[1, 0, 0, 3, 1, 0, 3, 0, 0, 3],
            &[0, 0, 3, 0, 0, 3, 1],
            &[0, 0, 3, 0, 3, 0, 0, 0, 3, 0, 0, 3, 3],
            &[9, 0, 0, 3, 0, 0, 3, 0, 0, 9, 0, 0, 2],
            &[0, 0, 0, 3, 0, 0, 0, 0, 3, 3],
        ];
        let mut out = Rbsp::default();
        for case in cases {
            unescape(case, &mut out);
            let want = rusty_h265::nal::unescape(case);
            assert_eq!(out.data, want.data, "{case:?}");
            assert_eq!(out.epb_pos, want.epb_pos, "{case:?}");
        }
        // Every payload of six bytes over the values that matter.
        for code in 0..4u32.pow(7) {
            let case: Vec<u8> = (0..7)
                .map(|i| [0, 1, 3, 9][(code >> (2 * i)) as usize & 3])
                .collect();
            unescape(&case, &mut out);
            let want = rusty_h265::nal::unescape(&case);
            assert_eq!(out.data, want.data, "{case:?}");
            assert_eq!(out.epb_pos, want.epb_pos, "{case:?}");
        }
    }
}
