//! ContentEncodings: what was done to a track's frames before they were stored, and how it is undone. RFC 9559, section
//! 5.1.4.1.31; encryption as <https://www.webmproject.org/docs/webm-encryption/> has it.

use std::io::Read;

use bytes::{Buf, Bytes, BytesMut};
use reelcore_media::demux::{DemuxError, Encryption, SampleEncryption, Subsample};

use super::ebml::{Element, invalid};
use super::ids;

/// The largest frame that zlib may give, in bytes. Only subtitles and the like are stored so.
const MAX_INFLATED: u64 = 64 << 20;

/// One encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Bytes that every frame starts with are left away.
    HeaderStripping(Bytes),
    Zlib,
    Encryption,
}

/// The encodings of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// In the order in which they are undone, for frames.
    frames: Vec<Step>,
    /// As `frames`, for CodecPrivate.
    private: Vec<Step>,
    pub(crate) encryption: Option<Encryption>,
    /// What stands in the way of reading the track.
    pub(crate) unsupported: Option<String>,
}

/// A frame as it was before it was encoded, as far as that can be undone.
pub(crate) struct Decoded {
    pub(crate) data: Bytes,
    pub(crate) encryption: Option<SampleEncryption>,
}

impl Content {
    pub(crate) fn parse(encodings: &Element) -> Result<Self, DemuxError> {
        let mut content = Self::default();
        let mut steps = Vec::new();
        let mut children = encodings.children();
        while let Some(child) = children.next()? {
            if child.id == ids::CONTENT_ENCODING {
                let (order, scope, step) = content.encoding(&child)?;
                if let Some(step) = step {
                    steps.push((order, scope, step));
                }
            }
        }
        // The encoding with the highest order was done last.
        steps.sort_by_key(|(order, ..)| std::cmp::Reverse(*order));
        for (_, scope, step) in steps {
            if scope & 1 != 0 {
                content.frames.push(step.clone());
            }
            if scope & 2 != 0 {
                content.private.push(step);
            }
        }
        let encrypted = content
            .frames
            .iter()
            .position(|step| *step == Step::Encryption);
        if encrypted.is_some_and(|at| at + 1 < content.frames.len()) {
            content.unsupported = Some("frames that were compressed, then encrypted".to_owned());
        }
        if content.private.contains(&Step::Encryption) {
            content.unsupported = Some("an encrypted CodecPrivate".to_owned());
        }
        Ok(content)
    }

    fn encoding(&mut self, element: &Element) -> Result<(u64, u64, Option<Step>), DemuxError> {
        let (mut order, mut scope, mut kind) = (0, 1, 0);
        let (mut algorithm, mut settings) = (0, Bytes::new());
        let mut encryption = None;
        let mut children = element.children();
        while let Some(child) = children.next()? {
            match child.id {
                ids::CONTENT_ENCODING_ORDER => order = child.uint()?,
                ids::CONTENT_ENCODING_SCOPE => scope = child.uint_or(1)?,
                ids::CONTENT_ENCODING_TYPE => kind = child.uint()?,
                ids::CONTENT_COMPRESSION => {
                    let mut children = child.children();
                    while let Some(child) = children.next()? {
                        match child.id {
                            ids::CONTENT_COMP_ALGO => algorithm = child.uint()?,
                            ids::CONTENT_COMP_SETTINGS => settings = child.data,
                            _ => {}
                        }
                    }
                }
                ids::CONTENT_ENCRYPTION => encryption = Some(child),
                _ => {}
            }
        }
        if kind == 1 {
            self.encrypted(encryption.as_ref())?;
            return Ok((order, scope, Some(Step::Encryption)));
        }
        let step = match algorithm {
            0 => Some(Step::Zlib),
            3 => Some(Step::HeaderStripping(settings)),
            _ => None,
        };
        if step.is_none() || kind != 0 {
            let name = match (kind, algorithm) {
                (0, 1) => "bzlib compression".to_owned(),
                (0, 2) => "LZO compression".to_owned(),
                (0, _) => format!("compression by algorithm {algorithm}"),
                _ => format!("content encoding of type {kind}"),
            };
            self.unsupported = Some(name);
            return Ok((order, scope, None));
        }
        Ok((order, scope, step))
    }

