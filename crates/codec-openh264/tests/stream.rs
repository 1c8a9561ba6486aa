//! What happens around decoding: packaging, flush, reset, changes of size, latency, memory.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_openh264::OpenH264;
use reelcore_media::codec::Limits;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::h264::{Packaging, nal_units};
use reelcore_media::{
    EncodedChunk, ErrorKind, Rect, Size, VideoDecoderBackend, VideoDecoderConfig, counters,
};

/// The avcC and the chunks in "avc" form of an Annex B stream.
fn to_avc(stream: &Stream, length_size: usize) -> (Bytes, Vec<EncodedChunk>) {
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    let chunks = stream.chunks().into_iter().map(|mut chunk| {
        let mut data = Vec::new();
        for nal in nal_units(&chunk.data, Packaging::AnnexB) {
            let nal = nal.unwrap();
            match nal.bytes[0] & 0x1f {
                7 => sps = nal.bytes.to_vec(),
                8 => pps = nal.bytes.to_vec(),
                _ => {
                    let length = (nal.bytes.len() as u32).to_be_bytes();
                    let fits = nal.bytes.len() < 1 << (8 * length_size.min(3));
                    assert!(
                        fits,
                        "{} bytes in a length of {length_size}",
                        nal.bytes.len()
                    );
                    data.extend_from_slice(&length[4 - length_size..]);
                    data.extend_from_slice(nal.bytes);
                }
            }
        }
        chunk.data = data.into();
        chunk
    });
    let chunks = chunks.collect();
    let mut avcc = vec![
        1,
        sps[1],
        sps[2],
        sps[3],
        0xfc | (length_size as u8 - 1),
        0xe1,
    ];
    for (count, set) in [(None, sps), (Some(1), pps)] {
        avcc.extend(count);
        avcc.extend_from_slice(&(set.len() as u16).to_be_bytes());
        avcc.extend_from_slice(&set);
    }
    (avcc.into(), chunks)
}

#[test]
fn avc_form_decodes_with_lengths_of_every_size() {
    // Length 1 needs slices of at most 255 bytes.
    for (name, length_size) in [("small-slices", 1), ("b-pyramid", 2), ("b-pyramid", 4)] {
        let stream = Stream::read(name);
        let (description, chunks) = to_avc(&stream, length_size);
        let mut config = config();
        config.description = Some(description);
        let mut decoder = start(&config);
        let frames = decode_all(&mut *decoder, &chunks);
        assert_eq!(checksums(&frames), stream.md5, "{name}, {length_size}");
        // The parameter sets are in the description alone, and are still there after each end.
        let frames = decode_all(&mut *decoder, &chunks);
        assert_eq!(checksums(&frames), stream.md5, "{name} after flush");
        decoder.reset();
        let frames = decode_all(&mut *decoder, &chunks);
        assert_eq!(checksums(&frames), stream.md5, "{name} after reset");
    }
}

#[test]
fn flush_outputs_all_and_decoding_goes_on_from_the_next_key_chunk() {
    let stream = Stream::read("b-pyramid");
    let chunks = stream.chunks();
    let mut decoder = start(&config());
    // Twelve frames to an IDR picture.
    let mut frames = decode_all(&mut *decoder, &chunks[..12]);
    assert_eq!(frames.len(), 12);
    let error = decoder.decode(&chunks[13], &mut |_| ()).unwrap_err();
    assert!(error.message.contains("not IDR"), "{error}");
    let mut decoder = start(&config());
    frames.clear();
    for part in chunks.chunks(12) {
        frames.extend(decode_all(&mut *decoder, part));
    }
    assert_eq!(checksums(&frames), stream.md5);
}

#[test]
fn reset_drops_what_waits_and_starts_anew() {
    let stream = Stream::read("b-pyramid");
    let chunks = stream.chunks();
    let mut decoder = start(&config());
    let mut out = 0;
    for chunk in &chunks[..6] {
        decoder.decode(chunk, &mut |_| out += 1).unwrap();
    }
    assert!(out < 6, "some wait");
    decoder.reset();
    let frames = decode_all(&mut *decoder, &chunks[12..24]);
    assert_eq!(checksums(&frames), stream.md5[12..24]);
    let error = decoder.decode(&chunks[1], &mut |_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidData);
}

