//! Transport streams that are written, byte by byte: time stamps, tables and what stands before pictures.

#[path = "support/mux.rs"]
mod muxed;

use bytes::Bytes;
use muxed::{audio, packet, refused, video};
use reelcore_containers::mpegts::TsMuxer;
use reelcore_containers::mux::MemorySink;
use reelcore_media::ChunkKind;
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket, OutputTrack};

/// The first PID that tracks have.
const FIRST: u16 = 0x100;
const MAP: u16 = 0x1000;

fn write(track: OutputTrack, packets: Vec<OutputPacket>) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = TsMuxer::new(&MuxOptions::default());
    muxer.add_track(track).expect("a codec");
    for packet in packets {
        muxer.write(0, packet, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

/// What begins in a packet of `pid`, each with what follows until the next begins.
fn units(bytes: &[u8], pid: u16) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for packet in bytes.chunks(188) {
        if u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff != pid {
            continue;
        }
        if packet[1] & 0x40 != 0 {
            all.push(Vec::new());
        }
        let before = match packet[3] & 0x20 {
            0 => 4,
            _ => 5 + usize::from(packet[4]),
        };
        if packet[3] & 0x10 != 0 {
            let unit = all.last_mut().expect("a start");
            unit.extend(&packet[before..]);
        }
    }
    all
}

/// PTS and DTS of a PES packet.
fn stamps(pes: &[u8]) -> (u64, u64) {
    assert_eq!(pes[..3], [0, 0, 1]);
    let stamp = |at: usize, mark: u8| {
        let field = &pes[at..at + 5];
        assert_eq!(field[0] >> 4, mark);
        // Marker bits.
        assert_eq!([field[0] & 1, field[2] & 1, field[4] & 1], [1; 3]);
        let field = field.iter().map(|&byte| u64::from(byte));
        let [a, b, c, d, e] = field.collect::<Vec<_>>().try_into().expect("5 bytes");
        (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
    };
    match pes[7] >> 6 {
        2 => (stamp(9, 2), stamp(9, 2)),
        _ => (stamp(9, 3), stamp(14, 1)),
    }
}

/// The clock references of packets of `pid`, in ticks of 90 kHz.
fn clocks(bytes: &[u8], pid: u16) -> Vec<u64> {
    let packets = bytes.chunks(188).filter(|packet| {
        let own = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff == pid;
        own && packet[3] & 0x20 != 0 && packet[4] > 6 && packet[5] & 0x10 != 0
    });
    let base = |packet: &[u8]| {
        let field = u32::from_be_bytes(packet[6..10].try_into().expect("4 bytes"));
        u64::from(field) << 1 | u64::from(packet[10] >> 7)
    };
    packets.map(base).collect()
}

/// stream_type and PID of the streams that the first program map tells.
fn map(bytes: &[u8]) -> Vec<(u8, u16)> {
    let unit = &units(bytes, MAP)[0];
    let section = &unit[1 + usize::from(unit[0])..];
    let length =
        |at: usize| usize::from(u16::from_be_bytes([section[at], section[at + 1]]) & 0xfff);
    let (mut at, end) = (12 + length(10), 3 + length(1) - 4);
    let mut all = Vec::new();
    while at < end {
        let pid = u16::from_be_bytes([section[at + 1], section[at + 2]]) & 0x1fff;
        all.push((section[at], pid));
        at += 5 + length(at + 3);
    }
    all
}

/// H.264 in Annex B: 40 ms apart, a key picture first and then every fifth, decoded two pictures before it is shown.
fn pictures(first: i64) -> Vec<OutputPacket> {
    let picture = |index: i64| {
        let (kind, data) = match index % 5 {
            0 => (ChunkKind::Key, vec![0, 0, 0, 1, 0x65, 0x88, 0x84]),
            _ => (ChunkKind::Delta, vec![0, 0, 0, 1, 0x41, 0x9a, 0x84]),
        };
        let time = first + index * 40_000;
        let mut out = packet(kind, time + 80_000, 40_000, data);
        out.decode_time = Some(time);
        out
    };
    (0..20).map(picture).collect()
}

#[test]
fn times_below_zero_begin_where_a_stream_begins() {
    // 1.4 s, before which clock references have room.
    const BEGIN: u64 = 126_000;
    for (first, begin) in [
        (0, BEGIN),
        (-80_000, BEGIN),
        (-5_000_000, BEGIN),
        (-10_000_000_000, BEGIN),
        (1_000_000, BEGIN + 90_000),
    ] {
        let bytes = write(video("avc1.42c00a", 64, 48), pictures(first));
        let found: Vec<_> = units(&bytes, FIRST).iter().map(|pes| stamps(pes)).collect();
        let want: Vec<_> = (0..20)
            .map(|index| begin + index * 3600)
            .map(|decode| (decode + 7200, decode))
            .collect();
        assert_eq!(found, want, "from {first} us on");
        assert_eq!(clocks(&bytes, FIRST)[0], begin - 63_000, "{first}");
    }
}

#[test]
fn times_beyond_33_bits_begin_anew() {
    // 26.5 hours: the stamps of the tenth picture are the first that begin anew.
    const WRAP: u64 = 1 << 33;
    let first = ((WRAP - 126_000 - 12 * 3600) / 9 * 100) as i64;
    for first in [first, first * 2, first * 7] {
        let bytes = write(video("avc1.42c00a", 64, 48), pictures(first));
        let found: Vec<_> = units(&bytes, FIRST).iter().map(|pes| stamps(pes)).collect();
        let ticks = |micros: i64| {
            let ticks = (micros as u64 * 9 + 50) / 100 + 126_000;
            ticks % WRAP
        };
        let want = |index: i64| {
            let decode = first + index * 40_000;
            (ticks(decode + 80_000), ticks(decode))
        };
        assert_eq!(found, (0..20).map(want).collect::<Vec<_>>());
        let clocks = clocks(&bytes, FIRST);
        // 0.7 s before the picture.
        assert_eq!(clocks[0], (found[0].1 + WRAP - 63_000) % WRAP);
        assert!(clocks.iter().all(|&clock| clock < WRAP));
    }
}

#[test]
fn parameter_sets_stand_before_key_pictures_alone() {
    let mut track = video("avc1.42c00a", 64, 48);
    // An SPS of five bytes and a PPS of four.
    let sets = b"\x01\x42\xc0\x0a\xff\xe1\0\x05\x67\x42\xc0\x0a\xd9\x01\0\x04\x68\xce\x3c\x80";
    track.description = Some(Bytes::from_static(sets));
    let mut packets = pictures(0);
    for packet in &mut packets {
        // Lengths in place of start codes.
        let mut data = packet.chunk.data.to_vec();
        data[3] = data.len() as u8 - 4;
        packet.chunk.data = data.into();
    }
    let bytes = write(track, packets);
    let pictures = units(&bytes, FIRST);
    assert_eq!(pictures.len(), 20);
    for (index, picture) in pictures.iter().enumerate() {
        let count = |unit: &[u8]| picture.windows(unit.len()).filter(|w| *w == unit).count();
        let want = usize::from(index % 5 == 0);
        assert_eq!(count(&[0, 0, 0, 1, 0x67]), want, "SPS, picture {index}");
        assert_eq!(count(&[0, 0, 0, 1, 0x68]), want, "PPS, picture {index}");
        assert_eq!(count(&[0, 0, 0, 1, 0x65]), want, "IDR, picture {index}");
    }
}

#[test]
fn the_stream_type_tells_mpeg_1_sound_from_mpeg_2() {
    for (rate, header, kind) in [
        (44_100, [0xff, 0xfb, 0x90, 0x64], 3),
        (32_000, [0xff, 0xfb, 0x98, 0x64], 3),
        (22_050, [0xff, 0xf3, 0x80, 0x64], 4),
        (24_000, [0xff, 0xf3, 0x84, 0x64], 4),
    ] {
        let sound = packet(ChunkKind::Key, 0, 26_000, header.to_vec());
        let bytes = write(audio("mp3", rate, 2), vec![sound]);
        assert_eq!(map(&bytes), [(kind, FIRST)], "{rate} Hz");
    }
}

#[test]
fn opus_of_more_channels_than_its_mapping_family_lays_out_is_refused() {
    let head = |channels: u8, family: u8| {
        let mut head = b"OpusHead\x01".to_vec();
        head.extend([channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, family]);
        if family > 0 {
            head.extend([channels, 0]);
            head.extend(0..channels);
        }
        Some(Bytes::from(head))
    };
    let add = |channels: u8, description: Option<Bytes>| {
        let track = OutputTrack {
            description,
            ..audio("opus", 48_000, u32::from(channels))
        };
        TsMuxer::new(&MuxOptions::default()).add_track(track)
    };
    for channels in [1, 2] {
        add(channels, None).expect("family 0");
        add(channels, head(channels, 0)).expect("family 0");
    }
    for channels in 1..=8 {
        add(channels, head(channels, 1)).expect("family 1");
    }
    for channels in [3, 6, 8] {
        let want = format!("{channels} channels of mapping family 0");
        refused(add(channels, None), &want);
        refused(add(channels, head(channels, 0)), &want);
    }
    refused(add(9, head(9, 1)), "9 channels of mapping family 1");
    refused(add(2, head(2, 255)), "mapping family 255");
}
