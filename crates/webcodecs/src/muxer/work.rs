//! What a muxer does with a script's calls, on a blocking thread.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use reelcore_containers::mux::{FileSink, InBand, MemorySink, QueueSink};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{EncodedChunk, VideoCodec};

use super::config::{Configuration, Stage, check_change};

/// What a script asked for.
pub(super) enum Call {
    /// A track that will have packets, in the order of the file.
    Declare,
    /// What it holds. For one that has packets already: what its packets are from here on.
    Configure(usize, Box<Configuration>),
    /// A configuration that was none, and why.
    Refuse(String),
    Write(usize, EncodedChunk),
    End(usize),
    Finish,
}

/// Where the bytes go.
pub(super) enum Target {
    Memory(MemorySink),
    File(Option<FileSink>),
    Queue(QueueSink),
}

impl Target {
    fn sink(&mut self) -> Result<&mut dyn Sink, MuxError> {
        Ok(match self {
            Self::Memory(sink) => sink,
            Self::Queue(sink) => sink,
            Self::File(Some(sink)) => sink,
            Self::File(None) => return Err(MuxError::Invalid("the file is finished".into())),
        })
    }
}

/// The class of an error in JavaScript: that of a DOMException, or TypeError.
pub(super) type ErrorName = &'static str;

/// Why a call failed.
pub(super) enum Failure {
    Mux(MuxError),
    /// A script's value is not what it has to be.
    Type(String),
}

impl From<MuxError> for Failure {
    fn from(error: MuxError) -> Self {
        Self::Mux(error)
    }
}

impl Failure {
    fn told(self) -> (ErrorName, String) {
        match self {
            Self::Mux(error) => (error_name(&error), error.to_string()),
            Self::Type(message) => ("TypeError", message),
        }
    }
}

pub(super) fn error_name(error: &MuxError) -> ErrorName {
    match error {
        MuxError::Unsupported(_) => "Reelcore.NotSupportedError",
        MuxError::Invalid(_) => "Reelcore.EncodingError",
        MuxError::Limit(_) => "Reelcore.OperationError",
        MuxError::Io(_) => "Reelcore.NotReadableError",
    }
}

/// A file that is being written.
pub(super) struct Work {
    muxer: Box<dyn Muxer>,
    pub(super) target: Target,
    tracks: Vec<TrackState>,
    /// Packets of tracks that wait for others.
    early: VecDeque<(usize, OutputPacket)>,
    early_bytes: usize,
    /// The first and the last time of those.
    early_times: Option<(i64, i64)>,
    max_bytes: usize,
    /// How long a track without packets is waited for, in microseconds.
    max_wait: u64,
    opened: bool,
    failed: Option<(ErrorName, String)>,
}

#[derive(Default)]
struct TrackState {
    /// What the file says of it.
    config: Option<Box<OutputTrack>>,
    /// What a configuration lacked, where there is none that lacks nothing.
    lacks: Option<&'static str>,
    /// The muxer's number of it.
    index: Option<usize>,
    /// Whether it has a packet: until then its configuration may become another.
    has_packets: bool,
    /// Whether its pictures are turned as who added it said, and not as their encoder does.
    turned: bool,
    /// For the next packet.
    description: Option<Bytes>,
    /// What the last configuration said.
    latest: Option<Bytes>,
    /// What the last packet was written with.
    in_force: Option<Bytes>,
    /// Packets have their set-up in them, after others that had a description.
    in_band: Option<InBand>,
    ended: bool,
}

impl TrackState {
    /// What the track holds from its first packet on.
    fn begin(&mut self, config: OutputTrack) {
        self.latest.clone_from(&config.description);
        self.in_force.clone_from(&config.description);
        self.lacks = None;
        self.config = Some(Box::new(config));
    }

    /// Another set-up of the same codec, from the next packet on.
    fn go_over(&mut self, config: OutputTrack) -> Result<(), MuxError> {
        if self.latest == config.description {
            return Ok(());
        }
        self.in_band = match (&config.description, &self.in_force) {
            (None, Some(described)) => InBand::new(&config.codec, described.clone())?,
            _ => None,
        };
        self.latest.clone_from(&config.description);
        self.description = config.description;
        Ok(())
    }

    /// Alpha beside a chunk makes the track one that has it, whatever a script said. Only before the file is begun: it is said in
    /// front of all packets.
    fn follow_alpha(&mut self, chunk: &EncodedChunk) {
        let side = chunk.side.as_ref();
        if side.is_some_and(|side| side.alpha.is_some())
            && let Some(config) = &mut self.config
            && let Ok(VideoCodec::Vp8 | VideoCodec::Vp9(_)) = VideoCodec::parse(&config.codec)
            && let OutputKind::Video { alpha, .. } = &mut config.kind
        {
            *alpha = true;
        }
    }

