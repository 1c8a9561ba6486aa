//! Program specific information: sections, the program association table and program map tables (2.4.4).

use super::packet::TsPacket;

/// PID 0: the program association table.
pub(super) const PAT_PID: u16 = 0;

/// A section of these tables has at most so many bytes (2.4.4.3); private ones may have 4096.
const MAX_SECTION: usize = 4096;

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(super) struct Sections {
    buffer: Vec<u8>,
    /// Bytes may be added: the beginning of the section is there.
    open: bool,
    continuity: Option<u8>,
}

impl Sections {
    /// Takes the next packet; `sink` gets each whole section whose CRC is right.
    pub(super) fn push(&mut self, packet: &TsPacket<'_>, sink: &mut dyn FnMut(&[u8])) {
        let Some(payload) = packet.payload.filter(|_| !packet.damaged) else {
            return;
        };
        let expected = self.continuity.map(|last| (last + 1) & 15);
        // Sent twice; or the beginning of another stream that was put behind, which is as good to be read twice.
        let again = self.continuity == Some(packet.continuity) && !packet.discontinuity;
        if again && !packet.starts_unit {
            return;
        }
        if expected != Some(packet.continuity) {
            self.reset();
        }
        self.continuity = Some(packet.continuity);
        let mut rest = payload;
        if packet.starts_unit {
            // pointer_field
            let Some((&pointer, after)) = payload.split_first() else {
                return;
            };
            let Some((tail, after)) = after.split_at_checked(usize::from(pointer)) else {
                self.reset();
                return;
            };
            self.add(tail, sink);
            self.buffer.clear();
            self.open = true;
            rest = after;
        }
        self.add(rest, sink);
    }

    /// What follows does not adjoin what came.
    pub(super) fn reset(&mut self) {
        self.buffer.clear();
        self.open = false;
        self.continuity = None;
    }

    fn add(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if !self.open {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let rest = self.buffer.get(used..).unwrap_or_default();
            // table_id of 0xff: only stuffing follows, up to the next start.
            if rest.first() == Some(&0xff) {
                self.open = false;
                break;
            }
            let Some(&[_, high, low]) = rest.first_chunk() else {
                break;
            };
            let len = 3 + (usize::from(high & 15) << 8 | usize::from(low));
            if len > MAX_SECTION {
                self.open = false;
                break;
            }
            let Some(section) = rest.get(..len) else {
                break;
            };
            if crc(section) == 0 {
                sink(section);
            }
            used += len;
        }
        if self.open {
            self.buffer.drain(..used.min(self.buffer.len()));
        } else {
            self.buffer.clear();
        }
    }
}

/// The CRC of annex A: 0 over a section with its CRC_32.
pub(super) fn crc(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            }
        })
    })
}

/// The fields that all sections of these tables have.
struct Table<'a> {
    /// transport_stream_id or program_number.
    id: u16,
    body: &'a [u8],
}

fn table(section: &[u8], table_id: u8) -> Option<Table<'_>> {
    let (head, rest) = section.split_first_chunk::<8>()?;
    let &[id, syntax, _, high, low, current, _, _] = head;
    // section_syntax_indicator, and current_next_indicator: not yet in force.
    (id == table_id && syntax & 0x80 != 0 && current & 1 == 1).then_some(())?;
    Some(Table {
        id: u16::from_be_bytes([high, low]),
        body: rest.get(..rest.len().checked_sub(4)?)?,
    })
}

/// One section of the program association table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pat {
    /// program_number and program_map_PID.
    pub(super) programs: Vec<(u16, u16)>,
}

impl Pat {
    pub(super) fn parse(section: &[u8]) -> Option<Self> {
        let table = table(section, 0)?;
        let programs = table
            .body
            .chunks_exact(4)
            .filter_map(|entry| {
                let &[a, b, c, d] = entry.first_chunk()?;
                Some((
                    u16::from_be_bytes([a, b]),
                    u16::from_be_bytes([c & 0x1f, d]),
                ))
            })
            // Program 0 is the network's PID.
            .filter(|&(number, _)| number != 0)
            .collect();
        Some(Self { programs })
    }
}

