//! MP4 that is written, box by box: what other readers rely on and ours may do without.

#[path = "support/boxes.rs"]
mod boxes;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;

use std::sync::Arc;
use std::time::Duration;

use boxes::{TABLE, all, only, side_by_side, word};
use bytes::Bytes;
use mp4::{described, fragmented, opus, read, write};
use muxed::{audio, ffprobe, packet, save, video};
use reelcore_containers::mp4::{FragmentIndex, Mp4Muxer};
use reelcore_containers::mux::MemorySink;
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket, OutputTrack};
use reelcore_media::{ChunkKind, SideData};

/// What is at this path in the table of samples of the only track.
fn in_table<'a>(file: &'a [u8], path: &str) -> &'a [u8] {
    only(file, &format!("{TABLE}/{path}"))
}

/// One packet of sound in `track`.
fn one(track: OutputTrack, duration: u64) -> Bytes {
    let sound = packet(ChunkKind::Key, 0, duration, vec![0x78, 1, 2]);
    write(MuxOptions::default(), track, &[sound])
}

/// Pictures 40 ms apart that are shown for 30 ms, from 100 ms on, every tenth of which is key; and sound from 0 on.
fn pictures_and_sound(muxer: &mut dyn Muxer) -> Bytes {
    let mut sink = MemorySink::default();
    let (mut picture, mut sound) = (0, 0);
    while picture < 35 {
        let (shown, heard) = (100_000 + picture * 40_000, sound * 20_000);
        if heard <= shown {
            let out = packet(ChunkKind::Key, heard, 20_000, vec![0x78, 1, 2]);
            muxer.write(0, out, &mut sink).expect("sound");
            sound += 1;
        } else {
            let kind = match picture % 10 {
                0 => ChunkKind::Key,
                _ => ChunkKind::Delta,
            };
            let out = packet(kind, shown, 30_000, vec![0; 200]);
            muxer.write(1, out, &mut sink).expect("a picture");
            picture += 1;
        }
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

/// Whether the first sample of a `traf` is a sync sample.
fn begins_in_sync(traf: &[u8]) -> bool {
    let (header, run) = (only(traf, "tfhd"), only(traf, "trun"));
    let flags = match word(run, 0) {
        said if said & 4 != 0 => word(run, 12),
        said if said & 0x400 != 0 => {
            let before = (said & 0x300).count_ones() as usize;
            word(run, 12 + 4 * before)
        }
        _ => {
            let before = (word(header, 0) & 0x1b).count_ones() as usize;
            word(header, 8 + 4 * before)
        }
    };
    flags & 0x1_0000 == 0
}

#[test]
fn a_sidx_says_what_the_fragments_are() {
    let options = MuxOptions {
        fragment_duration: Duration::from_millis(400),
        // Less than ten pictures with their sound: fragments begin without a key picture, too.
        max_buffered_bytes: 3000,
        ..fragmented()
    };
    let mut muxer = Mp4Muxer::new(options).with_fragment_index(FragmentIndex::Sidx);
    // The first track has other ticks than the one that is counted.
    muxer.add_track(opus()).expect("Opus");
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    let file = pictures_and_sound(&mut muxer);
    let sidx = only(&file, "sidx");
    let (version, id, scale) = (sidx[0], word(sidx, 4), word(sidx, 8));
    assert_eq!((version, id), (1, 2));
    let media = all(&file, "moov/trak/mdia/mdhd")[1];
    assert_eq!(scale, word(media, 12));
    assert_ne!(scale, 48_000, "the ticks of sound");
    let ticks = |micros: u64| micros * u64::from(scale) / 1_000_000;
    let long =
        |data: &[u8], at: usize| u64::from(word(data, at)) << 32 | u64::from(word(data, at + 4));
    let (first, first_offset) = (long(sidx, 12), long(sidx, 20));
    assert_eq!((first, first_offset), (ticks(100_000), 0));

    let parts = side_by_side(&file);
    let at = parts.iter().position(|part| part.0 == "sidx").expect("it");
    let count = word(sidx, 28) as usize;
    let references = sidx[32..].chunks(12);
    assert_eq!(references.len(), count);
    let fragments = parts[at + 1..].chunks(2);
    assert_eq!(fragments.len(), count);
    let (mut time, mut keys) = (first, Vec::new());
    for (reference, fragment) in references.zip(fragments) {
        let &[("moof", start, moof), ("mdat", data, media)] = fragment else {
            panic!("expected moof and mdat");
        };
        let size = data + 8 + media.len() - start;
        assert_eq!(word(reference, 0) as usize, size, "no index of indices");
        let tracks = all(moof, "traf");
        let counted = tracks.iter().find(|traf| word(only(traf, "tfhd"), 4) == id);
        let counted = counted.expect("pictures");
        assert_eq!(long(only(counted, "tfdt"), 4), time);
        let key = begins_in_sync(counted);
        // starts_with_SAP and SAP_type 1.
        assert_eq!(word(reference, 8), if key { 0x9000_0000 } else { 0 });
        keys.push(key);
        time += u64::from(word(reference, 4));
    }
    assert_eq!(time, ticks(100_000 + 34 * 40_000 + 30_000));
    assert!(keys[0] && keys.contains(&false) && keys[1..].contains(&true));
}

#[test]
fn a_gap_between_packets_of_uncompressed_sound_is_kept_in_fragments() {
    // A frame is a millisecond.
    let sound = |time: i64| packet(ChunkKind::Key, time, 10_000, vec![1; 20]);
    let packets = [sound(0), sound(100_000), sound(110_000)];
    let file = write(fragmented(), audio("pcm-s16", 1000, 1), &packets);
    let run = only(&file, "moof/traf/trun");
    // Offset of the data, durations of samples.
    assert_eq!(word(run, 0) & 0xfff, 0x101);
    assert_eq!(word(run, 4), 30);
    let durations: Vec<u32> = (0..30).map(|index| word(run, 12 + 4 * index)).collect();
    let mut want = [1; 30];
    // From the last frame of the first packet to the next packet.
    want[9] = 91;
    assert_eq!(durations, want);
}

#[test]
fn padding_at_the_end_alone_is_left_out_by_an_edit() {
    let aac = || described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    let file = |padding: u64| {
        let mut packets: Vec<OutputPacket> = (0..3)
            .map(|index| {
                let time = |index: i64| index * 1024 * 1_000_000 / 48_000;
                let length = time(index + 1).abs_diff(time(index));
                packet(ChunkKind::Key, time(index), length, vec![1; 30])
            })
            .collect();
        packets[2].chunk.side = Some(Arc::new(SideData {
            discard_end: Duration::from_millis(padding),
            ..SideData::default()
        }));
        write(MuxOptions::default(), aac(), &packets)
    };
    let padded = file(10);
    let edits = only(&padded, "moov/trak/edts/elst");
    // One, of what is left of 64 ms, from the first sample on.
    let movie = word(only(&padded, "moov/mvhd"), 12);
    assert_eq!(
        [4, 8, 12].map(|at| word(edits, at)),
        [1, 54 * movie / 1000, 0]
    );
    let read = read(padded);
    let side = read[2].chunk.side.as_ref().expect("padding");
    assert_eq!(side.discard_end, Duration::from_millis(10));
    // Where all is heard, none is needed.
    assert!(all(&file(0), "moov/trak/edts").is_empty());
}

#[test]
fn times_of_composition_before_those_of_decoding_stand_in_version_1() {
    let offsets = |shown: [i64; 4]| {
        let packets: Vec<OutputPacket> = (0..4)
            .zip(shown)
            .map(|(index, shown)| {
                let mut out = packet(ChunkKind::Key, shown, 40_000, vec![index as u8; 9]);
                out.decode_time = Some(index * 40_000);
                out
            })
            .collect();
        let file = write(MuxOptions::default(), video("vp8", 64, 48), &packets);
        let table = in_table(&file, "ctts").to_vec();
        let scale = i64::from(word(only(&file, "moov/trak/mdia/mdhd"), 12));
        let mut all = Vec::new();
        for run in table[8..].chunks(8) {
            let micros = i64::from(word(run, 4).cast_signed()) * 1_000_000 / scale;
            all.extend(vec![micros; word(run, 0) as usize]);
        }
        let times: Vec<i64> = read(file).iter().map(|p| p.chunk.timestamp).collect();
        assert_eq!(times, shown);
        (table[0], all)
    };
    let (version, found) = offsets([40_000, 120_000, 80_000, 160_000]);
    assert_eq!((version, found), (0, vec![40_000, 80_000, 0, 40_000]));
    let (version, found) = offsets([40_000, 120_000, 40_000, 80_000]);
    assert_eq!(
        (version, found),
        (1, vec![40_000, 80_000, -40_000, -40_000])
    );
}

#[test]
fn a_decoder_of_opus_is_given_80_ms_before_any_packet() {
    for (duration, distance) in [
        (2500, -32),
        (5000, -16),
        (10_000, -8),
        (20_000, -4),
        (40_000, -2),
        // What does not divide is rounded up.
        (50_000, -2),
        (60_000, -2),
        (70_000, -2),
        (100_000, -1),
        (120_000, -1),
    ] {
        let sound = |index: i64| {
            let time = index * duration as i64;
            packet(ChunkKind::Key, time, duration, vec![0x78, 1, 2])
        };
        let packets: Vec<OutputPacket> = (0..3).map(sound).collect();
        for options in [MuxOptions::default(), fragmented()] {
            let file = write(options, opus(), &packets);
            let groups = in_table(&file, "sgpd");
            // Version 1, entries of two bytes, one of them.
            let head = [word(groups, 0), word(groups, 8), word(groups, 12)];
            assert_eq!(head, [0x0100_0000, 2, 1]);
            assert_eq!(&groups[4..8], b"roll");
            let found = i16::from_be_bytes([groups[16], groups[17]]);
            assert_eq!(found, distance, "packets of {duration} us");
            let samples = match all(&file, "moof/traf/sbgp")[..] {
                [samples] => samples,
                _ => in_table(&file, "sbgp"),
            };
            // One run of three samples, in the group.
            let runs = [8, 12, 16].map(|at| word(samples, at));
            assert_eq!(runs, [1, 3, 1]);
        }
    }
}

#[test]
fn the_configuration_of_opus_has_its_numbers_the_other_way_around() {
    // Pre-skip 0x0138, 44.1 kHz, a gain of -3 dB.
    let head = b"OpusHead\x01\x02\x38\x01\x44\xac\0\0\0\xfd\0";
    let file = one(described(audio("opus", 48_000, 2), head), 20_000);
    let want = [0, 2, 0x01, 0x38, 0, 0, 0xac, 0x44, 0xfd, 0, 0];
    assert_eq!(in_table(&file, "stsd/Opus/dOps"), want);
    // And one in which both bytes tell.
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\x12\x34\0";
    let file = one(described(audio("opus", 48_000, 2), head), 20_000);
    assert_eq!(in_table(&file, "stsd/Opus/dOps")[8..], [0x34, 0x12, 0]);
}

/// "fLaC" and STREAMINFO of stereo at 48 kHz with samples of `bits` bits.
fn stream_info(bits: u64) -> Bytes {
    let mut out = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0".to_vec();
    let packed: u64 = 48_000 << 44 | 1 << 41 | (bits - 1) << 36;
    out.extend(packed.to_be_bytes());
    out.extend([0; 16]);
    out.into()
}

#[test]
fn samples_of_flac_are_as_wide_as_its_stream_says() {
    for bits in [8, 16, 20, 24, 32] {
        let mut track = audio("flac", 48_000, 2);
        track.description = Some(stream_info(bits));
        let file = one(track, 20_000);
        let entry = in_table(&file, "stsd/fLaC");
        // Behind the number of channels.
        let found = u64::from(u16::from_be_bytes([entry[18], entry[19]]));
        assert_eq!(found, bits);
    }
}

#[test]
fn the_object_type_tells_mpeg_1_sound_from_mpeg_2() {
    let aac = || described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    let named = |codec: &str, track: OutputTrack| OutputTrack {
        codec: codec.to_owned(),
        ..track
    };
    for (track, want) in [
        (audio("mp3", 16_000, 2), 0x69),
        (audio("mp3", 22_050, 2), 0x69),
        (audio("mp3", 24_000, 2), 0x69),
        (audio("mp3", 32_000, 2), 0x6b),
        (audio("mp3", 44_100, 2), 0x6b),
        (aac(), 0x40),
        (named("mp4a.67", aac()), 0x67),
    ] {
        let codec = track.codec.clone();
        let file = one(track, 20_000);
        let esds = in_table(&file, "stsd/mp4a/esds");
        // Tag and size of ES_Descriptor, its three bytes, tag and size of DecoderConfigDescriptor.
        let tags = (esds[4], esds[12], esds[17]);
        assert_eq!(tags, (3, 4, want), "{codec}");
    }
}

#[test]
fn several_sample_entries_say_that_pixels_are_square() {
    let low: &'static [u8] = b"\x01\x42\xc0\x0a\xff\xe0\0";
    let high: &'static [u8] = b"\x01\x64\0\x1f\xff\xe0\0";
    let entries = |second: &'static [u8]| {
        let track = described(video("avc1.42c00a", 64, 48), low);
        let pictures: Vec<OutputPacket> = (0..2)
            .map(|index| {
                let data = vec![0, 0, 0, 2, 0x65, 0x88];
                let mut out = packet(ChunkKind::Key, index * 40_000, 40_000, data);
                out.description = (index == 1).then_some(Bytes::from_static(second));
                out
            })
            .collect();
        write(MuxOptions::default(), track, &pictures)
    };
    let file = entries(high);
    assert_eq!(all(&file, &format!("{TABLE}/stsd/avc1/avcC")), [low, high]);
    let square: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1];
    let found = all(&file, &format!("{TABLE}/stsd/avc1/pasp"));
    assert_eq!(found, [square, square]);
    // Where there is one, readers take that for granted.
    let file = entries(low);
    assert_eq!(in_table(&file, "stsd/avc1/avcC"), low);
    assert!(all(&file, &format!("{TABLE}/stsd/avc1/pasp")).is_empty());
}

#[test]
fn numbers_of_discs_take_six_bytes_and_those_of_tracks_eight() {
    let options = MuxOptions {
        tags: vec![
            ("track".to_owned(), "3/12".to_owned()),
            ("disc".to_owned(), "1/2".to_owned()),
        ],
        ..MuxOptions::default()
    };
    let frame = packet(ChunkKind::Key, 0, 40_000, vec![0; 9]);
    let file = write(options, video("vp8", 64, 48), &[frame]);
    let item = |kind: &str| only(&file, &format!("moov/udta/meta/ilst/{kind}/data"));
    // Behind the type and the country.
    assert_eq!(item("trkn")[8..], [0, 0, 0, 3, 0, 12, 0, 0]);
    assert_eq!(item("disk")[8..], [0, 0, 0, 1, 0, 2]);
    ffprobe(&save("numbers.mp4", &file));
}
