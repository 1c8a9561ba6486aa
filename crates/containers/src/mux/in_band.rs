//! Packets with their set-up in them, in a track that began with a description.

use bytes::Bytes;
use reelcore_media::mux::{MuxError, OutputPacket};
use reelcore_media::{AudioCodec, ChunkKind, VideoCodec};

use super::aac::{self, AdtsFrames};
use super::nal::{self, NalStream};

/// Brings packets with start codes (H.264, HEVC) or ADTS headers (AAC) into the form of packets with a description, and says that
/// description where it is another one than the track's. Any muxer then takes them in the middle of a track whose
/// packets had one before.
#[derive(Debug)]
pub struct InBand {
    form: Form,
    /// What the file holds.
    current: Bytes,
}

#[derive(Debug)]
enum Form {
    Nal { hevc: bool, stream: NalStream },
    Adts,
}

impl InBand {
    /// For packets of `codec`, a codec string, from here on; `current` is the description that held before. `None` for codecs
    /// whose packets are the same without one.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] for codecs that need a description.
    pub fn new(codec: &str, current: Bytes) -> Result<Option<Self>, MuxError> {
        let form = match (VideoCodec::parse(codec), AudioCodec::parse(codec)) {
            (Ok(video), _) => {
                let hevc = matches!(video, VideoCodec::Hevc(_));
                NalStream::new(&video, None)?.map(|stream| Form::Nal { hevc, stream })
            }
            (_, Ok(AudioCodec::Aac(_))) => Some(Form::Adts),
            (_, Ok(AudioCodec::Flac | AudioCodec::Vorbis)) => {
                return Err(MuxError::Unsupported(format!(
                    "{codec} without a description, in the middle of a track that began with one"
                )));
            }
            _ => None,
        };
        Ok(form.map(|form| Self { form, current }))
    }

