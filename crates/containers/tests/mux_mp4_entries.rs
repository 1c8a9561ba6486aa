//! Sample entries of MP4 that is written: what the stream itself says, and changes in mid-stream.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mp4::{described, fragmented};
use muxed::{audio, ffprobe, open_bytes, packet, save, tracks};
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::MemorySink;
use reelcore_containers::open;
use reelcore_media::ChunkKind;
use reelcore_media::demux::{DemuxError, Packet, Track, TrackConfig, TrackKind};
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket};

/// Two clips of 10 pictures each, of different sizes.
fn two_sizes(encoder: &[&str]) -> [(Track, Vec<Packet>); 2] {
    ["64x48", "96x64"].map(|size| {
        let input = format!("testsrc2=size={size}:rate=25:duration=0.4,format=yuv420p");
        let mut args = vec!["-f", "lavfi", "-i", &input];
        args.extend(encoder);
        let path = made::ffmpeg(&format!("entry-{size}.mp4"), &args);
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        tracks(&open(Arc::new(source)).expect("a clip")).remove(0)
    })
}

const H264: &[&str] = &["-c:v", "libx264", "-x264-params", "log-level=error"];
const AV1: &[&str] = &["-c:v", "libaom-av1", "-cpu-used", "8", "-g", "5"];

/// One clip after the other in one track, as often as `order` says, a second apart.
fn joined(
    clips: &[(Track, Vec<Packet>); 2],
    order: &[usize],
    options: MuxOptions,
    told: bool,
) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = Mp4Muxer::new(options);
    let mut first = muxed::output_track(&clips[order[0]].0).expect("a codec");
    if !told {
        first.description = None;
    }
    muxer.add_track(first).expect("a codec");
    for (at, &clip) in order.iter().enumerate() {
        let (track, packets) = &clips[clip];
        let start = at as i64 * 1_000_000;
        for (index, packet) in packets.iter().enumerate() {
            let mut out = OutputPacket::new(packet.chunk.clone());
            out.chunk.timestamp += start;
            out.decode_time = Some(packet.decode_time + start);
            if index == 0 && at > 0 && told {
                out.description = track.description.clone();
            }
            muxer.write(0, out, &mut sink).expect("written");
        }
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

fn size(kind: &TrackKind) -> (u32, u32) {
    match kind {
        TrackKind::Video {
            coded_size,
            display_aspect,
            ..
        } => {
            assert_eq!(coded_size, display_aspect, "square pixels");
            (coded_size.width, coded_size.height)
        }
        _ => panic!("pictures"),
    }
}

/// The configurations that are told, each with the number of its first packet.
fn changes(packets: &[Packet]) -> Vec<(usize, TrackConfig)> {
    let told = packets.iter().enumerate();
    told.filter_map(|(at, packet)| Some((at, (**packet.config.as_ref()?).clone())))
        .collect()
}

#[test]
fn a_change_of_the_description_is_read_back_from_where_it_holds() {
    let clips = two_sizes(H264);
    for options in [MuxOptions::default(), fragmented()] {
        let bytes = joined(&clips, &[0, 1, 1, 0], options, true);
        // The third clip is as the second, the fourth as the first.
        assert_eq!(bytes.windows(4).filter(|w| *w == b"avcC").count(), 2);
        let streams = ffprobe(&save("changed.mp4", &bytes));
        assert_eq!(streams[0].1, 40);
        let demuxer = open_bytes(bytes);
        let (track, packets) = tracks(&demuxer).remove(0);
        assert_eq!(size(&track.kind), (64, 48));
        assert_eq!(track.description, clips[0].0.description);
        let told = changes(&packets);
        let places: Vec<usize> = told.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [10, 30]);
        assert_eq!(size(&told[0].1.kind), (96, 64));
        assert_eq!(told[0].1.description, clips[1].0.description);
        assert_eq!(told[0].1.codec, clips[1].0.codec);
        assert_eq!(told[1].1, track.config());
        for (got, want) in packets
            .iter()
            .zip([0, 1, 1, 0].into_iter().flat_map(|i| &clips[i].1))
        {
            // Once there are two, key pictures have their parameter sets with them, for readers that know the first alone.
            assert!(got.chunk.data.ends_with(&want.chunk.data));
            let whole = got.chunk.data == want.chunk.data;
            assert_eq!(
                whole,
                got.chunk.kind == ChunkKind::Delta || got.chunk.timestamp < 1_000_000
            );
        }
    }
}

