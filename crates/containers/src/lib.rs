//! Demuxers behind the traits of [`reelcore_media::demux`], and muxers behind those of [`reelcore_media::mux`]: one folder for
//! each container.
//!
//! [`open`] finds the container by its content, never by a name, and gives a
//! [`Demuxer`]. Sources are untrusted: every parser is bounded by the
//! input's own length, and what it cannot read is a [`DemuxError`] with a byte offset.
//!
//! ```no_run
//! use std::sync::Arc;
//! use reelcore_containers::{FileSource, open};
//!
//! let demuxer = open(Arc::new(FileSource::open("clip.mp4")?))?;
//! let mut packets = demuxer.reader(0)?;
//! packets.seek(2_000_000)?;
//! while let Some(chunk) = packets.next_packet()? {
//!     println!("{} us: {} bytes", chunk.timestamp, chunk.data.len());
//! }
//! # Ok::<(), reelcore_media::demux::DemuxError>(())
//! ```

#![forbid(unsafe_code)]

pub mod adts;
pub mod annexb;
mod audio;
mod bitstream;
pub mod flac;
pub mod ivf;
pub mod matroska;
pub mod mp3;
pub mod mp4;
pub mod mpegts;
pub mod mux;
pub mod obu;
pub mod ogg;
mod source;
mod stream;
pub mod wav;
mod window;

use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Demuxer, Source};

pub use source::{BytesSource, FileSource};
pub use stream::{StreamFeed, StreamLimits, StreamSource, Wanted, stream};

/// Caps on what a container may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest set-up structure (such as MP4's `moov` or one `moof` box) that is read into memory, in bytes.
    pub max_header_bytes: u64,
    /// The largest number of tracks.
    pub max_tracks: usize,
    /// The largest packet, in bytes.
    pub max_packet_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: 256 << 20,
            max_tracks: 1024,
            max_packet_bytes: 1 << 30,
        }
    }
}

/// How many bytes a probe sees that looks for a signature.
const SIGNATURE_BYTES: usize = 64;

/// How many bytes any other probe sees.
pub(crate) const PROBE_BYTES: usize = 4096;

/// Opens a container with the default [`Limits`].
///
/// # Errors
/// [`DemuxError::UnknownContainer`] when no demuxer knows the content, and what the demuxer finds wrong with it.
pub fn open(source: Arc<dyn Source>) -> Result<Arc<dyn Demuxer>, DemuxError> {
    open_with(source, &Limits::default())
}

/// Opens a container with the caps in `limits`.
///
/// # Errors
/// As [`open`]; [`DemuxError::Limit`] when a cap is reached.
pub fn open_with(source: Arc<dyn Source>, limits: &Limits) -> Result<Arc<dyn Demuxer>, DemuxError> {
    let mut head = [0; PROBE_BYTES];
    // Those with a signature are told by it: a stream that comes slowly is not waited for.
    let (first, rest) = head.split_at_mut(SIGNATURE_BYTES);
    let mut len = source::read_up_to(&*source, 0, first)?;
    let signature = first.get(..len).unwrap_or_default();
    if mp4::probe(signature) {
        return Ok(Arc::new(mp4::Mp4Demuxer::open(source, limits)?));
    }
    if matroska::probe(signature) {
        return Ok(Arc::new(matroska::MatroskaDemuxer::open(source, limits)?));
    }
    if ivf::probe(signature) {
        return Ok(Arc::new(ivf::IvfDemuxer::open(source, limits)?));
    }
    if ogg::probe(signature) {
        return Ok(Arc::new(ogg::OggDemuxer::open(source, limits)?));
    }
    if wav::probe(signature) {
        return Ok(Arc::new(wav::WavDemuxer::open(source, limits)?));
    }
    if flac::probe(signature) {
        return Ok(Arc::new(flac::FlacDemuxer::open(source, limits)?));
    }
    // Only sound has these tags in front, and pictures in them are no start codes.
    if signature.starts_with(b"ID3")
        && let Some(demuxer) = audio::open(&source, signature, limits)?
    {
        return Ok(demuxer);
    }
    if len == SIGNATURE_BYTES {
        len += source::read_up_to(&*source, len as u64, rest)?;
    }
    let head = head.get(..len).unwrap_or_default();
    if annexb::probe_source(&source, head)? {
        return Ok(Arc::new(annexb::AnnexBDemuxer::open(source, limits)?));
    }
    if obu::probe(head) {
        return Ok(Arc::new(obu::ObuDemuxer::open(source, limits)?));
    }
    if mpegts::probe(head) {
        return Ok(Arc::new(mpegts::TsDemuxer::open(source, limits)?));
    }
    // The weakest signatures come last.
    if let Some(demuxer) = audio::open(&source, head, limits)? {
        return Ok(demuxer);
    }
    Err(DemuxError::UnknownContainer(if head.is_empty() {
        "the source is empty".to_owned()
    } else {
        let start: Vec<String> = head.iter().take(12).map(|b| format!("{b:02x}")).collect();
        format!(
            "the content, starting with {}, is of none of: MP4, Matroska, WebM, IVF, Ogg, WAV, FLAC, H.264, HEVC, OBU, MPEG-TS, ADTS, MP3",
            start.join(" ")
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_is_no_container_is_named_by_its_first_bytes() {
        for (content, want) in [
            (&b""[..], "the source is empty"),
            (b"no container", "6e 6f 20 63"),
            (b"\0\0\0", "00 00 00"),
        ] {
            let error = open(Arc::new(BytesSource::new(content)))
                .err()
                .map(|e| e.to_string());
            assert!(
                error.as_deref().is_some_and(|e| e.contains(want)),
                "{error:?}"
            );
        }
    }
}