    /// A chunk with what a muxer is to know of it.
    fn packet(&mut self, chunk: EncodedChunk) -> Result<OutputPacket, MuxError> {
        let mut packet = OutputPacket {
            chunk,
            decode_time: None,
            description: self.description.take(),
        };
        if let Some(in_band) = &mut self.in_band {
            in_band.convert(&mut packet)?;
        }
        if packet.description.is_some() {
            self.in_force.clone_from(&packet.description);
        }
        self.has_packets = true;
        Ok(packet)
    }
}

impl Work {
    pub(super) fn new(muxer: Box<dyn Muxer>, target: Target, options: &MuxOptions) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            muxer,
            target,
            tracks: Vec::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            early_times: None,
            max_bytes: options.max_buffered_bytes,
            max_wait: micros(options.max_interleave),
            opened: false,
            failed: None,
        }
    }

    /// The first error, which is that of every later call.
    pub(super) fn failed(&self) -> Option<&(ErrorName, String)> {
        self.failed.as_ref()
    }

    /// Carries out one call, and keeps its error.
    pub(super) fn carry_out(&mut self, call: Call) {
        if let Err(failure) = self.try_to(call) {
            self.failed = Some(failure.told());
        }
    }

    fn try_to(&mut self, call: Call) -> Result<(), Failure> {
        match call {
            Call::Declare => {
                self.tracks.push(TrackState::default());
                Ok(())
            }
            Call::Configure(track, config) => self.configure(track, *config),
            Call::Refuse(message) => Err(Failure::Type(message)),
            Call::Write(track, chunk) => self.chunk(track, chunk),
            Call::End(track) => {
                self.state(track)?.ended = true;
                match self.opened {
                    true => self.end(track)?,
                    false => self.open_if_complete(false)?,
                }
                Ok(())
            }
            Call::Finish => {
                // A file without a track is none: what the first one lacked says why.
                if self.tracks.iter().all(|state| state.config.is_none())
                    && let Some(lacks) = self.tracks.iter().find_map(|state| state.lacks)
                {
                    return Err(Failure::Type(Configuration::incomplete(lacks)));
                }
                self.open_if_complete(true)?;
                self.muxer.finish(self.target.sink()?)?;
                if let Target::File(sink) = &mut self.target
                    && let Some(sink) = sink.take()
                {
                    sink.finish().map_err(MuxError::from)?;
                }
                Ok(())
            }
        }
    }

    fn state(&mut self, track: usize) -> Result<&mut TrackState, MuxError> {
        let count = self.tracks.len();
        self.tracks.get_mut(track).ok_or_else(|| {
            MuxError::Invalid(format!("track {track} does not exist, there are {count}"))
        })
    }

    fn configure(&mut self, track: usize, mut config: Configuration) -> Result<(), Failure> {
        let opened = self.opened;
        let container = self.muxer.container();
        let state = self.state(track)?;
        let stage = match (state.has_packets, opened) {
            (true, _) => Stage::Running,
            (false, true) => Stage::Begun,
            (false, false) => Stage::Added,
        };
        if let Some(before) = &state.config {
            state.turned = config.complete(before, stage, state.turned);
        }
        if let Some(lacks) = config.lacks {
            if state.config.is_some() {
                return Err(Failure::Type(Configuration::incomplete(lacks)));
            }
            // The first packet may come with what is missing.
            state.lacks = Some(lacks);
            return Ok(());
        }
        match &state.config {
            None if opened => Err(MuxError::Invalid(format!(
                "track {track} gets its configuration after the file was begun without it"
            ))
            .into()),
            None => {
                state.begin(config.track);
                Ok(())
            }
            // Nothing of it is written: an encoder knows better than whoever added the track.
            Some(_) if stage == Stage::Added => {
                state.begin(config.track);
                Ok(())
            }
            Some(before) => {
                check_change(container, track, before, &config.track)?;
                Ok(state.go_over(config.track)?)
            }
        }
    }

    fn chunk(&mut self, track: usize, chunk: EncodedChunk) -> Result<(), Failure> {
        // Other containers have no place for alpha, and leave it out.
        let tells = !self.opened && matches!(self.muxer.container(), "matroska" | "webm");
        let state = self.state(track)?;
        if state.config.is_none() {
            return Err(match state.lacks {
                Some(lacks) => Failure::Type(Configuration::incomplete(lacks)),
                None => Failure::Mux(MuxError::Invalid(format!(
                    "the first packet of track {track} came without a decoderConfig"
                ))),
            });
        }
        if tells {
            state.follow_alpha(&chunk);
        }
        let packet = state.packet(chunk)?;
        if self.opened {
            return Ok(self.write(track, packet)?);
        }
        self.early_bytes = self.early_bytes.saturating_add(packet.chunk.data.len());
        let time = packet.chunk.timestamp;
        let (first, last) = self.early_times.unwrap_or((time, time));
        self.early_times = Some((first.min(time), last.max(time)));
        self.early.push_back((track, packet));
        self.open_if_complete(false)?;
        if self.early_bytes > self.max_bytes {
            return Err(Failure::Mux(MuxError::Limit(format!(
                "more than {} bytes wait for a track that was declared and has no configuration yet",
                self.max_bytes
            ))));
        }
        Ok(())
    }

    /// Begins the file once every track is known, or none is waited for any more. A track that never got a
    /// configuration never had a packet, and is left out.
    fn open_if_complete(&mut self, all: bool) -> Result<(), MuxError> {
        if self.opened || !(all || self.is_complete()) {
            return Ok(());
        }
        self.opened = true;
        for state in &mut self.tracks {
            if let Some(config) = &state.config {
                state.index = Some(self.muxer.add_track((**config).clone())?);
            }
        }
        self.early_bytes = 0;
        for (track, packet) in std::mem::take(&mut self.early) {
            self.write(track, packet)?;
        }
        for track in 0..self.tracks.len() {
            if self.tracks.get(track).is_some_and(|state| state.ended) {
                self.end(track)?;
            }
        }
        Ok(())
    }

    /// Whether each track that goes on is known. One without packets, of which the first may bring another configuration, is
    /// waited for as muxers wait for packets of all tracks.
    fn is_complete(&self) -> bool {
        let waited = self
            .early_times
            .is_some_and(|(first, last)| last.abs_diff(first) > self.max_wait)
            || self.early_bytes > self.max_bytes;
        self.tracks
            .iter()
            .all(|state| state.ended || (state.config.is_some() && (state.has_packets || waited)))
    }

    fn write(&mut self, track: usize, packet: OutputPacket) -> Result<(), MuxError> {
        let index = self.state(track)?.index.ok_or_else(|| {
            MuxError::Invalid(format!(
                "a packet of track {track}, which the file was begun without"
            ))
        })?;
        self.muxer.write(index, packet, self.target.sink()?)
    }

    fn end(&mut self, track: usize) -> Result<(), MuxError> {
        match self.state(track)?.index {
            Some(index) => self.muxer.end_track(index, self.target.sink()?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reelcore_media::{ChunkKind, ColorSpace, Rotation, SideData, Size};

    use super::*;

    /// Two chunks of VP8, the second of which has alpha, and all that was written.
    fn written(container: &str, first_alpha: bool) -> Bytes {
        let options = MuxOptions::default();
        let muxer = reelcore_containers::mux::create(container, &options).expect("a container");
        let target = Target::Memory(MemorySink::new(usize::MAX));
        let mut work = Work::new(muxer, target, &options);
        let track = OutputTrack {
            kind: OutputKind::Video {
                coded_size: Size::new(64, 48),
                display_aspect: None,
                rotation: Rotation::R0,
                flip: false,
                color_space: ColorSpace::default(),
                framerate: None,
                alpha: false,
            },
            codec: "vp8".into(),
            description: None,
            language: None,
            name: None,
        };
        work.carry_out(Call::Declare);
        let config = Configuration {
            track,
            lacks: None,
            says_orientation: false,
        };
        work.carry_out(Call::Configure(0, Box::new(config)));
        for (index, alpha) in [(0, first_alpha), (1, true)] {
            let data = Bytes::from_static(&[7; 9]);
            let mut chunk = EncodedChunk::new(ChunkKind::Key, index * 40_000, data);
            chunk.side = Some(Arc::new(SideData {
                alpha: alpha.then(|| Bytes::from_static(b"alpha")),
                ..SideData::default()
            }));
            work.carry_out(Call::Write(0, chunk));
        }
        work.carry_out(Call::Finish);
        assert_eq!(work.failed(), None, "{container}");
        match std::mem::replace(&mut work.target, Target::File(None)) {
            Target::Memory(sink) => sink.into_bytes(),
            _ => Bytes::new(),
        }
    }

    #[test]
    fn alpha_of_the_first_chunk_is_said_of_the_track_and_that_of_later_ones_alone_left_out() {
        let count =
            |bytes: &Bytes, what: &[u8]| bytes.windows(what.len()).filter(|w| *w == what).count();
        for container in ["webm", "matroska"] {
            let bytes = written(container, true);
            // AlphaMode 1 and MaxBlockAdditionID 1.
            assert_eq!(count(&bytes, &[0x53, 0xc0, 0x81, 1]), 1, "{container}");
            assert_eq!(count(&bytes, &[0x55, 0xee, 0x81, 1]), 1, "{container}");
            assert_eq!(count(&bytes, b"alpha"), 2, "{container}");
            let bytes = written(container, false);
            assert_eq!(count(&bytes, &[0x53, 0xc0, 0x81]), 0, "{container}");
            assert_eq!(count(&bytes, b"alpha"), 0, "{container}");
        }
        // No place for it.
        for container in ["mp4", "fmp4", "ivf"] {
            assert_eq!(count(&written(container, true), b"alpha"), 0, "{container}");
        }
    }
}
