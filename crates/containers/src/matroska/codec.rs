//! CodecID and CodecPrivate (RFC 9559 and draft-ietf-cellar-codec) as WebCodecs has them: the codec string and the
//! description of <https://www.w3.org/TR/webcodecs-codec-registry/>.

use bytes::{BufMut, Bytes, BytesMut};
use reelcore_media::Size;
use reelcore_media::demux::DemuxError;
use reelcore_media::h264::{AvcC, Nal, Sps, unescape_into};

use super::ebml::invalid;
use crate::bitstream::audio::{Frames, Timing, aac_frames};
use crate::bitstream::{Bits, vp9};
use crate::mp4::codec::Codec;
use crate::mp4::codec::esds;
use crate::mp4::codec::video::{self, Nclx};
use crate::mp4::parse::{FourCc, Reader};

/// CodecPrivate and where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Private {
    pub(crate) data: Bytes,
    pub(crate) offset: u64,
}

impl Private {
    /// A reader of it as the body of the MP4 box that holds the same.
    fn as_box(&self, kind: &[u8; 4]) -> Reader {
        Reader::new(FourCc(*kind), self.data.clone(), self.offset)
    }

    fn skip(&self, count: usize) -> Self {
        let count = count.min(self.data.len());
        Self {
            data: self.data.slice(count..),
            offset: self.offset.saturating_add(count as u64),
        }
    }
}

/// A codec whose string stands in the first frame alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFrame {
    Vp9,
    Av1,
}

/// What a track's codec is.
#[derive(Clone, Debug, Default)]
pub(crate) struct VideoCodec {
    pub(crate) codec: Option<Codec>,
    pub(crate) in_frame: Option<InFrame>,
    /// Frames that can stand before a frame in decoding order and after it in presentation order; `None` where that is
    /// not known.
    pub(crate) reorder: Option<usize>,
    /// A block addition with ID 1 is the alpha plane.
    pub(crate) alpha: bool,
}

/// What the container says of pictures, for codec strings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Picture {
    /// Primaries, transfer characteristics, matrix coefficients; 2 where not given.
    pub(crate) code_points: Option<[u8; 3]>,
    pub(crate) full_range: Option<bool>,
    pub(crate) size: Size,
    pub(crate) frame_nanos: Option<u64>,
}

impl Picture {
    fn nclx(&self) -> Option<Nclx> {
        let [primaries, transfer, matrix] = self.code_points?;
        Some(Nclx::new(primaries, transfer, matrix, self.full_range))
    }
}

pub(crate) fn video(
    id: &str,
    private: &Private,
    picture: &Picture,
) -> Result<VideoCodec, DemuxError> {
    let in_order = |codec| VideoCodec {
        codec,
        reorder: Some(0),
        ..VideoCodec::default()
    };
    let empty = private.data.is_empty();
    Ok(match id {
        "V_VP8" => VideoCodec {
            alpha: true,
            ..in_order(Some(Codec::new("vp8", None)))
        },
        "V_VP9" => {
            let codec = vp9_private(&private.data, picture);
            VideoCodec {
                in_frame: codec.is_none().then_some(InFrame::Vp9),
                alpha: true,
                ..in_order(codec)
            }
        }
        "V_AV1" if empty => VideoCodec {
            in_frame: Some(InFrame::Av1),
            ..in_order(None)
        },
        "V_AV1" => in_order(Some(video::av1(private.as_box(b"av1C"), picture.nclx())?)),
        "V_MPEG4/ISO/AVC" if !empty => VideoCodec {
            codec: Some(video::avc(FourCc(*b"avc1"), private.as_box(b"avcC"))?),
            reorder: avc_reorder(&private.data),
            ..VideoCodec::default()
        },
        "V_MPEGH/ISO/HEVC" if !empty => {
            let sets = HevcSets::parse(&private.data);
            let entry = if sets.complete { b"hvc1" } else { b"hev1" };
            VideoCodec {
                codec: Some(video::hevc(FourCc(*entry), private.as_box(b"hvcC"))?),
                reorder: sets.vps.as_deref().and_then(hevc_reorder),
                ..VideoCodec::default()
            }
        }
        // BITMAPINFOHEADER: 40 bytes, with the code of the codec at byte 16, then the codec's own.
        "V_MS/VFW/FOURCC" => match private.data.get(16..20) {
            Some(b"VP80") => video("V_VP8", &private.skip(40), picture)?,
            Some(b"VP90") => video("V_VP9", &private.skip(40), picture)?,
            Some(b"AV01") => video("V_AV1", &private.skip(40), picture)?,
            _ => VideoCodec::default(),
        },
        _ => VideoCodec::default(),
    })
}

