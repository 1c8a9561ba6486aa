//! How long a packet of audio lasts, as its own header says.

use super::Bits;

/// A number of frames at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) count: u64,
    pub(crate) rate: u32,
}

/// Bytes of a packet that [`Timing::frames`] needs to see, at most.
pub(crate) const HEAD: usize = 16;

/// How to tell the length of a codec's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    Opus,
    Mp3,
    Flac {
        rate: u32,
    },
    /// As many frames in each packet.
    Constant(Frames),
    /// Uncompressed.
    Pcm {
        bytes_per_frame: u32,
        rate: u32,
    },
    /// The packets do not say, or nobody asks.
    Unknown,
}

impl Timing {
    /// The length of a packet of `size` bytes that starts with `head`; `None` where it cannot be told.
    pub(crate) fn frames(self, head: &[u8], size: u64) -> Option<Frames> {
        match self {
            Self::Opus => opus(head),
            Self::Mp3 => mp3(head),
            Self::Flac { rate } => flac(head).map(|count| Frames { count, rate }),
            Self::Constant(frames) => Some(frames),
            Self::Pcm {
                bytes_per_frame,
                rate,
            } => Some(Frames {
                count: size.checked_div(u64::from(bytes_per_frame))?,
                rate,
            }),
            Self::Unknown => None,
        }
    }
}

/// How long before a packet of sound its decoder has to start to have settled there, in milliseconds: 0 for codecs whose
/// packets stand alone.
pub(crate) fn pre_roll_ms(codec: &str, rate: u32) -> i64 {
    let family = codec.split('.').next().unwrap_or_default();
    match family {
        // The priming of AAC, 2,112 samples; that of Opus is 80 ms (RFC 7845, section 4.6).
        "mp4a" | "aac" => (2112 * 1000 / i64::from(rate.max(1))).max(100),
        "opus" => 100,
        // A packet and the one before it, whose main data begin up to 511 bytes before it in MPEG-1, and 255 in the lower rates,
        // where frames may have some ten bytes each (ISO/IEC 11172-3, 2.4.1.7).
        "mp3" if rate >= 32_000 => 250,
        "mp3" => 600,
        // The packet before, as the first gives no sound (Vorbis I, section 4.3.8): none is shorter.
        "vorbis" => 1,
        _ => 0,
    }
}

/// RFC 6716, section 3.1: the table-of-contents byte and the number of frames.
fn opus(head: &[u8]) -> Option<Frames> {
    let toc = *head.first()?;
    let config = toc >> 3;
    // In frames at 48 kHz.
    let frame: u64 = match config {
        0..=11 => [480, 960, 1920, 2880]
            .get(usize::from(config & 3))
            .copied()?,
        12..=15 => [480, 960].get(usize::from(config & 1)).copied()?,
        _ => 120 << (config & 3),
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(head.get(1)? & 63),
    };
    let count = count * frame;
    // At most 120 ms.
    (count > 0 && count <= 5760).then_some(Frames {
        count,
        rate: 48_000,
    })
}

/// ISO/IEC 11172-3 and 13818-3: layer III alone.
fn mp3(head: &[u8]) -> Option<Frames> {
    let header = u32::from_be_bytes(*head.first_chunk()?);
    if header >> 21 != 0x7ff || header >> 17 & 3 != 1 {
        return None;
    }
    let index = (header >> 10 & 3) as usize;
    let rate = [44_100, 48_000, 32_000].get(index).copied()?;
    let (count, rate) = match header >> 19 & 3 {
        3 => (1152, rate),
        2 => (576, rate / 2),
        0 => (576, rate / 4),
        _ => return None,
    };
    Some(Frames { count, rate })
}

