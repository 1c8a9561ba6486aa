//! Frames out of the bytes of an elementary stream, with their times.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use reelcore_media::demux::TrackConfig;

use super::audio::{AudioInfo, Form, Header, Parsed};
use super::clock::{Moment, RATE};
use super::pes::Frame;
use super::psi::Kind;
use crate::annexb::{AccessUnit, Splitter, Step, Syntax, VideoInfo};

/// The start of a PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
}

/// What decoders of a frame are configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// What the track says.
    Own,
    /// Something else: the stream went over to another kind. `None` before its first key frame.
    Other(Option<Arc<TrackConfig>>),
}

/// How frames are told from one another.
#[derive(Debug)]
enum Cutter {
    Video(Box<Splitter>),
    /// ADTS, MPEG audio or Opus: each frame says its length. The header of the last, once frames adjoin.
    Audio {
        form: Form,
        /// As many channels as the tables say, where frames do not.
        channels: Option<u32>,
        last: Option<Header>,
        info: Option<AudioInfo>,
    },
    /// One frame for each PES packet.
    Whole,
}

/// What the time of the next frame without a time stamp of its own is counted from.
#[derive(Clone, Copy, Debug)]
struct Previous {
    pts: Moment,
    dts: i64,
    poc: Option<i32>,
    /// How long it lasts, in ticks.
    ticks: i64,
    /// When the next begins, for sound.
    next: Moment,
    anchor: (u64, i64),
}

/// Collects an elementary stream and cuts it into frames.
#[derive(Debug)]
pub(super) struct Framer {
    cutter: Cutter,
    buffer: BytesMut,
    /// The place of the buffer's first byte in the stream.
    begin: u64,
    /// PES packets that begin in the buffer, or hold its first byte, by place.
    marks: VecDeque<(u64, Mark)>,
    /// The PES packet that the last frame begins in, and whether its time stamp is taken.
    current: Option<(Mark, bool)>,
    previous: Option<Previous>,
    /// Where the last frame that was put out ends.
    given: u64,
    /// All access units so far begin where a PES packet does.
    aligned: bool,
    kind: Kind,
    /// That of the frames to come.
    setup: Setup,
    pub(super) out: VecDeque<Frame>,
}

impl Framer {
    pub(super) fn new(kind: &Kind) -> Self {
        let audio = |form, channels| Cutter::Audio {
            form,
            channels,
            last: None,
            info: None,
        };
        Self {
            cutter: match kind {
                Kind::H264 => Cutter::Video(Box::new(Splitter::new(Syntax::h264()))),
                Kind::Hevc => Cutter::Video(Box::new(Splitter::new(Syntax::hevc()))),
                Kind::Adts => audio(Form::ADTS, None),
                Kind::MpegAudio => audio(Form::MPEG, None),
                Kind::Opus { channels } => audio(Form::OPUS, Some(u32::from(*channels))),
                Kind::Other(_) => Cutter::Whole,
            },
            buffer: BytesMut::new(),
            begin: 0,
            marks: VecDeque::new(),
            current: None,
            previous: None,
            given: 0,
            aligned: true,
            setup: Setup::Own,
            kind: kind.clone(),
            out: VecDeque::new(),
        }
    }

    /// As [`Framer::new`], of a kind that is not the track's own.
    pub(super) fn other(kind: &Kind) -> Self {
        Self {
            setup: Setup::Other(None),
            ..Self::new(kind)
        }
    }

    /// The kind of stream that is cut.
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What the parameter sets say.
    pub(super) fn video(&self) -> Option<VideoInfo> {
        match &self.cutter {
            Cutter::Video(splitter) => splitter.syntax.info(),
            _ => None,
        }
    }

    /// What the frame headers say.
    pub(super) fn audio(&self) -> Option<AudioInfo> {
        match &self.cutter {
            Cutter::Audio { info, .. } => *info,
            _ => None,
        }
    }

