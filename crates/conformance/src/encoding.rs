//! What the tests of every video encoder crate do with an encoder: pictures to encode, and how far decoded ones are
//! from them.

use bytes::Bytes;
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, EncoderContext, LatencyMode, VideoEncoderConfig,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, ColorSpace, CpuImage, EncodedChunk, PixelFormat, Plane, Size, VideoCodec,
    VideoEncoder, VideoEncoderBackend, VideoFrame,
};

use crate::error::Error;

/// Bytes of memory that wait for their next use.
const POOL_BYTES: usize = 64 << 20;

/// A context with a pool of its own.
pub fn encoder_context(threads: usize) -> EncoderContext {
    EncoderContext {
        pool: BufferPool::new(POOL_BYTES),
        threads,
    }
}

/// Numbers from 0 to 255 that look random and depend on the place alone.
fn texture(x: u32, y: u32) -> i32 {
    let mut n = x
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(y.wrapping_mul(0x85eb_ca77));
    n ^= n >> 15;
    n = n.wrapping_mul(0x2c1b_3c6d);
    n ^= n >> 12;
    (n >> 13 & 255) as i32
}

/// A wave of 64 samples, -64 to 64.
fn wave(n: u32) -> i32 {
    let n = (n % 64) as i32;
    // Two parabolas, near enough to a sine.
    let half = |m: i32| m * (32 - m) / 4;
    if n < 32 { half(n) } else { -half(n - 32) }
}

/// The `index`th picture of a moving scene: waves, a texture that pans, and a block that crosses it. Every plane has
/// its own content, and depths above 8 bits use all their bits.
pub fn scene(format: PixelFormat, size: Size, index: u32) -> CpuImage {
    let depth = format.bit_depth();
    let planes = (0..format.num_planes())
        .map(|plane| {
            let (h, v) = format.subsampling(plane);
            let dimensions = format.plane_size(plane, size);
            let words = format.sample_bytes(plane) > 1;
            // Rows with room to spare, as decoders' and cropped pictures have them.
            let stride = format.row_bytes(plane, size.width) + 32;
            let mut data = vec![0; stride * dimensions.height as usize];
            let strength = if plane == 0 { 5 } else { 12 };
            for (y, row) in (0..dimensions.height).zip(data.chunks_exact_mut(stride)) {
                for x in 0..dimensions.width {
                    let (px, py) = (x * h, y * v);
                    let (tx, ty) = (px + 2 * index, py + index);
                    let slow =
                        wave(tx / 2 + 7 * plane as u32) + wave(ty / 3 + 20 * plane as u32) / 2;
                    let fine = texture(tx / 2 + 1000 * plane as u32, ty / 2) - 128;
                    let block = px.wrapping_sub(3 * index) % size.width < 24 && py % 64 < 24;
                    let value = if block {
                        200 - 60 * plane as i32
                    } else {
                        128 + slow * 2 / 3 + fine / strength
                    };
                    // 8 bits, and below them a ramp.
                    let low = (px + py + index) as i32 & ((1 << (depth - 8)) - 1);
                    let sample = (value.clamp(1, 254) << (depth - 8)) | low;
                    if words {
                        let at = x as usize * 2;
                        row[at..at + 2].copy_from_slice(&(sample as u16).to_le_bytes());
                    } else {
                        row[x as usize] = sample as u8;
                    }
                }
            }
            Plane {
                data: Bytes::from(data),
                stride,
            }
        })
        .collect();
    CpuImage::new(format, size, planes).expect("planes of the size")
}

/// A frame of [`scene`] at `timestamp`.
pub fn scene_frame(format: PixelFormat, size: Size, index: u32, timestamp: i64) -> VideoFrame {
    let image = scene(format, size, index);
    VideoFrame::from_cpu(image, timestamp, None, ColorSpace::REC709)
}

/// `count` frames of [`scene`], `step` microseconds apart.
pub fn scene_frames(format: PixelFormat, size: Size, count: u32, step: i64) -> Vec<VideoFrame> {
    (0..count)
        .map(|n| scene_frame(format, size, n, i64::from(n) * step))
        .collect()
}

/// Five seconds of [`scene`] whose frames say durations that their timestamps do not bear out, and what they say.
pub fn frames_of_wrong_durations(
    format: PixelFormat,
    size: Size,
) -> impl Iterator<Item = (&'static str, Vec<VideoFrame>)> {
    // The steps to even and to odd frames in turn, and what these say, in microseconds.
    let said: [(&str, [u32; 2], [u64; 2]); 5] = [
        ("a second or a millisecond", [40_000; 2], [1_000_000, 1_000]),
        ("a second", [40_000; 2], [1_000_000; 2]),
        ("a millisecond", [40_000; 2], [1_000; 2]),
        ("half the frame rate", [16_667; 2], [33_333; 2]),
        ("the step before", [21_000, 45_000], [45_000, 21_000]),
    ];
    said.into_iter().map(move |(name, steps, durations)| {
        let count = 2 * 5_000_000 / (steps[0] + steps[1]);
        let frames = (0..count).map(|n| {
            let time = n / 2 * (steps[0] + steps[1]) + n % 2 * steps[0];
            let mut frame = scene_frame(format, size, n, i64::from(time));
            frame.duration = Some(durations[n as usize % 2]);
            frame
        });
        (name, frames.collect())
    })
}

