//! Encoded and decoded again, by this project's decoder and by the ffmpeg command.

use reelcore_codec_symphonia::Symphonia;
use reelcore_codec_vorbis::Vorbis;
use reelcore_conformance::sound;
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio, OpusOptions,
};
use reelcore_media::{AudioEncoderBackend, ErrorKind, SampleFormat};

fn config(rate: u32, channels: u32, bitrate: Option<u64>) -> AudioEncoderConfig {
    AudioEncoderConfig {
        bitrate,
        ..encoder_config("vorbis", rate, channels)
    }
}

#[test]
fn every_channel_of_every_layout_comes_out_in_its_place() {
    for channels in 1..=8u32 {
        // The LFE, the fourth of 5.1 and larger, keeps low tones alone.
        let tone = |channel: u32| match (channel, channels) {
            (3, 6..) => 60.0,
            _ => 300.0 + 170.0 * f64::from(channel),
        };
        let samples = tones(48_000, channels, 24_000, tone);
        let outputs = encode(&Vorbis, &config(48_000, channels, None), 0, &samples);
        let got = decode_kept(&Symphonia, &outputs);
        for channel in 0..channels {
            let ratio = snr(&got, &samples, channels, channel, 0);
            assert!(
                ratio > 10.0,
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

#[test]
fn every_rate_and_length_comes_out_whole_with_exact_times() {
    for rate in [
        8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000,
    ] {
        for frames in [1usize, 100, 1024, 5000, 20_001] {
            let samples = music(rate, 2, frames);
            let outputs = encode(&Vorbis, &config(rate, 2, None), -7, &samples);
            let got = decode_kept(&Symphonia, &outputs);
            assert_eq!(got.len(), samples.len(), "{frames} frames at {rate} Hz");
            if frames > 10_000 {
                let ratio = snr(&got, &samples, 2, 0, 0);
                assert!(ratio > 5.0, "{rate} Hz: {ratio:.1} dB");
            }
            // A packet's duration is what it decodes to.
            let mut decoder = sound::start(&Symphonia, &decoder_config(&outputs));
            let mut total = 0i64;
            for output in &outputs {
                let time = -7 + total * 1_000_000 / i64::from(rate);
                assert_eq!(output.chunk.timestamp, time);
                let mut decode = |data: reelcore_media::AudioData| {
                    assert_eq!(data.timestamp, output.chunk.timestamp);
                    total += i64::from(data.frames);
                };
                decoder.decode(&output.chunk, &mut decode).unwrap();
                let end = -7 + total * 1_000_000 / i64::from(rate);
                assert_eq!(output.chunk.duration, Some((end - time) as u64));
            }
        }
    }
}

#[test]
fn every_rate_that_is_not_refused_gives_the_sound_back() {
    // A tone that has the same number of samples at each rate.
    let samples: Vec<f32> = (0..20_000)
        .map(|frame| 0.4 * (f64::from(frame) * 0.05).sin() as f32)
        .collect();
    for (rate, bitrate) in [
        (1, None),
        (100, None),
        (4000, None),
        (7999, None),
        (8000, Some(16_000)),
        (50_000, Some(128_000)),
        (50_001, None),
        (200_000, None),
    ] {
        let config = config(rate, 1, bitrate);
        let got = decode_kept(&Symphonia, &encode(&Vorbis, &config, 0, &samples));
        assert_eq!(got.len(), samples.len(), "{rate} Hz");
        let ratio = snr(&got, &samples, 1, 0, 0);
        assert!(ratio > 10.0, "{rate} Hz: {ratio:.1} dB");
    }
}

#[test]
fn bitrates_are_held_constant_and_variable() {
    let samples = music(44_100, 2, 5 * 44_100);
    for bitrate in [64_000, 96_000, 128_000, 192_000, 256_000] {
        for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
            let config = AudioEncoderConfig {
                bitrate_mode: mode,
                ..config(44_100, 2, Some(bitrate))
            };
            let outputs = encode(&Vorbis, &config, 0, &samples);
            let rate = bits_per_second(&outputs) / bitrate as f64;
            assert!(
                (0.85..1.15).contains(&rate),
                "{mode:?} {bitrate}: {rate:.2}"
            );
        }
    }
}

#[test]
fn more_bits_bring_the_sound_nearer() {
    let samples = music(44_100, 2, 2 * 44_100);
    let mut before = 0.0;
    for (bitrate, least) in [(64_000, 4.0), (128_000, 7.0), (256_000, 12.0)] {
        let outputs = encode(&Vorbis, &config(44_100, 2, Some(bitrate)), 0, &samples);
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
fn after_a_flush_time_starts_anew_and_a_decoder_that_goes_on_hears_the_same() {
    let config = config(44_100, 2, Some(128_000));
    let mut encoder = start_encoder(&Vorbis, &config);
    encoder
        .flush(&mut |_| panic!("there was no input"))
        .unwrap();
    let samples = music(44_100, 2, 30_000);
    let mut again = |time| encode_with(&mut *encoder, SampleFormat::F32, &config, time, &samples);
    let (mut first, second) = (again(1_000_000), again(5));
    assert_eq!(joined(&first), joined(&second));
    assert!(second.iter().all(|output| output.decoder_config.is_none()));
    let alone = decode_kept(&Symphonia, &first);
    first.extend(second);
    let both = decode_kept(&Symphonia, &first);
    assert_eq!(both.len(), alone.len() * 2);
    assert!(snr(&both[alone.len()..], &alone, 2, 0, 0) > 60.0);
}

fn ogg_file(outputs: &[EncodedAudio], frames: u64) -> Vec<u8> {
    let description = decoder_config(outputs).description.unwrap();
    assert_eq!(description[0], 2);
    let (mut at, mut lengths) = (1, [0; 2]);
    for length in &mut lengths {
        loop {
            *length += usize::from(description[at]);
            at += 1;
            if description[at - 1] < 255 {
                break;
            }
        }
    }
    let (first, rest) = description[at..].split_at(lengths[0]);
    let (second, third) = rest.split_at(lengths[1]);
    let rate = outputs[0].decoder_config.as_ref().unwrap().sample_rate;
    let packets: Vec<_> = outputs
        .iter()
        .map(|output| {
            let end = output.chunk.timestamp as u64 + output.chunk.duration.unwrap();
            let granule = (end as f64 * f64::from(rate) / 1e6).round() as u64;
            (output.chunk.data.clone(), granule.min(frames))
        })
        .collect();
    ogg(&[first, second, third], &packets)
}

#[test]
fn ffmpeg_hears_the_same_for_as_long() {
    for (rate, channels) in [(44_100, 1), (48_000, 2), (48_000, 6), (32_000, 8)] {
        let frames = rate as usize + 77;
        let samples = music(rate, channels, frames);
        let outputs = encode(&Vorbis, &config(rate, channels, None), 0, &samples);
        let file = ogg_file(&outputs, frames as u64);
        let got = ffmpeg_floats(&format!("vorbis-{rate}-{channels}.ogg"), &file, &[]);
        let ours = decode_kept(&Symphonia, &outputs);
        for channel in 0..channels {
            let ratio = snr(&got, &ours, channels, channel, 0);
            assert!(
                ratio > 60.0,
                "{rate} Hz, channel {channel} of {channels}: {ratio:.1} dB"
            );
        }
    }
}

#[test]
fn samples_that_are_no_numbers_harm_nothing() {
    let mut samples = music(48_000, 2, 30_000);
    for (index, value) in [f32::NAN, f32::INFINITY, f32::MAX, -1e30]
        .into_iter()
        .enumerate()
    {
        samples[9000 + 100 * index] = value;
    }
    for bitrate in [None, Some(96_000)] {
        let outputs = encode(&Vorbis, &config(48_000, 2, bitrate), 0, &samples);
        let got = decode_kept(&Symphonia, &outputs);
        assert!(got.iter().all(|sample| sample.abs() < 30.0));
        let end = &got[got.len() - 8000..];
        assert!(
            end.iter().any(|sample| sample.abs() > 0.01),
            "sound goes on"
        );
    }
}

#[test]
fn configurations_that_it_cannot_have_are_refused_with_a_reason() {
    for (config, reason) in [
        (encoder_config("opus", 48_000, 2), "expected vorbis"),
        (config(48_000, 0, None), "channels"),
        (config(48_000, 9, None), "channels"),
        (config(48_000, u32::MAX, None), "channels"),
        (config(0, 2, None), "no mode"),
        (config(200_001, 2, None), "no mode"),
        (config(500_000, 2, None), "no mode"),
        (config(7999, 1, Some(16_000)), "no mode"),
        (config(50_001, 2, Some(128_000)), "no mode"),
        (config(70_001, 6, Some(256_000)), "no mode"),
        (config(u32::MAX, 2, None), "no mode"),
        (config(48_000, 2, Some(0)), "bitrate"),
        (config(48_000, 2, Some(1)), "no mode"),
        (config(48_000, 2, Some(4_000_000_000)), "no mode"),
        (config(48_000, 2, Some(u64::MAX)), "bitrate"),
        (
            AudioEncoderConfig {
                options: AudioCodecOptions::Opus(OpusOptions::default()),
                ..config(48_000, 2, None)
            },
            "options",
        ),
    ] {
        let error = Vorbis.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(reason), "{error} / {reason}");
        assert!(Vorbis.start(&config, &encoder_context()).is_err());
    }
    let mut encoder = start_encoder(&Vorbis, &config(48_000, 2, None));
    let data = run(SampleFormat::F32, 48_000, 1, 0, &[0.0; 60]);
    let error = encoder.encode(&data, &mut |_| panic!()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}
