//! The identification header, "OpusHead": <https://www.rfc-editor.org/rfc/rfc7845#section-5.1>.

use bytes::Bytes;
use reelcore_media::MediaError;

use crate::library::Layout;

/// For each number of channels, which channel of the order that Ogg prescribes
/// (<https://www.rfc-editor.org/rfc/rfc7845#section-5.1.1.2>) is the next in WebCodecs' order, which is that of
/// FFmpeg and WAVE: front left, right, centre, LFE, back left, right or centre, side left, right.
const ORDER: [&[u8]; 8] = [
    &[0],
    &[0, 1],
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// Which channel of the order that Ogg prescribes is the next in WebCodecs' order, for 1 to 8 channels; empty for
/// others.
pub fn order(channels: u8) -> &'static [u8] {
    let index = usize::from(channels).checked_sub(1);
    index
        .and_then(|index| ORDER.get(index))
        .copied()
        .unwrap_or_default()
}

/// The header of a stream with that layout, a delay of `pre_skip` frames at 48 kHz, and input of `sample_rate`.
pub fn write(layout: &Layout, pre_skip: u16, sample_rate: u32) -> Bytes {
    let mut data = b"OpusHead\x01".to_vec();
    data.push(layout.mapping.len() as u8);
    data.extend_from_slice(&pre_skip.to_le_bytes());
    data.extend_from_slice(&sample_rate.to_le_bytes());
    // No gain.
    data.extend_from_slice(&[0, 0, layout.family]);
    if layout.family != 0 {
        data.extend_from_slice(&[layout.streams, layout.coupled]);
        data.extend_from_slice(&layout.mapping);
    }
    data.into()
}

/// How packets become channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Streams in a packet.
    pub streams: u8,
    /// How many of them, the first ones, are stereo.
    pub coupled: u8,
    /// For each output channel in WebCodecs' order: which decoded channel it is, 255 for silence.
    pub mapping: Vec<u8>,
    /// Output gain in 1/256 dB.
    pub gain: i16,
}

impl Head {
    /// Without a header: one stream, mono or stereo.
    ///
    /// # Errors
    /// `Unsupported` for other numbers of channels.
    pub fn without_description(channels: u32) -> Result<Self, MediaError> {
        match channels {
            1 => Ok(Self::single(1, 0)),
            2 => Ok(Self::single(2, 0)),
            _ => Err(MediaError::unsupported(format!(
                "Opus with {channels} channels needs a description (OpusHead)"
            ))),
        }
    }

    fn single(channels: u8, gain: i16) -> Self {
        Self {
            streams: 1,
            coupled: channels - 1,
            mapping: (0..channels).collect(),
            gain,
        }
    }

    /// Reads the header.
    ///
    /// # Errors
    /// `Unsupported` for what is no such header, and for channel mapping families other than 0, 1 and 255.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let bad = |message: String| MediaError::unsupported(format!("OpusHead: {message}"));
        let Some((fixed, rest)) = data.split_first_chunk::<19>() else {
            return Err(bad(format!(
                "expected at least 19 bytes, found {}",
                data.len()
            )));
        };
        if !fixed.starts_with(b"OpusHead") {
            return Err(bad("the first 8 bytes are not \"OpusHead\"".to_string()));
        }
        let &[
            ..,
            version,
            channels,
            _,
            _,
            _,
            _,
            _,
            _,
            gain_low,
            gain_high,
            family,
        ] = fixed;
        // The upper half is the major version: only that breaks the layout.
        if version >> 4 != 0 {
            return Err(bad(format!(
                "expected version 0 to 15 at byte 8, found {version}"
            )));
        }
        if channels == 0 {
            return Err(bad("no channels at byte 9".to_string()));
        }
        let gain = i16::from_le_bytes([gain_low, gain_high]);
        if family == 0 {
            if channels > 2 {
                return Err(bad(format!(
                    "mapping family 0 has 1 or 2 channels, found {channels}"
                )));
            }
            return Ok(Self::single(channels, gain));
        }
        let order: Vec<u8> = match family {
            1 => ORDER
                .get(usize::from(channels) - 1)
                .ok_or_else(|| {
                    bad(format!(
                        "mapping family 1 has 1 to 8 channels, found {channels}"
                    ))
                })?
                .to_vec(),
            255 => (0..channels).collect(),
            _ => {
                return Err(bad(format!(
                    "channel mapping family {family} is not supported"
                )));
            }
        };
        let (Some(&[streams, coupled]), Some(table)) =
            (rest.first_chunk(), rest.get(2..2 + usize::from(channels)))
        else {
            return Err(bad(format!(
                "expected {} bytes with {channels} channels, found {}",
                21 + usize::from(channels),
                data.len()
            )));
        };
        let decoded = u16::from(streams) + u16::from(coupled);
        if streams == 0 || coupled > streams || decoded > 255 {
            return Err(bad(format!(
                "{streams} streams, {coupled} of them stereo, at byte 19"
            )));
        }
        let mapping: Vec<u8> = order.iter().map(|&c| table[usize::from(c)]).collect();
        if let Some(wrong) = mapping
            .iter()
            .find(|&&index| index != 255 && u16::from(index) >= decoded)
        {
            return Err(bad(format!(
                "a channel is mapped to {wrong} of {decoded} decoded channels"
            )));
        }
        Ok(Self {
            streams,
            coupled,
            mapping,
            gain,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(channels: u8, family: u8, tail: &[u8]) -> Vec<u8> {
        let mut data = b"OpusHead\x01".to_vec();
        data.push(channels);
        data.extend_from_slice(&[0x38, 0x01, 0x80, 0xbb, 0, 0, 0x00, 0xff, family]);
        data.extend_from_slice(tail);
        data
    }

    #[test]
    fn the_channel_mapping_is_put_in_the_order_of_webcodecs() {
        let head = Head::parse(&header(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        // Ogg: FL FC FR BL BR LFE; here: FL FR FC LFE BL BR.
        assert_eq!(head.mapping, [0, 1, 4, 5, 2, 3]);
        assert_eq!((head.streams, head.coupled, head.gain), (4, 2, -256));
        let head = Head::parse(&header(3, 255, &[3, 0, 2, 255, 0])).unwrap();
        assert_eq!(head.mapping, [2, 255, 0]);
        assert_eq!(Head::parse(&header(2, 0, &[])).unwrap().coupled, 1);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for (data, reason) in [
            (vec![0; 9], "at least 19"),
            (vec![0; 19], "OpusHead"),
            (header(0, 0, &[]), "no channels"),
            (header(3, 0, &[]), "family 0"),
            (header(9, 1, &[9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), "1 to 8"),
            (header(2, 2, &[2, 0, 0, 1]), "family 2"),
            (header(2, 1, &[2, 0, 0]), "23 bytes"),
            (header(2, 1, &[]), "23 bytes"),
            (header(2, 1, &[0, 0, 0, 1]), "0 streams"),
            (header(2, 1, &[1, 2, 0, 1]), "stereo"),
            (header(2, 1, &[200, 100, 0, 1]), "stereo"),
            (header(2, 1, &[1, 0, 0, 1]), "mapped to 1"),
        ] {
            let error = Head::parse(&data).unwrap_err();
            assert!(error.message.contains(reason), "{error} / {reason}");
        }
        assert!(Head::without_description(3).is_err());
        assert!(Head::without_description(0).is_err());
    }
}
