//! MP3: layer III of MPEG-1, MPEG-2 and MPEG-2.5, and layers I and II by their names.

pub(crate) mod header;
mod mux;

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Source, TrackConfig, TrackKind};

use self::header::{HEADER, Header, Info, Layer, info};
pub use self::mux::Mp3Muxer;
use crate::audio::file::{
    AudioFile, Frame, Framing, MAX_LEAD, Opened, Position, Total, audio_demuxer, track,
};
use crate::audio::tags::Tags;
use crate::audio::walk::{self, CLOCK, Head, Syntax, Walk, units};
use crate::audio::{MAX_BEFORE, id3, invalid, tail};
use crate::window::{AHEAD, AHEAD_SPARSE, Window};
use crate::{Limits, PROBE_BYTES};

/// Samples that a decoder of layer III is late by, as encoders count.
const DECODER_DELAY: u64 = 529;

/// Whether the bytes at the start of a source, behind any ID3v2 tag, can be MPEG audio: three frames one behind the
/// other, or frames up to the end.
pub fn probe(head: &[u8]) -> bool {
    walk::probe(head, PROBE_BYTES, Mpeg::of) || is_free_format(head)
}

/// Whether three frames of free format stand at the same distance, give or take the padding. They are told to be refused.
fn is_free_format(head: &[u8]) -> bool {
    let Some(first) = Header::parse(head).filter(|first| first.size.is_none()) else {
        return false;
    };
    let like_first = |at: usize| {
        let header = head.get(at..).and_then(Header::parse);
        header.is_some_and(|header| header.size.is_none() && header.same_stream(&first))
    };
    (HEADER..head.len() / 2)
        .any(|step| like_first(step) && (2 * step - 1..=2 * step + 1).any(like_first))
}

audio_demuxer!(
    /// An opened MP3 file.
    Mp3Demuxer,
    "mp3"
);

impl Mp3Demuxer {
    /// Opens an MP3 file: reads its tags and its first frame. Without a Xing or VBRI header the frames of a source that
    /// can be read anywhere are counted.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not MPEG audio, [`DemuxError::Unsupported`] for free
    /// format.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let mut tags = Tags::default();
        let begin = id3::read_all(&mut window, 0, &mut tags)?;
        let end = tail::read(&mut window, begin, &mut tags)?;
        let Some(opened) = within(&mut window, begin, end)? else {
            return Err(invalid(
                begin,
                format!("expected a frame of MPEG audio, found none in {MAX_BEFORE} bytes"),
            ));
        };
        Ok(Self(Arc::new(opened.file(window, tags, limits)?)))
    }
}

/// MPEG audio in a part of a source.
pub(crate) struct Found {
    walk: Walk<Mpeg>,
    first: Header,
    info: Option<Info>,
}

/// Looks for MPEG audio in `begin..end`.
pub(crate) fn within(
    window: &mut Window,
    begin: u64,
    end: Option<u64>,
) -> Result<Option<Found>, DemuxError> {
    let Some(at) = first(window, begin, end)? else {
        return Ok(None);
    };
    let Some(first) = Header::parse(window.peek(at, HEADER, AHEAD_SPARSE)?) else {
        return Ok(None);
    };
    let size = first.size.unwrap_or(0);
    let frame = window.peek(at, size, AHEAD_SPARSE)?;
    let frame = frame.get(..size.min(frame.len())).unwrap_or_default();
    let info = match first.layer {
        Layer::Three => info(&first, frame),
        _ => None,
    };
    let start = if info.is_some() { at + size as u64 } else { at };
    Ok(Some(Found {
        walk: Walk {
            syntax: Mpeg { first },
            start: Position {
                at: start,
                sample: 0,
                setup: first.setup(),
            },
            end,
        },
        first,
        info,
    }))
}

/// The first frame that another follows, or that is the last.
fn first(window: &mut Window, begin: u64, end: Option<u64>) -> Result<Option<u64>, DemuxError> {
    // What stands at the very start is seen without waiting for more of a stream.
    let bytes = window.peek(begin, HEADER, AHEAD_SPARSE)?;
    let look = if Header::parse(bytes).is_some() {
        PROBE_BYTES
    } else {
        MAX_BEFORE
    };
    let bytes = window.peek(begin, look, AHEAD)?;
    let left = end.map_or(u64::MAX, |end| end.saturating_sub(begin));
    let left = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_BEFORE);
    let bytes = bytes.get(..bytes.len().min(left)).unwrap_or_default();
    let mut free = None;
    for place in 0..bytes.len() {
        let rest = bytes.get(place..).unwrap_or_default();
        if rest.first() != Some(&0xff) {
            continue;
        }
        let Some(header) = Header::parse(rest) else {
            continue;
        };
        let Some(size) = header.size else {
            free = free.or(Some(place));
            continue;
        };
        let next = rest.get(size..);
        let confirmed = match next.and_then(Header::parse) {
            Some(next) => next.same_stream(&header),
            // What is at hand ends with it, or within the next header.
            None => rest.len() < size + HEADER && (place == 0 || rest.len() == size),
        };
        if confirmed {
            return Ok(Some(begin + place as u64));
        }
    }
    if free == Some(0) {
        return Err(DemuxError::Unsupported(format!(
            "MPEG audio in free format, at byte {begin}"
        )));
    }
    Ok(None)
}

