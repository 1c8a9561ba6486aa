//! What muxers do with packets before they write them: calls are checked, decode times found, tracks interleaved.

use reelcore_media::mux::{MuxError, MuxOptions, OutputPacket};

use super::decode_times::{DecodeTimes, Timed};
use super::interleave::Interleaver;

/// Packets of all tracks on their way to the file.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    interleaver: Interleaver<Timed>,
    state: State,
}

#[derive(Debug, Default)]
struct Lane {
    /// Made with the first packet.
    times: Option<DecodeTimes>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Tracks,
    Packets,
    Finished,
    /// Something went wrong before: the file is not complete.
    Failed,
}

impl Lanes {
    pub(crate) fn new(options: &MuxOptions) -> Self {
        Self {
            lanes: Vec::new(),
            interleaver: Interleaver::new(options),
            state: State::Tracks,
        }
    }

    /// Whether a track may be added where there may be `max` of them.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] after the first packet, [`MuxError::Limit`] above `max`.
    pub(crate) fn may_add(&self, max: usize) -> Result<(), MuxError> {
        if self.state != State::Tracks {
            return Err(MuxError::Invalid("a track after the first packet".into()));
        }
        if self.lanes.len() >= max {
            return Err(MuxError::Limit(format!("more than {max} tracks")));
        }
        Ok(())
    }

    /// Adds a track, and returns its index.
    pub(crate) fn add(&mut self) -> usize {
        self.lanes.push(Lane::default());
        self.interleaver.add_track();
        self.lanes.len() - 1
    }

    /// Before anything is written.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] without a track, and after the end.
    pub(crate) fn begin(&mut self) -> Result<(), MuxError> {
        match self.state {
            State::Tracks if self.lanes.is_empty() => {
                Err(MuxError::Invalid("expected a track, found none".into()))
            }
            State::Tracks | State::Packets => {
                self.state = State::Packets;
                Ok(())
            }
            State::Finished => Err(MuxError::Invalid("the file is finished".into())),
            State::Failed => Err(MuxError::Invalid("writing the file failed before".into())),
        }
    }

    /// As [`Lanes::begin`], of the track at `index`.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a track that is none or has ended.
    pub(crate) fn begin_on(&mut self, index: usize) -> Result<(), MuxError> {
        self.begin()?;
        match self.lanes.get(index) {
            Some(lane) if lane.ended => Err(MuxError::Invalid(format!("track {index} has ended"))),
            Some(_) => Ok(()),
            None => Err(MuxError::Invalid(format!(
                "expected a track below {}, found {index}",
                self.lanes.len()
            ))),
        }
    }

    /// Takes a packet. `times` says once how its track gets its decode times.
    ///
    /// # Errors
    /// What is wrong with its times.
    pub(crate) fn push(
        &mut self,
        index: usize,
        packet: OutputPacket,
        times: impl FnOnce() -> DecodeTimes,
    ) -> Result<(), MuxError> {
        let Some(lane) = self.lanes.get_mut(index) else {
            return Ok(());
        };
        let interleaver = &mut self.interleaver;
        lane.times
            .get_or_insert_with(times)
            .push(packet, &mut |timed| queue(interleaver, index, timed))
    }

    /// Whether the track at `index` has ended.
    pub(crate) fn has_ended(&self, index: usize) -> bool {
        self.lanes.get(index).is_none_or(|lane| lane.ended)
    }

    /// No packet follows on that track.
    ///
    /// # Errors
    /// As [`Lanes::push`].
    pub(crate) fn end(&mut self, index: usize) -> Result<(), MuxError> {
        let interleaver = &mut self.interleaver;
        if let Some(lane) = self.lanes.get_mut(index).filter(|lane| !lane.ended) {
            lane.ended = true;
            if let Some(times) = &mut lane.times {
                times.finish(&mut |timed| queue(interleaver, index, timed))?;
            }
            interleaver.end(index);
        }
        Ok(())
    }

    /// The next packet whose turn has come, with its track.
    pub(crate) fn pop(&mut self) -> Option<(usize, Timed)> {
        self.interleaver.pop()
    }

    /// Packets whose turn has not come.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Timed> {
        self.interleaver.waiting()
    }

    /// Remembers that something went wrong.
    pub(crate) fn kept<T>(&mut self, result: Result<T, MuxError>) -> Result<T, MuxError> {
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// All is written.
    pub(crate) fn finished(&mut self) {
        self.state = State::Finished;
    }
}

fn queue(interleaver: &mut Interleaver<Timed>, index: usize, timed: Timed) -> Result<(), MuxError> {
    let chunk = &timed.packet.chunk;
    let alpha = chunk.side.as_ref().and_then(|side| side.alpha.as_ref());
    let bytes = chunk.data.len() + alpha.map_or(0, |alpha| alpha.len());
    interleaver.push(index, timed.decode_time, bytes, timed)
}
