//! Encoded and decoded again, by this crate and by the ffmpeg command.

use reelcore_codec_aac::{Aac, AacEncoder};
use reelcore_conformance::sound;
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio, OpusOptions,
};
use reelcore_media::{AudioEncoderBackend, ErrorKind, SampleFormat};

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

fn config(rate: u32, channels: u32, bitrate: u64) -> AudioEncoderConfig {
    AudioEncoderConfig {
        bitrate: Some(bitrate),
        ..encoder_config("mp4a.40.2", rate, channels)
    }
}

fn adts(config: AudioEncoderConfig) -> AudioEncoderConfig {
    AudioEncoderConfig {
        options: AudioCodecOptions::Adts,
        ..config
    }
}

#[test]
fn every_rate_keeps_the_exact_length_and_every_channel_its_place() {
    for rate in RATES {
        for channels in 1..=2 {
            let frames = rate as usize / 2 + 13;
            let tone = |channel: u32| 300.0 + 410.0 * f64::from(channel);
            let samples = tones(rate, channels, frames, tone);
            let bitrate = u64::from(rate * 2).max(16_000) * u64::from(channels);
            let outputs = encode(&AacEncoder, &config(rate, channels, bitrate), -11, &samples);
            let got = decode_kept(&Aac, &outputs);
            for channel in 0..channels {
                let ratio = snr(&got, &samples, channels, channel, 0);
                assert!(
                    ratio > 15.0,
                    "{rate} Hz, {channel} of {channels}: {ratio:.1} dB"
                );
            }
            let described = decoder_config(&outputs);
            assert_eq!(
                (described.sample_rate, described.channels),
                (rate, channels)
            );
            assert_eq!(described.description.unwrap().len(), 2);
            for (index, output) in outputs.iter().enumerate() {
                let time = index as i128 * 1024 * 1_000_000 / i128::from(rate);
                assert_eq!(i128::from(output.chunk.timestamp), time - 11);
            }
            assert_eq!(outputs.len(), frames.div_ceil(1024) + 1);
        }
    }
}

#[test]
fn the_shortest_sounds_come_out_whole() {
    for frames in [
        1usize,
        1023,
        1024,
        1025,
        13 * 1024,
        14 * 1024,
        14 * 1024 + 1,
        23 * 1024,
    ] {
        let samples = music(44_100, 2, frames);
        let outputs = encode(&AacEncoder, &config(44_100, 2, 128_000), 0, &samples);
        assert_eq!(decode_kept(&Aac, &outputs).len(), frames * 2);
        assert_eq!(outputs.len(), frames.div_ceil(1024) + 1);
    }
}

#[test]
fn every_channel_of_every_layout_comes_out_in_its_place() {
    for channels in 1..=6u32 {
        // The LFE, the fourth of 5.1, keeps low tones alone.
        let tone = |channel: u32| match (channel, channels) {
            (3, 6) => 60.0,
            _ => 300.0 + 170.0 * f64::from(channel),
        };
        let samples = tones(48_000, channels, 48_000, tone);
        let config = config(48_000, channels, 64_000 * u64::from(channels));
        let outputs = encode(&AacEncoder, &config, 0, &samples);
        let got = decode_kept(&Aac, &outputs);
        for channel in 0..channels {
            let ratio = snr(&got, &samples, channels, channel, 0);
            assert!(
                ratio > 20.0,
                "channel {channel} of {channels}: {ratio:.1} dB"
            );
            for other in 0..channels {
                let heard = amplitude(&got, 48_000, channels, channel, tone(other));
                assert_eq!(
                    heard > 0.1,
                    channel == other,
                    "{other} in {channel} of {channels}"
                );
            }
        }
    }
}

