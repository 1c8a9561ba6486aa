//! Ogg (RFC 3533) with Opus (RFC 7845), Vorbis and FLAC.
//!
//! A chain of streams is read as one as long as each link has a stream of the same codec with the same parameters (for
//! Vorbis the same setup header): the time line goes on, and what a link's decoder delay takes is dropped at its start.
//! A link without one is reported as [`DemuxError::Unsupported`] where it begins, because a decoder would have to be
//! configured anew. Seeking in a chain walks from the start.
//!
//! Damaged pages (by their checksum) are passed over like lost ones (by their numbers): packets that follow have the times
//! that their pages give, so that a gap shows.

mod codec;
mod mux;
mod packets;
mod page;
mod reader;
pub(crate) mod vorbis;
mod walk;

pub use self::mux::OggMuxer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Source, Track};

use self::codec::{Codec, Headers};
use self::packets::Assembler;
use self::page::{MAX_PAGE, Page, Vain};
use self::reader::{OggPacketReader, headers_missing};
use self::walk::{Setup, Walk};
use crate::audio::micros;
use crate::audio::tags::Tags;
use crate::window::{AHEAD, AHEAD_SPARSE, Window};
use crate::{Limits, audio};

/// Bytes of a header that are kept, at most: pictures in comments are longer.
const MAX_HEADER: usize = 1 << 20;

/// Bytes at the start of a source in which the headers are, at most.
const MAX_HEADERS: u64 = 64 << 20;

/// Bytes at the end of a source in which the last page of each stream is looked for, at first and at last.
const TAILS: [u64; 2] = [64 << 10, 1 << 20];

/// Bytes of a chain that is walked through for its length, at most.
const MAX_CHAIN: u64 = 64 << 20;

/// Whether the first bytes of a source (64 of them, or all there are) can be Ogg.
pub fn probe(head: &[u8]) -> bool {
    head.starts_with(b"OggS\0")
}

/// An opened Ogg file.
pub struct OggDemuxer {
    window: Window,
    tracks: Vec<Track>,
    setups: Vec<Setup>,
    tags: Tags,
    /// Whether more links are known to follow.
    chained: AtomicBool,
}

impl std::fmt::Debug for OggDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OggDemuxer")
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

/// A logical stream while its headers are read.
struct Stream {
    serial: u32,
    headers: Headers,
    assembler: Assembler,
}

impl OggDemuxer {
    /// Opens an Ogg file: reads the headers of its streams, and where the source can be read anywhere its end.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not Ogg.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let (streams, start) = read_headers(&mut window, limits)?;
        let mut tags = Tags::default();
        let (mut tracks, mut setups) = (Vec::new(), Vec::<Setup>::new());
        for (index, stream) in streams.iter().enumerate() {
            tags.extend(&stream.headers.tags);
            let codec = &stream.headers.codec;
            let known = !matches!(codec, Codec::Other(_));
            tracks.push(Track {
                id: stream.serial,
                description: stream.headers.description(),
                ..audio::file::track(codec.kind(), known.then_some(codec.name()))
            });
            let rank = streams
                .iter()
                .take(index)
                .filter(|other| other.headers.codec.same_kind(codec))
                .count();
            setups.push(Setup {
                codec: Arc::new(codec.clone()),
                serial: stream.serial,
                rank,
                start,
                max_packet: usize::try_from(limits.max_packet_bytes).unwrap_or(usize::MAX),
            });
        }
        let chained = durations(&mut window, &setups, &mut tracks)?;
        Ok(Self {
            window: window.another(),
            tracks,
            setups,
            tags,
            chained: AtomicBool::new(chained),
        })
    }
}

