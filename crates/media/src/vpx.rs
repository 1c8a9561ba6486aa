//! VP8 and VP9 bitstream syntax that decoders and demuxers need beside a codec library: frame headers up to
//! the size of the picture, and the superframes of VP9.
//!
//! <https://www.rfc-editor.org/rfc/rfc6386#section-9.1> (VP8) and
//! <https://storage.googleapis.com/downloads.webmproject.org/docs/vp9/vp9-bitstream-specification-v0.7-20170222-draft.pdf>
//! (VP9; sections and annexes below are of this).

use std::ops::Range;

use crate::color::ColorSpace;
use crate::error::MediaError;
use crate::geometry::Size;

/// The frame header of VP8, as far as it is not entropy-coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8FrameHeader {
    /// Width and height in pixels. Key frames have them, other frames do not.
    pub key: Option<Size>,
    /// The version (profile), 0 to 3, or a reserved one up to 7.
    pub version: u8,
    /// show_frame: whether the picture is for display.
    pub shown: bool,
    /// Bytes of the first partition.
    pub first_partition: u32,
}

impl Vp8FrameHeader {
    /// Reads the frame tag of `data` and, of a key frame, the start code and the size.
    ///
    /// # Errors
    /// `InvalidData` with the byte offset: too short, another start code, a side of 0 pixels.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let fail = |at: usize, what: String| {
            Err(MediaError::invalid_data(format!(
                "VP8 frame header at byte {at}: {what}"
            )))
        };
        let &[a, b, c, ref rest @ ..] = data else {
            return fail(0, format!("3 bytes expected, {} found", data.len()));
        };
        let tag = u32::from_le_bytes([a, b, c, 0]);
        let key = if tag & 1 == 0 {
            let &[s0, s1, s2, w0, w1, h0, h1, ..] = rest else {
                return fail(3, format!("7 bytes expected, {} found", rest.len()));
            };
            if [s0, s1, s2] != [0x9d, 0x01, 0x2a] {
                return fail(
                    3,
                    format!("start code 9d 01 2a expected, found {s0:02x} {s1:02x} {s2:02x}"),
                );
            }
            // The two bits above a side are a hint to scale it for display, which no player follows.
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            let size = Size::new(side(w0, w1), side(h0, h1));
            if size.area() == 0 {
                return fail(6, format!("a size of {}x{}", size.width, size.height));
            }
            Some(size)
        } else {
            None
        };
        Ok(Self {
            key,
            version: (tag >> 1 & 7) as u8,
            shown: tag >> 4 & 1 == 1,
            first_partition: tag >> 5,
        })
    }
}

/// color_config(): how the samples of VP9 are stored and meant (7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9ColorConfig {
    /// Bits of each sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// color_space: 0 unknown, 1 BT.601, 2 BT.709, 3 SMPTE-170, 4 SMPTE-240, 5 BT.2020, 6 reserved, 7 RGB.
    pub color_space: u8,
    /// color_range: full swing.
    pub full_range: bool,
    /// subsampling_x: chroma has half the columns.
    pub subsampling_x: bool,
    /// subsampling_y: chroma has half the rows.
    pub subsampling_y: bool,
}

impl Vp9ColorConfig {
    /// What profile 0 has without saying so.
    const PROFILE_0_INTRA_ONLY: Self = Self {
        bit_depth: 8,
        color_space: 1,
        full_range: false,
        subsampling_x: true,
        subsampling_y: true,
    };

    /// The colour space in WebCodecs' terms, see [`vp9_color_space`].
    pub fn color_space(&self) -> ColorSpace {
        vp9_color_space(self.color_space, self.full_range)
    }
}

/// The colour space of a VP9 color_space and color_range (7.2.2), by the code points of
/// <https://www.webmproject.org/vp9/mp4/#vp-codec-configuration-box> that mean the same. VP9 itself says nothing of
/// primaries and transfer; those of the standard it names are taken. BT.601's are SMPTE 170M's. Unknown values leave
/// all but the range open.
pub fn vp9_color_space(color_space: u8, full_range: bool) -> ColorSpace {
    let (primaries, transfer, matrix) = match color_space {
        1 | 3 => (6, 6, 6),
        2 => (1, 1, 1),
        4 => (7, 7, 7),
        5 => (9, 14, 9),
        7 => (1, 13, 0),
        _ => (2, 2, 2),
    };
    ColorSpace::from_code_points(primaries, transfer, matrix, full_range)
}

