//! What the benchmarks are made of.

#![forbid(unsafe_code)]

pub mod alone;
pub mod bare;
pub mod clips;
pub mod encode;
pub mod stats;
pub mod turns;
