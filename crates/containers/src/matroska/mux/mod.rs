//! Writes Matroska and WebM.
//!
//! - **Times** are ticks of 10 microseconds, to which they are rounded: sound stays exact to the sample up to 48 kHz. WebM with
//!   pictures has the ticks of 1 millisecond that its guidelines ask for.
//!   Both are coarser where pictures out of order lie further apart than the 65,535 ticks of a Cluster.
//!   [`MatroskaMuxer::with_timestamp_scale`] chooses others; 1000 keeps every microsecond, with a Cluster every 32 ms. Where
//!   packets have times below 0, which Matroska has no place for, the whole file is that much later.
//! - **Durations** are written where neither the codec, nor the frame rate, nor the next packet in the same Cluster tells them.
//! - **Sound that is dropped**: at the start it is CodecDelay, elsewhere DiscardPadding. Opus's pre-skip follows CodecDelay.
//! - **Pictures that are not shown** are in invisible blocks.
//! - **Alpha** of VP8 and VP9 is a BlockAddition, where the track says that it has any: it is said in front of all packets, and that
//!   of a track which does not say it is left out.
//! - **Live** files, and those in sinks that cannot seek, have neither lengths, nor Cues, nor Duration: each packet is written as it
//!   comes. In others, Clusters are kept in memory until they are whole (a key picture, 5 s or 5 MiB), and lengths,
//!   Cues and Duration are written at the end.

mod cluster;
mod codec;
mod header;
mod track;
mod write;

use bytes::Bytes;
use reelcore_media::ChunkKind;
use reelcore_media::mux::{MuxError, MuxOptions, Muxer, OutputPacket, OutputTrack, Sink};

use self::cluster::{Block, Clusters};
use self::track::MuxTrack;
use self::write::{Ebml, UNKNOWN};
use super::ids;
use crate::mux::decode_times::Timed;
use crate::mux::invalid;
use crate::mux::lanes::Lanes;

/// Tracks of a file, at most.
const MAX_TRACKS: usize = 1024;

/// WebM's guidelines: a millisecond.
const WEBM_SCALE: u64 = 1_000_000;

/// Fine enough for a sample of 48 kHz, and for Clusters of a third of a second.
const FINE_SCALE: u64 = 10_000;

/// The coarsest ticks: a second.
const MAX_SCALE: u64 = 1_000_000_000;

/// Ticks over which the times of a Cluster's blocks can lie.
const SPAN: i128 = u16::MAX as i128;

/// The smallest room for Cues that is worth keeping.
const MIN_CUES: usize = 16;

/// Writes Matroska or WebM. `live` of [`MuxOptions`] says in which form.
#[derive(Debug)]
pub struct MatroskaMuxer {
    webm: bool,
    options: MuxOptions,
    scale: Option<u64>,
    cue_room: usize,
    tracks: Vec<MuxTrack>,
    lanes: Lanes,
    /// Decided by the first packet: the sink is known then.
    live: Option<bool>,
    file: Option<File>,
}

/// A file whose header is written.
#[derive(Debug)]
struct File {
    /// Nanoseconds of a tick.
    scale: i128,
    /// Nanoseconds by which all is later.
    shift: i128,
    /// Byte offset of the Segment's data.
    segment: u64,
    /// Byte offset of the room for Duration.
    duration: u64,
    /// Places in the Segment of what the SeekHead leads to.
    places: Vec<(u32, u64)>,
    /// Place in the Segment of the room for Cues.
    cues: u64,
    clusters: Clusters,
    /// The track whose blocks the Cues lead to.
    cue_track: usize,
    /// Nanoseconds at which the last packet ends.
    end: i128,
}

impl MatroskaMuxer {
    /// Writes Matroska.
    pub fn matroska(options: MuxOptions) -> Self {
        Self::new(options, false)
    }

    /// Writes WebM: VP8, VP9, AV1, Opus and Vorbis.
    pub fn webm(options: MuxOptions) -> Self {
        Self::new(options, true)
    }

