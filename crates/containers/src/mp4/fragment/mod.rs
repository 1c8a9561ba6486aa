//! Movie fragments: the `moof` box.

pub(crate) mod ahead;
mod cursor;
mod index;

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

pub(crate) use self::cursor::{FragmentCursor, Fragments};
use super::movie::FragmentDefaults;
use super::parse::{Reader, invalid, u32_at};
use super::protection::{InfoBoxes, Read, SampleInfo, TrackProtection};
use super::sample::Sample;

/// Samples of one track that lie together: a `trun` box, left as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    entries: Bytes,
    /// Which fields an entry has.
    flags: u32,
    count: u32,
    first_flags: Option<u32>,
    defaults: FragmentDefaults,
    /// Byte offset in the source of the first sample.
    offset: u64,
    /// Decode time of the first sample, in ticks.
    decode_time: i64,
    /// Number of the first sample in its track fragment.
    number: u64,
    /// Version of the box: from 1 on, composition offsets are signed.
    version: u8,
}

/// The runs of one track in one `moof` box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) runs: Vec<Run>,
    /// Whether the box says at which time it begins (`tfdt`).
    pub(crate) timed: bool,
    /// Decode time at which the next fragment begins, if it does not say.
    pub(crate) end_time: i64,
    /// How the samples are encrypted.
    pub(crate) info: Option<SampleInfo>,
    /// How far before its decode time a sample is presented, at most.
    pub(crate) shift: i64,
}

const SIZE_PRESENT: u32 = 0x200;
const DURATION_PRESENT: u32 = 0x100;
const FLAGS_PRESENT: u32 = 0x400;
const COMPOSITION_PRESENT: u32 = 0x800;

/// The sample flag that says a sample cannot be decoded alone.
const NON_SYNC: u32 = 0x1_0000;

impl Run {
    fn entry_size(&self) -> usize {
        let fields = DURATION_PRESENT | SIZE_PRESENT | FLAGS_PRESENT | COMPOSITION_PRESENT;
        4 * (self.flags & fields).count_ones() as usize
    }

    /// Whether the samples from `index` on differ in nothing but place and time: all else is as the defaults say.
    fn is_even_from(&self, index: u32) -> bool {
        self.entry_size() == 0 && (index > 0 || self.first_flags.is_none())
    }

    /// Bytes and ticks of `count` samples without fields of their own.
    fn of_defaults(&self, count: u32) -> (u64, u64) {
        let count = u64::from(count);
        // 32 bits times 32: cannot overflow.
        (
            count * u64::from(self.defaults.size),
            count * u64::from(self.defaults.duration),
        )
    }

    fn value(&self, index: u32, field: u32) -> Option<u32> {
        if self.flags & field == 0 {
            return None;
        }
        // Fields stand in the order of their flags.
        let before = [
            DURATION_PRESENT,
            SIZE_PRESENT,
            FLAGS_PRESENT,
            COMPOSITION_PRESENT,
        ]
        .into_iter()
        .filter(|&other| other < field && self.flags & other != 0)
        .count();
        let at = (index as usize)
            .saturating_mul(self.entry_size())
            .saturating_add(4 * before);
        Some(u32_at(&self.entries, at))
    }

    fn size(&self, index: u32) -> u32 {
        self.value(index, SIZE_PRESENT)
            .unwrap_or(self.defaults.size)
    }

    fn duration(&self, index: u32) -> u32 {
        self.value(index, DURATION_PRESENT)
            .unwrap_or(self.defaults.duration)
    }

    fn composition_offset(&self, index: u32) -> i32 {
        // Version 0 has unsigned offsets, but nobody means two thousand million ticks.
        let offset = self.value(index, COMPOSITION_PRESENT);
        offset.unwrap_or(0).cast_signed()
    }

