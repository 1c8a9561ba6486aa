//! HEVC before libavcodec sees it: it makes up reference pictures that are missing.

use std::ops::Range;
use std::sync::Arc;

use reelcore_media::MediaError;
use reelcore_media::h264::{BitReader, unescape_into};
use reelcore_media::hevc::{
    HvcC, Nal, NalType, Packaging, PictureOrder, Pps, ReferenceSet, Sps, nal_units,
};

use crate::backend::check_hevc_sps;
use crate::decoder::check_area;

/// Enough for everything up to the long-term pictures of a slice segment header.
const MAX_HEADER_BYTES: usize = 1024;

/// More than the decoded picture buffer can hold (A.4.2) are no reference picture set.
const MAX_REFERENCES: usize = 16;

/// A long-term picture of a slice (7.4.7.1).
struct LongTerm {
    lsb: u32,
    used: bool,
    /// DeltaPocMsbCycleLt, where it is present.
    msb_cycle: Option<i64>,
}

/// What a slice segment header says of picture order and references.
struct Header {
    poc_lsb: u32,
    short_term: ReferenceSet,
    long_term: Vec<LongTerm>,
}

/// A picture that is marked as used for reference.
#[derive(Clone, Copy)]
struct Reference {
    poc: i32,
    long_term: bool,
}

/// What libavcodec is to make of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To decode it, or to leave it out by itself: RASL pictures of a picture that it started at.
    Decode,
    /// To output all before it and to start anew: the chunks jumped here.
    StartAnew,
    /// Nothing: its picture refers to others that are not there. What it has beside it stands in the pieces.
    Skip,
}

/// Follows the parameter sets and the reference picture sets of a stream.
pub(crate) struct Hevc {
    packaging: Packaging,
    sps: Vec<Option<Arc<Sps>>>,
    pps: Vec<Option<Pps>>,
    active: Option<Arc<Sps>>,
    /// The next picture is the first of the bitstream, or after an end of sequence.
    first_in_sequence: bool,
    /// NoRaslOutputFlag of the last IRAP picture.
    no_rasl_output: bool,
    /// The last CRA picture keeps pictures that are not there for its RASL pictures: the chunks jumped to it.
    cra_lacks_pictures: bool,
    /// RASL pictures of the last CRA picture are left out here: libavcodec would make up what they refer to.
    leaves_out_rasl: bool,
    /// The highest picture order count of the coded video sequence.
    highest: i32,
    order: PictureOrder,
    references: Vec<Reference>,
    /// Of a chunk whose picture is skipped, the parameter sets.
    pieces: Vec<Range<usize>>,
    /// Unescaped slice segment headers; kept for its memory.
    scratch: Vec<u8>,
}

impl Hevc {
    /// For chunks as `hvcc` says, or in Annex B without one.
    pub(crate) fn new(hvcc: Option<&HvcC>, max_pixels: u64) -> Result<Self, MediaError> {
        let mut hevc = Self {
            packaging: match hvcc {
                Some(hvcc) => Packaging::Hevc {
                    length_size: hvcc.length_size,
                },
                None => Packaging::AnnexB,
            },
            sps: vec![None; 16],
            pps: vec![None; 64],
            active: None,
            first_in_sequence: true,
            no_rasl_output: true,
            cra_lacks_pictures: false,
            leaves_out_rasl: false,
            highest: i32::MIN,
            order: PictureOrder::default(),
            references: Vec::new(),
            pieces: Vec::new(),
            scratch: Vec::new(),
        };
        let units = hvcc.iter().flat_map(|hvcc| &hvcc.arrays);
        for unit in units.flat_map(|array| &array.units) {
            let nal = Nal::new(0, unit)?;
            if nal.layer_id == 0 {
                hevc.store(&nal, max_pixels)?;
            }
        }
        Ok(hevc)
    }

    /// The next picture must be one to start at.
    pub(crate) fn restart(&mut self) {
        self.first_in_sequence = true;
        self.references.clear();
    }

