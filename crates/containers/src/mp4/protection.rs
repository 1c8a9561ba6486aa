//! Protected samples: `sinf` in sample entries, and the auxiliary information of each sample.
//! Common encryption is ISO/IEC 23001-7; the boxes around it are ISO/IEC 14496-12, 8.7.8, 8.7.9, 8.9 and 8.12.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, SampleEncryption, Subsample};

use super::parse::{Child, FourCc, Reader, invalid};

/// What `tenc`, or a sample group of type `seig`, says of the samples it holds for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    protected: bool,
    iv_size: usize,
    pub(crate) kid: [u8; 16],
    constant_iv: Bytes,
    pattern: Option<(u8, u8)>,
}

/// How the samples of a track are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackProtection {
    /// The format of the samples in clear.
    pub(crate) original: Option<FourCc>,
    pub(crate) scheme: Option<FourCc>,
    pub(crate) keys: Option<Keys>,
    /// Sample groups that the sample table defines.
    groups: Vec<Keys>,
}

/// A sample group description index from this on is one of the fragment's own.
const LOCAL_GROUPS: u32 = 0x1_0000;

impl Keys {
    /// The fields that `tenc` and `seig` share, from the pattern on.
    fn parse(reader: &mut Reader, has_pattern: bool) -> Result<Self, DemuxError> {
        reader.skip(1)?;
        let pattern = reader.u8()?;
        let protected = reader.u8()? == 1;
        let at = reader.clone();
        let iv_size = usize::from(reader.u8()?);
        if !matches!(iv_size, 0 | 8 | 16) {
            return Err(at.error(format_args!(
                "expected initialisation vectors of 0, 8 or 16 bytes, found {iv_size}"
            )));
        }
        let mut kid = [0; 16];
        kid.copy_from_slice(&reader.take(16)?);
        let mut constant_iv = Bytes::new();
        if protected && iv_size == 0 {
            let size = usize::from(reader.u8()?);
            constant_iv = reader.take(size)?;
        }
        let pattern = has_pattern.then_some((pattern >> 4, pattern & 15));
        Ok(Self {
            protected,
            iv_size,
            kid,
            constant_iv,
            pattern: pattern.filter(|&pattern| pattern != (0, 0)),
        })
    }
}

impl TrackProtection {
    /// Whether the auxiliary information of samples under `other` reads as under this.
    pub(crate) fn reads_as(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.keys == other.keys
    }

