//! H.264 before libavcodec sees it: what it would conceal, or decode as something else.

use std::ops::Range;
use std::sync::Arc;

use reelcore_media::MediaError;
use reelcore_media::h264::{
    AvcC, InBandSets, Nal, NalKind, Packaging, PictureOrder, Pps, PpsUse, RecoveryPoint,
    SliceHeader, SliceKind, Sps, first_sets, nal_units,
};

use crate::decoder::check_area;

/// A field whose second field may follow.
#[derive(Clone, Copy)]
struct FirstField {
    bottom: bool,
    frame_num: u32,
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// A frame, two fields, or the first of two.
    Starts,
    /// The same, of a frame that comes before the first right one in output order: it is not shown.
    Hidden,
    /// The second field of the frame that the chunk before started.
    Completes,
    /// Parameter sets and the like alone.
    None,
}

/// Which pictures are right, where decoding started at a recovery point (D.2.8).
#[derive(Clone, Copy)]
enum Recovery {
    /// All of them.
    Done,
    /// Those from the reference picture with this frame_num on.
    AtFrameNum(u32),
    /// Those from this picture order count on.
    From(i32),
}

/// Follows the parameter sets and the slice headers of a stream.
pub(crate) struct Avc {
    packaging: Packaging,
    sps: Vec<Option<Arc<Sps>>>,
    pps: Vec<Option<Pps>>,
    in_band: InBandSets,
    /// The same without those of the last chunk, which go with it: they may stand behind its slices.
    in_band_before: InBandSets,
    /// The last chunk had sets.
    had_sets: bool,
    /// The sequence parameter set since the last IDR picture, or since the start.
    active: Option<Arc<Sps>>,
    /// A picture to start at came since the start, the last flush or the last reset.
    started: bool,
    /// Decoding started at a recovery point, and no IDR picture came since.
    inexact: bool,
    /// It started anew at the last picture, behind a jump.
    jumped: bool,
    recovery: Recovery,
    order: PictureOrder,
    /// PrevRefFrameNum (7.4.3).
    prev_ref_frame_num: u32,
    /// Pictures are missing since the last IDR picture, as the stream permits.
    gap: bool,
    first_field: Option<FirstField>,
    /// The parts of the last chunk that libavcodec gets.
    pieces: Vec<Range<usize>>,
    /// Unescaped slice headers; kept for its memory.
    scratch: Vec<u8>,
}

impl Avc {
    /// For chunks as `avcc` says, or in Annex B without one.
    pub(crate) fn new(avcc: Option<&AvcC>, max_pixels: u64) -> Result<Self, MediaError> {
        let mut avc = Self {
            packaging: match avcc {
                Some(avcc) => Packaging::Avc {
                    length_size: avcc.length_size,
                },
                None => Packaging::AnnexB,
            },
            sps: vec![None; 32],
            pps: vec![None; 256],
            in_band: InBandSets::default(),
            in_band_before: InBandSets::default(),
            had_sets: false,
            active: None,
            started: false,
            inexact: false,
            jumped: false,
            recovery: Recovery::Done,
            order: PictureOrder::default(),
            prev_ref_frame_num: 0,
            first_field: None,
            gap: false,
            pieces: Vec::new(),
            scratch: Vec::new(),
        };
        for set in avcc.iter().flat_map(|a| a.sps.iter().chain(&a.pps)) {
            avc.store(&Nal::new(0, set)?, false, max_pixels)?;
        }
        Ok(avc)
    }

    /// The sequence parameter set of the pictures now.
    pub(crate) fn active(&self) -> Option<&Sps> {
        self.active.as_deref()
    }

    /// The parts of the chunk that was checked last that libavcodec gets: all but sets that it cannot read, and supplemental
    /// information on timing and the like. It has no use here, and where libavcodec does not like it the picture would be lost with
    /// it.
    pub(crate) fn pieces(&self) -> &[Range<usize>] {
        &self.pieces
    }

    /// Whether the last picture is a field whose second one has not come.
    pub(crate) fn lacks_second_field(&self) -> bool {
        self.first_field.is_some()
    }

    /// Whether references of the pictures now may be missing: decoding started at a recovery point, and no IDR picture
    /// came since. Those from the recovery point on are right nevertheless.
    pub(crate) fn inexact(&self) -> bool {
        self.inexact
    }

