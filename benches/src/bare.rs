//! The bare libraries: the limit that Reelcore is compared with.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reelcore_containers::{FileSource, open};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::demux::{Demuxer, Track, TrackKind};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderBackend, AudioDecoderConfig, EncodedChunk,
};

fn open_clip(clip: &Path) -> Result<Arc<dyn Demuxer>> {
    let source = FileSource::open(clip).with_context(|| clip.display().to_string())?;
    Ok(open(Arc::new(source))?)
}

/// Reads every packet of every track; gives their number.
///
/// # Errors
/// What the demuxer reports.
pub fn demux(clip: &Path) -> Result<usize> {
    let demuxer = open_clip(clip)?;
    let mut packets = 0;
    for index in 0..demuxer.tracks().len() {
        let mut reader = demuxer.clone().reader(index)?;
        while let Some(packet) = reader.next_packet()? {
            black_box(&packet.data);
            packets += 1;
        }
    }
    Ok(packets)
}

/// A track as a bare library takes it.
struct Units {
    /// Packets; of H.264 and HEVC access units in Annex B.
    packets: Vec<EncodedChunk>,
    track: Track,
}

/// The first video track, else the first of audio.
fn units(clip: &Path, annex_b_form: bool) -> Result<Units> {
    let demuxer = open_clip(clip)?;
    let tracks = demuxer.tracks();
    let find = |video: bool| {
        tracks.iter().position(|track| match track.kind {
            TrackKind::Video { .. } => video,
            TrackKind::Audio { .. } => !video,
            TrackKind::Other(_) => false,
        })
    };
    let index = find(true).or_else(|| find(false)).context("no track")?;
    let track = tracks.get(index).context("the track")?.clone();
    let mut reader = demuxer.clone().reader(index)?;
    let mut packets = Vec::new();
    while let Some(mut packet) = reader.next_packet()? {
        if annex_b_form && track.description.is_some() {
            packet.data = annex_b(&packet.data)?.into();
        }
        packets.push(packet);
    }
    if annex_b_form && let Some(description) = &track.description {
        let mut first = parameter_sets(&track, description)?;
        let Some(unit) = packets.first_mut() else {
            bail!("no packets")
        };
        first.extend_from_slice(&unit.data);
        unit.data = first.into();
    }
    Ok(Units { packets, track })
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// NAL units behind lengths of four bytes, as start codes delimit them.
fn annex_b(mut avc: &[u8]) -> Result<Vec<u8>> {
    let mut unit = Vec::with_capacity(avc.len());
    while let Some((length, rest)) = avc.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        unit.extend_from_slice(&START_CODE);
        unit.extend_from_slice(
            rest.get(..length)
                .context("a NAL unit ends after its packet")?,
        );
        avc = rest.get(length..).unwrap_or_default();
    }
    Ok(unit)
}

/// The parameter sets of an avcC (ISO/IEC 14496-15, 5.3.3.1) or an hvcC (8.3.3.1), with start codes.
fn parameter_sets(track: &Track, description: &[u8]) -> Result<Vec<u8>> {
    let mut sets = Vec::new();
    if track
        .codec
        .as_deref()
        .is_some_and(|codec| codec.starts_with("avc"))
    {
        let mut rest = description.get(5..).context("avcC is too short")?;
        for mask in [0x1f, 0xff] {
            let (count, left) = rest.split_first().context("avcC is too short")?;
            rest = take_units(count & mask, left, &mut sets)?;
        }
    } else {
        let (arrays, mut rest) = description
            .get(22..)
            .and_then(<[u8]>::split_first)
            .context("hvcC is too short")?;
        for _ in 0..*arrays {
            let (head, left) = rest.split_first_chunk::<3>().context("hvcC is too short")?;
            // A count of 16 bits, of which nobody needs more than 8.
            rest = take_units(head[2], left, &mut sets)?;
        }
    }
    Ok(sets)
}

/// `count` NAL units behind lengths of two bytes; gives what follows them.
fn take_units<'a>(count: u8, mut rest: &'a [u8], sets: &mut Vec<u8>) -> Result<&'a [u8]> {
    for _ in 0..count {
        let (length, after) = rest
            .split_first_chunk::<2>()
            .context("the description is too short")?;
        let length = usize::from(u16::from_be_bytes(*length));
        sets.extend_from_slice(&START_CODE);
        sets.extend_from_slice(
            after
                .get(..length)
                .context("the description is too short")?,
        );
        rest = after.get(length..).unwrap_or_default();
    }
    Ok(rest)
}

/// A clip in memory, and the backend whose library decodes it.
pub struct Clip {
    units: Units,
    backend: String,
}

