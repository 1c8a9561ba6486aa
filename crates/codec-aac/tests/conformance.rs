//! Against the ffmpeg command: AAC-LC, HE-AAC and HE-AAC v2; the media of the Web Platform Tests; and what happens
//! around decoding.

use std::path::{Path, PathBuf};

use reelcore_codec_aac::Aac;
use reelcore_conformance::sound::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::codec::Limits;
use reelcore_media::{AudioDecoderBackend, EncodedChunk, ErrorKind};

/// Tones and noise of `clip`'s kind in ADTS with implicit SBR: name, output rate.
const HE: [(&str, u32); 4] = [
    ("he-stereo-44100", 44_100),
    ("he-mono-48000", 48_000),
    ("he-v2-32000", 32_000),
    ("he-v2-48000", 48_000),
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.adts"))
}

/// Splits a file into its ADTS frames.
fn frames(path: &Path) -> Vec<EncodedChunk> {
    let bytes = std::fs::read(path).expect("the file");
    let mut chunks = Vec::new();
    let mut rest = &bytes[..];
    while let [_, _, _, a, b, c, ..] = rest {
        let len = usize::from(a & 3) << 11 | usize::from(*b) << 3 | usize::from(c >> 5);
        let (frame, after) = rest.split_at(len);
        chunks.push(chunk(chunks.len() as i64 * 1000 - 42, frame.to_vec()));
        rest = after;
    }
    chunks
}

/// The access units in ADTS frames without checksum, and what the first header says: rate index, channels.
fn access_units(frames: &[EncodedChunk]) -> (Vec<EncodedChunk>, u32, u32) {
    let header = &frames[0].data;
    let rate = u32::from(header[2] >> 2 & 15);
    let channels = u32::from(header[2] & 1) << 2 | u32::from(header[3] >> 6);
    let units = frames
        .iter()
        .map(|frame| chunk(frame.timestamp, frame.data.slice(7..)))
        .collect();
    (units, rate, channels)
}

/// Fields of (value, bits) as bytes, padded with zeros.
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let all: String = fields
        .iter()
        .map(|&(value, width)| format!("{value:0width$b}", width = width as usize))
        .collect();
    all.as_bytes()
        .chunks(8)
        .map(|byte| {
            let text = format!("{:0<8}", std::str::from_utf8(byte).unwrap());
            u8::from_str_radix(&text, 2).unwrap()
        })
        .collect()
}

#[test]
fn lc_is_that_of_ffmpeg_in_the_order_of_webcodecs_with_and_without_a_description() {
    for (rate, layout) in [
        (44_100, "stereo"),
        (48_000, "mono"),
        (8000, "mono"),
        (96_000, "stereo"),
        (48_000, "3.0"),
        (48_000, "4.0"),
        (48_000, "5.0"),
        (48_000, "5.1"),
        (48_000, "7.1"),
    ] {
        let name = format!("aac-{rate}-{layout}");
        let path = clip(
            &format!("{name}.adts"),
            rate,
            layout,
            &["-c:a", "aac", "-f", "adts"],
        );
        let chunks = frames(&path);
        let want = floats(&reference(&path, "f32le"));
        let outputs = decode(
            &mut *start(&Aac, &config("mp4a.40.2", rate, 2, None)),
            &chunks,
        );
        assert_times(&name, &outputs, &chunks);
        assert_close(&name, &outputs, &want);

        let path = clip(&format!("{name}.mka"), rate, layout, &["-c:a", "aac"]);
        let track = track(&path);
        let config = config("mp4a.40.2", rate, track.channels, Some(&track.description));
        let outputs = decode(&mut *start(&Aac, &config), &track.chunks);
        assert_times(&name, &outputs, &track.chunks);
        assert_close(&name, &outputs, &floats(&reference(&path, "f32le")));
    }
}

#[test]
fn he_is_that_of_ffmpeg_however_it_is_signalled() {
    for (name, rate) in HE {
        let path = data(name);
        let want = floats(&reference(&path, "f32le"));
        let chunks = frames(&path);
        for codec in ["mp4a.40.2", "mp4a.40.5", "mp4a.40.29"] {
            let outputs = decode(&mut *start(&Aac, &config(codec, rate, 2, None)), &chunks);
            assert_times(name, &outputs, &chunks);
            assert!(
                outputs
                    .iter()
                    .all(|o| o.sample_rate == rate as f32 && o.frames == 2048)
            );
            assert_close(name, &outputs, &want);
        }
        let (units, core, channels) = access_units(&chunks);
        // The rate of the output has the index three below the core's, half of it.
        let output = core - 3;
        let implicit = bits(&[(2, 5), (core, 4), (channels, 4), (0, 3)]);
        let hierarchical = |object| {
            bits(&[
                (object, 5),
                (core, 4),
                (channels, 4),
                (output, 4),
                (2, 5),
                (0, 3),
            ])
        };
        let backward = bits(&[
            (2, 5),
            (core, 4),
            (channels, 4),
            (0, 3),
            (0x2b7, 11),
            (5, 5),
            (1, 1),
            (output, 4),
        ]);
        let object = if name.starts_with("he-v2") { 29 } else { 5 };
        for description in [implicit, hierarchical(object), backward] {
            let what = format!("{name} {description:02x?}");
            let config = config("mp4a.40.5", rate, 2, Some(&description));
            let outputs = decode(&mut *start(&Aac, &config), &units);
            assert_times(&what, &outputs, &units);
            assert_close(&what, &outputs, &want);
        }
    }
}

