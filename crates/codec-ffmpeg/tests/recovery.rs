//! Starting at recovery points: broadcasts have no IDR pictures, and open groups of pictures have few.

mod common;

use common::*;
use reelcore_conformance::video::{checksums, times};
use reelcore_media::{ChunkKind, EncodedChunk, ErrorKind, Size, VideoDecoderConfig};

/// The places of the chunks with an intra picture that is no IDR picture and of those with a recovery point.
fn recovery_points(clip: &Clip) -> Vec<usize> {
    let is_point = |chunk: &EncodedChunk| {
        let units = nals(&chunk.data);
        // Messages of type 6.
        units.iter().any(|nal| nal[0] & 0x1f == 6 && nal[1] == 6)
            && units.iter().all(|nal| nal[0] & 0x1f != 5)
    };
    (0..clip.chunks.len())
        .filter(|&at| is_point(&clip.chunks[at]))
        .collect()
}

/// The chunks from `at` on, the first of which says that it is a key chunk.
fn from(clip: &Clip, at: usize) -> Vec<EncodedChunk> {
    let mut chunks = clip.chunks[at..].to_vec();
    chunks[0].kind = ChunkKind::Key;
    chunks
}

/// x264 in open groups of pictures.
fn open(name: &str, params: &str) -> Clip {
    let clip = x264(
        name,
        48,
        &format!("open-gop=1:keyint=12:min-keyint=12:{params}"),
    );
    assert!(recovery_points(&clip).len() >= 3, "{name}");
    clip
}

/// Starts at each recovery point, and compares with the frames of the whole stream from that picture on.
fn starts_at_each(clip: &Clip) {
    let (whole, error) = decode(&mut *start(&clip.config, 2), &clip.chunks);
    assert!(error.is_none(), "{} {error:?}", clip.name);
    for threads in [1, 2, 4] {
        let mut decoder = start(&clip.config, threads);
        for at in recovery_points(clip) {
            let (frames, error) = decode(&mut *decoder, &from(clip, at));
            assert!(error.is_none(), "{} from {at}: {error:?}", clip.name);
            let first = clip.chunks[at].timestamp;
            let want: Vec<_> = whole
                .iter()
                .filter(|frame| frame.timestamp >= first)
                .cloned()
                .collect();
            assert_eq!(times(&frames), times(&want), "{} from {at}", clip.name);
            assert_eq!(
                checksums(&frames),
                checksums(&want),
                "{} from {at} on {threads} threads",
                clip.name
            );
        }
        // What was missing is not missed by a start at an IDR picture after it.
        let (frames, error) = decode(&mut *decoder, &clip.chunks);
        assert!(error.is_none(), "{} {error:?}", clip.name);
        assert_eq!(checksums(&frames), checksums(&whole), "{}", clip.name);
    }
}

#[test]
fn frames_from_a_recovery_point_on_are_those_of_the_whole_stream_and_none_comes_before_it() {
    starts_at_each(&open("open.264", "bframes=3:b-pyramid=normal:ref=4"));
    starts_at_each(&open("open-strict.264", "bframes=2:b-pyramid=strict:ref=1"));
    starts_at_each(&open("open-mbaff.264", "bframes=3:ref=3:tff=1"));
    starts_at_each(&open(
        "open-cavlc.264",
        "bframes=3:cabac=0:weightp=2:direct=temporal",
    ));
}

#[test]
fn pictures_that_are_refreshed_by_and_by_are_shown_from_the_one_on_that_is_whole() {
    let clip = x264(
        "refresh.264",
        48,
        "intra-refresh=1:keyint=12:bframes=0:ref=1",
    );
    let points = recovery_points(&clip);
    assert!(!points.is_empty());
    let (whole, _) = decode(&mut *start(&clip.config, 1), &clip.chunks);
    for at in points {
        let (frames, error) = decode(&mut *start(&clip.config, 2), &from(&clip, at));
        assert!(error.is_none(), "{error:?}");
        let first = frames.first().map_or(i64::MAX, |frame| frame.timestamp);
        let want: Vec<_> = whole
            .iter()
            .filter(|frame| frame.timestamp >= first)
            .cloned()
            .collect();
        assert!(first > clip.chunks[at].timestamp, "from {at}");
        assert_eq!(frames.len(), want.len());
        assert_eq!(checksums(&frames), checksums(&want), "from {at}");
    }
}

