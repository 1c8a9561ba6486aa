//! The sample tables of a progressive file. The boxes stay as they are in the file; beside them stand only
//! sparse prefix sums, so that a sample is found in O(log n) and a cursor moves in O(1) amortised.

mod chunks;
mod runs;
mod sizes;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

pub(crate) use self::chunks::first_description;
use self::chunks::{ChunkOffsets, ChunkPosition, Chunks};
use self::runs::{RunPosition, Runs};
use self::sizes::Sizes;
use super::budget::Budget;
use super::decode_shift;
use super::frames::PcmFrames;
use super::parse::{Reader, invalid, u32_at};
use super::protection::InfoBoxes;
use super::sample::Sample;

/// The tables of one track.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleTable {
    samples: u64,
    /// The number of samples up to the last one that has any bytes.
    filled_end: u64,
    durations: Runs,
    composition: Option<Runs>,
    sizes: Sizes,
    chunks: Chunks,
    /// Numbers of the sync samples, from 1, rising; `None` where every sample is one.
    sync: Option<Bytes>,
    /// For PCM, whose samples are single frames that one packet holds many of.
    frames: Option<PcmFrames>,
    /// The boxes that say how the samples are encrypted.
    pub(crate) info: InfoBoxes,
    /// By how much decode times are moved back, where a `cslg` box says it.
    pub(crate) said_shift: i64,
}

impl SampleTable {
    /// Parses the tables of a `stbl` box. `pcm` says what the frames of uncompressed sound are: they are read many at a time.
    pub(crate) fn parse(mut stbl: Reader, pcm: Option<PcmFrames>) -> Result<Self, DemuxError> {
        let start = stbl.offset();
        let mut stts = None;
        let mut ctts = None;
        let mut stsc = None;
        let mut sizes = None;
        let mut offsets = None;
        let mut sync = None;
        let mut info = InfoBoxes::default();
        let mut said_shift = None;
        while let Some(child) = stbl.child()? {
            info.note(&child);
            let mut body = child.body;
            let kind = child.kind;
            if &kind.0 == b"cslg" && said_shift.is_none() {
                said_shift = decode_shift::parse_cslg(body.clone());
            }
            if !matches!(
                &kind.0,
                b"stts" | b"ctts" | b"stsc" | b"stsz" | b"stz2" | b"stco" | b"co64" | b"stss"
            ) {
                continue;
            }
            body.full_box()?;
            // The first box of a kind counts.
            match &kind.0 {
                b"stts" if stts.is_none() => stts = Some(body),
                b"ctts" if ctts.is_none() => ctts = Some(body),
                b"stsc" if stsc.is_none() => stsc = Some(body),
                b"stsz" if sizes.is_none() => sizes = Some(Sizes::parse_stsz(&mut body)?),
                b"stz2" if sizes.is_none() => sizes = Some(Sizes::parse_stz2(&mut body)?),
                b"stco" if offsets.is_none() => {
                    offsets = Some(ChunkOffsets::parse(&mut body, false)?);
                }
                b"co64" if offsets.is_none() => {
                    offsets = Some(ChunkOffsets::parse(&mut body, true)?);
                }
                b"stss" if sync.is_none() => sync = Some(parse_sync(&mut body)?),
                _ => {}
            }
        }
        let mut sizes = sizes.unwrap_or_default();
        if sizes.count() == 0 {
            // A fragmented file's tables are empty; it may define sample groups all the same.
            return Ok(Self {
                info,
                said_shift: said_shift.unwrap_or(0),
                ..Self::default()
            });
        }
        let missing = |kind: &str| {
            invalid(
                start,
                format!(
                    "stbl box: expected a {kind} box for its {} samples, found none",
                    sizes.count()
                ),
            )
        };
        let offsets = offsets.ok_or_else(|| missing("stco or co64"))?;
        let chunks = Chunks::parse(&mut stsc.ok_or_else(|| missing("stsc"))?, offsets)?;
        let mut stts = stts.ok_or_else(|| missing("stts"))?;
        let samples = u64::from(sizes.count()).min(chunks.capacity());
        let durations = Runs::parse(&mut stts, samples, true)?;
        let composition = ctts
            .map(|mut ctts| Runs::parse(&mut ctts, samples, false))
            .transpose()?;
        let mut frames = None;
        if let (Some(pcm), Some(size)) = (pcm, sizes.all()) {
            // QuickTime writes a size of 1 for a frame of sound, whatever it takes.
            if size == 1 && pcm.size > 1 {
                sizes = Sizes::constant(pcm.size, sizes.count());
            }
            // Larger samples are packets already.
            frames = Some(pcm.with_usual(durations.usual(samples))).filter(|_| size <= pcm.size);
        }
        Ok(Self {
            samples,
            filled_end: sizes.filled_end(samples),
            durations,
            composition,
            sizes,
            chunks,
            sync,
            frames,
            info,
            said_shift: said_shift.unwrap_or(0),
        })
    }

