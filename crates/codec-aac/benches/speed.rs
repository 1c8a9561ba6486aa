//! rusty_aac alone, and through this crate: `cargo bench -p reelcore-codec-aac`.

use reelcore_codec_aac::Aac;
use reelcore_conformance::sound::*;
use reelcore_conformance::speed;

fn main() {
    for layout in ["stereo", "5.1"] {
        let path = clip(
            &format!("speed-{layout}.mka"),
            48_000,
            layout,
            &["-c:a", "aac"],
        );
        let track = track(&path);
        // Long enough for a steady figure.
        let chunks = vec![&track.chunks[..]; 20].concat();
        let alone = || {
            let stream = rusty_aac::config::parse(&track.description).expect("a configuration");
            let mut decoder =
                rusty_aac::decode::Decoder::with_stream_config(stream).expect("starts");
            let decode = |chunk| decoder.decode(chunk, None).expect("decodes").frames();
            chunks.iter().map(|chunk| &chunk.data[..]).map(decode).sum()
        };
        let config = config(
            "mp4a.40.2",
            48_000,
            track.channels,
            Some(&track.description),
        );
        speed::compare(
            &format!("AAC-LC {layout}"),
            48_000,
            alone,
            &Aac,
            &config,
            &chunks,
        );
    }
}
