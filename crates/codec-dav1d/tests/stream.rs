//! What happens around decoding: flush, reset, changes of size, latency, limits.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_dav1d::Dav1d;
use reelcore_media::codec::Limits;
use reelcore_media::{
    ChunkKind, EncodedChunk, ErrorKind, VideoCodec, VideoDecoderBackend, VideoDecoderConfig, av1,
};

#[test]
fn flush_outputs_all_and_the_next_chunk_must_be_key() {
    let stream = Stream::read("main-8");
    let second_key = 1 + stream.chunks[1..]
        .iter()
        .position(|c| c.kind == ChunkKind::Key)
        .expect("two key chunks");
    for threads in [1, 4] {
        let mut decoder = start(&context(threads));
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
fn reset_drops_what_is_in_work_and_starts_anew() {
    let stream = Stream::read("main-8");
    for threads in [1, 4] {
        let mut decoder = start(&context(threads));
        for chunk in &stream.chunks[..7] {
            decoder.decode(chunk, &mut |_| ()).unwrap();
        }
        decoder.reset();
        let frames = decode_all(&mut *decoder, &stream.chunks);
        assert_eq!(checksums(&frames), stream.md5);
    }
}

#[test]
fn a_change_of_size_and_format_in_mid_stream_gives_frames_of_each() {
    let streams = ["main-8", "gray-8", "high-444-10", "gray-10", "main-8"].map(Stream::read);
    let mut decoder = start(&context(2));
    let mut frames = Vec::new();
    let mut want = Vec::new();
    for stream in &streams {
        for chunk in &stream.chunks {
            decoder.decode(chunk, &mut |f| frames.push(f)).unwrap();
        }
        want.extend(stream.md5.iter().cloned());
    }
    decoder.flush(&mut |f| frames.push(f)).unwrap();
    assert_eq!(checksums(&frames), want);
}

#[test]
fn low_latency_gives_each_frame_from_its_own_chunk() {
    let stream = Stream::read("main-8");
    let mut config = config();
    config.optimize_for_latency = true;
    let mut decoder = Dav1d.start(&config, &context(4)).unwrap();
    for chunk in &stream.chunks {
        let mut out = Vec::new();
        decoder.decode(chunk, &mut |f| out.push(f)).unwrap();
        assert_eq!(times(&out), [(chunk.timestamp, chunk.duration)]);
    }
}

#[test]
fn times_at_the_ends_of_their_range_come_back() {
    let stream = Stream::read("gray-8");
    let mut chunks = stream.chunks.clone();
    chunks[0].timestamp = i64::MIN;
    chunks[0].duration = Some(u64::MAX);
    chunks[1].timestamp = i64::MAX;
    chunks[1].duration = None;
    chunks[2].duration = Some(0);
    let got = times(&decode_all(&mut *start(&context(1)), &chunks));
    assert_eq!(got[0], (i64::MIN, Some(u64::MAX)));
    assert_eq!(got[1], (i64::MAX, None));
    assert_eq!(got[2].1, Some(0));
}

#[test]
fn wrong_chunks_are_errors() {
    let stream = Stream::read("main-8");
    let decode = |data: Bytes| {
        let mut decoder = start(&context(1));
        decoder.decode(&stream.chunks[0], &mut |_| ()).unwrap();
        let chunk = EncodedChunk {
            data,
            ..stream.chunks[1].clone()
        };
        decoder.decode(&chunk, &mut |_| ()).unwrap_err()
    };
    assert!(decode(Bytes::new()).message.contains("empty"));
    let mut bad = stream.chunks[1].data.to_vec();
    for byte in bad.iter_mut().step_by(4) {
        *byte = 0xff;
    }
    let error = decode(bad.into());
    assert_eq!(error.kind, ErrorKind::InvalidData);
    assert!(error.message.contains("timestamp -40000"), "{error}");
    let half = stream.chunks[1].data.len() / 2;
    assert_eq!(
        decode(stream.chunks[1].data.slice(..half)).kind,
        ErrorKind::InvalidData
    );
}

#[test]
fn pictures_above_the_cap_are_refused() {
    let stream = Stream::read("main-8");
    let mut context = context(1);
    context.limits = Limits {
        max_frame_pixels: 98 * 74 - 1,
        ..Limits::default()
    };
    let error = start(&context)
        .decode(&stream.chunks[0], &mut |_| ())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
}

#[test]
fn the_description_is_ignored_and_other_codecs_are_refused() {
    let mut described = config();
    described.description = Some(Bytes::from_static(b"no av1C at all"));
    assert!(Dav1d.check(&described).is_ok());
    let vp8 = VideoDecoderConfig::new(VideoCodec::Vp8);
    assert_eq!(Dav1d.check(&vp8).unwrap_err().kind, ErrorKind::Unsupported);
}

/// A frame that is shown again is three bytes of a chunk.
#[test]
fn chunks_of_more_pictures_than_the_cap_are_refused_before_they_are_decoded() {
    let stream = Stream::read("main-8");
    let mut chunk = stream.chunks[0].clone();
    let all: Vec<u8> = stream.chunks.iter().flat_map(|c| c.data.to_vec()).collect();
    chunk.data = all.into();
    let pictures = av1::inspect(&chunk.data).unwrap().frames;
    assert!(pictures >= stream.md5.len());
    let run = |max_chunk_pictures| {
        let mut context = context(1);
        context.limits = Limits {
            max_chunk_pictures,
            ..Limits::default()
        };
        let mut decoder = start(&context);
        let mut frames = Vec::new();
        let result = decoder.decode(&chunk, &mut |frame| frames.push(frame));
        (result, checksums(&frames))
    };
    assert_eq!(run(pictures), (Ok(()), stream.md5.clone()));
    let (result, frames) = run(pictures - 1);
    let error = result.expect_err("above the cap");
    assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
    assert!(error.message.contains("max_chunk_pictures"), "{error}");
    assert!(frames.is_empty());
}
