//! Sample entries: `avc1`, `hvc1`, `vp08`, `vp09`, `av01`, `mp4a`, `Opus`, `fLaC` and those of uncompressed sound.

use bytes::Bytes;
use reelcore_media::codec_string::PcmFormat;
use reelcore_media::h264::{self, AvcC};
use reelcore_media::hevc::{self, HvcC, NalType};
use reelcore_media::mux::{MuxError, OutputKind, OutputTrack};
use reelcore_media::{AudioCodec, ColorSpace, Size, VideoCodec};

use super::boxes::Boxes;
use super::track::{Codec, check_audio_config};
use crate::bitstream::{av1, vp9};
use crate::mux::invalid;
use crate::mux::nal;

/// What a sample entry says: its configuration box, and the size that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As the codec's registration has it.
    description: Option<Bytes>,
    /// The body of `avcC`, `hvcC`, `av1C`, `vpcC`, `dOps`, `dfLa` or the AudioSpecificConfig.
    config: Vec<u8>,
    size: Size,
    /// Of H.264 and HEVC: bytes of the lengths before NAL units, and the parameter sets with such lengths.
    pub(super) in_band: Option<(usize, Bytes)>,
    /// Whether packets that come now are of it.
    pub(super) current: bool,
}

/// Bytes of a sample.
pub(super) fn pcm_bytes(format: PcmFormat) -> usize {
    match format {
        PcmFormat::U8 => 1,
        PcmFormat::S16 => 2,
        PcmFormat::S24 => 3,
        PcmFormat::S32 | PcmFormat::F32 => 4,
    }
}

impl Entry {
    /// `key_chunk` is the first packet where the set-up stands in the stream alone.
    pub(super) fn new(
        codec: &Codec,
        output: &OutputTrack,
        description: Option<Bytes>,
        key_chunk: Option<&[u8]>,
    ) -> Result<Self, MuxError> {
        let mut size = match output.kind {
            OutputKind::Video { coded_size, .. } => coded_size,
            OutputKind::Audio { .. } => Size::default(),
        };
        let given = || {
            description
                .as_deref()
                .ok_or_else(|| invalid(format!("{} needs a description, found none", output.codec)))
        };
        let config = match codec {
            Codec::Video(VideoCodec::Avc(_)) => {
                let config = given()?;
                AvcC::parse(config).map_err(|error| invalid(error.message))?;
                size = changed_size(output, config).unwrap_or(size);
                config.to_vec()
            }
            Codec::Video(VideoCodec::Hevc(_)) => {
                let config = given()?;
                HvcC::parse(config).map_err(|error| invalid(error.message))?;
                size = changed_size(output, config).unwrap_or(size);
                config.to_vec()
            }
            Codec::Video(VideoCodec::Vp8) => vpx_config(0, 10, 8, 1, [2, 2, 2], false),
            Codec::Video(VideoCodec::Vp9(vp9)) => {
                let told = vp9::told_colors(&output.codec, vp9);
                let (color, full) = told.unwrap_or(([2; 3], false));
                let color = color_points(output, color);
                let full = color_space(output).full_range.unwrap_or(full);
                vpx_config(
                    vp9.profile,
                    vp9.level,
                    vp9.bit_depth,
                    vp9.chroma,
                    color,
                    full,
                )
            }
            Codec::Video(VideoCodec::Av1(_)) => match description.as_deref() {
                // Some applications give the av1C that they found in a file.
                Some(config) if config.first() == Some(&0x81) && config.len() >= 4 => {
                    size = changed_size(output, config).unwrap_or(size);
                    config.to_vec()
                }
                _ => av1_config(output, key_chunk.unwrap_or_default())?,
            },
            Codec::Audio(AudioCodec::Aac(_)) => {
                let config = given()?;
                check_audio_config(&Bytes::copy_from_slice(config))?;
                config.to_vec()
            }
            Codec::Audio(AudioCodec::Opus) => opus_config(output, description.as_deref())?,
            Codec::Audio(AudioCodec::Flac) => flac_config(given()?)?,
            Codec::Audio(_) => Vec::new(),
        };
        let in_band = match codec {
            Codec::Video(VideoCodec::Avc(_)) => Some(nal::sets_in_band(false, &config)?),
            Codec::Video(VideoCodec::Hevc(_)) => Some(nal::sets_in_band(true, &config)?),
            _ => None,
        };
        Ok(Self {
            description,
            config,
            size,
            in_band,
            current: true,
        })
    }

