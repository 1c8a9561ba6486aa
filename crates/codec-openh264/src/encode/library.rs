//! The OpenH264 C++ encoder behind a safe interface.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use openh264_sys2 as sys;
use reelcore_media::encode_session::FramePlan;
use reelcore_media::{ColorSpace, MediaError, Plane};

use super::settings::{FRAMERATES, Settings, bitrate_at};

/// ForceIntraFrame as the C++ interface has it. The bindings lack the layer, which OpenH264 reads.
type ForceIntraFrame = unsafe extern "C" fn(*mut sys::ISVCEncoder, bool, c_int) -> c_int;

/// A coded picture in OpenH264's memory: its NAL units with start codes.
pub(super) struct Picture<'a> {
    pub key: bool,
    /// Parameter sets, which come before each key picture, and slices, in order.
    pub units: Vec<&'a [u8]>,
}

/// One OpenH264 encoder.
pub(super) struct Library {
    encoder: NonNull<sys::ISVCEncoder>,
    params: Box<sys::SEncParamExt>,
    /// Frames a second, as far as durations tell.
    framerate: f64,
    /// The target in bits a second, and the level that bounds it.
    target: u64,
    level: u8,
    /// What OpenH264 was told of it.
    sent: c_int,
    stages: c_int,
    /// Where OpenH264 says what it wrote: some 7 kB.
    info: Box<sys::SFrameBSInfo>,
}

// SAFETY: an ISVCEncoder has no tie to the thread that made it, and its own threads work only during calls. `Library`
// owns it alone and needs `&mut self` for every call, so one thread at a time uses it.
unsafe impl Send for Library {}

impl Library {
    pub fn new(settings: &Settings, color_space: ColorSpace) -> Result<Self, MediaError> {
        let mut raw: *mut sys::ISVCEncoder = std::ptr::null_mut();
        // SAFETY: `raw` is a valid place for the pointer that the call writes on success.
        let code = unsafe { sys::API::WelsCreateSVCEncoder(&sys::source::APILoader, &mut raw) };
        let encoder = match NonNull::new(raw) {
            Some(encoder) if code == 0 => encoder,
            _ => {
                return Err(MediaError::backend(format!(
                    "OpenH264 cannot create an encoder: code {code}"
                )));
            }
        };
        let mut library = Self {
            encoder,
            params: Box::default(),
            framerate: f64::from(settings.framerate),
            target: settings.bitrate(),
            level: settings.level(),
            sent: 0,
            stages: settings.layers - 1,
            info: Box::default(),
        };
        // Before anything else, as initialising already writes to stderr.
        let mut level = sys::WELS_LOG_QUIET as c_int;
        library.set_option(sys::ENCODER_OPTION_TRACE_LEVEL, &mut level)?;
        let table = library.table()?;
        let (defaults, initialize) = (table.GetDefaultParams, table.InitializeExt);
        let defaults = defaults.ok_or_else(missing)?;
        let initialize = initialize.ok_or_else(missing)?;
        // SAFETY: the encoder is live, and the call writes a whole structure of defaults.
        check(unsafe { defaults(encoder.as_ptr(), &mut *library.params) })?;
        settings.apply(color_space, &mut library.params);
        library.sent = library.params.iTargetBitrate;
        // SAFETY: the encoder is live, and the parameters outlive the call, which copies them.
        check(unsafe { initialize(encoder.as_ptr(), &*library.params) })?;
        Ok(library)
    }

    fn table(&self) -> Result<&sys::ISVCEncoderVtbl, MediaError> {
        // SAFETY: `encoder` came from WelsCreateSVCEncoder and lives until `drop`. It points to the object's first
        // word, the pointer to its table of virtual functions, which is static.
        unsafe { (*self.encoder.as_ptr()).as_ref() }.ok_or_else(missing)
    }

