//! Decoded audio.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::MediaError;
use crate::format::SampleFormat;
use crate::frame::Lease;

/// A run of decoded audio. Cloning shares the samples.
#[derive(Clone, Debug)]
pub struct AudioData {
    /// How samples are stored.
    pub format: SampleFormat,
    /// Frames (one sample of each channel) a second.
    pub sample_rate: f32,
    /// Number of frames.
    pub frames: u32,
    /// Number of channels.
    pub channels: u32,
    /// Presentation time in microseconds.
    pub timestamp: i64,
    /// The samples: one entry for interleaved formats, one a channel for planar ones.
    /// Native byte order; not aligned to more than a byte.
    pub planes: Vec<Bytes>,
    /// The engine's count of outputs in flight; `None` for audio that no decoder made.
    pub lease: Option<Arc<Lease>>,
}

impl AudioData {
    /// Audio over one buffer: interleaved frames, or one channel after another for planar formats.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when `data` is shorter than
    /// `frames * channels` samples, or either is 0.
    pub fn new(
        format: SampleFormat,
        sample_rate: f32,
        frames: u32,
        channels: u32,
        timestamp: i64,
        data: Bytes,
    ) -> Result<Self, MediaError> {
        let plane = (frames as usize).checked_mul(format.sample_bytes());
        let total = plane.and_then(|bytes| bytes.checked_mul(channels as usize));
        let (Some(plane), Some(total)) = (plane, total) else {
            return Err(MediaError::argument(format!(
                "{frames} frames of {channels} channels exceed the address space"
            )));
        };
        if total == 0 || data.len() < total {
            return Err(MediaError::argument(format!(
                "{frames} frames of {channels} channels need {total} bytes of {}, {} were given",
                format.as_str(),
                data.len()
            )));
        }
        let planes = if format.is_planar() {
            (0..channels as usize)
                .map(|c| data.slice(c * plane..(c + 1) * plane))
                .collect()
        } else {
            vec![data.slice(..total)]
        };
        Ok(Self {
            format,
            sample_rate,
            frames,
            channels,
            timestamp,
            planes,
            lease: None,
        })
    }

    /// Audio over one buffer for each channel, for planar formats.
    ///
    /// # Errors
    /// As [`AudioData::new`], for the shortest of `planes`; also when `format` is interleaved.
    pub fn from_planes(
        format: SampleFormat,
        sample_rate: f32,
        frames: u32,
        timestamp: i64,
        planes: Vec<Bytes>,
    ) -> Result<Self, MediaError> {
        let bytes = (frames as usize).checked_mul(format.sample_bytes());
        let shortest = planes.iter().map(Bytes::len).min().unwrap_or(0);
        let Some(bytes) = bytes.filter(|&bytes| bytes > 0 && bytes <= shortest) else {
            return Err(MediaError::argument(format!(
                "{frames} frames of {} do not fit planes of {shortest} bytes",
                format.as_str()
            )));
        };
        if !format.is_planar() {
            return Err(MediaError::argument(format!(
                "expected a planar format, found {}",
                format.as_str()
            )));
        }
        Ok(Self {
            format,
            sample_rate,
            frames,
            channels: planes.len() as u32,
            timestamp,
            planes: planes.iter().map(|plane| plane.slice(..bytes)).collect(),
            lease: None,
        })
    }

    /// The part of `count` frames from frame `start` on, without a copy; `None` when that is empty or goes past the
    /// end. The timestamp moves along, rounded to the nearest microsecond.
    pub fn slice(&self, start: u32, count: u32) -> Option<Self> {
        let end = start.checked_add(count).filter(|&end| end <= self.frames)?;
        if count == 0 {
            return None;
        }
        let width = if self.format.is_planar() {
            1
        } else {
            self.channels as usize
        };
        let bytes = |frames: u32| frames as usize * self.format.sample_bytes() * width;
        let micros = f64::from(start) * 1_000_000.0 / f64::from(self.sample_rate);
        Some(Self {
            frames: count,
            timestamp: self.timestamp.saturating_add(micros.round() as i64),
            planes: self
                .planes
                .iter()
                .map(|plane| plane.slice(bytes(start)..bytes(end)))
                .collect(),
            ..self.clone()
        })
    }

