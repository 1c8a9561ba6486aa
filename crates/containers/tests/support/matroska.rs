//! Matroska tracks for built files, and views of their packets.
#![allow(dead_code)]

use reelcore_media::ChunkKind;
use reelcore_media::demux::Packet;

use super::ebml::*;

pub fn times(packets: &[Packet]) -> Vec<i64> {
    packets.iter().map(|p| p.chunk.timestamp).collect()
}

pub fn durations(packets: &[Packet]) -> Vec<u64> {
    packets
        .iter()
        .map(|p| p.chunk.duration.unwrap_or(0))
        .collect()
}

pub fn data(packets: &[Packet]) -> Vec<&[u8]> {
    packets.iter().map(|p| &p.chunk.data[..]).collect()
}

pub fn keys(packets: &[Packet]) -> Vec<bool> {
    packets
        .iter()
        .map(|p| p.chunk.kind == ChunkKind::Key)
        .collect()
}

/// A video track of VP8 with 40 ms to a frame.
pub fn vp8() -> Vec<u8> {
    let entry = track(1, 1, "V_VP8", &[&uint(0x23E383, 40_000_000), &video(&[])]);
    tracks(&[&entry])
}

/// A track of PCM: 16 bits, mono, 1000 Hz, so that a frame of it has 2 bytes and lasts 1 ms.
pub fn pcm(more: &[&[u8]]) -> Vec<u8> {
    let sound = audio(1000.0, 1, 16);
    let more = [&[&sound[..]], more].concat();
    tracks(&[&track(1, 2, "A_PCM/INT/LIT", &more)])
}

/// Frames of 40 ms, key frames every 10, in clusters of 5.
pub fn long(frames: u16) -> (Vec<Vec<u8>>, Vec<u8>) {
    let clusters = (0..frames / 5)
        .map(|c| {
            let blocks: Vec<Vec<u8>> = (0..5)
                .map(|i| {
                    let n = c * 5 + i;
                    let key = if n % 10 == 0 { 0x80 } else { 0 };
                    simple(1, (i * 40) as i16, key, &[n as u8; 50])
                })
                .collect();
            let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            cluster(u64::from(c) * 200, &blocks)
        })
        .collect();
    (clusters, [info(), vp8()].concat())
}
