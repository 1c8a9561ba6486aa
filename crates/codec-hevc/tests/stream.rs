//! What happens around decoding: random access, flush, reset, changes of parameter sets, latency, limits.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_media::codec::Limits;
use reelcore_media::hevc::{NalType, Packaging, nal_units};
use reelcore_media::{EncodedChunk, ErrorKind, VideoDecoder, VideoDecoderBackend, VideoFrame};

/// nal_unit_type of the chunk's picture.
fn picture_type(chunk: &EncodedChunk) -> NalType {
    nal_units(&chunk.data, Packaging::AnnexB)
        .map(|nal| nal.unwrap().nal_type)
        .find(|nal_type| nal_type.is_vcl())
        .expect("a picture")
}

fn decode(decoder: &mut dyn VideoDecoder, chunk: &EncodedChunk) -> Vec<VideoFrame> {
    let mut frames = Vec::new();
    decoder
        .decode(chunk, &mut |frame| frames.push(frame))
        .expect("decodes");
    frames
}

#[test]
fn rasl_pictures_after_a_cra_at_the_start_are_dropped_and_all_others_shown() {
    let stream = Stream::read("open-gop");
    let chunks = stream.chunks();
    let start_at = chunks
        .iter()
        .rposition(|chunk| picture_type(chunk) == NalType::CRA)
        .expect("a CRA picture");
    let rasl = |chunk: &EncodedChunk| picture_type(chunk).is_rasl();
    let skipped = chunks[start_at..].iter().filter(|c| rasl(c)).count();
    assert!(start_at > 0 && skipped > 0, "the stream tests nothing");

    let mut want: Vec<_> = chunks[start_at..]
        .iter()
        .filter(|chunk| !rasl(chunk))
        .map(|chunk| chunk.timestamp)
        .collect();
    want.sort_unstable();
    let all: Vec<_> = stream.output_times();
    let sums: Vec<_> = want
        .iter()
        .map(|t| all.iter().position(|a| a.0 == *t).expect("its frame"))
        .map(|index| stream.md5[index].clone())
        .collect();

    let mut decoder = start(&config());
    // A seek at the start, after a flush, and after a reset.
    for _ in 0..2 {
        let frames = decode_all(&mut *decoder, &chunks[start_at..]);
        let stamps: Vec<_> = frames.iter().map(|f| f.timestamp).collect();
        assert_eq!(stamps, want);
        assert_eq!(checksums(&frames), sums);
    }
    for chunk in &chunks[..start_at] {
        decode(&mut *decoder, chunk);
    }
    decoder.reset();
    let frames = decode_all(&mut *decoder, &chunks[start_at..]);
    assert_eq!(checksums(&frames), sums);
}

#[test]
fn radl_pictures_after_a_seek_are_shown() {
    let stream = Stream::read("radl");
    let chunks = stream.chunks();
    let radl = |chunk: &&EncodedChunk| picture_type(chunk).is_leading();
    assert!(chunks.iter().filter(radl).count() > 0, "no RADL picture");
    let start_at = chunks
        .iter()
        .rposition(|chunk| picture_type(chunk).is_idr())
        .expect("an IDR picture");
    assert!(start_at > 0);
    let count = chunks.len() - start_at;
    let frames = decode_all(&mut *start(&config()), &chunks[start_at..]);
    assert_eq!(checksums(&frames), stream.md5[stream.md5.len() - count..]);
}

#[test]
fn an_end_of_sequence_makes_the_next_cra_a_start() {
    let stream = Stream::read("open-gop");
    let chunks = stream.chunks();
    let cra = chunks
        .iter()
        .position(|chunk| picture_type(chunk) == NalType::CRA)
        .expect("a CRA picture");
    let cra = cra
        + 1
        + chunks[cra + 1..]
            .iter()
            .position(|c| picture_type(c) == NalType::CRA)
            .unwrap();
    let mut decoder = start(&config());
    let mut stamps = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut chunk = chunk.clone();
        if index == cra - 1 {
            let mut data = chunk.data.to_vec();
            data.extend_from_slice(&[0, 0, 1, 0x48, 1]);
            chunk.data = data.into();
        }
        let frames = decode(&mut *decoder, &chunk);
        stamps.extend(frames.iter().map(|f| f.timestamp));
    }
    decoder
        .flush(&mut |frame| stamps.push(frame.timestamp))
        .unwrap();
    assert!(stamps.is_sorted(), "{stamps:?}");
    let rasl: Vec<_> = chunks[cra..]
        .iter()
        .take_while(|c| picture_type(c) == NalType::CRA || picture_type(c).is_leading())
        .filter(|c| picture_type(c).is_rasl())
        .map(|c| c.timestamp)
        .collect();
    assert!(!rasl.is_empty());
    assert!(rasl.iter().all(|t| !stamps.contains(t)), "{rasl:?}");
}

