//! Native FLAC (RFC 9639).

mod frames;
pub(crate) mod header;
mod mux;
mod subframes;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, Source, TrackKind};

use self::frames::{Frames, MAX_POINTS};
use self::header::{MAX_HEADER, STREAM_INFO, StreamInfo};
pub use self::mux::FlacMuxer;
use crate::Limits;
use crate::audio::file::{AudioFile, Framing, Opened, Position, Total, audio_demuxer, track};
use crate::audio::tags::Tags;
use crate::audio::{comments, id3, invalid, tail};
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// Bytes of a block of comments that are read, at most; what is behind them is left out.
const MAX_COMMENTS: u64 = 1 << 20;

/// Bytes of a seek point.
const POINT: usize = 18;

/// Whether the bytes at the start of a source, behind any ID3v2 tag, can be FLAC.
pub fn probe(head: &[u8]) -> bool {
    head.starts_with(b"fLaC")
}

audio_demuxer!(
    /// An opened FLAC file.
    FlacDemuxer,
    "flac"
);

impl FlacDemuxer {
    /// Opens a FLAC file: reads its metadata blocks. Pictures are passed over.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not FLAC.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let mut foreign = Tags::default();
        let begin = id3::read_all(&mut window, 0, &mut foreign)?;
        if !probe(window.peek(begin, 4, AHEAD_SPARSE)?) {
            return Err(invalid(begin, "expected \"fLaC\""));
        }
        let mut blocks = Blocks::default();
        let start = blocks.read(&mut window, begin + 4)?;
        let Some((info, bytes)) = blocks.info else {
            return Err(invalid(
                begin + 4,
                "expected the block STREAMINFO, found none",
            ));
        };
        let end = tail::read(&mut window, start, &mut foreign)?;
        blocks.tags.extend(&foreign);
        let mut points: Vec<_> = blocks
            .points
            .iter()
            .filter_map(|point| {
                Some(Position {
                    at: start.checked_add(point.at)?,
                    sample: point.sample,
                    setup: 0,
                })
            })
            .collect();
        // A table that is not in order is none.
        if !points.is_sorted_by(|a, b| a.sample < b.sample && a.at < b.at) {
            points.clear();
        }
        let max_frame = usize::try_from(limits.max_packet_bytes).unwrap_or(usize::MAX);
        let mut frames = Frames {
            max_frame: info.max_frame().min(max_frame),
            info,
            start: Position {
                at: start,
                ..Position::default()
            },
            end,
            points,
        };
        // A stream that was cut out of another begins later.
        let first = header::parse(window.peek(start, MAX_HEADER, AHEAD_SPARSE)?, &info);
        frames.start.sample = first.map_or(0, |first| first.sample);
        let total = match info.samples {
            Some(samples) => Some(frames.start.sample.saturating_add(samples)),
            None if window.is_seekable() => last_sample(&frames, &mut window)?,
            None => None,
        };
        let mut track = track(
            TrackKind::Audio {
                sample_rate: info.rate,
                channels: info.channels,
            },
            Some("flac"),
        );
        track.description = Some(StreamInfo::description(&bytes).into());
        let file = AudioFile::new(
            Opened {
                window,
                framing: Box::new(frames),
                rate: info.rate,
                track,
                tags: blocks.tags,
            },
            limits,
            total.map_or(Total::Unknown, Total::Samples),
            0,
            None,
        )?;
        Ok(Self(Arc::new(file)))
    }
}

/// The samples up to the end, where the header does not give them.
fn last_sample(frames: &Frames, window: &mut Window) -> Result<Option<u64>, DemuxError> {
    let Some(mut place) = frames.locate(window, u64::MAX)? else {
        return Ok(None);
    };
    loop {
        match frames.frame(window, place, AHEAD) {
            Ok(Some(frame)) => place = frame.next(),
            Ok(None) => return Ok((place.sample > 0).then_some(place.sample)),
            Err(DemuxError::Io(error)) => return Err(error.into()),
            // What is broken is found again when it is read.
            Err(_) => return Ok((place.sample > 0).then_some(place.sample)),
        }
    }
}

/// What the metadata blocks say (section 8).
#[derive(Default)]
struct Blocks {
    info: Option<(StreamInfo, Bytes)>,
    tags: Tags,
    /// Byte offsets count from the first frame.
    points: Vec<Position>,
}

impl Blocks {
    /// Reads the blocks from `at` on; returns where the frames begin.
    fn read(&mut self, window: &mut Window, mut at: u64) -> Result<u64, DemuxError> {
        loop {
            let head = window.peek(at, 4, AHEAD_SPARSE)?;
            let Some(&[kind, a, b, c]) = head.first_chunk::<4>() else {
                return Err(invalid(
                    at,
                    format!("expected a metadata block, found {} bytes", head.len()),
                ));
            };
            let size = u32::from_be_bytes([0, a, b, c]);
            let body = at + 4;
            let next = body + u64::from(size);
            match kind & 0x7f {
                0 => {
                    let bytes = window.take(body, STREAM_INFO, AHEAD_SPARSE)?;
                    let info = StreamInfo::parse(&bytes).filter(|_| size as usize >= STREAM_INFO);
                    let Some(info) = info else {
                        return Err(invalid(
                            body,
                            format!(
                                "expected STREAMINFO of {STREAM_INFO} bytes with a rate, found {size} bytes"
                            ),
                        ));
                    };
                    self.info = Some((info, Bytes::copy_from_slice(&bytes)));
                }
                _ if self.info.is_none() => {
                    return Err(invalid(
                        at,
                        format!("expected the block STREAMINFO, found one of type {kind}"),
                    ));
                }
                3 => self.seek_table(window, body, size)?,
                4 => {
                    let size = u64::from(size).min(MAX_COMMENTS);
                    let bytes =
                        window.take(body, usize::try_from(size).unwrap_or(0), AHEAD_SPARSE)?;
                    comments::read(&bytes, &mut self.tags);
                }
                127 => {
                    return Err(invalid(
                        at,
                        "expected a metadata block, found the forbidden type 127",
                    ));
                }
                _ => {}
            }
            at = next;
            if kind & 0x80 != 0 {
                return Ok(at);
            }
        }
    }

    fn seek_table(&mut self, window: &mut Window, at: u64, size: u32) -> Result<(), DemuxError> {
        let count = (size as usize / POINT).min(MAX_POINTS);
        let bytes = window.take(at, count * POINT, AHEAD_SPARSE)?;
        for point in bytes.as_chunks::<POINT>().0 {
            let (sample, rest) = point.split_at(8);
            let number = |bytes: &[u8]| {
                bytes
                    .first_chunk()
                    .map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes))
            };
            // All ones is a placeholder.
            if number(sample) != u64::MAX {
                self.points.push(Position {
                    at: number(rest),
                    sample: number(sample),
                    setup: 0,
                });
            }
        }
        Ok(())
    }
}
