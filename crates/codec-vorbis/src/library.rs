//! libvorbis and libvorbisenc, as far as an encoder needs them.

use std::ffi::{c_int, c_long};
use std::ptr;

use aotuv_lancer_vorbis_sys as ffi;
use ogg_next_sys::ogg_packet;
use reelcore_media::MediaError;

/// What to encode, and for how many bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    pub channels: u8,
    pub sample_rate: u32,
    pub rate: Rate,
}

/// How many bits a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As many as a quality of -0.1 to 1 needs.
    Quality(f32),
    /// So many on average.
    Average(u32),
    /// So many, as nearly as a reservoir of some seconds lets it.
    Constant(u32),
}

/// A packet, and what it decodes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub data: Vec<u8>,
    /// Frames of its block, a power of two. It decodes to a quarter of them and a quarter of those of the block before.
    pub block: u32,
    /// It is the last one.
    pub last: bool,
}

/// A stream's settings, before it starts.
pub struct Info(Box<ffi::vorbis_info>);

impl Info {
    /// Settings that libvorbis agrees to.
    ///
    /// # Errors
    /// `Unsupported` for those that it has no mode for.
    pub fn new(setup: &Setup) -> Result<Self, MediaError> {
        // SAFETY: the structure is integers and pointers, for which zeros are valid values.
        let mut info = Self(Box::new(unsafe { std::mem::zeroed() }));
        let channels = c_long::from(setup.channels);
        let sample_rate = c_long::from(setup.sample_rate.min(i32::MAX as u32) as i32);
        let bits = |bits: u32| c_long::from(bits.min(i32::MAX as u32) as i32);
        // SAFETY: the structure lives on the heap and does not move; `vorbis_info_init` comes before all other calls, and
        // `Drop` undoes it. Each of the others takes numbers only, and checks them.
        let code = unsafe {
            let vi = &raw mut *info.0;
            ffi::vorbis_info_init(vi);
            match setup.rate {
                Rate::Quality(quality) => {
                    ffi::vorbis_encode_setup_vbr(vi, channels, sample_rate, quality)
                }
                Rate::Average(rate) => {
                    ffi::vorbis_encode_setup_managed(vi, channels, sample_rate, -1, bits(rate), -1)
                }
                Rate::Constant(rate) => {
                    let rate = bits(rate);
                    ffi::vorbis_encode_setup_managed(vi, channels, sample_rate, rate, rate, rate)
                }
            }
        };
        if code != 0 {
            return Err(MediaError::unsupported(format!(
                "Vorbis: libvorbis has no mode for {} channels at {} Hz with {:?} ({code})",
                setup.channels, setup.sample_rate, setup.rate
            )));
        }
        Ok(info)
    }
}

