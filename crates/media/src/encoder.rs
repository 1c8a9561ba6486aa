//! The traits behind which every encoder library stands, and what an encoder is told.

use std::sync::Arc;

use crate::audio::AudioData;
use crate::chunk::EncodedChunk;
use crate::codec::{AudioDecoderConfig, HardwareAcceleration, VideoDecoderConfig};
use crate::codec_string::{AudioCodec, VideoCodec};
use crate::error::MediaError;
use crate::format::{PixelFormat, SampleFormat};
use crate::frame::VideoFrame;
use crate::geometry::Size;
use crate::pool::BufferPool;

/// How the bit rate is held.
/// <https://w3c.github.io/webcodecs/#enumdef-videoencoderbitratemode>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoBitrateMode {
    /// The same for all of the stream.
    Constant,
    /// More where the content asks for it, about the target on average.
    #[default]
    Variable,
    /// Whatever the quantizer of each frame gives ([`EncodeOptions::quantizer`]).
    Quantizer,
}

/// <https://w3c.github.io/webcodecs/#enumdef-latencymode>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LatencyMode {
    /// Quality comes before speed and delay. Every frame gives a chunk.
    #[default]
    Quality,
    /// A chunk comes as soon as its frame was given. Frames may be dropped to hold the rate.
    Realtime,
}

/// Temporal layers, as in <https://www.w3.org/TR/webrtc-svc/#scalabilitymodes*>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScalabilityMode {
    /// One layer, `L1T1`.
    #[default]
    L1T1,
    /// Two temporal layers: every second frame can be dropped.
    L1T2,
    /// Three temporal layers: layers of 1, 1 and 2 of every four frames.
    L1T3,
}

impl ScalabilityMode {
    /// The mode of that name, if it is one of those above.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "L1T1" => Some(Self::L1T1),
            "L1T2" => Some(Self::L1T2),
            "L1T3" => Some(Self::L1T3),
            _ => None,
        }
    }

    /// The number of temporal layers, 1 to 3.
    pub const fn temporal_layers(self) -> usize {
        match self {
            Self::L1T1 => 1,
            Self::L1T2 => 2,
            Self::L1T3 => 3,
        }
    }

    /// The temporal layer of the frame that is `index` frames after a key frame. The patterns are those of WebRTC-SVC:
    /// 0 1 and 0 2 1 2.
    pub const fn temporal_layer(self, index: u64) -> u8 {
        match (self, index % 4) {
            (Self::L1T1, _) | (_, 0) => 0,
            (Self::L1T2, n) => (n % 2) as u8,
            (Self::L1T3, 2) => 1,
            (Self::L1T3, _) => 2,
        }
    }
}

/// What the pictures show, for the encoder's choice of tools.
/// <https://www.w3.org/TR/mst-content-hint/#video-content-hints>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentHint {
    /// Not said.
    #[default]
    None,
    /// Motion matters most: a camera.
    Motion,
    /// Detail matters most: a screen with pictures.
    Detail,
    /// Sharp edges of text matter most: a screen with text.
    Text,
}

/// How H.264 and HEVC chunks are framed.
/// <https://w3c.github.io/webcodecs/avc_codec_registration.html#enumdef-avcbitstreamformat>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NalFormat {
    /// Lengths before NAL units, parameter sets in the description (`avc`, `hevc`).
    #[default]
    LengthPrefixed,
    /// Start codes, parameter sets before each key picture.
    AnnexB,
}

/// What a video encoder is told before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncoderConfig {
    /// The codec with its profile and level.
    pub codec: VideoCodec,
    /// Size of the coded pictures in pixels; frames of other sizes are scaled to it before the encoder sees them.
    pub size: Size,
    /// The size to show them at, where it is another.
    pub display_size: Option<Size>,
    /// Bits a second.
    pub bitrate: Option<u64>,
    /// Frames a second, as far as it is known.
    pub framerate: Option<f64>,
    /// Hardware or software.
    pub hardware_acceleration: HardwareAcceleration,
    /// Whether alpha is encoded too. The engine does so with a second encoder of the same backend, whose luma is the
    /// alpha plane ([`VideoEncoderBackend::supports_alpha`]).
    pub keep_alpha: bool,
    /// Temporal layers.
    pub scalability: ScalabilityMode,
    /// How the bit rate is held.
    pub bitrate_mode: VideoBitrateMode,
    /// Quality or speed.
    pub latency_mode: LatencyMode,
    /// What the pictures show.
    pub content_hint: ContentHint,
    /// How chunks of H.264 and HEVC are framed.
    pub nal_format: NalFormat,
}

