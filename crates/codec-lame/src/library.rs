//! LAME, as far as an encoder needs it.

use std::ffi::c_int;
use std::ptr::NonNull;

use mp3lame_sys as ffi;
use reelcore_media::MediaError;
use reelcore_media::encoder::AudioBitrateMode;

/// What to encode.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub sample_rate: u32,
    pub channels: u8,
    pub kilobits: u32,
    pub mode: AudioBitrateMode,
}

/// An encoder of one stream.
pub struct Library {
    lame: NonNull<ffi::lame_global_flags>,
    channels: usize,
    bytes: Vec<u8>,
}

// SAFETY: LAME's state is used by one thread at a time, whichever; it keeps nothing that is tied to a thread.
unsafe impl Send for Library {}

impl Library {
    /// # Errors
    /// `Unsupported` for what LAME refuses, `Backend` where it has no memory.
    pub fn new(setup: &Setup) -> Result<Self, MediaError> {
        // SAFETY: takes nothing, and gives a live state or null.
        let lame = NonNull::new(unsafe { ffi::lame_init() })
            .ok_or_else(|| MediaError::backend("LAME gave no encoder"))?;
        let library = Self {
            lame,
            channels: usize::from(setup.channels),
            bytes: Vec::new(),
        };
        let rate = c_int::try_from(setup.sample_rate).unwrap_or(0);
        let kilobits = c_int::try_from(setup.kilobits).unwrap_or(0);
        let lame = lame.as_ptr();
        // SAFETY: the state is live; each call takes a number, which LAME checks, but for the reports, which take a
        // function or none. `lame_init_params` comes last.
        let codes = unsafe {
            ffi::lame_set_errorf(lame, None);
            ffi::lame_set_debugf(lame, None);
            ffi::lame_set_msgf(lame, None);
            let mode = match setup.mode {
                AudioBitrateMode::Constant => [
                    ffi::lame_set_VBR(lame, ffi::vbr_mode::vbr_off),
                    ffi::lame_set_brate(lame, kilobits),
                ],
                AudioBitrateMode::Variable => [
                    ffi::lame_set_VBR(lame, ffi::vbr_mode::vbr_abr),
                    ffi::lame_set_VBR_mean_bitrate_kbps(lame, kilobits),
                ],
            };
            [
                mode[0],
                mode[1],
                ffi::lame_set_in_samplerate(lame, rate),
                ffi::lame_set_out_samplerate(lame, rate),
                ffi::lame_set_num_channels(lame, c_int::from(setup.channels)),
                // No frame without sound at the start.
                ffi::lame_set_bWriteVbrTag(lame, 0),
                ffi::lame_init_params(lame),
            ]
        };
        match codes.iter().find(|code| **code < 0) {
            None => Ok(library),
            Some(code) => Err(MediaError::unsupported(format!(
                "MP3: LAME refuses {setup:?} ({code})"
            ))),
        }
    }

    /// Frames of delay, without a decoder's.
    pub fn delay(&self) -> u32 {
        // SAFETY: the state is live.
        let delay = unsafe { ffi::lame_get_encoder_delay(self.lame.as_ptr()) };
        u32::try_from(delay).unwrap_or(0)
    }

    /// Encodes interleaved samples, and gives the bytes that are ready.
    ///
    /// # Errors
    /// `Backend` with LAME's code.
    pub fn encode(&mut self, samples: &[f32]) -> Result<&[u8], MediaError> {
        let frames = samples.len() / self.channels;
        let count = c_int::try_from(frames)
            .map_err(|_| MediaError::argument("too many samples at once"))?;
        // What LAME asks for at least; a reservoir and a half.
        self.bytes.resize(frames * 5 / 4 + 7200 + 16_384, 0);
        let (lame, to) = (self.lame.as_ptr(), self.bytes.as_mut_ptr());
        let room = c_int::try_from(self.bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: the state is live; LAME reads `count` frames, of two channels in the first case and of one in the second,
        // which is what `samples` has; it writes at most `room` bytes, which is at most the length of `bytes`.
        let length = unsafe {
            if self.channels == 2 {
                let from = samples.as_ptr();
                ffi::lame_encode_buffer_interleaved_ieee_float(lame, from, count, to, room)
            } else {
                let from = samples.as_ptr();
                ffi::lame_encode_buffer_ieee_float(lame, from, from, count, to, room)
            }
        };
        self.taken(length)
    }

    /// Gives what is left. Nothing may be encoded after it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn finish(&mut self) -> Result<&[u8], MediaError> {
        self.bytes.resize(7200 + 16_384, 0);
        let room = c_int::try_from(self.bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: the state is live, and LAME writes at most `room` bytes, which is the length of `bytes`.
        let length =
            unsafe { ffi::lame_encode_flush(self.lame.as_ptr(), self.bytes.as_mut_ptr(), room) };
        self.taken(length)
    }

    fn taken(&self, length: c_int) -> Result<&[u8], MediaError> {
        usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.get(..length))
            .ok_or_else(|| MediaError::backend(format!("LAME: error {length}")))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the state is live, and nobody else has it.
        unsafe {
            ffi::lame_close(self.lame.as_ptr());
        }
    }
}
