//! Elementary streams: the bytes of packets in the form that transport streams have.

use bytes::{BufMut, Bytes, BytesMut};
use reelcore_media::h264::{self, AvcC};
use reelcore_media::hevc::{self, HvcC, NalType};
use reelcore_media::mux::{MuxError, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{AudioCodec, ChunkKind, MediaError, SideData, VideoCodec};

use crate::bitstream::audio::{Timing, aac_frames};
use crate::mux::aac::{self, AdtsFrames};

const START_CODE: &[u8] = &[0, 0, 0, 1];

/// What a stream holds.
#[derive(Debug)]
pub(super) enum Form {
    Video(Nals),
    /// AAC; `None`: packets are ADTS frames already.
    Aac(Option<AdtsFrames>),
    /// MPEG-1, else the lower rates of MPEG-2.
    Mp3 {
        mpeg1: bool,
    },
    /// channel_config_code of the descriptor.
    Opus {
        channels: u8,
    },
}

/// H.264 or HEVC.
#[derive(Debug)]
pub(super) struct Nals {
    hevc: bool,
    /// Bytes of a length before each NAL unit; `None`: packets are in Annex B.
    length_size: Option<usize>,
    /// Parameter sets of the description, each with a start code.
    sets: Bytes,
}

fn invalid(error: MediaError) -> MuxError {
    MuxError::Invalid(error.message)
}

impl Form {
    /// # Errors
    /// [`MuxError::Unsupported`] for a codec that transport streams have no place for.
    pub(super) fn new(output: &OutputTrack) -> Result<Self, MuxError> {
        let unsupported =
            |what: &dyn std::fmt::Display| MuxError::Unsupported(format!("{what} in MPEG-TS"));
        let description = output.description.as_deref();
        match output.kind {
            OutputKind::Video { alpha: true, .. } => Err(unsupported(&"alpha beside the picture")),
            OutputKind::Video { .. } => {
                match VideoCodec::parse(&output.codec).map_err(|error| unsupported(&error))? {
                    VideoCodec::Avc(_) => Ok(Self::Video(Nals::new(false, description)?)),
                    VideoCodec::Hevc(_) => Ok(Self::Video(Nals::new(true, description)?)),
                    other => Err(unsupported(&other.family())),
                }
            }
            OutputKind::Audio {
                sample_rate,
                channels,
            } => match AudioCodec::parse(&output.codec).map_err(|error| unsupported(&error))? {
                AudioCodec::Aac(_) => Ok(Self::Aac(description.map(AdtsFrames::new).transpose()?)),
                AudioCodec::Mp3 => Ok(Self::Mp3 {
                    mpeg1: sample_rate >= 32_000,
                }),
                AudioCodec::Opus => {
                    let family = description.and_then(|header| header.get(18)).copied();
                    let most = if family.unwrap_or(0) == 0 { 2 } else { 8 };
                    match (family.unwrap_or(0), u8::try_from(channels)) {
                        (0 | 1, Ok(channels)) if (1..=most).contains(&channels) => {
                            Ok(Self::Opus { channels })
                        }
                        (family, _) => Err(unsupported(&format_args!(
                            "Opus with {channels} channels of mapping family {family}"
                        ))),
                    }
                }
                other => Err(unsupported(&other.family())),
            },
        }
    }

    /// Another set-up from here on.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a description that is none of the codec.
    pub(super) fn change(&mut self, description: &[u8]) -> Result<(), MuxError> {
        match self {
            Self::Video(nals) => *nals = Nals::new(nals.hevc, Some(description))?,
            Self::Aac(frames) => *frames = Some(AdtsFrames::new(description)?),
            Self::Mp3 { .. } | Self::Opus { .. } => {}
        }
        Ok(())
    }

    /// stream_type and the descriptors of the program map table.
    pub(super) fn describe(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Video(Nals { hevc: false, .. }) => (0x1b, Vec::new()),
            Self::Video(_) => (0x24, Vec::new()),
            Self::Aac(_) => (0x0f, Vec::new()),
            Self::Mp3 { mpeg1 } => (if *mpeg1 { 3 } else { 4 }, Vec::new()),
            // Private data: registration_descriptor, and the extension descriptor of the Opus mapping.
            Self::Opus { channels } => {
                let mut info = vec![5, 4];
                info.extend(b"Opus");
                info.extend([0x7f, 2, 0x80, *channels]);
                (6, info)
            }
        }
    }

    /// stream_id of PES packets (table 2-22), of the stream that is number `index` of its kind.
    pub(super) fn stream_id(&self, index: u8) -> u8 {
        match self {
            Self::Video(_) => 0xe0 | index & 15,
            Self::Opus { .. } => 0xbd,
            _ => 0xc0 | index & 31,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self, Self::Video(_))
    }

    /// How long packets last.
    pub(super) fn timing(&self, output: &OutputTrack) -> Timing {
        match self {
            Self::Video(_) => Timing::Unknown,
            Self::Aac(_) => output
                .description
                .as_deref()
                .and_then(aac_frames)
                .map_or(Timing::Unknown, Timing::Constant),
            Self::Mp3 { .. } => Timing::Mp3,
            Self::Opus { .. } => Timing::Opus,
        }
    }

    /// The bytes of a packet as the stream has them.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a packet that is not what the track says.
    pub(super) fn pieces(&self, packet: &OutputPacket) -> Result<Vec<Bytes>, MuxError> {
        let chunk = &packet.chunk;
        if chunk.data.is_empty() {
            return Err(MuxError::Invalid(format!(
                "an empty packet at {} us",
                chunk.timestamp
            )));
        }
        match self {
            Self::Video(nals) => nals.pieces(&chunk.data, chunk.kind == ChunkKind::Key),
            Self::Aac(Some(frames)) => {
                let header = frames.header(chunk.data.len())?;
                Ok(vec![Bytes::copy_from_slice(&header), chunk.data.clone()])
            }
            Self::Aac(None) => {
                aac::frame(chunk)?;
                Ok(vec![chunk.data.clone()])
            }
            Self::Mp3 { .. } => {
                if Timing::Mp3
                    .frames(&chunk.data, chunk.data.len() as u64)
                    .is_none()
                {
                    return Err(MuxError::Invalid(format!(
                        "expected a frame of MP3, found {} bytes that are none at {} us",
                        chunk.data.len(),
                        chunk.timestamp
                    )));
                }
                Ok(vec![chunk.data.clone()])
            }
            Self::Opus { .. } => Ok(vec![
                opus_control(chunk.data.len(), chunk.side.as_deref()),
                chunk.data.clone(),
            ]),
        }
    }
}

