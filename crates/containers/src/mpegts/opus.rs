//! Opus in transport streams: access units behind control headers, ETSI TS "Opus in MPEG-2 TS", 4.2 and 4.3.
//! <https://opus-codec.org/docs/ETSI_TS_opus-v0.1.3-draft.pdf>

use bytes::Bytes;

use super::audio::{AudioInfo, Header, Parsed};
use crate::bitstream::audio::Timing;

/// Bytes of an access unit, at most: 48 frames of 1275 bytes, with their sizes and padding.
const MOST: usize = 64 << 10;

/// The access unit at the front of `data`.
pub(super) fn access_unit(data: &[u8]) -> Parsed {
    match read(data) {
        Ok(header) => header.map_or(Parsed::No, Parsed::Frame),
        Err(Short) => Parsed::More,
    }
}

/// Bytes are missing.
struct Short;

/// opus_control_header(), and the length of the packet behind it.
fn read(data: &[u8]) -> Result<Option<Header>, Short> {
    let &[a, b] = data.first_chunk().ok_or(Short)?;
    // control_header_prefix
    if u16::from_be_bytes([a, b]) >> 5 != 0x3ff {
        return Ok(None);
    }
    let mut at = 2;
    let mut take = |count: usize| -> Result<&[u8], Short> {
        let from = at;
        at += count;
        data.get(from..at).ok_or(Short)
    };
    let mut size = 0;
    loop {
        let byte = take(1)?.first().copied().unwrap_or(0);
        size += usize::from(byte);
        if size > MOST {
            return Ok(None);
        }
        if byte != 0xff {
            break;
        }
    }
    let mut trim = |flag: u8| -> Result<u32, Short> {
        if b & flag == 0 {
            return Ok(0);
        }
        let field = take(2)?.first_chunk().copied().unwrap_or_default();
        // Three reserved bits come first.
        Ok(u32::from(u16::from_be_bytes(field) & 0x1fff))
    };
    // start_trim_flag, end_trim_flag and control_extension_flag.
    let trims = (trim(0x10)?, trim(0x08)?);
    if b & 0x04 != 0 {
        let length = take(1)?.first().copied().unwrap_or(0);
        take(usize::from(length))?;
    }
    let packet = take(size)?;
    let Some(frames) = Timing::Opus.frames(packet, size as u64) else {
        return Ok(None);
    };
    Ok(Some(Header {
        len: at,
        own: at - size,
        trims,
        samples: u32::try_from(frames.count).unwrap_or(u32::MAX),
        info: AudioInfo {
            codec: Some("opus"),
            name: "opus",
            sample_rate: frames.rate,
            // What the packet is coded as; the descriptor says how many there are.
            channels: 2,
        },
    }))
}

/// The identification header that says how the streams of `channels` are laid out, where packets alone do not: RFC 7845, 5.1.1, in the
/// order that channel_config_code stands for.
pub(super) fn head(channels: u8) -> Option<Bytes> {
    let (streams, coupled, mapping): (u8, u8, &[u8]) = match channels {
        3 => (2, 1, &[0, 2, 1]),
        4 => (2, 2, &[0, 1, 2, 3]),
        5 => (3, 2, &[0, 4, 1, 2, 3]),
        6 => (4, 2, &[0, 4, 1, 2, 3, 5]),
        7 => (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => return None,
    };
    let mut head = b"OpusHead\x01".to_vec();
    // What is to be dropped stands in the control headers: no pre-skip. 48 kHz, no gain, mapping family 1.
    head.extend([channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 1, streams, coupled]);
    head.extend(mapping);
    Some(head.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(header: &[u8], packet: &[u8]) -> Vec<u8> {
        [header, packet].concat()
    }

    #[test]
    fn control_headers_tell_size_and_what_is_dropped() {
        // A packet of 20 ms, CELT.
        let packet = [&[0xfc][..], &[7; 299]].concat();
        let data = unit(&[0x7f, 0xf0, 255, 45, 1, 56], &packet);
        let Parsed::Frame(header) = access_unit(&data) else {
            panic!("expected an access unit");
        };
        assert_eq!((header.len, header.own, header.samples), (306, 6, 960));
        assert_eq!(header.trims, (312, 0));
        // Both trims, and an extension of two bytes.
        let data = unit(&[0x7f, 0xfc, 1, 0, 5, 0, 6, 2, 9, 9], &[0xfc]);
        let Parsed::Frame(header) = access_unit(&data) else {
            panic!("expected an access unit");
        };
        assert_eq!((header.len, header.own, header.trims), (11, 10, (5, 6)));
        for short in 0..data.len() {
            assert!(
                matches!(access_unit(&data[..short]), Parsed::More),
                "{short} bytes"
            );
        }
        for other in [
            &[0xff, 0xe0, 1, 0xfc][..],
            &[0x7f, 0xc0, 1, 0xfc],
            &[0x7f, 0xe0, 0, 0],
        ] {
            assert!(matches!(access_unit(other), Parsed::No), "{other:?}");
        }
        let endless = [&[0x7f, 0xe0][..], &[0xff; 300]].concat();
        assert!(matches!(access_unit(&endless), Parsed::No));
    }

    #[test]
    fn reserved_bits_before_what_is_dropped_are_not_counted() {
        for reserved in [0x20, 0x80, 0xe0] {
            let data = unit(&[0x7f, 0xf8, 1, reserved | 1, 56, reserved, 6], &[0xfc]);
            let Parsed::Frame(header) = access_unit(&data) else {
                panic!("expected an access unit");
            };
            assert_eq!(header.trims, (312, 6), "{reserved:#x}");
        }
    }

    #[test]
    fn streams_of_each_layout_are_as_many_as_its_channels_need() {
        assert_eq!((head(1), head(2), head(9)), (None, None, None));
        // As ffmpeg has them in its demuxer of transport streams.
        for (channels, streams, coupled, mapping) in [
            (3, 2, 1, &[0, 2, 1][..]),
            (4, 2, 2, &[0, 1, 2, 3]),
            (5, 3, 2, &[0, 4, 1, 2, 3]),
            (6, 4, 2, &[0, 4, 1, 2, 3, 5]),
            (7, 4, 3, &[0, 4, 1, 2, 3, 5, 6]),
            (8, 5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        ] {
            // Each coupled stream has two channels, each other one has one.
            assert_eq!(streams + coupled, channels);
            let head = head(channels).expect("a layout");
            // Mapping family 1, RFC 7845, section 5.1.1.
            assert_eq!(
                (head[9], &head[18..21]),
                (channels, &[1, streams, coupled][..])
            );
            assert_eq!(&head[21..], mapping, "{channels} channels");
        }
    }
}
