//! Muxers behind the traits of [`reelcore_media::mux`], and what they share: sinks, decode times, interleaving.
//!
//! [`create`] makes the muxer of a container by its name, [`Format`] knows names and file extensions.
//! `docs/muxer.md` says what each container takes.
//!
//! ```no_run
//! use reelcore_containers::mux::{CreateOptions, FileSink, Format, create};
//! # fn tracks() -> Vec<reelcore_media::mux::OutputTrack> { Vec::new() }
//! # fn packets() -> Vec<(usize, reelcore_media::mux::OutputPacket)> { Vec::new() }
//!
//! let mut sink = FileSink::create("clip.mp4")?;
//! let mut muxer = create(Format::Mp4.name(), &CreateOptions::default())?;
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

pub(crate) mod decode_times;
mod format;
pub(crate) mod interleave;
pub(crate) mod nal;
mod sinks;

use reelcore_media::mux::{MuxError, MuxOptions, Muxer};

pub use format::Format;
pub use sinks::{FileSink, MemorySink, QueueSink};

/// What [`create`] can be told: what holds for all containers, and what some have of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateOptions {
    /// For every container.
    pub common: MuxOptions,
}

/// The muxer of `container`, which is one of the names of [`Format`].
///
/// # Errors
/// [`MuxError::Unsupported`] for a name that no muxer has.
pub fn create(container: &str, options: &CreateOptions) -> Result<Box<dyn Muxer>, MuxError> {
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
pub fn create_format(format: Format, _options: &CreateOptions) -> Result<Box<dyn Muxer>, MuxError> {
    Err(MuxError::Unsupported(format!("writing {}", format.name())))
}
