//! Writes WAV: one track of uncompressed sound, A-law or mu-law.
//!
//! Beyond 4 GiB the file becomes RF64 (EBU Tech 3306), for which room is kept. In sinks that cannot seek the sizes are all
//! ones, as pipes have them: the sound goes as far as the stream does. Times are not stored: packets follow one another;
//! what they say to drop is left out.

use bytes::Bytes;
use reelcore_media::AudioCodec;
use reelcore_media::codec_string::PcmFormat;
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};

use crate::mux::invalid;
use crate::mux::single::Single;

/// What the GUID of a sub-format ends with, after the tag.
const SUB_FORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// Speakers of 1 to 8 channels.
const SPEAKERS: [u32; 8] = [0x4, 0x3, 0x7, 0x33, 0x37, 0x3f, 0x70f, 0x63f];

/// Byte offset of the room for `ds64`.
const DS64: u64 = 12;

/// Bytes of the chunk `ds64` without a table.
const DS64_SIZE: u32 = 28;

/// Writes WAV.
#[derive(Debug)]
pub struct WavMuxer {
    options: MuxOptions,
    file: Single<Format>,
    /// Byte offsets of the sizes of `fact`, where there is one, and of `data`.
    fact: Option<u64>,
    data: u64,
    /// Bytes of sound.
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Format {
    tag: u16,
    bits: u16,
    channels: u16,
    rate: u32,
    /// Bytes of a sample of all channels.
    block: u16,
}

impl Format {
    fn new(track: &OutputTrack) -> Result<Self, MuxError> {
        let unsupported = || {
            MuxError::Unsupported(format!(
                "{} in WAV, other than PCM, A-law and mu-law",
                track.codec
            ))
        };
        let OutputKind::Audio {
            sample_rate,
            channels,
        } = track.kind
        else {
            return Err(unsupported());
        };
        let (tag, bits) = match AudioCodec::parse(&track.codec).map_err(|_| unsupported())? {
            AudioCodec::Pcm(PcmFormat::U8) => (1, 8),
            AudioCodec::Pcm(PcmFormat::S16) => (1, 16),
            AudioCodec::Pcm(PcmFormat::S24) => (1, 24),
            AudioCodec::Pcm(PcmFormat::S32) => (1, 32),
            AudioCodec::Pcm(PcmFormat::F32) => (3, 32),
            AudioCodec::Alaw => (6, 8),
            AudioCodec::Ulaw => (7, 8),
            _ => return Err(unsupported()),
        };
        let block = channels
            .checked_mul(u32::from(bits / 8_u16))
            .and_then(|block| u16::try_from(block).ok());
        match (u16::try_from(channels), block) {
            (Ok(channels), Some(block)) if block > 0 && sample_rate > 0 => Ok(Self {
                tag,
                bits,
                channels,
                rate: sample_rate,
                block,
            }),
            _ => Err(invalid(format!(
                "expected a sample rate above 0 and channels of 1 to 65535 bytes together, found {sample_rate} Hz and {channels} channels of {bits} bits"
            ))),
        }
    }

    /// The chunk `fmt `. WAVE_FORMAT_EXTENSIBLE for more than two channels or 16 bits of PCM, as its definition asks for.
    fn write(&self, out: &mut Vec<u8>) {
        let extensible = self.channels > 2 || (self.tag == 1 && self.bits > 16);
        let size: u32 = match (extensible, self.tag) {
            (true, _) => 40,
            (false, 1) => 16,
            (false, _) => 18,
        };
        out.extend(b"fmt ");
        out.extend(size.to_le_bytes());
        let tag = if extensible { 0xfffe } else { self.tag };
        out.extend(tag.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        let byte_rate = self.rate.saturating_mul(u32::from(self.block));
        out.extend(byte_rate.to_le_bytes());
        out.extend(self.block.to_le_bytes());
        out.extend(self.bits.to_le_bytes());
        if size == 18 {
            out.extend([0, 0]);
        }
        if extensible {
            out.extend(22_u16.to_le_bytes());
            out.extend(self.bits.to_le_bytes());
            let speakers = SPEAKERS.get(usize::from(self.channels).wrapping_sub(1));
            out.extend(speakers.copied().unwrap_or(0).to_le_bytes());
            out.extend(self.tag.to_le_bytes());
            out.extend(SUB_FORMAT);
        }
    }
}

/// `LIST` of type `INFO`; nothing where no tag has a place there.
fn info(tags: &[(String, String)], out: &mut Vec<u8>) {
    let mut body = b"INFO".to_vec();
    for (name, value) in tags {
        let id: &[u8; 4] = match name.as_str() {
            "artist" => b"IART",
            "comment" => b"ICMT",
            "copyright" => b"ICOP",
            "date" => b"ICRD",
            "genre" => b"IGNR",
            "language" => b"ILNG",
            "title" => b"INAM",
            "album" => b"IPRD",
            "track" => b"IPRT",
            "encoder" => b"ISFT",
            "encoded_by" => b"ITCH",
            _ => continue,
        };
        // With the zero at its end, and another to an even size.
        let size = value.len() as u32 + 1;
        body.extend(id);
        body.extend(size.to_le_bytes());
        body.extend(value.as_bytes());
        body.resize(body.len() + 1 + (size & 1) as usize, 0);
    }
    if body.len() > 4 {
        out.extend(b"LIST");
        out.extend((body.len() as u32).to_le_bytes());
        out.append(&mut body);
    }
}

impl WavMuxer {
    /// A muxer without a track.
    pub fn new(options: MuxOptions) -> Self {
        Self {
            options,
            file: Single::default(),
            fact: None,
            data: 0,
            bytes: 0,
        }
    }

