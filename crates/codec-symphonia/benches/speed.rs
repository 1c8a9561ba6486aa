//! Symphonia alone, and through this crate: `cargo bench -p reelcore-codec-symphonia`.

use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::sound::*;
use reelcore_conformance::speed;
use symphonia_core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_VORBIS};
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;
use symphonia_core::units::{Duration, Timestamp};

fn main() {
    for (codec, file, encoder) in [
        ("mp3", "speed.mp3", "libmp3lame"),
        ("flac", "speed.flac", "flac"),
        ("vorbis", "speed.mka", "libvorbis"),
    ] {
        let path = clip(file, 48_000, "stereo", &["-c:a", encoder]);
        let track = track(&path);
        // Long enough for a steady figure.
        let chunks = vec![&track.chunks[..]; 20].concat();
        let alone = || {
            let mut parameters = AudioCodecParameters::new();
            parameters.with_extra_data(track.description.clone().into());
            let options = AudioDecoderOptions::default();
            let mut decoder: Box<dyn AudioDecoder> = match codec {
                "mp3" => Box::new(
                    symphonia_bundle_mp3::MpaDecoder::try_new(
                        parameters.for_codec(CODEC_ID_MP3),
                        &options,
                    )
                    .expect("starts"),
                ),
                "flac" => Box::new(
                    symphonia_bundle_flac::FlacDecoder::try_new(
                        parameters.for_codec(CODEC_ID_FLAC),
                        &options,
                    )
                    .expect("starts"),
                ),
                _ => Box::new(
                    symphonia_codec_vorbis::VorbisDecoder::try_new(
                        parameters.for_codec(CODEC_ID_VORBIS),
                        &options,
                    )
                    .expect("starts"),
                ),
            };
            let decode = |data| {
                let packet = PacketRef::new(0, Timestamp::new(0), Duration::ZERO, data);
                decoder.decode_ref(&packet).expect("decodes").frames()
            };
            chunks.iter().map(|chunk| &chunk.data[..]).map(decode).sum()
        };
        let description = match codec {
            "flac" => [b"fLaC\x80\x00\x00\x22", &track.description[..]].concat(),
            _ => track.description.clone(),
        };
        let config = config(
            codec,
            48_000,
            2,
            (codec != "mp3").then_some(&description[..]),
        );
        speed::compare(codec, 48_000, alone, &Symphonia, &config, &chunks);
    }
}
