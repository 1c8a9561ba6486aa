//! Tags: iTunes' list in `udta/meta/ilst`, QuickTime's keys in `moov/meta`, and the older texts in `udta`.

use super::parse::{Child, FourCc, Reader};
use crate::audio::genres::GENRES;

/// Tags that are kept, at most.
const MAX_TAGS: usize = 256;
/// Bytes of a text that is kept, at most: a longer one is no title.
const MAX_TEXT: usize = 1 << 16;

/// Names by FFmpeg's habit, which scripts know.
const NAMES: [(&[u8; 4], &str); 22] = [
    (b"\xa9nam", "title"),
    (b"\xa9ART", "artist"),
    (b"aART", "album_artist"),
    (b"\xa9alb", "album"),
    (b"\xa9day", "date"),
    (b"\xa9gen", "genre"),
    (b"\xa9cmt", "comment"),
    (b"\xa9too", "encoder"),
    (b"\xa9swr", "encoder"),
    (b"\xa9enc", "encoder"),
    (b"\xa9wrt", "composer"),
    (b"\xa9lyr", "lyrics"),
    (b"\xa9grp", "grouping"),
    (b"\xa9cpy", "copyright"),
    (b"cprt", "copyright"),
    (b"desc", "description"),
    (b"ldes", "synopsis"),
    (b"tvsh", "show"),
    (b"tven", "episode_id"),
    (b"\xa9mak", "make"),
    (b"\xa9mod", "model"),
    (b"\xa9xyz", "location"),
];

fn name(kind: &FourCc) -> Option<&'static str> {
    let found = NAMES.iter().find(|(known, _)| **known == kind.0);
    found.map(|(_, name)| *name)
}

/// The kind of the item in `ilst` that has a tag of that name.
pub(crate) fn kind(name: &str) -> Option<&'static [u8; 4]> {
    let found = NAMES.iter().find(|(_, known)| *known == name);
    found.map(|(kind, _)| *kind)
}

fn push(tags: &mut Vec<(String, String)>, name: &str, value: String) {
    let known = tags.iter().any(|(have, _)| have == name);
    if !value.is_empty() && !known && tags.len() < MAX_TAGS {
        tags.push((name.to_owned(), value));
    }
}

/// Reads the tags in a `udta` or `meta` box. What is damaged there is left out: the media is not concerned.
pub(crate) fn read(parent: &Child, tags: &mut Vec<(String, String)>) {
    let body = parent.body.clone();
    let _ = match &parent.kind.0 {
        b"meta" => meta(body, tags),
        _ => user_data(body, tags),
    };
}

/// `None`: what follows cannot be read.
fn user_data(mut udta: Reader, tags: &mut Vec<(String, String)>) -> Option<()> {
    while let Some(mut child) = udta.child().ok()? {
        if &child.kind.0 == b"meta" {
            let _ = meta(child.body, tags);
        } else if child.kind.0[0] == 0xa9
            && let Some(name) = name(&child.kind)
        {
            // QuickTime: the length of the text, its language, the text.
            let length = child.body.u16().ok()?;
            child.body.skip(2).ok()?;
            let text = child.body.take(usize::from(length)).ok()?;
            push(tags, name, String::from_utf8_lossy(&text).into_owned());
        }
    }
    Some(())
}

fn meta(mut meta: Reader, tags: &mut Vec<(String, String)>) -> Option<()> {
    // A full box in ISO files, a plain one in QuickTime's: there the first child's kind stands where the size of ISO's
    // would.
    let mut ahead = meta.clone();
    ahead.skip(4).ok()?;
    if &ahead.fourcc().ok()?.0 != b"hdlr" {
        meta.skip(4).ok()?;
    }
    let mut keys = Vec::new();
    while let Some(mut child) = meta.child().ok()? {
        match &child.kind.0 {
            b"keys" => keys = read_keys(&mut child.body).unwrap_or_default(),
            b"ilst" => list(child.body, &keys, tags)?,
            _ => {}
        }
    }
    Some(())
}

/// `keys`: the names that `ilst` refers to by number.
fn read_keys(reader: &mut Reader) -> Option<Vec<String>> {
    reader.full_box().ok()?;
    let count = reader.u32().ok()?;
    let mut keys = Vec::new();
    for _ in 0..count.min(MAX_TAGS as u32) {
        // Each is a box whose kind is the name space.
        let mut key = reader.child().ok()??;
        keys.push(String::from_utf8_lossy(&key.body.rest()).into_owned());
    }
    Some(keys)
}

fn list(mut ilst: Reader, keys: &[String], tags: &mut Vec<(String, String)>) -> Option<()> {
    while let Some(child) = ilst.child().ok()? {
        // Those behind one that is damaged are not concerned.
        let _ = item(child, keys, tags);
    }
    Some(())
}

fn item(item: Child, keys: &[String], tags: &mut Vec<(String, String)>) -> Option<()> {
    let number = u32::from_be_bytes(item.kind.0) as usize;
    let mut label = match number.checked_sub(1).and_then(|index| keys.get(index)) {
        Some(key) => Some(key.clone()),
        None => name(&item.kind).map(str::to_owned),
    };
    let pair = match &item.kind.0 {
        b"trkn" => Some("track"),
        b"disk" => Some("disc"),
        _ => None,
    };
    let mut children = item.body;
    while let Some(mut child) = children.child().ok()? {
        match &child.kind.0 {
            // A free-form item (`----`) brings its name along.
            b"name" if &item.kind.0 == b"----" => {
                child.body.skip(4).ok()?;
                label = Some(String::from_utf8_lossy(&child.body.rest()).into_owned());
            }
            b"data" => {
                let kind = child.body.u32().ok()?;
                child.body.skip(4).ok()?;
                if let Some(name) = pair {
                    push(tags, name, numbers(&mut child.body)?);
                } else if &item.kind.0 == b"gnre" {
                    push(tags, "genre", genre(&mut child.body)?.to_owned());
                } else if let Some(label) = &label {
                    let value = child.body.rest();
                    const UTF_8: u32 = 1;
                    if kind == UTF_8 && value.len() <= MAX_TEXT {
                        push(tags, label, String::from_utf8_lossy(&value).into_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// The name of a genre by its number in ID3 and one more; none for a number without a name.
fn genre(body: &mut Reader) -> Option<&'static str> {
    let number = usize::from(body.u16().ok()?);
    let name = number.checked_sub(1).and_then(|at| GENRES.get(at));
    Some(name.copied().unwrap_or_default())
}

/// `3/12`, or `3` where the total is not known.
fn numbers(body: &mut Reader) -> Option<String> {
    body.skip(2).ok()?;
    let (number, total) = (body.u16().ok()?, body.u16().ok()?);
    Some(match (number, total) {
        (0, 0) => String::new(),
        (number, 0) => number.to_string(),
        (number, total) => format!("{number}/{total}"),
    })
}
