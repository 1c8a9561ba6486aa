//! EBML, RFC 8794: variable-size integers, element headers, and elements that are in memory.

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use super::ids;

/// Bytes of an element's header, at most.
pub(crate) const MAX_HEADER: usize = 12;

/// The error for content at `offset` that is not what the format prescribes.
pub(crate) fn invalid(offset: u64, message: impl Into<String>) -> DemuxError {
    DemuxError::Invalid {
        offset,
        message: message.into(),
    }
}

/// A variable-size integer of at most 8 bytes (RFC 8794, section 4): its value without the marker, its length, and
/// whether all bits of the value are 1.
pub(crate) fn vint(bytes: &[u8]) -> Option<(u64, usize, bool)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let data = bytes.get(..length)?;
    if length > 8 {
        return None;
    }
    let marker = 1_u64 << (7 * length);
    let value = data
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
        & (marker - 1);
    Some((value, length, value == marker - 1))
}

/// The header of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u32,
    /// Size of the data; `None` where the writer did not know it.
    pub(crate) size: Option<u64>,
    /// Byte offset of the element in the source.
    pub(crate) start: u64,
    /// Byte offset of its data.
    pub(crate) body: u64,
}

/// What stands where an element is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Element(Header),
    /// Nothing: the source ends.
    End,
    /// A header that the source's end cuts off.
    Cut,
}

impl Header {
    /// How many bytes the header that starts with `head` has, as far as they tell; at most [`MAX_HEADER`].
    pub(crate) fn length(head: &[u8]) -> usize {
        let id = match head.first() {
            Some(first) => (first.leading_zeros() as usize + 1).min(4),
            None => 1,
        };
        match head.get(id) {
            Some(size) => id + (size.leading_zeros() as usize + 1).min(8),
            None => id + 1,
        }
    }

    /// Parses the header at `offset` from the bytes there, fewer than [`MAX_HEADER`] only at the source's end.
    pub(crate) fn parse(head: &[u8], offset: u64) -> Result<Next, DemuxError> {
        let Some(&first) = head.first() else {
            return Ok(Next::End);
        };
        let id_length = first.leading_zeros() as usize + 1;
        if id_length > 4 {
            return Err(invalid(
                offset,
                format!("expected an element ID, found {first:#04x}"),
            ));
        }
        let (Some(id), Some(&size_first)) = (head.get(..id_length), head.get(id_length)) else {
            return Ok(Next::Cut);
        };
        let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
        if size_first == 0 {
            return Err(invalid(
                offset,
                format!("the size of element {id:#X} has more than 8 bytes"),
            ));
        }
        let Some((size, length, unknown)) = vint(head.get(id_length..).unwrap_or_default()) else {
            return Ok(Next::Cut);
        };
        Ok(Next::Element(Self {
            id,
            size: (!unknown).then_some(size),
            start: offset,
            body: offset.saturating_add((id_length + length) as u64),
        }))
    }

    /// Where the element ends, if it says so.
    pub(crate) fn end(&self) -> Option<u64> {
        self.size.map(|size| self.body.saturating_add(size))
    }

    /// Its size; an element that must have one and has none is an error.
    pub(crate) fn known_size(&self) -> Result<u64, DemuxError> {
        self.size.ok_or_else(|| {
            invalid(
                self.start,
                format!(
                    "expected {} to have a size, found the unknown size",
                    self.describe()
                ),
            )
        })
    }

    /// Its name and ID, for messages.
    pub(crate) fn describe(&self) -> String {
        format!("element {} ({:#X})", ids::name(self.id), self.id)
    }
}

/// An element that is in memory. Cloning and slicing share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) id: u32,
    /// Byte offset of its data in the source.
    pub(crate) offset: u64,
    pub(crate) data: Bytes,
}

impl Element {
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> DemuxError {
        invalid(
            self.offset,
            format!("element {} ({:#X}): {message}", ids::name(self.id), self.id),
        )
    }

    /// An unsigned integer; empty data is `default`.
    pub(crate) fn uint_or(&self, default: u64) -> Result<u64, DemuxError> {
        match self.data.len() {
            0 => Ok(default),
            1..=8 => Ok(self
                .data
                .iter()
                .fold(0, |value, &byte| value << 8 | u64::from(byte))),
            len => Err(self.error(format_args!("expected an integer, found {len} bytes"))),
        }
    }

    pub(crate) fn uint(&self) -> Result<u64, DemuxError> {
        self.uint_or(0)
    }

    /// A signed integer.
    pub(crate) fn int(&self) -> Result<i64, DemuxError> {
        let value = self.uint()?;
        let unused = 64 - 8 * self.data.len().min(8);
        Ok(match unused {
            64 => 0,
            unused => (value << unused).cast_signed() >> unused,
        })
    }

    /// A floating-point number; empty data is `default`.
    pub(crate) fn float_or(&self, default: f64) -> Result<f64, DemuxError> {
        if self.data.is_empty() {
            return Ok(default);
        }
        if let Ok(bytes) = <[u8; 4]>::try_from(&self.data[..]) {
            return Ok(f64::from(f32::from_be_bytes(bytes)));
        }
        match <[u8; 8]>::try_from(&self.data[..]) {
            Ok(bytes) => Ok(f64::from_be_bytes(bytes)),
            Err(_) => Err(self.error(format_args!(
                "expected a number of 0, 4 or 8 bytes, found {}",
                self.data.len()
            ))),
        }
    }