    /// How long a picture lasts as the parameter sets say, in ticks.
    pub(super) fn frame_ticks(&self) -> Option<i64> {
        self.video()
            .and_then(|info| frame_ticks(info.frame_duration))
    }

    /// The parameter sets there are.
    pub(super) fn parameter_sets(&self) -> Vec<u8> {
        match &self.cutter {
            Cutter::Video(splitter) => splitter.syntax.parameter_sets(),
            _ => Vec::new(),
        }
    }

    /// Bytes that wait for more.
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// A PES packet begins.
    pub(super) fn mark(&mut self, mark: Mark) {
        let place = self.begin.saturating_add(self.buffer.len() as u64);
        // Those in which nothing begins are of no use.
        while self.marks.back().is_some_and(|(last, _)| *last == place) {
            self.marks.pop_back();
        }
        self.marks.push_back((place, mark));
    }

    /// The next bytes of the PES packet.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.cut(false);
    }

    /// The PES packet has come to its end.
    pub(super) fn end_of_pes(&mut self) {
        if matches!(self.cutter, Cutter::Whole) {
            self.whole();
        }
    }

    /// The stream ends, or what follows does not adjoin; `whole`: nothing is missing of what came.
    pub(super) fn finish(&mut self, whole: bool) {
        if whole {
            self.end_of_pes();
            self.cut(true);
            self.clear();
        } else {
            self.lost(false);
        }
    }

    /// Bytes are missing: frames whose end has been seen are given, the rest is dropped. `complete`: those missing begin
    /// with a PES packet.
    pub(super) fn lost(&mut self, complete: bool) {
        if complete {
            self.end_of_pes();
        }
        if matches!(self.cutter, Cutter::Video(_)) {
            let (count, end) = (
                self.out.len(),
                self.begin.saturating_add(self.buffer.len() as u64),
            );
            self.cut(true);
            // One that ends where the bytes do: what is missing may belong to it.
            let may = !(complete && self.aligned);
            if self.out.len() > count && self.given == end && may {
                self.out.pop_back();
            }
        }
        self.clear();
        // Times are not counted over what is missing.
        self.previous = None;
    }

    /// Starts anew elsewhere, with the parameter sets there were.
    pub(super) fn restart(&mut self) {
        self.clear();
        self.previous = None;
        self.out.clear();
        // Elsewhere the same kind may be configured in another way.
        if self.setup != Setup::Own {
            self.setup = Setup::Other(None);
            if let Cutter::Audio { info, .. } = &mut self.cutter {
                *info = None;
            }
        }
    }

    fn clear(&mut self) {
        self.begin = self.begin.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        self.marks.clear();
        self.current = None;
        match &mut self.cutter {
            Cutter::Video(splitter) => splitter.restart(),
            Cutter::Audio { last, .. } => *last = None,
            Cutter::Whole => {}
        }
    }

    fn skip(&mut self, count: usize) {
        let count = count.min(self.buffer.len());
        self.buffer.advance(count);
        self.begin = self.begin.saturating_add(count as u64);
    }

    /// Cuts what can be cut; `last`: nothing follows.
    fn cut(&mut self, last: bool) {
        loop {
            match &mut self.cutter {
                Cutter::Whole => return,
                Cutter::Video(splitter) => match splitter.step(&self.buffer, last) {
                    Step::More => return,
                    Step::Skip(count) => self.skip(count),
                    Step::Unit(unit) => self.access_unit(unit),
                },
                Cutter::Audio {
                    form,
                    channels,
                    last: previous,
                    info,
                } => match next_audio(&self.buffer, *form, *previous, last) {
                    Audio::More => return,
                    Audio::Skip(count) => {
                        *previous = None;
                        self.skip(count);
                    }
                    Audio::Frame(header) => {
                        *previous = Some(header);
                        info.get_or_insert(AudioInfo {
                            channels: channels.unwrap_or(header.info.channels),
                            ..header.info
                        });
                        self.audio_frame(header);
                    }
                },
            }
        }
    }

    /// The PES packet in which the frame at the buffer's front begins, and the time stamps that are its own.
    fn take_mark(&mut self) -> (u64, Option<i64>, Option<i64>) {
        // An access unit's zero_byte may have been taken from padding at the end of the PES packet before.
        let slack = u64::from(matches!(self.cutter, Cutter::Video(_)));
        let mut aligned = false;
        while let Some(&(place, mark)) = self.marks.front()
            && place <= self.begin.saturating_add(slack)
        {
            aligned = place.saturating_add(slack) >= self.begin;
            self.current = Some((mark, false));
            self.marks.pop_front();
        }
        self.aligned &= aligned;
        match &mut self.current {
            Some((mark, taken)) if !*taken => {
                // 2.4.3.7: of the first access unit that begins in the PES packet.
                *taken = true;
                (mark.offset, mark.pts, mark.dts)
            }
            Some((mark, _)) => (mark.offset, None, None),
            None => (0, None, None),
        }
    }

    fn access_unit(&mut self, unit: AccessUnit) {
        let (offset, pts, dts) = self.take_mark();
        let ticks = self.frame_ticks();
        let parts = if unit.picture.field { 2 } else { 1 };
        // 25 frames a second, to count on with where nothing tells.
        let frame = ticks.unwrap_or(RATE / 25);
        let picture = &unit.picture;
        let (pts, dts, anchor) = match (pts, self.previous) {
            (Some(pts), _) => (Some(pts), dts.or(Some(pts)), (offset, pts)),
            (None, None) => (None, None, (offset, 0)),
            (None, Some(previous)) => {
                let dts = previous.dts.saturating_add(previous.ticks);
                // Counts of H.264 go up by two for each frame, those of HEVC by one.
                let step = match self.cutter {
                    Cutter::Video(ref splitter) if matches!(splitter.syntax, Syntax::H264(_)) => 2,
                    _ => 1,
                };
                let pts = match (picture.poc, previous.poc) {
                    (Some(poc), Some(last)) if !picture.restart => {
                        let distance = i64::from(poc).saturating_sub(i64::from(last));
                        let distance = distance.saturating_mul(frame) / step;
                        previous.pts.ticks.saturating_add(distance).max(dts)
                    }
                    _ => dts.saturating_add(i64::from(picture.reorder).saturating_mul(frame)),
                };
                (Some(pts), Some(dts), previous.anchor)
            }
        };
        self.previous = pts.zip(dts).map(|(pts, dts)| Previous {
            pts: Moment::ticks(pts),
            dts,
            poc: picture.poc,
            ticks: frame / parts,
            next: Moment::ticks(pts),
            anchor,
        });
        self.skip_into(
            Frame {
                data: Default::default(),
                pts: pts.map(Moment::ticks),
                dts,
                end: pts
                    .zip(ticks)
                    .map(|(pts, ticks)| Moment::ticks(pts.saturating_add(ticks / parts))),
                key: picture.key,
                offset,
                anchor,
                lacks_sets: !unit.has_sets,
                trims: (0, 0),
                setup: Setup::Own,
            },
            unit.len,
        );
    }

    fn audio_frame(&mut self, header: Header) {
        let (offset, pts, _) = self.take_mark();
        let (pts, anchor) = match (pts, self.previous) {
            (Some(pts), _) => (Some(Moment::ticks(pts)), (offset, pts)),
            (None, Some(previous)) => (Some(previous.next), previous.anchor),
            (None, None) => (None, (offset, 0)),
        };
        // Counted in samples from the last time stamp on.
        let end = pts.map(|pts| {
            let samples = if pts.rate == header.info.sample_rate || pts.samples == 0 {
                pts.samples
            } else {
                // The rate changes between two time stamps.
                let rate = u128::from(pts.rate.max(1));
                let samples = u128::from(pts.samples) * u128::from(header.info.sample_rate) / rate;
                u64::try_from(samples).unwrap_or(u64::MAX)
            };
            Moment {
                ticks: pts.ticks,
                samples: samples.saturating_add(u64::from(header.samples)),
                rate: header.info.sample_rate,
            }
        });
        self.previous = pts.zip(end).map(|(pts, next)| Previous {
            pts,
            dts: pts.ticks,
            poc: None,
            ticks: 0,
            next,
            anchor,
        });
        self.skip(header.own);
        self.skip_into(
            Frame {
                data: Default::default(),
                pts,
                dts: None,
                end,
                key: true,
                offset,
                anchor,
                lacks_sets: false,
                trims: header.trims,
                setup: Setup::Own,
            },
            header.len.saturating_sub(header.own),
        );
    }

    /// The PES packet as it is.
    fn whole(&mut self) {
        let len = self.buffer.len();
        if len == 0 {
            return;
        }
        let (offset, pts, dts) = self.take_mark();
        self.skip_into(
            Frame {
                data: Default::default(),
                pts: pts.map(Moment::ticks),
                dts,
                end: None,
                key: true,
                offset,
                anchor: (offset, pts.unwrap_or(0)),
                lacks_sets: false,
                trims: (0, 0),
                setup: Setup::Own,
            },
            len,
        );
    }

    /// Gives `frame` the first `len` bytes of the buffer, which it shares, and puts it out.
    fn skip_into(&mut self, frame: Frame, len: usize) {
        let len = len.min(self.buffer.len());
        let data = self.buffer.split_to(len).freeze();
        self.begin = self.begin.saturating_add(len as u64);
        self.given = self.begin;
        if frame.key && self.setup == Setup::Other(None) {
            self.setup = Setup::Other(super::config(self).map(Arc::new));
        }
        self.out.push_back(Frame {
            data,
            // Decoding cannot start at what nothing is known of.
            key: frame.key && self.setup != Setup::Other(None),
            setup: self.setup.clone(),
            ..frame
        });
    }
}

