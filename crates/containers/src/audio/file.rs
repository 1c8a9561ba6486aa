//! A file that is one stream of frames of sound, each of a known number of samples: the demuxer and its reader.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use reelcore_media::demux::{DemuxError, Packet, PacketReader, Track, TrackConfig};
use reelcore_media::{ChunkKind, EncodedChunk, SideData};

use super::index::Index;
use super::tags::Tags;
use super::{WHOLE, invalid, last_sample_at, length, micros};
use crate::Limits;
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// Frames before one that can be needed to decode it, at most.
pub(crate) const MAX_LEAD: usize = 32;

/// Bytes that are looked through at opening for the length of a file whose header does not give it. The rest of a longer
/// file is taken to be like its start.
const MAX_SCAN: u64 = 32 << 20;

/// A place between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Byte offset.
    pub(crate) at: u64,
    /// Samples before it.
    pub(crate) sample: u64,
    /// As [`Frame::setup`], of the frames there.
    pub(crate) setup: u32,
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Byte offset.
    pub(crate) at: u64,
    /// In bytes.
    pub(crate) size: usize,
    /// Samples before it.
    pub(crate) sample: u64,
    /// Samples in it.
    pub(crate) samples: u32,
    /// A number for what its decoder is configured with; one of the format's own, where frames can differ in it.
    pub(crate) setup: u32,
}

impl Frame {
    pub(crate) fn position(&self) -> Position {
        Position {
            at: self.at,
            sample: self.sample,
            setup: self.setup,
        }
    }

    /// The place after it.
    pub(crate) fn next(&self) -> Position {
        Position {
            at: self.at.saturating_add(self.size as u64),
            sample: self.end(),
            setup: self.setup,
        }
    }

    /// Samples up to its end.
    pub(crate) fn end(&self) -> u64 {
        self.sample.saturating_add(u64::from(self.samples))
    }
}

/// How a format divides its bytes into frames.
pub(crate) trait Framing: Send + Sync {
    /// The place before the first frame.
    fn start(&self) -> Position;

    /// The first frame at or after `from`; `None` at the end. A frame may be longer than the source.
    fn frame(
        &self,
        window: &mut Window,
        from: Position,
        ahead: usize,
    ) -> Result<Option<Frame>, DemuxError>;

    /// A place at or before the frame that holds `sample`, where the format has a way of its own to it. `None`: by an
    /// index of all frames.
    fn locate(&self, window: &mut Window, sample: u64) -> Result<Option<Position>, DemuxError> {
        let _ = (window, sample);
        Ok(None)
    }

    /// What a decoder is configured with from the frame on whose bytes these are; for frames of another
    /// [`setup`](Frame::setup) than the first alone.
    fn config(&self, data: &[u8]) -> Option<TrackConfig> {
        let _ = data;
        None
    }

    /// How many samples before a frame [`Framing::lead`] looks at, at most; with an index alone.
    fn max_lead(&self) -> u64 {
        0
    }

    /// How many of the frames in `before`, the nearest last, a decoder that starts needs to decode the one at `frame`.
    fn lead(
        &self,
        window: &mut Window,
        before: &VecDeque<Frame>,
        frame: &Frame,
    ) -> Result<usize, DemuxError> {
        let _ = (window, before, frame);
        Ok(0)
    }
}

/// An opened file.
pub(crate) struct AudioFile {
    pub(crate) window: Window,
    pub(crate) framing: Box<dyn Framing>,
    pub(crate) rate: u32,
    /// Samples of encoder and decoder delay at the start: they are before time 0.
    pub(crate) skip: u64,
    /// The samples of the padding, which end where the sound does whose header counts them. More may follow in files
    /// that were put together.
    pub(crate) padding: Option<Range<u64>>,
    pub(crate) limits: Limits,
    pub(crate) track: [Track; 1],
    pub(crate) tags: Tags,
    pub(crate) index: Mutex<Index>,
}

impl std::fmt::Debug for AudioFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioFile")
            .field("track", &self.track)
            .field("skip", &self.skip)
            .field("padding", &self.padding)
            .finish_non_exhaustive()
    }
}

/// What is found out before a file is opened.
pub(crate) struct Opened {
    pub(crate) window: Window,
    pub(crate) framing: Box<dyn Framing>,
    pub(crate) rate: u32,
    pub(crate) track: Track,
    pub(crate) tags: Tags,
}

/// How long a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    /// Its frames have so many samples.
    Samples(u64),
    /// It has to be looked through.
    Scan,
    /// It is not known.
    Unknown,
}

