//! Damaged streams: an error or a clean end, never a panic, a hang or a leak.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_media::codec::Limits;
use reelcore_media::{counters, vpx};

fn damage(random: &mut Random, data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    match random.next(6) {
        0 => data.truncate(random.next(data.len())),
        1 | 2 => {
            for _ in 0..=random.next(4) {
                let at = random.next(data.len());
                data[at] ^= 1 << random.next(8);
            }
        }
        // The headers, where the structure is.
        3 => {
            let at = random.next(data.len().min(24));
            data[at] = random.next(256) as u8;
        }
        _ => {}
    }
    data.into()
}

/// More rounds than the ordinary ones, for a longer run.
fn rounds() -> usize {
    let asked = std::env::var("VPX_HOSTILE_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(2000)
}

#[test]
fn two_thousand_damaged_streams_end_in_an_error_or_cleanly() {
    let names = [
        "vp8",
        "vp9",
        "vp8-partitions",
        "vp9-hidden",
        "vp8-alpha",
        "vp9-444p12",
        "vp9-tiles",
        "vp9-alpha",
        "vp8-odd",
        "vp9-422p10",
    ];
    let streams = names.map(Stream::read);
    let before = counters::read();
    let mut random = Random(0x5eed_1234_abcd_0001);
    let mut errors = 0;
    for round in 0..rounds() {
        let stream = &streams[round % streams.len()];
        let mut context = context(1 + round / 10 % 3);
        context.limits = Limits {
            max_frame_pixels: 1024 * 1024,
            ..Limits::default()
        };
        let mut decoder = stream.start(&context);
        let mut failed = false;
        for chunk in stream.chunks.iter().take(6) {
            let mut chunk = chunk.clone();
            chunk.data = damage(&mut random, &chunk.data);
            if chunk.side.is_some() {
                chunk = with_alpha(&chunk, Some(damage(&mut random, &alpha(&chunk))));
            }
            // The engine stops at an error; a decoder that is used nevertheless must stand it.
            let result = decoder.decode(&chunk, &mut |frame| drop(md5(&frame)));
            failed |= result.is_err();
        }
        failed |= decoder.flush(&mut |_| ()).is_err();
        errors += usize::from(failed);
    }
    assert!(errors > rounds() / 4, "damage is noticed: {errors}");
    assert_eq!(counters::read().frames_alive, before.frames_alive);
    assert_eq!(counters::read().pool_bytes, before.pool_bytes);
}

#[test]
fn every_truncation_of_a_chunk_is_an_error_or_a_frame() {
    for name in ["vp8-odd", "vp9-odd", "vp9-420p10"] {
        let stream = Stream::read(name);
        for chunk in &stream.chunks[..2] {
            let key = stream.chunks[0].clone();
            for len in (0..chunk.data.len()).step_by(1 + chunk.data.len() / 300) {
                let mut decoder = stream.start(&context(1));
                let mut cut = chunk.clone();
                cut.data = chunk.data.slice(..len);
                if chunk.timestamp != key.timestamp {
                    decoder.decode(&key, &mut |_| ()).unwrap();
                }
                let mut frames = 0;
                let result = decoder.decode(&cut, &mut |frame| {
                    frames += 1;
                    drop(md5(&frame));
                });
                assert_eq!(frames, usize::from(result.is_ok()), "{name}, {len} bytes");
            }
        }
    }
}

#[test]
fn arbitrary_bytes_are_errors_of_the_parsers_and_of_the_decoders() {
    let mut random = Random(0x0dd_ba11);
    for round in 0..20_000 {
        let mut data: Vec<u8> = (0..random.next(64))
            .map(|_| random.next(256) as u8)
            .collect();
        // Half of them with the right start, so that they get further.
        if round % 4 == 1 && data.len() > 10 {
            data[0] &= 0xfe;
            data[3..6].copy_from_slice(&[0x9d, 1, 0x2a]);
        }
        if round % 4 == 3 && data.len() > 10 {
            data[0] = 0x82;
            data[1..4].copy_from_slice(&[0x49, 0x83, 0x42]);
        }
        let _ = vpx::Vp8FrameHeader::parse(&data);
        let _ = vpx::Vp9FrameHeader::parse(&data);
        if let Ok(superframe) = vpx::Superframe::parse(&data) {
            assert!(
                superframe
                    .frames()
                    .iter()
                    .all(|f| !f.is_empty() && f.end <= data.len())
            );
        }
        if round % 16 < 2 {
            let stream = Stream {
                codec: if round % 16 == 0 {
                    "vp8"
                } else {
                    "vp09.00.10.08"
                },
                chunks: Vec::new(),
                md5: Vec::new(),
            };
            let mut context = context(1);
            context.limits.max_frame_pixels = 512 * 512;
            let chunk =
                reelcore_media::EncodedChunk::new(reelcore_media::ChunkKind::Key, 0, data.into());
            let _ = stream
                .start(&context)
                .decode(&chunk, &mut |frame| drop(md5(&frame)));
        }
    }
}