/// VP9's codec features: <https://www.webmproject.org/docs/container/#vp9-codec-feature-metadata-codecprivate>.
fn vp9_private(private: &[u8], picture: &Picture) -> Option<Codec> {
    let (mut profile, mut level, mut depth, mut chroma) = (None, None, None, None);
    let mut rest = private;
    while let [id, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        match (id, value) {
            (1, [value]) => profile = Some(*value),
            (2, [value]) => level = Some(*value),
            (3, [value]) => depth = Some(*value),
            (4, [value]) => chroma = Some(*value),
            _ => {}
        }
        rest = after.get(usize::from(*length)..)?;
    }
    let profile = profile.filter(|&profile| profile <= 3)?;
    // Profiles 2 and 3 have 10 or 12 bits: the frames know.
    let depth = depth.or((profile < 2).then_some(8))?;
    let level = level.filter(|&level| level > 0);
    let string = vp9::codec_string(
        profile,
        level.unwrap_or_else(|| vp9::level(picture.size, picture.frame_nanos)),
        depth,
        chroma
            .filter(|&chroma| chroma <= 3)
            .or((profile & 1 == 0).then_some(1))?,
        picture.code_points,
        picture.full_range,
    );
    Some(Codec::new(string, None))
}

/// The codec that the first frame of a track tells.
pub(crate) fn from_frame(kind: InFrame, frame: &[u8], picture: &Picture) -> Option<Codec> {
    match kind {
        InFrame::Av1 => {
            let header = crate::bitstream::av1::sequence_header(frame)?;
            Some(Codec::new(header.codec_string(), None))
        }
        InFrame::Vp9 => {
            let header = vp9::parse(frame)?;
            let config = header.config.as_ref()?;
            let string = match picture.code_points {
                // What the container says of colour comes first.
                Some(_) => vp9::codec_string(
                    header.profile,
                    vp9::level(config.size, picture.frame_nanos),
                    config.bit_depth,
                    config.chroma(),
                    picture.code_points,
                    picture.full_range,
                ),
                None => header.codec_string(picture.frame_nanos)?,
            };
            Some(Codec::new(string, None))
        }
    }
}

/// max_num_reorder_frames of the sequence parameter sets in an `avcC`.
fn avc_reorder(avcc: &[u8]) -> Option<usize> {
    let sets = AvcC::parse(avcc).ok()?;
    let frames = sets.sps.iter().map(|set| {
        let nal = Nal::new(0, set).ok()?;
        Sps::parse(&nal)
            .ok()
            .map(|sps| sps.reorder_frames() as usize)
    });
    frames.max().flatten()
}

/// The parameter sets of an `hvcC` (ISO/IEC 14496-15, 8.3.3.1).
#[derive(Debug, Default)]
struct HevcSets {
    /// Whether the frames hold none: array_completeness of video, sequence and picture parameter sets.
    complete: bool,
    vps: Option<Vec<u8>>,
}

impl HevcSets {
    fn parse(hvcc: &[u8]) -> Self {
        let mut found = Self::default();
        let mut complete = 0_u8;
        let mut rest = hvcc.get(22..).unwrap_or_default();
        let Some((&arrays, after)) = rest.split_first() else {
            return found;
        };
        rest = after;
        for _ in 0..arrays {
            let [head, high, low, after @ ..] = rest else {
                return found;
            };
            rest = after;
            let kind = head & 63;
            if head & 0x80 != 0 && (32..=34).contains(&kind) {
                complete |= 1 << (kind - 32);
            }
            for _ in 0..u16::from_be_bytes([*high, *low]) {
                let Some((length, after)) = rest.split_first_chunk() else {
                    return found;
                };
                let length = usize::from(u16::from_be_bytes(*length));
                let Some(unit) = after.get(..length) else {
                    return found;
                };
                if kind == 32 && found.vps.is_none() {
                    found.vps = Some(unit.to_vec());
                }
                rest = after.get(length..).unwrap_or_default();
            }
        }
        found.complete = complete == 7;
        found
    }
}

