//! libopus's encoder for any number of channels up to eight, which `opus` does not wrap: it knows which channel is the
//! LFE, and which ones mask others.

use std::ffi::c_int;
use std::ptr::NonNull;

use opusic_sys as ffi;
use reelcore_media::MediaError;

/// The most bytes of one stream's packet: six frames of 20 ms with 1275 bytes each, and their lengths.
const MAX_STREAM_BYTES: usize = 6 * 1275 + 32;

/// The encoder. Settings that it cannot have are errors, and leave it as it was.
pub struct Library {
    encoder: NonNull<ffi::OpusMSEncoder>,
    channels: usize,
    layout: Layout,
    packet: Vec<u8>,
}

/// How channels become streams, as the identification header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Channel mapping family: 0 for mono and stereo, 1 beyond.
    pub family: u8,
    /// Streams in a packet.
    pub streams: u8,
    /// How many of them, the first ones, are stereo.
    pub coupled: u8,
    /// For each channel, in the order of the family, which of the coded ones it is.
    pub mapping: Vec<u8>,
}

// SAFETY: an encoder's state may be used by one thread at a time, whichever; it has no ties to the thread that made it.
unsafe impl Send for Library {}

fn check(what: &str, code: c_int) -> Result<c_int, MediaError> {
    if code >= 0 {
        return Ok(code);
    }
    let reason = match code {
        ffi::OPUS_BAD_ARG => "bad argument",
        ffi::OPUS_BUFFER_TOO_SMALL => "buffer too small",
        ffi::OPUS_INTERNAL_ERROR => "internal error",
        ffi::OPUS_UNIMPLEMENTED => "unimplemented",
        ffi::OPUS_INVALID_STATE => "invalid state",
        ffi::OPUS_ALLOC_FAIL => "out of memory",
        _ => "unknown error",
    };
    Err(MediaError::backend(format!(
        "libopus: {what}: {reason} ({code})"
    )))
}

impl Library {
    /// An encoder of `channels` (1 to 8) at 8, 12, 16, 24 or 48 kHz, for one of libopus's applications.
    ///
    /// # Errors
    /// `Backend` for what libopus refuses.
    pub fn new(sample_rate: u32, channels: u8, application: c_int) -> Result<Self, MediaError> {
        let family = u8::from(channels > 2);
        let (mut streams, mut coupled, mut error) = (0, 0, 0);
        let mut mapping = [0; 255];
        // SAFETY: libopus writes at most `channels` bytes of the mapping, which has room for the 255 that a `u8` can
        // ask for, and one integer to each of the other pointers, all of which live through the call.
        let encoder = unsafe {
            ffi::opus_multistream_surround_encoder_create(
                c_int::try_from(sample_rate).unwrap_or(0),
                c_int::from(channels),
                c_int::from(family),
                &mut streams,
                &mut coupled,
                mapping.as_mut_ptr(),
                application,
                &mut error,
            )
        };
        check("opus_multistream_surround_encoder_create", error)?;
        let encoder =
            NonNull::new(encoder).ok_or_else(|| MediaError::backend("libopus gave no encoder"))?;
        let (streams, coupled) = (streams as u8, coupled as u8);
        Ok(Self {
            encoder,
            channels: usize::from(channels),
            packet: vec![0; usize::from(streams) * MAX_STREAM_BYTES],
            layout: Layout {
                family,
                streams,
                coupled,
                mapping: mapping[..usize::from(channels)].to_vec(),
            },
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes a setting whose request takes one integer: `OPUS_SET_..._REQUEST`, the range of values being checked by
    /// libopus.
    pub fn set(&mut self, what: &str, request: Setting, value: i32) -> Result<(), MediaError> {
        // SAFETY: the encoder is live, and every request of `Setting` takes one 32-bit integer.
        let code = unsafe {
            ffi::opus_multistream_encoder_ctl(self.encoder.as_ptr(), request as c_int, value)
        };
        check(what, code).map(drop)
    }

    /// Frames of delay, at the encoder's rate.
    pub fn lookahead(&mut self) -> Result<u32, MediaError> {
        let mut frames: i32 = 0;
        // SAFETY: the encoder is live, and this request writes one 32-bit integer to a pointer that lives through the
        // call.
        let code = unsafe {
            ffi::opus_multistream_encoder_ctl(
                self.encoder.as_ptr(),
                ffi::OPUS_GET_LOOKAHEAD_REQUEST,
                &raw mut frames,
            )
        };
        check("OPUS_GET_LOOKAHEAD", code)?;
        Ok(u32::try_from(frames).unwrap_or(0))
    }

    /// Forgets all sound; settings stay.
    pub fn reset(&mut self) -> Result<(), MediaError> {
        // SAFETY: the encoder is live, and this request takes nothing.
        let code = unsafe {
            ffi::opus_multistream_encoder_ctl(self.encoder.as_ptr(), ffi::OPUS_RESET_STATE)
        };
        check("OPUS_RESET_STATE", code).map(drop)
    }

    /// Encodes interleaved samples, 2.5 to 120 ms of them.
    pub fn encode(&mut self, samples: &[f32]) -> Result<&[u8], MediaError> {
        let too_long = |_| MediaError::argument("too many samples for a packet");
        let frames = c_int::try_from(samples.len() / self.channels).map_err(too_long)?;
        // `streams` is at most 8, so the length fits.
        let room = self.packet.len() as i32;
        // SAFETY: the encoder is live and reads `frames` frames of `channels` samples, which is at most the length of
        // `samples`; it writes at most `room` bytes, which is the length of `packet`.
        let length = unsafe {
            ffi::opus_multistream_encode_float(
                self.encoder.as_ptr(),
                samples.as_ptr(),
                frames,
                self.packet.as_mut_ptr(),
                room,
            )
        };
        let length = check("opus_multistream_encode_float", length)? as usize;
        Ok(self.packet.get(..length).unwrap_or_default())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the encoder is live, and nobody else has it.
        unsafe { ffi::opus_multistream_encoder_destroy(self.encoder.as_ptr()) }
    }
}

/// Requests that set something, each with one integer.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Setting {
    Bitrate = ffi::OPUS_SET_BITRATE_REQUEST,
    Vbr = ffi::OPUS_SET_VBR_REQUEST,
    Complexity = ffi::OPUS_SET_COMPLEXITY_REQUEST,
    Signal = ffi::OPUS_SET_SIGNAL_REQUEST,
    InBandFec = ffi::OPUS_SET_INBAND_FEC_REQUEST,
    PacketLoss = ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
    Dtx = ffi::OPUS_SET_DTX_REQUEST,
}
