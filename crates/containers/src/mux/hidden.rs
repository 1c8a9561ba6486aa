//! Pictures that are decoded and not shown ([`SideData::hidden`](reelcore_media::SideData::hidden)), as an edit list leaves them out.
//!
//! They wait for a picture that is shown: those that none follows, or only behind a picture from which decoding starts anew,
//! are left out, as nothing that is shown refers to them. The others stay. They lie before or behind all that is shown,
//! where the container has a way to say it: between it, times would go back.

use bytes::Bytes;
use reelcore_media::h264::{self, AvcC, NalKind};
use reelcore_media::hevc::{self, HvcC, NalType};
use reelcore_media::mux::{MuxError, OutputPacket};
use reelcore_media::{ChunkKind, VideoCodec};

/// Where a container can have pictures that are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// For messages.
    pub(crate) container: &'static str,
    pub(crate) before: bool,
    pub(crate) behind: bool,
}

/// The pictures of a track that are not shown.
#[derive(Debug)]
pub(crate) struct Hidden {
    codec: VideoCodec,
    room: Room,
    /// Bytes before each NAL unit; `None`: packets come with start codes.
    length_size: Option<usize>,
    max_bytes: usize,
    held: Vec<OutputPacket>,
    bytes: usize,
    /// That of packets that were left out, for the next one.
    description: Option<Bytes>,
    /// The first and the last time at which a picture is shown.
    shown: Option<(i64, i64)>,
    /// When the picture ends that is shown last.
    end: i64,
    /// The last time of those before, the first of those behind.
    before: Option<i64>,
    behind: Option<i64>,
}

impl Hidden {
    /// `max_bytes`: that may wait.
    pub(crate) fn new(
        codec: VideoCodec,
        description: Option<&Bytes>,
        room: Room,
        max_bytes: usize,
    ) -> Self {
        Self {
            codec,
            room,
            length_size: description.and_then(|bytes| length_size(&codec, bytes)),
            max_bytes,
            held: Vec::new(),
            bytes: 0,
            description: None,
            shown: None,
            end: i64::MIN,
            before: None,
            behind: None,
        }
    }

    /// When the first picture is shown, where some before it are not.
    pub(crate) fn starts(&self) -> Option<i64> {
        self.before.and(self.shown).map(|(first, _)| first)
    }

    /// When the last picture ends that is shown, where some behind it are not.
    pub(crate) fn ends(&self) -> Option<i64> {
        let (_, last) = self.shown?;
        // A duration that nobody gives reaches to the next picture.
        self.behind.map(|behind| {
            if self.end > last {
                self.end.min(behind)
            } else {
                behind
            }
        })
    }

    /// Takes the next packet in decode order, and gives those that are to be written.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] for pictures that are not shown where the container has no room for them,
    /// [`MuxError::Limit`] for too many that wait, and what `out` reports.
    pub(crate) fn push(
        &mut self,
        mut packet: OutputPacket,
        out: &mut dyn FnMut(OutputPacket) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        if let Some(description) = &packet.description {
            self.length_size = length_size(&self.codec, description);
        }
        if !self.held.is_empty() && self.starts_anew(&packet) {
            self.leave_out();
        }
        packet.description = packet.description.or(self.description.take());
        if is_hidden(&packet) {
            if self.is_referred_to(&packet) {
                return self.hold(packet);
            }
            self.description = packet.description;
            return Ok(());
        }
        let time = packet.chunk.timestamp;
        let shown = self.shown.map_or((time, time), |(first, last)| {
            (first.min(time), last.max(time))
        });
        for index in 0..self.held.len() {
            let hidden = self.held.get(index).map_or(time, |p| p.chunk.timestamp);
            self.place(hidden, self.shown.unwrap_or(shown))?;
        }
        self.shown = Some(shown);
        let lasts = packet.chunk.duration.and_then(|d| i64::try_from(d).ok());
        self.end = self.end.max(time.saturating_add(lasts.unwrap_or(0)));
        if self.before.is_some_and(|before| time <= before)
            || self.behind.is_some_and(|behind| time >= behind)
        {
            return Err(goes_back(
                self.before.max(self.behind).unwrap_or(time),
                time,
            ));
        }
        self.bytes = 0;
        self.held.drain(..).try_for_each(&mut *out)?;
        out(packet)
    }

