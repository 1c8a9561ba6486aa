//! Chunks in, frames in presentation order out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::hevc::{
    Nal, NalType, OutputOrder, Packaging, PictureOrder, SliceStart, nal_units,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::{EncodedChunk, MediaError, PixelFormat, VideoDecoder, VideoFrame};
use rusty_h265::slice::SliceHeader;

use crate::memory::{PictureMemory, frame};
use crate::picture::{PictureInWork, Workspace};
use crate::references::References;
use crate::sets::{ParameterSets, StoredPps, StoredSps, check_pps, check_sps};

/// What lasts from one IRAP picture with NoRaslOutputFlag to the next: a coded video sequence.
struct ActiveSequence {
    sps: Arc<StoredSps>,
    format: PixelFormat,
}

/// A picture in work, with what becomes of it.
struct Pending {
    picture: PictureInWork,
    sps: Arc<StoredSps>,
    pps: Arc<StoredPps>,
    nal_type: NalType,
    /// PicOutputFlag.
    output: bool,
}

/// An HEVC decoder.
pub(crate) struct Decoder {
    packaging: Packaging,
    pool: BufferPool,
    limits: Limits,
    sets: ParameterSets,
    active: Option<ActiveSequence>,
    /// The next picture is the first of the bitstream, or after an end of sequence.
    first_in_sequence: bool,
    /// NoRaslOutputFlag of the last IRAP picture.
    no_rasl_output: bool,
    /// The last CRA picture keeps pictures that are not there for its RASL pictures: the chunks jumped to it.
    cra_lacks_pictures: bool,
    /// The highest picture order count of the coded video sequence.
    highest: i32,
    picture_order: PictureOrder,
    references: References,
    order: OutputOrder<VideoFrame>,
    pending: Option<Pending>,
    /// Pictures that began in the chunk at hand.
    chunk_pictures: usize,
    /// The slices that follow are of a RASL picture that is not decoded.
    skipping: bool,
    memory: PictureMemory,
    workspace: Workspace,
}

impl Decoder {
    /// A decoder of chunks in `packaging`, with the parameter sets `sets` to start from.
    pub(crate) fn new(context: &DecoderContext, packaging: Packaging, sets: ParameterSets) -> Self {
        Self {
            packaging,
            pool: context.pool.clone(),
            limits: context.limits,
            sets,
            active: None,
            first_in_sequence: true,
            no_rasl_output: true,
            cra_lacks_pictures: false,
            highest: i32::MIN,
            picture_order: PictureOrder::default(),
            references: References::default(),
            order: OutputOrder::default(),
            pending: None,
            chunk_pictures: 0,
            skipping: false,
            memory: PictureMemory::default(),
            workspace: Workspace::default(),
        }
    }

    fn decode_chunk(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        if chunk.data.is_empty() {
            return Err(MediaError::invalid_data(
                "the chunk is empty, expected an access unit",
            ));
        }
        self.chunk_pictures = 0;
        for nal in nal_units(&chunk.data, self.packaging) {
            let nal = nal?;
            self.decode_nal(&nal, chunk, sink).map_err(|error| {
                MediaError::new(
                    error.kind,
                    format!(
                        "NAL unit of type {} at byte {}: {error}",
                        nal.nal_type.0, nal.offset
                    ),
                )
            })?;
        }
        // A chunk is an access unit: its picture is whole.
        self.finish_picture(chunk, sink)
    }

    fn decode_nal(
        &mut self,
        nal: &Nal<'_>,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        // Of a stream of several layers the base layer is decoded.
        if nal.layer_id != 0 {
            return Ok(());
        }
        match nal.nal_type {
            NalType::SPS | NalType::PPS => self.sets.store(nal),
            NalType::EOS | NalType::EOB => {
                self.finish_picture(chunk, sink)?;
                self.first_in_sequence = true;
                Ok(())
            }
            nal_type if nal_type.is_slice() => self.decode_slice(nal, chunk, sink),
            _ => Ok(()),
        }
    }