    /// Sets an option that reads a `T`.
    fn set_option<T>(
        &mut self,
        option: sys::ENCODER_OPTION,
        value: &mut T,
    ) -> Result<(), MediaError> {
        let set = self.table()?.SetOption.ok_or_else(missing)?;
        // SAFETY: the encoder is live; the callers pass what each option reads through the pointer during the call.
        let code = unsafe {
            set(
                self.encoder.as_ptr(),
                option,
                std::ptr::from_mut(value).cast::<c_void>(),
            )
        };
        if code != 0 {
            return Err(MediaError::backend(format!(
                "OpenH264 refuses option {option}: code {code}"
            )));
        }
        Ok(())
    }

    /// Another target in bits a second.
    pub fn set_bitrate(&mut self, bits: u64) -> Result<(), MediaError> {
        self.target = bits;
        self.send_bitrate(true)
    }

    /// Tells OpenH264 the target, for as many frames a second as there are. What the first frame alone says of itself is often
    /// wrong: many frames a second would leave its picture no bits.
    fn send_bitrate(&mut self, known: bool) -> Result<(), MediaError> {
        let most = if known {
            f64::INFINITY
        } else {
            *FRAMERATES.end()
        };
        let bits = bitrate_at(self.target, self.framerate.min(most), self.level);
        if bits == self.sent {
            return Ok(());
        }
        self.sent = bits;
        let mut info = sys::SBitrateInfo {
            iLayer: sys::SPATIAL_LAYER_ALL,
            iBitrate: bits,
        };
        self.set_option(sys::ENCODER_OPTION_BITRATE, &mut info)
    }

    /// Tells rate control, which divides the bits of a second among its frames, how many those are.
    fn follow_framerate(&mut self, plan: &FramePlan) -> Result<(), MediaError> {
        let now = 1e6 / plan.duration as f64;
        // One frame in four of another duration, of which the average is taken, must not change it each time.
        let next = self.framerate * 0.75 + now * 0.25;
        let next = if (now / self.framerate - 1.0).abs() > 0.5 {
            now
        } else {
            next
        };
        if (next / self.framerate - 1.0).abs() < 0.05 {
            return Ok(());
        }
        self.framerate = next;
        let mut rate = next as f32;
        self.set_option(sys::ENCODER_OPTION_FRAME_RATE, &mut rate)?;
        self.send_bitrate(plan.time > 0)
    }

    /// The quantizer of the frames from now on.
    fn set_quantizer(&mut self, plan: &FramePlan, quantizer: u16) -> Result<(), MediaError> {
        // RcCalculateCascadingQp gives lower layers lower ones, which is taken back here.
        let cascade = match c_int::from(plan.layer) {
            _ if self.stages == 0 => 0,
            0 => 3 + (self.stages - 1),
            layer => self.stages - layer,
        };
        let quantizer = c_int::from(quantizer) + cascade;
        if self.params.sSpatialLayers[0].iDLayerQp == quantizer {
            return Ok(());
        }
        self.params.sSpatialLayers[0].iDLayerQp = quantizer;
        let mut params = self.params.clone();
        self.set_option(sys::ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, &mut *params)
    }

    fn force_key(&mut self) -> Result<(), MediaError> {
        let force = self.table()?.ForceIntraFrame.ok_or_else(missing)?;
        // SAFETY: the entry is of `virtual int ForceIntraFrame(bool, int)` (codec_api.h), of which the bindings leave
        // out the second parameter; -1 is its default, for all layers. The encoder is live and initialised.
        let code = unsafe {
            let force = std::mem::transmute::<
                unsafe extern "C" fn(*mut sys::ISVCEncoder, bool) -> c_int,
                ForceIntraFrame,
            >(force);
            force(self.encoder.as_ptr(), true, -1)
        };
        check(code)
    }

