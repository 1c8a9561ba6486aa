//! Frame headers of MPEG audio (ISO/IEC 11172-3, 2.4.1.3, and 13818-3; MPEG-2.5 is Fraunhofer's), and what encoders
//! write into the first frame.

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 4;

/// The layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    One,
    Two,
    Three,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether it is MPEG-1; else MPEG-2 or 2.5, whose frames are half as long.
    pub(crate) one: bool,
    pub(crate) layer: Layer,
    pub(crate) rate: u32,
    pub(crate) channels: u32,
    /// Samples in the frame.
    pub(crate) samples: u32,
    /// Bytes of the frame; `None` for free format.
    pub(crate) size: Option<usize>,
    /// Whether a checksum follows the header.
    pub(crate) crc: bool,
}

impl Header {
    /// Reads the header that `head` begins with.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*head.first_chunk()?);
        if word >> 21 != 0x7ff {
            return None;
        }
        let divider = match word >> 19 & 3 {
            0 => 4,
            2 => 2,
            3 => 1,
            _ => return None,
        };
        let one = divider == 1;
        let layer = match word >> 17 & 3 {
            3 => Layer::One,
            2 => Layer::Two,
            1 => Layer::Three,
            _ => return None,
        };
        let rate = *[44_100, 48_000, 32_000].get((word >> 10 & 3) as usize)? / divider;
        // In kbit/s: index 15 is forbidden, 0 is free format.
        const RATES: [[u16; 15]; 5] = [
            [
                0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
            ],
            [
                0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
            ],
            [
                0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
            ],
            [
                0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
            ],
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let row = match (one, layer) {
            (true, Layer::One) => 0,
            (true, Layer::Two) => 1,
            (true, Layer::Three) => 2,
            (false, Layer::One) => 3,
            (false, _) => 4,
        };
        let bits = 1000 * u32::from(*RATES.get(row)?.get((word >> 12 & 15) as usize)?);
        let padding = word >> 9 & 1;
        let samples = match (layer, one) {
            (Layer::One, _) => 384,
            (Layer::Three, false) => 576,
            _ => 1152,
        };
        let size = match layer {
            Layer::One => (12 * bits / rate + padding) * 4,
            _ => samples / 8 * bits / rate + padding,
        };
        Some(Self {
            one,
            layer,
            rate,
            channels: if word >> 6 & 3 == 3 { 1 } else { 2 },
            samples,
            size: (bits > 0).then_some(size as usize),
            crc: word >> 16 & 1 == 0,
        })
    }

    /// Whether frames with this and with `other` can be of one stream.
    pub(crate) fn same_stream(&self, other: &Self) -> bool {
        (self.one, self.layer, self.rate) == (other.one, other.layer, other.rate)
    }

    /// What a decoder is configured with, as a number that is not 0. Channels are each frame's own.
    pub(crate) fn setup(&self) -> u32 {
        let layer = match self.layer {
            Layer::One => 1,
            Layer::Two => 2,
            Layer::Three => 3,
        };
        self.rate << 2 | layer
    }

    /// Bytes of layer III's side information, which follows the header and its checksum.
    pub(crate) fn side_info(&self) -> usize {
        match (self.one, self.channels) {
            (true, 1) | (false, 2) => 17,
            (true, _) => 32,
            (false, _) => 9,
        }
    }

    /// Bytes before the main data of a frame of layer III.
    pub(crate) fn before_main_data(&self) -> usize {
        HEADER + if self.crc { 2 } else { 0 } + self.side_info()
    }

    /// How many bytes before this frame's own main data it begins (`main_data_begin`, 2.4.1.7).
    pub(crate) fn main_data_begin(&self, frame: &[u8]) -> Option<usize> {
        let at = HEADER + if self.crc { 2 } else { 0 };
        let &[high, low] = frame.get(at..)?.first_chunk()?;
        Some(match self.one {
            true => usize::from(high) << 1 | usize::from(low >> 7),
            false => usize::from(high),
        })
    }
}

/// What a frame that holds no sound says of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Frames after this one.
    pub(crate) frames: Option<u64>,
    /// Bytes of all frames with this one.
    pub(crate) bytes: Option<u64>,
    /// Encoder delay and padding in samples.
    pub(crate) gapless: Option<(u32, u32)>,
}

/// Reads the tag of Xing and LAME, or that of Fraunhofer's encoder (VBRI), in the first frame.
/// <http://gabriel.mp3-tech.org/mp3infotag.html>, <https://www.codeproject.com/Articles/8295/MPEG-Audio-Frame-Header>
pub(crate) fn info(header: &Header, frame: &[u8]) -> Option<Info> {
    let word = |at: usize| {
        let field = frame.get(at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*field))
    };
    let vbri = HEADER + 32;
    if frame.get(vbri..vbri + 4) == Some(b"VBRI") {
        let frames = word(vbri + 14)?;
        let bytes = word(vbri + 10)?;
        return Some(Info {
            frames: (frames > 0).then_some(u64::from(frames)),
            bytes: (bytes > 0).then_some(u64::from(bytes)),
            gapless: None,
        });
    }
    // Where the side information of a frame without checksum ends, whatever the header says.
    let mut at = HEADER + header.side_info();
    if !matches!(frame.get(at..at + 4)?, b"Xing" | b"Info") {
        return None;
    }
    let flags = word(at + 4)?;
    at += 8;
    let mut field = |bit: u32, size: usize| {
        let here = at;
        if flags & bit != 0 {
            at += size;
        }
        (flags & bit != 0).then_some(here)
    };
    let (frames, bytes) = (field(1, 4), field(2, 4));
    field(4, 100);
    field(8, 4);
    let frames = frames.and_then(&word).filter(|&frames| frames > 0);
    let bytes = bytes.and_then(&word).filter(|&bytes| bytes > 0);
    if frames.is_none() && bytes.is_none() {
        // It says nothing: what it is in can be sound.
        return None;
    }
    let encoder = frame.get(at..at + 4);
    let delays = frame.get(at + 21..).and_then(|rest| rest.first_chunk());
    let gapless = match (encoder, delays) {
        (Some(b"LAME" | b"Lavf" | b"Lavc"), Some(&[a, b, c])) => Some((
            u32::from(a) << 4 | u32::from(b >> 4),
            u32::from(b & 15) << 8 | u32::from(c),
        )),
        _ => None,
    };
    Some(Info {
        frames: frames.map(u64::from),
        bytes: bytes.map(u64::from),
        gapless,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_standard() {
        let parse = |word: u32| Header::parse(&word.to_be_bytes());
        let of = |word| parse(word).map(|h| (h.size, h.samples, h.rate, h.channels));
        assert_eq!(of(0xfffb_9064), Some((Some(417), 1152, 44_100, 2)));
        assert_eq!(of(0xfffb_9264), Some((Some(418), 1152, 44_100, 2)));
        assert_eq!(of(0xfff3_44c4), Some((Some(96), 576, 24_000, 1)));
        assert_eq!(of(0xffe3_18c4), Some((Some(72), 576, 8000, 1)));
        assert_eq!(of(0xfffd_a400), Some((Some(576), 1152, 48_000, 2)));
        assert_eq!(of(0xffff_c400), Some((Some(384), 384, 48_000, 2)));
        assert_eq!(of(0xfffb_0064), Some((None, 1152, 44_100, 2)));
        for none in [
            0xfffb_f064,
            0xfffb_9c64,
            0xffeb_9064,
            0xfff9_9064,
            0xff00_0000,
        ] {
            assert_eq!(parse(none), None, "{none:#x}");
        }
    }
}