    pub(super) fn description(&self) -> Option<&Bytes> {
        self.description.as_ref()
    }

    /// Whether the boxes would be the same.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.config == other.config && self.size == other.size
    }

    /// Writes the sample entry.
    ///
    /// `alone`: whether the track has no other. Readers that know but one take the track's display size for that of all, so
    /// that several say even of square pixels that they are.
    pub(super) fn write(
        &self,
        codec: &Codec,
        output: &OutputTrack,
        alone: bool,
        boxes: &mut Boxes,
    ) {
        match codec {
            Codec::Video(codec) => self.video(codec, output, alone, boxes),
            Codec::Audio(codec) => self.audio(codec, output, boxes),
        }
    }

    fn video(&self, codec: &VideoCodec, output: &OutputTrack, alone: bool, boxes: &mut Boxes) {
        let (kind, config, full): (&[u8; 4], &[u8; 4], bool) = match codec {
            VideoCodec::Avc(avc) if avc.in_band => (b"avc3", b"avcC", false),
            VideoCodec::Avc(_) => (b"avc1", b"avcC", false),
            VideoCodec::Hevc(hevc) if hevc.in_band => (b"hev1", b"hvcC", false),
            VideoCodec::Hevc(_) => (b"hvc1", b"hvcC", false),
            VideoCodec::Vp8 => (b"vp08", b"vpcC", true),
            VideoCodec::Vp9(_) => (b"vp09", b"vpcC", true),
            VideoCodec::Av1(_) => (b"av01", b"av1C", false),
        };
        boxes.bx(kind, |b| {
            b.zeros(6);
            // data_reference_index
            b.u16(1);
            b.zeros(16);
            b.u16(self.size.width as u16);
            b.u16(self.size.height as u16);
            // 72 dots an inch both ways, one frame a sample.
            b.u32(0x48_0000);
            b.u32(0x48_0000);
            b.zeros(4);
            b.u16(1);
            b.zeros(32);
            b.u16(24);
            b.i16(-1);
            match full {
                true => b.full(config, 1, 0, |b| b.bytes(&self.config)),
                false => b.bx(config, |b| b.bytes(&self.config)),
            }
            // Pictures of another size have pixels of the same shape.
            let square = (!alone).then_some((1, 1));
            if let Some((width, height)) = pixel_aspect(output).or(square) {
                b.bx(b"pasp", |b| {
                    b.u32(width);
                    b.u32(height);
                });
            }
            let space = color_space(output);
            if space != ColorSpace::default() {
                b.bx(b"colr", |b| {
                    b.bytes(b"nclx");
                    for point in color_points(output, [2, 2, 2]) {
                        b.u16(u16::from(point));
                    }
                    b.u8(u8::from(space.full_range == Some(true)) << 7);
                });
            }
        });
    }

    fn audio(&self, codec: &AudioCodec, output: &OutputTrack, boxes: &mut Boxes) {
        let OutputKind::Audio {
            sample_rate,
            channels,
        } = output.kind
        else {
            return;
        };
        // QuickTime's codes for uncompressed sound: they are read more widely than those of ISO/IEC 23003-5.
        let (kind, bits, little_endian): (&[u8; 4], u16, bool) = match codec {
            AudioCodec::Opus => (b"Opus", 16, false),
            AudioCodec::Flac => (b"fLaC", self.flac_bits(), false),
            AudioCodec::Alaw => (b"alaw", 16, false),
            AudioCodec::Ulaw => (b"ulaw", 16, false),
            AudioCodec::Pcm(PcmFormat::U8) => (b"raw ", 8, false),
            AudioCodec::Pcm(PcmFormat::S16) => (b"sowt", 16, false),
            AudioCodec::Pcm(PcmFormat::S24) => (b"in24", 24, true),
            AudioCodec::Pcm(PcmFormat::S32) => (b"in32", 32, true),
            AudioCodec::Pcm(PcmFormat::F32) => (b"fl32", 32, true),
            _ => (b"mp4a", 16, false),
        };
        boxes.bx(kind, |b| {
            b.zeros(6);
            b.u16(1);
            b.zeros(8);
            b.u16(channels as u16);
            b.u16(bits);
            b.zeros(4);
            // 16.16; higher rates stand in the time scale and the configuration.
            let rate = match codec {
                AudioCodec::Flac => flac_rate(sample_rate),
                _ => u16::try_from(sample_rate).unwrap_or(0),
            };
            b.u32(u32::from(rate) << 16);
            match codec {
                AudioCodec::Aac(_) | AudioCodec::Mp3 => {
                    b.full(b"esds", 0, 0, |b| esds(b, codec, sample_rate, &self.config));
                }
                AudioCodec::Opus => b.bx(b"dOps", |b| b.bytes(&self.config)),
                AudioCodec::Flac => b.full(b"dfLa", 0, 0, |b| b.bytes(&self.config)),
                _ => {}
            }
            if little_endian {
                b.bx(b"enda", |b| b.u16(1));
            }
        });
    }

    /// Bits of a sample, from STREAMINFO.
    fn flac_bits(&self) -> u16 {
        // The five bits that end 12 bytes after the start of STREAMINFO, behind the block's header.
        let at = |index: usize| self.config.get(4 + index).copied().unwrap_or(0);
        u16::from((at(12) & 1) << 4 | at(13) >> 4) + 1
    }
}

