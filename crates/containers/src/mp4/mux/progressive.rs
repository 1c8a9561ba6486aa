//! One file: the samples in `mdat`, their tables in `moov`, before it or behind it.
//!
//! A sink that cannot seek gets `moov` first, which is known last: all of the samples are kept in memory until then.

use bytes::Bytes;
use reelcore_media::mux::{MuxError, MuxOptions, Sink};

use super::boxes::{Boxes, mdat_header};
use super::movie::{Edit, TrackView, moov};
use super::table::{Table, Times};
use super::time;
use super::track::{MuxTrack, Sample};

/// Samples of one track that stand together: half a second, or a MiB.
const CHUNK_MICROS: i64 = 500_000;
const CHUNK_BYTES: usize = 1 << 20;

/// `free` of 8 bytes and the header of `mdat`: together the room for a header with a size of 64 bits.
const MDAT: &[u8; 16] = b"\0\0\0\x08free\0\0\0\0mdat";

/// What is written of a progressive file.
#[derive(Debug, Default)]
pub(super) struct Progressive {
    /// Bytes of `ftyp`, once it is written.
    started: Option<u64>,
    /// The samples, where the sink cannot seek.
    kept: Option<Vec<Bytes>>,
    /// Bytes of samples that were written or kept.
    media: u64,
    tracks: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    table: Table,
    /// The chunk that grows.
    chunk: Vec<Bytes>,
    bytes: usize,
    samples: u32,
    /// Decode time of its first sample, in microseconds.
    start: i64,
    entry: usize,
    /// Where the sound of the last sample ends that is to be heard, in ticks, where that is not its end.
    trim: Option<i64>,
    /// In microseconds.
    first_duration: Option<i64>,
}

impl Progressive {
    fn start(&mut self, tracks: &[MuxTrack], sink: &mut dyn Sink) -> Result<(), MuxError> {
        if self.started.is_some() {
            return Ok(());
        }
        let lane = |track: &MuxTrack| Lane {
            table: Table::new(Times::new(
                &time::scales(&track.output.kind),
                track.pcm_frame.is_some(),
            )),
            chunk: Vec::new(),
            bytes: 0,
            samples: 0,
            start: 0,
            entry: 0,
            trim: None,
            first_duration: None,
        };
        self.tracks = tracks.iter().map(lane).collect();
        let ftyp = ftyp()?;
        self.started = Some(ftyp.len() as u64);
        match sink.is_seekable() {
            true => sink.write([&ftyp[..], MDAT].concat().into())?,
            false => self.kept = Some(Vec::new()),
        }
        Ok(())
    }