/// A frame's length in ticks, of what can be one.
fn frame_ticks(duration: Option<(u64, u64)>) -> Option<i64> {
    let (num, den) = duration?;
    let ticks = u128::from(num) * RATE as u128 / u128::from(den.max(1));
    // From a thousand a second to one in ten seconds.
    i64::try_from(ticks)
        .ok()
        .filter(|ticks| (90..=10 * RATE).contains(ticks))
}

/// What stands at the front of bytes of sound.
enum Audio {
    More,
    Skip(usize),
    Frame(Header),
}

/// The frame at the front of `data`. Where it does not adjoin one, the header after it must agree.
fn next_audio(data: &[u8], form: Form, previous: Option<Header>, last: bool) -> Audio {
    let header = match (form.parse)(data) {
        Parsed::Frame(header) => header,
        Parsed::More if last && !data.is_empty() => return Audio::Skip(data.len()),
        Parsed::More => return Audio::More,
        Parsed::No => {
            // To the next byte that can begin one.
            let next = data.iter().skip(1).position(|&byte| byte == form.sync);
            return Audio::Skip(next.map_or(data.len(), |at| at + 1));
        }
    };
    if data.len() < header.len {
        return match last {
            true => Audio::Skip(data.len()),
            false => Audio::More,
        };
    }
    if previous.is_some_and(|previous| previous.agrees(&header)) {
        return Audio::Frame(header);
    }
    match (form.parse)(data.get(header.len..).unwrap_or_default()) {
        Parsed::Frame(next) if next.agrees(&header) => Audio::Frame(header),
        // The last of a stream has nothing after it.
        Parsed::More if last => Audio::Frame(header),
        Parsed::More => Audio::More,
        _ => Audio::Skip(1),
    }
}