    /// Whether decoding starts anew at the picture of the last chunk, a recovery point that does not go on from what was before it.
    pub(crate) fn jumped(&self) -> bool {
        self.jumped
    }

    /// The next picture must be one to start at.
    pub(crate) fn restart(&mut self) {
        self.started = false;
        self.inexact = false;
        self.recovery = Recovery::Done;
        self.order = PictureOrder::default();
        self.first_field = None;
    }

    /// Stores a set of the description, or of a chunk. Gives whether libavcodec can read it.
    fn store(&mut self, nal: &Nal<'_>, in_band: bool, max_pixels: u64) -> Result<bool, MediaError> {
        match nal.kind {
            NalKind::Sps => {
                let sps = Sps::parse(nal)?;
                check_area(sps.coded_size, max_pixels)?;
                if in_band {
                    self.had_sets = true;
                    self.in_band.keep_sps(&sps, nal)?;
                }
                if let Some(slot) = self.sps.get_mut(usize::from(sps.id))
                    && slot.as_deref() != Some(&sps)
                {
                    *slot = Some(Arc::new(sps));
                }
            }
            NalKind::Pps => {
                let pps = Pps::parse(nal)?;
                if in_band {
                    self.had_sets = true;
                    self.in_band.keep_pps(&pps, nal)?;
                }
                let readable = is_readable(&PpsUse::from(&pps));
                if let Some(slot) = self.pps.get_mut(usize::from(pps.id)) {
                    *slot = Some(pps);
                }
                return Ok(readable);
            }
            _ => {}
        }
        Ok(true)
    }

    fn is_known(&self, sps_id: u8) -> bool {
        self.sps
            .get(usize::from(sps_id))
            .is_some_and(Option::is_some)
    }

    /// Appends the sets that came in chunks so far, as chunks hold them: a decoder that starts with the next chunk has those of
    /// the description alone.
    pub(crate) fn write_in_band_sets(&self, out: &mut Vec<u8>) {
        let is_readable = |needs: PpsUse| self.is_known(needs.sps_id);
        self.in_band.write(self.packaging, is_readable, out);
    }

    /// The same for a libavcodec that starts with the last chunk: of those that it can read, the ones that came before it.
    pub(crate) fn write_sets_before(&self, out: &mut Vec<u8>) {
        let is_readable = |needs: PpsUse| self.is_known(needs.sps_id) && is_readable(&needs);
        self.in_band_before.write(self.packaging, is_readable, out);
    }

    /// The sequence parameter set that starts with `chunk`, if it is another one than now.
    ///
    /// # Errors
    /// `Unsupported` for sets that libavcodec does not decode.
    pub(crate) fn next_sps(&self, chunk: &[u8]) -> Result<Option<Arc<Sps>>, MediaError> {
        let sps = |id: u8| self.sps.get(usize::from(id)).cloned().flatten();
        let pps = |id: u8| self.pps.get(usize::from(id)).cloned().flatten();
        let Some((sps, pps)) = first_sets(chunk, self.packaging, sps, pps) else {
            return Ok(None);
        };
        check_sets(&sps, &pps)?;
        Ok((self.active.as_deref() != Some(&*sps)).then_some(sps))
    }

