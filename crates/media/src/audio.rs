//! Decoded audio.

use bytes::Bytes;

use crate::error::MediaError;
use crate::format::SampleFormat;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
