//! The languages of tracks: three letters of ISO 639-2, a code of the Macintosh, or a tag of RFC 5646.

use super::parse::Reader;

/// Codes from here on are three letters of five bits each.
const LETTERS: u16 = 0x400;

/// ISO 639-2/T by the code of the Macintosh, up to the first gap (QuickTime File Format, "Language Code Values").
const MACINTOSH: [&str; 95] = [
    "eng", "fra", "deu", "ita", "nld", "swe", "spa", "dan", "por", "nor", // 0
    "heb", "jpn", "ara", "fin", "ell", "isl", "mlt", "tur", "hrv", "zho", // 10
    "urd", "hin", "tha", "kor", "lit", "pol", "hun", "est", "lav", "smi", // 20
    "fao", "fas", "rus", "zho", "nld", "gle", "sqi", "ron", "ces", "slk", // 30
    "slv", "yid", "srp", "mkd", "bul", "ukr", "bel", "uzb", "kaz", "aze", // 40
    "aze", "hye", "kat", "ron", "kir", "tgk", "tuk", "mon", "mon", "pus", // 50
    "kur", "kas", "snd", "bod", "nep", "san", "mar", "ben", "asm", "guj", // 60
    "pan", "ori", "mal", "kan", "tam", "tel", "sin", "mya", "khm", "lao", // 70
    "vie", "ind", "tgl", "msa", "msa", "amh", "tir", "orm", "som", "swa", // 80
    "kin", "run", "nya", "mlg", "epo", // 90
];

/// Those from 128 on.
const MACINTOSH_LATER: [&str; 11] = [
    "cym", "eus", "cat", "lat", "que", "grn", "aym", "tat", "uig", "dzo", "jav",
];

/// The language of a `mdhd` box.
pub(crate) fn of_media(code: u16) -> Option<String> {
    if code < LETTERS {
        let code = usize::from(code);
        let later = || MACINTOSH_LATER.get(code.checked_sub(128)?);
        let name = MACINTOSH.get(code).or_else(later);
        return name.map(|&name| name.to_owned());
    }
    // 0x7fff, QuickTime's "unspecified", gives no letters.
    let letter = |shift: u16| char::from(((code >> shift) & 31) as u8 + 0x60);
    let language: String = [10, 5, 0].map(letter).iter().collect();
    let known = language.chars().all(|c| c.is_ascii_lowercase());
    Some(language).filter(|language| known && language != "und")
}

/// The tag of an `elng` box, which says more than three letters.
pub(crate) fn extended(mut reader: Reader) -> Option<String> {
    /// RFC 5646, section 4.4.1, has room for all that is in use in 35.
    const MOST: usize = 64;
    reader.full_box().ok()?;
    let text = reader.rest();
    let tag = text.split(|&byte| byte == 0).next()?;
    let of_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let is_tag = (1..=MOST).contains(&tag.len()) && tag.iter().all(of_tag);
    let tag = String::from_utf8(tag.to_vec()).ok()?;
    Some(tag).filter(|tag| is_tag && tag != "und")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_macintosh_and_packed_letters_are_languages() {
        for (code, language) in [
            (0, Some("eng")),
            (1, Some("fra")),
            (12, Some("ara")),
            (33, Some("zho")),
            (57, Some("mon")),
            (94, Some("epo")),
            (95, None),
            (127, None),
            (128, Some("cym")),
            (138, Some("jav")),
            (139, None),
            (0x3ff, None),
            // d, e, u and u, n, d.
            (4 << 10 | 5 << 5 | 21, Some("deu")),
            (21 << 10 | 14 << 5 | 4, None),
            (0x7fff, None),
            (0x400, None),
        ] {
            assert_eq!(of_media(code).as_deref(), language, "{code:#x}");
        }
    }
}
