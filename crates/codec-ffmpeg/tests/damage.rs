//! Damage: a frame that is not what the bits say must not come out.

mod common;

use std::collections::HashMap;

use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_codec_openh264::OpenH264;
use reelcore_conformance::Family;
use reelcore_conformance::random::Random;
use reelcore_conformance::video::{checksums, context, md5};
use reelcore_media::{EncodedChunk, VideoDecoderBackend};

/// Damaged streams of each comparison: `FFMPEG_DAMAGE_ROUNDS` asks for more.
fn rounds(default: usize) -> usize {
    let asked = std::env::var("FFMPEG_DAMAGE_ROUNDS").ok();
    asked
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

/// H.264 that OpenH264 decodes exactly.
fn h264_clips() -> Vec<Clip> {
    vec![
        x264("d-cabac.264", 12, "bframes=0:ref=3:keyint=12"),
        x264("d-cavlc.264", 12, "bframes=0:ref=2:cabac=0:keyint=6"),
        x264("d-slices.264", 12, "bframes=0:ref=2:slices=4:keyint=12"),
        x264(
            "d-b.264",
            12,
            "bframes=2:ref=3:direct=none:b-pyramid=normal:keyint=12:no-deblock=1",
        ),
        x264(
            "d-cavlc-slices.264",
            12,
            "bframes=0:cabac=0:slices=3:weightp=2",
        ),
        x264("d-intra.264", 6, "keyint=1:slices=2"),
    ]
}

fn hevc_clips() -> Vec<Clip> {
    vec![
        x265("d-p.265", 12, "bframes=0:ref=3:keyint=12"),
        x265("d-b.265", 12, "bframes=3:b-pyramid=1:keyint=12"),
        x265(
            "d-slices.265",
            12,
            "bframes=2:slices=2:ctu=16:max-tu-size=16:wpp=1",
        ),
        x265("d-wpp.265", 10, "bframes=0:ctu=16:max-tu-size=16:wpp=1"),
        x265(
            "d-open.265",
            12,
            "bframes=2:keyint=4:min-keyint=4:open-gop=1",
        ),
        x265("d-intra.265", 6, "keyint=1"),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A whole chunk is lost.
    Chunk,
    /// A NAL unit of a chunk is lost.
    Unit,
    /// A slice ends too early.
    Truncate,
    /// Bits flip in a slice.
    Flip,
    /// Bits flip near the start of a slice.
    FlipHeader,
    /// A slice of another chunk stands in place of one.
    Swap,
    /// A chunk comes twice.
    Twice,
}

/// What is lost, or in another place.
const LOSSES: &[Damage] = &[Damage::Chunk, Damage::Unit, Damage::Swap, Damage::Twice];

/// What is changed within slices.
const CHANGES: &[Damage] = &[Damage::Truncate, Damage::Flip, Damage::FlipHeader];

fn damage(clip: &Clip, what: Damage, random: &mut Random) -> Vec<EncodedChunk> {
    let mut chunks = clip.chunks.clone();
    let at = 1 + random.next(chunks.len() - 1);
    let family = clip.stream.family;
    let mut units = nals(&chunks[at].data);
    let slices: Vec<usize> = (0..units.len())
        .filter(|&unit| is_slice(family, &units[unit]))
        .collect();
    let slice = slices[random.next(slices.len())];
    match what {
        Damage::Chunk => {
            chunks.remove(at);
            return chunks;
        }
        Damage::Twice => {
            let mut again = chunks[at].clone();
            again.timestamp += 1;
            chunks.insert(at, again);
            return chunks;
        }
        Damage::Unit => drop(units.remove(slice)),
        Damage::Truncate => {
            let len = units[slice].len();
            units[slice].truncate(3 + random.next(len - 3));
        }
        Damage::Flip | Damage::FlipHeader => {
            let len = units[slice].len();
            let reach = match what {
                Damage::Flip => len,
                _ => len.min(12),
            };
            for _ in 0..=random.next(3) {
                let byte = 1 + random.next(reach - 1);
                units[slice][byte] ^= 1 << random.next(8);
            }
        }
        Damage::Swap => {
            let other = nals(&chunks[random.next(chunks.len())].data);
            units[slice] = other[other.len() - 1].clone();
        }
    }
    chunks[at].data = annexb(&units);
    chunks
}

/// What came of many damaged streams.
#[derive(Debug, Default)]
struct Tally {
    streams: usize,
    errors: usize,
    intact: usize,
    as_reference: usize,
    wrong: Vec<String>,
}

/// Decodes damaged streams, and compares each frame that comes out with that of the intact stream or, where it is another
/// one, with that of `reference`.
fn compare(
    clips: &[Clip],
    damages: &[Damage],
    reference: &dyn VideoDecoderBackend,
    rounds: usize,
) -> Tally {
    let mut random = Random(0x5eed_1234_abcd_0001);
    let mut tally = Tally::default();
    for clip in clips {
        let (frames, error) = decode(&mut *start(&clip.config, 1), &clip.chunks);
        assert!(error.is_none(), "{}: {error:?}", clip.name);
        assert_eq!(checksums(&frames), clip.md5, "{}", clip.name);
        let good: HashMap<i64, String> = frames.iter().map(|f| (f.timestamp, md5(f))).collect();
        let mut by_reference = reference.start(&clip.config, &context(1)).unwrap();
        let (frames, _) = decode(&mut *by_reference, &clip.chunks);
        assert_eq!(
            checksums(&frames),
            clip.md5,
            "the reference on {}",
            clip.name
        );
        for round in 0..rounds {
            let what = damages[round % damages.len()];
            let chunks = damage(clip, what, &mut random);
            let threads = 1 + random.next(4);
            let mut config = clip.config.clone();
            config.optimize_for_latency = random.next(4) == 0;
            let (frames, error) = decode(&mut *start(&config, threads), &chunks);
            tally.streams += 1;
            tally.errors += usize::from(error.is_some());
            let mut known = None;
            for frame in frames {
                let sum = md5(&frame);
                if good.get(&frame.timestamp) == Some(&sum) {
                    tally.intact += 1;
                    continue;
                }
                let (known, its_error) = known.get_or_insert_with(|| {
                    let mut decoder = reference.start(&clip.config, &context(1)).unwrap();
                    let (frames, error) = decode(&mut *decoder, &chunks);
                    let sums = frames.iter().map(|f| (f.timestamp, md5(f)));
                    (sums.collect::<HashMap<i64, String>>(), error)
                });
                if known.get(&frame.timestamp) == Some(&sum) {
                    tally.as_reference += 1;
                } else {
                    tally.wrong.push(format!(
                        "{} round {round} {what:?} on {threads}, latency {}: frame {}, {} by the reference ({its_error:?}); {error:?}",
                        clip.name,
                        config.optimize_for_latency,
                        frame.timestamp,
                        if known.contains_key(&frame.timestamp) { "another" } else { "none" },
                    ));
                    break;
                }
            }
        }
    }
    println!(
        "{} streams, {} errors, {} frames intact, {} as the reference, {} wrong",
        tally.streams,
        tally.errors,
        tally.intact,
        tally.as_reference,
        tally.wrong.len()
    );
    for what in damages {
        let name = format!(" {what:?} on ");
        let of = tally.wrong.iter().filter(|text| text.contains(&name));
        println!("  wrong after {what:?}: {}", of.count());
    }
    tally
}

#[test]
fn h264_that_lacks_pictures_or_slices_gives_no_other_frames() {
    let tally = compare(&h264_clips(), LOSSES, &OpenH264, rounds(60));
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.errors * 2 > tally.streams, "{tally:?}");
}

/// libavcodec ends a picture at its last macroblock, whether or not CABAC's end_of_slice_flag is there. OpenH264 looks for
/// it: by that it finds damage in about one of a thousand changed slices more. In B slices, changed headers lead to where
/// OpenH264 is not exact.
#[test]
fn frames_of_changed_h264_are_intact_or_what_openh264_decodes() {
    let tally = compare(&h264_clips(), CHANGES, &OpenH264, rounds(90));
    let mut wrong = tally.wrong.clone();
    wrong.retain(|text| !(text.starts_with("d-b.264") && text.contains("another by")));
    println!("{} that OpenH264 refuses", wrong.len());
    assert!(wrong.len() * 500 <= tally.streams, "{}", wrong.join("\n"));
    assert!(tally.errors * 2 > tally.streams, "{tally:?}");
}

#[test]
fn hevc_that_lacks_pictures_or_slices_gives_no_other_frames() {
    let tally = compare(&hevc_clips(), LOSSES, &Hevc, rounds(60));
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.errors * 3 > tally.streams, "{tally:?}");
}

