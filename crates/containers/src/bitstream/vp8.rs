//! The frame header of VP8: RFC 6386, section 9.1.

use reelcore_media::Size;

/// Whether a frame is a key frame; `None` for a frame of no bytes, which repeats the last one.
pub(crate) fn is_key(frame: &[u8]) -> Option<bool> {
    frame.first().map(|byte| byte & 1 == 0)
}

/// The size that a key frame gives.
pub(crate) fn size(frame: &[u8]) -> Option<Size> {
    if !is_key(frame)? || frame.get(3..6)? != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let &[w0, w1, h0, h1] = frame.get(6..10)?.first_chunk::<4>()?;
    // The upper two bits of each are a scale for display.
    let side = |a, b| u32::from(u16::from_le_bytes([a, b]) & 0x3fff);
    Some(Size::new(side(w0, w1), side(h0, h1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_and_give_the_size() {
        let key = [0x50, 0x42, 0, 0x9d, 1, 0x2a, 0x40, 0x41, 0xf0, 0x00, 9];
        assert_eq!(is_key(&key), Some(true));
        assert_eq!(size(&key), Some(Size::new(320, 240)));
        assert_eq!(size(&key[..9]), None);
        assert_eq!((is_key(&[0x51]), size(&[0x51; 12])), (Some(false), None));
        assert_eq!(is_key(&[]), None);
    }
}