    /// Checks the next chunk, which the caller says is a key chunk or none.
    ///
    /// # Errors
    /// `InvalidData` for damage, `Unsupported` for what libavcodec does not decode rightly, `LimitExceeded`.
    pub(crate) fn check(
        &mut self,
        data: &[u8],
        key: bool,
        max_pixels: u64,
    ) -> Result<Picture, MediaError> {
        let mut point: Option<RecoveryPoint> = None;
        let mut previous: Option<(SliceHeader, u8)> = None;
        let mut found = Picture::None;
        self.jumped = false;
        if std::mem::take(&mut self.had_sets) {
            self.in_band_before = self.in_band.clone();
        }
        self.pieces.clear();
        let mut from = 0;
        for nal in nal_units(data, self.packaging) {
            let nal = nal?;
            let at = |error: MediaError| {
                let message = format!("NAL unit at byte {}: {error}", nal.offset);
                MediaError::new(error.kind, message)
            };
            match nal.kind {
                NalKind::Sps | NalKind::Pps => {
                    if !self.store(&nal, true, max_pixels).map_err(at)? {
                        from = self.leave_out(&nal, from);
                    }
                }
                NalKind::Slice | NalKind::IdrSlice => {
                    let (header, sps) = self.slice(&nal).map_err(at)?;
                    if header.redundant_pic_cnt > 0 {
                        // A second coding of what the primary coded picture already holds.
                        continue;
                    }
                    let starts = previous.as_ref().is_none_or(|(last, ref_idc)| {
                        header.starts_picture(last, (*ref_idc, nal.ref_idc))
                    });
                    if starts {
                        // Not each file says by a message that decoding can start at its intra pictures.
                        let intra = key && header.kind == SliceKind::I;
                        let point = point.or(intra.then_some(RecoveryPoint { frame_count: 0 }));
                        let started = self.start(&header, nal.ref_idc, &sps, point).map_err(at)?;
                        found = match (found, started) {
                            (Picture::None, started) => started,
                            (Picture::Starts | Picture::Hidden, Picture::Completes) => found,
                            _ => {
                                return Err(at(MediaError::unsupported(
                                    "a chunk of several pictures, expected one",
                                )));
                            }
                        };
                    }
                    // Temporal layers may be taken out where the stream permits gaps. libavcodec puts copies of other
                    // pictures in their places, which a slice that names each of its references does not use.
                    if self.gap && !header.explicit_refs {
                        return Err(at(MediaError::unsupported(
                            "libavcodec fills gaps in frame_num with other pictures, and the slice does not name its \
                             references",
                        )));
                    }
                    previous = Some((header, nal.ref_idc));
                }
                NalKind::Partition => {
                    return Err(at(MediaError::unsupported(
                        "libavcodec does not decode data partitions",
                    )));
                }
                NalKind::Sei => {
                    if (key || !self.started) && point.is_none() {
                        point = RecoveryPoint::find(&nal, &mut self.scratch);
                    }
                    // user_data_unregistered: x264 says there which version it is, by which libavcodec knows its errors.
                    if nal.payload().first() != Some(&5) {
                        from = self.leave_out(&nal, from);
                    }
                }
                NalKind::Aud | NalKind::Other(_) => {}
            }
        }
        self.pieces.push(from..data.len());
        Ok(found)
    }

    /// Ends the piece of the chunk that begins at `from` before `nal`; gives where the next one begins.
    fn leave_out(&mut self, nal: &Nal<'_>, from: usize) -> usize {
        let prefix = match self.packaging {
            Packaging::Avc { length_size } => length_size,
            Packaging::AnnexB => 3,
        };
        self.pieces.push(from..nal.offset.saturating_sub(prefix));
        nal.offset + nal.bytes.len()
    }

    /// Reads the header of a slice, and its sequence parameter set.
    fn slice(&mut self, nal: &Nal<'_>) -> Result<(SliceHeader, Arc<Sps>), MediaError> {
        let id = SliceHeader::pps_id(nal, &mut self.scratch)?;
        let Some(pps) = self.pps.get(usize::from(id)).and_then(Option::as_ref) else {
            return Err(MediaError::invalid_data(format!(
                "a slice refers to picture parameter set {id}, which was not received"
            )));
        };
        let Some(sps) = self.sps.get(usize::from(pps.sps_id)).cloned().flatten() else {
            return Err(MediaError::invalid_data(format!(
                "a slice refers to sequence parameter set {}, which was not received",
                pps.sps_id
            )));
        };
        check_sets(&sps, pps)?;
        let header = SliceHeader::parse(nal, &sps, pps, &mut self.scratch)?;
        if matches!(header.kind, SliceKind::Sp | SliceKind::Si) {
            return Err(MediaError::unsupported(
                "libavcodec decodes SP and SI slices as P and I slices",
            ));
        }
        Ok((header, sps))
    }

