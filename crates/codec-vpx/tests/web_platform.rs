//! The chunks of the Web Platform Tests' decoder tests, where a checkout is at hand.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::web_platform_tests;
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind, VideoDecoderBackend};

/// Offset and size of each chunk.
type Ranges = [(usize, usize); 10];

/// `videoDecoder-codec-specific-setup.js`: file, codec, offset and size of the chunks.
const FILES: [(&str, &str, Ranges); 2] = [
    (
        "vp8.webm",
        "vp8",
        [
            (522, 4826),
            (5355, 394),
            (5756, 621),
            (6384, 424),
            (6815, 532),
            (7354, 655),
            (8016, 670),
            (8693, 2413),
            (11113, 402),
            (11522, 686),
        ],
    ),
    (
        "vp9.mp4",
        "vp09.00.10.08",
        [
            (44, 3315),
            (3359, 203),
            (3562, 245),
            (3807, 172),
            (3979, 312),
            (4291, 170),
            (4461, 195),
            (4656, 181),
            (4837, 356),
            (5193, 159),
        ],
    ),
];

#[test]
fn the_chunks_of_the_web_platform_tests_decode_and_their_damaged_ones_do_not() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    for (file, codec, ranges) in FILES {
        let bytes = Bytes::from(std::fs::read(folder.join(file)).unwrap());
        let chunk = |index: usize, data: Bytes| EncodedChunk {
            kind: if index == 0 {
                ChunkKind::Key
            } else {
                ChunkKind::Delta
            },
            timestamp: index as i64,
            duration: Some(1),
            data,
            side: None,
        };
        let chunks: Vec<_> = ranges
            .iter()
            .enumerate()
            .map(|(index, &(at, size))| chunk(index, bytes.slice(at..at + size)))
            .collect();
        for threads in [1, 2, 4] {
            let context = context(threads);
            let start = || Vpx.start(&config(codec), &context).unwrap();
            let frames = decode_all(&mut *start(), &chunks);
            let want: Vec<_> = (0..10).map(|index| (index, Some(1))).collect();
            assert_eq!(times(&frames), want, "{file}");
            // "Decode corrupt frame", "Decode empty frame".
            for damaged in [1, 2] {
                let mut data = chunks[damaged].data.to_vec();
                for byte in data.iter_mut().step_by(4) {
                    *byte = 0xff;
                }
                for data in [data, Vec::new()] {
                    let mut decoder = start();
                    decoder.decode(&chunks[0], &mut |_| ()).unwrap();
                    let error = decoder
                        .decode(&chunk(damaged, data.into()), &mut |_| ())
                        .unwrap_err();
                    assert_eq!(error.kind, ErrorKind::InvalidData, "{file}: {error}");
                }
            }
        }
    }
}
