//! H.264 and HEVC as files hold them: lengths before NAL units, parameter sets in the track's description.

use bytes::{Bytes, BytesMut};
use reelcore_media::h264::{self, AvcC};
use reelcore_media::hevc::{self, HvcC, NalType};
use reelcore_media::mux::MuxError;
use reelcore_media::{MediaError, VideoCodec};

/// Bytes before each NAL unit that this file writes.
const LENGTH_SIZE: usize = 4;

/// The parameter sets of a stream, and how its packets come.
#[derive(Debug)]
pub(crate) struct NalStream {
    hevc: bool,
    /// `hev1`, `avc3`: parameter sets may stand in the stream.
    in_band: bool,
    /// Packets come with start codes (Annex B): the configuration had no description.
    annex_b: bool,
    description: Option<Bytes>,
    /// For Annex B: VPS, SPS and PPS by their units, as last seen.
    sets: [Vec<Bytes>; 3],
}

fn invalid(error: MediaError) -> MuxError {
    MuxError::Invalid(error.message)
}

impl NalStream {
    /// The stream of a track; `None` for codecs without NAL units.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a description that is no avcC or hvcC.
    pub(crate) fn new(
        codec: &VideoCodec,
        description: Option<&Bytes>,
    ) -> Result<Option<Self>, MuxError> {
        let (hevc, in_band) = match codec {
            VideoCodec::Avc(avc) => (false, avc.in_band),
            VideoCodec::Hevc(hevc) => (true, hevc.in_band),
            _ => return Ok(None),
        };
        if let Some(description) = description {
            match hevc {
                true => HvcC::parse(description).map(|_| ()).map_err(invalid)?,
                false => AvcC::parse(description).map(|_| ()).map_err(invalid)?,
            }
        }
        Ok(Some(Self {
            hevc,
            in_band,
            annex_b: description.is_none(),
            description: description.cloned(),
            sets: Default::default(),
        }))
    }

    /// The avcC or hvcC: given, or found in the packets.
    pub(crate) fn description(&self) -> Option<&Bytes> {
        self.description.as_ref()
    }

    /// The packet in the form that files have. What has lengths already is handed on as it is.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a packet without NAL units, or a first one without parameter sets.
    pub(crate) fn convert(&mut self, data: &Bytes) -> Result<Bytes, MuxError> {
        self.convert_as(data, false)
    }

    /// As [`convert`](Self::convert); a key picture with all of the parameter sets, of which some are others, gets a new
    /// [`description`](Self::description) that has them instead. For those who write another description where it changes: a
    /// former one that comes back is then seen to be another.
    ///
    /// # Errors
    /// As [`convert`](Self::convert).
    pub(crate) fn convert_key(&mut self, data: &Bytes) -> Result<Bytes, MuxError> {
        self.convert_as(data, true)
    }

    fn convert_as(&mut self, data: &Bytes, describe: bool) -> Result<Bytes, MuxError> {
        if !self.annex_b {
            return Ok(data.clone());
        }
        let units = self.units(data)?;
        let mut changed = false;
        let mut seen: [Vec<Bytes>; 3] = Default::default();
        for &(set, ref unit) in &units {
            if let Some(seen) = set.and_then(|set| seen.get_mut(set)) {
                seen.push(unit.clone());
            }
        }
        // The others may hold still where a packet has but some.
        let all = seen
            .iter()
            .skip(usize::from(!self.hevc))
            .all(|seen| !seen.is_empty());
        for (old, new) in self.sets.iter_mut().zip(seen) {
            if !new.is_empty() && *old != new {
                *old = new;
                changed = true;
            }
        }
        if self.description.is_none() || (describe && changed && all) {
            let found = self.record().map_err(invalid)?;
            // Sets that come back after others in the stream are no other description: they stand in the stream too.
            if self.description.as_deref() != Some(&found[..]) {
                self.description = Some(found.into());
                changed = false;
            }
        }
        // Sets that the description holds need not be repeated; those that changed since stand in the stream.
        let keep_sets = self.in_band || changed;
        let kept = |set: &Option<usize>| set.is_none() || keep_sets;
        let total: usize = units
            .iter()
            .filter(|(set, _)| kept(set))
            .map(|(_, unit)| LENGTH_SIZE + unit.len())
            .sum();
        // A copy, as lengths take the place of start codes that may be shorter.
        let mut out = BytesMut::with_capacity(total);
        for (_, unit) in units.iter().filter(|(set, _)| kept(set)) {
            let length = u32::try_from(unit.len())
                .map_err(|_| MuxError::Limit("a NAL unit exceeds 4 GiB".into()))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(unit);
        }
        if out.is_empty() {
            return Err(MuxError::Invalid(format!(
                "a packet of {} bytes holds no picture",
                data.len()
            )));
        }
        Ok(out.freeze())
    }

