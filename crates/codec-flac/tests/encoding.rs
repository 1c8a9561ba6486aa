//! Bit by bit there and back, through this project's decoder and the ffmpeg command.

use reelcore_codec_flac::Flac;
use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::random::Random;
use reelcore_conformance::sound;
use reelcore_conformance::sound_encoding::*;
use reelcore_media::encoder::{AudioCodecOptions, AudioEncoderConfig, EncodedAudio};
use reelcore_media::{AudioData, AudioEncoderBackend, ErrorKind, SampleFormat};

fn config(rate: u32, channels: u32, block_size: u32, compress_level: u32) -> AudioEncoderConfig {
    AudioEncoderConfig {
        options: AudioCodecOptions::Flac {
            block_size,
            compress_level,
            depth: None,
        },
        ..encoder_config("flac", rate, channels)
    }
}

/// Music with `bits` significant bits, in the upper bits of an `i32`.
fn samples(rate: u32, channels: u32, frames: usize, bits: u32) -> Vec<i32> {
    let music = music(rate, channels, frames);
    let scale = f64::from(1u32 << (bits - 1));
    let sample = |value: &f32| ((f64::from(*value) * scale).round() as i32) << (32 - bits);
    music.iter().map(sample).collect()
}

fn encode_all(config: &AudioEncoderConfig, samples: &[i32]) -> Vec<EncodedAudio> {
    let mut encoder = start_encoder(&Flac, config);
    let mut outputs = Vec::new();
    let mut lengths = [1000usize, 1, 77, 4096, 5000].iter().cycle();
    let mut rest = samples;
    while !rest.is_empty() {
        let length = lengths.next().unwrap() * config.channels as usize;
        let (now, later) = rest.split_at(length.min(rest.len()));
        let bytes: Vec<u8> = now.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        let frames = (now.len() / config.channels as usize) as u32;
        let (rate, channels) = (config.sample_rate as f32, config.channels);
        let data = AudioData::new(SampleFormat::S32, rate, frames, channels, 9, bytes.into());
        encoder
            .encode(&data.unwrap(), &mut |output| outputs.push(output))
            .unwrap();
        rest = later;
    }
    encoder.flush(&mut |output| outputs.push(output)).unwrap();
    outputs
}

/// All samples as our decoder has them, in the upper bits of an `i32`.
fn decoded(outputs: &[EncodedAudio]) -> (SampleFormat, Vec<i32>) {
    let mut config = decoder_config(&outputs[..1]);
    config.channels = outputs[0].decoder_config.as_ref().unwrap().channels;
    let mut decoder = sound::start(&Symphonia, &config);
    let data = sound::decode(&mut *decoder, &chunks(outputs));
    let bytes = sound::interleaved(&data);
    let format = data[0].format.interleaved();
    let samples = match format {
        SampleFormat::S16 => bytes
            .chunks_exact(2)
            .map(|w| i32::from(i16::from_ne_bytes([w[0], w[1]])) << 16)
            .collect(),
        _ => bytes
            .chunks_exact(4)
            .map(|w| i32::from_ne_bytes([w[0], w[1], w[2], w[3]]))
            .collect(),
    };
    (format, samples)
}

#[test]
fn every_sample_comes_back_at_every_depth_rate_level_and_number_of_channels() {
    for channels in 1..=8 {
        for (rate, bits) in [
            (48_000, 16),
            (44_100, 24),
            (192_000, 24),
            (11_025, 16),
            (65_537, 16),
            (655_350, 24),
        ] {
            let level = (channels + bits) % 9;
            let samples = samples(rate, channels, 9001, bits);
            let outputs = encode_all(&config(rate, channels, 0, level), &samples);
            let (format, got) = decoded(&outputs);
            assert!(
                got == samples,
                "{channels} channels at {rate} Hz with {bits} bits"
            );
            let want = match bits {
                16 => SampleFormat::S16,
                _ => SampleFormat::S32,
            };
            assert_eq!(format, want);
        }
    }
    for level in 0..=8 {
        for block in [0, 32, 192, 4608, 32_767] {
            let samples = samples(48_000, 2, 40_000, 16);
            let outputs = encode_all(&config(48_000, 2, block, level), &samples);
            assert!(
                decoded(&outputs).1 == samples,
                "level {level}, block {block}"
            );
        }
    }
}

#[test]
fn noise_at_full_scale_and_silence_come_back_too() {
    let mut random = Random(99);
    for bits in [16, 24] {
        let mut noise: Vec<i32> = (0..20_000)
            .map(|_| (random.next(1 << 32) as u32 as i32) >> (32 - bits) << (32 - bits))
            .collect();
        noise[..3].fill(i32::MIN);
        for level in [0, 5, 8] {
            let outputs = encode_all(&config(48_000, 2, 0, level), &noise);
            assert!(decoded(&outputs).1 == noise, "{bits} bits, level {level}");
        }
    }
    let outputs = encode_all(&config(48_000, 2, 4096, 5), &[0; 60_000]);
    assert_eq!(decoded(&outputs).1, [0; 60_000]);
    assert!(joined(&outputs).len() < 200, "silence costs nothing");
}

