//! Tags after the sound: ID3v1 and APE, in a source that can be read anywhere.

use std::io;

use super::tags::Tags;
use super::{ape, id3};
use crate::window::Window;

/// Bytes of tags at the end that are read, at most; longer ones are passed over.
const MAX_READ: u64 = 1 << 20;

/// Where the sound ends: the source's length less the tags after it; `None` where that is not known. Adds what they say
/// to `tags`.
pub(crate) fn read(window: &mut Window, start: u64, tags: &mut Tags) -> io::Result<Option<u64>> {
    let Some(len) = window.len() else {
        return Ok(None);
    };
    let mut end = len;
    let mut last = Tags::default();
    let mut at = |offset: Option<u64>, size: usize| -> io::Result<Vec<u8>> {
        match offset.filter(|&offset| offset >= start) {
            Some(offset) => Ok(window.take(offset, size, size)?.to_vec()),
            None => Ok(Vec::new()),
        }
    };
    let bytes = at(end.checked_sub(id3::V1 as u64), id3::V1)?;
    if id3::read_v1(&bytes, &mut last) {
        end -= id3::V1 as u64;
    }
    let footer = at(end.checked_sub(ape::FOOTER as u64), ape::FOOTER)?;
    if let Some(extent) = ape::extent(&footer)
        && let Some(items) = end.checked_sub(extent.size).filter(|&items| items >= start)
    {
        let size = extent.size - ape::FOOTER as u64;
        if let (true, Ok(size)) = (size <= MAX_READ, usize::try_from(size)) {
            ape::read(&at(Some(items), size)?, tags);
        }
        end = items;
        let header = at(items.checked_sub(ape::FOOTER as u64), ape::FOOTER)?;
        if extent.header && ape::extent(&header).is_some() {
            end -= ape::FOOTER as u64;
        }
    }
    tags.extend(&last);
    Ok(Some(end))
}
