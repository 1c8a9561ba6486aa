//! Headers of Xiph's codecs: lists of comments, and the three headers of Vorbis in one description:
//! <https://www.w3.org/TR/webcodecs-vorbis-codec-registration/>.

use bytes::Bytes;

/// Who wrote the file.
const VENDOR: &str = concat!("Reelcore ", env!("CARGO_PKG_VERSION"));

/// Identification, comment and setup header of a description.
pub(crate) fn headers(description: &Bytes) -> Option<[Bytes; 3]> {
    let (&2, mut rest) = description.split_first()? else {
        return None;
    };
    let mut sizes = [0_usize; 2];
    for size in &mut sizes {
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            *size = size.checked_add(usize::from(byte))?;
            if byte != 255 {
                break;
            }
        }
    }
    let (first, rest) = rest.split_at_checked(sizes[0])?;
    let (second, third) = rest.split_at_checked(sizes[1])?;
    let typed = first.starts_with(b"\x01vorbis")
        && second.starts_with(b"\x03vorbis")
        && third.starts_with(b"\x05vorbis");
    typed.then(|| [first, second, third].map(|part| description.slice_ref(part)))
}

/// A list of comments without the bytes around it. <https://www.xiph.org/vorbis/doc/v-comment.html>
pub(crate) fn comments(tags: &[(String, String)]) -> Vec<u8> {
    let field = |out: &mut Vec<u8>, text: &str| {
        out.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = Vec::new();
    field(&mut out, VENDOR);
    let said: Vec<String> = tags
        .iter()
        .filter(|(name, _)| !name.is_empty() && !name.contains('='))
        .map(|(name, value)| {
            let name = match name.as_str() {
                "album_artist" => "ALBUMARTIST".to_owned(),
                "track" => "TRACKNUMBER".to_owned(),
                "disc" => "DISCNUMBER".to_owned(),
                name => name.to_uppercase(),
            };
            format!("{name}={value}")
        })
        .collect();
    out.extend(u32::try_from(said.len()).unwrap_or(0).to_le_bytes());
    for text in &said {
        field(&mut out, text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_their_sizes_and_nonsense_is_not() {
        let comment = [&b"\x03vorbis"[..], &[7; 300]].concat();
        let mut description = vec![2, 7, 255, 52];
        for part in [&b"\x01vorbis"[..], &comment, b"\x05vorbis!"] {
            description.extend(part);
        }
        let description = Bytes::from(description);
        let [first, second, third] = headers(&description).expect("three headers");
        assert_eq!(
            (&first[..], &third[..]),
            (&b"\x01vorbis"[..], &b"\x05vorbis!"[..])
        );
        assert_eq!(second, comment);
        for cut in 0..description.len() - 1 {
            assert_eq!(headers(&description.slice(..cut)), None, "{cut}");
        }
    }
}
