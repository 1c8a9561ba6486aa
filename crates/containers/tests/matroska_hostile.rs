//! Truncated, corrupted and hostile Matroska and IVF files.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/clips.rs"]
mod made;
mod support;
#[path = "support/survival.rs"]
mod survival;

use std::io::Write;

use ebml::*;
use survival::{ONE_AT_A_TIME, Random, survive};

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

/// A file with some of everything that is parsed.
fn everything() -> Vec<u8> {
    let encoding = |more: &[&[u8]]| el(0x6D80, &[&el(0x6240, more)]);
    let compressed = encoding(&[&uint(0x5031, 0), &el(0x5034, &[&uint(0x4254, 0)])]);
    let stripped = encoding(&[&el(
        0x5034,
        &[&uint(0x4254, 3), &el(0x4255, &[b"\xff\xfb"])],
    )]);
    let key = el(0x5035, &[&uint(0x47E1, 5), &el(0x47E2, &[&[7; 16]])]);
    let encrypted = encoding(&[&uint(0x5033, 1), &key]);
    let colour = el(
        0x55B0,
        &[
            &uint(0x55B1, 1),
            &uint(0x55B9, 1),
            &uint(0x55BA, 1),
            &uint(0x55BB, 1),
        ],
    );
    let pose = el(0x7670, &[&uint(0x7671, 0), &float(0x7675, 90.0)]);
    let opus = el(0x63A2, &[b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"]);
    let entries = [
        track(
            1,
            1,
            "V_VP8",
            &[
                &uint(0x23E383, 40_000_000),
                &video(&[&colour, &pose, &uint(0x54B0, 128)]),
            ],
        ),
        track(2, 2, "A_PCM/INT/LIT", &[&audio(8000.0, 1, 16)]),
        track(3, 2, "A_MPEG/L3", &[&audio(44_100.0, 2, 0), &stripped]),
        track(
            4,
            17,
            "S_TEXT/UTF8",
            &[&el(0x22B59C, &[b"eng"]), &compressed],
        ),
        track(5, 1, "V_VP9", &[&video(&[]), &encrypted]),
        track(
            6,
            2,
            "A_OPUS",
            &[
                &opus,
                &uint(0x56AA, 6_500_000),
                &uint(0x56BB, 80_000_000),
                &audio(48_000.0, 1, 0),
            ],
        ),
        track(7, 1, "V_VP9", &[&video(&[])]),
        track(
            8,
            2,
            "A_AAC",
            &[&el(0x63A2, &[&[0x11, 0x90]]), &audio(48_000.0, 2, 0)],
        ),
        track(
            9,
            1,
            "V_MPEG4/ISO/AVC",
            &[
                &el(
                    0x63A2,
                    &[b"\x01\x42\xc0\x0a\xff\xe1\0\x04\x67\x42\xc0\x0a\x01\0\x02\x68\xce"],
                ),
                &video(&[]),
            ],
        ),
    ];
    let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
    let text = zlib(b"some words that are said");
    let vp9 = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0, 0];
    let addition = el(
        0x75A1,
        &[&el(0xA6, &[&uint(0xEE, 1), &el(0xA5, &[b"alpha"])])],
    );
    let clusters: Vec<Vec<u8>> = (0..8)
        .map(|i| {
            let key = if i % 2 == 0 { 0x80 } else { 0 };
            let blocks = [
                simple(1, 0, key, &[i; 40]),
                group(
                    1,
                    40,
                    &[i; 30],
                    &[&uint(0x9B, 40), &int(0xFB, -40), &addition],
                ),
                simple(2, 0, 0x80 | 2, b"\x02\x04\x06aaaabbbbbbcccc"),
                simple(2, 10, 0x80 | 4, b"\x03aaaabbbbccccdddd"),
                simple(2, 20, 0x80 | 6, b"\x02\x84\xc1aaaabbbbbbcc"),
                simple(3, 5, 0x80, b"\x90\x64mp3"),
                simple(4, 6, 0x80, &text),
                simple(5, 7, 0x80, b"\x0312345678\x01\0\0\0\x02cc-secret"),
                group(6, 8, b"\xfcopus", &[&int(0x75A2, 1_000_000)]),
                simple(7, 9, 0x80, &vp9),
                simple(8, 10, 0x80, b"aac"),
                simple(9, 11, 0x80, b"\0\0\0\x01\x65"),
            ];
            let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            let time = u64::from(i) * 500;
            if i < 4 {
                cluster(time, &blocks)
            } else {
                open_cluster(time, &blocks)
            }
        })
        .collect();
    let tag = el(0x67C8, &[&el(0x45A3, &[b"TITLE"]), &el(0x4487, &[b"Some"])]);
    let duration = el(
        0x67C8,
        &[
            &el(0x45A3, &[b"DURATION"]),
            &el(0x4487, &[b"00:00:04.000000000"]),
        ],
    );
    let tags = el(
        0x1254_C367,
        &[
            &el(0x7373, &[&el(0x63C0, &[]), &tag]),
            &el(0x7373, &[&el(0x63C0, &[&uint(0x63C5, 101)]), &duration]),
        ],
    );
    let info = el(
        0x1549_A966,
        &[
            &uint(0x2A_D7B1, 1_000_000),
            &float(0x4489, 4000.0),
            &el(0x7BA9, &[b"Title"]),
            &int(0x4461, 5),
        ],
    );
    let front = [info, el(0xEC, &[&[0; 8]]), tracks(&entries), tags].concat();
    let mut points = Vec::new();
    for pass in 0..2 {
        // The size of the cues is known after the first pass.
        let size = if pass == 0 { 0 } else { cues(&[&points]).len() };
        let mut at = front.len() + size;
        points = Vec::new();
        for (i, cluster) in clusters.iter().enumerate() {
            if i % 2 == 0 {
                let place = el(
                    0xB7,
                    &[&uint(0xF7, 1), &el(0xF1, &[&(at as u64).to_be_bytes()])],
                );
                points.extend(el(0xBB, &[&uint(0xB3, i as u64 * 500), &place]));
            }
            at += cluster.len();
        }
    }
    live(&[&front, &cues(&[&points]), &clusters.concat()])
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let made = |name: &'static str, args: &str| {
        let args: Vec<&str> = args.split_whitespace().collect();
        (
            name,
            std::fs::read(made::ffmpeg(name, &args)).expect("the clip"),
        )
    };
    let inputs = "-f lavfi -i testsrc2=s=64x48:r=10:d=1 -f lavfi -i sine=440:d=1";
    vec![
        ("everything", everything()),
        made(
            "small.webm",
            &format!(
                "{inputs} -c:v libvpx -deadline realtime -g 5 -c:a libopus -b:a 16k -cluster_time_limit 300"
            ),
        ),
        made(
            "small.mkv",
            &format!(
                "{inputs} -map 0:v -map 1:a -map 1:a -c:v libx264 -preset veryfast -g 5 -c:a:0 flac -sample_fmt:a:0 s16 -c:a:1 libvorbis"
            ),
        ),
        made(
            "small.ivf",
            "-f lavfi -i testsrc2=s=64x48:r=10:d=2 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 5",
        ),
    ]
}