    /// No packet follows: what waits is left out.
    pub(crate) fn finish(&mut self) {
        self.leave_out();
    }

    fn hold(&mut self, packet: OutputPacket) -> Result<(), MuxError> {
        let bytes = packet.chunk.data.len() + size_of::<OutputPacket>();
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.max_bytes {
            return Err(MuxError::Limit(format!(
                "pictures that are not shown wait for one that is, up to {} bytes (max_buffered_bytes)",
                self.max_bytes
            )));
        }
        self.held.push(packet);
        Ok(())
    }

    fn leave_out(&mut self) {
        for packet in self.held.drain(..) {
            self.description = packet.description.or(self.description.take());
        }
        self.bytes = 0;
    }

    /// Where among those that are shown a picture lies that is not.
    fn place(&mut self, time: i64, (first, last): (i64, i64)) -> Result<(), MuxError> {
        let (room, what) = if time < first {
            self.before = self.before.max(Some(time));
            (self.room.before, "before the first")
        } else if time > last {
            self.behind = Some(self.behind.map_or(time, |behind| behind.min(time)));
            (self.room.behind, "behind the last")
        } else {
            return Err(goes_back(last, time));
        };
        if room {
            return Ok(());
        }
        Err(MuxError::Unsupported(format!(
            "a picture at {time} us that is decoded and not shown, {what} one that is, in {}: decode and encode the track",
            self.room.container
        )))
    }

    /// Whether nothing from this packet on refers to what comes before it.
    fn starts_anew(&self, packet: &OutputPacket) -> bool {
        if packet.chunk.kind != ChunkKind::Key {
            return false;
        }
        let (mut idr, mut sets) = (false, false);
        let in_band = match self.codec {
            VideoCodec::Avc(avc) => {
                for nal in h264::nal_units(&packet.chunk.data, self.avc()).flatten() {
                    idr |= nal.kind == NalKind::IdrSlice;
                    sets |= nal.kind == NalKind::Sps;
                }
                avc.in_band
            }
            VideoCodec::Hevc(hevc) => {
                let packaging = match self.length_size {
                    Some(length_size) => hevc::Packaging::Hevc { length_size },
                    None => hevc::Packaging::AnnexB,
                };
                for nal in hevc::nal_units(&packet.chunk.data, packaging).flatten() {
                    idr |= nal.nal_type.is_idr();
                    sets |= nal.nal_type == NalType::SPS;
                }
                hevc.in_band
            }
            _ => return true,
        };
        // Parameter sets that stand in the stream alone must not be lost.
        idr && (sets || self.length_size.is_some() && !in_band)
    }

    /// Whether other pictures may refer to one.
    fn is_referred_to(&self, packet: &OutputPacket) -> bool {
        if !matches!(self.codec, VideoCodec::Avc(_)) || packet.chunk.kind == ChunkKind::Key {
            return true;
        }
        let (mut slices, mut referred) = (false, false);
        for nal in h264::nal_units(&packet.chunk.data, self.avc()) {
            let Ok(nal) = nal else {
                return true;
            };
            slices |= nal.kind == NalKind::Slice;
            referred |= nal.ref_idc != 0;
        }
        referred || !slices
    }

    fn avc(&self) -> h264::Packaging {
        match self.length_size {
            Some(length_size) => h264::Packaging::Avc { length_size },
            None => h264::Packaging::AnnexB,
        }
    }
}

/// Whether the picture of a packet is decoded and not shown.
pub(crate) fn is_hidden(packet: &OutputPacket) -> bool {
    packet.chunk.side.as_ref().is_some_and(|side| side.hidden)
}

fn goes_back(from: i64, to: i64) -> MuxError {
    MuxError::Unsupported(format!(
        "times that go back from {from} us to {to} us, as an edit list that cuts or repeats makes them: decode and encode the track"
    ))
}

fn length_size(codec: &VideoCodec, description: &[u8]) -> Option<usize> {
    match codec {
        VideoCodec::Avc(_) => Some(AvcC::parse(description).ok()?.length_size),
        VideoCodec::Hevc(_) => Some(HvcC::parse(description).ok()?.length_size),
        _ => None,
    }
}
