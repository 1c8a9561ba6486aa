//! What happens around decoding: flush, reset, changes, limits, damage.

use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::sound::*;
use reelcore_media::codec::Limits;
use reelcore_media::{AudioDecoderBackend, AudioDecoderConfig, EncodedChunk, ErrorKind};

/// A clip of each codec.
fn clips() -> Vec<(&'static str, AudioDecoderConfig, Vec<EncodedChunk>)> {
    let made = [
        ("flac", "stream.flac", "flac"),
        ("mp3", "stream.mp3", "libmp3lame"),
        ("vorbis", "stream.mka", "libvorbis"),
    ];
    made.map(|(codec, file, encoder)| {
        let path = clip(file, 48_000, "stereo", &["-c:a", encoder]);
        let track = track(&path);
        let description = match codec {
            "flac" => [b"fLaC\x80\x00\x00\x22", &track.description[..]].concat(),
            _ => track.description.clone(),
        };
        let description = (codec != "mp3").then_some(&description[..]);
        (codec, config(codec, 48_000, 2, description), track.chunks)
    })
    .into()
}

#[test]
fn flush_leaves_no_gap_and_reset_starts_anew() {
    for (codec, config, chunks) in clips() {
        let mut decoder = start(&Symphonia, &config);
        let whole = decode(&mut *decoder, &chunks);
        decoder.reset();
        let mut parts = decode(&mut *decoder, &chunks[..5]);
        parts.extend(decode(&mut *decoder, &chunks[5..]));
        assert!(interleaved(&parts) == interleaved(&whole), "{codec}");
        decoder.reset();
        let again = decode(&mut *decoder, &chunks);
        assert!(interleaved(&again) == interleaved(&whole), "{codec}");
        drop(decoder);
        assert!(
            interleaved(&again) == interleaved(&whole),
            "outputs outlive it"
        );
    }
}

#[test]
fn damaged_chunks_and_descriptions_end_in_errors_and_never_in_a_panic() {
    for (codec, config, chunks) in clips() {
        let errors = damage(&Symphonia, &config, &chunks, 600);
        // MP3 and Vorbis packets have no checksum: much damage is sound like any other.
        let least = if codec == "flac" { 500 } else { 60 };
        assert!(errors > least, "{codec}: {errors}");
    }
}

#[test]
fn damaged_vorbis_with_many_channels_ends_in_errors_and_never_in_a_panic() {
    let path = clip("stream-quad.mka", 48_000, "quad", &["-c:a", "libvorbis"]);
    let track = track(&path);
    let config = config("vorbis", 48_000, 4, Some(&track.description));
    let mut decoder = start(&Symphonia, &config);
    let whole = decode(&mut *decoder, &track.chunks);
    decoder.reset();
    let mut parts = decode(&mut *decoder, &track.chunks[..5]);
    parts.extend(decode(&mut *decoder, &track.chunks[5..]));
    assert!(interleaved(&parts) == interleaved(&whole));
    assert!(damage(&Symphonia, &config, &track.chunks, 400) > 40);
}

#[test]
fn damaged_frames_of_flac_are_noticed_by_their_checksum() {
    let (_, config, chunks) = clips().swap_remove(0);
    let mut decoder = start(&Symphonia, &config);
    for at in (0..chunks[1].data.len()).step_by(97) {
        let mut data = chunks[1].data.to_vec();
        data[at] ^= 0x40;
        let error = decoder.decode(&chunk(77, data), &mut |_| panic!("wrong sound"));
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidData);
        assert!(error.message.contains("timestamp 77"), "{error}");
    }
}

#[test]
fn mp3_may_change_its_rate_and_channels() {
    let mut decoder = start(&Symphonia, &config("mp3", 44_100, 2, None));
    for (rate, layout) in [(44_100, "stereo"), (48_000, "mono"), (22_050, "stereo")] {
        let name = format!("mp3-change-{rate}.mp3");
        let path = clip(
            &name,
            rate,
            layout,
            &["-c:a", "libmp3lame", "-write_xing", "0"],
        );
        let track = track(&path);
        let outputs = decode(&mut *decoder, &track.chunks);
        assert_eq!(outputs.len(), track.chunks.len());
        for output in &outputs {
            assert_eq!(
                (output.sample_rate, output.channels),
                (rate as f32, track.channels)
            );
        }
        assert_close(&name, &outputs, &floats(&reference(&path, "f32le")));
    }
}

