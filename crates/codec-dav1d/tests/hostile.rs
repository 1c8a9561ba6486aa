//! Damaged streams: an error or a clean end, never a panic, a hang or a leak.

mod common;

use common::*;
use reelcore_media::codec::Limits;
use reelcore_media::counters;

#[test]
fn two_thousand_damaged_streams_end_in_an_error_or_cleanly() {
    let names = [
        "main-8",
        "main-10",
        "high-444-8",
        "gray-8",
        "film-grain",
        "superres",
    ];
    let streams = names.map(Stream::read);
    let before = counters::read();
    let mut random = Random(0x5eed_1234_abcd_0001);
    let mut errors = 0;
    for round in 0..2000 {
        let stream = &streams[round % streams.len()];
        let mut context = context(1 + round % 3);
        context.limits = Limits {
            max_frame_pixels: 1024 * 1024,
            ..Limits::default()
        };
        let mut decoder = start(&context);
        let mut failed = false;
        for chunk in stream.chunks.iter().take(6) {
            let mut chunk = chunk.clone();
            let mut data = chunk.data.to_vec();
            match random.next(6) {
                0 => data.truncate(random.next(data.len())),
                1..=3 => {
                    for _ in 0..=random.next(4) {
                        let at = random.next(data.len());
                        data[at] ^= 1 << random.next(8);
                    }
                }
                _ => {}
            }
            chunk.data = data.into();
            if decoder
                .decode(&chunk, &mut |frame| drop(md5(&frame)))
                .is_err()
            {
                failed = true;
                break;
            }
        }
        failed |= !failed && decoder.flush(&mut |_| ()).is_err();
        errors += usize::from(failed);
    }
    assert!(errors > 500, "damage is noticed: {errors}");
    assert_eq!(counters::read().frames_alive, before.frames_alive);
    assert_eq!(counters::read().pool_bytes, before.pool_bytes);
}