/// What the ffmpeg command's own encoder makes of the same, decoded: as many frames, delay dropped.
fn by_ffmpeg(samples: &[f32], bitrate: u64) -> Vec<f32> {
    let raw: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let name = format!("reelcore-{}-{bitrate}.f32", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, raw).unwrap();
    let output = std::process::Command::new("ffmpeg")
        .args([
            "-v", "error", "-f", "f32le", "-ar", "44100", "-ac", "2", "-i",
        ])
        .arg(&path)
        .args([
            "-c:a",
            "aac",
            "-b:a",
            &bitrate.to_string(),
            "-f",
            "adts",
            "-",
        ])
        .output()
        .expect("the ffmpeg command (./x setup installs it)");
    let _ = std::fs::remove_file(&path);
    assert!(output.status.success());
    let mut decoder = sound::start(&Aac, &sound::config("mp4a.40.2", 44_100, 2, None));
    let decoded = sound::decode(&mut *decoder, &[sound::chunk(0, output.stdout)]);
    let floats = sound::floats(&sound::interleaved(&decoded));
    floats[2048..2048 + samples.len()].to_vec()
}

#[test]
fn the_sound_is_as_near_as_ffmpegs_encoder_brings_it() {
    let samples = music(44_100, 2, 3 * 44_100);
    let mut before = 0.0;
    for bitrate in [64_000, 96_000, 128_000, 192_000, 256_000] {
        let outputs = encode(&AacEncoder, &config(44_100, 2, bitrate), 0, &samples);
        let ours = decode_kept(&Aac, &outputs);
        let theirs = by_ffmpeg(&samples, bitrate);
        let ratio = |got| snr(got, &samples, 2, 0, 0).min(snr(got, &samples, 2, 1, 0));
        let (ours, theirs) = (ratio(&ours), ratio(&theirs));
        // Beyond 25 dB the noise goes where it is not heard, and not where it is least.
        let least = (theirs - 2.0).min(25.0);
        assert!(ours > least, "{bitrate}: {ours:.1} and {theirs:.1} dB");
        assert!(ours > before, "more bits bring it nearer");
        before = ours;
    }
}

#[test]
fn bitrates_are_held() {
    let samples = music(48_000, 2, 5 * 48_000);
    for bitrate in [64_000, 96_000, 128_000, 192_000, 320_000] {
        let mut config = config(48_000, 2, bitrate);
        for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
            config.bitrate_mode = mode;
            let rate = bits_per_second(&encode(&AacEncoder, &config, 0, &samples));
            assert!(
                (0.85..1.15).contains(&(rate / bitrate as f64)),
                "{mode:?} {bitrate}: {rate:.0}"
            );
        }
    }
}

#[test]
fn ffmpeg_decodes_adts_without_complaint_and_hears_the_same() {
    for (rate, channels) in [(44_100, 1), (48_000, 2), (8000, 1), (48_000, 6)] {
        let bitrate = 24_000 * u64::from(channels);
        let samples = music(rate, channels, rate as usize);
        let outputs = encode(
            &AacEncoder,
            &adts(config(rate, channels, bitrate)),
            0,
            &samples,
        );
        assert_eq!(decoder_config(&outputs).description, None);
        let got = ffmpeg_floats(&format!("{rate}-{channels}.aac"), &joined(&outputs), &[]);
        let ours = decode_kept(&Aac, &outputs);
        let kept = &got[1024 * channels as usize..][..ours.len()];
        for channel in 0..channels {
            let ratio = snr(kept, &ours, channels, channel, 0);
            assert!(ratio > 60.0, "{rate} Hz: {ratio:.1} dB");
        }
        // The same access units, without headers.
        let bare = encode(&AacEncoder, &config(rate, channels, bitrate), 0, &samples);
        for (framed, bare) in outputs.iter().zip(&bare) {
            assert_eq!(framed.chunk.data[7..], bare.chunk.data);
            assert_eq!(framed.chunk.side, bare.chunk.side);
        }
    }
}