    fn decode_slice(
        &mut self,
        nal: &Nal<'_>,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let start = SliceStart::parse(nal)?;
        let (sps, pps) = self.sets.of_slice(start.pps_id)?;
        if start.first_in_picture {
            let (sps, pps) = (sps.clone(), pps.clone());
            // WebCodecs has one picture in a chunk; what comes with a few more loses none.
            self.finish_picture(chunk, sink)?;
            self.chunk_pictures += 1;
            self.limits.check_chunk_pictures(self.chunk_pictures)?;
            self.skipping = false;
            // Before anything else is read with the help of the sets.
            check_pps(&pps.library)?;
            let format = check_sps(&sps.sps)?;
            let header = self.workspace.read_slice(nal, &self.sets, None)?;
            return self.start_picture(nal, header, &sps, &pps, format, sink);
        }
        if self.skipping {
            return Ok(());
        }
        let Some(pending) = &mut self.pending else {
            return Err(MediaError::invalid_data(
                "a slice segment of a picture whose first one is missing",
            ));
        };
        if !(Arc::ptr_eq(sps, &pending.sps) && Arc::ptr_eq(pps, &pending.pps)) {
            return Err(MediaError::invalid_data(
                "the slices of a picture refer to different parameter sets",
            ));
        }
        let previous = pending.picture.last_header();
        let header = self.workspace.read_slice(nal, &self.sets, previous)?;
        pending.picture.decode_slice(header, &self.workspace)
    }

    /// Starts a picture with its first slice (8.1.3).
    fn start_picture(
        &mut self,
        nal: &Nal<'_>,
        header: SliceHeader,
        sps: &Arc<StoredSps>,
        pps: &Arc<StoredPps>,
        format: PixelFormat,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let nal_type = nal.nal_type;
        let irap = nal_type.is_irap();
        let same_sequence = self
            .active
            .as_ref()
            .is_some_and(|active| Arc::ptr_eq(&active.sps, sps));
        if irap {
            // HandleCraAsBlaFlag, where a CRA picture cannot follow what was decoded: nothing before it can be referred
            // to. One with another SPS is where a source switched streams, and one that does not come after every
            // picture before it, as all do (7.4.2.2), is where the chunks jumped back.
            let jumps = || {
                let count = { self.picture_order }.next(
                    nal_type,
                    nal.temporal_id,
                    false,
                    header.poc_lsb,
                    sps.sps.log2_max_poc_lsb,
                );
                count <= self.highest
            };
            self.no_rasl_output = nal_type.is_idr()
                || nal_type.is_bla()
                || self.first_in_sequence
                || !same_sequence
                || jumps();
        } else if self.first_in_sequence {
            return Err(MediaError::invalid_data(
                "the first picture is none to start at: expected an IDR, CRA or BLA picture",
            ));
        } else if !same_sequence {
            return Err(MediaError::invalid_data(format!(
                "sequence parameter set {} changes at a picture that is not IRAP",
                sps.sps.id
            )));
        }
        // RASL pictures refer to pictures before their IRAP picture, which were not decoded.
        if nal_type.is_rasl() && self.no_rasl_output {
            self.skipping = true;
            return Ok(());
        }
        let restarts = irap && self.no_rasl_output;
        if restarts {
            self.start_sequence(nal_type, &header, sps, format, sink)?;
        }
        let log2_max_lsb = sps.sps.log2_max_poc_lsb;
        let poc = self.picture_order.next(
            nal_type,
            nal.temporal_id,
            restarts,
            header.poc_lsb,
            log2_max_lsb,
        );
        let set = match self.references.set_of(&header, poc, 1 << log2_max_lsb) {
            // After a jump forward this shows with the first RASL picture alone: the CRA picture was as a BLA picture.
            Err(_) if nal_type.is_rasl() && self.cra_lacks_pictures => {
                self.no_rasl_output = true;
                self.skipping = true;
                return Ok(());
            }
            set => set?,
        };
        if irap {
            self.cra_lacks_pictures = !restarts && !set.is_complete;
        }
        let memory = &mut self.memory;
        let references = self
            .references
            .apply_set(set, &mut |picture| memory.park(picture))?;
        self.highest = if restarts { poc } else { self.highest.max(poc) };
        let output = header.pic_output_flag;
        let mut picture = PictureInWork::new(
            nal,
            &header,
            poc,
            (sps, pps),
            references,
            self.memory.take(&sps.sps),
            &mut self.workspace,
        )?;
        picture.decode_slice(header, &self.workspace)?;
        self.first_in_sequence = false;
        self.pending = Some(Pending {
            picture,
            sps: sps.clone(),
            pps: pps.clone(),
            nal_type,
            output,
        });
        Ok(())
    }

