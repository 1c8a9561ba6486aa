//! Transport streams that ffmpeg makes.
#![allow(dead_code)]

use std::sync::Arc;

use reelcore_containers::BytesSource;
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, Packet, Source};

use super::made::md5;
use super::settle::settled;
use super::support::packets;
use super::ts::*;

pub fn micros(ticks: i64) -> i64 {
    (ticks * 200 + 9).div_euclid(18)
}

/// A reader that stands where reading all packets leads, for each time.
pub fn assert_seeks_as_it_reads(demuxer: &Arc<dyn Demuxer>, what: &str) {
    for track in 0..demuxer.tracks().len() {
        let all = packets(demuxer, track).expect("the stream");
        let mut reader = Arc::clone(demuxer).reader(track).expect("the track");
        let last = all.iter().map(|p| p.chunk.timestamp).max().unwrap_or(0);
        let times = (-2..=(last / 70_000 + 2)).map(|step| step * 70_000);
        for time in times.chain([i64::MIN, i64::MAX]) {
            let key = |p: &Packet| p.chunk.kind == ChunkKind::Key;
            let best = all
                .iter()
                .rposition(|p| key(p) && p.chunk.timestamp <= time)
                .or_else(|| all.iter().position(key));
            let found = reader.seek(time).expect("seek");
            let what = format!("{what}: track {track} at {time}");
            assert_eq!(found, best.map(|at| all[at].chunk.timestamp), "{what}");
            let best = best.expect("a key packet");
            let public = &demuxer.tracks()[track];
            let first = settled(&mut *reader, public, &all, best, &what);
            assert_eq!(first, all[best], "{what}");
            for want in all.iter().skip(best + 1).take(6) {
                let got = reader.next_sample().expect("read").expect("a packet");
                assert_eq!(&got, want, "{what}");
            }
        }
    }
}

/// Counts the bytes that are read.
pub struct Counting(pub BytesSource, pub std::sync::atomic::AtomicU64);

impl Source for Counting {
    fn len(&self) -> std::io::Result<Option<u64>> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read_at(offset, buffer)?;
        self.1
            .fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(count)
    }
}

/// Chunks as they should be: times are relative to the earliest, which is 0 in these streams.
pub fn assert_units(packets: &[Packet], units: &[Unit], what: &str) {
    assert_eq!(packets.len(), units.len(), "{what}");
    for (index, (packet, unit)) in packets.iter().zip(units).enumerate() {
        let what = format!("{what}: {index}");
        assert_eq!(md5(&packet.chunk.data), md5(&unit.data), "{what}");
        assert_eq!(packet.chunk.kind == ChunkKind::Key, unit.key, "{what}");
        let slack = if unit.dts == unit.pts && unit.key {
            12
        } else {
            0
        };
        let off = packet.chunk.timestamp.abs_diff(micros(unit.pts));
        assert!(
            off <= slack,
            "{what}: {} {}",
            packet.chunk.timestamp,
            micros(unit.pts)
        );
        let off = packet.decode_time.abs_diff(micros(unit.dts));
        assert!(
            off <= slack,
            "{what}: {} {}",
            packet.decode_time,
            micros(unit.dts)
        );
    }
}
