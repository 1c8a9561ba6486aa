//! Against the ffmpeg command, bit by bit, and the media of the Web Platform Tests.

use reelcore_codec_pcm::Pcm;
use reelcore_conformance::sound::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::codec::Limits;
use reelcore_media::{AudioDecoderBackend, ErrorKind, SampleFormat};

/// Codec, encoder of ffmpeg, the format that the command gives the same bytes in, and ours.
const CODECS: [(&str, &str, &str, SampleFormat); 7] = [
    ("pcm-u8", "pcm_u8", "u8", SampleFormat::U8),
    ("pcm-s16", "pcm_s16le", "s16le", SampleFormat::S16),
    ("pcm-s24", "pcm_s24le", "s32le", SampleFormat::S32),
    ("pcm-s32", "pcm_s32le", "s32le", SampleFormat::S32),
    ("pcm-f32", "pcm_f32le", "f32le", SampleFormat::F32),
    ("alaw", "pcm_alaw", "s16le", SampleFormat::S16),
    ("ulaw", "pcm_mulaw", "s16le", SampleFormat::S16),
];

#[test]
fn samples_are_those_of_ffmpeg_bit_by_bit() {
    for (codec, encoder, raw, format) in CODECS {
        for (rate, layout) in [(8000, "mono"), (44_100, "stereo"), (48_000, "5.1")] {
            let name = format!("{codec}-{rate}-{layout}.wav");
            let path = clip(&name, rate, layout, &["-c:a", encoder]);
            let track = track(&path);
            let mut decoder = start(&Pcm, &config(codec, rate, track.channels, None));
            let outputs = decode(&mut *decoder, &track.chunks);
            assert!(outputs.iter().all(|o| o.format == format), "{name}");
            assert_times(&name, &outputs, &track.chunks);
            assert_eq!(interleaved(&outputs), reference(&path, raw), "{name}");
        }
    }
}

#[test]
fn the_chunks_of_the_web_platform_tests_decode() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    for (codec, at) in [
        ("ulaw", 0x5c),
        ("alaw", 0x5c),
        ("pcm-u8", 0x4e),
        ("pcm-s16", 0x4e),
        ("pcm-s24", 0x66),
        ("pcm-s32", 0x66),
        ("pcm-f32", 0x72),
    ] {
        let file = folder.join(format!("sfx-{codec}.wav"));
        let len = std::fs::metadata(&file).unwrap().len() as usize;
        let pieces: Vec<_> = (at..len)
            .step_by(1200)
            .map(|at| (at, (len - at).min(1200)))
            .collect();
        let (_, chunks) = ranges(&file, &pieces, 1000);
        let outputs = decode(&mut *start(&Pcm, &config(codec, 48_000, 1, None)), &chunks);
        assert_times(codec, &outputs, &chunks);
    }
}

#[test]
fn uncompressed_samples_are_not_copied() {
    for (codec, ..) in CODECS
        .iter()
        .filter(|c| c.0.starts_with("pcm") && c.0 != "pcm-s24")
    {
        let chunk = chunk(5, vec![7; 240]);
        let mut decoder = start(&Pcm, &config(codec, 48_000, 2, None));
        let outputs = decode(&mut *decoder, std::slice::from_ref(&chunk));
        if cfg!(target_endian = "little") {
            assert_eq!(
                outputs[0].planes[0].as_ptr(),
                chunk.data.as_ptr(),
                "{codec}"
            );
        }
    }
}

#[test]
fn parts_of_frames_and_too_much_audio_are_errors() {
    for (codec, _, _, format) in CODECS {
        let config = config(codec, 48_000, 3, None);
        let mut context = context();
        let width = match codec {
            "pcm-s24" => 3,
            "alaw" | "ulaw" => 1,
            _ => format.sample_bytes(),
        };
        context.limits = Limits {
            max_audio_bytes: 10 * 3 * format.sample_bytes(),
            ..Limits::default()
        };
        let mut decoder = Pcm.start(&config, &context).unwrap();
        let mut decode = |len: usize| {
            decoder
                .decode(&chunk(0, vec![0; len]), &mut |output| {
                    assert_eq!(output.frames as usize * 3 * width, len);
                })
                .map_err(|error| error.kind)
        };
        assert_eq!(decode(0), Err(ErrorKind::InvalidData), "{codec}");
        assert_eq!(
            decode(3 * width + 1),
            Err(ErrorKind::InvalidData),
            "{codec}"
        );
        assert_eq!(decode(30 * width), Ok(()), "{codec}");
        assert_eq!(decode(33 * width), Err(ErrorKind::LimitExceeded), "{codec}");
        assert!(
            Pcm.check(&reelcore_conformance::sound::config(codec, 0, 1, None))
                .is_err()
        );
        assert!(
            Pcm.check(&reelcore_conformance::sound::config(codec, 8000, 0, None))
                .is_err()
        );
    }
    assert!(Pcm.check(&config("opus", 48_000, 2, None)).is_err());
}