    /// The NAL units that files keep, each with the index of its kind of parameter set.
    fn units(&self, data: &Bytes) -> Result<Vec<(Option<usize>, Bytes)>, MuxError> {
        let mut units = Vec::new();
        if self.hevc {
            for nal in hevc::nal_units(data, hevc::Packaging::AnnexB) {
                let nal = nal.map_err(invalid)?;
                let set = match nal.nal_type {
                    NalType::VPS => Some(0),
                    NalType::SPS => Some(1),
                    NalType::PPS => Some(2),
                    NalType::AUD => continue,
                    _ => None,
                };
                units.push((set, data.slice_ref(nal.bytes)));
            }
        } else {
            for nal in h264::nal_units(data, h264::Packaging::AnnexB) {
                let nal = nal.map_err(invalid)?;
                let set = match nal.kind {
                    h264::NalKind::Sps => Some(1),
                    h264::NalKind::Pps => Some(2),
                    h264::NalKind::Aud => continue,
                    _ => None,
                };
                units.push((set, data.slice_ref(nal.bytes)));
            }
        }
        Ok(units)
    }

    /// The description of the sets that were seen.
    fn record(&self) -> Result<Vec<u8>, MediaError> {
        let [vps, sps, pps] = &self.sets;
        let slices =
            |sets: &'_ [Bytes]| -> Vec<Vec<u8>> { sets.iter().map(|set| set.to_vec()).collect() };
        let (vps, sps, pps) = (slices(vps), slices(sps), slices(pps));
        fn refs(sets: &[Vec<u8>]) -> Vec<&[u8]> {
            sets.iter().map(Vec::as_slice).collect()
        }
        if pps.is_empty() {
            return Err(MediaError::invalid_data(
                "the first packet has no parameter sets, and the track no description",
            ));
        }
        if self.hevc {
            let (vps, sps, pps) = (refs(&vps), refs(&sps), refs(&pps));
            HvcC::of_parameter_sets(&vps, &sps, &pps, LENGTH_SIZE, !self.in_band)?.write()
        } else {
            AvcC::of_parameter_sets(&refs(&sps), &refs(&pps), LENGTH_SIZE)?.write()
        }
    }
}

/// Bytes of the length before each NAL unit, and the parameter sets of an avcC or hvcC as a packet has them.
///
/// # Errors
/// [`MuxError::Invalid`] for what is no avcC or hvcC.
pub(crate) fn sets_in_band(hevc: bool, description: &[u8]) -> Result<(usize, Bytes), MuxError> {
    let (length_size, sets): (usize, Vec<Vec<u8>>) = match hevc {
        true => {
            let record = HvcC::parse(description).map_err(invalid)?;
            let units = record.arrays.into_iter().flat_map(|array| array.units);
            (record.length_size, units.collect())
        }
        false => {
            let record = AvcC::parse(description).map_err(invalid)?;
            let units = record.sps.into_iter().chain(record.pps);
            (record.length_size, units.collect())
        }
    };
    let mut out = Vec::new();
    for set in sets {
        let length = (set.len() as u64).to_be_bytes();
        out.extend_from_slice(length.get(8 - length_size.min(8)..).unwrap_or_default());
        out.extend_from_slice(&set);
    }
    Ok((length_size, out.into()))
}

