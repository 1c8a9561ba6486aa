//! Transport streams that were put together, and programs that hold nothing but what is told by name.

#[path = "support/clips.rs"]
mod made;
#[path = "support/settle.rs"]
mod settle;
#[path = "support/ts_clips.rs"]
mod shared;
mod support;
#[path = "support/ts.rs"]
mod ts;

use reelcore_media::demux::{PacketReader, TrackKind};
use shared::*;
use std::sync::Arc;
use support::{open_bytes, packets};
use ts::*;

const START: i64 = 126_000;

/// Where a part has its map, its pictures and its sound.
#[derive(Clone, Copy)]
struct Pids {
    program: u16,
    map: u16,
    video: u16,
    audio: u16,
}

const FIRST: Pids = Pids {
    program: 1,
    map: PMT,
    video: VIDEO,
    audio: AUDIO,
};

/// A stream as a muxer of its own writes it: counters and versions from 0.
fn part(pids: Pids, pieces: &[Piece<'_>], bounded: bool) -> Vec<u8> {
    let mut ts = TsWriter::default();
    ts.pat(0, &[(pids.program, pids.map)]);
    let streams: [(u8, u16, &[u8]); 2] = [(0x1b, pids.video, &[]), (0x0f, pids.audio, &[])];
    ts.pmt(pids.map, pids.program, 0, &streams);
    for piece in pieces {
        match piece {
            Piece::Video(_, unit) => {
                let stamps = Some((unit.pts + START, unit.dts + START));
                ts.pes(pids.video, 0xe0, stamps, bounded, &unit.data);
            }
            Piece::Audio(_, frames) => {
                let time = frames[0].pts + START;
                let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                ts.pes(pids.audio, 0xc0, Some((time, time)), true, &data);
            }
        }
    }
    ts.out
}

/// The media in two parts, cut before the last key picture.
fn halves<'a>(video: &'a [Unit], audio: &'a [Unit]) -> [Vec<Piece<'a>>; 2] {
    let middle = video.iter().rposition(|unit| unit.key).expect("a key");
    assert!(middle > 0);
    let split = audio.partition_point(|unit| unit.pts <= video[middle].dts);
    [
        interleave(&video[..middle], &audio[..split], 5),
        interleave(&video[middle..], &audio[split..], 5),
    ]
}

fn assert_all(stream: Vec<u8>, video: &[Unit], audio: &[Unit], what: &str) {
    let demuxer = open_bytes(stream).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(demuxer.tracks().len(), 2, "{what}");
    assert_units(&packets(&demuxer, 0).expect(what), video, what);
    assert_units(&packets(&demuxer, 1).expect(what), audio, what);
    assert_seeks_as_it_reads(&demuxer, what);
    let last = video.iter().map(|unit| unit.pts).max().expect("units");
    let end = demuxer.tracks()[0].duration.expect("a duration");
    assert!(end.abs_diff(micros(last) as u64) < 50_000, "{what}: {end}");
}

#[test]
fn tables_of_the_same_version_that_say_something_else_are_followed() {
    let (video, audio) = media();
    let [early, late] = halves(&video, &audio);
    let elsewhere = Pids {
        video: 0x200,
        audio: 0x201,
        ..FIRST
    };
    let all_else = Pids {
        program: 7,
        map: 0x1abc,
        ..elsewhere
    };
    let exchanged = Pids {
        video: AUDIO,
        audio: VIDEO,
        ..FIRST
    };
    for (second, what) in [
        (elsewhere, "other streams"),
        (all_else, "another program"),
        (exchanged, "exchanged"),
    ] {
        let stream = [part(FIRST, &early, false), part(second, &late, false)].concat();
        assert_all(stream, &video, &audio, what);
    }
}

/// Adds bytes of filler to the last picture of a part, so that its last transport packet is full.
fn fill_last(video: &mut [Unit]) {
    let middle = video.iter().rposition(|unit| unit.key).expect("a key");
    let last = &mut video[middle - 1];
    // 19 bytes of PES header, since decoding and presentation times differ, else 14.
    let header = if last.pts == last.dts { 14 } else { 19 };
    let filled = last.data.len() + header + 7;
    // A NAL unit of filler data (7.3.2.7).
    last.data.extend([0, 0, 0, 1, 12]);
    let missing = filled.next_multiple_of(184) - filled + 1;
    last.data.extend(vec![0xff; missing]);
    last.data.push(0x80);
    assert_eq!((last.data.len() + header) % 184, 0);
}

