//! Reelcore: reelcore-containers.
