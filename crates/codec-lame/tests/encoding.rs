//! Encoded and decoded again, by this project's decoder and by the ffmpeg command.

use reelcore_codec_lame::Mp3;
use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio,
};
use reelcore_media::{AudioEncoderBackend, ErrorKind, SampleFormat};

const RATES: [u32; 9] = [
    48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
];

fn config(rate: u32, channels: u32, bitrate: Option<u64>) -> AudioEncoderConfig {
    AudioEncoderConfig {
        bitrate,
        ..encoder_config("mp3", rate, channels)
    }
}

#[test]
fn every_rate_keeps_the_exact_length_and_every_channel_its_place() {
    for rate in RATES {
        for channels in 1..=2 {
            for frames in [1, 576, 1152, rate as usize / 2 + 13] {
                let tone = |channel: u32| 300.0 + 410.0 * f64::from(channel);
                let samples = tones(rate, channels, frames, tone);
                let outputs = encode(&Mp3, &config(rate, channels, None), -11, &samples);
                let got = decode_kept(&Symphonia, &outputs);
                assert_eq!(got.len(), samples.len(), "{frames} at {rate} Hz");
                for channel in 0..channels {
                    if frames > 2000 {
                        let ratio = snr(&got, &samples, channels, channel, 600);
                        assert!(
                            ratio > 15.0,
                            "{rate} Hz, {channel} of {channels}: {ratio:.1} dB"
                        );
                    }
                }
                assert_eq!(decoder_config(&outputs).description, None);
            }
        }
    }
}

#[test]
fn bitrates_are_held_constant_and_variable() {
    for (rate, bitrates) in [
        (44_100, &[64_000, 128_000, 192_000, 320_000][..]),
        (22_050, &[32_000, 64_000]),
    ] {
        let samples = music(rate, 2, 5 * rate as usize);
        for &bitrate in bitrates {
            for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
                let config = AudioEncoderConfig {
                    bitrate_mode: mode,
                    ..config(rate, 2, Some(bitrate))
                };
                let outputs = encode(&Mp3, &config, 0, &samples);
                let held = bits_per_second(&outputs) / bitrate as f64;
                assert!(
                    (0.85..1.15).contains(&held),
                    "{mode:?} {bitrate}: {held:.2}"
                );
            }
        }
    }
}

#[test]
fn more_bits_bring_the_sound_nearer() {
    let samples = music(44_100, 2, 2 * 44_100);
    let mut before = 0.0;
    for (bitrate, least) in [(64_000, 5.0), (128_000, 8.0), (320_000, 15.0)] {
        let outputs = encode(&Mp3, &config(44_100, 2, Some(bitrate)), 0, &samples);
        let got = decode_kept(&Symphonia, &outputs);
        let ratio = snr(&got, &samples, 2, 0, 0).min(snr(&got, &samples, 2, 1, 0));
        assert!(
            ratio > least && ratio > before,
            "{bitrate} bit/s: {ratio:.1} dB"
        );
        before = ratio;
    }
}

#[test]
fn after_a_flush_time_starts_anew_and_the_sound_is_the_same() {
    let config = config(44_100, 2, Some(128_000));
    let mut encoder = start_encoder(&Mp3, &config);
    encoder
        .flush(&mut |_| panic!("there was no input"))
        .unwrap();
    let samples = music(44_100, 2, 30_000);
    let mut again = |time| encode_with(&mut *encoder, SampleFormat::F32, &config, time, &samples);
    let (first, second) = (again(1_000_000), again(5));
    assert_eq!(joined(&first), joined(&second));
    let sides = |outputs: &[EncodedAudio]| -> Vec<_> {
        let chunks = outputs.iter().map(|output| &output.chunk);
        chunks.map(|chunk| chunk.side.clone()).collect()
    };
    assert_eq!(sides(&first), sides(&second));
    assert!(second.iter().all(|output| output.decoder_config.is_none()));
}

#[test]
fn ffmpeg_decodes_a_file_of_it_without_complaint_and_hears_the_same() {
    for (rate, channels) in [(44_100, 2), (48_000, 1), (16_000, 2)] {
        let samples = music(rate, channels, rate as usize);
        let outputs = encode(&Mp3, &config(rate, channels, None), 0, &samples);
        let got = ffmpeg_floats(&format!("{rate}-{channels}.mp3"), &joined(&outputs), &[]);
        let ours = decode_kept(&Symphonia, &outputs);
        let kept = &got[1105 * channels as usize..][..ours.len()];
        for channel in 0..channels {
            let ratio = snr(kept, &ours, channels, channel, 0);
            assert!(ratio > 60.0, "{rate} Hz: {ratio:.1} dB");
        }
    }
}

#[test]
fn samples_that_are_no_numbers_harm_nothing() {
    let mut samples = music(48_000, 2, 30_000);
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = match index % 97 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => -1e30,
            _ => *sample * 30.0,
        };
    }
    let outputs = encode(&Mp3, &config(48_000, 2, None), 0, &samples);
    let got = decode_kept(&Symphonia, &outputs);
    assert!(got.iter().all(|sample| sample.abs() < 8.0));
}

#[test]
fn configurations_that_it_cannot_have_are_refused_with_a_reason() {
    for (config, reason) in [
        (encoder_config("opus", 48_000, 2), "expected mp3"),
        (config(48_000, 0, None), "channels"),
        (config(48_000, 3, None), "channels"),
        (config(0, 2, None), "kHz"),
        (config(96_000, 2, None), "kHz"),
        (config(6000, 2, None), "kHz"),
        (config(48_000, 2, Some(0)), "bitrate"),
        (config(48_000, 2, Some(31_999)), "bitrate"),
        (config(48_000, 2, Some(321_000)), "bitrate"),
        (config(24_000, 2, Some(161_000)), "bitrate"),
        (config(48_000, 2, Some(u64::MAX)), "bitrate"),
        (
            AudioEncoderConfig {
                options: AudioCodecOptions::Adts,
                ..config(48_000, 2, None)
            },
            "options",
        ),
    ] {
        let error = Mp3.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(reason), "{error} / {reason}");
        assert!(Mp3.start(&config, &encoder_context()).is_err());
    }
    let mut encoder = start_encoder(&Mp3, &config(48_000, 2, None));
    let data = run(SampleFormat::F32, 48_000, 1, 0, &[0.0; 60]);
    let error = encoder.encode(&data, &mut |_| panic!()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}