    fn new(options: MuxOptions, webm: bool) -> Self {
        Self {
            webm,
            lanes: Lanes::new(&options),
            options,
            scale: None,
            cue_room: 0,
            tracks: Vec::new(),
            live: None,
            file: None,
        }
    }

    /// With ticks of so many nanoseconds, from 1000 to a second. Times of blocks are rounded to the nearest one; a Cluster
    /// lasts 32,767 of them at most.
    #[must_use]
    pub fn with_timestamp_scale(mut self, nanos: u64) -> Self {
        self.scale = Some(nanos.clamp(1000, MAX_SCALE));
        self
    }

    /// With so many bytes kept free in front of the first Cluster. Where the Cues fit in there, they are not at the end,
    /// and a reader finds them without a jump. A Cue takes about 20 bytes.
    #[must_use]
    pub fn with_room_for_cues(mut self, bytes: usize) -> Self {
        self.cue_room = match bytes {
            0 => 0,
            bytes => bytes.clamp(MIN_CUES, 64 << 20),
        };
        self
    }

    fn add(&mut self, index: usize, ready: Vec<OutputPacket>) -> Result<(), MuxError> {
        for packet in ready {
            if let Some(track) = self.tracks.get(index) {
                self.lanes.push(index, packet, || track.decode_times())?;
            }
        }
        Ok(())
    }

    fn take(&mut self, index: usize, packet: OutputPacket) -> Result<(), MuxError> {
        let mut ready = Vec::new();
        if let Some(track) = self.tracks.get_mut(index) {
            track.push(packet, &mut ready)?;
        }
        self.add(index, ready)
    }

    fn end(&mut self, index: usize) -> Result<(), MuxError> {
        if self.lanes.has_ended(index) {
            return Ok(());
        }
        let mut ready = Vec::new();
        if let Some(track) = self.tracks.get_mut(index) {
            track.finish(&mut ready)?;
        }
        self.add(index, ready)?;
        self.lanes.end(index)
    }

    /// Whether the file is written in one go.
    fn is_live(&mut self, sink: &dyn Sink) -> bool {
        let asked = self.options.live;
        *self
            .live
            .get_or_insert_with(|| asked || !sink.is_seekable())
    }

    /// Writes the packets whose turn has come.
    fn pump(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        while let Some((index, timed)) = self.lanes.pop() {
            self.start(Some(&timed), sink)?;
            self.packet(index, timed, sink)?;
        }
        Ok(())
    }

    /// The ticks of the file, in nanoseconds, of which `first` is the first packet: coarser than usual where pictures are shown
    /// so long after they are decoded that the blocks between would not fit in a Cluster with them.
    fn scale(&self, first: Option<&Timed>) -> u64 {
        if let Some(scale) = self.scale {
            return scale;
        }
        let usual = match self.tracks.iter().any(MuxTrack::is_video) {
            true if self.webm => WEBM_SCALE,
            _ => FINE_SCALE,
        };
        let reach = |timed: &Timed| {
            let chunk = &timed.packet.chunk;
            let ahead = i128::from(chunk.timestamp) - i128::from(timed.decode_time);
            // A key picture waits for as many frames as are held back; one that refers to it may be further ahead.
            ahead
                * if chunk.kind == ChunkKind::Key {
                    4000
                } else {
                    1000
                }
        };
        let ahead = first.into_iter().chain(self.lanes.waiting()).map(reach);
        let ahead = ahead.max().unwrap_or(0);
        let mut steps = [2, 5, 10].into_iter().cycle();
        let (mut unit, mut scale) = (usual, usual);
        while SPAN * i128::from(scale) <= ahead && scale < MAX_SCALE {
            let step = steps.next().unwrap_or(10);
            scale = unit * step;
            if step == 10 {
                unit = scale;
            }
        }
        scale.min(MAX_SCALE)
    }

