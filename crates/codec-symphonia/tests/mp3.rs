//! MP3 of every rate of MPEG-1, 2 and 2.5, against the ffmpeg command and against minimp3 in Rust.

use nanomp3_core::{Decoder, MAX_SAMPLES_PER_FRAME};
use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::ffmpeg_make;
use reelcore_conformance::sound::*;
use reelcore_media::EncodedChunk;

/// Rate, and bit rates for mono and stereo.
const RATES: [(u32, &str, &str); 9] = [
    (48_000, "64k", "128k"),
    (44_100, "64k", "320k"),
    (32_000, "56k", "96k"),
    (24_000, "32k", "96k"),
    (22_050, "32k", "64k"),
    (16_000, "24k", "48k"),
    (12_000, "24k", "32k"),
    (11_025, "16k", "32k"),
    (8000, "16k", "24k"),
];

/// What minimp3 decodes, interleaved.
fn minimp3(chunks: &[EncodedChunk]) -> Vec<f32> {
    let mut decoder = Decoder::new();
    let mut samples = Vec::new();
    for chunk in chunks {
        let mut pcm = [0f32; MAX_SAMPLES_PER_FRAME];
        let (used, info) = decoder.decode(&chunk.data, &mut pcm);
        assert_eq!(used, chunk.data.len());
        let info = info.expect("decodes");
        let count = info.samples_produced * usize::from(info.channels.num());
        samples.extend_from_slice(&pcm[..count]);
    }
    samples
}

/// FFmpeg 5.1 ends a scale factor band of 24 kHz at line 330; ISO/IEC 13818-3 (table B.2), LAME and minimp3 at line 332.
const NOT_BY_FFMPEG: u32 = 24_000;

#[test]
fn every_rate_of_each_version_is_that_of_ffmpeg_and_of_minimp3() {
    for (rate, mono, stereo) in RATES {
        for (layout, bits) in [("mono", mono), ("stereo", stereo)] {
            let name = format!("mp3-{rate}-{layout}.mp3");
            let encoder = ["-c:a", "libmp3lame", "-write_xing", "0", "-b:a", bits];
            let path = clip(&name, rate, layout, &encoder);
            let track = track(&path);
            assert_eq!(track.rate, rate);
            let config = config("mp3", rate, track.channels, None);
            let outputs = decode(&mut *start(&Symphonia, &config), &track.chunks);
            assert_times(&name, &outputs, &track.chunks);
            assert_close(&name, &outputs, &minimp3(&track.chunks));
            if rate != NOT_BY_FFMPEG {
                assert_close(&name, &outputs, &floats(&reference(&path, "f32le")));
            }
        }
    }
}

/// No encoder at hand writes intensity stereo: it is turned on in the headers, so that what is zero in the right channel
/// comes from the left one. At 8 kHz no two of the three decoders agree on it.
#[test]
fn intensity_stereo_is_that_of_ffmpeg() {
    for (rate, _, bits) in RATES {
        let source = format!(
            "aevalsrc=exprs='0.4*(random(0)-0.5)*gt(sin(2*PI*3*t),-0.5)+0.2*sin(2*PI*500*t)\
             |0.3*sin(2*PI*340*t)':s={rate}:d=1"
        );
        let path = ffmpeg_make(
            &[
                "-f",
                "lavfi",
                "-i",
                &source,
                "-c:a",
                "libmp3lame",
                "-write_xing",
                "0",
                "-b:a",
                bits,
                "-joint_stereo",
                "0",
            ],
            &format!("intensity-{rate}.mp3"),
        );
        let path = path.expect("the ffmpeg command");
        let mut chunks = track(&path).chunks;
        let plain = decode(
            &mut *start(&Symphonia, &config("mp3", rate, 2, None)),
            &chunks,
        );
        for chunk in &mut chunks {
            let mut data = chunk.data.to_vec();
            // Mode: joint stereo. Mode extension: intensity.
            data[3] = data[3] & 0x0f | 0x50;
            chunk.data = data.into();
        }
        let outputs = decode(
            &mut *start(&Symphonia, &config("mp3", rate, 2, None)),
            &chunks,
        );
        assert!(interleaved(&outputs) != interleaved(&plain), "{rate}");
        let what = format!("intensity at {rate}");
        match rate {
            8000 => {}
            NOT_BY_FFMPEG => assert_close(&what, &outputs, &minimp3(&chunks)),
            _ => {
                let file = path.with_file_name(format!("joint-{}-{rate}.mp3", std::process::id()));
                let bytes: Vec<u8> = chunks.iter().flat_map(|c| c.data.to_vec()).collect();
                std::fs::write(&file, bytes).expect("writes");
                let want = floats(&reference(&file, "f32le"));
                std::fs::remove_file(&file).expect("removes");
                assert_close(&what, &outputs, &want);
            }
        }
    }
}
