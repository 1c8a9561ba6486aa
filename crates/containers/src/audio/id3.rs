//! ID3: version 1 at the end of a file, versions 2.2 to 2.4 before its content.
//! <https://id3.org/id3v2.4.0-structure>, <https://id3.org/id3v2.3.0>, <https://id3.org/ID3v1>

use std::io;

use super::genres::GENRES;
use super::tags::{MAX_TEXT, Tags};
use crate::window::{AHEAD_SPARSE, Window};

/// Bytes of an ID3v1 tag.
pub(crate) const V1: usize = 128;

/// Bytes of an ID3v2 header.
pub(crate) const HEADER: usize = 10;

/// Tags that may stand one after another.
const MAX_IN_A_ROW: usize = 64;

/// Bytes of an unsynchronised tag that are read: its frames cannot be passed over.
const MAX_UNSYNCHRONISED: u64 = 1 << 20;

/// Frames of one tag that are looked at, at most.
const MAX_FRAMES: usize = 4096;

/// The size of the ID3v2 tag that `head` begins with, header and footer included.
pub(crate) fn size(head: &[u8]) -> Option<u64> {
    let &[b'I', b'D', b'3', major, minor, flags, a, b, c, d] = head.first_chunk::<HEADER>()? else {
        return None;
    };
    if major == 0xff || minor == 0xff {
        return None;
    }
    let body = synch_safe([a, b, c, d])?;
    let footer = if major >= 4 && flags & 0x10 != 0 {
        HEADER
    } else {
        0
    };
    Some(u64::from(body) + HEADER as u64 + footer as u64)
}

/// 28 bits in four bytes.
fn synch_safe(bytes: [u8; 4]) -> Option<u32> {
    bytes.iter().all(|byte| byte >> 7 == 0).then(|| {
        bytes
            .iter()
            .fold(0, |value, &byte| value << 7 | u32::from(byte))
    })
}

/// Passes over the ID3v2 tags at `at`, and reads what they say into `tags`; returns where they end.
pub(crate) fn read_all(window: &mut Window, mut at: u64, tags: &mut Tags) -> io::Result<u64> {
    for _ in 0..MAX_IN_A_ROW {
        let head = window.peek(at, HEADER, AHEAD_SPARSE)?;
        let Some(size) = size(head) else {
            break;
        };
        let (major, flags) = (head.get(3).copied(), head.get(5).copied());
        let end = at.saturating_add(size);
        let mut body = Body {
            window,
            at: at + HEADER as u64,
            end,
            skip_zero: false,
            after_ff: false,
        };
        // What is damaged in a tag is left out: the sound is not concerned.
        read_frames(
            &mut body,
            major.unwrap_or_default(),
            flags.unwrap_or_default(),
            tags,
        )?;
        at = end;
    }
    Ok(at)
}

/// The bytes of a tag.
struct Body<'a> {
    window: &'a mut Window,
    at: u64,
    end: u64,
    /// Whether a zero after 0xff is none of the content (unsynchronisation, ID3v2.3 section 5).
    skip_zero: bool,
    after_ff: bool,
}