    /// The number of packets, where it is not a matter of grouping.
    pub(crate) fn packets(&self) -> Option<u64> {
        let grouped = self.frames.is_some();
        (!grouped).then(|| self.sizes.filled(self.samples))
    }

    /// Every sample stands alone, whatever `stss` says.
    pub(crate) fn all_sync(&mut self) {
        self.sync = None;
    }

    /// The number of samples in each chunk, in their order.
    pub(crate) fn chunk_counts(&self) -> impl Iterator<Item = u64> {
        let mut sample = 0;
        std::iter::from_fn(move || {
            let (place, _) = self.chunks.locate(sample);
            let count = u64::from(place.left).min(self.samples.saturating_sub(sample));
            sample = sample.saturating_add(count);
            (count > 0).then_some(count)
        })
    }

    /// What most samples before the last one last, in ticks: writers may give the first one the time before it, and the last
    /// one less than it decodes to. What follows that without bytes is no sound.
    pub(crate) fn usual_duration(&self) -> Option<u64> {
        let before = self
            .filled_end
            .saturating_sub(1)
            .max(self.filled_end.min(1));
        self.durations.usual(before).map(u64::from)
    }

    /// The number of samples.
    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// The number of samples up to the last one that has any bytes.
    pub(crate) fn filled_end(&self) -> u64 {
        self.filled_end
    }

    /// Sum of the durations of all samples, in ticks.
    pub(crate) fn duration(&self) -> i64 {
        self.durations.total()
    }

    /// How far before its decode time a sample is presented, at most.
    pub(crate) fn decode_shift(&self) -> i64 {
        self.composition
            .as_ref()
            .map_or(0, |runs| -i64::from(runs.min()))
    }

    /// The composition time of a sample.
    fn composition_time(&self, sample: u64) -> i64 {
        let (_, decode) = self.durations.locate(sample);
        decode.saturating_add(self.composition_offset(sample))
    }

    fn composition_offset(&self, sample: u64) -> i64 {
        self.composition.as_ref().map_or(0, |runs| {
            i64::from(runs.value(runs.locate(sample).0, false).cast_signed())
        })
    }

    fn sync_count(&self) -> u64 {
        match &self.sync {
            Some(list) => list.len() as u64 / 4,
            None => self.samples,
        }
    }

    /// The sample (from 0) of the sync sample at `index`.
    fn sync_sample(&self, index: u64) -> u64 {
        match &self.sync {
            Some(list) => {
                let at = usize::try_from(index)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(4);
                u64::from(u32_at(list, at)).saturating_sub(1)
            }
            None => index,
        }
    }

