//! Encoding through JavaScript against the bare library, in turns, so that both see the same machine.

use std::path::Path;

use anyhow::{Context, Result, bail};
use reelcore_benches::alone::Task;
use reelcore_benches::clips;
use reelcore_benches::encode::{self, Rate, VideoJob};
use reelcore_benches::stats::median;
use serde_json::{Value, json};

use crate::{PASSES, Row, Rows, compare, passes, script};

const FULL_HD: (u32, u32) = (1920, 1080);
const HD: (u32, u32) = (1280, 720);

/// 1080p. Quantizers make the pictures equally good whatever the time they take; VP8's registration has none, so it gets a
/// constant rate.
pub fn video(reelcore: &Path, wanted: &Rows) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, codec, rate) in [
        ("H.264 1080p encode", "avc1.640028", Rate::Quantizer(30)),
        ("HEVC 1080p encode", "hvc1.1.6.L120.90", Rate::Quantizer(30)),
        ("VP8 1080p encode", "vp8", Rate::Bits(8_000_000)),
        ("VP9 1080p encode", "vp09.00.40.08", Rate::Quantizer(144)),
        ("AV1 1080p encode", "av01.0.08M.08", Rate::Quantizer(144)),
    ] {
        if !wanted.want(name) {
            continue;
        }
        let job = VideoJob {
            codec: codec.to_owned(),
            size: FULL_HD,
            rate,
            realtime: true,
        };
        rows.push(match missing(reelcore, name, &job)? {
            Some(row) => row,
            None => video_job(reelcore, name, &job, 60)?,
        });
    }
    Ok(rows)
}

/// A row of what cannot be measured: HEVC, where either program is built without libavcodec.
fn missing(reelcore: &Path, name: &'static str, job: &VideoJob) -> Result<Option<Row>> {
    let answer = script(reelcore, "supported.js", &[&job.json().to_string()])?;
    let why = match (job.missing()?, answer["supported"].as_bool()) {
        (None, Some(true)) => return Ok(None),
        (Some(why), _) => why,
        (None, _) => format!("{} does not encode {}", reelcore.display(), job.codec),
    };
    Ok(Some(Row {
        name,
        value: format!("not measured: {why}"),
        goal: "",
        met: None,
        data: json!({ "missing": why }),
    }))
}

/// How often the pictures are encoded in a row, so that speed is seen, and not what it takes to start an encoder.
const TIMES: u32 = 3;

fn video_job(reelcore: &Path, name: &'static str, job: &VideoJob, count: u32) -> Result<Row> {
    let raw = clips::raw_pictures(job.size.1, count)?;
    let frames = encode::pictures(&raw, job.size(), TIMES as usize)?;
    let count = count * TIMES;
    let folder = tempfile::tempdir()?;
    let (stream, bare_stream) = (folder.path().join("stream"), folder.path().join("bare"));
    let path = |path: &Path| -> Result<String> {
        Ok(path
            .to_str()
            .context("a path that is not UTF-8")?
            .to_owned())
    };
    let quantizer = job.quantizer().map_or(String::new(), |q| q.to_string());
    let args = [
        PASSES.to_string(),
        TIMES.to_string(),
        path(&raw)?,
        job.json().to_string(),
        quantizer,
        path(&stream)?,
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let task = Task::EncodeVideo {
        job: job.clone(),
        raw,
        times: TIMES as usize,
        stream: bare_stream.clone(),
    };
    let (compared, bare) = compare(&task, |bare| {
        if bare.frames()? != count as usize {
            let found = bare.frames()?;
            bail!(
                "{name}: {found} pictures of {}, expected {count}",
                bare.library
            );
        }
        let result = script(reelcore, "encode.js", &args)?;
        let mut js = Vec::new();
        for run in passes(&result)? {
            let made = run["frames"].as_u64().context("frames")?;
            if made != u64::from(count) {
                bail!("{name}: {made} chunks through JavaScript, expected {count}");
            }
            js.push(made as f64 / run["seconds"].as_f64().context("seconds")?);
        }
        Ok(js)
    })?;
    let library = &bare.library;
    let bare_pictures = encode::chunks(&bare_stream)?;
    let js_pictures = encode::chunks(&stream)?;
    let pixels = f64::from(count) * job.size().area() as f64;
    let bits = |pictures: &[Vec<u8>]| -> f64 {
        pictures.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 / pixels
    };
    let same = js_pictures == bare_pictures;
    let (js_bits, bare_bits) = (bits(&js_pictures), bits(&bare_pictures));
    let js_psnr = job.quality(&js_pictures, &frames)?;
    let bare_psnr = match same {
        true => js_psnr,
        false => job.quality(&bare_pictures, &frames)?,
    };
    let (js, bare, ratio) = (compared.rate, compared.other, compared.ratio);
    let stream = match same {
        true => "the same stream".to_owned(),
        false => format!("{library} alone {bare_bits:.4} at {bare_psnr:.2} dB"),
    };
    Ok(Row {
        name,
        value: format!(
            "{js:.1} frames/s; {library} alone {bare:.1}: {}; {js_bits:.4} bits a pixel at {js_psnr:.2} dB, {stream}",
            compared.percent()
        ),
        goal: "97 % of the bare library",
        // No fewer bits for worse pictures, nor more for the same ones.
        met: Some(ratio >= 0.97 && js_bits <= bare_bits * 1.01 && js_psnr >= bare_psnr - 0.05),
        data: json!({
            "frames_per_second": js, "library": library, "bare_frames_per_second": bare, "ratio": ratio,
            "ratio_low": compared.low, "ratio_high": compared.high, "same_stream": same,
            "bits_per_pixel": js_bits, "bare_bits_per_pixel": bare_bits, "psnr": js_psnr, "bare_psnr": bare_psnr,
        }),
    })
}

/// For orientation: 720p as a call has it, at 4 Mbit/s.
pub fn realtime(reelcore: &Path, wanted: &Rows) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let raw = clips::raw_pictures(HD.1, 150)?;
    let raw = raw.to_str().context("path")?;
    for (name, codec) in [
        ("H.264 720p realtime encode", "avc1.42001f"),
        ("HEVC 720p realtime encode", "hvc1.1.6.L93.90"),
        ("VP8 720p realtime encode", "vp8"),
        ("VP9 720p realtime encode", "vp09.00.31.08"),
        ("AV1 720p realtime encode", "av01.0.05M.08"),
    ] {
        if !wanted.want(name) {
            continue;
        }
        let job = VideoJob {
            codec: codec.to_owned(),
            size: HD,
            rate: Rate::Bits(4_000_000),
            realtime: true,
        };
        if let Some(row) = missing(reelcore, name, &job)? {
            rows.push(row);
            continue;
        }
        let config = job.json().to_string();
        let mut rates = Vec::new();
        let mut bits = 0.0;
        let result = script(
            reelcore,
            "encode.js",
            &[&PASSES.to_string(), "1", raw, &config],
        )?;
        for run in passes(&result)? {
            let frames = run["frames"].as_f64().context("frames")?;
            rates.push(frames / run["seconds"].as_f64().context("seconds")?);
            bits = run["bytes"].as_f64().context("bytes")? * 8.0 * 30.0 / frames;
        }
        let rate = median(&mut rates);
        rows.push(Row {
            name,
            value: format!("{rate:.1} frames/s; {:.2} Mbit/s", bits / 1e6),
            goal: "30 frames/s",
            met: Some(rate >= 30.0),
            data: json!({ "frames_per_second": rate, "bits_per_second": bits }),
        });
    }
    Ok(rows)
}

