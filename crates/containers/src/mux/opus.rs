//! The identification header of Opus: RFC 7845, section 5.1.

use bytes::Bytes;
use reelcore_media::mux::MuxError;

/// The header of a track: its description, or for one or two channels without one what holds for packets alone.
///
/// # Errors
/// [`MuxError::Invalid`] for another description, or none for more channels.
pub(crate) fn head(
    description: Option<&Bytes>,
    rate: u32,
    channels: u32,
) -> Result<Bytes, MuxError> {
    if let Some(head) = description {
        let valid = match head.get(..19) {
            Some(
                &[
                    b'O',
                    b'p',
                    b'u',
                    b's',
                    b'H',
                    b'e',
                    b'a',
                    b'd',
                    version,
                    count,
                    ..,
                    family,
                ],
            ) => {
                let table = if family == 0 {
                    0
                } else {
                    2 + usize::from(count)
                };
                version >> 4 == 0
                    && count > 0
                    && (family != 0 || count <= 2)
                    && head.len() >= 19 + table
            }
            _ => false,
        };
        if valid {
            return Ok(head.clone());
        }
        return Err(MuxError::Invalid(format!(
            "expected an OpusHead with its channel mapping as description, found {} bytes",
            head.len()
        )));
    }
    let count = u8::try_from(channels)
        .ok()
        .filter(|count| (1..=2).contains(count));
    let Some(count) = count else {
        return Err(MuxError::Invalid(format!(
            "Opus of {channels} channels needs a description, found none"
        )));
    };
    // No pre-skip, no gain, mapping family 0.
    let mut head = b"OpusHead\x01".to_vec();
    head.extend([count, 0, 0]);
    head.extend(rate.to_le_bytes());
    head.extend([0, 0, 0]);
    Ok(head.into())
}
