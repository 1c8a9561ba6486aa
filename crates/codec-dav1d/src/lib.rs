//! Reelcore: reelcore-codec-dav1d.
