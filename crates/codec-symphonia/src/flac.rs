//! FLAC (RFC 9639): STREAMINFO, frames, and the decoder.

use reelcore_media::audio::OutputClock;
use reelcore_media::codec::{DecoderContext, Successor};
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError, SampleFormat};
use symphonia_bundle_flac::FlacDecoder;
use symphonia_core::audio::{Audio, GenericAudioBufferRef};
use symphonia_core::codecs::audio::well_known::CODEC_ID_FLAC;

use crate::library::{self, Output, invalid};

/// STREAMINFO: <https://www.rfc-editor.org/rfc/rfc9639#section-8.2>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo<'a> {
    /// The 34 bytes of the block.
    block: &'a [u8; 34],
    max_block_size: u16,
    sample_rate: u32,
    channels: u8,
    bits: u8,
}

impl<'a> StreamInfo<'a> {
    /// Reads the description:
    /// <https://www.w3.org/TR/webcodecs-flac-codec-registration/#audiodecoderconfig-description>. What follows
    /// STREAMINFO is not looked at.
    ///
    /// # Errors
    /// `Unsupported` for what is no such description, or has 32 bits a sample.
    pub fn parse(data: &'a [u8]) -> Result<Self, MediaError> {
        let bad = |what: String| MediaError::unsupported(format!("FLAC description: {what}"));
        let Some(data) = data.strip_prefix(b"fLaC") else {
            return Err(bad("it does not start with \"fLaC\"".to_string()));
        };
        let (Some(&[kind, 0, 0, 34]), Some(block)) = (
            data.first_chunk(),
            data.get(4..).and_then(|rest| rest.first_chunk::<34>()),
        ) else {
            return Err(bad(
                "expected a STREAMINFO block of 34 bytes at byte 4".to_string()
            ));
        };
        if kind & 0x7f != 0 {
            return Err(bad(format!(
                "expected STREAMINFO at byte 4, found a block of type {}",
                kind & 0x7f
            )));
        }
        let &[
            m0,
            m1,
            s0,
            s1,
            _,
            _,
            _,
            _,
            _,
            _,
            r0,
            r1,
            r2_channels_bits,
            bits,
            ..,
        ] = block;
        let info = Self {
            block,
            max_block_size: u16::from_be_bytes([s0, s1]),
            sample_rate: u32::from_be_bytes([0, r0, r1, r2_channels_bits]) >> 4,
            channels: ((r2_channels_bits >> 1) & 7) + 1,
            bits: ((r2_channels_bits & 1) << 4 | bits >> 4) + 1,
        };
        if info.bits == 32 {
            return Err(bad(BITS_32.to_string()));
        }
        if info.sample_rate == 0 || info.bits < 4 {
            return Err(bad(format!(
                "expected 4 bits or more at a rate above 0, found {} bits at {} Hz",
                info.bits, info.sample_rate
            )));
        }
        let min_block_size = u16::from_be_bytes([m0, m1]);
        if min_block_size < 16 || info.max_block_size < min_block_size {
            return Err(bad(format!(
                "blocks of {min_block_size} to {} samples",
                info.max_block_size
            )));
        }
        Ok(info)
    }
}

/// Symphonia 0.6.1 computes in 32 bits, and the difference of two channels takes 33.
const BITS_32: &str =
    "32 bits a sample are not decoded: the difference of two channels takes 33 bits";

/// What a frame header says: <https://www.rfc-editor.org/rfc/rfc9639#section-9.1>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHeader {
    /// Frames of audio.
    block_size: usize,
    /// None: that of STREAMINFO.
    sample_rate: Option<u32>,
    channels: u8,
    /// None: those of STREAMINFO.
    bits: Option<u8>,
}

