//! What is copied, and that memory comes back. In a process of its own (one test), as the counters are of the process.

mod common;

use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_media::{VideoDecoderBackend, counters};

#[test]
fn ten_bit_pictures_are_not_copied_and_memory_returns_when_frames_go() {
    let before = counters::read();
    let stream = Stream::read("main-10");
    let context = context();
    let mut decoder = Hevc.start(&config(), &context).unwrap();
    let frames = decode_all(&mut *decoder, &stream.chunks());
    // Frames share the memory that the decoder wrote.
    assert_eq!(counters::read().cpu_copies, before.cpu_copies);
    assert_eq!(
        counters::read().frames_alive - before.frames_alive,
        frames.len() as i64
    );
    // They stay what they are while the decoder goes on with other memory, and after it is gone.
    let again = decode_all(&mut *decoder, &stream.chunks());
    drop(decoder);
    assert_eq!(checksums(&frames), stream.md5);
    assert_eq!(checksums(&again), stream.md5);
    drop((frames, again));

    // 8-bit pictures are copied once, into the pool, as the decoder has 16-bit samples.
    let stream = Stream::read("b-pyramid");
    let mut decoder = Hevc.start(&config(), &context).unwrap();
    let mut frames = Vec::new();
    for chunk in &stream.chunks()[..9] {
        decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
    }
    assert_eq!(counters::read().cpu_copies - before.cpu_copies, 9);
    // Dropped in mid-stream, with frames that wait for their turn.
    drop(decoder);
    drop(frames);
    assert_eq!(counters::read().frames_alive, before.frames_alive);
    let held = counters::read().pool_bytes - before.pool_bytes;
    assert_eq!(held, context.pool.idle_bytes() as i64);
    drop(context);
    assert_eq!(counters::read().pool_bytes, before.pool_bytes);
}