    /// A string up to its first zero byte; what is not UTF-8 is replaced.
    pub(crate) fn string(&self) -> String {
        let text = self
            .data
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The elements in this one.
    pub(crate) fn children(&self) -> Children {
        Children {
            parent: self.id,
            bytes: self.data.clone(),
            at: 0,
            base: self.offset,
        }
    }
}

/// Walks the elements in another one that is in memory.
#[derive(Clone, Debug)]
pub(crate) struct Children {
    parent: u32,
    bytes: Bytes,
    at: usize,
    base: u64,
}

impl Children {
    /// The next element; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Element>, DemuxError> {
        let offset = self.base.saturating_add(self.at as u64);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let header = match Header::parse(rest, offset)? {
            Next::Element(header) => header,
            Next::End => return Ok(None),
            Next::Cut => {
                return Err(invalid(
                    offset,
                    format!(
                        "the header of an element in {} is cut off",
                        ids::name(self.parent)
                    ),
                ));
            }
        };
        let size = header.known_size()?;
        // The header is in `rest`.
        let skip = header.body.saturating_sub(offset) as usize;
        let left = rest.len().saturating_sub(skip);
        let Some(size) = usize::try_from(size).ok().filter(|&size| size <= left) else {
            return Err(invalid(
                offset,
                format!(
                    "{} has a size of {size}, its parent {} has {left} bytes left",
                    header.describe(),
                    ids::name(self.parent)
                ),
            ));
        };
        let from = self.at.saturating_add(skip);
        self.at = from.saturating_add(size);
        Ok(Some(Element {
            id: header.id,
            offset: header.body,
            data: self.bytes.slice(from..self.at),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(data: &'static [u8]) -> Element {
        Element {
            id: ids::TRACK_ENTRY,
            offset: 1000,
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn integers_of_all_lengths_and_the_unknown_size_are_told_apart() {
        assert_eq!(vint(&[0x81]), Some((1, 1, false)));
        assert_eq!(vint(&[0xff]), Some((127, 1, true)));
        assert_eq!(vint(&[0x40, 0x7f]), Some((127, 2, false)));
        assert_eq!(vint(&[0x01, 0, 0, 0, 0, 0, 0, 5]), Some((5, 8, false)));
        assert_eq!(
            vint(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Some(((1 << 56) - 1, 8, true))
        );
        assert_eq!(
            (vint(&[0, 1]), vint(&[0x40]), vint(&[])),
            (None, None, None)
        );
    }

    #[test]
    fn headers_that_are_cut_missing_or_impossible_are_told_apart() {
        let parse = |head: &[u8]| Header::parse(head, 5);
        let Ok(Next::Element(header)) = parse(&[
            0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]) else {
            panic!("a cluster")
        };
        assert_eq!(
            (header.id, header.size, header.body),
            (ids::CLUSTER, None, 17)
        );
        assert!(header.known_size().is_err());
        assert_eq!(parse(&[]).expect("the end"), Next::End);
        for cut in [&[0x1f, 0x43][..], &[0xa3], &[0xa3, 0x40]] {
            assert_eq!(parse(cut).expect("cut"), Next::Cut);
        }
        for (head, length) in [
            (&[][..], 2),
            (&[0x1f], 5),
            (&[0xa3, 0x40], 3),
            (&[0, 0, 0, 0, 0], 12),
        ] {
            assert_eq!(Header::length(head), length, "{head:?}");
        }
        assert!(parse(&[0x0f, 1, 2, 3]).is_err());
        assert!(parse(&[0xa3, 0]).is_err());
    }

    #[test]
    fn numbers_are_read_in_every_size_and_empty_is_the_default() {
        assert_eq!(element(&[0x12, 0x34]).uint().ok(), Some(0x1234));
        assert_eq!(element(&[]).uint_or(7).ok(), Some(7));
        assert_eq!(element(&[0; 9]).uint().ok(), None);
        assert_eq!(element(&[0xff, 0xfe]).int().ok(), Some(-2));
        assert_eq!(element(&[0x7f]).int().ok(), Some(127));
        assert_eq!(
            element(&[0x80, 0, 0, 0, 0, 0, 0, 0]).int().ok(),
            Some(i64::MIN)
        );
        assert_eq!(element(&[]).int().ok(), Some(0));
        assert_eq!(
            element(&[0x47, 0x3b, 0x80, 0]).float_or(1.0).ok(),
            Some(48_000.0)
        );
        assert_eq!(element(&[]).float_or(8000.0).ok(), Some(8000.0));
        assert_eq!(element(&[1, 2]).float_or(0.0).ok(), None);
        assert_eq!(element(b"webm\0\0x").string(), "webm");
    }

    #[test]
    fn a_child_larger_than_its_parent_is_an_error_with_its_place() {
        let mut children = element(&[0xd7, 0x81, 5, 0x83, 0x85, 1]).children();
        let first = children.next().expect("valid").expect("a child");
        assert_eq!(
            (first.id, first.offset, first.uint().ok()),
            (ids::TRACK_NUMBER, 1002, Some(5))
        );
        let error = children.next().expect_err("too large").to_string();
        assert!(
            error.contains("TrackType (0x83) has a size of 5"),
            "{error}"
        );
        assert!(error.ends_with("at byte 1003"), "{error}");
    }
}
