//! VP8 and VP9 over libvpx (the system's), both ways: every profile, 8, 10 and 12 bits, 4:2:0, 4:2:2 and 4:4:4, with
//! the alpha plane that WebM keeps beside a picture.
//!
//! libvpx decodes VP9 into memory of the engine's buffer pool, through its frame buffer callbacks. So VP9 pictures
//! are not copied: a frame's planes are the memory that libvpx wrote, which goes back to the pool when the last
//! frame over it is dropped and libvpx needs it as a reference no longer. Frames may outlive the decoder. VP8
//! pictures are copied once, as libvpx has no such callbacks for VP8.
//!
//! libvpx encodes from the frame's own planes; a coded picture is copied once, out of libvpx's memory.
//!
//! The modules `library`, `picture` and `encode::library` hold all `unsafe` code.

mod backend;
mod decoder;
mod encode;
mod library;
mod picture;
mod stream;

#[cfg(feature = "bench")]
pub mod bare;

pub use backend::Vpx;
pub use encode::VpxEncoder;
