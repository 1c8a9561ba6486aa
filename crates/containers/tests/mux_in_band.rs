//! Tracks whose packets go over between a description and a set-up that stands in them: start codes and ADTS headers.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::sync::Arc;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{ffprobe, open_bytes, output_track, save, tracks};
use reelcore_containers::mux::{InBand, MemorySink, create};
use reelcore_containers::{FileSource, open};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Packet, Track};
use reelcore_media::h264::AvcC;
use reelcore_media::mux::{MuxError, MuxOptions, OutputPacket};

const CONTAINERS: [&str; 3] = ["mp4", "fmp4", "matroska"];

fn source(name: &str, args: &str) -> (Track, Vec<Packet>) {
    let path = ffmpeg(name, &args.split_whitespace().collect::<Vec<_>>());
    let source = Arc::new(FileSource::open(&path).expect("a file"));
    tracks(&open(source).expect("a container")).remove(0)
}

fn pictures() -> (Track, Vec<Packet>) {
    source(
        "in-band.mp4",
        "-f lavfi -i testsrc2=s=128x96:r=25:d=2 -c:v libx264 -preset veryfast -bf 0 -g 10 -pix_fmt yuv420p",
    )
}

fn sound() -> (Track, Vec<Packet>) {
    source(
        "in-band.m4a",
        "-f lavfi -i sine=440:d=2:sample_rate=44100 -ac 1 -c:a aac",
    )
}

/// A packet with lengths, in Annex B: key pictures with their parameter sets.
fn annex_b(packet: &Packet, avcc: &Bytes) -> OutputPacket {
    let record = AvcC::parse(avcc).expect("an avcC");
    assert_eq!(record.length_size, 4);
    let mut units: Vec<Vec<u8>> = Vec::new();
    if packet.chunk.kind == ChunkKind::Key {
        units.extend(record.sps.into_iter().chain(record.pps));
    }
    let mut rest = &packet.chunk.data[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        units.push(unit.to_vec());
        rest = after;
    }
    with_data(
        packet,
        units
            .iter()
            .flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat())
            .collect(),
    )
}

/// A raw frame of LC in mono at 44,100 Hz, with its ADTS header.
fn adts(packet: &Packet) -> OutputPacket {
    let size = packet.chunk.data.len() + 7;
    let head = [
        0xff,
        0xf1,
        1 << 6 | 4 << 2,
        1 << 6 | (size >> 11) as u8,
        (size >> 3) as u8,
        (size << 5) as u8 | 0x1f,
        0xfc,
    ];
    with_data(packet, [&head[..], &packet.chunk.data].concat())
}

fn with_data(packet: &Packet, data: Vec<u8>) -> OutputPacket {
    let mut chunk = packet.chunk.clone();
    chunk.data = data.into();
    OutputPacket::new(chunk)
}

/// Writes `packets` as they are made, and compares what is read back with `want`: key pictures may have parameter sets in front.
fn check(
    container: &str,
    name: &str,
    (track, want): &(Track, Vec<Packet>),
    described: bool,
    packets: impl Iterator<Item = OutputPacket>,
) {
    let mut muxer = create(container, &MuxOptions::default()).expect("a muxer");
    let mut sink = MemorySink::default();
    let mut output = output_track(track).expect("a track");
    if !described {
        output.description = None;
    }
    muxer.add_track(output).expect("a codec");
    for packet in packets {
        let at = packet.chunk.timestamp;
        let result = muxer.write(0, packet, &mut sink);
        result.unwrap_or_else(|error| panic!("{container} {name} at {at}: {error}"));
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let got = tracks(&open_bytes(bytes.clone())).remove(0).1;
    assert_eq!(got.len(), want.len(), "{container} {name}");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let same = match want.chunk.kind {
            ChunkKind::Key => got.chunk.data.ends_with(&want.chunk.data),
            ChunkKind::Delta => got.chunk.data == want.chunk.data,
        };
        assert!(same, "{container} {name}: packet {index}");
    }
    let file = save(&format!("in-band-{name}.{container}"), &bytes);
    assert_eq!(ffprobe(&file)[0].1, want.len());
}

#[test]
fn start_codes_are_not_written_into_a_track_that_began_with_lengths() {
    let source = pictures();
    let avcc = source.0.description.clone().expect("an avcC");
    let codec = source.0.codec.clone().expect("a codec string");
    for container in CONTAINERS {
        let mut in_band = InBand::new(&codec, avcc.clone())
            .expect("H.264")
            .expect("H.264");
        let packets = source.1.iter().enumerate().map(|(index, packet)| {
            if index < 20 {
                return OutputPacket::new(packet.chunk.clone());
            }
            let mut packet = annex_b(packet, &avcc);
            in_band.convert(&mut packet).expect("Annex B");
            packet
        });
        check(container, "annexb-after-avc", &source, true, packets);
    }
}

#[test]
fn lengths_after_start_codes_are_not_searched_for_start_codes() {
    let source = pictures();
    let avcc = source.0.description.clone().expect("an avcC");
    for container in CONTAINERS {
        let packets = source.1.iter().enumerate().map(|(index, packet)| {
            let mut out = match index < 20 {
                true => annex_b(packet, &avcc),
                false => OutputPacket::new(packet.chunk.clone()),
            };
            out.description = (index == 20).then(|| avcc.clone());
            out
        });
        check(container, "avc-after-annexb", &source, false, packets);
    }
}