#[test]
fn samples_that_go_back_and_forth_between_entries_share_their_configurations() {
    let clips = two_sizes(H264);
    let bytes = joined(&clips, &[0, 1, 0, 1, 0, 1], MuxOptions::default(), true);
    let packets = tracks(&open_bytes(bytes)).remove(0).1;
    let told: Vec<_> = packets
        .iter()
        .filter_map(|packet| packet.config.as_ref())
        .collect();
    assert_eq!(told.len(), 5);
    for (config, after_next) in told.iter().zip(&told[2..]) {
        // The very same, not one that was parsed again.
        assert!(Arc::ptr_eq(config, after_next));
    }
    assert!(!Arc::ptr_eq(told[0], told[1]));
}

#[test]
fn after_the_first_fragment_pictures_tell_of_a_change_themselves() {
    let clips = two_sizes(H264);
    let options = MuxOptions {
        fragment_duration: Duration::from_millis(100),
        ..fragmented()
    };
    let bytes = joined(&clips, &[0, 0, 1], options.clone(), true);
    let streams = ffprobe(&save("changed-late.mp4", &bytes));
    assert_eq!(streams[0].1, 30);
    let packets = tracks(&open_bytes(bytes)).remove(0).1;
    assert!(changes(&packets).is_empty());
    let (want, got) = (&clips[1].1[0].chunk.data, &packets[20].chunk.data);
    // Its SPS, behind the length.
    assert!(got.ends_with(want) && got[4] & 31 == 7, "{:x?}", &got[..8]);
    // Sound has no such place.
    let mut muxer = Mp4Muxer::new(options);
    let track = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    muxer.add_track(track).expect("AAC");
    let mut sink = MemorySink::default();
    let mut write = |index: i64, description: Option<&'static [u8]>| {
        let mut packet = packet(ChunkKind::Key, index * 20_000, 20_000, vec![1, 2, 3]);
        packet.description = description.map(Bytes::from_static);
        muxer.write(0, packet, &mut sink)
    };
    for index in 0..20 {
        write(index, None).expect("written");
    }
    let error = write(20, Some(&[0x12, 0x10])).expect_err("another description");
    assert!(
        error.to_string().contains("after the first fragment"),
        "{error}"
    );
}

#[test]
fn after_a_seek_the_first_packet_tells_the_configuration_that_holds_there() {
    let clips = two_sizes(H264);
    for options in [MuxOptions::default(), fragmented()] {
        let demuxer = open_bytes(joined(&clips, &[0, 1], options.clone(), true));
        let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
        let first = reader.next_sample().expect("read").expect("a packet");
        assert_eq!(first.config, None, "the track's own holds");
        for (time, want) in [(1_000_000, (96, 64)), (0, (64, 48)), (1_100_000, (96, 64))] {
            reader.seek(time).expect("sought");
            let packet = reader.next_sample().expect("read").expect("a packet");
            let config = packet.config.expect("told after a seek");
            assert_eq!(size(&config.kind), want, "at {time}");
            let next = reader.next_sample().expect("read").expect("a packet");
            assert_eq!(next.config, None, "told once");
        }
        // Where there is nothing to tell apart, nothing is told.
        let demuxer = open_bytes(joined(&clips, &[0, 0], options, true));
        let mut reader = demuxer.reader(0).expect("a track");
        reader.seek(1_000_000).expect("sought");
        let packet = reader.next_sample().expect("read").expect("a packet");
        assert_eq!(packet.config, None);
    }
}

#[test]
fn a_new_sequence_header_of_av1_gets_a_sample_entry_of_its_own() {
    let clips = two_sizes(AV1);
    for options in [MuxOptions::default(), fragmented()] {
        // As our encoders give it, which have no description; and as files do.
        for told in [false, true] {
            let bytes = joined(&clips, &[0, 1, 0], options.clone(), told);
            assert_eq!(bytes.windows(4).filter(|w| *w == b"av1C").count(), 2);
            let (track, packets) = tracks(&open_bytes(bytes)).remove(0);
            assert_eq!(size(&track.kind), (64, 48));
            let told: Vec<_> = changes(&packets)
                .into_iter()
                .map(|(at, config)| (at, size(&config.kind)))
                .collect();
            assert_eq!(told, [(10, (96, 64)), (20, (64, 48))]);
        }
    }
}

