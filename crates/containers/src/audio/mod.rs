//! What the demuxers of sound alone share: times in samples, tags, checksums, and the reader of a file that is one
//! stream of frames.

pub(crate) mod ape;
pub(crate) mod comments;
pub(crate) mod crc;
pub(crate) mod file;
pub(crate) mod genres;
pub(crate) mod id3;
mod index;
pub(crate) mod tags;
pub(crate) mod tail;
pub(crate) mod walk;

use std::sync::Arc;
use std::time::Duration;

use reelcore_media::demux::{DemuxError, Demuxer, Source};

use crate::window::{AHEAD_SPARSE, Window};
use crate::{Limits, PROBE_BYTES, adts, flac, mp3};

/// Said of a packet that is decoded and not heard: more than any packet lasts.
pub(crate) const WHOLE: Duration = Duration::from_secs(3600);

/// The error for content at `offset` that is not what the format prescribes.
pub(crate) fn invalid(offset: u64, message: impl Into<String>) -> DemuxError {
    DemuxError::Invalid {
        offset,
        message: message.into(),
    }
}

/// Bytes in which the first frame is looked for behind a tag, or behind the padding that a tag has left.
pub(crate) const MAX_BEFORE: usize = 64 << 10;

/// Opens what stands behind ID3v2 tags, or has no signature but frame headers; `None` where it is none of that. `head`
/// holds the first bytes of the source.
pub(crate) fn open(
    source: &Arc<dyn Source>,
    head: &[u8],
    limits: &Limits,
) -> Result<Option<Arc<dyn Demuxer>>, DemuxError> {
    let mut window = Window::new(Arc::clone(source))?;
    let tagged = id3::size(head).is_some();
    let begin = match tagged {
        true => id3::read_all(&mut window, 0, &mut tags::Tags::default())?,
        false => 0,
    };
    // Most begin at once: only where they do not is more of a stream waited for.
    for look in [PROBE_BYTES, MAX_BEFORE] {
        let behind = window.peek(begin, look, AHEAD_SPARSE)?;
        let behind = behind.get(..behind.len().min(look)).unwrap_or_default();
        if flac::probe(behind) {
            let source = Arc::clone(source);
            return Ok(Some(Arc::new(flac::FlacDemuxer::open(source, limits)?)));
        }
        if adts::probe(behind) {
            let source = Arc::clone(source);
            return Ok(Some(Arc::new(adts::AdtsDemuxer::open(source, limits)?)));
        }
        if mp3::probe(behind) {
            let source = Arc::clone(source);
            return Ok(Some(Arc::new(mp3::Mp3Demuxer::open(source, limits)?)));
        }
        let padded = behind.first() == Some(&0)
            && matches!(behind.iter().find(|&&byte| byte != 0), None | Some(0xff));
        if behind.len() < look || !(tagged || padded) {
            break;
        }
    }
    Ok(None)
}

/// The time of sample `samples` in microseconds: the nearest, halves upward.
pub(crate) fn micros(samples: i64, rate: u32) -> i64 {
    let rate = i128::from(rate.max(1));
    let micros = (i128::from(samples) * 2_000_000 + rate).div_euclid(2 * rate);
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

/// The last sample whose time, as [`micros`] gives it, is at or before `time`.
pub(crate) fn last_sample_at(time: i64, rate: u32) -> i64 {
    // micros(s) <= t  <=>  s * 2,000,000 < (2 t + 1) * rate
    let bound = (2 * i128::from(time) + 1) * i128::from(rate.max(1));
    let sample = (bound + 1_999_999).div_euclid(2_000_000) - 1;
    i64::try_from(sample).unwrap_or(if sample < 0 { i64::MIN } else { i64::MAX })
}

/// How long `samples` last, to the nearest nanosecond.
pub(crate) fn length(samples: u64, rate: u32) -> Duration {
    let rate = u128::from(rate.max(1));
    let nanos = (u128::from(samples) * 1_000_000_000 + rate / 2) / rate;
    u64::try_from(nanos).map_or(WHOLE, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sample_at_a_time_is_the_last_one() {
        for rate in [
            1, 7, 8000, 22_050, 44_100, 48_000, 192_000, 999_983, 2_000_000, 3_000_001,
        ] {
            for time in (-1000..1000).chain([i64::MAX / 4, 86_400_000_000, -86_400_000_001]) {
                let sample = last_sample_at(time, rate);
                assert!(micros(sample, rate) <= time, "{time} at {rate}");
                assert!(micros(sample + 1, rate) > time, "{time} at {rate}");
            }
            let _ = (
                last_sample_at(i64::MAX, rate),
                last_sample_at(i64::MIN, rate),
            );
        }
        assert_eq!(micros(-312, 48_000), -6500);
        assert_eq!(micros(1, 2_000_000), 1);
        assert_eq!(length(1105, 44_100), Duration::from_nanos(25_056_689));
    }
}