/// What kind of frame a VP9 header starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vp9FrameKind {
    /// KEY_FRAME.
    Key,
    /// A NON_KEY_FRAME with intra_only.
    IntraOnly,
    /// A NON_KEY_FRAME that refers to earlier ones.
    Inter,
    /// show_existing_frame: nothing is coded, an earlier picture is shown.
    ShowExisting,
}

/// uncompressed_header() of VP9, to the size of the picture (6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9FrameHeader {
    /// 0 to 3.
    pub profile: u8,
    /// The kind of frame.
    pub kind: Vp9FrameKind,
    /// Whether the picture is for display.
    pub shown: bool,
    /// How samples are stored; `None` where that is as in an earlier frame.
    pub color: Option<Vp9ColorConfig>,
    /// Width and height in pixels; `None` where they are those of an earlier frame.
    pub size: Option<Size>,
}

/// Reads bits from the most significant on (9.1).
struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    /// f(n), `count` at most 32.
    fn read(&mut self, count: usize) -> Result<u32, MediaError> {
        let mut value = 0;
        for _ in 0..count {
            let Some(byte) = self.data.get(self.at / 8) else {
                return Err(MediaError::invalid_data(format!(
                    "VP9 frame header: cut short after {} bytes",
                    self.data.len()
                )));
            };
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    fn flag(&mut self) -> Result<bool, MediaError> {
        Ok(self.read(1)? == 1)
    }

    fn fail<T>(&self, what: impl std::fmt::Display) -> Result<T, MediaError> {
        Err(MediaError::invalid_data(format!(
            "VP9 frame header before bit {}: {what}",
            self.at
        )))
    }
}

impl Vp9FrameHeader {
    /// Reads the header at the start of `data`, which is one frame (see [`Superframe`]).
    ///
    /// # Errors
    /// `InvalidData` with the place in bits: cut short, another frame marker or sync code, reserved values.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let mut bits = Bits { data, at: 0 };
        let marker = bits.read(2)?;
        if marker != 2 {
            return bits.fail(format_args!("frame_marker 2 expected, found {marker}"));
        }
        let low = bits.read(1)?;
        let profile = (bits.read(1)? << 1 | low) as u8;
        if profile == 3 && bits.flag()? {
            return bits.fail("reserved_zero is 1, a profile above 3");
        }
        // show_existing_frame
        if bits.flag()? {
            // frame_to_show_map_idx
            bits.read(3)?;
            return Ok(Self {
                profile,
                kind: Vp9FrameKind::ShowExisting,
                shown: true,
                color: None,
                size: None,
            });
        }
        // frame_type: 0 is KEY_FRAME.
        let key = !bits.flag()?;
        let shown = bits.flag()?;
        let error_resilient = bits.flag()?;
        let intra_only = !key && !shown && bits.flag()?;
        if !key && !error_resilient {
            // reset_frame_context
            bits.read(2)?;
        }
        let mut header = Self {
            profile,
            kind: if key {
                Vp9FrameKind::Key
            } else if intra_only {
                Vp9FrameKind::IntraOnly
            } else {
                Vp9FrameKind::Inter
            },
            shown,
            color: None,
            size: None,
        };
        if key || intra_only {
            // frame_sync_code()
            let sync = bits.read(24)?;
            if sync != 0x49_83_42 {
                return bits.fail(format_args!("sync code 498342 expected, found {sync:06x}"));
            }
            header.color = Some(if key || profile > 0 {
                color_config(&mut bits, profile)?
            } else {
                Vp9ColorConfig::PROFILE_0_INTRA_ONLY
            });
            if intra_only {
                // refresh_frame_flags
                bits.read(8)?;
            }
            header.size = Some(frame_size(&mut bits)?);
        } else {
            // refresh_frame_flags, and ref_frame_idx and ref_frame_sign_bias of three references
            bits.read(8 + 3 * 4)?;
            // frame_size_with_refs(): found_ref for each, until one is 1.
            if !(bits.flag()? || bits.flag()? || bits.flag()?) {
                header.size = Some(frame_size(&mut bits)?);
            }
        }
        Ok(header)
    }
}

