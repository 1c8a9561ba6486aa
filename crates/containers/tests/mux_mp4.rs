//! MP4 that is written is read back, by our demuxer and by ffprobe.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use made::ffmpeg;
use muxed::{ffprobe, open_bytes, save, to_memory, to_stream, tracks};
use reelcore_containers::mp4::{FragmentIndex, Mp4Muxer};
use reelcore_containers::{FileSource, open};
use reelcore_media::demux::{Packet, Track, TrackKind};
use reelcore_media::mux::MuxOptions;

type Source = Vec<(Track, Vec<Packet>)>;

fn read(path: PathBuf) -> Source {
    let source = Arc::new(FileSource::open(&path).expect("a file"));
    tracks(&open(source).expect("a container"))
}

fn example(name: &str) -> Source {
    read(support::clips().join(name))
}

/// The clips of the repository, and those that ffmpeg makes: B-frames, every codec.
fn sources() -> &'static [(&'static str, Source)] {
    static SOURCES: OnceLock<Vec<(&'static str, Source)>> = OnceLock::new();
    SOURCES.get_or_init(make_sources)
}

fn make_sources() -> Vec<(&'static str, Source)> {
    let video = "testsrc2=size=128x96:rate=30000/1001:duration=1.5,format=yuv420p";
    let sound = "sine=frequency=500:sample_rate=44100:duration=1.5";
    let clip = |name: &'static str, args: &[&str]| {
        let inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", sound];
        (name, read(ffmpeg(name, &[&inputs[..], args].concat())))
    };
    let x264 = "-c:v libx264 -bf 3 -x264-params log-level=error:keyint=12:b-pyramid=normal";
    let x265 = "-c:v libx265 -x265-params log-level=error:keyint=12:bframes=3:pools=1 -tag:v hvc1";
    let args = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let make = |name: &'static str, text: &str| {
        let owned = args(text);
        let refs: Vec<&str> = owned.iter().map(String::as_str).collect();
        clip(name, &refs)
    };
    vec![
        ("h264-rotated.mp4", example("h264-rotated.mp4")),
        ("h264-fragmented.mp4", example("h264-fragmented.mp4")),
        ("av1-10bit.mp4", example("av1-10bit.mp4")),
        make("avc-aac.mp4", &format!("{x264} -c:a aac")),
        make("avc-opus.mp4", &format!("{x264} -c:a libopus -strict -2")),
        make("hevc-mp3.mp4", &format!("{x265} -c:a libmp3lame")),
        make(
            "vp9-flac.mp4",
            "-c:v libvpx-vp9 -b:v 100k -c:a flac -strict -2",
        ),
        make("pcm.mov", &format!("{x264} -c:a pcm_s16le")),
        make("pcm24.mov", &format!("{x264} -c:a pcm_s24le")),
        make("pcmf.mov", &format!("{x264} -c:a pcm_f32le")),
        make("ulaw.mov", &format!("{x264} -c:a pcm_mulaw")),
        make("vp8-vorbis.mkv", "-c:v libvpx -b:v 100k -an"),
        make("avc-adts.ts", &format!("{x264} -c:a aac")),
    ]
}

fn options(fragmented: bool, fast_start: bool) -> MuxOptions {
    MuxOptions {
        fragmented,
        fast_start,
        ..MuxOptions::default()
    }
}

/// Uncompressed sound may be cut at other places.
fn is_pcm(track: &Track) -> bool {
    let codec = track.codec.as_deref().unwrap_or_default();
    codec.starts_with("pcm") || codec.ends_with("law")
}

/// The packets that a file of `container` has when it is written from `source`.
fn compare(name: &str, source: &Source, got: &Source, same_form: bool, fragmented: bool) {
    assert_eq!(source.len(), got.len(), "{name}: tracks");
    for (number, ((track, want), (got_track, got))) in source.iter().zip(got).enumerate() {
        let what = format!("{name}, track {number}");
        if same_form {
            assert_eq!(track.codec, got_track.codec, "{what}");
            assert_eq!(track.description, got_track.description, "{what}");
            match (&track.kind, &got_track.kind) {
                (TrackKind::Video { .. }, TrackKind::Video { .. }) => {
                    // Square pixels are not written: they are then for the stream to say.
                    let mut kind = track.kind.clone();
                    if let (
                        TrackKind::Video {
                            aspect_of_stream: want,
                            coded_size,
                            display_aspect,
                            ..
                        },
                        TrackKind::Video {
                            aspect_of_stream: got,
                            ..
                        },
                    ) = (&mut kind, &got_track.kind)
                        && coded_size == display_aspect
                    {
                        *want = *got;
                    }
                    assert_eq!(kind, got_track.kind, "{what}");
                }
                (a, b) => assert_eq!(a, b, "{what}"),
            }
            assert_eq!(track.language, got_track.language, "{what}");
        }
        if is_pcm(track) {
            let join = |packets: &[Packet]| -> Vec<u8> {
                packets.iter().flat_map(|p| p.chunk.data.to_vec()).collect()
            };
            assert!(join(want) == join(got), "{what}: the sound");
            assert_eq!(want[0].chunk.timestamp, got[0].chunk.timestamp, "{what}");
            continue;
        }
        assert_eq!(want.len(), got.len(), "{what}: packets");
        let count = want.len();
        for (index, (want, got)) in want.iter().zip(got).enumerate() {
            let what = format!("{what}, packet {index}");
            assert_eq!(want.chunk.kind, got.chunk.kind, "{what}");
            // Sound counts samples: half of one is what other clocks can differ by.
            let slack = if same_form { 0 } else { 12 };
            let apart = want.chunk.timestamp.abs_diff(got.chunk.timestamp);
            assert!(apart <= slack, "{what}: {want:?} {got:?}");
            if same_form {
                assert!(want.chunk.data == got.chunk.data, "{what}: the bytes");
                assert_eq!(want.decode_time, got.decode_time, "{what}");
                assert_eq!(want.presented, got.presented, "{what}");
                // A last packet that is shorter than the others is cut in one form, and not in the other.
                let last = index + 1 == count;
                if !(fragmented || last) {
                    assert_eq!(want.chunk.side, got.chunk.side, "{what}");
                }
                assert_eq!(want.chunk.duration, got.chunk.duration, "{what}");
            }
        }
    }
}