    /// How far before its decode time a sample is presented, at most.
    fn shift(&self) -> i64 {
        if self.flags & COMPOSITION_PRESENT == 0 {
            return 0;
        }
        let offsets = (0..self.count).map(|index| self.composition_offset(index));
        -i64::from(offsets.min().unwrap_or(0).min(0))
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The sample at `index`, given where it lies and when it is decoded.
    fn sample(&self, index: u32, offset: u64, decode_time: i64) -> Sample {
        let flags = match (index, self.first_flags) {
            (0, Some(first)) => first,
            _ => self
                .value(index, FLAGS_PRESENT)
                .unwrap_or(self.defaults.flags),
        };
        let composition = self.composition_offset(index);
        Sample {
            offset,
            size: u64::from(self.size(index)),
            decode_time,
            composition_time: decode_time.saturating_add(i64::from(composition)),
            duration: u64::from(self.duration(index)),
            sync: flags & NON_SYNC == 0,
            description: self.defaults.description,
            number: self.number.saturating_add(u64::from(index)),
        }
    }

    /// Bytes and ticks of the whole run.
    fn sums(&self) -> (u64, u64) {
        let count = u64::from(self.count);
        // At most 2^32 values of 32 bits: cannot overflow.
        let sum = |field, default: u32| {
            if self.flags & field == 0 {
                count * u64::from(default)
            } else {
                (0..self.count).fold(0, |sum, i| {
                    sum + u64::from(self.value(i, field).unwrap_or(0))
                })
            }
        };
        (
            sum(SIZE_PRESENT, self.defaults.size),
            sum(DURATION_PRESENT, self.defaults.duration),
        )
    }
}

impl Fragment {
    /// How many samples there are.
    fn numbered(&self) -> u64 {
        let last = self.runs.last();
        last.map_or(0, |last| last.number.saturating_add(u64::from(last.count)))
    }

    /// By how much the decode times of a track are moved back that begins with this fragment. `reorder`: how many pictures are
    /// coded before another and shown after it, where the stream says so.
    ///
    /// A first picture is shown when as many more have been decoded, so it is decoded by as many frames earlier: what of this
    /// its own offset does not give, signed offsets leave to decode times.
    pub(crate) fn opening_shift(&self, reorder: Option<usize>) -> i64 {
        let Some(run) = self.runs.first() else {
            return self.shift;
        };
        let first = run.sample(0, run.offset, run.decode_time);
        let Some(frames) = reorder.filter(|_| run.version > 0 && first.sync) else {
            return self.shift;
        };
        let ticks = i64::try_from(first.duration).unwrap_or(0);
        let waits = ticks.saturating_mul(i64::try_from(frames).unwrap_or(0));
        let given = i64::from(run.composition_offset(0));
        self.shift.max(waits.saturating_sub(given))
    }
}

/// What stays the same while a `moof` box is parsed.
pub(crate) struct MoofContext<'a> {
    pub(crate) defaults: &'a [FragmentDefaults],
    /// Track whose runs are wanted.
    pub(crate) track: u32,
    /// Length of the source; what no source exceeds where it is not known.
    pub(crate) source_len: u64,
    /// How the samples of the track are protected.
    pub(crate) protection: Option<&'a TrackProtection>,
    /// Reads auxiliary information that stands outside the box.
    pub(crate) read: Read<'a>,
}