#[test]
fn a_sample_description_that_does_not_exist_is_an_error_at_its_packet() {
    let clips = two_sizes(H264);
    for options in [MuxOptions::default(), fragmented()] {
        let fragmented = options.fragmented;
        let mut bytes = joined(&clips, &[0, 1], options, true).to_vec();
        let find = |bytes: &[u8], kind: &[u8; 4], flags: u8| {
            let mut places = bytes.windows(4).enumerate().filter(|(at, window)| {
                window == kind
                    && bytes
                        .get(at + 7)
                        .is_some_and(|found| found & flags == flags)
            });
            places.next().expect("the box").0 + 4
        };
        let at = match fragmented {
            // Behind version, flags and the number of the track, where its flag is set.
            true => find(&bytes, b"tfhd", 2) + 8,
            // The last field of the last entry of `stsc`.
            false => {
                let stsc = find(&bytes, b"stsc", 0);
                let count = u32::from_be_bytes(bytes[stsc + 4..stsc + 8].try_into().expect("4"));
                stsc + 8 + 12 * count as usize - 4
            }
        };
        assert_eq!(bytes[at..at + 4], [0, 0, 0, 2]);
        bytes[at + 3] = 3;
        let demuxer = open_bytes(bytes.into());
        let mut reader = demuxer.reader(0).expect("a track");
        for _ in 0..10 {
            assert!(reader.next_sample().expect("a packet").is_some());
        }
        match reader.next_sample() {
            Err(DemuxError::Invalid { offset, message }) => {
                assert!(
                    offset > 0 && message.contains("1 to 2, found 3"),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(reader.next_sample(), Ok(None)));
    }
}

#[test]
fn parameter_sets_before_a_picture_stand_behind_its_access_unit_delimiter() {
    for (encoder, delimiter) in [
        (H264, &[0, 0, 0, 2, 9, 0xf0][..]),
        (
            &["-c:v", "libx265", "-x265-params", "log-level=error"],
            &[0, 0, 0, 3, 70, 1, 0x50],
        ),
    ] {
        let mut clips = two_sizes(encoder);
        for packet in clips.iter_mut().flat_map(|(_, packets)| packets) {
            packet.chunk.data = [delimiter, &packet.chunk.data].concat().into();
        }
        let bytes = joined(&clips, &[0, 1], MuxOptions::default(), true);
        let packets = tracks(&open_bytes(bytes)).remove(0).1;
        let (want, got) = (&clips[1].1[0].chunk.data, &packets[10].chunk.data);
        assert!(got.len() > want.len(), "no parameter sets");
        let rest = got.strip_prefix(delimiter).expect("first the delimiter");
        assert!(rest.ends_with(&want[delimiter.len()..]) && !rest.starts_with(delimiter));
    }
}

#[test]
fn another_profile_or_depth_of_vp9_gets_a_sample_entry_that_says_so() {
    let clips = ["yuv420p", "yuv420p10le", "yuv444p"].map(|format| {
        let input = format!("testsrc2=size=64x48:rate=25:duration=0.2,format={format}");
        let args = ["-f", "lavfi", "-i", &input, "-c:v", "libvpx-vp9"];
        let path = made::ffmpeg(&format!("vp9-{format}.mp4"), &args);
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        tracks(&open(Arc::new(source)).expect("a clip")).remove(0)
    });
    let codec = |clip: usize| clips[clip].0.codec.clone().expect("a codec");
    let starts = |codec: &Option<String>, start: &str| {
        let codec = codec.as_ref().expect("a codec");
        assert!(codec.starts_with(start), "{codec}");
    };
    for options in [MuxOptions::default(), fragmented()] {
        let write = |order: &[usize], string: String| {
            let mut sink = MemorySink::default();
            let mut muxer = Mp4Muxer::new(options.clone());
            let mut first = muxed::output_track(&clips[0].0).expect("a codec");
            first.codec = string;
            muxer.add_track(first).expect("a codec");
            for (at, &clip) in order.iter().enumerate() {
                for packet in &clips[clip].1 {
                    let mut out = OutputPacket::new(packet.chunk.clone());
                    // Within the first fragment, whose entries are not yet final.
                    out.chunk.timestamp += at as i64 * 200_000;
                    muxer.write(0, out, &mut sink).expect("written");
                }
            }
            muxer.finish(&mut sink).expect("finished");
            sink.into_bytes()
        };
        // The first fragment ends with the first change: what changes later is left to the pictures.
        let order: &[usize] = match options.fragmented {
            true => &[0, 1, 0, 0],
            false => &[0, 1, 2, 0, 0],
        };
        let bytes = write(order, codec(0));
        let entries = order.len() - 2;
        assert_eq!(bytes.windows(4).filter(|w| *w == b"vpcC").count(), entries);
        let (track, packets) = tracks(&open_bytes(bytes)).remove(0);
        starts(&track.codec, "vp09.00.10.08");
        let told = changes(&packets);
        let places: Vec<usize> = told.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [5, 10, 15][..entries]);
        starts(&told[0].1.codec, "vp09.02.10.10");
        if !options.fragmented {
            starts(&told[1].1.codec, "vp09.01.10.08.03");
        }
        assert_eq!(told[entries - 1].1.codec, track.codec);
        // What the first frame says holds against the codec string.
        let bytes = write(&[1], codec(0));
        assert_eq!(bytes.windows(4).filter(|w| *w == b"vpcC").count(), 1);
        let (track, packets) = tracks(&open_bytes(bytes)).remove(0);
        starts(&track.codec, "vp09.02.10.10");
        assert!(changes(&packets).is_empty());
    }
}

#[test]
fn annex_b_becomes_lengths_with_its_parameter_sets_in_front() {
    let input = "testsrc2=size=64x48:rate=25:duration=1,format=yuv420p";
    for (codec, args, name) in [
        ("h264", "libx264", "raw.h264"),
        ("hevc", "libx265", "raw.h265"),
    ] {
        let path = made::ffmpeg(
            name,
            &[
                "-f", "lavfi", "-i", input, "-c:v", args, "-bf", "2", "-f", codec,
            ],
        );
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        let source = tracks(&open(Arc::new(source)).expect("a clip"));
        assert!(source[0].0.description.is_none());
        for options in [MuxOptions::default(), fragmented()] {
            let bytes = muxed::to_memory(&source, Mp4Muxer::new(options), true);
            let streams = ffprobe(&save(&format!("{name}.mp4"), &bytes));
            assert_eq!(streams[0].0["codec_name"], codec);
            assert_eq!(streams[0].1, source[0].1.len());
            let got = tracks(&open_bytes(bytes));
            assert!(got[0].0.description.is_some());
            for (want, got) in source[0].1.iter().zip(&got[0].1) {
                assert_eq!(want.chunk.timestamp, got.chunk.timestamp);
                assert_eq!(want.chunk.kind, got.chunk.kind);
            }
        }
    }
}

/// One packet of one track.
fn one(track: reelcore_media::mux::OutputTrack, options: MuxOptions) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = Mp4Muxer::new(options);
    muxer.add_track(track).expect("a codec");
    let sample = packet(ChunkKind::Key, 0, 20_000, vec![0; 8]);
    muxer.write(0, sample, &mut sink).expect("written");
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

/// What stands behind the first `name`.
fn behind<'a>(bytes: &'a [u8], name: &[u8; 4]) -> &'a [u8] {
    let at = bytes.windows(4).position(|w| w == name).expect("the box");
    &bytes[at + 4..]
}

