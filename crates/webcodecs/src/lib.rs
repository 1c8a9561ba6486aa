//! Reelcore: reelcore-webcodecs.
