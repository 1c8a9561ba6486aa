//! The chunks of the Web Platform Tests' decoder tests, where a checkout is at hand.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind};

/// `videoDecoder-codec-specific-setup.js`: file, description, and offset and size of the chunks.
type Source = (&'static str, Option<(usize, usize)>, [(usize, usize); 10]);

const SOURCES: [Source; 2] = [
    (
        "h264.mp4",
        Some((9490, 45)),
        [
            (48, 4140),
            (4188, 604),
            (4792, 475),
            (5267, 561),
            (5828, 587),
            (6415, 519),
            (6934, 532),
            (7466, 523),
            (7989, 454),
            (8443, 528),
        ],
    ),
    (
        "h264.annexb",
        None,
        [
            (0, 4175),
            (4175, 602),
            (4777, 473),
            (5250, 559),
            (5809, 585),
            (6394, 517),
            (6911, 530),
            (7441, 521),
            (7962, 452),
            (8414, 526),
        ],
    ),
];

#[test]
fn the_chunks_of_the_web_platform_tests_decode_and_their_damaged_ones_do_not() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    for (name, description, ranges) in SOURCES {
        let bytes = Bytes::from(std::fs::read(folder.join(name)).unwrap());
        let mut config = config();
        config.description = description.map(|(at, size)| bytes.slice(at..at + size));
        let chunks: Vec<_> = ranges
            .iter()
            .enumerate()
            .map(|(index, &(at, size))| EncodedChunk {
                kind: if index == 0 {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp: index as i64,
                duration: Some(1),
                data: bytes.slice(at..at + size),
                side: None,
            })
            .collect();
        let frames = decode_all(&mut *start(&config), &chunks);
        let want: Vec<_> = (0..10).map(|index| (index, Some(1))).collect();
        assert_eq!(times(&frames), want, "{name}");
        // "Decode corrupt frame", "Decode empty frame".
        for damaged in [1, 2] {
            let mut data = chunks[damaged].data.to_vec();
            for byte in data.iter_mut().step_by(4) {
                *byte = 0xff;
            }
            for data in [data, Vec::new()] {
                let mut decoder = start(&config);
                decoder.decode(&chunks[0], &mut |_| ()).unwrap();
                let chunk = EncodedChunk {
                    data: data.into(),
                    ..chunks[damaged].clone()
                };
                let error = decoder.decode(&chunk, &mut |_| ()).unwrap_err();
                assert_eq!(error.kind, ErrorKind::InvalidData, "{name}: {error}");
            }
        }
        // "Test low-latency decoding".
        config.optimize_for_latency = true;
        let mut frames = 0;
        start(&config)
            .decode(&chunks[0], &mut |_| frames += 1)
            .unwrap();
        assert_eq!(frames, 1, "{name}");
    }
}