/// color_config() (6.2.2).
fn color_config(bits: &mut Bits<'_>, profile: u8) -> Result<Vp9ColorConfig, MediaError> {
    let bit_depth = match profile >= 2 {
        // ten_or_twelve_bit
        true if bits.flag()? => 12,
        true => 10,
        false => 8,
    };
    let color_space = bits.read(3)? as u8;
    let is_rgb = color_space == 7;
    let full_range = is_rgb || bits.flag()?;
    let (subsampling_x, subsampling_y) = if profile & 1 == 1 {
        let subsampling = if is_rgb {
            (false, false)
        } else {
            (bits.flag()?, bits.flag()?)
        };
        if bits.flag()? {
            return bits.fail("reserved_zero of color_config is 1");
        }
        if subsampling == (true, true) {
            return bits.fail(format_args!("4:2:0 in profile {profile}"));
        }
        subsampling
    } else if is_rgb {
        return bits.fail(format_args!(
            "RGB in profile {profile}, which has 4:2:0 only"
        ));
    } else {
        (true, true)
    };
    Ok(Vp9ColorConfig {
        bit_depth,
        color_space,
        full_range,
        subsampling_x,
        subsampling_y,
    })
}

/// frame_size() (6.2.3); a side is 1 to 65536.
fn frame_size(bits: &mut Bits<'_>) -> Result<Size, MediaError> {
    Ok(Size::new(bits.read(16)? + 1, bits.read(16)? + 1))
}

/// The frames that one VP9 chunk holds (annex B): at most 8, all but the last of them not for display.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superframe {
    frames: [Range<usize>; 8],
    count: usize,
}

