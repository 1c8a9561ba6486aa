//! `allocationSize()` and `copyTo()` of VideoFrame.

use reelcore_media::convert::{self, PredefinedColorSpace as MediaColorSpace, RgbConversion};
use reelcore_media::frame::ReadBack;
use reelcore_media::layout::{CombinedBufferLayout, PlaneLayout};
use reelcore_media::{MediaError, PixelFormat, Rect, VideoFrame};

use super::construct::{layouts, rect_init};
use super::geometry;
use crate::generated::{PredefinedColorSpace, VideoFrameCopyToOptions};
use crate::webidl::Exception;

/// A copy that can be carried out on any thread.
pub(crate) struct Copy {
    frame: VideoFrame,
    layout: CombinedBufferLayout,
    /// Convert to RGB rather than copy the planes.
    convert: Option<RgbConversion>,
    /// What to ask a device for that has the pixels, so that no more than that is moved, and how it is laid out.
    part: Option<(ReadBack, CombinedBufferLayout)>,
}

impl Copy {
    /// Steps 2 to 4 of both methods, with Parse VideoFrameCopyToOptions:
    /// <https://w3c.github.io/webcodecs/#videoframe-parse-videoframecopytooptions>
    pub(crate) fn plan(
        frame: VideoFrame,
        options: &VideoFrameCopyToOptions,
    ) -> Result<Self, Exception> {
        // 2. If [[format]] is null, throw a NotSupportedError.
        let Some(own_format) = frame.format else {
            return Err(not_supported(
                "the VideoFrame's format is not one that can be read".into(),
            ));
        };
        // 1. to 5. The rectangle: options.rect, or else the visible one.
        let given = options.rect.as_ref().map(rect_init);
        let rect = geometry::parse_visible_rect(
            frame.visible_rect,
            given,
            frame.coded_size,
            Some(own_format),
        )
        .map_err(Exception::type_error)?;
        // 8. The format: options.format, or else the frame's; a conversion to any but the RGB formats is not
        //    supported.
        let wanted = match &options.format {
            None => own_format,
            Some(format) => PixelFormat::from_name(format.as_str()).unwrap_or(own_format),
        };
        if wanted != own_format && !wanted.is_rgb() {
            return Err(not_supported(format!(
                "a conversion of {} to {} is not supported; RGBA, RGBX, BGRA and BGRX are",
                own_format.as_str(),
                wanted.as_str()
            )));
        }
        // 6., 7., 9. Compute Layout and Allocation Size.
        let wanted_layout = options.layout.as_ref().map(|layout| layouts(layout));
        let compute = |rect| {
            CombinedBufferLayout::compute(rect, wanted, wanted_layout.as_deref())
                .map_err(|error| Exception::type_error(error.to_string()))
        };
        let layout = compute(rect)?;
        // 7. of copyTo: with one of the RGB formats, Convert to RGB frame, to sRGB unless told otherwise. Without
        //    options.format the pixels are copied as they are.
        let convert = (options.format.is_some() && wanted.is_rgb()).then(|| RgbConversion {
            rect,
            color_space: frame.color_space,
            keep_alpha: own_format.has_alpha(),
            format: wanted,
            target: match options.color_space {
                Some(PredefinedColorSpace::DisplayP3) => MediaColorSpace::DisplayP3,
                _ => MediaColorSpace::Srgb,
            },
        });
        let target = convert
            .as_ref()
            .map_or(frame.color_space, |convert| convert.target.color_space());
        let whole = rect == Rect::of_size(frame.coded_size);
        let as_it_is = wanted == own_format && target == frame.color_space;
        // The image below a frame without alpha may have some.
        let alpha_is_right = own_format.has_alpha() || !wanted.has_alpha();
        let part = match frame.resource.cpu() {
            None if alpha_is_right && !(whole && as_it_is) => {
                let wanted = ReadBack {
                    rect,
                    color_space: frame.color_space,
                    format: wanted,
                    size: rect.size(),
                    target,
                };
                Some((wanted, compute(Rect::of_size(rect.size()))?))
            }
            _ => None,
        };
        Ok(Self {
            frame,
            layout,
            convert,
            part,
        })
    }

    /// The bytes that the destination must have.
    pub(crate) fn allocation_size(&self) -> u32 {
        self.layout.allocation_size
    }

    /// Where each plane goes: what the promise resolves with.
    pub(crate) fn plane_layouts(&self) -> Vec<PlaneLayout> {
        self.layout
            .computed_layouts
            .iter()
            .map(|plane| plane.plane_layout())
            .collect()
    }

    /// Whether the pixels are in CPU memory already: nobody has to be waited for.
    pub(crate) fn is_immediate(&self) -> bool {
        self.frame.resource.cpu().is_some()
    }

    /// Step 8 of copyTo.
    pub(crate) fn run(&self, destination: &mut [u8]) -> Result<(), MediaError> {
        // Another copy may have moved all of it meanwhile.
        if self.frame.resource.cpu().is_none()
            && let Some((wanted, layout)) = &self.part
            && let Some(image) = self.frame.resource.read_back_as(wanted)
        {
            return convert::copy_planes(&*image?, layout, destination);
        }
        let moved;
        let image = match self.frame.resource.cpu() {
            Some(image) => image,
            None => {
                moved = self.frame.resource.read_back()?;
                &*moved
            }
        };
        match (&self.convert, self.layout.computed_layouts.first()) {
            (Some(conversion), Some(plane)) => {
                convert::to_rgb(image, conversion, plane.plane_layout(), destination)
            }
            _ => convert::copy_planes(image, &self.layout, destination),
        }
    }
}

fn not_supported(message: String) -> Exception {
    Exception::not_supported(message)
}
