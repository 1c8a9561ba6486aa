//! Builds transport streams and raw streams by hand, out of the sample clips.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use reelcore_media::ChunkKind;
use reelcore_media::demux::Demuxer;

use super::support::{clip, open_bytes, packets};

/// An access unit or an audio frame with its times in ticks of 90 kHz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub data: Vec<u8>,
    pub pts: i64,
    pub dts: i64,
    pub key: bool,
}

fn ticks(micros: i64) -> i64 {
    (micros * 9 + 50).div_euclid(100)
}

/// The access units of an H.264 clip in the byte stream format, with delimiters, and parameter sets before key pictures.
pub fn h264_units(name: &str) -> Vec<Unit> {
    let demuxer: Arc<dyn Demuxer> = open_bytes(clip(name)).expect("the clip");
    let avcc = demuxer.tracks()[0].description.clone().expect("avcC");
    // avcC: five bytes, a set each with a count and a length before it.
    let sps_len = usize::from(u16::from_be_bytes([avcc[6], avcc[7]]));
    let sps = &avcc[8..8 + sps_len];
    let pps_at = 8 + sps_len + 3;
    let pps_len = usize::from(u16::from_be_bytes([avcc[pps_at - 2], avcc[pps_at - 1]]));
    let pps = &avcc[pps_at..pps_at + pps_len];
    let mut units = Vec::new();
    for packet in packets(&demuxer, 0).expect("the clip") {
        let key = packet.chunk.kind == ChunkKind::Key;
        let mut data = vec![0, 0, 0, 1, 9, 0xf0];
        if key {
            for set in [sps, pps] {
                data.extend([0, 0, 0, 1]);
                data.extend(set);
            }
        }
        let mut rest = &packet.chunk.data[..];
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            data.extend([0, 0, 1]);
            data.extend(&after[..len]);
            rest = &after[len..];
        }
        units.push(Unit {
            data,
            pts: ticks(packet.chunk.timestamp),
            dts: ticks(packet.decode_time),
            key,
        });
    }
    units
}

/// The AAC frames of a clip with ADTS headers: LC, 44.1 kHz.
pub fn adts_frames(name: &str) -> Vec<Unit> {
    let demuxer: Arc<dyn Demuxer> = open_bytes(clip(name)).expect("the clip");
    let channels = match demuxer.tracks()[1].kind {
        reelcore_media::demux::TrackKind::Audio { channels, .. } => channels as u8,
        _ => panic!("the second track is sound"),
    };
    let frames = packets(&demuxer, 1).expect("the clip");
    frames
        .iter()
        .enumerate()
        .map(|(index, packet)| {
            let len = packet.chunk.data.len() + 7;
            let mut data = vec![
                0xff,
                0xf1,
                0x50,
                channels << 6 | (len >> 11) as u8,
                (len >> 3) as u8,
                (len << 5) as u8 | 0x1f,
                0xfc,
            ];
            data.extend(&packet.chunk.data);
            let pts = index as i64 * 1024 * 90_000 / 44_100;
            Unit {
                data,
                pts,
                dts: pts,
                key: true,
            }
        })
        .collect()
}

/// The temporal units of an AV1 clip in the low-overhead format, with their delimiters.
pub fn av1_units(name: &str) -> Vec<Vec<u8>> {
    let demuxer: Arc<dyn Demuxer> = open_bytes(clip(name)).expect("the clip");
    let packets = packets(&demuxer, 0).expect("the clip");
    let units = packets
        .iter()
        .map(|packet| [&[0x12, 0][..], &packet.chunk.data].concat());
    units.collect()
}

/// The CRC of PSI sections.
fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    crc
}

/// Writes transport packets of 188 bytes.
#[derive(Clone, Debug, Default)]
pub struct TsWriter {
    pub out: Vec<u8>,
    continuity: BTreeMap<u16, u8>,
    /// Set discontinuity_indicator in the next packet.
    pub discontinuity: bool,
}

pub const PAT: u16 = 0;
pub const PMT: u16 = 0x1000;
pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;

impl TsWriter {
    /// One transport packet with as much of `payload` as fits, which is returned.
    fn packet(&mut self, pid: u16, start: bool, payload: &[u8]) -> usize {
        let counter = self.continuity.entry(pid).or_default();
        let mut head = vec![
            0x47,
            u8::from(start) << 6 | (pid >> 8) as u8,
            pid as u8,
            0x10 | *counter,
        ];
        *counter = (*counter + 1) & 15;
        let flags = u8::from(std::mem::take(&mut self.discontinuity)) << 7;
        let room = if flags == 0 { 184 } else { 182 };
        let used = payload.len().min(room);
        if used < 184 {
            head[3] |= 0x20;
            let field = 183 - used;
            head.push(field as u8);
            if field > 0 {
                head.push(flags);
                head.extend(vec![0xff; field - 1]);
            }
        }
        self.out.extend(head);
        self.out.extend(&payload[..used]);
        used
    }

    /// `payload` in as many packets as it takes.
    pub fn payload(&mut self, pid: u16, payload: &[u8]) {
        let mut rest = payload;
        let mut start = true;
        while !rest.is_empty() {
            let used = self.packet(pid, start, rest);
            rest = &rest[used..];
            start = false;
        }
    }

    /// Makes the continuity counter of `pid` jump.
    pub fn jump(&mut self, pid: u16) {
        let counter = self.continuity.entry(pid).or_default();
        *counter = (*counter + 5) & 15;
    }