#[test]
fn an_intra_picture_in_a_key_chunk_needs_no_message() {
    let mut clip = open("open-bare.264", "bframes=2");
    let points = recovery_points(&clip);
    for chunk in &mut clip.chunks {
        let units = nals(&chunk.data);
        let kept: Vec<_> = units.iter().filter(|nal| nal[0] & 0x1f != 6).collect();
        chunk.data = annexb(&kept);
    }
    let (whole, _) = decode(&mut *start(&clip.config, 1), &clip.chunks);
    for at in points {
        let (frames, error) = decode(&mut *start(&clip.config, 2), &from(&clip, at));
        assert!(error.is_none(), "{error:?}");
        let first = clip.chunks[at].timestamp;
        let want: Vec<_> = whole
            .iter()
            .filter(|frame| frame.timestamp >= first)
            .cloned()
            .collect();
        assert_eq!(checksums(&frames), checksums(&want), "from {at}");
    }
}

#[test]
fn a_picture_that_refers_to_others_is_none_to_start_at() {
    let clip = open("open.264", "bframes=3:b-pyramid=normal:ref=4");
    let points = recovery_points(&clip);
    for at in (1..12).filter(|at| !points.contains(at)) {
        // The parameter sets come first, and stay.
        let mut decoder = start(&clip.config, 2);
        assert!(decode(&mut *decoder, &clip.chunks).1.is_none());
        let (frames, error) = decode(&mut *decoder, &from(&clip, at));
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidData, "{error}");
        assert!(error.message.contains("recovery point"), "{error}");
        assert!(frames.is_empty());
    }
}

#[test]
fn damage_behind_a_recovery_point_is_an_error() {
    let clip = open("open.264", "bframes=3:b-pyramid=normal:ref=4");
    let at = recovery_points(&clip)[0];
    let mut chunks = from(&clip, at);
    // A picture is missing.
    let reference = (6..chunks.len())
        .find(|&index| {
            let units = nals(&chunks[index].data);
            units
                .iter()
                .any(|nal| matches!(nal[0] & 0x1f, 1) && nal[0] & 0x60 != 0)
        })
        .unwrap();
    let lost = chunks.remove(reference);
    let (_, error) = decode(&mut *start(&clip.config, 2), &chunks);
    assert_eq!(error.unwrap().kind, ErrorKind::InvalidData);
    // Half of one is.
    let mut half = lost;
    half.data = half.data.slice(..half.data.len() / 2);
    chunks.insert(reference, half);
    let (_, error) = decode(&mut *start(&clip.config, 2), &chunks);
    assert_eq!(error.unwrap().kind, ErrorKind::InvalidData);
}

#[test]
fn an_idr_picture_behind_a_recovery_point_loses_no_frame() {
    let clip = open("open.264", "bframes=3:b-pyramid=normal:ref=4");
    let other = sized(
        "idr.264",
        (96, 80),
        clip.stream.family,
        12,
        "yuv420p",
        "yuv420p",
        &["-x264-params", "bframes=2:keyint=6"],
    );
    let at = *recovery_points(&clip).last().unwrap();
    let alone = decode(&mut *start(&clip.config, 2), &from(&clip, at)).0;
    let mut chunks = from(&clip, at);
    chunks.extend(other.chunks.iter().cloned().map(|mut chunk| {
        chunk.timestamp += 1_000_000_000;
        chunk
    }));
    for threads in [1, 4] {
        let (frames, error) = decode(&mut *start(&clip.config, threads), &chunks);
        assert!(error.is_none(), "{error:?}");
        let want = [&checksums(&alone)[..], &other.md5[..]].concat();
        assert_eq!(checksums(&frames), want, "on {threads} threads");
        assert_eq!(frames[0].visible_rect.size(), Size::new(96, 80));
    }
}

#[test]
fn a_jump_to_a_recovery_point_without_a_flush_loses_no_frame_but_those_before_it() {
    let clip = open("open.264", "bframes=3:b-pyramid=normal:ref=4");
    let at = *recovery_points(&clip).last().unwrap();
    let (first, second) = (&clip.chunks[..17], from(&clip, at));
    for threads in [1, 4] {
        let mut want = decode(&mut *start(&clip.config, threads), first).0;
        // The parameter sets of the first part stay.
        let mut decoder = start(&clip.config, threads);
        assert!(decode(&mut *decoder, first).1.is_none());
        want.extend(decode(&mut *decoder, &second).0);
        let chunks = [first, &second[..]].concat();
        let (frames, error) = decode(&mut *start(&clip.config, threads), &chunks);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(times(&frames), times(&want));
        assert_eq!(checksums(&frames), checksums(&want), "on {threads} threads");
    }
}

