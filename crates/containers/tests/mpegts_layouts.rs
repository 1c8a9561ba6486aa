//! Transport streams built by hand: packets, time lines, program maps, damage.

#[path = "support/clips.rs"]
mod made;
#[path = "support/settle.rs"]
mod settle;
#[path = "support/ts_clips.rs"]
mod shared;
mod support;
#[path = "support/ts.rs"]
mod ts;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{BytesSource, StreamLimits, open, stream};
use reelcore_media::demux::{PacketReader, Source, TrackKind};
use shared::*;
use support::{open_bytes, packets};
use ts::*;

fn assert_stream(stream: &[u8], video: &[Unit], audio: &[Unit], what: &str) {
    let demuxer = open_bytes(stream.to_vec()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_units(&packets(&demuxer, 0).expect(what), video, what);
    assert_units(&packets(&demuxer, 1).expect(what), audio, what);
}

#[test]
fn packets_of_188_192_and_204_bytes_hold_the_same_stream() {
    let (video, audio) = media();
    for bounded in [false, true] {
        let plan = Plan {
            bounded,
            ..Plan::default()
        };
        let plain = mux(&video, &audio, plan);
        assert_stream(&plain, &video, &audio, "188");
        for stride in [192, 204] {
            let stream = restride(&plain, stride);
            assert_stream(&stream, &video, &audio, &stride.to_string());
            assert_seeks_as_it_reads(&open_bytes(stream).expect("opens"), "stride");
        }
    }
}

#[test]
fn times_go_on_over_the_wrap_of_33_bits() {
    let (video, audio) = media();
    // The wrap comes before the first packet has all been shown, in the middle, and with the last.
    for before in [0, 900, 90_000, 170_000] {
        let plan = Plan {
            start: (1 << 33) - before,
            ..Plan::default()
        };
        let stream = mux(&video, &audio, plan);
        assert_stream(&stream, &video, &audio, &format!("wrap after {before}"));
        let demuxer = open_bytes(stream).expect("opens");
        assert_seeks_as_it_reads(&demuxer, &format!("wrap after {before}"));
        let end = demuxer.tracks()[0].duration.expect("a duration");
        let last = micros(video.iter().map(|unit| unit.pts).max().expect("units"));
        assert!(end.abs_diff(last as u64) < 50_000, "{end} {last}");
    }
}

#[test]
fn a_jump_of_the_time_line_is_left_as_it_is() {
    let (mut video, mut audio) = media();
    let jump = 3600 * 90_000;
    let middle = video
        .iter()
        .rposition(|unit| unit.key)
        .expect("a key picture");
    assert!(middle > 0);
    let cut = video[middle].dts;
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    let mut jumped = [false; 2];
    for unit in &mut video[middle..] {
        (unit.pts, unit.dts) = (unit.pts + jump, unit.dts + jump);
    }
    // Sound begins a PES packet of its own at the jump.
    let split = audio.partition_point(|unit| unit.pts <= cut);
    for unit in &mut audio[split..] {
        (unit.pts, unit.dts) = (unit.pts + jump, unit.dts + jump);
    }
    let (early, late) = audio.split_at(split);
    let mut pieces = interleave(&video[..middle], early, 5);
    pieces.extend(interleave(&video[middle..], late, 5));
    let start = 126_000;
    for piece in pieces {
        match piece {
            Piece::Video(_, unit) => {
                if unit.dts > jump / 2 && !std::mem::replace(&mut jumped[0], true) {
                    ts.jump(VIDEO);
                    ts.discontinuity = true;
                }
                let stamps = Some((unit.pts + start, unit.dts + start));
                ts.pes(VIDEO, 0xe0, stamps, false, &unit.data);
            }
            Piece::Audio(_, frames) => {
                if frames[0].pts > jump / 2 && !std::mem::replace(&mut jumped[1], true) {
                    ts.jump(AUDIO);
                    ts.discontinuity = true;
                }
                let time = frames[0].pts + start;
                let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                ts.pes(AUDIO, 0xc0, Some((time, time)), true, &data);
            }
        }
    }
    assert_stream(&ts.out, &video, &audio, "jump");
}

#[test]
fn a_track_goes_on_where_a_new_program_map_has_it() {
    let (video, audio) = media();
    let middle = video
        .iter()
        .rposition(|unit| unit.key)
        .expect("a key picture");
    let cut = video[middle].dts;
    let split = audio.partition_point(|unit| unit.pts <= cut);
    let (early, late) = audio.split_at(split);
    let start = 126_000;
    let mut ts = TsWriter::default();
    let write = |ts: &mut TsWriter, pieces: Vec<Piece<'_>>, pids: (u16, u16)| {
        for piece in pieces {
            match piece {
                Piece::Video(_, unit) => {
                    let stamps = Some((unit.pts + start, unit.dts + start));
                    ts.pes(pids.0, 0xe0, stamps, false, &unit.data);
                }
                Piece::Audio(_, frames) => {
                    let time = frames[0].pts + start;
                    let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                    ts.pes(pids.1, 0xc0, Some((time, time)), true, &data);
                }
            }
        }
    };
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    write(
        &mut ts,
        interleave(&video[..middle], early, 5),
        (VIDEO, AUDIO),
    );
    // Everything moves: the map, the pictures, the sound; a second sound joins, under the PID that the pictures had.
    ts.pat(1, &[(1, PMT + 1)]);
    ts.pmt(
        PMT + 1,
        1,
        1,
        &[(0x0f, 0x201, &[]), (0x1b, 0x200, &[]), (0x0f, VIDEO, &[])],
    );
    write(
        &mut ts,
        interleave(&video[middle..], late, 5),
        (0x200, 0x201),
    );
    ts.pes(VIDEO, 0xc1, Some((start, start)), true, &audio[0].data);
    assert_stream(&ts.out, &video, &audio, "moved");
    let demuxer = open_bytes(ts.out.clone()).expect("opens");
    assert_eq!(demuxer.tracks().len(), 2, "the list of tracks is made once");
    assert_seeks_as_it_reads(&demuxer, "moved");
    // A map whose CRC is wrong says nothing.
    let mut damaged = TsWriter::default();
    damaged.pat(0, &[(1, PMT)]);
    damaged.pmt(PMT, 1, 0, &STREAMS);
    let at = damaged.out.len();
    damaged.pmt(PMT, 1, 1, &[(0x1b, 0x300, &[]), (0x0f, 0x301, &[])]);
    damaged.out[at + 20] ^= 1;
    write(&mut damaged, interleave(&video, &audio, 5), (VIDEO, AUDIO));
    assert_stream(&damaged.out, &video, &audio, "damaged map");
}