    /// Starts a coded video sequence at an IRAP picture.
    fn start_sequence(
        &mut self,
        nal_type: NalType,
        header: &SliceHeader,
        sps: &Arc<StoredSps>,
        format: PixelFormat,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let size = sps.sps.coded_size;
        if size.area() > self.limits.max_frame_pixels {
            return Err(MediaError::limit(format!(
                "a picture of {}x{} pixels, the cap max_frame_pixels is {}",
                size.width, size.height, self.limits.max_frame_pixels
            )));
        }
        // C.5.2.2: NoOutputOfPriorPicsFlag is 1 at such CRA pictures. Where the stream goes on with another SPS and
        // no end of sequence, that was not the encoder's wish, and what was decoded is shown.
        let no_output =
            header.no_output_of_prior_pics || (nal_type == NalType::CRA && self.first_in_sequence);
        self.order.start_sequence(&sps.sps, no_output, sink);
        // 8.3.2: all reference pictures are marked as unused.
        let memory = &mut self.memory;
        self.references.clear(&mut |picture| memory.park(picture));
        self.active = Some(ActiveSequence {
            sps: sps.clone(),
            format,
        });
        Ok(())
    }

    /// Ends the picture in work, and outputs what is due.
    fn finish_picture(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let poc = pending.picture.poc();
        let picture = Arc::new(pending.picture.finish(&mut self.workspace)?);
        if pending.output {
            let Some(active) = &self.active else {
                return Err(MediaError::backend("no active sequence"));
            };
            let mut frame = frame(&picture, &active.sps.sps, active.format, &self.pool)?;
            frame.timestamp = chunk.timestamp;
            frame.duration = chunk.duration;
            self.order.push(poc, pending.nal_type, frame, sink);
        }
        self.references.add(picture, poc);
        Ok(())
    }

    /// Forgets the picture in work and the references. Parameter sets stay.
    fn restart(&mut self) {
        self.pending = None;
        self.skipping = false;
        self.first_in_sequence = true;
        self.references.clear(&mut drop);
        self.memory.clear();
    }
}

impl VideoDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        // `sink` is called outside: its panics are not rusty_h265's.
        let mut ready = Vec::new();
        let result = guard(|| self.decode_chunk(chunk, &mut |frame| ready.push(frame)));
        ready.into_iter().for_each(sink);
        result.map_err(|error| {
            MediaError::new(
                error.kind,
                format!("HEVC chunk with timestamp {}: {error}", chunk.timestamp),
            )
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        self.order.drain(sink);
        self.restart();
        Ok(())
    }

    fn reset(&mut self) {
        self.order.clear();
        self.restart();
    }

    fn accepts(&self, chunk: &EncodedChunk) -> Result<(), MediaError> {
        match self.sets.first_sps(&chunk.data, self.packaging) {
            Some(sps) => check_sps(&sps).map(drop),
            None => Ok(()),
        }
    }
}

/// Runs `work`; a panic in rusty_h265 becomes an error. It is safe Rust that indexes with what it read, so that damaged
/// data can at worst stop it. The decoder is then unusable, as after every error.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T, MediaError>) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(MediaError::invalid_data(
            "rusty_h265 stopped at data that no encoder writes",
        ))
    })
}