/// What an elementary stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    H264,
    Hevc,
    /// AAC with ADTS headers.
    Adts,
    /// MPEG-1 and MPEG-2 audio, layers I to III.
    MpegAudio,
    /// Opus behind control headers.
    Opus {
        channels: u8,
    },
    /// PES packets of something else, by its name.
    Other(String),
}

impl Kind {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Adts => "aac",
            Self::MpegAudio => "mpeg-audio",
            Self::Opus { .. } => "opus",
            Self::Other(name) => name,
        }
    }

    /// What its decoders give; `None` for what is only told by name.
    pub(super) fn medium(&self) -> Option<Medium> {
        match self {
            Self::H264 | Self::Hevc => Some(Medium::Pictures),
            Self::Adts | Self::MpegAudio | Self::Opus { .. } => Some(Medium::Sound),
            Self::Other(_) => None,
        }
    }
}

/// What decoders give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Pictures,
    Sound,
}

/// An elementary stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elementary {
    pub(super) pid: u16,
    pub(super) kind: Kind,
    pub(super) language: Option<String>,
}

/// A program map table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pmt {
    pub(super) program: u16,
    /// Streams of PES packets; those of sections are left out.
    pub(super) streams: Vec<Elementary>,
}

impl Pmt {
    pub(super) fn parse(section: &[u8]) -> Option<Self> {
        let table = table(section, 2)?;
        let &[_, _, high, low] = table.body.first_chunk()?;
        let info = usize::from(high & 15) << 8 | usize::from(low);
        let (info, mut rest) = table.body.get(4..)?.split_at_checked(info)?;
        let blu_ray = descriptors(info).any(|(tag, body)| tag == 5 && body.starts_with(b"HDMV"));
        let mut streams = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            let &[stream_type, pid_high, pid_low, high, low] = head;
            let len = usize::from(high & 15) << 8 | usize::from(low);
            let Some((info, after)) = after.split_at_checked(len) else {
                break;
            };
            rest = after;
            if let Some(kind) = kind(stream_type, info, blu_ray) {
                streams.push(Elementary {
                    pid: u16::from_be_bytes([pid_high & 0x1f, pid_low]),
                    kind,
                    language: language(info),
                });
            }
        }
        Some(Self {
            program: table.id,
            streams,
        })
    }
}

/// The descriptors of `info`: tag and body.
fn descriptors(info: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = info;
    std::iter::from_fn(move || {
        let (&[tag, len], after) = rest.split_first_chunk()?;
        let (body, after) = after.split_at_checked(usize::from(len))?;
        rest = after;
        Some((tag, body))
    })
}

/// ISO_639_language_descriptor.
fn language(info: &[u8]) -> Option<String> {
    descriptors(info)
        .find(|(tag, _)| *tag == 10)
        .and_then(|(_, body)| body.get(..3))
        .filter(|code| code.iter().all(u8::is_ascii_alphabetic))
        .and_then(|code| String::from_utf8(code.to_ascii_lowercase()).ok())
        .filter(|code| code != "und")
}

/// What a stream_type (table 2-34, and those in wide use beyond it) with its descriptors is; `None` for sections.
fn kind(stream_type: u8, info: &[u8], blu_ray: bool) -> Option<Kind> {
    let name = match (stream_type, blu_ray) {
        (0x1b, _) => return Some(Kind::H264),
        (0x24, _) => return Some(Kind::Hevc),
        (0x0f, _) => return Some(Kind::Adts),
        (0x03 | 0x04, _) => return Some(Kind::MpegAudio),
        // Private sections, DSM-CC, SCTE 35.
        (0x05 | 0x08 | 0x0a..=0x0d | 0x14 | 0x16 | 0x86, false) => return None,
        (0x01, _) => "mpeg1video",
        (0x02, _) => "mpeg2video",
        (0x10, _) => "mpeg4video",
        (0x11, _) => "aac-latm",
        (0x1c, _) => "aac-raw",
        (0x1f, _) => "svc",
        (0x20, _) => "mvc",
        (0x21, _) => "jpeg2000",
        (0x33, _) => "vvc",
        (0x80, true) => "pcm-bluray",
        (0x81, _) => "ac-3",
        (0x82, true) => "dts",
        (0x83, true) => "truehd",
        (0x84, true) => "e-ac-3",
        (0x85 | 0x86, true) => "dts-hd",
        (0x87, _) => "e-ac-3",
        (0x90, true) => "pgs",
        (0xea, _) => "vc-1",
        _ => return Some(private(stream_type, info)),
    };
    Some(Kind::Other(name.to_owned()))
}

