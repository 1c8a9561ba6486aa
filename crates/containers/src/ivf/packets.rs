//! The packets of the file.

use std::io::ErrorKind;
use std::sync::{Arc, PoisonError};

use reelcore_media::demux::{DemuxError, Packet, PacketReader};
use reelcore_media::{ChunkKind, EncodedChunk};

use super::IvfDemuxer;
use super::frames::Frame;
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// Reads the packets; see [`PacketReader`].
pub(crate) struct IvfPacketReader {
    demuxer: Arc<IvfDemuxer>,
    window: Window,
    /// Byte offset of the next frame's header.
    at: u64,
    /// Microseconds between the last two frames: the last frame of the file has no next one.
    step: Option<u64>,
    /// Byte offset and time of the last key frame that was read.
    last_key: Option<(u64, i64)>,
    failed: bool,
}

impl IvfPacketReader {
    pub(crate) fn new(demuxer: Arc<IvfDemuxer>) -> Self {
        Self {
            window: demuxer.window.another(),
            at: demuxer.frames.start,
            demuxer,
            step: None,
            last_key: None,
            failed: false,
        }
    }

    fn ahead(&self) -> usize {
        if self.window.is_seekable() {
            AHEAD
        } else {
            AHEAD_SPARSE
        }
    }

    fn advance(&mut self) -> Result<Option<Packet>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let frames = &demuxer.frames;
        let ahead = self.ahead();
        let Some(frame) = frames.at(&mut self.window, self.at, ahead)? else {
            return Ok(None);
        };
        let data = self.window.take(frame.data, frame.size, ahead)?;
        if data.len() < frame.size {
            return Err(DemuxError::Invalid {
                offset: frame.data,
                message: format!(
                    "expected a packet of {} bytes, the source has {} bytes left",
                    frame.size,
                    data.len()
                ),
            });
        }
        let key = frames.is_key(&mut self.window, &frame, ahead)?;
        let timestamp = frames.micros(frame.time);
        if key {
            self.last_key = Some((self.at, timestamp));
        }
        self.at = frame.end();
        let duration = match frames.at(&mut self.window, self.at, ahead) {
            Ok(Some(next)) => {
                let step = frames
                    .micros(next.time)
                    .checked_sub(timestamp)
                    .and_then(|micros| u64::try_from(micros).ok())
                    .filter(|&micros| micros > 0);
                self.step = step;
                step
            }
            // What is wrong with the next one is said when it is read.
            _ => self.step,
        };
        Ok(Some(Packet {
            chunk: EncodedChunk {
                kind: if key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp,
                duration,
                data,
                side: None,
            },
            decode_time: timestamp,
            offset: frame.data,
            presented: true,
            encryption: None,
            config: None,
        }))
    }

    /// The last key frame at or before `time` among those from `at`, else the first: its byte offset and time.
    fn scan(&mut self, mut at: u64, time: i64) -> Result<Option<(u64, i64)>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let frames = &demuxer.frames;
        let mut best = None;
        loop {
            let found = frames.at(&mut self.window, at, AHEAD_SPARSE);
            let frame: Frame = match (found, best) {
                (Ok(Some(frame)), _) => frame,
                (Ok(None), _) => return Ok(best),
                // What stands before a broken place can be had.
                (Err(DemuxError::Invalid { .. } | DemuxError::Limit(_)), Some(best)) => {
                    return Ok(Some(best));
                }
                (Err(error), _) => return Err(error),
            };
            let micros = frames.micros(frame.time);
            if micros > time && best.is_some() {
                return Ok(best);
            }
            if frames.is_key(&mut self.window, &frame, AHEAD_SPARSE)? {
                best = Some((at, micros));
            }
            at = frame.end();
        }
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let from = if self.window.is_seekable() {
            let mut index = demuxer.index.lock().unwrap_or_else(PoisonError::into_inner);
            index.before(&demuxer.frames, time)?
        } else {
            // A stream may not have kept its start.
            self.last_key
                .filter(|(_, key_time)| *key_time <= time)
                .map(|(at, _)| at)
        };
        let found = match self.scan(from.unwrap_or(demuxer.frames.start), time) {
            Err(DemuxError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => None,
            found => found?,
        };
        self.step = None;
        let Some((at, micros)) = found else {
            self.failed = true;
            return Ok(None);
        };
        self.at = at;
        Ok(Some(micros))
    }
}

impl PacketReader for IvfPacketReader {
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
