//! The codecs that are compiled in.

#[cfg(feature = "ffmpeg")]
use reelcore_codec_ffmpeg::{Codec, Ffmpeg};
use reelcore_media::Registry;

/// The codecs that are compiled in (by the cargo features of this crate), in the order of preference.
pub fn default_codecs() -> Registry {
    audio(video(Registry::new()))
}

fn video(registry: Registry) -> Registry {
    #[cfg(feature = "dav1d")]
    let registry = registry.with_video_decoder(reelcore_codec_dav1d::Dav1d);
    #[cfg(feature = "aom")]
    let registry = registry.with_video_encoder(reelcore_codec_aom::Aom);
    // Faster than OpenH264, exact, and of every profile.
    #[cfg(feature = "ffmpeg")]
    let registry = registry.with_video_decoder(Ffmpeg::for_codecs(&[Codec::H264]));
    #[cfg(feature = "openh264")]
    let registry = registry
        .with_video_decoder(reelcore_codec_openh264::OpenH264)
        .with_video_encoder(reelcore_codec_openh264::OpenH264Encoder);
    #[cfg(feature = "vpx")]
    let registry = registry
        .with_video_decoder(reelcore_codec_vpx::Vpx)
        .with_video_encoder(reelcore_codec_vpx::VpxEncoder);
    #[cfg(feature = "hevc")]
    let registry = registry.with_video_decoder(reelcore_codec_hevc::Hevc);
    // Of HEVC and VP8, libavcodec misses damage that the decoders above find: only what they do not have is its.
    #[cfg(feature = "ffmpeg")]
    let registry = registry.with_video_decoder(Ffmpeg::for_codecs(&[Codec::HevcExtensions]));
    registry
}

fn audio(registry: Registry) -> Registry {
    #[cfg(feature = "aac")]
    let registry = registry
        .with_audio_decoder(reelcore_codec_aac::Aac)
        .with_audio_encoder(reelcore_codec_aac::AacEncoder);
    #[cfg(feature = "opus")]
    let registry = registry
        .with_audio_decoder(reelcore_codec_opus::Opus)
        .with_audio_encoder(reelcore_codec_opus::OpusEncoder);
    #[cfg(feature = "pcm")]
    let registry = registry
        .with_audio_decoder(reelcore_codec_pcm::Pcm)
        .with_audio_encoder(reelcore_codec_pcm::PcmEncoder);
    #[cfg(feature = "symphonia")]
    let registry = registry.with_audio_decoder(reelcore_codec_symphonia::Symphonia);
    #[cfg(feature = "flac")]
    let registry = registry.with_audio_encoder(reelcore_codec_flac::Flac);
    #[cfg(feature = "vorbis")]
    let registry = registry.with_audio_encoder(reelcore_codec_vorbis::Vorbis);
    registry
}
