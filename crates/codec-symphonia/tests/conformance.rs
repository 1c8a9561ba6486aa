//! Against the ffmpeg command: FLAC bit by bit, MP3 and Vorbis within 1e-4 RMS, counts exact. The media of the Web
//! Platform Tests.

use std::path::Path;

use bytes::Bytes;
use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::random::Random;
use reelcore_conformance::sound::*;
use reelcore_conformance::web_platform_tests;
use reelcore_media::EncodedChunk;
use reelcore_media::SampleFormat;

/// The registration's description around STREAMINFO.
fn flac_description(stream_info: &[u8]) -> Vec<u8> {
    [b"fLaC\x80\x00\x00\x22", stream_info].concat()
}

#[test]
fn flac_is_that_of_ffmpeg_bit_by_bit() {
    for (rate, layout, sample, raw, format) in [
        (8000, "mono", "s16", "s16le", SampleFormat::S16),
        (44_100, "stereo", "s16", "s16le", SampleFormat::S16),
        (48_000, "stereo", "s32", "s32le", SampleFormat::S32),
        (96_000, "3.0", "s32", "s32le", SampleFormat::S32),
        (48_000, "5.1", "s16", "s16le", SampleFormat::S16),
        (48_000, "7.1", "s32", "s32le", SampleFormat::S32),
        (192_000, "quad", "s16", "s16le", SampleFormat::S16),
    ] {
        let name = format!("flac-{rate}-{layout}-{sample}.flac");
        let path = clip(
            &name,
            rate,
            layout,
            &["-c:a", "flac", "-sample_fmt", sample],
        );
        let track = track(&path);
        let config = config(
            "flac",
            rate,
            track.channels,
            Some(&flac_description(&track.description)),
        );
        let outputs = decode(&mut *start(&Symphonia, &config), &track.chunks);
        assert!(outputs.iter().all(|o| o.format == format), "{name}");
        assert_times(&name, &outputs, &track.chunks);
        assert!(interleaved(&outputs) == reference(&path, raw), "{name}");

        // All frames in one chunk: the same, at exact times.
        let whole: Vec<u8> = track.chunks.iter().flat_map(|c| c.data.to_vec()).collect();
        let one = decode(&mut *start(&Symphonia, &config), &[chunk(9, whole)]);
        assert_eq!(interleaved(&one), interleaved(&outputs), "{name}");
        let mut frames = 0;
        for output in &one {
            assert_eq!(output.timestamp, 9 + frames * 1_000_000 / i64::from(rate));
            frames += i64::from(output.frames);
        }
    }
}

/// flacenc encodes what the ffmpeg command does not: 8, 12 and 20 bits.
#[test]
fn flac_of_every_depth_is_what_went_in_and_what_ffmpeg_gives() {
    use flacenc::component::BitRepr;
    use flacenc::error::Verify;
    for (bits, raw, format) in [
        (8, "s16le", SampleFormat::S16),
        (12, "s16le", SampleFormat::S16),
        (16, "s16le", SampleFormat::S16),
        (20, "s32le", SampleFormat::S32),
        (24, "s32le", SampleFormat::S32),
    ] {
        let mut random = Random(bits as u64);
        let (low, high) = (-(1i32 << (bits - 1)), (1i32 << (bits - 1)) - 1);
        // Tones with noise, on one channel; the other runs along the ends of the range, so that the side channel is
        // one bit wider.
        let samples: Vec<i32> = (0..10_000)
            .flat_map(|at| {
                let tone = (f64::from(at) * 0.05).sin() * f64::from(high) * 0.8;
                let noise = random.next(1 << (bits - 4)) as i32;
                let edge = if at / 500 % 2 == 0 { low } else { high };
                [(tone as i32 + noise).min(high), edge]
            })
            .collect();
        let encoder = flacenc::config::Encoder::default().into_verified();
        let source = flacenc::source::MemSource::from_samples(&samples, 2, bits, 44_100);
        let stream = flacenc::encode_with_fixed_block_size(&encoder.unwrap(), source, 4096);
        let mut sink = flacenc::bitsink::ByteSink::new();
        stream.unwrap().write(&mut sink).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("depth-{bits}.flac"));
        std::fs::write(&path, sink.as_slice()).unwrap();
        let track = track(&path);
        let config = config(
            "flac",
            44_100,
            2,
            Some(&flac_description(&track.description)),
        );
        let outputs = decode(&mut *start(&Symphonia, &config), &track.chunks);
        assert!(outputs.iter().all(|o| o.format == format), "{bits}");
        assert!(
            interleaved(&outputs) == reference(&path, raw),
            "{bits} bits"
        );
        // The sample is in the upper bits.
        let want: Vec<u8> = samples
            .iter()
            .flat_map(|sample| {
                let sample = sample << (32 - bits);
                let bytes = sample.to_ne_bytes();
                match format {
                    SampleFormat::S16 => ((sample >> 16) as i16).to_ne_bytes().to_vec(),
                    _ => bytes.to_vec(),
                }
            })
            .collect();
        assert!(interleaved(&outputs) == want, "{bits} bits");
    }
}

