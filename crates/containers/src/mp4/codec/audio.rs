//! `dOps`, `dfLa` and uncompressed sound.

use bytes::{BufMut, BytesMut};
use reelcore_media::demux::DemuxError;

use super::Codec;
use crate::bitstream::Bits;
use crate::mp4::parse::{FourCc, Reader};

/// Opus: <https://www.w3.org/TR/webcodecs-opus-codec-registration/>. The description is the identification header
/// of RFC 7845, section 5.1, made from `dOps`, which holds the same in big-endian form. Returns the channels too.
pub(crate) fn opus(mut reader: Reader) -> Result<(Codec, u32), DemuxError> {
    let version = reader.u8()?;
    if version != 0 {
        return Err(reader.error(format_args!("expected version 0, found {version}")));
    }
    let channels = reader.u8()?;
    if channels == 0 {
        return Err(reader.error("expected at least 1 channel, found 0"));
    }
    let (pre_skip, rate, gain) = (reader.u16()?, reader.u32()?, reader.i16()?);
    let family = reader.u8()?;
    let mut header = BytesMut::with_capacity(21 + usize::from(channels));
    header.put_slice(b"OpusHead");
    header.put_u8(1);
    header.put_u8(channels);
    header.put_u16_le(pre_skip);
    header.put_u32_le(rate);
    header.put_i16_le(gain);
    header.put_u8(family);
    if family != 0 {
        // Stream count, coupled count and one index for each channel.
        header.put_slice(&reader.take(2 + usize::from(channels))?);
    }
    let codec = Codec::new("opus", Some(header.freeze()));
    Ok((codec, u32::from(channels)))
}

/// FLAC: <https://www.w3.org/TR/webcodecs-flac-codec-registration/>. The description is "fLaC" and the STREAMINFO
/// block. Returns rate and channels too: the sample entry cannot hold rates above 65,535.
pub(crate) fn flac(mut reader: Reader) -> Result<(Codec, u32, u32), DemuxError> {
    reader.full_box()?;
    let kind = reader.u8()?;
    let size = reader.u24()?;
    if kind & 0x7f != 0 || size != 34 {
        return Err(reader.error(format_args!(
            "expected STREAMINFO of 34 bytes first, found block {} of {size}",
            kind & 0x7f
        )));
    }
    let info = reader.take(34)?;
    let mut fields = Reader::new(reader.name(), info.slice(10..14), 0);
    let packed = fields.u32()?;
    let (rate, channels) = (packed >> 12, (packed >> 9 & 7) + 1);
    let mut description = BytesMut::with_capacity(42);
    description.put_slice(b"fLaC");
    // It is the last block here, whatever followed it in the file.
    description.put_u8(0x80);
    description.put_uint(34, 3);
    description.put_slice(&info);
    Ok((
        Codec::new("flac", Some(description.freeze())),
        rate,
        channels,
    ))
}

/// Channels of the coding modes of AC-3, without the low frequency effects: ETSI TS 102 366, table 4.3.
const AC3_CHANNELS: [u32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// The channels that acmod and lfeon, which are next, tell.
fn coding_mode(bits: &mut Bits<'_>) -> Option<u32> {
    let channels = *AC3_CHANNELS.get(bits.u(3)? as usize)?;
    Some(channels + bits.u(1)?)
}

/// Channels by `dac3` (ETSI TS 102 366, F.4); `None` where it is cut off.
pub(crate) fn ac3_channels(body: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(body);
    // fscod, bsid, bsmod.
    bits.skip(2 + 5 + 3)?;
    coding_mode(&mut bits)
}

/// Channels by `dec3` (ETSI TS 102 366, F.6): those of the first independent substream with those that its dependent ones
/// add; `None` where it is cut off.
pub(crate) fn eac3_channels(body: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(body);
    // data_rate, num_ind_sub; fscod, bsid, reserved, asvc, bsmod.
    bits.skip(13 + 3 + 2 + 5 + 1 + 1 + 3)?;
    let mut channels = coding_mode(&mut bits)?;
    bits.skip(3)?;
    if bits.u(4)? > 0 {
        // chan_loc, from its lowest bit: Lc/Rc, Lrs/Rrs, Cs, Ts, Lsd/Rsd, Lw/Rw, Lvh/Rvh, Cvh, LFE2.
        let places = bits.u(9)?;
        let pairs = places & 0b0_0111_0011;
        channels += places.count_ones() + pairs.count_ones();
    }
    Some(channels)
}

/// How uncompressed sound is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pcm {
    pub(crate) bits: u32,
    pub(crate) float: bool,
    pub(crate) big_endian: bool,
    pub(crate) signed: bool,
}

impl Pcm {
    /// From the code of a sample entry; `None` for other codes. `bits` is the entry's own sample size.
    pub(crate) fn from_entry(entry: FourCc, bits: u32) -> Option<Self> {
        let pcm = |bits, float, big_endian, signed| {
            Some(Self {
                bits,
                float,
                big_endian,
                signed,
            })
        };
        match &entry.0 {
            b"raw " => pcm(bits, false, true, bits > 8),
            b"twos" => pcm(bits, false, true, true),
            b"sowt" => pcm(bits, false, false, true),
            b"in24" => pcm(24, false, true, true),
            b"in32" => pcm(32, false, true, true),
            b"fl32" => pcm(32, true, true, true),
            b"fl64" => pcm(64, true, true, true),
            b"lpcm" => pcm(bits, false, true, true),
            b"ipcm" => pcm(bits, false, true, true),
            b"fpcm" => pcm(bits, true, true, true),
            _ => None,
        }
    }

