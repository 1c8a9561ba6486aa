//! What is found, and that a comparison finds what is wrong.

use std::collections::HashSet;

use reelcore_conformance::{Family, Layout, Mismatch, Stream, check, streams};
use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    ChunkKind, ColorSpace, CpuImage, EncodedChunk, MediaError, PixelFormat, Plane, Size,
    VideoDecoder, VideoDecoderBackend, VideoDecoderConfig, VideoFrame,
};

const FAMILIES: [Family; 5] = [
    Family::H264,
    Family::H265,
    Family::Vp8,
    Family::Vp9,
    Family::Av1,
];

fn find(family: Family, name: &str) -> Stream {
    let all = streams(family).unwrap();
    let found = all.into_iter().find(|stream| stream.name == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_stream_splits_into_chunks_with_distinct_times_that_start_with_a_key_chunk() {
    for family in FAMILIES {
        for stream in streams(family).unwrap() {
            let chunks = stream.chunks().unwrap();
            assert!(stream.config().is_ok(), "{}", stream.name);
            assert_eq!(chunks[0].kind, ChunkKind::Key, "{}", stream.name);
            let times: HashSet<_> = chunks.iter().map(|c| c.timestamp).collect();
            assert_eq!(times.len(), chunks.len(), "{}", stream.name);
            assert!(chunks.iter().all(|c| !c.data.is_empty()), "{}", stream.name);
            for checksums in &stream.checksums {
                // VP9 chunks may show nothing.
                assert!(checksums.md5.len() <= chunks.len(), "{}", stream.name);
                assert!(
                    checksums.md5.iter().all(|m| m.len() == 32),
                    "{}",
                    stream.name
                );
                if family != Family::Vp9 && family != Family::Vp8 {
                    assert_eq!(checksums.md5.len(), chunks.len(), "{}", stream.name);
                }
            }
        }
    }
}

#[test]
fn the_package_brings_its_streams_with_checksums_of_both_layouts() {
    for (family, name) in [
        (Family::H264, "test-25fps.h264"),
        (Family::H265, "test-25fps.h265"),
        (Family::Vp8, "test-25fps.vp8"),
        (Family::Vp9, "test-25fps.vp9"),
    ] {
        let stream = find(family, name);
        let got: Vec<_> = stream
            .checksums
            .iter()
            .map(|c| (c.layout, c.md5.len()))
            .collect();
        assert_eq!(got, [(Layout::Nv12, 250), (Layout::Planar, 250)], "{name}");
    }
    let json = &find(Family::Av1, "test-25fps.av1.ivf").checksums;
    assert_eq!((json.len(), json[0].layout), (1, Layout::Planar));
    let md5 = &find(Family::Av1, "test-25fps.ivf.av1").checksums;
    assert_eq!((md5.len(), md5[0].layout), (1, Layout::Nv12));
}

#[test]
fn pictures_of_b_slices_get_later_times_than_those_they_precede_in_the_stream() {
    let stream = find(Family::H264, "64x64-I-P-B-P-high.h264");
    let times: Vec<_> = stream
        .chunks()
        .unwrap()
        .iter()
        .map(|c| c.timestamp)
        .collect();
    assert_eq!(times, [0, 80_000, 40_000]);
}

#[test]
fn the_length_delimited_stream_becomes_one_in_low_overhead_form() {
    let chunks = find(Family::Av1, "av1-annexb.ivf.av1").chunks().unwrap();
    assert!(chunks.iter().all(|c| c.data.starts_with(&[0x12, 0])));
}

/// Gives a grey picture for each chunk, with a fault.
struct Faulty(Fault);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    WrongPictures,
    MissingFrame,
    WrongTime,
    WrongDuration,
    Refuses,
    FailsLate,
}

impl VideoDecoderBackend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn check(&self, _: &VideoDecoderConfig) -> Result<(), MediaError> {
        Ok(())
    }

    fn start(
        &self,
        _: &VideoDecoderConfig,
        _: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        Ok(Box::new(Running {
            fault: self.0,
            given: 0,
        }))
    }
}

struct Running {
    fault: Fault,
    given: usize,
}

impl VideoDecoder for Running {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        self.given += 1;
        let second = self.given == 2;
        match self.fault {
            Fault::Refuses => return Err(MediaError::unsupported("not this one")),
            Fault::FailsLate if second => return Err(MediaError::unsupported("not this one")),
            Fault::MissingFrame if second => return Ok(()),
            _ => {}
        }
        let size = Size::new(64, 64);
        let plane = |stride: usize| Plane {
            data: vec![128; stride * stride].into(),
            stride,
        };
        let planes = vec![plane(64), plane(32), plane(32)];
        let image = CpuImage::new(PixelFormat::I420, size, planes)?;
        let mut frame = VideoFrame::from_cpu(
            image,
            chunk.timestamp,
            chunk.duration,
            ColorSpace::default(),
        );
        if self.fault == Fault::WrongTime && second {
            frame.timestamp = 0;
        }
        if self.fault == Fault::WrongDuration {
            frame.duration = None;
        }
        sink(frame);
        Ok(())
    }

    fn flush(&mut self, _: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        Ok(())
    }

    fn reset(&mut self) {}
}

#[test]
fn each_fault_of_a_decoder_is_found() {
    let stream = find(Family::H264, "64x64-I-P.h264");
    let found = |fault| check(&Faulty(fault), &stream, 1).unwrap_err();
    let of = |fault| match found(fault) {
        Mismatch::Pictures { frames, of } => (frames, of),
        other => panic!("{other}"),
    };
    assert_eq!(of(Fault::WrongPictures), (vec![0, 1], 2));
    assert!(matches!(
        found(Fault::MissingFrame),
        Mismatch::Count { found: 1, want: 2 }
    ));
    assert!(matches!(
        found(Fault::WrongTime),
        Mismatch::Times { frame: 1, .. }
    ));
    assert!(matches!(
        found(Fault::WrongDuration),
        Mismatch::Times { frame: 0, .. }
    ));
    assert!(matches!(found(Fault::Refuses), Mismatch::Refused(_)));
    assert!(matches!(
        found(Fault::FailsLate),
        Mismatch::Failed {
            chunk: Some(1),
            frames: 1,
            ..
        }
    ));
    // Decoding order is not the order of output.
    let reordered = find(Family::H264, "64x64-I-P-B-P-high.h264");
    let error = check(&Faulty(Fault::WrongPictures), &reordered, 1).unwrap_err();
    assert!(matches!(error, Mismatch::Times { frame: 2, .. }), "{error}");
}