impl AudioFile {
    /// `skip` and `padding` as in [`AudioFile`].
    pub(crate) fn new(
        opened: Opened,
        limits: &Limits,
        total: Total,
        skip: u64,
        padding: Option<Range<u64>>,
    ) -> Result<Self, DemuxError> {
        let Opened {
            window,
            framing,
            rate,
            mut track,
            tags,
        } = opened;
        let start = framing.start();
        let mut index = Index::new(window.another(), start);
        let total = match total {
            Total::Samples(samples) => Some(samples),
            Total::Scan if window.is_seekable() => {
                let (reached, frames, ended) = index.scan(&*framing, MAX_SCAN)?;
                let samples = reached.sample.saturating_sub(start.sample);
                if ended {
                    track.samples = Some(frames);
                    Some(reached.sample)
                } else {
                    let seen = u128::from(reached.at.saturating_sub(start.at)).max(1);
                    let all =
                        u128::from(window.len().unwrap_or(reached.at).saturating_sub(start.at));
                    let all = u128::from(samples) * all / seen;
                    u64::try_from(all)
                        .ok()
                        .map(|all| all.saturating_add(start.sample))
                }
            }
            Total::Scan | Total::Unknown => None,
        };
        let heard = total.map(|total| match &padding {
            Some(padding) if total <= padding.end => padding.start.min(total),
            _ => total,
        });
        let heard = heard.map(|heard| heard.saturating_sub(start.sample.max(skip)));
        track.duration = heard
            .and_then(|heard| i64::try_from(heard).ok())
            .and_then(|heard| u64::try_from(micros(heard, rate)).ok());
        Ok(Self {
            window: window.another(),
            framing,
            rate,
            skip,
            padding,
            limits: limits.clone(),
            track: [track],
            tags,
            index: Mutex::new(index),
        })
    }

    /// The time of a sample in microseconds.
    fn time(&self, sample: u64) -> i64 {
        let sample = i128::from(sample) - i128::from(self.skip);
        micros(i64::try_from(sample).unwrap_or(i64::MAX), self.rate)
    }
}

/// Reads the packets; see [`PacketReader`].
pub(crate) struct FileReader {
    file: Arc<AudioFile>,
    window: Window,
    /// Frames that were found and not yet given.
    queue: VecDeque<Frame>,
    next: Position,
    /// Frames before this sample only prepare the decoder.
    heard_from: u64,
    /// Of the packet that was given last, at first as the track is.
    setup: u32,
    /// Packets have come that are not as the track is.
    several: bool,
    /// The next packet is the first after a seek.
    sought: bool,
    failed: bool,
}

impl FileReader {
    pub(crate) fn new(file: Arc<AudioFile>, index: usize) -> Result<Self, DemuxError> {
        if index != 0 {
            return Err(DemuxError::Unsupported(format!("track {index} of 1")));
        }
        Ok(Self {
            window: file.window.another(),
            queue: VecDeque::new(),
            next: file.framing.start(),
            setup: file.framing.start().setup,
            file,
            heard_from: 0,
            several: false,
            sought: false,
            failed: false,
        })
    }

    fn ahead(&self) -> usize {
        if self.window.is_seekable() {
            AHEAD
        } else {
            AHEAD_SPARSE
        }
    }

    fn find(&mut self) -> Result<Option<Frame>, DemuxError> {
        let ahead = self.ahead();
        let frame = self
            .file
            .framing
            .frame(&mut self.window, self.next, ahead)?;
        if let Some(frame) = frame {
            self.next = frame.next();
        }
        Ok(frame)
    }

    /// Goes over to the set-up of `frame`. What to configure a decoder with, where that changes.
    fn configure(
        &mut self,
        frame: &Frame,
        data: &[u8],
    ) -> Result<Option<Arc<TrackConfig>>, DemuxError> {
        let own = self.file.framing.start().setup;
        self.several |= frame.setup != own;
        let sought = std::mem::take(&mut self.sought);
        let changed = std::mem::replace(&mut self.setup, frame.setup) != frame.setup;
        let told = changed || sought && self.several;
        if !told {
            return Ok(None);
        }
        let track = &self.file.track[0];
        if frame.setup == own {
            return Ok(Some(Arc::new(track.config())));
        }
        let config = self.file.framing.config(data);
        let fits = |config: &TrackConfig| config.codec.is_some() == track.codec.is_some();
        match config.filter(fits) {
            Some(config) => Ok(Some(Arc::new(config))),
            None => Err(DemuxError::Unsupported(format!(
                "another codec in the middle of the sound, at byte {}",
                frame.at
            ))),
        }
    }

