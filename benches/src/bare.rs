//! The bare libraries: the limit that Reelcore is compared with.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reelcore_containers::{FileSource, open};
use reelcore_media::demux::{Demuxer, TrackKind};

/// Which library decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// dav1d.
    Av1,
    /// OpenH264.
    H264,
}

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

/// The video packets as the bare library takes them: temporal units of AV1, access units of H.264 in Annex B.
fn units(clip: &Path, codec: Codec) -> Result<Vec<Vec<u8>>> {
    let demuxer = open_clip(clip)?;
    let (index, track) = demuxer
        .tracks()
        .iter()
        .enumerate()
        .find(|(_, track)| matches!(track.kind, TrackKind::Video { .. }))
        .context("no video track")?;
    let description = track.description.clone();
    let mut reader = demuxer.clone().reader(index)?;
    let mut units = Vec::new();
    while let Some(packet) = reader.next_packet()? {
        units.push(match codec {
            Codec::Av1 => packet.data.to_vec(),
            Codec::H264 => annex_b(&packet.data)?,
        });
    }
    if codec == Codec::H264 {
        let mut first = parameter_sets(&description.context("no avcC")?)?;
        let Some(unit) = units.first_mut() else {
            bail!("no packets")
        };
        first.append(unit);
        *unit = first;
    }
    Ok(units)
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

/// The parameter sets of an AVCDecoderConfigurationRecord in Annex B: ISO/IEC 14496-15, 5.3.3.1.
fn parameter_sets(avcc: &[u8]) -> Result<Vec<u8>> {
    let mut sets = Vec::new();
    let mut rest = avcc.get(5..).context("avcC is too short")?;
    for mask in [0x1f, 0xff] {
        let (count, mut left) = rest.split_first().context("avcC is too short")?;
        for _ in 0..count & mask {
            let (length, after) = left.split_first_chunk::<2>().context("avcC is too short")?;
            let length = usize::from(u16::from_be_bytes(*length));
            sets.extend_from_slice(&START_CODE);
            sets.extend_from_slice(after.get(..length).context("avcC is too short")?);
            left = after.get(length..).unwrap_or_default();
        }
        rest = left;
    }
    Ok(sets)
}

/// Decodes a clip with the bare library: the number of pictures, and the time without reading the file.
///
/// # Errors
/// When the clip cannot be read.
///
/// # Panics
/// When the library reports an error.
pub fn decode(clip: &Path, codec: Codec) -> Result<(usize, Duration)> {
    let units = units(clip, codec)?;
    let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
    // As many threads as the engine would grant: one for tiny pictures, else one a core.
    let tiny = units.iter().map(|unit| unit.len()).sum::<usize>() < units.len() * 128;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = if tiny { 1 } else { cores };
    let began = Instant::now();
    let pictures = match codec {
        Codec::Av1 => reelcore_codec_dav1d::bare::decode(&units, threads, false),
        Codec::H264 => reelcore_codec_openh264::bare::decode(&units),
    };
    Ok((pictures, began.elapsed()))
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
