//! WAV, MP3 and Ogg that are written, byte by byte: what other readers rely on and ours may do without.

#[path = "support/mux.rs"]
mod muxed;
#[path = "support/sound.rs"]
mod sound;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muxed::{audio, ffprobe, open_bytes, packet, save, tracks};
use reelcore_containers::mux::{MemorySink, create};
use reelcore_media::mux::{MuxOptions, OutputPacket, OutputTrack};
use reelcore_media::{ChunkKind, SideData};

/// A file of one track.
fn file(
    container: &str,
    options: &MuxOptions,
    track: OutputTrack,
    packets: Vec<OutputPacket>,
) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = create(container, options).expect("a muxer");
    muxer.add_track(track).expect("a codec");
    for packet in packets {
        muxer.write(0, packet, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

/// `packet` with what is to be dropped of it.
fn dropped(mut packet: OutputPacket, start: Duration, end: Duration) -> OutputPacket {
    packet.chunk.side = Some(Arc::new(SideData {
        discard_start: start,
        discard_end: end,
        ..SideData::default()
    }));
    packet
}

fn wav(track: OutputTrack, packets: Vec<OutputPacket>) -> Bytes {
    file("wav", &MuxOptions::default(), track, packets)
}

/// The content of a chunk of RIFF.
fn chunk<'a>(file: &'a [u8], id: &[u8; 4]) -> &'a [u8] {
    let at = file.windows(4).position(|found| found == id).expect("it");
    let size = u32::from_le_bytes(file[at + 4..at + 8].try_into().expect("4 bytes"));
    &file[at + 8..at + 8 + size as usize]
}

#[test]
fn sound_of_an_odd_number_of_bytes_is_padded_in_wav() {
    for (count, pad) in [(3, 1), (4, 0)] {
        let sound = packet(ChunkKind::Key, 0, 3000, vec![0x91; count]);
        let bytes = wav(audio("pcm-u8", 1000, 1), vec![sound]);
        assert_eq!(chunk(&bytes, b"data"), &[0x91_u8; 4][..count]);
        let ending = [&[0x91; 4][..count], &[0; 1][..pad]].concat();
        assert!(bytes.ends_with(&ending) && bytes.len().is_multiple_of(2));
        let riff = u32::from_le_bytes(bytes[4..8].try_into().expect("4 bytes"));
        assert_eq!(riff as usize, bytes.len() - 8, "{count} bytes of sound");
    }
}

#[test]
fn what_is_dropped_of_sound_is_left_out_of_wav() {
    let millis = Duration::from_millis;
    // A frame is a millisecond.
    let sound = |start: u64, end: u64, mark: u8| {
        let data = (0..10).flat_map(|frame| [mark, frame]).collect();
        let sound = packet(ChunkKind::Key, 0, 10_000, data);
        dropped(sound, millis(start), millis(end))
    };
    for (start, end, want) in [
        (0, 3, 0..7_u8),
        (2, 0, 2..10),
        (2, 3, 2..7),
        (0, 10, 0..0),
        (8, 9, 0..0),
    ] {
        let packets = vec![sound(start, end, 1), sound(0, 0, 2)];
        let bytes = wav(audio("pcm-s16", 1000, 1), packets);
        let first = want.flat_map(|frame| [1, frame]);
        let all: Vec<u8> = first.chain((0..10).flat_map(|frame| [2, frame])).collect();
        assert_eq!(chunk(&bytes, b"data"), all, "{start} and {end} ms");
    }
}

#[test]
fn wav_says_at_which_speakers_channels_are() {
    for (channels, mask, layout) in [
        (1, 0x4, "mono"),
        (2, 0x3, "stereo"),
        (3, 0x7, "3.0"),
        (4, 0x33, "quad"),
        (5, 0x37, "5.0"),
        (6, 0x3f, "5.1"),
        (7, 0x70f, "6.1"),
        (8, 0x63f, "7.1"),
    ] {
        let sound = packet(ChunkKind::Key, 0, 1000, vec![0; 48 * 3 * channels as usize]);
        let bytes = wav(audio("pcm-s24", 48_000, channels), vec![sound]);
        let format = chunk(&bytes, b"fmt ");
        let found = u32::from_le_bytes(format[20..24].try_into().expect("4 bytes"));
        assert_eq!(found, mask, "{channels} channels");
        let probed = ffprobe(&save("speakers.wav", &bytes)).remove(0).0;
        // An older ffprobe says where the others are.
        let found = probed["channel_layout"].trim_end_matches("(side)");
        assert_eq!(found, layout, "{channels} channels");
    }
    // Beyond that nobody knows.
    let sound = packet(ChunkKind::Key, 0, 1000, vec![0; 2 * 9]);
    let bytes = wav(audio("pcm-s16", 48_000, 9), vec![sound]);
    assert_eq!(chunk(&bytes, b"fmt ")[20..24], [0; 4]);
}

/// A frame of MP3 at 44.1 kHz in stereo. The index of the rate: 9 for 128 kbit/s, 11 for 192 kbit/s.
fn frame(rate: u8, padding: bool) -> Vec<u8> {
    let kbits = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192][usize::from(rate)];
    let head = rate << 4 | u8::from(padding) << 1;
    let mut out = vec![0xff, 0xfb, head, 0x64];
    out.resize(144 * kbits * 1000 / 44_100 + usize::from(padding), 0);
    out
}

fn mp3(tags: &[(String, String)], frames: Vec<OutputPacket>) -> Bytes {
    let options = MuxOptions {
        tags: tags.to_vec(),
        ..MuxOptions::default()
    };
    file("mp3", &options, audio("mp3", 44_100, 2), frames)
}