    /// The index of the first sync sample for which `past` holds, given that it holds for all after it.
    fn sync_partition(&self, past: impl Fn(u64) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.sync_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if past(self.sync_sample(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The last sync sample whose composition time is at or before `time`.
    pub(crate) fn sync_at_or_before(
        &self,
        time: i64,
        budget: &mut Budget,
    ) -> Result<Option<u64>, DemuxError> {
        // Sync samples are presented in the order in which they are decoded.
        let end = self.sync_partition(|sample| {
            sample >= self.samples || self.composition_time(sample) > time
        });
        self.first_filled((0..end).rev(), budget)
    }

    /// The first sync sample.
    pub(crate) fn first_sync(&self, budget: &mut Budget) -> Result<Option<u64>, DemuxError> {
        let end = self.sync_partition(|sample| sample >= self.samples);
        self.first_filled(0..end, budget)
    }

    /// The first of these sync samples, by index, that has any bytes: nothing is decoded of one without.
    fn first_filled(
        &self,
        indexes: impl Iterator<Item = u64>,
        budget: &mut Budget,
    ) -> Result<Option<u64>, DemuxError> {
        for index in indexes {
            let sample = self.sync_sample(index);
            if self.sizes.size(sample) > 0 {
                return Ok(Some(sample));
            }
            budget.spend(1)?;
        }
        Ok(None)
    }
}

/// Parses a `stss` box after its version and flags.
fn parse_sync(reader: &mut Reader) -> Result<Bytes, DemuxError> {
    let count = reader.u32()?;
    let start = reader.offset();
    let list = reader.table(count, 4)?;
    let mut previous = 0;
    for index in 0..list.len() / 4 {
        let sample = u32_at(&list, index * 4);
        if sample <= previous {
            return Err(invalid(
                start.saturating_add(index as u64 * 4),
                format!("stss box: expected a sample number above {previous}, found {sample}"),
            ));
        }
        previous = sample;
    }
    Ok(list)
}

/// Walks the samples of a table in decode order.
#[derive(Clone, Debug)]
pub(crate) struct TableCursor {
    table: Arc<SampleTable>,
    sample: u64,
    decode_time: i64,
    duration: RunPosition,
    composition: RunPosition,
    chunk: ChunkPosition,
    offset: u64,
    /// Index of the next sync sample at or after `sample`.
    sync: u64,
}

impl TableCursor {
    /// At the first sample.
    pub(crate) fn new(table: Arc<SampleTable>) -> Self {
        let mut this = Self {
            table,
            sample: 0,
            decode_time: 0,
            duration: RunPosition::default(),
            composition: RunPosition::default(),
            chunk: ChunkPosition::default(),
            offset: 0,
            sync: 0,
        };
        this.move_to(0);
        this
    }

    pub(crate) fn table(&self) -> &SampleTable {
        &self.table
    }

    /// To `sample`, or to the end where there are not so many.
    pub(crate) fn move_to(&mut self, sample: u64) {
        let table = &self.table;
        self.sample = sample;
        (self.duration, self.decode_time) = table.durations.locate(sample);
        if let Some(runs) = &table.composition {
            self.composition = runs.locate(sample).0;
        }
        let (chunk, within) = table.chunks.locate(sample);
        self.chunk = chunk;
        self.offset = table
            .chunks
            .offset(chunk)
            .saturating_add(table.sizes.sum(sample.saturating_sub(within), sample));
        self.sync = match &table.sync {
            Some(_) => table.sync_partition(|sync| sync >= sample),
            None => 0,
        };
    }

    /// The next sample, or a group of samples where they are frames of PCM.
    pub(crate) fn next(&mut self) -> Option<Sample> {
        let first = self.peek()?;
        self.step(&first);
        match self.table.frames {
            Some(frames) => Some(frames.group(first, self, Self::peek, Self::step)),
            None => Some(first),
        }
    }

    /// The sample at hand.
    fn peek(&self) -> Option<Sample> {
        let table = &self.table;
        if self.sample >= table.samples {
            return None;
        }
        let sync = match &table.sync {
            None => true,
            Some(_) => {
                self.sync < table.sync_count() && table.sync_sample(self.sync) == self.sample
            }
        };
        let offset = table.composition.as_ref().map_or(0, |runs| {
            i64::from(runs.value(self.composition, false).cast_signed())
        });
        Some(Sample {
            offset: self.offset,
            size: u64::from(table.sizes.size(self.sample)),
            decode_time: self.decode_time,
            composition_time: self.decode_time.saturating_add(offset),
            duration: u64::from(table.durations.value(self.duration, true)),
            sync,
            description: self.chunk.description,
            number: self.sample,
        })
    }

    /// Goes past the sample at hand.
    fn step(&mut self, sample: &Sample) {
        let table = &self.table;
        self.sample += 1;
        let duration = i64::try_from(sample.duration).unwrap_or(i64::MAX);
        self.decode_time = self.decode_time.saturating_add(duration);
        table.durations.step(&mut self.duration);
        if let Some(runs) = &table.composition {
            runs.step(&mut self.composition);
        }
        self.offset = if table.chunks.step(&mut self.chunk) {
            table.chunks.offset(self.chunk)
        } else {
            self.offset.saturating_add(sample.size)
        };
        if sample.sync {
            self.sync = self.sync.saturating_add(1);
        }
    }
}