    fn section(&mut self, pid: u16, table: u8, id: u16, version: u8, body: &[u8]) {
        let len = body.len() + 9;
        let mut section = vec![
            table,
            0xb0 | (len >> 8) as u8,
            len as u8,
            (id >> 8) as u8,
            id as u8,
            0xc1 | version << 1,
            0,
            0,
        ];
        section.extend(body);
        section.extend(crc(&section).to_be_bytes());
        // pointer_field
        section.insert(0, 0);
        section.resize(section.len().max(184), 0xff);
        self.payload(pid, &section);
    }

    /// A program association table.
    pub fn pat(&mut self, version: u8, programs: &[(u16, u16)]) {
        let body: Vec<u8> = programs
            .iter()
            .flat_map(|&(number, pid)| {
                let [a, b] = number.to_be_bytes();
                [a, b, 0xe0 | (pid >> 8) as u8, pid as u8]
            })
            .collect();
        self.section(PAT, 0, 1, version, &body);
    }

    /// A program map table: stream_type, PID and descriptors of each stream.
    pub fn pmt(&mut self, pid: u16, program: u16, version: u8, streams: &[(u8, u16, &[u8])]) {
        let mut body = vec![0xe1, 0, 0xf0, 0];
        for &(kind, pid, info) in streams {
            let [high, low] = pid.to_be_bytes();
            body.extend([kind, 0xe0 | high, low, 0xf0, info.len() as u8]);
            body.extend(info);
        }
        self.section(pid, 2, program, version, &body);
    }

    /// A PES packet. `bounded`: it says its length.
    pub fn pes(
        &mut self,
        pid: u16,
        stream_id: u8,
        stamps: Option<(i64, i64)>,
        bounded: bool,
        payload: &[u8],
    ) {
        let stamp = |mark: u8, time: i64| {
            let time = time.rem_euclid(1 << 33) as u64;
            [
                mark << 4 | (time >> 29) as u8 & 14 | 1,
                (time >> 22) as u8,
                (time >> 14) as u8 | 1,
                (time >> 7) as u8,
                (time << 1) as u8 | 1,
            ]
        };
        let mut fields = Vec::new();
        let mut flags = 0;
        if let Some((pts, dts)) = stamps {
            flags = if pts == dts { 0x80 } else { 0xc0 };
            fields.extend(stamp(flags >> 6, pts));
            if pts != dts {
                fields.extend(stamp(1, dts));
            }
        }
        let len = if bounded {
            3 + fields.len() + payload.len()
        } else {
            0
        };
        let len = u16::try_from(len).expect("the payload of a bounded PES packet");
        let mut pes = vec![0, 0, 1, stream_id];
        pes.extend(len.to_be_bytes());
        pes.extend([0x80, flags, fields.len() as u8]);
        pes.extend(fields);
        pes.extend(payload);
        self.payload(pid, &pes);
    }
}

/// How a stream is put together.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The time of the first picture.
    pub start: i64,
    /// Say the lengths of PES packets of pictures.
    pub bounded: bool,
    /// Audio frames in a PES packet.
    pub frames: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            start: 126_000,
            bounded: false,
            frames: 5,
        }
    }
}

/// What a stream of one program holds, in the order of the bytes.
pub enum Piece<'a> {
    Video(usize, &'a Unit),
    /// Index of the first, and the frames.
    Audio(usize, &'a [Unit]),
}

/// Pictures and sound in one order of decoding times.
pub fn interleave<'a>(video: &'a [Unit], audio: &'a [Unit], frames: usize) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut sound = audio.chunks(frames).enumerate().peekable();
    for (index, unit) in video.iter().enumerate() {
        while let Some((at, chunk)) = sound.next_if(|(_, chunk)| chunk[0].pts <= unit.dts) {
            pieces.push(Piece::Audio(at * frames, chunk));
        }
        pieces.push(Piece::Video(index, unit));
    }
    pieces.extend(sound.map(|(at, chunk)| Piece::Audio(at * frames, chunk)));
    pieces
}

/// The streams of the usual program.
pub const STREAMS: [(u8, u16, &[u8]); 2] = [(0x1b, VIDEO, &[]), (0x0f, AUDIO, &[])];

/// A stream of one program with pictures and sound; tables before every key picture.
pub fn mux(video: &[Unit], audio: &[Unit], plan: Plan) -> Vec<u8> {
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    for piece in interleave(video, audio, plan.frames) {
        match piece {
            Piece::Video(_, unit) => {
                if unit.key {
                    ts.pat(0, &[(1, PMT)]);
                    ts.pmt(PMT, 1, 0, &STREAMS);
                }
                let stamps = Some((unit.pts + plan.start, unit.dts + plan.start));
                ts.pes(VIDEO, 0xe0, stamps, plan.bounded, &unit.data);
            }
            Piece::Audio(_, frames) => {
                let time = frames[0].pts + plan.start;
                let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                ts.pes(AUDIO, 0xc0, Some((time, time)), true, &data);
            }
        }
    }
    ts.out
}

/// A stream with time stamps (192 bytes a packet) or room for error correction (204).
pub fn restride(stream: &[u8], stride: usize) -> Vec<u8> {
    stream
        .chunks(188)
        .flat_map(|packet| match stride {
            192 => [&[1, 2, 3, 4], packet].concat(),
            _ => [packet, &[0x47; 16]].concat(),
        })
        .collect()
}

/// The clip that streams are built of: two seconds of pictures and sound.
pub fn media() -> (Vec<Unit>, Vec<Unit>) {
    let mut video = h264_units("h264-fragmented.mp4");
    let mut audio = adts_frames("h264-fragmented.mp4");
    video.truncate(60);
    audio.truncate(107);
    (video, audio)
}
