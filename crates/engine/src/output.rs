//! What a configuration adds to each decoded frame.

use reelcore_media::codec::VideoDecoderConfig;
use reelcore_media::{Rotation, Size, VideoFrame};

/// The size at which to show `visible` so that width and height are as `aspect`. The side that is
/// too short is enlarged, so that no detail is lost; sides stay at least 1 and at most `u32::MAX`.
pub fn natural_size(visible: Size, aspect: Size) -> Size {
    if visible.area() == 0 || aspect.area() == 0 {
        return visible;
    }
    let (w, h) = (u128::from(visible.width), u128::from(visible.height));
    let (aw, ah) = (u128::from(aspect.width), u128::from(aspect.height));
    let rounded = |numerator: u128, denominator: u128| {
        u32::try_from((numerator + denominator / 2) / denominator)
            .unwrap_or(u32::MAX)
            .max(1)
    };
    if aw * h >= ah * w {
        Size::new(rounded(h * aw, ah), visible.height)
    } else {
        Size::new(visible.width, rounded(w * ah, aw))
    }
}

/// The part of Output VideoFrames that stems from the configuration.
/// <https://w3c.github.io/webcodecs/#videodecoder-output-videoframes>
pub(crate) fn apply_config(frame: &mut VideoFrame, config: &VideoDecoderConfig) {
    // 4. If displayAspectWidth and displayAspectHeight exist in the active decoder config, they
    //    override the bitstream's display aspect ratio.
    if let Some(aspect) = config.display_aspect {
        frame.display_size = natural_size(frame.visible_rect.size(), aspect);
    }
    // 5. colorSpace: the configuration's members first, then what the bitstream says.
    frame.color_space = config.color_space.or(frame.color_space);
    // 6., 7. rotation and flip. The display size is given after rotation.
    frame.rotation = config.rotation;
    frame.flip = config.flip;
    if matches!(config.rotation, Rotation::R90 | Rotation::R270) {
        frame.display_size = Size::new(frame.display_size.height, frame.display_size.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_size_enlarges_and_never_shrinks() {
        assert_eq!(
            natural_size(Size::new(720, 576), Size::new(16, 9)),
            Size::new(1024, 576)
        );
        assert_eq!(
            natural_size(Size::new(720, 480), Size::new(4, 3)),
            Size::new(720, 540)
        );
        assert_eq!(
            natural_size(Size::new(320, 240), Size::new(4, 3)),
            Size::new(320, 240)
        );
        assert_eq!(
            natural_size(Size::new(0, 240), Size::new(4, 3)),
            Size::new(0, 240)
        );
        let huge = natural_size(Size::new(u32::MAX, u32::MAX), Size::new(u32::MAX, 1));
        assert_eq!(huge, Size::new(u32::MAX, u32::MAX));
    }
}
