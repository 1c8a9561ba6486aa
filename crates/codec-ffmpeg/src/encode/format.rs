//! Which samples a codec string asks for.

use reelcore_media::codec_string::Hevc;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{MediaError, PixelFormat, VideoCodec};

use super::level;

/// The pixel format of the codec string's profile, where its level allows what is asked for.
pub(super) fn of(config: &VideoEncoderConfig) -> Result<PixelFormat, MediaError> {
    match &config.codec {
        VideoCodec::Hevc(hevc) => {
            let format = of_hevc(hevc)?;
            level::check(hevc, config)?;
            Ok(format)
        }
        VideoCodec::Avc(avc) if matches!(avc.profile, 66 | 77 | 100) => Ok(PixelFormat::I420),
        VideoCodec::Av1(av1) if av1.profile == 0 && av1.bit_depth == 8 && !av1.monochrome => {
            Ok(PixelFormat::I420)
        }
        other => Err(MediaError::unsupported(format!(
            "libavcodec encodes HEVC, and with hardware H.264 and AV1 of 8 bits and 4:2:0, not {other}"
        ))),
    }
}

/// Bits of the first two bytes of constraint flags in the range extensions profile (table A.2).
const MAX_10BIT: u8 = 0x04;
const MAX_8BIT: u8 = 0x02;
const MAX_422CHROMA: u8 = 0x01;
const MAX_420CHROMA: u8 = 0x80;
const MAX_MONOCHROME: u8 = 0x40;

fn of_hevc(hevc: &Hevc) -> Result<PixelFormat, MediaError> {
    use PixelFormat as F;
    let refused = |what: &str| {
        Err(MediaError::unsupported(format!(
            "x265 encodes the profiles 1 (Main), 2 (Main 10) and 4 (range extensions) here, not {what}"
        )))
    };
    if hevc.profile_space != 0 {
        return refused("those of another profile space");
    }
    match hevc.profile {
        1 => Ok(F::I420),
        2 => Ok(F::I420P10),
        4 => {
            let [bits, chroma, ..] = hevc.constraints;
            if chroma & MAX_MONOCHROME != 0 {
                return refused("monochrome");
            }
            let depth = match bits {
                _ if bits & MAX_8BIT != 0 => 8,
                _ if bits & MAX_10BIT != 0 => 10,
                _ => 12,
            };
            let columns = (bits & MAX_422CHROMA != 0, chroma & MAX_420CHROMA != 0);
            Ok(match (columns, depth) {
                ((_, true), 8) => F::I420,
                ((_, true), 10) => F::I420P10,
                ((_, true), _) => F::I420P12,
                ((true, _), 8) => F::I422,
                ((true, _), 10) => F::I422P10,
                ((true, _), _) => F::I422P12,
                (_, 8) => F::I444,
                (_, 10) => F::I444P10,
                (_, _) => F::I444P12,
            })
        }
        other => refused(&format!("{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelcore_media::Size;

    fn of_string(codec: &str) -> Result<PixelFormat, MediaError> {
        let codec = VideoCodec::parse(codec).expect("a codec string");
        of(&VideoEncoderConfig::new(codec, Size::new(64, 64)))
    }

    #[test]
    fn the_codec_string_says_which_samples_go_in() {
        use PixelFormat as F;
        for (codec, want) in [
            ("hvc1.1.6.L93.B0", F::I420),
            ("hev1.2.4.L93.B0", F::I420P10),
            // Main 4:4:4, Main 4:4:4 10, Main 4:2:2 10, Main 12, Main 4:4:4 12 (table A.2).
            ("hev1.4.10.L93.9E.8", F::I444),
            ("hev1.4.10.L93.9C.8", F::I444P10),
            ("hev1.4.10.L93.9D.8", F::I422P10),
            ("hev1.4.10.L93.99.88", F::I420P12),
            ("hev1.4.10.L93.98.8", F::I444P12),
        ] {
            assert_eq!(of_string(codec).expect(codec), want, "{codec}");
        }
        for codec in [
            "hev1.3.E.L93.B0",
            "hev1.4.10.L93.9F.C8",
            "hev1.1.6.L94.B0",
            "vp8",
        ] {
            assert!(of_string(codec).is_err(), "{codec}");
        }
    }
}