/// Sound through JavaScript against the backend alone.
pub fn audio(reelcore: &Path, wanted: &Rows) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, codec, bitrate) in [
        ("Opus encode", "opus", Some(128_000)),
        ("AAC encode", "mp4a.40.2", Some(128_000)),
        ("FLAC encode", "flac", None),
        ("Vorbis encode", "vorbis", Some(128_000)),
    ] {
        if wanted.want(name) {
            rows.push(audio_job(reelcore, name, codec, bitrate)?);
        }
    }
    Ok(rows)
}

fn audio_job(
    reelcore: &Path,
    name: &'static str,
    codec: &str,
    bitrate: Option<u64>,
) -> Result<Row> {
    let integers = codec == "flac";
    let raw = clips::raw_sound(integers)?;
    let mut config = json!({ "codec": codec, "sampleRate": 48000, "numberOfChannels": 2 });
    if let Some(bitrate) = bitrate {
        config["bitrate"] = Value::from(bitrate);
    }
    let config = config.to_string();
    let format = if integers { "s32" } else { "f32" };
    let times = PASSES.to_string();
    let args = [&times, raw.to_str().context("path")?, format, &config];
    let task = Task::EncodeSound {
        codec: codec.to_owned(),
        bitrate,
        raw: raw.clone(),
    };
    let (compared, bare) = compare(&task, |bare| {
        let frames = bare.frames()?;
        let result = script(reelcore, "encode_audio.js", &args)?;
        let mut js = Vec::new();
        for run in passes(&result)? {
            if run["frames"].as_u64() != Some(frames as u64) {
                bail!(
                    "{name}: {} frames through JavaScript, {frames} through the backend",
                    run["frames"]
                );
            }
            js.push(frames as f64 / run["seconds"].as_f64().context("seconds")?);
        }
        Ok(js)
    })?;
    let backend = &bare.library;
    // Seconds of sound, of samples.
    let (js, bare) = (compared.rate / 48_000.0, compared.other / 48_000.0);
    let ratio = compared.ratio;
    Ok(Row {
        name,
        value: format!(
            "{js:.0} s of sound/s; {backend} alone {bare:.0}: {}",
            compared.percent()
        ),
        goal: "97 % of the backend",
        met: Some(ratio >= 0.97),
        data: json!({
            "rate": js, "unit": "s of sound/s", "backend": backend, "bare_rate": bare, "ratio": ratio,
            "ratio_low": compared.low, "ratio_high": compared.high,
        }),
    })
}
