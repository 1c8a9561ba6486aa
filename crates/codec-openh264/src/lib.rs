//! Reelcore: reelcore-codec-openh264.
