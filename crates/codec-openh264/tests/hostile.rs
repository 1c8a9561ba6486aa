//! Damaged streams: an error or a clean end, never a panic, a hang or a leak.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_openh264::OpenH264;
use reelcore_media::codec::Limits;
use reelcore_media::h264::access_units;
use reelcore_media::{EncodedChunk, VideoDecoderBackend};

#[test]
fn two_thousand_damaged_streams_end_in_an_error_or_cleanly() {
    let streams = ["b-pyramid", "main-cavlc", "baseline", "main-slices"].map(Stream::read);
    let mut context = context();
    context.limits = Limits {
        max_frame_pixels: 512 * 512,
        ..Limits::default()
    };
    let mut random = Random(0x5eed_1234_abcd_0001);
    let (mut errors, mut clean) = (0, 0);
    for round in 0..2000 {
        let stream = &streams[round % streams.len()];
        let mut config = config();
        config.optimize_for_latency = random.next(2) == 0;
        let mut decoder = OpenH264.start(&config, &context).unwrap();
        let mut failed = false;
        for mut chunk in stream.chunks().into_iter().take(8) {
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
        if failed {
            errors += 1;
        } else {
            decoder.flush(&mut |_| ()).unwrap();
            clean += 1;
        }
    }
    assert!(errors > 500, "damage is noticed: {errors}");
    assert!(errors + clean == 2000);
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(77);
    let stream = Stream::read("baseline");
    for _ in 0..500 {
        let mut data = vec![0, 0, 0, 1];
        data.extend((0..random.next(200)).map(|_| random.next(256) as u8));
        let _ = access_units(&data);
        let mut decoder = OpenH264.start(&config(), &context()).unwrap();
        decoder.decode(&stream.chunks()[0], &mut |_| ()).unwrap();
        let chunk = EncodedChunk {
            data: Bytes::from(data),
            ..stream.chunks()[1].clone()
        };
        let mut pictures = 0;
        let result = decoder.decode(&chunk, &mut |_| pictures += 1);
        // What has no slice gives nothing, and is no error.
        assert!(result.is_err() || pictures == 0, "{chunk:?}");
    }
}
