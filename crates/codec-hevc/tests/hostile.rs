//! Damaged streams: an error or a clean end, never a panic that leaves the decoder, or a hang.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_media::codec::Limits;
use reelcore_media::hevc::access_units;
use reelcore_media::{EncodedChunk, VideoDecoderBackend};

/// Rounds of a test: `HEVC_HOSTILE_ROUNDS` asks for more.
fn rounds(default: usize) -> usize {
    std::env::var("HEVC_HOSTILE_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

#[test]
fn two_thousand_damaged_streams_end_in_an_error_or_cleanly() {
    let streams = [
        "b-pyramid",
        "main-10-wpp",
        "slices-wpp",
        "weighted",
        "scaling-lists",
        "lossless",
        "sub-layers",
    ]
    .map(Stream::read);
    let mut context = context();
    context.limits = Limits {
        max_frame_pixels: 512 * 512,
        ..Limits::default()
    };
    let mut random = Random(0x5eed_1234_abcd_0001);
    let (mut errors, mut clean, mut stopped) = (0, 0, 0);
    for round in 0..rounds(2000) {
        let stream = &streams[round % streams.len()];
        let mut config = config();
        config.optimize_for_latency = random.next(2) == 0;
        let mut decoder = Hevc.start(&config, &context).unwrap();
        let mut failed = false;
        for mut chunk in stream.chunks().into_iter().take(8) {
            let mut data = chunk.data.to_vec();
            match random.next(6) {
                0 => data.truncate(random.next(data.len())),
                1..=3 => {
                    // Half of the damage is near the start, where parameter sets and headers are.
                    let reach = if random.next(2) == 0 { 120 } else { data.len() };
                    for _ in 0..=random.next(4) {
                        let at = random.next(reach.min(data.len()));
                        data[at] ^= 1 << random.next(8);
                    }
                }
                _ => {}
            }
            chunk.data = data.into();
            let result = decoder.decode(&chunk, &mut |frame| drop(md5(&frame)));
            if let Err(error) = result {
                stopped += usize::from(error.message.contains("no encoder writes"));
                failed = true;
                break;
            }
        }
        failed |= !failed && decoder.flush(&mut |_| ()).is_err();
        if failed {
            errors += 1;
        } else {
            clean += 1;
        }
    }
    println!("{errors} errors, {clean} clean, {stopped} stopped");
    assert!(errors > 500, "damage is noticed: {errors}");
}

#[test]
fn mixed_and_shuffled_units_end_in_an_error_or_cleanly() {
    let streams = ["open-gop", "radl", "low-delay", "main-10", "cropped-sar"].map(Stream::read);
    let chunks: Vec<EncodedChunk> = streams.iter().flat_map(Stream::chunks).collect();
    let mut random = Random(0x0dd_ba11);
    let mut frames = 0;
    for _ in 0..rounds(300) {
        let mut decoder = start(&config());
        for _ in 0..30 {
            let mut data = chunks[random.next(chunks.len())].data.to_vec();
            if random.next(3) == 0 {
                data.extend_from_slice(&chunks[random.next(chunks.len())].data);
            }
            let chunk = EncodedChunk::new(kind(true), 0, data.into());
            if decoder.decode(&chunk, &mut |_| frames += 1).is_err() {
                // The contract calls it unusable; a reset must make it usable, whatever stopped it.
                decoder.reset();
            }
            match random.next(20) {
                0 => decoder.flush(&mut |_| frames += 1).unwrap(),
                1 => decoder.reset(),
                _ => {}
            }
        }
        decoder.reset();
        let stream = &streams[random.next(streams.len())];
        let frames = decode_all(&mut *decoder, &stream.chunks());
        assert_eq!(checksums(&frames), stream.md5);
    }
    assert!(frames > 0);
}

#[test]
fn random_bytes_are_no_stream() {
    let mut random = Random(0xfeed_f00d);
    for _ in 0..rounds(2000) {
        let mut data = vec![0, 0, 1];
        data.extend((0..random.next(200)).map(|_| random.next(256) as u8));
        let chunk = EncodedChunk::new(kind(true), 0, Bytes::from(data.clone()));
        let mut frames = 0;
        let _ = start(&config()).decode(&chunk, &mut |_| frames += 1);
        assert_eq!(frames, 0);
        let _ = access_units(&data);
        let mut config = config();
        config.description = Some(data.into());
        assert!(Hevc.check(&config).is_err());
    }
}
