//! Sound for tests of the audio encoder crates: signals, encoding them in runs, decoding what comes out, and how near
//! that is to the signal.

use bytes::Bytes;
use reelcore_media::encoder::{
    AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderBackend, AudioDecoderConfig, AudioEncoder,
    AudioEncoderBackend, EncodedChunk, SampleFormat,
};

use crate::random::Random;
use crate::sound;

/// A configuration without a bit rate.
///
/// # Panics
/// Where `codec` is no codec string.
pub fn encoder_config(codec: &str, sample_rate: u32, channels: u32) -> AudioEncoderConfig {
    AudioEncoderConfig {
        codec: AudioCodec::parse(codec).expect("a codec string"),
        sample_rate,
        channels,
        bitrate: None,
        bitrate_mode: Default::default(),
        options: AudioCodecOptions::None,
    }
}

/// A context with a pool of its own.
pub fn encoder_context() -> EncoderContext {
    EncoderContext {
        pool: BufferPool::new(8 << 20),
        threads: 1,
    }
}

/// A tone on each channel, another one on each, interleaved; channel `c` has `tone(c)` Hz. Its loudness swells, so that
/// no two moments are alike.
pub fn tones(rate: u32, channels: u32, frames: usize, tone: impl Fn(u32) -> f64) -> Vec<f32> {
    let mut samples = Vec::with_capacity(frames * channels as usize);
    for frame in 0..frames {
        let time = frame as f64 / f64::from(rate);
        for channel in 0..channels {
            let turn = std::f64::consts::TAU * time;
            let swell = 0.3 + 0.2 * (turn * (1.5 + f64::from(channel))).sin();
            samples.push((swell * (turn * tone(channel)).sin()) as f32);
        }
    }
    samples
}

/// Something like music, interleaved: chords that change, with attacks, overtones and a little noise.
pub fn music(rate: u32, channels: u32, frames: usize) -> Vec<f32> {
    let mut random = Random(0x0dd_ba11);
    let mut samples = Vec::with_capacity(frames * channels as usize);
    for frame in 0..frames {
        let time = frame as f64 / f64::from(rate);
        let (beat, within) = ((time * 4.0).floor(), (time * 4.0).fract() / 4.0);
        for channel in 0..channels {
            let mut sum = 0.0;
            for voice in 0..3 {
                let note = ((beat * 5.0 + f64::from(voice) * 4.0) % 24.0).floor();
                let pitch = 110.0 * 2f64.powf((note + f64::from(channel)) / 12.0);
                for overtone in 1..6 {
                    let turn = std::f64::consts::TAU * pitch * f64::from(overtone) * time;
                    sum += turn.sin() / f64::from(overtone * overtone);
                }
            }
            let noise = random.next(2001) as f64 / 1000.0 - 1.0;
            let envelope = (1.0 - (-within * 400.0).exp()) * (-within * 6.0).exp();
            samples.push((0.14 * sum * envelope + 0.01 * noise) as f32);
        }
    }
    samples
}

/// Interleaved samples in the format that the backend wants, as a run.
///
/// # Panics
/// Where there is no sample.
pub fn run(
    format: SampleFormat,
    rate: u32,
    channels: u32,
    time: i64,
    samples: &[f32],
) -> AudioData {
    let frames = samples.len() / channels as usize;
    let mut bytes = Vec::new();
    let mut put = |sample: f32| match format.interleaved() {
        SampleFormat::U8 => bytes.push((sample * 128.0 + 128.0).round().clamp(0.0, 255.0) as u8),
        SampleFormat::S16 => bytes.extend(((sample * 32_768.0).round() as i16).to_ne_bytes()),
        SampleFormat::S32 => {
            bytes.extend(((f64::from(sample) * 2f64.powi(31)) as i32).to_ne_bytes())
        }
        _ => bytes.extend(sample.to_ne_bytes()),
    };
    if format.is_planar() {
        for channel in 0..channels as usize {
            for frame in 0..frames {
                put(samples[frame * channels as usize + channel]);
            }
        }
    } else {
        samples.iter().copied().for_each(&mut put);
    }
    AudioData::new(
        format,
        rate as f32,
        frames as u32,
        channels,
        time,
        bytes.into(),
    )
    .expect("a run")
}

/// Starts an encoder of what the backend says it supports.
///
/// # Panics
/// Where it does not, or does not start.
pub fn start_encoder(
    backend: &dyn AudioEncoderBackend,
    config: &AudioEncoderConfig,
) -> Box<dyn AudioEncoder> {
    assert!(backend.knows(&config.codec));
    backend.check(config).expect("is supported");
    backend.start(config, &encoder_context()).expect("starts")
}