/// Indices of the transport packets of `pid`, with whether each starts a unit.
fn of_pid(stream: &[u8], pid: u16) -> Vec<(usize, bool)> {
    let packets = stream.chunks(188).enumerate();
    packets
        .filter(|(_, p)| u16::from_be_bytes([p[1] & 0x1f, p[2]]) == pid)
        .map(|(index, p)| (index, p[1] & 0x40 != 0))
        .collect()
}

type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn what_a_lost_or_damaged_packet_belongs_to_is_not_given_and_all_else_is() {
    let (video, audio) = media();
    for bounded in [false, true] {
        let plan = Plan {
            bounded,
            ..Plan::default()
        };
        let stream = mux(&video, &audio, plan);
        let places = of_pid(&stream, VIDEO);
        let mut unit = 0;
        for (nth, &(index, starts)) in places.iter().enumerate() {
            unit += usize::from(starts && nth > 0);
            if nth % 7 != 3 && unit > 2 {
                continue;
            }
            // A start that is lost takes with it what might have continued the unit before: one of unknown length whose
            // last packet was full.
            let full = nth > 0 && stream[places[nth - 1].0 * 188 + 3] & 0x20 == 0;
            let doubtful = starts && unit > 0 && !bounded && full;
            let damages: [Damage<'_>; 3] = [
                &|s| drop(s.drain(index * 188..(index + 1) * 188)),
                &|s| s[index * 188 + 1] |= 0x80,
                // A sync byte that is none: the packet is passed over.
                &|s| s[index * 188] = 0,
            ];
            for (kind, damage) in damages.iter().enumerate() {
                let mut damaged = stream.clone();
                damage(&mut damaged);
                let what = format!("bounded {bounded}, packet {nth} of unit {unit}, damage {kind}");
                let demuxer = open_bytes(damaged).expect("opens");
                let found = packets(&demuxer, 0).expect("reads");
                let mut kept: Vec<Unit> = video.clone();
                kept.remove(unit);
                if doubtful {
                    kept.remove(unit - 1);
                }
                // The earliest time is still that of the sound.
                assert_units(&found, &kept, &what);
                assert_units(&packets(&demuxer, 1).expect("reads"), &audio, &what);
            }
        }
    }
    // Of sound, the frames that are whole before the gap are kept.
    let stream = mux(&video, &audio, Plan::default());
    let places = of_pid(&stream, AUDIO);
    let starts: Vec<usize> = (0..places.len()).filter(|&at| places[at].1).collect();
    let gap = starts[4] - 1;
    assert!(!places[gap].1, "the last packet of a PES packet");
    let mut damaged = stream;
    damaged.drain(places[gap].0 * 188..(places[gap].0 + 1) * 188);
    let demuxer = open_bytes(damaged).expect("opens");
    let found = packets(&demuxer, 1).expect("reads");
    let lost = audio.len() - found.len();
    assert!((1..=2).contains(&lost), "{lost} frames of 5");
    let mut kept = audio.clone();
    kept.drain(20 - lost..20);
    assert_units(&found, &kept, "sound");
}