#[test]
fn several_adts_frames_in_a_chunk_have_exact_times() {
    let chunks = frames(&data("he-stereo-44100"));
    let whole: Vec<u8> = chunks.iter().flat_map(|c| c.data.to_vec()).collect();
    let config = config("mp4a.40.2", 44_100, 2, None);
    let one = decode(&mut *start(&Aac, &config), &[chunk(-3, whole)]);
    let each = decode(&mut *start(&Aac, &config), &chunks);
    assert_eq!(interleaved(&one), interleaved(&each));
    for (index, output) in one.iter().enumerate() {
        assert_eq!(
            output.timestamp,
            -3 + index as i64 * 2048 * 1_000_000 / 44_100
        );
    }
}

#[test]
fn the_chunks_of_the_web_platform_tests_decode() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    let pieces = |start: usize, sizes: [usize; 10]| {
        let mut at = start;
        sizes.map(|size| {
            at += size;
            (at - size, size)
        })
    };
    let adts = pieces(0, [248, 280, 258, 125, 230, 148, 224, 166, 216, 183]);
    let (_, chunks) = ranges(&folder.join("sfx.adts"), &adts, 24_000);
    let outputs = decode(
        &mut *start(&Aac, &config("mp4a.40.2", 48_000, 1, None)),
        &chunks,
    );
    assert_times("adts", &outputs, &chunks);

    let mp4 = pieces(44, [241, 273, 251, 118, 223, 141, 217, 159, 209, 176]);
    let (bytes, chunks) = ranges(&folder.join("sfx-aac.mp4"), &mp4, 21_333);
    let config = config("mp4a.40.2", 48_000, 1, Some(&bytes[2552..2557]));
    let outputs = decode(&mut *start(&Aac, &config), &chunks);
    assert_times("mp4", &outputs, &chunks);
    assert!(outputs.iter().all(|o| o.frames == 1024 && o.channels == 1));
}

#[test]
fn flush_leaves_no_gap_and_reset_starts_anew() {
    for name in ["he-stereo-44100", "he-v2-32000"] {
        let chunks = frames(&data(name));
        let (units, core, channels) = access_units(&chunks);
        let description = bits(&[(2, 5), (core, 4), (channels, 4), (0, 3)]);
        for (description, chunks) in [(None, &chunks), (Some(&description[..]), &units)] {
            let mut decoder = start(&Aac, &config("mp4a.40.2", 48_000, 2, description));
            let whole = decode(&mut *decoder, chunks);
            decoder.reset();
            let mut parts = decode(&mut *decoder, &chunks[..9]);
            parts.extend(decode(&mut *decoder, &chunks[9..]));
            assert!(interleaved(&parts) == interleaved(&whole), "{name}");
        }
    }
}

#[test]
fn damaged_chunks_and_descriptions_end_in_errors_and_never_in_a_panic() {
    for (name, rate) in HE {
        let chunks = frames(&data(name));
        let (units, core, channels) = access_units(&chunks);
        let description = bits(&[
            (5, 5),
            (core, 4),
            (channels, 4),
            (core - 3, 4),
            (2, 5),
            (0, 3),
        ]);
        let adts = config("mp4a.40.5", rate, 2, None);
        assert!(damage(&Aac, &adts, &chunks, 300) > 60, "{name}");
        let raw = config("mp4a.40.5", rate, 2, Some(&description));
        assert!(damage(&Aac, &raw, &units, 300) > 60, "{name}");
    }
}

