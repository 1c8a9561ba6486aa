//! A track to write: what its packets must be, and what the sample entry says of them.

use bytes::Bytes;
use reelcore_media::codec_string::Vp9;
use reelcore_media::mux::{MuxError, MuxOptions, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{AudioCodec, ChunkKind, Size, VideoCodec};

use super::super::codec::esds;
use super::super::parse::{FourCc, Reader};
use super::entry::{Entry, av1_config};
use super::heard::Heard;
use super::{table, time};
use crate::adts::header::Header;
use crate::bitstream::audio::{Frames, Timing, aac_frames};
use crate::bitstream::av1::{self, SequenceHeader};
use crate::bitstream::vp9;
use crate::mux::aac::{self, AdtsFrames};
use crate::mux::decode_times::{DecodeTimes, Timed};
use crate::mux::hidden::{Hidden, Room};
use crate::mux::invalid;
use crate::mux::nal::{self, NalStream};
use crate::mux::priming::Priming;
use crate::mux::reorder;

/// Sample entries of a track, at most.
const MAX_ENTRIES: usize = 1024;

/// How long a packet is taken to last where nothing tells.
const FRAME_MICROS: u64 = 40_000;

/// A codec that MP4 has a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Video(VideoCodec),
    Audio(AudioCodec),
}

/// A packet whose turn has come.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) data: Bytes,
    pub(super) time: table::Entry,
    pub(super) key: bool,
    /// Index of its sample entry, from 0.
    pub(super) entry: usize,
    /// How much of its sound is heard, in nanoseconds, where its end is to be dropped.
    pub(super) heard_nanos: Option<u128>,
}

/// A track to write.
#[derive(Debug)]
pub(super) struct MuxTrack {
    pub(super) output: OutputTrack,
    pub(super) codec: Codec,
    nal: Option<NalStream>,
    /// Of pictures: those that are not shown.
    pub(super) hidden: Option<Hidden>,
    /// What VP9 is from the last key frame on.
    vp9: Option<Vp9>,
    /// The last sequence header of AV1.
    sequence: Option<SequenceHeader>,
    /// AAC comes as ADTS frames.
    in_adts: bool,
    /// The first ADTS frame's header.
    adts: Option<Header>,
    /// Made with the first packet: the parameter sets tell how pictures are ordered.
    times: Option<DecodeTimes>,
    pub(super) entries: Vec<Entry>,
    /// Bytes of a frame of uncompressed sound.
    pub(super) pcm_frame: Option<usize>,
    timing: Timing,
    /// What is dropped before the first sound that is heard: the sum over packets, of which the first may wait for it.
    priming: Priming,
    /// Where the first heard sound begins, in times before `counts_kept()` is taken off. Known as soon as packets come: those that
    /// wait for other tracks count, for what is written in front of fragments.
    pub(super) heard: Heard,
    /// Decode time of the last sample, in microseconds.
    last_decode: Option<i64>,
    pub(super) ended: bool,
}

