//! What happens around decoding: flush, reset, changes of size, alpha, limits, wrong chunks.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_vpx::Vpx;
use reelcore_media::codec::Limits;
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind, PixelFormat, Size, VideoDecoderBackend};

const BOTH: [&str; 2] = ["vp8", "vp9"];

#[test]
fn flush_outputs_all_and_the_next_chunk_must_be_key() {
    for name in BOTH {
        let stream = Stream::read(name);
        let second_key = 1 + stream.chunks[1..]
            .iter()
            .position(|c| c.kind == ChunkKind::Key)
            .expect("two key chunks");
        let mut decoder = stream.start(&context(2));
        let mut frames = decode_all(&mut *decoder, &stream.chunks[..second_key]);
        assert_eq!(frames.len(), second_key);
        let delta = EncodedChunk {
            kind: ChunkKind::Key,
            ..stream.chunks[second_key + 1].clone()
        };
        let error = decoder.decode(&delta, &mut |_| ()).unwrap_err();
        assert!(error.message.contains("no key frame"), "{error}");
        frames.extend(decode_all(&mut *decoder, &stream.chunks[second_key..]));
        assert_eq!(checksums(&frames), stream.md5);
    }
}

#[test]
fn reset_forgets_the_references_and_starts_anew() {
    for name in ["vp8", "vp9", "vp8-alpha", "vp9-alpha"] {
        let stream = Stream::read(name);
        let mut decoder = stream.start(&context(2));
        decoder.reset();
        for chunk in &stream.chunks[..5] {
            decoder.decode(chunk, &mut |_| ()).unwrap();
        }
        decoder.reset();
        let error = decoder.decode(&stream.chunks[5], &mut |_| ()).unwrap_err();
        assert!(error.message.contains("no key frame"), "{error}");
        let frames = decode_all(&mut *decoder, &stream.chunks);
        assert_eq!(checksums(&frames), stream.md5, "{name}");
    }
}

#[test]
fn a_frame_comes_with_its_own_chunk_and_times_at_the_ends_of_their_range_come_back() {
    for name in BOTH {
        let stream = Stream::read(name);
        let mut decoder = stream.start(&context(3));
        let times_of = [(i64::MIN, Some(u64::MAX)), (i64::MAX, None), (0, Some(0))];
        for (chunk, (timestamp, duration)) in stream.chunks.iter().zip(times_of) {
            let chunk = EncodedChunk {
                timestamp,
                duration,
                ..chunk.clone()
            };
            let mut out = Vec::new();
            decoder.decode(&chunk, &mut |f| out.push(f)).unwrap();
            assert_eq!(times(&out), [(timestamp, duration)]);
        }
    }
}

#[test]
fn a_change_of_size_and_format_in_mid_stream_gives_frames_of_each() {
    let vp8 = ["vp8", "vp8-odd", "vp8-partitions", "vp8"];
    let vp9 = [
        "vp9",
        "vp9-444p12",
        "vp9-tiles",
        "vp9-small",
        "vp9-odd",
        "vp9-422p10",
        "vp9",
    ];
    for names in [&vp8[..], &vp9[..]] {
        for threads in [1, 4] {
            let streams: Vec<_> = names.iter().map(|name| Stream::read(name)).collect();
            let mut decoder = streams[0].start(&context(threads));
            let mut frames = Vec::new();
            let mut want = Vec::new();
            for stream in &streams {
                for chunk in &stream.chunks {
                    decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
                }
                want.extend(stream.md5.iter().cloned());
            }
            assert_eq!(checksums(&frames), want);
        }
    }
}

/// Reads the uncompressed header of a key frame bit by bit.
struct Header<'a> {
    data: &'a [u8],
    at: usize,
}

