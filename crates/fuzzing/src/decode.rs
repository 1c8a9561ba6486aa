//! Arbitrary bytes as chunks.
//!
//! An input is a sequence of chunks, each after its length in two bytes, little-endian. The top bit of the length has
//! the decoder flushed before the chunk.

use bytes::Bytes;
use reelcore_codec_aac::Aac;
use reelcore_codec_dav1d::Dav1d;
use reelcore_codec_ffmpeg::Ffmpeg;
use reelcore_codec_hevc::Hevc;
use reelcore_codec_openh264::OpenH264;
use reelcore_codec_opus::Opus;
use reelcore_codec_pcm::Pcm;
use reelcore_codec_symphonia::Symphonia;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::random::Random;
use reelcore_conformance::stretches::{decode_in_order, decode_in_stretches};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioDecoderBackend, AudioDecoderConfig, ChunkKind, EncodedChunk, Registry,
    VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

/// Chunks of one input, at most.
const CHUNKS: usize = 64;
/// The top bit of a length: flush first.
const FLUSH: u16 = 0x8000;

/// Caps that keep one input quick.
pub(crate) fn context() -> DecoderContext {
    DecoderContext {
        pool: BufferPool::new(8 << 20),
        threads: 1,
        limits: Limits {
            max_frame_pixels: 512 * 512,
            max_chunk_pictures: 32,
            max_audio_bytes: 4 << 20,
            max_setup_bytes: 8 << 20,
        },
    }
}

/// Every backend of the default build.
pub(crate) fn registry() -> Registry {
    Registry::new()
        .with_video_decoder(Dav1d)
        .with_video_decoder(OpenH264)
        .with_video_decoder(Hevc)
        .with_video_decoder(Vpx)
        .with_audio_decoder(Aac)
        .with_audio_decoder(Opus)
        .with_audio_decoder(Pcm)
        .with_audio_decoder(Symphonia)
}

/// The chunks of an input.
fn chunks(mut input: &[u8]) -> impl Iterator<Item = (bool, EncodedChunk)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (head, rest) = input.split_first_chunk::<2>()?;
        let word = u16::from_le_bytes(*head);
        let len = usize::from(word & !FLUSH).min(rest.len());
        let (data, rest) = rest.split_at(len);
        input = rest;
        let flush = word & FLUSH != 0;
        let kind = if at == 0 || flush {
            ChunkKind::Key
        } else {
            ChunkKind::Delta
        };
        at += 1;
        let data = Bytes::copy_from_slice(data);
        Some((flush, EncodedChunk::new(kind, at * 1000, data)))
    })
    .take(CHUNKS)
}

fn video(backend: &dyn VideoDecoderBackend, codec: &str, input: &[u8]) {
    video_on(backend, codec, input, 1);
}

fn video_on(backend: &dyn VideoDecoderBackend, codec: &str, input: &[u8], threads: usize) {
    let Ok(codec) = VideoCodec::parse(codec) else {
        panic!("{codec} is a codec string");
    };
    let context = DecoderContext {
        threads,
        ..context()
    };
    let config = VideoDecoderConfig::new(codec);
    let Ok(mut decoder) = backend.start(&config, &context) else {
        return;
    };
    let mut frames = 0_u64;
    let mut sink = |frame: reelcore_media::VideoFrame| {
        frames += 1;
        let size = frame.coded_size;
        assert!(size.area() <= context.limits.max_frame_pixels, "{size:?}");
        assert!(frame.visible_rect.size().area() > 0);
        if let Some(image) = frame.resource.cpu() {
            // Every byte of it can be read.
            let sum: u64 = image
                .planes()
                .iter()
                .flat_map(|plane| plane.data.iter())
                .map(|&byte| u64::from(byte))
                .sum();
            std::hint::black_box(sum);
        }
    };
    for (flush, chunk) in chunks(input) {
        if flush && decoder.flush(&mut sink).is_err() {
            return;
        }
        if decoder.decode(&chunk, &mut sink).is_err() {
            return;
        }
    }
    let _ = decoder.flush(&mut sink);
    decoder.reset();
    // A chunk should hold one picture; one that holds more gives them, and none takes less than a few bytes.
    assert!(
        frames * 4 <= input.len() as u64,
        "{frames} frames out of {} bytes",
        input.len()
    );
}

/// Over libavcodec, on one to three threads, by the input.
fn ffmpeg(codec: &str, input: &[u8]) {
    assert!(
        reelcore_codec_ffmpeg::available(),
        "install libavcodec-dev: ./x setup does"
    );
    video_on(&Ffmpeg::new(), codec, input, 1 + input.len() % 3);
}