    /// Encodes one frame, the `planes` of which have the size of the settings, for [`Library::picture`].
    ///
    /// `false`: the picture takes more bytes than OpenH264 has room for, about those of a raw one. It has uninitialised
    /// itself then, and can only be dropped.
    pub fn encode(&mut self, planes: &[Plane], plan: &FramePlan) -> Result<bool, MediaError> {
        match plan.quantizer {
            Some(quantizer) => self.set_quantizer(plan, quantizer)?,
            None => self.follow_framerate(plan)?,
        }
        if plan.key {
            self.force_key()?;
        }
        let mut source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iPicWidth: self.params.iPicWidth,
            iPicHeight: self.params.iPicHeight,
            uiTimeStamp: plan.time / 1000,
            ..Default::default()
        };
        for (index, plane) in planes.iter().take(3).enumerate() {
            source.pData[index] = plane.data.as_ptr().cast_mut();
            source.iStride[index] = c_int::try_from(plane.stride).map_err(|_| {
                MediaError::argument(format!(
                    "rows {} bytes apart, OpenH264 takes at most {}",
                    plane.stride,
                    c_int::MAX
                ))
            })?;
        }
        let encode = self.table()?.EncodeFrame.ok_or_else(missing)?;
        // SAFETY: the encoder is live and initialised. The planes have the size that `source` says and live during the
        // call, in which OpenH264 copies them to pictures of its own; it only reads them, through pointers that its
        // header has as mutable. `info` is valid for writes.
        let code = unsafe { encode(self.encoder.as_ptr(), &source, &mut *self.info) };
        if code == NO_ROOM {
            return Ok(false);
        }
        check(code)?;
        Ok(true)
    }

    /// What the last [`Library::encode`] wrote.
    pub fn picture(&mut self) -> Result<Picture<'_>, MediaError> {
        let broken = || MediaError::backend("OpenH264 gave a picture without data");
        let key = self.info.eFrameType == sys::videoFrameTypeIDR;
        let mut units = Vec::new();
        let layers = usize::try_from(self.info.iLayerNum).map_err(|_| broken())?;
        for layer in self.info.sLayerInfo.get(..layers).ok_or_else(broken)? {
            let count = usize::try_from(layer.iNalCount).map_err(|_| broken())?;
            if count == 0 {
                continue;
            }
            if layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                return Err(broken());
            }
            // SAFETY: OpenH264 says that so many lengths stand there; it writes them in the next call only, for which
            // the borrow of `self` leaves no room.
            let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let mut at = 0;
            for &length in lengths {
                let length = usize::try_from(length).map_err(|_| broken())?;
                // SAFETY: the NAL units stand one after the other in the layer's buffer, each as long as its length
                // says, and stay until the next call.
                units.push(unsafe { std::slice::from_raw_parts(layer.pBsBuf.add(at), length) });
                at += length;
            }
        }
        if units.is_empty() {
            return Err(MediaError::backend(
                "OpenH264 skipped a frame that it was told not to skip",
            ));
        }
        Ok(Picture { key, units })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Ok(table) = self.table()
            && let Some(uninitialize) = table.Uninitialize
        {
            // SAFETY: the encoder is live; it may be uninitialised before it was initialised.
            unsafe { uninitialize(self.encoder.as_ptr()) };
        }
        // SAFETY: the encoder is live, and nothing uses it after this. The call joins OpenH264's threads.
        unsafe { sys::API::WelsDestroySVCEncoder(&sys::source::APILoader, self.encoder.as_ptr()) };
    }
}

fn missing() -> MediaError {
    MediaError::backend("OpenH264's table of functions lacks an entry")
}

/// CM_RETURN of what is called a lack of memory, also that of a picture in its buffer.
const NO_ROOM: c_int = 3;

/// CM_RETURN.
fn check(code: c_int) -> Result<(), MediaError> {
    const REASONS: [&str; 6] = [
        "success",
        "parameters that it does not take",
        "an unknown reason",
        "no memory",
        "it is not initialised",
        "data that it does not support",
    ];
    if code == 0 {
        return Ok(());
    }
    let reason = usize::try_from(code).ok().and_then(|n| REASONS.get(n));
    Err(MediaError::backend(format!(
        "OpenH264's encoder failed: {} (code {code})",
        reason.unwrap_or(&"an unknown code")
    )))
}
