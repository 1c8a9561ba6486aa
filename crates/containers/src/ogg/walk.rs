//! The packets of one track with their times, from page to page and from link to link of a chain.
//!
//! Times follow RFC 7845 (Opus in Ogg), section 4, and the Vorbis I specification, appendix A.2: the granule position of
//! a page is where its last packet ends; those before it are counted back from there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use super::codec::Codec;
use super::packets::{Assembler, Raw};
use super::page::{self, Page, Vain};
use crate::audio::invalid;
use crate::window::Window;

/// What is known of a track.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) codec: Arc<Codec>,
    pub(crate) serial: u32,
    /// Of the streams of this codec in a link, which one it is.
    pub(crate) rank: usize,
    /// Byte offset behind the pages with the first headers.
    pub(crate) start: u64,
    pub(crate) max_packet: usize,
}

/// A packet with its place on the time line, in samples: 0 is the first sample of a stream that begins at granule
/// position 0 that is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) at: u64,
    pub(crate) data: Bytes,
    pub(crate) start: i64,
    pub(crate) samples: u64,
    /// Samples at its start and at its end that are none of the sound.
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// A new link of a chain, of which the first pages are read.
#[derive(Clone, Copy, Debug)]
struct Link {
    at: u64,
    /// Streams of the codec that were seen.
    seen: usize,
    found: bool,
}

/// Walks through the pages.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    setup: Setup,
    codec: Arc<Codec>,
    serial: u32,
    assembler: Assembler,
    /// Byte offset of the next page.
    at: u64,
    vain: Vain,
    /// Granule position of the next packet, where it is known.
    position: Option<i64>,
    /// Samples of the last block (Vorbis).
    block: Option<u32>,
    /// Whether packets of this link were timed.
    begun: bool,
    /// Whether it was entered anywhere but at its start.
    inside: bool,
    /// Granule positions before this are none of the sound.
    heard: i64,
    /// What is added to granule positions.
    shift: i64,
    /// Where what was heard so far ends, on the time line.
    end: i64,
    link: Option<Link>,
    /// Links after the first that were entered.
    pub(crate) links: u32,
    pub(crate) queue: VecDeque<Timed>,
}

impl Walk {
    /// At the start of a track.
    pub(crate) fn new(setup: &Setup) -> Self {
        let pre_skip = i64::from(setup.codec.pre_skip());
        Self {
            codec: Arc::clone(&setup.codec),
            serial: setup.serial,
            assembler: Assembler::new(setup.max_packet, false),
            at: setup.start,
            vain: Vain::default(),
            position: None,
            block: None,
            begun: false,
            inside: false,
            heard: pre_skip,
            shift: -pre_skip,
            end: 0,
            link: None,
            links: 0,
            queue: VecDeque::new(),
            setup: setup.clone(),
        }
    }

    /// At the page at byte `at` of the first link, whose sound begins at granule position `heard`.
    pub(crate) fn inside(setup: &Setup, at: u64, heard: i64) -> Self {
        Self {
            at,
            heard,
            begun: true,
            inside: true,
            ..Self::new(setup)
        }
    }

    /// Where the sound of this link begins, as a granule position.
    pub(crate) fn heard(&self) -> i64 {
        self.heard
    }

    /// Where what was found so far ends.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// The next packet.
    pub(crate) fn next(
        &mut self,
        window: &mut Window,
        ahead: usize,
    ) -> Result<Option<Timed>, DemuxError> {
        while self.queue.is_empty() {
            let (serial, all) = (self.serial, self.link.is_some());
            let wanted = |page: &Page| all || page.serial == serial || page.begins();
            let end = window.len().unwrap_or(u64::MAX);
            let vain = &mut self.vain;
            let Some(page) = page::next(window, self.at, end, ahead, vain, &wanted)? else {
                self.link_is_found()?;
                return Ok(None);
            };
            self.at = page.next();
            if page.begins() {
                self.link_page(&page)?;
                continue;
            }
            self.link_is_found()?;
            if page.serial == self.serial {
                let packets = self.assembler.add(&page)?;
                self.time(&page, packets)?;
            }
        }
        Ok(self.queue.pop_front())
    }

    /// After the first pages of a link: one of them must be of this track.
    fn link_is_found(&mut self) -> Result<(), DemuxError> {
        match self.link.take() {
            Some(link) if !link.found => Err(DemuxError::Unsupported(format!(
                "a chained stream without {} of the same parameters, at byte {}",
                self.codec.name(),
                link.at
            ))),
            _ => Ok(()),
        }
    }