    /// Brings the next packet into the form of those with a description.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a packet without NAL units, or that is no ADTS frame, and for a first one without parameter sets;
    /// [`MuxError::Unsupported`] for ADTS that does not say how many channels there are.
    pub fn convert(&mut self, packet: &mut OutputPacket) -> Result<(), MuxError> {
        let found = match &mut self.form {
            Form::Nal { hevc, stream } => {
                let before = stream.description().cloned();
                packet.chunk.data = match packet.chunk.kind {
                    ChunkKind::Key => stream.convert_key(&packet.chunk.data)?,
                    ChunkKind::Delta => stream.convert(&packet.chunk.data)?,
                };
                let found = stream.description().cloned();
                let Some(found) = found.filter(|found| before.as_ref() != Some(found)) else {
                    return Ok(());
                };
                let sets = |description: &Bytes| nal::sets_in_band(*hevc, description).ok();
                if sets(&found) == sets(&self.current) {
                    return Ok(());
                }
                found
            }
            Form::Adts => {
                let header = aac::frame(&packet.chunk)?;
                if header.channels == 0 {
                    return Err(MuxError::Unsupported(
                        "ADTS whose channels a program_config_element tells".into(),
                    ));
                }
                packet.chunk.data = packet.chunk.data.slice(header.size()..);
                let config = aac::specific_config(&header);
                // A description may say more than a header does.
                let frames = |description: &[u8]| AdtsFrames::new(description).ok();
                if frames(&config) == frames(&self.current) {
                    return Ok(());
                }
                Bytes::copy_from_slice(&config)
            }
        };
        self.current = found.clone();
        packet.description = Some(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use reelcore_media::EncodedChunk;
    use reelcore_media::h264::AvcC;

    use super::*;

    const SPS: [u8; 10] = [0x67, 66, 0xc0, 12, 0x8c, 0x8d, 0x40, 0xa0, 0xcb, 0x40];
    const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
    const PICTURE: [u8; 4] = [0x65, 1, 2, 3];

    fn packet(data: Vec<u8>) -> OutputPacket {
        OutputPacket::new(EncodedChunk::new(ChunkKind::Key, 0, data.into()))
    }

    fn annex_b(units: &[&[u8]]) -> OutputPacket {
        let parts = units.iter().map(|unit| [&[0, 0, 0, 1], *unit].concat());
        packet(parts.collect::<Vec<_>>().concat())
    }

    fn avcc(length_size: usize) -> Bytes {
        let record = AvcC::of_parameter_sets(&[&SPS], &[&PPS], length_size).unwrap();
        record.write().unwrap().into()
    }

    /// An ADTS frame of LC: index of the rate, channels, two bytes of sound.
    fn adts(rate: u8, channels: u8) -> OutputPacket {
        let head = [0xff, 0xf1, 1 << 6 | rate << 2, channels << 6, 1, 0x3f, 0xfc];
        packet([&head[..], &[0xaa, 0xbb]].concat())
    }

    #[test]
    fn start_codes_after_a_description_become_lengths_and_the_same_sets_are_not_announced() {
        let mut in_band = InBand::new("avc1.42c00c", avcc(4)).unwrap().unwrap();
        for _ in 0..2 {
            let mut packet = annex_b(&[&SPS, &PPS, &PICTURE]);
            in_band.convert(&mut packet).unwrap();
            assert_eq!(packet.chunk.data[..], [0, 0, 0, 4, 0x65, 1, 2, 3]);
            assert_eq!(packet.description, None);
        }
    }

    #[test]
    fn other_sets_or_lengths_are_announced_with_the_first_packet_alone() {
        let mut in_band = InBand::new("avc1.42c00c", avcc(2)).unwrap().unwrap();
        let mut first = annex_b(&[&SPS, &PPS, &PICTURE]);
        in_band.convert(&mut first).unwrap();
        assert_eq!(first.description, Some(avcc(4)));
        let mut second = annex_b(&[&PICTURE]);
        in_band.convert(&mut second).unwrap();
        assert_eq!(second.description, None);
        assert_eq!(second.chunk.data.len(), 8);
        let mut late = InBand::new("avc1.42c00c", avcc(4)).unwrap().unwrap();
        let error = late.convert(&mut annex_b(&[&PICTURE])).unwrap_err();
        assert!(error.to_string().contains("no parameter sets"), "{error}");
    }

    #[test]
    fn sets_that_change_again_are_announced_and_so_are_the_first_that_come_back() {
        let mut in_band = InBand::new("avc1.42c00c", avcc(4)).unwrap().unwrap();
        let other = [0x68, 0xce, 0x3c, 0x81];
        let record = AvcC::of_parameter_sets(&[&SPS], &[&other], 4).unwrap();
        let changed = Bytes::from(record.write().unwrap());
        let kinds = [(&PPS, None), (&other, Some(changed)), (&PPS, Some(avcc(4)))];
        for (pps, want) in kinds {
            let mut packet = annex_b(&[&SPS, pps, &PICTURE]);
            in_band.convert(&mut packet).unwrap();
            assert_eq!(packet.chunk.data.len(), 8);
            assert_eq!(packet.description, want);
        }
    }

    #[test]
    fn adts_after_a_description_loses_its_headers_and_tells_of_another_rate() {
        // LC at 48 kHz in stereo, and behind it that there is no spectral band replication.
        let current = Bytes::from_static(&[0x11, 0x90, 0x56, 0xe5, 0x00]);
        let mut in_band = InBand::new("mp4a.40.2", current).unwrap().unwrap();
        let mut same = adts(3, 2);
        in_band.convert(&mut same).unwrap();
        assert_eq!(same.chunk.data[..], [0xaa, 0xbb]);
        assert_eq!(same.description, None);
        let mut other = adts(4, 1);
        in_band.convert(&mut other).unwrap();
        assert_eq!(other.description.as_deref(), Some(&[0x12, 0x08][..]));
        let mut again = adts(4, 1);
        in_band.convert(&mut again).unwrap();
        assert_eq!(again.description, None);
        assert!(matches!(
            in_band.convert(&mut adts(4, 0)),
            Err(MuxError::Unsupported(_))
        ));
        let error = in_band.convert(&mut packet(vec![1, 2, 3])).unwrap_err();
        assert!(error.to_string().contains("ADTS"), "{error}");
    }

    #[test]
    fn codecs_whose_packets_are_the_same_need_nothing_and_others_are_refused() {
        for codec in ["vp8", "vp09.00.10.08", "av01.0.04M.08", "opus", "pcm-s16"] {
            assert!(InBand::new(codec, avcc(4)).unwrap().is_none(), "{codec}");
        }
        for codec in ["flac", "vorbis"] {
            let refused = InBand::new(codec, avcc(4));
            assert!(matches!(refused, Err(MuxError::Unsupported(_))), "{codec}");
        }
    }
}