/// The elements of a file: the offsets of their headers, by walking into those that hold elements.
fn elements(bytes: &[u8]) -> Vec<(usize, u32)> {
    fn walk(bytes: &[u8], mut at: usize, end: usize, found: &mut Vec<(usize, u32)>) {
        while at + 2 <= end {
            let start = at;
            let id_length = bytes[at].leading_zeros() as usize + 1;
            if id_length > 4 || at + id_length >= end {
                return;
            }
            let id = bytes[at..at + id_length]
                .iter()
                .fold(0, |id, &b| id << 8 | u32::from(b));
            at += id_length;
            let length = bytes[at].leading_zeros() as usize + 1;
            if length > 8 || at + length > end {
                return;
            }
            let marker = 1_u64 << (7 * length);
            let value = bytes[at..at + length]
                .iter()
                .fold(0_u64, |v, &b| v << 8 | u64::from(b))
                & (marker - 1);
            at += length;
            found.push((start, id));
            let size = if value == marker - 1 {
                end - at
            } else {
                value as usize
            };
            let master = matches!(
                id,
                0x1A45_DFA3
                    | 0x1853_8067
                    | 0x114D_9B74
                    | 0x4DBB
                    | 0x1549_A966
                    | 0x1654_AE6B
                    | 0xAE
                    | 0xE0
                    | 0xE1
                    | 0x55B0
                    | 0x7670
                    | 0x6D80
                    | 0x6240
                    | 0x5034
                    | 0x5035
                    | 0x1F43_B675
                    | 0xA0
                    | 0x75A1
                    | 0xA6
                    | 0x1C53_BB6B
                    | 0xBB
                    | 0xB7
                    | 0x1254_C367
                    | 0x7373
                    | 0x63C0
                    | 0x67C8
            );
            if master {
                walk(bytes, at, (at + size).min(end), found);
            }
            at += size;
        }
    }
    let mut found = Vec::new();
    if bytes.starts_with(b"DKIF") {
        let mut at = 32;
        while at + 12 <= bytes.len() {
            found.push((at, 0));
            at += 12 + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        }
    } else {
        walk(bytes, 0, bytes.len(), &mut found);
    }
    found
}

