//! Headers of audio frames: ADTS (ISO/IEC 14496-3, 1.A.2.2) and MPEG-1 and MPEG-2 audio (ISO/IEC 11172-3, 2.4.1.3; 13818-3).

/// What the headers of a stream say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioInfo {
    /// The codec string; `None` for what WebCodecs has no name for.
    pub(super) codec: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) sample_rate: u32,
    pub(super) channels: u32,
}

/// What stands at the front of bytes that may be a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parsed {
    /// No frame.
    No,
    /// There may be one, of which bytes are missing.
    More,
    Frame(Header),
}

/// How frames of a codec are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The first byte of each.
    pub(super) sync: u8,
    pub(super) parse: fn(&[u8]) -> Parsed,
}

impl Form {
    pub(super) const ADTS: Self = Self {
        sync: 0xff,
        parse: |data| parsed(data, Header::adts),
    };
    pub(super) const MPEG: Self = Self {
        sync: 0xff,
        parse: |data| parsed(data, Header::mpeg),
    };
    pub(super) const OPUS: Self = Self {
        sync: 0x7f,
        parse: super::opus::access_unit,
    };
}

fn parsed(data: &[u8], parse: fn(&[u8]) -> Option<Header>) -> Parsed {
    match parse(data) {
        _ if data.len() < Header::BYTES => Parsed::More,
        Some(header) => Parsed::Frame(header),
        None => Parsed::No,
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the frame with its header.
    pub(super) len: usize,
    /// Bytes in front that are no part of the packet: ADTS and MPEG audio keep their headers.
    pub(super) own: usize,
    /// Samples to drop at its start and at its end.
    pub(super) trims: (u32, u32),
    /// Samples of each channel.
    pub(super) samples: u32,
    pub(super) info: AudioInfo,
}

const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Table 1.19: channels of a channel_configuration; 0 is said in the stream.
const AAC_CHANNELS: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 8];

/// bitrate_index in kbit/s from 1 on: MPEG-1 layers I, II, III; MPEG-2 layer I, layers II and III.
const BIT_RATES: [[u32; 14]; 5] = [
    [
        32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

impl Header {
    /// Bytes that are read of a header.
    pub(super) const BYTES: usize = 7;

    /// Whether both can be of one stream.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.info.sample_rate == other.info.sample_rate && self.info.name == other.info.name
    }

    /// adts_fixed_header and adts_variable_header.
    pub(super) fn adts(data: &[u8]) -> Option<Self> {
        let &[a, b, c, d, e, f, g] = data.first_chunk::<{ Self::BYTES }>()?;
        // syncword, and layer of 0.
        if a != 0xff || b & 0xf6 != 0xf0 {
            return None;
        }
        let codec = match c >> 6 {
            0 => "mp4a.40.1",
            1 => "mp4a.40.2",
            2 => "mp4a.40.3",
            _ => "mp4a.40.4",
        };
        let sample_rate = AAC_RATES.get(usize::from(c >> 2 & 15)).copied()?;
        let channels = AAC_CHANNELS
            .get(usize::from((c & 1) << 2 | d >> 6))
            .copied()?;
        let len = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        // protection_absent of 0: a CRC follows.
        let own = if b & 1 == 1 { 7 } else { 9 };
        let blocks = u32::from(g & 3) + 1;
        (len > own).then_some(Self {
            len,
            own: 0,
            trims: (0, 0),
            samples: 1024 * blocks,
            info: AudioInfo {
                codec: Some(codec),
                name: "aac",
                sample_rate,
                // A program_config_element tells: two are the most likely.
                channels: if channels == 0 { 2 } else { channels },
            },
        })
    }

    /// The header of MPEG-1 and MPEG-2 audio. Frames of free format are not read.
    pub(super) fn mpeg(data: &[u8]) -> Option<Self> {
        let header = u32::from_be_bytes(*data.first_chunk()?);
        if header >> 21 != 0x7ff {
            return None;
        }
        let rate = *[44_100, 48_000, 32_000].get((header >> 10 & 3) as usize)?;
        let (mpeg1, sample_rate) = match header >> 19 & 3 {
            3 => (true, rate),
            2 => (false, rate / 2),
            0 => (false, rate / 4),
            _ => return None,
        };
        let (layer, table) = match (header >> 17 & 3, mpeg1) {
            (3, true) => (1, 0),
            (2, true) => (2, 1),
            (1, true) => (3, 2),
            (3, false) => (1, 3),
            (2, false) => (2, 4),
            (1, false) => (3, 4),
            _ => return None,
        };
        let index = (header >> 12 & 15).checked_sub(1)?;
        let bit_rate = *BIT_RATES.get(table)?.get(index as usize)? * 1000;
        let padding = header >> 9 & 1;
        let (samples, len) = match (layer, mpeg1) {
            (1, _) => (384, (12 * bit_rate / sample_rate + padding) * 4),
            (3, false) => (576, 72 * bit_rate / sample_rate + padding),
            _ => (1152, 144 * bit_rate / sample_rate + padding),
        };
        Some(Self {
            len: usize::try_from(len).ok().filter(|&len| len > 4)?,
            own: 0,
            trims: (0, 0),
            samples,
            info: AudioInfo {
                codec: (layer == 3).then_some("mp3"),
                name: ["mp1", "mp2", "mp3"].get(layer - 1).copied()?,
                sample_rate,
                channels: if header >> 6 & 3 == 3 { 1 } else { 2 },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adts_headers_tell_length_rate_and_channels() {
        // 44.1 kHz, stereo, 371 bytes.
        let header = Header::adts(&[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc]).expect("a header");
        assert_eq!((header.len, header.samples), (371, 1024));
        assert_eq!((header.info.sample_rate, header.info.channels), (44_100, 2));
        assert_eq!(header.info.codec, Some("mp4a.40.2"));
        // No room for the header itself; a layer; a rate that is not in use.
        assert_eq!(Header::adts(&[0xff, 0xf1, 0x50, 0x80, 0, 0x7f, 0xfc]), None);
        assert_eq!(
            Header::adts(&[0xff, 0xf3, 0x50, 0x80, 0x2e, 0x7f, 0xfc]),
            None
        );
        assert_eq!(
            Header::adts(&[0xff, 0xf1, 0x78, 0x80, 0x2e, 0x7f, 0xfc]),
            None
        );
    }

    #[test]
    fn mpeg_audio_headers_of_all_layers_are_read() {
        let read = |head: [u8; 4]| {
            Header::mpeg(&head).map(|h| (h.len, h.samples, h.info.name, h.info.sample_rate))
        };
        assert_eq!(
            read([0xff, 0xfb, 0x90, 0x64]),
            Some((417, 1152, "mp3", 44_100))
        );
        assert_eq!(
            read([0xff, 0xfd, 0x94, 0x00]),
            Some((480, 1152, "mp2", 48_000))
        );
        assert_eq!(
            read([0xff, 0xf3, 0x44, 0xc4]),
            Some((96, 576, "mp3", 24_000))
        );
        assert_eq!(
            read([0xff, 0xff, 0x94, 0x00]),
            Some((288, 384, "mp1", 48_000))
        );
        assert_eq!(read([0xff, 0xfb, 0x00, 0x64]), None);
        assert_eq!(read([0xff, 0xfb, 0xf0, 0x64]), None);
    }
}