#[test]
fn after_a_flush_time_starts_anew_and_the_sound_is_the_same() {
    let config = config(44_100, 2, 128_000);
    let mut encoder = start_encoder(&AacEncoder, &config);
    encoder
        .flush(&mut |_| panic!("there was no input"))
        .unwrap();
    let samples = music(44_100, 2, 30_000);
    let mut again = |time| encode_with(&mut *encoder, SampleFormat::F32, &config, time, &samples);
    let (first, second) = (again(1_000_000), again(5));
    assert_eq!(joined(&first), joined(&second));
    let sides = |outputs: &[EncodedAudio]| -> Vec<_> {
        outputs
            .iter()
            .map(|output| output.chunk.side.clone())
            .collect()
    };
    assert_eq!(sides(&first), sides(&second));
    assert!(second.iter().all(|output| output.decoder_config.is_none()));
}

#[test]
fn the_lengths_of_runs_change_nothing() {
    let config = config(44_100, 1, 64_000);
    let samples = music(44_100, 1, 50_000);
    let outputs = encode(&AacEncoder, &config, 0, &samples);
    let mut encoder = start_encoder(&AacEncoder, &config);
    let mut whole = Vec::new();
    let data = run(SampleFormat::F32, 44_100, 1, 0, &samples);
    encoder
        .encode(&data, &mut |output| whole.push(output))
        .unwrap();
    encoder.flush(&mut |output| whole.push(output)).unwrap();
    assert_eq!(whole, outputs);
}

#[test]
fn the_loudest_and_the_strangest_samples_make_legal_packets() {
    let mut samples = music(48_000, 2, 40_000);
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = match index % 97 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => -1e30,
            _ => *sample * 30.0,
        };
    }
    for bitrate in [32_000, 576_000] {
        let outputs = encode(&AacEncoder, &adts(config(48_000, 2, bitrate)), 0, &samples);
        assert!(
            outputs
                .iter()
                .all(|output| output.chunk.data.len() <= 2 * 768 + 7)
        );
        let got = decode_kept(&Aac, &outputs);
        assert!(got.iter().all(|sample| sample.is_finite()));
        ffmpeg_floats(&format!("loud-{bitrate}.aac"), &joined(&outputs), &[]);
    }
}

#[test]
fn configurations_that_it_cannot_have_are_refused_with_a_reason() {
    let good = || config(48_000, 2, 128_000);
    for (config, reason) in [
        (encoder_config("opus", 48_000, 2), "mp4a.40.2"),
        (encoder_config("mp4a.40.5", 48_000, 2), "mp4a.40.2"),
        (encoder_config("mp4a.40.29", 48_000, 2), "mp4a.40.2"),
        (encoder_config("mp4a.67", 48_000, 2), "mp4a.40.2"),
        (config(48_000, 0, 128_000), "channels"),
        (config(48_000, 7, 400_000), "channels"),
        (config(48_000, 8, 400_000), "channels"),
        (config(48_000, u32::MAX, 128_000), "channels"),
        (config(0, 2, 128_000), "rates"),
        (config(44_000, 2, 128_000), "rates"),
        (config(192_000, 2, 128_000), "rates"),
        (config(48_000, 2, 0), "bitrate"),
        (config(48_000, 2, 31_999), "bitrate"),
        (config(48_000, 2, 576_001), "bitrate"),
        (config(48_000, 2, u64::MAX), "bitrate"),
        (
            AudioEncoderConfig {
                options: AudioCodecOptions::Opus(OpusOptions::default()),
                ..good()
            },
            "another codec",
        ),
    ] {
        let error = AacEncoder.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(reason), "{error} / {reason}");
        assert!(AacEncoder.start(&config, &encoder_context()).is_err());
    }
    for rate in RATES {
        assert!(
            AacEncoder
                .check(&encoder_config("mp4a.40.2", rate, 2))
                .is_ok(),
            "{rate}"
        );
    }
    let mut encoder = start_encoder(&AacEncoder, &good());
    let data = run(SampleFormat::F32, 48_000, 1, 0, &[0.0; 60]);
    let error = encoder.encode(&data, &mut |_| panic!()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}
