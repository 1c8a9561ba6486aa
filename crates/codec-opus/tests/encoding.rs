//! Encoded and decoded again: place, length, time and loudness of the sound, what each option does, and what the ffmpeg
//! command makes of it.

use opus::Channels;
use reelcore_codec_opus::{Opus, OpusEncoder};
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio, OpusApplication,
    OpusOptions, OpusSignal,
};
use reelcore_media::{AudioEncoderBackend, ErrorKind, SampleFormat};

fn config(rate: u32, channels: u32, bitrate: u64) -> AudioEncoderConfig {
    AudioEncoderConfig {
        bitrate: Some(bitrate),
        ..encoder_config("opus", rate, channels)
    }
}

fn with(
    mut config: AudioEncoderConfig,
    change: impl FnOnce(&mut OpusOptions),
) -> AudioEncoderConfig {
    let mut options = OpusOptions::default();
    change(&mut options);
    config.options = AudioCodecOptions::Opus(options);
    config
}

fn pre_skip(outputs: &[EncodedAudio]) -> u16 {
    let description = decoder_config(outputs).description.expect("OpusHead");
    assert!(description.starts_with(b"OpusHead\x01"));
    u16::from_le_bytes([description[10], description[11]])
}

/// The mode that the first byte of a packet says: <https://www.rfc-editor.org/rfc/rfc6716#section-3.1>.
fn mode(output: &EncodedAudio) -> &'static str {
    match output.chunk.data[0] >> 3 {
        0..12 => "SILK",
        12..16 => "hybrid",
        _ => "CELT",
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
        let samples = tones(48_000, channels, 48_000, tone);
        let config = config(48_000, channels, 64_000 * u64::from(channels));
        let outputs = encode(&OpusEncoder, &config, 0, &samples);
        let got = decode_kept(&Opus, &outputs);
        for channel in 0..channels {
            let ratio = snr(&got, &samples, channels, channel, 4800);
            assert!(
                ratio > 15.0,
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
        let head = decoder_config(&outputs).description.unwrap();
        assert_eq!(
            (head[9], head[18]),
            (channels as u8, u8::from(channels > 2))
        );
    }
}

#[test]
fn every_rate_keeps_the_exact_length_and_the_place_of_the_sound() {
    for rate in [
        48_000, 24_000, 16_000, 12_000, 8000, 44_100, 22_050, 96_000, 44_101, 3000,
    ] {
        let frames = rate as usize * 3 / 4 + 11;
        let tone = |channel: u32| 200.0 + 110.0 * f64::from(channel);
        let samples = tones(rate, 2, frames, tone);
        let outputs = encode(&OpusEncoder, &config(rate, 2, 128_000), -500, &samples);
        let got = decode_kept(&Opus, &outputs);
        let count = (frames as u64 * 48_000).div_ceil(u64::from(rate)) as usize;
        assert_eq!(got.len(), count * 2, "{rate} Hz");
        let want = tones(48_000, 2, count, tone);
        for channel in 0..2 {
            let middle = ..want.len() - 9600;
            let ratio = snr(&got[middle], &want[middle], 2, channel, 4800);
            assert!(ratio > 20.0, "{rate} Hz, channel {channel}: {ratio:.1} dB");
        }
        let described = decoder_config(&outputs);
        assert_eq!((described.sample_rate, described.channels), (rate, 2));
        let head = described.description.unwrap();
        assert_eq!(head[12..16], rate.to_le_bytes());
    }
}

#[test]
fn packets_have_the_length_that_was_asked_for() {
    for application in [
        OpusApplication::Voip,
        OpusApplication::Audio,
        OpusApplication::LowDelay,
    ] {
        for frame_duration in [
            2500, 5000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000,
        ] {
            let config = with(config(48_000, 1, 64_000), |options| {
                options.frame_duration = frame_duration;
                options.application = application;
            });
            let samples = music(48_000, 1, 20_011);
            let outputs = encode(&OpusEncoder, &config, 12, &samples);
            for (index, output) in outputs.iter().enumerate() {
                assert_eq!(output.chunk.duration, Some(frame_duration));
                let time = 12 + index as i64 * frame_duration as i64;
                assert_eq!(output.chunk.timestamp, time);
                let frames = opus::packet::get_nb_samples(&output.chunk.data, 48_000).unwrap();
                assert_eq!(frames as u64 * 1000 / 48, frame_duration);
            }
            let skipped = u64::from(pre_skip(&outputs));
            let packet = frame_duration * 48 / 1000;
            assert_eq!(outputs.len() as u64, (20_011 + skipped).div_ceil(packet));
            let got = decode_kept(&Opus, &outputs);
            let ratio = snr(&got, &samples, 1, 0, 0);
            // 2.5 ms leave little to compress with, and for speech the lowest tones are filtered out.
            let least = match application {
                OpusApplication::Voip => 3.0,
                _ if frame_duration < 10_000 => 3.0,
                _ => 6.0,
            };
            assert!(
                ratio > least,
                "{application:?} {frame_duration}: {ratio:.1} dB"
            );
        }
    }
}

#[test]
fn bitrates_are_held_constant_and_variable() {
    let samples = music(48_000, 2, 5 * 48_000);
    for bitrate in [24_000, 64_000, 128_000, 256_000] {
        let mut config = config(48_000, 2, bitrate);
        for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
            config.bitrate_mode = mode;
            let outputs = encode(&OpusEncoder, &config, 0, &samples);
            let rate = bits_per_second(&outputs) / bitrate as f64;
            assert!(
                (0.85..1.15).contains(&rate),
                "{mode:?} {bitrate}: {rate:.2}"
            );
            let sizes = outputs.iter().map(|output| output.chunk.data.len());
            let same = sizes.clone().min() == sizes.max();
            assert_eq!(same, mode == AudioBitrateMode::Constant, "{mode:?}");
        }
    }
    // Surround: all streams together.
    let samples = music(48_000, 6, 2 * 48_000);
    let mut config = config(48_000, 6, 320_000);
    for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
        config.bitrate_mode = mode;
        let rate = bits_per_second(&encode(&OpusEncoder, &config, 0, &samples)) / 320_000.0;
        assert!((0.85..1.15).contains(&rate), "5.1 {mode:?}: {rate:.2}");
    }
}

