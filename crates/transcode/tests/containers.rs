//! Jobs between containers: files whose pictures change their size, and native FLAC and MP3.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::FileSink;
use reelcore_media::demux::{Packet, Track, TrackKind};
use reelcore_media::mux::{MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack};
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
    muxer
        .add_track(OutputTrack {
            kind,
            codec: track.codec.clone().expect("a codec"),
            description: track.description.clone(),
            language: None,
            name: None,
        })
        .expect("H.264");
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