#[test]
fn vp9_whose_colours_nobody_told_is_not_said_to_be_bt709() {
    for (codec, want) in [
        ("vp09.00.10.08", [0x82, 2, 2, 2]),
        ("vp09.00.10.08.01.01.01.01.00", [0x82, 1, 1, 1]),
        ("vp09.00.10.08.01.09.16.09.01", [0x83, 9, 16, 9]),
        ("vp09.00.10.08.00.02.02.02.00", [0x80, 2, 2, 2]),
    ] {
        for options in [MuxOptions::default(), fragmented()] {
            let bytes = one(muxed::video(codec, 64, 48), options);
            // Behind version and flags: profile and level, then depth, chroma and range, then the colours.
            assert_eq!(behind(&bytes, b"vpcC")[6..10], want, "{codec}");
        }
    }
}

#[test]
fn flac_of_a_high_rate_is_said_to_be_of_the_greatest_regular_division_of_it() {
    for (rate, said) in [
        (44_100_u32, 44_100_u32),
        (48_000, 48_000),
        (88_200, 44_100),
        (96_000, 48_000),
        (144_000, 36_000),
        (192_000, 48_000),
        (352_800, 44_100),
        (65_537, 65_535),
    ] {
        // STREAMINFO: blocks of 4096, sizes unknown, the rate, two channels of 16 bits, nothing of length and checksum.
        let mut description = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0".to_vec();
        description.extend(((rate << 12) | (1 << 9) | (15 << 4)).to_be_bytes());
        description.extend([0; 20]);
        let mut track = audio("flac", rate, 2);
        track.description = Some(description.into());
        let bytes = one(track, MuxOptions::default());
        // Behind reserved bytes, the reference, channels and bits.
        let entry = &behind(&bytes, b"fLaC")[24..28];
        assert_eq!(entry, (said << 16).to_be_bytes(), "{rate}");
        let demuxer = open_bytes(bytes);
        let TrackKind::Audio { sample_rate, .. } = demuxer.tracks()[0].kind else {
            panic!("sound");
        };
        assert_eq!(sample_rate, rate);
    }
}
