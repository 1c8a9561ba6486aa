//! Writes MP3: frames of layer III one after another. Times have no place there.
//!
//! Where the sink can seek, the first frame holds no sound but the tag of Xing and LAME: how many frames there are, where
//! each hundredth of them begins, and what a decoder gives before and after the sound.
//! <http://gabriel.mp3-tech.org/mp3infotag.html>

use reelcore_media::AudioCodec;
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};

use super::DECODER_DELAY;
use super::header::{HEADER, Header, Layer};
use crate::audio::{crc, id3};
use crate::mux::invalid;
use crate::mux::single::Single;

/// Bytes of the tag: "Xing", flags, counts of frames and of bytes, 100 places, and LAME's part.
const TAG: usize = 4 + 4 + 4 + 4 + 100 + LAME;

/// Bytes of LAME's part.
const LAME: usize = 36;

/// Of LAME's part, the first readers know; the rest of the name says who it was.
const WRITER: &[u8; 9] = b"LAMEReelc";

/// Places that are kept of where frames begin; every other is dropped when there are more.
const MAX_PLACES: usize = 4096;

/// Writes MP3.
#[derive(Debug)]
pub struct Mp3Muxer {
    options: MuxOptions,
    file: Single<Track>,
}

#[derive(Debug, Default)]
struct Track {
    first: Option<Header>,
    /// The frame that holds the tag, and where it is.
    tag: Option<(Vec<u8>, u64)>,
    frames: u64,
    /// Of the frames.
    bytes: u64,
    checksum: u16,
    /// Where every `each`th frame begins, counted from the first.
    places: Vec<u64>,
    each: u64,
    /// Whether bit rates differ.
    varies: bool,
    /// Samples to drop at the start, as long as nothing was heard, and at the end.
    before: u64,
    heard: bool,
    after: u64,
    /// Whether packets say what to drop.
    said: bool,
}

impl Track {
    fn new(output: &OutputTrack) -> Result<Self, MuxError> {
        let mp3 = AudioCodec::parse(&output.codec) == Ok(AudioCodec::Mp3);
        if !mp3 || !matches!(output.kind, OutputKind::Audio { .. }) {
            return Err(MuxError::Unsupported(format!(
                "{} in MP3, other than MP3",
                output.codec
            )));
        }
        Ok(Self {
            each: 1,
            ..Self::default()
        })
    }

    fn count(&mut self, packet: &OutputPacket) -> Result<Header, MuxError> {
        let (data, at) = (&packet.chunk.data, packet.chunk.timestamp);
        let header = Header::parse(data)
            .filter(|header| header.layer == Layer::Three && header.size == Some(data.len()));
        let Some(header) = header else {
            return Err(invalid(format!(
                "expected a frame of MP3, found other data of {} bytes at {at} us",
                data.len()
            )));
        };
        let first = *self.first.get_or_insert(header);
        if !header.same_stream(&first) {
            return Err(MuxError::Unsupported(format!(
                "MP3 that changes in the stream: from {} Hz to {} Hz at {at} us",
                first.rate, header.rate
            )));
        }
        // Frames of one bit rate differ by their padding alone.
        self.varies |= first.size.is_some_and(|size| size.abs_diff(data.len()) > 1);
        let side = packet.chunk.side.as_deref();
        let samples = |time: std::time::Duration| {
            let samples = (time.as_nanos() * u128::from(header.rate) + 500_000_000) / 1_000_000_000;
            u64::try_from(samples)
                .unwrap_or(u64::MAX)
                .min(u64::from(header.samples))
        };
        let start = side.map_or(0, |side| samples(side.discard_start));
        let end = side.map_or(0, |side| samples(side.discard_end));
        self.said |= start + end > 0;
        if !self.heard {
            self.before = self.before.saturating_add(start);
            self.heard = start < u64::from(header.samples);
        }
        self.after = match end {
            0 => 0,
            end if end == u64::from(header.samples) => self.after.saturating_add(end),
            end => end,
        };
        if self.frames.is_multiple_of(self.each) {
            if self.places.len() >= MAX_PLACES {
                let mut kept = 0_u32;
                self.places.retain(|_| {
                    kept = kept.wrapping_add(1);
                    kept % 2 == 1
                });
                self.each = self.each.saturating_mul(2);
            }
            if self.frames.is_multiple_of(self.each) {
                self.places.push(self.bytes);
            }
        }
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        self.checksum = crc::arc16(self.checksum, data);
        Ok(header)
    }

