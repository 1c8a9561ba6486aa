//! Writes EBML elements: RFC 8794.

/// The size of an element that ends where what follows cannot be in it: eight bytes.
pub(super) const UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Elements in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Ebml {
    bytes: Vec<u8>,
}

impl Ebml {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn id(&mut self, id: u32) {
        let bytes = id.to_be_bytes();
        let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
        self.raw(bytes.get(skip..).unwrap_or_default());
    }

    /// A number with its length in front (section 4), in as few bytes as hold it. What does not fit into eight is the
    /// unknown size.
    pub(super) fn vint(&mut self, value: u64) {
        // All ones is reserved.
        let width = (1..=8_usize).find(|width| value < (1 << (7 * width)) - 1);
        match width {
            Some(width) => {
                let marked = (value | 1 << (7 * width)).to_be_bytes();
                self.raw(marked.get(8 - width..).unwrap_or_default());
            }
            None => self.raw(&UNKNOWN),
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn binary(&mut self, id: u32, bytes: &[u8]) {
        self.id(id);
        self.vint(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(super) fn text(&mut self, id: u32, text: &str) {
        self.binary(id, text.as_bytes());
    }

    pub(super) fn uint(&mut self, id: u32, value: u64) {
        let bytes = value.to_be_bytes();
        let skip = (value.leading_zeros() / 8).min(7) as usize;
        self.binary(id, bytes.get(skip..).unwrap_or_default());
    }

    pub(super) fn int(&mut self, id: u32, value: i64) {
        // A byte less for each that only repeats the sign.
        let redundant = (value ^ value >> 63).leading_zeros().saturating_sub(1) / 8;
        let bytes = value.to_be_bytes();
        let skip = redundant.min(7) as usize;
        self.binary(id, bytes.get(skip..).unwrap_or_default());
    }

    pub(super) fn float(&mut self, id: u32, value: f64) {
        self.binary(id, &value.to_be_bytes());
    }

    pub(super) fn master(&mut self, id: u32, fill: impl FnOnce(&mut Self)) {
        let mut body = Self::default();
        fill(&mut body);
        self.binary(id, &body.bytes);
    }

    /// An element that says nothing, of `total` bytes with its header; at least 2.
    pub(super) fn void(&mut self, total: usize) {
        self.id(super::super::ids::VOID);
        if total < 128 {
            let size = total.saturating_sub(2);
            self.raw(&[0x80 | size as u8]);
            self.bytes.resize(self.bytes.len() + size, 0);
        } else {
            let size = total - 9;
            self.raw(&(size as u64 | 1 << 56).to_be_bytes());
            self.bytes.resize(self.bytes.len() + size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ids;
    use super::*;

    fn written(write: impl FnOnce(&mut Ebml)) -> Vec<u8> {
        let mut out = Ebml::default();
        write(&mut out);
        out.bytes
    }

    #[test]
    fn numbers_take_as_few_bytes_as_hold_them() {
        for (value, want) in [
            (0, &[0x80][..]),
            (126, &[0xfe]),
            (127, &[0x40, 0x7f]),
            (16_383, &[0x20, 0x3f, 0xff]),
            (
                (1 << 56) - 2,
                &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
            ),
            (u64::MAX, &UNKNOWN),
        ] {
            assert_eq!(written(|e| e.vint(value)), want, "{value}");
        }
        for (value, want) in [
            (0_i64, &[0xfb, 0x81, 0][..]),
            (127, &[0xfb, 0x81, 0x7f]),
            (128, &[0xfb, 0x82, 0, 0x80]),
            (-1, &[0xfb, 0x81, 0xff]),
            (-128, &[0xfb, 0x81, 0x80]),
            (-129, &[0xfb, 0x82, 0xff, 0x7f]),
        ] {
            assert_eq!(
                written(|e| e.int(ids::REFERENCE_BLOCK, value)),
                want,
                "{value}"
            );
        }
        assert_eq!(
            written(|e| e.uint(ids::TRACK_NUMBER, 256)),
            [0xd7, 0x82, 1, 0]
        );
        assert_eq!(written(|e| e.int(ids::REFERENCE_BLOCK, i64::MIN)).len(), 10);
    }

    #[test]
    fn voids_have_the_size_that_was_asked_for() {
        for total in [2, 3, 127, 128, 129, 5000] {
            assert_eq!(written(|e| e.void(total)).len(), total);
        }
    }
}
