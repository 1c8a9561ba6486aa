//! Frames per second of encoding at 720p, realtime, 4 Mbit/s.
//!
//! `cargo run -p reelcore-codec-vpx --example vpx_encode_speed [THREADS]`

use reelcore_codec_vpx::VpxEncoder;
use reelcore_conformance::encoding::print_speed;

fn main() {
    let threads = std::env::args().nth(1);
    let threads = threads.map_or(2, |n| n.parse().expect("threads"));
    for codec in ["vp8", "vp09.00.31.08", "vp09.02.31.10"] {
        print_speed(&VpxEncoder, codec, threads);
    }
}
