//! Decoding VP9 copies no picture, decoding VP8 copies each once, and memory comes back. In a process of its own (one
//! test), as the counters are of the process.

mod common;

use common::*;
use reelcore_media::{PixelFormat, counters};

#[test]
fn pictures_are_not_copied_and_their_memory_returns_when_frames_go() {
    let before = counters::read();
    for (name, copies) in [
        ("vp9-hidden", 0),
        ("vp9-420p10", 0),
        ("vp9-alpha", 0),
        ("vp8-hidden", 1),
        // The colour, and the luma of the alpha.
        ("vp8-alpha", 2),
    ] {
        for threads in [1, 3] {
            let context = context(threads);
            let stream = Stream::read(name);
            let mut decoder = stream.start(&context);
            let start = counters::read();
            let frames = decode_all(&mut *decoder, &stream.chunks);
            let after = counters::read();
            assert_eq!(
                after.cpu_copies - start.cpu_copies,
                copies * frames.len() as u64,
                "{name}"
            );
            if name == "vp8-alpha" {
                let bytes = PixelFormat::I420A
                    .packed_size(frames[0].coded_size)
                    .unwrap();
                assert_eq!(
                    after.cpu_copy_bytes - start.cpu_copy_bytes,
                    (bytes * frames.len()) as u64,
                    "the chroma of the alpha is not copied"
                );
            }
            assert_eq!(
                after.frames_alive - before.frames_alive,
                frames.len() as i64
            );
            // They stay what they are while the decoder goes on, and after it is gone.
            let again = decode_all(&mut *decoder, &stream.chunks);
            drop(decoder);
            assert_eq!(checksums(&frames), stream.md5, "{name}");
            assert_eq!(checksums(&again), stream.md5, "{name}");
            let lent = context.pool.idle_bytes();
            drop(frames);
            drop(again);
            assert!(context.pool.idle_bytes() > lent);
            // Not a byte is lent any more: all that exists is idle, and goes with the pool.
            let held = counters::read().pool_bytes - before.pool_bytes;
            assert_eq!(held, context.pool.idle_bytes() as i64, "{name}");
            drop(context);
            assert_eq!(counters::read().pool_bytes, before.pool_bytes, "{name}");
        }
    }

    // A reset gives the references back, while the decoder lives.
    let context = context(2);
    let stream = Stream::read("vp9");
    let mut decoder = stream.start(&context);
    for chunk in &stream.chunks[..5] {
        decoder.decode(chunk, &mut |_| ()).unwrap();
    }
    let held = || counters::read().pool_bytes - before.pool_bytes;
    assert!(
        held() > context.pool.idle_bytes() as i64,
        "references are lent"
    );
    decoder.reset();
    assert_eq!(held(), context.pool.idle_bytes() as i64);

    // Frames that are dropped as they come: a handful of buffers serves the whole stream.
    let mut most = 0;
    for _ in 0..5 {
        for chunk in &stream.chunks {
            decoder.decode(chunk, &mut drop).unwrap();
            most = most.max(held());
        }
        decoder.flush(&mut |_| ()).unwrap();
    }
    let one = 96 * 64 * 3 / 2;
    // A buffer has borders of 160 pixels.
    assert!(
        most < 6 * (96 + 320) * (64 + 320) * 3 / 2 + 6 * one,
        "{most}"
    );
    drop(decoder);
    assert_eq!(held(), context.pool.idle_bytes() as i64);
    assert_eq!(counters::read().frames_alive, before.frames_alive);
}
