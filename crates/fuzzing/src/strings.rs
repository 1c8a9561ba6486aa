//! Arbitrary bytes as codec strings and as descriptions.

use bytes::Bytes;
use reelcore_media::{AudioCodec, AudioDecoderConfig, Size, VideoCodec, VideoDecoderConfig};

use crate::decode;

/// A string that parses is written as one that parses to the same.
pub fn codec_string(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match VideoCodec::parse(text) {
        Ok(codec) => assert_eq!(VideoCodec::parse(&codec.to_string()), Ok(codec)),
        Err(error) => assert!(error.string.len() <= 400),
    }
    match AudioCodec::parse(text) {
        Ok(codec) => assert_eq!(AudioCodec::parse(&codec.to_string()), Ok(codec)),
        Err(error) => assert!(error.string.len() <= 400),
    }
}

const VIDEO: [&str; 7] = [
    "avc1.64001f",
    "avc3.42c01e",
    "hvc1.1.6.L93.B0",
    "hev1.2.4.L120.90",
    "av01.0.04M.08",
    "vp09.00.10.08",
    "vp8",
];
const AUDIO: [&str; 8] = [
    "mp4a.40.2",
    "mp4a.40.5",
    "opus",
    "vorbis",
    "flac",
    "mp3",
    "pcm-s16",
    "ulaw",
];

/// The first byte chooses the codec, the rest is its description. A backend that takes it must start, or say why not.
pub fn description(input: &[u8]) {
    let Some((&choice, description)) = input.split_first() else {
        return;
    };
    let choice = usize::from(choice) % (VIDEO.len() + AUDIO.len());
    let description = Some(Bytes::copy_from_slice(description));
    let registry = decode::registry();
    if let Some(string) = VIDEO.get(choice) {
        let Ok(codec) = VideoCodec::parse(string) else {
            panic!("{string} is a codec string");
        };
        let config = VideoDecoderConfig {
            description,
            coded_size: Some(Size::new(64, 48)),
            ..VideoDecoderConfig::new(codec)
        };
        for backend in registry.video_decoders(&config).unwrap_or_default() {
            let _ = backend.start(&config, &decode::context());
        }
    } else if let Some(string) = AUDIO.get(choice - VIDEO.len()) {
        let Ok(codec) = AudioCodec::parse(string) else {
            panic!("{string} is a codec string");
        };
        let config = AudioDecoderConfig {
            codec,
            sample_rate: 48_000,
            channels: 2,
            description,
        };
        for backend in registry.audio_decoders(&config).unwrap_or_default() {
            let _ = backend.start(&config, &decode::context());
        }
    }
}