    /// Starts a picture, of whose recovery point `point` is.
    fn start(
        &mut self,
        header: &SliceHeader,
        ref_idc: u8,
        sps: &Arc<Sps>,
        point: Option<RecoveryPoint>,
    ) -> Result<Picture, MediaError> {
        let idr = header.idr_pic_id.is_some();
        let first_field = self.first_field.take();
        // 7.4.1.2.4: the second field of an IDR picture is none.
        let second = match (first_field, header.field) {
            (Some(first), Some(bottom)) => {
                first.bottom != bottom && first.frame_num == header.frame_num && !idr
            }
            _ => false,
        };
        if first_field.is_some() && !second {
            return Err(MediaError::invalid_data(
                "the second field of the frame before is missing",
            ));
        }
        if let (false, Some(bottom)) = (second, header.field) {
            self.first_field = Some(FirstField {
                bottom,
                frame_num: header.frame_num,
            });
        }
        let max = 1u32 << sps.log2_max_frame_num;
        // 7.4.3: a reference picture before this one is missing where frame_num leaps.
        let previous = self.prev_ref_frame_num;
        let next = (previous + 1) % max;
        let leaps = header.frame_num != previous && header.frame_num != next;
        // As where the source is sought in, or streams are joined: what can start does.
        let other = self.active.as_deref() != Some(&**sps);
        if self.started
            && !idr
            && !second
            && point.is_some()
            && (other || leaps && !sps.gaps_in_frame_num)
        {
            self.started = false;
            self.jumped = true;
            self.order = PictureOrder::default();
        }
        let starts = idr || !self.started;
        let poc = self.order.next(sps, header, ref_idc);
        if idr {
            self.begin(sps, false, Recovery::Done);
        } else if !self.started {
            let Some(point) = point else {
                return Err(MediaError::invalid_data(
                    "the first picture is none to start at: expected an IDR picture or a recovery point",
                ));
            };
            self.prev_ref_frame_num = header.frame_num;
            let recovery = match point.frame_count {
                0 => Recovery::From(poc),
                count => Recovery::AtFrameNum((header.frame_num + count) % max),
            };
            self.begin(sps, true, recovery);
        } else if let Recovery::AtFrameNum(frame_num) = self.recovery
            && header.frame_num == frame_num
            && ref_idc != 0
        {
            self.recovery = Recovery::From(poc);
        }
        if self.active.as_deref() != Some(&**sps) {
            return Err(MediaError::invalid_data(format!(
                "sequence parameter set {} changes at a picture that is not IDR",
                sps.id
            )));
        }
        if !starts && leaps {
            let found = format!(
                "frame_num {} after {previous}, expected {previous} or {next}",
                header.frame_num
            );
            if !sps.gaps_in_frame_num {
                return Err(MediaError::invalid_data(format!(
                    "reference pictures are missing: {found}"
                )));
            }
            self.gap = true;
        }
        if ref_idc != 0 {
            self.prev_ref_frame_num = if header.mmco5 { 0 } else { header.frame_num };
        }
        if header.mmco5 && matches!(self.recovery, Recovery::From(_)) {
            // Order counts start anew: what follows comes after all before it.
            self.recovery = Recovery::Done;
        }
        let right = match self.recovery {
            Recovery::Done => true,
            Recovery::AtFrameNum(_) => false,
            Recovery::From(first) => poc >= first,
        };
        Ok(match (second, right) {
            (true, _) => Picture::Completes,
            (false, true) => Picture::Starts,
            (false, false) => Picture::Hidden,
        })
    }

    /// Decoding starts, or starts anew, at a picture of `sps`.
    fn begin(&mut self, sps: &Arc<Sps>, inexact: bool, recovery: Recovery) {
        self.active = Some(sps.clone());
        self.started = true;
        self.gap = false;
        self.inexact = inexact;
        self.recovery = recovery;
    }
}

/// Whether libavcodec can read a picture parameter set. Of one with slice groups, which no picture need use, it makes an error of
/// the packet that it is in.
fn is_readable(needs: &PpsUse) -> bool {
    needs.slice_groups == 1
}

/// Refuses what libavcodec does not decode.
fn check_sets(sps: &Sps, pps: &Pps) -> Result<(), MediaError> {
    let reason = if pps.slice_groups > 1 {
        "slice groups"
    } else if sps.separate_planes {
        "separate colour planes"
    } else {
        return Ok(());
    };
    Err(MediaError::unsupported(format!(
        "libavcodec does not decode {reason}"
    )))
}
