//! Edit lists: from media time to presentation time, in microseconds.
//!
//! A time in microseconds is the exact rational time rounded to the nearest, halves upward. It is computed from
//! ticks in one step, never by adding up rounded values: nothing drifts. A duration is the difference of two
//! such times, so that packets that follow one another in ticks do so in microseconds.

use reelcore_media::demux::DemuxError;

use super::parse::Reader;

/// A stretch of the media that the presentation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Presentation time at which it begins, in ticks of the movie's time scale.
    start: u64,
    /// Media time that is shown first.
    pub(crate) media_start: i64,
    /// Media time at which it ends; `None` for the end of the media.
    pub(crate) media_end: Option<i64>,
}

/// The edit list of a track, with the two time scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) segments: Vec<Segment>,
    movie_scale: u32,
    media_scale: u32,
    /// Sum of the edits, in ticks of the movie; `None` where the last one goes to the end of the media.
    duration: Option<u64>,
}

const MICROS: i128 = 1_000_000;

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// `numerator / denominator` rounded to the nearest, halves upward; `denominator` is positive.
fn round_div(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

impl Timeline {
    /// Without an edit list: the media as it is.
    pub(crate) fn identity(movie_scale: u32, media_scale: u32) -> Self {
        Self {
            segments: vec![Segment {
                start: 0,
                media_start: 0,
                media_end: None,
            }],
            movie_scale: movie_scale.max(1),
            media_scale: media_scale.max(1),
            duration: None,
        }
    }

    /// The part of the media from `start` on, to `end` where it does not go to the end of the media.
    pub(crate) fn part(media_scale: u32, start: i64, end: Option<i64>) -> Self {
        let length = end.map(|end| end.saturating_sub(start).max(0).unsigned_abs());
        Self {
            segments: vec![Segment {
                start: 0,
                media_start: start,
                media_end: end,
            }],
            duration: length,
            ..Self::identity(media_scale, media_scale)
        }
    }

    /// An edit ends on a tick of the movie's scale, which may be coarser than the media's: up to that is no cut. Where each tick of
    /// the media is one of the movie, every cut is one.
    pub(crate) fn grain(&self) -> i64 {
        match self.movie_scale.is_multiple_of(self.media_scale) {
            true => 0,
            false => i64::from(self.media_scale.div_ceil(self.movie_scale)),
        }
    }

    /// Parses an `elst` box after its header. In a `fragmented` file the last edit goes to the end of the media:
    /// writers do not know its length when they write the list.
    pub(crate) fn parse(
        reader: &mut Reader,
        movie_scale: u32,
        media_scale: u32,
        fragmented: bool,
    ) -> Result<Self, DemuxError> {
        let mut this = Self::identity(movie_scale, media_scale);
        let (version, _) = reader.full_box()?;
        let count = reader.u32()?;
        let size = if version == 0 { 12 } else { 20 };
        let mut entries = {
            let at = reader.offset();
            Reader::new(reader.name(), reader.table(count, size)?, at)
        };
        if count == 0 {
            return Ok(this);
        }
        this.segments.clear();
        let mut start = 0_u64;
        let mut after_empty = false;
        for index in 0..count {
            let duration = entries.u32_or_u64(version)?;
            let media_time = match version {
                0 => i64::from(entries.i32()?),
                _ => entries.i64()?,
            };
            let rate = entries.i16()?;
            entries.skip(2)?;
            let last = index + 1 == count;
            // -1 alone is an empty edit. Others below 0, which the standard does not have, begin before the media does.
            if media_time != -1 {
                let open = last && (fragmented || duration == 0);
                let media_end = if open {
                    None
                } else if rate == 0 {
                    // A dwell shows one picture for the whole edit.
                    Some(media_time.saturating_add(1))
                } else {
                    Some(media_time.saturating_add(saturate(round_div(
                        i128::from(duration) * i128::from(this.media_scale),
                        i128::from(this.movie_scale),
                    ))))
                };
                let segment = Segment {
                    start,
                    media_start: media_time,
                    media_end,
                };
                this.push(segment, !after_empty);
                if open {
                    return Ok(this);
                }
            }
            after_empty = media_time == -1;
            start = start.checked_add(duration).ok_or_else(|| {
                entries.error("the durations of the edits add up to more than 64 bits")
            })?;
        }
        this.duration = Some(start);
        Ok(this)
    }

    /// Adds a segment; one that goes on where the last one ended makes that one longer, so that nothing is read
    /// twice at the seam.
    fn push(&mut self, next: Segment, adjoins: bool) {
        // A tick is rounding in any scale.
        let tolerance = self.grain().max(1);
        if let Some(last) = self.segments.last_mut()
            && let Some(end) = last.media_end
            && next.media_start >= last.media_start
            && next.media_start.abs_diff(end) <= tolerance.unsigned_abs()
            && adjoins
        {
            last.media_end = next.media_end;
        } else {
            self.segments.push(next);
        }
    }

    /// Duration of the presentation in microseconds, where the edit list gives it.
    pub(crate) fn duration(&self) -> Option<u64> {
        let ticks = self.duration?;
        u64::try_from(round_div(
            i128::from(ticks) * MICROS,
            i128::from(self.movie_scale),
        ))
        .ok()
    }

    /// The presentation time in microseconds of the media's `end`, in the last segment.
    pub(crate) fn end_micros(&self, end: i64) -> Option<u64> {
        let segment = self.segments.last()?;
        u64::try_from(self.micros(segment, end)).ok()
    }

    /// The presentation time in microseconds of a media time, which may lie outside the segment.
    pub(crate) fn micros(&self, segment: &Segment, media: i64) -> i64 {
        let movie = i128::from(self.movie_scale);
        let scale = i128::from(self.media_scale);
        let media = i128::from(media) - i128::from(segment.media_start);
        // start / movie + media / scale seconds, over the common denominator. A product of three numbers of
        // 64, 32 and 20 bits fits in 128.
        let ticks = i128::from(segment.start) * scale + media * movie;
        saturate(round_div(ticks * MICROS, movie * scale))
    }

    /// The last media time of a segment whose presentation time is at or before `micros`.
    pub(crate) fn media_at(&self, segment: &Segment, micros: i64) -> i64 {
        let movie = i128::from(self.movie_scale);
        let scale = i128::from(self.media_scale);
        // The rounded time is at most `micros` when the exact one is below `micros` + 1/2:
        // media < ((2 micros + 1) movie scale / 2e6 - start scale) / movie.
        // Beyond 36,000 years the product would not fit.
        let micros = micros.clamp(-(1 << 60), 1 << 60);
        let bound = (2 * i128::from(micros) + 1) * movie * scale
            - 2 * MICROS * i128::from(segment.start) * scale;
        let below = -((-bound).div_euclid(2 * MICROS * movie)) - 1;
        saturate(below + i128::from(segment.media_start))
    }

    /// The index of the last segment that begins at or before `micros`; the first where none does.
    pub(crate) fn segment_at(&self, micros: i64) -> usize {
        self.segments
            .partition_point(|segment| self.micros(segment, segment.media_start) <= micros)
            .saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn timeline(edits: &[(u32, i32)], movie: u32, media: u32, fragmented: bool) -> Timeline {
        let mut bytes = vec![0; 4];
        bytes.extend((edits.len() as u32).to_be_bytes());
        for (duration, time) in edits {
            bytes.extend(duration.to_be_bytes());
            bytes.extend(time.to_be_bytes());
            bytes.extend([0, 1, 0, 0]);
        }
        let mut reader = Reader::new(FourCc(*b"elst"), bytes.into(), 0);
        Timeline::parse(&mut reader, movie, media, fragmented).expect("valid")
    }

    #[test]
    fn priming_before_the_edit_gets_a_negative_time() {
        let t = timeline(&[(7333, 1024)], 1000, 44100, false);
        let segment = t.segments[0];
        assert_eq!(t.micros(&segment, 0), -23220);
        assert_eq!(t.micros(&segment, 1024), 0);
        assert_eq!(t.duration(), Some(7_333_000));
    }

    #[test]
    fn an_empty_edit_delays_the_track() {
        let t = timeline(&[(500, -1), (1000, 0)], 1000, 90000, false);
        assert_eq!(t.segments.len(), 1);
        assert_eq!(t.micros(&t.segments[0], 0), 500_000);
        assert_eq!(t.segments[0].media_end, Some(90000));
        assert_eq!(t.duration(), Some(1_500_000));
    }

    #[test]
    fn edits_that_follow_one_another_in_the_media_are_one_and_cuts_are_not() {
        let joined = timeline(&[(1000, 0), (1000, 90000)], 1000, 90000, false);
        assert_eq!(joined.segments.len(), 1);
        assert_eq!(joined.segments[0].media_end, Some(180_000));
        let cut = timeline(&[(1000, 0), (1000, 180_000)], 1000, 90000, false);
        assert_eq!(cut.segments.len(), 2);
        assert_eq!(cut.micros(&cut.segments[1], 180_000), 1_000_000);
        let gap = timeline(&[(1000, 0), (500, -1), (1000, 90000)], 1000, 90000, false);
        assert_eq!(gap.segments.len(), 2);
        assert_eq!(gap.micros(&gap.segments[1], 90000), 1_500_000);
        assert_eq!((cut.segment_at(999_999), cut.segment_at(1_000_000)), (0, 1));
    }

    #[test]
    fn an_end_is_inexact_only_where_the_movie_has_coarser_ticks() {
        for (movie, media, grain) in [
            (48_000, 48_000, 0),
            (96_000, 48_000, 0),
            (1000, 48_000, 48),
            (1000, 44_100, 45),
            (48_000, 44_100, 1),
        ] {
            assert_eq!(
                Timeline::identity(movie, media).grain(),
                grain,
                "{movie} {media}"
            );
        }
    }

    #[test]
    fn an_edit_from_before_the_media_shows_all_of_it_later() {
        let t = timeline(&[(1000, -5)], 1000, 1000, false);
        assert_eq!((t.segments.len(), t.segments[0].media_end), (1, Some(995)));
        assert_eq!(t.micros(&t.segments[0], 0), 5000);
        assert_eq!(t.media_at(&t.segments[0], 5000), 0);
    }

    #[test]
    fn the_edit_of_a_fragmented_file_has_no_end() {
        let t = timeline(&[(1, 2048)], 1000, 48000, true);
        assert_eq!(t.segments[0].media_end, None);
        assert_eq!(t.duration(), None);
    }

    #[test]
    fn no_tick_drifts_and_the_way_back_finds_the_same_tick() {
        for scale in [1, 24, 30000, 44100, 48000, 90000, 999_983] {
            let t = Timeline::identity(600, scale);
            let segment = t.segments[0];
            for tick in [0_i64, 1, 2, 3, 1001, 44099, 1_000_003, 1 << 40, -1024] {
                let micros = t.micros(&segment, tick);
                let exact = tick as f64 * 1e6 / f64::from(scale);
                assert!(
                    (micros as f64 - exact).abs() <= 0.5 + exact.abs() * 1e-12,
                    "{tick}"
                );
                let back = t.media_at(&segment, micros);
                assert_eq!(back, tick, "scale {scale}");
                assert!(t.micros(&segment, back + 1) > micros);
            }
        }
    }

    #[test]
    fn extreme_times_saturate() {
        let t = Timeline::identity(u32::MAX, 1);
        assert_eq!(t.micros(&t.segments[0], i64::MAX), i64::MAX);
        assert_eq!(t.micros(&t.segments[0], i64::MIN), i64::MIN);
        t.media_at(&t.segments[0], i64::MAX);
        t.media_at(&t.segments[0], i64::MIN);
    }
}
