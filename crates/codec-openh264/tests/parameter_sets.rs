//! Parameter sets that come and change in the stream, and what they say about delay.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::{Family, Layout, Stream as Clip, ffmpeg_make, frame_md5};
use reelcore_media::h264::{AvcC, NalKind, Packaging, Sps, nal_units};
use reelcore_media::{EncodedChunk, VideoFrame};

/// Ten frames of 96x80 by x264 in Main profile, three of them in a group, with what FFmpeg decodes from them.
fn clip(name: &str, source: &str, params: &str) -> Clip {
    let params = format!("bframes=0:ref=1:weightp=0:keyint=3:min-keyint=3:scenecut=0:{params}");
    let source = format!("{source}=size=96x80:rate=25:duration=0.4");
    let args = [
        "-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p", "-c:v", "libx264",
    ];
    let more = [
        "-profile:v",
        "main",
        "-preset",
        "medium",
        "-x264-params",
        &params,
        "-f",
        "h264",
    ];
    let path = ffmpeg_make(&[&args[..], &more[..]].concat(), name).unwrap();
    Clip::with_ffmpeg_checksums(path, Family::H264, "yuv420p", &[]).unwrap()
}

fn sets(stream: &[u8]) -> (Vec<Bytes>, Vec<Bytes>) {
    let of = |kind: NalKind| {
        nal_units(stream, Packaging::AnnexB)
            .map(Result::unwrap)
            .filter(|nal| nal.kind == kind)
            .map(|nal| Bytes::copy_from_slice(nal.bytes))
            .collect::<Vec<_>>()
    };
    (of(NalKind::Sps), of(NalKind::Pps))
}

/// The chunk with lengths of four bytes, its parameter sets included.
fn with_lengths(chunk: &EncodedChunk) -> EncodedChunk {
    let mut data = Vec::new();
    for nal in nal_units(&chunk.data, Packaging::AnnexB) {
        let nal = nal.unwrap();
        data.extend_from_slice(&(nal.bytes.len() as u32).to_be_bytes());
        data.extend_from_slice(nal.bytes);
    }
    EncodedChunk {
        data: data.into(),
        ..chunk.clone()
    }
}

fn sums(frames: &[VideoFrame]) -> Vec<String> {
    let sum = |frame| frame_md5(frame, Layout::Planar).expect("CPU memory");
    frames.iter().map(sum).collect()
}

#[test]
fn a_picture_parameter_set_that_changes_alone_takes_effect() {
    let plain = clip("pps-plain.264", "testsrc2", "chroma-qp-offset=0");
    let offset = clip("pps-chroma.264", "testsrc", "chroma-qp-offset=9");
    let (sps, pps) = sets(&plain.bytes().unwrap());
    let (other_sps, other_pps) = sets(&offset.bytes().unwrap());
    assert_eq!(sps[0], other_sps[0], "the sequence stays");
    assert_ne!(pps[0], other_pps[0]);
    let mut chunks = Vec::new();
    let mut want = Vec::new();
    for clip in [&plain, &offset, &plain] {
        chunks.extend(clip.chunks().unwrap());
        want.extend(clip.checksums[0].md5.clone());
    }
    for (index, chunk) in chunks.iter_mut().enumerate() {
        chunk.timestamp = index as i64;
    }
    let frames = decode_all(&mut *start(&config()), &chunks);
    assert_eq!(sums(&frames), want);
}

#[test]
fn sets_in_the_chunks_replace_those_of_the_description() {
    let first = Stream::read("baseline");
    let second = Stream::read("b-pyramid");
    let (sps, pps) = sets(&first.bytes);
    let (other_sps, _) = sets(&second.bytes);
    assert_ne!(sps[0], other_sps[0]);
    let mut record = vec![1, sps[0][1], sps[0][2], sps[0][3], 0xff, 0xe1];
    for (count, set) in [(None, &sps[0]), (Some(1), &pps[0])] {
        record.extend(count);
        record.extend_from_slice(&(set.len() as u16).to_be_bytes());
        record.extend_from_slice(set);
    }
    assert!(AvcC::parse(&record).is_ok());
    let mut config = config();
    config.description = Some(record.into());
    let chunks = [first.chunks(), second.chunks(), first.chunks()].concat();
    let chunks: Vec<_> = chunks.iter().map(with_lengths).collect();
    let want = [&first.md5[..], &second.md5, &first.md5].concat();
    let frames = decode_all(&mut *start(&config), &chunks);
    assert_eq!(checksums(&frames), want);
    assert_ne!(
        frames.first().map(|frame| frame.coded_size),
        frames.get(first.md5.len()).map(|frame| frame.coded_size),
        "the size changes"
    );
}

#[test]
fn a_frame_waits_for_no_more_pictures_than_the_stream_says() {
    for (name, stated) in [("main-slices", 2), ("b-pyramid", 2), ("cropped-sar", 0)] {
        let stream = Stream::read(name);
        let sps = nal_units(&stream.bytes, Packaging::AnnexB)
            .map(Result::unwrap)
            .find(|nal| nal.kind == NalKind::Sps)
            .map(|nal| Sps::parse(&nal).unwrap())
            .expect("a sequence parameter set");
        assert_eq!(sps.reorder_frames(), stated, "{name}");
        let mut decoder = start(&config());
        let mut frames = 0;
        for (index, chunk) in stream.chunks().iter().enumerate() {
            decoder.decode(chunk, &mut |_| frames += 1).unwrap();
            let waiting = index + 1 - frames;
            assert!(waiting <= stated as usize, "{name}: {waiting} wait");
        }
    }
}
