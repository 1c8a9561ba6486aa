//! dav1d by itself, for benchmarks: what the library does with a stream when nothing of Reelcore
//! stands around it. Pictures are decoded into dav1d's own memory and dropped.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use libdav1d_sys as sys;

const AGAIN: c_int = sys::DAV1D_ERR(libc::EAGAIN);

/// Decodes `temporal_units` with `threads` threads and returns the number of pictures.
///
/// # Panics
/// When dav1d cannot be started or reports an error: a benchmark's stream is known to be good.
pub fn decode(temporal_units: &[&[u8]], threads: usize, low_latency: bool) -> usize {
    let mut pictures = 0;
    // SAFETY: the calls follow dav1d's documented order (open, send and get in turn, close) on one
    // thread. Zero is a valid value of each structure; pointers are to locals that outlive their
    // calls. The units outlive the context, so nothing needs to be released with them.
    unsafe {
        let mut settings = MaybeUninit::<sys::Dav1dSettings>::uninit();
        sys::dav1d_default_settings(settings.as_mut_ptr());
        let mut settings = settings.assume_init();
        settings.n_threads = c_int::try_from(threads).expect("a number of threads");
        settings.max_frame_delay = c_int::from(low_latency);
        settings.all_layers = 0;
        settings.logger.callback = None;
        let mut context = std::ptr::null_mut();
        assert_eq!(sys::dav1d_open(&mut context, &settings), 0);
        let mut take = || {
            let mut picture = MaybeUninit::<sys::Dav1dPicture>::zeroed().assume_init();
            let code = sys::dav1d_get_picture(context, &mut picture);
            assert!(code == 0 || code == AGAIN, "dav1d reports error {code}");
            if code == 0 {
                pictures += 1;
                sys::dav1d_picture_unref(&mut picture);
            }
            code == 0
        };
        for unit in temporal_units {
            let mut data = MaybeUninit::<sys::Dav1dData>::zeroed().assume_init();
            let code = sys::dav1d_data_wrap(
                &mut data,
                unit.as_ptr(),
                unit.len(),
                Some(keep),
                std::ptr::null_mut(),
            );
            assert_eq!(code, 0);
            while data.sz > 0 {
                let code = sys::dav1d_send_data(context, &mut data);
                assert!(code == 0 || code == AGAIN, "dav1d reports error {code}");
                take();
            }
        }
        while take() {}
        sys::dav1d_close(&mut context);
    }
    pictures
}

/// The units belong to the caller.
unsafe extern "C" fn keep(_: *const u8, _: *mut std::ffi::c_void) {}