/// Where the stream has an MD5 of each picture (D.3.19), all of it is found.
#[test]
fn changed_hevc_with_picture_hashes_gives_no_other_frames() {
    let clips = [
        x265("d-md5-p.265", 12, "bframes=0:ref=3:keyint=12:hash=1"),
        x265("d-md5-b.265", 12, "bframes=3:b-pyramid=1:keyint=12:hash=1"),
    ];
    let tally = compare(&clips, CHANGES, &Hevc, rounds(60));
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.errors * 2 > tally.streams, "{tally:?}");
}

/// What speed costs: `Ffmpeg::finds_damage` says so, by which embedders can have rusty_h265 first.
#[test]
fn of_changed_hevc_libavcodec_takes_what_rusty_h265_finds_damaged() {
    let clips = hevc_clips();
    let tally = compare(&clips, CHANGES, &Hevc, rounds(30));
    assert!(!FFMPEG.finds_damage(&clips[0].config.codec));
    assert!(
        tally.wrong.len() * 10 > tally.streams,
        "libavcodec finds damage now: say so in `Ffmpeg::finds_damage`. {tally:?}"
    );
    // What is found all the same: it must not get less.
    assert!(tally.errors * 4 > tally.streams, "{tally:?}");
}

/// libavcodec leaves a row of VP8 where its partition ends, and tells nobody; some macroblocks too late, which is what
/// `Ffmpeg::finds_damage` is about.
#[test]
fn vp8_that_ends_much_too_early_gives_no_other_frames() {
    let clips = ["1", "4"].map(|partitions| {
        let name = format!("d-{partitions}.vp8.ivf");
        let args = ["-slices", partitions, "-b:v", "2M", "-g", "6"];
        let size = (320, 240);
        sized(&name, size, Family::Vp8, 12, "yuv420p", "yuv420p", &args)
    });
    let mut random = Random(0x5eed_1234_abcd_0002);
    for clip in &clips {
        let (frames, _) = decode(&mut *start(&clip.config, 1), &clip.chunks);
        let good: HashMap<i64, String> = frames.iter().map(|f| (f.timestamp, md5(f))).collect();
        assert_eq!(good.len(), clip.chunks.len());
        for round in 0..rounds(40) {
            let mut chunks = clip.chunks.clone();
            let at = random.next(chunks.len());
            let len = chunks[at].data.len();
            chunks[at].data.truncate(len / 4 + random.next(len / 2));
            let mut config = clip.config.clone();
            config.optimize_for_latency = random.next(4) == 0;
            let (frames, error) = decode(&mut *start(&config, 1 + round % 4), &chunks);
            let what = format!(
                "{} round {round}: chunk {at} of {len} bytes cut to {}",
                clip.name,
                chunks[at].data.len()
            );
            assert!(error.is_some(), "{what}");
            for frame in frames {
                let good = good.get(&frame.timestamp);
                assert_eq!(
                    good,
                    Some(&md5(&frame)),
                    "{what}: frame {}",
                    frame.timestamp
                );
            }
        }
    }
}
