//! <https://w3c.github.io/webcodecs/#videocolorspace-interface>

use deno_core::{GarbageCollected, v8};
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};

use crate::generated::{
    VideoColorPrimaries, VideoColorSpaceInit, VideoColorSpaceMethods, VideoMatrixCoefficients,
    VideoTransferCharacteristics,
};
use crate::webidl::Exception;

/// A `VideoColorSpace`: immutable, so the media type is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoColorSpace(pub ColorSpace);

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for VideoColorSpace {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"VideoColorSpace"
    }
}

/// Two enumerations with the same values, one of the specification and one of the media crate.
macro_rules! same {
    ($($idl:ident $media:ident { $($value:ident)* })*) => {$(
        impl From<$idl> for $media {
            fn from(value: $idl) -> Self {
                match value { $($idl::$value => Self::$value,)* }
            }
        }

        impl From<$media> for $idl {
            fn from(value: $media) -> Self {
                match value { $($media::$value => Self::$value,)* }
            }
        }
    )*};
}

same! {
    VideoColorPrimaries Primaries { Bt709 Bt470bg Smpte170m Bt2020 Smpte432 }
    VideoTransferCharacteristics Transfer { Bt709 Smpte170m Iec61966_2_1 Linear Pq Hlg }
    VideoMatrixCoefficients Matrix { Rgb Bt709 Bt470bg Smpte170m Bt2020Ncl }
}

impl From<&VideoColorSpaceInit> for ColorSpace {
    fn from(init: &VideoColorSpaceInit) -> Self {
        Self {
            primaries: init.primaries.map(Into::into),
            transfer: init.transfer.map(Into::into),
            matrix: init.matrix.map(Into::into),
            full_range: init.full_range,
        }
    }
}

impl From<ColorSpace> for VideoColorSpaceInit {
    fn from(color_space: ColorSpace) -> Self {
        Self {
            primaries: color_space.primaries.map(Into::into),
            transfer: color_space.transfer.map(Into::into),
            matrix: color_space.matrix.map(Into::into),
            full_range: color_space.full_range,
        }
    }
}

impl VideoColorSpaceMethods for VideoColorSpace {
    /// <https://w3c.github.io/webcodecs/#dom-videocolorspace-videocolorspace>
    fn constructor<'s>(
        _: &mut v8::PinScope<'s, '_>,
        init: VideoColorSpaceInit,
    ) -> Result<Self, Exception> {
        // Step 1. Let c be a new VideoColorSpace object, initialized as follows: 1 to 4, each member of init or null.
        // Step 2. Return c.
        Ok(Self((&init).into()))
    }

    /// <https://w3c.github.io/webcodecs/#dom-videocolorspace-primaries>
    fn primaries(&self) -> Option<VideoColorPrimaries> {
        self.0.primaries.map(Into::into)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videocolorspace-transfer>
    fn transfer(&self) -> Option<VideoTransferCharacteristics> {
        self.0.transfer.map(Into::into)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videocolorspace-matrix>
    fn matrix(&self) -> Option<VideoMatrixCoefficients> {
        self.0.matrix.map(Into::into)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videocolorspace-fullrange>
    fn full_range(&self) -> Option<bool> {
        self.0.full_range
    }
}