impl Header<'_> {
    fn read(&mut self, count: usize) -> u32 {
        (0..count).fold(0, |value, _| {
            let bit = self.data[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn flag(&mut self) -> bool {
        self.read(1) == 1
    }

    /// A field of `count` bits behind a flag.
    fn optional(&mut self, count: usize) {
        if self.flag() {
            self.read(count);
        }
    }
}

/// Makes the VP9 key frame `key` (profile 0, at most 256 pixels wide, without segmentation) a hidden intra-only frame
/// that replaces all references. The two kinds differ in the header alone.
fn intra_only(key: &[u8]) -> Vec<u8> {
    let mut header = Header { data: key, at: 0 };
    assert_eq!(
        header.read(8),
        0x82,
        "a shown key frame of profile 0, not error resilient"
    );
    // frame_sync_code and color_config
    header.read(24 + 4);
    let from_size = header.at;
    header.read(32);
    header.optional(32);
    // refresh_frame_context, frame_parallel_decoding_mode, frame_context_idx
    header.read(4);
    // loop_filter_params
    header.read(9);
    if header.flag() && header.flag() {
        for _ in 0..6 {
            header.optional(7);
        }
    }
    // quantization_params
    header.read(8);
    for _ in 0..3 {
        header.optional(5);
    }
    assert!(!header.flag(), "no segmentation");
    // tile_info: no columns to choose from, then rows.
    header.optional(1);
    // header_size_in_bytes
    assert!(header.read(16) > 0);
    let end = header.at;

    let mut out = Vec::new();
    let mut put = |value: u32, count: usize| {
        out.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    };
    // frame_marker 2, profile 0, show_existing_frame 0, frame_type 1, show_frame 0, error_resilient_mode 0
    put(0x84, 8);
    // intra_only 1, reset_frame_context 3, frame_sync_code, refresh_frame_flags
    put(7, 3);
    put(0x49_83_42, 24);
    put(0xff, 8);
    header.at = from_size;
    while header.at < end {
        put(header.read(1), 1);
    }
    let byte = |bits: &[bool]| {
        let bits = bits.iter().enumerate();
        bits.fold(0, |byte, (at, &bit)| byte | u8::from(bit) << (7 - at))
    };
    let mut packed: Vec<u8> = out.chunks(8).map(byte).collect();
    packed.extend(&key[end.div_ceil(8)..]);
    packed
}

/// The frames as one chunk (annex B).
fn superframe(frames: &[&[u8]]) -> Bytes {
    let mut out = frames.concat();
    let header = 0xc0 | 1 << 3 | (frames.len() as u8 - 1);
    out.push(header);
    for frame in frames {
        out.extend((frame.len() as u16).to_le_bytes());
    }
    out.push(header);
    out.into()
}

#[test]
fn an_intra_only_frame_of_another_size_is_decoded_and_shown_later() {
    let large = Stream::read("vp9");
    let small = Stream::read("vp9-odd");
    let hidden = intra_only(&small.chunks[0].data);
    // show_existing_frame of slot 5.
    let show = [0x8d];
    let chunk = |data| EncodedChunk::new(ChunkKind::Delta, 7, data);
    for together in [false, true] {
        let mut decoder = large.start(&context(2));
        let mut frames = Vec::new();
        let mut decode = |chunk: &EncodedChunk| {
            let before = frames.len();
            decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
            frames.len() - before
        };
        assert_eq!(decode(&large.chunks[0]), 1);
        if together {
            assert_eq!(decode(&chunk(superframe(&[&hidden, &show]))), 1);
        } else {
            assert_eq!(decode(&chunk(hidden.clone().into())), 0, "hidden");
            assert_eq!(decode(&chunk(Bytes::copy_from_slice(&show))), 1);
        }
        assert_eq!(frames[1].coded_size, Size::new(83, 61));
        assert_eq!(
            checksums(&frames),
            [&large.md5[0], &small.md5[0]].map(String::clone)
        );
        assert_eq!(frames[1].timestamp, 7);
    }
    // It is no key frame to start with.
    let error = large
        .start(&context(1))
        .decode(&chunk(hidden.into()), &mut |_| ())
        .unwrap_err();
    assert!(error.message.contains("no key frame"), "{error}");
}

#[test]
fn a_frame_that_is_shown_again_shares_its_memory() {
    let stream = Stream::read("vp9");
    let mut decoder = stream.start(&context(1));
    let mut frames = Vec::new();
    let again = EncodedChunk::new(ChunkKind::Delta, 5, Bytes::from_static(&[0x88]));
    for chunk in [&stream.chunks[0], &again] {
        decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
    }
    let start = |index: usize| {
        frames[index].resource.cpu().unwrap().planes()[0]
            .data
            .as_ptr()
    };
    assert_eq!(start(0), start(1));
    assert_eq!(frames[1].timestamp, 5);
}

#[test]
fn of_several_shown_frames_in_a_chunk_the_last_is_output() {
    let stream = Stream::read("vp9");
    let joined = superframe(&[&stream.chunks[0].data, &stream.chunks[1].data]);
    let mut decoder = stream.start(&context(1));
    let chunk = EncodedChunk::new(ChunkKind::Key, 3, joined);
    let frames = decode_all(&mut *decoder, &[chunk]);
    assert_eq!(checksums(&frames), stream.md5[1..2]);
    // A second frame behind the first without an index is padding.
    let stuck = [&stream.chunks[0].data[..], &stream.chunks[1].data].concat();
    let chunk = EncodedChunk::new(ChunkKind::Key, 3, stuck.into());
    if let Ok(()) = decoder.decode(&chunk, &mut |f| assert_ne!(md5(&f), stream.md5[1])) {
        decoder.flush(&mut |_| ()).unwrap();
    }
}

#[test]
fn without_alpha_a_frame_is_opaque_and_alpha_goes_on_after_it() {
    for name in ["vp8-alpha", "vp9-alpha"] {
        let stream = Stream::read(name);
        let mut decoder = stream.start(&context(2));
        let mut chunks = stream.chunks.clone();
        // The last two are left without.
        let last = chunks.len() - 2;
        chunks[last].side = None;
        chunks[last + 1] = with_alpha(&chunks[last + 1], Some(Bytes::new()));
        let frames = decode_all(&mut *decoder, &chunks);
        assert_eq!(checksums(&frames[..last]), stream.md5[..last]);
        for frame in &frames[..last] {
            assert_eq!(frame.format, Some(PixelFormat::I420A));
        }
        for frame in &frames[last..] {
            assert_eq!(frame.format, Some(PixelFormat::I420));
        }
        let frames = decode_all(&mut *decoder, &stream.chunks);
        assert_eq!(checksums(&frames), stream.md5);
    }
}

#[test]
fn alpha_does_not_change_the_colour_planes() {
    for name in ["vp8-alpha", "vp9-alpha"] {
        let stream = Stream::read(name);
        let with = decode_all(&mut *stream.start(&context(1)), &stream.chunks);
        let opaque: Vec<_> = stream.chunks.iter().map(|c| with_alpha(c, None)).collect();
        let without = decode_all(&mut *stream.start(&context(1)), &opaque);
        for (a, b) in with.iter().zip(&without) {
            let (a, b) = (a.resource.cpu().unwrap(), b.resource.cpu().unwrap());
            assert_eq!((a.planes().len(), b.planes().len()), (4, 3));
            for (index, (a, b)) in a.planes().iter().zip(b.planes()).enumerate() {
                // Between the rows may stand anything.
                let row = PixelFormat::I420.row_bytes(index, 83);
                let rows = |data: &Bytes, stride| {
                    data.chunks(stride)
                        .map(|r| r[..row].to_vec())
                        .collect::<Vec<_>>()
                };
                assert_eq!(rows(&a.data, a.stride), rows(&b.data, b.stride));
            }
        }
    }
}

#[test]
fn alpha_of_another_size_or_depth_or_without_a_key_frame_is_an_error() {
    for (name, other) in [
        ("vp8-alpha", "vp8"),
        ("vp9-alpha", "vp9"),
        ("vp9-alpha", "vp9-420p10"),
    ] {
        let stream = Stream::read(name);
        let decode = |alpha: Bytes| {
            let chunk = with_alpha(&stream.chunks[0], Some(alpha));
            stream
                .start(&context(1))
                .decode(&chunk, &mut |_| ())
                .unwrap_err()
        };
        let error = decode(Stream::read(other).chunks[0].data.clone());
        assert_eq!(error.kind, ErrorKind::InvalidData);
        let expected = if other == "vp9-420p10" {
            "10 bits"
        } else {
            "96x64"
        };
        assert!(error.message.contains(expected), "{error}");
        assert!(error.message.contains("timestamp -80000"), "{error}");
        let error = decode(alpha(&stream.chunks[1]));
        assert!(error.message.contains("alpha: "), "{error}");
        assert!(error.message.contains("no key frame"), "{error}");
    }
}

#[test]
fn ten_bit_alpha_becomes_a_plane_of_the_ten_bit_format() {
    let stream = Stream::read("vp9-420p10");
    let chunks: Vec<_> = stream
        .chunks
        .iter()
        .map(|c| with_alpha(c, Some(c.data.clone())))
        .collect();
    let frames = decode_all(&mut *stream.start(&context(1)), &chunks);
    assert_eq!(frames.len(), stream.md5.len());
    for frame in &frames {
        assert_eq!(frame.format, Some(PixelFormat::I420AP10));
        let planes = frame.resource.cpu().unwrap().planes();
        let row = 83 * 2;
        for y in 0..61 {
            let at = |plane: usize| &planes[plane].data[y * planes[plane].stride..][..row];
            assert_eq!(at(0), at(3));
        }
    }
}

#[test]
fn wrong_chunks_are_errors_with_their_timestamp() {
    for name in BOTH {
        let stream = Stream::read(name);
        let decode = |data: Bytes| {
            let mut decoder = stream.start(&context(1));
            decoder.decode(&stream.chunks[0], &mut |_| ()).unwrap();
            let chunk = EncodedChunk {
                data,
                ..stream.chunks[1].clone()
            };
            let error = decoder.decode(&chunk, &mut |_| ()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidData, "{error}");
            assert!(error.message.contains("timestamp -40000"), "{error}");
            // What follows cannot be decoded before another key frame.
            let next = decoder.decode(&stream.chunks[2], &mut |_| ()).unwrap_err();
            assert!(next.message.contains("no key frame"), "{next}");
            error.message
        };
        let message = decode(Bytes::new());
        assert!(message.contains("expected"), "{message}");
        let mut bad = stream.chunks[1].data.to_vec();
        for byte in bad.iter_mut().step_by(4) {
            *byte = 0xff;
        }
        decode(bad.into());
        let half = stream.chunks[1].data.len() / 2;
        let message = decode(stream.chunks[1].data.slice(..half));
        assert!(message.contains("libvpx"), "{message}");
    }
}

#[test]
fn pictures_above_the_cap_are_refused_before_memory_is_taken_for_them() {
    for (name, size) in [("vp8-odd", 83 * 61), ("vp9-odd", 83 * 61)] {
        let stream = Stream::read(name);
        let mut context = context(1);
        context.limits = Limits {
            max_frame_pixels: size,
            ..Limits::default()
        };
        stream
            .start(&context)
            .decode(&stream.chunks[0], &mut |_| ())
            .unwrap();
        context.limits.max_frame_pixels -= 1;
        let mut decoder = stream.start(&context);
        let error = decoder.decode(&stream.chunks[0], &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
        assert!(error.message.contains("max_frame_pixels"), "{error}");
    }
    // A frame behind another one in the same chunk.
    let stream = Stream::read("vp9");
    let mut context = context(1);
    context.limits.max_frame_pixels = 96 * 64;
    let large = Stream::read("vp9-tiles").chunks[0].data.clone();
    for data in [
        superframe(&[&stream.chunks[0].data, &large]),
        [&stream.chunks[0].data[..], &large].concat().into(),
    ] {
        let chunk = EncodedChunk::new(ChunkKind::Key, 0, data);
        let mut sizes = Vec::new();
        let _ = stream
            .start(&context)
            .decode(&chunk, &mut |f| sizes.push(f.coded_size));
        assert!(!sizes.contains(&Size::new(1024, 80)));
    }
}

#[test]
fn chroma_at_half_the_rows_alone_is_refused_by_name() {
    let stream = Stream::read("vp9-440");
    let error = stream
        .start(&context(1))
        .decode(&stream.chunks[0], &mut |_| ())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("4:4:0"), "{error}");
}

#[test]
fn the_description_is_ignored_and_other_codecs_are_refused() {
    for codec in [
        "vp8",
        "vp09.00.10.08",
        "vp09.01.10.08.03",
        "vp09.02.10.12",
        "vp09.03.10.10.02",
    ] {
        let mut described = config(codec);
        described.description = Some(Bytes::from_static(b"no vpcC at all"));
        assert!(Vpx.check(&described).is_ok(), "{codec}");
    }
    let h264 = config("avc1.42001e");
    assert_eq!(Vpx.check(&h264).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn an_idle_decoder_takes_no_threads_and_no_pictures() {
    let context = context(8);
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let stream = Stream::read("vp9");
    let before = threads();
    let idle: Vec<_> = (0..200).map(|_| stream.start(&context)).collect();
    // Other tests of this process start and end threads meanwhile, but never as many.
    assert!(
        threads() < before + 100,
        "{before} threads, then {}",
        threads()
    );
    assert_eq!(context.pool.idle_bytes(), 0);
    drop(idle);
}