/// What a sample entry of FLAC says of the rate: of one that it has no room for, the greatest regular division (by a power of two,
/// as 48 kHz is of 192 kHz) or, where there is none, the greatest number that it has.
/// <https://github.com/xiph/flac/blob/master/doc/isoflac.txt>, 3.3.1.
fn flac_rate(rate: u32) -> u16 {
    let mut rate = rate;
    while rate > u32::from(u16::MAX) && rate.is_multiple_of(2) {
        rate /= 2;
    }
    u16::try_from(rate).unwrap_or(u16::MAX)
}

/// The size of the pictures of another set-up than the track began with.
fn changed_size(output: &OutputTrack, config: &[u8]) -> Option<Size> {
    if output.description.as_deref() == Some(config) {
        return None;
    }
    if config.first() == Some(&0x81) {
        return Some(av1::configured(config)?.size);
    }
    output.description.as_ref()?;
    if let Ok(record) = AvcC::parse(config) {
        let nal = h264::Nal::new(0, record.sps.first()?).ok()?;
        return Some(h264::Sps::parse(&nal).ok()?.visible.size());
    }
    let record = HvcC::parse(config).ok()?;
    let unit = record.units(NalType::SPS).next()?;
    let nal = hevc::Nal::new(0, unit).ok()?;
    Some(hevc::Sps::parse(&nal).ok()?.visible.size())
}

fn color_space(output: &OutputTrack) -> ColorSpace {
    match output.kind {
        OutputKind::Video { color_space, .. } => color_space,
        OutputKind::Audio { .. } => ColorSpace::default(),
    }
}

/// H.273 code points of primaries, transfer and matrix.
fn color_points(output: &OutputTrack, fallback: [u8; 3]) -> [u8; 3] {
    let space = color_space(output);
    let [primaries, transfer, matrix] = fallback;
    [
        space.primaries.map_or(primaries, |p| p.code_point()),
        space.transfer.map_or(transfer, |t| t.code_point()),
        space.matrix.map_or(matrix, |m| m.code_point()),
    ]
}