/// Parses the body of the `moof` box that begins at `moof_start`. `decode_time` is when the track goes on if the
/// box does not say. `None` where it has nothing of the track.
pub(crate) fn parse_moof(
    mut moof: Reader,
    moof_start: u64,
    decode_time: i64,
    context: &MoofContext<'_>,
) -> Result<Option<Fragment>, DemuxError> {
    let moof_bytes = moof.clone();
    let mut fragment = Fragment {
        end_time: decode_time,
        ..Fragment::default()
    };
    let mut found = false;
    // Samples of runs without fields of their own, which only the source's length bounds.
    let mut implicit = 0_u64;
    let mut previous_end = moof_start;
    while let Some(child) = moof.child()? {
        if &child.kind.0 != b"traf" {
            continue;
        }
        let mut header = None;
        let mut time = None;
        let mut info = InfoBoxes::default();
        let mut children = child.body.clone();
        while let Some(mut child) = children.child()? {
            info.note(&child);
            match &child.kind.0 {
                b"tfhd" => {
                    let parsed = parse_tfhd(&mut child.body, moof_start, previous_end, context)?;
                    header = Some(parsed);
                }
                b"tfdt" => {
                    let (version, _) = child.body.full_box()?;
                    let at = child.body.offset();
                    let ticks = child.body.u32_or_u64(version)?;
                    time = Some(i64::try_from(ticks).map_err(|_| {
                        invalid(
                            at,
                            format!("tfdt box: the decode time {ticks} is out of range"),
                        )
                    })?);
                }
                _ => {}
            }
        }
        let Some((defaults, base)) = header else {
            return Err(invalid(
                child.start,
                "traf box: expected a tfhd box, found none",
            ));
        };
        let wanted = defaults.track == context.track;
        if wanted {
            found = true;
            if let Some(time) = time {
                fragment.timed = true;
                fragment.end_time = time;
            }
        }
        let mut position = base;
        // A second track fragment of the track numbers its samples on, as if both were one.
        let numbered = fragment.numbered();
        let first_run = fragment.runs.len();
        let mut children = child.body;
        while let Some(mut child) = children.child()? {
            if &child.kind.0 != b"trun" {
                continue;
            }
            let at = child.start;
            let mut run = parse_trun(&mut child.body, base, position, defaults)?;
            let (bytes, ticks) = run.sums();
            if run.entry_size() == 0 {
                implicit = implicit.saturating_add(u64::from(run.count));
                if bytes > context.source_len || implicit > context.source_len {
                    return Err(invalid(
                        at,
                        format!(
                            "trun box: {} samples of {} bytes are more than a source of {} bytes holds",
                            run.count, defaults.size, context.source_len
                        ),
                    ));
                }
            }
            position = run
                .offset
                .checked_add(bytes)
                .ok_or_else(|| invalid(at, "trun box: the samples end past the largest offset"))?;
            if wanted && run.count > 0 {
                run.decode_time = fragment.end_time;
                run.number = fragment.numbered();
                fragment.end_time = i64::try_from(ticks)
                    .ok()
                    .and_then(|ticks| fragment.end_time.checked_add(ticks))
                    .ok_or_else(|| {
                        invalid(at, "trun box: the durations add up to more than 64 bits")
                    })?;
                fragment.shift = fragment.shift.max(run.shift());
                fragment.runs.push(run);
            }
        }
        if wanted
            && numbered == 0
            && let Some(protection) = context.protection
        {
            let mut counts = fragment
                .runs
                .iter()
                .skip(first_run)
                .map(|run| u64::from(run.count));
            let read = |offset: u64, len: u64| {
                let end = offset.saturating_add(len);
                let inside = moof_bytes.between(offset, end);
                if offset >= moof_start && inside.len() as u64 == len {
                    return Ok(inside);
                }
                (context.read)(offset, len)
            };
            fragment.info = Some(SampleInfo::new(
                &info,
                protection,
                base,
                &mut counts,
                &read,
            )?);
        }
        previous_end = position;
    }
    Ok(found.then_some(fragment))
}

/// Defaults and base offset of a track fragment.
fn parse_tfhd(
    reader: &mut Reader,
    moof_start: u64,
    previous_end: u64,
    context: &MoofContext<'_>,
) -> Result<(FragmentDefaults, u64), DemuxError> {
    let (_, flags) = reader.full_box()?;
    let track = reader.u32()?;
    let mut defaults = context
        .defaults
        .iter()
        .find(|defaults| defaults.track == track)
        .copied()
        .unwrap_or(FragmentDefaults {
            track,
            description: 1,
            ..FragmentDefaults::default()
        });
    let mut base = None;
    if flags & 0x1 != 0 {
        base = Some(reader.u64()?);
    }
    if flags & 0x2 != 0 {
        defaults.description = reader.u32()?;
    }
    if flags & 0x8 != 0 {
        defaults.duration = reader.u32()?;
    }
    if flags & 0x10 != 0 {
        defaults.size = reader.u32()?;
    }
    if flags & 0x20 != 0 {
        defaults.flags = reader.u32()?;
    }
    // Without an offset and without default-base-is-moof, data follow those of the track before, which for the
    // first one are at the moof box.
    let base = base.unwrap_or(if flags & 0x2_0000 != 0 {
        moof_start
    } else {
        previous_end
    });
    Ok((defaults, base))
}

