//! Parameter sets that come and change in the stream, and what they say about delay.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::{
    Family, Layout, Stream as Clip, ffmpeg_framemd5, ffmpeg_make, frame_md5,
};
use reelcore_media::h264::{AvcC, NalKind, Packaging, Sps, nal_units};
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind, VideoFrame};

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

/// Bits, the most significant of each byte first.
struct Bits(Vec<bool>);

impl Bits {
    fn of(bytes: &[u8]) -> Self {
        let bits = |byte: &u8| {
            let byte = *byte;
            (0..8).rev().map(move |bit| byte >> bit & 1 == 1)
        };
        Self(bytes.iter().flat_map(bits).collect())
    }

    /// Where an unsigned Exp-Golomb code ends, and its value.
    fn ue(&self, at: usize) -> (usize, u32) {
        let zeros = self.0[at..].iter().take_while(|bit| !**bit).count();
        let value = self.0[at + zeros..][..zeros + 1].iter();
        let value = value.fold(0, |value, &bit| value << 1 | u32::from(bit));
        (at + 2 * zeros + 1, value - 1)
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
        self.0.chunks(8).map(byte).collect()
    }
}

#[test]
fn a_picture_parameter_set_may_change_at_a_picture_that_is_not_idr() {
    // The other set differs in nothing but chroma_qp_index_offset, so that each decodes every slice, and to another
    // picture.
    let clip = clip("pps-p.264", "testsrc2", "chroma-qp-offset=0:keyint=20");
    let bytes = clip.bytes().unwrap();
    let (_, pps) = sets(&bytes);
    let chunks = clip.chunks().unwrap();
    assert_eq!(
        chunks
            .iter()
            .filter(|c| kind(&c.data) == ChunkKind::Key)
            .count(),
        1
    );
    // pic_parameter_set_id, seq_parameter_set_id, two flags, num_slice_groups_minus1, two counts, weights: 1 + 2 bits,
    // pic_init_qp_minus26, pic_init_qs_minus26, chroma_qp_index_offset.
    let set = Bits::of(&pps[0][1..]);
    let (at, _) = set.ue(0);
    let (at, _) = set.ue(at);
    let mut at = at + 2;
    for _ in 0..3 {
        at = set.ue(at).0;
    }
    at += 3;
    at = set.ue(at).0;
    at = set.ue(at).0;
    let (end, offset) = set.ue(at);
    assert_ne!(offset, 17, "chroma_qp_index_offset is not 9 already");
    let with_offset = |code: &[bool]| {
        let mut bits = Bits(set.0[..at].to_vec());
        bits.0.extend(code);
        bits.0.extend(&set.0[end..]);
        // second_chroma_qp_index_offset of High would follow: this is Main. The trailing bit stays the last one.
        let last = bits.0.iter().rposition(|&bit| bit).unwrap();
        bits.0.truncate(last + 1);
        let mut nal = vec![0, 0, 0, 1, pps[0][0]];
        nal.extend(bits.bytes());
        nal
    };
    let plain = [&[0, 0, 0, 1], &pps[0][..]].concat();
    // se(v) 9 is code 17, which is 18 behind four zeros.
    let changed = with_offset(&[false, false, false, false, true, false, false, true, false]);
    // In front of every third picture the other set.
    let mut sets_first = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let set = match index {
            0 => &[][..],
            _ if index / 3 % 2 == 1 => &changed[..],
            _ => &plain[..],
        };
        let data = [set, &chunk.data[..]].concat();
        sets_first.push(EncodedChunk {
            data: data.into(),
            ..chunk.clone()
        });
    }
    let whole: Vec<u8> = sets_first.iter().flat_map(|c| c.data.to_vec()).collect();
    let path = clip
        .path
        .with_file_name(format!("pps-changed-{}.264", std::process::id()));
    std::fs::write(&path, whole).unwrap();
    let want = ffmpeg_framemd5(&path, "yuv420p").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_ne!(want, clip.checksums[0].md5, "the set has an effect");
    let frames = decode_all(&mut *start(&config()), &sets_first);
    assert_eq!(sums(&frames), want);
}

