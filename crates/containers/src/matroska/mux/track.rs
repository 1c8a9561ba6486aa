//! A track to write: its set-up, and its packets as blocks hold them.

use bytes::Bytes;
use reelcore_media::mux::{MuxError, MuxOptions, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{AudioCodec, ChunkKind, VideoCodec};

use super::codec;
use crate::adts::header::Header;
use crate::bitstream::audio::{Frames, Timing};
use crate::matroska::codec::Vorbis;
use crate::mp4::mux::entry::av1_config;
use crate::mux::aac::{self, AdtsFrames};
use crate::mux::decode_times::DecodeTimes;
use crate::mux::hidden::{Hidden, Room};
use crate::mux::invalid;
use crate::mux::nal::{self, NalStream};
use crate::mux::priming::Priming;
use crate::mux::reorder;

/// Times beyond this many microseconds (292 years over a thousand) are none.
const MAX_TIME: i64 = i64::MAX / 1_000_000;

/// A codec of pictures or of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Video(VideoCodec),
    Audio(AudioCodec),
}

/// A track to write.
#[derive(Debug)]
pub(super) struct MuxTrack {
    pub(super) output: OutputTrack,
    pub(super) codec: Codec,
    /// CodecPrivate, once it is known; empty for codecs that have none.
    pub(super) private: Option<Bytes>,
    nal: Option<NalStream>,
    /// Of pictures: those that are not shown.
    hidden: Option<Hidden>,
    /// What the packets' description is, to see when it changes.
    current: Option<Bytes>,
    /// AAC comes as ADTS frames, of which this is the first one's header.
    adts: Option<Header>,
    pub(super) timing: Timing,
    /// How long packets of Vorbis are, and the block of the last.
    vorbis: Option<(Vorbis, Option<u32>)>,
    /// Nanoseconds between pictures, where the frame rate is known.
    pub(super) default_duration: Option<u64>,
    pub(super) priming: Priming,
    /// The smallest time of a packet so far, in nanoseconds of the file.
    pub(super) earliest: Option<i128>,
    /// Tick of the last block, to which pictures refer.
    pub(super) last_block: Option<i64>,
    /// Nanoseconds of decoded sound that were written.
    pub(super) decoded: i128,
}