    /// Adds a sample of the track at `index`.
    pub(super) fn sample(
        &mut self,
        index: usize,
        tracks: &[MuxTrack],
        sample: Sample,
        options: &MuxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.start(tracks, sink)?;
        let (Some(track), Some(lane)) = (tracks.get(index), self.tracks.get(index)) else {
            return Ok(());
        };
        let age = sample.time.decode.saturating_sub(lane.start);
        let full = lane.samples > 0
            && (age >= CHUNK_MICROS
                || lane.bytes.saturating_add(sample.data.len()) > CHUNK_BYTES
                || lane.entry != sample.entry);
        if full {
            self.end_chunk(index, sink)?;
        }
        let Some(lane) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        let times = &mut lane.table.times;
        if times.count == 0 {
            times.move_back(track.counts_kept());
        }
        let size = match track.pcm_frame {
            Some(frame) => frame,
            None => sample.data.len(),
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        lane.table.push(&sample.time, size, sample.key)?;
        let times = &lane.table.times;
        if lane.first_duration.is_none() {
            lane.first_duration = Some(sample.time.duration);
        }
        lane.trim = sample.heard_nanos.map(|nanos| {
            let start = times.tick(sample.time.present);
            start.saturating_add(time::ticks_of_nanos(nanos, times.scale))
        });
        if lane.samples == 0 {
            lane.start = sample.time.decode;
            lane.entry = sample.entry;
        }
        lane.samples = lane.samples.saturating_add(sample.time.frames);
        lane.bytes += sample.data.len();
        lane.chunk.push(sample.data);
        self.check(options)
    }

    /// Tables and kept samples are bounded.
    fn check(&self, options: &MuxOptions) -> Result<(), MuxError> {
        let tables: usize = self.tracks.iter().map(|lane| lane.table.bytes()).sum();
        let kept = self.kept.as_ref().map_or(0, |kept| {
            usize::try_from(self.media)
                .unwrap_or(usize::MAX)
                .saturating_add(kept.len() * size_of::<Bytes>())
        });
        let max = options.max_buffered_bytes;
        if tables.saturating_add(kept) <= max {
            return Ok(());
        }
        Err(MuxError::Limit(match self.kept {
            Some(_) => format!(
                "a progressive MP4 for a sink that cannot seek is kept in memory up to {max} bytes (max_buffered_bytes); fragments need not be"
            ),
            None => format!("the tables of the MP4 exceed {max} bytes (max_buffered_bytes)"),
        }))
    }

    fn end_chunk(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let Some(lane) = self.tracks.get_mut(index).filter(|lane| lane.samples > 0) else {
            return Ok(());
        };
        let entry = u32::try_from(lane.entry).unwrap_or(0).saturating_add(1);
        lane.table.push_chunk(self.media, lane.samples, entry);
        self.media = self.media.saturating_add(lane.bytes as u64);
        for data in lane.chunk.drain(..) {
            match &mut self.kept {
                Some(kept) => kept.push(data),
                None => sink.write(data)?,
            }
        }
        (lane.samples, lane.bytes) = (0, 0);
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(
        &mut self,
        tracks: &[MuxTrack],
        options: &MuxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.start(tracks, sink)?;
        for index in 0..tracks.len() {
            self.end_chunk(index, sink)?;
        }
        let ftyp_len = self.started.unwrap_or(0);
        let views: Vec<TrackView<'_>> = tracks
            .iter()
            .zip(&self.tracks)
            .map(|(track, lane)| TrackView {
                track,
                scale: lane.table.times.scale,
                edit: edit(track, lane),
                media_duration: lane.table.times.duration(),
                table: Some(&lane.table),
                first_duration: time::ticks(
                    lane.first_duration.unwrap_or(0),
                    lane.table.times.scale,
                ),
            })
            .collect();
        let build = |media_start: u64| moov(&views, options, false, media_start);
        if let Some(kept) = self.kept.take() {
            let header = mdat_header(self.media);
            let moov = fitted(ftyp_len + header.len() as u64, build)?;
            sink.write([&ftyp()?[..], &moov, &header].concat().into())?;
            for data in kept {
                sink.write(data)?;
            }
            return Ok(());
        }
        match u32::try_from(self.media.saturating_add(8)) {
            Ok(size) => sink.patch(ftyp_len + 8, &size.to_be_bytes())?,
            // Over `free` and the short header.
            Err(_) => sink.patch(ftyp_len, &mdat_header(self.media))?,
        }
        let media_start = ftyp_len + MDAT.len() as u64;
        if options.fast_start {
            let moov = fitted(media_start, build)?;
            sink.insert(ftyp_len, &moov)?;
        } else {
            sink.write(build(media_start)?.into())?;
        }
        Ok(())
    }
}

/// `moov` before the samples, which it moves by its own size. `start` is where they would begin without it.
fn fitted(
    start: u64,
    build: impl Fn(u64) -> Result<Vec<u8>, MuxError>,
) -> Result<Vec<u8>, MuxError> {
    let mut moov = build(start)?;
    // Offsets that grow beyond 32 bits make it larger, for each track once.
    loop {
        let next = build(start.saturating_add(moov.len() as u64))?;
        if next.len() == moov.len() {
            return Ok(next);
        }
        moov = next;
    }
}

fn ftyp() -> Result<Vec<u8>, MuxError> {
    let mut boxes = Boxes::default();
    boxes.bx(b"ftyp", |b| {
        b.bytes(b"isom");
        b.u32(0x200);
        // iso4 for signed composition offsets, iso6 for groups of samples.
        b.bytes(b"isomiso2iso4iso6mp41");
    });
    boxes.finish()
}

/// What of the track is shown: from the first sound that is kept, or the first picture, but not before 0.
fn edit(track: &MuxTrack, lane: &Lane) -> Edit {
    let times = &lane.table.times;
    if times.count == 0 {
        return Edit {
            length: Some(0),
            ..Edit::default()
        };
    }
    let heard = track.heard.begins(times.scale, |micros| times.tick(micros));
    let start = heard
        .or_else(|| track.starts().map(|start| times.tick(start)))
        .unwrap_or(times.min_present)
        // Packets of sound whose times go back can lie before the media begins.
        .max(times.first_decode)
        .max(0);
    let cut = track.ends().map(|end| times.tick(end)).or(lane.trim);
    let end = cut.unwrap_or(times.max_end).min(times.max_end);
    let media_start = start.saturating_sub(times.first_decode);
    Edit {
        empty: start,
        media_start,
        length: Some(end.saturating_sub(start).max(0)),
        needed: start > 0 || media_start != 0 || end < times.max_end,
    }
}
