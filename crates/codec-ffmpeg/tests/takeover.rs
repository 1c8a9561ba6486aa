//! Streams that libavcodec and another decoder decode together: each goes on where the other one does not.

mod common;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_codec_openh264::OpenH264;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::Family;
use reelcore_conformance::video::checksums;
use reelcore_engine::{ControlQueue, Delivery, Engine, Options, VideoDecode};
use reelcore_media::h264::{Nal, NalKind, Pps, Sps};
use reelcore_media::{
    EncodedChunk, PixelFormat, Registry, SideData, VideoDecoderConfig, VideoFrame,
};

/// The frames of `chunks` through the engine, up to the first error.
fn run(
    registry: Registry,
    config: &VideoDecoderConfig,
    chunks: &[EncodedChunk],
) -> (Vec<VideoFrame>, Option<String>) {
    let engine = Engine::new(Options::default());
    let (wake, woken) = mpsc::channel();
    let wake = move || {
        let _ = wake.send(());
    };
    let mut queue = ControlQueue::<VideoDecode>::new(&engine, registry, wake);
    queue.configure(config.clone()).expect("configures");
    for chunk in chunks {
        queue.enqueue(chunk.clone()).expect("takes it");
    }
    queue.flush().expect("takes it");
    let mut frames = Vec::new();
    loop {
        match queue.next_event() {
            Some(Delivery::Output(frame)) => frames.push(frame),
            Some(Delivery::Flushed(_)) => return (frames, None),
            Some(Delivery::Failed { error, .. }) => return (frames, Some(error.to_string())),
            Some(_) => {}
            None => {
                let news = woken.recv_timeout(Duration::from_secs(20));
                news.expect("the decoder answers");
                queue.poll();
            }
        }
    }
}

fn h264() -> Registry {
    Registry::new()
        .with_video_decoder(FFMPEG)
        .with_video_decoder(OpenH264)
}

/// The sequence parameter set without usability information, which says how much is reordered.
fn without_vui(nal: &[u8]) -> Vec<u8> {
    let sps = Sps::parse(&Nal::new(0, nal).unwrap()).unwrap();
    let bits: String = sps.rbsp.iter().map(|byte| format!("{byte:08b}")).collect();
    // frame_cropping_flag, vui_parameters_present_flag, the stop bit.
    assert_eq!(&bits[sps.body.end..][..1], "0", "no cropping");
    let kept = format!("{}001", &bits[..sps.body.end]);
    nal_of_bits(&nal[..1], kept)
}

/// `clip` in chunks that start at second `at`, the sets of which say nothing of reordering if `bare`.
fn part(clip: &Clip, at: i64, bare: bool) -> Vec<EncodedChunk> {
    let chunks = clip.chunks.iter().cloned().map(|mut chunk| {
        chunk.timestamp += at * 1_000_000;
        if bare {
            let units = nals(&chunk.data).into_iter();
            let units: Vec<_> = units
                .map(|nal| match Nal::new(0, &nal).unwrap().kind {
                    NalKind::Sps => without_vui(&nal),
                    _ => nal,
                })
                .collect();
            chunk.data = annexb(&units);
        }
        chunk
    });
    chunks.collect()
}

fn encoded(name: &str, pix_fmt: &str, args: &[&str], params: &str) -> Clip {
    let params = format!("scenecut=0:bframes=0:keyint=5:{params}");
    let args = [args, &["-x264-params", &params]].concat();
    clip(name, Family::H264, 10, pix_fmt, pix_fmt, &args)
}

