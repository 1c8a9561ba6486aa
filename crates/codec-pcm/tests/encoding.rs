//! Samples there and back, and files that the ffmpeg command reads.

use reelcore_codec_pcm::{Pcm, PcmEncoder};
use reelcore_conformance::random::Random;
use reelcore_conformance::sound;
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{AudioCodecOptions, OpusOptions};
use reelcore_media::{AudioData, AudioEncoderBackend, ErrorKind, SampleFormat};

/// Codec, the format that goes in, FFmpeg's name of the raw format.
const CODECS: [(&str, SampleFormat, &str); 7] = [
    ("pcm-u8", SampleFormat::U8, "u8"),
    ("pcm-s16", SampleFormat::S16, "s16le"),
    ("pcm-s24", SampleFormat::S32, "s24le"),
    ("pcm-s32", SampleFormat::S32, "s32le"),
    ("pcm-f32", SampleFormat::F32, "f32le"),
    ("alaw", SampleFormat::S16, "alaw"),
    ("ulaw", SampleFormat::S16, "mulaw"),
];

#[test]
fn what_is_decoded_is_what_was_encoded() {
    for (codec, format, _) in CODECS {
        let config = encoder_config(codec, 44_100, 3);
        assert_eq!(PcmEncoder.input_format(&config), format, "{codec}");
        let mut random = Random(7);
        let size = format.sample_bytes();
        let mut bytes: Vec<u8> = (0..3 * 100 * size)
            .map(|_| random.next(256) as u8)
            .collect();
        match codec {
            // What 24 bits can hold.
            "pcm-s24" => bytes.chunks_exact_mut(4).for_each(|sample| sample[0] = 0),
            // Values that the laws have.
            "alaw" | "ulaw" => {
                let coded: Vec<u8> = bytes[..300].to_vec();
                let config = sound::config(codec, 44_100, 3, None);
                let decoded =
                    sound::decode(&mut *sound::start(&Pcm, &config), &[sound::chunk(0, coded)]);
                bytes = sound::interleaved(&decoded);
            }
            _ => {}
        }
        let data = AudioData::new(format, 44_100.0, 100, 3, 5, bytes.clone().into()).unwrap();
        let mut encoder = start_encoder(&PcmEncoder, &config);
        let mut outputs = Vec::new();
        for part in [(0, 30), (30, 1), (31, 69)] {
            let run = data.slice(part.0, part.1).unwrap();
            encoder
                .encode(&run, &mut |output| outputs.push(output))
                .unwrap();
        }
        encoder.flush(&mut |output| outputs.push(output)).unwrap();
        assert_eq!(outputs.len(), 3, "{codec}: a chunk for each run");
        let mut decoder = sound::start(&Pcm, &decoder_config(&outputs));
        let decoded = sound::decode(&mut *decoder, &chunks(&outputs));
        assert_eq!(sound::interleaved(&decoded), bytes, "{codec}");
        if cfg!(target_endian = "little") && !matches!(codec, "pcm-s24" | "alaw" | "ulaw") {
            let own = data.planes[0].as_ptr();
            assert_eq!(
                outputs[0].chunk.data.as_ptr(),
                own,
                "{codec}: samples are not copied"
            );
        }
    }
}

#[test]
fn time_counts_from_the_first_run_and_anew_after_a_flush() {
    let config = encoder_config("pcm-s16", 44_100, 1);
    let mut encoder = start_encoder(&PcmEncoder, &config);
    let mut outputs = Vec::new();
    for (time, flush) in [(-3, false), (900, false), (901, true), (5_000_000, false)] {
        let data = run(SampleFormat::S16, 44_100, 1, time, &[0.0; 1000]);
        encoder
            .encode(&data, &mut |output| outputs.push(output.chunk))
            .unwrap();
        if flush {
            encoder
                .flush(&mut |_| panic!("nothing is held back"))
                .unwrap();
        }
    }
    let times: Vec<_> = outputs
        .iter()
        .map(|c| (c.timestamp, c.duration.unwrap()))
        .collect();
    assert_eq!(
        times,
        [
            (-3, 22_675),
            (22_672, 22_676),
            (45_348, 22_676),
            (5_000_000, 22_675)
        ]
    );
}

#[test]
fn ffmpeg_decodes_the_same() {
    for (codec, _, raw) in CODECS {
        let config = encoder_config(codec, 48_000, 2);
        let samples = music(48_000, 2, 4800);
        let outputs = encode(&PcmEncoder, &config, 0, &samples);
        let options = ["-f", raw, "-ar", "48000", "-ac", "2"];
        let got = ffmpeg_floats(&format!("{codec}.raw"), &joined(&outputs), &options);
        let ours = decode_kept(&Pcm, &outputs);
        assert!(snr(&got, &ours, 2, 0, 0) > 80.0, "{codec}");
        let least = match codec {
            "pcm-u8" => 28.0,
            "alaw" | "ulaw" => 30.0,
            "pcm-s16" => 75.0,
            _ => 120.0,
        };
        for channel in 0..2 {
            let ratio = snr(&got, &samples, 2, channel, 0);
            assert!(ratio > least, "{codec}: {ratio:.1} dB");
        }
    }
}

#[test]
fn what_makes_no_sound_and_what_does_not_fit_is_refused() {
    for (codec, format, _) in CODECS {
        for (rate, channels) in [(0, 1), (48_000, 0)] {
            let error = PcmEncoder
                .check(&encoder_config(codec, rate, channels))
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported);
        }
        let mut config = encoder_config(codec, 8000, 1);
        config.options = AudioCodecOptions::Opus(OpusOptions::default());
        assert!(PcmEncoder.check(&config).is_err());
        config.options = AudioCodecOptions::None;
        let mut encoder = start_encoder(&PcmEncoder, &config);
        let other = run(format, 8000, 2, 0, &[0.0; 8]);
        let error = encoder.encode(&other, &mut |_| panic!()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
    let opus = encoder_config("opus", 48_000, 2);
    assert!(!PcmEncoder.knows(&opus.codec) && PcmEncoder.check(&opus).is_err());
}