impl VideoEncoderConfig {
    /// A configuration with nothing but a codec and a size.
    pub fn new(codec: VideoCodec, size: Size) -> Self {
        Self {
            codec,
            size,
            display_size: None,
            bitrate: None,
            framerate: None,
            hardware_acceleration: HardwareAcceleration::default(),
            keep_alpha: false,
            scalability: ScalabilityMode::default(),
            bitrate_mode: VideoBitrateMode::default(),
            latency_mode: LatencyMode::default(),
            content_hint: ContentHint::default(),
            nal_format: NalFormat::default(),
        }
    }
}

/// What is said of one frame.
/// <https://w3c.github.io/webcodecs/#dictdef-videoencoderencodeoptions>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// It must become a key picture.
    pub key_frame: bool,
    /// Its quantizer, on the codec's scale in its registration (H.264 and HEVC 0 to 51, VP9 and AV1 0 to 255). Only for
    /// [`VideoBitrateMode::Quantizer`].
    pub quantizer: Option<u16>,
}

/// A coded picture, and what a decoder or a muxer must know beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedVideo {
    /// The picture, with the timestamp and duration of its frame. Pictures come in decoding order.
    pub chunk: EncodedChunk,
    /// What decodes it, at the first picture and where it changed since the last one. The engine fills in rotation,
    /// flip and the display aspect.
    pub decoder_config: Option<Arc<VideoDecoderConfig>>,
    /// The temporal layer, where the configuration asks for more than one.
    pub temporal_layer: Option<u8>,
}

/// What the engine lends to a backend.
#[derive(Clone, Debug)]
pub struct EncoderContext {
    /// Where memory for pictures and chunks comes from.
    pub pool: BufferPool,
    /// Threads that the backend may use, the calling one included; at least 1.
    pub threads: usize,
}

/// One running video encoder. Called by one thread at a time, not always the same.
pub trait VideoEncoder: Send {
    /// Encodes one frame, which has the format that [`VideoEncoderBackend::input_format`] names, lives in CPU memory,
    /// has no cropping, and has the configuration's size. Its colour space is what the stream is to say; a change of
    /// it in mid-stream starts with a key picture. Calls `sink` for each picture that is ready.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an option out of range, and what the library
    /// reports; the encoder is then unusable.
    fn encode(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError>;

    /// Outputs every picture that is still held back. The next frame may follow and need not be a key picture.
    ///
    /// # Errors
    /// As [`VideoEncoder::encode`].
    fn flush(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError>;
}

/// A codec library that can make video encoders.
pub trait VideoEncoderBackend: Send + Sync {
    /// A short name, such as `libvpx`.
    fn name(&self) -> &'static str;

    /// Whether it encodes on dedicated hardware.
    fn is_hardware(&self) -> bool {
        false
    }

    /// The most threads that it can put to use for `config`, the calling one included.
    fn max_threads(&self, config: &VideoEncoderConfig) -> usize {
        let _ = config;
        usize::MAX
    }

    /// Whether it makes streams of `codec` at all, with whatever settings.
    fn knows(&self, codec: &VideoCodec) -> bool;

    /// Whether it can encode `config`, without the cost of starting an encoder.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) with the reason.
    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError>;

    /// The one format that frames must have for `config`, which [`check`](Self::check) accepts.
    fn input_format(&self, config: &VideoEncoderConfig) -> PixelFormat;

    /// Whether two encoders of it, one of them for alpha, give a stream with alpha (VP8, VP9).
    fn supports_alpha(&self, config: &VideoEncoderConfig) -> bool {
        let _ = config;
        false
    }

    /// Starts an encoder.
    ///
    /// # Errors
    /// As [`VideoEncoderBackend::check`], and what the library reports.
    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError>;
}

/// How the bit rate of audio is held.
/// <https://www.w3.org/TR/mediastream-recording/#enumdef-bitratemode>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AudioBitrateMode {
    /// The same for all packets.
    Constant,
    /// More where the content asks for it.
    #[default]
    Variable,
}

/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#enumdef-opussignal>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OpusSignal {
    /// The encoder decides.
    #[default]
    Auto,
    /// Music.
    Music,
    /// Voice.
    Voice,
}

/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#enumdef-opusapplication>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OpusApplication {
    /// Intelligible speech.
    Voip,
    /// Faithful to the input.
    #[default]
    Audio,
    /// The least delay.
    LowDelay,
}