/// With a low delay OpenH264 is better where a stream does not say how much it reorders; it has 4:2:0 of 8 bits alone.
#[test]
fn h264_goes_on_with_the_other_decoder_where_its_sets_change() {
    let baseline = encoded(
        "t-base.264",
        "yuv420p",
        &["-profile:v", "baseline"],
        "ref=1",
    );
    let main = encoded("t-main.264", "yuv420p", &["-profile:v", "main"], "ref=2");
    let high = encoded("t-422.264", "yuv422p10le", &[], "ref=2");
    let mut config = baseline.config.clone();
    config.optimize_for_latency = true;
    let parts = [
        (&baseline, false),
        (&main, true),
        (&high, false),
        (&main, true),
        (&baseline, false),
    ];
    let mut chunks = Vec::new();
    let mut want = Vec::new();
    for (second, (clip, bare)) in parts.into_iter().enumerate() {
        chunks.extend(part(clip, second as i64, bare));
        want.extend(clip.md5.clone());
    }
    let (frames, error) = run(h264(), &config, &chunks);
    assert_eq!(error, None, "after {} frames", frames.len());
    assert_eq!(checksums(&frames), want);
    let times: Vec<_> = frames.iter().map(|frame| frame.timestamp).collect();
    let sent: Vec<_> = chunks.iter().map(|chunk| chunk.timestamp).collect();
    assert_eq!(times, sent);
}

#[test]
fn h264_that_may_be_reordered_after_some_that_may_not_stays_with_libavcodec_where_no_other_has_it()
{
    let baseline = encoded(
        "t-base.264",
        "yuv420p",
        &["-profile:v", "baseline"],
        "ref=1",
    );
    let high = encoded("t-422.264", "yuv422p10le", &[], "ref=2");
    let mut config = baseline.config.clone();
    config.optimize_for_latency = true;
    let chunks = [part(&baseline, 0, false), part(&high, 1, true)].concat();
    for registry in [Registry::new().with_video_decoder(FFMPEG), h264()] {
        let (frames, error) = run(registry, &config, &chunks);
        assert_eq!(error, None, "after {} frames", frames.len());
        let want = [&baseline.md5[..], &high.md5].concat();
        assert_eq!(checksums(&frames), want);
    }
}

#[test]
fn hevc_goes_on_with_libavcodec_where_rusty_h265_does_not_decode_it() {
    let main = x265("t-main.265", 10, "bframes=2:keyint=5");
    let params = ["-x265-params", "log-level=error:pools=1:bframes=2"];
    let high = clip(
        "t-422.265",
        Family::H265,
        10,
        "yuv422p10le",
        "yuv422p10le",
        &params,
    );
    let registry = Registry::new()
        .with_video_decoder(Hevc)
        .with_video_decoder(FFMPEG);
    let chunks = [
        part(&main, 0, false),
        part(&high, 1, false),
        part(&main, 2, false),
    ];
    let (frames, error) = run(registry, &main.config, &chunks.concat());
    assert_eq!(error, None, "after {} frames", frames.len());
    let want = [&main.md5[..], &high.md5, &main.md5].concat();
    assert_eq!(checksums(&frames), want);
}

#[test]
fn parameter_sets_of_earlier_chunks_are_handed_over() {
    let first = encoded(
        "t-base.264",
        "yuv420p",
        &["-profile:v", "baseline"],
        "ref=1",
    );
    let main = ["-profile:v", "main"];
    let second = encoded("t-main-1.264", "yuv420p", &main, "ref=2:sps-id=1");
    let third = encoded("t-422-2.264", "yuv422p10le", &[], "ref=2:sps-id=2");
    let (mut sets, mut chunks, mut want) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (clip, bare)) in [(&first, false), (&second, true), (&third, false)]
        .into_iter()
        .enumerate()
    {
        for mut chunk in part(clip, at as i64, bare) {
            let units = nals(&chunk.data).into_iter();
            let is_set = |nal: &Vec<u8>| matches!(nal[0] & 0x1f, 7 | 8);
            let (new, rest): (Vec<_>, Vec<_>) = units.partition(is_set);
            sets.extend(new);
            chunk.data = annexb(&rest);
            chunks.push(chunk);
        }
        want.extend(clip.md5.clone());
    }
    // All of them before the first picture.
    sets.sort();
    sets.dedup();
    chunks[0].data = [annexb(&sets), chunks[0].data.clone()].concat().into();
    let mut config = first.config.clone();
    config.optimize_for_latency = true;
    let (frames, error) = run(h264(), &config, &chunks);
    assert_eq!(error, None, "after {} frames", frames.len());
    assert_eq!(checksums(&frames), want);
}

