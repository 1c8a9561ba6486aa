//! Jobs between containers: files whose pictures change their size, and native FLAC and MP3.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::FileSink;
use reelcore_media::demux::{Packet, Track, TrackKind};
use reelcore_media::mux::{MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{Rotation, Size};
use reelcore_transcode::JobError;
use serde_json::json;

fn packets(path: &Path) -> (Track, Vec<Packet>) {
    let demuxer = open(path);
    let track = demuxer.tracks()[0].clone();
    let mut reader = demuxer.reader(0).expect("a track");
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_sample().expect("a packet") {
        packets.push(packet);
    }
    (track, packets)
}

/// Ten pictures of 128x96 and ten of 96x48, each for 40 ms.
fn parts() -> [PathBuf; 2] {
    ["128x96", "96x48"].map(|size| {
        made(
            &format!(
                "-f lavfi -i testsrc2=size={size}:rate=25:duration=0.4 -c:v libx264 -bf 2 -pix_fmt yuv420p"
            ),
            &format!("transcode-part-{size}.mp4"),
        )
    })
}

/// Adds a track of pictures that are coded as those of `track`.
fn add_pictures(muxer: &mut Mp4Muxer, track: &Track, kind: OutputKind) {
    let track = OutputTrack {
        kind,
        codec: track.codec.clone().expect("a codec"),
        description: track.description.clone(),
        language: None,
        name: None,
    };
    muxer.add_track(track).expect("H.264");
}

/// Both in one track, in the order of `order`.
fn changing(folder: &Path, order: &[usize], fragmented: bool) -> PathBuf {
    let path = folder.join("changing.mp4");
    let clips = parts().map(|path| packets(&path));
    let mut sink = FileSink::create(&path).expect("a file");
    let mut muxer = Mp4Muxer::new(MuxOptions {
        fragmented,
        ..MuxOptions::default()
    });
    let track = &clips[order[0]].0;
    let TrackKind::Video { coded_size, .. } = track.kind else {
        panic!("pictures");
    };
    let kind = OutputKind::Video {
        coded_size,
        display_aspect: None,
        rotation: Default::default(),
        flip: false,
        color_space: Default::default(),
        framerate: Some(25.0),
        alpha: false,
    };
    add_pictures(&mut muxer, track, kind);
    for (at, &part) in order.iter().enumerate() {
        let (track, packets) = &clips[part];
        let start = at as i64 * 400_000;
        for (index, packet) in packets.iter().enumerate() {
            let mut out = OutputPacket::new(packet.chunk.clone());
            out.chunk.timestamp += start;
            out.decode_time = Some(packet.decode_time + start);
            if at > 0 && index == 0 {
                out.description = track.description.clone();
            }
            muxer.write(0, out, &mut sink).expect("written");
        }
    }
    muxer.finish(&mut sink).expect("finished");
    sink.finish().expect("a file");
    path
}

#[test]
fn pictures_that_change_their_size_in_one_track_are_brought_to_the_first() {
    let want =
        parts().map(|path| pictures(&path, (128, 96), "yuv420p", "scale=128:64,pad=128:96:0:16"));
    let whole = pictures(&parts()[0], (128, 96), "yuv420p", "");
    for fragmented in [false, true] {
        let folder = folder();
        let source = changing(folder.path(), &[0, 1, 0], fragmented);
        let out = folder.path().join("out.mkv");
        done(json!({
            "version": 1, "inputs": { "in": { "path": source } },
            "outputs": [{ "path": out, "streams": [lossless("in:video")] }],
        }));
        assert_eq!(
            ffprobe(&out, "stream=codec_name,width,height,nb_read_frames"),
            "vp9,128,96,30"
        );
        let got = pictures(&out, (128, 96), "yuv420p", "");
        for frame in 0..10 {
            for at in [frame, 20 + frame] {
                let value = psnr(&got.plane(at, 0), &whole.plane(frame, 0), 8);
                assert!(value > 50.0, "picture {at}: {value:.1} dB");
            }
            let value = psnr(&got.plane(10 + frame, 0), &want[1].plane(frame, 0), 8);
            assert!(value > 26.0, "picture {}: {value:.1} dB", 10 + frame);
        }
        for (got, want) in times(&out).iter().zip(0..30) {
            assert!((got - f64::from(want) * 0.04).abs() < 0.0015, "{got}");
        }
        // From within the second size on, that is the first.
        let late = folder.path().join("late.mkv");
        done(json!({
            "version": 1, "inputs": { "in": { "path": source, "from": 0.5 } },
            "outputs": [{ "path": late, "streams": [lossless("in:video")] }],
        }));
        assert_eq!(ffprobe(&late, "stream=width,height"), "96,48");
    }
}

#[test]
fn a_copy_keeps_where_the_configuration_changes() {
    for fragmented in [false, true] {
        let folder = folder();
        let source = changing(folder.path(), &[0, 1], fragmented);
        let streams = json!([{ "video": { "codec": "copy" } }]);
        let out = folder.path().join("copy.mp4");
        done(json!({
            "version": 1, "inputs": { "in": { "path": source } },
            "outputs": [{ "path": out, "streams": streams }],
        }));
        let (want, got) = (packets(&source), packets(&out));
        assert_eq!(got.0.config(), want.0.config());
        assert_eq!(got.1.len(), 20);
        for (at, (want, got)) in want.1.iter().zip(&got.1).enumerate() {
            assert_eq!(got.config, want.config, "packet {at}");
            assert_eq!(got.config.is_some(), at == 10);
            assert_eq!(got.chunk.timestamp, want.chunk.timestamp);
        }
    }
}

#[test]
fn sound_is_written_as_flac_sample_by_sample() {
    let folder = folder();
    let (wav, flac) = (folder.path().join("a.wav"), folder.path().join("a.flac"));
    done(json!({
        "version": 1, "inputs": { "clip": { "path": clip(), "to": 1.5 } },
        "outputs": [{ "path": wav }, { "path": flac }],
    }));
    let read = |path: &Path| samples(path, "");
    let (want, got) = (read(&wav), read(&flac));
    assert_eq!(got.len(), 2 * 72_000);
    // Both round to 16 bits.
    let off = |(a, b): (&f32, &f32)| (a - b).abs() > 1.5 / 32_768.0;
    assert!(!want.iter().zip(&got).any(off) && want.len() == got.len());
    assert_eq!(
        ffprobe(&flac, "stream=codec_name,sample_rate,channels,duration"),
        "flac,48000,2,1.500000"
    );
    // And from FLAC to FLAC as it is.
    let copy = folder.path().join("copy.flac");
    done(json!({
        "version": 1, "inputs": { "in": { "path": flac } },
        "outputs": [{ "path": copy, "streams": [{ "audio": { "codec": "copy" } }] }],
    }));
    assert_eq!(packets(&copy).1.len(), packets(&flac).1.len());
    assert!(read(&copy) == got);
}

#[test]
fn an_mp3_track_is_copied_to_a_file_of_its_own_without_a_gap() {
    let source = made(
        "-f lavfi -i testsrc2=size=64x48:rate=25:duration=1.3 -f lavfi -i sine=frequency=440:sample_rate=44100:duration=1.3 \
         -c:v libx264 -pix_fmt yuv420p -c:a libmp3lame -b:a 96k",
        "transcode-mp3.mp4",
    );
    let folder = folder();
    let out = folder.path().join("out.mp3");
    done(json!({
        "version": 1, "inputs": { "in": { "path": source } },
        "outputs": [{ "path": out, "streams": [{ "audio": { "codec": "copy" } }] }],
    }));
    assert_eq!(
        ffprobe(&out, "stream=codec_name,sample_rate,channels"),
        "mp3,44100,1"
    );
    let (want, got) = (samples(&source, ""), samples(&out, ""));
    assert_eq!(got.len(), 57_330);
    // Of MP4, FFmpeg leaves a part of what the encoder put behind.
    assert!(
        want.starts_with(&got),
        "the same samples at the same places"
    );
    // Without LAME in the build nothing encodes it, and the job says where that stands.
    let error = refused(json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [{ "path": folder.path().join("other.mp3") }],
    }));
    assert!(
        matches!(&error, JobError::Spec { path, .. } if path == "outputs[0].streams[0].audio.codec"),
        "{error:?}"
    );
}