    /// A first page: those of a link stand together at its start.
    fn link_page(&mut self, page: &Page) -> Result<(), DemuxError> {
        let mut link = self.link.unwrap_or(Link {
            at: page.at,
            seen: 0,
            found: false,
        });
        let mut assembler = Assembler::new(self.setup.max_packet, false);
        let packets = assembler.add(page)?;
        if let Some(packet) = packets.first() {
            let first = Codec::first(&packet.data);
            if first.same_kind(&self.codec) {
                if link.seen == self.setup.rank && self.codec.continues_in(&first) {
                    link.found = true;
                    self.enter(page.serial, first, assembler);
                }
                link.seen += 1;
            }
        }
        self.link = Some(link);
        Ok(())
    }

    /// Goes on in another link.
    fn enter(&mut self, serial: u32, first: Codec, assembler: Assembler) {
        self.serial = serial;
        self.assembler = assembler;
        self.codec = match first {
            // The setup header that follows is compared with this one.
            Codec::Vorbis { .. } => Arc::clone(&self.setup.codec),
            first => Arc::new(first),
        };
        self.position = None;
        self.block = None;
        self.begun = false;
        self.inside = false;
        self.links += 1;
    }

    fn check_header(&self, packet: &Raw) -> Result<(), DemuxError> {
        match &*self.codec {
            Codec::Vorbis {
                setup: Some((setup, _)),
                ..
            } if packet.data.starts_with(b"\x05vorbis") && packet.data != *setup => {
                Err(DemuxError::Unsupported(format!(
                    "a chained stream of vorbis with another setup header, at byte {}",
                    packet.at
                )))
            }
            _ => Ok(()),
        }
    }

    /// Gives the packets that end on a page their times.
    fn time(&mut self, page: &Page, packets: Vec<Raw>) -> Result<(), DemuxError> {
        let mut timed = Vec::with_capacity(packets.len());
        let mut sum = 0_i64;
        for packet in packets {
            if self.codec.is_header(&packet.data) {
                self.check_header(&packet)?;
                continue;
            }
            // A packet without bytes is to be ignored.
            if packet.data.is_empty() {
                continue;
            }
            let unknown =
                self.inside && self.block.is_none() && matches!(*self.codec, Codec::Vorbis { .. });
            let (samples, block) = self.codec.samples(&packet.data, self.block);
            self.block = block;
            // How long it is depends on the one before, which was not read.
            if !unknown {
                sum = sum.saturating_add_unsigned(samples);
                timed.push((packet, samples));
            }
        }
        if timed.is_empty() {
            if page.granule >= 0 && self.begun {
                self.position = Some(page.granule);
            }
            return Ok(());
        }
        let granule = (page.granule >= 0).then_some(page.granule);
        let back = granule.map(|granule| granule.saturating_sub(sum));
        let start = match (self.position, back) {
            // What is missing in between moves the packets; what is too much at the end is cut off.
            (Some(position), Some(back)) => position.max(back),
            (Some(position), None) => position,
            // RFC 7845, section 4.5: a stream of one page begins at 0, unless that would leave a gap at its end.
            (None, Some(back)) if page.ends() && !self.inside => back.max(0),
            (None, Some(back)) => back,
            (None, None) => 0,
        };
        if !self.begun {
            self.begun = true;
            let origin = start.max(0);
            self.heard = origin.saturating_add(i64::from(self.codec.pre_skip()));
            if self.links > 0 {
                self.shift = self.end.saturating_sub(self.heard);
            }
        }
        let stop = granule.filter(|_| page.ends()).unwrap_or(i64::MAX);
        let mut place = start;
        for (packet, samples) in timed {
            let end = place.saturating_add_unsigned(samples);
            let before = self
                .heard
                .saturating_sub(place)
                .max(0)
                .unsigned_abs()
                .min(samples);
            let after = end
                .saturating_sub(stop)
                .max(0)
                .unsigned_abs()
                .min(samples - before);
            self.queue.push_back(Timed {
                at: packet.at,
                data: packet.data,
                start: place.saturating_add(self.shift),
                samples,
                before,
                after,
            });
            let heard_to = end
                .saturating_sub_unsigned(after)
                .saturating_add(self.shift);
            self.end = self.end.max(heard_to);
            place = end;
        }
        self.position = Some(place);
        Ok(())
    }

    /// The time line's place of a granule position of this link.
    pub(crate) fn place(&self, granule: i64) -> i64 {
        granule.saturating_add(self.shift)
    }

    /// For an error where a track has no packets that could be timed.
    pub(crate) fn supported(setup: &Setup) -> Result<(), DemuxError> {
        match &*setup.codec {
            Codec::Other(name) => Err(DemuxError::Unsupported(format!("packets of {name} in Ogg"))),
            Codec::Vorbis { setup: None, .. } => {
                Err(invalid(0, "expected Vorbis' setup header, found none"))
            }
            _ => Ok(()),
        }
    }
}