#[test]
fn bytes_between_packets_and_repeated_packets_do_no_harm() {
    let (video, audio) = media();
    let stream = mux(&video, &audio, Plan::default());
    let mut noisy = vec![0xaa; 100];
    for (index, packet) in stream.chunks(188).enumerate() {
        noisy.extend(packet);
        // 2.4.3.3: a packet may be sent twice.
        if index % 9 == 4 {
            noisy.extend(packet);
        }
        if index % 50 == 20 {
            noisy.extend(vec![0x47; index % 120]);
            noisy.extend(vec![0; index % 77]);
        }
    }
    assert_stream(&noisy, &video, &audio, "noise");
}

#[test]
fn frames_need_not_begin_where_pes_packets_do() {
    let (video, audio) = media();
    let start = 126_000;
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    // PES packets of 1000 bytes of sound, each with the time of the first frame that begins in it; three pictures in each of
    // theirs, and the end of each in the next.
    let sound: Vec<u8> = audio.iter().flat_map(|f| f.data.clone()).collect();
    let mut begins = Vec::new();
    let mut at = 0;
    for frame in &audio {
        begins.push(at);
        at += frame.data.len();
    }
    for (index, piece) in sound.chunks(1000).enumerate() {
        let first = begins
            .iter()
            .position(|&at| at >= index * 1000 && at < (index + 1) * 1000);
        let stamps = first.map(|frame| (audio[frame].pts + start, audio[frame].pts + start));
        ts.pes(AUDIO, 0xc0, stamps, true, piece);
    }
    let pictures: Vec<u8> = video.iter().flat_map(|f| f.data.clone()).collect();
    let mut begins = Vec::new();
    let mut at = 0;
    for unit in &video {
        begins.push(at);
        at += unit.data.len();
    }
    let mut from = 0;
    for group in 0..video.len().div_ceil(3) {
        let first = group * 3;
        let to = begins.get(first + 3).map_or(pictures.len(), |at| at + 9);
        let stamps = Some((video[first].pts + start, video[first].dts + start));
        // All but the first group begin with the rest of the picture before; the delimiter of the next is cut as well.
        let stamps = if group == 0 {
            stamps
        } else {
            video
                .get(first + 1)
                .map(|unit| (unit.pts + start, unit.dts + start))
        };
        ts.pes(VIDEO, 0xe0, stamps, false, &pictures[from..to]);
        from = to;
    }
    let demuxer = open_bytes(ts.out).expect("opens");
    let found = packets(&demuxer, 0).expect("reads");
    assert_eq!(found.len(), video.len());
    for (index, (packet, unit)) in found.iter().zip(&video).enumerate() {
        assert_eq!(packet.chunk.data, unit.data, "{index}");
        // Pictures without a time of their own are placed by their counts, at the rate that the stream says; the clip's own
        // times are rounded to its time scale.
        let off = packet.chunk.timestamp.abs_diff(micros(unit.pts));
        assert!(
            off < 1500,
            "{index}: {} {}",
            packet.chunk.timestamp,
            micros(unit.pts)
        );
    }
    assert_units(&packets(&demuxer, 1).expect("reads"), &audio, "sound");
    assert_seeks_as_it_reads(&demuxer, "spanning");
}