impl MuxTrack {
    pub(super) fn new(
        output: OutputTrack,
        webm: bool,
        options: &MuxOptions,
    ) -> Result<Self, MuxError> {
        let codec = codec::parse(&output, webm)?;
        let nal = match &codec {
            Codec::Video(video) => NalStream::new(video, output.description.as_ref())?,
            Codec::Audio(_) => None,
        };
        let private = codec::private(&codec, &output)?;
        let mut default_duration = None;
        if let OutputKind::Video {
            framerate: Some(rate),
            ..
        } = output.kind
            && (0.001..1e6).contains(&rate)
        {
            default_duration = Some((1e9 / rate).round() as u64);
        }
        let timing = codec::timing(&codec, &output);
        let vorbis = match codec {
            Codec::Audio(AudioCodec::Vorbis) => private.as_deref().and_then(Vorbis::parse),
            _ => None,
        };
        // Blocks can be invisible wherever they are.
        let room = Room {
            container: "Matroska",
            before: true,
            behind: true,
        };
        let hidden = match codec {
            Codec::Video(video) => {
                let description = output.description.as_ref();
                let max = options.max_buffered_bytes;
                Some(Hidden::new(video, description, room, max))
            }
            Codec::Audio(_) => None,
        };
        Ok(Self {
            priming: Priming::new(
                match codec {
                    Codec::Audio(audio) => Some(audio),
                    Codec::Video(_) => None,
                },
                private.as_deref(),
            ),
            current: output.description.clone(),
            output,
            codec,
            private,
            nal,
            hidden,
            adts: None,
            timing,
            vorbis: vorbis.map(|vorbis| (vorbis, None)),
            default_duration,
            earliest: None,
            last_block: None,
            decoded: 0,
        })
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.codec, Codec::Video(_))
    }

    /// Whether pictures may have alpha beside them.
    pub(super) fn has_alpha(&self) -> bool {
        matches!(self.output.kind, OutputKind::Video { alpha: true, .. })
    }

    /// How packets without decode times get theirs.
    pub(super) fn decode_times(&self) -> DecodeTimes {
        match &self.codec {
            Codec::Video(codec) => reorder::decode_times(codec, self.private.as_ref()),
            Codec::Audio(codec) => DecodeTimes::sound(codec),
        }
    }

    /// How long a packet lasts as its codec or the track says, in nanoseconds.
    pub(super) fn implied(&self, data: &[u8]) -> Option<i128> {
        if let Some(step) = self.default_duration {
            return Some(i128::from(step));
        }
        self.coded(data)
    }

    /// How long a packet of sound lasts as its codec says, in nanoseconds.
    pub(super) fn coded(&self, data: &[u8]) -> Option<i128> {
        let frames = self.timing.frames(data, data.len() as u64)?;
        Some(nanos(frames))
    }

    /// How long the next packet of sound lasts as its codec says, in nanoseconds: of Vorbis it takes the one before it.
    pub(super) fn coded_next(&mut self, data: &[u8]) -> Option<i128> {
        let Some((vorbis, before)) = &mut self.vorbis else {
            return self.coded(data);
        };
        let begins = before.is_none();
        let frames = vorbis.frames(data, before)?;
        (!begins).then(|| nanos(frames))
    }

    /// Whether the next packet's time may tell how long one lasts: packets come in the order of their times, and nothing else says it.
    pub(super) fn next_tells(&self) -> bool {
        match self.codec {
            Codec::Video(VideoCodec::Avc(_) | VideoCodec::Hevc(_)) => false,
            Codec::Video(_) => self.default_duration.is_none(),
            Codec::Audio(_) => self.timing == Timing::Unknown,
        }
    }

    /// Takes the next packet, and gives those that are ready.
    pub(super) fn push(
        &mut self,
        packet: OutputPacket,
        out: &mut Vec<OutputPacket>,
    ) -> Result<(), MuxError> {
        check_times(&packet)?;
        if packet.chunk.data.is_empty() {
            let at = packet.chunk.timestamp;
            return Err(invalid(format!("an empty packet at {at} us")));
        }
        let Some(mut hidden) = self.hidden.take() else {
            return self.add(packet, out);
        };
        let result = hidden.push(packet, &mut |packet| self.add(packet, out));
        self.hidden = Some(hidden);
        result
    }

    /// Adds a packet that is to be written.
    fn add(
        &mut self,
        mut packet: OutputPacket,
        out: &mut Vec<OutputPacket>,
    ) -> Result<(), MuxError> {
        self.convert(&mut packet)?;
        if self.is_video() {
            self.ready(&packet);
            out.push(packet);
            return Ok(());
        }
        let lasts = self.coded(&packet.chunk.data);
        let mut ready = Vec::new();
        self.priming.push(packet, lasts, &mut ready);
        self.primed(ready, out)
    }

    /// No packet follows: gives those that waited.
    pub(super) fn finish(&mut self, out: &mut Vec<OutputPacket>) -> Result<(), MuxError> {
        if let Some(hidden) = &mut self.hidden {
            hidden.finish();
        }
        let mut ready = Vec::new();
        self.priming.finish(&mut ready);
        self.primed(ready, out)
    }

    fn primed(
        &mut self,
        ready: Vec<OutputPacket>,
        out: &mut Vec<OutputPacket>,
    ) -> Result<(), MuxError> {
        if !ready.is_empty()
            && self.codec == Codec::Audio(AudioCodec::Opus)
            && let Some(private) = &self.private
        {
            self.private = Some(self.priming.opus_head(private)?);
        }
        for packet in &ready {
            self.ready(packet);
        }
        out.extend(ready);
        Ok(())
    }

    fn ready(&mut self, packet: &OutputPacket) {
        let start = i128::from(packet.chunk.timestamp) * 1000 + self.priming.later();
        self.earliest = Some(self.earliest.map_or(start, |earliest| earliest.min(start)));
    }

    /// Brings the bytes into the form that blocks have, and finds the set-up in the first.
    fn convert(&mut self, packet: &mut OutputPacket) -> Result<(), MuxError> {
        let changed = packet
            .description
            .take()
            .filter(|new| self.current.as_ref() != Some(new));
        match self.codec {
            Codec::Video(codec @ (VideoCodec::Avc(_) | VideoCodec::Hevc(_))) => {
                if let Some(new) = changed {
                    packet.description = Some(self.sets_of(&new)?);
                    // From here on with lengths, whatever came before.
                    self.nal = NalStream::new(&codec, Some(&new))?;
                    self.current = Some(new);
                }
                if let Some(nal) = &mut self.nal {
                    packet.chunk.data = nal.convert(&packet.chunk.data)?;
                    if self.private.is_none() {
                        self.private = nal.description().cloned();
                    }
                }
            }
            Codec::Video(VideoCodec::Av1(_)) => {
                // https://github.com/ietf-wg-cellar/matroska-specification/blob/master/codec/av1.md: temporal delimiters
                // should be left out.
                if let Some(rest) = packet.chunk.data.strip_prefix(&[0x12, 0])
                    && !rest.is_empty()
                {
                    packet.chunk.data = packet.chunk.data.slice_ref(rest);
                }
                if self.private.is_none() {
                    let key = packet.chunk.kind == ChunkKind::Key;
                    let data = if key { &packet.chunk.data[..] } else { &[] };
                    self.private = Some(av1_config(&self.output, data)?.into());
                }
            }
            Codec::Audio(AudioCodec::Aac(_)) if self.current.is_none() && changed.is_none() => {
                self.strip_adts(packet)?;
            }
            // After ADTS frames: without headers from here on.
            Codec::Audio(AudioCodec::Aac(_)) if self.goes_on_as(changed.as_ref()) => {
                self.current = changed;
            }
            Codec::Audio(_) if changed.is_some() => {
                return Err(MuxError::Unsupported(format!(
                    "another description of {} in the middle of a track of Matroska",
                    self.output.codec
                )));
            }
            _ => {}
        }
        if let Timing::Pcm {
            bytes_per_frame, ..
        } = self.timing
            && !(packet.chunk.data.len() as u64).is_multiple_of(u64::from(bytes_per_frame.max(1)))
        {
            return Err(invalid(format!(
                "expected frames of {bytes_per_frame} bytes, found a packet of {} bytes",
                packet.chunk.data.len()
            )));
        }
        Ok(())
    }

    /// Whether an AudioSpecificConfig after ADTS frames says what they did.
    fn goes_on_as(&self, config: Option<&Bytes>) -> bool {
        let frames = |config: &Bytes| AdtsFrames::new(config).ok();
        let told = self.private.as_ref().and_then(frames);
        self.adts.is_some() && told.is_some() && told == config.and_then(frames)
    }

    /// The parameter sets of another description, as NAL units to stand before a picture: CodecPrivate cannot change.
    fn sets_of(&self, description: &Bytes) -> Result<Bytes, MuxError> {
        let hevc = matches!(self.codec, Codec::Video(VideoCodec::Hevc(_)));
        let Some(private) = &self.private else {
            return Err(MuxError::Unsupported(
                "a description after packets with start codes".into(),
            ));
        };
        let (ours, _) = nal::sets_in_band(hevc, private)?;
        let (theirs, sets) = nal::sets_in_band(hevc, description)?;
        if ours != theirs {
            return Err(MuxError::Unsupported(format!(
                "a description with lengths of {theirs} bytes after one with {ours}"
            )));
        }
        Ok(sets)
    }

    /// Takes the header off an ADTS frame; the first one's becomes the AudioSpecificConfig.
    fn strip_adts(&mut self, packet: &mut OutputPacket) -> Result<(), MuxError> {
        let header = aac::frame(&packet.chunk)?;
        let first = *self.adts.get_or_insert(header);
        if !first.same_stream(&header) {
            return Err(MuxError::Unsupported(format!(
                "AAC that changes in the stream: from {} Hz to {} Hz, channel configuration {} to {}",
                first.rate, header.rate, first.channels, header.channels
            )));
        }
        if self.private.is_none() {
            if header.channels == 0 {
                return Err(MuxError::Unsupported(
                    "ADTS whose channels a program_config_element tells".into(),
                ));
            }
            let config = aac::specific_config(&header);
            self.timing = codec::aac_timing(&config);
            self.private = Some(Bytes::copy_from_slice(&config));
        }
        packet.chunk.data = packet.chunk.data.slice(header.size()..);
        Ok(())
    }
}

fn nanos(frames: Frames) -> i128 {
    let rate = i128::from(frames.rate.max(1));
    (i128::from(frames.count) * 1_000_000_000 + rate / 2) / rate
}

fn check_times(packet: &OutputPacket) -> Result<(), MuxError> {
    let times = [
        Some(packet.chunk.timestamp),
        packet.decode_time,
        packet
            .chunk
            .duration
            .map(|d| i64::try_from(d).unwrap_or(i64::MAX)),
    ];
    for time in times.into_iter().flatten() {
        if time.unsigned_abs() > MAX_TIME.unsigned_abs() {
            return Err(invalid(format!(
                "expected times up to {MAX_TIME} us, found {time} us"
            )));
        }
    }
    Ok(())
}
