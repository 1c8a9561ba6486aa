//! Chunks in, frames in presentation order out.

use std::ops::Range;
use std::sync::Arc;

use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::counters::count_copy;
use reelcore_media::h264::{
    AvcC, InBandSets, Nal, NalKind, OutputOrder, Packaging, PictureOrder, PocType, Pps, START_CODE,
    SliceHeader, SliceKind, Sps, first_sets, nal_units,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    CpuImage, EncodedChunk, ErrorKind, MediaError, PixelFormat, Plane, VideoDecoder,
    VideoDecoderConfig, VideoFrame,
};

use crate::backend::packaging;
use crate::library::{Library, MAX_ACCESS_UNIT, Picture};
use crate::sequence::{check_pps, check_sps, write_sps};

/// A picture parameter set and the NAL unit that it was read from.
struct StoredPps {
    pps: Pps,
    nal: Vec<u8>,
    /// OpenH264 has this very set.
    sent: bool,
}

/// The slices of one primary coded picture, collected until it is whole.
struct PendingPicture {
    sps: Arc<Sps>,
    /// The header of its first slice.
    header: SliceHeader,
    ref_idc: u8,
    has_b_slices: bool,
    /// Whether each slice names all of its references.
    explicit_refs: bool,
    /// The sets that its slices refer to.
    pps_ids: Vec<u8>,
    /// Its slices in the chunk, NAL units with their header byte.
    slices: Vec<Range<usize>>,
}

/// What lasts from one IDR picture to the next.
struct ActiveSequence {
    sps: Arc<Sps>,
    library: Library,
    /// PrevRefFrameNum (7.4.3).
    prev_ref_frame_num: u32,
    /// A gap in frame_num since the last picture that forgot all references.
    gap: bool,
    /// OpenH264 knows picture order counts of type 0 without offsets or restarts only. It needs them
    /// for B slices and for nothing else.
    poc_beyond_library: bool,
}

/// Temporal direct prediction in CAVLC shows in the first B slice, and another backend can take over before the first
/// frame only. So the frames of a CAVLC stream that reorders wait until a B slice has come, or this many chunks.
/// Encoders have B pictures from the second or third one on, where they have any.
const HELD_CHUNKS: usize = 8;

/// An H.264 decoder.
pub(crate) struct Decoder {
    packaging: Packaging,
    pool: BufferPool,
    limits: Limits,
    sps: Vec<Option<Arc<Sps>>>,
    pps: Vec<Option<StoredPps>>,
    in_band: InBandSets,
    active: Option<ActiveSequence>,
    picture_order: PictureOrder,
    order: OutputOrder<VideoFrame>,
    /// An IDR picture was decoded since the start, the last flush or the last reset.
    started: bool,
    /// Frames at the start of a stream, while it may still have to be refused.
    held: Vec<VideoFrame>,
    /// It will not be: see [`HELD_CHUNKS`].
    settled: bool,
    /// Chunks decoded before that.
    chunks: usize,
    /// What OpenH264 is given for one picture; kept for its memory.
    access_unit: Vec<u8>,
    /// Unescaped slice headers; kept for its memory.
    scratch: Vec<u8>,
}

impl Decoder {
    /// A decoder of chunks as `avcc` says, or in Annex B without one.
    pub(crate) fn new(
        config: &VideoDecoderConfig,
        context: &DecoderContext,
        avcc: Option<&AvcC>,
    ) -> Result<Self, MediaError> {
        let mut decoder = Self {
            packaging: packaging(avcc),
            pool: context.pool.clone(),
            limits: context.limits,
            sps: vec![None; 32],
            pps: std::iter::repeat_with(|| None).take(256).collect(),
            in_band: InBandSets::default(),
            active: None,
            picture_order: PictureOrder::default(),
            order: OutputOrder::new(config.optimize_for_latency),
            started: false,
            held: Vec::new(),
            settled: config.optimize_for_latency,
            chunks: 0,
            access_unit: Vec::new(),
            scratch: Vec::new(),
        };
        for set in avcc.iter().flat_map(|a| a.sps.iter().chain(&a.pps)) {
            let nal = Nal::new(0, set)?;
            decoder.store_parameter_set(&nal, false)?;
        }
        Ok(decoder)
    }

