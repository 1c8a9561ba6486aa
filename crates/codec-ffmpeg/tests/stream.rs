//! Chunks, times, flush, reset, parameter sets, sizes.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_ffmpeg::{Codec, Ffmpeg};
use reelcore_conformance::Family;
use reelcore_conformance::video::{checksums, context, decode_all, times};
use reelcore_media::codec::Limits;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::hevc::HvcC;
use reelcore_media::{
    ChunkKind, EncodedChunk, ErrorKind, Rect, SideData, Size, VideoDecoderBackend,
    VideoDecoderConfig,
};

fn plain() -> Clip {
    x264("plain.264", 12, "bframes=0:ref=2:keyint=4")
}

fn reordered() -> Clip {
    x264(
        "reordered.264",
        24,
        "bframes=2:ref=3:keyint=12:b-pyramid=normal",
    )
}

/// Description and chunks of the clip with lengths of `size` bytes.
fn with_description(clip: &Clip, size: usize) -> (VideoDecoderConfig, Vec<EncodedChunk>) {
    let family = clip.stream.family;
    let mut sets: Vec<Vec<u8>> = Vec::new();
    let mut chunks = clip.chunks.clone();
    for chunk in &mut chunks {
        let mut rest = Vec::new();
        for nal in nals(&chunk.data) {
            let is_set = match family {
                Family::H264 => matches!(nal[0] & 0x1f, 7 | 8),
                _ => matches!(nal[0] >> 1, 32..=34),
            };
            // Messages that are longer than a length of one byte can say.
            let is_message = match family {
                Family::H264 => nal[0] & 0x1f == 6,
                _ => matches!(nal[0] >> 1, 39 | 40),
            };
            if is_set {
                if !sets.contains(&nal) {
                    sets.push(nal);
                }
            } else if !is_message {
                rest.push(nal);
            }
        }
        chunk.data = with_lengths(&rest, size);
    }
    let description = match family {
        Family::H264 => {
            let [sps, pps] = &sets[..] else {
                panic!("{} sets", sets.len())
            };
            let mut record = vec![1, sps[1], sps[2], sps[3], 0xfc | (size as u8 - 1), 0xe1];
            for (count, set) in [(None, sps), (Some(1), pps)] {
                record.extend(count);
                record.extend_from_slice(&(set.len() as u16).to_be_bytes());
                record.extend_from_slice(set);
            }
            record
        }
        _ => {
            let of = |nal_type: u8| -> Vec<&[u8]> {
                let sets = sets.iter().filter(|set| set[0] >> 1 == nal_type);
                sets.map(Vec::as_slice).collect()
            };
            let record = HvcC::of_parameter_sets(&of(32), &of(33), &of(34), size, true).unwrap();
            record.write().unwrap()
        }
    };
    let mut config = clip.config.clone();
    config.description = Some(description.into());
    (config, chunks)
}

#[test]
fn lengths_of_every_size_are_read() {
    let small = x264("small.264", 8, "bframes=1:slice-max-size=180:qp=40");
    let large = reordered();
    let hevc = x265("lengths.265", 8, "bframes=2");
    let args = ["-x265-params", "log-level=error:bframes=0:qp=51:ctu=16"];
    let tiny = sized(
        "tiny.265",
        (32, 32),
        Family::H265,
        4,
        "yuv420p",
        "yuv420p",
        &args,
    );
    for (clip, size) in [
        (&small, 1),
        (&large, 2),
        (&large, 4),
        (&tiny, 1),
        (&hevc, 2),
        (&hevc, 4),
    ] {
        let (config, chunks) = with_description(clip, size);
        for threads in [1, 3] {
            let mut decoder = start(&config, threads);
            // The parameter sets are in the description alone, and are still there after each end.
            for round in 0..2 {
                let frames = decode_all(&mut *decoder, &chunks);
                assert_eq!(checksums(&frames), clip.md5, "{} {size} {round}", clip.name);
            }
            decoder.reset();
            let frames = decode_all(&mut *decoder, &chunks);
            assert_eq!(
                checksums(&frames),
                clip.md5,
                "{} {size} after reset",
                clip.name
            );
        }
    }
}

