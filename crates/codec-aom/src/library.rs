//! The libaom encoder behind a safe interface.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::mem::MaybeUninit;

use libaom_sys as sys;
use reelcore_media::color::Matrix;
use reelcore_media::encode_session::FramePlan;
use reelcore_media::encoder::ScalabilityMode;
use reelcore_media::q_index::nearest_quantizer;
use reelcore_media::{ColorSpace, MediaError, PixelFormat, Plane};

use crate::settings::{Settings, can_be_rgb, kilobits_of};

/// What H.273 calls unspecified, of primaries, transfer and matrix.
const UNSPECIFIED: u8 = 2;

/// The slots of reference frames that layers use: the last frame of layer 0, and that of layer 1 of three.
const BASE_SLOT: usize = 0;
const MIDDLE_SLOT: usize = 1;
/// LAST_FRAME and GOLDEN_FRAME among the seven references.
const LAST: usize = 0;
const GOLDEN: usize = 3;

/// A coded picture in libaom's memory.
pub(crate) struct Picture<'a> {
    /// The running time of its frame.
    pub time: i64,
    pub key: bool,
    /// A temporal unit.
    pub data: &'a [u8],
}

/// One libaom encoder.
pub(crate) struct Library {
    /// In a box: libaom keeps no pointer to it that is documented, nor a promise that it does not.
    context: Box<sys::aom_codec_ctx_t>,
    config: Box<sys::aom_codec_enc_cfg_t>,
    layers: Option<Box<sys::aom_svc_params_t>>,
    input: PixelFormat,
    scalability: ScalabilityMode,
    quantizer: Option<u16>,
    last_layer: u8,
    /// Whether a frame has come.
    started: bool,
    /// The running time of its first frame, from which libaom counts.
    began: i64,
    /// When looking ahead, the frames that libaom has, in order: their numbers, which are its times, and their running
    /// times.
    counted: Option<Counted>,
}

#[derive(Default)]
struct Counted {
    next: i64,
    frames: VecDeque<(i64, i64)>,
}

// SAFETY: an encoder context may be used from any thread, one at a time; `Library` owns it alone and needs `&mut self`
// for every call. libaom's own threads work only during those calls.
unsafe impl Send for Library {}

impl Library {
    /// `step` is how far apart frames are, in microseconds, for settings that look ahead.
    pub fn new(
        settings: &Settings,
        color_space: ColorSpace,
        step: u64,
    ) -> Result<Self, MediaError> {
        let failed = |code| {
            MediaError::backend(format!(
                "libaom cannot start an encoder: {}",
                describe(code)
            ))
        };
        // SAFETY: the call returns the address of a static and does nothing else.
        let interface = unsafe { sys::aom_codec_av1_cx() };
        let mut config = MaybeUninit::<sys::aom_codec_enc_cfg_t>::zeroed();
        // SAFETY: the interface is an encoder's; the call writes a whole structure.
        let code = unsafe {
            sys::aom_codec_enc_config_default(interface, config.as_mut_ptr(), settings.usage)
        };
        if code != sys::AOM_CODEC_OK {
            return Err(failed(code));
        }
        // SAFETY: libaom filled it with its defaults; its members are numbers and pointers.
        let mut config = Box::new(unsafe { config.assume_init() });
        settings.apply(&mut config, step);
        let input = settings.format.input;
        let flags = if input.bit_depth() > 8 {
            sys::AOM_CODEC_USE_HIGHBITDEPTH
        } else {
            0
        };
        // SAFETY: the structure has numbers and pointers, for which zero is a value, and the one before it is opened.
        let mut context: Box<sys::aom_codec_ctx_t> =
            Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
        // SAFETY: `context` is zeroed and stays where it is; `config` outlives the call, which copies it. The version is
        // that of the bindings: libaom refuses another.
        let code = unsafe {
            sys::aom_codec_enc_init_ver(
                &mut *context,
                interface,
                &*config,
                sys::aom_codec_flags_t::from(flags),
                sys::AOM_ENCODER_ABI_VERSION as c_int,
            )
        };
        if code != sys::AOM_CODEC_OK {
            // The context is not open, and not destroyed: there is no `Library` yet.
            return Err(failed(code));
        }
        let mut library = Self {
            context,
            config,
            layers: settings.layers().map(Box::new),
            input,
            scalability: settings.scalability,
            quantizer: None,
            last_layer: 0,
            started: false,
            began: 0,
            counted: settings.looks_ahead().then(Counted::default),
        };
        for &(id, value) in &settings.controls {
            library.control(id, value)?;
        }
        library.set_color_space(color_space)?;
        library.set_layers()?;
        Ok(library)
    }

