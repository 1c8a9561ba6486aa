//! Truncated, corrupted and hostile files of sound.

#[path = "support/clips.rs"]
mod made;
#[path = "support/sound.rs"]
mod sound;
#[path = "support/survival.rs"]
mod survival;

use std::sync::Arc;
use std::time::{Duration, Instant};

use made::ffmpeg;
use reelcore_containers::{BytesSource, open};
use reelcore_media::demux::Demuxer;
use sound::*;
use survival::{ONE_AT_A_TIME, Random, survive};

/// Small files of every kind.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let made = |name: &'static str, seconds: &str, args: &str| {
        let input = format!("anoisesrc=d={seconds}:r=16000:c=pink:a=0.2:seed=4");
        let mut all = vec![
            "-f",
            "lavfi",
            "-i",
            &input,
            "-metadata",
            "title=One",
            "-ar",
            "16000",
        ];
        all.extend(args.split_whitespace());
        (name, std::fs::read(ffmpeg(name, &all)).expect(name))
    };
    let mut files = vec![
        made(
            "hostile-opus.ogg",
            "1.5",
            "-c:a libopus -b:a 12k -page_duration 200000",
        ),
        made(
            "hostile-vorbis.ogg",
            "1.0",
            "-c:a libvorbis -q:a 0 -page_duration 200000",
        ),
        made("hostile-flac.oga", "0.8", "-c:a flac -page_duration 200000"),
        made("hostile.flac", "0.8", "-c:a flac -frame_size 576"),
        made(
            "hostile.mp3",
            "2.0",
            "-c:a libmp3lame -b:a 16k -write_id3v1 1",
        ),
        made("hostile.aac", "1.0", "-c:a aac -b:a 24k -f adts"),
        made("hostile.wav", "0.3", "-c:a pcm_s16le"),
        made("hostile-rf64.wav", "0.3", "-c:a pcm_s24le -rf64 always"),
        made("hostile.w64", "0.3", "-c:a pcm_s16le"),
    ];
    let chain = [files[0].1.clone(), files[0].1.clone()].concat();
    files.push(("chain", chain));
    files
}

/// The same with right checksums in all pages of Ogg, so that what is in them is read.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = out
        .get(at..)
        .and_then(|rest| rest.windows(4).position(|w| w == b"OggS"))
    {
        at += found;
        let Some(&count) = out.get(at + 26) else {
            break;
        };
        let Some(table) = out.get(at + 27..at + 27 + usize::from(count)) else {
            break;
        };
        let table = table.to_vec();
        let body = at + 27 + table.len();
        let size: usize = table.iter().map(|&size| usize::from(size)).sum();
        let Some(content) = out.get(body..body + size) else {
            break;
        };
        let word =
            |from: usize| u32::from_le_bytes(out[from..from + 4].try_into().expect("4 bytes"));
        let granule = i64::from_le_bytes(out[at + 6..at + 14].try_into().expect("8 bytes"));
        let page = page(
            out[at + 5],
            granule,
            word(at + 14),
            word(at + 18),
            &table,
            content,
        );
        out[at + 22..at + 26].copy_from_slice(&page[22..26]);
        at = body + size;
    }
    out
}

#[test]
fn truncated_anywhere_a_file_ends_or_says_where() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, bytes) in files() {
        let whole = survive(bytes.clone(), name).expect(name);
        assert_eq!(whole.errors, Vec::<String>::new(), "{name}");
        let step = (bytes.len() / 150).max(1);
        for end in (0..bytes.len().min(300)).chain((300..bytes.len()).step_by(step)) {
            if let Ok(outcome) = survive(bytes[..end].to_vec(), &format!("{name}, {end} bytes")) {
                assert!(outcome.packets <= whole.packets, "{name}, {end} bytes");
            }
        }
    }
}

#[test]
fn random_mutations_never_panic_hang_or_take_much_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let mut random = Random(0x0050_4e44);
    let mut differs = 0;
    for (name, whole) in files() {
        // What stands between headers says little of the demuxer.
        let structure: Vec<usize> = (0..whole.len())
            .filter(|&at| {
                let rest = &whole[at..];
                rest.starts_with(b"OggS")
                    || (rest[0] == 0xff && rest.get(1).is_some_and(|b| b & 0xe0 == 0xe0))
            })
            .chain(0..whole.len().min(200))
            .collect();
        let intact = survive(whole.clone(), name).ok();
        for round in 0..250 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(6) {
                let at = match random.below(8) {
                    0 => random.below(bytes.len()),
                    _ => structure[random.below(structure.len())] + random.below(32),
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
            match random.below(16) {
                0 => bytes.truncate(random.below(whole.len())),
                1 => {
                    let at = random.below(whole.len());
                    bytes.drain(at..(at + random.below(64)).min(whole.len()));
                }
                _ => {}
            }
            if random.below(4) > 0 {
                bytes = resealed(&bytes);
            }
            let outcome = survive(bytes, &format!("{name}, mutation {round}")).ok();
            differs += u32::from(outcome != intact);
        }
    }
    assert!(differs > 500, "mutations reach what is parsed: {differs}");
}

