//! The libvpx encoder behind a safe interface.

use std::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ptr::addr_of;

use reelcore_media::color::Matrix;
use reelcore_media::encode_session::FramePlan;
use reelcore_media::encoder::ScalabilityMode;
use reelcore_media::q_index::nearest_quantizer;
use reelcore_media::{ColorSpace, MediaError, PixelFormat, Plane};
use vpx_sys as sys;
use vpx_sys::vp8e_enc_control_id as control;

use super::settings::{Settings, kilobits_of, set_rate};
use crate::library::{Codec, describe, text};

/// libvpx codes a frame as fast as it can where it is shown for as long as the deadline of good quality, 1 s.
const MAX_DURATION: u64 = 999_999;

/// A coded picture in libvpx's memory.
pub(super) struct Picture<'a> {
    /// The running time of its frame.
    pub time: i64,
    pub key: bool,
    pub data: &'a [u8],
}

/// One libvpx encoder.
pub(super) struct Library {
    codec: Codec,
    /// In a box: libvpx keeps no pointer to it that is documented, nor a promise that it does not.
    context: Box<sys::vpx_codec_ctx_t>,
    /// In a box, as libvpx keeps the pointer to it that it was started with.
    config: Box<sys::vpx_codec_enc_cfg_t>,
    input: PixelFormat,
    deadline: c_ulong,
    scalability: ScalabilityMode,
    by_layers: bool,
    last_layer: u8,
}

// SAFETY: an encoder context may be used from any thread, one at a time; `Library` owns it alone and needs `&mut self`
// for every call. libvpx's own threads work only during those calls.
unsafe impl Send for Library {}

impl Codec {
    /// libvpx's encoder for it.
    fn encoder(self) -> *mut sys::vpx_codec_iface_t {
        // SAFETY: both return the address of a static and do nothing else.
        unsafe {
            match self {
                Self::Vp8 => sys::vpx_codec_vp8_cx(),
                Self::Vp9 => sys::vpx_codec_vp9_cx(),
            }
        }
    }
}

impl Library {
    pub fn new(settings: &Settings) -> Result<Self, MediaError> {
        let codec = settings.codec;
        let failed = |code| {
            MediaError::backend(format!(
                "libvpx cannot start a {} encoder: {}",
                codec.name(),
                describe(code)
            ))
        };
        let mut config = MaybeUninit::<sys::vpx_codec_enc_cfg_t>::zeroed();
        // SAFETY: the interface is an encoder's; the call writes a whole structure.
        let code =
            unsafe { sys::vpx_codec_enc_config_default(codec.encoder(), config.as_mut_ptr(), 0) };
        if code != sys::vpx_codec_err_t::VPX_CODEC_OK {
            return Err(failed(code));
        }
        // SAFETY: libvpx filled it with its defaults, whose enumerations have values of its header.
        let mut config = Box::new(unsafe { config.assume_init() });
        settings.apply(&mut config);
        let flags = if settings.input.bit_depth() > 8 {
            sys::VPX_CODEC_USE_HIGHBITDEPTH
        } else {
            0
        };
        let mut context = Box::new(sys::vpx_codec_ctx_t::default());
        // SAFETY: `context` is zeroed and stays where it is, as does `config`, for as long as the context is open. The
        // version is that of the bindings: libvpx refuses another.
        let code = unsafe {
            sys::vpx_codec_enc_init_ver(
                &mut *context,
                codec.encoder(),
                &*config,
                flags as sys::vpx_codec_flags_t,
                sys::VPX_ENCODER_ABI_VERSION as c_int,
            )
        };
        if code != sys::vpx_codec_err_t::VPX_CODEC_OK {
            // The context is not open, and not destroyed: there is no `Library` yet.
            return Err(failed(code));
        }
        let mut library = Self {
            codec,
            context,
            config,
            input: settings.input,
            deadline: settings.deadline,
            scalability: settings.scalability,
            by_layers: settings.by_layers,
            last_layer: 0,
        };
        for &(id, value) in &settings.controls {
            library.control(id, value)?;
        }
        if codec == Codec::Vp9 && settings.by_layers {
            library.start_layers(settings.speed)?;
        }
        Ok(library)
    }

    /// Sets a control that takes an int or an unsigned int.
    fn control(&mut self, id: control, value: c_int) -> Result<(), MediaError> {
        // SAFETY: the context is open, and the callers name controls that take one int, signed or not.
        let code = unsafe { sys::vpx_codec_control_(&mut *self.context, id as c_int, value) };
        self.checked(code)
    }