    /// The frame with the tag.
    fn tag(&self, frame: &[u8], header: &Header) -> Vec<u8> {
        let mut out = frame.to_vec();
        let at = HEADER + header.side_info();
        let mut tag = Vec::with_capacity(TAG);
        tag.extend(if self.varies { b"Xing" } else { b"Info" });
        // Frames, bytes, places.
        tag.extend(7_u32.to_be_bytes());
        let short = |count: u64| u32::try_from(count).unwrap_or(0).to_be_bytes();
        let whole = self.bytes.saturating_add(frame.len() as u64);
        tag.extend(short(self.frames));
        tag.extend(short(whole));
        tag.extend((0..100).map(|percent| self.place(percent, frame.len() as u64)));
        if self.said {
            // What readers take for the delay of the encoder lacks that of the decoder.
            let delay = self.before.saturating_sub(DECODER_DELAY).min(0xfff) as u32;
            let padding = self.after.saturating_add(DECODER_DELAY).min(0xfff) as u32;
            tag.extend(WRITER);
            // Of method, lowpass, replay gain and flags nothing is known.
            tag.extend([0; 12]);
            let [_, delays @ ..] = (delay << 12 | padding).to_be_bytes();
            tag.extend(delays);
            tag.extend([0; 4]);
            tag.extend(short(whole));
            tag.extend(self.checksum.to_be_bytes());
        }
        if let Some(place) = out.get_mut(at..at + tag.len()) {
            place.copy_from_slice(&tag);
        }
        if self.said {
            let end = at + tag.len();
            let checksum = crc::arc16(0, out.get(..end).unwrap_or_default());
            if let Some(place) = out.get_mut(end..end + 2) {
                place.copy_from_slice(&checksum.to_be_bytes());
            }
        }
        out
    }

    /// Where that hundredth of the sound begins, in 256ths of the bytes.
    fn place(&self, percent: u64, before: u64) -> u8 {
        let frame = self.frames * percent / 100;
        let index = usize::try_from(frame / self.each).unwrap_or(usize::MAX);
        let byte = self.places.get(index).copied().unwrap_or(0) + before;
        let whole = u128::from(self.bytes + before).max(1);
        u8::try_from(u128::from(byte) * 256 / whole).unwrap_or(u8::MAX)
    }
}

/// A frame without sound, like `first`, of the lowest bit rate at which the tag fits.
fn silent_frame(first: &[u8], header: &Header) -> Option<Vec<u8>> {
    let &[a, b, c, d] = first.first_chunk::<HEADER>()?;
    (1..15_u8).find_map(|rate| {
        // Without a checksum or padding.
        let head = [a, b | 1, rate << 4 | c & 0x0d, d];
        let size = Header::parse(&head)?.size?;
        (size >= HEADER + header.side_info() + TAG).then(|| {
            let mut frame = head.to_vec();
            frame.resize(size, 0);
            frame
        })
    })
}

impl Mp3Muxer {
    /// A muxer without a track.
    pub fn new(options: MuxOptions) -> Self {
        Self {
            options,
            file: Single::default(),
        }
    }
}

/// Writes what stands before the first frame of sound.
fn begin(
    track: &mut Track,
    header: &Header,
    packet: &OutputPacket,
    options: &MuxOptions,
    sink: &mut dyn Sink,
) -> Result<(), MuxError> {
    let tags = id3::write(&options.tags);
    if tags.is_none() && !options.tags.is_empty() {
        return Err(MuxError::Limit("256 MiB of tags or more".into()));
    }
    let at = tags.as_ref().map_or(0, |tags| tags.len() as u64);
    if let Some(tags) = tags {
        sink.write(tags.into())?;
    }
    if sink.is_seekable()
        && !options.live
        && let Some(frame) = silent_frame(&packet.chunk.data, header)
    {
        let tag = track.tag(&frame, header);
        sink.write(tag.into())?;
        track.tag = Some((frame, at));
    }
    Ok(())
}

impl Muxer for Mp3Muxer {
    fn container(&self) -> &'static str {
        "mp3"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        self.file.add(|| Track::new(&track))
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        let (track, first) = self.file.packet(index)?;
        let result = track.count(&packet).and_then(|header| {
            if first {
                begin(track, &header, &packet, &self.options, sink)?;
            }
            Ok(sink.write(packet.chunk.data)?)
        });
        match &result {
            Ok(()) => self.file.written(),
            Err(_) => self.file.fail(),
        }
        result
    }

    fn end_track(&mut self, index: usize, _: &mut dyn Sink) -> Result<(), MuxError> {
        self.file.end(index)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let (track, _) = self.file.finish()?;
        if let (Some((frame, at)), Some(header)) = (&track.tag, &track.first) {
            sink.patch(*at, &track.tag(frame, header))?;
        }
        Ok(())
    }
}
