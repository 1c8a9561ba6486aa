//! Truncated, corrupted and hostile files: a clear error or a clean end, never a panic, never more memory than a
//! small multiple of the file, never a hang.

mod support;
#[path = "support/survival.rs"]
mod survival;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reelcore_containers::{FileSource, open};
use support::clip;
use survival::{ALIVE, ONE_AT_A_TIME, PEAK, Random, read_all, survive};

const FILES: [&str; 4] = [
    "h264-aac.mp4",
    "h264-fragmented.mp4",
    "av1-10bit.mp4",
    "h264-rotated.mp4",
];

#[test]
fn every_prefix_ends_in_a_clear_error_or_a_clean_end() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for name in FILES {
        let whole = clip(name);
        let mut opened = 0;
        for cut in 0..200 {
            let len = whole.len() * cut / 200;
            let result = survive(whole[..len].to_vec(), &format!("{name} cut at {len}"));
            if let Ok(outcome) = result {
                opened += 1;
                if name != "h264-fragmented.mp4" {
                    assert!(
                        !outcome.errors.is_empty(),
                        "{name} cut at {len}: data is missing"
                    );
                }
            }
        }
        // Files whose moov box stands in front open and play as far as they go.
        assert_eq!(
            opened > 50,
            name != "h264-aac.mp4",
            "{name}: {opened} opened"
        );
        let outcome = survive(whole, name).expect("the whole file");
        assert_eq!(outcome.errors, Vec::<String>::new(), "{name}");
    }
}

/// The boxes of a file: offset and size of the header, by walking into those that hold boxes.
fn boxes(bytes: &[u8]) -> Vec<(usize, [u8; 4])> {
    fn walk(bytes: &[u8], start: usize, end: usize, found: &mut Vec<(usize, [u8; 4])>) {
        let mut at = start;
        while at + 8 <= end {
            let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
            let kind: [u8; 4] = bytes[at + 4..at + 8].try_into().expect("4 bytes");
            found.push((at, kind));
            let inner = match &kind {
                b"moov" | b"trak" | b"edts" | b"mdia" | b"minf" | b"dinf" | b"stbl" | b"mvex"
                | b"moof" | b"traf" | b"mfra" => Some(8),
                b"stsd" | b"dref" => Some(16),
                b"avc1" | b"av01" => Some(8 + 78),
                b"mp4a" | b"Opus" => Some(8 + 28),
                _ => None,
            };
            if let Some(skip) = inner {
                walk(bytes, at + skip, at + size, found);
            }
            at += size.max(8);
        }
    }
    let mut found = Vec::new();
    walk(bytes, 0, bytes.len(), &mut found);
    found
}

#[test]
fn random_mutations_never_panic_hang_or_take_much_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let mut random = Random(0x005e_ed0f_5ee1);
    let mut refused = 0;
    for (name, rounds) in [
        ("h264-aac.mp4", 2000),
        ("h264-fragmented.mp4", 1000),
        ("av1-10bit.mp4", 1000),
    ] {
        let whole = clip(name);
        // Mutations of coded pictures say nothing of the demuxer: nearly all go to the structure.
        let structure: Vec<usize> = boxes(&whole)
            .into_iter()
            .filter(|(_, kind)| kind != b"mdat")
            .map(|(at, _)| at)
            .collect();
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(8) {
                let at = match random.below(16) {
                    0 => random.below(bytes.len()),
                    _ => structure[random.below(structure.len())] + random.below(48),
                };
                let value = match random.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => random.below(256) as u8,
                    _ => whole.get(at).copied().unwrap_or(0) ^ 1 << random.below(8),
                };
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            match random.below(32) {
                0 => bytes.truncate(random.below(whole.len())),
                1 => {
                    let at = random.below(whole.len());
                    bytes.drain(at..(at + random.below(64)).min(whole.len()));
                }
                _ => {}
            }
            let what = format!("{name}, mutation {round}");
            refused += u32::from(survive(bytes, &what).is_err());
        }
    }
    assert!(
        refused > 400,
        "mutations reach the structure: {refused} refused"
    );
}

#[test]
fn box_sizes_of_0_1_and_the_largest_are_survived_at_every_box() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for name in FILES {
        let whole = clip(name);
        let all = boxes(&whole);
        assert!(all.len() > 30, "{name}: {} boxes", all.len());
        for (at, kind) in all {
            let kind_text = String::from_utf8_lossy(&kind).into_owned();
            for size in [0_u32, 1, 7, 8, u32::MAX] {
                let mut bytes = whole.clone();
                bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
                let what = format!("{name}: {kind_text} at {at} of size {size}");
                let _ = survive(bytes, &what);
            }
            for size in [0_u64, 1, 15, 16, u64::from(u32::MAX), 1 << 63, u64::MAX] {
                // In place, over what follows the header; then inserted, which shifts what follows.
                let mut large = 1_u32.to_be_bytes().to_vec();
                large.extend(kind);
                large.extend(size.to_be_bytes());
                let mut bytes = whole.clone();
                let end = (at + 16).min(bytes.len());
                bytes.splice(at..end, large.iter().copied());
                let what = format!("{name}: {kind_text} at {at} of 64-bit size {size}");
                let _ = survive(bytes, &what);
                let mut bytes = whole.clone();
                bytes.splice(at..at + 8, large);
                let _ = survive(bytes, &format!("{what}, inserted"));
            }
        }
    }
}

#[test]
fn every_count_and_field_at_its_largest_is_survived() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for name in FILES {
        let whole = clip(name);
        for (at, kind) in boxes(&whole) {
            if &kind == b"mdat" {
                continue;
            }
            for field in (8..64).step_by(4) {
                for value in [0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                    let mut bytes = whole.clone();
                    if let Some(place) = bytes.get_mut(at + field..at + field + 4) {
                        place.copy_from_slice(&value.to_be_bytes());
                        let kind = String::from_utf8_lossy(&kind).into_owned();
                        let _ = survive(bytes, &format!("{name}: {kind}+{field} = {value:#x}"));
                    }
                }
            }
        }
    }
}

#[test]
fn a_file_on_disk_that_claims_too_much_takes_no_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let path = std::env::temp_dir().join(format!("reelcore-hostile-{}.mp4", std::process::id()));
    let whole = clip("av1-10bit.mp4");
    let all = boxes(&whole);
    let stsz = all
        .iter()
        .find(|(_, kind)| kind == b"stsz")
        .map(|(at, _)| *at)
        .expect("stsz");
    // The second sample claims 4 GiB.
    let mut bytes = whole;
    bytes[stsz + 24..stsz + 28].copy_from_slice(&u32::MAX.to_be_bytes());
    std::fs::write(&path, &bytes).expect("a temporary file");
    let before = ALIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let source = FileSource::open(&path).expect("the file");
    let outcome = read_all(&open(Arc::new(source)).expect("the tables are intact"));
    let used = PEAK.load(Ordering::Relaxed) - before;
    std::fs::remove_file(&path).expect("the temporary file");
    assert!(
        outcome
            .errors
            .iter()
            .any(|e| e.contains("4294967295 bytes")),
        "{outcome:?}"
    );
    assert!(used < 4 * bytes.len() + (64 << 10), "{used} bytes in use");
}