    /// Stores a set of the description, or of a chunk.
    fn store_parameter_set(&mut self, nal: &Nal<'_>, in_band: bool) -> Result<(), MediaError> {
        let at = |error: MediaError| {
            MediaError::new(
                error.kind,
                format!("NAL unit at byte {}: {error}", nal.offset),
            )
        };
        match nal.kind {
            NalKind::Sps => {
                let sps = Sps::parse(nal).map_err(at)?;
                if in_band {
                    self.in_band.keep_sps(&sps, nal).map_err(at)?;
                }
                if let Some(slot) = self.sps.get_mut(usize::from(sps.id))
                    && slot.as_deref() != Some(&sps)
                {
                    *slot = Some(Arc::new(sps));
                }
            }
            NalKind::Pps => {
                let pps = Pps::parse(nal).map_err(at)?;
                if in_band {
                    self.in_band.keep_pps(&pps, nal).map_err(at)?;
                }
                if let Some(slot) = self.pps.get_mut(usize::from(pps.id))
                    && slot.as_ref().is_none_or(|stored| stored.nal != nal.bytes)
                {
                    *slot = Some(StoredPps {
                        pps,
                        // A few bytes, kept beyond the chunk.
                        nal: nal.bytes.to_vec(),
                        sent: false,
                    });
                }
            }
            _ => {
                return Err(MediaError::invalid_data(format!(
                    "NAL unit of type {:?} among the parameter sets",
                    nal.kind
                )));
            }
        }
        Ok(())
    }

    /// Reads the header of a slice, and its sets.
    fn slice_header(&mut self, nal: &Nal<'_>) -> Result<(SliceHeader, Arc<Sps>), MediaError> {
        let at = |error: MediaError| {
            MediaError::new(
                error.kind,
                format!("NAL unit at byte {}: {error}", nal.offset),
            )
        };
        let id = SliceHeader::pps_id(nal, &mut self.scratch).map_err(at)?;
        let stored = self.pps.get(usize::from(id)).and_then(Option::as_ref);
        let Some(StoredPps { pps, .. }) = stored else {
            return Err(at(MediaError::invalid_data(format!(
                "a slice refers to picture parameter set {id}, which was not received"
            ))));
        };
        let sps = self.sps.get(usize::from(pps.sps_id)).cloned().flatten();
        let Some(sps) = sps else {
            return Err(at(MediaError::invalid_data(format!(
                "a slice refers to sequence parameter set {}, which was not received",
                pps.sps_id
            ))));
        };
        check_pps(pps).map_err(at)?;
        let header = SliceHeader::parse(nal, &sps, pps, &mut self.scratch).map_err(at)?;
        // Measured against FFmpeg: such pictures come out at 38 to 45 dB, visibly not what was coded.
        if header.kind == SliceKind::B && !header.direct_spatial && !pps.cabac {
            return Err(at(MediaError::unsupported(
                "OpenH264 does not decode temporal direct prediction in CAVLC rightly",
            )));
        }
        self.settled |= header.kind == SliceKind::B || pps.cabac || sps.reorder_frames() == 0;
        if header.field.is_some() {
            return Err(at(MediaError::unsupported(
                "OpenH264 does not decode fields (field_pic_flag is 1)",
            )));
        }
        Ok((header, sps))
    }