/// Width and height of a pixel, where it is not square.
fn pixel_aspect(output: &OutputTrack) -> Option<(u32, u32)> {
    let OutputKind::Video {
        coded_size: size,
        display_aspect: Some(aspect),
        ..
    } = output.kind
    else {
        return None;
    };
    let width = u64::from(aspect.width) * u64::from(size.height);
    let height = u64::from(aspect.height) * u64::from(size.width);
    let (mut a, mut b) = (width, height);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let width = u32::try_from(width.checked_div(a)?).ok()?;
    let height = u32::try_from(height.checked_div(a)?).ok()?;
    (width != height && width > 0 && height > 0).then_some((width, height))
}

/// The size at which the track is shown, before rotation.
pub(super) fn display_size(output: &OutputTrack) -> Size {
    match output.kind {
        OutputKind::Video { coded_size, .. } => match pixel_aspect(output) {
            Some((width, height)) => {
                coded_size.with_sample_aspect((u64::from(width), u64::from(height)))
            }
            None => coded_size,
        },
        OutputKind::Audio { .. } => Size::default(),
    }
}

/// VPCodecConfigurationRecord without version and flags.
/// <https://www.webmproject.org/vp9/mp4/#vp-codec-configuration-box>
fn vpx_config(
    profile: u8,
    level: u8,
    bit_depth: u8,
    chroma: u8,
    color: [u8; 3],
    full_range: bool,
) -> Vec<u8> {
    let packed = (bit_depth & 15) << 4 | (chroma & 7) << 1 | u8::from(full_range);
    let [primaries, transfer, matrix] = color;
    vec![profile, level, packed, primaries, transfer, matrix, 0, 0]
}

/// AV1CodecConfigurationRecord, with the sequence header of the first packet.
/// <https://aomediacodec.github.io/av1-isobmff/#av1codecconfigurationbox-section>
pub(crate) fn av1_config(output: &OutputTrack, chunk: &[u8]) -> Result<Vec<u8>, MuxError> {
    let header = av1::sequence_header(chunk);
    let string = header
        .as_ref()
        .map_or_else(|| output.codec.clone(), |header| header.codec_string());
    let codec = VideoCodec::parse(&string)
        .or_else(|_| VideoCodec::parse(&output.codec))
        .map_err(|error| MuxError::Unsupported(error.to_string()))?;
    let VideoCodec::Av1(av1) = codec else {
        return Err(invalid(format!("expected AV1, found {string}")));
    };
    let [x, y, position] = av1.chroma;
    let flag = |set: bool, shift: u8| u8::from(set) << shift;
    let mut config = vec![
        // marker and version
        0x81,
        (av1.profile & 7) << 5 | (av1.level & 31),
        flag(av1.high_tier, 7)
            | flag(av1.bit_depth > 8, 6)
            | flag(av1.bit_depth == 12, 5)
            | flag(av1.monochrome, 4)
            | (x & 1) << 3
            | (y & 1) << 2
            | (position & 3),
        // No initial_presentation_delay.
        0,
    ];
    if header.is_some() {
        config.extend(sequence_header_obu(chunk).unwrap_or_default());
    }
    Ok(config)
}

/// The sequence header OBU of a temporal unit, with a size field, as `configOBUs` has to have it.
fn sequence_header_obu(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut rest = chunk;
    loop {
        let (&header, after) = rest.split_first()?;
        let after = after.get(usize::from(header & 4 != 0)..)?;
        let (size, body) = match header & 2 {
            0 => (after.len(), after),
            _ => {
                let mut size = 0_u64;
                let mut length = 0;
                for &byte in after.iter().take(8) {
                    size |= u64::from(byte & 0x7f) << (7 * length);
                    length += 1;
                    if byte & 0x80 == 0 {
                        break;
                    }
                }
                (usize::try_from(size).ok()?, after.get(length..)?)
            }
        };
        let obu = body.get(..size)?;
        if header >> 3 & 15 == 1 {
            let mut out = vec![0x0a];
            let mut left = size;
            while left >= 0x80 {
                out.push(left as u8 | 0x80);
                left >>= 7;
            }
            out.push(left as u8);
            out.extend_from_slice(obu);
            return Some(out);
        }
        rest = body.get(size..)?;
    }
}

