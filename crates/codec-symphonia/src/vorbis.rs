//! Vorbis: the headers, and the decoder.

use lewton::audio::{AudioReadError, PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{
    HeaderReadError, IdentHeader, SetupHeader, read_header_ident, read_header_setup,
};
use reelcore_media::codec::{DecoderContext, Successor};
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError};
use symphonia_codec_vorbis::VorbisDecoder;
use symphonia_core::audio::GenericAudioBufferRef;
use symphonia_core::codecs::audio::AudioDecoder as _;
use symphonia_core::codecs::audio::well_known::CODEC_ID_VORBIS;

use crate::codebooks;
use crate::library::{self, Output, invalid};

/// What the headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    sample_rate: u32,
    channels: u8,
    /// Samples of a long block, half of which is the most that a packet gives.
    long_block: u16,
}

/// The description: <https://www.w3.org/TR/webcodecs-vorbis-codec-registration/#audiodecoderconfig-description>. The
/// byte 2; the lengths of the first two headers, each as bytes of 255 and a last one below; the three headers.
fn unlace(data: &[u8]) -> Option<[&[u8]; 3]> {
    let (&2, mut rest) = data.split_first()? else {
        return None;
    };
    let mut lengths = [0usize; 2];
    for length in &mut lengths {
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            *length += usize::from(byte);
            if byte < 255 {
                break;
            }
        }
    }
    let (identification, rest) = rest.split_at_checked(lengths[0])?;
    let (comment, setup) = rest.split_at_checked(lengths[1])?;
    Some([identification, comment, setup])
}

impl Headers {
    /// Reads the description.
    ///
    /// # Errors
    /// `Unsupported` for one that is malformed or has more than 8 channels, for which Vorbis has no order.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let bad = |what: String| MediaError::unsupported(format!("Vorbis description: {what}"));
        let headers = unlace(data).ok_or_else(|| {
            bad("expected three headers with Xiph lacing, starting with the byte 2".to_string())
        })?;
        for ((header, start), name) in headers
            .iter()
            .zip([b"\x01vorbis", b"\x03vorbis", b"\x05vorbis"])
            .zip(["identification", "comment", "setup"])
        {
            if !header.starts_with(start) {
                return Err(bad(format!("there is no {name} header in its place")));
            }
        }
        // https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-630004.2.2
        let Some(fixed) = headers[0].first_chunk::<30>() else {
            return Err(bad(format!(
                "the identification header has {} bytes of 30",
                headers[0].len()
            )));
        };
        let &[
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            v0,
            v1,
            v2,
            v3,
            channels,
            r0,
            r1,
            r2,
            r3,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            blocks,
            _,
        ] = fixed;
        let sample_rate = u32::from_le_bytes([r0, r1, r2, r3]);
        if [v0, v1, v2, v3] != [0; 4] || sample_rate == 0 || !(1..=8).contains(&channels) {
            return Err(bad(format!(
                "expected version 0 and 1 to 8 channels, found version {} and {channels} channels at {sample_rate} Hz",
                u32::from_le_bytes([v0, v1, v2, v3])
            )));
        }
        // Both exponents, the short block's first: 64 to 8192 samples.
        let (short, long) = (blocks & 15, blocks >> 4);
        if short < 6 || long > 13 || short > long {
            return Err(bad(format!(
                "expected blocks of 2^6 to 2^13 samples, found 2^{short} and 2^{long}"
            )));
        }
        Ok(Self {
            sample_rate,
            channels,
            long_block: 1 << long,
        })
    }
}

