//! The shape of pictures, as sample entries and track headers say it.

use reelcore_media::Size;

use super::sample_entry::Video;

/// The display aspect ratio before rotation, of whole pictures, which the clean aperture does not crop: that of the pixels (`pasp`)
/// over the coded size, else that of the track header's size (1/65536 pixels), else of the coded size.
pub(super) fn display_aspect(video: &Video, header: (u32, u32)) -> Size {
    let coded = video.size;
    if let Some(pixel) = video.pixel_aspect {
        // Square pixels leave the size as it is, not in its lowest terms.
        if pixel.width == pixel.height {
            return coded;
        }
        return reduced(
            u64::from(coded.width) * u64::from(pixel.width),
            u64::from(coded.height) * u64::from(pixel.height),
        )
        .unwrap_or(coded);
    }
    stretched(video, header).unwrap_or(coded)
}

/// The track header's size, where it is neither that of the pictures nor that of their clean aperture: both say no more than how many
/// pixels there are.
fn stretched(video: &Video, header: (u32, u32)) -> Option<Size> {
    let size = header_size(header);
    let says = size.area() > 0 && size != video.size && Some(size) != video.aperture;
    says.then_some(size)
}

/// Whether neither the entry nor the track header's size says more than how large the pictures are. Nor does an entry of square
/// pixels, as many writers have it, where those of the stream are square: pictures that change their size are not stretched.
pub(super) fn says_no_aspect(video: &Video, header: (u32, u32), square: impl Fn() -> bool) -> bool {
    let pixels = video
        .pixel_aspect
        .is_none_or(|pixel| pixel.width == pixel.height && square());
    stretched(video, header).is_none() && pixels
}

/// The track header's size in whole pixels.
fn header_size(header: (u32, u32)) -> Size {
    let pixels = |fixed: u32| fixed / 0x1_0000 + ((fixed / 0x8000) & 1);
    Size::new(pixels(header.0), pixels(header.1))
}

/// A ratio in its lowest terms, if those fit.
fn reduced(width: u64, height: u64) -> Option<Size> {
    let (mut a, mut b) = (width, height);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    Some(Size::new(
        u32::try_from(width.checked_div(a)?).ok()?,
        u32::try_from(height.checked_div(a)?).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(pixel: Option<(u32, u32)>, aperture: Option<(u32, u32)>) -> Video {
        let size = |(w, h)| Size::new(w, h);
        Video {
            size: Size::new(720, 576),
            aperture: aperture.map(size),
            pixel_aspect: pixel.map(size),
            colour: None,
        }
    }

    fn aspect(pixel: Option<(u32, u32)>, aperture: Option<(u32, u32)>, header: (u32, u32)) -> Size {
        display_aspect(&video(pixel, aperture), header)
    }

    #[test]
    fn an_aspect_is_the_streams_where_only_the_size_is_written() {
        let silent =
            |pixel, aperture, header| says_no_aspect(&video(pixel, aperture), header, || false);
        assert!(silent(None, None, (0, 0)));
        assert!(silent(None, None, (720 << 16, 576 << 16)));
        assert!(!silent(None, None, (1024 << 16, 576 << 16)));
        assert!(!silent(Some((1, 1)), None, (720 << 16, 576 << 16)));
        let aperture = Some((704, 576));
        assert!(silent(None, aperture, (0, 0)));
        assert!(silent(None, aperture, (704 << 16, 576 << 16)));
        assert!(!silent(None, aperture, (1024 << 16, 576 << 16)));
        let square =
            |pixel| says_no_aspect(&video(Some(pixel), None), (720 << 16, 576 << 16), || true);
        assert!(square((1, 1)) && square((7, 7)) && !square((16, 15)));
    }

    #[test]
    fn pictures_are_not_stretched_by_an_aperture_that_does_not_crop_them() {
        assert_eq!(aspect(Some((16, 15)), None, (0, 0)), Size::new(4, 3));
        assert_eq!(aspect(Some((7, 7)), None, (0, 0)), Size::new(720, 576));
        assert_eq!(
            aspect(Some((64, 45)), Some((704, 576)), (9, 9)),
            Size::new(16, 9)
        );
        for header in [(0, 0), (704 << 16, 576 << 16), (720 << 16, 576 << 16)] {
            assert_eq!(aspect(None, Some((704, 576)), header), Size::new(720, 576));
        }
        assert_eq!(
            aspect(None, None, (1024 << 16, 576 << 16)),
            Size::new(1024, 576)
        );
        assert_eq!(aspect(None, None, (0, 0)), Size::new(720, 576));
        assert_eq!(
            aspect(Some((u32::MAX, 1)), None, (0, 0)),
            Size::new(720, 576)
        );
    }
}