fn parse_trun(
    reader: &mut Reader,
    base: u64,
    position: u64,
    defaults: FragmentDefaults,
) -> Result<Run, DemuxError> {
    let (version, flags) = reader.full_box()?;
    let count = reader.u32()?;
    let mut offset = position;
    if flags & 0x1 != 0 {
        let delta = reader.i32()?;
        offset = base.checked_add_signed(i64::from(delta)).ok_or_else(|| {
            reader.error(format_args!(
                "the data offset {delta} leads before the file"
            ))
        })?;
    }
    let first_flags = (flags & 0x4 != 0).then(|| reader.u32()).transpose()?;
    let mut run = Run {
        entries: Bytes::new(),
        flags,
        count,
        first_flags,
        defaults,
        offset,
        decode_time: 0,
        number: 0,
        version,
    };
    run.entries = reader.table(count, run.entry_size())?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn full(kind: &[u8; 4], flags: u32, fields: &[u32]) -> Vec<u8> {
        let mut out = ((12 + fields.len() * 4) as u32).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(flags.to_be_bytes());
        out.extend(fields.iter().flat_map(|f| f.to_be_bytes()));
        out
    }

    fn traf(children: &[Vec<u8>]) -> Vec<u8> {
        let body = children.concat();
        let mut out = ((8 + body.len()) as u32).to_be_bytes().to_vec();
        out.extend(b"traf");
        out.extend(body);
        out
    }

    fn parse(trafs: &[Vec<u8>], track: u32) -> Result<Option<Fragment>, DemuxError> {
        let defaults = [FragmentDefaults {
            track: 2,
            description: 1,
            duration: 1024,
            size: 10,
            flags: 0,
        }];
        let context = MoofContext {
            defaults: &defaults,
            track,
            source_len: 10_000,
            protection: None,
            read: &|_, _| Ok(Bytes::new()),
        };
        let reader = Reader::new(FourCc(*b"moof"), trafs.concat().into(), 1008);
        parse_moof(reader, 1000, 77, &context)
    }

    #[test]
    fn fields_defaults_and_first_flags_each_apply_where_they_should() {
        let traf = traf(&[
            full(b"tfhd", 0x2_0008, &[1, 500]),
            full(b"tfdt", 0, &[9000]),
            full(
                b"trun",
                0xa05,
                &[2, 200, 0x0200_0000, 5, 100, 7, (-100_i32).cast_unsigned()],
            ),
            full(b"trun", 0x200, &[1, 3]),
        ]);
        let fragment = parse(&[traf], 1).expect("valid").expect("the track");
        assert!(fragment.timed);
        assert_eq!(fragment.end_time, 10500);
        let [first, second] = &fragment.runs[..] else {
            panic!("two runs: {fragment:?}")
        };
        assert_eq!((first.offset, first.decode_time), (1200, 9000));
        let a = first.sample(0, first.offset, first.decode_time);
        assert_eq!(
            (a.size, a.composition_time, a.duration, a.sync),
            (5, 9100, 500, true)
        );
        let b = first.sample(1, 1205, 9500);
        assert_eq!((b.size, b.composition_time), (7, 9400));
        // Without an offset of its own, a run goes on where the last one ended.
        assert_eq!((second.offset, second.decode_time), (1212, 10000));
    }

    #[test]
    fn tracks_without_a_base_follow_one_another_and_time_goes_on() {
        let one = traf(&[full(b"tfhd", 0, &[1]), full(b"trun", 0x201, &[1, 50, 8])]);
        let two = traf(&[full(b"tfhd", 0, &[2]), full(b"trun", 0, &[3])]);
        let fragment = parse(&[one, two], 2).expect("valid").expect("the track");
        assert!(!fragment.timed);
        assert_eq!(fragment.runs[0].offset, 1058);
        assert_eq!(fragment.runs[0].decode_time, 77);
        assert_eq!(fragment.end_time, 77 + 3 * 1024);
        assert_eq!(parse(&[], 2).expect("valid"), None);
    }

    #[test]
    fn a_run_that_no_source_could_hold_is_an_error() {
        for (tfhd, count) in [
            (full(b"tfhd", 0, &[2]), u32::MAX),
            // Samples of no bytes at all.
            (full(b"tfhd", 0x10, &[2, 0]), 10_001),
        ] {
            let traf = traf(&[tfhd, full(b"trun", 0, &[count])]);
            assert!(parse(&[traf], 2).is_err());
        }
        let entries = traf(&[full(b"tfhd", 0, &[2]), full(b"trun", 0x200, &[9, 1])]);
        assert!(parse(&[entries], 2).is_err());
        let before = traf(&[
            full(b"tfhd", 0, &[2]),
            full(b"trun", 1, &[1, (-2000_i32).cast_unsigned()]),
        ]);
        assert!(parse(&[before], 2).is_err());
    }
}
