//! A bounded reader of big-endian fields and boxes, which knows where in the source it stands.

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

/// A four-character code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FourCc(pub(crate) [u8; 4]);

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl std::fmt::Debug for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'{self}'")
    }
}

/// The error for content at `offset` that is not what the format prescribes.
pub(crate) fn invalid(offset: u64, message: impl Into<String>) -> DemuxError {
    DemuxError::Invalid {
        offset,
        message: message.into(),
    }
}

/// The big-endian number at byte `at`; 0 past the end, which callers that count entries never reach.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    at.checked_add(4)
        .and_then(|end| bytes.get(at..end))
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// As [`u32_at`], 64 bits.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    (u64::from(u32_at(bytes, at)) << 32) | u64::from(u32_at(bytes, at.saturating_add(4)))
}

/// The header of a box: its kind, its own size and that of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub(crate) kind: FourCc,
    /// Size of the header in bytes: 8, or 16 with a 64-bit size.
    pub(crate) header: u64,
    /// Size of the box with its header. For size 0, all that is left of the parent.
    pub(crate) size: u64,
}

impl BoxHeader {
    /// Parses the header at `offset` from `head`, the next bytes (at most 16), of which `left` remain in the
    /// parent. The size is at least the header's; whether it fits in the parent is the caller's to check.
    pub(crate) fn parse(head: &[u8], offset: u64, left: u64) -> Result<Self, DemuxError> {
        let Some(&[a, b, c, d, k0, k1, k2, k3]) = head.first_chunk::<8>() else {
            return Err(invalid(
                offset,
                format!("expected a box header of 8 bytes, found {}", head.len()),
            ));
        };
        let kind = FourCc([k0, k1, k2, k3]);
        let (header, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, left),
            1 if head.len() < 16 => {
                return Err(invalid(
                    offset,
                    format!("the {kind} box has a 64-bit size, which is cut off"),
                ));
            }
            1 => (16, u64_at(head, 8)),
            size => (8, u64::from(size)),
        };
        if size < header {
            return Err(invalid(
                offset,
                format!(
                    "the {kind} box has a size of {size}, less than its header of {header} bytes"
                ),
            ));
        }
        Ok(Self { kind, header, size })
    }
}

/// A box inside another.
pub(crate) struct Child {
    pub(crate) kind: FourCc,
    /// Byte offset of the box in the source.
    pub(crate) start: u64,
    pub(crate) body: Reader,
}

/// Reads fields from a part of the source that is in memory. Cloning and slicing share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
    pos: usize,
    base: u64,
    /// The box it reads, for messages.
    name: FourCc,
}

impl Reader {
    /// A reader of `bytes`, the body of the box `name`, which stand at `base` in the source.
    pub(crate) fn new(name: FourCc, bytes: Bytes, base: u64) -> Self {
        Self {
            bytes,
            pos: 0,
            base,
            name,
        }
    }

    /// The byte offset in the source of the next field.
    pub(crate) fn offset(&self) -> u64 {
        self.base.saturating_add(self.pos as u64)
    }

    /// The box that is read.
    pub(crate) fn name(&self) -> FourCc {
        self.name
    }