/// RFC 9639, section 9.1: the block size of a frame.
fn flac(head: &[u8]) -> Option<u64> {
    let sync = u16::from_be_bytes(*head.first_chunk()?);
    if sync >> 1 != 0x7ffc {
        return None;
    }
    // The coded number is as long as its first byte says.
    let number = match head.get(4)?.leading_ones() {
        0 => 1,
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    match head.get(2)? >> 4 {
        1 => Some(192),
        code @ 2..=5 => Some(576 << (code - 2)),
        6 => Some(u64::from(*head.get(4 + number)?) + 1),
        7 => {
            let &[high, low] = head.get(4 + number..)?.first_chunk()?;
            Some(u64::from(u16::from_be_bytes([high, low])) + 1)
        }
        code @ 8..=15 => Some(256 << (code - 8)),
        _ => None,
    }
}

/// The length of the packets of AAC that an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) gives: at the rate of the
/// core, before any spectral band replication.
pub(crate) fn aac_frames(config: &[u8]) -> Option<Frames> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let mut bits = Bits::new(config);
    let object_type = |bits: &mut Bits| match bits.u(5)? {
        31 => Some(32 + bits.u(6)?),
        kind => Some(kind),
    };
    let rate = |bits: &mut Bits| match bits.u(4)? {
        15 => bits.u(24),
        index => RATES.get(index as usize).copied(),
    };
    let mut kind = object_type(&mut bits)?;
    let core = rate(&mut bits)?;
    bits.skip(4)?;
    if matches!(kind, 5 | 29) {
        rate(&mut bits)?;
        kind = object_type(&mut bits)?;
    }
    // GASpecificConfig: AAC Main, LC, SSR, LTP. frameLengthFlag stands first.
    let short = matches!(kind, 1..=4) && bits.flag()?;
    (core > 0 && matches!(kind, 1..=4)).then_some(Frames {
        count: if short { 960 } else { 1024 },
        rate: core,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(timing: Timing, head: &[u8]) -> Option<u64> {
        timing.frames(head, head.len() as u64).map(|f| f.count)
    }

    #[test]
    fn opus_lengths_come_from_the_first_bytes() {
        for (head, want) in [
            (&[0xfc][..], Some(960)),
            (&[0xe0], Some(120)),
            (&[0x1d], Some(5760)),
            (&[0x60], Some(480)),
            (&[0xfb, 3], Some(2880)),
            (&[0xfb], None),
            (&[0xfb, 0], None),
            (&[0x1b, 63], None),
            (&[], None),
        ] {
            assert_eq!(count(Timing::Opus, head), want, "{head:?}");
        }
    }

    #[test]
    fn mp3_and_flac_lengths_come_from_their_headers() {
        let mp3 = |head: &[u8]| Timing::Mp3.frames(head, 4).map(|f| (f.count, f.rate));
        assert_eq!(mp3(&[0xff, 0xfb, 0x90, 0x64]), Some((1152, 44_100)));
        assert_eq!(mp3(&[0xff, 0xf3, 0x44, 0x64]), Some((576, 24_000)));
        assert_eq!(mp3(&[0xff, 0xfd, 0x90, 0x64]), None);
        let flac = Timing::Flac { rate: 44_100 };
        assert_eq!(count(flac, &[0xff, 0xf8, 0xc9, 0x18, 0]), Some(4096));
        assert_eq!(
            count(flac, &[0xff, 0xf8, 0x79, 0x18, 0xc2, 0x80, 0x03, 0xe7]),
            Some(1000)
        );
        assert_eq!(count(flac, &[0xff, 0xf8, 0x69, 0x18, 3, 99]), Some(100));
        assert_eq!(count(flac, &[0xff, 0xf8, 0x79, 0x18, 0]), None);
        assert_eq!(count(flac, &[0, 0, 0, 0, 0]), None);
        let pcm = Timing::Pcm {
            bytes_per_frame: 4,
            rate: 8000,
        };
        assert_eq!(count(pcm, &[0; 17]), Some(4));
    }

    #[test]
    fn aac_packets_last_1024_frames_of_the_core() {
        let frames = |config: &[u8]| aac_frames(config).map(|f| (f.count, f.rate));
        assert_eq!(frames(&[0x12, 0x10]), Some((1024, 44_100)));
        assert_eq!(frames(&[0x12, 0x14]), Some((960, 44_100)));
        // HE-AAC: a core of 24 kHz.
        assert_eq!(frames(&[0x2b, 0x11, 0x88, 0]), Some((1024, 24_000)));
        assert_eq!(frames(&[0x12]), None);
    }
}
