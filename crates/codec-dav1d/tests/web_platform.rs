//! The chunks of the Web Platform Tests' decoder tests, where a checkout is at hand.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind};

/// `videoDecoder-codec-specific-setup.js`: offset and size of the chunks of av1.mp4.
const RANGES: [(usize, usize); 10] = [
    (48, 1938),
    (1986, 848),
    (2834, 3),
    (2837, 47),
    (2884, 3),
    (2887, 116),
    (3003, 3),
    (3006, 51),
    (3057, 25),
    (3082, 105),
];

#[test]
fn the_chunks_of_the_web_platform_tests_decode_and_their_damaged_ones_do_not() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    let bytes = Bytes::from(std::fs::read(folder.join("av1.mp4")).unwrap());
    let chunks: Vec<_> = RANGES
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
    for threads in [1, 2, 4] {
        let context = context(threads);
        let frames = decode_all(&mut *start(&context), &chunks);
        let want: Vec<_> = (0..10).map(|index| (index, Some(1))).collect();
        assert_eq!(times(&frames), want);
        // "Decode corrupt frame", "Decode empty frame". The error may come with the flush.
        for damaged in [1, 2] {
            let mut data = chunks[damaged].data.to_vec();
            for byte in data.iter_mut().step_by(4) {
                *byte = 0xff;
            }
            for data in [data, Vec::new()] {
                let mut decoder = start(&context);
                decoder.decode(&chunks[0], &mut |_| ()).unwrap();
                let chunk = EncodedChunk {
                    data: data.into(),
                    ..chunks[damaged].clone()
                };
                let error = decoder
                    .decode(&chunk, &mut |_| ())
                    .and_then(|()| decoder.flush(&mut |_| ()))
                    .unwrap_err();
                assert_eq!(error.kind, ErrorKind::InvalidData, "{error}");
            }
        }
    }
}