/// `probe`: by ffprobe as well, which takes its time.
fn check(name: &str, source: &Source, bytes: bytes::Bytes, fragmented: bool, probe: bool) {
    let file = save(
        &format!("{}.mp4", name.replace(['/', ' ', '.'], "-")),
        &bytes,
    );
    let same_form = !name.starts_with("avc-adts") && !name.starts_with("vp8");
    let demuxer = open_bytes(bytes);
    compare(name, source, &tracks(&demuxer), same_form, fragmented);
    if !probe {
        return;
    }
    let streams = ffprobe(&file);
    assert_eq!(streams.len(), source.len(), "{name}");
    for ((fields, packets), (track, want)) in streams.iter().zip(source) {
        if !is_pcm(track) {
            assert_eq!(*packets, want.len(), "{name}: {fields:?}");
        }
        assert!(fields.contains_key("codec_name"), "{name}: {fields:?}");
    }
}

#[test]
fn progressive_files_with_the_index_in_front_or_behind_are_read_back() {
    for (name, source) in sources() {
        for fast_start in [true, false] {
            let muxer = Mp4Muxer::new(options(false, fast_start));
            let bytes = to_memory(source, muxer, true);
            let front = bytes.windows(4).position(|w| w == b"moov");
            let media = bytes.windows(4).position(|w| w == b"mdat");
            assert_eq!(front < media, fast_start, "{name}");
            check(
                &format!("{name} {fast_start}"),
                source,
                bytes,
                false,
                fast_start,
            );
        }
        let streamed = to_stream(source, Mp4Muxer::new(options(false, false)), true);
        check(&format!("{name} streamed"), source, streamed, false, false);
    }
}

#[test]
fn fragments_are_read_back_with_each_kind_of_index() {
    for (name, source) in sources() {
        for index in [
            FragmentIndex::None,
            FragmentIndex::Mfra,
            FragmentIndex::Sidx,
        ] {
            let muxer = || Mp4Muxer::new(options(true, true)).with_fragment_index(index);
            let bytes = to_memory(source, muxer(), true);
            let probe = index == FragmentIndex::Mfra;
            check(
                &format!("{name} {index:?}"),
                source,
                bytes.clone(),
                true,
                probe,
            );
            let read = tracks(&open_bytes(bytes.clone()));
            let ends = |packets: &[Packet]| {
                let end = |p: &Packet| p.chunk.timestamp.checked_add_unsigned(p.chunk.duration?);
                packets.iter().filter_map(end).max()
            };
            for (track, packets) in &read {
                let duration = track.duration.map(u64::cast_signed);
                assert_eq!(duration, ends(packets), "{name} {index:?}");
            }
            if index != FragmentIndex::Sidx {
                assert_eq!(to_stream(source, muxer(), true), bytes, "{name}");
                continue;
            }
            // Its times are those that are shown, whatever the edit list leaves out.
            let pictures =
                |(track, _): &&(Track, Vec<Packet>)| matches!(track.kind, TrackKind::Video { .. });
            let (_, counted) = read.iter().find(pictures).unwrap_or(&read[0]);
            let first = counted.iter().map(|p| p.chunk.timestamp.max(0)).min();
            let (start, end) = sidx_times(&bytes);
            for (real, said) in [(first, start), (ends(counted), end)] {
                // Ticks are rounded.
                let apart = real.map(|real| real.abs_diff(said));
                assert!(apart.is_some_and(|apart| apart <= 1), "{name}: {apart:?}");
            }
        }
    }
}

/// When the presentation that the `sidx` box indexes starts and ends, in microseconds.
fn sidx_times(bytes: &[u8]) -> (i64, i64) {
    let at = bytes.windows(4).position(|w| w == b"sidx").expect("sidx");
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (scale, start) = (word(at + 12), word(at + 20));
    let count = word(at + 32) as usize;
    let lengths = (0..count).map(|index| word(at + 40 + 12 * index));
    let micros = |ticks: u32| i64::from(ticks) * 1_000_000 / i64::from(scale);
    (micros(start), micros(start + lengths.sum::<u32>()))
}

#[test]
fn decode_times_that_nobody_gives_are_those_of_the_encoder() {
    for (name, source) in sources() {
        let bytes = to_memory(source, Mp4Muxer::new(options(false, true)), false);
        check(&format!("{name} times"), source, bytes, false, false);
    }
}

#[test]
fn short_fragments_are_no_longer_than_asked_for() {
    let source = example("h264-fragmented.mp4");
    let keys = source[0]
        .1
        .iter()
        .filter(|p| p.chunk.kind == reelcore_media::ChunkKind::Key);
    let keys = keys.count();
    let short = MuxOptions {
        fragment_duration: Duration::ZERO,
        ..options(true, true)
    };
    let bytes = to_memory(&source, Mp4Muxer::new(short), true);
    let fragments = bytes.windows(4).filter(|w| *w == b"moof").count();
    assert_eq!(fragments, keys, "one for each group of pictures");
}
