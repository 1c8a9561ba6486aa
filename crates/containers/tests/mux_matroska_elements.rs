//! Matroska that is written, element by element: what other readers rely on and ours may do without.

#[path = "support/mux.rs"]
mod muxed;

use bytes::Bytes;
use muxed::{audio, packet, refused, video};
use reelcore_containers::matroska::MatroskaMuxer;
use reelcore_containers::mux::MemorySink;
use reelcore_media::ChunkKind;
use reelcore_media::mux::{MuxOptions, Muxer, OutputTrack};

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const AUDIO: u32 = 0xE1;
const CODEC_DELAY: u32 = 0x56AA;
const SEEK_PRE_ROLL: u32 = 0x56BB;
const LANGUAGE: u32 = 0x22_B59C;
const LANGUAGE_BCP47: u32 = 0x22_B59D;
const SAMPLING_FREQUENCY: u32 = 0xB5;
const OUTPUT_SAMPLING_FREQUENCY: u32 = 0x78B5;

/// The elements that stand side by side: ID and content.
fn elements(mut data: &[u8]) -> Vec<(u32, &[u8])> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b));
    let mut all = Vec::new();
    while let Some(&first) = data.first() {
        let (id, rest) = data.split_at(first.leading_zeros() as usize + 1);
        let length = rest[0].leading_zeros() as usize + 1;
        let (size, rest) = rest.split_at(length);
        let size = number(size) & !(1 << (7 * length));
        let (body, rest) = rest.split_at(size as usize);
        all.push((number(id) as u32, body));
        data = rest;
    }
    all
}

/// The content of the element at `path`, if there is one.
fn find<'a>(data: &'a [u8], path: &[u32]) -> Option<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else {
        return Some(data);
    };
    let found = elements(data).into_iter().find(|(id, _)| id == first)?;
    find(found.1, rest)
}

/// What the only TrackEntry says at `path`.
fn said<'a>(file: &'a [u8], path: &[u32]) -> Option<&'a [u8]> {
    find(file, &[&[SEGMENT, TRACKS, TRACK_ENTRY], path].concat())
}

fn uint(content: &[u8]) -> u64 {
    content.iter().fold(0, |sum, &b| sum << 8 | u64::from(b))
}

fn float(content: &[u8]) -> f64 {
    f64::from_be_bytes(content.try_into().expect("8 bytes"))
}

/// A file of one packet.
fn write(track: OutputTrack) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::matroska(MuxOptions::default());
    muxer.add_track(track).expect("a codec");
    let sound = packet(ChunkKind::Key, 0, 20_000, vec![0x78, 1, 2]);
    muxer.write(0, sound, &mut sink).expect("written");
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

fn described(track: OutputTrack, description: &'static [u8]) -> OutputTrack {
    OutputTrack {
        description: Some(Bytes::from_static(description)),
        ..track
    }
}

#[test]
fn an_opus_track_says_delay_and_pre_roll() {
    // A pre-skip of 312 samples at 48 kHz, whatever rate went in.
    let head = b"OpusHead\x01\x02\x38\x01\x44\xac\0\0\0\0\0";
    let file = write(described(audio("opus", 48_000, 2), head));
    assert_eq!(said(&file, &[CODEC_DELAY]).map(uint), Some(6_500_000));
    assert_eq!(said(&file, &[SEEK_PRE_ROLL]).map(uint), Some(80_000_000));
    // Without a pre-skip decoders need time to settle all the same.
    let file = write(audio("opus", 48_000, 2));
    assert_eq!(said(&file, &[CODEC_DELAY]).map(uint), None);
    assert_eq!(said(&file, &[SEEK_PRE_ROLL]).map(uint), Some(80_000_000));
    // Others have none.
    let file = write(described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]));
    assert_eq!(said(&file, &[SEEK_PRE_ROLL]), None);
}

#[test]
fn sound_with_spectral_band_replication_says_both_rates() {
    // HE-AAC: a core of 22.05 kHz, doubled.
    let doubled = described(audio("mp4a.40.5", 44_100, 2), &[0x2b, 0x92, 0x08, 0]);
    let plain = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    for (track, core, output) in [(doubled, 22_050.0, Some(44_100.0)), (plain, 48_000.0, None)] {
        let file = write(track);
        let rate = |id| said(&file, &[AUDIO, id]).map(float);
        assert_eq!(rate(SAMPLING_FREQUENCY), Some(core));
        assert_eq!(rate(OUTPUT_SAMPLING_FREQUENCY), output);
    }
}

#[test]
fn readers_that_know_no_language_tags_are_not_told_english() {
    for (language, old, tag) in [
        (None, "und", None),
        (Some("fre"), "fre", None),
        (Some("pt-BR"), "und", Some("pt-BR")),
        (Some("de"), "und", Some("de")),
    ] {
        let track = OutputTrack {
            language: language.map(str::to_owned),
            ..audio("opus", 48_000, 2)
        };
        let file = write(track);
        // Without the element it would be "eng".
        assert_eq!(said(&file, &[LANGUAGE]), Some(old.as_bytes()));
        assert_eq!(said(&file, &[LANGUAGE_BCP47]), tag.map(str::as_bytes));
    }
}

#[test]
fn lengths_of_nal_units_cannot_change_their_size_in_mid_track() {
    // AVCDecoderConfigurationRecord with lengths of four, four and two bytes; the second of another level.
    let four: &'static [u8] = b"\x01\x42\xc0\x0a\xff\xe0\0";
    let other: &'static [u8] = b"\x01\x42\xc0\x0b\xff\xe0\0";
    let two: &'static [u8] = b"\x01\x42\xc0\x0b\xfd\xe0\0";
    let change = |description: &'static [u8], data: &[u8]| {
        let mut sink = MemorySink::default();
        let mut muxer = MatroskaMuxer::matroska(MuxOptions::default());
        let track = described(video("avc1.42c00a", 64, 48), four);
        muxer.add_track(track).expect("H.264");
        let first = packet(ChunkKind::Key, 0, 40_000, vec![0, 0, 0, 2, 0x65, 0x88]);
        muxer.write(0, first, &mut sink).expect("written");
        let mut second = packet(ChunkKind::Key, 40_000, 40_000, data.to_vec());
        second.description = Some(Bytes::from_static(description));
        muxer.write(0, second, &mut sink)?;
        muxer.finish(&mut sink)
    };
    change(other, &[0, 0, 0, 2, 0x65, 0x88]).expect("the same lengths");
    let error = change(two, &[0, 2, 0x65, 0x88]);
    refused(error, "lengths of 2 bytes after one with 4");
}