impl Body<'_> {
    /// The next `size` bytes; `None` past the end.
    fn take(&mut self, size: usize) -> io::Result<Option<Vec<u8>>> {
        if !self.skip_zero {
            let end = self.at.saturating_add(size as u64);
            if end > self.end {
                return Ok(None);
            }
            let bytes = self.window.take(self.at, size, AHEAD_SPARSE)?;
            self.at = end;
            return Ok((bytes.len() == size).then(|| bytes.to_vec()));
        }
        let mut out = Vec::new();
        while out.len() < size {
            match self.byte()? {
                Some(byte) => out.push(byte),
                None => return Ok(None),
            }
        }
        Ok(Some(out))
    }

    /// The next byte of unsynchronised content.
    fn byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            let Some(&byte) = self.window.peek(self.at, 1, AHEAD_SPARSE)?.first() else {
                return Ok(None);
            };
            self.at += 1;
            let stuffed = self.after_ff && byte == 0;
            self.after_ff = byte == 0xff;
            if !stuffed {
                return Ok(Some(byte));
            }
        }
    }

    fn skip(&mut self, size: u64) -> io::Result<Option<()>> {
        if !self.skip_zero {
            self.at = self.at.saturating_add(size);
            return Ok((self.at <= self.end).then_some(()));
        }
        for _ in 0..size {
            if self.byte()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

fn read_frames(body: &mut Body, major: u8, flags: u8, tags: &mut Tags) -> io::Result<Option<()>> {
    if !(2..=4).contains(&major) || (major == 2 && flags & 0x40 != 0) {
        // Of another version, or compressed in a way that nobody specified.
        return Ok(None);
    }
    let unsynchronised = flags & 0x80 != 0;
    if unsynchronised && major < 4 {
        body.skip_zero = true;
        body.end = body.end.min(body.at.saturating_add(MAX_UNSYNCHRONISED));
    }
    if flags & 0x40 != 0 {
        let Some(size) = body.take(4)? else {
            return Ok(None);
        };
        let size = size.first_chunk().copied().unwrap_or_default();
        let rest = match major {
            // The size counts itself in 2.4, and does not in 2.3.
            4 => synch_safe(size).unwrap_or(4).saturating_sub(4),
            _ => u32::from_be_bytes(size),
        };
        if body.skip(u64::from(rest))?.is_none() {
            return Ok(None);
        }
    }
    for _ in 0..MAX_FRAMES {
        let head = if major == 2 { 6 } else { 10 };
        let Some(head) = body.take(head)? else {
            return Ok(None);
        };
        if !one_frame(body, major, &head, unsynchronised, tags)? {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

/// Reads the frame with this header; `false` ends the tag.
fn one_frame(
    body: &mut Body,
    major: u8,
    head: &[u8],
    unsynchronised: bool,
    tags: &mut Tags,
) -> io::Result<bool> {
    let (id, size, flags) = match *head {
        [a, b, c, x, y, z] => (
            String::from_utf8_lossy(&[a, b, c]).into_owned(),
            u32::from_be_bytes([0, x, y, z]),
            0,
        ),
        [a, b, c, d, w, x, y, z, _, flags] => {
            let size = [w, x, y, z];
            let size = match major {
                // iTunes wrote plain sizes into 2.4.
                4 => synch_safe(size).unwrap_or(u32::from_be_bytes(size)),
                _ => u32::from_be_bytes(size),
            };
            (
                String::from_utf8_lossy(&[a, b, c, d]).into_owned(),
                size,
                flags,
            )
        }
        _ => return Ok(false),
    };
    // Zeros are padding.
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(false);
    }
    let (coded, stuffed, length) = match major {
        4 => (flags & 0x0c != 0, flags & 0x02 != 0, flags & 0x01 != 0),
        3 => (flags & 0xc0 != 0, false, false),
        _ => (false, false, false),
    };
    let text = id.starts_with('T') || matches!(&*id, "COMM" | "COM" | "USLT" | "ULT");
    if !text || coded || size as usize > MAX_TEXT {
        return Ok(body.skip(u64::from(size))?.is_some());
    }
    let Some(mut content) = body.take(size as usize)? else {
        return Ok(false);
    };
    if length {
        content.drain(..content.len().min(4));
    }
    if major == 4 && (stuffed || unsynchronised) {
        let mut after_ff = false;
        content.retain(|&byte| {
            let stuffed = after_ff && byte == 0;
            after_ff = byte == 0xff;
            !stuffed
        });
    }
    keep(&id, &content, major, tags);
    Ok(true)
}

fn keep(id: &str, content: &[u8], major: u8, tags: &mut Tags) {
    let Some((&encoding, mut rest)) = content.split_first() else {
        return;
    };
    if matches!(id, "TXXX" | "TXX") {
        let name = text(encoding, &mut rest);
        tags.add(
            &name.to_lowercase(),
            &values(encoding, rest, major, str::to_owned),
        );
        return;
    }
    if matches!(id, "COMM" | "COM" | "USLT" | "ULT") {
        // The language, then what the text is about; only one about nothing in particular is the comment.
        rest = rest.get(3..).unwrap_or_default();
        let about = text(encoding, &mut rest);
        let name = if id.starts_with('C') {
            "comment"
        } else {
            "lyrics"
        };
        let value = text(encoding, &mut rest);
        if about.is_empty() {
            tags.add(name, &value);
        }
        return;
    }
    let Some(name) = known(id) else {
        return;
    };
    let value = match name {
        "genre" => values(encoding, rest, major, genre),
        _ => values(encoding, rest, major, str::to_owned),
    };
    tags.add(name, &value);
}

/// The strings of `bytes`, each as `say` has it: from version 2.4 on there may be several (4.2), here joined with semicolons as
/// those of other containers are.
fn values(encoding: u8, mut bytes: &[u8], major: u8, say: impl Fn(&str) -> String) -> String {
    let mut all = say(&text(encoding, &mut bytes));
    while major >= 4 && !bytes.is_empty() {
        let value = text(encoding, &mut bytes);
        // Zeros may also be padding.
        if !value.is_empty() {
            all.push(';');
            all.push_str(&say(&value));
        }
    }
    all
}

/// The string at the start of `bytes`, which moves past its end.
fn text(encoding: u8, bytes: &mut &[u8]) -> String {
    match encoding {
        1 | 2 => {
            let pairs = bytes.as_chunks::<2>().0;
            let count = pairs.iter().position(|pair| *pair == [0, 0]);
            let units = pairs
                .get(..count.unwrap_or(pairs.len()))
                .unwrap_or_default();
            let past = count.map_or(bytes.len(), |count| 2 * count + 2);
            *bytes = bytes.get(past..).unwrap_or_default();
            let (little, units) = match units.split_first() {
                Some(([0xff, 0xfe], units)) => (true, units),
                Some(([0xfe, 0xff], units)) => (false, units),
                _ => (encoding == 1, units),
            };
            let units = units.iter().map(|&pair| match little {
                true => u16::from_le_bytes(pair),
                false => u16::from_be_bytes(pair),
            });
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => {
            let count = bytes.iter().position(|&byte| byte == 0);
            let (string, _) = bytes.split_at(count.unwrap_or(bytes.len()));
            *bytes = bytes.get(string.len() + 1..).unwrap_or_default();
            match encoding {
                3 => String::from_utf8_lossy(string).into_owned(),
                // ISO 8859-1.
                _ => string.iter().map(|&byte| char::from(byte)).collect(),
            }
        }
    }
}

/// `(17)`, `17` and `(17)Rock` are numbers of the list.
fn genre(value: &str) -> String {
    let inner = value
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'));
    let (number, refined) = inner.unwrap_or((value, ""));
    if !refined.is_empty() {
        return refined.to_owned();
    }
    let name = number
        .parse::<usize>()
        .ok()
        .and_then(|number| GENRES.get(number));
    name.map_or_else(|| value.to_owned(), |name| (*name).to_owned())
}

/// Names by FFmpeg's habit.
fn known(id: &str) -> Option<&'static str> {
    Some(match id {
        "TALB" | "TAL" => "album",
        "TCOM" | "TCM" => "composer",
        "TCON" | "TCO" => "genre",
        "TCOP" | "TCR" => "copyright",
        "TENC" | "TEN" => "encoded_by",
        "TIT1" | "TT1" => "grouping",
        "TIT2" | "TT2" => "title",
        "TLAN" | "TLA" => "language",
        "TPE1" | "TP1" => "artist",
        "TPE2" | "TP2" => "album_artist",
        "TPE3" | "TP3" => "performer",
        "TPOS" | "TPA" => "disc",
        "TPUB" | "TPB" => "publisher",
        "TRCK" | "TRK" => "track",
        "TSSE" | "TSS" => "encoder",
        "TCMP" | "TCP" => "compilation",
        "TDRC" | "TDRL" | "TYER" | "TYE" => "date",
        "TDEN" => "creation_time",
        "TSOA" => "album-sort",
        "TSOP" => "artist-sort",
        "TSOT" => "title-sort",
        "TBPM" | "TBP" => "tbpm",
        _ => return None,
    })
}

/// A tag of version 2.4 that says `tags`; nothing where there are none. What has no frame of its own becomes `TXXX`.
///
/// There is one frame of each kind (4.2): values of the same name stand in one frame with a zero between them, and comments,
/// which have but one text (4.10), with a line break.
pub(crate) fn write(tags: &[(String, String)]) -> Option<Vec<u8>> {
    /// UTF-8.
    const ENCODING: u8 = 3;
    let mut body = Vec::new();
    for (at, (name, _)) in tags.iter().enumerate() {
        let (before, from) = tags.split_at(at);
        if before.iter().any(|(known, _)| known == name) {
            continue;
        }
        let id = WRITTEN.iter().find(|(_, known)| known == name);
        let mut content = vec![ENCODING];
        let id = match (id, name.as_str()) {
            (Some((id, _)), _) => *id,
            (None, "comment") => {
                // Language, and an empty description.
                content.extend(b"und\0");
                b"COMM"
            }
            (None, name) => {
                content.extend(name.bytes().filter(|&byte| byte != 0));
                content.push(0);
                b"TXXX"
            }
        };
        let between = if id == b"COMM" { b'\n' } else { 0 };
        let values = from.iter().filter(|(other, _)| other == name);
        for (index, (_, value)) in values.enumerate() {
            if index > 0 {
                content.push(between);
            }
            content.extend(value.bytes().filter(|&byte| byte != 0));
        }
        body.extend(id);
        body.extend(to_synch_safe(content.len())?);
        body.extend([0, 0]);
        body.extend(content);
    }
    if tags.is_empty() {
        return None;
    }
    let mut out = b"ID3\x04\0\0".to_vec();
    out.extend(to_synch_safe(body.len())?);
    out.extend(body);
    Some(out)
}

fn to_synch_safe(size: usize) -> Option<[u8; 4]> {
    let size = u32::try_from(size).ok().filter(|size| size >> 28 == 0)?;
    Some([21, 14, 7, 0].map(|shift| (size >> shift & 0x7f) as u8))
}

/// Frames by the names of their content.
const WRITTEN: [(&[u8; 4], &str); 18] = [
    (b"TALB", "album"),
    (b"TCOM", "composer"),
    (b"TCON", "genre"),
    (b"TCOP", "copyright"),
    (b"TENC", "encoded_by"),
    (b"TIT1", "grouping"),
    (b"TIT2", "title"),
    (b"TLAN", "language"),
    (b"TPE1", "artist"),
    (b"TPE2", "album_artist"),
    (b"TPE3", "performer"),
    (b"TPOS", "disc"),
    (b"TPUB", "publisher"),
    (b"TRCK", "track"),
    (b"TSSE", "encoder"),
    (b"TDRC", "date"),
    (b"TSOA", "album-sort"),
    (b"TSOP", "artist-sort"),
];

/// Reads an ID3v1 tag of 128 bytes; whether it is one.
pub(crate) fn read_v1(bytes: &[u8], tags: &mut Tags) -> bool {
    let Some(tag) = bytes
        .first_chunk::<V1>()
        .filter(|tag| tag.starts_with(b"TAG"))
    else {
        return false;
    };
    let mut field = |name: &str, from: usize, size: usize| {
        let mut bytes = tag.get(from..from + size).unwrap_or_default();
        tags.add(name, &text(0, &mut bytes));
    };
    field("title", 3, 30);
    field("artist", 33, 30);
    field("album", 63, 30);
    field("date", 93, 4);
    field("comment", 97, 30);
    // ID3v1.1: a zero before the last byte of the comment makes that the track.
    if tag[125] == 0 && tag[126] != 0 {
        tags.add("track", &tag[126].to_string());
    }
    if let Some(name) = GENRES.get(usize::from(tag[127])) {
        tags.add("genre", name);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BytesSource;
    use std::sync::Arc;

    fn frame(id: &[u8; 4], flags: u8, content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32).to_be_bytes();
        [&id[..], &size, &[0, flags], content].concat()
    }

    fn tag(major: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let n = body.len() as u32;
        let size = [n >> 21, n >> 14 & 127, n >> 7 & 127, n & 127].map(|part| part as u8);
        [&b"ID3"[..], &[major, 0, flags], &size, body].concat()
    }

    #[test]
    fn values_of_one_name_stand_in_one_frame_and_are_all_read() {
        let tags = [
            ("artist", "A"),
            ("mood", "calm"),
            ("genre", "17"),
            ("comment", "one"),
            ("artist", "B"),
            ("mood", "late"),
            ("genre", "Own"),
            ("comment", "two"),
        ];
        let own = |tags: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
            tags.iter().map(owned).collect()
        };
        let bytes = write(&own(&tags)).expect("a tag");
        for (id, content) in [
            (b"TPE1", &b"\x03A\0B"[..]),
            (b"TXXX", b"\x03mood\0calm\0late"),
            (b"TCON", b"\x0317\0Own"),
            (b"COMM", b"\x03und\0one\ntwo"),
        ] {
            assert_eq!(bytes.windows(4).filter(|w| w == id).count(), 1);
            let whole = frame(id, 0, content);
            assert!(bytes.windows(whole.len()).any(|w| w == whole), "{id:?}");
        }
        let joined = [
            ("artist", "A;B"),
            ("mood", "calm;late"),
            ("genre", "Rock;Own"),
            ("comment", "one\ntwo"),
        ];
        assert_eq!(read(&bytes).1, own(&joined));
        // Before version 2.4 what stands behind a zero is to be ignored.
        let old = tag(3, 0, &frame(b"TPE1", 0, b"\0A\0B"));
        assert_eq!(read(&old).1, own(&[("artist", "A")]));
    }

    fn read(bytes: &[u8]) -> (u64, Vec<(String, String)>) {
        let source = Arc::new(BytesSource::new(bytes.to_vec()));
        let mut window = Window::new(source).expect("open");
        let mut tags = Tags::default();
        let end = read_all(&mut window, 0, &mut tags).expect("read");
        (end, tags.list().to_vec())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        list.iter().map(own).collect()
    }

    #[test]
    fn frames_of_every_version_and_encoding_are_read() {
        let three = tag(
            3,
            0,
            &[
                frame(b"APIC", 0, &[7; 5000]),
                frame(b"TIT2", 0, b"\x01\xff\xfeA\0\xac\x20"),
                frame(b"TPE1", 0, b"\x00Caf\xe9"),
                frame(b"TCON", 0, b"\x00(17)"),
                frame(b"COMM", 0, b"\x00engx\0about x"),
                frame(b"COMM", 0, b"\x01eng\xff\xfe\0\0\xff\xfeH\0i\0"),
                frame(b"TXXX", 0, b"\x03My Name\0value"),
                vec![0; 64],
            ]
            .concat(),
        );
        // A second one, of version 2.4 with a footer, a data length and unsynchronisation.
        let mut four = tag(
            4,
            0x10,
            &[
                frame(b"TALB", 3, b"\0\0\0\x05\x00a\xff\0\xe0"),
                frame(b"TDRC", 0, b"\x02\0\x31\0\x32"),
                frame(b"TIT2", 0, b"\x03not the first"),
            ]
            .concat(),
        );
        four.extend([0; HEADER]);
        let two = tag(2, 0, b"TT2\0\0\x04\x00two");
        let all = [three, four, two, b"sound".to_vec()].concat();
        let (end, tags) = read(&all);
        assert_eq!(end, all.len() as u64 - 5);
        let want = [
            ("title", "A€"),
            ("artist", "Café"),
            ("genre", "Rock"),
            ("comment", "Hi"),
            ("my name", "value"),
            ("album", "aÿà"),
            ("date", "12"),
        ];
        assert_eq!(tags, pairs(&want));
        for cut in 0..all.len() {
            read(&all[..cut]);
        }
    }

    #[test]
    fn an_unsynchronised_tag_is_read_as_it_was_before() {
        let body = [
            frame(b"PRIV", 0, &[0xff, 0xe0, 0xff, 0x00, 1]),
            frame(b"TIT2", 0, b"\x01\xff\xfeA\0"),
        ]
        .concat();
        let mut stuffed = Vec::new();
        for (at, &byte) in body.iter().enumerate() {
            stuffed.push(byte);
            if byte == 0xff
                && body
                    .get(at + 1)
                    .is_none_or(|&next| next >= 0xe0 || next == 0)
            {
                stuffed.push(0);
            }
        }
        let bytes = tag(3, 0x80, &stuffed);
        assert_eq!(read(&bytes), (bytes.len() as u64, pairs(&[("title", "A")])));
    }

    #[test]
    fn version_1_gives_the_track_and_the_genre() {
        let mut bytes = [0; V1];
        bytes[..8].copy_from_slice(b"TAGTitle");
        bytes[93..97].copy_from_slice(b"2001");
        bytes[126] = 9;
        bytes[127] = 8;
        let mut tags = Tags::default();
        assert!(read_v1(&bytes, &mut tags));
        let want = [
            ("title", "Title"),
            ("date", "2001"),
            ("track", "9"),
            ("genre", "Jazz"),
        ];
        assert_eq!(tags.list(), pairs(&want));
    }
}
