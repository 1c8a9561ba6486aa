//! AV1 decoding over dav1d (vendored 1.4.3): 8, 10 and 12 bits; 4:0:0, 4:2:0, 4:2:2 and 4:4:4.
//!
//! dav1d decodes into memory of the engine's buffer pool, through its picture allocator, and reads
//! the chunks' own bytes. So neither coded data nor pictures are copied: a frame's planes are the
//! memory that dav1d wrote, which goes back to the pool when the last frame over it is dropped and
//! dav1d needs it as a reference no longer. Frames may outlive the decoder.
//!
//! [`library`] and [`picture`] hold all `unsafe` code.

mod backend;
mod decoder;
mod library;
mod picture;

#[cfg(feature = "bench")]
pub mod bare;

pub use backend::Dav1d;
