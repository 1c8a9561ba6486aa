//! Vorbis comments, as Ogg, FLAC and Opus have them. <https://www.xiph.org/vorbis/doc/v-comment.html>

use super::tags::{MAX_TEXT, Tags};

/// Reads the fields from the length of the vendor's name on. What is cut off or broken ends the list: the sound is not
/// concerned.
pub(crate) fn read(bytes: &[u8], tags: &mut Tags) {
    let _ = fields(bytes, tags);
}

fn fields(bytes: &[u8], tags: &mut Tags) -> Option<()> {
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
            if name != "metadata_block_picture" && name != "coverart" {
                tags.join(known(&name), value);
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
        "description" => "comment",
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
}