    /// Sets a control that takes an int or an unsigned int.
    fn control(&mut self, id: sys::aome_enc_control_id, value: c_int) -> Result<(), MediaError> {
        // SAFETY: the context is open, and the callers name controls that take one int, signed or not.
        let code = unsafe { sys::aom_codec_control(&mut *self.context, id as c_int, value) };
        self.checked(code)
    }

    /// Sets a control that reads a `T`.
    fn control_with<T>(
        &mut self,
        id: sys::aome_enc_control_id,
        value: &mut T,
    ) -> Result<(), MediaError> {
        // SAFETY: the context is open; the callers pass what each control reads through the pointer during the call.
        let code = unsafe {
            sys::aom_codec_control(
                &mut *self.context,
                id as c_int,
                std::ptr::from_mut(value).cast::<c_void>(),
            )
        };
        self.checked(code)
    }

    /// color_config() of the sequence header (5.5.2).
    fn set_color_space(&mut self, color_space: ColorSpace) -> Result<(), MediaError> {
        let primaries = color_space
            .primaries
            .map_or(UNSPECIFIED, |p| p.code_point());
        let transfer = color_space.transfer.map_or(UNSPECIFIED, |t| t.code_point());
        // Only 4:4:4 can be RGB.
        let matrix = color_space
            .matrix
            .filter(|&matrix| matrix != Matrix::Rgb || can_be_rgb(self.input))
            .map_or(UNSPECIFIED, |m| m.code_point());
        let full = color_space.full_range == Some(true);
        for (id, value) in [
            (sys::AV1E_SET_COLOR_PRIMARIES, c_int::from(primaries)),
            (
                sys::AV1E_SET_TRANSFER_CHARACTERISTICS,
                c_int::from(transfer),
            ),
            (sys::AV1E_SET_MATRIX_COEFFICIENTS, c_int::from(matrix)),
            (sys::AV1E_SET_COLOR_RANGE, c_int::from(full)),
        ] {
            self.control(id, value)?;
        }
        Ok(())
    }

    fn set_layers(&mut self) -> Result<(), MediaError> {
        let Some(mut layers) = self.layers.clone() else {
            return Ok(());
        };
        self.control_with(sys::AV1E_SET_SVC_PARAMS, &mut *layers)
    }

    /// Another target in bits a second, for a rate control without layers.
    pub fn set_bitrate(&mut self, bits: u64) -> Result<(), MediaError> {
        self.config.rc_target_bitrate = kilobits_of(bits);
        // SAFETY: the context is open; the call copies the configuration.
        let code = unsafe { sys::aom_codec_enc_config_set(&mut *self.context, &*self.config) };
        self.checked(code)
    }

    /// The quantizer of the frames from now on, on libaom's scale.
    fn set_quantizer(&mut self, quantizer: u16) -> Result<(), MediaError> {
        if self.quantizer == Some(quantizer) {
            return Ok(());
        }
        self.quantizer = Some(quantizer);
        let value = c_int::from(quantizer);
        if let Some(layers) = &mut self.layers {
            layers.min_quantizers = [value; 32];
            layers.max_quantizers = [value; 32];
            self.set_layers()?;
        }
        self.control(sys::AV1E_SET_QUANTIZER_ONE_PASS, value)?;
        self.control(sys::AOME_SET_CQ_LEVEL, value)
    }

