//! Where samples lie: `stsc` (samples in a chunk) with `stco` or `co64` (chunk offsets).

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use crate::mp4::parse::{Reader, invalid, u32_at, u64_at};

/// One checkpoint for this many entries of `stsc`.
const EVERY: usize = 128;

/// Chunk offsets, as the file holds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkOffsets {
    entries: Bytes,
    wide: bool,
}

impl ChunkOffsets {
    /// Parses a `stco` box, or with `wide` a `co64` box, after version and flags.
    pub(crate) fn parse(reader: &mut Reader, wide: bool) -> Result<Self, DemuxError> {
        let count = reader.u32()?;
        Ok(Self {
            entries: reader.table(count, if wide { 8 } else { 4 })?,
            wide,
        })
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64 / if self.wide { 8 } else { 4 }
    }

    fn get(&self, chunk: u64) -> u64 {
        let at = |size| {
            usize::try_from(chunk)
                .unwrap_or(usize::MAX)
                .saturating_mul(size)
        };
        if self.wide {
            u64_at(&self.entries, at(8))
        } else {
            u64::from(u32_at(&self.entries, at(4)))
        }
    }
}

/// The chunks of a track.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    /// Entries of `stsc`: first chunk (from 1), samples in each, sample description (from 1).
    entries: Bytes,
    /// For each `EVERY`th entry, its first sample.
    checkpoints: Vec<u64>,
    offsets: ChunkOffsets,
    capacity: u64,
}

/// The sample description (from 1) of the first sample, of a `stsc` box. What is wrong with it is told when it is parsed.
pub(crate) fn first_description(mut stsc: Reader) -> Option<u32> {
    stsc.full_box().ok()?;
    let count = stsc.u32().ok()?;
    stsc.skip(8).ok()?;
    stsc.u32().ok().filter(|_| count > 0)
}

/// A place in the chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkPosition {
    entry: usize,
    chunk: u64,
    /// Samples of the chunk from this place on; 0 past the last chunk.
    pub(crate) left: u32,
    /// Sample description, from 1.
    pub(crate) description: u32,
}

impl Chunks {
    /// Parses a `stsc` box after version and flags.
    pub(crate) fn parse(reader: &mut Reader, offsets: ChunkOffsets) -> Result<Self, DemuxError> {
        let count = reader.u32()?;
        let start = reader.offset();
        let mut this = Self {
            entries: reader.table(count, 12)?,
            offsets,
            ..Self::default()
        };
        let chunks = this.offsets.len();
        let mut samples = 0_u64;
        let mut previous = 0;
        for entry in 0..this.len() {
            let (first, each, _) = this.entry(entry);
            let at = start.saturating_add(entry as u64 * 12);
            if (entry == 0 && first != 1) || first <= previous {
                return Err(invalid(
                    at,
                    format!(
                        "stsc box: expected a first chunk of {}, found {first}",
                        match entry {
                            0 => "1".to_owned(),
                            _ => format!("more than {previous}"),
                        }
                    ),
                ));
            }
            if each == 0 {
                return Err(invalid(
                    at,
                    "stsc box: expected samples in the chunk, found 0",
                ));
            }
            if entry % EVERY == 0 {
                this.checkpoints.push(samples);
            }
            let here = this.end_chunk(entry).saturating_sub(u64::from(first) - 1);
            samples = samples.saturating_add(here.saturating_mul(u64::from(each)));
            previous = first;
        }
        if this.len() == 0 && chunks > 0 {
            return Err(reader.error(format_args!(
                "expected entries for {chunks} chunks, found 0"
            )));
        }
        this.capacity = samples;
        Ok(this)
    }