#[test]
fn a_change_of_size_in_mid_stream_gives_frames_of_both_sizes() {
    let streams = ["b-pyramid", "baseline", "cropped-sar", "main-cavlc"].map(Stream::read);
    let mut decoder = start(&config());
    let mut frames = Vec::new();
    let mut want = Vec::new();
    for stream in &streams {
        for chunk in stream.chunks() {
            decoder.decode(&chunk, &mut |f| frames.push(f)).unwrap();
        }
        want.extend(stream.md5.iter().cloned());
    }
    decoder.flush(&mut |f| frames.push(f)).unwrap();
    assert_eq!(checksums(&frames), want);
}

#[test]
fn size_shape_and_colour_are_what_the_stream_says() {
    let stream = Stream::read("cropped-sar");
    let frames = decode_all(&mut *start(&config()), &stream.chunks());
    let frame = &frames[0];
    assert_eq!(frame.coded_size, Size::new(96, 80));
    assert_eq!(frame.visible_rect, Rect::of_size(Size::new(90, 70)));
    // 90x70 shown as 16:9.
    let shown = frame.display_size;
    assert_eq!(shown.height, 70);
    assert!((123..=125).contains(&shown.width), "{shown:?}");
    assert_eq!(frame.color_space.full_range, Some(true));
    assert_eq!(frame.color_space.matrix, Some(Matrix::Bt709));
    assert_eq!(frame.color_space.primaries, Some(Primaries::Bt709));
    assert_eq!(frame.color_space.transfer, Some(Transfer::Iec61966_2_1));
}

#[test]
fn a_stream_without_reordering_has_no_delay() {
    for name in ["baseline", "intra", "cropped-sar"] {
        let stream = Stream::read(name);
        let mut decoder = start(&config());
        for chunk in stream.chunks() {
            let mut out = Vec::new();
            decoder.decode(&chunk, &mut |f| out.push(f)).unwrap();
            assert_eq!(out.len(), 1, "{name}");
            assert_eq!(out[0].timestamp, chunk.timestamp, "{name}");
        }
    }
}

#[test]
fn low_latency_gives_the_first_frame_at_once_and_keeps_the_order() {
    let stream = Stream::read("b-pyramid");
    let mut config = config();
    config.optimize_for_latency = true;
    let mut decoder = start(&config);
    let mut frames = Vec::new();
    decoder
        .decode(&stream.chunks()[0], &mut |f| frames.push(f))
        .unwrap();
    assert_eq!(frames.len(), 1);
}

#[test]
fn timestamps_of_any_value_and_missing_durations_come_back() {
    let stream = Stream::read("baseline");
    let mut chunks = stream.chunks();
    chunks[0].timestamp = i64::MIN;
    chunks[1].timestamp = -42;
    chunks[1].duration = None;
    chunks[2].timestamp = i64::MAX;
    chunks[2].duration = Some(u64::MAX);
    let frames = decode_all(&mut *start(&config()), &chunks);
    let got = times(&frames);
    assert_eq!(got[0].0, i64::MIN);
    assert_eq!(got[1], (-42, None));
    assert_eq!(got[2], (i64::MAX, Some(u64::MAX)));
}

#[test]
fn wrong_chunks_are_errors_that_say_where() {
    let stream = Stream::read("baseline");
    let chunks = stream.chunks();
    let decode = |data: &[u8]| {
        let mut decoder = start(&config());
        decoder.decode(&chunks[0], &mut |_| ()).unwrap();
        let chunk = EncodedChunk {
            data: Bytes::copy_from_slice(data),
            ..chunks[1].clone()
        };
        decoder.decode(&chunk, &mut |_| ()).unwrap_err()
    };
    assert!(decode(&[]).message.contains("empty"));
    assert!(decode(&[1, 2, 3, 4]).message.contains("start code"));
    let mut bad = chunks[1].data.to_vec();
    for byte in bad.iter_mut().step_by(4) {
        *byte = 0xff;
    }
    assert_eq!(decode(&bad).kind, ErrorKind::InvalidData);
    // The first of two slices.
    let units: Vec<_> = nal_units(&chunks[1].data, Packaging::AnnexB)
        .map(|nal| nal.unwrap().offset)
        .collect();
    assert_eq!(units.len(), 2);
    let error = decode(&chunks[1].data[..units[1] - 4]);
    assert!(error.message.contains("incomplete"), "{error}");
    // A picture whose reference is missing.
    let mut decoder = start(&config());
    decoder.decode(&chunks[0], &mut |_| ()).unwrap();
    decoder.decode(&chunks[1], &mut |_| ()).unwrap();
    let error = decoder.decode(&chunks[4], &mut |_| ()).unwrap_err();
    assert!(error.message.contains("frame_num"), "{error}");
    // No parameter sets.
    let idr = nal_units(&chunks[0].data, Packaging::AnnexB)
        .map(|nal| nal.unwrap())
        .find(|nal| nal.bytes[0] & 0x1f == 5)
        .unwrap();
    let alone = EncodedChunk {
        data: [&[0, 0, 1][..], idr.bytes].concat().into(),
        ..chunks[0].clone()
    };
    let error = start(&config()).decode(&alone, &mut |_| ()).unwrap_err();
    assert!(error.message.contains("parameter set"), "{error}");
}