    /// Tells libaom which layer the frame is of, and the references that it may use and replace.
    fn set_layer(&mut self, plan: &FramePlan) -> Result<(), MediaError> {
        if self.scalability == ScalabilityMode::L1T1 {
            return Ok(());
        }
        let mut id = sys::aom_svc_layer_id_t {
            spatial_layer_id: 0,
            temporal_layer_id: c_int::from(plan.layer),
        };
        self.control_with(sys::AV1E_SET_SVC_LAYER_ID, &mut id)?;
        let mut references = sys::aom_svc_ref_frame_config_t {
            reference: [0; 7],
            ref_idx: [BASE_SLOT as c_int; 7],
            refresh: [0; 8],
        };
        references.reference[LAST] = 1;
        match (self.scalability, plan.layer) {
            (_, 0) => references.refresh[BASE_SLOT] = 1,
            (ScalabilityMode::L1T3, 1) => references.refresh[MIDDLE_SLOT] = 1,
            // Layer 2 after layer 1 predicts from that; before it, what stands there is old.
            (ScalabilityMode::L1T3, _) if self.last_layer == 1 => {
                references.ref_idx[LAST] = MIDDLE_SLOT as c_int;
                references.reference[GOLDEN] = 1;
            }
            _ => {}
        }
        self.last_layer = plan.layer;
        self.control_with(sys::AV1E_SET_SVC_REF_FRAME_CONFIG, &mut references)
    }

    /// Whether libaom will soon take no more frames: its times have 32 bits, which are microseconds where it does not look
    /// ahead (av1_encode_strategy() of its encode_strategy.c). Asked at each key picture, which falls due every 100 seconds or sooner.
    pub fn ends_soon(&self, plan: &FramePlan) -> bool {
        self.started && self.counted.is_none() && plan.time.saturating_sub(self.began) > 1 << 31
    }

    /// Encodes one frame, the `planes` of which have the format and size of the settings.
    pub fn encode(
        &mut self,
        planes: &[Plane],
        plan: &FramePlan,
        sink: &mut dyn FnMut(Picture<'_>) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        if let Some(quantizer) = plan.quantizer {
            self.set_quantizer(nearest_quantizer(quantizer))?;
        }
        self.set_layer(plan)?;
        let image = self.image(planes)?;
        // The first picture is key by itself.
        let flags = if plan.key && self.started {
            sys::AOM_EFLAG_FORCE_KF
        } else {
            0
        };
        if !self.started {
            self.began = plan.time;
        }
        self.started = true;
        let (time, duration) = match &mut self.counted {
            Some(counted) => {
                let number = counted.next;
                counted.next += 1;
                counted.frames.push_back((number, plan.time));
                (number, 1)
            }
            None => (plan.time - self.began, plan.duration as c_ulong),
        };
        // SAFETY: the context is open. The image's planes are those of `image`, alive during the call, in which libaom
        // copies them to its own borders; it only reads them, through pointers that its header has as mutable.
        let code = unsafe {
            sys::aom_codec_encode(
                &mut *self.context,
                &image,
                time,
                duration,
                c_long::from(flags as i32),
            )
        };
        self.checked(code)?;
        self.pictures(sink).map(drop)
    }

    /// Outputs the pictures of all frames that are looked ahead at. No frame can follow.
    pub fn drain(
        &mut self,
        sink: &mut dyn FnMut(Picture<'_>) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        loop {
            // SAFETY: the context is open; no image is how libaom is told to go on without.
            let code =
                unsafe { sys::aom_codec_encode(&mut *self.context, std::ptr::null(), 0, 0, 0) };
            self.checked(code)?;
            if !self.pictures(sink)? {
                return Ok(());
            }
        }
    }