    /// Makes the sequence of an IDR picture the active one.
    fn activate(
        &mut self,
        sps: &Arc<Sps>,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        self.order.start_sequence(sps, sink);
        match &mut self.active {
            Some(active) if *active.sps == **sps => {
                active.poc_beyond_library = beyond_library(sps);
            }
            _ => {
                check_sps(sps)?;
                // Asked before OpenH264 allocates its picture buffers.
                if sps.coded_size.area() > self.limits.max_frame_pixels {
                    return Err(MediaError::limit(format!(
                        "a picture of {}x{} pixels, the cap max_frame_pixels is {}",
                        sps.coded_size.width, sps.coded_size.height, self.limits.max_frame_pixels
                    )));
                }
                // A decoder for each sequence parameter set: OpenH264's way to change sets in place
                // has paths that depend on what came before. A change is rare.
                self.active = None;
                for stored in self.pps.iter_mut().flatten() {
                    stored.sent = false;
                }
                let mut library = Library::new()?;
                self.access_unit.clear();
                write_sps(sps, &mut self.access_unit);
                library.parameter_set(&self.access_unit)?;
                self.active = Some(ActiveSequence {
                    sps: sps.clone(),
                    library,
                    prev_ref_frame_num: 0,
                    gap: false,
                    poc_beyond_library: beyond_library(sps),
                });
            }
        }
        Ok(())
    }

    /// Decodes the picture of `chunk` whose slices were collected.
    fn decode_picture(
        &mut self,
        chunk: &EncodedChunk,
        picture: PendingPicture,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let PendingPicture {
            sps,
            header,
            ref_idc,
            has_b_slices,
            explicit_refs,
            pps_ids,
            slices,
        } = picture;
        let idr = header.idr_pic_id.is_some();
        if idr {
            self.activate(&sps, sink)?;
        } else if !self.started {
            return Err(MediaError::invalid_data(
                "the first picture is not IDR: a decoder can start at IDR pictures only",
            ));
        }
        let Some(active) = &mut self.active else {
            return Err(MediaError::backend("no active sequence"));
        };
        if *active.sps != *sps {
            return Err(MediaError::invalid_data(format!(
                "sequence parameter set {} changes at a picture that is not IDR",
                sps.id
            )));
        }
        check_frame_num(active, &header, idr, explicit_refs)?;
        active.poc_beyond_library |= header.delta_poc_bottom > 0;
        if has_b_slices && active.poc_beyond_library {
            return Err(MediaError::unsupported(
                "OpenH264 does not decode B slices with this kind of picture order count",
            ));
        }
        let poc = self.picture_order.next(&sps, &header, ref_idc);
        if header.mmco5 {
            self.order.restart(sink);
            active.poc_beyond_library = true;
            active.gap = false;
        }
        if ref_idc != 0 {
            active.prev_ref_frame_num = if header.mmco5 { 0 } else { header.frame_num };
        }

        for id in pps_ids {
            let stored = self.pps.get_mut(usize::from(id)).and_then(Option::as_mut);
            if let Some(stored) = stored.filter(|stored| !stored.sent) {
                self.access_unit.clear();
                self.access_unit.extend_from_slice(&START_CODE);
                self.access_unit.extend_from_slice(&stored.nal);
                active.library.parameter_set(&self.access_unit)?;
                stored.sent = true;
            }
        }
        // Coded bytes are copied: OpenH264 reads Annex B only, takes one picture at a time in one
        // piece, and must not see the units between (delimiters, SEI) and of extensions (SVC).
        self.access_unit.clear();
        for range in slices {
            let slice = chunk.data.get(range).unwrap_or(&[]);
            if self.access_unit.len() + slice.len() + START_CODE.len() > MAX_ACCESS_UNIT {
                return Err(MediaError::limit(format!(
                    "a picture of more than {MAX_ACCESS_UNIT} coded bytes"
                )));
            }
            self.access_unit.extend_from_slice(&START_CODE);
            self.access_unit.extend_from_slice(slice);
        }
        let Some(decoded) = active.library.decode(&self.access_unit)? else {
            return Err(MediaError::invalid_data(
                "the picture is incomplete: slices are missing",
            ));
        };
        let mut frame = copy_out(&decoded, &sps, &self.pool)?;
        frame.timestamp = chunk.timestamp;
        frame.duration = chunk.duration;
        self.started = true;
        self.order.push(poc, frame, sink);
        Ok(())
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
        let mut pending: Option<PendingPicture> = None;
        let mut pictures = 0;
        for nal in nal_units(&chunk.data, self.packaging) {
            let nal = nal?;
            match nal.kind {
                NalKind::Sps | NalKind::Pps => {
                    // A set takes effect with the next picture.
                    if let Some(picture) = pending.take() {
                        self.decode_picture(chunk, picture, sink)?;
                    }
                    self.store_parameter_set(&nal, true)?;
                }
                NalKind::Slice | NalKind::IdrSlice => {
                    let (header, sps) = self.slice_header(&nal)?;
                    if header.redundant_pic_cnt > 0 {
                        // A second coding of what the primary coded picture already holds.
                        continue;
                    }
                    let starts = pending.as_ref().is_some_and(|picture| {
                        header.starts_picture(&picture.header, (picture.ref_idc, nal.ref_idc))
                    });
                    // WebCodecs has one picture in a chunk; what comes with a few more loses none.
                    if starts && let Some(picture) = pending.take() {
                        self.decode_picture(chunk, picture, sink)?;
                    }
                    if pending.is_none() {
                        pictures += 1;
                        self.limits.check_chunk_pictures(pictures)?;
                    }
                    let pps_id = header.pps_id;
                    let has_b_slices = header.kind == SliceKind::B;
                    let explicit_refs = header.explicit_refs;
                    let picture = pending.get_or_insert_with(|| PendingPicture {
                        sps,
                        header,
                        ref_idc: nal.ref_idc,
                        has_b_slices: false,
                        explicit_refs: true,
                        pps_ids: Vec::new(),
                        slices: Vec::new(),
                    });
                    picture.has_b_slices |= has_b_slices;
                    picture.explicit_refs &= explicit_refs;
                    if !picture.pps_ids.contains(&pps_id) {
                        picture.pps_ids.push(pps_id);
                    }
                    picture
                        .slices
                        .push(nal.offset..nal.offset + nal.bytes.len());
                }
                NalKind::Partition => {
                    return Err(MediaError::unsupported(format!(
                        "NAL unit at byte {}: OpenH264 does not decode data partitions",
                        nal.offset
                    )));
                }
                NalKind::Sei | NalKind::Aud | NalKind::Other(_) => {}
            }
        }
        match pending {
            Some(picture) => self.decode_picture(chunk, picture, sink),
            None => Ok(()),
        }
    }
}