    /// Writes what stands before the first Cluster. `first` is the first packet, where there is any.
    fn start(&mut self, first: Option<&Timed>, sink: &mut dyn Sink) -> Result<(), MuxError> {
        if self.file.is_some() {
            return Ok(());
        }
        let live = self.is_live(sink);
        if let Some(index) = self.tracks.iter().position(|track| track.private.is_none()) {
            return Err(invalid(format!(
                "track {index} has neither a description nor a packet that tells it, when the first packet is to be written"
            )));
        }
        let pictures = self.tracks.iter().position(MuxTrack::is_video);
        let scale = self.scale(first);
        let earliest = self.tracks.iter().filter_map(|track| track.earliest).min();
        let shift = earliest.map_or(0, |earliest| (-earliest).max(0));
        let mut out = header::ebml(self.webm);
        out.id(ids::SEGMENT);
        out.raw(&UNKNOWN);
        let segment = out.len();
        let place = |out: &Ebml| (out.len() - segment) as u64;
        let mut places = Vec::new();
        if !live {
            out.void(header::SEEK_HEAD);
        }
        let (info, room) = header::info(scale, &self.options.tags);
        places.push((ids::INFO, place(&out)));
        let duration = (out.len() + room) as u64;
        out.raw(info.bytes());
        places.push((ids::TRACKS, place(&out)));
        out.raw(header::tracks(&self.tracks).bytes());
        if let Some(tags) = header::tags(&self.options.tags) {
            places.push((ids::TAGS, place(&out)));
            out.raw(tags.bytes());
        }
        let cues = place(&out);
        if !live && self.cue_room > 0 {
            out.void(self.cue_room);
        }
        let clusters = Clusters::new(live, scale, place(&out), self.options.max_buffered_bytes);
        sink.write(Bytes::copy_from_slice(out.bytes()))?;
        if !live {
            sink.patch(segment as u64, header::seek_head(&places).bytes())?;
        }
        self.file = Some(File {
            scale: i128::from(scale),
            shift,
            segment: segment as u64,
            duration,
            places,
            cues,
            clusters,
            cue_track: pictures.unwrap_or(0),
            end: 0,
        });
        Ok(())
    }

    fn packet(&mut self, index: usize, timed: Timed, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let pictures = self.tracks.iter().any(MuxTrack::is_video);
        let (Some(track), Some(file)) = (self.tracks.get_mut(index), &mut self.file) else {
            return Ok(());
        };
        let OutputPacket {
            chunk, description, ..
        } = timed.packet;
        let video = track.is_video();
        let time = i128::from(chunk.timestamp) * 1000;
        let start = time + track.priming.later() + file.shift;
        let tick = file.tick(start)?;
        let decoded = i128::from(timed.decode_time) * 1000 + track.priming.later() + file.shift;
        let side = chunk.side.as_deref().cloned().unwrap_or_default();
        let implied = track.implied(&chunk.data);
        let coded = track.coded_next(&chunk.data);
        let said = chunk.duration.map(|micros| i128::from(micros) * 1000);
        // Some containers count what is dropped in the duration, others do not: what is coded counts.
        let said = match coded {
            Some(_) if !side.discard_end.is_zero() => coded,
            _ => said,
        };
        // A difference that readers of the file could not tell is none.
        let close = 1000.max(file.scale / 2);
        let duration = match (said, implied) {
            (Some(said), Some(implied)) if (said - implied).abs() <= close => None,
            (Some(said), _) if said > 0 => Some(file.tick(start + said)?.abs_diff(tick)),
            _ => None,
        };
        let lasts = said.or(implied).unwrap_or(0);
        let discard = if video {
            0
        } else {
            let coded = coded.or(said);
            let discard = discard(&side, track, coded)?;
            track.decoded += coded.unwrap_or(0);
            discard
        };
        let end = start - i128::from(track.priming.delay()) + lasts - i128::from(discard.max(0));
        if !side.hidden {
            file.end = file.end.max(end);
        }
        let key = chunk.kind == ChunkKind::Key || !video;
        let reference = track
            .last_block
            .map_or(-1, |last| last.saturating_sub(tick));
        track.last_block = Some(tick);
        let block = Block {
            track: index as u64 + 1,
            time: tick,
            decode: file.tick(decoded)?,
            key,
            invisible: side.hidden,
            opens: key && video && index == file.cue_track,
            cue: key && (index == file.cue_track || !pictures),
            prefix: description,
            data: chunk.data,
            alpha: side.alpha.filter(|_| track.has_alpha()),
            duration,
            span: (
                start,
                said.filter(|_| track.next_tells()).map(|said| start + said),
            ),
            // A picture does not refer to itself.
            reference: if reference == 0 { -1 } else { reference },
            discard,
        };
        file.clusters.block(block, sink)
    }