    fn encrypted(&mut self, element: Option<&Element>) -> Result<(), DemuxError> {
        let (mut algorithm, mut mode) = (0, 1);
        let mut key = None;
        if let Some(element) = element {
            let mut children = element.children();
            while let Some(child) = children.next()? {
                match child.id {
                    ids::CONTENT_ENC_ALGO => algorithm = child.uint()?,
                    ids::CONTENT_ENC_KEY_ID => key = Some(child.data),
                    ids::CONTENT_ENC_AES_SETTINGS => {
                        let mut children = child.children();
                        while let Some(child) = children.next()? {
                            if child.id == ids::AES_SETTINGS_CIPHER_MODE {
                                mode = child.uint_or(1)?;
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        // AES in counter mode, with a signal byte before each frame.
        if (algorithm, mode) != (5, 1) {
            self.unsupported = Some(format!("encryption by algorithm {algorithm}, mode {mode}"));
        }
        self.encryption = Some(Encryption {
            scheme: ((algorithm, mode) == (5, 1)).then(|| "cenc".to_owned()),
            default_kid: key.as_deref().and_then(|key| key.try_into().ok()),
            original_codec: None,
            pssh: key.into_iter().collect(),
        });
        Ok(())
    }

    /// Whether frames are not stored as they are.
    pub(crate) fn changes_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// CodecPrivate as it was.
    pub(crate) fn decode_private(
        &self,
        data: Bytes,
        offset: u64,
        max: u64,
    ) -> Result<Bytes, DemuxError> {
        self.private.iter().try_fold(data, |data, step| match step {
            Step::HeaderStripping(header) => Ok(restore(header, &data)),
            Step::Zlib => inflate(&data, offset, max),
            Step::Encryption => Ok(data),
        })
    }

    /// The frame that is stored as `data` at byte `offset`.
    pub(crate) fn decode(
        &self,
        mut data: Bytes,
        offset: u64,
        max: u64,
    ) -> Result<Decoded, DemuxError> {
        let mut encryption = None;
        for step in &self.frames {
            match step {
                Step::HeaderStripping(header) => data = restore(header, &data),
                Step::Zlib => data = inflate(&data, offset, max)?,
                Step::Encryption => encryption = signal(&mut data, offset)?,
            }
        }
        Ok(Decoded { data, encryption })
    }
}

/// A copy, as the frame's bytes do not stand next to one another in the file.
fn restore(header: &Bytes, data: &Bytes) -> Bytes {
    if header.is_empty() {
        return data.clone();
    }
    let mut whole = BytesMut::with_capacity(header.len().saturating_add(data.len()));
    whole.extend_from_slice(header);
    whole.extend_from_slice(data);
    whole.freeze()
}

fn inflate(data: &Bytes, offset: u64, max: u64) -> Result<Bytes, DemuxError> {
    let max = max.min(MAX_INFLATED);
    let mut whole = Vec::new();
    // One byte more than is allowed tells a frame that is too large.
    flate2::bufread::ZlibDecoder::new(&data[..])
        .take(max.saturating_add(1))
        .read_to_end(&mut whole)
        .map_err(|error| invalid(offset, format!("expected zlib data: {error}")))?;
    if whole.len() as u64 > max {
        return Err(DemuxError::Limit(format!(
            "the compressed frame at byte {offset} has more than {max} bytes"
        )));
    }
    Ok(whole.into())
}

/// Takes off the signal byte and what follows it: the initialisation vector and the partitions.
fn signal(data: &mut Bytes, offset: u64) -> Result<Option<SampleEncryption>, DemuxError> {
    let short = || invalid(offset, "the header of an encrypted frame is cut off");
    let signal = data.try_get_u8().map_err(|_| short())?;
    if signal & 1 == 0 {
        return Ok(None);
    }
    if data.len() < 8 {
        return Err(short());
    }
    let iv = data.split_to(8);
    let mut subsamples = Vec::new();
    if signal & 2 != 0 {
        let count = data.try_get_u8().map_err(|_| short())?;
        let mut ends = Vec::with_capacity(usize::from(count) + 1);
        for _ in 0..count {
            ends.push(data.try_get_u32().map_err(|_| short())?);
        }
        let size = u32::try_from(data.len())
            .map_err(|_| invalid(offset, "an encrypted frame of more than 4 GiB"))?;
        // The partitions are clear and protected by turns; the offsets stand between them.
        ends.push(size);
        let mut start = 0_u32;
        for (index, end) in ends.into_iter().enumerate() {
            let length = end.checked_sub(start).filter(|_| end <= size).ok_or_else(|| {
                invalid(
                    offset,
                    format!("the partition {index} of an encrypted frame of {size} bytes goes from {start} to {end}"),
                )
            })?;
            start = end;
            match subsamples.last_mut() {
                Some(Subsample { protected, .. }) if index % 2 == 1 => *protected = length,
                _ => subsamples.push(Subsample {
                    clear: length,
                    protected: 0,
                }),
            }
        }
    }
    Ok(Some(SampleEncryption {
        kid: None,
        iv,
        subsamples,
        pattern: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signalled(bytes: &'static [u8]) -> Result<(Bytes, Option<SampleEncryption>), DemuxError> {
        let mut data = Bytes::from_static(bytes);
        signal(&mut data, 7).map(|encryption| (data, encryption))
    }

    #[test]
    fn the_signal_byte_tells_clear_whole_and_partitioned_frames_apart() {
        assert_eq!(
            signalled(b"\0clear").expect("valid"),
            (Bytes::from_static(b"clear"), None)
        );
        let (data, whole) = signalled(b"\x0112345678secret").expect("valid");
        let whole = whole.expect("encrypted");
        assert_eq!(
            (&data[..], &whole.iv[..]),
            (&b"secret"[..], &b"12345678"[..])
        );
        assert!(whole.subsamples.is_empty());
        let (data, parts) =
            signalled(b"\x0312345678\x03\0\0\0\x02\0\0\0\x05\0\0\0\x06ccpppcpp").expect("valid");
        assert_eq!(&data[..], b"ccpppcpp");
        let pair = |clear, protected| Subsample { clear, protected };
        assert_eq!(
            parts.expect("encrypted").subsamples,
            [pair(2, 3), pair(1, 2)]
        );
        let (_, parts) = signalled(b"\x0312345678\x02\0\0\0\0\0\0\0\x01pcc").expect("valid");
        assert_eq!(
            parts.expect("encrypted").subsamples,
            [pair(0, 1), pair(2, 0)]
        );
    }

    #[test]
    fn partitions_out_of_order_or_past_the_end_are_errors() {
        for bytes in [
            &b""[..],
            b"\x011234567",
            b"\x0312345678",
            b"\x0312345678\x01\0\0\0",
            b"\x0312345678\x01\0\0\0\x04abc",
            b"\x0312345678\x02\0\0\0\x02\0\0\0\x01abc",
        ] {
            assert!(signalled(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_that_grows_past_the_cap_is_refused() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &[0; 100_000]).expect("memory");
        let data = Bytes::from(encoder.finish().expect("memory"));
        assert_eq!(inflate(&data, 0, 100_000).expect("fits").len(), 100_000);
        assert!(matches!(
            inflate(&data, 0, 99_999),
            Err(DemuxError::Limit(_))
        ));
        assert!(inflate(&data.slice(..data.len() / 2), 3, 100_000).is_err());
    }
}