#[test]
fn without_a_bitrate_no_layout_loses_its_high_tones() {
    for channels in 1..=8u32 {
        // The LFE has low tones alone, and of those little in packets of 2.5 ms.
        let lfe = (channels >= 6).then_some(3);
        let tone = |channel: u32| match lfe == Some(channel) {
            true => 60.0,
            false => 10_000.0 + 300.0 * f64::from(channel),
        };
        let samples = tones(48_000, channels, 24_000, tone);
        for frame_duration in [2500, 5000, 20_000, 120_000] {
            for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
                let mut config = with(encoder_config("opus", 48_000, channels), |options| {
                    options.frame_duration = frame_duration;
                });
                config.bitrate_mode = mode;
                let what = format!("{channels} channels, {frame_duration} us, {mode:?}");
                let outputs = encode(&OpusEncoder, &config, 0, &samples);
                // CELT, fullband: https://www.rfc-editor.org/rfc/rfc6716#section-3.1
                let told = outputs[outputs.len() / 2].chunk.data[0] >> 3;
                assert!((28..32).contains(&told), "{what}: configuration {told}");
                let got = decode_kept(&Opus, &outputs);
                for channel in (0..channels).filter(|&channel| lfe != Some(channel)) {
                    let heard = amplitude(&got, 48_000, channels, channel, tone(channel));
                    assert!(heard > 0.1, "{what}, channel {channel}: {heard:.2}");
                }
            }
        }
    }
}