/// Ten pictures of 64x48 in pixels that are twice as wide as high, which are turned by `rotation`, and mirrored then if `flip` is set.
fn turned(folder: &Path, rotation: Rotation, flip: bool) -> PathBuf {
    let (track, samples) = packets(&made(
        "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4 -c:v libx264 -profile:v main -pix_fmt yuv420p",
        "transcode-turned.mp4",
    ));
    let source = folder.join("turned.mp4");
    let mut sink = FileSink::create(&source).expect("a file");
    let mut muxer = Mp4Muxer::new(MuxOptions::default());
    let kind = OutputKind::Video {
        coded_size: Size::new(64, 48),
        display_aspect: Some(Size::new(128, 48)),
        rotation,
        flip,
        color_space: Default::default(),
        framerate: None,
        alpha: false,
    };
    add_pictures(&mut muxer, &track, kind);
    for packet in samples {
        let mut out = OutputPacket::new(packet.chunk);
        out.decode_time = Some(packet.decode_time);
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.finish().expect("a file");
    source
}

#[test]
fn a_copy_does_not_lose_how_its_pictures_are_turned() {
    let folder = folder();
    for (rotation, flip, said) in [
        (Rotation::R0, false, None),
        (Rotation::R90, false, Some("turned by 90 degrees")),
        (Rotation::R0, true, Some("mirrored")),
    ] {
        let source = turned(folder.path(), rotation, flip);
        for name in ["a.ts", "a.mkv", "a.mp4"] {
            let out = folder.path().join(name);
            let _ = std::fs::remove_file(&out);
            let copy = json!({
                "version": 1, "inputs": { "in": { "path": source } },
                "outputs": [{ "path": out, "streams": [{ "video": { "codec": "copy" } }] }],
            });
            match said.filter(|_| name == "a.ts") {
                Some(said) => {
                    let error = refused(copy);
                    assert!(
                        matches!(&error, JobError::Spec { path, message }
                            if path == "outputs[0].streams[0].video.codec" && message.contains(said)),
                        "{error:?}"
                    );
                }
                None => {
                    done(copy);
                    let TrackKind::Video {
                        rotation: got,
                        flip: mirrored,
                        ..
                    } = packets(&out).0.kind
                    else {
                        panic!("pictures");
                    };
                    assert_eq!((got, mirrored), (rotation, flip), "{name}");
                }
            }
        }
    }
}

#[test]
fn pictures_stand_upright_in_containers_that_cannot_say_how_to_turn_them() {
    let folder = folder();
    let source = turned(folder.path(), Rotation::R90, false);
    for (name, codec) in [("a.ts", "h264"), ("a.ivf", "vp8")] {
        let out = folder.path().join(name);
        done(json!({
            "version": 1, "inputs": { "in": { "path": source } },
            "outputs": [{ "path": out, "streams": [{ "video": { "codec": codec } }] }],
        }));
        let TrackKind::Video { coded_size, .. } = packets(&out).0.kind else {
            panic!("pictures");
        };
        assert_eq!((coded_size.width, coded_size.height), (48, 128), "{name}");
        // What FFmpeg turns by itself when it decodes.
        let (got, want) = (
            pictures(&out, (48, 128), "yuv420p", ""),
            pictures(&source, (48, 128), "yuv420p", "scale=48:128"),
        );
        let value = psnr(&got.plane(5, 0), &want.plane(5, 0), 8);
        assert!(value > 22.0, "{name}: {value:.1} dB");
    }
}

#[test]
fn the_language_and_name_of_a_track_and_the_title_of_a_file_are_kept() {
    let source = made(
        "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.4 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a aac -metadata:s:a:0 language=fra -metadata:s:a:0 title=Doublage -metadata title=Fern \
         -metadata artist=Nobody",
        "transcode-named.mp4",
    );
    let folder = folder();
    let out = folder.path().join("out.mkv");
    done(json!({
        "version": 1, "inputs": { "in": { "path": source } },
        "filters": { "quiet": { "volume": { "input": "in:audio", "gain": 0.5 } } },
        "outputs": [{ "path": out, "tags": { "artist": "Somebody" }, "streams": [
            { "video": { "codec": "vp8" } }, { "audio": { "source": "quiet" } },
        ] }],
    }));
    assert_eq!(packets(&out).0.language.as_deref().unwrap_or("und"), "und");
    assert_eq!(open(&out).tracks()[1].language.as_deref(), Some("fra"));
    assert_eq!(open(&out).tracks()[0].name, None);
    assert_eq!(open(&out).tracks()[1].name.as_deref(), Some("Doublage"));
    let tags = open(&out).tags().to_vec();
    let said = |name: &str| {
        tags.iter()
            .find(|tag| tag.0 == name)
            .map(|tag| tag.1.as_str())
    };
    assert_eq!(
        (said("title"), said("artist")),
        (Some("Fern"), Some("Somebody"))
    );
    // Of several files none speaks for the whole, and what is empty is left out.
    let both = folder.path().join("both.mkv");
    let none = folder.path().join("none.mkv");
    let streams = json!([{ "audio": { "codec": "opus" } }]);
    done(json!({
        "version": 1, "inputs": { "in": { "concat": [{ "path": source }, { "path": clip() }] } },
        "outputs": [{ "path": both, "streams": streams }],
    }));
    done(json!({
        "version": 1, "inputs": { "in": { "path": source } },
        "outputs": [{ "path": none, "streams": streams, "tags": { "title": "" } }],
    }));
    assert!(open(&both).tags().iter().all(|tag| tag.0 != "title"));
    assert!(open(&none).tags().iter().all(|tag| tag.0 != "title"));
}

#[test]
fn sound_of_low_rates_keeps_its_rate_at_a_lower_bit_rate() {
    for rate in [8000, 11_025] {
        let source = made(
            &format!("-f lavfi -i sine=frequency=440:sample_rate={rate}:duration=1 -c:a pcm_s16le"),
            &format!("transcode-{rate}.wav"),
        );
        let folder = folder();
        for stream in [
            json!({ "codec": "aac" }),
            json!({ "codec": "aac", "sampleRate": rate }),
        ] {
            let out = folder
                .path()
                .join(format!("{}.mp4", stream.as_object().map_or(0, |s| s.len())));
            done(json!({
                "version": 1, "inputs": { "in": { "path": source } },
                "outputs": [{ "path": out, "streams": [{ "audio": stream }] }],
            }));
            assert_eq!(
                ffprobe(&out, "stream=sample_rate"),
                rate.to_string(),
                "{stream}"
            );
        }
    }
}

/// Bits of a sample of the first track of sound.
fn depth(path: &Path) -> String {
    ffprobe(path, "stream=codec_name,bits_per_raw_sample,sample_rate")
}

#[test]
fn flac_has_one_depth_from_its_beginning_to_its_end() {
    let made = |args: &str, name: &str| made(&format!("-f lavfi -i {args}"), name);
    let narrow = made(
        "sine=frequency=440:sample_rate=48000:duration=1 -c:a pcm_s16le",
        "transcode-narrow.wav",
    );
    let low = made(
        "sine=frequency=440:sample_rate=44100:duration=1 -c:a pcm_s16le",
        "transcode-low.wav",
    );
    // 24 bits, of which the low ones are 0 at first.
    let late = made(
        "aevalsrc=exprs=if(lt(t\\,0.7)\\,floor(8192*sin(2000*t))/32768\\,0.3*sin(1234*t)):s=48000:d=1.5 -c:a pcm_s24le",
        "transcode-late.wav",
    );
    let folder = folder();
    let fade =
        json!({ "f": { "fade": { "input": "in:audio", "direction": "out", "duration": 0.3 } } });
    let none = json!({});
    for (name, input, filters, source, want) in [
        ("narrow", json!({ "path": narrow }), &none, "in:audio", "16"),
        ("late", json!({ "path": late }), &none, "in:audio", "24"),
        ("fade", json!({ "path": narrow }), &fade, "f", "24"),
        (
            "alike",
            json!({ "concat": [{ "path": narrow }, { "path": narrow }] }),
            &none,
            "in:audio",
            "16",
        ),
        (
            "deeper",
            json!({ "concat": [{ "path": narrow }, { "path": late }] }),
            &none,
            "in:audio",
            "24",
        ),
        (
            "slower",
            json!({ "concat": [{ "path": narrow }, { "path": low }] }),
            &none,
            "in:audio",
            "24",
        ),
    ] {
        for extension in ["flac", "mp4", "mkv", "ogg"] {
            let out = folder.path().join(format!("{name}.{extension}"));
            done(json!({
                "version": 1, "inputs": { "in": input }, "filters": filters,
                "outputs": [{ "path": out, "streams": [{ "audio": { "source": source, "codec": "flac" } }] }],
            }));
            assert_eq!(
                depth(&out),
                format!("flac,48000,{want}"),
                "{name}.{extension}"
            );
        }
    }
    // What is whole loses nothing.
    let want = samples(&late, "");
    assert!(samples(&folder.path().join("late.flac"), "") == want);
    let both = samples(&folder.path().join("deeper.flac"), "");
    assert!(both[..48_000] == samples(&narrow, "")[..] && both[48_000..] == want[..]);
}

#[test]
fn pixels_that_are_not_square_keep_their_exact_ratio_when_they_are_encoded() {
    let folder = folder();
    for (size, ratio) in [
        ("720x480", "32:27"),
        ("704x480", "40:33"),
        ("176x144", "160:99"),
    ] {
        let filter = format!("setsar={}:max=1000", ratio.replace(':', "/"));
        let args = format!(
            "-f lavfi -i testsrc2=size={size}:rate=25:duration=0.2 -vf {filter} -c:v libx264 -pix_fmt yuv420p"
        );
        let source = made(&args, &format!("transcode-pixels-of-{size}.mp4"));
        for name in ["a.mp4", "b.mp4", "c.mp4"] {
            let out = folder.path().join(format!("{size}-{name}"));
            let container = if name == "b.mp4" { "fmp4" } else { "mp4" };
            let streams =
                json!([{ "video": { "codec": if name == "c.mp4" { "copy" } else { "h264" } } }]);
            done(json!({
                "version": 1, "inputs": { "in": { "path": source } },
                "outputs": [{ "path": out, "container": container, "streams": streams }],
            }));
            assert_eq!(
                ffprobe(&out, "stream=sample_aspect_ratio"),
                ratio,
                "{size} {name}"
            );
        }
        // WebM has no ratio, only a size in whole pixels.
        let out = folder.path().join(format!("{size}.webm"));
        done(
            json!({ "version": 1, "inputs": { "in": { "path": source } }, "outputs": [{ "path": out }] }),
        );
        let TrackKind::Video {
            display_aspect,
            coded_size,
            ..
        } = packets(&out).0.kind
        else {
            panic!("pictures");
        };
        let (w, h) = ratio.split_once(':').expect("a ratio");
        let shown = coded_size.with_sample_aspect((w.parse().unwrap(), h.parse().unwrap()));
        assert_eq!(display_aspect, shown, "{size}");
    }
}

#[test]
fn wide_and_tall_pictures_have_a_level_that_allows_their_sides() {
    let folder = folder();
    for size in ["1920x64", "64x1920"] {
        let args = format!(
            "-f lavfi -i testsrc2=size={size}:rate=25:duration=0.2 -c:v libx264 -pix_fmt yuv420p"
        );
        let source = made(&args, &format!("transcode-{size}.mp4"));
        let out = folder.path().join(format!("{size}.mp4"));
        done(
            json!({ "version": 1, "inputs": { "in": { "path": source } }, "outputs": [{ "path": out }] }),
        );
        let probed = ffprobe(&out, "stream=width,height,level");
        assert_eq!(probed, size.replace('x', ",") + ",31");
    }
}

/// How many samples the description of FLAC says, whether it has a checksum of them, and all packets of the file.
fn counted(path: &Path) -> (u64, bool, Vec<bytes::Bytes>) {
    let (track, all) = packets(path);
    let description = track.description.expect("STREAMINFO");
    let info = &description[8..42];
    let packed = u64::from_be_bytes(info[10..18].try_into().expect("8 bytes"));
    let checked = info[18..].iter().any(|&byte| byte != 0);
    let data = all.into_iter().map(|packet| packet.chunk.data).collect();
    (packed & ((1 << 36) - 1), checked, data)
}

#[test]
fn a_copy_of_a_part_of_flac_does_not_claim_the_samples_of_the_whole() {
    let folder = folder();
    let source = made(
        "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=3 -c:a flac",
        "transcode-three-seconds.flac",
    );
    let (all, _, whole) = counted(&source);
    assert_eq!(all, 3 * 44_100);
    for name in ["a.ogg", "a.mka", "a.mp4", "a.flac"] {
        let copy = |to: Option<u32>| {
            let out = folder
                .path()
                .join(format!("{}{name}", to.unwrap_or_default()));
            let mut job = json!({
                "version": 1, "inputs": { "in": { "path": source } },
                "outputs": [{ "path": out, "streams": [{ "audio": { "codec": "copy" } }] }],
            });
            if let Some(to) = to {
                job["inputs"]["in"]["to"] = json!(to);
            }
            done(job);
            counted(&out)
        };
        for to in [None, Some(3), Some(4)] {
            assert_eq!(copy(to), (all, true, whole.clone()), "{name} to {to:?}");
        }
        let (samples, checked, data) = copy(Some(1));
        assert!(
            whole.starts_with(&data) && data.len() < whole.len(),
            "{name}"
        );
        // FLAC's own container is counted when it is complete; the others have their own length.
        let kept = if name == "a.flac" {
            data.len() as u64 * 4608
        } else {
            0
        };
        assert_eq!((samples, checked), (kept, false), "{name}");
    }
}