#[test]
fn several_programs_have_time_lines_of_their_own() {
    let (video, audio) = media();
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT), (2, PMT + 1), (3, PMT + 2)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    // The sound of the first program is part of the second, too.
    let second: [(u8, u16, &[u8]); 3] = [
        (0x1b, 0x200, &[]),
        (0x0f, AUDIO, &[]),
        (0x0f, 0x201, &[10, 4, b'd', b'e', b'u', 0]),
    ];
    ts.pmt(PMT + 1, 2, 0, &second);
    let third: [(u8, u16, &[u8]); 3] = [
        (0x86, 0x300, &[]),
        (0x11, 0x301, &[]),
        (0x06, 0x302, &[5, 4, b'A', b'C', b'-', b'3']),
    ];
    ts.pmt(PMT + 2, 3, 0, &third);
    for piece in interleave(&video, &audio, 5) {
        match piece {
            Piece::Video(_, unit) => {
                for (pid, start) in [(VIDEO, 1_000_000), (0x200, 77_000_000)] {
                    let stamps = Some((unit.pts + start, unit.dts + start));
                    ts.pes(pid, 0xe0, stamps, false, &unit.data);
                }
            }
            Piece::Audio(_, frames) => {
                let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                for (pid, start) in [(AUDIO, 1_000_000), (0x201, 77_000_000), (0x302, 5)] {
                    let time = frames[0].pts + start;
                    ts.pes(pid, 0xc0, Some((time, time)), true, &data);
                }
            }
        }
    }
    let demuxer = open_bytes(ts.out).expect("opens");
    let ids: Vec<u32> = demuxer.tracks().iter().map(|track| track.id).collect();
    assert_eq!(ids, [0x100, 0x101, 0x200, 0x201, 0x301, 0x302]);
    assert_eq!(demuxer.tracks()[3].language.as_deref(), Some("deu"));
    for (track, units) in [(0, &video), (1, &audio), (2, &video), (3, &audio)] {
        assert_units(
            &packets(&demuxer, track).expect("reads"),
            units,
            &format!("track {track}"),
        );
    }
    assert_eq!(
        demuxer.tracks()[4].kind,
        TrackKind::Other("aac-latm".into())
    );
    assert_eq!(demuxer.tracks()[5].kind, TrackKind::Other("ac-3".into()));
    // One packet for each PES packet.
    let unknown = packets(&demuxer, 5).expect("reads");
    assert_eq!(unknown.len(), audio.len().div_ceil(5));
    assert_eq!(unknown[0].chunk.timestamp, 0);
}

#[test]
fn a_scrambled_track_is_reported_and_gives_nothing() {
    let (video, audio) = media();
    let mut stream = mux(&video, &audio, Plan::default());
    for (index, _) in of_pid(&stream.clone(), VIDEO) {
        stream[index * 188 + 3] |= 0x80;
    }
    let demuxer = open_bytes(stream).expect("opens");
    let track = &demuxer.tracks()[0];
    assert!(
        track.encryption.is_some() && track.codec.is_none(),
        "{track:?}"
    );
    assert_eq!(packets(&demuxer, 0).expect("reads"), []);
    let mut reader = Arc::clone(&demuxer).reader(0).expect("the track");
    assert_eq!(reader.seek(1_000_000).expect("seek"), None);
    assert_eq!(packets(&demuxer, 1).expect("reads").len(), audio.len());
}

