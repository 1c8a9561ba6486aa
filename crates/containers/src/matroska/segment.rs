//! What stands before the first Cluster, and what a SeekHead leads to.

use reelcore_media::demux::DemuxError;

use super::ebml::{Element, Header, MAX_HEADER, Next, invalid};
use super::ids;
use super::meta::{Info, Tags};
use super::tracks::{self, MatroskaTrack};
use crate::Limits;
use crate::window::{AHEAD_SPARSE, Window};

/// The set-up of a file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) webm: bool,
    /// Byte offset of the Segment's data, to which positions are relative.
    pub(crate) start: u64,
    /// Where it ends, if it says so.
    pub(crate) end: Option<u64>,
    /// Byte offset of the first Cluster, or of where it should be.
    pub(crate) first_cluster: u64,
    /// Byte offset of the Cues.
    pub(crate) cues: Option<u64>,
    pub(crate) info: Info,
    pub(crate) tags: Tags,
    pub(crate) tracks: Vec<MatroskaTrack>,
}

/// The header of the element at `offset`. Waits for no more of a stream than the header itself.
pub(crate) fn header(window: &mut Window, offset: u64, ahead: usize) -> Result<Next, DemuxError> {
    let mut need = 2;
    loop {
        let head = window.peek(offset, need, ahead)?;
        let wants = Header::length(head);
        // All of it is there, or no more.
        if head.len() >= wants || head.len() < need {
            let head = head.get(..head.len().min(MAX_HEADER)).unwrap_or_default();
            return Header::parse(head, offset);
        }
        need = wants;
    }
}

/// An element in memory.
pub(crate) fn read(
    window: &mut Window,
    header: &Header,
    limits: &Limits,
) -> Result<Element, DemuxError> {
    let size = header.known_size()?;
    let fits = usize::try_from(size).ok();
    let Some(length) = fits.filter(|_| size <= limits.max_header_bytes) else {
        return Err(DemuxError::Limit(format!(
            "{} at byte {} has {size} bytes, the cap is {}",
            header.describe(),
            header.start,
            limits.max_header_bytes
        )));
    };
    let data = window.take(header.body, length, AHEAD_SPARSE)?;
    if data.len() < length {
        return Err(invalid(
            header.start,
            format!(
                "{} has a size of {size}, the source has {} bytes left",
                header.describe(),
                data.len()
            ),
        ));
    }
    Ok(Element {
        id: header.id,
        offset: header.body,
        data,
    })
}

/// Reads the EBML header. Returns whether the file is WebM, and where the header ends.
fn ebml(window: &mut Window, limits: &Limits) -> Result<(bool, u64), DemuxError> {
    let found = match header(window, 0, AHEAD_SPARSE)? {
        Next::Element(found) if found.id == ids::EBML => found,
        _ => return Err(invalid(0, "expected an EBML header, found none")),
    };
    let element = read(window, &found, limits)?;
    let mut doc_type = String::new();
    let mut children = element.children();
    while let Some(child) = children.next()? {
        // What a reader of this version can read.
        let most = match child.id {
            ids::DOC_TYPE => {
                doc_type = child.string();
                continue;
            }
            ids::EBML_READ_VERSION => 1,
            ids::EBML_MAX_ID_LENGTH => 4,
            ids::EBML_MAX_SIZE_LENGTH => 8,
            ids::DOC_TYPE_READ_VERSION => 4,
            _ => continue,
        };
        let value = child.uint_or(most)?;
        if value > most {
            return Err(DemuxError::Unsupported(format!(
                "{} {value} at byte {}, the highest that is known is {most}",
                ids::name(child.id),
                child.offset
            )));
        }
    }
    let webm = match doc_type.as_str() {
        "webm" => true,
        // The default of the first version was to be Matroska.
        "matroska" | "" => false,
        other => {
            return Err(DemuxError::Unsupported(format!(
                "the EBML document type `{}`, expected `webm` or `matroska`",
                other.chars().take(32).collect::<String>().escape_debug()
            )));
        }
    };
    Ok((
        webm,
        element.offset.saturating_add(element.data.len() as u64),
    ))
}

/// What was found so far.
#[derive(Default)]
struct Parts {
    info: Option<Info>,
    tracks: Option<Vec<MatroskaTrack>>,
    tags: Vec<Element>,
    cues: Option<u64>,
    /// IDs and byte offsets of a SeekHead.
    seeks: Vec<(u32, u64)>,
}