/// vps_max_num_reorder_pics of the highest sub-layer: ITU-T H.265, 7.3.2.1.
fn hevc_reorder(vps: &[u8]) -> Option<usize> {
    let mut rbsp = Vec::new();
    unescape_into(vps, 512, &mut rbsp);
    let mut bits = Bits::new(&rbsp);
    // The header of the NAL unit, vps_video_parameter_set_id, the base layer's flags, vps_max_layers_minus1.
    bits.skip(16 + 4 + 2 + 6)?;
    let sub_layers = bits.u(3)?;
    // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits; general_* of profile_tier_level().
    bits.skip(1 + 16 + 96)?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    let all = bits.flag()?;
    let mut reorder = 0;
    for _ in 0..if all { sub_layers + 1 } else { 1 } {
        bits.ue()?;
        reorder = bits.ue()?;
        bits.ue()?;
    }
    usize::try_from(reorder).ok().filter(|&frames| frames <= 16)
}

/// What a track's codec is, and what it says of the sound.
#[derive(Clone, Debug)]
pub(crate) struct AudioCodec {
    pub(crate) codec: Option<Codec>,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) timing: Timing,
}

/// What the container says of the sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sound {
    pub(crate) sample_rate: u32,
    /// After spectral band replication, where given.
    pub(crate) output_rate: Option<u32>,
    pub(crate) channels: u32,
    pub(crate) bit_depth: u32,
}

pub(crate) fn audio(id: &str, private: &Private, sound: &Sound) -> Result<AudioCodec, DemuxError> {
    let mut found = AudioCodec {
        codec: None,
        sample_rate: sound.output_rate.unwrap_or(sound.sample_rate),
        channels: sound.channels,
        timing: Timing::Unknown,
    };
    let description = Some(private.data.clone()).filter(|data| !data.is_empty());
    match id {
        "A_OPUS" | "A_OPUS/EXPERIMENTAL" => {
            // The identification header of RFC 7845 as it is.
            let header = description.filter(|data| data.starts_with(b"OpusHead"));
            if let Some(&channels) = header.as_deref().and_then(|header| header.get(9)) {
                found.channels = u32::from(channels.max(1));
            }
            // Opus decodes at 48 kHz, whatever the input was.
            found.sample_rate = 48_000;
            found.timing = Timing::Opus;
            found.codec = Some(Codec::new("opus", header));
        }
        // The three headers with Xiph's lacing are the registration's form already.
        "A_VORBIS" => found.codec = Some(Codec::new("vorbis", description)),
        "A_FLAC" => {
            if let Some((description, rate, channels)) = flac(private)? {
                found.codec = Some(Codec::new("flac", Some(description)));
                found.sample_rate = rate;
                found.channels = channels;
                found.timing = Timing::Flac { rate };
            }
        }
        "A_MPEG/L3" => {
            found.codec = Some(Codec::new("mp3", None));
            found.timing = Timing::Mp3;
        }
        "A_AC3" => found.codec = Some(Codec::new("ac-3", None)),
        "A_EAC3" => found.codec = Some(Codec::new("ec-3", None)),
        "A_PCM/INT/LIT" => found.pcm(false, sound.bit_depth),
        // One byte has no order.
        "A_PCM/INT/BIG" if sound.bit_depth == 8 => found.pcm(false, 8),
        "A_PCM/FLOAT/IEEE" => found.pcm(true, sound.bit_depth),
        "A_MS/ACM" => found.wave_format(private)?,
        _ if id == "A_AAC" || id.starts_with("A_AAC/") => {
            let config = match description {
                Some(config) => Some(config),
                None => aac_config(id, sound),
            };
            if let Some(config) = config {
                found.aac(config, private.offset, sound)?;
            }
        }
        _ => {}
    }
    Ok(found)
}

