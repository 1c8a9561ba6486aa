//! Reelcore: reelcore-engine.