impl Superframe {
    /// Reads the superframe index at the end of `data`. Data without one is a single frame.
    ///
    /// # Errors
    /// `InvalidData`: no data, an index that is longer than the data, an empty frame or one past the index.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let fail = |what: String| {
            Err(MediaError::invalid_data(format!(
                "VP9 superframe of {} bytes: {what}",
                data.len()
            )))
        };
        let mut found = Self::default();
        let Some(&header) = data.last() else {
            return fail("empty, expected a frame".into());
        };
        let single = |mut found: Self| {
            found.frames[0] = 0..data.len();
            found.count = 1;
            Ok(found)
        };
        // superframe_header(): superframe_marker, frame_sizes_bytes_minus_1, frames_in_superframe_minus_1.
        if header & 0xe0 != 0xc0 {
            return single(found);
        }
        let size_bytes = usize::from(header >> 3 & 3) + 1;
        let count = usize::from(header & 7) + 1;
        let Some(start) = data.len().checked_sub(2 + size_bytes * count) else {
            return fail(format!(
                "the index of {count} sizes of {size_bytes} bytes is longer"
            ));
        };
        let index = data.get(start..).unwrap_or_default();
        // The index starts and ends with the same byte; a frame may end with that byte by chance.
        if index.first() != Some(&header) {
            return single(found);
        }
        let sizes = index.get(1..).unwrap_or_default().chunks_exact(size_bytes);
        let mut at = 0;
        for (number, (size, frame)) in sizes.zip(&mut found.frames).take(count).enumerate() {
            let size = size
                .iter()
                .rev()
                .fold(0usize, |value, &byte| value << 8 | usize::from(byte));
            if size == 0 || size > start - at {
                return fail(format!(
                    "frame {number} of {count} has {size} bytes at byte {at}, of {} before the index",
                    start
                ));
            }
            *frame = at..at + size;
            at += size;
        }
        found.count = count;
        Ok(found)
    }

    /// Where the frames stand in the data.
    pub fn frames(&self) -> &[Range<usize>] {
        self.frames.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Matrix;

    /// Writes what `Bits` reads.
    fn bits(fields: &[(u32, usize)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        for &(value, count) in fields {
            for bit in (0..count).rev() {
                if at % 8 == 0 {
                    out.push(0);
                }
                *out.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (7 - at % 8);
                at += 1;
            }
        }
        out
    }

    #[test]
    fn a_vp8_key_frame_tells_its_size_without_the_scale() {
        let data = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0xb0, 0x40, 0x90, 0x80];
        assert_eq!(
            Vp8FrameHeader::parse(&data).unwrap(),
            Vp8FrameHeader {
                key: Some(Size::new(176, 144)),
                version: 0,
                shown: true,
                first_partition: 16
            }
        );
        let hidden = Vp8FrameHeader::parse(&[0x07, 0, 0]).unwrap();
        assert_eq!((hidden.key, hidden.version, hidden.shown), (None, 3, false));
        for cut in 0..data.len() {
            assert!(Vp8FrameHeader::parse(&data[..cut]).is_err(), "{cut}");
        }
        let mut other = data;
        other[4] = 2;
        let error = Vp8FrameHeader::parse(&other).unwrap_err();
        assert!(error.message.contains("byte 3"), "{error}");
        other = data;
        other[6..8].fill(0);
        assert!(Vp8FrameHeader::parse(&other).is_err());
    }

    #[test]
    fn vp9_headers_of_each_kind_are_read() {
        // Profile 3: 12 bits, BT.2020, full range, 4:2:2, 1921x1081.
        let key = bits(&[
            (2, 2),
            (1, 1),
            (1, 1),
            (0, 1),
            (0, 1),
            (0, 1),
            (1, 1),
            (1, 1),
            (0x498342, 24),
            (1, 1),
            (5, 3),
            (1, 1),
            (1, 1),
            (0, 1),
            (0, 1),
            (1920, 16),
            (1080, 16),
        ]);
        let header = Vp9FrameHeader::parse(&key).unwrap();
        assert_eq!(header.profile, 3);
        assert_eq!(header.kind, Vp9FrameKind::Key);
        assert!(header.shown);
        assert_eq!(header.size, Some(Size::new(1921, 1081)));
        let color = header.color.unwrap();
        assert_eq!(
            (color.bit_depth, color.subsampling_x, color.subsampling_y),
            (12, true, false)
        );
        assert_eq!(color.color_space().matrix, Some(Matrix::Bt2020Ncl));
        assert_eq!(color.color_space().full_range, Some(true));
        for cut in 0..key.len() {
            assert!(Vp9FrameHeader::parse(&key[..cut]).is_err(), "{cut}");
        }

        // Hidden, intra only, profile 0.
        let intra = bits(&[
            (2, 2),
            (0, 2),
            (0, 1),
            (1, 1),
            (0, 1),
            (0, 1),
            (1, 1),
            (0, 2),
            (0x498342, 24),
            (0xff, 8),
            (15, 16),
            (7, 16),
        ]);
        let header = Vp9FrameHeader::parse(&intra).unwrap();
        assert_eq!(header.kind, Vp9FrameKind::IntraOnly);
        assert!(!header.shown);
        assert_eq!(header.size, Some(Size::new(16, 8)));
        assert_eq!(header.color.unwrap().bit_depth, 8);

        // Shown, inter, error resilient: the size of the second reference, or one of its own.
        let inter = |tail: &[(u32, usize)]| {
            let head = [
                (2, 2),
                (0, 2),
                (0, 1),
                (1, 1),
                (1, 1),
                (1, 1),
                (1, 8),
                (0, 12),
            ];
            Vp9FrameHeader::parse(&bits(&[&head, tail].concat())).unwrap()
        };
        assert_eq!(inter(&[(1, 2)]).kind, Vp9FrameKind::Inter);
        assert_eq!(inter(&[(1, 2)]).size, None);
        assert_eq!(
            inter(&[(0, 3), (99, 16), (49, 16)]).size,
            Some(Size::new(100, 50))
        );

        let existing = Vp9FrameHeader::parse(&[0x8b]).unwrap();
        assert_eq!(existing.kind, Vp9FrameKind::ShowExisting);
        assert!(existing.shown);
        for bad in [&[][..], &[0x00], &[0xc0], &[0xb8, 0], &[0x80, 0, 0, 0, 0]] {
            assert!(Vp9FrameHeader::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn superframes_are_split_and_broken_indices_refused() {
        let split = |data: &[u8]| {
            Superframe::parse(data).map(|s| {
                let ends = s.frames().iter().map(|range| (range.start, range.end));
                ends.collect::<Vec<_>>()
            })
        };
        assert_eq!(split(&[1, 2, 3]).unwrap(), [(0, 3)]);
        // Two frames, sizes of one byte.
        assert_eq!(
            split(&[9, 9, 9, 7, 0xc1, 3, 1, 0xc1]).unwrap(),
            [(0, 3), (3, 4)]
        );
        // One frame, a size of two bytes.
        assert_eq!(split(&[9, 9, 0xc8, 2, 0, 0xc8]).unwrap(), [(0, 2)]);
        // The last byte of a frame looks like a superframe header.
        assert_eq!(split(&[9, 9, 9, 9, 9, 0xc1]).unwrap(), [(0, 6)]);
        assert!(split(&[]).is_err());
        assert!(split(&[0xc1]).is_err());
        assert!(split(&[9, 0xc1, 1, 0, 0xc1]).is_err());
        let error = split(&[9, 9, 0xc1, 1, 2, 0xc1]).unwrap_err();
        assert!(
            error.message.contains("frame 1 of 2 has 2 bytes"),
            "{error}"
        );
        assert!(split(&[0xff, 0xff, 0xff, 0xff]).is_ok());
    }
}