    /// Hands out the pictures that are ready; whether there were any.
    fn pictures(
        &mut self,
        sink: &mut dyn FnMut(Picture<'_>) -> Result<(), MediaError>,
    ) -> Result<bool, MediaError> {
        let mut iter: sys::aom_codec_iter_t = std::ptr::null();
        let mut any = false;
        loop {
            // SAFETY: the context is open; the iterator is null or of the call before. The packet is null or valid until
            // the next call into the context.
            let packet =
                unsafe { sys::aom_codec_get_cx_data(&mut *self.context, &mut iter).as_ref() };
            let Some(packet) = packet else {
                return Ok(any);
            };
            if packet.kind != sys::AOM_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: the kind says that the union holds a frame.
            let frame = unsafe { packet.data.frame };
            if frame.buf.is_null() {
                return Err(MediaError::backend("libaom gave a picture without data"));
            }
            // SAFETY: libaom says that `sz` bytes stand there, which it leaves alone until the next call into the
            // context, for which `sink` has no means.
            let data = unsafe { std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz) };
            any = true;
            let time = match &mut self.counted {
                Some(counted) => counted.time_of(frame.pts)?,
                None => frame.pts.saturating_add(self.began),
            };
            sink(Picture {
                time,
                key: frame.flags & sys::AOM_FRAME_IS_KEY != 0,
                data,
            })?;
        }
    }

    /// What libaom reads the frame from.
    fn image(&self, planes: &[Plane]) -> Result<sys::aom_image_t, MediaError> {
        use PixelFormat as P;
        let format = self.input;
        // SAFETY: the structure has numbers and pointers, for which zero is a value.
        let mut image: sys::aom_image_t = unsafe { MaybeUninit::zeroed().assume_init() };
        (image.fmt, image.bps) = match format {
            P::I420P10 | P::I420P12 => (sys::AOM_IMG_FMT_I42016, 24),
            P::I422 => (sys::AOM_IMG_FMT_I422, 16),
            P::I422P10 | P::I422P12 => (sys::AOM_IMG_FMT_I42216, 32),
            P::I444 => (sys::AOM_IMG_FMT_I444, 24),
            P::I444P10 | P::I444P12 => (sys::AOM_IMG_FMT_I44416, 48),
            _ => (sys::AOM_IMG_FMT_I420, 12),
        };
        image.bit_depth = format.bit_depth();
        image.monochrome = self.config.monochrome as c_int;
        (image.w, image.h) = (self.config.g_w, self.config.g_h);
        (image.d_w, image.d_h) = (image.w, image.h);
        let (x, y) = format.subsampling(1);
        (image.x_chroma_shift, image.y_chroma_shift) = (x - 1, y - 1);
        for (index, plane) in planes.iter().take(3).enumerate() {
            image.planes[index] = plane.data.as_ptr().cast_mut();
            image.stride[index] = c_int::try_from(plane.stride).map_err(|_| {
                MediaError::argument(format!(
                    "rows {} bytes apart, libaom takes at most {}",
                    plane.stride,
                    c_int::MAX
                ))
            })?;
        }
        Ok(image)
    }

    fn checked(&mut self, code: sys::aom_codec_err_t) -> Result<(), MediaError> {
        if code == sys::AOM_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is open; the text is null or lives until the next call into the context.
        let detail = unsafe { text(sys::aom_codec_error_detail(&*self.context)) };
        Err(MediaError::backend(match detail {
            Some(detail) => format!("libaom: {}: {detail}", describe(code)),
            None => format!("libaom: {}", describe(code)),
        }))
    }
}

impl Counted {
    /// The running time of the frame `number`, and forgets those up to it.
    fn time_of(&mut self, number: i64) -> Result<i64, MediaError> {
        while let Some((counted, time)) = self.frames.pop_front() {
            if counted == number {
                return Ok(time);
            }
        }
        Err(MediaError::backend(format!(
            "libaom gave a picture of frame {number}, which it does not have"
        )))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the context is open and nothing uses it after this. The call joins libaom's threads.
        unsafe { sys::aom_codec_destroy(&mut *self.context) };
    }
}

/// libaom's words for an error.
fn describe(code: sys::aom_codec_err_t) -> String {
    // SAFETY: the call maps a number to a static text.
    unsafe { text(sys::aom_codec_err_to_string(code)) }.unwrap_or_else(|| format!("code {code}"))
}

/// A copy of a C string, `None` for a null pointer.
///
/// # Safety
/// `raw` is null or points to a string that ends with a zero and is valid during the call.
unsafe fn text(raw: *const c_char) -> Option<String> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: as this function asks.
    Some(
        unsafe { CStr::from_ptr(raw) }
            .to_string_lossy()
            .into_owned(),
    )
}
