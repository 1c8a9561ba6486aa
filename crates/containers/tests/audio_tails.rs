//! Files of sound with something behind it that is none.

#[path = "support/clips.rs"]
mod made;
#[path = "support/sound.rs"]
mod sound;
mod support;

use made::ffmpeg;
use sound::*;
use support::{open_bytes, packets};

/// xorshift64*
fn noise(mut state: u64, count: usize) -> Vec<u8> {
    let mut byte = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..count).map(|_| byte()).collect()
}

#[test]
fn what_stands_behind_the_data_of_w64_and_is_no_chunk_is_passed_over() {
    let whole = w64(&[
        w64_chunk(b"fmt ", &wave_format(1, 1, 8000, 8)),
        w64_chunk(b"data", &[7; 8000]),
    ]);
    for (what, tail) in [("zeros", vec![0; 4096]), ("noise", noise(7, 999))] {
        let demuxer = open_bytes([whole.clone(), tail].concat()).expect(what);
        assert_eq!(demuxer.duration(), Some(1_000_000), "{what}");
        let all = packets(&demuxer, 0).expect(what);
        let bytes: usize = all.iter().map(|packet| packet.chunk.data.len()).sum();
        assert_eq!(bytes, 8000, "{what}");
    }
    // Before the data it is an error as it was.
    let broken = [w64(&[]), vec![0; 4096]].concat();
    assert!(open_bytes(broken).is_err());
}

#[test]
fn the_last_frame_of_flac_is_whole_whatever_follows_it() {
    // Every kind of subframe: tones, noise, silence; both stereo and not; constant, fixed and linear prediction; wasted bits.
    let tones = "-f lavfi -i aevalsrc=0.4*sin(440*2*PI*t)+0.05*random(0)|0.4*sin(441*2*PI*t):s=44100:d=0.71";
    let clips = [
        ("tones.flac", "-c:a flac"),
        ("fixed.flac", "-c:a flac -compression_level 0"),
        ("best.flac", "-c:a flac -compression_level 12"),
        (
            "deep.flac",
            "-c:a flac -sample_fmt s32 -bits_per_raw_sample 24",
        ),
        ("mono.flac", "-ac 1 -c:a flac -frame_size 576"),
        ("quiet.flac", "-af volume=0 -c:a flac"),
        ("loud.flac", "-af volume=60dB -c:a flac"),
    ];
    for (name, args) in clips {
        let args: Vec<&str> = tones.split(' ').chain(args.split(' ')).collect();
        let bytes = std::fs::read(ffmpeg(name, &args)).expect(name);
        let whole = packets(&open_bytes(bytes.clone()).expect(name), 0).expect(name);
        for tail in [
            noise(1, 5000),
            noise(2, 3),
            vec![0; 900],
            vec![0xff; 70_000],
        ] {
            let all = [&bytes[..], &tail].concat();
            let got = packets(&open_bytes(all).expect(name), 0).expect(name);
            assert_eq!(got.len(), whole.len(), "{name} and {}", tail.len());
            for (got, want) in got.iter().zip(&whole) {
                assert_eq!(got.chunk.data, want.chunk.data, "{name} and {}", tail.len());
                assert_eq!(got.chunk.timestamp, want.chunk.timestamp, "{name}");
            }
        }
        // A frame that is cut off or damaged is still an error.
        let damaged = [&bytes[..bytes.len() - 9], &noise(3, 5000)].concat();
        assert!(
            packets(&open_bytes(damaged).expect(name), 0).is_err(),
            "{name}"
        );
    }
}
