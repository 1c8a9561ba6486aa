//! Seconds of audio decoded in a second, for the benchmarks of the audio codec crates.

use std::time::Instant;

use reelcore_media::{AudioDecoderBackend, AudioDecoderConfig, EncodedChunk};

use crate::sound::start;

/// Prints the best of five runs of the bare library, `alone`, which gives the number of frames, and of `backend`.
///
/// # Panics
/// On an error of the decoder.
pub fn compare(
    what: &str,
    rate: u32,
    mut alone: impl FnMut() -> usize,
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
    chunks: &[EncodedChunk],
) {
    let best = |run: &mut dyn FnMut() -> usize| {
        let speeds = (0..5).map(|_| {
            let start = Instant::now();
            let frames = run();
            frames as f64 / f64::from(rate) / start.elapsed().as_secs_f64()
        });
        speeds.fold(0.0, f64::max)
    };
    let alone = best(&mut alone);
    let ours = best(&mut || {
        let mut decoder = start(backend, config);
        let mut frames = 0;
        for chunk in chunks {
            decoder
                .decode(chunk, &mut |output| frames += output.frames as usize)
                .expect("decodes");
        }
        frames
    });
    println!(
        "{what}: alone {alone:.0}, this crate {ours:.0} seconds of audio a second ({:.2})",
        ours / alone
    );
}