/// H.264 over libavcodec.
pub fn ffmpeg_h264(input: &[u8]) {
    ffmpeg("avc1.640028", input);
}

/// HEVC over libavcodec.
pub fn ffmpeg_hevc(input: &[u8]) {
    ffmpeg("hev1.1.6.L93.B0", input);
}

/// VP8 over libavcodec.
pub fn ffmpeg_vp8(input: &[u8]) {
    ffmpeg("vp8", input);
}

/// AV1 over dav1d.
pub fn dav1d(input: &[u8]) {
    video(&Dav1d, "av01.0.04M.08", input);
}

/// H.264 in Annex B form over OpenH264.
pub fn openh264(input: &[u8]) {
    video(&OpenH264, "avc1.64001f", input);
}

/// HEVC in Annex B form over rusty_h265.
pub fn hevc(input: &[u8]) {
    video(&Hevc, "hev1.1.6.L93.B0", input);
}

/// VP8 over libvpx.
pub fn vp8(input: &[u8]) {
    video(&Vpx, "vp8", input);
}

/// VP9 over libvpx.
pub fn vp9(input: &[u8]) {
    video(&Vpx, "vp09.00.10.08", input);
}

/// A description, after its length in two bytes, little-endian; then chunks.
fn audio(backend: &dyn AudioDecoderBackend, codec: &str, input: &[u8]) {
    let Ok(codec) = AudioCodec::parse(codec) else {
        panic!("{codec} is a codec string");
    };
    let Some((head, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*head));
    let (description, rest) = rest.split_at(length.min(rest.len()));
    let config = AudioDecoderConfig {
        codec,
        sample_rate: 48_000,
        channels: 2,
        description: (length > 0).then(|| Bytes::copy_from_slice(description)),
    };
    let context = context();
    let Ok(mut decoder) = backend.start(&config, &context) else {
        return;
    };
    let mut sink = |audio: reelcore_media::AudioData| {
        assert!(audio.frames > 0 && audio.channels > 0 && audio.sample_rate > 0.0);
        let width = if audio.format.is_planar() {
            1
        } else {
            audio.channels as usize
        };
        for plane in &audio.planes {
            let needed = audio.frames as usize * width * audio.format.sample_bytes();
            assert!(plane.len() >= needed, "{} bytes of {needed}", plane.len());
        }
        assert!(audio.byte_size() <= context.limits.max_audio_bytes);
    };
    for (flush, chunk) in chunks(rest) {
        if flush && decoder.flush(&mut sink).is_err() {
            return;
        }
        if decoder.decode(&chunk, &mut sink).is_err() {
            return;
        }
    }
    let _ = decoder.flush(&mut sink);
    decoder.reset();
    stretches(backend, &config, rest);
}

/// Two decoders that decode stretches in turns give what one gives, and fail where it does.
fn stretches(backend: &dyn AudioDecoderBackend, config: &AudioDecoderConfig, input: &[u8]) {
    let context = context();
    let chunks: Vec<_> = chunks(input).map(|(_, chunk)| chunk).collect();
    let random = &mut Random(1 + input.len() as u64);
    let in_order = decode_in_order(backend, config, &context, &chunks);
    let in_stretches = decode_in_stretches(backend, config, &context, &chunks, random);
    if let (Some(want), Some(got)) = (in_order, in_stretches) {
        assert!(
            got.is_same(&want),
            "{} outputs, then {:?}; expected {}, then {:?}",
            got.outputs.len(),
            got.error,
            want.outputs.len(),
            want.error
        );
    }
}

/// AAC over rusty_aac.
pub fn aac(input: &[u8]) {
    audio(&Aac, "mp4a.40.2", input);
}

/// Opus over libopus.
pub fn opus(input: &[u8]) {
    audio(&Opus, "opus", input);
}

/// Uncompressed sound of 24 bits.
pub fn pcm(input: &[u8]) {
    audio(&Pcm, "pcm-s24", input);
}

/// MP3 over Symphonia.
pub fn mp3(input: &[u8]) {
    audio(&Symphonia, "mp3", input);
}

/// FLAC over Symphonia.
pub fn flac(input: &[u8]) {
    audio(&Symphonia, "flac", input);
}

/// Vorbis over Symphonia.
pub fn vorbis(input: &[u8]) {
    audio(&Symphonia, "vorbis", input);
}