    /// Rate control by layers, the references of which come with each frame.
    fn start_layers(&mut self, speed: c_int) -> Result<(), MediaError> {
        self.control(control::VP9E_SET_SVC, 1)?;
        let mut layers = sys::vpx_svc_extra_cfg_t {
            max_quantizers: [self.config.rc_max_quantizer as c_int; 12],
            min_quantizers: [self.config.rc_min_quantizer as c_int; 12],
            scaling_factor_num: [1; 12],
            scaling_factor_den: [1; 12],
            speed_per_layer: [speed; 12],
            temporal_layering_mode: self.config.temporal_layering_mode,
            loopfilter_ctrl: [0; 12],
        };
        // SAFETY: the context is open; the control takes a pointer to this structure, which it reads.
        let code = unsafe {
            sys::vpx_codec_control_(
                &mut *self.context,
                control::VP9E_SET_SVC_PARAMETERS as c_int,
                (&raw mut layers).cast::<c_void>(),
            )
        };
        self.checked(code)
    }

    /// Encodes one frame, the `planes` of which have the format and size of the settings.
    pub fn encode(
        &mut self,
        planes: &[Plane],
        plan: &FramePlan,
        sink: &mut dyn FnMut(Picture<'_>) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        if let Some(color_space) = plan.new_color_space
            && self.codec == Codec::Vp9
        {
            self.set_color_space(color_space)?;
        }
        if let Some(quantizer) = plan.quantizer {
            self.set_quantizer(c_uint::from(nearest_quantizer(quantizer)))?;
        }
        let flags = self.layer_flags(plan)?;
        let image = self.image(planes)?;
        // SAFETY: the context is open. The image's planes are those of `image`, alive during the call, in which libvpx
        // copies them to its own borders; it only reads them, through pointers that its header has as mutable.
        let code = unsafe {
            sys::vpx_codec_encode(
                &mut *self.context,
                &image,
                plan.time,
                plan.duration.min(MAX_DURATION) as c_ulong,
                flags,
                self.deadline,
            )
        };
        self.checked(code)?;
        self.last_layer = plan.layer;
        self.pictures(sink)
    }

    /// Hands out the pictures that are ready.
    fn pictures(
        &mut self,
        sink: &mut dyn FnMut(Picture<'_>) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let mut iter: sys::vpx_codec_iter_t = std::ptr::null();
        loop {
            // SAFETY: the context is open; the iterator is null or of the call before.
            let packet = unsafe { sys::vpx_codec_get_cx_data(&mut *self.context, &mut iter) };
            if packet.is_null() {
                return Ok(());
            }
            // SAFETY: the packet is valid until the next call into the context. Its kind is read as a number, so that
            // one which the enumeration of the bindings lacks is none to it.
            let kind = unsafe { addr_of!((*packet).kind).cast::<u32>().read() };
            if kind != sys::vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT as u32 {
                continue;
            }
            // SAFETY: the kind says that the union holds a frame.
            let frame = unsafe { (*packet).data.frame };
            if frame.buf.is_null() {
                return Err(MediaError::backend("libvpx gave a picture without data"));
            }
            // SAFETY: libvpx says that `sz` bytes stand there, which it leaves alone until the next call into the
            // context, for which `sink` has no means.
            let data =
                unsafe { std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz as usize) };
            sink(Picture {
                time: frame.pts,
                key: frame.flags & sys::VPX_FRAME_IS_KEY != 0,
                data,
            })?;
        }
    }

    /// What libvpx reads the frame from.
    fn image(&self, planes: &[Plane]) -> Result<sys::vpx_image_t, MediaError> {
        use PixelFormat as P;
        use sys::vpx_img_fmt as F;
        let format = self.input;
        let mut image = sys::vpx_image_t::default();
        let bits;
        (image.fmt, bits) = match format {
            P::I420P10 | P::I420P12 => (F::VPX_IMG_FMT_I42016, 24),
            P::I422 => (F::VPX_IMG_FMT_I422, 16),
            P::I422P10 | P::I422P12 => (F::VPX_IMG_FMT_I42216, 32),
            P::I444 => (F::VPX_IMG_FMT_I444, 24),
            P::I444P10 | P::I444P12 => (F::VPX_IMG_FMT_I44416, 48),
            _ => (F::VPX_IMG_FMT_I420, 12),
        };
        image.bps = bits;
        image.bit_depth = format.bit_depth();
        (image.w, image.h) = (self.config.g_w, self.config.g_h);
        (image.d_w, image.d_h) = (image.w, image.h);
        let (x, y) = format.subsampling(1);
        (image.x_chroma_shift, image.y_chroma_shift) = (x - 1, y - 1);
        for (index, plane) in planes.iter().take(3).enumerate() {
            image.planes[index] = plane.data.as_ptr().cast_mut();
            image.stride[index] = c_int::try_from(plane.stride).map_err(|_| {
                MediaError::argument(format!(
                    "rows {} bytes apart, libvpx takes at most {}",
                    plane.stride,
                    c_int::MAX
                ))
            })?;
        }
        Ok(image)
    }

    /// color_space and color_range of VP9 (7.2.2).
    fn set_color_space(&mut self, color_space: ColorSpace) -> Result<(), MediaError> {
        use sys::vpx_color_space as C;
        let space = match color_space.matrix {
            // Only 4:4:4 can be RGB.
            Some(Matrix::Rgb) if self.input.subsampling(1) == (1, 1) => C::VPX_CS_SRGB,
            Some(Matrix::Bt709) => C::VPX_CS_BT_709,
            Some(Matrix::Bt470bg) => C::VPX_CS_BT_601,
            Some(Matrix::Smpte170m) => C::VPX_CS_SMPTE_170,
            Some(Matrix::Bt2020Ncl) => C::VPX_CS_BT_2020,
            _ => C::VPX_CS_UNKNOWN,
        };
        self.control(control::VP9E_SET_COLOR_SPACE, space as c_int)?;
        let full = color_space.full_range == Some(true);
        self.control(control::VP9E_SET_COLOR_RANGE, c_int::from(full))
    }

    /// libvpx before 1.13 has no control for the quantizer of one frame: its range is narrowed to one value.
    fn set_quantizer(&mut self, quantizer: c_uint) -> Result<(), MediaError> {
        if (self.config.rc_min_quantizer, self.config.rc_max_quantizer) == (quantizer, quantizer) {
            return Ok(());
        }
        self.config.rc_min_quantizer = quantizer;
        self.config.rc_max_quantizer = quantizer;
        self.apply_config()
    }

    /// Another target in bits a second.
    pub fn set_bitrate(&mut self, bits: u64) -> Result<(), MediaError> {
        set_rate(&mut self.config, kilobits_of(bits));
        self.apply_config()
    }

    fn apply_config(&mut self) -> Result<(), MediaError> {
        // SAFETY: the context is open; the call copies the configuration.
        let code = unsafe { sys::vpx_codec_enc_config_set(&mut *self.context, &*self.config) };
        self.checked(code)
    }

    /// The references that a frame of its layer may use and replace: the last frame is that of layer 0, the golden
    /// frame that of layer 1 of three.
    fn layer_flags(&mut self, plan: &FramePlan) -> Result<c_long, MediaError> {
        const ONLY_LAST: u32 = sys::VP8_EFLAG_NO_REF_GF | sys::VP8_EFLAG_NO_REF_ARF;
        const UPPER: u32 =
            sys::VP8_EFLAG_NO_UPD_LAST | sys::VP8_EFLAG_NO_UPD_ARF | sys::VP8_EFLAG_NO_UPD_ENTROPY;
        if self.by_layers {
            let layer = c_int::from(plan.layer);
            match self.codec {
                Codec::Vp8 => self.control(control::VP8E_SET_TEMPORAL_LAYER_ID, layer)?,
                Codec::Vp9 => {
                    let mut id = sys::vpx_svc_layer_id_t {
                        spatial_layer_id: 0,
                        temporal_layer_id: layer,
                        temporal_layer_id_per_spatial: [layer; 5],
                    };
                    // SAFETY: the context is open; the control takes a pointer to this structure, which it reads.
                    let code = unsafe {
                        sys::vpx_codec_control_(
                            &mut *self.context,
                            control::VP9E_SET_SVC_LAYER_ID as c_int,
                            &raw mut id,
                        )
                    };
                    self.checked(code)?;
                }
            }
        }
        let flags = match (self.scalability, plan.layer) {
            // A key picture replaces all references.
            _ if plan.key => sys::VPX_EFLAG_FORCE_KF,
            (ScalabilityMode::L1T1, _) => 0,
            (_, 0) => ONLY_LAST | sys::VP8_EFLAG_NO_UPD_GF | sys::VP8_EFLAG_NO_UPD_ARF,
            (ScalabilityMode::L1T3, 1) => ONLY_LAST | UPPER,
            // Layer 2 after layer 1 has that as a second reference; before it, the golden frame is an old one.
            (ScalabilityMode::L1T3, _) if self.last_layer == 1 => {
                sys::VP8_EFLAG_NO_REF_ARF | UPPER | sys::VP8_EFLAG_NO_UPD_GF
            }
            _ => ONLY_LAST | UPPER | sys::VP8_EFLAG_NO_UPD_GF,
        };
        Ok(c_long::from(flags as i32))
    }

    fn checked(&mut self, code: sys::vpx_codec_err_t) -> Result<(), MediaError> {
        if code == sys::vpx_codec_err_t::VPX_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is open; the text is null or lives until the next call into the context.
        let detail = unsafe { text(sys::vpx_codec_error_detail(&mut *self.context)) };
        Err(MediaError::backend(match detail {
            Some(detail) => format!("libvpx: {}: {detail}", describe(code)),
            None => format!("libvpx: {}", describe(code)),
        }))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the context is open and nothing uses it after this. The call joins libvpx's threads.
        unsafe { sys::vpx_codec_destroy(&mut *self.context) };
    }
}