#[test]
fn sizes_and_counts_at_their_largest_are_survived_at_every_place_of_the_headers() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, whole) in files() {
        for at in 0..whole.len().min(160) {
            for value in [0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                let mut bytes = whole.clone();
                if let Some(place) = bytes.get_mut(at..at + 4) {
                    place.copy_from_slice(&value.to_le_bytes());
                    let _ = survive(resealed(&bytes), &format!("{name}: byte {at} = {value:#x}"));
                }
            }
        }
    }
}

#[test]
fn forged_structures_take_no_time_and_no_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    // Frame headers without frames, in a stream whose frames may be large.
    let mut flac = b"fLaC\x80\0\0\x22".to_vec();
    flac.extend([
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x4f, 0xf0,
    ]);
    flac.extend([0; 20]);
    // CRC-8 of this header, of one channel and 32 bits, is found by trying.
    let header = (0..=255_u8).map(|crc| [0xff, 0xf8, 0xc9, 0x0e, 0x00, crc]);
    let mut all: Vec<u8> = header.flatten().collect();
    all = all.repeat(200);
    let _ = survive([flac, all].concat(), "headers of FLAC without frames");
    // A page for every byte, a stream for every page.
    let streams: Vec<u8> = (0..2000)
        .flat_map(|n| packets_page(FIRST, 0, n, 0, &[&opus_head(1, 0)]))
        .collect();
    let error = survive(streams, "streams of Ogg")
        .expect_err("too many")
        .to_string();
    assert!(
        error.starts_with("limit exceeded: more than 1024 tracks"),
        "{error}"
    );
    let empty: Vec<u8> = (0..5000)
        .flat_map(|n| page(0, -1, 7, n + 2, &[], &[]))
        .collect();
    let _ = survive([opus_start(7, 2, 0), empty].concat(), "empty pages");
    let links: Vec<u8> = (0..500).flat_map(|n| opus_start(n, 2, 65_535)).collect();
    let _ = survive(links, "a chain of links without sound");
    let far = packets_page(LAST, i64::MAX, 7, 2, &[&opus(4, 1), &opus(4, 2)]);
    let _ = survive(
        [opus_start(7, 2, 0), far].concat(),
        "a granule position at the largest",
    );
    let near = packets_page(0, 3, 7, 2, &[&opus(4, 1), &opus(4, 2)]);
    let _ = survive(
        [opus_start(7, 2, 9), near].concat(),
        "a granule position below its packets",
    );
    let _ = survive(riff(&vec![chunk(b"JUNK", &[]); 3000]), "chunks of nothing");
    let _ = survive(
        id3(3, 0x80, &[0xff; 3000]),
        "an unsynchronised tag of nothing",
    );
    let _ = survive(id3(4, 0, &[]).repeat(1000), "tags behind tags");
}