/// The chunks with parameter sets before the first picture alone, in Annex B or with lengths, where the description has
/// no set.
fn with_sets_once(clip: &Clip, lengths: bool) -> (VideoDecoderConfig, Vec<EncodedChunk>) {
    let mut config = clip.config.clone();
    let mut chunks = clip.chunks.clone();
    for (at, chunk) in chunks.iter_mut().enumerate() {
        let units = nals(&chunk.data);
        let kept = units.iter();
        let kept: Vec<_> = kept
            .filter(|nal| at == 0 || !matches!(nal[0] & 0x1f, 7 | 8))
            .collect();
        chunk.data = if lengths {
            with_lengths(&kept, 4)
        } else {
            annexb(&kept)
        };
        if lengths && at == 0 {
            let sps = kept.iter().find(|nal| nal[0] & 0x1f == 7).unwrap();
            let record = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe0, 0];
            config.description = Some(record.into());
        }
    }
    (config, chunks)
}

#[test]
fn parameter_sets_that_came_once_are_there_at_each_recovery_point() {
    let clip = open("open.264", "bframes=3:b-pyramid=normal:ref=4");
    let at = *recovery_points(&clip).last().unwrap();
    let key = |chunks: &[EncodedChunk]| {
        let mut chunks = chunks[at..].to_vec();
        chunks[0].kind = ChunkKind::Key;
        chunks
    };
    let (whole, _) = decode(&mut *start(&clip.config, 1), &clip.chunks);
    let (first, _) = decode(&mut *start(&clip.config, 1), &clip.chunks[..17]);
    let (last, _) = decode(&mut *start(&clip.config, 1), &key(&clip.chunks));
    for lengths in [false, true] {
        let (config, chunks) = with_sets_once(&clip, lengths);
        for threads in [1, 3] {
            let what = format!("lengths: {lengths}, on {threads} threads");
            // A jump.
            let jump = [&chunks[..17], &key(&chunks)[..]].concat();
            let (frames, error) = decode(&mut *start(&config, threads), &jump);
            assert!(error.is_none(), "{what}: {error:?}");
            let want = [checksums(&first), checksums(&last)].concat();
            assert_eq!(checksums(&frames), want, "{what}: jump");
            // A flush or a reset before it, and a start from the front after it.
            let mut decoder = start(&config, threads);
            assert!(decode(&mut *decoder, &chunks[..17]).1.is_none(), "{what}");
            for reset in [false, true] {
                let (frames, error) = decode(&mut *decoder, &key(&chunks));
                assert!(error.is_none(), "{what}: {error:?}");
                assert_eq!(checksums(&frames), checksums(&last), "{what}: {reset}");
                let (frames, error) = decode(&mut *decoder, &chunks);
                assert!(error.is_none(), "{what}: {error:?}");
                assert_eq!(checksums(&frames), checksums(&whole), "{what}: {reset}");
                if reset {
                    decoder.reset();
                }
            }
        }
    }
}

#[test]
fn a_parameter_set_behind_a_slice_is_of_the_pictures_after_it_alone() {
    // The sequence parameter sets are the same, and the picture parameter sets have one id.
    let clip = |cabac: u32| {
        let params = format!("keyint=1:8x8dct=1:weightp=0:cabac={cabac}");
        x264(&format!("intra-{cabac}.264"), 2, &params)
    };
    let (first, second) = (clip(1), clip(0));
    let units = |clip: &Clip, at: usize, kind: u8| {
        let units = nals(&clip.chunks[at].data).into_iter();
        units
            .filter(|nal| nal[0] & 0x1f == kind)
            .collect::<Vec<_>>()
    };
    let (sps, pps, slices) = (7, 8, 5);
    assert_eq!(units(&first, 0, sps), units(&second, 0, sps));
    assert_ne!(units(&first, 0, pps), units(&second, 0, pps));
    // The description has the sets of the first picture, so that its chunk need not.
    let (set, of) = (&units(&first, 0, sps)[0], &units(&first, 0, pps)[0]);
    let mut record = vec![1, set[1], set[2], set[3], 0xff];
    for (count, unit) in [(0xe1, set), (1, of)] {
        record.push(count);
        record.extend((unit.len() as u16).to_be_bytes());
        record.extend(unit);
    }
    let mut config = first.config.clone();
    config.description = Some(record.into());
    let chunk = |timestamp, units: &[Vec<Vec<u8>>]| {
        let data = with_lengths(&units.concat().iter().collect::<Vec<_>>(), 4);
        EncodedChunk::new(ChunkKind::Key, timestamp, data)
    };
    let behind = [units(&first, 0, slices), units(&second, 0, pps)];
    let chunks = [chunk(0, &behind), chunk(1, &[units(&second, 1, slices)])];
    for threads in [1, 2] {
        let (frames, error) = decode(&mut *start(&config, threads), &chunks);
        assert!(error.is_none(), "{error:?}");
        let want = [&first.md5[..1], &second.md5[1..]].concat();
        assert_eq!(checksums(&frames), want, "{threads} threads");
    }
}