/// Encodes interleaved samples in runs of uneven length, the first of which has the timestamp `time`, and flushes.
///
/// # Panics
/// On an error of the encoder, and where what comes out breaks the rules that are the same for all: key chunks,
/// timestamps that count from the first run's without a gap that a packet could fill, one decoder configuration.
pub fn encode(
    backend: &dyn AudioEncoderBackend,
    config: &AudioEncoderConfig,
    time: i64,
    samples: &[f32],
) -> Vec<EncodedAudio> {
    let mut encoder = start_encoder(backend, config);
    let outputs = encode_with(
        &mut *encoder,
        backend.input_format(config),
        config,
        time,
        samples,
    );
    assert!(outputs[0].decoder_config.is_some());
    assert!(
        outputs[1..]
            .iter()
            .all(|output| output.decoder_config.is_none())
    );
    outputs
}

/// As [`encode`], with an encoder that may have encoded before.
///
/// # Panics
/// As [`encode`].
pub fn encode_with(
    encoder: &mut dyn AudioEncoder,
    format: SampleFormat,
    config: &AudioEncoderConfig,
    time: i64,
    samples: &[f32],
) -> Vec<EncodedAudio> {
    let mut outputs: Vec<EncodedAudio> = Vec::new();
    let channels = config.channels as usize;
    let mut lengths = [480usize, 1, 1023, 441, 4096, 7, 960].iter().cycle();
    let mut rest = samples;
    while !rest.is_empty() {
        let length = lengths.next().expect("endless") * channels;
        let (now, later) = rest.split_at(length.min(rest.len()));
        // Only the first run's timestamp counts.
        let stamp = if rest.len() == samples.len() {
            time
        } else {
            77
        };
        let data = run(format, config.sample_rate, config.channels, stamp, now);
        encoder
            .encode(&data, &mut |output| outputs.push(output))
            .expect("encodes");
        rest = later;
    }
    encoder
        .flush(&mut |output| outputs.push(output))
        .expect("flushes");
    assert!(!outputs.is_empty());
    let mut end = time;
    for output in &outputs {
        let chunk = &output.chunk;
        assert_eq!(chunk.kind, reelcore_media::ChunkKind::Key);
        assert!(!chunk.data.is_empty());
        assert!(chunk.timestamp >= end, "{} before {end}", chunk.timestamp);
        end = chunk.timestamp + i64::try_from(chunk.duration.expect("a duration")).expect("small");
    }
    assert_eq!(outputs[0].chunk.timestamp, time);
    let seconds = (samples.len() / channels) as f64 / f64::from(config.sample_rate);
    assert!(
        (end - time) as f64 >= (seconds * 1e6).floor(),
        "all of the input"
    );
    outputs
}

/// The chunks of outputs.
pub fn chunks(outputs: &[EncodedAudio]) -> Vec<EncodedChunk> {
    outputs.iter().map(|output| output.chunk.clone()).collect()
}

/// The configuration that decodes outputs.
///
/// # Panics
/// Where the first one has none.
pub fn decoder_config(outputs: &[EncodedAudio]) -> AudioDecoderConfig {
    let config = outputs[0].decoder_config.as_ref().expect("a configuration");
    (**config).clone()
}

/// Decodes outputs, drops what their side data says, and returns the rest: interleaved samples as floats.
///
/// # Panics
/// On an error of the decoder, and where more is to be dropped than there is.
pub fn decode_kept(backend: &dyn AudioDecoderBackend, outputs: &[EncodedAudio]) -> Vec<f32> {
    let mut decoder = sound::start(backend, &decoder_config(outputs));
    let mut kept = Vec::new();
    for output in outputs {
        let mut decoded: Vec<f32> = Vec::new();
        let mut shape = (1.0f64, 1usize);
        decoder
            .decode(&output.chunk, &mut |data| {
                shape = (f64::from(data.sample_rate), data.channels as usize);
                decoded.extend(to_floats(&data));
            })
            .expect("decodes");
        let side = output.chunk.side.clone().unwrap_or_default();
        let samples = |duration: std::time::Duration| {
            (duration.as_secs_f64() * shape.0).round() as usize * shape.1
        };
        let end = decoded.len() - samples(side.discard_end);
        kept.extend_from_slice(&decoded[samples(side.discard_start)..end]);
    }
    kept
}

/// The samples of decoded audio, interleaved, as floats.
pub fn to_floats(data: &AudioData) -> Vec<f32> {
    let bytes = sound::interleaved(std::slice::from_ref(data));
    let words = |size| bytes.chunks_exact(size);
    match data.format.interleaved() {
        SampleFormat::U8 => bytes
            .iter()
            .map(|&b| (f32::from(b) - 128.0) / 128.0)
            .collect(),
        SampleFormat::S16 => words(2)
            .map(|w| f32::from(i16::from_ne_bytes([w[0], w[1]])) / 32_768.0)
            .collect(),
        SampleFormat::S32 => words(4)
            .map(|w| i32::from_ne_bytes([w[0], w[1], w[2], w[3]]) as f32 / 2_147_483_648.0)
            .collect(),
        _ => words(4)
            .map(|w| f32::from_ne_bytes([w[0], w[1], w[2], w[3]]))
            .collect(),
    }
}