#[test]
fn a_cra_of_another_stream_starts_anew_and_drops_no_frame() {
    let first = Stream::read("b-pyramid");
    let second = Stream::read("open-gop");
    let chunks = second.chunks();
    let cra = chunks
        .iter()
        .rposition(|chunk| picture_type(chunk) == NalType::CRA)
        .expect("a CRA picture");
    let alone = decode_all(&mut *start(&config()), &chunks[cra..]);
    let mut decoder = start(&config());
    let mut frames = Vec::new();
    for chunk in first.chunks().iter().chain(&chunks[cra..]) {
        frames.extend(decode(&mut *decoder, chunk));
    }
    decoder.flush(&mut |f| frames.push(f)).unwrap();
    let mut want = first.md5.clone();
    want.extend(checksums(&alone));
    assert_eq!(checksums(&frames), want);
}

/// Decodes `before` and then, with no flush between, `after`, which starts with a CRA picture. Every frame but those of its RASL
/// pictures must come, what was before first.
fn check_jump(stream: &Stream, before: &[EncodedChunk], after: &[EncodedChunk], what: &str) {
    let all = stream.output_times();
    let sums_of = |chunks: Vec<&EncodedChunk>| {
        let mut times: Vec<_> = chunks.iter().map(|chunk| chunk.timestamp).collect();
        times.sort_unstable();
        let at = |time| all.iter().position(|a| a.0 == time).expect("its frame");
        times
            .into_iter()
            .map(|time| (time, stream.md5[at(time)].clone()))
            .collect::<Vec<_>>()
    };
    let leading = after[1..]
        .iter()
        .take_while(|chunk| picture_type(chunk).is_leading())
        .filter(|chunk| picture_type(chunk).is_rasl())
        .count();
    assert!(leading > 0, "{what}: no RASL picture");
    let shown = after[..1].iter().chain(&after[1 + leading..]).collect();
    let mut want = sums_of(before.iter().collect());
    want.extend(sums_of(shown));
    let mut decoder = start(&config());
    let mut frames = Vec::new();
    for chunk in before {
        frames.extend(decode(&mut *decoder, chunk));
    }
    frames.extend(decode_all(&mut *decoder, after));
    let found: Vec<_> = frames.iter().map(|f| (f.timestamp, md5(f))).collect();
    assert_eq!(found, want, "{what}");
}

#[test]
fn a_jump_to_a_cra_picture_costs_its_rasl_pictures_and_no_other() {
    let stream = Stream::read("open-gop");
    let chunks = stream.chunks();
    let cras: Vec<_> = (1..chunks.len())
        .filter(|&at| picture_type(&chunks[at]) == NalType::CRA)
        .collect();
    let &[first, .., last] = &cras[..] else {
        panic!("{cras:?}")
    };
    for end in [1, 3, first, first + 1] {
        check_jump(&stream, &chunks[..end], &chunks[last..], "forward");
    }
    for end in [first + 1, last, last + 1, last + 4, chunks.len()] {
        check_jump(&stream, &chunks[..end], &chunks[first..], "back");
    }
}

#[test]
fn a_rasl_picture_lost_after_a_cra_picture_without_a_jump_is_an_error() {
    let stream = Stream::read("open-gop");
    let mut chunks = stream.chunks();
    let is_lost = |pair: &[EncodedChunk]| {
        picture_type(&pair[0]) == NalType::CRA && picture_type(&pair[1]).is_rasl()
    };
    let at = 1 + chunks.windows(2).rposition(is_lost).expect("RASL pictures");
    chunks.remove(at);
    let mut decoder = start(&config());
    let error = chunks
        .iter()
        .find_map(|chunk| decoder.decode(chunk, &mut |_| ()).err());
    let error = error.expect("the RASL pictures behind it refer to the lost one");
    assert!(error.message.contains("missing"), "{error}");
}