#[test]
fn mp3_is_that_of_ffmpeg() {
    for (rate, layout, extra) in [
        (44_100, "stereo", &["-b:a", "128k"][..]),
        (48_000, "mono", &["-b:a", "64k"]),
        (32_000, "stereo", &["-q:a", "2"]),
        (22_050, "stereo", &["-b:a", "64k"]),
        (16_000, "mono", &["-b:a", "32k"]),
        (11_025, "stereo", &["-b:a", "32k"]),
        (8000, "mono", &["-b:a", "16k"]),
        (44_100, "stereo", &["-b:a", "320k", "-joint_stereo", "0"]),
    ] {
        let name = format!("mp3-{rate}-{layout}{}.mp3", extra.join("").replace(':', ""));
        let path = clip(
            &name,
            rate,
            layout,
            &[&["-c:a", "libmp3lame", "-write_xing", "0"], extra].concat(),
        );
        let track = track(&path);
        let config = config("mp3", rate, track.channels, None);
        let outputs = decode(&mut *start(&Symphonia, &config), &track.chunks);
        assert_times(&name, &outputs, &track.chunks);
        assert_close(&name, &outputs, &floats(&reference(&path, "f32le")));

        let whole: Vec<u8> = track.chunks.iter().flat_map(|c| c.data.to_vec()).collect();
        let one = decode(&mut *start(&Symphonia, &config), &[chunk(-5, whole)]);
        assert_eq!(interleaved(&one), interleaved(&outputs), "{name}");
        let per_frame = i64::from(one[0].frames);
        for (index, output) in one.iter().enumerate() {
            let elapsed = index as i64 * per_frame * 1_000_000 / i64::from(rate);
            assert_eq!(output.timestamp, -5 + elapsed, "{name}");
        }
    }
}

#[test]
fn mp3_that_starts_without_its_bit_reservoir_gives_as_many_samples_as_ffmpeg() {
    let path = clip(
        "mp3-cut-whole.mp3",
        44_100,
        "stereo",
        &["-c:a", "libmp3lame", "-b:a", "96k", "-write_xing", "0"],
    );
    let track = track(&path);
    let rest = &track.chunks[7..];
    let bytes: Vec<u8> = rest.iter().flat_map(|c| c.data.to_vec()).collect();
    let cut = path.with_file_name(format!("mp3-cut-{}.mp3", std::process::id()));
    std::fs::write(&cut, &bytes).unwrap();
    let want = floats(&reference(&cut, "f32le"));
    std::fs::remove_file(&cut).unwrap();
    let config = config("mp3", 44_100, 2, None);
    let outputs = decode(&mut *start(&Symphonia, &config), rest);
    assert_times("cut", &outputs, rest);
    let got = floats(&interleaved(&outputs));
    assert_eq!(got.len(), want.len());
    // After the frames that lack data, and the one that overlaps with them.
    let from = 4 * 1152 * 2;
    let sum: f32 = got[from..]
        .iter()
        .zip(&want[from..])
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    assert!((sum / (got.len() - from) as f32).sqrt() < 1e-4);
}

/// The first packet has nothing to overlap with: it gives no sound, and its time to the second one's.
fn overlapped(chunks: &[EncodedChunk]) -> Vec<EncodedChunk> {
    let mut out = chunks[1..].to_vec();
    out[0].timestamp = chunks[0].timestamp;
    out
}