/// Bytes of the access unit delimiter that a packet begins with, its length included; 0 where it begins with another NAL unit.
/// H.264 (7.4.1.2.3) and HEVC (7.4.2.4.4) let nothing stand before it.
pub(crate) fn leading_delimiter(hevc: bool, length_size: usize, data: &[u8]) -> usize {
    let Some((length, rest)) = data.split_at_checked(length_size) else {
        return 0;
    };
    let length = length
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let delimits = rest.first().is_some_and(|&head| match hevc {
        true => head >> 1 & 0x3f == 35,
        false => head & 0x1f == 9,
    });
    match delimits && length <= rest.len() {
        true => length_size + length,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 10] = [0x67, 66, 0xc0, 12, 0x8c, 0x8d, 0x40, 0xa0, 0xcb, 0x40];
    const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

    fn annex_b(units: &[&[u8]]) -> Bytes {
        let parts = units.iter().map(|unit| [&[0, 0, 0, 1], *unit].concat());
        parts.collect::<Vec<_>>().concat().into()
    }

    fn stream() -> NalStream {
        let codec = VideoCodec::parse("avc1.42c00c").unwrap();
        NalStream::new(&codec, None).unwrap().unwrap()
    }

    #[test]
    fn start_codes_become_lengths_and_the_sets_a_description() {
        let mut stream = stream();
        let picture = [0x65, 1, 2, 3];
        let aud = [0x09, 0x10];
        let packet = annex_b(&[&aud, &SPS, &PPS, &picture]);
        assert_eq!(
            stream.convert(&packet).unwrap()[..],
            [0, 0, 0, 4, 0x65, 1, 2, 3]
        );
        let record = AvcC::parse(stream.description().unwrap()).unwrap();
        assert_eq!(
            (&record.sps[0][..], &record.pps[0][..]),
            (&SPS[..], &PPS[..])
        );
        // The same sets again are left out, others stay in the stream.
        assert_eq!(stream.convert(&packet).unwrap().len(), 8);
        let other = [0x68, 0xce, 0x3c, 0x81];
        let packet = annex_b(&[&SPS, &other, &picture]);
        assert_eq!(stream.convert(&packet).unwrap().len(), 4 * 3 + 10 + 4 + 4);
    }

    #[test]
    fn key_pictures_with_all_sets_change_the_description_and_with_some_keep_them() {
        let mut stream = stream();
        let picture = [0x65, 1, 2, 3];
        let first = annex_b(&[&SPS, &PPS, &picture]);
        stream.convert_key(&first).unwrap();
        let before = stream.description().cloned();
        let other = [0x68, 0xce, 0x3c, 0x81];
        let some = annex_b(&[&other, &picture]);
        assert_eq!(stream.convert_key(&some).unwrap().len(), 4 * 2 + 4 + 4);
        assert_eq!(stream.description(), before.as_ref());
        // All are back, but no description tells of it.
        assert_eq!(
            stream.convert_key(&first).unwrap().len(),
            4 * 3 + 10 + 4 + 4
        );
        assert_eq!(stream.description(), before.as_ref());
        let all = annex_b(&[&SPS, &other, &picture]);
        assert_eq!(stream.convert_key(&all).unwrap().len(), 8);
        let record = AvcC::parse(stream.description().unwrap()).unwrap();
        assert_eq!(record.pps[0][..], other);
    }

    #[test]
    fn only_a_whole_delimiter_in_front_is_one() {
        let avc = |data: &[u8]| leading_delimiter(false, 4, data);
        assert_eq!(avc(&[0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 1, 0x65]), 6);
        assert_eq!(avc(&[0, 0, 0, 1, 0x65, 0, 0, 0, 2, 9, 0xf0]), 0);
        assert_eq!(avc(&[0, 0, 0, 3, 9, 0xf0]), 0);
        assert_eq!(avc(&[0, 0, 0]), 0);
        assert_eq!(leading_delimiter(true, 2, &[0, 3, 70, 1, 0x50, 0]), 5);
        assert_eq!(leading_delimiter(true, 2, &[0, 3, 64, 1, 0x50, 0]), 0);
    }

    #[test]
    fn a_stream_that_starts_without_sets_is_refused_with_the_reason() {
        let error = stream().convert(&annex_b(&[&[0x65, 1]])).unwrap_err();
        assert!(error.to_string().contains("no parameter sets"), "{error}");
        let codec = VideoCodec::parse("avc1.42c00c").unwrap();
        assert!(NalStream::new(&codec, Some(&Bytes::from_static(b"x"))).is_err());
        let codec = VideoCodec::parse("vp8").unwrap();
        assert!(NalStream::new(&codec, None).unwrap().is_none());
    }
}
