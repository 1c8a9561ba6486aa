//! APE tags, versions 1 and 2. <https://wiki.hydrogenaud.io/index.php?title=APEv2_specification>

use super::tags::{MAX_TEXT, Tags};

/// Bytes of the footer, and of the header before the items.
pub(crate) const FOOTER: usize = 32;

/// What a footer or a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes of the items and the footer.
    pub(crate) size: u64,
    /// Whether a header stands before the items.
    pub(crate) header: bool,
}

/// Reads a footer or a header of 32 bytes.
pub(crate) fn extent(bytes: &[u8]) -> Option<Extent> {
    let bytes: &[u8; FOOTER] = bytes.first_chunk()?;
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let size = word(12);
    (bytes.starts_with(b"APETAGEX") && size as usize >= FOOTER).then_some(Extent {
        size: u64::from(size),
        header: word(8) >= 2000 && word(20) >> 31 == 1,
    })
}

/// Reads the items: for each the length of its value, flags, its name, 0, its value.
pub(crate) fn read(items: &[u8], tags: &mut Tags) {
    let mut rest = items;
    while let Some((head, after)) = rest.split_at_checked(8) {
        let &[a, b, c, d, flags, ..] = head else {
            return;
        };
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some(end) = after.iter().take(256).position(|&byte| byte == 0) else {
            return;
        };
        let Some((value, left)) = after
            .get(end + 1..)
            .and_then(|body| body.split_at_checked(size))
        else {
            return;
        };
        rest = left;
        let name =
            String::from_utf8_lossy(after.get(..end).unwrap_or_default()).to_ascii_lowercase();
        // Bits 1 and 2: 0 is text.
        if flags >> 1 & 3 == 0 && size <= MAX_TEXT {
            let value = String::from_utf8_lossy(value).replace('\0', ";");
            tags.add(known(&name), &value);
        }
    }
}

fn known(name: &str) -> &str {
    match name {
        "album artist" => "album_artist",
        "year" => "date",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_binary_items_passed_over() {
        let item = |flags: u8, name: &[u8], value: &[u8]| {
            let size = (value.len() as u32).to_le_bytes();
            [&size[..], &[flags, 0, 0, 0], name, &[0], value].concat()
        };
        let items = [
            item(2, b"Cover Art (Front)", &[1; 300]),
            item(0, b"Title", "Ä".as_bytes()),
            item(0, b"Year", b"1999"),
        ]
        .concat();
        let mut tags = Tags::default();
        read(&items, &mut tags);
        let want = [("title", "Ä"), ("date", "1999")];
        assert_eq!(tags.list(), want.map(|(n, v)| (n.to_owned(), v.to_owned())));
        for cut in 0..items.len() {
            read(&items[..cut], &mut Tags::default());
        }
        let mut footer = [0; FOOTER];
        footer[..8].copy_from_slice(b"APETAGEX");
        footer[8..12].copy_from_slice(&2000_u32.to_le_bytes());
        footer[12] = 40;
        footer[23] = 0x80;
        assert_eq!(
            extent(&footer),
            Some(Extent {
                size: 40,
                header: true
            })
        );
        footer[12] = 31;
        assert_eq!(extent(&footer), None);
    }
}
