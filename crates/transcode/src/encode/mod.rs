//! From pictures and sound to packets, each track on a thread of its own.

mod audio;
mod copy;
mod video;

use reelcore_media::demux::Track;
use reelcore_media::mux::{OutputPacket, OutputTrack};

use crate::error::JobError;
use crate::stream::Pull;

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

/// What a container says of a track for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    language: Option<String>,
    name: Option<String>,
}

impl Said {
    pub(crate) fn of(track: &Track) -> Self {
        Self {
            language: track.language.clone(),
            name: track.name.clone(),
        }
    }

    /// What both say.
    pub(crate) fn shared(self, other: Self) -> Self {
        Self {
            language: self
                .language
                .filter(|own| other.language.as_ref() == Some(own)),
            name: self.name.filter(|own| other.name.as_ref() == Some(own)),
        }
    }
}