    /// Writes what stands before the sound.
    fn begin(&mut self, format: Format, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let mut out = b"RIFF\xff\xff\xff\xffWAVE".to_vec();
        if self.is_patched(sink) {
            out.extend(b"JUNK");
            out.extend(DS64_SIZE.to_le_bytes());
            out.resize(out.len() + DS64_SIZE as usize, 0);
        }
        format.write(&mut out);
        if format.tag != 1 {
            out.extend(b"fact\x04\0\0\0");
            self.fact = Some(out.len() as u64);
            out.extend(u32::MAX.to_le_bytes());
        }
        info(&self.options.tags, &mut out);
        out.extend(b"data");
        self.data = out.len() as u64;
        out.extend(u32::MAX.to_le_bytes());
        Ok(sink.write(out.into())?)
    }

    fn is_patched(&self, sink: &dyn Sink) -> bool {
        sink.is_seekable() && !self.options.live
    }
}

impl Muxer for WavMuxer {
    fn container(&self) -> &'static str {
        "wav"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        self.file.add(|| Format::new(&track))
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        let (&mut format, first) = self.file.packet(index)?;
        self.file.written();
        if first {
            self.begin(format, sink)?;
        }
        let data = &packet.chunk.data;
        let block = usize::from(format.block);
        if !data.len().is_multiple_of(block) {
            return Err(invalid(format!(
                "expected frames of {block} bytes, found a packet of {} bytes",
                data.len()
            )));
        }
        let side = packet.chunk.side.as_deref();
        let frames = |time: std::time::Duration| {
            let frames = (time.as_nanos() * u128::from(format.rate) + 500_000_000) / 1_000_000_000;
            usize::try_from(frames).unwrap_or(usize::MAX)
        };
        let before = side.map_or(0, |side| frames(side.discard_start));
        let after = side.map_or(0, |side| frames(side.discard_end));
        let all = data.len() / block;
        let start = before.min(all);
        let end = all.saturating_sub(after).max(start);
        let heard: Bytes = data.slice(start * block..end * block);
        self.bytes = self.bytes.saturating_add(heard.len() as u64);
        Ok(sink.write(heard)?)
    }

    fn end_track(&mut self, index: usize, _: &mut dyn Sink) -> Result<(), MuxError> {
        self.file.end(index)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let (&mut format, any) = self.file.finish()?;
        if !any {
            self.begin(format, sink)?;
        }
        if !self.is_patched(sink) {
            return Ok(());
        }
        if self.bytes % 2 == 1 {
            sink.write(Bytes::from_static(&[0]))?;
        }
        let riff = self.data + 4 + self.bytes + self.bytes % 2 - 8;
        let frames = self.bytes / u64::from(format.block);
        // All ones stand for a size of 64 bits.
        let short = |size: u64| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        if riff >= u64::from(u32::MAX) {
            sink.patch(0, b"RF64\xff\xff\xff\xff")?;
            let mut ds64 = b"ds64".to_vec();
            ds64.extend(DS64_SIZE.to_le_bytes());
            for size in [riff, self.bytes, frames] {
                ds64.extend(size.to_le_bytes());
            }
            ds64.extend([0; 4]);
            sink.patch(DS64, &ds64)?;
        } else {
            sink.patch(4, &short(riff))?;
            sink.patch(self.data, &short(self.bytes))?;
        }
        if let Some(fact) = self.fact {
            sink.patch(fact, &short(frames))?;
        }
        Ok(())
    }
}
