//! What containers of one track of sound share: in which order they may be called.

use reelcore_media::mux::MuxError;

use super::invalid;

/// How far the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No packet was written.
    Track,
    /// Packets are being written.
    Packets,
    /// No packet follows.
    Ended,
    /// The file is complete, or broke off with an error.
    Finished,
}

/// The one track of a container.
#[derive(Debug)]
pub(crate) struct Single<T> {
    track: Option<T>,
    state: State,
    any: bool,
}

impl<T> Default for Single<T> {
    fn default() -> Self {
        Self {
            track: None,
            state: State::Track,
            any: false,
        }
    }
}

impl<T> Single<T> {
    /// Adds the track; returns its index.
    pub(crate) fn add(
        &mut self,
        track: impl FnOnce() -> Result<T, MuxError>,
    ) -> Result<usize, MuxError> {
        if self.state != State::Track {
            return Err(invalid("a track after the first packet"));
        }
        if self.track.is_some() {
            return Err(MuxError::Limit("more than 1 track".into()));
        }
        self.track = Some(track()?);
        Ok(0)
    }

    /// The track that a packet is for, and whether it is the first packet.
    pub(crate) fn packet(&mut self, index: usize) -> Result<(&mut T, bool), MuxError> {
        let state = self.state;
        let track = self.check(index)?;
        if state == State::Ended {
            return Err(invalid("track 0 has ended"));
        }
        Ok((track, state == State::Track))
    }

    /// A packet was written.
    pub(crate) fn written(&mut self) {
        self.state = State::Packets;
        self.any = true;
    }

    /// Nothing more may be written: after an error the file is not complete.
    pub(crate) fn fail(&mut self) {
        self.state = State::Finished;
    }

    /// No packet follows.
    pub(crate) fn end(&mut self, index: usize) -> Result<(), MuxError> {
        self.packet(index)?;
        self.state = State::Ended;
        Ok(())
    }

    /// Ends the file. The track, and whether it had packets.
    pub(crate) fn finish(&mut self) -> Result<(&mut T, bool), MuxError> {
        self.check(0)?;
        self.state = State::Finished;
        let any = self.any;
        Ok((self.existing(0)?, any))
    }

    fn check(&mut self, index: usize) -> Result<&mut T, MuxError> {
        if self.state == State::Finished {
            return Err(invalid("the file is finished"));
        }
        self.existing(index)
    }

    fn existing(&mut self, index: usize) -> Result<&mut T, MuxError> {
        match (&mut self.track, index) {
            (None, _) => Err(invalid("expected a track, found none")),
            (Some(track), 0) => Ok(track),
            (Some(_), _) => Err(invalid(format!("expected a track below 1, found {index}"))),
        }
    }
}