/// opus_control_header() of the mapping of Opus into transport streams: what is dropped, and the size.
/// <https://opus-codec.org/docs/ETSI_TS_opus-v0.1.3-draft.pdf>
fn opus_control(len: usize, side: Option<&SideData>) -> Bytes {
    let samples = |duration: std::time::Duration| {
        // 13 bits at 48 kHz; nothing longer can be in a packet of 120 ms.
        let samples = duration.as_nanos() * 48_000 / 1_000_000_000;
        u16::try_from(samples).unwrap_or(u16::MAX).min(5760)
    };
    let start = side.map_or(0, |side| samples(side.discard_start));
    let end = side.map_or(0, |side| samples(side.discard_end));
    let mut out = BytesMut::new();
    let trims = u16::from(start > 0) << 4 | u16::from(end > 0) << 3;
    // control_header_prefix
    out.put_u16(0x3ff << 5 | trims);
    let mut left = len;
    while left >= 255 {
        out.put_u8(255);
        left -= 255;
    }
    out.put_u8(left as u8);
    for trim in [start, end] {
        if trim > 0 {
            out.put_u16(trim);
        }
    }
    out.freeze()
}

/// The kinds of NAL units that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Delimiter,
    /// The set that pictures start with: without it a description's sets are put in front.
    Sps,
    Other,
}

