//! IVF, as the streams are packed in. A reader of its own, so that a fault of the demuxer in
//! `reelcore-containers` cannot hide one of a decoder.

use std::path::Path;

use bytes::Bytes;

use crate::error::Error;

/// The frames of the IVF file `bytes`, without their headers; `path` is for the error.
///
/// # Errors
/// [`Error::Format`] with the byte offset, for another format or a frame that is cut short.
pub fn ivf_frames(path: &Path, bytes: &Bytes) -> Result<Vec<Bytes>, Error> {
    if !bytes.starts_with(b"DKIF") {
        return Err(Error::format(path, "no IVF file, expected DKIF at byte 0"));
    }
    let header: Option<[u8; 2]> = bytes.get(6..8).and_then(|b| b.try_into().ok());
    let mut at = header.map_or(bytes.len(), |b| usize::from(u16::from_le_bytes(b)));
    let mut frames = Vec::new();
    while at < bytes.len() {
        let size: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        let start = at + 12;
        let end = size.and_then(|b| start.checked_add(u32::from_le_bytes(b) as usize));
        match end {
            Some(end) if end <= bytes.len() => {
                frames.push(bytes.slice(start..end));
                at = end;
            }
            _ => {
                let reason = format!("the frame at byte {at} is cut short");
                return Err(Error::format(path, reason));
            }
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_by_their_sizes_and_a_cut_file_is_an_error() {
        let mut file = b"DKIF\0\0\x20\0".to_vec();
        file.resize(32, 0);
        for frame in [&b"one"[..], b"", b"three"] {
            file.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            file.extend_from_slice(&[0; 8]);
            file.extend_from_slice(frame);
        }
        let bytes = Bytes::from(file);
        let path = Path::new("a.ivf");
        let frames = ivf_frames(path, &bytes).unwrap();
        assert_eq!(frames, [&b"one"[..], b"", b"three"]);
        for len in [40, bytes.len() - 1] {
            assert!(ivf_frames(path, &bytes.slice(..len)).is_err(), "{len}");
        }
        assert!(ivf_frames(path, &Bytes::from_static(b"RIFF")).is_err());
    }
}
