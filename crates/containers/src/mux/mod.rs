//! Muxers behind the traits of [`reelcore_media::mux`], and what they share: sinks, decode times, interleaving.
//!
//! [`create`] makes the muxer of a container by its name, [`Format`] knows names and file extensions.
//! `docs/muxer.md` says what each container takes.
//!
//! ```no_run
//! use reelcore_containers::mux::{FileSink, Format, create};
//! use reelcore_media::mux::MuxOptions;
//! # fn tracks() -> Vec<reelcore_media::mux::OutputTrack> { Vec::new() }
//! # fn packets() -> Vec<(usize, reelcore_media::mux::OutputPacket)> { Vec::new() }
//!
//! let mut sink = FileSink::create("clip.mp4")?;
//! let mut muxer = create(Format::Mp4.name(), &MuxOptions::default())?;
//! for track in tracks() {
//!     muxer.add_track(track)?;
//! }
//! for (index, packet) in packets() {
//!     muxer.write(index, packet, &mut sink)?;
//! }
//! muxer.finish(&mut sink)?;
//! sink.finish()?;
//! # Ok::<(), reelcore_media::mux::MuxError>(())
//! ```

pub(crate) mod aac;
pub(crate) mod decode_times;
mod format;
pub(crate) mod hidden;
mod in_band;
pub(crate) mod interleave;
pub(crate) mod lanes;
pub(crate) mod nal;
pub(crate) mod opus;
pub(crate) mod pieces;
pub(crate) mod priming;
pub(crate) mod reorder;
pub(crate) mod single;
mod sinks;
pub(crate) mod xiph;

use reelcore_media::mux::{MuxError, MuxOptions, Muxer};

use crate::adts::AdtsMuxer;
use crate::flac::FlacMuxer;
use crate::ivf::IvfMuxer;
use crate::matroska::MatroskaMuxer;
use crate::mp3::Mp3Muxer;
use crate::mp4::Mp4Muxer;
use crate::mpegts::TsMuxer;
use crate::ogg::OggMuxer;
use crate::wav::WavMuxer;

pub use format::Format;
pub use in_band::InBand;
pub use sinks::{FileSink, MemorySink, QueueSink};

/// That a muxer was called, or given data, in a way that its documentation excludes.
pub(crate) fn invalid(message: impl Into<String>) -> MuxError {
    MuxError::Invalid(message.into())
}

/// The muxer of `container`, which is one of the names of [`Format`].
///
/// # Errors
/// [`MuxError::Unsupported`] for a name that no muxer has.
pub fn create(container: &str, options: &MuxOptions) -> Result<Box<dyn Muxer>, MuxError> {
    let Some(format) = Format::from_name(container) else {
        let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
        return Err(MuxError::Unsupported(format!(
            "expected a container of {}, found {container:?}",
            names.join(", ")
        )));
    };
    create_format(format, options)
}

/// The muxer of `format`.
///
/// # Errors
/// What the muxer finds wrong with its options.
pub fn create_format(format: Format, options: &MuxOptions) -> Result<Box<dyn Muxer>, MuxError> {
    let mut options = options.clone();
    Ok(match format {
        Format::Mp4 => Box::new(Mp4Muxer::new(options)),
        Format::FragmentedMp4 => {
            options.fragmented = true;
            Box::new(Mp4Muxer::new(options))
        }
        Format::WebM => Box::new(MatroskaMuxer::webm(options)),
        Format::Matroska => Box::new(MatroskaMuxer::matroska(options)),
        Format::Ivf => Box::new(IvfMuxer::new()),
        Format::MpegTs => Box::new(TsMuxer::new(&options)),
        Format::Ogg => Box::new(OggMuxer::new(options)),
        Format::Wav => Box::new(WavMuxer::new(options)),
        Format::Adts => Box::new(AdtsMuxer::new()),
        Format::Flac => Box::new(FlacMuxer::new(options)),
        Format::Mp3 => Box::new(Mp3Muxer::new(options)),
    })
}
