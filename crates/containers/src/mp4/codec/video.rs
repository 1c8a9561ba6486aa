//! `avcC`, `hvcC`, `av1C` and `vpcC`.

use std::fmt::Write;

use reelcore_media::ColorSpace;
use reelcore_media::demux::DemuxError;

use super::Codec;
use crate::mp4::parse::{FourCc, Reader};

/// H.264: <https://www.w3.org/TR/webcodecs-avc-codec-registration/>. The description is the body of `avcC`.
pub(crate) fn avc(entry: FourCc, mut reader: Reader) -> Result<Codec, DemuxError> {
    let description = reader.clone().rest();
    let version = reader.u8()?;
    if version != 1 {
        return Err(reader.error(format_args!("expected version 1, found {version}")));
    }
    let (profile, compatibility, level) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let string = format!("{entry}.{profile:02x}{compatibility:02x}{level:02x}");
    Ok(Codec::new(string, Some(description)))
}

/// HEVC: <https://www.w3.org/TR/webcodecs-hevc-codec-registration/>. The description is the body of `hvcC`; the
/// string is that of ISO/IEC 14496-15 annex E.3.
pub(crate) fn hevc(entry: FourCc, mut reader: Reader) -> Result<Codec, DemuxError> {
    let description = reader.clone().rest();
    let version = reader.u8()?;
    // Writers from before the standard was final left 0.
    if version > 1 {
        return Err(reader.error(format_args!("expected version 1, found {version}")));
    }
    let profile = reader.u8()?;
    let compatibility = reader.u32()?;
    let constraints = reader.take(6)?;
    let level = reader.u8()?;
    let mut string = format!("{entry}.");
    if let space @ 1..=3 = profile >> 6 {
        string.push(char::from(b'A' + space - 1));
    }
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    // Writing to a String cannot fail.
    let _ = write!(
        string,
        "{}.{:X}.{tier}{level}",
        profile & 31,
        compatibility.reverse_bits()
    );
    let used = constraints
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        let _ = write!(string, ".{byte:X}");
    }
    Ok(Codec::new(string, Some(description)))
}

/// AV1: <https://www.w3.org/TR/webcodecs-av1-codec-registration/>. There is no description: the sequence header
/// is in each key frame. The string is that of the AV1 ISOBMFF binding, section 5; its optional part stands where
/// the file gives the colour or the samples are not 4:2:0.
pub(crate) fn av1(mut reader: Reader, colour: Option<Nclx>) -> Result<Codec, DemuxError> {
    let marker = reader.u8()?;
    if marker != 0x81 {
        return Err(reader.error(format_args!(
            "expected marker and version 0x81, found {marker:#04x}"
        )));
    }
    let profile_level = reader.u8()?;
    let flags = reader.u8()?;
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    let monochrome = u8::from(flags & 0x10 != 0);
    let (sub_x, sub_y) = (flags >> 3 & 1, flags >> 2 & 1);
    let position = if sub_x == 1 && sub_y == 1 {
        flags & 3
    } else {
        0
    };
    let mut string = format!(
        "av01.{}.{:02}{tier}.{depth:02}",
        profile_level >> 5,
        profile_level & 31
    );
    if colour.is_some() || (monochrome, sub_x, sub_y) != (0, 1, 1) {
        let c = colour.unwrap_or(Nclx::UNSPECIFIED);
        let _ = write!(
            string,
            ".{monochrome}.{sub_x}{sub_y}{position}.{:02}.{:02}.{:02}.{}",
            c.primaries,
            c.transfer,
            c.matrix,
            u8::from(c.full_range == Some(true))
        );
    }
    Ok(Codec::new(string, None))
}

/// VP9: <https://www.w3.org/TR/webcodecs-vp9-codec-registration/>. There is no description. The string is that of
/// the VP codec ISO media file format binding. Returns the colour as well, which `vpcC` holds.
pub(crate) fn vp9(mut reader: Reader) -> Result<(Codec, Nclx), DemuxError> {
    let (version, _) = reader.full_box()?;
    if version != 1 {
        return Err(reader.error(format_args!("expected version 1, found {version}")));
    }
    let (profile, level, packed) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let colour = Nclx {
        primaries: reader.u8()?,
        transfer: reader.u8()?,
        matrix: reader.u8()?,
        full_range: Some(packed & 1 != 0),
    };
    let string = format!(
        "vp09.{profile:02}.{level:02}.{:02}.{:02}.{:02}.{:02}.{:02}.{:02}",
        packed >> 4,
        packed >> 1 & 7,
        colour.primaries,
        colour.transfer,
        colour.matrix,
        packed & 1
    );
    Ok((Codec::new(string, None), colour))
}