impl VideoDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let result = if self.settled {
            self.decode_chunk(chunk, sink)
        } else {
            let mut frames = std::mem::take(&mut self.held);
            let result = self.decode_chunk(chunk, &mut |frame| frames.push(frame));
            self.chunks += 1;
            self.settled |= self.chunks >= HELD_CHUNKS;
            match &result {
                Ok(()) if !self.settled => self.held = frames,
                // Another backend decodes them again.
                Err(error) if error.kind == ErrorKind::Unsupported => {}
                _ => frames.into_iter().for_each(sink),
            }
            result
        };
        result.map_err(|error| {
            MediaError::new(
                error.kind,
                format!("H.264 chunk with timestamp {}: {error}", chunk.timestamp),
            )
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        if !self.held.is_empty() {
            // They are out: too late for another backend.
            self.settled = true;
            self.held.drain(..).for_each(&mut *sink);
        }
        self.order.drain(sink);
        self.started = false;
        Ok(())
    }

    fn reset(&mut self) {
        // OpenH264 holds no picture that is not whole, and forgets its references at the IDR picture
        // that must come next. Parameter sets stay.
        self.order.clear();
        self.held.clear();
        self.started = false;
    }

    fn accepts(&self, chunk: &EncodedChunk) -> Result<(), MediaError> {
        let sps = |id: u8| self.sps.get(usize::from(id)).cloned().flatten();
        let pps = |id: u8| {
            let stored = self.pps.get(usize::from(id)).and_then(Option::as_ref);
            stored.map(|stored| stored.pps.clone())
        };
        let Some((sps, pps)) = first_sets(&chunk.data, self.packaging, sps, pps) else {
            return Ok(());
        };
        check_pps(&pps)?;
        check_sps(&sps)
    }

    fn write_parameter_sets(&self, out: &mut Vec<u8>) {
        let is_known = |id: u8| self.sps.get(usize::from(id)).is_some_and(Option::is_some);
        self.in_band
            .write(self.packaging, |needs| is_known(needs.sps_id), out);
    }
}

