//! Where the generated code finds the structs.

pub use crate::echo::{Echo, NoConstructor, Shape};