    fn store(&mut self, nal: &Nal<'_>, max_pixels: u64) -> Result<(), MediaError> {
        match nal.nal_type {
            NalType::SPS => {
                let sps = Sps::parse(nal)?;
                check_area(sps.coded_size, max_pixels)?;
                if let Some(slot) = self.sps.get_mut(usize::from(sps.id))
                    && slot.as_deref() != Some(&sps)
                {
                    *slot = Some(Arc::new(sps));
                }
            }
            NalType::PPS => {
                let pps = Pps::parse(nal)?;
                if let Some(slot) = self.pps.get_mut(usize::from(pps.id)) {
                    *slot = Some(pps);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The parameter sets of the last chunk, if that is to be skipped, with their start codes or lengths.
    pub(crate) fn pieces(&self) -> &[Range<usize>] {
        &self.pieces
    }

    /// Checks the next chunk.
    ///
    /// # Errors
    /// `InvalidData` for damage, `Unsupported` for several pictures in a chunk, `LimitExceeded`.
    pub(crate) fn check(&mut self, data: &[u8], max_pixels: u64) -> Result<Step, MediaError> {
        let mut started = false;
        let mut step = Step::Decode;
        self.pieces.clear();
        for nal in nal_units(data, self.packaging) {
            let nal = nal?;
            // Of a stream of several layers the base layer is decoded.
            if nal.layer_id != 0 {
                continue;
            }
            let at = |error: MediaError| {
                let message = format!(
                    "NAL unit of type {} at byte {}: {error}",
                    nal.nal_type.0, nal.offset
                );
                MediaError::new(error.kind, message)
            };
            match nal.nal_type {
                NalType::SPS | NalType::PPS => {
                    self.store(&nal, max_pixels).map_err(at)?;
                    let prefix = match self.packaging {
                        Packaging::Hevc { length_size } => length_size,
                        Packaging::AnnexB => 3,
                    };
                    let from = nal.offset.saturating_sub(prefix);
                    self.pieces.push(from..nal.offset + nal.bytes.len());
                }
                NalType::EOS | NalType::EOB => self.first_in_sequence = true,
                nal_type if nal_type.is_slice() => {
                    // first_slice_segment_in_pic_flag
                    let first = nal.bytes.get(2).is_some_and(|byte| byte & 0x80 != 0);
                    match (first, started) {
                        (true, false) => {
                            started = true;
                            step = self.start(&nal).map_err(at)?;
                        }
                        (false, true) => {}
                        (true, true) => {
                            return Err(at(MediaError::unsupported(
                                "a chunk of several pictures, expected one",
                            )));
                        }
                        (false, false) => {
                            return Err(at(MediaError::invalid_data(
                                "a slice segment of a picture whose first one is missing",
                            )));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(step)
    }

    /// Starts a picture with its first slice segment (8.1.3).
    fn start(&mut self, nal: &Nal<'_>) -> Result<Step, MediaError> {
        unescape_into(
            nal.bytes.get(2..).unwrap_or(&[]),
            MAX_HEADER_BYTES,
            &mut self.scratch,
        );
        let r = &mut BitReader::new(&self.scratch, "slice segment header");
        let nal_type = nal.nal_type;
        r.flag("first_slice_segment_in_pic_flag")?;
        if nal_type.is_irap() {
            r.flag("no_output_of_prior_pics_flag")?;
        }
        let id = r.ue_max(63, "slice_pic_parameter_set_id")?;
        let pps = self.pps.get(id as usize).copied().flatten();
        let pps = pps.ok_or_else(|| {
            MediaError::invalid_data(format!(
                "a slice refers to picture parameter set {id}, which was not received"
            ))
        })?;
        let sps = self.sps.get(usize::from(pps.sps_id)).cloned().flatten();
        let sps = sps.ok_or_else(|| {
            MediaError::invalid_data(format!(
                "a slice refers to sequence parameter set {}, which was not received",
                pps.sps_id
            ))
        })?;
        check_hevc_sps(&sps)?;
        let header = Header::read(r, nal_type, &sps, &pps)?;
        let same_sequence = self.active.as_deref() == Some(&*sps);
        let mut step = Step::Decode;
        if nal_type.is_irap() {
            // HandleCraAsBlaFlag, where a CRA picture cannot follow what was decoded. One with another set is where a source
            // switched streams, of which libavcodec is aware. One that does not come after every picture before it, as
            // all do (7.4.2.2), is where the chunks jumped back, of which it is not.
            let starts = nal_type.is_idr() || nal_type.is_bla() || self.first_in_sequence;
            if !starts && same_sequence {
                let lsb_bits = sps.log2_max_poc_lsb;
                let mut order = self.order;
                let count = order.next(nal_type, nal.temporal_id, false, header.poc_lsb, lsb_bits);
                if count <= self.highest {
                    step = Step::StartAnew;
                }
            }
            self.no_rasl_output = starts || !same_sequence || step == Step::StartAnew;
            self.leaves_out_rasl = false;
        } else if self.first_in_sequence {
            return Err(MediaError::invalid_data(
                "the first picture is none to start at: expected an IDR, CRA or BLA picture",
            ));
        } else if !same_sequence {
            return Err(MediaError::invalid_data(format!(
                "sequence parameter set {} changes at a picture that is not IRAP",
                sps.id
            )));
        }
        // RASL pictures of an IRAP picture that decoding started at are not decoded.
        if nal_type.is_rasl() && self.no_rasl_output {
            return Ok(if self.leaves_out_rasl {
                Step::Skip
            } else {
                Step::Decode
            });
        }
        let restarts = nal_type.is_irap() && self.no_rasl_output;
        if restarts {
            // 8.3.2: all reference pictures are marked as unused.
            self.references.clear();
            self.active = Some(sps.clone());
        }
        let poc = self.order.next(
            nal_type,
            nal.temporal_id,
            restarts,
            header.poc_lsb,
            sps.log2_max_poc_lsb,
        );
        // The set of a picture that decoding starts at names pictures that nothing refers to.
        let mut is_complete = true;
        if !restarts {
            match self.apply_set(&header, poc, 1 << sps.log2_max_poc_lsb) {
                // After a jump forward this shows with the first RASL picture alone: the CRA picture was as a BLA picture.
                Err(_) if nal_type.is_rasl() && self.cra_lacks_pictures => {
                    self.no_rasl_output = true;
                    self.leaves_out_rasl = true;
                    return Ok(Step::Skip);
                }
                applied => is_complete = applied?,
            }
        }
        if nal_type.is_irap() {
            self.cra_lacks_pictures = !is_complete;
        }
        self.highest = if restarts { poc } else { self.highest.max(poc) };
        self.references.push(Reference {
            poc,
            long_term: false,
        });
        self.first_in_sequence = false;
        Ok(step)
    }

    /// Derives and applies the reference picture set (8.3.2). Gives whether every picture that it names is there, also those
    /// that only later pictures refer to. After an error nothing is changed.
    fn apply_set(
        &mut self,
        header: &Header,
        poc: i32,
        max_poc_lsb: i32,
    ) -> Result<bool, MediaError> {
        let mut is_complete = true;
        let missing = |kind: &str, count: i64| {
            MediaError::invalid_data(format!(
                "the {kind} reference picture with order count {count} is missing for the one with {poc}"
            ))
        };
        let mut kept: Vec<Reference> = Vec::new();
        // Equations 8-5 and 8-6, the long-term pictures first: they may be short-term ones until now.
        for entry in &header.long_term {
            let lsb = i64::from(entry.lsb);
            let (count, mask) = match entry.msb_cycle {
                Some(cycle) => {
                    let high = i64::from(poc) - i64::from(poc & (max_poc_lsb - 1));
                    (lsb + high - cycle * i64::from(max_poc_lsb), -1)
                }
                None => (lsb, i64::from(max_poc_lsb) - 1),
            };
            let mut all = self.references.iter();
            match all.find(|reference| i64::from(reference.poc) & mask == count) {
                Some(reference) => kept.push(Reference {
                    poc: reference.poc,
                    long_term: true,
                }),
                None if entry.used => return Err(missing("long-term", count)),
                None => is_complete = false,
            }
        }
        let sides = header.short_term.negative.iter();
        for &(delta, used) in sides.chain(&header.short_term.positive) {
            let count = i64::from(poc) + i64::from(delta);
            let is_long = |reference: &Reference| {
                let mut long = kept.iter().filter(|kept| kept.long_term);
                reference.long_term || long.any(|kept| kept.poc == reference.poc)
            };
            let mut all = self.references.iter();
            match all.find(|r| i64::from(r.poc) == count && !is_long(r)) {
                Some(reference) => kept.push(*reference),
                None if used => return Err(missing("short-term", count)),
                None => is_complete = false,
            }
        }
        if kept.len() > MAX_REFERENCES {
            return Err(MediaError::invalid_data(format!(
                "{} reference pictures, expected at most {MAX_REFERENCES}",
                kept.len()
            )));
        }
        self.references = kept;
        Ok(is_complete)
    }
}

impl Header {
    /// Reads on after slice_pic_parameter_set_id (7.3.6.1), in the first slice segment of a picture.
    fn read(
        r: &mut BitReader<'_>,
        nal_type: NalType,
        sps: &Sps,
        pps: &Pps,
    ) -> Result<Self, MediaError> {
        r.u(
            u32::from(pps.extra_slice_header_bits),
            "slice_reserved_flag",
        )?;
        r.ue_max(2, "slice_type")?;
        if pps.output_flag_present {
            r.flag("pic_output_flag")?;
        }
        if sps.separate_planes {
            r.u(2, "colour_plane_id")?;
        }
        let mut header = Self {
            poc_lsb: 0,
            short_term: ReferenceSet::default(),
            long_term: Vec::new(),
        };
        if nal_type.is_idr() {
            return Ok(header);
        }
        header.poc_lsb = r.u(sps.log2_max_poc_lsb, "slice_pic_order_cnt_lsb")?;
        if r.flag("short_term_ref_pic_set_sps_flag")? {
            let count = sps.reference_sets.len();
            let index = r.u(bits_of_index(count), "short_term_ref_pic_set_idx")? as usize;
            let set = sps.reference_sets.get(index).ok_or_else(|| {
                r.error(format_args!(
                    "short-term reference picture set {index} of {count}"
                ))
            })?;
            header.short_term = set.clone();
        } else {
            header.short_term = ReferenceSet::read(r, &sps.reference_sets, true)?;
        }
        if sps.long_term_references {
            header.read_long_term(r, sps)?;
        }
        Ok(header)
    }

    fn read_long_term(&mut self, r: &mut BitReader<'_>, sps: &Sps) -> Result<(), MediaError> {
        let choice = &sps.long_term_pictures;
        let from_sps = if choice.is_empty() {
            0
        } else {
            r.ue_max(32, "num_long_term_sps")?
        };
        let more = r.ue_max(32, "num_long_term_pics")?;
        let mut cycle = 0;
        for index in 0..from_sps + more {
            let (lsb, used) = if index < from_sps {
                let index = r.u(bits_of_index(choice.len()), "lt_idx_sps")? as usize;
                let picture = choice.get(index).copied();
                picture.ok_or_else(|| r.error(format_args!("long-term picture {index}")))?
            } else {
                let lsb = r.u(sps.log2_max_poc_lsb, "poc_lsb_lt")?;
                (lsb, r.flag("used_by_curr_pic_lt_flag")?)
            };
            // Equation 7-52: cycles add up, from the first of each group on.
            if index == 0 || index == from_sps {
                cycle = 0;
            }
            let present = r.flag("delta_poc_msb_present_flag")?;
            if present {
                cycle += i64::from(r.ue("delta_poc_msb_cycle_lt")?);
            }
            self.long_term.push(LongTerm {
                lsb,
                used,
                msb_cycle: present.then_some(cycle),
            });
        }
        Ok(())
    }
}

/// Ceil(Log2(count)): the bits of an index into so many.
fn bits_of_index(count: usize) -> u32 {
    count.next_power_of_two().trailing_zeros()
}
