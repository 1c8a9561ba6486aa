//! The codecs that are compiled in.

#[cfg(feature = "ffmpeg")]
use reelcore_codec_ffmpeg::{Codec, Ffmpeg, FfmpegEncoder, FfmpegHardwareEncoder};
use reelcore_media::Registry;

/// The codecs that are compiled in (by the cargo features of this crate), the fastest of a codec first. An embedder that
/// would rather have the decoders that find damage within pictures uses
/// `default_codecs().with_decoder_order(DecoderOrder::VerifiedFirst)`.
pub fn default_codecs() -> Registry {
    audio(video(Registry::new()))
}

fn video(registry: Registry) -> Registry {
    #[cfg(feature = "dav1d")]
    let registry = registry.with_video_decoder(reelcore_codec_dav1d::Dav1d);
    #[cfg(feature = "aom")]
    let registry = registry.with_video_encoder(reelcore_codec_aom::Aom);
    // Faster than the ones below, and of more profiles; what it refuses is theirs. Of VP9, libvpx is as fast.
    #[cfg(feature = "ffmpeg")]
    let registry = registry
        .with_video_decoder(Ffmpeg::for_codecs(&[Codec::H264, Codec::Hevc, Codec::Vp8]))
        .with_video_encoder(FfmpegHardwareEncoder)
        .with_video_encoder(FfmpegEncoder);
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
    #[cfg(feature = "lame")]
    let registry = registry.with_audio_encoder(reelcore_codec_lame::Mp3);
    #[cfg(feature = "vorbis")]
    let registry = registry.with_audio_encoder(reelcore_codec_vorbis::Vorbis);
    registry
}

#[cfg(all(
    test,
    feature = "ffmpeg",
    feature = "hevc",
    feature = "openh264",
    feature = "vpx"
))]
mod tests {
    use reelcore_media::{DecoderOrder, VideoCodec, VideoDecoderConfig};

    use super::*;

    /// The backends for `codec`, best first.
    fn order(registry: &Registry, codec: &str) -> Vec<&'static str> {
        let config = VideoDecoderConfig::new(VideoCodec::parse(codec).unwrap());
        let found = registry.video_decoders(&config).unwrap();
        found.iter().map(|backend| backend.name()).collect()
    }

    #[test]
    fn the_fastest_decoder_comes_first_unless_damage_matters_more() {
        let fastest = default_codecs();
        let verified = default_codecs().with_decoder_order(DecoderOrder::VerifiedFirst);
        for (codec, fast, careful) in [
            (
                "avc1.640028",
                &["libavcodec", "openh264"][..],
                &["libavcodec", "openh264"][..],
            ),
            (
                "hvc1.1.6.L93.B0",
                &["libavcodec", "rusty_h265"],
                &["rusty_h265", "libavcodec"],
            ),
            ("hvc1.4.10.L93.B0", &["libavcodec"], &["libavcodec"]),
            ("vp8", &["libavcodec", "libvpx"], &["libvpx", "libavcodec"]),
            ("vp09.00.10.08", &["libvpx"], &["libvpx"]),
        ] {
            assert_eq!(order(&fastest, codec), fast, "{codec}");
            assert_eq!(order(&verified, codec), careful, "{codec}");
        }
    }
}