    /// The number of samples that the chunks can hold.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    fn len(&self) -> usize {
        self.entries.len() / 12
    }

    fn entry(&self, entry: usize) -> (u32, u32, u32) {
        let at = entry.saturating_mul(12);
        (
            u32_at(&self.entries, at),
            u32_at(&self.entries, at.saturating_add(4)),
            u32_at(&self.entries, at.saturating_add(8)),
        )
    }

    /// The chunk (from 0) at which the entry ends.
    fn end_chunk(&self, entry: usize) -> u64 {
        let chunks = self.offsets.len();
        match entry.checked_add(1).filter(|&next| next < self.len()) {
            Some(next) => u64::from(self.entry(next).0).saturating_sub(1).min(chunks),
            None => chunks,
        }
    }

    /// The place of `sample` and the number of samples of its chunk before it.
    pub(crate) fn locate(&self, sample: u64) -> (ChunkPosition, u64) {
        let checkpoint = self
            .checkpoints
            .partition_point(|&first| first <= sample)
            .saturating_sub(1);
        let mut first_sample = self.checkpoints.get(checkpoint).copied().unwrap_or(0);
        let mut entry = checkpoint.saturating_mul(EVERY);
        while entry < self.len() {
            let (first, each, description) = self.entry(entry);
            let first = u64::from(first).saturating_sub(1);
            let each = u64::from(each).max(1);
            let chunks = self.end_chunk(entry).saturating_sub(first);
            let behind = sample.saturating_sub(first_sample);
            if behind / each < chunks {
                let within = behind % each;
                let position = ChunkPosition {
                    entry,
                    chunk: first.saturating_add(behind / each),
                    left: u32::try_from(each - within).unwrap_or(u32::MAX),
                    description,
                };
                return (position, within);
            }
            first_sample = first_sample.saturating_add(chunks.saturating_mul(each));
            entry += 1;
        }
        let end = ChunkPosition {
            entry,
            chunk: self.offsets.len(),
            ..ChunkPosition::default()
        };
        (end, 0)
    }

    /// The byte offset of the chunk at a place.
    pub(crate) fn offset(&self, position: ChunkPosition) -> u64 {
        self.offsets.get(position.chunk)
    }

    /// Moves one sample on; true when that begins a chunk.
    pub(crate) fn step(&self, position: &mut ChunkPosition) -> bool {
        position.left = position.left.saturating_sub(1);
        if position.left > 0 {
            return false;
        }
        position.chunk = position.chunk.saturating_add(1);
        while position.entry < self.len() && position.chunk >= self.end_chunk(position.entry) {
            position.entry += 1;
        }
        if position.entry < self.len() && position.chunk < self.offsets.len() {
            let (_, each, description) = self.entry(position.entry);
            position.left = each;
            position.description = description;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn chunks(entries: &[(u32, u32, u32)], offsets: u32) -> Result<Chunks, DemuxError> {
        let mut stco = offsets.to_be_bytes().to_vec();
        stco.extend((0..offsets).flat_map(|i| (i * 1000).to_be_bytes()));
        let offsets =
            ChunkOffsets::parse(&mut Reader::new(FourCc(*b"stco"), stco.into(), 0), false)?;
        let mut stsc = (entries.len() as u32).to_be_bytes().to_vec();
        for &(a, b, c) in entries {
            stsc.extend([a, b, c].iter().flat_map(|v| v.to_be_bytes()));
        }
        Chunks::parse(
            &mut Reader::new(FourCc(*b"stsc"), stsc.into(), 500),
            offsets,
        )
    }

    #[test]
    fn each_sample_lies_in_the_chunk_that_counting_gives() {
        let entries: Vec<_> = (0..300_u32)
            .map(|i| (1 + i * 2, 1 + i % 5, 1 + i % 2))
            .collect();
        let table = chunks(&entries, 605).expect("valid");
        let mut walked = table.locate(0).0;
        let mut sample = 0;
        for chunk in 0..605_u64 {
            let entry = (chunk / 2).min(299);
            let each = 1 + entry % 5;
            for within in 0..each {
                let (place, before) = table.locate(sample);
                assert_eq!((place.chunk, before), (chunk, within), "sample {sample}");
                assert_eq!(place, walked, "sample {sample}");
                assert_eq!(table.offset(place), chunk * 1000);
                assert_eq!(u64::from(place.description), 1 + entry % 2);
                assert_eq!(table.step(&mut walked), within + 1 == each);
                sample += 1;
            }
        }
        assert_eq!(table.capacity(), sample);
        assert_eq!(table.locate(sample).0.left, 0, "nothing past the end");
        assert_eq!(walked.left, 0);
    }

    #[test]
    fn entries_out_of_order_or_empty_are_errors_at_their_offset() {
        for (entries, at) in [
            (&[(2, 1, 1)][..], "byte 504"),
            (&[(1, 1, 1), (1, 1, 1)], "byte 516"),
            (&[(1, 0, 1)], "byte 504"),
            (&[], "expected entries for 3 chunks"),
        ] {
            let error = chunks(entries, 3).expect_err("invalid").to_string();
            assert!(error.contains(at), "{error}");
        }
    }
}