#[test]
fn slices_of_one_picture_cannot_change_parameter_sets() {
    let stream = Stream::read("slices-wpp");
    let other = Stream::read("main");
    let chunk = stream.chunks().remove(0);
    let nals: Vec<_> = nal_units(&chunk.data, Packaging::AnnexB)
        .map(|nal| nal.unwrap())
        .collect();
    let second = nals.iter().rposition(|nal| nal.nal_type.is_vcl()).unwrap();
    let mut data = chunk.data[..nals[second].offset - 3].to_vec();
    for nal in nal_units(&other.bytes, Packaging::AnnexB).flatten().take(3) {
        data.extend_from_slice(&[0, 0, 1]);
        data.extend_from_slice(nal.bytes);
    }
    data.extend_from_slice(&chunk.data[nals[second].offset - 3..]);
    let chunk = EncodedChunk {
        data: data.into(),
        ..chunk.clone()
    };
    let error = start(&config()).decode(&chunk, &mut |_| ()).unwrap_err();
    assert!(
        error.message.contains("different parameter sets"),
        "{error}"
    );
}

#[test]
fn a_missing_reference_is_an_error_and_not_a_wrong_picture() {
    for name in ["low-delay", "b-pyramid", "sub-layers", "main-10"] {
        let stream = Stream::read(name);
        let chunks = stream.chunks();
        let mut decoder = start(&config());
        let mut frames = Vec::new();
        let mut error = None;
        // All but the second picture, which others refer to.
        for chunk in chunks[..1].iter().chain(&chunks[2..]) {
            if let Err(found) = decoder.decode(chunk, &mut |f| frames.push(f)) {
                error = Some(found);
                break;
            }
        }
        let error = error.unwrap_or_else(|| panic!("{name}: {} frames", frames.len()));
        assert_eq!(error.kind, ErrorKind::InvalidData, "{name}");
        assert!(error.message.contains("missing"), "{name}: {error}");
        for frame in frames {
            assert!(stream.md5.contains(&md5(&frame)), "{name}: a wrong picture");
        }
    }
}

#[test]
fn a_picture_without_all_its_slices_is_an_error() {
    let stream = Stream::read("slices-wpp");
    let chunk = stream.chunks().remove(0);
    let slices: Vec<_> = nal_units(&chunk.data, Packaging::AnnexB)
        .map(|nal| nal.unwrap())
        .filter(|nal| nal.nal_type.is_vcl())
        .map(|nal| nal.offset..nal.offset + nal.bytes.len())
        .collect();
    assert_eq!(slices.len(), 2);
    let without = |range: &std::ops::Range<usize>| {
        let mut data = chunk.data.to_vec();
        data.drain(range.start - 3..range.end);
        let chunk = EncodedChunk {
            data: data.into(),
            ..chunk.clone()
        };
        let mut frames = 0;
        let error = start(&config())
            .decode(&chunk, &mut |_| frames += 1)
            .unwrap_err();
        assert_eq!((error.kind, frames), (ErrorKind::InvalidData, 0), "{error}");
        error.message
    };
    assert!(without(&slices[0]).contains("first one is missing"));
    assert!(without(&slices[1]).contains("incomplete"));
    // The second slice twice.
    let mut data = chunk.data.to_vec();
    data.extend_from_slice(&[0, 0, 1]);
    data.extend_from_slice(&chunk.data[slices[1].clone()]);
    let twice = EncodedChunk {
        data: data.into(),
        ..chunk.clone()
    };
    let error = start(&config()).decode(&twice, &mut |_| ()).unwrap_err();
    assert!(error.message.contains("decoded already"), "{error}");
    // Cut short.
    let cut = EncodedChunk {
        data: chunk.data.slice(..chunk.data.len() - 40),
        ..chunk.clone()
    };
    assert!(start(&config()).decode(&cut, &mut |_| ()).is_err());
}

