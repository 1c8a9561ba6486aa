//! Chunks that go on at another key chunk without a flush, as scripts and edit lists do: CRA pictures keep pictures from before
//! them for their RASL pictures, and those were not decoded.

mod common;

use common::*;
use reelcore_conformance::video::checksums;
use reelcore_media::EncodedChunk;
use reelcore_media::hevc::{NalType, Packaging, nal_units};

/// nal_unit_type of the chunk's picture.
fn picture_type(chunk: &EncodedChunk) -> NalType {
    nal_units(&chunk.data, Packaging::AnnexB)
        .map(|nal| nal.unwrap().nal_type)
        .find(|nal_type| nal_type.is_vcl())
        .expect("a picture")
}

/// x265 in open groups of pictures, and where its CRA pictures are.
fn open(name: &str, params: &str) -> (Clip, Vec<usize>) {
    let params = format!("open-gop=1:keyint=8:min-keyint=8:b-adapt=0:{params}");
    let clip = x265(name, 40, &params);
    let cras: Vec<_> = (1..clip.chunks.len())
        .filter(|&at| picture_type(&clip.chunks[at]) == NalType::CRA)
        .collect();
    assert!(cras.len() >= 3, "{cras:?}");
    (clip, cras)
}

/// Every frame of `before` and then of `after`, which starts with a CRA picture, must come, but those of its RASL pictures.
fn check(clip: &Clip, before: &[EncodedChunk], after: &[EncodedChunk], threads: usize) {
    let (whole, error) = decode(&mut *start(&clip.config, 1), &clip.chunks);
    assert!(error.is_none(), "{error:?}");
    let whole: Vec<_> = whole
        .iter()
        .zip(checksums(&whole))
        .map(|(frame, sum)| (frame.timestamp, sum))
        .collect();
    let of = |chunks: Vec<&EncodedChunk>| {
        let shown = whole
            .iter()
            .filter(|(time, _)| chunks.iter().any(|chunk| chunk.timestamp == *time));
        shown.cloned().collect::<Vec<_>>()
    };
    let rasl = after[1..]
        .iter()
        .take_while(|chunk| picture_type(chunk).is_rasl())
        .count();
    assert!(rasl > 0, "{}: no RASL picture", clip.name);
    let mut want = of(before.iter().collect());
    want.extend(of(after[..1].iter().chain(&after[1 + rasl..]).collect()));
    let (frames, error) = decode(
        &mut *start(&clip.config, threads),
        &[before, after].concat(),
    );
    let what = format!("{} on {threads} threads, after {}", clip.name, before.len());
    assert!(error.is_none(), "{what}: {error:?}");
    let sums = checksums(&frames);
    let found: Vec<_> = frames.iter().map(|f| f.timestamp).zip(sums).collect();
    assert_eq!(found, want, "{what}");
}

#[test]
fn a_jump_to_a_cra_picture_costs_its_rasl_pictures_and_no_other() {
    for (name, params) in [
        ("jump.265", "bframes=3:b-pyramid=1"),
        ("jump-sets.265", "bframes=2:ref=3:repeat-headers=1"),
    ] {
        let (clip, cras) = open(name, params);
        let (chunks, first, last) = (&clip.chunks, cras[0], cras[cras.len() - 1]);
        for threads in [1, 2, 4] {
            for end in [1, 3, first, first + 1] {
                check(&clip, &chunks[..end], &chunks[last..], threads);
            }
            for end in [first + 1, last, last + 4, chunks.len()] {
                check(&clip, &chunks[..end], &chunks[first..], threads);
            }
        }
    }
}

#[test]
fn parameter_sets_beside_a_picture_that_is_left_out_are_kept() {
    let (clip, cras) = open("jump-beside.265", "bframes=3:repeat-headers=1");
    let (first, last) = (cras[0], cras[cras.len() - 1]);
    // The sets stand before the key picture, and now before its first RASL picture too.
    let sets: Vec<_> = nals(&clip.chunks[last].data)
        .into_iter()
        .filter(|nal| (32..=34).contains(&(nal[0] >> 1)))
        .collect();
    assert!(sets.len() >= 3);
    let mut chunks = clip.chunks.clone();
    let beside = [annexb(&sets).to_vec(), chunks[last + 1].data.to_vec()].concat();
    assert!(picture_type(&chunks[last + 1]).is_rasl());
    chunks[last + 1].data = beside.into();
    check(&clip, &chunks[..first], &chunks[last..], 2);
}

#[test]
fn a_rasl_picture_lost_after_a_cra_picture_without_a_jump_is_an_error() {
    let (clip, cras) = open("jump.265", "bframes=3:b-pyramid=1");
    let mut chunks = clip.chunks.clone();
    assert!(picture_type(&chunks[cras[1] + 1]).is_rasl());
    chunks.remove(cras[1] + 1);
    let (_, error) = decode(&mut *start(&clip.config, 1), &chunks);
    let error = error.expect("the RASL pictures behind it refer to the lost one");
    assert!(error.message.contains("missing"), "{error}");
}