#[test]
fn every_prefix_ends_in_a_clear_error_or_a_clean_end() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, whole) in files() {
        let mut opened = 0;
        for cut in 0..200 {
            let len = whole.len() * cut / 200;
            opened +=
                u32::from(survive(whole[..len].to_vec(), &format!("{name} cut at {len}")).is_ok());
        }
        assert!(opened > 50, "{name}: {opened} opened");
        let outcome = survive(whole, name).expect("the whole file");
        assert_eq!(outcome.errors, Vec::<String>::new(), "{name}");
        assert!(outcome.packets > 20, "{name}: {} packets", outcome.packets);
    }
}

#[test]
fn random_mutations_never_panic_hang_or_take_much_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let mut random = Random(0x000e_b315_eed5);
    let mut refused = 0;
    for (name, whole) in files() {
        let rounds = if name == "everything" { 2000 } else { 300 };
        let structure = elements(&whole);
        assert!(structure.len() > 10, "{name}: {} elements", structure.len());
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(6) {
                let at = match random.below(16) {
                    0 => random.below(bytes.len()),
                    _ => structure[random.below(structure.len())].0 + random.below(20),
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
            refused += u32::from(survive(bytes, &format!("{name}, mutation {round}")).is_err());
        }
    }
    assert!(
        refused > 200,
        "mutations reach the structure: {refused} refused"
    );
}

#[test]
fn forged_sizes_are_survived_at_every_element() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, whole) in files() {
        // Past the set-up and the first blocks, one in four: the blocks are all alike.
        let all = elements(&whole).into_iter().enumerate();
        for (_, (at, id)) in all.filter(|(i, _)| *i < 150 || i % 4 == 0) {
            let what = format!("{name}: {id:#x} at {at}");
            if id == 0 {
                for size in [0_u32, 1, 0x7fff_ffff, u32::MAX] {
                    let mut bytes = whole.clone();
                    bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
                    let _ = survive(bytes, &format!("{what} of size {size}"));
                }
                continue;
            }
            let id_length = whole[at].leading_zeros() as usize + 1;
            let place = at + id_length;
            let length = whole[place].leading_zeros() as usize + 1;
            for size in [0_u64, 1, 7, 100, 1 << 31, (1 << 56) - 2, (1 << 56) - 1] {
                // In its place, with all 8 bytes: what follows shifts.
                let mut bytes = whole.clone();
                bytes.splice(place..place + length, (size | 1 << 56).to_be_bytes());
                let _ = survive(bytes, &format!("{what} of size {size:#x}"));
            }
            for first in [0x00, 0x80, 0x81, 0xfe, 0xff, 0x01, 0x7f] {
                let mut bytes = whole.clone();
                bytes[place] = first;
                let _ = survive(bytes, &format!("{what}, size byte {first:#x}"));
            }
        }
    }
}

#[test]
fn values_at_their_largest_are_survived_at_every_element() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let whole = everything();
    for (at, id) in elements(&whole) {
        let id_length = whole[at].leading_zeros() as usize + 1;
        let length = whole[at + id_length].leading_zeros() as usize + 1;
        let body = at + id_length + length;
        for value in [0_u8, 0x7f, 0x80, 0xff] {
            // The data alone, then from there on.
            for count in [1, 8] {
                let mut bytes = whole.clone();
                let end = (body + count).min(bytes.len());
                bytes[body..end].fill(value);
                let _ = survive(bytes, &format!("{id:#x} at {at}: {count} of {value:#x}"));
            }
        }
        // Integers of 8 bytes: the parents' sizes are then wrong, unless they have none.
        let mut bytes = whole.clone();
        bytes.splice(at + id_length..body, [0x88]);
        bytes.splice(at + id_length + 1..at + id_length + 1, [0xff; 8]);
        let _ = survive(bytes, &format!("{id:#x} at {at}: 8 bytes"));
    }
}

#[test]
fn a_bomb_of_zlib_is_stopped_at_the_cap() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let bomb = zlib(&vec![0; 65 << 20]);
    let compressed = el(0x6D80, &[&el(0x6240, &[&el(0x5034, &[&uint(0x4254, 0)])])]);
    let entry = track(1, 17, "S_TEXT/UTF8", &[&compressed]);
    let block = simple(1, 0, 0x80, &bomb);
    let demuxer = support::open_bytes(file(&[&info(), &tracks(&[&entry]), &cluster(0, &[&block])]))
        .expect("opens");
    let error = support::packets(&demuxer, 0)
        .expect_err("too large")
        .to_string();
    assert!(error.contains("limit exceeded"), "{error}");
}
