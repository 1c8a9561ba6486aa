//! Writes ADTS: a header before each frame of AAC. Neither times nor what is dropped are stored: frames follow one another.

use bytes::Bytes;
use reelcore_media::AudioCodec;
use reelcore_media::mux::{MuxError, Muxer, OutputKind, OutputPacket, OutputTrack, Sink};

use super::header::{HEADER, Header};
use crate::bitstream::Bits;
use crate::mux::aac;
use crate::mux::invalid;
use crate::mux::single::Single;

/// Writes one track of AAC. Packets that are ADTS frames already, which have no description, are passed on.
#[derive(Debug, Default)]
pub struct AdtsMuxer {
    file: Single<Track>,
}

#[derive(Debug)]
struct Track {
    /// profile, sampling_frequency_index, channel_configuration; `None`: the packets have headers.
    fields: Option<[u8; 3]>,
    description: Option<Bytes>,
    first: Option<Header>,
}

/// What a header says of frames with that AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
fn fields(config: &[u8]) -> Result<[u8; 3], MuxError> {
    let mut bits = Bits::new(config);
    let read = |bits: &mut Bits| -> Option<(u32, Option<usize>, u32)> {
        let object = |bits: &mut Bits| match bits.u(5)? {
            31 => Some(32 + bits.u(6)?),
            kind => Some(kind),
        };
        let rate = |bits: &mut Bits| match bits.u(4)? {
            15 => {
                let rate = bits.u(24)?;
                Some(aac::RATES.iter().position(|&known| known == rate))
            }
            index => Some(Some(index as usize).filter(|&index| index < aac::RATES.len())),
        };
        let mut kind = object(bits)?;
        let core = rate(bits)?;
        let channels = bits.u(4)?;
        if matches!(kind, 5 | 29) {
            // Readers find spectral band replication by themselves.
            rate(bits)?;
            kind = object(bits)?;
        }
        Some((kind, core, channels))
    };
    let Some((kind, rate, channels)) = read(&mut bits) else {
        return Err(invalid(format!(
            "expected an AudioSpecificConfig as description, found {} bytes",
            config.len()
        )));
    };
    match (kind, rate, channels) {
        (1..=4, Some(rate), 1..=7) => Ok([(kind - 1) as u8, rate as u8, channels as u8]),
        _ => Err(MuxError::Unsupported(format!(
            "AAC of object type {kind} with channel configuration {channels} in ADTS, which has types 1 to 4 at the standard rates, and configurations 1 to 7"
        ))),
    }
}

impl Track {
    fn new(track: OutputTrack) -> Result<Self, MuxError> {
        let aac = matches!(AudioCodec::parse(&track.codec), Ok(AudioCodec::Aac(_)));
        if !aac || !matches!(track.kind, OutputKind::Audio { .. }) {
            return Err(MuxError::Unsupported(format!(
                "{} in ADTS, other than AAC",
                track.codec
            )));
        }
        Ok(Self {
            fields: track.description.as_deref().map(fields).transpose()?,
            description: track.description,
            first: None,
        })
    }

    fn write(&mut self, packet: OutputPacket, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let data = packet.chunk.data;
        if let Some(new) = packet
            .description
            .filter(|new| Some(new) != self.description.as_ref())
        {
            self.fields = Some(fields(&new)?);
            self.description = Some(new);
        }
        let Some([profile, rate, channels]) = self.fields else {
            let header = aac::frame_of(&data, packet.chunk.timestamp)?;
            let first = self.first.get_or_insert(header);
            if !first.same_stream(&header) {
                return Err(MuxError::Unsupported(format!(
                    "AAC that changes in the stream: from {} Hz to {} Hz, channel configuration {} to {}",
                    first.rate, header.rate, first.channels, header.channels
                )));
            }
            return Ok(sink.write(data)?);
        };
        // frame_length has 13 bits.
        let size = data.len() + HEADER;
        if data.is_empty() || size > 8191 {
            return Err(invalid(format!(
                "expected a frame of 1 to {} bytes, found {} at {} us",
                8191 - HEADER,
                data.len(),
                packet.chunk.timestamp
            )));
        }
        // 1.A.3.2: no checksum, and a buffer fullness that says nothing.
        let header = [
            0xff,
            0xf1,
            profile << 6 | rate << 2 | channels >> 2,
            channels << 6 | (size >> 11) as u8,
            (size >> 3) as u8,
            (size << 5) as u8 | 0x1f,
            0xfc,
        ];
        sink.write(Bytes::copy_from_slice(&header))?;
        Ok(sink.write(data)?)
    }
}

impl AdtsMuxer {
    /// A muxer without a track.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Muxer for AdtsMuxer {
    fn container(&self) -> &'static str {
        "adts"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        self.file.add(|| Track::new(track))
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        let (track, _) = self.file.packet(index)?;
        let result = track.write(packet, sink);
        self.file.written();
        result
    }

    fn end_track(&mut self, index: usize, _: &mut dyn Sink) -> Result<(), MuxError> {
        self.file.end(index)
    }

    fn finish(&mut self, _: &mut dyn Sink) -> Result<(), MuxError> {
        self.file.finish().map(|_| ())
    }
}