/// The frames as packets.
fn sounds(frames: &[Vec<u8>]) -> Vec<OutputPacket> {
    let time = |index: i64| index * 1152 * 1_000_000 / 44_100;
    let packets = (0..).zip(frames).map(|(index, frame)| {
        let length = time(index + 1).abs_diff(time(index));
        packet(ChunkKind::Key, time(index), length, frame.clone())
    });
    packets.collect()
}

/// The tag of Xing in the first frame of an MP3 file, which begins at `at`: behind four bytes and side information.
fn tag(file: &[u8], at: usize) -> &[u8] {
    assert_eq!(file[at], 0xff, "a frame");
    &file[at + 4 + 32..]
}

fn word(data: &[u8], at: usize) -> usize {
    u32::from_be_bytes(data[at..at + 4].try_into().expect("4 bytes")) as usize
}

#[test]
fn the_first_frame_of_mp3_counts_frames_bytes_and_places() {
    // Frames of one bit rate may be padded.
    let even: Vec<Vec<u8>> = (0..100).map(|index| frame(9, index % 2 == 1)).collect();
    let uneven: Vec<Vec<u8>> = (0..100)
        .map(|index| frame(if index < 50 { 9 } else { 11 }, false))
        .collect();
    let tags = [("title".to_owned(), "Numbers".to_owned())];
    for (frames, name) in [(even, b"Info"), (uneven, b"Xing")] {
        for tags in [&tags[..], &[]] {
            let bytes = mp3(tags, sounds(&frames));
            // A size of four times seven bits behind six bytes.
            let size = |bytes: &[u8]| bytes.iter().fold(0, |size, &b| size << 7 | usize::from(b));
            let at = match bytes.starts_with(b"ID3") {
                true => 10 + size(&bytes[6..10]),
                false => 0,
            };
            assert_eq!(at > 0, !tags.is_empty());
            let tag = tag(&bytes, at);
            assert_eq!(&tag[..4], name);
            assert_eq!(
                [4, 8, 12].map(|at| word(tag, at)),
                [7, 100, bytes.len() - at]
            );
            let sound: usize = frames.iter().map(Vec::len).sum();
            let before = bytes.len() - at - sound;
            for percent in 0..100 {
                let begins = before + frames[..percent].iter().map(Vec::len).sum::<usize>();
                let want = begins * 256 / (bytes.len() - at);
                assert_eq!(usize::from(tag[16 + percent]), want, "{percent} percent");
            }
            ffprobe(&save("places.mp3", &bytes));
        }
    }
}

#[test]
fn padding_over_several_frames_of_mp3_adds_up() {
    let samples = |count: u64| Duration::from_nanos(count * 1_000_000_000 / 44_100);
    for (ends, want) in [
        ([0, 0, 300], 300),
        ([0, 0, 1152], 1152),
        ([0, 500, 1152], 1652),
        ([500, 1152, 1152], 2804),
        // What is dropped before sound that is heard is no padding.
        ([1152, 0, 300], 300),
    ] {
        let mut packets = sounds(&vec![frame(9, false); 10]);
        for (packet, end) in packets[7..].iter_mut().zip(ends) {
            *packet = dropped(packet.clone(), Duration::ZERO, samples(end));
        }
        packets[0] = dropped(packets[0].clone(), samples(1105), Duration::ZERO);
        let bytes = mp3(&[], packets);
        // LAME's part stands behind the places: 21 bytes, then delay and padding with 12 bits each.
        let delays = word(tag(&bytes, 0), 116 + 21) >> 8;
        // The decoder's own 529 samples are in the padding, not in the delay.
        assert_eq!(
            (delays >> 12, delays & 0xfff),
            (1105 - 529, want + 529),
            "{ends:?}"
        );
        let read = tracks(&open_bytes(bytes)).remove(0).1;
        // Of what is not presented nothing is heard.
        let unheard = read.iter().map(|packet| match &packet.chunk.side {
            _ if !packet.presented => samples(1152),
            side => side
                .as_ref()
                .map_or(Duration::ZERO, |side| side.discard_end),
        });
        let all: Duration = unheard.sum();
        let apart = all.abs_diff(samples(want as u64));
        assert!(apart < Duration::from_micros(1), "{all:?} for {want}");
    }
}

/// The granule positions of the pages.
fn granules(bytes: &[u8]) -> Vec<i64> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        assert_eq!(&bytes[at..at + 4], b"OggS");
        let granule = bytes[at + 6..at + 14].try_into().expect("8 bytes");
        all.push(i64::from_le_bytes(granule));
        let lacing = &bytes[at + 27..at + 27 + usize::from(bytes[at + 26])];
        let size: usize = lacing.iter().map(|&size| usize::from(size)).sum();
        at += 27 + lacing.len() + size;
    }
    all
}

#[test]
fn a_gap_in_the_times_is_a_gap_in_the_granule_positions() {
    let write = |times: &[i64]| {
        let sound = |(&time, mark)| packet(ChunkKind::Key, time, 20_000, sound::opus(50, mark));
        let packets = times.iter().zip(1..).map(sound).collect();
        let track = audio("opus", 48_000, 2);
        file("ogg", &MuxOptions::default(), track, packets)
    };
    let times = [0, 20_000, 500_000, 520_000, 1_540_000];
    let bytes = write(&times);
    // Two headers; a page ends before each gap.
    let ends = [40, 540, 1560].map(|millis| millis * 48);
    assert_eq!(granules(&bytes), [&[0, 0], &ends[..]].concat());
    let read = tracks(&open_bytes(bytes)).remove(0).1;
    let found: Vec<i64> = read.iter().map(|packet| packet.chunk.timestamp).collect();
    assert_eq!(found, times);
    // What rounding moves is no gap.
    let bytes = write(&[0, 20_009, 39_000, 69_000]);
    assert_eq!(granules(&bytes), [0, 0, 80 * 48]);
}
