//! The chunks of the Web Platform Tests' decoder tests, where a checkout is at hand.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_conformance::web_platform_tests;
use reelcore_media::{
    ChunkKind, EncodedChunk, ErrorKind, Size, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

/// What `videoDecoder-codec-specific-setup.js` says of a file.
struct Variant {
    file: &'static str,
    /// Offset and size of the hvcC.
    description: Option<(usize, usize)>,
    /// Offset of the first chunk; the others follow.
    first: usize,
    sizes: [usize; 10],
}

const VARIANTS: [Variant; 2] = [
    Variant {
        file: "h265.mp4",
        description: Some((5821, 2406)),
        first: 44,
        sizes: [2515, 279, 327, 329, 308, 292, 352, 296, 216, 344],
    },
    Variant {
        file: "h265.annexb",
        description: None,
        first: 0,
        sizes: [4894, 279, 327, 329, 308, 292, 352, 296, 216, 344],
    },
];

#[test]
fn the_chunks_of_the_web_platform_tests_decode_and_their_damaged_ones_do_not() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    for variant in VARIANTS {
        let file = variant.file;
        let bytes = Bytes::from(std::fs::read(folder.join(file)).unwrap());
        let mut config =
            VideoDecoderConfig::new(VideoCodec::parse("hev1.1.6.L60.90").expect("a codec"));
        config.coded_size = Some(Size::new(320, 240));
        config.description = variant
            .description
            .map(|(at, size)| bytes.slice(at..at + size));
        Hevc.check(&config).unwrap();
        let mut at = variant.first;
        let mut chunks = Vec::new();
        for (index, size) in variant.sizes.into_iter().enumerate() {
            chunks.push(EncodedChunk {
                kind: if index == 0 {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp: index as i64,
                duration: Some(1),
                data: bytes.slice(at..at + size),
                side: None,
            });
            at += size;
        }
        let frames = decode_all(&mut *start(&config), &chunks);
        let want: Vec<_> = (0..10).map(|index| (index, Some(1))).collect();
        assert_eq!(times(&frames), want, "{file}");
        for frame in &frames {
            assert_eq!(frame.display_size, Size::new(320, 240), "{file}");
        }
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
                assert_eq!(error.kind, ErrorKind::InvalidData, "{file}: {error}");
            }
        }
        // "Test decoding after flush": the key chunk again and again.
        let mut decoder = start(&config);
        for _ in 0..3 {
            let frames = decode_all(&mut *decoder, &chunks[..1]);
            assert_eq!(times(&frames), [(0, Some(1))], "{file}");
        }
    }
}