/// By descriptors: registrations (SMPTE RA) and those of DVB (ETSI EN 300 468).
fn private(stream_type: u8, info: &[u8]) -> Kind {
    for (tag, body) in descriptors(info) {
        let name = match (tag, body.get(..4)) {
            (5, Some(b"HEVC")) => return Kind::Hevc,
            (5, Some(b"AC-3")) | (0x6a, _) => "ac-3",
            (5, Some(b"EAC3")) | (0x7a, _) => "e-ac-3",
            (5, Some(b"Opus")) => return opus(info),
            (5, Some(b"AV01")) => "av1",
            (5, Some(b"DTS1" | b"DTS2" | b"DTS3")) | (0x7b, _) => "dts",
            (5, Some(b"BSSD")) => "s302m",
            (5, Some(b"KLVA")) => "klv",
            (5, Some(b"VC-1")) => "vc-1",
            (0x26, _) if body.windows(4).any(|id| id == b"ID3 ") => "timed-id3",
            (0x56, _) => "dvb-teletext",
            (0x59, _) => "dvb-subtitle",
            _ => continue,
        };
        return Kind::Other(name.to_owned());
    }
    Kind::Other(format!("stream-type-0x{stream_type:02x}"))
}

/// By the extension descriptor of Opus: channel_config_code, of which others than a number of channels in the order of RFC 7845 are only
/// named. <https://opus-codec.org/docs/ETSI_TS_opus-v0.1.3-draft.pdf>, 4.1
fn opus(info: &[u8]) -> Kind {
    let mut codes = descriptors(info).filter_map(|(tag, body)| match (tag, body) {
        (0x7f, &[0x80, code, ..]) => Some(code),
        _ => None,
    });
    match codes.next() {
        Some(channels @ 1..=8) => Kind::Opus { channels },
        // What packets are on their own.
        None => Kind::Opus { channels: 2 },
        Some(_) => Kind::Other("opus".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_standard_and_0_over_a_whole_section() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
        let mut section = b"123456789".to_vec();
        section.extend(crc(&section).to_be_bytes());
        assert_eq!(crc(&section), 0);
    }

    #[test]
    fn streams_are_named_by_type_registration_and_dvb_descriptor() {
        let name = |kind: Option<Kind>| kind.map(|kind| kind.name().to_owned());
        for (stream_type, info, want) in [
            (0x1b, &[][..], Some("h264")),
            (0x0f, &[], Some("aac")),
            (0x11, &[], Some("aac-latm")),
            (6, &[5, 4, b'O', b'p', b'u', b's'], Some("opus")),
            (6, &[0x52, 1, 7, 0x6a, 1, 0], Some("ac-3")),
            (6, &[5, 4, b'H', b'E', b'V', b'C'], Some("hevc")),
            (6, &[0x59, 99], Some("stream-type-0x06")),
            (0x86, &[], None),
        ] {
            assert_eq!(
                name(kind(stream_type, info, false)).as_deref(),
                want,
                "{info:?}"
            );
        }
        assert_eq!(
            language(&[10, 4, b'D', b'e', b'u', 0]).as_deref(),
            Some("deu")
        );
        assert_eq!(language(b"\x0a\x04und\0"), None, "not known");
    }
}
