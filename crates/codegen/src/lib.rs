//! Reelcore: reelcore-codegen.
