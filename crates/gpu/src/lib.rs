//! Video frames that live on a wgpu device.

pub mod lower;

pub use naga;
pub use wgpu_core;
pub use wgpu_types;