/// Code points of ITU-T H.273, from a `colr` box of type `nclx` (or QuickTime's `nclc`, without the range) or
/// from `vpcC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nclx {
    primaries: u8,
    transfer: u8,
    matrix: u8,
    full_range: Option<bool>,
}

impl Nclx {
    const UNSPECIFIED: Self = Self {
        primaries: 2,
        transfer: 2,
        matrix: 2,
        full_range: None,
    };

    /// Code points that another container gives.
    pub(crate) fn new(primaries: u8, transfer: u8, matrix: u8, full_range: Option<bool>) -> Self {
        Self {
            primaries,
            transfer,
            matrix,
            full_range,
        }
    }

    /// Parses a `colr` box; `None` for ICC profiles.
    pub(crate) fn parse(reader: &mut Reader) -> Result<Option<Self>, DemuxError> {
        let kind = reader.fourcc()?;
        if !matches!(&kind.0, b"nclx" | b"nclc") {
            return Ok(None);
        }
        let mut point = || reader.u16().map(|point| u8::try_from(point).unwrap_or(2));
        let (primaries, transfer, matrix) = (point()?, point()?, point()?);
        let full_range = match &kind.0 {
            // Some writers leave the range out, as in QuickTime's form.
            b"nclx" => reader.u8().ok().map(|range| range & 0x80 != 0),
            _ => None,
        };
        Ok(Some(Self {
            primaries,
            transfer,
            matrix,
            full_range,
        }))
    }

    pub(crate) fn color_space(self) -> ColorSpace {
        ColorSpace {
            full_range: self.full_range,
            ..ColorSpace::from_code_points(self.primaries, self.transfer, self.matrix, false)
        }
    }
}

/// A reader of the body of a configuration box.
#[cfg(test)]
fn body(kind: &[u8; 4], bytes: &'static [u8]) -> Reader {
    Reader::new(FourCc(*kind), bytes::Bytes::from_static(bytes), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avc_string_and_description_come_from_the_box() {
        let bytes = b"\x01\x64\x00\x1f\xff\xe1";
        let codec = avc(FourCc(*b"avc1"), body(b"avcC", bytes)).expect("valid");
        assert_eq!(codec.string, "avc1.64001f");
        assert_eq!(codec.description.as_deref(), Some(&bytes[..]));
        assert!(avc(FourCc(*b"avc1"), body(b"avcC", b"\x02\x64\x00\x1f")).is_err());
        assert!(avc(FourCc(*b"avc1"), body(b"avcC", b"\x01\x64")).is_err());
    }

    #[test]
    fn hevc_string_is_that_of_annex_e() {
        let main = b"\x01\x01\x60\0\0\0\xb0\0\0\0\0\0\x5d";
        let codec = hevc(FourCc(*b"hvc1"), body(b"hvcC", main)).expect("valid");
        assert_eq!(codec.string, "hvc1.1.6.L93.B0");
        let high = b"\x01\x64\x10\0\0\0\xb0\0\x23\0\0\0\x96";
        let codec = hevc(FourCc(*b"hev1"), body(b"hvcC", high)).expect("valid");
        assert_eq!(codec.string, "hev1.A4.8.H150.B0.0.23");
    }

    #[test]
    fn av1_string_tells_depth_tier_and_colour() {
        let codec = av1(body(b"av1C", b"\x81\x04\x0c\0"), None).expect("valid");
        assert_eq!(
            (codec.string.as_str(), codec.description),
            ("av01.0.04M.08", None)
        );
        let hdr = Nclx {
            primaries: 9,
            transfer: 16,
            matrix: 9,
            full_range: Some(false),
        };
        let codec = av1(body(b"av1C", b"\x81\x0d\xce\0"), Some(hdr)).expect("valid");
        assert_eq!(codec.string, "av01.0.13H.10.0.112.09.16.09.0");
        let codec = av1(body(b"av1C", b"\x81\x20\x00\0"), None).expect("valid");
        assert_eq!(codec.string, "av01.1.00M.08.0.000.02.02.02.0");
        assert!(av1(body(b"av1C", b"\x01\x04\x0c\0"), None).is_err());
    }

    #[test]
    fn vp9_string_holds_all_eight_fields() {
        let bytes = b"\x01\0\0\0\x02\x0a\xa2\x09\x10\x09\0\0";
        let (codec, colour) = vp9(body(b"vpcC", bytes)).expect("valid");
        assert_eq!(codec.string, "vp09.02.10.10.01.09.16.09.00");
        assert_eq!(colour.color_space().full_range, Some(false));
    }
}
