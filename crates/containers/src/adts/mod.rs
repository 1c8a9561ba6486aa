//! AAC in ADTS.
//!
//! The chunks are whole ADTS frames and there is no description: of the two forms of the registration
//! (<https://www.w3.org/TR/webcodecs-aac-codec-registration/>) the one that needs no change of the bytes, and in which a
//! frame may hold several raw data blocks.

pub(crate) mod header;
mod mux;

pub use self::mux::AdtsMuxer;

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Source, TrackConfig, TrackKind};

use self::header::{HEADER, Header};
use crate::audio::file::{AudioFile, Frame, Opened, Position, Total, audio_demuxer, track};
use crate::audio::tags::Tags;
use crate::audio::walk::{self, CLOCK, Head, Syntax, Walk, units};
use crate::audio::{MAX_BEFORE, id3, invalid, tail};
use crate::window::{AHEAD_SPARSE, Window};
use crate::{Limits, PROBE_BYTES};

/// Samples of a raw data block.
const BLOCK: u32 = 1024;

/// Whether the bytes at the start of a source, behind any ID3v2 tag, can be ADTS: three frames one behind the other, or
/// frames up to the end.
pub fn probe(head: &[u8]) -> bool {
    walk::probe(head, PROBE_BYTES, Adts::of)
}

audio_demuxer!(
    /// An opened ADTS file.
    AdtsDemuxer,
    "adts"
);

impl AdtsDemuxer {
    /// Opens an ADTS file: reads its tags and its first frame. The frames of a source that can be read anywhere are
    /// counted.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not ADTS.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let mut tags = Tags::default();
        let begin = id3::read_all(&mut window, 0, &mut tags)?;
        let end = tail::read(&mut window, begin, &mut tags)?;
        let mut look = PROBE_BYTES;
        let (head, at) = loop {
            let head = window.peek(begin, look, AHEAD_SPARSE)?;
            let head = head.get(..head.len().min(look)).unwrap_or_default();
            if let Some(at) = first(head) {
                break (head, at);
            }
            if head.len() < look || look >= MAX_BEFORE {
                return Err(invalid(
                    begin,
                    format!(
                        "expected a frame of ADTS, found none in {} bytes",
                        head.len()
                    ),
                ));
            }
            look = MAX_BEFORE;
        };
        let frame = head.get(at..).unwrap_or_default();
        let Some(adts) = Adts::of(frame) else {
            return Err(invalid(begin, "expected a frame of ADTS"));
        };
        let (kind, codec) = adts.first.track(frame);
        let walk = Walk {
            syntax: adts,
            start: Position {
                at: begin + at as u64,
                sample: 0,
                setup: adts.setup(),
            },
            end,
        };
        let file = AudioFile::new(
            Opened {
                window,
                framing: Box::new(walk),
                rate: CLOCK,
                track: track(kind, Some(&codec)),
                tags,
            },
            limits,
            Total::Scan,
            0,
            None,
        )?;
        Ok(Self(Arc::new(file)))
    }
}

/// Where the first frame begins in what is at hand, that another follows or that stands at the start.
fn first(head: &[u8]) -> Option<usize> {
    (0..head.len()).find(|&at| {
        let rest = head.get(at..).unwrap_or_default();
        let Some(adts) = Adts::of(rest) else {
            return false;
        };
        let after = rest.get(adts.first.size..).unwrap_or_default();
        Adts::of(after).is_some_and(|next| next.first.same_stream(&adts.first))
            || (at == 0 && after.len() < HEADER)
    })
}

impl Header {
    /// What a track of frames like the one that `frame` begins is, and its codec string.
    fn track(&self, frame: &[u8]) -> (TrackKind, String) {
        let kind = TrackKind::Audio {
            sample_rate: self.rate,
            channels: self.channel_count(frame).unwrap_or(2),
        };
        (kind, format!("mp4a.40.{}", self.object_type))
    }
}

/// Frames, and the first of them.
#[derive(Clone, Copy, Debug)]
struct Adts {
    first: Header,
}

impl Adts {
    fn of(bytes: &[u8]) -> Option<Self> {
        Header::parse(bytes).map(|first| Self { first })
    }
}

impl Syntax for Adts {
    const HEADER: usize = HEADER;
    const NAME: &'static str = "ADTS";

    fn head(&self, bytes: &[u8]) -> Option<Head> {
        let header = Header::parse(bytes)?;
        Some(Head {
            size: header.size,
            samples: units(BLOCK * header.blocks, header.rate),
            setup: header.setup(),
        })
    }

    fn setup(&self) -> u32 {
        self.first.setup()
    }

    fn config(&self, frame: &[u8]) -> Option<TrackConfig> {
        let (kind, codec) = Header::parse(frame)?.track(frame);
        Some(TrackConfig {
            kind,
            codec: Some(codec),
            description: None,
            encryption: None,
        })
    }

    fn max_lead(&self) -> u64 {
        u64::from(units(4 * BLOCK, self.first.rate))
    }

    /// A frame overlaps with the one before it.
    fn lead(
        &self,
        _: &mut Window,
        before: &VecDeque<Frame>,
        _: &Frame,
    ) -> Result<usize, DemuxError> {
        Ok(before.len().min(1))
    }
}
