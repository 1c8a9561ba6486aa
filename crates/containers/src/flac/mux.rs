//! Writes native FLAC (RFC 9639): one track. Times have no place there, frames follow one another.
//!
//! An encoder that is flushed numbers its frames anew, and may end with a short one: what comes from an encoder is written with
//! numbers of samples, counted here. What comes from a whole file keeps its frames as they are.
//!
//! How many samples there are, and how large frames are, is known at the end: STREAMINFO says it where the sink can seek.

use bytes::Bytes;
use reelcore_media::AudioCodec;
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};

use super::header::{self, STREAM_INFO, StreamInfo};
use crate::audio::crc;
use crate::mux::invalid;
use crate::mux::single::Single;
use crate::mux::xiph;

/// Where STREAMINFO begins: after "fLaC" and the header of its block.
const INFO_AT: u64 = 8;

/// Writes FLAC.
#[derive(Debug)]
pub struct FlacMuxer {
    options: MuxOptions,
    file: Single<Track>,
}

#[derive(Debug)]
struct Track {
    /// As the description has it.
    bytes: [u8; STREAM_INFO],
    info: StreamInfo,
    /// The first sample of the first frame, and where the next frame has to begin.
    span: Option<(u64, u64)>,
    /// Bytes of the smallest and the largest frame.
    sizes: Option<(usize, usize)>,
    /// Whether frames are numbered here, by samples. A file has but one way to number (RFC 9639, section 9.1.5), so that this
    /// is so from the start.
    numbers: bool,
    /// Samples of the last frame, and of the smallest before it.
    blocks: (Option<u32>, Option<u32>),
}

impl Track {
    fn new(output: &OutputTrack) -> Result<Self, MuxError> {
        let flac = AudioCodec::parse(&output.codec) == Ok(AudioCodec::Flac);
        if !flac || !matches!(output.kind, OutputKind::Audio { .. }) {
            return Err(MuxError::Unsupported(format!(
                "{} in FLAC, other than FLAC",
                output.codec
            )));
        }
        let found = info(output.description.as_ref()).ok_or_else(|| {
            let found = output.description.as_ref().map_or(0, Bytes::len);
            invalid(format!(
                "expected \"fLaC\" and STREAMINFO as description of FLAC, found {found} bytes"
            ))
        })?;
        Ok(Self {
            bytes: found.0,
            info: found.1,
            span: None,
            sizes: None,
            // Encoders do not know how many samples will come, files do.
            numbers: found.1.samples.is_none(),
            blocks: (None, None),
        })
    }

    /// Checks that a packet is the frame that follows, and counts it. The frame as it is written.
    fn count(&mut self, packet: &OutputPacket) -> Result<Bytes, MuxError> {
        let (data, at) = (&packet.chunk.data, packet.chunk.timestamp);
        // Over a frame with its footer the checksum is 0.
        let whole = header::parse(data, &self.info).filter(|_| crc::flac16(0, data) == 0);
        let Some(frame) = whole else {
            return Err(invalid(format!(
                "expected a whole frame of FLAC as STREAMINFO describes it, found other data of {} bytes at {at} us",
                data.len()
            )));
        };
        let begin = if self.numbers { 0 } else { frame.sample };
        let (first, next) = self.span.unwrap_or((begin, begin));
        let data = if self.numbers {
            // A copy, as the number takes more or fewer bytes.
            header::renumbered(data, next)
                .ok_or_else(|| MuxError::Limit("2^36 samples of FLAC or more".into()))?
                .into()
        } else {
            data.clone()
        };
        if !self.numbers && frame.sample != next {
            return Err(MuxError::Unsupported(format!(
                "FLAC whose frames do not follow one another: expected sample {next}, found {} at {at} us",
                frame.sample
            )));
        }
        self.span = Some((first, next.saturating_add(u64::from(frame.samples))));
        let (least, most) = self.sizes.unwrap_or((data.len(), data.len()));
        self.sizes = Some((least.min(data.len()), most.max(data.len())));
        let (last, smallest) = self.blocks;
        self.blocks = (Some(frame.samples), smallest.into_iter().chain(last).min());
        Ok(data)
    }