#[test]
fn the_first_picture_after_start_flush_and_reset_must_be_irap() {
    let stream = Stream::read("low-delay");
    let chunks = stream.chunks();
    // With the parameter sets of the stream, so that only the picture is wrong.
    let mut config = config();
    config.description = Some(hvcc(&stream.bytes, 4).write().unwrap().into());
    let chunks: Vec<_> = chunks.iter().map(|c| with_lengths(c, 4)).collect();
    let refused = |decoder: &mut dyn VideoDecoder| {
        let error = decoder.decode(&chunks[1], &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidData);
        assert!(error.message.contains("IDR, CRA or BLA"), "{error}");
    };
    let mut decoder = start(&config);
    refused(&mut *decoder);
    decode(&mut *decoder, &chunks[0]);
    decoder.flush(&mut |_| ()).unwrap();
    refused(&mut *decoder);
    decode(&mut *decoder, &chunks[0]);
    decoder.reset();
    refused(&mut *decoder);
}

#[test]
fn flush_outputs_all_and_reset_drops_all() {
    let stream = Stream::read("b-pyramid");
    let chunks = stream.chunks();
    let mut decoder = start(&config());
    let half = chunks
        .iter()
        .rposition(|chunk| picture_type(chunk).is_idr())
        .unwrap();
    let mut frames = decode_all(&mut *decoder, &chunks[..half]);
    assert_eq!(frames.len(), half);
    frames.extend(decode_all(&mut *decoder, &chunks[half..]));
    assert_eq!(checksums(&frames), stream.md5);
    for chunk in &chunks[..7] {
        decode(&mut *decoder, chunk);
    }
    decoder.reset();
    assert_eq!(
        checksums(&decode_all(&mut *decoder, &chunks)),
        stream.md5,
        "nothing of before the reset"
    );
}

#[test]
fn changes_of_size_and_depth_in_mid_stream_give_frames_of_each() {
    let names = [
        "main",
        "main-10",
        "cropped-sar",
        "open-gop",
        "main-10-wpp",
        "main",
    ];
    let streams = names.map(Stream::read);
    let mut decoder = start(&config());
    let mut frames = Vec::new();
    let mut want = Vec::new();
    for stream in &streams {
        for chunk in &stream.chunks() {
            frames.extend(decode(&mut *decoder, chunk));
        }
        want.extend(stream.md5.iter().cloned());
    }
    decoder.flush(&mut |f| frames.push(f)).unwrap();
    assert_eq!(checksums(&frames), want);
}

#[test]
fn parameter_sets_in_band_replace_those_of_the_description() {
    let other = Stream::read("main-10");
    let stream = Stream::read("main");
    let mut config = config();
    config.description = Some(hvcc(&other.bytes, 4).write().unwrap().into());
    let chunks: Vec<_> = stream
        .chunks()
        .iter()
        .map(|chunk| {
            // All units, parameter sets included.
            let mut data = Vec::new();
            for nal in nal_units(&chunk.data, Packaging::AnnexB) {
                let nal = nal.unwrap();
                data.extend_from_slice(&(nal.bytes.len() as u32).to_be_bytes());
                data.extend_from_slice(nal.bytes);
            }
            EncodedChunk {
                data: data.into(),
                ..chunk.clone()
            }
        })
        .collect();
    let frames = decode_all(&mut *start(&config), &chunks);
    assert_eq!(checksums(&frames), stream.md5);
}

#[test]
fn no_output_of_prior_pics_drops_what_waits_and_nothing_else() {
    let stream = Stream::read("b-pyramid");
    let chunks = stream.chunks();
    let idr = chunks
        .iter()
        .rposition(|chunk| picture_type(chunk).is_idr())
        .unwrap();
    let mut decoder = start(&config());
    let mut before = Vec::new();
    // Without the last one, to which none refers: frames wait for it.
    for chunk in &chunks[..idr - 1] {
        before.extend(decode(&mut *decoder, chunk));
    }
    assert!(before.len() < idr - 1, "frames wait");
    let mut chunk = chunks[idr].clone();
    let mut data = chunk.data.to_vec();
    for nal in nal_units(&chunk.data, Packaging::AnnexB) {
        let nal = nal.unwrap();
        if nal.nal_type.is_vcl() {
            // first_slice_segment_in_pic_flag, no_output_of_prior_pics_flag.
            assert_eq!(data[nal.offset + 2] & 0xc0, 0x80);
            data[nal.offset + 2] |= 0x40;
        }
    }
    chunk.data = data.into();
    let mut after = decode(&mut *decoder, &chunk);
    for chunk in &chunks[idr + 1..] {
        after.extend(decode(&mut *decoder, chunk));
    }
    decoder.flush(&mut |f| after.push(f)).unwrap();
    assert_eq!(checksums(&before), stream.md5[..before.len()]);
    assert_eq!(checksums(&after), stream.md5[idr..]);
}