/// Reads the first pages of the streams, which stand together, and then their headers. Returns where the first pages end.
fn read_headers(window: &mut Window, limits: &Limits) -> Result<(Vec<Stream>, u64), DemuxError> {
    let mut streams: Vec<Stream> = Vec::new();
    let (mut at, mut start) = (0, None);
    let mut vain = Vain::default();
    loop {
        let wanted = |page: &Page| {
            let known = streams.iter().any(|stream| stream.serial == page.serial);
            start.is_none() || known || page.begins()
        };
        let end = window.len().unwrap_or(u64::MAX);
        let page = page::next(window, at, end, AHEAD_SPARSE, &mut vain, &wanted)?;
        let missing = streams.iter().find(|stream| !stream.headers.done);
        let Some(page) = page.filter(|page| start.is_none() || !page.begins()) else {
            // The end, or another link.
            return match (missing, streams.is_empty()) {
                (Some(stream), _) => Err(headers_missing(at, stream.headers.codec.name())),
                (None, true) => Err(audio::invalid(
                    0,
                    "expected the first page of an Ogg stream, found none",
                )),
                (None, false) => Ok((streams, start.unwrap_or(at))),
            };
        };
        if !page.begins() {
            let begin = *start.get_or_insert(page.at);
            if missing.is_none() {
                return Ok((streams, begin));
            }
            if page.at.saturating_sub(begin) > MAX_HEADERS.min(limits.max_header_bytes) {
                return Err(DemuxError::Limit(format!(
                    "the headers of the streams take more than {MAX_HEADERS} bytes"
                )));
            }
        }
        at = page.next();
        let Some(stream) = streams
            .iter_mut()
            .find(|stream| stream.serial == page.serial)
        else {
            if page.begins() {
                add_stream(&mut streams, &page, limits)?;
            }
            continue;
        };
        if stream.headers.done {
            continue;
        }
        for packet in stream.assembler.add(&page)? {
            let place = packet.at;
            let added = stream.headers.add(packet.data);
            added.map_err(|message| audio::invalid(place, message))?;
        }
        if start.is_some() && streams.iter().all(|stream| stream.headers.done) {
            return Ok((streams, start.unwrap_or(at)));
        }
    }
}

fn add_stream(streams: &mut Vec<Stream>, page: &Page, limits: &Limits) -> Result<(), DemuxError> {
    if streams.len() >= limits.max_tracks {
        return Err(DemuxError::Limit(format!(
            "more than {} tracks, at byte {}",
            limits.max_tracks, page.at
        )));
    }
    let mut assembler = Assembler::new(MAX_HEADER, true);
    let packets = assembler.add(page)?;
    let Some(first) = packets.into_iter().next() else {
        return Err(audio::invalid(
            page.at,
            "expected a whole packet on the first page of a stream",
        ));
    };
    streams.push(Stream {
        serial: page.serial,
        headers: Headers::new(first.data),
        assembler,
    });
    Ok(())
}

/// Finds out how long the tracks are; whether there is a chain.
fn durations(
    window: &mut Window,
    setups: &[Setup],
    tracks: &mut [Track],
) -> Result<bool, DemuxError> {
    let Some(len) = window.len() else {
        return Ok(false);
    };
    let (last, chained) = last_granules(window, setups, len)?;
    for (setup, track) in setups.iter().zip(tracks) {
        if Walk::supported(setup).is_err() {
            continue;
        }
        let mut walk = Walk::new(setup);
        // What is wrong with the packets is said when they are read.
        if !matches!(walk.next(window, AHEAD_SPARSE), Ok(Some(_))) {
            continue;
        }
        let begin = walk.place(walk.heard());
        let end = match last.get(&setup.serial) {
            _ if chained && len > MAX_CHAIN => None,
            _ if chained => {
                while let Ok(Some(_)) = walk.next(window, AHEAD) {}
                Some(walk.end())
            }
            Some(granule) => Some(walk.place(*granule)),
            None => None,
        };
        track.duration = end.and_then(|end| {
            u64::try_from(micros(end, setup.codec.rate()) - micros(begin, setup.codec.rate())).ok()
        });
    }
    Ok(chained)
}

/// The last granule position of each stream, and whether there is a stream that does not begin at the start.
fn last_granules(
    window: &mut Window,
    setups: &[Setup],
    len: u64,
) -> Result<(HashMap<u32, i64>, bool), DemuxError> {
    let mut found = HashMap::new();
    let mut chained = false;
    for tail in TAILS {
        let begin = setups.first().map_or(0, |setup| setup.start);
        let mut at = len.saturating_sub(tail).max(begin);
        let mut vain = Vain::default();
        loop {
            match page::next(window, at, len, MAX_PAGE, &mut vain, &|_| true) {
                Ok(Some(page)) => {
                    at = page.next();
                    chained |=
                        page.begins() || setups.iter().all(|setup| setup.serial != page.serial);
                    if page.granule >= 0 && found.len() < setups.len() {
                        found.insert(page.serial, page.granule);
                    } else if let Some(last) =
                        found.get_mut(&page.serial).filter(|_| page.granule >= 0)
                    {
                        *last = page.granule;
                    }
                }
                Ok(None) | Err(DemuxError::Invalid { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        if chained || setups.iter().all(|setup| found.contains_key(&setup.serial)) {
            break;
        }
    }
    Ok((found, chained))
}

impl Demuxer for OggDemuxer {
    fn container(&self) -> &'static str {
        "ogg"
    }

    fn duration(&self) -> Option<u64> {
        self.tracks.iter().filter_map(|track| track.duration).max()
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn tags(&self) -> &[(String, String)] {
        self.tags.list()
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        Ok(Box::new(OggPacketReader::new(self, index)?))
    }
}
