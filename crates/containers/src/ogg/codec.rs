//! What a logical stream holds: its headers, and how long its packets are.

use bytes::Bytes;
use reelcore_media::demux::TrackKind;

use super::vorbis::{self, Ident};
use crate::audio::comments;
use crate::audio::tags::Tags;
use crate::bitstream::audio::Timing;
use crate::flac::header::{STREAM_INFO, StreamInfo};

/// Samples before a packet that a decoder of Opus which starts needs (RFC 7845, section 4.6): 80 ms.
const OPUS_PRE_ROLL: u64 = 3840;

/// Bytes of a comment header that a description takes over; a longer one, with pictures, says nothing to a decoder.
const MAX_COMMENT: usize = 16 << 10;

/// A Vorbis comment header without comments.
const NO_COMMENTS: &[u8] = b"\x03vorbis\0\0\0\0\0\0\0\0\x01";

/// How a stream is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus {
        /// Channels, output gain and mapping: what must not change.
        head: Vec<u8>,
        pre_skip: u32,
        channels: u32,
    },
    Vorbis {
        ident: Ident,
        /// The setup header, once it was read, and its modes.
        setup: Option<(Bytes, Vec<bool>)>,
    },
    Flac {
        info: StreamInfo,
    },
    Other(&'static str),
}

impl Codec {
    /// Reads the first packet of a stream.
    pub(crate) fn first(packet: &[u8]) -> Self {
        Self::known(packet).unwrap_or_else(|| Self::Other(name(packet)))
    }

    fn known(packet: &[u8]) -> Option<Self> {
        if packet.starts_with(b"OpusHead") {
            let &[version, channels, s0, s1, _, _, _, _, _, _, family] =
                packet.get(8..)?.first_chunk()?;
            // Section 5.1: the upper four bits must be 0; without a table there are one or two channels.
            if version >> 4 != 0 || channels == 0 || (family == 0 && channels > 2) {
                return None;
            }
            if family != 0 && packet.len() < 21 + usize::from(channels) {
                return None;
            }
            let head = [&[channels][..], packet.get(16..)?].concat();
            return Some(Self::Opus {
                head,
                pre_skip: u32::from(u16::from_le_bytes([s0, s1])),
                channels: u32::from(channels),
            });
        }
        if packet.starts_with(b"\x7fFLAC") {
            let info = packet.get(9..)?.strip_prefix(b"fLaC")?.get(4..)?;
            return Some(Self::Flac {
                info: StreamInfo::parse(info)?,
            });
        }
        Ident::parse(packet).map(|ident| Self::Vorbis { ident, setup: None })
    }

    /// Whether a stream whose first packet is `first` can go on where this one ended, but for a setup header.
    pub(crate) fn continues_in(&self, first: &Self) -> bool {
        match (self, first) {
            (Self::Opus { head, .. }, Self::Opus { head: other, .. }) => head == other,
            (Self::Vorbis { ident, .. }, Self::Vorbis { ident: other, .. }) => ident == other,
            (Self::Flac { info }, Self::Flac { info: other }) => {
                (info.rate, info.channels, info.bits) == (other.rate, other.channels, other.bits)
            }
            _ => false,
        }
    }

    /// Whether both are of one codec.
    pub(crate) fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// FFmpeg's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Opus { .. } => "opus",
            Self::Vorbis { .. } => "vorbis",
            Self::Flac { .. } => "flac",
            Self::Other(name) => name,
        }
    }

    /// The rate of granule positions.
    pub(crate) fn rate(&self) -> u32 {
        match self {
            Self::Opus { .. } => 48_000,
            Self::Vorbis { ident, .. } => ident.rate,
            Self::Flac { info } => info.rate,
            Self::Other(_) => 1,
        }
    }

    /// Samples at the start that are none of the sound.
    pub(crate) fn pre_skip(&self) -> u32 {
        match self {
            Self::Opus { pre_skip, .. } => *pre_skip,
            _ => 0,
        }
    }

    /// How many samples before a packet a decoder that starts there must have decoded; 0 where every packet stands alone.
    pub(crate) fn pre_roll(&self) -> u64 {
        match self {
            Self::Opus { .. } => OPUS_PRE_ROLL,
            // The packet before, whatever its length.
            Self::Vorbis { .. } => 1,
            Self::Flac { .. } | Self::Other(_) => 0,
        }
    }

    pub(crate) fn kind(&self) -> TrackKind {
        let channels = match self {
            Self::Opus { channels, .. } => *channels,
            Self::Vorbis { ident, .. } => ident.channels,
            Self::Flac { info } => info.channels,
            Self::Other(name) => return TrackKind::Other((*name).to_owned()),
        };
        TrackKind::Audio {
            sample_rate: self.rate(),
            channels,
        }
    }

    /// Whether a packet is one of the stream's headers.
    pub(crate) fn is_header(&self, packet: &[u8]) -> bool {
        match self {
            Self::Opus { .. } => packet.starts_with(b"OpusHead") || packet.starts_with(b"OpusTags"),
            Self::Vorbis { .. } => packet.first().is_some_and(|first| first & 1 == 1),
            Self::Flac { .. } => packet.first().is_some_and(|&first| first != 0xff),
            Self::Other(_) => false,
        }
    }

    /// The samples that decoding a packet gives, and the block it leaves for the next one. `before` is the block of the
    /// last packet; without it a packet of Vorbis gives nothing.
    pub(crate) fn samples(&self, packet: &[u8], before: Option<u32>) -> (u64, Option<u32>) {
        let size = packet.len() as u64;
        match self {
            Self::Opus { .. } => (
                Timing::Opus.frames(packet, size).map_or(0, |f| f.count),
                None,
            ),
            Self::Flac { info } => {
                let timing = Timing::Flac { rate: info.rate };
                (timing.frames(packet, size).map_or(0, |f| f.count), None)
            }
            Self::Vorbis {
                ident,
                setup: Some((_, modes)),
            } => match vorbis::block(packet, ident.blocks, modes) {
                // Section 4.3.8: half of each of two blocks that overlap.
                Some(block) => (
                    before.map_or(0, |before| u64::from(before / 4 + block / 4)),
                    Some(block),
                ),
                None => (0, before),
            },
            _ => (0, before),
        }
    }
}