    /// Parses a `sinf` box.
    pub(crate) fn parse(mut sinf: Reader) -> Result<Self, DemuxError> {
        let mut this = Self::default();
        while let Some(mut child) = sinf.child()? {
            match &child.kind.0 {
                b"frma" => this.original = Some(child.body.fourcc()?),
                b"schm" => {
                    child.body.full_box()?;
                    this.scheme = Some(child.body.fourcc()?);
                }
                b"schi" => {
                    while let Some(mut inner) = child.body.child()? {
                        if &inner.kind.0 == b"tenc" {
                            let (version, _) = inner.body.full_box()?;
                            this.keys = Some(Keys::parse(&mut inner.body, version > 0)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(this)
    }

    /// Takes in the sample groups of the sample table.
    pub(crate) fn add_groups(&mut self, boxes: &InfoBoxes) -> Result<(), DemuxError> {
        if let Some(sgpd) = &boxes.descriptions {
            self.groups = parse_descriptions(sgpd.clone())?;
        }
        Ok(())
    }
}

/// The boxes of a sample table or a track fragment that say how its samples are encrypted.
#[derive(Clone, Debug, Default)]
pub(crate) struct InfoBoxes {
    senc: Option<Reader>,
    sizes: Option<Reader>,
    offsets: Option<Reader>,
    to_groups: Option<Reader>,
    descriptions: Option<Reader>,
}

impl InfoBoxes {
    /// Keeps `child` if it is one of them.
    pub(crate) fn note(&mut self, child: &Child) {
        let grouping = |body: &Reader| {
            let mut body = body.clone();
            body.full_box().is_ok() && body.fourcc().is_ok_and(|kind| &kind.0 == b"seig")
        };
        let slot = match &child.kind.0 {
            b"senc" => &mut self.senc,
            b"saiz" if is_encryption(&child.body) => &mut self.sizes,
            b"saio" if is_encryption(&child.body) => &mut self.offsets,
            b"sbgp" if grouping(&child.body) => &mut self.to_groups,
            b"sgpd" if grouping(&child.body) => &mut self.descriptions,
            _ => return,
        };
        slot.get_or_insert_with(|| child.body.clone());
    }
}

/// Whether a `saiz` or `saio` box is about encryption: it names a scheme, or leaves it to the track.
fn is_encryption(body: &Reader) -> bool {
    let mut body = body.clone();
    match body.full_box() {
        Ok((_, flags)) if flags & 1 != 0 => body
            .fourcc()
            .is_ok_and(|kind| matches!(&kind.0, b"cenc" | b"cens" | b"cbc1" | b"cbcs")),
        other => other.is_ok(),
    }
}

/// `sgpd` of type `seig`.
fn parse_descriptions(mut reader: Reader) -> Result<Vec<Keys>, DemuxError> {
    let (version, _) = reader.full_box()?;
    reader.skip(4)?;
    let default_length = match version {
        0 => 20,
        1 => reader.u32()?,
        _ => {
            reader.skip(4)?;
            20
        }
    };
    let count = reader.u32()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let length = match default_length {
            0 => reader.u32()?,
            length => length,
        };
        let mut entry = reader.sub(usize::try_from(length).unwrap_or(usize::MAX))?;
        groups.push(Keys::parse(&mut entry, true)?);
    }
    Ok(groups)
}

/// The auxiliary information of each sample of a table or a track fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SampleInfo {
    data: Bytes,
    /// Where it begins in the source.
    base: u64,
    spans: Spans,
    /// (number of the first sample after, keys or `None` for the track's), rising.
    groups: Vec<(u64, Option<Keys>)>,
}

/// Where the information of each sample is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Spans {
    #[default]
    None,
    /// Of one size.
    Even(u32),
    /// From each offset to the next.
    Between(Vec<u32>),
}

/// Reads bytes of the source: offset, length.
pub(crate) type Read<'a> = &'a dyn Fn(u64, u64) -> Result<Bytes, DemuxError>;

impl SampleInfo {
    /// Puts together what `boxes` say. `base` is what offsets count from, `runs` how many samples lie together in each
    /// run or chunk.
    pub(crate) fn new(
        boxes: &InfoBoxes,
        protection: &TrackProtection,
        base: u64,
        runs: &mut dyn Iterator<Item = u64>,
        read: Read<'_>,
    ) -> Result<Self, DemuxError> {
        let mut this = Self::default();
        if let Some(sbgp) = &boxes.to_groups {
            let local = match &boxes.descriptions {
                Some(sgpd) => parse_descriptions(sgpd.clone())?,
                None => Vec::new(),
            };
            this.groups = parse_groups(sbgp.clone(), protection, &local)?;
        }
        if let Some(senc) = &boxes.senc {
            this.parse_senc(senc.clone(), protection)?;
        } else if let (Some(sizes), Some(offsets)) = (&boxes.sizes, &boxes.offsets) {
            this.read_auxiliary(sizes.clone(), offsets.clone(), base, runs, read)?;
        }
        Ok(this)
    }

    /// The keys of a sample; `None` for the track's.
    fn group(&self, number: u64) -> Option<&Keys> {
        let at = self.groups.partition_point(|(end, _)| *end <= number);
        self.groups.get(at)?.1.as_ref()
    }

    /// `senc`: the information itself, one sample after another.
    fn parse_senc(
        &mut self,
        mut reader: Reader,
        protection: &TrackProtection,
    ) -> Result<(), DemuxError> {
        let (_, flags) = reader.full_box()?;
        if flags & 1 != 0 {
            // An override of the algorithm, from before the standard.
            reader.skip(20)?;
        }
        let count = reader.u32()?;
        self.base = reader.offset();
        let all = reader.clone().rest();
        let mut starts = vec![0];
        for number in 0..u64::from(count) {
            let keys = self.group(number).or(protection.keys.as_ref());
            // Information of no bytes says nothing: no need to count it.
            let iv_size = keys.map_or(8, |keys| keys.iv_size);
            if iv_size == 0 && flags & 2 == 0 {
                break;
            }
            reader.skip(iv_size)?;
            if flags & 2 != 0 {
                let subsamples = usize::from(reader.u16()?);
                reader.skip(subsamples * 6)?;
            }
            let end = reader.offset().saturating_sub(self.base);
            starts.push(u32::try_from(end).unwrap_or(u32::MAX));
        }
        self.data = all;
        self.spans = Spans::Between(starts);
        Ok(())
    }

    /// `saiz` and `saio`: where the information is.
    fn read_auxiliary(
        &mut self,
        mut sizes: Reader,
        mut offsets: Reader,
        base: u64,
        runs: &mut dyn Iterator<Item = u64>,
        read: Read<'_>,
    ) -> Result<(), DemuxError> {
        let (_, flags) = sizes.full_box()?;
        sizes.skip(if flags & 1 != 0 { 8 } else { 0 })?;
        let even = sizes.u8()?;
        let count = sizes.u32()?;
        let list = match even {
            0 => sizes.table(count, 1)?,
            _ => Bytes::new(),
        };
        let (version, flags) = offsets.full_box()?;
        offsets.skip(if flags & 1 != 0 { 8 } else { 0 })?;
        let pieces = offsets.u32()?;
        let at = offsets.offset();
        let width = if version == 0 { 4 } else { 8 };
        let mut places = Reader::new(offsets.name(), offsets.table(pieces, width)?, at);
        let bytes_of = |first: u64, samples: u64| -> u64 {
            match even {
                0 => {
                    let range = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(list.len());
                    list.get(range(first)..range(first.saturating_add(samples)))
                        .unwrap_or_default()
                        .iter()
                        .map(|&size| u64::from(size))
                        .sum()
                }
                even => samples.saturating_mul(u64::from(even)),
            }
        };
        let mut joined = Vec::new();
        let mut first = 0;
        for piece in 0..pieces {
            let offset = base.saturating_add(places.u32_or_u64(version)?);
            let left = u64::from(count).saturating_sub(first);
            let samples = match pieces {
                1 => left,
                _ => runs.next().unwrap_or(0).min(left),
            };
            let bytes = read(offset, bytes_of(first, samples))?;
            first = first.saturating_add(samples);
            if piece == 0 {
                self.base = offset;
                self.data = bytes.clone();
            }
            if pieces > 1 {
                joined.extend_from_slice(&bytes);
            }
        }
        if pieces > 1 {
            self.data = joined.into();
        }
        self.spans = match even {
            0 => {
                let mut end = 0_u32;
                let ends = list.iter().map(|&size| {
                    end = end.saturating_add(u32::from(size));
                    end
                });
                Spans::Between(std::iter::once(0).chain(ends).collect())
            }
            even => Spans::Even(u32::from(even)),
        };
        Ok(())
    }

    fn span(&self, number: u64) -> Option<Bytes> {
        let (start, end) = match &self.spans {
            Spans::None => return None,
            Spans::Even(size) => {
                let start = number.checked_mul(u64::from(*size))?;
                (start, start.checked_add(u64::from(*size))?)
            }
            Spans::Between(starts) => {
                let at = usize::try_from(number).ok()?;
                let start = starts.get(at)?;
                (
                    u64::from(*start),
                    u64::from(*starts.get(at.checked_add(1)?)?),
                )
            }
        };
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        (start <= end && end <= self.data.len()).then(|| self.data.slice(start..end))
    }

    /// How the sample of that number (from 0 in the table or the track fragment) is encrypted; `None` in clear.
    pub(crate) fn encryption(
        &self,
        number: u64,
        protection: &TrackProtection,
    ) -> Result<Option<Arc<SampleEncryption>>, DemuxError> {
        let group = self.group(number);
        let Some(keys) = group.or(protection.keys.as_ref()) else {
            // Not common encryption: all that is known is that it is protected.
            return Ok(Some(Arc::default()));
        };
        if !keys.protected {
            return Ok(None);
        }
        let mut out = SampleEncryption {
            kid: group.map(|keys| keys.kid),
            iv: keys.constant_iv.clone(),
            subsamples: Vec::new(),
            pattern: keys.pattern,
        };
        match self.span(number) {
            Some(span) => {
                let name = FourCc(*b"senc");
                let mut reader = Reader::new(name, span, self.base);
                if keys.iv_size > 0 {
                    out.iv = reader.take(keys.iv_size)?;
                }
                if reader.left() >= 2 {
                    let count = reader.u16()?;
                    let at = reader.offset();
                    let mut list = Reader::new(name, reader.table(u32::from(count), 6)?, at);
                    for _ in 0..count {
                        out.subsamples.push(Subsample {
                            clear: u32::from(list.u16()?),
                            protected: list.u32()?,
                        });
                    }
                }
            }
            None if keys.iv_size > 0 => {
                return Err(invalid(
                    self.base,
                    format!(
                        "expected an initialisation vector for protected sample {number}, found none"
                    ),
                ));
            }
            None => {}
        }
        Ok(Some(Arc::new(out)))
    }
}

/// `sbgp`: which group each sample is in.
fn parse_groups(
    mut reader: Reader,
    protection: &TrackProtection,
    local: &[Keys],
) -> Result<Vec<(u64, Option<Keys>)>, DemuxError> {
    let (version, _) = reader.full_box()?;
    reader.skip(if version == 1 { 8 } else { 4 })?;
    let count = reader.u32()?;
    let at = reader.offset();
    let mut entries = Reader::new(reader.name(), reader.table(count, 8)?, at);
    let mut groups = Vec::new();
    let mut end = 0_u64;
    for _ in 0..count {
        let samples = entries.u32()?;
        let index = entries.u32()?;
        end = end.saturating_add(u64::from(samples));
        let (list, index) = match index.checked_sub(LOCAL_GROUPS) {
            Some(index) => (local, index),
            None => (&protection.groups[..], index),
        };
        let keys = match index.checked_sub(1) {
            None => None,
            Some(index) => {
                let found = usize::try_from(index)
                    .ok()
                    .and_then(|index| list.get(index));
                Some(found.cloned().ok_or_else(|| {
                    entries.error(format_args!(
                        "expected one of {} sample groups, found number {}",
                        list.len(),
                        u64::from(index) + 1
                    ))
                })?)
            }
        };
        groups.push((end, keys));
    }
    Ok(groups)
}