/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#dictdef-opusencoderconfig>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusOptions {
    /// The format `ogg`: a decoder needs the identification header, which is the description. Packets are bare in
    /// both formats.
    pub ogg: bool,
    /// What kind of sound it is.
    pub signal: OpusSignal,
    /// What it is for.
    pub application: OpusApplication,
    /// Length of a packet in microseconds.
    pub frame_duration: u64,
    /// 0 to 10; `None` lets the encoder decide.
    pub complexity: Option<u32>,
    /// Packets that will be lost, in percent, 0 to 100.
    pub packet_loss_percent: u32,
    /// In-band forward error correction.
    pub in_band_fec: bool,
    /// Discontinuous transmission.
    pub dtx: bool,
}

impl Default for OpusOptions {
    fn default() -> Self {
        Self {
            ogg: false,
            signal: OpusSignal::default(),
            application: OpusApplication::default(),
            frame_duration: 20_000,
            complexity: None,
            packet_loss_percent: 0,
            in_band_fec: false,
            dtx: false,
        }
    }
}

/// What is particular to one codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioCodecOptions {
    /// Nothing.
    #[default]
    None,
    /// Opus.
    Opus(OpusOptions),
    /// AAC: with ADTS headers, and without a description.
    Adts,
    /// FLAC: <https://w3c.github.io/webcodecs/flac_codec_registration.html#dictdef-flacencoderconfig>
    Flac {
        /// Frames in a block; 0 lets the encoder decide.
        block_size: u32,
        /// 0 (fast) to 8 (small).
        compress_level: u32,
        /// Bits of a sample, 16 or 24, from the first packet to the last. `None` lets the samples say: the stream is described
        /// anew where they need more.
        depth: Option<u32>,
    },
}

/// What an audio encoder is told before it starts.
/// <https://w3c.github.io/webcodecs/#dictdef-audioencoderconfig>
#[derive(Clone, Debug, PartialEq)]
pub struct AudioEncoderConfig {
    /// The codec.
    pub codec: AudioCodec,
    /// Frames a second of the input, and of what is decoded where the codec has that rate.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// Bits a second.
    pub bitrate: Option<u64>,
    /// How they are held.
    pub bitrate_mode: AudioBitrateMode,
    /// What is particular to the codec.
    pub options: AudioCodecOptions,
}

/// A packet, and what a decoder or a muxer must know beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedAudio {
    /// The packet: always a key chunk. Its side data says which decoded frames the input did not have (encoder
    /// delay at the start, padding at the end).
    pub chunk: EncodedChunk,
    /// What decodes it, at the first packet and where it changed since the last one.
    pub decoder_config: Option<Arc<AudioDecoderConfig>>,
}

/// One running audio encoder. Called by one thread at a time, not always the same.
pub trait AudioEncoder: Send {
    /// Encodes a run of audio, which has the configuration's rate and channels and the format that
    /// [`AudioEncoderBackend::input_format`] names. Packets' timestamps count from the first run's; a run whose
    /// timestamp does not follow the one before does not move them.
    ///
    /// # Errors
    /// What the library reports; the encoder is then unusable.
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError>;

    /// Outputs all that is held back, padded to a whole packet. The next run starts a new count of timestamps.
    ///
    /// # Errors
    /// As [`AudioEncoder::encode`].
    fn flush(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError>;
}

/// A codec library that can make audio encoders.
pub trait AudioEncoderBackend: Send + Sync {
    /// A short name, such as `opus`.
    fn name(&self) -> &'static str;

    /// Whether it makes streams of `codec` at all, with whatever settings.
    fn knows(&self, codec: &AudioCodec) -> bool;

    /// Whether it can encode `config`, without the cost of starting an encoder.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) with the reason.
    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError>;

    /// The one format that samples must have for `config`, which [`check`](Self::check) accepts.
    fn input_format(&self, config: &AudioEncoderConfig) -> SampleFormat;

    /// Starts an encoder.
    ///
    /// # Errors
    /// As [`AudioEncoderBackend::check`], and what the library reports.
    fn start(
        &self,
        config: &AudioEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_follow_the_patterns_that_receivers_expect() {
        let layers =
            |mode: ScalabilityMode| -> Vec<u8> { (0..8).map(|n| mode.temporal_layer(n)).collect() };
        assert_eq!(layers(ScalabilityMode::L1T1), [0; 8]);
        assert_eq!(layers(ScalabilityMode::L1T2), [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(layers(ScalabilityMode::L1T3), [0, 2, 1, 2, 0, 2, 1, 2]);
        for mode in [
            ScalabilityMode::L1T1,
            ScalabilityMode::L1T2,
            ScalabilityMode::L1T3,
        ] {
            let highest = layers(mode).into_iter().max();
            assert_eq!(highest, Some(mode.temporal_layers() as u8 - 1));
        }
        assert_eq!(ScalabilityMode::parse("L1T3"), Some(ScalabilityMode::L1T3));
        assert_eq!(ScalabilityMode::parse("L2T1"), None);
    }
}