/// The codec that the first packet of a stream names.
fn name(packet: &[u8]) -> &'static str {
    const NAMES: [(&[u8], &str); 12] = [
        (b"\x80theora", "theora"),
        (b"Speex   ", "speex"),
        (b"fishead\0", "skeleton"),
        (b"\x80kate", "kate"),
        (b"BBCD\0", "dirac"),
        (b"OVP80", "vp8"),
        (b"CELT    ", "celt"),
        (b"\x01video", "ogm-video"),
        (b"\x01audio", "ogm-audio"),
        (b"\x01text", "ogm-text"),
        (b"OpusHead", "opus"),
        (b"\x7fFLAC", "flac"),
    ];
    let known = NAMES.iter().find(|(start, _)| packet.starts_with(start));
    known.map_or("unknown", |(_, name)| name)
}

/// The headers of a stream, as they come in.
#[derive(Debug)]
pub(crate) struct Headers {
    pub(crate) codec: Codec,
    packets: Vec<Bytes>,
    pub(crate) tags: Tags,
    pub(crate) done: bool,
}

impl Headers {
    pub(crate) fn new(first: Bytes) -> Self {
        let codec = Codec::first(&first);
        Self {
            done: matches!(codec, Codec::Other(_)),
            codec,
            packets: vec![first],
            tags: Tags::default(),
        }
    }

    /// Takes the next packet. What is wrong with it, where it is.
    pub(crate) fn add(&mut self, packet: Bytes) -> Result<(), &'static str> {
        if self.done {
            return Ok(());
        }
        let header = self.codec.is_header(&packet);
        match &mut self.codec {
            Codec::Opus { .. } => {
                if let Some(body) = packet.strip_prefix(b"OpusTags") {
                    comments::read(body, &mut self.tags);
                }
                self.done = true;
            }
            Codec::Flac { .. } => {
                if let Some(&[kind, _, _, _]) = packet.first_chunk::<4>() {
                    if header && kind & 0x7f == 4 {
                        comments::read(packet.get(4..).unwrap_or_default(), &mut self.tags);
                    }
                    self.done = !header || kind & 0x80 != 0;
                }
            }
            Codec::Vorbis { ident, setup } => {
                if self.packets.len() == 1 {
                    let Some(body) = packet.strip_prefix(b"\x03vorbis") else {
                        return Err("expected Vorbis' comment header");
                    };
                    comments::read(body, &mut self.tags);
                    self.packets.push(packet);
                } else {
                    let Some(modes) = vorbis::modes(&packet, ident.channels) else {
                        return Err("expected Vorbis' setup header with its modes");
                    };
                    *setup = Some((packet.clone(), modes));
                    self.packets.push(packet);
                    self.done = true;
                }
            }
            Codec::Other(_) => {}
        }
        Ok(())
    }

    /// The description for WebCodecs: <https://www.w3.org/TR/webcodecs-opus-codec-registration/>,
    /// <https://www.w3.org/TR/webcodecs-vorbis-codec-registration/>,
    /// <https://www.w3.org/TR/webcodecs-flac-codec-registration/>.
    pub(crate) fn description(&self) -> Option<Bytes> {
        let first = self.packets.first()?;
        match &self.codec {
            Codec::Opus { .. } => Some(Bytes::copy_from_slice(first)),
            // "\x7fFLAC", version, number of headers, "fLaC", the block's header, STREAMINFO.
            Codec::Flac { .. } => {
                let info = first.get(17..17 + STREAM_INFO)?;
                Some(StreamInfo::description(info).into())
            }
            Codec::Vorbis { .. } => {
                let (comment, setup) = (self.packets.get(1)?, self.packets.get(2)?);
                let comment = if comment.len() > MAX_COMMENT {
                    NO_COMMENTS
                } else {
                    comment
                };
                let mut out = vec![2];
                for size in [first.len(), comment.len()] {
                    out.extend(std::iter::repeat_n(255, size / 255));
                    out.push((size % 255) as u8);
                }
                for part in [first, comment, setup] {
                    out.extend(part);
                }
                Some(out.into())
            }
            Codec::Other(_) => None,
        }
    }
}