#[test]
fn adts_headers_are_not_written_into_a_track_that_began_without_them() {
    let source = sound();
    let config = source.0.description.clone().expect("a description");
    for container in CONTAINERS {
        let mut in_band = InBand::new("mp4a.40.2", config.clone())
            .expect("AAC")
            .expect("AAC");
        let packets = source.1.iter().enumerate().map(|(index, packet)| {
            if index < 20 {
                return OutputPacket::new(packet.chunk.clone());
            }
            let mut packet = adts(packet);
            in_band.convert(&mut packet).expect("ADTS");
            packet
        });
        check(container, "adts-after-aac", &source, true, packets);
    }
}

#[test]
fn raw_frames_after_adts_are_taken_where_they_are_the_same_sound() {
    let source = sound();
    let config = source.0.description.clone().expect("a description");
    for container in CONTAINERS {
        let packets = source.1.iter().enumerate().map(|(index, packet)| {
            let mut out = match index < 20 {
                true => adts(packet),
                false => OutputPacket::new(packet.chunk.clone()),
            };
            out.description = (index == 20).then(|| config.clone());
            out
        });
        check(container, "aac-after-adts", &source, false, packets);
    }
    // LC in stereo is another: Matroska says the set-up once.
    let mut muxer = create("matroska", &MuxOptions::default()).expect("a muxer");
    let mut sink = MemorySink::default();
    let mut output = output_track(&source.0).expect("a track");
    output.description = None;
    muxer.add_track(output).expect("a codec");
    muxer
        .write(0, adts(&source.1[0]), &mut sink)
        .expect("written");
    let mut other = OutputPacket::new(source.1[1].chunk.clone());
    other.description = Some(Bytes::from_static(&[0x12, 0x10]));
    let result = muxer.write(0, other, &mut sink);
    assert!(
        matches!(result, Err(MuxError::Unsupported(_))),
        "{result:?}"
    );
}

/// The one SPS of an avcC.
fn sps(avcc: &Bytes) -> Vec<u8> {
    AvcC::parse(avcc).expect("an avcC").sps.remove(0)
}

#[test]
fn a_description_that_comes_back_after_other_sets_in_the_stream_is_told() {
    let large = pictures();
    let small = source(
        "in-band-small.mp4",
        "-f lavfi -i testsrc2=s=64x48:r=25:d=2 -c:v libx264 -preset veryfast -bf 0 -g 10 -pix_fmt yuv420p",
    );
    let codec = large.0.codec.clone().expect("a codec string");
    // Capitals: with a description; small letters: with start codes. L and l are the large pictures.
    for order in ["LlsL", "lsL", "SlsL"] {
        let parts: Vec<&(Track, Vec<Packet>)> = order
            .chars()
            .map(|part| match part {
                'L' | 'l' => &large,
                _ => &small,
            })
            .collect();
        for container in CONTAINERS {
            let mut output = output_track(&parts[0].0).expect("a track");
            let described = order.starts_with(char::is_uppercase);
            if !described {
                output.description = None;
            }
            let mut in_force = output.description.clone();
            let mut muxer = create(container, &MuxOptions::default()).expect("a muxer");
            let mut sink = MemorySink::default();
            muxer.add_track(output).expect("a codec");
            let mut in_band: Option<InBand> = None;
            let mut expected = Vec::new();
            for (number, (part, form)) in parts.iter().zip(order.chars()).enumerate() {
                let avcc = part.0.description.clone().expect("an avcC");
                if form.is_uppercase() {
                    in_band = None;
                } else if let (None, Some(now)) = (&in_band, &in_force) {
                    in_band = InBand::new(&codec, now.clone()).expect("H.264");
                }
                for index in 0..10 {
                    let packet = &part.1[number * 10 + index];
                    let mut out = annex_b(packet, &avcc);
                    if form.is_uppercase() {
                        out = OutputPacket::new(packet.chunk.clone());
                        out.description = (index == 0 && number > 0).then(|| avcc.clone());
                    }
                    if let Some(in_band) = &mut in_band {
                        in_band.convert(&mut out).expect("Annex B");
                    }
                    if out.description.is_some() {
                        in_force.clone_from(&out.description);
                    }
                    muxer.write(0, out, &mut sink).expect("written");
                    expected.push(sps(&avcc));
                }
            }
            muxer.finish(&mut sink).expect("finished");
            let bytes = sink.into_bytes();
            let (track, got) = tracks(&open_bytes(bytes.clone())).remove(0);
            assert_eq!(got.len(), expected.len(), "{container} {order}");
            // What a decoder holds: the description's, or what came after it.
            let mut held = sps(track.description.as_ref().expect("an avcC"));
            for (index, (packet, want)) in got.iter().zip(&expected).enumerate() {
                let config = packet.config.as_ref();
                if let Some(description) = config.and_then(|config| config.description.as_ref()) {
                    held = sps(description);
                }
                let mut rest = &packet.chunk.data[..];
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                    if unit[0] & 0x1f == 7 {
                        held = unit.to_vec();
                    }
                    rest = after;
                }
                assert_eq!(&held, want, "{container} {order}: packet {index}");
            }
            let file = save(&format!("in-band-{order}.{container}"), &bytes);
            let decoded = std::process::Command::new("ffmpeg")
                .args(["-v", "error", "-i"])
                .arg(&file)
                .args(["-f", "null", "-"])
                .output()
                .expect("ffmpeg");
            let said = String::from_utf8_lossy(&decoded.stderr);
            assert!(said.is_empty(), "{container} {order}: {said}");
        }
    }
}