#[test]
fn wrong_framing_and_too_much_audio_are_errors() {
    let chunks = frames(&data("he-stereo-44100"));
    let (units, core, channels) = access_units(&chunks);
    let description = bits(&[(2, 5), (core, 4), (channels, 4), (0, 3)]);
    let kind = |description: Option<&[u8]>, data: &[u8], max_audio_bytes| {
        let mut context = context();
        context.limits = Limits {
            max_audio_bytes,
            ..Limits::default()
        };
        let config = config("mp4a.40.2", 44_100, 2, description);
        let mut decoder = Aac.start(&config, &context).map_err(|error| error.kind)?;
        let result = decoder.decode(&chunk(0, data.to_vec()), &mut |_| ());
        result.map_err(|error| error.kind)
    };
    let invalid = Err(ErrorKind::InvalidData);
    let (adts, unit) = (&chunks[0].data[..], &units[0].data[..]);
    assert_eq!(kind(None, adts, 16_384), Ok(()));
    assert_eq!(kind(None, adts, 16_383), Err(ErrorKind::LimitExceeded));
    assert_eq!(kind(Some(&description), unit, 16_384), Ok(()));
    assert_eq!(
        kind(Some(&description), unit, 16_383),
        Err(ErrorKind::LimitExceeded)
    );
    // What the header says of its core, 1024 samples in stereo, is refused before the frame is looked at.
    let (cut, cap) = (&adts[..adts.len() - 9], 8191);
    let mut headless = cut.to_vec();
    headless[4] = (cut.len() >> 3) as u8;
    headless[5] = (cut.len() << 5) as u8 | headless[5] & 0x1f;
    assert_eq!(kind(None, &headless, cap), Err(ErrorKind::LimitExceeded));
    assert_eq!(kind(None, &headless, cap + 1), invalid);
    let limit = Err(ErrorKind::LimitExceeded);
    assert_eq!(kind(Some(&description), &[], cap), limit);
    // An AudioSpecificConfig that states SBR: twice as much.
    let stated = bits(&[
        (5, 5),
        (core, 4),
        (channels, 4),
        (core - 3, 4),
        (2, 5),
        (0, 3),
    ]);
    assert_eq!(kind(Some(&stated), &[], 16_383), limit);
    assert_eq!(kind(Some(&stated), &[], 16_384), invalid);
    assert_eq!(kind(None, unit, 1 << 20), invalid);
    assert_eq!(kind(None, &[], 1 << 20), invalid);
    assert_eq!(kind(Some(&description), &[], 1 << 20), invalid);
    assert_eq!(kind(None, &adts[..adts.len() - 1], 1 << 20), invalid);
    assert_eq!(kind(None, &[adts, &[0]].concat(), 1 << 20), invalid);
    assert_eq!(kind(None, &adts[..7], 1 << 20), invalid);
}

#[test]
fn what_is_said_to_be_supported_starts_whatever_the_channel_configuration() {
    // Alone, with SBR before it, and with SBR and parametric stereo before it.
    for (outer, codec) in [
        (None, "mp4a.40.2"),
        (Some(5), "mp4a.40.5"),
        (Some(29), "mp4a.40.29"),
    ] {
        let mut refused = Vec::new();
        for channels in 1..16 {
            let fields = match outer {
                None => vec![(2, 5), (6, 4), (channels, 4), (0, 3)],
                Some(outer) => vec![(outer, 5), (6, 4), (channels, 4), (3, 4), (2, 5), (0, 3)],
            };
            let config = config(codec, 48_000, 2, Some(&bits(&fields)));
            let supported = Aac.check(&config);
            let started = Aac.start(&config, &context());
            assert_eq!(supported.is_ok(), started.is_ok(), "{codec} {channels}");
            if let Err(error) = supported {
                assert_eq!(error.kind, ErrorKind::Unsupported);
                assert!(error.message.contains("channel configuration"), "{error}");
                refused.push(channels);
            }
        }
        assert_eq!(refused, [8, 9, 10, 15], "{codec}");
    }
}

#[test]
fn other_object_types_and_malformed_descriptions_are_refused() {
    let check = |codec, description: Option<&[u8]>| {
        Aac.check(&config(codec, 48_000, 2, description))
            .map_err(|error| error.kind)
    };
    let unsupported = Err(ErrorKind::Unsupported);
    for codec in [
        "mp4a.40.2",
        "mp4a.40.5",
        "mp4a.40.29",
        "mp4a.67",
        "mp4a.40.02",
    ] {
        assert_eq!(check(codec, None), Ok(()));
        assert_eq!(check(codec, Some(&[0x12, 0x10])), Ok(()));
        assert_eq!(check(codec, Some(&[])), unsupported);
        assert_eq!(check(codec, Some(&[0x12])), unsupported);
        // A reserved rate; Main; xHE-AAC (42).
        assert_eq!(check(codec, Some(&[0x16, 0x90])), unsupported);
        assert_eq!(check(codec, Some(&[0x0a, 0x10])), unsupported);
        assert_eq!(check(codec, Some(&[0xf9, 0x46, 0x40, 0, 0])), unsupported);
    }
    assert_eq!(check("mp3", None), unsupported);
}

/// Frames of silence are some bytes each, and a chunk may hold any number of ADTS frames.
#[test]
fn the_cap_is_on_all_frames_of_a_chunk_together() {
    let chunks = frames(&data("he-stereo-44100"));
    let joined: Vec<u8> = chunks[..5].iter().flat_map(|c| c.data.to_vec()).collect();
    let run = |max_audio_bytes| {
        let mut context = context();
        context.limits = Limits {
            max_audio_bytes,
            ..Limits::default()
        };
        let config = config("mp4a.40.2", 44_100, 2, None);
        let mut decoder = Aac.start(&config, &context).expect("starts");
        let mut given = 0;
        let mut decode = |data: &[u8]| {
            let result = decoder.decode(&chunk(0, data.to_vec()), &mut |_| given += 1);
            result.map_err(|error| error.kind)
        };
        (decode(&joined), decode(&chunks[5].data), given)
    };
    // 2048 samples in stereo of each; the next chunk has the cap for itself.
    assert_eq!(run(5 * 16_384), (Ok(()), Ok(()), 6));
    let (result, _, given) = run(5 * 16_384 - 1);
    assert_eq!(result, Err(ErrorKind::LimitExceeded));
    assert!((4..=5).contains(&given), "{given}");
}