/// OpusSpecificBox, from the identification header of RFC 7845, section 5.1; without one what it would say.
/// <https://opus-codec.org/docs/opus_in_isobmff.html#4.3.2>
fn opus_config(output: &OutputTrack, header: Option<&[u8]>) -> Result<Vec<u8>, MuxError> {
    let OutputKind::Audio { channels, .. } = output.kind else {
        return Ok(Vec::new());
    };
    let Some(header) = header else {
        let channels = u8::try_from(channels).ok().filter(|count| *count <= 2);
        let Some(channels) = channels else {
            return Err(invalid(
                "Opus of more than 2 channels needs a description, found none",
            ));
        };
        // No pre-skip, 48 kHz, no gain, mapping family 0.
        return Ok([
            &[0, channels, 0, 0][..],
            &48_000_u32.to_be_bytes(),
            &[0, 0, 0],
        ]
        .concat());
    };
    let fields = header
        .strip_prefix(b"OpusHead")
        .and_then(|fields| fields.first_chunk::<11>());
    let Some(&[version, count, skip0, skip1, r0, r1, r2, r3, g0, g1, family]) = fields else {
        return Err(invalid(format!(
            "expected an OpusHead of 19 bytes or more as description, found {} bytes",
            header.len()
        )));
    };
    if version >> 4 != 0 || count == 0 {
        return Err(invalid(format!(
            "expected an OpusHead of version 1 with channels, found version {version} with {count}"
        )));
    }
    let mut config = vec![0, count, skip1, skip0, r3, r2, r1, r0, g1, g0, family];
    if family != 0 {
        let mapping = header.get(19..19 + 2 + usize::from(count)).ok_or_else(|| {
            invalid(format!(
                "expected a channel mapping of {} bytes in OpusHead, found {}",
                2 + usize::from(count),
                header.len().saturating_sub(19)
            ))
        })?;
        config.extend_from_slice(mapping);
    }
    Ok(config)
}

/// The blocks of `dfLa`, from "fLaC" and what follows it. STREAMINFO alone: the others are of the file.
/// <https://github.com/xiph/flac/blob/master/doc/isoflac.txt>
fn flac_config(description: &[u8]) -> Result<Vec<u8>, MuxError> {
    let info = description
        .strip_prefix(b"fLaC")
        .filter(|blocks| matches!(blocks.first_chunk(), Some([0 | 0x80, 0, 0, 34])))
        .and_then(|blocks| blocks.get(4..38));
    let Some(info) = info else {
        return Err(invalid(format!(
            "expected \"fLaC\" and STREAMINFO as description, found {} bytes",
            description.len()
        )));
    };
    Ok([&[0x80, 0, 0, 34][..], info].concat())
}

/// ES_Descriptor, ISO/IEC 14496-1, 7.2.6.5.
fn esds(boxes: &mut Boxes, codec: &AudioCodec, rate: u32, specific: &[u8]) {
    const ES_DESCRIPTOR: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC_INFO: u8 = 5;
    const SL_CONFIG: u8 = 6;
    let descriptor = |tag: u8, body: &[u8]| {
        // Sizes of four bytes, which all readers take.
        let size = body.len() as u32;
        let bytes = [21, 14, 7].map(|shift| (size >> shift) as u8 & 0x7f | 0x80);
        [&[tag][..], &bytes, &[size as u8 & 0x7f], body].concat()
    };
    let object_type = match codec {
        AudioCodec::Aac(kind @ 0x66..=0x68) => *kind,
        AudioCodec::Aac(_) => 0x40,
        // MPEG-2's lower rates, and MPEG-1's.
        _ if rate <= 24_000 => 0x69,
        _ => 0x6b,
    };
    // Audio stream; buffer size and bit rates are not told.
    let mut config = vec![object_type, 0x15];
    config.extend([0; 11]);
    if !specific.is_empty() {
        config.extend(descriptor(DECODER_SPECIFIC_INFO, specific));
    }
    let mut es = vec![0, 0, 0];
    es.extend(descriptor(DECODER_CONFIG, &config));
    es.extend(descriptor(SL_CONFIG, &[2]));
    boxes.bytes(&descriptor(ES_DESCRIPTOR, &es));
}