impl MuxTrack {
    pub(super) fn new(output: OutputTrack, options: &MuxOptions) -> Result<Self, MuxError> {
        let codec = parse_codec(&output)?;
        let nal = match &codec {
            Codec::Video(video) => NalStream::new(video, output.description.as_ref())?,
            Codec::Audio(_) => None,
        };
        if let OutputKind::Video { coded_size, .. } = &output.kind {
            check_size(*coded_size)?;
        }
        let room = Room {
            container: match options.fragmented {
                true => "fragments of MP4",
                false => "MP4",
            },
            before: true,
            // How long the track is stands in front of them.
            behind: !options.fragmented,
        };
        let hidden = match codec {
            Codec::Video(video) => {
                let description = output.description.as_ref();
                let max = options.max_buffered_bytes;
                Some(Hidden::new(video, description, room, max))
            }
            Codec::Audio(_) => None,
        };
        let mut this = Self {
            nal,
            hidden,
            vp9: match codec {
                Codec::Video(VideoCodec::Vp9(vp9)) => Some(vp9),
                _ => None,
            },
            sequence: None,
            in_adts: matches!(codec, Codec::Audio(AudioCodec::Aac(_)))
                && output.description.is_none(),
            adts: None,
            times: None,
            entries: Vec::new(),
            pcm_frame: None,
            timing: Timing::Unknown,
            // The pre-skip of Opus's header is left to readers, as other writers do it.
            priming: Priming::new(
                match codec {
                    Codec::Audio(audio) => Some(audio),
                    Codec::Video(_) => None,
                },
                None,
            ),
            heard: Heard::Unknown,
            last_decode: None,
            ended: false,
            codec,
            output,
        };
        if let OutputKind::Audio {
            sample_rate,
            channels,
        } = this.output.kind
        {
            this.set_up_audio(sample_rate, channels)?;
        }
        let description = this.output.description.clone();
        let in_band = match codec {
            Codec::Video(VideoCodec::Avc(_) | VideoCodec::Hevc(_) | VideoCodec::Av1(_))
            | Codec::Audio(AudioCodec::Aac(_)) => description.is_none(),
            _ => false,
        };
        if !in_band {
            if let Codec::Video(VideoCodec::Av1(_)) = codec {
                this.sequence = description.as_deref().and_then(av1::configured);
            }
            let entry = Entry::new(&this.codec, &this.output, description, None)?;
            this.entries.push(entry);
        }
        Ok(this)
    }

    fn set_up_audio(&mut self, rate: u32, channels: u32) -> Result<(), MuxError> {
        if rate == 0 || rate > 1 << 24 || channels == 0 || channels > 255 {
            return Err(invalid(format!(
                "expected a sample rate up to 16777216 and 1 to 255 channels, found {rate} and {channels}"
            )));
        }
        let Codec::Audio(codec) = self.codec else {
            return Ok(());
        };
        let sample_bytes = match codec {
            AudioCodec::Pcm(format) => Some(super::entry::pcm_bytes(format)),
            AudioCodec::Alaw | AudioCodec::Ulaw => Some(1),
            _ => None,
        };
        self.pcm_frame = sample_bytes.map(|bytes| bytes * channels as usize);
        self.timing = match codec {
            AudioCodec::Opus => Timing::Opus,
            AudioCodec::Mp3 => Timing::Mp3,
            AudioCodec::Flac => Timing::Flac { rate },
            AudioCodec::Aac(_) => self
                .output
                .description
                .as_deref()
                .and_then(aac_frames)
                .map_or(Timing::Unknown, Timing::Constant),
            _ => Timing::Unknown,
        };
        if codec == AudioCodec::Opus {
            // Opus is counted at 48 kHz, whatever the input was.
            self.output.kind = OutputKind::Audio {
                sample_rate: 48_000,
                channels,
            };
        }
        Ok(())
    }