#[test]
fn a_stream_that_arrives_in_order_is_read_and_sought_forward() {
    let (video, audio) = media();
    let bytes = mux(&video, &audio, Plan::default());
    let (feed, source) = stream(StreamLimits::default(), || ());
    for piece in bytes.chunks(10_000) {
        feed.push(Bytes::copy_from_slice(piece));
    }
    feed.finish();
    assert!(!source.is_seekable());
    let demuxer = open(Arc::new(source)).expect("opens");
    assert_eq!(demuxer.duration(), None);
    assert_units(&packets(&demuxer, 0).expect("reads"), &video, "stream");
    assert_units(&packets(&demuxer, 1).expect("reads"), &audio, "stream");
    assert_seeks_as_it_reads(&demuxer, "stream");
}

#[test]
fn after_a_seek_a_decoder_finds_its_parameter_sets() {
    let (mut video, audio) = media();
    let sets_of = |unit: &Unit| {
        // Delimiter of six bytes, then the sets, up to the first slice behind a start code of three bytes.
        let slice = unit
            .data
            .windows(4)
            .position(|w| w[..3] == [0, 0, 1] && matches!(w[3] & 31, 5 | 6));
        let mut at = slice.expect("a slice");
        if unit.data[at - 1] == 0 {
            at -= 1;
        }
        (6, at)
    };
    let (from, to) = sets_of(&video[0]);
    let sets = video[0].data[from..to].to_vec();
    assert!(sets.len() > 20);
    // Only the first key picture keeps its sets.
    for unit in video.iter_mut().skip(1).filter(|unit| unit.key) {
        unit.data.drain(from..to);
    }
    let demuxer = open_bytes(mux(&video, &audio, Plan::default())).expect("opens");
    assert_units(&packets(&demuxer, 0).expect("reads"), &video, "sets once");
    let key = video
        .iter()
        .rposition(|unit| unit.key)
        .expect("a key picture");
    let mut reader = Arc::clone(&demuxer).reader(0).expect("the track");
    let time = micros(video[key].pts);
    assert_eq!(reader.seek(time).expect("seek"), Some(time));
    let first = reader.next_packet().expect("read").expect("a packet");
    assert_eq!(first.data, [sets, video[key].data.clone()].concat());
    let second = reader.next_packet().expect("read").expect("a packet");
    assert_eq!(second.data, video[key + 1].data);
}

#[test]
fn a_source_that_is_only_just_a_transport_stream_is_named_or_refused() {
    // No association table.
    let error = open_bytes(mux(&media().0, &[], Plan::default())[2 * 188..].to_vec());
    assert!(error.is_ok(), "tables come again with the next key picture");
    let mut ts = TsWriter::default();
    for _ in 0..10 {
        ts.pes(VIDEO, 0xe0, None, false, &[0; 100]);
    }
    let error = open(Arc::new(BytesSource::new(ts.out)))
        .err()
        .map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("association table") && e.contains("at byte 0")));
}