#[test]
fn a_sequence_parameter_set_may_change_at_an_idr_picture_and_not_elsewhere() {
    let small = clip("sps-small.264", "testsrc2", "ref=1");
    let params = "bframes=0:ref=1:weightp=0:keyint=3:min-keyint=3:scenecut=0";
    let large = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=160x112:rate=25:duration=0.4",
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-profile:v",
        "main",
        "-x264-params",
        params,
        "-f",
        "h264",
    ];
    let large = ffmpeg_make(&large, "sps-large.264").unwrap();
    let large = Clip::with_ffmpeg_checksums(large, Family::H264, "yuv420p", &[]).unwrap();
    let (sps, _) = sets(&small.bytes().unwrap());
    let (other, _) = sets(&large.bytes().unwrap());
    assert_ne!(sps[0], other[0]);
    let mut chunks = Vec::new();
    let mut want = Vec::new();
    for clip in [&small, &large, &small] {
        chunks.extend(clip.chunks().unwrap());
        want.extend(clip.checksums[0].md5.clone());
    }
    for (index, chunk) in chunks.iter_mut().enumerate() {
        chunk.timestamp = index as i64;
    }
    let frames = decode_all(&mut *start(&config()), &chunks);
    assert_eq!(sums(&frames), want);
    // Before a P picture the same identifier means another sequence: an error, not a picture of the old size.
    let mut decoder = start(&config());
    decoder.decode(&chunks[0], &mut |_| ()).unwrap();
    let data = [&[0, 0, 0, 1], &other[0][..], &chunks[1].data].concat();
    let chunk = EncodedChunk {
        data: data.into(),
        ..chunks[1].clone()
    };
    let error = decoder.decode(&chunk, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidData);
    assert!(error.message.contains("not IDR"), "{error}");
}

/// The refusal comes with the third picture, after the stream's own delay is over.
#[test]
fn temporal_direct_prediction_in_cavlc_is_refused_before_the_first_frame() {
    let source = "testsrc2=size=96x80:rate=25:duration=0.6";
    let make = |name: &str, params: &str| {
        let args = [
            "-f",
            "lavfi",
            "-i",
            source,
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-profile:v",
            "main",
            "-x264-params",
            params,
            "-f",
            "h264",
        ];
        let path = ffmpeg_make(&args, name).unwrap();
        Clip::with_ffmpeg_checksums(path, Family::H264, "yuv420p", &[]).unwrap()
    };
    let temporal = make(
        "temporal.264",
        "cabac=0:bframes=1:b-adapt=0:b-pyramid=0:direct=temporal:keyint=6:min-keyint=6:scenecut=0",
    );
    for optimize_for_latency in [false, true] {
        let mut config = config();
        config.optimize_for_latency = optimize_for_latency;
        let mut decoder = start(&config);
        let mut frames = 0;
        let chunks = temporal.chunks().unwrap();
        let mut results = chunks
            .iter()
            .map(|c| decoder.decode(c, &mut |_| frames += 1));
        let error = results.find_map(Result::err).expect("it is refused");
        drop(results);
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        assert_eq!(frames > 0, optimize_for_latency, "{frames}");
    }
    // Held frames come out where there is no reason to refuse: none is lost, none comes twice.
    let plain = make(
        "no-b.264",
        "cabac=0:bframes=0:direct=spatial:keyint=6:min-keyint=6:scenecut=0",
    );
    let spatial = make(
        "spatial.264",
        "cabac=0:bframes=1:b-adapt=0:b-pyramid=0:direct=spatial:partitions=none:keyint=6:min-keyint=6:scenecut=0",
    );
    for clip in [plain, spatial] {
        let chunks = clip.chunks().unwrap();
        let mut decoder = start(&config());
        let frames = decode_all(&mut *decoder, &chunks);
        assert_eq!(sums(&frames), clip.checksums[0].md5, "{}", clip.name);
        // Two chunks and a flush: what was held is out.
        let mut decoder = start(&config());
        let frames = decode_all(&mut *decoder, &chunks[..2]);
        assert_eq!(frames.len(), 2, "{}", clip.name);
        // Damage is no reason to hold them back either.
        let mut decoder = start(&config());
        let mut frames = 0;
        for chunk in &chunks[..2] {
            decoder.decode(chunk, &mut |_| frames += 1).unwrap();
        }
        let empty = EncodedChunk {
            data: Bytes::new(),
            ..chunks[2].clone()
        };
        decoder.decode(&empty, &mut |_| frames += 1).unwrap_err();
        assert!(frames > 0, "{}", clip.name);
    }
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
