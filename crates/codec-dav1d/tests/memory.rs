//! Decoding copies no picture, and memory comes back. In a process of its own (one test), as the
//! counters are of the process.

mod common;

use common::*;
use reelcore_media::counters;

#[test]
fn pictures_are_not_copied_and_their_memory_returns_when_frames_go() {
    let before = counters::read();
    for threads in [1, 3] {
        let context = context(threads);
        let stream = Stream::read("main-8");
        let mut decoder = start(&context);
        let frames = decode_all(&mut *decoder, &stream.chunks);
        // Frames share memory that dav1d wrote: nothing was copied to make them.
        assert_eq!(counters::read().cpu_copies, before.cpu_copies);
        assert_eq!(
            counters::read().frames_alive - before.frames_alive,
            frames.len() as i64
        );
        // They stay what they are while the decoder goes on, and after it is gone.
        let again = decode_all(&mut *decoder, &stream.chunks);
        drop(decoder);
        assert_eq!(checksums(&frames), stream.md5);
        assert_eq!(checksums(&again), stream.md5);
        let lent = context.pool.idle_bytes();
        drop(frames);
        drop(again);
        assert!(context.pool.idle_bytes() > lent);
        // Not a byte is lent any more: all that exists is idle, and goes with the pool.
        let held = counters::read().pool_bytes - before.pool_bytes;
        assert_eq!(held, context.pool.idle_bytes() as i64);
        drop(context);
        assert_eq!(counters::read().pool_bytes, before.pool_bytes);
    }
    // A decoder that is dropped in mid-stream, with frames still in work.
    let context = context(4);
    let stream = Stream::read("main-8");
    let mut decoder = start(&context);
    let mut frames = Vec::new();
    for chunk in &stream.chunks[..9] {
        decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
    }
    drop(decoder);
    drop(frames);
    assert_eq!(counters::read().frames_alive, before.frames_alive);
    let held = counters::read().pool_bytes - before.pool_bytes;
    assert_eq!(held, context.pool.idle_bytes() as i64);
}