#[test]
fn what_the_map_lists_and_never_comes_is_named_and_does_not_hold_up_opening() {
    let video = h264_units("h264-aac.mp4");
    let audio = adts_frames("h264-aac.mp4");
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    let streams: [(u8, u16, &[u8]); 3] = [STREAMS[0], STREAMS[1], (0x24, 0x102, &[])];
    ts.pmt(PMT, 1, 0, &streams);
    let mut end = 0;
    for round in 0..12 {
        let later = round * 7_400 * 90;
        for piece in interleave(&video, &audio, 5) {
            match piece {
                Piece::Video(_, unit) => {
                    let stamps = Some((unit.pts + later, unit.dts + later));
                    ts.pes(VIDEO, 0xe0, stamps, false, &unit.data);
                }
                Piece::Audio(_, frames) => {
                    let time = frames[0].pts + later;
                    let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                    ts.pes(AUDIO, 0xc0, Some((time, time)), true, &data);
                }
            }
        }
        if round == 1 {
            end = ts.out.len() as u64;
        }
    }
    assert!(ts.out.len() > 4_000_000);
    let counting = Arc::new(Counting(BytesSource::new(ts.out), 0.into()));
    let demuxer = open(counting.clone()).expect("opens");
    let read = counting.1.load(std::sync::atomic::Ordering::Relaxed);
    // More than ten seconds of the beginning, what was read ahead of that, and the end.
    assert!(
        read < end + (1 << 20),
        "{read} bytes read, {end} are the first two rounds"
    );
    let kinds: Vec<_> = demuxer.tracks().iter().map(|t| t.codec.is_some()).collect();
    assert_eq!(kinds, [true, true, false]);
    assert_eq!(demuxer.tracks()[2].kind, TrackKind::Other("hevc".into()));
    assert_eq!(packets(&demuxer, 2).expect("reads"), []);
}

#[test]
fn a_program_without_a_map_does_not_hold_up_a_stream_and_a_map_that_is_late_is_found_in_a_file() {
    let (video, audio) = media();
    let second: [(u8, u16, &[u8]); 1] = [(0x0f, 0x201, &[])];
    // The tables come once, or before every picture.
    for often in [false, true] {
        let mut ts = TsWriter::default();
        let mut soon = 0;
        for (index, piece) in interleave(&video, &audio, 5).into_iter().enumerate() {
            if often || index == 0 {
                ts.pat(0, &[(1, PMT), (2, PMT + 1)]);
                ts.pmt(PMT, 1, 0, &STREAMS);
            }
            match piece {
                Piece::Video(at, unit) => {
                    if at == if often { 20 } else { 45 } {
                        soon = ts.out.len();
                    }
                    let stamps = Some((unit.pts + 126_000, unit.dts + 126_000));
                    ts.pes(VIDEO, 0xe0, stamps, false, &unit.data);
                }
                Piece::Audio(_, frames) => {
                    let time = frames[0].pts + 126_000;
                    let data: Vec<u8> = frames.iter().flat_map(|f| f.data.clone()).collect();
                    ts.pes(AUDIO, 0xc0, Some((time, time)), true, &data);
                }
            }
        }
        let source = support::Arriving::new(ts.out.clone(), soon);
        let demuxer = open(source.clone()).unwrap_or_else(|e| panic!("{often}: {e}"));
        assert_eq!(source.waits(), 0, "{often}");
        let codecs = demuxer
            .tracks()
            .iter()
            .filter(|track| track.codec.is_some());
        assert_eq!((codecs.count(), demuxer.tracks().len()), (2, 2), "{often}");
        ts.pmt(PMT + 1, 2, 0, &second);
        for frame in &audio {
            let time = frame.pts + 126_000;
            ts.pes(0x201, 0xc0, Some((time, time)), true, &frame.data);
        }
        let demuxer = open_bytes(ts.out).expect("opens");
        assert_eq!(demuxer.tracks().len(), 3, "{often}: a file");
    }
}

/// A reader is what the trait says.
#[test]
fn readers_are_independent_of_one_another() {
    let (video, audio) = media();
    let demuxer = open_bytes(mux(&video, &audio, Plan::default())).expect("opens");
    let mut readers: Vec<Box<dyn PacketReader>> = (0..2)
        .map(|track| Arc::clone(&demuxer).reader(track).expect("the track"))
        .collect();
    let mut counts = [0; 2];
    while let Some(place) = (0..2).find(|&track| counts[track] < 50) {
        for (track, reader) in readers.iter_mut().enumerate() {
            counts[track] += usize::from(reader.next_packet().expect("read").is_some());
        }
        assert!(counts[place] > 0);
    }
    assert!(Arc::clone(&demuxer).reader(2).is_err());
}