impl FrameHeader {
    fn parse(data: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the FLAC frame header is cut off";
        let &[sync, blocking, sizes, format] = data.first_chunk().ok_or(SHORT)?;
        if sync != 0xff || blocking & 0xfe != 0xf8 {
            return Err("expected the sync code of a FLAC frame");
        }
        // The frame or sample number, coded as UTF-8 codes characters, up to 36 bits.
        let number_len = match data.get(4).ok_or(SHORT)?.leading_ones() {
            0 => 1,
            length @ 2..=7 => length as usize,
            _ => return Err("the number of the FLAC frame is malformed"),
        };
        let mut at = 4 + number_len;
        let explicit = |at: usize, len: usize| data.get(at..at + len).ok_or(SHORT);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, &byte| n << 8 | u32::from(byte));
        let (block_size, len) = match sizes >> 4 {
            0 => return Err("the FLAC block size is the reserved value"),
            1 => (192, 0),
            code @ 2..=5 => (144 << code, 0),
            6 => (number(explicit(at, 1)?) as usize + 1, 1),
            7 => (number(explicit(at, 2)?) as usize + 1, 2),
            code => (1 << code, 0),
        };
        at += len;
        let (sample_rate, len) = match sizes & 15 {
            0 => (None, 0),
            code @ 1..=11 => {
                const RATES: [u32; 11] = [
                    88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
                    96_000,
                ];
                (RATES.get(usize::from(code) - 1).copied(), 0)
            }
            12 => (Some(number(explicit(at, 1)?) * 1000), 1),
            code @ 13..=14 => {
                let rate = number(explicit(at, 2)?);
                (Some(rate * if code == 14 { 10 } else { 1 }), 2)
            }
            _ => return Err("the FLAC sample rate is the reserved value"),
        };
        if sample_rate == Some(0) {
            return Err("the FLAC sample rate is 0");
        }
        at += len;
        let header = data.get(..at + 1).ok_or(SHORT)?;
        if header.iter().fold(0, |crc, &byte| crc8(crc ^ byte)) != 0 {
            return Err("the checksum of the FLAC frame header is wrong");
        }
        Ok(Self {
            block_size,
            sample_rate,
            channels: match format >> 4 {
                channels @ 0..=7 => channels + 1,
                // Left and side, side and right, mid and side.
                8..=10 => 2,
                _ => return Err("the FLAC channel assignment is the reserved value"),
            },
            bits: match (format >> 1) & 7 {
                0 => None,
                1 => Some(8),
                2 => Some(12),
                4 => Some(16),
                5 => Some(20),
                6 => Some(24),
                7 => return Err(BITS_32),
                _ => return Err("the FLAC bit depth is the reserved value"),
            },
        })
    }
}

/// One byte of the CRC with polynomial x^8 + x^2 + x + 1.
fn crc8(mut crc: u8) -> u8 {
    for _ in 0..8 {
        crc = (crc << 1) ^ (0x07 * (crc >> 7));
    }
    crc
}

/// The CRC with polynomial x^16 + x^15 + x^2 + 1: of each byte, followed by none to seven bytes of zeros.
static CRC16: [[u16; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ (0x8005 * (crc >> 15));
            bit += 1;
        }
        tables[0][index] = crc;
        index += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut index = 0;
        while index < 256 {
            let crc: u16 = tables[zeros - 1][index];
            tables[zeros][index] = crc << 8 ^ tables[0][(crc >> 8) as usize];
            index += 1;
        }
        zeros += 1;
    }
    tables
};

