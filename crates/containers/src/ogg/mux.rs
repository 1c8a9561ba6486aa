//! Writes Ogg with Opus, Vorbis and FLAC: one logical stream for each track.
//!
//! - **Times** are counted in samples, packet by packet; where packets leave a gap, the count goes on behind it. Nothing can go
//!   back, and no time is below 0 but for what is dropped at the start.
//! - **Sound that is dropped**: at the start it is Opus's pre-skip, or for the others a count that begins below 0; at the end
//!   of a track its last page says less than its packets hold. In the middle nothing can be dropped.
//! - **Pages** hold up to half a second and 8 KiB (or one packet); in sinks that cannot seek, or live, one packet each. The last
//!   packet of a track waits for the next one or the end, which the page has to say.

use bytes::Bytes;
use reelcore_media::AudioCodec;
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};

use super::codec::{Codec, Headers};
use crate::audio::crc;
use crate::flac::header::STREAM_INFO;
use crate::mux::decode_times::DecodeTimes;
use crate::mux::invalid;
use crate::mux::lanes::Lanes;
use crate::mux::priming::Priming;
use crate::mux::{opus, xiph};

/// Tracks of a file, at most.
const MAX_TRACKS: usize = 256;

/// Bytes after which a page is full.
const PAGE_BYTES: usize = 8 << 10;

/// Segments of a page, at most.
const MAX_SEGMENTS: usize = 255;

/// Writes Ogg.
#[derive(Debug)]
pub struct OggMuxer {
    options: MuxOptions,
    tracks: Vec<OggTrack>,
    lanes: Lanes,
    /// One packet a page; decided by the first packet.
    live: Option<bool>,
    started: bool,
}

#[derive(Debug)]
struct OggTrack {
    name: String,
    description: Option<Bytes>,
    /// Opus's header, whose pre-skip is known with the first packets; none for the others.
    opus: Option<Bytes>,
    /// The headers but for the comments of Opus and FLAC.
    headers: Vec<Bytes>,
    codec: Codec,
    priming: Priming,
    stream: Stream,
    /// Samples at the end of the last packet.
    position: Option<i64>,
    /// Samples to drop at the end of the last packet.
    cut: u64,
    /// The block of Vorbis before.
    block: Option<u32>,
    /// Samples to drop that packets may still say.
    left: u64,
    /// The last packet and where it ends: the page that it is on may be the last.
    held: Option<(Bytes, i64, u64)>,
}

/// The pages of a logical stream.
#[derive(Debug)]
struct Stream {
    serial: u32,
    sequence: u32,
    /// The page that grows: its table, its pieces, the granule position of the last packet that ends there.
    lacing: Vec<u8>,
    body: Vec<Bytes>,
    granule: i64,
    /// Samples in it.
    samples: u64,
    /// Whether it begins within a packet.
    continued: bool,
}

impl Stream {
    /// Adds a packet, of which `granule` is the end. Full pages are written.
    fn packet(&mut self, data: &Bytes, granule: i64, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let mut rest = data.clone();
        loop {
            if self.lacing.len() == MAX_SEGMENTS {
                self.flush(0, sink)?;
                // What is left of a packet that began on the page before.
                self.continued = rest.len() < data.len();
            }
            let room = (MAX_SEGMENTS - self.lacing.len()) * 255;
            if rest.len() >= room {
                let part = rest.split_to(room);
                self.lacing.resize(MAX_SEGMENTS, 255);
                self.body.push(part);
                continue;
            }
            self.lacing
                .extend(std::iter::repeat_n(255, rest.len() / 255));
            self.lacing.push((rest.len() % 255) as u8);
            self.body.push(rest);
            self.granule = granule;
            return Ok(());
        }
    }