impl Nals {
    fn new(hevc: bool, description: Option<&[u8]>) -> Result<Self, MuxError> {
        let (mut sets, mut length_size) = (BytesMut::new(), None);
        let mut add = |set: &[u8]| {
            sets.extend_from_slice(START_CODE);
            sets.extend_from_slice(set);
        };
        if let Some(description) = description {
            if hevc {
                let record = HvcC::parse(description).map_err(invalid)?;
                for kind in [NalType::VPS, NalType::SPS, NalType::PPS] {
                    record.units(kind).for_each(&mut add);
                }
                length_size = Some(record.length_size);
            } else {
                let record = AvcC::parse(description).map_err(invalid)?;
                record
                    .sps
                    .iter()
                    .chain(&record.pps)
                    .for_each(|set| add(set));
                length_size = Some(record.length_size);
            }
        }
        Ok(Self {
            hevc,
            length_size,
            sets: sets.freeze(),
        })
    }

    /// The kinds and bytes of the NAL units of a packet.
    fn units(&self, data: &Bytes) -> Result<Vec<(Kind, Bytes)>, MuxError> {
        let mut units = Vec::new();
        if self.hevc {
            let packaging = match self.length_size {
                Some(length_size) => hevc::Packaging::Hevc { length_size },
                None => hevc::Packaging::AnnexB,
            };
            for nal in hevc::nal_units(data, packaging) {
                let nal = nal.map_err(invalid)?;
                let kind = match nal.nal_type {
                    NalType::AUD => Kind::Delimiter,
                    NalType::SPS => Kind::Sps,
                    _ => Kind::Other,
                };
                units.push((kind, data.slice_ref(nal.bytes)));
            }
        } else {
            let packaging = match self.length_size {
                Some(length_size) => h264::Packaging::Avc { length_size },
                None => h264::Packaging::AnnexB,
            };
            for nal in h264::nal_units(data, packaging) {
                let nal = nal.map_err(invalid)?;
                let kind = match nal.kind {
                    h264::NalKind::Aud => Kind::Delimiter,
                    h264::NalKind::Sps => Kind::Sps,
                    _ => Kind::Other,
                };
                units.push((kind, data.slice_ref(nal.bytes)));
            }
        }
        Ok(units)
    }

    /// An access unit: with its delimiter (2.14.1, 2.17.1), key pictures with the parameter sets.
    fn pieces(&self, data: &Bytes, key: bool) -> Result<Vec<Bytes>, MuxError> {
        let units = self.units(data)?;
        if units.is_empty() {
            return Err(MuxError::Invalid(format!(
                "a packet of {} bytes holds no NAL unit",
                data.len()
            )));
        }
        let delimited = matches!(units.first(), Some((Kind::Delimiter, _)));
        if self.length_size.is_none() && delimited {
            // As it is.
            return Ok(vec![data.clone()]);
        }
        let start_code = Bytes::from_static(START_CODE);
        let mut pieces = Vec::with_capacity(2 * units.len() + 3);
        let mut rest = units.as_slice();
        if let Some(((Kind::Delimiter, unit), after)) = units.split_first() {
            pieces.extend([start_code.clone(), unit.clone()]);
            rest = after;
        } else {
            // Any kind of slices, as the units are not looked into.
            pieces.push(Bytes::from_static(match self.hevc {
                true => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
                false => &[0, 0, 0, 1, 0x09, 0xf0],
            }));
        }
        if key && !units.iter().any(|(kind, _)| *kind == Kind::Sps) {
            pieces.push(self.sets.clone());
        }
        if self.length_size.is_none() {
            pieces.push(data.clone());
            return Ok(pieces);
        }
        for (_, unit) in rest {
            pieces.extend([start_code.clone(), unit.clone()]);
        }
        Ok(pieces)
    }
}