/// For each number of channels from 3 on, which of Vorbis's (<https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-810004.3.9>)
/// is the next in WebCodecs' order: front left, right, centre, LFE, back left, right or centre, side left, right.
const ORDER: [&[usize]; 6] = [
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// Symphonia for one and two channels. With more its Vorbis 0.6.1 takes residues of other channels (measured against
/// FFmpeg: wrong sound in all layouts but one), so that lewton decodes these.
enum Library {
    Symphonia(Box<VorbisDecoder>),
    Lewton(Box<Lewton>),
}

struct Lewton {
    identification: IdentHeader,
    setup: SetupHeader,
    previous: PreviousWindowRight,
    order: &'static [usize],
}

pub struct Decoder {
    library: Library,
    headers: Headers,
    output: Output,
    start: Start,
}

/// The first packet gives nothing: its sound overlaps with the next one's. Where nothing says how long it is, the first
/// output begins where the first packet does, as Chromium has it and the Web Platform Tests ask for. A packet with a
/// duration is one in the middle of a stream, which decoding starts at, or of a container that counts what it would give.
#[derive(Clone, Copy)]
enum Start {
    /// Nothing was decoded yet.
    Fresh,
    /// The first packet had this timestamp, and no duration.
    Primed(i64),
    Running,
}

impl Decoder {
    /// # Errors
    /// `Unsupported` for headers that the libraries cannot use, `LimitExceeded` for blocks or codebooks above the caps.
    pub fn new(description: &[u8], context: &DecoderContext) -> Result<Self, MediaError> {
        let unsupported =
            |error: String| MediaError::unsupported(format!("Vorbis headers: {error}"));
        let headers = Headers::parse(description)?;
        let output = Output::new(context);
        // Before the libraries make room for both.
        output.check(
            usize::from(headers.long_block / 2),
            usize::from(headers.channels),
            size_of::<f32>(),
        )?;
        let setup = unlace(description).map_or(Ok(0), |[_, _, setup]| codebooks::bytes(setup));
        let setup = setup.map_err(|_| {
            unsupported("a codebook has codewords of more than 32 bits".to_string())
        })?;
        if setup > context.limits.max_setup_bytes as u64 {
            return Err(MediaError::limit(format!(
                "the codebooks of the Vorbis set-up header ask for {setup} bytes, max_setup_bytes is {}",
                context.limits.max_setup_bytes
            )));
        }
        let parameters = library::parameters(CODEC_ID_VORBIS, Some(description));
        // For lewton too: Symphonia refuses trees that are not complete before it makes room for them.
        let symphonia =
            library::guarded(|| VorbisDecoder::try_new(&parameters, &library::options()))
                .map_err(unsupported)?;
        let order = usize::from(headers.channels)
            .checked_sub(3)
            .and_then(|index| ORDER.get(index));
        let library = match (order, unlace(description)) {
            (Some(order), Some([identification, _, setup])) => {
                drop(symphonia);
                let lewton = library::guarded(|| Lewton::new(identification, setup, order));
                Library::Lewton(Box::new(lewton.map_err(unsupported)?))
            }
            _ => Library::Symphonia(Box::new(symphonia)),
        };
        Ok(Self {
            library,
            headers,
            output,
            start: Start::Fresh,
        })
    }
}

impl Lewton {
    fn new(
        identification: &[u8],
        setup: &[u8],
        order: &'static [usize],
    ) -> Result<Self, HeaderReadError> {
        let identification = read_header_ident(identification)?;
        let sizes = (identification.blocksize_0, identification.blocksize_1);
        Ok(Self {
            setup: read_header_setup(setup, identification.audio_channels, sizes)?,
            identification,
            previous: PreviousWindowRight::new(),
            order,
        })
    }

    /// The channels in WebCodecs' order.
    fn decode(&mut self, packet: &[u8]) -> Result<Vec<Vec<f32>>, AudioReadError> {
        let mut channels: Vec<Vec<f32>> = read_audio_packet_generic(
            &self.identification,
            &self.setup,
            packet,
            &mut self.previous,
        )?;
        Ok(self
            .order
            .iter()
            .map(|&index| {
                channels
                    .get_mut(index)
                    .map(std::mem::take)
                    .unwrap_or_default()
            })
            .collect())
    }
}

impl AudioDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        if chunk.data.is_empty() {
            return Err(invalid(chunk, "no Vorbis packet"));
        }
        let rate = self.headers.sample_rate;
        let output = &self.output;
        let timestamp = match self.start {
            Start::Primed(first) => first,
            Start::Fresh | Start::Running => chunk.timestamp,
        };
        let audio = match &mut self.library {
            Library::Symphonia(library) => {
                library::decode(&mut **library, chunk, &chunk.data, |buffer| match buffer {
                    GenericAudioBufferRef::F32(buffer) => output.planar(buffer, rate, timestamp),
                    _ => Err(MediaError::backend("Symphonia's Vorbis gave no floats")),
                })??
            }
            Library::Lewton(library) => {
                let planes = library::guarded(|| library.decode(&chunk.data))
                    .map_err(|error| invalid(chunk, error))?;
                output.planes(planes, rate, timestamp)?
            }
        };
        self.start = match (&audio, self.start) {
            (Some(_), _) => Start::Running,
            (None, Start::Fresh) if chunk.duration.unwrap_or(0) == 0 => {
                Start::Primed(chunk.timestamp)
            }
            (None, Start::Fresh) => Start::Running,
            (None, other) => other,
        };
        audio.into_iter().for_each(sink);
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        Ok(())
    }

    // A packet overlaps with the one before it, and with no others:
    // <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-590004.3.8>.
    fn preroll(&self, before: &[EncodedChunk]) -> Option<usize> {
        // What the first outputs' times are, the first packets say.
        (!before.is_empty() && matches!(self.start, Start::Running)).then_some(1)
    }

    fn prime(&mut self, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        self.reset();
        preroll
            .iter()
            .try_for_each(|chunk| self.decode(chunk, &mut drop))?;
        self.start = Start::Running;
        Ok(())
    }

    fn is_seamless(&self, _chunk: &EncodedChunk) -> bool {
        true
    }

    fn catch_up(&mut self, _chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        Ok(Successor::Second)
    }

    fn reset(&mut self) {
        self.start = Start::Fresh;
        match &mut self.library {
            Library::Symphonia(library) => library.reset(),
            Library::Lewton(library) => library.previous = PreviousWindowRight::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(identification: &[u8], comment: &[u8], setup: &[u8]) -> Vec<u8> {
        let lengths = [identification.len() as u8, comment.len() as u8];
        [&[2], &lengths[..], identification, comment, setup].concat()
    }

    #[test]
    fn only_three_laced_headers_are_a_description() {
        let mut id = b"\x01vorbis\0\0\0\0\x02\x80\xbb\0\0".to_vec();
        id.resize(30, 0);
        id[28] = 0xb8;
        let good = description(&id, b"\x03vorbis", b"\x05vorbis");
        assert_eq!(Headers::parse(&good).unwrap().sample_rate, 48_000);
        for end in 0..good.len() {
            assert!(Headers::parse(&good[..end]).is_err(), "{end} bytes");
        }
        assert!(Headers::parse(&description(&id, b"\x05vorbis", b"\x03vorbis")).is_err());
        for (at, value) in [(7, 1), (11, 0), (11, 9), (13, 0)] {
            let mut id = id.clone();
            id[at] = value;
            id[12] *= u8::from(at != 13);
            assert!(Headers::parse(&description(&id, b"\x03vorbis", b"\x05vorbis")).is_err());
        }
        for blocks in [0xb5, 0xe8, 0x89] {
            let mut id = id.clone();
            id[28] = blocks;
            assert!(Headers::parse(&description(&id, b"\x03vorbis", b"\x05vorbis")).is_err());
        }
        let long = [&[2, 255, 255], &[7; 300][..]].concat();
        assert!(Headers::parse(&long).is_err());
    }
}
