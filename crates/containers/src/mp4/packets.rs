//! The packets of one track.

mod shown;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reelcore_media::demux::{
    DemuxError, Packet, PacketReader, SampleEncryption, TrackConfig, TrackKind,
};
use reelcore_media::{ChunkKind, EncodedChunk, SideData};

use self::shown::Shown;
use super::Mp4Demuxer;
use super::budget::Budget;
use super::cursor::Cursor;
use super::edits::Segment;
use super::parse::invalid;
use super::protection::SampleInfo;
use super::sample::Sample;
use super::track::{Mp4Track, PacketLength, other_layer};
use crate::audio::WHOLE;
use crate::bitstream::audio::{Timing, pre_roll_ms};
use crate::source;
use crate::window::REUSED;

/// Most bytes that one read takes in. A packet that is kept keeps the bytes that were read with it.
const WINDOW: u64 = 256 << 10;

/// Bytes of other tracks between two packets that are read along, because a second read would cost more.
const GAP: u64 = 16 << 10;

/// Packets that the look-ahead of one read goes through, at most.
const AHEAD: usize = 1024;

/// Sound before an edit that is decoded with it, whatever its codec needs: what encoders count as priming.
const PRE_ROLL_MS: i64 = 100;

/// Reads the packets of one track; see [`PacketReader`].
pub(crate) struct Mp4PacketReader {
    demuxer: Arc<Mp4Demuxer>,
    index: usize,
    cursor: Cursor,
    segment: usize,
    /// Whether the cursor stands in the segment, not before it.
    entered: bool,
    /// The latest picture of the segment so far that is shown at its start or before.
    at_start: Option<i64>,
    /// Decode time of the first sound that is heard after a seek; what comes before it lets the decoder settle.
    heard_from: Option<i64>,
    /// Decode time of the last packet, as the file counts it and as it was given, in ticks of the media.
    last: Option<(i64, i64)>,
    failed: bool,
    budget: Budget,
    window: Window,
    /// The sample entry of the last packet, and what was told of it: nothing after a seek in a track that has several.
    entry: Option<usize>,
    config: Option<Arc<TrackConfig>>,
    /// Places of sample descriptions, and configurations by place: parsed once, however often samples go back and forth.
    places: HashMap<u32, usize>,
    configs: HashMap<usize, Arc<TrackConfig>>,
    /// How the samples of the tables are encrypted, once one was read.
    info: Option<SampleInfo>,
    /// Whether the layer of MPEG audio is still to be seen, in the first packet that is read.
    layer_unseen: bool,
}