#[test]
fn surround_without_a_bitrate_has_the_rate_that_libopus_finds_right() {
    // 60 kbit/s for each channel but the LFE, which has 8: less where the sound needs less.
    for (channels, highest) in [(3, 180_000.0), (6, 308_000.0), (8, 428_000.0)] {
        let samples = music(48_000, channels, 96_000);
        let mut config = encoder_config("opus", 48_000, channels);
        for mode in [AudioBitrateMode::Constant, AudioBitrateMode::Variable] {
            config.bitrate_mode = mode;
            let rate = bits_per_second(&encode(&OpusEncoder, &config, 0, &samples)) / highest;
            assert!(
                (0.85..1.05).contains(&rate),
                "{channels} {mode:?}: {rate:.2}"
            );
        }
    }
}

#[test]
fn more_bits_and_more_complexity_change_what_comes_out() {
    let samples = music(48_000, 2, 48_000);
    let quality = |config: &AudioEncoderConfig| {
        let outputs = encode(&OpusEncoder, config, 0, &samples);
        snr(&decode_kept(&Opus, &outputs), &samples, 2, 0, 4800)
    };
    let (low, high) = (
        quality(&config(48_000, 2, 48_000)),
        quality(&config(48_000, 2, 256_000)),
    );
    assert!(high > low + 6.0, "{low:.1} and {high:.1} dB");
    let packets = |complexity| {
        let config = with(config(48_000, 2, 48_000), |o| o.complexity = complexity);
        joined(&encode(&OpusEncoder, &config, 0, &samples))
    };
    assert_ne!(packets(Some(0)), packets(Some(10)));
    // What libopus chooses by itself.
    assert_eq!(packets(None), packets(Some(9)));
}

#[test]
fn signal_and_application_choose_the_mode_and_the_delay() {
    let samples = music(48_000, 1, 48_000);
    let outputs = |signal, application, bitrate| {
        let config = with(config(48_000, 1, bitrate), |options| {
            options.signal = signal;
            options.application = application;
        });
        encode(&OpusEncoder, &config, 0, &samples)
    };
    let voice = outputs(OpusSignal::Voice, OpusApplication::Voip, 24_000);
    let music = outputs(OpusSignal::Music, OpusApplication::Audio, 24_000);
    assert_ne!(mode(&voice[20]), "CELT");
    assert_eq!(mode(&music[20]), "CELT");
    let fast = outputs(OpusSignal::Voice, OpusApplication::LowDelay, 24_000);
    assert_eq!(mode(&fast[20]), "CELT");
    assert_eq!((pre_skip(&music), pre_skip(&fast)), (312, 120));
    let first = |outputs: &[EncodedAudio]| outputs[0].chunk.side.clone().unwrap().discard_start;
    assert_eq!(first(&music).as_micros(), 6500);
    assert_eq!(first(&fast).as_micros(), 2500);
}

#[test]
fn with_dtx_silence_costs_nothing_and_time_goes_on() {
    let mut samples = music(48_000, 2, 96_000);
    samples.extend(vec![0.0; 2 * 48_000 * 4]);
    samples.extend(music(48_000, 2, 48_000));
    for frame_duration in [20_000, 60_000] {
        let outputs = |dtx| {
            let config = with(config(48_000, 2, 64_000), |options| {
                options.dtx = dtx;
                options.frame_duration = frame_duration;
            });
            encode(&OpusEncoder, &config, 0, &samples)
        };
        let (without, some) = (outputs(false), outputs(true));
        assert!(
            some.len() * 3 < without.len() * 2,
            "{} of {}",
            some.len(),
            without.len()
        );
        let (last, end) = (some.last().unwrap(), without.last().unwrap());
        assert_eq!(last.chunk.timestamp, end.chunk.timestamp);
        assert_eq!(last.chunk.side, end.chunk.side);
        let times: Vec<_> = without
            .iter()
            .map(|output| output.chunk.timestamp)
            .collect();
        assert!(
            some.iter()
                .all(|output| times.contains(&output.chunk.timestamp))
        );
    }
    // Silence to the end: the last packet still says how long it lasts.
    samples.truncate(2 * 48_000 * 5);
    let config = with(config(48_000, 2, 64_000), |options| options.dtx = true);
    let outputs = encode(&OpusEncoder, &config, 0, &samples);
    assert!(outputs.last().unwrap().chunk.side.is_some());
    // Each stream of 5.1 is silent in its own right.
    let mut samples = music(48_000, 6, 24_000);
    samples.extend(vec![0.0; 6 * 48_000]);
    let config = with(config, |options| options.dtx = true);
    let config = AudioEncoderConfig {
        channels: 6,
        bitrate: Some(256_000),
        ..config
    };
    let outputs = encode(&OpusEncoder, &config, 0, &samples);
    assert!(outputs.len() < 60, "{} of 76", outputs.len());
}

