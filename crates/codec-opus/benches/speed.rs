//! libopus alone, and through this crate: `cargo bench -p reelcore-codec-opus`.

use reelcore_codec_opus::Opus;
use reelcore_conformance::sound::*;
use reelcore_conformance::speed;

fn main() {
    let path = clip(
        "speed.mka",
        48_000,
        "stereo",
        &["-c:a", "libopus", "-b:a", "128k"],
    );
    let track = track(&path);
    // Long enough for a steady figure.
    let chunks = vec![&track.chunks[..]; 20].concat();
    let alone = || {
        let mut decoder = opus::Decoder::new(48_000, opus::Channels::Stereo).expect("starts");
        let mut samples = vec![0.0; 5760 * 2];
        let mut decode = |data| {
            decoder
                .decode_float(data, &mut samples, false)
                .expect("decodes")
        };
        chunks.iter().map(|chunk| decode(&chunk.data)).sum()
    };
    let config = config("opus", 48_000, 2, Some(&track.description));
    speed::compare("Opus stereo", 48_000, alone, &Opus, &config, &chunks);
}