#[test]
fn a_stream_without_reordering_gives_each_frame_from_its_own_chunk() {
    let stream = Stream::read("low-delay");
    for optimize_for_latency in [false, true] {
        let mut config = config();
        config.optimize_for_latency = optimize_for_latency;
        let mut decoder = start(&config);
        for chunk in &stream.chunks() {
            let frames = decode(&mut *decoder, chunk);
            assert_eq!(times(&frames), [(chunk.timestamp, chunk.duration)]);
        }
    }
}

#[test]
fn a_frame_waits_only_while_a_picture_can_come_before_it() {
    let stream = Stream::read("b-pyramid");
    let chunks = stream.chunks();
    let mut decoder = start(&config());
    let mut waiting: Vec<i64> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        waiting.push(chunk.timestamp);
        for frame in decode(&mut *decoder, chunk) {
            waiting.retain(|t| *t != frame.timestamp);
        }
        // What waits is later than something that is still to be decoded before the next IDR picture, or its
        // predecessor in time is.
        let to_come = chunks[index + 1..]
            .iter()
            .take_while(|c| !picture_type(c).is_idr())
            .map(|c| c.timestamp)
            .min();
        if let (Some(first), Some(next)) = (waiting.iter().min(), to_come) {
            assert!(*first > next, "{first} waits, {next} is the next to come");
        }
    }
}

#[test]
fn times_at_the_ends_of_their_range_come_back() {
    let stream = Stream::read("low-delay");
    let mut chunks = stream.chunks();
    chunks[0].timestamp = i64::MIN;
    chunks[0].duration = Some(u64::MAX);
    chunks[1].timestamp = i64::MAX;
    chunks[1].duration = None;
    chunks[2].duration = Some(0);
    let got = times(&decode_all(&mut *start(&config()), &chunks));
    assert_eq!(got[0], (i64::MIN, Some(u64::MAX)));
    assert_eq!(got[1], (i64::MAX, None));
    assert_eq!(got[2].1, Some(0));
}

#[test]
fn wrong_chunks_are_errors_that_say_where() {
    let stream = Stream::read("low-delay");
    let chunks = stream.chunks();
    let decode = |data: Bytes| {
        let mut decoder = start(&config());
        decoder.decode(&chunks[0], &mut |_| ()).unwrap();
        let chunk = EncodedChunk {
            data,
            ..chunks[1].clone()
        };
        let error = decoder.decode(&chunk, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidData);
        error.message
    };
    assert!(decode(Bytes::new()).contains("empty"));
    assert!(decode(Bytes::from_static(b"no start code")).contains("start code"));
    let half = chunks[1].data.slice(..chunks[1].data.len() / 2);
    let message = decode(half);
    assert!(message.contains("timestamp 40000"), "{message}");
    assert!(message.contains("at byte"), "{message}");
}

#[test]
fn pictures_above_the_caps_are_refused_before_memory_is_taken() {
    let stream = Stream::read("cropped-sar");
    let mut context = context();
    context.limits = Limits {
        max_frame_pixels: 96 * 72 - 1,
        ..Limits::default()
    };
    let mut decoder = Hevc.start(&config(), &context).unwrap();
    let error = decoder
        .decode(&stream.chunks()[0], &mut |_| ())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::LimitExceeded, "{error}");
    assert!(error.message.contains("max_frame_pixels"), "{error}");
    let mut large = config();
    large.coded_size = Some(reelcore_media::Size::new(16384, 8192));
    let error = Hevc.check(&large).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
}

/// Pictures that repeat the one before are some bytes of a chunk.
#[test]
fn chunks_of_more_pictures_than_the_cap_are_refused() {
    let stream = Stream::read("low-delay");
    let mut chunk = stream.chunks()[0].clone();
    chunk.data = stream.bytes.clone();
    let pictures = stream.md5.len();
    let run = |max_chunk_pictures| {
        let mut context = context();
        context.limits = Limits {
            max_chunk_pictures,
            ..Limits::default()
        };
        let mut decoder = Hevc.start(&config(), &context).unwrap();
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
