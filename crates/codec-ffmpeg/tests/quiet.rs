//! libavcodec's messages are not the embedder's to read.

mod common;

use std::process::Command;

use common::*;
use reelcore_media::{ChunkKind, EncodedChunk, VideoCodec, VideoDecoderConfig};

/// Says that the test runs in a process of its own, of which the standard error is read.
const ALONE: &str = "REELCORE_TEST_ALONE";

/// A bit string with a stop bit at its end.
#[derive(Default)]
struct Bits(String);

impl Bits {
    fn fixed(mut self, bits: &str) -> Self {
        self.0 += bits;
        self
    }

    /// ue(v).
    fn ue(self, value: u32) -> Self {
        let code = format!("{:b}", value + 1);
        let zeros = "0".repeat(code.len() - 1);
        self.fixed(&zeros).fixed(&code)
    }

    fn unit(self, header: &[u8]) -> Vec<u8> {
        let bits = self.fixed("1").0;
        let bytes = bits.as_bytes().chunks(8).map(|byte| {
            let bit = |n: usize| u8::from(byte.get(n) == Some(&b'1'));
            (0..8).fold(0, |all, n| all << 1 | bit(n))
        });
        header.iter().copied().chain(bytes).collect()
    }
}

/// A key chunk of H.264 of 16384x16384 pixels, which libavutil refuses.
fn huge() -> EncodedChunk {
    let sps = Bits::default().ue(0).ue(0).ue(2).ue(1).fixed("0");
    let sps = sps.ue(1023).ue(1023).fixed("1100");
    let pps = Bits::default().ue(0).ue(0).fixed("00").ue(0).ue(0).ue(0);
    let pps = pps.fixed("000").ue(0).ue(0).ue(0).fixed("100");
    let slice = Bits::default().ue(0).ue(7).ue(0).fixed("0000").ue(0);
    let slice = slice.fixed("00").ue(0).fixed(&"10001000".repeat(9));
    let units = [
        sps.unit(&[0x67, 66, 0xc0, 51]),
        pps.unit(&[0x68]),
        slice.unit(&[0x65]),
    ];
    EncodedChunk::new(ChunkKind::Key, 0, annexb(&units))
}

#[test]
fn a_size_that_libavutil_refuses_is_an_error_and_no_line_on_standard_error() {
    if std::env::var_os(ALONE).is_some() {
        let codec = VideoCodec::parse("avc1.42c033").unwrap();
        let config = VideoDecoderConfig::new(codec);
        let (frames, error) = decode(&mut *start(&config, 2), &[huge()]);
        assert!(frames.is_empty());
        println!("refused: {}", error.expect("an error"));
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("a_size_that_libavutil_refuses_is_an_error_and_no_line_on_standard_error")
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("refused: "), "{text}");
    let heard = String::from_utf8_lossy(&output.stderr);
    assert!(!heard.contains("Picture size"), "{heard}");
}