/// The ratio of signal to error in decibels, of one channel; the first `skip` frames do not count.
///
/// # Panics
/// Where the number of samples differs.
pub fn snr(got: &[f32], want: &[f32], channels: u32, channel: u32, skip: usize) -> f64 {
    assert_eq!(got.len(), want.len(), "number of samples");
    let (mut signal, mut error) = (0.0, 1e-30);
    let first = skip * channels as usize + channel as usize;
    for (got, want) in got.iter().zip(want).skip(first).step_by(channels as usize) {
        signal += f64::from(*want).powi(2);
        error += f64::from(got - want).powi(2);
    }
    10.0 * (signal / error).log10()
}

/// The amplitude of a tone of `frequency` Hz in one channel, by Goertzel's way.
pub fn amplitude(samples: &[f32], rate: u32, channels: u32, channel: u32, frequency: f64) -> f64 {
    let (mut real, mut imaginary, mut count) = (0.0, 0.0, 0.0);
    let all = samples
        .iter()
        .skip(channel as usize)
        .step_by(channels as usize);
    for (frame, &sample) in all.enumerate() {
        let turn = std::f64::consts::TAU * frequency * frame as f64 / f64::from(rate);
        real += f64::from(sample) * turn.cos();
        imaginary += f64::from(sample) * turn.sin();
        count += 1.0;
    }
    2.0 * f64::hypot(real, imaginary) / count
}

/// Bits a second of all packets.
pub fn bits_per_second(outputs: &[EncodedAudio]) -> f64 {
    let bytes: usize = outputs.iter().map(|output| output.chunk.data.len()).sum();
    let micros: u64 = outputs
        .iter()
        .filter_map(|output| output.chunk.duration)
        .sum();
    bytes as f64 * 8e6 / micros as f64
}

/// Writes `bytes` into a file of that name, and decodes it with the `ffmpeg` command to floats. What the command has to
/// complain about fails the test.
///
/// # Panics
/// Without the command, and where it complains.
pub fn ffmpeg_floats(name: &str, bytes: &[u8], options: &[&str]) -> Vec<f32> {
    let path = std::env::temp_dir().join(format!("reelcore-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("writes");
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-xerror"])
        .args(options)
        .arg("-i")
        .arg(&path)
        .args(["-f", "f32le", "-"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("the ffmpeg command: {error} (./x setup installs it)"));
    let _ = std::fs::remove_file(&path);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    sound::floats(&output.stdout)
}

/// The bytes of all packets, one after another.
pub fn joined(outputs: &[EncodedAudio]) -> Bytes {
    let all: Vec<u8> = outputs
        .iter()
        .flat_map(|output| output.chunk.data.to_vec())
        .collect();
    all.into()
}

/// An Ogg file of one logical stream: `headers`, the first of them on a page of its own, then the packets, each on a page
/// of its own with the granule position beside it. <https://www.rfc-editor.org/rfc/rfc3533>
///
/// # Panics
/// For packets of more than 65,024 bytes.
pub fn ogg(headers: &[&[u8]], packets: &[(Bytes, u64)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sequence = 0u32;
    let mut page = |flags: u8, granule: u64, packets: &[&[u8]]| {
        let start = file.len();
        file.extend_from_slice(b"OggS\0");
        file.push(flags);
        file.extend_from_slice(&granule.to_le_bytes());
        file.extend_from_slice(&0x5eed_u32.to_le_bytes());
        file.extend_from_slice(&sequence.to_le_bytes());
        file.extend_from_slice(&[0; 4]);
        let mut lacing = Vec::new();
        for packet in packets {
            lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
            lacing.push((packet.len() % 255) as u8);
        }
        file.push(u8::try_from(lacing.len()).expect("a page"));
        file.extend_from_slice(&lacing);
        packets
            .iter()
            .for_each(|packet| file.extend_from_slice(packet));
        let mut crc = 0u32;
        for byte in &file[start..] {
            crc ^= u32::from(*byte) << 24;
            for _ in 0..8 {
                crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            }
        }
        file[start + 22..start + 26].copy_from_slice(&crc.to_le_bytes());
        sequence += 1;
    };
    page(2, 0, &headers[..1]);
    page(0, 0, &headers[1..]);
    for (index, (packet, granule)) in packets.iter().enumerate() {
        let flags = if index + 1 == packets.len() { 4 } else { 0 };
        page(flags, *granule, &[packet]);
    }
    file
}