/// Whether picture order counts of `sps` are of a type that OpenH264 does not compute.
fn beyond_library(sps: &Sps) -> bool {
    !matches!(sps.poc, PocType::Lsb { .. })
}

/// Refuses a picture before which reference pictures are missing (7.4.3, 8.2.5.2).
///
/// Where the stream permits gaps (temporal layers that were taken out), missing pictures push older references out.
/// OpenH264 does not do that, and could predict from a picture that is gone. So after a gap each slice must name all of
/// its references, of which OpenH264 has at least those that there should be.
fn check_frame_num(
    active: &mut ActiveSequence,
    header: &SliceHeader,
    idr: bool,
    explicit_refs: bool,
) -> Result<(), MediaError> {
    if idr {
        active.gap = false;
        return Ok(());
    }
    let max = 1u32 << active.sps.log2_max_frame_num;
    let previous = active.prev_ref_frame_num;
    let next = (previous + 1) % max;
    let found = || {
        format!(
            "frame_num {} after {previous}, expected {previous} or {next}",
            header.frame_num
        )
    };
    if header.frame_num != previous && header.frame_num != next {
        if !active.sps.gaps_in_frame_num {
            return Err(MediaError::invalid_data(format!(
                "reference pictures are missing: {}",
                found()
            )));
        }
        active.gap = true;
    }
    if active.gap && !explicit_refs {
        return Err(MediaError::unsupported(format!(
            "OpenH264 does not decode gaps in frame_num before slices that do not name their references: {}",
            found()
        )));
    }
    Ok(())
}

/// The frame of a decoded picture, in pooled memory.
fn copy_out(picture: &Picture<'_>, sps: &Sps, pool: &BufferPool) -> Result<VideoFrame, MediaError> {
    let size = sps.coded_size;
    let (width, height) = (size.width as usize, size.height as usize);
    if (picture.width, picture.height) != (width, height) {
        return Err(MediaError::backend(format!(
            "OpenH264 gave a picture of {}x{} pixels, the sequence parameter set says {width}x{height}",
            picture.width, picture.height
        )));
    }
    // One copy: OpenH264 decodes into picture buffers of its own, takes none from outside, and
    // overwrites them with the next picture.
    let (luma, chroma) = (width * height, (width / 2) * (height / 2));
    let mut buffer = pool.take(luma + 2 * chroma);
    let mut rest: &mut [u8] = &mut buffer;
    for index in 0..3 {
        let (row, rows) = if index == 0 {
            (width, height)
        } else {
            (width / 2, height / 2)
        };
        let (target, tail) = rest.split_at_mut(row * rows);
        rest = tail;
        if index > 0 && sps.chroma_format == 0 {
            // 4:0:0. WebCodecs has no format without chroma: neutral chroma is the same picture.
            target.fill(128);
            continue;
        }
        let Some((source, stride)) = picture.plane(index) else {
            return Err(MediaError::backend(
                "OpenH264 gave a picture without a plane",
            ));
        };
        for (target, source) in target.chunks_exact_mut(row).zip(source.chunks(stride)) {
            let source = source.get(..row).unwrap_or(&[]);
            if source.len() == target.len() {
                target.copy_from_slice(source);
            }
        }
    }
    count_copy(luma + 2 * chroma);
    let bytes = buffer.freeze();
    let planes = vec![
        Plane {
            data: bytes.slice(..luma),
            stride: width,
        },
        Plane {
            data: bytes.slice(luma..luma + chroma),
            stride: width / 2,
        },
        Plane {
            data: bytes.slice(luma + chroma..luma + 2 * chroma),
            stride: width / 2,
        },
    ];
    let image = CpuImage::new(PixelFormat::I420, size, planes)?;
    let mut frame = VideoFrame::from_cpu(image, 0, None, sps.vui.color);
    frame.visible_rect = sps.visible;
    frame.display_size = sps.visible.size();
    if let Some((width, height)) = sps.vui.sample_aspect {
        let aspect = (u64::from(width), u64::from(height));
        frame.display_size = frame.display_size.with_sample_aspect(aspect);
    }
    Ok(frame)
}
