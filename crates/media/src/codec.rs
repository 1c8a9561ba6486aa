//! The traits behind which every codec library stands.

use bytes::Bytes;

use crate::audio::AudioData;
use crate::chunk::EncodedChunk;
use crate::codec_string::{AudioCodec, VideoCodec};
use crate::color::ColorSpace;
use crate::error::MediaError;
use crate::frame::VideoFrame;
use crate::geometry::{Rotation, Size};
use crate::pool::BufferPool;

/// Which kind of decoder the user asks for.
/// <https://w3c.github.io/webcodecs/#hardware-acceleration>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HardwareAcceleration {
    /// Whatever is there.
    #[default]
    NoPreference,
    /// Hardware where possible.
    PreferHardware,
    /// Software where possible.
    PreferSoftware,
}

/// What a video decoder is told before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoDecoderConfig {
    /// The codec with its profile and level.
    pub codec: VideoCodec,
    /// Codec-specific set-up (avcC, hvcC, av1C), as the codec's WebCodecs registration says.
    pub description: Option<Bytes>,
    /// The expected coded size in pixels.
    pub coded_size: Option<Size>,
    /// The display aspect ratio as a pair of numbers, if it is to override the bitstream's.
    pub display_aspect: Option<Size>,
    /// The colour space; its known members override the bitstream's.
    pub color_space: ColorSpace,
    /// Hardware or software.
    pub hardware_acceleration: HardwareAcceleration,
    /// Output frames as soon as the bitstream permits.
    pub optimize_for_latency: bool,
    /// Rotation to hand on to every frame.
    pub rotation: Rotation,
    /// Mirroring to hand on to every frame.
    pub flip: bool,
}

impl VideoDecoderConfig {
    /// A configuration with nothing but a codec.
    pub fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            description: None,
            coded_size: None,
            display_aspect: None,
            color_space: ColorSpace::default(),
            hardware_acceleration: HardwareAcceleration::default(),
            optimize_for_latency: false,
            rotation: Rotation::R0,
            flip: false,
        }
    }
}

/// Caps that untrusted media cannot pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest coded picture, in pixels. The default is 16384 by 16384.
    pub max_frame_pixels: u64,
    /// Largest number of pictures that one chunk may hold, those that are not shown and those that are shown again
    /// included. The default is 32: by the registrations a chunk is one access unit or temporal unit, which has one
    /// picture to show, or one for each layer.
    pub max_chunk_pictures: usize,
    /// Largest number of bytes of decoded audio that one packet may give, all of its frames together. The default is
    /// 64 MiB.
    pub max_audio_bytes: usize,
    /// Largest number of bytes of tables that a stream's set-up may ask for, such as Vorbis codebooks. The default is
    /// 64 MiB.
    pub max_setup_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame_pixels: 16_384 * 16_384,
            max_chunk_pictures: 32,
            max_audio_bytes: 64 << 20,
            max_setup_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// Checks the number of pictures that a chunk is known to hold so far.
    ///
    /// # Errors
    /// `LimitExceeded` above [`max_chunk_pictures`](Self::max_chunk_pictures).
    pub fn check_chunk_pictures(&self, pictures: usize) -> Result<(), MediaError> {
        if pictures > self.max_chunk_pictures {
            return Err(MediaError::limit(format!(
                "a chunk of {pictures} pictures or more, the cap max_chunk_pictures is {}",
                self.max_chunk_pictures
            )));
        }
        Ok(())
    }
}

/// What the engine lends to a backend.
#[derive(Clone, Debug)]
pub struct DecoderContext {
    /// Where picture memory comes from.
    pub pool: BufferPool,
    /// Threads the backend may use, the calling one included; at least 1.
    pub threads: usize,
    /// Caps on what a stream may ask for.
    pub limits: Limits,
}

/// One running video decoder. Called by one thread at a time, not always the same.
///
/// The engine sets a frame's `rotation`, `flip`, display size and colour space from the
/// configuration; a decoder fills in what the bitstream says, and leaves rotation and flip alone.
pub trait VideoDecoder: Send {
    /// Decodes one chunk, the first of which (also after `flush` and `reset`) is a key chunk. Calls `sink`
    /// for each frame that is ready, in presentation order, with the timestamp and the duration of
    /// the chunk it came from.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) and the others; the decoder is then unusable.
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError>;

    /// Outputs every frame that is still held back.
    ///
    /// # Errors
    /// As [`VideoDecoder::decode`].
    fn flush(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError>;

    /// Forgets every frame that is held back.
    fn reset(&mut self);

    /// Whether it decodes what starts at `chunk`, a key chunk that comes next. Where it does not, the engine flushes it
    /// and goes on with another backend, so a decoder that another one can do better than says so here; what is wrong
    /// with the chunk otherwise is for [`decode`](Self::decode) to say.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    fn accepts(&self, chunk: &EncodedChunk) -> Result<(), MediaError> {
        let _ = chunk;
        Ok(())
    }

