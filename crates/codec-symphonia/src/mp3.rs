//! MPEG audio, Layer III (ISO/IEC 11172-3, 13818-3 and the 2.5 extension): frames, and the decoder.

use reelcore_media::audio::OutputClock;
use reelcore_media::codec::{DecoderContext, Successor};
use reelcore_media::{AudioData, EncodedChunk, MediaError};
use symphonia_bundle_mp3::MpaDecoder;
use symphonia_core::audio::GenericAudioBufferRef;
use symphonia_core::codecs::audio::AudioDecoder as _;
use symphonia_core::codecs::audio::well_known::CODEC_ID_MP3;

use crate::library::{self, Output, invalid};

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Bytes of the whole frame.
    size: usize,
    sample_rate: u32,
    channels: u8,
    /// Frames of audio.
    samples: usize,
    /// Where the side information begins, and where it ends: ISO/IEC 11172-3, 2.4.1; 13818-3, 2.4.1.
    side: usize,
    side_end: usize,
}

/// Kilobits per second, by index.
const BIT_RATES_1: [u32; 15] = [
    0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const BIT_RATES_2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

impl Header {
    fn parse(bytes: [u8; 4]) -> Result<Self, String> {
        let word = u32::from_be_bytes(bytes);
        if word >> 21 != 0x7ff {
            return Err(format!("expected the sync word of MP3, found {word:08x}"));
        }
        // 0 is MPEG-2.5, 2 MPEG-2, 3 MPEG-1: each has twice the rates of the one before it.
        let version = (word >> 19) & 3;
        if version == 1 {
            return Err("the MPEG version is the reserved value".to_string());
        }
        if (word >> 17) & 3 != 1 {
            return Err(format!(
                "expected Layer III, found layer code {}",
                (word >> 17) & 3
            ));
        }
        let rate = match (word >> 10) & 3 {
            0 => 44_100,
            1 => 48_000,
            2 => 32_000,
            _ => return Err("the sampling rate is the reserved value".to_string()),
        };
        let sample_rate = match version {
            3 => rate,
            2 => rate / 2,
            _ => rate / 4,
        };
        let (rates, slots) = if version == 3 {
            (&BIT_RATES_1, 144)
        } else {
            (&BIT_RATES_2, 72)
        };
        let bit_rate = match rates.get(((word >> 12) & 15) as usize) {
            Some(0) => return Err("free format is not supported".to_string()),
            Some(&kilobits) => kilobits * 1000,
            None => return Err("the bit rate is the reserved value".to_string()),
        };
        let mono = (word >> 6) & 3 == 3;
        let checksum = (word >> 16) & 1 == 0;
        let side = if checksum { 6 } else { 4 };
        let side_bytes = match (version == 3, mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        Ok(Self {
            size: (slots * bit_rate / sample_rate + ((word >> 9) & 1)) as usize,
            sample_rate,
            channels: if mono { 1 } else { 2 },
            samples: if version == 3 { 1152 } else { 576 },
            side,
            side_end: side + side_bytes,
        })
    }

    /// Of a chunk that is one frame.
    fn of_frame(chunk: &EncodedChunk) -> Option<Self> {
        let header = Self::parse(*chunk.data.first_chunk()?).ok()?;
        (header.size == chunk.data.len() && header.side_end <= header.size).then_some(header)
    }

    /// `main_data_begin`: so many bytes of the main data of frames before are this frame's.
    fn main_data_begin(&self, frame: &[u8]) -> Option<usize> {
        let bits = if self.samples == 1152 { 9 } else { 8 };
        let [first, second] = *frame.get(self.side..)?.first_chunk()?;
        Some(usize::from(
            u16::from_be_bytes([first, second]) >> (16 - bits),
        ))
    }

    fn has_format_of(&self, other: &Self) -> bool {
        (self.sample_rate, self.channels) == (other.sample_rate, other.channels)
    }
}

/// So many frames are looked at for the main data of those that have to be whole.
const MAX_PREROLL: usize = 16;

/// Frames at the end of the preroll that have to be whole: two granules, and a frame of MPEG-2 has one. A granule's transform
/// overlaps the next one's, and the filter bank remembers 15 of its 18 slots: ISO/IEC 11172-3, 2.4.3.4.
const WHOLE: usize = 2;

pub struct Decoder {
    /// None before the first frame, and after a change of rate or channels.
    library: Option<(MpaDecoder, u32, u8)>,
    output: Output,
}

impl Decoder {
    pub fn new(context: &DecoderContext) -> Self {
        Self {
            library: None,
            output: Output::new(context),
        }
    }

    /// Whether it decodes frames of `header`'s rate and channels by now.
    fn is_for(&self, header: &Header) -> bool {
        self.library.as_ref().is_some_and(|&(_, rate, channels)| {
            (rate, channels) == (header.sample_rate, header.channels)
        })
    }

    /// The decoder for frames of `header`'s rate and channels: Symphonia's has one of each for its life.
    fn library(&mut self, header: &Header) -> Result<&mut MpaDecoder, String> {
        let same = self.is_for(header);
        let library = match self.library.take().filter(|_| same) {
            Some(library) => library,
            None => {
                let parameters = library::parameters(CODEC_ID_MP3, None);
                let library =
                    library::guarded(|| MpaDecoder::try_new(&parameters, &library::options()))?;
                (library, header.sample_rate, header.channels)
            }
        };
        Ok(&mut self.library.insert(library).0)
    }
}

impl reelcore_media::AudioDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let mut rest = &chunk.data[..];
        if rest.is_empty() {
            return Err(invalid(chunk, "no MP3 frame"));
        }
        let mut clock = OutputClock::new(chunk.timestamp);
        self.output.begin();
        while !rest.is_empty() {
            let at = chunk.data.len() - rest.len();
            let header = rest
                .first_chunk()
                .ok_or_else(|| "no room for a frame header".to_string())
                .and_then(|bytes| Header::parse(*bytes))
                .map_err(|error| invalid(chunk, format_args!("{error} at byte {at}")))?;
            let Some((frame, after)) = rest.split_at_checked(header.size) else {
                return Err(invalid(
                    chunk,
                    format_args!(
                        "expected a frame of {} bytes at byte {at}, found {}",
                        header.size,
                        rest.len()
                    ),
                ));
            };
            rest = after;
            self.output.check(
                header.samples,
                usize::from(header.channels),
                size_of::<f32>(),
            )?;
            let output = self.output.clone();
            let library = self
                .library(&header)
                .map_err(|error| invalid(chunk, error))?;
            let timestamp = clock.now();
            let audio = library::decode(library, chunk, frame, |buffer| match buffer {
                GenericAudioBufferRef::F32(buffer) => {
                    output.planar(buffer, header.sample_rate, timestamp)
                }
                _ => Err(MediaError::backend("Symphonia's MP3 gave no floats")),
            })??;
            if let Some(audio) = audio {
                clock.advance(audio.frames, audio.sample_rate);
                self.output.gave(&audio);
                sink(audio);
            }
        }
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        Ok(())
    }

    fn reset(&mut self) {
        if let Some((library, ..)) = &mut self.library {
            library.reset();
        }
    }

    fn preroll(&self, before: &[EncodedChunk]) -> Option<usize> {
        let last = Header::of_frame(before.last()?)?;
        // Bytes of main data in the frames looked at, and those that the last ones need.
        let (mut there, mut needed) = (0, 0);
        for (back, chunk) in before.iter().rev().take(MAX_PREROLL).enumerate() {
            let header = Header::of_frame(chunk).filter(|header| header.has_format_of(&last))?;
            there += header.size - header.side_end;
            if back < WHOLE {
                needed = needed.max(there + header.main_data_begin(&chunk.data)?);
            }
            if back + 1 >= WHOLE && there >= needed {
                return Some(back + 1);
            }
        }
        None
    }

    fn prime(&mut self, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        self.reset();
        preroll
            .iter()
            .try_for_each(|chunk| self.decode(chunk, &mut drop))
    }

    fn is_seamless(&self, chunk: &EncodedChunk) -> bool {
        // Another format would be the end of what the decoder remembers, as for the first one; that one sees to it.
        Header::of_frame(chunk).is_some_and(|header| self.is_for(&header))
    }

    fn catch_up(&mut self, _chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        Ok(Successor::Second)
    }
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn sizes_of_frames_are_those_of_the_standard() {
        let parse = |word: u32| Header::parse(word.to_be_bytes());
        let header = |size, sample_rate, channels, samples, side_bytes: usize| {
            Ok(Header {
                size,
                sample_rate,
                channels,
                samples,
                side: 4,
                side_end: 4 + side_bytes,
            })
        };
        assert_eq!(parse(0xfffb_9064), header(417, 44_100, 2, 1152, 32));
        assert_eq!(parse(0xfffb_9264), header(418, 44_100, 2, 1152, 32));
        assert_eq!(parse(0xfff3_88c4), header(288, 16_000, 1, 576, 9));
        assert_eq!(parse(0xffe3_18c4), header(72, 8000, 1, 576, 9));
        for (word, reason) in [
            (0xfffd_9064, "Layer III"),
            (0xfffb_0064, "free format"),
            (0xfffb_f064, "bit rate"),
            (0xfffb_9c64, "sampling rate"),
            (0xffeb_9064, "version"),
            (0x00fb_9064, "sync"),
        ] {
            assert!(parse(word).unwrap_err().contains(reason), "{word:08x}");
        }
    }
}
