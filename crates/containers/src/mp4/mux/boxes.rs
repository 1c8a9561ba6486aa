//! Boxes in memory: big-endian fields, sizes filled in when a box ends.

use reelcore_media::mux::MuxError;

/// Boxes one after another.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    out: Vec<u8>,
    /// A box, or a count of entries, that its field has no room for.
    overflow: Option<[u8; 4]>,
}

impl Boxes {
    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.extend(value.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    /// A number of 32 or 64 bits, as the version of a box says.
    pub(super) fn u32_or_u64(&mut self, version: u8, value: u64) {
        match version {
            0 => self.u32(u32::try_from(value).unwrap_or(u32::MAX)),
            _ => self.u64(value),
        }
    }

    /// A count of entries.
    pub(super) fn count(&mut self, count: usize) {
        match u32::try_from(count) {
            Ok(count) => self.u32(count),
            Err(_) => {
                self.overflow.get_or_insert(*b"list");
                self.u32(u32::MAX);
            }
        }
    }

    /// A box with what `body` writes.
    pub(super) fn bx(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.extend([0; 4]);
        self.out.extend(kind);
        body(self);
        let size = self.out.len() - start;
        let field = self.out.get_mut(start..start + 4);
        match (u32::try_from(size), field) {
            (Ok(size), Some(field)) => field.copy_from_slice(&size.to_be_bytes()),
            _ => {
                self.overflow.get_or_insert(*kind);
            }
        }
    }

    /// A full box: with a version and flags.
    pub(super) fn full(
        &mut self,
        kind: &[u8; 4],
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        self.bx(kind, |this| {
            this.u32(u32::from(version) << 24 | (flags & 0xff_ffff));
            body(this);
        });
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`MuxError::Limit`] for a box of 4 GiB or more.
    pub(super) fn finish(self) -> Result<Vec<u8>, MuxError> {
        match self.overflow {
            None => Ok(self.out),
            Some(kind) => Err(MuxError::Limit(format!(
                "the box {} would exceed 4 GiB",
                String::from_utf8_lossy(&kind)
            ))),
        }
    }
}

/// The header of a `mdat` box: 8 bytes, or 16 where its content does not fit in 4 GiB.
pub(super) fn mdat_header(content: u64) -> Vec<u8> {
    match u32::try_from(content.saturating_add(8)) {
        Ok(size) => [&size.to_be_bytes()[..], b"mdat"].concat(),
        Err(_) => {
            let size = content.saturating_add(16).to_be_bytes();
            [&1_u32.to_be_bytes()[..], b"mdat", &size].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_what_is_inside() {
        let mut boxes = Boxes::default();
        boxes.bx(b"outr", |b| {
            b.u8(7);
            b.full(b"innr", 1, 2, |b| b.u16(0x0304));
        });
        let want = b"\0\0\0\x17outr\x07\0\0\0\x0einnr\x01\0\0\x02\x03\x04";
        assert_eq!(boxes.finish().expect("small"), want);
        assert_eq!(mdat_header(1), b"\0\0\0\x09mdat");
        assert_eq!(mdat_header(1 << 32), b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x10");
    }
}