/// Encodes all frames and flushes. `options` says what is asked of the frame of an index.
///
/// # Panics
/// On an error of the encoder.
pub fn encode_all(
    encoder: &mut dyn VideoEncoder,
    frames: &[VideoFrame],
    options: impl Fn(usize) -> EncodeOptions,
) -> Vec<EncodedVideo> {
    let mut out = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        encoder
            .encode(frame, &options(index), &mut |picture| out.push(picture))
            .unwrap_or_else(|error| panic!("frame {index}: {error}"));
    }
    encoder
        .flush(&mut |picture| out.push(picture))
        .unwrap_or_else(|error| panic!("flush: {error}"));
    out
}

/// The chunks of pictures.
pub fn chunks(pictures: &[EncodedVideo]) -> Vec<EncodedChunk> {
    pictures.iter().map(|p| p.chunk.clone()).collect()
}

/// An IVF file of pictures with running numbers for times. `fourcc` is `VP80`, `VP90` or `AV01`.
pub fn ivf(fourcc: &[u8; 4], size: Size, pictures: &[EncodedVideo]) -> Vec<u8> {
    let mut file = b"DKIF\0\0\x20\0".to_vec();
    file.extend(fourcc);
    file.extend((size.width as u16).to_le_bytes());
    file.extend((size.height as u16).to_le_bytes());
    file.extend(25u32.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend((pictures.len() as u32).to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for (time, picture) in (0u64..).zip(pictures) {
        let data = &picture.chunk.data;
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(time.to_le_bytes());
        file.extend(&data[..]);
    }
    file
}

/// The MD5 of each frame that the `ffmpeg` command decodes from a file with these bytes and that `extension`, as
/// `pix_fmt`.
///
/// # Errors
/// As [`ffmpeg_framemd5`](crate::ffmpeg_framemd5).
pub fn ffmpeg_checksums(
    bytes: &[u8],
    extension: &str,
    pix_fmt: &str,
) -> Result<Vec<String>, Error> {
    let thread = std::thread::current().id();
    let name = format!("reelcore-{}-{thread:?}.{extension}", std::process::id());
    let path = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    std::fs::write(&path, bytes).map_err(|error| Error::file(&path, error))?;
    let found = crate::ffmpeg_framemd5(&path, pix_fmt);
    let removed = std::fs::remove_file(&path);
    let sums = found?;
    removed.map_err(|error| Error::file(&path, error))?;
    Ok(sums)
}

/// Bits a second of pictures that are shown for `seconds` in all.
pub fn bits_a_second(pictures: &[EncodedVideo], seconds: f64) -> f64 {
    let bytes: usize = pictures.iter().map(|p| p.chunk.data.len()).sum();
    bytes as f64 * 8.0 / seconds
}

/// The peak signal-to-noise ratio of each of the first three planes of the visible part, in dB, 100 for equal ones.
///
/// # Panics
/// When format or size differ, or the pixels are not in CPU memory.
pub fn psnr(original: &VideoFrame, decoded: &VideoFrame) -> [f64; 3] {
    let (a, b) = (original.resource.cpu(), decoded.resource.cpu());
    let (a, b) = (a.expect("CPU memory"), b.expect("CPU memory"));
    let format = a.format();
    assert_eq!(b.format(), format, "pixel format");
    let (ra, rb) = (original.visible_rect, decoded.visible_rect);
    assert_eq!(ra.size(), rb.size(), "visible size");
    let peak = f64::from((1u32 << format.bit_depth()) - 1);
    [0, 1, 2].map(|plane| {
        let (h, v) = format.subsampling(plane);
        let bytes = format.sample_bytes(plane);
        let dimensions = format.plane_size(plane, ra.size());
        let sample = |image: &CpuImage, x: u32, y: u32| {
            let plane = &image.planes()[plane];
            let at = y as usize * plane.stride + x as usize * bytes;
            match bytes {
                1 => i64::from(plane.data[at]),
                _ => i64::from(u16::from_le_bytes([plane.data[at], plane.data[at + 1]])),
            }
        };
        let mut squares = 0i64;
        for y in 0..dimensions.height {
            for x in 0..dimensions.width {
                let d =
                    sample(a, ra.x / h + x, ra.y / v + y) - sample(b, rb.x / h + x, rb.y / v + y);
                squares += d * d;
            }
        }
        if squares == 0 {
            return 100.0;
        }
        let mean = squares as f64 / dimensions.area() as f64;
        10.0 * (peak * peak / mean).log10()
    })
}

/// The lowest [`psnr`] of any plane of any frame, with the frame's index and the plane.
///
/// # Panics
/// As [`psnr`], and when the numbers of frames differ.
pub fn worst_psnr(originals: &[VideoFrame], decoded: &[VideoFrame]) -> (f64, usize, usize) {
    assert_eq!(originals.len(), decoded.len(), "frames");
    let mut worst = (f64::INFINITY, 0, 0);
    for (index, (a, b)) in originals.iter().zip(decoded).enumerate() {
        for (plane, value) in psnr(a, b).into_iter().enumerate() {
            if value < worst.0 {
                worst = (value, index, plane);
            }
        }
    }
    worst
}

/// Encodes three seconds of [`scene`] at 720p, 30 frames a second, realtime, 4 Mbit/s, on `threads` threads, and prints
/// frames a second, for examples that measure. The best of three runs. On Linux also frames for each second of processor
/// time of the calling thread, which other work on the machine does not change; with one thread that is all of it.
///
/// # Panics
/// On an error of the encoder.
pub fn print_speed(backend: &dyn VideoEncoderBackend, codec: &str, threads: usize) {
    let size = Size::new(1280, 720);
    let codec_string = VideoCodec::parse(codec).expect("a codec string");
    let mut config = VideoEncoderConfig::new(codec_string, size);
    config.bitrate = Some(4_000_000);
    config.framerate = Some(30.0);
    config.latency_mode = LatencyMode::Realtime;
    let frames = scene_frames(backend.input_format(&config), size, 90, 33_333);
    let mut best = (0.0, 0.0);
    let mut best_processor = 0.0f64;
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let processor = processor_seconds();
        let mut encoder = backend
            .start(&config, &encoder_context(threads))
            .expect("starts");
        let pictures = encode_all(&mut *encoder, &frames, |_| EncodeOptions::default());
        let speed = frames.len() as f64 / start.elapsed().as_secs_f64();
        if let (Some(from), Some(to)) = (processor, processor_seconds()) {
            best_processor = best_processor.max(frames.len() as f64 / (to - from));
        }
        if speed > best.0 {
            best = (speed, bits_a_second(&pictures, 3.0));
        }
    }
    println!(
        "{} {codec} on {threads} threads: {:.0} frames/s, {best_processor:.0} a processor second, {:.2} Mbit/s",
        backend.name(),
        best.0,
        best.1 / 1e6
    );
}

/// Processor time of this thread in seconds, where the system tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// Checks what holds of every stream without a description: a chunk a frame, their times, and kinds that say what the bits
/// say, of which `is_key` knows.
///
/// # Panics
/// Where it does not hold.
pub fn check_chunks(
    config: &VideoEncoderConfig,
    frames: &[VideoFrame],
    pictures: &[EncodedVideo],
    is_key: impl Fn(&[u8]) -> bool,
) {
    let times = |n: usize| (frames[n].timestamp, frames[n].duration);
    assert_eq!(pictures.len(), frames.len(), "a chunk a frame");
    for (index, picture) in pictures.iter().enumerate() {
        let chunk = &picture.chunk;
        assert_eq!((chunk.timestamp, chunk.duration), times(index));
        let key = chunk.kind == ChunkKind::Key;
        assert_eq!(key, is_key(&chunk.data), "chunk {index}");
        assert_eq!(picture.decoder_config.is_some(), index == 0);
    }
    assert_eq!(pictures[0].chunk.kind, ChunkKind::Key);
    let first = pictures[0].decoder_config.as_ref().expect("checked");
    assert_eq!(first.codec, config.codec);
    assert_eq!(first.coded_size, Some(config.size));
    assert_eq!(first.description, None);
    assert_eq!(first.color_space, frames[0].color_space);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_move_and_use_all_bits() {
        let size = Size::new(96, 64);
        for format in [
            PixelFormat::I420,
            PixelFormat::I444P10,
            PixelFormat::I422P12,
        ] {
            let frames = scene_frames(format, size, 2, 40_000);
            assert_eq!(psnr(&frames[0], &frames[0]), [100.0; 3]);
            for value in psnr(&frames[0], &frames[1]) {
                assert!((10.0..30.0).contains(&value), "{format:?} {value}");
            }
            if format.bit_depth() > 8 {
                let image = frames[0].resource.cpu().unwrap();
                let words = image.planes()[0].data.chunks_exact(2);
                let seen = words.fold(0, |s, w| s | u16::from_le_bytes([w[0], w[1]]));
                assert_eq!(seen, (1 << format.bit_depth()) - 1);
            }
        }
    }

    #[test]
    fn psnr_is_that_of_the_formula() {
        let size = Size::new(16, 16);
        let frame = |value: u8| {
            let plane = |len: usize| Plane {
                data: Bytes::from(vec![value; len * len]),
                stride: len,
            };
            let planes = vec![plane(16), plane(8), plane(8)];
            let image = CpuImage::new(PixelFormat::I420, size, planes).unwrap();
            VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709)
        };
        // An error of 5 everywhere: 20 log10(255 / 5).
        let (value, ..) = worst_psnr(&[frame(100)], &[frame(105)]);
        assert!((value - 34.151).abs() < 0.01, "{value}");
    }
}