    /// Takes a packet as it comes, and gives those whose decode time is known.
    pub(super) fn push(
        &mut self,
        packet: OutputPacket,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        time::check(packet.chunk.timestamp, "timestamp")?;
        if let Some(decode_time) = packet.decode_time {
            time::check(decode_time, "decode time")?;
        }
        if let Some(duration) = packet.chunk.duration {
            time::check(i64::try_from(duration).unwrap_or(i64::MAX), "duration")?;
        }
        if packet.chunk.data.is_empty() {
            return Err(invalid(format!(
                "an empty packet at {} us",
                packet.chunk.timestamp
            )));
        }
        if u32::try_from(packet.chunk.data.len()).is_err() {
            return Err(MuxError::Limit("a packet of 4 GiB or more".into()));
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
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        self.convert(&mut packet)?;
        if self.times.is_none() {
            let description = self.entries.first().and_then(Entry::description);
            self.times = Some(match &self.codec {
                Codec::Video(codec) => reorder::decode_times(codec, description),
                Codec::Audio(codec) => DecodeTimes::sound(codec),
            });
        }
        let lasts = self.coded(&packet.chunk.data);
        let mut ready = Vec::new();
        self.priming
            .push(packet, lasts.map(u128::cast_signed), &mut ready);
        self.timed(ready, out)
    }

    fn timed(
        &mut self,
        ready: Vec<OutputPacket>,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        for packet in &ready {
            let chunk = &packet.chunk;
            let lasts = self.duration(&chunk.data, chunk.duration, chunk.timestamp);
            self.heard.follow(chunk, lasts);
        }
        let Some(times) = &mut self.times else {
            return Ok(());
        };
        ready
            .into_iter()
            .try_for_each(|packet| times.push(packet, out))
    }

    /// How long a packet of sound lasts as its codec says, in nanoseconds.
    fn coded(&self, data: &[u8]) -> Option<u128> {
        let frames = self.timing.frames(data, data.len() as u64)?;
        Some(u128::from(frames.count) * 1_000_000_000 / u128::from(frames.rate.max(1)))
    }

    /// When the first picture is shown, in microseconds, where some before it are not.
    pub(super) fn starts(&self) -> Option<i64> {
        self.hidden.as_ref().and_then(Hidden::starts)
    }

    /// When the last picture ends that is shown, in microseconds, where some behind it are not.
    pub(super) fn ends(&self) -> Option<i64> {
        self.hidden.as_ref().and_then(Hidden::ends)
    }

    /// By how much an encoder's first packet comes before what it counts, in nanoseconds: known with the first sample.
    pub(super) fn counts_kept(&self) -> u128 {
        u128::try_from(self.priming.delay_beyond()).unwrap_or(0)
    }

    /// No packet follows.
    pub(super) fn finish(
        &mut self,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        if let Some(hidden) = &mut self.hidden {
            hidden.finish();
        }
        let mut ready = Vec::new();
        self.priming.finish(&mut ready);
        self.timed(ready, out)?;
        match &mut self.times {
            Some(times) => times.finish(out),
            None => Ok(()),
        }
    }

    /// Brings the bytes into the form that samples have, and finds the set-up in the first.
    fn convert(&mut self, packet: &mut OutputPacket) -> Result<(), MuxError> {
        let key = packet.chunk.kind == ChunkKind::Key;
        match self.codec {
            Codec::Video(codec @ (VideoCodec::Avc(_) | VideoCodec::Hevc(_))) => {
                if packet.description.is_some() {
                    // From here on with lengths, whatever came before.
                    self.nal = NalStream::new(&codec, packet.description.as_ref())?;
                }
                if let Some(nal) = &mut self.nal {
                    let before = nal.description().cloned();
                    packet.chunk.data = match key {
                        true => nal.convert_key(&packet.chunk.data)?,
                        false => nal.convert(&packet.chunk.data)?,
                    };
                    let found = nal.description().cloned();
                    // Other sets have another sample entry, wherever they stood.
                    if before.is_some() && found != before {
                        packet.description.clone_from(&found);
                    }
                    self.first_entry(found, None)?;
                }
            }
            Codec::Video(VideoCodec::Av1(_)) => {
                // AV1 in ISOBMFF, 2.4: samples should have no temporal delimiter.
                if let Some(rest) = packet.chunk.data.strip_prefix(&[0x12, 0])
                    && !rest.is_empty()
                {
                    packet.chunk.data = packet.chunk.data.slice_ref(rest);
                }
                let data = &packet.chunk.data[..];
                if self.entries.is_empty() {
                    self.first_entry(None, key.then_some(data))?;
                }
                // AV1 in ISOBMFF, 2.2.2: samples with another sequence header have another sample entry.
                if let Some(header) = key.then(|| av1::sequence_header(data)).flatten()
                    && let Some(before) = self.sequence.replace(header.clone())
                    && before != header
                {
                    packet.description = Some(av1_config(&self.output, data)?.into());
                }
            }
            Codec::Audio(AudioCodec::Aac(_)) if self.in_adts => match packet.description.take() {
                None => self.strip_adts(packet)?,
                Some(config) => packet.description = self.leave_adts(config)?,
            },
            _ => {}
        }
        if let Some(frame) = self.pcm_frame
            && !packet.chunk.data.len().is_multiple_of(frame)
        {
            return Err(invalid(format!(
                "expected frames of {frame} bytes, found a packet of {} bytes",
                packet.chunk.data.len()
            )));
        }
        Ok(())
    }

    fn first_entry(
        &mut self,
        description: Option<Bytes>,
        key_chunk: Option<&[u8]>,
    ) -> Result<(), MuxError> {
        if self.entries.is_empty() {
            let entry = Entry::new(&self.codec, &self.output, description, key_chunk)?;
            self.entries.push(entry);
        }
        Ok(())
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
        if self.entries.is_empty() {
            if header.channels == 0 {
                return Err(MuxError::Unsupported(
                    "ADTS whose channels a program_config_element tells".into(),
                ));
            }
            let config = Bytes::copy_from_slice(&aac::specific_config(&header));
            self.timing = aac_frames(&config).map_or(Timing::Unknown, Timing::Constant);
            self.first_entry(Some(config), None)?;
        }
        packet.chunk.data = packet.chunk.data.slice(header.size()..);
        Ok(())
    }

    /// From here on without headers, whatever came before. The AudioSpecificConfig, unless it says what the headers did.
    fn leave_adts(&mut self, config: Bytes) -> Result<Option<Bytes>, MuxError> {
        self.in_adts = false;
        if self.entries.is_empty() {
            self.timing = aac_frames(&config).map_or(Timing::Unknown, Timing::Constant);
            self.first_entry(Some(config), None)?;
            return Ok(None);
        }
        let frames = |config: &Bytes| AdtsFrames::new(config).ok();
        let told = self.entries.first().and_then(Entry::description);
        let goes_on = frames(&config).is_some() && told.and_then(frames) == frames(&config);
        Ok((!goes_on).then_some(config))
    }

    /// What a packet is as a sample.
    pub(super) fn sample(&mut self, timed: Timed) -> Result<Sample, MuxError> {
        let Timed {
            packet,
            decode_time,
        } = timed;
        let mut chunk = packet.chunk;
        if let Some(description) = packet.description {
            let codec = self.codec;
            self.change(Entry::new(&codec, &self.output, Some(description), None)?)?;
        }
        if chunk.kind == ChunkKind::Key {
            self.follow_vp9(&chunk.data)?;
        }
        if self.entries.len() > 1
            && chunk.kind == ChunkKind::Key
            && let Some(entry) = self.entries.get(self.entry_index())
            && let Some((length_size, sets)) = &entry.in_band
        {
            // Many readers take the first entry for all samples: decoders then find the sets here.
            let hevc = matches!(self.codec, Codec::Video(VideoCodec::Hevc(_)));
            let delimiter = nal::leading_delimiter(hevc, *length_size, &chunk.data);
            if let Some((delimiter, rest)) = chunk.data.split_at_checked(delimiter) {
                chunk.data = [delimiter, &sets[..], rest].concat().into();
            }
        }
        let side = chunk.side.as_deref();
        let duration = self.duration(&chunk.data, chunk.duration, decode_time);
        self.last_decode = Some(decode_time);
        let dropped = side.map_or(0, |side| side.discard_end.as_nanos());
        let heard_nanos = (dropped > 0).then(|| {
            // Some containers count what is dropped in the duration, others do not: what is coded counts.
            let coded = self.coded(&chunk.data);
            let whole = coded.unwrap_or(0).max(u128::from(duration) * 1000);
            whole.saturating_sub(dropped)
        });
        let frames = self
            .pcm_frame
            .map_or(1, |frame| chunk.data.len() / frame.max(1));
        Ok(Sample {
            time: table::Entry {
                decode: decode_time,
                present: chunk.timestamp,
                duration: i64::try_from(duration).unwrap_or(0),
                frames: u32::try_from(frames).unwrap_or(u32::MAX),
            },
            key: chunk.kind == ChunkKind::Key || self.pcm_frame.is_some(),
            entry: self.entry_index(),
            heard_nanos,
            data: chunk.data,
        })
    }

    /// Whether samples of entry `index` can be read as those of the first: pictures that have their set-up with them.
    pub(super) fn reads_as_first(&self, index: usize) -> bool {
        let length_size = |index: usize| {
            let in_band = self.entries.get(index)?.in_band.as_ref();
            Some(in_band.map(|(length_size, _)| *length_size))
        };
        matches!(self.codec, Codec::Video(_)) && length_size(index) == length_size(0)
    }

    fn entry_index(&self) -> usize {
        self.entries
            .iter()
            .position(|entry| entry.current)
            .unwrap_or(0)
    }

    /// VP9 has no description: where a key frame has another profile, bit depth or chroma, it gets a sample entry that says so.
    fn follow_vp9(&mut self, key_frame: &[u8]) -> Result<(), MuxError> {
        let Some(before) = self.vp9 else {
            return Ok(());
        };
        let Some(now) = vp9::of_key_frame(&before, key_frame).filter(|now| *now != before) else {
            return Ok(());
        };
        self.vp9 = Some(now);
        let codec = Codec::Video(VideoCodec::Vp9(now));
        let entry = Entry::new(&codec, &self.output, None, None)?;
        if self.last_decode.is_none() {
            // The first frame knows better than the codec string.
            self.entries.clear();
        }
        self.change(entry)
    }

    /// Goes over to another set-up, which gets a sample entry of its own.
    fn change(&mut self, entry: Entry) -> Result<(), MuxError> {
        self.entries.iter_mut().for_each(|old| old.current = false);
        if let Some(same) = self.entries.iter_mut().find(|old| old.same(&entry)) {
            same.current = true;
        } else if self.entries.len() >= MAX_ENTRIES {
            return Err(MuxError::Limit(format!(
                "more than {MAX_ENTRIES} descriptions in one track"
            )));
        } else {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// How long a packet lasts, in microseconds: as it says, as its codec does, or as the one before. Not 0, or the last one
    /// would never be shown.
    fn duration(&self, data: &[u8], said: Option<u64>, decode_time: i64) -> u64 {
        let coded = || {
            let Frames { count, rate } = self.timing.frames(data, data.len() as u64)?;
            Some((count * 1_000_000 + u64::from(rate) / 2) / u64::from(rate.max(1)))
        };
        let framerate = || match self.output.kind {
            OutputKind::Video {
                framerate: Some(rate),
                ..
            } if rate > 0.01 => Some((1e6 / rate) as u64),
            _ => None,
        };
        let before = || {
            let gap = decode_time.checked_sub(self.last_decode?)?;
            u64::try_from(gap).ok().filter(|&gap| gap > 0)
        };
        said.filter(|&duration| duration > 0)
            .or_else(coded)
            .or_else(framerate)
            .or_else(before)
            .unwrap_or(FRAME_MICROS)
    }
}

fn parse_codec(output: &OutputTrack) -> Result<Codec, MuxError> {
    let unsupported =
        |what: &dyn std::fmt::Display| MuxError::Unsupported(format!("{what} in MP4"));
    match output.kind {
        OutputKind::Video { alpha, .. } => {
            let codec = VideoCodec::parse(&output.codec).map_err(|error| unsupported(&error))?;
            if alpha {
                return Err(MuxError::Unsupported(
                    "MP4 has no place for alpha beside the picture".into(),
                ));
            }
            Ok(Codec::Video(codec))
        }
        OutputKind::Audio { .. } => {
            match AudioCodec::parse(&output.codec).map_err(|error| unsupported(&error))? {
                AudioCodec::Vorbis => Err(unsupported(&"Vorbis")),
                codec => Ok(Codec::Audio(codec)),
            }
        }
    }
}

fn check_size(size: Size) -> Result<(), MuxError> {
    let side = 1..=u32::from(u16::MAX);
    if side.contains(&size.width) && side.contains(&size.height) {
        return Ok(());
    }
    Err(invalid(format!(
        "expected a coded size of 1 to 65535 pixels a side, found {}x{}",
        size.width, size.height
    )))
}

/// Refuses what the demuxer could not read as an AudioSpecificConfig.
pub(super) fn check_audio_config(config: &Bytes) -> Result<(), MuxError> {
    let reader = Reader::new(FourCc(*b"esds"), config.clone(), 0);
    esds::audio_specific_config(reader)
        .map(|_| ())
        .map_err(|error| invalid(format!("the description of AAC: {error}")))
}