impl Parts {
    fn take(
        &mut self,
        window: &mut Window,
        header: &Header,
        start: u64,
        limits: &Limits,
    ) -> Result<(), DemuxError> {
        match header.id {
            ids::INFO if self.info.is_none() => {
                self.info = Some(Info::parse(&read(window, header, limits)?)?);
            }
            ids::TRACKS if self.tracks.is_none() => {
                self.tracks = Some(tracks::parse(&read(window, header, limits)?, limits)?);
            }
            ids::TAGS if self.tags.len() < 16 => self.tags.push(read(window, header, limits)?),
            ids::CUES if self.cues.is_none() => self.cues = Some(header.start),
            ids::SEEK_HEAD if self.seeks.is_empty() => {
                self.seek_head(&read(window, header, limits)?, start)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn seek_head(&mut self, element: &Element, start: u64) -> Result<(), DemuxError> {
        let mut children = element.children();
        while let Some(child) = children.next()? {
            if child.id != ids::SEEK {
                continue;
            }
            let (mut id, mut position) = (0, None);
            let mut fields = child.children();
            while let Some(field) = fields.next()? {
                match field.id {
                    ids::SEEK_ID => id = field.uint()?,
                    ids::SEEK_POSITION => position = start.checked_add(field.uint()?),
                    _ => {}
                }
            }
            let id = u32::try_from(id).unwrap_or(0);
            let useful = matches!(id, ids::INFO | ids::TRACKS | ids::TAGS | ids::CUES);
            if let Some(position) = position
                && useful
                && !self.seeks.iter().any(|(known, _)| *known == id)
            {
                self.seeks.push((id, position));
            }
        }
        Ok(())
    }

    /// Goes where the SeekHead leads for what did not stand in front.
    fn follow(
        &mut self,
        window: &mut Window,
        after: u64,
        start: u64,
        limits: &Limits,
    ) -> Result<(), DemuxError> {
        for (id, position) in std::mem::take(&mut self.seeks) {
            if position < after {
                continue;
            }
            // A SeekHead that leads astray, or past a file's end that is cut off, is no reason to give up.
            let Ok(Next::Element(found)) = header(window, position, AHEAD_SPARSE) else {
                continue;
            };
            if found.id != id {
                continue;
            }
            match self.take(window, &found, start, limits) {
                Err(DemuxError::Invalid { .. }) if matches!(id, ids::TAGS | ids::INFO) => {}
                result => result?,
            }
        }
        Ok(())
    }
}

pub(crate) fn open(window: &mut Window, limits: &Limits) -> Result<Segment, DemuxError> {
    let (webm, mut at) = ebml(window, limits)?;
    let segment = loop {
        match header(window, at, AHEAD_SPARSE)? {
            Next::Element(found) if found.id == ids::SEGMENT => break found,
            Next::Element(found) => at = found.body.saturating_add(found.known_size()?),
            Next::End | Next::Cut => {
                return Err(invalid(
                    at,
                    "expected a Segment, found none up to the end of the source",
                ));
            }
        }
    };
    let (start, end) = (segment.body, segment.end());
    let mut parts = Parts::default();
    at = start;
    while end.is_none_or(|end| at < end) {
        let Next::Element(found) = header(window, at, AHEAD_SPARSE)? else {
            break;
        };
        if matches!(found.id, ids::CLUSTER | ids::SEGMENT | ids::EBML) {
            break;
        }
        parts.take(window, &found, start, limits)?;
        at = found.body.saturating_add(found.known_size()?);
    }
    if window.is_seekable() {
        parts.follow(window, at, start, limits)?;
    }
    let Some(tracks) = parts.tracks else {
        return Err(invalid(
            at,
            "expected a Tracks element before the first Cluster, found none",
        ));
    };
    let info = parts.info.unwrap_or_default();
    let mut tags = info.tags();
    for element in &parts.tags {
        match tags.read(element) {
            // Those after the clusters are read as far as they go.
            Err(DemuxError::Invalid { .. }) if element.offset > at => {}
            result => result?,
        }
    }
    Ok(Segment {
        webm,
        start,
        end,
        first_cluster: at,
        cues: parts.cues,
        info,
        tags,
        tracks,
    })
}
