//! Sound for tests of the audio codec crates: clips made by the ffmpeg command, their packets, and what the command
//! decodes them to. A missing command fails the test that needs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, ChunkKind,
    EncodedChunk, SampleFormat,
};

use crate::ffmpeg::ffmpeg_make;
use crate::random::Random;

/// A context with a pool of its own and the default caps.
pub fn context() -> DecoderContext {
    DecoderContext {
        pool: BufferPool::new(8 << 20),
        threads: 1,
        limits: Limits::default(),
    }
}

/// A configuration.
///
/// # Panics
/// Where `codec` is no codec string.
pub fn config(
    codec: &str,
    rate: u32,
    channels: u32,
    description: Option<&[u8]>,
) -> AudioDecoderConfig {
    AudioDecoderConfig {
        codec: AudioCodec::parse(codec).expect("a codec string"),
        sample_rate: rate,
        channels,
        description: description.map(Bytes::copy_from_slice),
    }
}

/// A key chunk.
pub fn chunk(timestamp: i64, data: impl Into<Bytes>) -> EncodedChunk {
    EncodedChunk::new(ChunkKind::Key, timestamp, data.into())
}

fn run(name: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(name)
        .args(["-v", "error"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("the {name} command: {error} (./x setup installs it)"));
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A second and a bit of tones and noise, other ones on each channel, which `ffmpeg` encodes with the options `encoder`
/// into a file of that name.
///
/// # Panics
/// Without the command, and for layouts that are not in the list.
pub fn clip(name: &str, rate: u32, layout: &str, encoder: &[&str]) -> PathBuf {
    let channels = match layout {
        "mono" => 1,
        "stereo" => 2,
        "3.0" => 3,
        "4.0" | "quad" => 4,
        "5.0" | "5.0(side)" => 5,
        "5.1" | "5.1(side)" => 6,
        "6.1" => 7,
        "7.1" => 8,
        other => panic!("unknown layout {other}"),
    };
    let channel = |c: u32| {
        // Low tones, which an LFE channel keeps; noise that comes and goes, for short and long blocks.
        let tone = 40 + 17 * c;
        let high = 300 + 271 * c;
        format!(
            "0.3*sin(2*PI*{tone}*t)+0.2*sin(2*PI*{high}*t)+0.3*(random({c})-0.5)*gt(sin(2*PI*3*t+{c}),0.3)"
        )
    };
    let exprs: Vec<_> = (0..channels).map(channel).collect();
    let source = format!(
        "aevalsrc=exprs='{}':c={layout}:s={rate}:d=1.3",
        exprs.join("|")
    );
    let mut arguments = vec!["-f", "lavfi", "-i", &source];
    arguments.extend(encoder);
    ffmpeg_make(&arguments, name).unwrap_or_else(|error| panic!("{error}"))
}

/// A file's first track as the ffprobe command reads it.
pub struct Track {
    /// FFmpeg's "extradata".
    pub description: Vec<u8>,
    /// Frames a second.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
    /// All packets.
    pub chunks: Vec<EncodedChunk>,
}

/// The bytes of a hexadecimal dump: after the offset, 16 bytes in groups of two, then the same as text.
fn undump(line: &str, bytes: &mut Vec<u8>) {
    let digits: Vec<u8> = line[10..line.len().min(50)]
        .bytes()
        .filter(|byte| *byte != b' ')
        .collect();
    for pair in digits.chunks_exact(2) {
        let pair = std::str::from_utf8(pair).expect("digits");
        bytes.push(u8::from_str_radix(pair, 16).expect("digits"));
    }
}

/// A file's first audio track.
///
/// # Panics
/// Without the `ffprobe` command, and for what it cannot read.
pub fn track(path: &Path) -> Track {
    let file = path.to_str().expect("a path in UTF-8");
    let text = run(
        "ffprobe",
        &[
            "-select_streams",
            "a:0",
            "-show_streams",
            "-show_packets",
            "-show_data",
            file,
        ],
    );
    let text = String::from_utf8_lossy(&text);
    let mut track = Track {
        description: Vec::new(),
        rate: 0,
        channels: 0,
        chunks: Vec::new(),
    };
    let (mut bytes, mut timestamp, mut dump) = (Vec::new(), 0, false);
    for line in text.lines() {
        let hex = line.as_bytes().get(8) == Some(&b':')
            && line.bytes().take(8).all(|b| b.is_ascii_hexdigit());
        if dump && hex {
            undump(line, &mut bytes);
            continue;
        }
        match line.split_once('=') {
            Some(("data" | "extradata", _)) => dump = true,
            Some(("pts_time", time)) => {
                timestamp = (time.parse::<f64>().unwrap_or(0.0) * 1e6).round() as i64;
            }
            Some(("sample_rate", rate)) => track.rate = rate.parse().unwrap_or(0),
            Some(("channels", channels)) => track.channels = channels.parse().unwrap_or(0),
            _ => {}
        }
        if line.starts_with("[/PACKET]") {
            track
                .chunks
                .push(chunk(timestamp, std::mem::take(&mut bytes)));
            dump = false;
        } else if line.starts_with("[/STREAM]") {
            track.description = std::mem::take(&mut bytes);
            dump = false;
        }
    }
    assert!(track.chunks.len() > 1, "{file}: packets");
    track
}

/// What the ffmpeg command decodes as raw samples of `format`, nothing trimmed.
///
/// # Panics
/// Without the command, and for what it cannot decode.
pub fn reference(path: &Path, format: &str) -> Vec<u8> {
    reference_by(path, format, &[])
}

/// The same with options for the decoder.
///
/// # Panics
/// As [`reference`].
pub fn reference_by(path: &Path, format: &str, options: &[&str]) -> Vec<u8> {
    let file = path.to_str().expect("a path in UTF-8");
    let arguments = ["-flags2", "+skip_manual"]
        .iter()
        .chain(options)
        .chain(&["-i", file, "-f", format, "-"])
        .copied()
        .collect::<Vec<_>>();
    run("ffmpeg", &arguments)
}

/// Bytes as little-endian floats.
///
/// # Panics
/// Where their number is no multiple of four.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    let (samples, rest) = bytes.as_chunks();
    assert!(rest.is_empty());
    samples.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Starts a decoder of what the backend says it supports.
///
/// # Panics
/// Where it does not, or does not start.
pub fn start(
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
) -> Box<dyn AudioDecoder> {
    backend.check(config).expect("is supported");
    backend.start(config, &context()).expect("starts")
}

/// Decodes all chunks and flushes.
///
/// # Panics
/// On an error of the decoder.
pub fn decode(decoder: &mut dyn AudioDecoder, chunks: &[EncodedChunk]) -> Vec<AudioData> {
    let mut outputs = Vec::new();
    for chunk in chunks {
        decoder
            .decode(chunk, &mut |output| outputs.push(output))
            .expect("decodes");
    }
    decoder
        .flush(&mut |output| outputs.push(output))
        .expect("flushes");
    outputs
}

/// All samples, interleaved, in their own format.
pub fn interleaved(outputs: &[AudioData]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for output in outputs {
        let size = output.format.sample_bytes();
        if output.format.is_planar() {
            for frame in 0..output.frames as usize {
                for plane in &output.planes {
                    bytes.extend_from_slice(&plane[frame * size..(frame + 1) * size]);
                }
            }
        } else {
            bytes.extend_from_slice(&output.planes[0]);
        }
    }
    bytes
}

/// Asserts that `outputs` are `want` within 1e-4 RMS on every channel, sample for sample.
///
/// # Panics
/// Where they are not, or where `want` is silent.
pub fn assert_close(what: &str, outputs: &[AudioData], want: &[f32]) {
    let channels = outputs[0].channels as usize;
    assert!(
        outputs
            .iter()
            .all(|o| matches!(o.format, SampleFormat::F32 | SampleFormat::F32Planar)),
        "{what}"
    );
    let got = floats(&interleaved(outputs));
    assert_eq!(got.len(), want.len(), "{what}: number of samples");
    for channel in 0..channels {
        let pairs = || got.iter().zip(want).skip(channel).step_by(channels);
        let count = pairs().count() as f64;
        let rms = |f: &dyn Fn(&f32, &f32) -> f64| {
            (pairs().map(|(a, b)| f(a, b).powi(2)).sum::<f64>() / count).sqrt()
        };
        let error = rms(&|a, b| f64::from(a - b));
        let signal = rms(&|_, b| f64::from(*b));
        assert!(
            signal > 0.01,
            "{what}: channel {channel} has sound: {signal}"
        );
        assert!(error < 1e-4, "{what}: channel {channel} is {error:e} off");
    }
}

/// Asserts that each output starts at its chunk's time, where each chunk gives one.
///
/// # Panics
/// Where one does not.
pub fn assert_times(what: &str, outputs: &[AudioData], chunks: &[EncodedChunk]) {
    let got: Vec<_> = outputs.iter().map(|o| o.timestamp).collect();
    let want: Vec<_> = chunks.iter().map(|c| c.timestamp).collect();
    assert_eq!(got, want, "{what}");
}

/// Chunks at offsets and sizes of a file, `duration` microseconds apart, as the Web Platform Tests make them; with the
/// bytes of the whole file.
///
/// # Panics
/// Where the file cannot be read or is shorter.
pub fn ranges(file: &Path, ranges: &[(usize, usize)], duration: i64) -> (Bytes, Vec<EncodedChunk>) {
    let bytes = Bytes::from(std::fs::read(file).expect("the file"));
    let chunks = ranges
        .iter()
        .enumerate()
        .map(|(index, &(at, size))| {
            chunk(-42 + index as i64 * duration, bytes.slice(at..at + size))
        })
        .collect();
    (bytes, chunks)
}

/// Decodes `rounds` damaged copies of `chunks`; what comes out must fit its description. Returns how many ended in an
/// error.
///
/// # Panics
/// Where an output does not fit; and with the decoder.
pub fn damage(
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
    chunks: &[EncodedChunk],
    rounds: usize,
) -> usize {
    let mut random = Random(0x5eed_1234_abcd_0001);
    let mut errors = 0;
    for round in 0..rounds {
        let mut config = config.clone();
        // Every fourth round damages the description too.
        if let (0, Some(description)) = (round % 4, &config.description) {
            let mut bytes = description.to_vec();
            for _ in 0..=random.next(3) {
                let at = random.next(bytes.len());
                bytes[at] ^= 1 << random.next(8);
            }
            config.description = Some(bytes.into());
        }
        if backend.check(&config).is_err() {
            errors += 1;
            continue;
        }
        let Ok(mut decoder) = backend.start(&config, &context()) else {
            errors += 1;
            continue;
        };
        let first = random.next(chunks.len().saturating_sub(5));
        for good in chunks.iter().skip(first).take(5) {
            let mut data = good.data.to_vec();
            match random.next(8) {
                0 => data.truncate(random.next(data.len())),
                1..=4 => {
                    for _ in 0..=random.next(4) {
                        let at = random.next(data.len());
                        data[at] ^= 1 << random.next(8);
                    }
                }
                5 => data
                    .iter_mut()
                    .for_each(|byte| *byte = random.next(256) as u8),
                _ => {}
            }
            let result = decoder.decode(&chunk(good.timestamp, data), &mut |output| {
                assert!(output.frames > 0 && output.sample_rate > 0.0);
                let samples = output.frames as usize * output.channels as usize;
                assert_eq!(output.byte_size(), samples * output.format.sample_bytes());
            });
            if result.is_err() {
                errors += 1;
                break;
            }
        }
    }
    errors
}
