//! The vocabulary every Reelcore crate shares, and nothing else: codec strings, pixel and sample
//! formats, colour spaces, timestamps, encoded chunks, video frames, audio data, errors, the codec
//! and container traits, the codec registry, buffer pools and pixel conversion.
//!
//! No codec, no JavaScript and no GPU API is known here. Times are in microseconds throughout, as
//! in WebCodecs; sizes are in bytes or pixels as each item says.

#![forbid(unsafe_code)]

pub mod audio;
pub mod av1;
pub mod chunk;
pub mod codec;
pub mod codec_string;
pub mod color;
pub mod convert;
pub mod counters;
pub mod demux;
#[cfg(unix)]
pub mod dmabuf;
mod encode_input;
pub mod encode_queue;
pub mod encode_session;
pub mod encoder;
pub mod error;
pub mod format;
pub mod frame;
pub mod geometry;
pub mod h264;
pub mod hevc;
pub mod layout;
pub mod mux;
pub mod pool;
pub mod preparation;
pub mod q_index;
pub mod registry;
pub mod vpx;

pub use audio::AudioData;
pub use chunk::{ChunkKind, EncodedChunk, SideData};
pub use codec::{
    AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, VideoDecoder, VideoDecoderBackend,
    VideoDecoderConfig,
};
pub use codec_string::{AudioCodec, VideoCodec};
pub use color::ColorSpace;
pub use encoder::{
    AudioEncoder, AudioEncoderBackend, AudioEncoderConfig, VideoEncoder, VideoEncoderBackend,
    VideoEncoderConfig,
};
pub use error::{ErrorKind, MediaError};
pub use format::{PixelFormat, SampleFormat};
pub use frame::{CpuImage, Plane, VideoFrame};
pub use geometry::{Rect, Rotation, Size};
pub use registry::{DecoderOrder, Registry};