/// How near lost packets come to what they were, with the ones after them.
fn recovered(config: &AudioEncoderConfig, samples: &[f32]) -> f64 {
    let outputs = encode(&OpusEncoder, config, 0, samples);
    let new = || opus::Decoder::new(48_000, Channels::Mono).unwrap();
    let (mut whole, mut broken) = (new(), new());
    let (mut got, mut want) = (Vec::new(), Vec::new());
    let (mut sound, mut frame) = (vec![0.0; 960], vec![0.0; 960]);
    for (index, pair) in outputs.windows(2).enumerate() {
        let (packet, next) = (&pair[0].chunk.data, &pair[1].chunk.data);
        whole.decode_float(packet, &mut sound, false).unwrap();
        // Every fifth packet is lost.
        let lost = index % 5 == 4;
        let packet = if lost { next } else { packet };
        broken.decode_float(packet, &mut frame, lost).unwrap();
        if lost {
            got.extend_from_slice(&frame);
            want.extend_from_slice(&sound);
        }
    }
    snr(&got, &want, 1, 0, 0)
}

#[test]
fn with_forward_error_correction_the_next_packet_knows_a_lost_one() {
    let samples = music(48_000, 1, 96_000);
    let config = |fec, loss| {
        with(config(48_000, 1, 32_000), |options| {
            options.application = OpusApplication::Voip;
            options.signal = OpusSignal::Voice;
            options.in_band_fec = fec;
            options.packet_loss_percent = loss;
        })
    };
    let (without, with) = (
        recovered(&config(false, 20), &samples),
        recovered(&config(true, 20), &samples),
    );
    assert!(with > without + 2.0, "{without:.1} and {with:.1} dB");
    // No loss is expected: nothing is repeated.
    let bytes = |fec, loss| joined(&encode(&OpusEncoder, &config(fec, loss), 0, &samples));
    assert_eq!(bytes(true, 0), bytes(false, 0));
    assert_ne!(bytes(true, 20), bytes(false, 20));
}

#[test]
fn after_a_flush_time_starts_anew_and_the_sound_is_the_same() {
    for rate in [48_000, 44_100] {
        let config = config(rate, 2, 96_000);
        let mut encoder = start_encoder(&OpusEncoder, &config);
        let samples = music(rate, 2, 10_000);
        let mut nothing = |_| panic!("there was no input");
        encoder.flush(&mut nothing).unwrap();
        let mut again =
            |time| encode_with(&mut *encoder, SampleFormat::F32, &config, time, &samples);
        let (first, second) = (again(1_000_000), again(5));
        assert_eq!(joined(&first), joined(&second), "{rate}");
        assert!(second.iter().all(|output| output.decoder_config.is_none()));
        let sides = |outputs: &[EncodedAudio]| -> Vec<_> {
            outputs
                .iter()
                .map(|output| output.chunk.side.clone())
                .collect()
        };
        assert_eq!(sides(&first), sides(&second), "{rate}");
        encoder.flush(&mut |_| panic!("flushed already")).unwrap();
    }
}

#[test]
fn both_formats_have_bare_packets_and_the_header_beside_them() {
    let samples = music(48_000, 2, 4800);
    let outputs = |ogg| {
        encode(
            &OpusEncoder,
            &with(config(48_000, 2, 96_000), |o| o.ogg = ogg),
            0,
            &samples,
        )
    };
    assert_eq!(outputs(true), outputs(false));
}