    /// The number of bytes left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.pos)
    }

    /// An error at the next field.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> DemuxError {
        invalid(self.offset(), format!("{} box: {message}", self.name))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DemuxError> {
        match self.bytes.get(self.pos..).and_then(|b| b.first_chunk()) {
            Some(field) => {
                let field = *field;
                self.pos += N;
                Ok(field)
            }
            None => Err(self.short(N)),
        }
    }

    fn short(&self, want: usize) -> DemuxError {
        self.error(format_args!(
            "expected {want} more bytes, found {}",
            self.left()
        ))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DemuxError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DemuxError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DemuxError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Result<u32, DemuxError> {
        self.array()
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DemuxError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DemuxError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DemuxError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DemuxError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A number of 32 bits in version 0 of a box, of 64 bits in version 1.
    pub(crate) fn u32_or_u64(&mut self, version: u8) -> Result<u64, DemuxError> {
        match version {
            0 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }

    pub(crate) fn fourcc(&mut self) -> Result<FourCc, DemuxError> {
        self.array().map(FourCc)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), DemuxError> {
        if count > self.left() {
            return Err(self.short(count));
        }
        self.pos += count;
        Ok(())
    }

    /// The next `count` bytes, shared.
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, DemuxError> {
        let start = self.pos;
        self.skip(count)?;
        Ok(self.bytes.slice(start..self.pos))
    }

    /// A reader of the next `count` bytes.
    pub(crate) fn sub(&mut self, count: usize) -> Result<Self, DemuxError> {
        let base = self.offset();
        Ok(Self::new(self.name, self.take(count)?, base))
    }

    /// The byte offset in the source after the last field.
    pub(crate) fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes.len() as u64)
    }

    /// The bytes from `start` to `end`, offsets in the source, as far as they are in what is read; shared.
    pub(crate) fn between(&self, start: u64, end: u64) -> Bytes {
        let within = |offset: u64| {
            let from_base = offset.saturating_sub(self.base);
            usize::try_from(from_base)
                .unwrap_or(usize::MAX)
                .min(self.bytes.len())
        };
        let (start, end) = (within(start), within(end));
        self.bytes.slice(start..end.max(start))
    }

    /// All that is left, shared.
    pub(crate) fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.pos.min(self.bytes.len())..);
        self.pos = self.bytes.len();
        rest
    }

    /// Whether what is left is the same, byte for byte.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.bytes.get(self.pos..) == other.bytes.get(other.pos..)
    }

    /// The bytes of a table of `count` entries of `size` bytes each.
    pub(crate) fn table(&mut self, count: u32, size: usize) -> Result<Bytes, DemuxError> {
        match (count as usize).checked_mul(size) {
            Some(bytes) if bytes <= self.left() => self.take(bytes),
            _ => Err(self.error(format_args!(
                "{count} entries of {size} bytes do not fit in the {} bytes that are left",
                self.left()
            ))),
        }
    }

    /// Version and flags of a full box.
    pub(crate) fn full_box(&mut self) -> Result<(u8, u32), DemuxError> {
        Ok((self.u8()?, self.u24()?))
    }

    /// The next child box; `None` at the end. Fewer than 8 bytes at the end are no box (QuickTime ends some
    /// lists with 4 zero bytes).
    pub(crate) fn child(&mut self) -> Result<Option<Child>, DemuxError> {
        let left = self.left();
        if left < 8 {
            return Ok(None);
        }
        let start = self.offset();
        let head = self.bytes.get(self.pos..).unwrap_or_default();
        let head = head.get(..head.len().min(16)).unwrap_or_default();
        let header = BoxHeader::parse(head, start, left as u64)?;
        if header.size > left as u64 {
            return Err(invalid(
                start,
                format!(
                    "the {} box has a size of {}, its parent {} has {left} bytes left",
                    header.kind, header.size, self.name
                ),
            ));
        }
        // Both fit: they are at most `left`.
        let (size, skip) = (header.size as usize, header.header as usize);
        let body = self
            .bytes
            .slice(self.pos.saturating_add(skip)..self.pos.saturating_add(size));
        self.pos = self.pos.saturating_add(size);
        Ok(Some(Child {
            kind: header.kind,
            start,
            body: Self::new(header.kind, body, start.saturating_add(header.header)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(FourCc(*b"test"), Bytes::from_static(bytes), 1000)
    }

    #[test]
    fn a_short_field_names_the_box_the_offset_and_both_counts() {
        let mut r = reader(&[1, 2, 3]);
        r.u16().expect("two bytes");
        let error = r.u32().expect_err("one byte is left").to_string();
        assert_eq!(
            error,
            "test box: expected 4 more bytes, found 1 at byte 1002"
        );
        assert_eq!(r.u8().ok(), Some(3), "an error moves nothing");
    }

    #[test]
    fn box_sizes_0_1_and_64_bits_are_bounded_by_the_parent() {
        let mut r = reader(b"\0\0\0\x09free!\0\0\0\0mdatrest");
        let child = r.child().expect("valid").expect("a box");
        assert_eq!((child.kind, child.body.left()), (FourCc(*b"free"), 1));
        let last = r.child().expect("valid").expect("size 0 goes to the end");
        assert_eq!((last.start, last.body.left()), (1009, 4));
        assert!(r.child().expect("the end").is_none());

        let mut large = reader(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12xy");
        let child = large.child().expect("valid").expect("a box");
        assert_eq!((child.body.offset(), child.body.left()), (1016, 2));
        for bad in [
            &b"\0\0\0\x07free    "[..],
            b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f",
            b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\x01free",
            b"\xff\xff\xff\xfffree",
        ] {
            assert!(reader(bad).child().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_table_longer_than_its_box_is_refused_before_anything_is_allocated() {
        assert!(reader(&[0; 16]).table(3, 8).is_err());
        assert!(reader(&[0; 16]).table(u32::MAX, usize::MAX).is_err());
        assert_eq!(reader(&[0; 16]).table(2, 8).map(|t| t.len()).ok(), Some(16));
    }
}