#[test]
fn empty_and_cut_chunks_and_too_much_audio_are_errors() {
    for (codec, config, chunks) in clips() {
        let kind = |data: &[u8]| {
            let mut decoder = start(&Symphonia, &config);
            let result = decoder.decode(&chunk(0, data.to_vec()), &mut |_| ());
            result.map_err(|error| error.kind)
        };
        assert_eq!(kind(&[]), Err(ErrorKind::InvalidData), "{codec}");
        if codec != "vorbis" {
            let data = &chunks[3].data;
            assert_eq!(
                kind(&data[..data.len() / 2]),
                Err(ErrorKind::InvalidData),
                "{codec}"
            );
            let longer = [data, &[7u8, 7][..]].concat();
            assert_eq!(kind(&longer), Err(ErrorKind::InvalidData), "{codec}");
        }
        let mut context = context();
        context.limits = Limits {
            max_audio_bytes: 100,
            ..Limits::default()
        };
        let error = Symphonia.start(&config, &context).and_then(|mut decoder| {
            chunks
                .iter()
                .try_for_each(|chunk| decoder.decode(chunk, &mut |_| ()))
        });
        assert_eq!(error.unwrap_err().kind, ErrorKind::LimitExceeded, "{codec}");
    }
}

/// The limit is refused from what a header says: no buffer of the library is made for it.
#[test]
fn codebooks_above_the_cap_are_refused_before_they_are_made() {
    let (_, config, _) = clips().swap_remove(2);
    let mut context = context();
    context.limits.max_setup_bytes = 100_000;
    let error = Symphonia.start(&config, &context).err().expect("refused");
    assert_eq!(error.kind, ErrorKind::LimitExceeded);
    assert!(error.message.contains("max_setup_bytes"), "{error}");
    // 256 codebooks of 2^17 entries in 32 dimensions: forty gigabytes, asked for by six kilobytes.
    let mut bits: Vec<u8> = Vec::new();
    let mut put = |value: u64, count: u32| {
        bits.extend((0..count).map(|bit| (value >> bit & 1) as u8));
    };
    put(255, 8);
    for _ in 0..256 {
        for (value, count) in [(0x56_4342, 24), (32, 16), (1 << 17, 24), (1, 1), (16, 5)] {
            put(value, count);
        }
        for (value, count) in [(1 << 17, 18), (1, 4), (0, 64), (0, 4), (0, 1), (0, 1)] {
            put(value, count);
        }
    }
    let bytes = bits.chunks(8);
    let bytes = bytes.map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
    let description = config.description.as_ref().expect("headers");
    let setup = description.windows(7).position(|at| at == b"\x05vorbis");
    let (before, _) = description.split_at(setup.expect("a set-up header") + 7);
    let crafted: Vec<u8> = before.iter().copied().chain(bytes).collect();
    for channels in [2, 6] {
        let mut crafted = crafted.clone();
        let identification = crafted.windows(7).position(|at| at == b"\x01vorbis");
        crafted[identification.expect("a header") + 11] = channels;
        let config = reelcore_conformance::sound::config("vorbis", 48_000, 2, Some(&crafted));
        let context = reelcore_conformance::sound::context();
        let error = Symphonia.start(&config, &context).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
    }
}

#[test]
fn descriptions_are_required_where_the_registrations_say_so() {
    for codec in ["flac", "vorbis"] {
        for description in [None, Some(&[][..]), Some(&[2, 1, 1, 0, 0][..])] {
            let error = Symphonia
                .check(&config(codec, 48_000, 2, description))
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{codec}");
        }
    }
    assert!(Symphonia.check(&config("mp3", 48_000, 2, None)).is_ok());
    assert!(
        Symphonia
            .check(&config("mp3", 48_000, 2, Some(b"not used")))
            .is_ok()
    );
    assert!(
        Symphonia
            .check(&config("mp4a.40.2", 48_000, 2, None))
            .is_err()
    );
}

/// Frames of silence are some bytes each, and a chunk may hold any number of frames.
#[test]
fn the_cap_is_on_all_frames_of_a_chunk_together() {
    for (codec, config, chunks) in clips() {
        if codec == "vorbis" {
            // A chunk is one packet.
            continue;
        }
        let chunks = &chunks[..10];
        let whole = decode(&mut *start(&Symphonia, &config), chunks);
        let bytes: usize = whole.iter().map(|output| output.byte_size()).sum();
        let data: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| chunk.data.to_vec())
            .collect();
        let run = |max_audio_bytes| {
            let mut context = context();
            context.limits = Limits {
                max_audio_bytes,
                ..Limits::default()
            };
            let mut decoder = Symphonia.start(&config, &context).expect("starts");
            let mut given = Vec::new();
            let result = decoder.decode(&chunk(0, data.clone()), &mut |output| given.push(output));
            (given.len(), result)
        };
        let (given, result) = run(bytes);
        assert_eq!((given, result), (whole.len(), Ok(())), "{codec}");
        let (given, result) = run(bytes - 1);
        let error = result.expect_err("above the cap");
        assert_eq!(error.kind, ErrorKind::LimitExceeded, "{codec}: {error}");
        assert!(error.message.contains("max_audio_bytes"), "{error}");
        assert_eq!(given, whole.len() - 1, "{codec}");
        // Each chunk has the cap for itself.
        let mut context = context();
        context.limits.max_audio_bytes = bytes / 2;
        let mut decoder = Symphonia.start(&config, &context).expect("starts");
        assert_eq!(decode(&mut *decoder, chunks).len(), whole.len(), "{codec}");
    }
}
