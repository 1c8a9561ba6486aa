//! Sample entries of MP4 that is written: what the stream itself says, and changes in mid-stream.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::sync::Arc;

use mp4::fragmented;
use muxed::{ffprobe, open_bytes, save, tracks};
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::MemorySink;
use reelcore_containers::open;
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket};

#[test]
fn a_change_of_the_description_gets_a_second_sample_entry() {
    let clips = ["64x48", "96x64"].map(|size| {
        let input = format!("testsrc2=size={size}:rate=25:duration=0.4,format=yuv420p");
        let path = made::ffmpeg(
            &format!("avc-{size}.mp4"),
            &[
                "-f",
                "lavfi",
                "-i",
                &input,
                "-c:v",
                "libx264",
                "-x264-params",
                "log-level=error",
            ],
        );
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        tracks(&open(Arc::new(source)).expect("a clip")).remove(0)
    });
    for options in [MuxOptions::default(), fragmented()] {
        let mut sink = MemorySink::default();
        let mut muxer = Mp4Muxer::new(options);
        muxer
            .add_track(muxed::output_track(&clips[0].0).expect("H.264"))
            .expect("H.264");
        let mut start = 0;
        for (track, packets) in &clips {
            for (index, packet) in packets.iter().enumerate() {
                let mut out = OutputPacket::new(packet.chunk.clone());
                out.chunk.timestamp += start;
                out.decode_time = Some(packet.decode_time + start);
                if index == 0 && start > 0 {
                    out.description = track.description.clone();
                }
                muxer.write(0, out, &mut sink).expect("written");
            }
            start = 1_000_000;
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        assert_eq!(bytes.windows(4).filter(|w| *w == b"avcC").count(), 2);
        let streams = ffprobe(&save("changed.mp4", &bytes));
        assert_eq!(streams[0].1, 20);
        // Ours reads up to the change, and says where it is.
        let demuxer = open_bytes(bytes);
        let mut reader = demuxer.reader(0).expect("a track");
        for _ in 0..10 {
            assert!(reader.next_packet().expect("a packet").is_some());
        }
        let error = reader.next_packet().expect_err("a change");
        assert!(error.to_string().contains("number 2"), "{error}");
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