    fn finish_file(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let live = self.is_live(sink);
        for index in 0..self.tracks.len() {
            self.end(index)?;
        }
        self.pump(sink)?;
        self.start(None, sink)?;
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.clusters.close(sink)?;
        if live {
            return Ok(());
        }
        let mut end = file.segment + file.clusters.place();
        if let Some(cues) = file.clusters.cues() {
            let left = self.cue_room.checked_sub(cues.len());
            // A Void takes 2 bytes or more.
            match left.filter(|&left| left != 1) {
                Some(left) => {
                    let mut out = cues;
                    if left > 0 {
                        out.void(left);
                    }
                    sink.patch(file.segment + file.cues, out.bytes())?;
                    file.places.push((ids::CUES, file.cues));
                }
                None => {
                    file.places.push((ids::CUES, file.clusters.place()));
                    end += cues.len() as u64;
                    sink.write(Bytes::copy_from_slice(cues.bytes()))?;
                }
            }
        }
        sink.patch(file.segment, header::seek_head(&file.places).bytes())?;
        if file.end > 0 {
            let ticks = file.end as f64 / file.scale as f64;
            sink.patch(file.duration, header::duration(ticks).bytes())?;
        }
        // The Segment's size, in the eight bytes before its data.
        let size = (end - file.segment) | 1 << 56;
        sink.patch(file.segment - 8, &size.to_be_bytes())?;
        Ok(())
    }
}

impl File {
    /// The nearest tick of a time in nanoseconds, halves upward.
    fn tick(&self, nanos: i128) -> Result<i64, MuxError> {
        let tick = (2 * nanos + self.scale).div_euclid(2 * self.scale);
        i64::try_from(tick).map_err(|_| invalid(format!("a time of {nanos} ns")))
    }
}

/// DiscardPadding in nanoseconds: what is dropped of a packet of sound that lasts `coded`, besides CodecDelay.
fn discard(
    side: &reelcore_media::SideData,
    track: &MuxTrack,
    coded: Option<i128>,
) -> Result<i64, MuxError> {
    let nanos = |time: std::time::Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let most = coded.unwrap_or(i128::MAX);
    let delay = (i128::from(track.priming.delay()) - track.decoded).max(0);
    let start = nanos(side.discard_start).min(most) - delay.min(most);
    let end = nanos(side.discard_end).min(most);
    // Times are whole microseconds, or frames.
    let start = if start < 1000 { 0 } else { start };
    if start > 0 && end > 0 {
        return Err(MuxError::Unsupported(
            "a packet in the middle of a track whose start and end are dropped".into(),
        ));
    }
    let padding = if start > 0 { -start } else { end };
    i64::try_from(padding).map_err(|_| invalid(format!("{padding} ns to drop of one packet")))
}

impl Muxer for MatroskaMuxer {
    fn container(&self) -> &'static str {
        if self.webm { "webm" } else { "matroska" }
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        self.lanes.may_add(MAX_TRACKS)?;
        let track = MuxTrack::new(track, self.webm, &self.options)?;
        self.tracks.push(track);
        Ok(self.lanes.add())
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.lanes.begin_on(index)?;
        let result = self.take(index, packet).and_then(|()| self.pump(sink));
        self.lanes.kept(result)
    }

    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.lanes.begin_on(index)?;
        let result = self.end(index).and_then(|()| self.pump(sink));
        self.lanes.kept(result)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.lanes.begin()?;
        let result = self.finish_file(sink);
        self.lanes.kept(result)?;
        self.lanes.finished();
        Ok(())
    }
}