impl Drop for Info {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`; what libvorbis hangs on it is its own, and nobody refers to it any more.
        unsafe { ffi::vorbis_info_clear(&raw mut *self.0) }
    }
}

/// An encoder of one stream, from its start to its end.
pub struct Library {
    channels: usize,
    // In the order in which they are taken down.
    block: Box<ffi::vorbis_block>,
    state: Box<ffi::vorbis_dsp_state>,
    info: Info,
}

// SAFETY: the state is used by one thread at a time, whichever; libvorbis keeps nothing that is tied to a thread.
unsafe impl Send for Library {}

fn check(what: &str, code: c_int) -> Result<(), MediaError> {
    match code {
        0 => Ok(()),
        code => Err(MediaError::backend(format!(
            "libvorbis: {what}: error {code}"
        ))),
    }
}

impl Library {
    /// # Errors
    /// `Unsupported` as [`Info::new`]; `Backend` where libvorbis cannot start.
    pub fn new(setup: &Setup) -> Result<Self, MediaError> {
        let mut info = Info::new(setup)?;
        // SAFETY: `info` was set up by `Info::new`, which is what this call asks for.
        let code = unsafe { ffi::vorbis_encode_setup_init(&raw mut *info.0) };
        check("vorbis_encode_setup_init", code)?;
        // SAFETY: both structures are integers and pointers, for which zeros are valid values; libvorbis's own functions
        // to clear them take zeros.
        let (block, state) = unsafe {
            (
                Box::new(std::mem::zeroed::<ffi::vorbis_block>()),
                Box::new(std::mem::zeroed::<ffi::vorbis_dsp_state>()),
            )
        };
        let mut library = Self {
            channels: usize::from(setup.channels),
            block,
            state,
            info,
        };
        // SAFETY: the three structures live on the heap, do not move, and live until `Drop`, which clears them in the
        // order opposite to this one. The second call refers to what the first has set up.
        unsafe {
            let state = &raw mut *library.state;
            check(
                "vorbis_analysis_init",
                ffi::vorbis_analysis_init(state, &raw mut *library.info.0),
            )?;
            check(
                "vorbis_block_init",
                ffi::vorbis_block_init(state, &raw mut *library.block),
            )?;
        }
        Ok(library)
    }

    /// The identification, comment and setup headers.
    ///
    /// # Errors
    /// `Backend` with libvorbis's code.
    pub fn headers(&mut self) -> Result<[Vec<u8>; 3], MediaError> {
        let mut packets = [EMPTY; 3];
        // SAFETY: the state is set up, comments are initialised before and cleared after their use. The packets that come
        // out point into memory of the state, which is not touched until they are copied.
        unsafe {
            let mut comments = std::mem::zeroed::<ffi::vorbis_comment>();
            ffi::vorbis_comment_init(&raw mut comments);
            let [first, second, third] = &mut packets;
            let code = ffi::vorbis_analysis_headerout(
                &raw mut *self.state,
                &raw mut comments,
                first,
                second,
                third,
            );
            ffi::vorbis_comment_clear(&raw mut comments);
            check("vorbis_analysis_headerout", code)?;
            let [first, second, third] = &packets;
            Ok([copy(first), copy(second), copy(third)])
        }
    }

    /// Takes frames, `fill` being called with the room for each channel, and gives the packets that are ready. No frames
    /// mean the end.
    ///
    /// # Errors
    /// `Backend` with libvorbis's code.
    pub fn encode(
        &mut self,
        frames: usize,
        fill: &mut dyn FnMut(usize, &mut [f32]),
        out: &mut dyn FnMut(Packet),
    ) -> Result<(), MediaError> {
        let count = c_int::try_from(frames)
            .map_err(|_| MediaError::argument("too many frames for a packet"))?;
        if frames > 0 {
            // SAFETY: the state is set up; libvorbis gives a pointer for each channel to room for at least `count` samples,
            // which stays until the next call. Memory that it got by `realloc` is written before it is read: `fill` gets
            // it as zeros.
            unsafe {
                let channels = ffi::vorbis_analysis_buffer(&raw mut *self.state, count);
                if channels.is_null() {
                    return Err(MediaError::backend("libvorbis gave no buffer"));
                }
                for channel in 0..self.channels {
                    let room = *channels.add(channel);
                    ptr::write_bytes(room, 0, frames);
                    fill(channel, std::slice::from_raw_parts_mut(room, frames));
                }
            }
        }
        // SAFETY: the state is set up, and `count` frames were written, if any.
        let code = unsafe { ffi::vorbis_analysis_wrote(&raw mut *self.state, count) };
        check("vorbis_analysis_wrote", code)?;
        self.packets(out)
    }

    fn packets(&mut self, out: &mut dyn FnMut(Packet)) -> Result<(), MediaError> {
        let (state, block) = (&raw mut *self.state, &raw mut *self.block);
        // SAFETY: state and block are set up and belong together. A packet points into memory of the state that stays
        // until the next block; it is copied before.
        unsafe {
            while ffi::vorbis_analysis_blockout(state, block) == 1 {
                let code = ffi::vorbis_analysis(block, ptr::null_mut());
                check("vorbis_analysis", code)?;
                check(
                    "vorbis_bitrate_addblock",
                    ffi::vorbis_bitrate_addblock(block),
                )?;
                let mut packet = EMPTY;
                while ffi::vorbis_bitrate_flushpacket(state, &raw mut packet) == 1 {
                    let size = ffi::vorbis_packet_blocksize(&raw mut *self.info.0, &raw mut packet);
                    out(Packet {
                        data: copy(&packet),
                        block: u32::try_from(size).map_err(|_| {
                            MediaError::backend("libvorbis made no packet of sound")
                        })?,
                        last: packet.e_o_s != 0,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: both are zeros or set up by `new`, in the order opposite to this one; `info`, which they refer to, is
        // dropped after them.
        unsafe {
            ffi::vorbis_block_clear(&raw mut *self.block);
            ffi::vorbis_dsp_clear(&raw mut *self.state);
        }
    }
}

const EMPTY: ogg_packet = ogg_packet {
    packet: ptr::null_mut(),
    bytes: 0,
    b_o_s: 0,
    e_o_s: 0,
    granulepos: 0,
    packetno: 0,
};

/// # Safety
/// The packet is empty, or points to as many bytes as it says.
unsafe fn copy(packet: &ogg_packet) -> Vec<u8> {
    match usize::try_from(packet.bytes) {
        // SAFETY: the caller's promise.
        Ok(len) if len > 0 && !packet.packet.is_null() => unsafe {
            std::slice::from_raw_parts(packet.packet, len).to_vec()
        },
        _ => Vec::new(),
    }
}
