//! Where fragments begin: `sidx`, `mfra`, or the headers of the boxes themselves.

use reelcore_media::demux::DemuxError;

use crate::mp4::file::{File, TopBox};
use crate::mp4::parse::{Reader, invalid};

/// Places from which to look for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// From `sidx` and `mfra`, for each track: (composition time in the track's ticks, offset), rising.
    Timed(Vec<Vec<(i64, u64)>>),
    /// Offsets of all `moof` boxes, from their headers.
    Offsets(Vec<u64>),
}

/// A segment index (`sidx`) whose references are all to media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentIndex {
    pub(crate) track: u32,
    pub(crate) scale: u32,
    /// (earliest presentation time, offset) of each subsegment.
    pub(crate) entries: Vec<(u64, u64)>,
    /// Presentation time at which the last one ends.
    pub(crate) end_time: u64,
    /// Offset at which the last one ends.
    pub(crate) end: u64,
}

/// Parses a `sidx` box that ends at `anchor`; `None` where it refers to other indexes.
pub(crate) fn parse_sidx(
    mut reader: Reader,
    anchor: u64,
) -> Result<Option<SegmentIndex>, DemuxError> {
    let (version, _) = reader.full_box()?;
    let track = reader.u32()?;
    let scale = reader.u32()?;
    if scale == 0 {
        return Err(reader.error("expected a time scale above 0, found 0"));
    }
    let mut time = reader.u32_or_u64(version)?;
    let first = reader.u32_or_u64(version)?;
    let at = reader.offset();
    let overflow = move || invalid(at, "sidx box: times or offsets past 64 bits");
    let mut offset = anchor.checked_add(first).ok_or_else(overflow)?;
    reader.skip(2)?;
    let count = reader.u16()?;
    let table_at = reader.offset();
    let mut table = Reader::new(reader.name(), reader.table(u32::from(count), 12)?, table_at);
    let mut entries = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let reference = table.u32()?;
        let duration = table.u32()?;
        table.skip(4)?;
        if reference >> 31 != 0 {
            return Ok(None);
        }
        entries.push((time, offset));
        time = time.checked_add(u64::from(duration)).ok_or_else(overflow)?;
        offset = offset
            .checked_add(u64::from(reference & 0x7fff_ffff))
            .ok_or_else(overflow)?;
    }
    Ok(Some(SegmentIndex {
        track,
        scale,
        entries,
        end_time: time,
        end: offset,
    }))
}

/// The random access table of one track (`tfra`): (time in the track's ticks, offset of the `moof` box).
pub(crate) type RandomAccess = Vec<(u32, Vec<(i64, u64)>)>;

/// The `mfra` box at the end of the file, with its offset; `None` where there is none, or none that is intact: it
/// is only an index.
pub(crate) fn find_mfra(file: &File) -> Result<Option<(TopBox, RandomAccess)>, DemuxError> {
    const MFRO: u64 = 16;
    let Some(start) = file.len.checked_sub(MFRO) else {
        return Ok(None);
    };
    let Some(mfro) = file
        .top_box(start)
        .ok()
        .flatten()
        .filter(|top| &top.kind.0 == b"mfro" && top.end == file.len)
    else {
        return Ok(None);
    };
    let mut body = file.read_body(&mfro)?;
    body.full_box()?;
    let Some(start) = file.len.checked_sub(u64::from(body.u32()?)) else {
        return Ok(None);
    };
    let Some(mfra) = file
        .top_box(start)
        .ok()
        .flatten()
        .filter(|top| &top.kind.0 == b"mfra" && top.end == file.len)
    else {
        return Ok(None);
    };
    let access = parse_mfra(file.read_body(&mfra)?);
    Ok(access.ok().map(|access| (mfra, access)))
}

fn parse_mfra(mut reader: Reader) -> Result<RandomAccess, DemuxError> {
    let mut tracks = Vec::new();
    while let Some(mut child) = reader.child()? {
        if &child.kind.0 != b"tfra" {
            continue;
        }
        let body = &mut child.body;
        let (version, _) = body.full_box()?;
        let track = body.u32()?;
        let lengths = body.u32()?;
        let count = body.u32()?;
        // Numbers of traf, trun and sample, each of 1 to 4 bytes.
        let numbers = [4, 2, 0].map(|shift| (lengths >> shift & 3) as usize + 1);
        let size = if version == 0 { 8 } else { 16 };
        let skip = numbers.iter().sum::<usize>();
        let at = body.offset();
        let mut table = Reader::new(body.name(), body.table(count, size + skip)?, at);
        let mut entries: Vec<(i64, u64)> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let time = i64::try_from(table.u32_or_u64(version)?)
                .map_err(|_| table.error("a time past 63 bits"))?;
            let offset = table.u32_or_u64(version)?;
            table.skip(skip)?;
            if entries
                .last()
                .is_none_or(|&(last, at)| last <= time && at < offset)
            {
                entries.push((time, offset));
            }
        }
        tracks.push((track, entries));
    }
    Ok(tracks)
}

/// Offsets of all `moof` boxes from `start` on, from the headers alone.
pub(crate) fn scan(file: &File, start: u64) -> Result<Vec<u64>, DemuxError> {
    let mut offsets = Vec::new();
    let mut at = start;
    // A damaged header ends the index; reading up to it reports the damage where it is.
    while let Ok(Some(top)) = file.top_box(at) {
        if &top.kind.0 == b"moof" {
            offsets.push(top.start);
        }
        at = top.end;
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn sidx(first: u32, references: &[(u32, u32)]) -> Reader {
        let mut bytes = vec![0; 4];
        for field in [1_u32, 1000, 40, first] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend([0, 0]);
        bytes.extend((references.len() as u16).to_be_bytes());
        for (size, duration) in references {
            bytes.extend([*size, *duration, 0].iter().flat_map(|f| f.to_be_bytes()));
        }
        Reader::new(FourCc(*b"sidx"), bytes.into(), 0)
    }

    #[test]
    fn subsegments_add_up_from_the_anchor() {
        let index = parse_sidx(sidx(8, &[(100, 500), (200, 600)]), 1000).expect("valid");
        let index = index.expect("media references");
        assert_eq!(index.entries, [(40, 1008), (540, 1108)]);
        assert_eq!((index.end_time, index.end), (1140, 1308));
        let nested = parse_sidx(sidx(0, &[(1 << 31 | 9, 1)]), 0).expect("valid");
        assert_eq!(nested, None, "an index of indexes is not used");
        assert!(parse_sidx(sidx(8, &[]), u64::MAX).is_err());
    }

    #[test]
    fn random_access_entries_with_odd_field_lengths_are_read() {
        let mut body = vec![0, 0, 0, 0];
        for field in [7_u32, 0b01_10_11, 2] {
            body.extend(field.to_be_bytes());
        }
        for (time, offset) in [(10_u32, 100_u32), (20, 300)] {
            body.extend(time.to_be_bytes());
            body.extend(offset.to_be_bytes());
            body.extend([0; 2 + 3 + 4]);
        }
        let mut bytes = ((8 + body.len()) as u32).to_be_bytes().to_vec();
        bytes.extend(b"tfra");
        bytes.extend(body);
        let access = parse_mfra(Reader::new(FourCc(*b"mfra"), bytes.into(), 0)).expect("valid");
        assert_eq!(access, [(7, vec![(10, 100), (20, 300)])]);
    }
}
