//! From pictures and sound to packets, each track on a thread of its own.

mod aspect;
mod audio;
mod copy;
mod flac;
mod video;

use reelcore_media::Size;
use reelcore_media::demux::{Track, TrackKind};
use reelcore_media::mux::{OutputPacket, OutputTrack};

use crate::error::JobError;
use crate::stream::Pull;

pub(crate) use aspect::Shown;
pub(crate) use audio::{Origin, audio};
pub(crate) use copy::copy;
pub(crate) use video::video;

/// Packets that wait for the muxer.
const PACKETS_AHEAD: usize = 32;

/// What an encoder hands to the muxer: first the track, then packets.
pub(crate) enum Item {
    Track(Box<OutputTrack>),
    Packet(OutputPacket),
}

/// One that gives its first item, then those of the rest.
struct Begun<T> {
    first: std::vec::IntoIter<T>,
    rest: Box<dyn Pull<T>>,
}

impl<T: Send> Pull<T> for Begun<T> {
    fn next(&mut self) -> Result<Option<T>, JobError> {
        match self.first.next() {
            Some(item) => Ok(Some(item)),
            None => self.rest.next(),
        }
    }
}

/// What a container says of a track, and its pictures or sound do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    language: Option<String>,
    name: Option<String>,
    /// Width and height of a pixel, which frames keep only as whole pixels that they are shown at.
    pixel: Option<Size>,
}

impl Said {
    pub(crate) fn of(track: &Track) -> Self {
        Self {
            language: track.language.clone(),
            name: track.name.clone(),
            pixel: match track.kind {
                TrackKind::Video {
                    coded_size,
                    display_aspect,
                    aspect_of_stream: false,
                    ..
                } => aspect::pixel_of(coded_size, display_aspect),
                _ => None,
            },
        }
    }

    /// Of pictures whose pixels were made square.
    pub(crate) fn of_square_pixels(self) -> Self {
        Self {
            pixel: None,
            ..self
        }
    }

    /// Width and height of a pixel.
    pub(crate) const fn pixel(&self) -> Option<Size> {
        self.pixel
    }

    /// What both say.
    pub(crate) fn shared(self, other: Self) -> Self {
        Self {
            language: self
                .language
                .filter(|own| other.language.as_ref() == Some(own)),
            name: self.name.filter(|own| other.name.as_ref() == Some(own)),
            pixel: self.pixel.filter(|own| other.pixel == Some(*own)),
        }
    }
}