#[test]
fn the_last_picture_before_another_part_is_kept() {
    let (mut video, audio) = media();
    for full in [false, true] {
        if full {
            fill_last(&mut video);
        }
        let [early, late] = halves(&video, &audio);
        let first = part(FIRST, &early, false);
        let second = part(FIRST, &late, false);
        let last = first
            .chunks(188)
            .rfind(|packet| packet[1] & 0x1f == 1 && packet[2] == 0);
        let stuffed = last.is_some_and(|packet| packet[3] & 0x20 != 0);
        assert_eq!(stuffed, !full, "the last packet with pictures");
        for repeats in 0..16 {
            // The counters of the second part meet those of the first at every distance.
            let mut longer = first.clone();
            for more in 0..repeats {
                let mut table = first[..188].to_vec();
                table[3] = 0x10 | (more + 1);
                longer.extend(table);
            }
            let what = format!("full {full}, {repeats}");
            let mut joined = longer.clone();
            joined.extend(&second);
            let demuxer = open_bytes(joined).expect("opens");
            assert_units(&packets(&demuxer, 0).expect("reads"), &video, &what);
            assert_units(&packets(&demuxer, 1).expect("reads"), &audio, &what);
        }
    }
}

#[test]
fn a_part_whose_counter_is_where_the_last_one_stopped_is_no_repeated_packet() {
    let (video, audio) = media();
    let [early, late] = halves(&video, &audio);
    let first = part(FIRST, &early, false);
    let second = part(FIRST, &late, false);
    let of = |packet: &[u8], pid: u16| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid;
    for distance in 0..16 {
        let mut joined = first.clone();
        let end = first.chunks(188).rfind(|p| of(p, VIDEO)).expect("pictures")[3] & 15;
        for packet in second.chunks(188) {
            let mut packet = packet.to_vec();
            if of(&packet, VIDEO) {
                let counter = packet[3].wrapping_add(end + distance) & 15;
                packet[3] = packet[3] & 0xf0 | counter;
            }
            joined.extend(packet);
        }
        let demuxer = open_bytes(joined).expect("opens");
        assert_units(
            &packets(&demuxer, 0).expect("reads"),
            &video,
            &format!("{distance}"),
        );
    }
}

#[test]
fn what_is_missing_in_the_middle_of_a_unit_takes_it_along_where_tables_come_between() {
    let (mut video, audio) = media();
    let key = (1..video.len()).find(|&at| video[at].key).expect("a key");
    // More than one packet: filler data.
    video[key - 1].data.extend([0, 0, 0, 1, 12]);
    video[key - 1].data.extend([0xff; 400]);
    video[key - 1].data.push(0x80);
    let stream = mux(&video, &audio, Plan::default());
    // The picture before the tables loses its last packet.
    let starts: Vec<usize> = stream
        .chunks(188)
        .enumerate()
        .filter(|(_, p)| p[1] & 0x5f == 0x41 && p[2] == 0)
        .map(|(index, _)| index)
        .collect();
    let last = (starts[key - 1]..starts[key])
        .rfind(|&index| stream[index * 188 + 1] & 0x1f == 1 && stream[index * 188 + 2] == 0)
        .expect("a packet");
    assert!(last > starts[key - 1], "more than one packet");
    let mut damaged = stream;
    damaged.drain(last * 188..(last + 1) * 188);
    let mut kept = video.clone();
    kept.remove(key - 1);
    let demuxer = open_bytes(damaged).expect("opens");
    assert_units(&packets(&demuxer, 0).expect("reads"), &kept, "damage");
}

