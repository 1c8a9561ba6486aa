//! Frames per second of encoding at 720p, realtime, 4 Mbit/s.
//!
//! `cargo run -p reelcore-codec-openh264 --example openh264_encode_speed [THREADS]`

use reelcore_codec_openh264::OpenH264Encoder;
use reelcore_conformance::encoding::print_speed;

fn main() {
    let threads = std::env::args().nth(1);
    let threads = threads.map_or(2, |n| n.parse().expect("threads"));
    for codec in ["avc1.42001f", "avc1.64001f"] {
        print_speed(&OpenH264Encoder, codec, threads);
    }
}