    /// Writes the page: RFC 3533, section 6.
    fn flush(&mut self, flags: u8, sink: &mut dyn Sink) -> Result<(), MuxError> {
        if self.lacing.is_empty() {
            return Ok(());
        }
        let mut head = Vec::with_capacity(27 + self.lacing.len());
        head.extend(b"OggS\0");
        let first = if self.sequence == 0 { 2 } else { 0 };
        head.push(flags | first | u8::from(self.continued));
        head.extend(self.granule.to_le_bytes());
        head.extend(self.serial.to_le_bytes());
        head.extend(self.sequence.to_le_bytes());
        head.extend([0; 4]);
        head.push(self.lacing.len() as u8);
        head.append(&mut self.lacing);
        let sum = self
            .body
            .iter()
            .fold(crc::ogg(0, &head), |sum, part| crc::ogg(sum, part));
        if let Some(field) = head.get_mut(22..26) {
            field.copy_from_slice(&sum.to_le_bytes());
        }
        sink.write(head.into())?;
        for part in self.body.drain(..) {
            sink.write(part)?;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.granule = -1;
        self.samples = 0;
        self.continued = false;
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

impl OggTrack {
    fn new(output: OutputTrack, index: usize, tags: &[(String, String)]) -> Result<Self, MuxError> {
        let unsupported = || {
            MuxError::Unsupported(format!(
                "{} in Ogg, other than Opus, Vorbis and FLAC",
                output.codec
            ))
        };
        let OutputKind::Audio {
            sample_rate,
            channels,
        } = output.kind
        else {
            return Err(unsupported());
        };
        let audio = AudioCodec::parse(&output.codec).map_err(|_| unsupported())?;
        let description = output.description.as_ref();
        let wrong = |what: &str| {
            invalid(format!(
                "expected {what} as description of {}, found {} bytes",
                output.codec,
                description.map_or(0, Bytes::len)
            ))
        };
        let mut opus_head = None;
        let packets: Vec<Bytes> = match audio {
            AudioCodec::Opus => {
                let head = opus::head(description, sample_rate, channels)?;
                opus_head = Some(head.clone());
                vec![
                    head,
                    [&b"OpusTags"[..], &xiph::comments(tags)].concat().into(),
                ]
            }
            AudioCodec::Vorbis => {
                let [ident, comment, setup] = description
                    .and_then(xiph::headers)
                    .ok_or_else(|| wrong("the three headers of Vorbis"))?;
                let comment = match tags.is_empty() {
                    true => comment,
                    // Framing bit.
                    false => [&b"\x03vorbis"[..], &xiph::comments(tags), &[1]]
                        .concat()
                        .into(),
                };
                vec![ident, comment, setup]
            }
            AudioCodec::Flac => {
                let info = description
                    .and_then(|flac| flac.strip_prefix(b"fLaC"))
                    .and_then(|blocks| blocks.get(4..4 + STREAM_INFO))
                    .ok_or_else(|| wrong("\"fLaC\" and STREAMINFO"))?;
                // https://xiph.org/flac/ogg_mapping.html: version 1.0, one header after this one.
                let first = [&b"\x7fFLAC\x01\0\0\x01fLaC\0\0\0\x22"[..], info].concat();
                let list = xiph::comments(tags);
                let size = u32::try_from(list.len())
                    .ok()
                    .filter(|size| size >> 24 == 0)
                    .ok_or_else(|| MuxError::Limit("16 MiB of tags or more".into()))?;
                let block = (0x84 << 24 | size).to_be_bytes();
                vec![first.into(), [&block[..], &list].concat().into()]
            }
            _ => return Err(unsupported()),
        };
        let mut headers = Headers::new(packets.first().cloned().unwrap_or_default());
        for packet in packets.iter().skip(1) {
            headers.add(packet.clone()).map_err(invalid)?;
        }
        if !headers.done || matches!(headers.codec, Codec::Other(_)) {
            return Err(wrong("the codec's headers"));
        }
        Ok(Self {
            name: output.codec.clone(),
            priming: Priming::new(Some(audio), opus_head.as_deref()),
            description: output.description,
            opus: opus_head,
            headers: packets,
            codec: headers.codec,
            stream: Stream {
                serial: index as u32 + 1,
                sequence: 0,
                lacing: Vec::new(),
                body: Vec::new(),
                granule: 0,
                samples: 0,
                continued: false,
            },
            position: None,
            cut: 0,
            block: None,
            left: 0,
            held: None,
        })
    }

    /// How many samples a packet of Opus or FLAC holds; of Vorbis, one that follows `block`.
    fn samples(&self, data: &[u8]) -> (u64, Option<u32>) {
        self.codec.samples(data, self.block)
    }

    /// Nanoseconds.
    fn lasts(&self, data: &[u8]) -> Option<i128> {
        // A packet of Vorbis alone does not tell, but the first gives nothing.
        let (samples, _) = match self.codec {
            Codec::Vorbis { .. } => return None,
            _ => self.samples(data),
        };
        let rate = i128::from(self.codec.rate().max(1));
        Some((i128::from(samples) * 1_000_000_000 + rate / 2) / rate)
    }

    fn check(&self, packet: &OutputPacket) -> Result<(), MuxError> {
        let at = packet.chunk.timestamp;
        if packet.chunk.data.is_empty() {
            return Err(invalid(format!("an empty packet at {at} us")));
        }
        if packet.description.is_some() && packet.description != self.description {
            return Err(MuxError::Unsupported(format!(
                "another description of {} in the middle of a track of Ogg",
                self.name
            )));
        }
        if at.unsigned_abs() > i64::MAX.unsigned_abs() / 1_000_000 {
            return Err(invalid(format!("a time of {at} us")));
        }
        Ok(())
    }

    fn in_samples(&self, nanos: u128) -> u64 {
        let samples = (nanos * u128::from(self.codec.rate()) + 500_000_000) / 1_000_000_000;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// Counts a packet, and writes the one before it.
    fn packet(
        &mut self,
        packet: OutputPacket,
        live: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        let chunk = packet.chunk;
        let side = chunk.side.as_deref().cloned().unwrap_or_default();
        let (samples, block) = self.samples(&chunk.data);
        if self.cut > 0 {
            return Err(MuxError::Unsupported(format!(
                "sound that is dropped in the middle of a track of Ogg, before {} us",
                chunk.timestamp
            )));
        }
        let rate = i128::from(self.codec.rate());
        // The place of the packet as its time says, with Opus's pre-skip counted.
        let nanos = i128::from(chunk.timestamp) * 1000 - self.priming.delay_beyond();
        let place = (nanos * rate + 500_000_000).div_euclid(1_000_000_000);
        let place = place + i128::from(self.codec_pre_skip());
        let place = i64::try_from(place).map_err(|_| invalid("a time too large"))?;
        let start = match self.position {
            None => {
                self.left = self.in_samples(u128::from(self.priming.delay()));
                match self.codec {
                    // Nothing is before the pre-skip.
                    Codec::Opus { .. } if place < 0 => {
                        return Err(invalid(format!(
                            "expected Opus from 0 us on, found {} us before",
                            -i128::from(place) * 1_000_000 / rate.max(1)
                        )));
                    }
                    Codec::Opus { .. } => place,
                    // What is dropped stands before 0.
                    _ if self.left > 0 => 0_i64.saturating_sub_unsigned(self.left),
                    _ => place,
                }
            }
            // Times are rounded: what is less than 10 ms apart is not apart.
            Some(position) if i128::from(place - position) * 100 > rate => {
                self.write_held(0, live, sink)?;
                self.stream.flush(0, sink)?;
                place
            }
            Some(position) => position,
        };
        let said = self.in_samples(side.discard_start.as_nanos()).min(samples);
        if said > self.left.saturating_add(1) {
            return Err(MuxError::Unsupported(format!(
                "sound that is dropped in the middle of a track of Ogg, at {} us",
                chunk.timestamp
            )));
        }
        self.left = self.left.saturating_sub(samples);
        self.write_held(0, live, sink)?;
        self.block = block;
        let end = start.saturating_add_unsigned(samples);
        // The first packet of Vorbis gives nothing: the count begins with the second.
        self.position = (samples > 0 || self.position.is_some()).then_some(end);
        self.cut = self.in_samples(side.discard_end.as_nanos()).min(samples);
        self.held = Some((chunk.data, end, samples));
        Ok(())
    }

    fn codec_pre_skip(&self) -> u32 {
        match self.codec {
            Codec::Opus { .. } => {
                u32::try_from(self.in_samples(u128::from(self.priming.delay()))).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Puts the packet that waits on its page.
    fn write_held(&mut self, flags: u8, live: bool, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let Some((data, end, samples)) = self.held.take() else {
            return Ok(());
        };
        let stream = &mut self.stream;
        // A page cannot end before 0: what is dropped stands with what is heard.
        let page_is_heard = stream.granule > 0;
        if page_is_heard && stream.bytes() + data.len() > PAGE_BYTES {
            stream.flush(0, sink)?;
        }
        let end = end.saturating_sub_unsigned(self.cut);
        stream.packet(&data, end, sink)?;
        stream.samples += samples;
        let long = stream.samples * 2 >= u64::from(self.codec.rate());
        if flags != 0 || (stream.granule > 0 && (live || long)) {
            stream.flush(flags, sink)?;
        }
        Ok(())
    }

    fn finish(&mut self, live: bool, sink: &mut dyn Sink) -> Result<(), MuxError> {
        const LAST: u8 = 4;
        self.write_held(LAST, live, sink)
    }
}

impl OggMuxer {
    /// A muxer without tracks.
    pub fn new(options: MuxOptions) -> Self {
        Self {
            lanes: Lanes::new(&options),
            options,
            tracks: Vec::new(),
            live: None,
            started: false,
        }
    }

    fn is_live(&mut self, sink: &dyn Sink) -> bool {
        let asked = self.options.live;
        *self
            .live
            .get_or_insert_with(|| asked || !sink.is_seekable())
    }

    fn add(&mut self, index: usize, ready: Vec<OutputPacket>) -> Result<(), MuxError> {
        for packet in ready {
            self.lanes.push(index, packet, DecodeTimes::in_order)?;
        }
        Ok(())
    }

    fn take(&mut self, index: usize, packet: OutputPacket) -> Result<(), MuxError> {
        let mut ready = Vec::new();
        if let Some(track) = self.tracks.get_mut(index) {
            track.check(&packet)?;
            let lasts = track.lasts(&packet.chunk.data);
            track.priming.push(packet, lasts, &mut ready);
        }
        self.add(index, ready)
    }

    fn end(&mut self, index: usize) -> Result<(), MuxError> {
        if self.lanes.has_ended(index) {
            return Ok(());
        }
        let mut ready = Vec::new();
        if let Some(track) = self.tracks.get_mut(index) {
            track.priming.finish(&mut ready);
        }
        self.add(index, ready)?;
        self.lanes.end(index)
    }

    /// Writes the headers: the first one of each stream on pages of their own, before all others.
    fn start(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        for track in &mut self.tracks {
            if let Some(head) = &track.opus {
                let head = track.priming.opus_head(head)?;
                if let Some(first) = track.headers.first_mut() {
                    *first = head;
                }
            }
            if let Some(first) = track.headers.first() {
                track.stream.packet(first, 0, sink)?;
                track.stream.flush(0, sink)?;
            }
        }
        for track in &mut self.tracks {
            for header in track.headers.iter().skip(1) {
                track.stream.packet(header, 0, sink)?;
            }
            track.stream.flush(0, sink)?;
        }
        Ok(())
    }

    fn pump(&mut self, live: bool, sink: &mut dyn Sink) -> Result<(), MuxError> {
        while let Some((index, timed)) = self.lanes.pop() {
            self.start(sink)?;
            if let Some(track) = self.tracks.get_mut(index) {
                track.packet(timed.packet, live, sink)?;
            }
        }
        Ok(())
    }

    fn finish_file(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let live = self.is_live(sink);
        for index in 0..self.tracks.len() {
            self.end(index)?;
        }
        self.pump(live, sink)?;
        self.start(sink)?;
        for track in &mut self.tracks {
            track.finish(live, sink)?;
        }
        Ok(())
    }
}

impl Muxer for OggMuxer {
    fn container(&self) -> &'static str {
        "ogg"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        self.lanes.may_add(MAX_TRACKS)?;
        let track = OggTrack::new(track, self.tracks.len(), &self.options.tags)?;
        self.tracks.push(track);
        Ok(self.lanes.add())
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.lanes.begin_on(index)?;
        let live = self.is_live(sink);
        let result = self
            .take(index, packet)
            .and_then(|()| self.pump(live, sink));
        self.lanes.kept(result)
    }

    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.lanes.begin_on(index)?;
        let live = self.is_live(sink);
        let result = self.end(index).and_then(|()| self.pump(live, sink));
        self.lanes.kept(result)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.lanes.begin()?;
        let result = self.finish_file(sink);
        self.lanes.kept(result)?;
        self.lanes.finished();
        Ok(())
    }
}
