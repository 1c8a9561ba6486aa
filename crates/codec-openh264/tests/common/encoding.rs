//! What the tests of encoding share: streams and what holds of each.
#![allow(dead_code)] // Each test file uses a part.

use reelcore_codec_openh264::{OpenH264, OpenH264Encoder};
use reelcore_conformance::encoding::{chunks, encode_all, encoder_context};
use reelcore_conformance::video::{context, decode_all};
use reelcore_media::encoder::{EncodeOptions, EncodedVideo, NalFormat, VideoEncoderConfig};
use reelcore_media::h264::{AvcC, NalKind, Packaging, Sps, nal_units};
use reelcore_media::{
    ChunkKind, PixelFormat, Size, VideoCodec, VideoDecoderBackend, VideoEncoderBackend, VideoFrame,
};

/// Not a multiple of 16: the stream crops.
pub const SIZE: Size = Size::new(200, 110);
pub const STEP: i64 = 40_000;
pub const I420: PixelFormat = PixelFormat::I420;

pub fn config(codec: &str, size: Size) -> VideoEncoderConfig {
    VideoEncoderConfig::new(VideoCodec::parse(codec).expect("a codec string"), size)
}

pub fn no_options(_: usize) -> EncodeOptions {
    EncodeOptions::default()
}

pub fn encode(config: &VideoEncoderConfig, frames: &[VideoFrame]) -> Vec<EncodedVideo> {
    encode_with(config, frames, no_options)
}

pub fn encode_with(
    config: &VideoEncoderConfig,
    frames: &[VideoFrame],
    options: impl Fn(usize) -> EncodeOptions,
) -> Vec<EncodedVideo> {
    let mut encoder = OpenH264Encoder
        .start(config, &encoder_context(2))
        .unwrap_or_else(|error| panic!("{config:?}: {error}"));
    encode_all(&mut *encoder, frames, options)
}

/// Decodes with the configuration that the encoder gave.
pub fn decode(pictures: &[EncodedVideo]) -> Vec<VideoFrame> {
    let first = pictures[0].decoder_config.as_ref().expect("with a key");
    let mut decoder = OpenH264.start(first, &context(1)).expect("starts");
    decode_all(&mut *decoder, &chunks(pictures))
}

pub fn packaging(config: &VideoEncoderConfig) -> Packaging {
    match config.nal_format {
        NalFormat::AnnexB => Packaging::AnnexB,
        NalFormat::LengthPrefixed => Packaging::Avc { length_size: 4 },
    }
}

pub fn kinds(config: &VideoEncoderConfig, data: &[u8]) -> Vec<NalKind> {
    nal_units(data, packaging(config))
        .map(|nal| nal.expect("a NAL unit").kind)
        .collect()
}

/// What holds of every stream: a chunk a frame, their times, kinds and parameter sets where they belong.
pub fn check_chunks(config: &VideoEncoderConfig, frames: &[VideoFrame], pictures: &[EncodedVideo]) {
    assert_eq!(pictures.len(), frames.len(), "a chunk a frame");
    for (index, (picture, frame)) in pictures.iter().zip(frames).enumerate() {
        let chunk = &picture.chunk;
        assert_eq!(
            (chunk.timestamp, chunk.duration),
            (frame.timestamp, frame.duration)
        );
        let key = chunk.kind == ChunkKind::Key;
        let kinds = kinds(config, &chunk.data);
        assert_eq!(key, kinds.contains(&NalKind::IdrSlice), "chunk {index}");
        let in_band = config.nal_format == NalFormat::AnnexB
            || matches!(config.codec, VideoCodec::Avc(avc) if avc.in_band);
        if key && in_band {
            assert_eq!(kinds[..2], [NalKind::Sps, NalKind::Pps], "chunk {index}");
        } else {
            assert!(
                kinds
                    .iter()
                    .all(|kind| matches!(kind, NalKind::Slice | NalKind::IdrSlice)),
                "chunk {index}: {kinds:?}"
            );
        }
        assert_eq!(picture.decoder_config.is_some(), index == 0);
    }
    assert_eq!(pictures[0].chunk.kind, ChunkKind::Key);
    let first = pictures[0].decoder_config.as_ref().expect("checked");
    assert_eq!(first.codec, config.codec);
    assert_eq!(first.coded_size, Some(config.size));
    assert_eq!(first.color_space, frames[0].color_space);
    let annex_b = config.nal_format == NalFormat::AnnexB;
    assert_eq!(first.description.is_none(), annex_b);
}

pub fn sps(config: &VideoEncoderConfig, picture: &EncodedVideo) -> Sps {
    let description = picture
        .decoder_config
        .as_ref()
        .and_then(|c| c.description.as_ref());
    if let Some(description) = description {
        let record = AvcC::parse(description).expect("an avcC");
        let nal = reelcore_media::h264::Nal::new(0, &record.sps[0]).expect("a NAL unit");
        let sps = Sps::parse(&nal).expect("an SPS");
        assert_eq!((record.profile, record.level), (sps.profile, sps.level));
        assert_eq!(record.length_size, 4);
        return sps;
    }
    let mut nals = nal_units(&picture.chunk.data, packaging(config));
    let nal = nals.find(|nal| nal.as_ref().is_ok_and(|nal| nal.kind == NalKind::Sps));
    Sps::parse(&nal.expect("parameter sets").expect("a NAL unit")).expect("an SPS")
}
