//! Against the ffmpeg command, the media of the Web Platform Tests, and what happens around decoding.

use reelcore_codec_opus::Opus;
use reelcore_conformance::sound::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::codec::Limits;
use reelcore_media::{AudioDecoderBackend, ErrorKind};

#[test]
fn every_layout_is_that_of_ffmpeg_in_the_order_of_webcodecs() {
    for (layout, family, extra) in [
        ("mono", "-1", &["-b:a", "48k"][..]),
        ("stereo", "-1", &["-b:a", "96k"]),
        ("stereo", "-1", &["-b:a", "16k", "-application", "voip"]),
        ("mono", "-1", &["-b:a", "24k", "-frame_duration", "60"]),
        ("stereo", "-1", &["-b:a", "96k", "-frame_duration", "2.5"]),
        ("3.0", "1", &["-b:a", "128k"]),
        ("quad", "1", &["-b:a", "192k"]),
        ("5.0", "1", &["-b:a", "192k"]),
        ("5.1", "1", &["-b:a", "256k"]),
        ("6.1", "1", &["-b:a", "320k"]),
        ("7.1", "1", &["-b:a", "320k"]),
        ("quad", "255", &["-b:a", "192k"]),
    ] {
        let name = format!(
            "opus-{layout}-{family}{}.mka",
            extra.join("").replace(':', "")
        );
        let encoder = [&["-c:a", "libopus", "-mapping_family", family], extra].concat();
        let path = clip(&name, 48_000, layout, &encoder);
        let track = track(&path);
        let config = config("opus", 48_000, track.channels, Some(&track.description));
        let outputs = decode(&mut *start(&Opus, &config), &track.chunks);
        assert_times(&name, &outputs, &track.chunks);
        assert!(
            outputs
                .iter()
                .all(|o| o.channels == track.channels && o.sample_rate == 48_000.0)
        );
        // By libopus within the command, in floats: the command's own Opus decoder is up to 1e-2 off that.
        let want = reference_by(
            &path,
            "f32le",
            &["-c:a", "libopus", "-request_sample_fmt", "flt"],
        );
        assert_close(&name, &outputs, &floats(&want));
    }
}

#[test]
fn without_a_description_the_sound_is_the_same_and_pre_skip_is_kept_in_both() {
    let path = clip("opus-bare.mka", 48_000, "stereo", &["-c:a", "libopus"]);
    let track = track(&path);
    assert!(
        track.description[10] | track.description[11] != 0,
        "has pre-skip"
    );
    let with = config("opus", 48_000, 2, Some(&track.description));
    let outputs = decode(&mut *start(&Opus, &with), &track.chunks);
    let bare = decode(
        &mut *start(&Opus, &config("opus", 16_000, 2, None)),
        &track.chunks,
    );
    assert_eq!(interleaved(&bare), interleaved(&outputs));
    assert_eq!(outputs[0].frames, 960);
    assert_eq!(outputs[0].timestamp, track.chunks[0].timestamp);
    // A gain of -20 dB in the header is applied.
    let mut quiet = track.description.clone();
    quiet[16..18].copy_from_slice(&(-20i16 * 256).to_le_bytes());
    let quiet = config("opus", 48_000, 2, Some(&quiet));
    let quiet = floats(&interleaved(&decode(
        &mut *start(&Opus, &quiet),
        &track.chunks,
    )));
    for (quiet, loud) in quiet.iter().zip(floats(&interleaved(&outputs))) {
        assert!((quiet - loud * 0.1).abs() < 1e-3);
    }
}

#[test]
fn the_chunks_of_the_web_platform_tests_decode() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    let sizes = [450, 268, 285, 296, 287, 308, 289, 286, 296, 294];
    let mut at = 185;
    let pieces = sizes.map(|size| {
        at += size;
        (at - size, size)
    });
    let (bytes, chunks) = ranges(&folder.join("sfx-opus.ogg"), &pieces, 20_000);
    let config = config("opus", 48_000, 1, Some(&bytes[28..47]));
    let outputs = decode(&mut *start(&Opus, &config), &chunks);
    assert_times("opus", &outputs, &chunks);
}

#[test]
fn flush_leaves_no_gap_and_reset_starts_anew() {
    let path = clip(
        "opus-reset.mka",
        48_000,
        "5.1",
        &["-c:a", "libopus", "-mapping_family", "1"],
    );
    let track = track(&path);
    let config = config("opus", 48_000, 6, Some(&track.description));
    let mut decoder = start(&Opus, &config);
    let whole = decode(&mut *decoder, &track.chunks);
    decoder.reset();
    let mut parts = decode(&mut *decoder, &track.chunks[..9]);
    parts.extend(decode(&mut *decoder, &track.chunks[9..]));
    assert!(interleaved(&parts) == interleaved(&whole));
    let unlike = decode(&mut *decoder, &track.chunks);
    assert!(
        interleaved(&unlike) != interleaved(&whole),
        "state goes on without reset"
    );
}

#[test]
fn damaged_packets_and_headers_end_in_errors_and_never_in_a_panic() {
    for (layout, family) in [("stereo", "-1"), ("5.1", "1")] {
        let name = format!("opus-damage-{layout}.mka");
        let path = clip(
            &name,
            48_000,
            layout,
            &["-c:a", "libopus", "-mapping_family", family],
        );
        let track = track(&path);
        let config = config("opus", 48_000, track.channels, Some(&track.description));
        let errors = damage(&Opus, &config, &track.chunks, 800);
        assert!(errors > 150, "{layout}: {errors}");
    }
}

#[test]
fn empty_and_impossible_packets_and_too_much_audio_are_errors() {
    let kind = |data: &[u8], max_audio_bytes| {
        let mut context = context();
        context.limits = Limits {
            max_audio_bytes,
            ..Limits::default()
        };
        let mut decoder = Opus
            .start(&config("opus", 48_000, 2, None), &context)
            .unwrap();
        let result = decoder.decode(&chunk(0, data.to_vec()), &mut |_| ());
        result.map_err(|error| error.kind)
    };
    assert_eq!(kind(&[], 1 << 20), Err(ErrorKind::InvalidData));
    // Code 3 with no frames; with 3 frames of 60 ms, which is more than 120 ms.
    assert_eq!(kind(&[0x1b, 0x00], 1 << 20), Err(ErrorKind::InvalidData));
    assert_eq!(
        kind(&[0x1b, 0x03, 0, 0, 0], 1 << 20),
        Err(ErrorKind::InvalidData)
    );
    // Two frames of equal size in three bytes.
    assert_eq!(kind(&[0xf9, 1, 2, 3], 1 << 20), Err(ErrorKind::InvalidData));
    // 20 ms in stereo are 7680 bytes.
    let packet = [&[0xfc][..], &[0x55; 100]].concat();
    assert_eq!(kind(&packet, 7680), Ok(()));
    assert_eq!(kind(&packet, 7679), Err(ErrorKind::LimitExceeded));
}

#[test]
fn more_than_two_channels_need_a_description() {
    for channels in [1, 2] {
        assert!(Opus.check(&config("opus", 48_000, channels, None)).is_ok());
    }
    for (channels, description) in [(3, None), (3, Some(&[0; 9][..])), (2, Some(&[][..]))] {
        let error = Opus
            .check(&config("opus", 48_000, channels, description))
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }
    assert!(Opus.check(&config("vorbis", 48_000, 2, None)).is_err());
}