    /// With the flags of QuickTime's version 2 sound description (CoreAudio's format flags).
    pub(crate) fn with_lpcm_flags(self, flags: u32) -> Self {
        Self {
            float: flags & 1 != 0,
            big_endian: flags & 2 != 0,
            signed: flags & 4 != 0,
            ..self
        }
    }

    /// With a `pcmC` box (ISO/IEC 23003-5).
    pub(crate) fn with_config(self, reader: &mut Reader) -> Result<Self, DemuxError> {
        reader.full_box()?;
        let flags = reader.u8()?;
        let bits = u32::from(reader.u8()?);
        Ok(Self {
            bits,
            big_endian: flags & 1 == 0,
            ..self
        })
    }

    /// With an `enda` box, which makes QuickTime's samples little-endian.
    pub(crate) fn with_enda(self, reader: &mut Reader) -> Result<Self, DemuxError> {
        let little = reader.u16()? != 0;
        Ok(Self {
            big_endian: !little,
            ..self
        })
    }

    /// The codec of <https://www.w3.org/TR/webcodecs-pcm-codec-registration/>, which is little-endian; `None` for
    /// what it does not name.
    pub(crate) fn codec(self) -> Option<Codec> {
        let name = match (self.float, self.bits, self.signed) {
            (false, 8, false) => "pcm-u8",
            (false, 16, true) if !self.big_endian => "pcm-s16",
            (false, 24, true) if !self.big_endian => "pcm-s24",
            (false, 32, true) if !self.big_endian => "pcm-s32",
            (true, 32, _) if !self.big_endian => "pcm-f32",
            _ => return None,
        };
        Some(Codec::new(name, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: Vec<u8>) -> Reader {
        Reader::new(FourCc(*b"test"), bytes.into(), 0)
    }

    #[test]
    fn opus_header_is_that_of_ogg_in_little_endian() {
        let (codec, channels) =
            opus(body(vec![0, 2, 1, 56, 0, 0, 187, 128, 255, 0, 0])).expect("valid");
        assert_eq!(channels, 2);
        assert_eq!(
            codec.description.as_deref(),
            Some(&b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\xff\0"[..])
        );
        let mapped = vec![0, 3, 0, 0, 0, 0, 187, 128, 0, 0, 1, 2, 1, 0, 2, 1];
        let (codec, _) = opus(body(mapped.clone())).expect("valid");
        let description = codec.description.expect("a header");
        assert_eq!(description.get(18..), Some(&[1, 2, 1, 0, 2, 1][..]));
        assert!(opus(body(mapped[..14].to_vec())).is_err());
    }

    #[test]
    fn flac_description_is_the_magic_and_streaminfo_alone() {
        let mut box_body = vec![0, 0, 0, 0, 0, 0, 0, 34];
        let mut info = [0_u8; 34];
        info[10..14].copy_from_slice(&(96000_u32 << 12 | 5 << 9 | 23 << 4).to_be_bytes());
        box_body.extend(info);
        box_body.extend([0x84, 0, 0, 1, 0]);
        let (codec, rate, channels) = flac(body(box_body)).expect("valid");
        assert_eq!((rate, channels), (96000, 6));
        let description = codec.description.expect("a description");
        assert_eq!(description.get(..8), Some(&b"fLaC\x80\0\0\x22"[..]));
        assert_eq!(description.len(), 42);
        assert!(flac(body(vec![0, 0, 0, 0, 0x81, 0, 0, 34])).is_err());
    }

    #[test]
    fn only_little_endian_pcm_has_a_codec() {
        let sowt = Pcm::from_entry(FourCc(*b"sowt"), 16).expect("pcm");
        assert_eq!(sowt.codec().map(|c| c.string).as_deref(), Some("pcm-s16"));
        let twos = Pcm::from_entry(FourCc(*b"twos"), 16).expect("pcm");
        assert_eq!(twos.codec(), None);
        let lpcm = Pcm::from_entry(FourCc(*b"lpcm"), 32).expect("pcm");
        let float = lpcm.with_lpcm_flags(1);
        assert_eq!(float.codec().map(|c| c.string).as_deref(), Some("pcm-f32"));
        let ipcm = Pcm::from_entry(FourCc(*b"ipcm"), 0).expect("pcm");
        let ipcm = ipcm
            .with_config(&mut body(vec![0, 0, 0, 0, 1, 24]))
            .expect("valid");
        assert_eq!(ipcm.codec().map(|c| c.string).as_deref(), Some("pcm-s24"));
    }

    #[test]
    fn places_of_dependent_substreams_have_one_channel_or_two() {
        // Of 5.1: acmod 7 and lfeon end the first four bytes; then three reserved bits, num_dep_sub and chan_loc.
        let channels = |substreams: u16, places: u16| {
            let [high, low] = (substreams << 9 | places).to_be_bytes();
            eac3_channels(&[0, 0, 0x20, 0x0f, high, low])
        };
        assert_eq!(channels(0, 0), Some(6));
        // Lc/Rc, Lrs/Rrs, Cs, Ts, Lsd/Rsd, Lw/Rw, Lvh/Rvh, Cvh, LFE2: ETSI TS 102 366, table F.6.1.
        for (bit, more) in [2, 2, 1, 1, 2, 2, 2, 1, 1].into_iter().enumerate() {
            assert_eq!(channels(1, 1 << bit), Some(6 + more), "bit {bit}");
        }
        assert_eq!(channels(1, 0x1ff), Some(6 + 14));
        assert_eq!(eac3_channels(&[0, 0, 0x20, 0x0f, 2]), None, "cut off");
    }
}