#[test]
fn pictures_above_the_cap_are_refused_before_they_are_decoded() {
    let stream = Stream::read("baseline");
    let mut context = context();
    context.limits = Limits {
        max_frame_pixels: 96 * 80 - 1,
        ..Limits::default()
    };
    let mut decoder = OpenH264.start(&config(), &context).unwrap();
    let error = decoder
        .decode(&stream.chunks()[0], &mut |_| ())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
}

#[test]
fn configurations_are_checked_without_starting() {
    let check = |change: &dyn Fn(&mut VideoDecoderConfig)| {
        let mut config = config();
        change(&mut config);
        OpenH264.check(&config)
    };
    assert!(check(&|_| ()).is_ok());
    assert!(check(&|c| c.coded_size = Some(Size::new(1920, 1088))).is_ok());
    for change in [
        &(|c: &mut VideoDecoderConfig| c.coded_size = Some(Size::new(7680, 4320)))
            as &dyn Fn(&mut VideoDecoderConfig),
        &|c| c.description = Some(Bytes::from_static(&[1, 2, 3])),
        &|c| c.codec = reelcore_media::VideoCodec::Vp8,
    ] {
        assert_eq!(check(change).unwrap_err().kind, ErrorKind::Unsupported);
    }
}

#[test]
fn frames_outlive_the_decoder_and_each_costs_one_copy() {
    let stream = Stream::read("intra");
    let context = context();
    let mut decoder = OpenH264.start(&config(), &context).unwrap();
    let before = counters::read().cpu_copies;
    let frames = decode_all(&mut *decoder, &stream.chunks());
    // Other tests of this process decode as well, so this is a lower bound.
    assert!(counters::read().cpu_copies - before >= frames.len() as u64);
    drop(decoder);
    assert_eq!(checksums(&frames), stream.md5);
    assert_eq!(context.pool.idle_bytes(), 0);
    drop(frames);
    assert!(context.pool.idle_bytes() > 0, "the memory is back");
}

/// Pictures that repeat the one before are some bytes of a chunk.
#[test]
fn chunks_of_more_pictures_than_the_cap_are_refused() {
    let stream = Stream::read("baseline");
    let mut chunk = stream.chunks()[0].clone();
    chunk.data = Bytes::from(stream.bytes.clone());
    let pictures = stream.md5.len();
    let run = |max_chunk_pictures| {
        let mut context = context();
        context.limits = Limits {
            max_chunk_pictures,
            ..Limits::default()
        };
        let mut decoder = OpenH264.start(&config(), &context).unwrap();
        let mut frames = Vec::new();
        decoder.decode(&chunk, &mut |frame| frames.push(frame))?;
        // The next chunk has the cap for itself.
        decoder.decode(&chunk, &mut |frame| frames.push(frame))?;
        decoder.flush(&mut |frame| frames.push(frame))?;
        Ok::<_, reelcore_media::MediaError>(frames)
    };
    let frames = run(pictures).unwrap();
    assert_eq!(checksums(&frames), [&stream.md5[..], &stream.md5].concat());
    let error = run(pictures - 1).expect_err("above the cap");
    assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
    assert!(error.message.contains("max_chunk_pictures"), "{error}");
}
