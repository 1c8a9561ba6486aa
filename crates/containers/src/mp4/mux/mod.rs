//! MP4: progressive files with the index in front (fast start) or behind, and fragments (fMP4, CMAF).
//!
//! - **Times**: tracks of sound count samples, tracks of pictures a time scale in which all their times are whole, down to
//!   microseconds. In fragments that is chosen by the first one; later times are rounded to its ticks.
//! - **Edit lists** say what is not shown: times below 0, what encoders put before the first sound and after the last
//!   (`SideData`). In the middle of a track, and at the end of fragments, nothing can be dropped.
//! - **Pictures that are not shown** (`SideData`) are left out by the edit list: before the first that is and, but in fragments, behind the
//!   last. In the middle they are refused.
//! - **Samples** are the packets' own bytes. H.264 and HEVC with start codes get lengths instead, ADTS frames lose their headers, AV1
//!   loses its temporal delimiters.
//! - **Memory**: tables of the samples (about 4 bytes each), or the fragment that grows; packets that wait for other tracks.

mod boxes;
pub(crate) mod entry;
mod fragmented;
mod heard;
mod movie;
mod progressive;
mod table;
mod tags;
mod time;
mod track;

use reelcore_media::mux::{MuxError, MuxOptions, Muxer, OutputPacket, OutputTrack, Sink};

use self::fragmented::Fragmented;
use self::progressive::Progressive;
use self::track::MuxTrack;
use crate::mux::decode_times::Timed;
use crate::mux::interleave::Interleaver;

/// Tracks of a file, at most.
const MAX_TRACKS: usize = 1024;

/// Where a file of fragments says where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FragmentIndex {
    /// Nowhere: readers look at each.
    None,
    /// At the end (`mfra`).
    #[default]
    Mfra,
    /// Before the first (`sidx`), as DASH has it for one file. Needs a sink that can seek.
    Sidx,
}

/// Writes MP4. `fragmented`, `fast_start` and `fragment_duration` of [`MuxOptions`] say in which form.
#[derive(Debug)]
pub struct Mp4Muxer {
    options: MuxOptions,
    tracks: Vec<MuxTrack>,
    interleaver: Interleaver<Timed>,
    form: Form,
    state: State,
}

#[derive(Debug)]
enum Form {
    Progressive(Progressive),
    Fragmented(Fragmented),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Tracks,
    Packets,
    Finished,
    /// Something went wrong before: the file is not complete.
    Failed,
}

impl Mp4Muxer {
    /// A muxer without tracks.
    pub fn new(options: MuxOptions) -> Self {
        Self {
            interleaver: Interleaver::new(&options),
            form: match options.fragmented {
                true => Form::Fragmented(Fragmented::new(FragmentIndex::default())),
                false => Form::Progressive(Progressive::default()),
            },
            options,
            tracks: Vec::new(),
            state: State::Tracks,
        }
    }

    /// With that index, where the file is one of fragments.
    #[must_use]
    pub fn with_fragment_index(mut self, index: FragmentIndex) -> Self {
        if let Form::Fragmented(_) = self.form {
            self.form = Form::Fragmented(Fragmented::new(index));
        }
        self
    }

    fn ready(&mut self) -> Result<(), MuxError> {
        match self.state {
            State::Tracks if self.tracks.is_empty() => {
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

    fn track(&mut self, index: usize) -> Result<&mut MuxTrack, MuxError> {
        let count = self.tracks.len();
        match self.tracks.get_mut(index) {
            Some(track) if track.ended => {
                Err(MuxError::Invalid(format!("track {index} has ended")))
            }
            Some(track) => Ok(track),
            None => Err(MuxError::Invalid(format!(
                "expected a track below {count}, found {index}"
            ))),
        }
    }

    fn end(&mut self, index: usize) -> Result<(), MuxError> {
        let interleaver = &mut self.interleaver;
        if let Some(track) = self.tracks.get_mut(index).filter(|track| !track.ended) {
            track.ended = true;
            track.finish(&mut |timed| queue(interleaver, index, timed))?;
            interleaver.end(index);
        }
        Ok(())
    }

    /// Writes the packets whose turn has come.
    fn pump(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        while let Some((index, timed)) = self.interleaver.pop() {
            let Some(track) = self.tracks.get_mut(index) else {
                continue;
            };
            let sample = track.sample(timed)?;
            match &mut self.form {
                Form::Progressive(form) => {
                    form.sample(index, &self.tracks, sample, &self.options, sink)?;
                }
                Form::Fragmented(form) => {
                    form.sample(index, &self.tracks, sample, &self.options, sink)?;
                }
            }
        }
        Ok(())
    }

    fn finish_file(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        for index in 0..self.tracks.len() {
            self.end(index)?;
        }
        self.interleaver.end_all();
        self.pump(sink)?;
        // A track whose set-up is in the stream has none before its first packet.
        let nameless = |track: &MuxTrack| track.entries.is_empty();
        if let Some(index) = self.tracks.iter().position(nameless) {
            return Err(MuxError::Invalid(format!(
                "track {index} has neither a description nor a packet that tells it"
            )));
        }
        match &mut self.form {
            Form::Progressive(form) => form.finish(&self.tracks, &self.options, sink),
            Form::Fragmented(form) => form.finish(&self.tracks, &self.options, sink),
        }
    }

    /// Remembers that something went wrong.
    fn kept<T>(&mut self, result: Result<T, MuxError>) -> Result<T, MuxError> {
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }
}

fn queue(interleaver: &mut Interleaver<Timed>, index: usize, timed: Timed) -> Result<(), MuxError> {
    let bytes = timed.packet.chunk.data.len();
    interleaver.push(index, timed.decode_time, bytes, timed)
}

impl Muxer for Mp4Muxer {
    fn container(&self) -> &'static str {
        "mp4"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        if self.state != State::Tracks {
            return Err(MuxError::Invalid("a track after the first packet".into()));
        }
        if self.tracks.len() >= MAX_TRACKS {
            return Err(MuxError::Limit(format!("more than {MAX_TRACKS} tracks")));
        }
        self.tracks.push(MuxTrack::new(track, &self.options)?);
        self.interleaver.add_track();
        Ok(self.tracks.len() - 1)
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.ready()?;
        self.track(index)?;
        let interleaver = &mut self.interleaver;
        let result = match self.tracks.get_mut(index) {
            Some(track) => track.push(packet, &mut |timed| queue(interleaver, index, timed)),
            None => Ok(()),
        };
        let result = result.and_then(|()| self.pump(sink));
        self.kept(result)
    }

    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.ready()?;
        self.track(index)?;
        let result = self.end(index).and_then(|()| self.pump(sink));
        self.kept(result)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.ready()?;
        let result = self.finish_file(sink);
        self.kept(result)?;
        self.state = State::Finished;
        Ok(())
    }
}