    /// The duration in microseconds, rounded down.
    /// <https://w3c.github.io/webcodecs/#dom-audiodata-duration>
    pub fn duration(&self) -> u64 {
        (f64::from(self.frames) * 1_000_000.0 / f64::from(self.sample_rate)) as u64
    }

    /// Bytes of all samples.
    pub fn byte_size(&self) -> usize {
        self.planes.iter().map(Bytes::len).sum()
    }
}

/// The timestamps of several outputs of one chunk: the chunk's, plus the exact duration of the frames before, rounded
/// down to a microsecond.
#[derive(Clone, Copy, Debug)]
pub struct OutputClock {
    start: i64,
    frames: u64,
    sample_rate: f32,
}

impl OutputClock {
    /// Starts at a chunk's timestamp, in microseconds.
    pub fn new(timestamp: i64) -> Self {
        Self {
            start: timestamp,
            frames: 0,
            sample_rate: 0.0,
        }
    }

    /// The timestamp of the next output, in microseconds.
    pub fn now(&self) -> i64 {
        if self.frames == 0 {
            return self.start;
        }
        let micros = self.frames as f64 * 1_000_000.0 / f64::from(self.sample_rate);
        self.start.saturating_add(micros as i64)
    }

    /// Moves past an output of `frames` frames at `sample_rate` frames a second.
    pub fn advance(&mut self, frames: u32, sample_rate: f32) {
        if sample_rate != self.sample_rate {
            *self = Self {
                start: self.now(),
                frames: 0,
                sample_rate,
            };
        }
        self.frames += u64::from(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_within_a_chunk_do_not_add_up_rounding() {
        let mut clock = OutputClock::new(-7);
        let mut times = Vec::new();
        for rate in [44_100.0, 44_100.0, 44_100.0, 48_000.0, 48_000.0] {
            times.push(clock.now());
            clock.advance(1152, rate);
        }
        assert_eq!(times, [-7, 26_115, 52_237, 78_360, 102_360]);
        let mut clock = OutputClock::new(i64::MAX);
        clock.advance(u32::MAX, 1.0);
        assert_eq!(clock.now(), i64::MAX);
    }

    #[test]
    fn planar_channels_lie_one_after_another() {
        let data = Bytes::from_static(&[1, 2, 3, 4, 5, 6]);
        let audio = AudioData::new(SampleFormat::U8Planar, 8000.0, 3, 2, 0, data.clone()).unwrap();
        assert_eq!(
            audio.planes,
            [
                Bytes::from_static(&[1, 2, 3]),
                Bytes::from_static(&[4, 5, 6])
            ]
        );
        assert_eq!(audio.duration(), 375);
        assert!(AudioData::new(SampleFormat::U8Planar, 8000.0, 4, 2, 0, data.clone()).is_err());
        assert!(AudioData::new(SampleFormat::S32, 8000.0, u32::MAX, u32::MAX, 0, data).is_err());
    }

    #[test]
    fn a_slice_keeps_time_and_channels_together() {
        let data = Bytes::from_static(&[1, 2, 3, 4, 5, 6]);
        let interleaved = AudioData::new(SampleFormat::U8, 8000.0, 3, 2, 10, data.clone()).unwrap();
        let part = interleaved.slice(1, 2).unwrap();
        assert_eq!(
            (part.frames, part.timestamp, &part.planes[0][..]),
            (2, 135, &[3, 4, 5, 6][..])
        );
        let planes = vec![data.slice(..3), data.slice(3..)];
        let planar = AudioData::from_planes(SampleFormat::U8Planar, 8000.0, 3, 10, planes).unwrap();
        let part = planar.slice(2, 1).unwrap();
        assert_eq!(part.planes, [data.slice(2..3), data.slice(5..6)]);
        assert!(planar.slice(1, 3).is_none() && planar.slice(0, 0).is_none());
        assert!(planar.slice(u32::MAX, u32::MAX).is_none());
    }
}
