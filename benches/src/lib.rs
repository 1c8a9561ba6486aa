//! Reelcore benchmarks.
