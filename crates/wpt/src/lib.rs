//! Reelcore: reelcore-wpt.