#[test]
fn sets_and_sizes_that_change_in_the_stream_take_effect() {
    let clips = [
        x264("size-a.264", 6, "bframes=2:keyint=6"),
        x264("chroma.264", 6, "bframes=2:keyint=6:chroma-qp-offset=7"),
        sized(
            "size-b.264",
            (144, 112),
            Family::H264,
            6,
            "yuv420p",
            "yuv420p",
            &["-x264-params", "bframes=2"],
        ),
        x264("size-a.264", 6, "bframes=2:keyint=6"),
    ];
    let hevc = [
        x265("size-a.265", 6, "bframes=2"),
        sized(
            "size-b.265",
            (144, 112),
            Family::H265,
            6,
            "yuv420p",
            "yuv420p",
            &["-x265-params", "log-level=error:bframes=2"],
        ),
        x265("size-a.265", 6, "bframes=2"),
    ];
    for clips in [&clips[..], &hevc[..]] {
        let mut chunks = Vec::new();
        let mut want = Vec::new();
        for (index, clip) in clips.iter().enumerate() {
            chunks.extend(clip.chunks.iter().cloned().map(|mut chunk| {
                chunk.timestamp += index as i64 * 1_000_000_000;
                chunk
            }));
            want.extend(clip.md5.iter().cloned());
        }
        for threads in [1, 2, 4] {
            let frames = decode_all(&mut *start(&clips[0].config, threads), &chunks);
            assert_eq!(checksums(&frames), want, "{} on {threads}", clips[0].name);
        }
    }
    // With a description, too: sets in the chunks replace its own.
    let (config, first) = with_description(&clips[0], 4);
    let mut chunks = first;
    for chunk in &clips[2].chunks {
        let mut chunk = chunk.clone();
        chunk.timestamp += 1_000_000_000;
        chunk.data = with_lengths(&nals(&chunk.data), 4);
        chunks.push(chunk);
    }
    let frames = decode_all(&mut *start(&config, 2), &chunks);
    assert_eq!(
        checksums(&frames),
        [&clips[0].md5[..], &clips[2].md5[..]].concat()
    );
    assert_ne!(frames[0].coded_size, frames[6].coded_size);
}

#[test]
fn parameter_sets_in_a_chunk_of_their_own_are_for_the_next_picture() {
    let clip = plain();
    let mut chunks = clip.chunks.clone();
    let units = nals(&chunks[0].data);
    let (sets, rest): (Vec<_>, Vec<_>) = units
        .into_iter()
        .partition(|nal| matches!(nal[0] & 0x1f, 6..=8));
    chunks[0].data = annexb(&rest);
    let mut first = chunks[0].clone();
    first.data = annexb(&sets);
    chunks.insert(0, first);
    let frames = decode_all(&mut *start(&clip.config, 2), &chunks);
    assert_eq!(checksums(&frames), clip.md5);
}

#[test]
fn low_latency_gives_each_frame_with_its_own_chunk() {
    let hevc = x265("delay.265", 8, "bframes=0");
    let sliced = x264("delay-slices.264", 8, "bframes=0:slices=4");
    let baseline = clip(
        "delay-baseline.264",
        Family::H264,
        8,
        "yuv420p",
        "yuv420p",
        &["-profile:v", "baseline"],
    );
    for clip in [plain(), sliced, baseline, hevc] {
        let mut config = clip.config.clone();
        config.optimize_for_latency = true;
        for threads in [1, 4] {
            let mut decoder = start(&config, threads);
            for (index, chunk) in clip.chunks.iter().enumerate() {
                let mut out = Vec::new();
                decoder.decode(chunk, &mut |frame| out.push(frame)).unwrap();
                assert_eq!(out.len(), 1, "{} chunk {index} on {threads}", clip.name);
                assert_eq!(out[0].timestamp, chunk.timestamp, "{}", clip.name);
                assert_eq!(checksums(&out), clip.md5[index..=index], "{}", clip.name);
            }
        }
    }
}

#[test]
fn on_one_thread_a_frame_waits_for_no_more_than_the_stream_says() {
    for (clip, stated) in [(plain(), 0), (reordered(), 2)] {
        let mut decoder = start(&clip.config, 1);
        let mut frames = 0;
        for (index, chunk) in clip.chunks.iter().enumerate() {
            decoder.decode(chunk, &mut |_| frames += 1).unwrap();
            assert!(index + 1 - frames <= stated, "{}: {index}", clip.name);
        }
    }
}