impl AudioCodec {
    fn aac(&mut self, config: Bytes, offset: u64, sound: &Sound) -> Result<(), DemuxError> {
        self.timing = aac_frames(&config).map_or(Timing::Unknown, Timing::Constant);
        let parsed = esds::audio_specific_config(Reader::new(FourCc(*b"esds"), config, offset))?;
        self.sample_rate = sound
            .output_rate
            .or(parsed.sample_rate)
            .unwrap_or(sound.sample_rate);
        self.channels = parsed.channels.unwrap_or(sound.channels);
        self.codec = parsed.codec;
        Ok(())
    }

    /// <https://www.w3.org/TR/webcodecs-pcm-codec-registration/>
    fn pcm(&mut self, float: bool, bits: u32) {
        let name = match (float, bits) {
            (false, 8) => Some("pcm-u8"),
            (false, 16) => Some("pcm-s16"),
            (false, 24) => Some("pcm-s24"),
            (false, 32) => Some("pcm-s32"),
            (true, 32) => Some("pcm-f32"),
            _ => None,
        };
        self.codec = name.map(|name| Codec::new(name, None));
        self.frame_of(bits);
    }

    fn frame_of(&mut self, bits: u32) {
        if let Some(bytes_per_frame) = (bits / 8)
            .checked_mul(self.channels)
            .filter(|&bytes| bytes > 0)
        {
            self.timing = Timing::Pcm {
                bytes_per_frame,
                rate: self.sample_rate,
            };
        }
    }