/// A part of the source in memory, of which packets are slices.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn get(&self, offset: u64, size: usize) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(size)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl Mp4PacketReader {
    pub(crate) fn new(demuxer: Arc<Mp4Demuxer>, index: usize) -> Result<Self, DemuxError> {
        let Some(track) = demuxer.movie.tracks.get(index) else {
            return Err(DemuxError::Unsupported(format!(
                "track {index} of {}",
                demuxer.movie.tracks.len()
            )));
        };
        if track.external {
            return Err(DemuxError::Unsupported(format!(
                "track {index}, whose samples are in another file"
            )));
        }
        let own = track.descriptions.own_place;
        Ok(Self {
            cursor: Cursor::new(track, index, demuxer.fragments.clone()),
            budget: Budget::new(demuxer.file.len),
            layer_unseen: !track.layer_known,
            demuxer,
            index,
            segment: 0,
            entered: false,
            at_start: None,
            heard_from: None,
            last: None,
            failed: false,
            window: Window::default(),
            entry: Some(own),
            config: None,
            places: HashMap::new(),
            configs: HashMap::new(),
            info: None,
        })
    }

    /// Goes over to the sample entry that `sample` names. What to configure a decoder with, where that changes.
    fn configure(
        &mut self,
        track: &Mp4Track,
        sample: &Sample,
    ) -> Result<Option<Arc<TrackConfig>>, DemuxError> {
        let descriptions = &track.descriptions;
        let known = self.places.get(&sample.description).copied();
        let Some(place) = known.or_else(|| descriptions.place(sample.description)) else {
            return Err(invalid(
                sample.offset,
                format!(
                    "expected a packet with a sample description of 1 to {}, found {}",
                    descriptions.len().max(1),
                    sample.description
                ),
            ));
        };
        if known.is_none() {
            self.places.insert(sample.description, place);
        }
        if self.entry == Some(place) {
            return Ok(None);
        }
        let config = match self.configs.get(&place) {
            Some(config) => Arc::clone(config),
            None => Arc::new(track.config_at(place)?),
        };
        // At the start it is the track's own that holds.
        let before = match (&self.config, self.entry) {
            (Some(before), _) => Some(Arc::clone(before)),
            (None, Some(_)) => {
                let own = self.configs.entry(descriptions.own_place);
                let own = own.or_insert_with(|| Arc::new(track.public.config()));
                Some(Arc::clone(own))
            }
            (None, None) => None,
        };
        // Those that say the same become one, so that they are compared once.
        let same = before.filter(|before| Arc::ptr_eq(before, &config) || *before == config);
        let changed = same.is_none();
        let config = same.unwrap_or(config);
        self.entry = Some(place);
        self.configs.insert(place, Arc::clone(&config));
        self.config = Some(Arc::clone(&config));
        Ok(Some(config).filter(|_| changed))
    }

    /// Moves the cursor to the first sample that decoding the segment needs.
    fn enter(&mut self, track: &Mp4Track, segment: &Segment) -> Result<(), DemuxError> {
        self.entered = true;
        (self.at_start, self.heard_from, self.last) = (None, None, None);
        let mut from = segment.media_start;
        if track.is_audio {
            let pre_roll = pre_roll(track).max(i64::from(track.media_scale) * PRE_ROLL_MS / 1000);
            from = from.saturating_sub(pre_roll);
        } else if self.segment == 0 && from <= i64::from(track.media_scale) {
            // What little stands before the start is not worth the look at an index.
            from = 0;
        }
        if from <= 0 || !self.cursor.seek(from, &mut self.budget)? {
            self.cursor.rewind();
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Packet>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let Some(track) = demuxer.movie.tracks.get(self.index) else {
            return Ok(None);
        };
        while let Some(segment) = track.timeline.segments.get(self.segment) {
            if !self.entered {
                self.enter(track, segment)?;
            }
            if let Some(sample) = self.cursor.next_filled(&mut self.budget)? {
                // Past the end of the segment, nothing that follows in decode order can still be shown in it.
                let earliest = sample
                    .decode_time
                    .saturating_sub(self.cursor.decode_shift());
                if segment.media_end.is_none_or(|end| earliest < end) {
                    return self.packet(track, segment, &sample).map(Some);
                }
            }
            self.segment += 1;
            self.entered = false;
        }
        Ok(None)
    }

    fn packet(
        &mut self,
        track: &Mp4Track,
        segment: &Segment,
        sample: &Sample,
    ) -> Result<Packet, DemuxError> {
        let config = self.configure(track, sample)?;
        let timeline = &track.timeline;
        let shown = self.shown(track, segment, sample, &self.cursor);
        if sample.composition_time <= segment.media_start {
            self.at_start = self.at_start.max(Some(sample.composition_time));
        }
        let timestamp = timeline.micros(segment, shown.start);
        let duration = timeline.micros(segment, shown.end).abs_diff(timestamp);
        let from = self.heard_from;
        self.heard_from = from.filter(|&from| sample.decode_time < from);
        let settles = self.heard_from.is_some();
        let presented = shown.presented && !settles;
        let encryption = self.encryption(track, sample)?;
        let data = self.data(sample)?;
        self.see_layer(track, sample, &data)?;
        let decode_time = self.decode_time(sample);
        let side = match track.is_audio {
            true if settles => Some(Arc::new(SideData {
                discard_start: WHOLE,
                ..SideData::default()
            })),
            true => self.discards(track, segment, sample, &data),
            false => (!presented).then(|| {
                Arc::new(SideData {
                    hidden: true,
                    ..SideData::default()
                })
            }),
        };
        Ok(Packet {
            chunk: EncodedChunk {
                kind: if sample.sync {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp,
                duration: Some(duration),
                data,
                side,
            },
            decode_time: timeline.micros(segment, decode_time),
            offset: sample.offset,
            presented,
            encryption,
            config,
        })
    }

    /// When a sample is decoded, in ticks of the media: never after it is presented. Where a fragment moves decode times
    /// further back than those before it did, the first ones wait for the last that was given.
    fn decode_time(&mut self, sample: &Sample) -> i64 {
        let mut time = sample
            .decode_time
            .saturating_sub(self.cursor.decode_shift());
        if let Some((before, given)) = self.last
            && before <= sample.decode_time
        {
            time = time.max(given);
        }
        let time = time.min(sample.composition_time);
        self.last = Some((sample.decode_time, time));
        time
    }

    /// What was not looked into at opening, because it was a stream's: that MPEG audio is MP3, as the boxes have no other name
    /// for it. A decoder would make something else of another layer.
    fn see_layer(
        &mut self,
        track: &Mp4Track,
        sample: &Sample,
        data: &[u8],
    ) -> Result<(), DemuxError> {
        if !self.layer_unseen {
            return Ok(());
        }
        let codec = match &self.config {
            Some(config) => &config.codec,
            None => &track.public.codec,
        };
        if let Some(other) = other_layer(data).filter(|_| codec.as_deref() == Some("mp3")) {
            return Err(DemuxError::Unsupported(format!(
                "MPEG audio that is {other} in a track named mp3, at byte {}",
                sample.offset
            )));
        }
        self.layer_unseen = false;
        Ok(())
    }

    /// When a sample is shown; `ahead` stands behind it.
    fn shown(&self, track: &Mp4Track, segment: &Segment, sample: &Sample, ahead: &Cursor) -> Shown {
        match track.public.kind {
            TrackKind::Video { .. } => {
                let grain = track.timeline.grain();
                Shown::picture(segment, sample, ahead, self.at_start, grain)
            }
            _ => Shown::whole(segment, sample),
        }
    }

    /// How a sample is encrypted; `None` in clear.
    fn encryption(
        &mut self,
        track: &Mp4Track,
        sample: &Sample,
    ) -> Result<Option<Arc<SampleEncryption>>, DemuxError> {
        let Some(protection) = &track.protection else {
            return Ok(None);
        };
        let own = match &self.config {
            Some(config) => &config.encryption,
            None => &track.public.encryption,
        };
        if own.is_none() {
            return Ok(None);
        }
        if let Some(info) = self.cursor.fragment_info() {
            return info.encryption(sample.number, protection);
        }
        if self.info.is_none() {
            let file = &self.demuxer.file;
            let info = SampleInfo::new(
                &track.table.info,
                protection,
                0,
                &mut track.table.chunk_counts(),
                &|offset, len| file.read_auxiliary(offset, len),
            )?;
            self.info = Some(info);
        }
        match &self.info {
            Some(info) => info.encryption(sample.number, protection),
            None => Ok(None),
        }
    }

    /// What of the decoded sound is outside the edit, or padding at the end of the track.
    fn discards(
        &self,
        track: &Mp4Track,
        segment: &Segment,
        sample: &Sample,
        data: &[u8],
    ) -> Option<Arc<SideData>> {
        let ticks = |ticks: i64| {
            let nanos = u128::from(ticks.max(0).unsigned_abs()) * 1_000_000_000;
            let nanos = nanos / u128::from(track.media_scale.max(1));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        let duration = i64::try_from(sample.duration).unwrap_or(i64::MAX);
        let start = sample.composition_time;
        let end = start.saturating_add(duration);
        let before = segment.media_start.saturating_sub(start).min(duration);
        let after = segment
            .media_end
            .map_or(0, |media_end| end.saturating_sub(media_end).min(duration));
        let padding = if self.cursor.at_end_of_table(sample) {
            let whole = match track.packet_length {
                PacketLength::Even(ticks) => ticks,
                PacketLength::Opus => {
                    let frames = Timing::Opus.frames(data, sample.size);
                    let scale = u64::from(track.media_scale);
                    frames.map_or(0, |frames| {
                        frames.count * scale / u64::from(frames.rate.max(1))
                    })
                }
                PacketLength::Unknown => 0,
            };
            i64::try_from(whole.saturating_sub(sample.duration)).unwrap_or(0)
        } else {
            0
        };
        let after = if after > track.timeline.grain() {
            after
        } else {
            0
        };
        (before > 0 || after > 0 || padding > 0).then(|| {
            Arc::new(SideData {
                discard_start: ticks(before),
                discard_end: ticks(after.max(0).saturating_add(padding)),
                ..SideData::default()
            })
        })
    }

    fn data(&mut self, sample: &Sample) -> Result<Bytes, DemuxError> {
        let file = &self.demuxer.file;
        let left = file.len.saturating_sub(sample.offset);
        if sample.size > left {
            return Err(invalid(
                sample.offset,
                format!(
                    "expected a packet of {} bytes, the source has {left} bytes left",
                    sample.size
                ),
            ));
        }
        let fits = usize::try_from(sample.size).ok();
        let Some(size) = fits.filter(|_| sample.size <= file.limits.max_packet_bytes) else {
            return Err(DemuxError::Limit(format!(
                "the packet at byte {} has {} bytes, the cap is {}",
                sample.offset, sample.size, file.limits.max_packet_bytes
            )));
        };
        self.budget.spend(sample.size.saturating_add(1))?;
        if !file.source.is_seekable() {
            // Looking ahead would wait for bytes that nobody needs yet.
            return Ok(source::read_bytes(&*file.source, sample.offset, size)?);
        }
        if let Some(bytes) = file.source.shared(sample.offset, size) {
            return Ok(bytes);
        }
        if let Some(bytes) = self.window.get(sample.offset, size) {
            return Ok(bytes);
        }
        self.fill(sample)?;
        self.window
            .get(sample.offset, size)
            .ok_or_else(|| invalid(sample.offset, "the source changed while it was read"))
    }

    /// Reads a window that begins with `sample` and goes as far as the packets that follow lie close together.
    fn fill(&mut self, sample: &Sample) -> Result<(), DemuxError> {
        let start = sample.offset;
        let mut end = start.saturating_add(sample.size);
        let mut ahead = self.cursor.clone();
        for _ in 0..AHEAD {
            let Some(next) = ahead.next_at_hand() else {
                break;
            };
            let reach = next.offset.saturating_add(next.size);
            if next.offset < start
                || next.offset > end.saturating_add(GAP)
                || reach.saturating_sub(start) > WINDOW
                || reach > self.demuxer.file.len
            {
                break;
            }
            end = end.max(reach);
        }
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        // The last window's memory, where no packet of it is alive any more and it is not out of proportion.
        let mut buffer = std::mem::take(&mut self.window.bytes)
            .try_into_mut()
            .ok()
            .filter(|old| old.capacity() <= len.saturating_mul(REUSED))
            .unwrap_or_default();
        // Only what is new is zeroed: the read overwrites the rest.
        buffer.resize(len, 0);
        source::read_exact(&*self.demuxer.file.source, start, &mut buffer)?;
        self.window = Window {
            start,
            bytes: buffer.freeze(),
        };
        Ok(())
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let Some(track) = demuxer.movie.tracks.get(self.index) else {
            return Ok(None);
        };
        let timeline = &track.timeline;
        self.segment = timeline.segment_at(time);
        let Some(segment) = timeline.segments.get(self.segment) else {
            return Ok(None);
        };
        let mut media = timeline.media_at(segment, time);
        if let Some(end) = segment.media_end {
            media = media.min(end.saturating_sub(1));
        }
        if !self.cursor.seek(media, &mut self.budget)? {
            self.cursor.seek_first_sync(&mut self.budget)?;
        }
        self.entered = true;
        (self.at_start, self.heard_from, self.last) = (None, None, None);
        let mut ahead = self.cursor.clone();
        let Some(next) = ahead.next_filled(&mut self.budget)? else {
            return Ok(None);
        };
        let shown = self.shown(track, segment, &next, &ahead);
        if track.is_audio {
            self.settle(track, &next)?;
        }
        Ok(Some(timeline.micros(segment, shown.start)))
    }

    /// Moves back from the sample that was sought, as far as its decoder needs to have settled there.
    fn settle(&mut self, track: &Mp4Track, target: &Sample) -> Result<(), DemuxError> {
        let pre_roll = pre_roll(track);
        if pre_roll == 0 {
            return Ok(());
        }
        let sought = self.cursor.clone();
        match self.move_before(track, target, pre_roll) {
            Ok(true) => self.heard_from = Some(target.decode_time),
            Ok(false) => self.cursor = sought,
            // A stream that has let go of what stood before.
            Err(DemuxError::Io(error)) if error.kind() == ErrorKind::Unsupported => {
                self.cursor = sought;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Moves to the sample that lies `pre_roll` ticks before `target`, or the first one; false where there is none.
    fn move_before(
        &mut self,
        track: &Mp4Track,
        target: &Sample,
        pre_roll: i64,
    ) -> Result<bool, DemuxError> {
        let from = target.composition_time.saturating_sub(pre_roll);
        if !self.cursor.seek(from, &mut self.budget)? {
            self.cursor.rewind();
        }
        loop {
            let here = self.cursor.clone();
            let Some(sample) = self.cursor.next()? else {
                return Ok(false);
            };
            if sample.decode_time >= target.decode_time {
                return Ok(false);
            }
            // What another decoder takes is no use to this one.
            if track.descriptions.several && sample.description != target.description {
                self.budget.spend(1)?;
                self.cursor.pass_alike();
                continue;
            }
            let source = &*self.demuxer.file.source;
            if !source.is_seekable() {
                source::read_bytes(source, sample.offset, 1)?;
            }
            self.cursor = here;
            return Ok(true);
        }
    }
}

/// How long before a packet of sound its decoder starts, in ticks of the media.
fn pre_roll(track: &Mp4Track) -> i64 {
    let hidden = track.public.encryption.as_ref();
    let codec = (track.public.codec.as_deref())
        .or_else(|| hidden.and_then(|encryption| encryption.original_codec.as_deref()));
    match (codec, &track.public.kind) {
        (Some(codec), TrackKind::Audio { sample_rate, .. }) => {
            i64::from(track.media_scale) * pre_roll_ms(codec, *sample_rate) / 1000
        }
        _ => 0,
    }
}

impl PacketReader for Mp4PacketReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.budget = Budget::new(self.demuxer.file.len);
        let track = self.demuxer.movie.tracks.get(self.index);
        if track.is_some_and(|track| track.descriptions.several) {
            self.entry = None;
            self.config = None;
        }
        let result = self.seek_to(time);
        self.failed = result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        let result = self.advance();
        self.failed = result.is_err();
        result
    }
}