#[test]
fn flush_gives_every_frame_that_threads_hold_back() {
    let clip = reordered();
    for threads in [1, 2, 8] {
        let mut decoder = start(&clip.config, threads);
        let mut frames = Vec::new();
        for part in clip.chunks.chunks(12) {
            frames.extend(decode_all(&mut *decoder, part));
            let error = decoder.decode(&clip.chunks[1], &mut |_| ()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidData, "{error}");
            decoder.reset();
        }
        assert_eq!(checksums(&frames), clip.md5, "on {threads}");
        let want: Vec<_> = (0..24).map(|rank| rank * 40_000).collect();
        let got: Vec<_> = frames.iter().map(|frame| frame.timestamp).collect();
        assert_eq!(got, want);
        // Nothing is left, and nothing comes of it.
        decoder.flush(&mut |_| panic!("no frame")).unwrap();
    }
}

#[test]
fn reset_drops_what_waits_and_starts_anew() {
    let clip = reordered();
    for threads in [1, 2, 8] {
        let mut decoder = start(&clip.config, threads);
        for cut in [1, 5, 11] {
            for chunk in &clip.chunks[..cut] {
                decoder.decode(chunk, &mut |_| ()).unwrap();
            }
            decoder.reset();
            let frames = decode_all(&mut *decoder, &clip.chunks[12..]);
            assert_eq!(checksums(&frames), clip.md5[12..], "{cut} on {threads}");
        }
        // After an error, too.
        let mut bad = clip.chunks[1].clone();
        bad.data = bad.data.slice(..bad.data.len() / 3);
        let (_, error) = decode(&mut *decoder, &[clip.chunks[0].clone(), bad]);
        assert!(error.is_some());
        decoder.reset();
        let frames = decode_all(&mut *decoder, &clip.chunks);
        assert_eq!(checksums(&frames), clip.md5, "after an error on {threads}");
    }
}

#[test]
fn times_of_any_value_come_back() {
    let clip = plain();
    let mut chunks = clip.chunks[..4].to_vec();
    chunks[0].timestamp = i64::MIN;
    chunks[1].timestamp = -42;
    chunks[1].duration = None;
    chunks[2].timestamp = i64::MAX;
    chunks[2].duration = Some(u64::MAX);
    chunks[3].timestamp = -42;
    let want: Vec<_> = chunks.iter().map(|c| (c.timestamp, c.duration)).collect();
    let frames = decode_all(&mut *start(&clip.config, 2), &chunks);
    assert_eq!(times(&frames), want);
}

#[test]
fn size_shape_and_colour_are_what_the_stream_says() {
    let vui = "fullrange=on:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    let args = ["-vf", "setsar=16/11", "-x264-params", vui];
    let h264 = sized(
        "vui.264",
        (90, 70),
        Family::H264,
        2,
        "yuv420p10le",
        "yuv420p10le",
        &args,
    );
    let vui = "log-level=error:range=full:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
    let args = ["-vf", "setsar=16/11", "-x265-params", vui];
    let hevc = sized(
        "vui.265",
        (90, 70),
        Family::H265,
        2,
        "yuv420p10le",
        "yuv420p10le",
        &args,
    );
    for (clip, coded) in [(h264, Size::new(96, 80)), (hevc, Size::new(96, 72))] {
        let frames = decode_all(&mut *start(&clip.config, 1), &clip.chunks);
        assert_eq!(checksums(&frames), clip.md5, "{}", clip.name);
        let frame = &frames[0];
        assert_eq!(frame.coded_size, coded, "{}", clip.name);
        assert_eq!(
            frame.visible_rect,
            Rect::of_size(Size::new(90, 70)),
            "{}",
            clip.name
        );
        assert_eq!(frame.display_size, Size::new(131, 70), "{}", clip.name);
        assert_eq!(frame.color_space.full_range, Some(true), "{}", clip.name);
        assert_eq!(
            frame.color_space.primaries,
            Some(Primaries::Bt2020),
            "{}",
            clip.name
        );
        assert_eq!(
            frame.color_space.transfer,
            Some(Transfer::Pq),
            "{}",
            clip.name
        );
        assert_eq!(
            frame.color_space.matrix,
            Some(Matrix::Bt2020Ncl),
            "{}",
            clip.name
        );
    }
}

