//! Reelcore: reelcore-media.