    fn advance(&mut self) -> Result<Option<Packet>, DemuxError> {
        let frame = match self.queue.pop_front() {
            Some(frame) => frame,
            None => match self.find()? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        if frame.size as u64 > self.file.limits.max_packet_bytes {
            return Err(DemuxError::Limit(format!(
                "the packet at byte {} has {} bytes, the cap is {}",
                frame.at, frame.size, self.file.limits.max_packet_bytes
            )));
        }
        let ahead = self.ahead();
        let data = self.window.take(frame.at, frame.size, ahead)?;
        if data.len() < frame.size {
            return Err(invalid(
                frame.at,
                format!(
                    "expected a packet of {} bytes, the source has {} bytes left",
                    frame.size,
                    data.len()
                ),
            ));
        }
        let config = self.configure(&frame, &data)?;
        let file = &*self.file;
        let samples = u64::from(frame.samples);
        let before = file.skip.saturating_sub(frame.sample).min(samples);
        let padding = file.padding.as_ref();
        let after = padding
            .filter(|padding| frame.end() <= padding.end)
            .map_or(0, |padding| frame.end().saturating_sub(padding.start))
            .min(samples);
        let heard = before + after < samples && frame.sample >= self.heard_from;
        let side = SideData {
            discard_start: if heard {
                length(before, file.rate)
            } else {
                WHOLE
            },
            discard_end: if heard {
                length(after, file.rate)
            } else {
                Default::default()
            },
            ..SideData::default()
        };
        let timestamp = file.time(frame.sample);
        let shown = if heard { samples - after } else { samples };
        let duration = file
            .time(frame.sample.saturating_add(shown))
            .abs_diff(timestamp);
        Ok(Some(Packet {
            chunk: EncodedChunk {
                kind: ChunkKind::Key,
                timestamp,
                duration: Some(duration),
                data,
                side: (side != SideData::default()).then(|| Arc::new(side)),
            },
            decode_time: timestamp,
            offset: frame.at,
            presented: heard,
            encryption: None,
            config,
        }))
    }

    /// Where to walk from to the frame that holds `sample`.
    fn from(&mut self, sample: u64) -> Result<Position, DemuxError> {
        let file = Arc::clone(&self.file);
        let framing = &*file.framing;
        if !self.window.is_seekable() {
            // Back to the start only where it must be: a stream may not have kept it.
            let here = self.queue.front().map_or(self.next, Frame::position);
            return Ok(if here.sample <= sample {
                here
            } else {
                framing.start()
            });
        }
        let found = match framing.locate(&mut self.window, sample)? {
            None => {
                let mut index = file.index.lock().unwrap_or_else(PoisonError::into_inner);
                index.before(framing, sample, framing.max_lead())?
            }
            found => found,
        };
        Ok(found.unwrap_or(framing.start()))
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let file = Arc::clone(&self.file);
        let target = i128::from(last_sample_at(time, file.rate)) + i128::from(file.skip);
        let target = u64::try_from(target.max(0)).unwrap_or(u64::MAX);
        self.next = self.from(target)?;
        self.queue.clear();
        let mut before = VecDeque::with_capacity(MAX_LEAD + 1);
        let mut past = None;
        loop {
            let frame = match self.find() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // What stands before a broken place can be had.
                Err(DemuxError::Invalid { .. } | DemuxError::Limit(_)) if !before.is_empty() => {
                    break;
                }
                Err(DemuxError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            };
            if frame.sample > target && !before.is_empty() {
                past = Some(frame);
                break;
            }
            if before.len() > MAX_LEAD {
                before.pop_front();
            }
            before.push_back(frame);
            if frame.sample > target {
                break;
            }
        }
        let Some(frame) = before.pop_back() else {
            self.failed = true;
            return Ok(None);
        };
        let alike = before.iter().rev();
        let alike = alike.take_while(|lead| lead.setup == frame.setup).count();
        let lead = file.framing.lead(&mut self.window, &before, &frame)?;
        let lead = lead.min(alike);
        self.queue
            .extend(before.iter().skip(before.len().saturating_sub(lead)));
        self.queue.push_back(frame);
        self.queue.extend(past);
        self.heard_from = frame.sample;
        self.sought = true;
        Ok(Some(file.time(frame.sample)))
    }
}

impl PacketReader for FileReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.failed = false;
        let result = self.seek_to(time);
        self.failed |= result.is_err();
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

/// The demuxer of a format whose files are an [`AudioFile`].
macro_rules! audio_demuxer {
    ($(#[$doc:meta])* $name:ident, $container:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(std::sync::Arc<$crate::audio::file::AudioFile>);

        impl reelcore_media::demux::Demuxer for $name {
            fn container(&self) -> &'static str {
                $container
            }

            fn duration(&self) -> Option<u64> {
                self.0.track[0].duration
            }

            fn tracks(&self) -> &[reelcore_media::demux::Track] {
                &self.0.track
            }

            fn tags(&self) -> &[(String, String)] {
                self.0.tags.list()
            }

            fn reader(
                self: std::sync::Arc<Self>,
                index: usize,
            ) -> Result<Box<dyn reelcore_media::demux::PacketReader>, reelcore_media::demux::DemuxError> {
                let file = std::sync::Arc::clone(&self.0);
                Ok(Box::new($crate::audio::file::FileReader::new(file, index)?))
            }
        }
    };
}
pub(crate) use audio_demuxer;

/// A track of sound, of which nothing more is known yet.
pub(crate) fn track(kind: reelcore_media::demux::TrackKind, codec: Option<&str>) -> Track {
    Track {
        id: 1,
        kind,
        codec: codec.map(str::to_owned),
        description: None,
        language: None,
        name: None,
        encryption: None,
        duration: None,
        samples: None,
    }
}