#[test]
fn vorbis_is_that_of_ffmpeg_in_the_order_of_webcodecs() {
    for (rate, layout) in [
        (44_100, "stereo"),
        (48_000, "mono"),
        (8000, "mono"),
        (48_000, "3.0"),
        (48_000, "quad"),
        (48_000, "5.0"),
        (48_000, "5.1"),
        (48_000, "6.1"),
        (48_000, "7.1"),
    ] {
        let name = format!("vorbis-{rate}-{layout}.mka");
        let path = clip(&name, rate, layout, &["-c:a", "libvorbis", "-q:a", "5"]);
        let track = track(&path);
        let config = config("vorbis", rate, track.channels, Some(&track.description));
        let outputs = decode(&mut *start(&Symphonia, &config), &track.chunks);
        assert_times(&name, &outputs, &overlapped(&track.chunks));
        assert_close(&name, &outputs, &floats(&reference(&path, "f32le")));
    }
}

#[test]
fn vorbis_from_the_middle_is_where_it_is_in_the_whole() {
    for layout in ["stereo", "5.1"] {
        let name = format!("vorbis-middle-{layout}.mka");
        let path = clip(&name, 48_000, layout, &["-c:a", "libvorbis", "-q:a", "5"]);
        let mut track = track(&path);
        // As demuxers give them: each says how long it is.
        let times: Vec<_> = track.chunks.iter().map(|chunk| chunk.timestamp).collect();
        for (chunk, pair) in track.chunks.iter_mut().zip(times.windows(2)) {
            chunk.duration = Some(pair[1].abs_diff(pair[0]));
        }
        let config = config("vorbis", 48_000, track.channels, Some(&track.description));
        let mut decoder = start(&Symphonia, &config);
        let whole = decode(&mut *decoder, &track.chunks);
        for from in [0, 1, 7, 20] {
            decoder.reset();
            let part = decode(&mut *decoder, &track.chunks[from..]);
            // The first one that is decoded alone prepares for the others.
            assert_times(&name, &part, &track.chunks[from + 1..]);
            assert!(
                interleaved(&part) == interleaved(&whole[from..]),
                "{layout} from {from}"
            );
        }
        // A first packet that is said to give nothing is where the sound begins.
        for duration in [None, Some(0)] {
            let mut chunks = track.chunks.clone();
            chunks[0].duration = duration;
            decoder.reset();
            let all = decode(&mut *decoder, &chunks);
            assert_times(&name, &all, &overlapped(&chunks));
        }
    }
}

#[test]
fn the_chunks_of_the_web_platform_tests_decode() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    let (bytes, chunks) = ranges(
        &folder.join("sfx.flac"),
        &[(8288, 2276), (10_564, 2038), (12_602, 521)],
        20_000,
    );
    // One byte less than all metadata, as the test has it.
    let flac = config("flac", 48_000, 1, Some(&bytes[..8287]));
    let outputs = decode(&mut *start(&Symphonia, &flac), &chunks);
    assert_times("flac", &outputs, &chunks);

    let frames: Vec<_> = (0..10).map(|index| (333 + index * 288, 288)).collect();
    let (_, chunks) = ranges(&folder.join("sfx.mp3"), &frames, 24_000);
    let outputs = decode(
        &mut *start(&Symphonia, &config("mp3", 48_000, 1, None)),
        &chunks,
    );
    assert_times("mp3", &outputs, &chunks);

    let (bytes, chunks) = ranges(
        &folder.join("sfx-vorbis.ogg"),
        &[
            (3968, 44),
            (4012, 21),
            (4033, 57),
            (4090, 37),
            (4127, 37),
            (4164, 107),
            (4271, 172),
        ],
        21_333,
    );
    let description = [
        Bytes::from_static(&[2, 30, 62]),
        bytes.slice(28..58),
        bytes.slice(101..163),
        bytes.slice(163..3934),
    ]
    .concat();
    let vorbis = config("vorbis", 48_000, 1, Some(&description));
    let outputs = decode(&mut *start(&Symphonia, &vorbis), &chunks);
    assert_times("vorbis", &outputs, &overlapped(&chunks));
}