/// Each in stereo, with `bits` bits: what is regular, what is not, and what has single peaks.
fn hard_signals(bits: u32) -> Vec<(&'static str, Vec<i32>)> {
    const FRAMES: i32 = 9000;
    let mut random = Random(7);
    let mut noise = || (random.next(1 << 32) as u32).cast_signed();
    let mut sample = |name, frame: i32| match name {
        "sawtooth" => (frame % 100) * (i32::MAX / 100),
        "noise" => noise(),
        "quiet noise" => noise() >> 7,
        "spikes" if frame % 7 == 0 => i32::MAX,
        "spikes" => (f64::from(frame) / 20.0).sin().mul_add(1e9, 0.0) as i32,
        "square" if frame / 50 % 2 == 0 => i32::MIN,
        "square" => i32::MAX,
        "alternating" if frame % 2 == 0 => i32::MIN,
        "alternating" => i32::MAX,
        "silence then noise" if frame < FRAMES / 2 => 0,
        "silence then noise" => noise(),
        _ => 0,
    };
    [
        "sawtooth",
        "noise",
        "quiet noise",
        "spikes",
        "square",
        "alternating",
        "silence then noise",
        "silence",
    ]
    .map(|name| {
        let samples = (0..FRAMES).flat_map(|frame| {
            let left = sample(name, frame) >> (32 - bits) << (32 - bits);
            let right = sample(name, frame / 2) >> (32 - bits) << (32 - bits);
            [left, right]
        });
        (name, samples.collect())
    })
    .into()
}

#[test]
fn a_packet_is_never_larger_than_its_samples_and_its_headers() {
    for bits in [16, 24] {
        for (name, samples) in hard_signals(bits) {
            for (level, block) in [(0, 0), (1, 4096), (5, 0), (5, 100), (8, 32_767)] {
                let name = format!("{name}, {bits} bits, level {level}, block {block}");
                let config = config(48_000, 2, block, level);
                let outputs = encode_all(&config, &samples);
                let mut frames = samples.len() / 2;
                for output in &outputs {
                    let block = match block {
                        0 if level < 3 => 1152,
                        0 => 4096,
                        block => block as usize,
                    }
                    .min(frames);
                    frames -= block;
                    // Up to 16 bytes for the frame's header and its checksums, 1 for each channel's.
                    let most = block * 2 * bits as usize / 8 + 18;
                    let length = output.chunk.data.len();
                    assert!(length <= most, "{name}: {length} bytes for {most}");
                }
                assert!(decoded(&outputs).1 == samples, "{name}");
            }
        }
    }
}

#[test]
fn blocks_have_the_size_that_was_asked_for_and_exact_times() {
    let samples = samples(44_100, 1, 10_000, 16);
    let outputs = encode_all(&config(44_100, 1, 1000, 5), &samples[..9500]);
    assert_eq!(outputs.len(), 10);
    for (index, output) in outputs.iter().enumerate() {
        let time = |frames: i64| 9 + frames * 1_000_000 / 44_100;
        assert_eq!(output.chunk.timestamp, time(index as i64 * 1000));
        let end = time((index as i64 * 1000 + 1000).min(9500));
        let duration = end - output.chunk.timestamp;
        assert_eq!(output.chunk.duration, Some(duration as u64));
        assert_eq!(output.chunk.side, None, "nothing to drop");
    }
    let description = decoder_config(&outputs).description.unwrap();
    assert_eq!(description.len(), 42);
    assert_eq!(description[..12], *b"fLaC\x80\0\0\x22\x03\xe8\x03\xe8");
    let size = |level| joined(&encode_all(&config(44_100, 1, 0, level), &samples)).len();
    let sizes = [size(0), size(3), size(8)];
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    // In stereo, the middle and the side of two like channels.
    let twice: Vec<i32> = samples
        .iter()
        .flat_map(|&sample| [sample, sample])
        .collect();
    let size = |level| joined(&encode_all(&config(44_100, 2, 1152, level), &twice)).len();
    assert!(size(0) > size(1) * 3 / 2);
}