    /// WAVEFORMATEX.
    fn wave_format(&mut self, private: &Private) -> Result<(), DemuxError> {
        let field = |at: usize| {
            let pair = private.data.get(at..).and_then(|data| data.first_chunk());
            pair.map(|pair| u16::from_le_bytes(*pair))
        };
        let rate = private.data.get(4..).and_then(|data| data.first_chunk());
        let (Some(mut tag), Some(channels), Some(rate), Some(bits)) =
            (field(0), field(2), rate, field(14))
        else {
            return Err(invalid(
                private.offset,
                format!(
                    "expected a WAVEFORMATEX of at least 16 bytes, found {}",
                    private.data.len()
                ),
            ));
        };
        let bits = u32::from(bits);
        if channels > 0 {
            self.channels = u32::from(channels);
        }
        match u32::from_le_bytes(*rate) {
            0 => {}
            rate => self.sample_rate = rate,
        }
        // WAVE_FORMAT_EXTENSIBLE: the tag is the start of the sub-format's GUID.
        if tag == 0xfffe {
            tag = field(24).unwrap_or(tag);
        }
        match tag {
            1 => self.pcm(false, bits),
            3 => self.pcm(true, bits),
            6 | 7 => {
                let name = if tag == 6 { "alaw" } else { "ulaw" };
                self.codec = Some(Codec::new(name, None));
                self.frame_of(8);
            }
            0x55 => {
                self.codec = Some(Codec::new("mp3", None));
                self.timing = Timing::Mp3;
            }
            // AAC with its AudioSpecificConfig.
            0xff => {
                let config = private.skip(18);
                if !config.data.is_empty() {
                    let sound = Sound {
                        sample_rate: self.sample_rate,
                        output_rate: None,
                        channels: self.channels,
                        bit_depth: bits,
                    };
                    self.aac(config.data, config.offset, &sound)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The description "fLaC" and STREAMINFO alone, the rate and the channels; `None` without STREAMINFO.
fn flac(private: &Private) -> Result<Option<(Bytes, u32, u32)>, DemuxError> {
    if private.data.is_empty() {
        return Ok(None);
    }
    let info = private.data.get(8..42);
    let (Some(b"fLaC"), Some(&[kind, 0, 0, 34]), Some(info)) =
        (private.data.get(..4), private.data.get(4..8), info)
    else {
        return Err(invalid(
            private.offset,
            "expected \"fLaC\" and STREAMINFO of 34 bytes in CodecPrivate",
        ));
    };
    if kind & 0x7f != 0 {
        return Err(invalid(
            private.offset,
            format!("expected STREAMINFO first, found block {}", kind & 0x7f),
        ));
    }
    let packed = info.get(10..).and_then(|info| info.first_chunk());
    let packed = packed.map_or(0, |packed| u32::from_be_bytes(*packed));
    let mut description = BytesMut::with_capacity(42);
    // It is the last block here, whatever followed it in the file.
    description.put_slice(b"fLaC\x80\0\0\x22");
    description.put_slice(info);
    Ok(Some((
        description.freeze(),
        packed >> 12,
        (packed >> 9 & 7) + 1,
    )))
}

/// The AudioSpecificConfig of old files, which have the profile in the CodecID and no CodecPrivate.
fn aac_config(id: &str, sound: &Sound) -> Option<Bytes> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let index = |rate: u32| {
        RATES
            .iter()
            .position(|&known| known == rate)
            .map(|at| at as u32)
    };
    let kind = if id.contains("/MAIN") {
        1
    } else if id.contains("/SSR") {
        3
    } else if id.contains("/LTP") {
        4
    } else {
        2
    };
    let channels = match sound.channels {
        count @ 1..=6 => count,
        8 => 7,
        _ => return None,
    };
    let core = index(sound.sample_rate)?;
    if !id.ends_with("/SBR") {
        let config = (kind << 11 | core << 7 | channels << 3) as u16;
        return Some(Bytes::copy_from_slice(&config.to_be_bytes()));
    }
    // Explicit signalling: object type 5, the rate of the output, then the core's object type.
    let output = index(
        sound
            .output_rate
            .unwrap_or(sound.sample_rate.checked_mul(2)?),
    )?;
    let config = 5 << 27 | core << 23 | channels << 19 | output << 15 | kind << 10;
    Some(Bytes::copy_from_slice(&config.to_be_bytes()))
}

/// Nanoseconds that `frames` last, to the nearest.
pub(crate) fn nanos(frames: Frames) -> i128 {
    let rate = i128::from(frames.rate.max(1));
    (i128::from(frames.count) * 1_000_000_000 + rate / 2) / rate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(data: &'static [u8]) -> Private {
        Private {
            data: Bytes::from_static(data),
            offset: 100,
        }
    }

    const SOUND: Sound = Sound {
        sample_rate: 22_050,
        output_rate: Some(44_100),
        channels: 2,
        bit_depth: 16,
    };

    fn string(codec: Option<Codec>) -> String {
        codec.map(|codec| codec.string).unwrap_or_default()
    }

    #[test]
    fn vp9_strings_come_from_the_feature_list_and_the_colour() {
        let mut picture = Picture {
            size: Size::new(640, 360),
            ..Picture::default()
        };
        let vp9 = |data, picture: &Picture| video("V_VP9", &private(data), picture).expect("valid");
        let full = b"\x01\x01\x00\x02\x01\x1e\x03\x01\x08\x04\x01\x01";
        assert_eq!(string(vp9(full, &picture).codec), "vp09.00.30.08");
        assert_eq!(
            string(vp9(b"\x01\x01\x00", &picture).codec),
            "vp09.00.21.08"
        );
        let deep = b"\x01\x01\x03\x02\x01\x1e\x03\x01\x0a\x04\x01\x03";
        assert_eq!(
            string(vp9(deep, &picture).codec),
            "vp09.03.30.10.03.02.02.02.00"
        );
        picture.code_points = Some([9, 16, 9]);
        picture.full_range = Some(false);
        assert_eq!(
            string(vp9(full, &picture).codec),
            "vp09.00.30.08.01.09.16.09.00"
        );
        // No list, or one that leaves the depth open: the frames know.
        for open in [&b""[..], b"\x01\x01\x02", b"\x01\x09\x00"] {
            let found = vp9(open, &picture);
            assert_eq!((found.codec, found.in_frame), (None, Some(InFrame::Vp9)));
        }
    }

    #[test]
    fn aac_without_private_data_gets_the_config_that_its_name_says() {
        let aac = |id| audio(id, &Private::default(), &SOUND).expect("valid");
        let sbr = aac("A_AAC/MPEG4/LC/SBR");
        assert_eq!((sbr.sample_rate, sbr.channels), (44_100, 2));
        assert_eq!(
            sbr.codec,
            Some(Codec::new(
                "mp4a.40.5",
                Some(Bytes::from_static(&[0x2b, 0x92, 0x08, 0x00]))
            ))
        );
        let lc = aac("A_AAC/MPEG2/LC").codec.expect("a codec");
        assert_eq!(
            (lc.string.as_str(), lc.description.as_deref()),
            ("mp4a.40.2", Some(&[0x13, 0x90][..]))
        );
        assert_eq!(string(aac("A_AAC/MPEG4/MAIN").codec), "mp4a.40.1");
    }

    #[test]
    fn wave_formats_give_their_codecs() {
        let mut header = vec![0, 0, 2, 0, 0x80, 0x3e, 0, 0, 0, 0, 0, 0, 4, 0, 16, 0, 0, 0];
        let mut found = |tag: u16, bits: u8| {
            header[..2].copy_from_slice(&tag.to_le_bytes());
            header[14] = bits;
            let private = Private {
                data: header.clone().into(),
                offset: 0,
            };
            let found = audio("A_MS/ACM", &private, &SOUND).expect("valid");
            assert_eq!((found.sample_rate, found.channels), (16_000, 2));
            string(found.codec)
        };
        for (tag, bits, want) in [
            (1, 16, "pcm-s16"),
            (1, 8, "pcm-u8"),
            (3, 32, "pcm-f32"),
            (6, 8, "alaw"),
            (7, 8, "ulaw"),
            (0x55, 0, "mp3"),
            (0x161, 16, ""),
        ] {
            assert_eq!(found(tag, bits), want, "{tag:#x}");
        }
        assert!(audio("A_MS/ACM", &private(b"\x01\0\x02\0"), &SOUND).is_err());
        let extensible = b"\xfe\xff\x02\0\x80\x3e\0\0\0\0\0\0\x08\0\x20\0\x16\0\x20\0\x03\0\0\0\x03\0\0\0\0\0\x10\0";
        let found = audio("A_MS/ACM", &private(extensible), &SOUND).expect("valid");
        assert_eq!(string(found.codec), "pcm-f32");
    }

    #[test]
    fn flac_and_opus_private_data_is_the_description() {
        let mut data = b"fLaC\0\0\0\x22".to_vec();
        let mut info = [0_u8; 34];
        info[10..14].copy_from_slice(&(96_000_u32 << 12 | 5 << 9 | 23 << 4).to_be_bytes());
        data.extend(info);
        data.extend(b"\x84\0\0\x01\0");
        let whole = Private {
            data: data.into(),
            offset: 0,
        };
        let found = audio("A_FLAC", &whole, &SOUND).expect("valid");
        assert_eq!((found.sample_rate, found.channels), (96_000, 6));
        let description = found
            .codec
            .and_then(|codec| codec.description)
            .expect("a description");
        assert_eq!(
            (description.len(), &description[..8]),
            (42, &b"fLaC\x80\0\0\x22"[..])
        );
        assert!(audio("A_FLAC", &private(b"fLaC\x84\0\0\x22"), &SOUND).is_err());
        let found = audio(
            "A_OPUS",
            &private(b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"),
            &SOUND,
        )
        .expect("valid");
        assert_eq!((found.sample_rate, found.channels), (48_000, 1));
        assert_eq!(
            found.codec.and_then(|c| c.description).map(|d| d.len()),
            Some(19)
        );
    }

    #[test]
    fn other_codecs_are_none_and_not_errors() {
        let picture = Picture::default();
        for id in ["V_THEORA", "V_UNCOMPRESSED", "V_MPEG4/ISO/AVC", "V_MPEG2"] {
            assert_eq!(
                video(id, &Private::default(), &picture).expect(id).codec,
                None
            );
        }
        for id in ["A_TRUEHD", "A_DTS", "A_PCM/INT/BIG", "A_FLAC", "A_WAVPACK4"] {
            assert_eq!(
                audio(id, &Private::default(), &SOUND).expect(id).codec,
                None
            );
        }
        let bitmap =
            b"\x28\0\0\0\0\0\0\0\0\0\0\0\x01\0\x18\0VP80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let found = video("V_MS/VFW/FOURCC", &private(bitmap), &picture).expect("valid");
        assert_eq!(string(found.codec), "vp8");
    }
}