    /// STREAMINFO (section 8.2). Without `known`, what is known at the end is left open.
    fn stream_info(&self, known: bool) -> [u8; STREAM_INFO] {
        let mut bytes = self.bytes;
        let (least, most) = self.sizes.filter(|_| known).unwrap_or((0, 0));
        let samples = self
            .span
            .filter(|_| known)
            .map_or(0, |(first, next)| next - first);
        if self.numbers && self.span.is_some() {
            // The smallest block but for the last: at least 16 samples, which also holds for what is not known.
            let (last, smallest) = self.blocks;
            let least = smallest.or(last).filter(|_| known).unwrap_or(0);
            let least = u16::try_from(least).unwrap_or(u16::MAX);
            let least = least.max(16).min(self.info.max_block);
            bytes[..2].copy_from_slice(&least.to_be_bytes());
        }
        // 24 bits, and 0 where it is not known.
        let size = |size: usize| u32::try_from(size).ok().filter(|size| size >> 24 == 0);
        let fields = [size(least).unwrap_or(0), size(most).unwrap_or(0)];
        for (field, at) in fields.iter().zip([4, 7]) {
            if let (Some(place), [_, rest @ ..]) = (bytes.get_mut(at..at + 3), field.to_be_bytes())
            {
                place.copy_from_slice(&rest);
            }
        }
        // 36 bits behind the four of the sample size.
        let samples = if samples >> 36 == 0 { samples } else { 0 };
        bytes[13] = bytes[13] & 0xf0 | (samples >> 32) as u8;
        bytes[14..18].copy_from_slice(&(samples as u32).to_be_bytes());
        // The checksum of all samples holds only where these are all.
        if self.info.samples != Some(samples).filter(|&samples| samples > 0) {
            bytes[18..].fill(0);
        }
        bytes
    }
}

/// STREAMINFO of a description.
fn info(description: Option<&Bytes>) -> Option<([u8; STREAM_INFO], StreamInfo)> {
    let blocks = description?.strip_prefix(b"fLaC")?;
    // STREAMINFO is the first block.
    if blocks.first()? & 0x7f != 0 {
        return None;
    }
    let bytes: [u8; STREAM_INFO] = *blocks.get(4..)?.first_chunk()?;
    Some((bytes, StreamInfo::parse(&bytes)?))
}

impl FlacMuxer {
    /// A muxer without a track.
    pub fn new(options: MuxOptions) -> Self {
        Self {
            options,
            file: Single::default(),
        }
    }

    fn is_patched(&self, sink: &dyn Sink) -> bool {
        sink.is_seekable() && !self.options.live
    }
}

/// "fLaC" and the metadata blocks.
fn begin(track: &Track, tags: &[(String, String)]) -> Result<Vec<u8>, MuxError> {
    let last = if tags.is_empty() { 0x80 } else { 0 };
    let mut out = b"fLaC".to_vec();
    out.extend([last, 0, 0, STREAM_INFO as u8]);
    out.extend(track.stream_info(false));
    if !tags.is_empty() {
        let list = xiph::comments(tags);
        let size = u32::try_from(list.len())
            .ok()
            .filter(|size| size >> 24 == 0)
            .ok_or_else(|| MuxError::Limit("16 MiB of tags or more".into()))?;
        out.extend((0x84 << 24 | size).to_be_bytes());
        out.extend(list);
    }
    Ok(out)
}

impl Muxer for FlacMuxer {
    fn container(&self) -> &'static str {
        "flac"
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
        let result = (|| {
            let changed = info(packet.description.as_ref()).map(|(_, info)| info);
            if packet.description.is_some()
                && changed.is_none_or(|new| {
                    let old = track.info;
                    (new.rate, new.channels, new.bits, new.max_block)
                        != (old.rate, old.channels, old.bits, old.max_block)
                })
            {
                return Err(MuxError::Unsupported(
                    "another description in the middle of a FLAC file".into(),
                ));
            }
            let frame = track.count(&packet)?;
            if first {
                sink.write(begin(track, &self.options.tags)?.into())?;
            }
            Ok(sink.write(frame)?)
        })();
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
        let patched = self.is_patched(sink);
        let (track, any) = self.file.finish()?;
        if !any {
            // Without sound it is a FLAC file all the same.
            sink.write(begin(track, &self.options.tags)?.into())?;
        } else if patched {
            sink.patch(INFO_AT, &track.stream_info(true))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_samples_beyond_32_bits_is_whole() {
        // Stereo of 16 bits at 48 kHz: rate, channels, bits and 36 bits for the count of samples, of which none is known.
        let packed: u64 = 48_000 << 44 | 1 << 41 | 15 << 36;
        let mut bytes = [0; STREAM_INFO];
        bytes[..4].copy_from_slice(&[0x10, 0, 0x10, 0]);
        bytes[10..18].copy_from_slice(&packed.to_be_bytes());
        let description = [&b"fLaC\x80\0\0\x22"[..], &bytes].concat();
        let (_, stream) = info(Some(&description.into())).expect("STREAMINFO");
        for (samples, want) in [
            (0x0000_1000, Some(0x0000_1000)),
            (0x1_0000_0000, Some(0x1_0000_0000)),
            (0xf_edcb_a987, Some(0xf_edcb_a987)),
            // Of more the field says that nothing is known.
            (0x10_0000_0001, None),
        ] {
            let track = Track {
                bytes,
                info: stream,
                span: Some((0, samples)),
                sizes: Some((100, 200)),
                numbers: true,
                blocks: (Some(4096), None),
            };
            let read = StreamInfo::parse(&track.stream_info(true)).expect("STREAMINFO");
            assert_eq!(read.samples, want);
            assert_eq!((read.rate, read.channels, read.bits), (48_000, 2, 16));
            let open = StreamInfo::parse(&track.stream_info(false)).expect("STREAMINFO");
            assert_eq!(open.samples, None, "before the end");
        }
    }
}