    /// Appends, as a chunk holds them, the parameter sets that came in chunks so far: a decoder that goes on from here
    /// needs them, and they may not come again.
    fn write_parameter_sets(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// A codec library that can make video decoders.
pub trait VideoDecoderBackend: Send + Sync {
    /// A short name, such as `dav1d`.
    fn name(&self) -> &'static str;

    /// Whether it decodes on dedicated hardware.
    fn is_hardware(&self) -> bool {
        false
    }

    /// The most threads that it can put to use, the calling one included.
    fn max_threads(&self) -> usize {
        usize::MAX
    }

    /// Whether it decodes streams of `codec` at all. Where no backend takes a configuration, the reasons of those that
    /// do not are left out of the error.
    fn knows(&self, codec: &VideoCodec) -> bool {
        let _ = codec;
        true
    }

    /// Whether it finds the damage within pictures of `codec` that the bitstream lets a decoder find. One that does not
    /// may give a wrong picture where another gives an error; see [`DecoderOrder`](crate::DecoderOrder).
    fn finds_damage(&self, codec: &VideoCodec) -> bool {
        let _ = codec;
        true
    }

    /// Whether it can decode `config`, without the cost of starting a decoder.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) with the reason; also for a `description`
    /// that the codec's registration forbids.
    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError>;

    /// Starts a decoder.
    ///
    /// # Errors
    /// As [`VideoDecoderBackend::check`], and what the library reports.
    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError>;
}

/// What an audio decoder is told before it starts.
/// <https://w3c.github.io/webcodecs/#dictdef-audiodecoderconfig>
#[derive(Clone, Debug, PartialEq)]
pub struct AudioDecoderConfig {
    /// The codec.
    pub codec: AudioCodec,
    /// Frames a second, as the configuration says; the bitstream's own rate wins where it has one.
    pub sample_rate: u32,
    /// Channels, as the configuration says; the bitstream's own number wins where it has one.
    pub channels: u32,
    /// Codec-specific set-up (AudioSpecificConfig, OpusHead, FLAC and Vorbis headers), as the codec's WebCodecs
    /// registration says.
    pub description: Option<Bytes>,
}

/// One running audio decoder. Called by one thread at a time, not always the same.
///
/// The timestamp of an output is its chunk's, or for later outputs of the same chunk that plus the frames before it.
/// What a chunk's [`SideData`](crate::SideData) says to discard is dropped by the engine, not here. A decoder drops
/// nothing by itself, Opus's pre-skip included (the registrations ask for no trimming, and the Web Platform Tests for
/// the first chunk's own timestamp on the first output): who counts delay is the container, in `discard_start`, so that
/// nothing is dropped twice. `flush` keeps the state that the next chunk needs to follow without a gap.
pub trait AudioDecoder: Send {
    /// Decodes one chunk, the first of which (also after `flush` and `reset`) is a key chunk.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData) and the others; the decoder is then unusable.
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError>;

    /// Outputs everything that is still held back.
    ///
    /// # Errors
    /// As [`AudioDecoder::decode`].
    fn flush(&mut self, sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError>;

    /// Forgets everything that is held back, and the state that earlier chunks left.
    fn reset(&mut self);

    /// How many chunks at the end of `before` another decoder of the same configuration is to be [primed](Self::prime)
    /// with to go on after them exactly as this one would. `before` are chunks that follow one another and that this one
    /// is given, too. `None` where `before` is too short, or where no number of chunks is enough: then one decoder has to
    /// decode them all, one after the other.
    ///
    /// With it, stretches of a stream are decoded at the same time: one by this decoder, and the next one by another that
    /// is primed, and asked about each chunk whether it [`is_seamless`](Self::is_seamless). What comes out is the same, to
    /// the bit. Then one of the two goes on: [`catch_up`](Self::catch_up).
    fn preroll(&self, before: &[EncodedChunk]) -> Option<usize> {
        let _ = before;
        None
    }

    /// Takes in the chunks before the first one to be decoded, as many as [`preroll`](Self::preroll) says. What came before
    /// them, in this stream or at another place of it, does not matter any more, and nothing comes out.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where it cannot begin there, but may elsewhere; the others as
    /// [`AudioDecoder::decode`].
    fn prime(&mut self, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        let _ = preroll;
        Err(MediaError::unsupported("the decoder cannot be primed"))
    }

    /// Whether this decoder, which was primed, gives for `chunk` what one does that was given everything before.
    fn is_seamless(&self, chunk: &EncodedChunk) -> bool {
        let _ = chunk;
        false
    }

    /// Another decoder, which was primed, has decoded `chunks`, which follow those that this one was given: at least one.
    ///
    /// # Errors
    /// As [`AudioDecoder::decode`].
    fn catch_up(&mut self, chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        let _ = chunks;
        Ok(Successor::Neither)
    }
}

/// Which of two decoders goes on, after the second one has decoded the chunks behind those of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// The first one, which is now where it would be if it had decoded them itself.
    First,
    /// The second one: no difference is left.
    Second,
    /// The first one, from where it is: what the second one gave may not be what it would have given.
    Neither,
}

/// A codec library that can make audio decoders.
pub trait AudioDecoderBackend: Send + Sync {
    /// A short name, such as `opus`.
    fn name(&self) -> &'static str;

    /// Whether it decodes streams of `codec` at all. Where no backend takes a configuration, the reasons of those that
    /// do not are left out of the error.
    fn knows(&self, codec: &AudioCodec) -> bool {
        let _ = codec;
        true
    }

    /// Whether it can decode `config`, without the cost of starting a decoder.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) with the reason; also for a `description` that the codec's
    /// registration forbids or that is missing where it asks for one.
    fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError>;

    /// Whether `isConfigSupported` says yes. As [`check`](Self::check), but for codecs whose set-up has to be in a
    /// `description`: they are supported where that is missing, as scripts ask before they have read it.
    fn supports(&self, config: &AudioDecoderConfig) -> bool {
        self.check(config).is_ok()
    }

    /// Starts a decoder.
    ///
    /// # Errors
    /// As [`AudioDecoderBackend::check`], and what the library reports.
    fn start(
        &self,
        config: &AudioDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn AudioDecoder>, MediaError>;
}
