//! Files that are read: what holds tracks, and images.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use reelcore_containers::FileSource;
use reelcore_media::{ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use crate::error::{self, JobError};

/// The largest image, in pixels.
const MAX_IMAGE_PIXELS: u64 = 16_384 * 16_384;

/// What memory of its own the decoder of an image may take, in bytes.
const IMAGE_LIMITS: png::Limits = png::Limits { bytes: 1 << 30 };

/// What the colours of an image are taken as.
pub(crate) const IMAGE_COLORS: ColorSpace = ColorSpace::SRGB;

/// A file that is open.
pub(crate) enum Opened {
    /// PNG.
    Image(File),
    /// Anything else: a container, if it is any.
    Tracks(FileSource),
}

/// Opens the file at `path`, and looks what it may be.
pub(crate) fn open(path: &Path) -> Result<Opened, JobError> {
    let failed = |error: std::io::Error| error::demux(path, &error.into());
    // Looked at first: opening a pipe that nobody writes to would wait.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(JobError::input(
            path,
            "expected a file, which can be sought in",
        ));
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut signature = Vec::new();
    (&mut file)
        .take(8)
        .read_to_end(&mut signature)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(failed)?;
    Ok(match signature.as_slice() {
        b"\x89PNG\r\n\x1a\n" => Opened::Image(file),
        _ => Opened::Tracks(FileSource::new(file)),
    })
}

/// What an image says of itself, before its pixels.
pub(crate) struct ImageInfo {
    pub(crate) size: Size,
    /// The kind of its pixels, as PNG calls it.
    pub(crate) format: String,
}

/// What the decoder says of a file that it cannot decode.
fn decoding(error: png::DecodingError) -> MediaError {
    match error {
        png::DecodingError::LimitsExceeded => MediaError::limit(error.to_string()),
        error => MediaError::invalid_data(error.to_string()),
    }
}

/// The decoder of a PNG file, with all that stands before the pixels read.
fn begin(file: File) -> Result<png::Reader<BufReader<File>>, MediaError> {
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), IMAGE_LIMITS);
    decoder.set_transformations(
        png::Transformations::normalize_to_color8() | png::Transformations::ALPHA,
    );
    decoder.read_info().map_err(decoding)
}

/// What the PNG file says of its picture. The pixels are not read.
pub(crate) fn image_info(path: &Path, file: File) -> Result<ImageInfo, JobError> {
    let reader = begin(file).map_err(|error| JobError::input(path, error))?;
    let info = reader.info();
    // https://www.w3.org/TR/png-3/#6Colour-values
    let kind = match info.color_type {
        png::ColorType::Grayscale => "greyscale",
        png::ColorType::Rgb => "truecolour",
        png::ColorType::Indexed => "indexed-colour",
        png::ColorType::GrayscaleAlpha => "greyscale with alpha",
        png::ColorType::Rgba => "truecolour with alpha",
    };
    let bits = info.bit_depth as u8;
    Ok(ImageInfo {
        size: Size::new(info.width, info.height),
        format: format!("{kind}, {bits} bit{}", if bits == 1 { "" } else { "s" }),
    })
}

/// Refuses an image that is too large to be read.
pub(crate) fn check_image_size(size: Size) -> Result<(), MediaError> {
    match size.area() > MAX_IMAGE_PIXELS {
        true => Err(MediaError::limit(format!(
            "expected an image of at most {MAX_IMAGE_PIXELS} pixels, found {}x{}",
            size.width, size.height
        ))),
        false => Ok(()),
    }
}

/// The picture in a PNG file, as RGBA of 8 bits, or RGBX where the file has no alpha; or what is wrong with it.
pub(crate) fn image(file: File) -> Result<VideoFrame, MediaError> {
    let mut reader = begin(file)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let size = Size::new(width, height);
    check_image_size(size)?;
    let info = reader.info();
    let has_alpha = matches!(
        info.color_type,
        png::ColorType::GrayscaleAlpha | png::ColorType::Rgba
    ) || info.trns.is_some();
    let len = reader
        .output_buffer_size()
        .ok_or_else(|| MediaError::limit("the image exceeds the address space"))?;
    let mut pixels = vec![0; len];
    let info = reader.next_frame(&mut pixels).map_err(decoding)?;
    pixels.truncate(info.buffer_size());
    let pixels = match info.color_type {
        png::ColorType::Rgba => pixels,
        png::ColorType::GrayscaleAlpha => pixels
            .chunks_exact(2)
            .flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]])
            .collect(),
        other => {
            return Err(MediaError::backend(format!(
                "expected RGBA after conversion, found {other:?}"
            )));
        }
    };
    let plane = Plane {
        data: Bytes::from(pixels),
        stride: width as usize * 4,
    };
    let format = if has_alpha {
        PixelFormat::Rgba
    } else {
        PixelFormat::Rgbx
    };
    let image = CpuImage::new(format, size, vec![plane])?;
    Ok(VideoFrame::from_cpu(image, 0, None, IMAGE_COLORS))
}