#[test]
fn a_picture_above_the_cap_is_refused_with_its_name() {
    for clip in [plain(), x265("cap.265", 2, "bframes=0")] {
        let mut small = context(2);
        small.limits = Limits {
            max_frame_pixels: 96 * 80 - 1,
            ..Limits::default()
        };
        let mut decoder = FFMPEG.start(&clip.config, &small).unwrap();
        let error = decoder.decode(&clip.chunks[0], &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
        assert!(error.message.contains("max_frame_pixels"), "{error}");
        // In the description.
        let (config, _) = with_description(&clip, 4);
        let error = FFMPEG.start(&config, &small).err().expect("an error");
        assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
    }
}

#[test]
fn wrong_chunks_are_errors_that_say_what_is_wrong() {
    let clip = plain();
    let decode = |change: &dyn Fn(&mut EncodedChunk)| {
        let mut decoder = start(&clip.config, 1);
        decoder.decode(&clip.chunks[0], &mut |_| ()).unwrap();
        let mut chunk = clip.chunks[1].clone();
        change(&mut chunk);
        decoder.decode(&chunk, &mut |_| ()).unwrap_err()
    };
    assert!(decode(&|c| c.data = Bytes::new()).message.contains("empty"));
    assert!(
        decode(&|c| c.data = Bytes::from_static(&[1, 2, 3]))
            .message
            .contains("start code")
    );
    let two = [&clip.chunks[1].data[..], &clip.chunks[2].data[..]].concat();
    let error = decode(&|c| c.data = Bytes::from(two.clone()));
    assert!(error.message.contains("several pictures"), "{error}");
    assert_eq!(error.kind, ErrorKind::Unsupported);
    let error = decode(&|c| c.data = clip.chunks[3].data.clone());
    assert!(error.message.contains("frame_num"), "{error}");
    let error = start(&clip.config, 1)
        .decode(&clip.chunks[1], &mut |_| ())
        .unwrap_err();
    assert!(error.message.contains("key"), "{error}");
    let mut chunk = clip.chunks[1].clone();
    chunk.kind = ChunkKind::Key;
    let error = start(&clip.config, 1)
        .decode(&chunk, &mut |_| ())
        .unwrap_err();
    assert!(error.message.contains("parameter set"), "{error}");
}

#[test]
fn alpha_and_several_shown_frames_are_refused_before_the_first_output() {
    let vp9 = clip(
        "alpha.ivf",
        Family::Vp9,
        3,
        "yuv420p",
        "yuv420p",
        &["-b:v", "100k"],
    );
    let mut chunk = vp9.chunks[0].clone();
    chunk.side = Some(std::sync::Arc::new(SideData {
        alpha: Some(chunk.data.clone()),
        ..SideData::default()
    }));
    let mut decoder = start(&vp9.config, 1);
    let error = decoder
        .decode(&chunk, &mut |_| panic!("no frame"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
    // A superframe of two shown frames: each frame, then the index (annex B).
    let mut data = vp9.chunks[0].data.to_vec();
    let sizes = [
        vp9.chunks[0].data.len() as u32,
        vp9.chunks[1].data.len() as u32,
    ];
    data.extend_from_slice(&vp9.chunks[1].data);
    data.push(0xd9);
    for size in sizes {
        data.extend_from_slice(&size.to_le_bytes());
    }
    data.push(0xd9);
    let mut chunk = vp9.chunks[0].clone();
    chunk.data = data.into();
    let mut decoder = start(&vp9.config, 1);
    let error = decoder
        .decode(&chunk, &mut |_| panic!("no frame"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
}

#[test]
fn a_backend_for_some_codecs_refuses_the_others() {
    let h264 = Ffmpeg::for_codecs(&[Codec::H264]);
    let others = Ffmpeg::for_codecs(&[Codec::Hevc, Codec::Vp8]);
    let config =
        |codec: &str| VideoDecoderConfig::new(reelcore_media::VideoCodec::parse(codec).unwrap());
    assert!(h264.check(&config("avc1.640028")).is_ok());
    assert!(h264.check(&config("vp8")).is_err());
    assert!(h264.check(&config("hev1.1.6.L93.B0")).is_err());
    assert!(others.check(&config("avc1.640028")).is_err());
    assert!(others.check(&config("hev1.2.4.L93.B0")).is_ok());
    assert!(others.check(&config("hev1.4.10.L93.B0")).is_ok());
    assert!(others.check(&config("vp8")).is_ok());
    assert!(others.check(&config("vp09.00.10.08")).is_err());
}

#[test]
fn frames_outlive_their_decoder_and_are_not_copied() {
    let clip = reordered();
    let mut decoder = start(&clip.config, 3);
    let before = reelcore_media::counters::read().cpu_copies;
    let frames = decode_all(&mut *decoder, &clip.chunks);
    let after = reelcore_media::counters::read().cpu_copies;
    drop(decoder);
    assert_eq!(checksums(&frames), clip.md5);
    assert_eq!(after, before);
}
