//! OpenH264 by itself, for benchmarks: what the library does with a stream when nothing of Reelcore
//! stands around it. Pictures are decoded and left in OpenH264's memory.

pub use crate::encode::bare::encode;

use std::ffi::{c_int, c_void};

use openh264_sys2::{self as sys, API};

/// Decodes `access_units` (Annex B, in decoding order) on one thread and returns the number of
/// pictures that OpenH264 gave out.
///
/// # Panics
/// When OpenH264 cannot be started or reports an error: a benchmark's stream is known to be good.
pub fn decode(access_units: &[&[u8]]) -> usize {
    let loader = sys::source::APILoader;
    let mut decoder: *mut sys::ISVCDecoder = std::ptr::null_mut();
    let mut pictures = 0;
    // SAFETY: the calls follow OpenH264's documented order (create, initialise, decode, uninitialise,
    // destroy) on one thread; every pointer is to a local that outlives its call; data are only read.
    unsafe {
        assert_eq!(loader.WelsCreateDecoder(&mut decoder), 0);
        let table = &**decoder;
        let mut level = sys::WELS_LOG_QUIET as c_int;
        table.SetOption.expect("SetOption")(
            decoder,
            sys::DECODER_OPTION_TRACE_LEVEL,
            (&raw mut level).cast::<c_void>(),
        );
        let mut param = sys::SDecodingParam {
            uiTargetDqLayer: u8::MAX,
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            ..Default::default()
        };
        param.sVideoProperty.eVideoBsType = sys::VIDEO_BITSTREAM_AVC;
        assert_eq!(table.Initialize.expect("Initialize")(decoder, &param), 0);
        let decode = table.DecodeFrameNoDelay.expect("DecodeFrameNoDelay");
        let flush = table.FlushFrame.expect("FlushFrame");
        let mut planes: [*mut u8; 3] = [std::ptr::null_mut(); 3];
        let mut info = sys::SBufferInfo::default();
        for unit in access_units {
            let length = c_int::try_from(unit.len()).expect("a picture's size");
            let state = decode(
                decoder,
                unit.as_ptr(),
                length,
                planes.as_mut_ptr(),
                &mut info,
            );
            assert_eq!(state, 0, "OpenH264 reports an error");
            pictures += usize::from(info.iBufferStatus == 1);
        }
        let get = table.GetOption.expect("GetOption");
        let mut left: c_int = 0;
        get(
            decoder,
            sys::DECODER_OPTION_NUM_OF_FRAMES_REMAINING_IN_BUFFER,
            (&raw mut left).cast::<c_void>(),
        );
        for _ in 0..left {
            info = sys::SBufferInfo::default();
            flush(decoder, planes.as_mut_ptr(), &mut info);
            pictures += usize::from(info.iBufferStatus == 1);
        }
        table.Uninitialize.expect("Uninitialize")(decoder);
        loader.WelsDestroyDecoder(decoder);
    }
    pictures
}