/// Picture parameter set 5, with two slice groups, which libavcodec cannot read and no picture here uses.
const SLICE_GROUPS: [u8; 5] = [0x68, 0b0011_0100, 0b0101_1111, 0b0001_1110, 0b0100_0000];

#[test]
fn sets_with_slice_groups_that_nobody_uses_lose_no_picture() {
    let nal = Nal::new(0, &SLICE_GROUPS).unwrap();
    let set = Pps::parse(&nal).unwrap();
    assert_eq!((set.id, set.sps_id, set.slice_groups), (5, 0, 2));
    let main = encoded("t-main.264", "yuv420p", &["-profile:v", "main"], "ref=2");
    let other = encoded("t-422.264", "yuv422p10le", &[], "ref=2");
    let with_set = |mut chunks: Vec<EncodedChunk>| {
        let mut units = nals(&chunks[0].data);
        let slice = units.iter().position(|nal| nal[0] & 0x1f == 5).unwrap();
        units.insert(slice, SLICE_GROUPS.to_vec());
        chunks[0].data = annexb(&units);
        chunks
    };
    // OpenH264 decodes the first part, as libavcodec does not know how much is reordered.
    let chunks = [with_set(part(&main, 0, true)), part(&other, 1, false)].concat();
    let mut config = main.config.clone();
    config.optimize_for_latency = true;
    let (frames, error) = run(h264(), &config, &chunks);
    assert_eq!(error, None, "after {} frames", frames.len());
    assert_eq!(checksums(&frames), [&main.md5[..], &other.md5].concat());
    // libavcodec decodes all of it, also in a chunk of the set alone.
    let mut alone = chunks[0].clone();
    alone.data = annexb(&[SLICE_GROUPS.to_vec()]);
    let chunks = [vec![alone], with_set(part(&main, 0, false))].concat();
    let (frames, error) = decode(&mut *start(&main.config, 1), &chunks);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(checksums(&frames), main.md5);
}

#[test]
fn alpha_that_starts_at_a_later_key_picture_goes_on_with_libvpx() {
    let args = ["-g", "4", "-b:v", "200k"];
    let vp8 = clip(
        "t-alpha.vp8.ivf",
        Family::Vp8,
        12,
        "yuv420p",
        "yuv420p",
        &args,
    );
    let registry = || {
        Registry::new()
            .with_video_decoder(FFMPEG)
            .with_video_decoder(Vpx)
    };
    let mut chunks = vp8.chunks.clone();
    for chunk in &mut chunks[4..] {
        // The picture's own luma.
        chunk.side = Some(Arc::new(SideData {
            alpha: Some(chunk.data.clone()),
            ..SideData::default()
        }));
    }
    let (frames, error) = run(registry(), &vp8.config, &chunks);
    assert_eq!(error, None, "after {} frames", frames.len());
    let formats: Vec<_> = frames.iter().map(|frame| frame.format.unwrap()).collect();
    let want = [[PixelFormat::I420; 4].as_slice(), &[PixelFormat::I420A; 8]].concat();
    assert_eq!(formats, want);
    let (opaque, error) = run(registry(), &vp8.config, &vp8.chunks);
    assert_eq!(error, None);
    assert_eq!(frames[0].color_space, frames[11].color_space);
    for (frame, opaque) in frames.iter().zip(&opaque) {
        assert_eq!(frame.timestamp, opaque.timestamp);
        let (with, without) = (
            frame.resource.read_back().unwrap(),
            opaque.resource.read_back().unwrap(),
        );
        let rows = |plane: &reelcore_media::Plane, bytes: usize| -> Vec<Vec<u8>> {
            let rows = plane.data.chunks(plane.stride);
            rows.map(|row| row[..bytes].to_vec()).collect()
        };
        let luma = rows(&without.planes()[0], 96);
        assert_eq!(rows(&with.planes()[0], 96), luma);
        if let Some(alpha) = with.planes().get(3) {
            assert_eq!(rows(alpha, 96), luma);
        }
    }
}