#[test]
fn ffmpeg_hears_the_same_for_as_long() {
    for (rate, channels) in [
        (48_000, 1),
        (48_000, 2),
        (44_100, 2),
        (48_000, 6),
        (48_000, 8),
    ] {
        let samples = music(rate, channels, rate as usize + 7);
        let outputs = encode(&OpusEncoder, &config(rate, channels, 256_000), 0, &samples);
        let head = decoder_config(&outputs).description.unwrap();
        let tags = b"OpusTags\x08\0\0\0reelcore\0\0\0\0";
        let ours = decode_kept(&Opus, &outputs);
        let total = u64::from(pre_skip(&outputs)) + (ours.len() / channels as usize) as u64;
        let packets: Vec<_> = outputs
            .iter()
            .zip(1u64..)
            .map(|(output, count)| (output.chunk.data.clone(), (count * 960).min(total)))
            .collect();
        let name = format!("opus-{rate}-{channels}.ogg");
        let got = ffmpeg_floats(&name, &ogg(&[&head, tags], &packets), &["-c:a", "libopus"]);
        for channel in 0..channels {
            let ratio = snr(&got, &ours, channels, channel, 0);
            assert!(ratio > 60.0, "{name}, channel {channel}: {ratio:.1} dB");
        }
    }
}

#[test]
fn configurations_that_opus_cannot_have_are_refused_with_a_reason() {
    let good = || config(48_000, 2, 64_000);
    let option = |change: fn(&mut OpusOptions)| with(good(), change);
    for (config, reason) in [
        (encoder_config("flac", 48_000, 2), "expected opus"),
        (config(48_000, 0, 64_000), "channels"),
        (config(48_000, 9, 64_000), "channels"),
        (config(48_000, u32::MAX, 64_000), "channels"),
        (config(0, 2, 64_000), "rate"),
        (config(2999, 2, 64_000), "rate"),
        (config(u32::MAX, 2, 64_000), "rate"),
        (config(48_000, 2, 0), "bitrate"),
        (config(48_000, 2, 5999), "bitrate"),
        (config(48_000, 2, 510_001), "bitrate"),
        (config(48_000, 2, u64::MAX), "bitrate"),
        (
            option(|options| options.frame_duration = 0),
            "frameDuration",
        ),
        (
            option(|options| options.frame_duration = 2501),
            "frameDuration",
        ),
        (
            option(|options| options.frame_duration = 140_000),
            "frameDuration",
        ),
        (
            option(|options| options.complexity = Some(11)),
            "complexity",
        ),
        (
            option(|options| options.packet_loss_percent = 101),
            "packetlossperc",
        ),
        (
            AudioEncoderConfig {
                options: AudioCodecOptions::Adts,
                ..good()
            },
            "another codec",
        ),
    ] {
        let error = OpusEncoder.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(reason), "{error} / {reason}");
        assert!(OpusEncoder.start(&config, &encoder_context()).is_err());
    }
    let mut encoder = start_encoder(&OpusEncoder, &good());
    let mut refuse = |rate, channels| {
        let data = run(SampleFormat::F32, rate, channels, 0, &[0.0; 60]);
        encoder.encode(&data, &mut |_| panic!()).unwrap_err().kind
    };
    assert_eq!(refuse(48_000, 3), ErrorKind::InvalidArgument);
    assert_eq!(refuse(44_100, 2), ErrorKind::InvalidArgument);
}

#[test]
fn samples_that_are_no_numbers_harm_nothing() {
    for (rate, channels) in [(48_000, 2), (44_100, 2), (48_000, 6)] {
        let mut samples = music(rate, channels, 20_000);
        for (index, value) in [f32::NAN, f32::INFINITY, f32::MAX, -1e30]
            .into_iter()
            .enumerate()
        {
            samples[5000 + 100 * index] = value;
        }
        let outputs = encode(&OpusEncoder, &config(rate, channels, 128_000), 0, &samples);
        let got = decode_kept(&Opus, &outputs);
        assert!(got.iter().all(|sample| sample.is_finite()));
        let end = &got[got.len() - 4000..];
        assert!(
            end.iter().any(|sample| sample.abs() > 0.01),
            "sound goes on"
        );
    }
}