#[test]
fn a_pid_that_goes_over_to_what_is_only_named_is_said_and_the_other_tracks_go_on() {
    let (video, audio) = media();
    let [early, late] = halves(&video, &audio);
    let first = part(FIRST, &early, false);
    let mut second = part(FIRST, &late, false);
    let map = {
        let mut ts = TsWriter::default();
        ts.pmt(PMT, 1, 0, &[(0x1b, VIDEO, &[]), (0x81, AUDIO, &[])]);
        ts.out
    };
    second[188..376].copy_from_slice(&map);
    let at = first.len() + 188;
    let demuxer = open_bytes([first, second].concat()).expect("opens");
    assert_units(&packets(&demuxer, 0).expect("reads"), &video, "pictures");
    let mut reader: Box<dyn PacketReader> = Arc::clone(&demuxer).reader(1).expect("the track");
    let sound: Vec<Unit> = early
        .iter()
        .flat_map(|piece| match piece {
            Piece::Audio(_, frames) => frames.to_vec(),
            Piece::Video(..) => Vec::new(),
        })
        .collect();
    let mut found = Vec::new();
    let error = loop {
        match reader.next_sample() {
            Ok(packet) => found.push(packet.expect("an error before the end")),
            Err(error) => break error.to_string(),
        }
    };
    assert_units(&found, &sound, "sound before");
    let want = format!("ac-3 after aac from byte {at} on");
    assert!(
        error.starts_with("not supported: ") && error.ends_with(&want),
        "{error}"
    );
    // What comes before can be read again.
    assert_eq!(
        reader.seek(0).expect("seek"),
        Some(found[0].chunk.timestamp)
    );
    assert_eq!(reader.next_sample().expect("read").as_ref(), found.first());
}

#[test]
fn a_program_of_what_is_only_named_begins_at_its_first_time() {
    for late in [0, 10 * 3600 * 90_000] {
        let mut ts = TsWriter::default();
        ts.pat(0, &[(1, PMT)]);
        ts.pmt(PMT, 1, 0, &[(0x02, VIDEO, &[]), (0x81, AUDIO, &[])]);
        for index in 0..50 {
            let time = index * 3_600 + late + START;
            // The first picture is shown after the two that come behind it.
            let shown = time + [7_200, -3_600, -3_600][index as usize % 3];
            ts.pes(VIDEO, 0xe0, Some((shown, time - 3_600)), false, &[9; 500]);
            ts.pes(AUDIO, 0xbd, Some((time, time)), true, &[7; 400]);
        }
        let demuxer = open_bytes(ts.out).expect("opens");
        let names: Vec<_> = demuxer.tracks().iter().map(|t| t.kind.clone()).collect();
        let named = |name: &str| TrackKind::Other(name.to_owned());
        assert_eq!(names, [named("mpeg2video"), named("ac-3")]);
        let first = |track| packets(&demuxer, track).expect("reads")[0].chunk.timestamp;
        assert_eq!((first(0), first(1)), (80_000, 0), "{late}");
        // The last picture but one is shown 50 times 40 ms after the first.
        assert_eq!(demuxer.duration(), Some(2_000_000), "{late}");
    }
}

#[test]
fn a_time_line_that_goes_back_is_not_taken_for_one_that_wraps_around() {
    let (video, audio) = media();
    let part = |seconds: i64| {
        let start = seconds * 90_000;
        mux(
            &video,
            &audio,
            Plan {
                start,
                ..Plan::default()
            },
        )
    };
    let duration = |parts: &[i64]| {
        let stream: Vec<u8> = parts.iter().flat_map(|&at| part(at)).collect();
        let demuxer = open_bytes(stream).expect("opens");
        demuxer.duration().map(|micros| micros / 1_000_000)
    };
    // The end alone is looked at: parts one behind the other are longer than that.
    let run = |from: i64| (0..20).map(move |part| from + 3 * part);
    let back: Vec<i64> = [1000].into_iter().chain(run(3)).collect();
    assert_eq!(duration(&back), None, "it ends before it began");
    let forth: Vec<i64> = back.into_iter().chain(run(1100)).collect();
    assert_eq!(duration(&forth), Some(100 + 57 + 2));
    // Fourteen and twenty-six hours.
    let hours: Vec<i64> = (0..29).map(|hour| hour * 3600 + 1).collect();
    assert_eq!(duration(&hours[..15]), Some(14 * 3600 + 2));
    assert_eq!(duration(&hours[..27]), Some(26 * 3600 + 2));
}
