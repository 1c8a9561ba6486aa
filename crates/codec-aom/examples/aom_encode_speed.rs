//! Frames per second of encoding at 720p, realtime, 4 Mbit/s.
//!
//! `cargo run -p reelcore-codec-aom --example aom_encode_speed [THREADS]`

use reelcore_codec_aom::Aom;
use reelcore_conformance::encoding::print_speed;

fn main() {
    let threads = std::env::args().nth(1);
    let threads = threads.map_or(2, |n| n.parse().expect("threads"));
    for codec in ["av01.0.05M.08", "av01.0.05M.10"] {
        print_speed(&Aom, codec, threads);
    }
}
