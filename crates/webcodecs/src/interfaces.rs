//! The struct of each interface, where the generated code looks for it.

pub use crate::audio_data::AudioData;
pub use crate::audio_decoder::AudioDecoder;
pub use crate::audio_encoder::AudioEncoder;
pub use crate::encoded_audio_chunk::EncodedAudioChunk;
pub use crate::encoded_video_chunk::EncodedVideoChunk;
pub use crate::video_color_space::VideoColorSpace;
pub use crate::video_decoder::VideoDecoder;
pub use crate::video_encoder::VideoEncoder;
pub use crate::video_frame::VideoFrame;