impl Found {
    /// The demuxer's part.
    pub(crate) fn file(
        self,
        mut window: Window,
        tags: Tags,
        limits: &Limits,
    ) -> Result<AudioFile, DemuxError> {
        let first = self.first;
        let (kind, codec) = first.track();
        let frames = match self.info {
            Some(info) if !self.goes_on(&mut window, &info)? => info.frames,
            _ => None,
        };
        let unit = |samples: u64| samples.checked_mul(u64::from(units(1, first.rate)));
        let samples = frames.and_then(|frames| frames.checked_mul(u64::from(first.samples)));
        let samples = samples.and_then(unit);
        let gapless = self.info.and_then(|info| info.gapless);
        let skip = gapless.and_then(|(delay, _)| unit(u64::from(delay) + DECODER_DELAY));
        let padding = gapless.zip(samples).and_then(|((_, padding), samples)| {
            let padding = unit(u64::from(padding).saturating_sub(DECODER_DELAY))?;
            (padding > 0).then(|| samples.saturating_sub(padding)..samples)
        });
        let mut track = track(kind, codec);
        track.samples = frames;
        AudioFile::new(
            Opened {
                window,
                framing: Box::new(self.walk),
                rate: CLOCK,
                track,
                tags,
            },
            limits,
            samples.map_or(Total::Scan, Total::Samples),
            skip.unwrap_or(0),
            padding,
        )
    }

    /// Whether more follows than the header says: another file that was put behind, whose end is not this one's.
    fn goes_on(&self, window: &mut Window, info: &Info) -> Result<bool, DemuxError> {
        let Some((bytes, end)) = info.bytes.zip(self.walk.end) else {
            return Ok(false);
        };
        let own = self.first.size.unwrap_or(0) as u64;
        let known = self.walk.start.at.saturating_sub(own).saturating_add(bytes);
        if known >= end {
            return Ok(false);
        }
        // Some count without the header's own frame: what begins before this is the last of the sound that they count, if no
        // tag and no other header stands before it.
        let mut last = known.saturating_add(own);
        let mut from = Position {
            at: known,
            ..self.walk.start
        };
        loop {
            if self.walk.is_seam(window, from.at)? {
                last = known;
            }
            match self.walk.frame(window, from, AHEAD_SPARSE) {
                Ok(Some(frame)) if frame.at < last => from = frame.next(),
                Ok(frame) => return Ok(frame.is_some()),
                Err(DemuxError::Invalid { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Header {
    /// What a track of such frames is, and its codec string.
    fn track(&self) -> (TrackKind, Option<&'static str>) {
        match self.layer {
            Layer::One => (TrackKind::Other("mp1".to_owned()), None),
            Layer::Two => (TrackKind::Other("mp2".to_owned()), None),
            Layer::Three => {
                let kind = TrackKind::Audio {
                    sample_rate: self.rate,
                    channels: self.channels,
                };
                (kind, Some("mp3"))
            }
        }
    }
}

/// Frames, and the first of them.
#[derive(Clone, Copy, Debug)]
struct Mpeg {
    first: Header,
}

impl Mpeg {
    fn of(bytes: &[u8]) -> Option<Self> {
        let first = Header::parse(bytes).filter(|first| first.size.is_some())?;
        Some(Self { first })
    }
}

impl Syntax for Mpeg {
    const HEADER: usize = HEADER;
    const NAME: &'static str = "MPEG audio";

    fn head(&self, bytes: &[u8]) -> Option<Head> {
        let header = Header::parse(bytes)?;
        Some(Head {
            size: header.size?,
            samples: units(header.samples, header.rate),
            setup: header.setup(),
        })
    }

    fn setup(&self) -> u32 {
        self.first.setup()
    }

    fn config(&self, frame: &[u8]) -> Option<TrackConfig> {
        let (kind, codec) = Header::parse(frame)?.track();
        Some(TrackConfig {
            kind,
            codec: codec.map(str::to_owned),
            description: None,
            encryption: None,
        })
    }

    const INFO: usize = 192;

    fn is_info(&self, bytes: &[u8]) -> bool {
        Header::parse(bytes)
            .filter(|header| header.layer == Layer::Three)
            .is_some_and(|header| info(&header, bytes).is_some())
    }

    fn max_lead(&self) -> u64 {
        MAX_LEAD as u64 * u64::from(units(self.first.samples, self.first.rate))
    }

    /// A frame overlaps with the one before it, and that one's main data may begin in frames before it (the bit
    /// reservoir).
    fn lead(
        &self,
        window: &mut Window,
        before: &VecDeque<Frame>,
        _: &Frame,
    ) -> Result<usize, DemuxError> {
        if self.first.layer != Layer::Three {
            return Ok(before.len().min(1));
        }
        let mut need = None;
        for (count, frame) in before.iter().rev().enumerate() {
            let bytes = window.peek(frame.at, frame.size.min(64), AHEAD_SPARSE)?;
            let Some(header) = Header::parse(bytes) else {
                return Ok(count);
            };
            let Some(left) = need else {
                need = header.main_data_begin(bytes).filter(|&begin| begin > 0);
                if need.is_none() {
                    return Ok(1);
                }
                continue;
            };
            let left =
                usize::saturating_sub(left, frame.size.saturating_sub(header.before_main_data()));
            if left == 0 {
                return Ok(count + 1);
            }
            need = Some(left);
        }
        Ok(before.len())
    }
}