/// Continues a CRC over `data`, eight bytes at a time.
fn crc16(mut crc: u16, data: &[u8]) -> u16 {
    let (groups, rest) = data.as_chunks::<8>();
    for group in groups {
        let [first, second] = crc.to_be_bytes();
        let mut group = *group;
        group[0] ^= first;
        group[1] ^= second;
        crc = group
            .iter()
            .zip(CRC16.iter().rev())
            .fold(0, |crc, (&byte, table)| crc ^ table[usize::from(byte)]);
    }
    for &byte in rest {
        crc = crc << 8 ^ CRC16[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// The length of the first frame: up to where the checksum that ends it is right and either nothing or another frame
/// follows. `None` where there is no such place.
fn frame_len(data: &[u8]) -> Option<usize> {
    let (mut crc, mut done) = (0, 0);
    for (at, pair) in data.windows(2).enumerate().skip(1) {
        if pair[0] == 0xff && pair[1] & 0xfe == 0xf8 && FrameHeader::parse(&data[at..]).is_ok() {
            crc = crc16(crc, &data[done..at]);
            done = at;
            if crc == 0 {
                return Some(at);
            }
        }
    }
    (!data.is_empty() && crc16(crc, &data[done..]) == 0).then_some(data.len())
}

pub struct Decoder {
    library: FlacDecoder,
    max_block_size: u16,
    sample_rate: u32,
    channels: u8,
    bits: u8,
    output: Output,
}

impl Decoder {
    /// # Errors
    /// `Unsupported` for what Symphonia cannot use, `LimitExceeded` for blocks above the cap.
    pub fn new(description: &[u8], context: &DecoderContext) -> Result<Self, MediaError> {
        let info = StreamInfo::parse(description)?;
        let output = Output::new(context);
        // Symphonia allocates for the largest block at once.
        output.check(
            usize::from(info.max_block_size),
            usize::from(info.channels),
            size_of::<i32>(),
        )?;
        let parameters = library::parameters(CODEC_ID_FLAC, Some(info.block));
        let library = library::guarded(|| FlacDecoder::try_new(&parameters, &library::options()))
            .map_err(|error| MediaError::unsupported(format!("FLAC: {error}")))?;
        Ok(Self {
            library,
            max_block_size: info.max_block_size,
            sample_rate: info.sample_rate,
            channels: info.channels,
            bits: info.bits,
            output,
        })
    }

    fn frame(
        &mut self,
        chunk: &EncodedChunk,
        frame: &[u8],
        timestamp: i64,
    ) -> Result<AudioData, MediaError> {
        let header = FrameHeader::parse(frame).map_err(|error| invalid(chunk, error))?;
        if header.channels != self.channels {
            return Err(invalid(
                chunk,
                format_args!(
                    "expected {} channels as in STREAMINFO, found {} in the FLAC frame",
                    self.channels, header.channels
                ),
            ));
        }
        // Symphonia's buffer, which the cap was asked for, has room for no more.
        if header.block_size > usize::from(self.max_block_size) {
            return Err(invalid(
                chunk,
                format_args!(
                    "expected at most {} samples as in STREAMINFO, found {} in the FLAC frame",
                    self.max_block_size, header.block_size
                ),
            ));
        }
        let rate = header.sample_rate.unwrap_or(self.sample_rate);
        let narrow = header.bits.unwrap_or(self.bits) <= 16;
        let output = &self.output;
        let sample_bytes = if narrow {
            size_of::<i16>()
        } else {
            size_of::<i32>()
        };
        // A frame of constant samples is some bytes, and a chunk may hold any number of frames.
        output.check(header.block_size, usize::from(self.channels), sample_bytes)?;
        // Symphonia gives 32 bits, the sample in the upper ones: so 24 bits stay, as WebCodecs has no format for them.
        let (frames, data) =
            library::decode(&mut self.library, chunk, frame, |buffer| match buffer {
                GenericAudioBufferRef::S32(buffer) => {
                    let data = if narrow {
                        output.interleaved(buffer, |sample| ((sample >> 16) as i16).to_ne_bytes())
                    } else {
                        output.interleaved(buffer, i32::to_ne_bytes)
                    };
                    data.map(|data| (buffer.frames(), data))
                }
                _ => Err(MediaError::backend("Symphonia's FLAC gave no integers")),
            })??;
        AudioData::new(
            if narrow {
                SampleFormat::S16
            } else {
                SampleFormat::S32
            },
            rate as f32,
            frames as u32,
            u32::from(self.channels),
            timestamp,
            data,
        )
    }
}

impl AudioDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let mut rest = &chunk.data[..];
        let mut clock = OutputClock::new(chunk.timestamp);
        self.output.begin();
        loop {
            FrameHeader::parse(rest).map_err(|error| invalid(chunk, error))?;
            let Some((frame, after)) = frame_len(rest).and_then(|len| rest.split_at_checked(len))
            else {
                return Err(invalid(chunk, "the checksum of the FLAC frame is wrong"));
            };
            rest = after;
            let audio = self.frame(chunk, frame, clock.now())?;
            clock.advance(audio.frames, audio.sample_rate);
            self.output.gave(&audio);
            sink(audio);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        Ok(())
    }

    fn reset(&mut self) {
        // No frame depends on another.
    }

    fn preroll(&self, _before: &[EncodedChunk]) -> Option<usize> {
        Some(0)
    }

    fn prime(&mut self, _preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        Ok(())
    }

    fn is_seamless(&self, _chunk: &EncodedChunk) -> bool {
        true
    }

    fn catch_up(&mut self, _chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        Ok(Successor::First)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Vec<u8> {
        let mut data = b"fLaC\x80\0\0\x22".to_vec();
        // 4096 to 4096 samples; 44,100 Hz, 2 channels, 16 bits.
        data.extend_from_slice(&[0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0]);
        data.resize(42, 0);
        data
    }

    #[test]
    fn only_a_streaminfo_block_is_a_description() {
        let good = description();
        let info = StreamInfo::parse(&good).unwrap();
        assert_eq!(
            (
                info.max_block_size,
                info.sample_rate,
                info.channels,
                info.bits
            ),
            (4096, 44_100, 2, 16)
        );
        for end in 0..good.len() {
            assert!(StreamInfo::parse(&good[..end]).is_err(), "{end} bytes");
        }
        for (at, value) in [(0, 0), (4, 1), (7, 35), (8, 0x11), (21, 0xf1), (10, 0)] {
            let mut bad = good.clone();
            bad[at] = value;
            // Byte 20 has the upper bit of the depth: 32 bits.
            bad[20] |= u8::from(at == 21);
            let error = StreamInfo::parse(&bad).expect_err("is refused");
            assert_eq!(error.message.contains("32 bits"), at == 21, "{error}");
        }
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The first frame of RFC 9639, appendix D.1: one block of one sample.
        let frame = [
            0xff, 0xf8, 0x69, 0x18, 0x00, 0x00, 0xbf, 0x03, 0x58, 0xfd, 0x03, 0x12, 0x8b, 0xaa,
            0x9a,
        ];
        assert_eq!(
            FrameHeader::parse(&frame),
            Ok(FrameHeader {
                block_size: 1,
                sample_rate: Some(44_100),
                channels: 2,
                bits: Some(16),
            })
        );
        assert_eq!(frame_len(&frame), Some(frame.len()));
        let twice = [frame, frame].concat();
        assert_eq!(frame_len(&twice), Some(frame.len()));
        for at in 0..frame.len() {
            let mut bad = frame;
            bad[at] ^= 0x10;
            assert!(
                FrameHeader::parse(&bad).is_err() || frame_len(&bad).is_none(),
                "byte {at}"
            );
            assert_eq!(frame_len(&frame[..at]), None);
        }
    }
}