/// Opens `bytes` and does `more` with them in much less time than it takes to look at every forged header.
fn is_soon_done(bytes: Vec<u8>, what: &str, more: fn(&Arc<dyn Demuxer>)) {
    let begun = Instant::now();
    if let Ok(demuxer) = open(Arc::new(BytesSource::new(bytes))) {
        more(&demuxer);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{what}: {took:?}");
}

/// Seeks once.
fn seek(demuxer: &Arc<dyn Demuxer>) {
    let mut reader = Arc::clone(demuxer).reader(0).expect("the track");
    let _ = reader.seek(1_500_000);
}

/// Reads all there is, and seeks several times.
fn read(demuxer: &Arc<dyn Demuxer>) {
    let _ = survival::read_all(demuxer);
}

#[test]
fn forged_headers_of_flac_are_not_each_followed_through_the_largest_frame() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    // 65,535 samples of eight channels and 32 bits: a frame may have 5 MB.
    let mut flac = b"fLaC\x80\0\0\x22".to_vec();
    flac.extend([0, 16, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    flac.extend((48_000_u64 << 44 | 7 << 41 | 31 << 36).to_be_bytes());
    flac.extend([0; 16]);
    let header = [0xff, 0xf8, 0x10, 0x70, 0];
    let crc = |byte: u8, crc: u8| (0..8).fold(crc ^ byte, |crc, _| (crc << 1) ^ ((crc >> 7) * 7));
    let sum = header.iter().fold(0, |sum, &byte| crc(byte, sum));
    let block: Vec<u8> = header
        .into_iter()
        .chain([sum])
        .chain([0xff; 4090])
        .collect();
    is_soon_done(
        [flac, block.repeat(3072)].concat(),
        "12 MiB of headers of FLAC",
        seek,
    );
}

#[test]
fn forged_pages_of_ogg_are_not_each_summed_to_the_end_that_they_claim() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    // A page that claims tens of kilobytes and has a wrong checksum, every 35 bytes, with a true one now and then.
    let mut forged = page(0, -1, 7, 9, &[], &[]);
    forged[26] = 255;
    forged.extend([255; 8]);
    let forged = forged.repeat(28_000);
    let parts = (0..48).map(|n| {
        let sound = packets_page(0, (n + 1) * 960, 7, n as u32 + 2, &[&opus(40, 1)]);
        [sound, forged.clone()].concat()
    });
    let parts: Vec<u8> = parts.flatten().collect();
    is_soon_done(
        [opus_start(7, 2, 0), parts].concat(),
        "forged pages between true ones",
        read,
    );
    let forged = [opus_start(7, 2, 0), forged.repeat(20)].concat();
    is_soon_done(forged, "forged pages alone", read);
}

#[test]
fn a_stretch_of_damage_hides_nothing_behind_it() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let input = "anoisesrc=d=40:r=48000:c=pink:a=0.2:seed=4";
    let noise = ["-f", "lavfi", "-i", input, "-ac", "2", "-c:a"];
    let made = |name: &str, codec: &[&str]| {
        std::fs::read(ffmpeg(name, &[&noise[..], codec].concat())).expect(name)
    };
    // A bit of every page in the middle half: each is summed for nothing, and none is missed behind them.
    let mut ogg = made("damaged.opus", &["libopus", "-b:a", "256k"]);
    let pages: Vec<usize> = (0..ogg.len())
        .filter(|&at| ogg[at..].starts_with(b"OggS"))
        .collect();
    let damaged = &pages[pages.len() / 4..pages.len() * 3 / 4];
    for page in damaged {
        ogg[page + 400] ^= 1;
    }
    let bytes = damaged[damaged.len() - 1] - damaged[0];
    assert!(bytes > 400_000, "{bytes}");
    let demuxer = open(Arc::new(BytesSource::new(ogg))).expect("opens");
    let mut reader = Arc::clone(&demuxer).reader(0).expect("the track");
    let (mut last, mut gap) = (0, 0);
    while let Some(packet) = reader.next_sample().expect("reads") {
        gap = gap.max(packet.chunk.timestamp - last);
        last = packet.chunk.timestamp;
    }
    assert!(last > 39_900_000 && gap > 15_000_000, "{last} {gap}");
    let found = reader.seek(35_000_000).expect("seeks").expect("a packet");
    assert!((34_900_000..=35_000_000).contains(&found), "{found}");
    // Bytes that are no frames, and frames with right headers that are damaged.
    let whole = made("damaged.flac", &["flac"]);
    let holes = whole.len() / 2 - 1_500_000..whole.len() / 2 + 1_500_000;
    let (mut filled, mut flipped) = (whole.clone(), whole);
    filled[holes.clone()].fill(0x55);
    holes.step_by(3000).for_each(|at| flipped[at] ^= 1);
    // STREAMINFO without the number of samples: the last frame tells it.
    let uncounted = |flac: &[u8]| {
        let mut flac = flac.to_vec();
        flac[21] &= 0xf0;
        flac[22..26].fill(0);
        flac
    };
    for flac in [uncounted(&filled), uncounted(&flipped), filled, flipped] {
        let begun = Instant::now();
        let demuxer = open(Arc::new(BytesSource::new(flac))).expect("opens");
        let duration = demuxer.duration().expect("known");
        assert!(duration.abs_diff(40_000_000) < 10_000, "{duration}");
        let mut reader = Arc::clone(&demuxer).reader(0).expect("the track");
        for time in [5_000_000, 35_000_000, 39_000_000] {
            let found = reader.seek(time).expect("seeks").expect("a packet");
            assert!(
                (time - 100_000..=time).contains(&found),
                "{found} for {time}"
            );
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn losses_all_over_a_long_file_of_ogg_do_not_end_its_reading() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let sound = vec![opus(800, 1); 47];
    let sound: Vec<&[u8]> = sound.iter().map(Vec::as_slice).collect();
    // Every other page has lost most of its bytes, all in all more than pages may claim in vain.
    let pages = (0..151_u32).flat_map(|n| {
        let granule = i64::from(n + 1) * 47 * 960;
        let mut page = packets_page(0, granule, 7, n + 2, &sound);
        if n % 2 == 1 {
            page.drain(1000..31_000);
        }
        page
    });
    let bytes: Vec<u8> = opus_start(7, 2, 0).into_iter().chain(pages).collect();
    let demuxer = open(Arc::new(BytesSource::new(bytes))).expect("opens");
    let mut reader = Arc::clone(&demuxer).reader(0).expect("the track");
    let (mut count, mut last) = (0, 0);
    while let Some(packet) = reader.next_sample().expect("reads") {
        (count, last) = (count + 1, packet.chunk.timestamp);
    }
    assert_eq!((count, last), (76 * 47, (151 * 47 - 1) * 20_000));
}
