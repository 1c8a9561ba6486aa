//! Vorbis comments, as Ogg, FLAC and Opus have them. <https://www.xiph.org/vorbis/doc/v-comment.html>

use super::tags::{MAX_TEXT, Tags};

/// Reads the fields from the length of the vendor's name on. What is cut off or broken ends the list: the sound is not
/// concerned.
pub(crate) fn read(bytes: &[u8], tags: &mut Tags) {
    let mut described = Tags::default();
    let _ = fields(bytes, tags, &mut described);
    // FFmpeg's habit: writers that know no COMMENT have its text there. Beside one it is a tag of its own.
    let name = match tags.list().iter().any(|(name, _)| name == "comment") {
        true => "description",
        false => "comment",
    };
    for (_, value) in described.list() {
        tags.join(name, value);
    }
}

/// Those called DESCRIPTION go to `described`.
fn fields(bytes: &[u8], tags: &mut Tags, described: &mut Tags) -> Option<()> {
    let mut rest = bytes;
    let mut take = |size: usize| {
        let (taken, left) = rest.split_at_checked(size)?;
        rest = left;
        Some(taken)
    };
    let length = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.first_chunk()?));
    let vendor = length(take(4)?)?;
    take(usize::try_from(vendor).ok()?)?;
    let count = length(take(4)?)?;
    for _ in 0..count {
        let size = usize::try_from(length(take(4)?)?).ok()?;
        let field = take(size)?;
        // Pictures, coded as text, are far above any title.
        if size > MAX_TEXT {
            continue;
        }
        let field = String::from_utf8_lossy(field);
        if let Some((name, value)) = field.split_once('=') {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "metadata_block_picture" | "coverart" => {}
                "description" => described.join(&name, value),
                name => tags.join(known(name), value),
            }
        }
    }
    Some(())
}

/// Names by FFmpeg's habit.
fn known(name: &str) -> &str {
    match name {
        "albumartist" => "album_artist",
        "tracknumber" => "track",
        "discnumber" => "disc",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(fields: &[&[u8]]) -> Vec<u8> {
        let mut out = b"\x03\0\0\0abc".to_vec();
        out.extend((fields.len() as u32).to_le_bytes());
        for field in fields {
            out.extend((field.len() as u32).to_le_bytes());
            out.extend(*field);
        }
        out
    }

    #[test]
    fn names_are_ffmpegs_and_pictures_are_left_out() {
        let picture = [b"METADATA_BLOCK_PICTURE=", &[b'A'; 100_000][..]].concat();
        let bytes = built(&[
            b"TITLE=One=1",
            &picture,
            b"TrackNumber=7",
            b"ARTIST=A",
            b"artist=B",
            b"no field",
            b"EMPTY=",
            b"DESCRIPTION=\xff",
        ]);
        let mut tags = Tags::default();
        read(&bytes, &mut tags);
        let want = [
            ("title", "One=1"),
            ("track", "7"),
            ("artist", "A;B"),
            ("comment", "\u{fffd}"),
        ];
        let want: Vec<_> = want.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(tags.list(), want);
        for cut in 0..bytes.len() {
            read(&bytes[..cut], &mut Tags::default());
        }
    }

    #[test]
    fn a_description_beside_a_comment_is_not_joined_to_it() {
        let fields: [&[u8]; 3] = [
            b"DESCRIPTION=the description",
            b"COMMENT=one",
            b"comment=two",
        ];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let mut tags = Tags::default();
            read(&built(&order.map(|index| fields[index])), &mut tags);
            let value = |wanted: &str| {
                let found = tags.list().iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!(value("description"), Some("the description"), "{order:?}");
            let comment = value("comment").expect("both");
            assert!(["one;two", "two;one"].contains(&comment), "{comment}");
            assert_eq!(tags.list().len(), 2);
        }
    }
}