#[test]
fn the_depth_is_that_of_the_first_sound_and_a_change_is_announced() {
    let config = config(48_000, 1, 1000, 5);
    let mut all = vec![0; 5000];
    all.extend(samples(48_000, 1, 3000, 16));
    let quiet = encode_all(&config, &all);
    assert_eq!(quiet.len(), 8);
    assert_eq!(decoded(&quiet), (SampleFormat::S16, all.clone()));
    assert!(quiet[0].decoder_config.is_some());
    all.extend(samples(48_000, 1, 2000, 24));
    let outputs = encode_all(&config, &all);
    let described: Vec<usize> = (0..outputs.len())
        .filter(|&index| outputs[index].decoder_config.is_some())
        .collect();
    assert_eq!(described, [0, 8]);
    let (first, second) = outputs.split_at(8);
    assert_eq!(decoded(first), (SampleFormat::S16, all[..8000].to_vec()));
    assert_eq!(decoded(second), (SampleFormat::S32, all[8000..].to_vec()));
    // Silence that does not end is not held back for ever.
    let mut encoder = start_encoder(&Flac, &config);
    let silence = run(SampleFormat::S32, 48_000, 1, 0, &vec![0.0; 300_000]);
    let mut count = 0;
    encoder.encode(&silence, &mut |_| count += 1).unwrap();
    assert_eq!(count, 300);
}

#[test]
fn after_a_flush_time_and_numbers_start_anew() {
    let config = config(48_000, 2, 0, 5);
    let mut encoder = start_encoder(&Flac, &config);
    encoder
        .flush(&mut |_| panic!("there was no input"))
        .unwrap();
    let samples = music(48_000, 2, 10_000);
    let mut again = |time| encode_with(&mut *encoder, SampleFormat::S32, &config, time, &samples);
    let (first, second) = (again(1000), again(-5));
    assert_eq!(joined(&first), joined(&second));
    assert!(second.iter().all(|output| output.decoder_config.is_none()));
}

#[test]
fn ffmpeg_decodes_a_file_of_it_bit_by_bit() {
    for (rate, channels, bits, level) in [
        (48_000, 1, 16, 5),
        (192_000, 2, 24, 8),
        (176_400, 6, 16, 0),
        (65_537, 8, 24, 3),
    ] {
        let samples = samples(rate, channels, 48_000, bits);
        let outputs = encode_all(&config(rate, channels, 0, level), &samples);
        let mut file = decoder_config(&outputs).description.unwrap().to_vec();
        file.extend_from_slice(&joined(&outputs));
        let got = ffmpeg_floats(&format!("{channels}-{bits}.flac"), &file, &[]);
        let want = samples.iter().map(|&sample| sample as f32 / 2f32.powi(31));
        assert!(want.eq(got), "{channels} channels with {bits} bits");
    }
}

#[test]
fn a_depth_that_is_given_holds_for_the_whole_stream() {
    // Silence, what needs 16 bits, then what needs 24.
    let mut input = vec![0; 9000];
    input.extend(samples(48_000, 1, 9000, 16));
    input.extend(samples(48_000, 1, 9000, 24));
    for (depth, shift) in [(16, 16), (24, 8)] {
        let config = AudioEncoderConfig {
            options: AudioCodecOptions::Flac {
                block_size: 4096,
                compress_level: 5,
                depth: Some(depth),
            },
            ..encoder_config("flac", 48_000, 1)
        };
        let outputs = encode_all(&config, &input);
        let described = outputs
            .iter()
            .filter(|output| output.decoder_config.is_some());
        assert_eq!(described.count(), 1, "{depth} bits");
        let want: Vec<i32> = input
            .iter()
            .map(|&sample| sample >> shift << shift)
            .collect();
        assert!(decoded(&outputs).1 == want, "{depth} bits");
    }
    let wrong = AudioEncoderConfig {
        options: AudioCodecOptions::Flac {
            block_size: 0,
            compress_level: 5,
            depth: Some(20),
        },
        ..encoder_config("flac", 48_000, 1)
    };
    assert!(Flac.check(&wrong).unwrap_err().message.contains("20"));
}

#[test]
fn configurations_that_it_cannot_have_are_refused_with_a_reason() {
    for (config, reason) in [
        (encoder_config("opus", 48_000, 2), "expected flac"),
        (config(0, 2, 0, 5), "rate"),
        (config(655_351, 2, 0, 5), "rate"),
        (config(48_000, 0, 0, 5), "channels"),
        (config(48_000, 9, 0, 5), "channels"),
        (config(48_000, u32::MAX, 0, 5), "channels"),
        (config(48_000, 2, 31, 5), "blockSize"),
        (config(48_000, 2, 32_768, 5), "blockSize"),
        (config(48_000, 2, u32::MAX, 5), "blockSize"),
        (config(48_000, 2, 0, 9), "compressLevel"),
        (
            AudioEncoderConfig {
                options: AudioCodecOptions::Adts,
                ..encoder_config("flac", 48_000, 2)
            },
            "another codec",
        ),
    ] {
        let error = Flac.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(reason), "{error} / {reason}");
        assert!(Flac.start(&config, &encoder_context()).is_err());
    }
    let mut encoder = start_encoder(&Flac, &encoder_config("flac", 48_000, 2));
    let data = run(SampleFormat::S32, 48_000, 1, 0, &[0.0; 60]);
    let error = encoder.encode(&data, &mut |_| panic!()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}