impl Clip {
    /// Reads the first video track of a file, else the first of audio.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(clip: &Path, backend: &str) -> Result<Self> {
        let annex_b = matches!(backend, "openh264" | "rusty_h265" | "libavcodec");
        Ok(Self {
            units: units(clip, annex_b)?,
            backend: backend.to_owned(),
        })
    }

    /// Decodes it `times` times in a row, with one decoder: the number of pictures (of sound: of samples), and the time.
    ///
    /// # Errors
    /// When no library has the backend's name, or it reports an error.
    ///
    /// # Panics
    /// When a library without a backend reports one.
    pub fn decode(&self, times: usize) -> Result<(usize, Duration)> {
        let Units { packets, track } = &self.units;
        let units: Vec<&[u8]> = packets.iter().map(|packet| &packet.data[..]).collect();
        // As many threads as the engine would grant: one for tiny pictures, else one a core.
        let tiny = units.iter().map(|unit| unit.len()).sum::<usize>() < units.len() * 128;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = if tiny { 1 } else { cores };
        let units = units.repeat(times);
        let began = Instant::now();
        let decoded = match self.backend.as_str() {
            "dav1d" => reelcore_codec_dav1d::bare::decode(&units, threads, false),
            "openh264" => reelcore_codec_openh264::bare::decode(&units),
            "libavcodec" => {
                let name = match track.codec.as_deref() {
                    Some("vp8") => c"vp8",
                    Some(codec) if codec.starts_with("avc") => c"h264",
                    Some(codec) if codec.starts_with("vp09") => c"vp9",
                    _ => c"hevc",
                };
                reelcore_codec_ffmpeg::bare::decode(name, &units, threads)
            }
            "rusty_h265" => reelcore_codec_hevc::bare::decode(&units)?,
            "libvpx" => {
                let vp9 = track.codec.as_deref() != Some("vp8");
                reelcore_codec_vpx::bare::decode(&units, vp9, threads)
            }
            "rusty_aac" => sound(&reelcore_codec_aac::Aac, track, packets, times)?,
            "opus" => sound(&reelcore_codec_opus::Opus, track, packets, times)?,
            "symphonia" => sound(&reelcore_codec_symphonia::Symphonia, track, packets, times)?,
            other => bail!("no bare library is called {other}"),
        };
        Ok((decoded, began.elapsed()))
    }
}

/// Sound is decoded through the backend: what that adds to its library, the crates' own benchmarks compare. Here it
/// stands for the limit of engine and JavaScript.
fn sound(
    backend: &dyn AudioDecoderBackend,
    track: &Track,
    packets: &[EncodedChunk],
    times: usize,
) -> Result<usize> {
    let TrackKind::Audio {
        sample_rate,
        channels,
    } = track.kind
    else {
        bail!("not a track of audio");
    };
    let config = AudioDecoderConfig {
        codec: AudioCodec::parse(track.codec.as_deref().context("a codec")?)?,
        sample_rate,
        channels,
        description: track.description.clone(),
    };
    let context = DecoderContext {
        pool: BufferPool::new(16 << 20),
        threads: 1,
        limits: Limits::default(),
    };
    let mut decoder = backend.start(&config, &context)?;
    let mut frames = 0;
    let mut sink = |audio: AudioData| frames += audio.frames as usize;
    for packet in std::iter::repeat_n(packets, times).flatten() {
        decoder.decode(packet, &mut sink)?;
    }
    decoder.flush(&mut sink)?;
    Ok(frames)
}

/// The time that the ffmpeg command takes to decode the same track `times` times in a row, without its start; `None` where it is not
/// installed.
///
/// # Errors
/// When it fails.
pub fn ffmpeg(clip: &Path, times: usize) -> Result<Option<Duration>> {
    let Ok(output) = Command::new("ffmpeg")
        .args(["-hide_banner", "-benchmark", "-stream_loop"])
        .arg((times - 1).to_string())
        .arg("-i")
        .arg(clip)
        .args(["-map", "0:v:0?", "-map", "0:a:0?", "-f", "null", "-"])
        .output()
    else {
        return Ok(None);
    };
    let log = String::from_utf8_lossy(&output.stderr);
    // bench: utime=0.871s stime=0.028s rtime=0.473s
    let seconds = log
        .split("rtime=")
        .nth(1)
        .and_then(|rest| rest.split('s').next())
        .and_then(|text| text.parse::<f64>().ok());
    match seconds {
        Some(seconds) if output.status.success() => Ok(Some(Duration::from_secs_f64(seconds))),
        _ => bail!("ffmpeg: {log}"),
    }
}

/// The median time to copy `bytes` within memory.
pub fn memcpy(bytes: usize) -> Duration {
    let source = vec![1u8; bytes];
    let mut target = vec![0u8; bytes];
    let mut times: Vec<f64> = (0..101)
        .map(|_| {
            let began = Instant::now();
            target.copy_from_slice(black_box(&source));
            black_box(&target);
            began.elapsed().as_secs_f64()
        })
        .collect();
    Duration::from_secs_f64(crate::stats::median(&mut times))
}
