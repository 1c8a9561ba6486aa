//! Reelcore: reelcore-runtime.
