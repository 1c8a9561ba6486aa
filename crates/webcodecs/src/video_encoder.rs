//! `VideoEncoder`: <https://w3c.github.io/webcodecs/#videoencoder-interface>
//!
//! Here are the checks of its arguments and the metadata of its outputs; the rest is in `codec_object`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use deno_core::{GarbageCollected, v8};
use reelcore_engine::{Engine, VideoEncode, VideoInput};
use reelcore_media::codec::{HardwareAcceleration as MediaAcceleration, VideoDecoderConfig};
use reelcore_media::convert::effective_color_space;
use reelcore_media::encoder::{
    ContentHint, EncodeOptions, EncodedVideo, LatencyMode as MediaLatency, NalFormat,
    ScalabilityMode, VideoBitrateMode as MediaBitrateMode,
};
use reelcore_media::{
    ColorSpace, PixelFormat, Rotation, Size, VideoCodec, VideoEncoderConfig as MediaConfig,
};

use crate::codec_object::{self, CodecObject, CodecSlots};
use crate::codec_strings::CodecStrings;
use crate::generated::{
    AlphaOption, AvcBitstreamFormat, CodecState, EncodedVideoChunkMetadata,
    EncodedVideoChunkOutputCallback, HardwareAcceleration, HevcBitstreamFormat, LatencyMode,
    SvcOutputMetadata, VideoDecoderConfig as DecoderConfig, VideoEncoderBitrateMode,
    VideoEncoderConfig, VideoEncoderEncodeOptions, VideoEncoderInit, VideoEncoderMethods,
    VideoEncoderSupport,
};
use crate::interfaces::{EncodedVideoChunk, VideoFrame};
use crate::webidl::{BufferSource, Exception, Handle, Promise, TracedCallback};

/// A VideoEncoder object.
pub struct VideoEncoder {
    /// `[[output callback]]`
    output: TracedCallback,
    /// `[[error callback]]`
    error: TracedCallback,
    /// The codec of the last `configure()`, if its string names one.
    codec: Cell<Option<VideoCodec>>,
    /// `[[active orientation]]`: the rotation and flip of the first frame after `configure()`.
    orientation: Cell<Option<(Rotation, bool)>>,
    /// `[[active output config]]`
    output_config: RefCell<Option<VideoDecoderConfig>>,
    /// What the script calls the codecs that it configured.
    codec_strings: CodecStrings<VideoCodec>,
    slots: RefCell<CodecSlots<VideoEncode>>,
}

// SAFETY: the callbacks are traced; the slots need no tracing (see `CodecObject`).
unsafe impl GarbageCollected for VideoEncoder {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        self.output.trace(visitor);
        self.error.trace(visitor);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"VideoEncoder"
    }
}

impl CodecObject for VideoEncoder {
    type Codec = VideoEncode;

    const OUTPUTS: &'static str = "EncodedVideoChunks";

    fn slots(&self) -> &RefCell<CodecSlots<VideoEncode>> {
        &self.slots
    }

    fn error_callback(&self) -> &TracedCallback {
        &self.error
    }

    /// Output EncodedVideoChunks: <https://w3c.github.io/webcodecs/#output-encodedvideochunks>
    fn output(&self, scope: &mut v8::PinScope<'_, '_>, output: EncodedVideo) {
        // 1. to 3. The engine has made the chunk; its bytes are shared with the object.
        // 4. Let chunkMetadata be a new EncodedVideoChunkMetadata.
        let mut metadata = EncodedVideoChunkMetadata::default();
        // 5., 6. outputConfig describes the output: codec, size, display aspect, rotation, flip, and what the codec adds.
        if let Some(config) = output.decoder_config {
            let mut config = Arc::unwrap_or_clone(config);
            config.color_space = color_space(&config);
            // 7. If outputConfig and [[active output config]] are not equal dictionaries:
            if self.output_config.borrow().as_ref() != Some(&config) {
                // outputConfig.codec is encoderConfig.codec.
                let codec = self.codec_strings.of(&config.codec);
                // 1. Assign outputConfig to chunkMetadata.decoderConfig.
                metadata.decoder_config = Some(decoder_config(scope, &config, codec));
                // 2. Assign outputConfig to [[active output config]].
                *self.output_config.borrow_mut() = Some(config);
            }
        }
        // 8. If encoderConfig.scalabilityMode describes multiple temporal layers: svc.
        if let Some(layer) = output.temporal_layer {
            metadata.svc = Some(SvcOutputMetadata {
                temporal_layer_id: Some(layer.into()),
            });
        }
        // 9. If encoderConfig.alpha is "keep": let encodedAlphaData be the encoded alpha data, assign it to
        //    chunkMetadata.alphaSideData.
        let side = output.chunk.side.clone();
        if let Some(alpha) = side.as_ref().and_then(|side| side.alpha.as_ref()) {
            metadata.alpha_side_data = Some(BufferSource::from_bytes(scope, alpha));
        }
        let Ok(chunk) = EncodedVideoChunk::create(scope, output.chunk) else {
            return;
        };
        // 10. Invoke [[output callback]] with chunk and chunkMetadata.
        if let Some(callback) = EncodedVideoChunkOutputCallback::from_traced(scope, &self.output) {
            // What it throws is reported; converting these does not fail.
            let _ = callback.call_and_report(scope, &chunk, &metadata);
        }
    }
}

/// The dictionary that configures a decoder for what the encoder gives.
fn decoder_config<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    config: &VideoDecoderConfig,
    codec: String,
) -> DecoderConfig<'s> {
    DecoderConfig {
        codec,
        description: config
            .description
            .as_ref()
            .map(|description| BufferSource::from_bytes(scope, description)),
        coded_width: config.coded_size.map(|size| size.width),
        coded_height: config.coded_size.map(|size| size.height),
        display_aspect_width: config.display_aspect.map(|size| size.width),
        display_aspect_height: config.display_aspect.map(|size| size.height),
        color_space: (config.color_space != ColorSpace::default())
            .then(|| config.color_space.into()),
        hardware_acceleration: HardwareAcceleration::NoPreference,
        optimize_for_latency: None,
        rotation: f64::from(config.rotation.degrees()),
        flip: config.flip,
    }
}

/// What `decoderConfig.colorSpace` says of what is encoded: each of its members, or none of them.
///
/// Muxers of the web (mp4-muxer, webm-muxer) go without the dictionary, and refuse one with null in it. So it is there where
/// primaries or matrix are known, which the other follows from, whatever the size: range and transfer alone are told by the stream.
/// That of VP8 tells nothing.
fn color_space(config: &VideoDecoderConfig) -> ColorSpace {
    let known = config.color_space;
    let told = match config.codec {
        VideoCodec::Vp8 => known.full_range == Some(true) || known.transfer.is_some(),
        _ => false,
    };
    if !told && known.primaries.is_none() && known.matrix.is_none() {
        return ColorSpace::default();
    }
    let size = config.coded_size.unwrap_or_default();
    effective_color_space(known, PixelFormat::I420, size)
}

/// Whether a config is valid: <https://w3c.github.io/webcodecs/#valid-videoencoderconfig>
fn check_valid(config: &VideoEncoderConfig) -> Result<(), Exception> {
    let invalid = |what: &str| Err(Exception::type_error(format!("VideoEncoderConfig.{what}.")));
    // 1. If codec is empty after stripping leading and trailing ASCII whitespace, return false.
    let whitespace = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    if config.codec.trim_matches(whitespace).is_empty() {
        return invalid("codec is empty");
    }
    // 2. If width is 0 or height is 0, return false. 3. If displayWidth is 0 or displayHeight is 0, return false.
    for (value, name) in [
        (Some(config.width), "width"),
        (Some(config.height), "height"),
        (config.display_width, "displayWidth"),
        (config.display_height, "displayHeight"),
    ] {
        if value == Some(0) {
            return invalid(&format!("{name} must not be 0"));
        }
    }
    // No step of the specification; the Web Platform Tests ask for it.
    if config.bitrate == Some(0) {
        return invalid("bitrate must not be 0");
    }
    // 4. Return true.
    Ok(())
}

/// The config for the engine; an error if it is one that no backend can be asked for.
fn media_config(config: &VideoEncoderConfig) -> Result<MediaConfig, String> {
    let size = Size::new(config.width, config.height);
    let codec = VideoCodec::parse(&config.codec).map_err(|error| error.to_string())?;
    let display = (
        config.display_width.unwrap_or(size.width),
        config.display_height.unwrap_or(size.height),
    );
    let has_display = config.display_width.is_some() || config.display_height.is_some();
    let framerate = match config.framerate {
        Some(rate) if rate <= 0.0 => return Err(format!("framerate {rate} is not positive")),
        other => other,
    };
    let scalability = match config.scalability_mode.as_deref() {
        None => ScalabilityMode::L1T1,
        Some(name) => ScalabilityMode::parse(name).ok_or_else(|| {
            format!("scalabilityMode {name:?}; L1T1, L1T2 and L1T3 are supported")
        })?,
    };
    let avc = config.avc.as_ref().map(|avc| avc.format);
    let hevc = config.hevc.as_ref().map(|hevc| hevc.format);
    let annexb = match codec {
        VideoCodec::Avc(_) => avc == Some(AvcBitstreamFormat::Annexb),
        VideoCodec::Hevc(_) => hevc == Some(HevcBitstreamFormat::Annexb),
        _ => false,
    };
    Ok(MediaConfig {
        codec,
        size,
        display_size: has_display.then(|| Size::new(display.0, display.1)),
        bitrate: config.bitrate,
        framerate,
        hardware_acceleration: match config.hardware_acceleration {
            HardwareAcceleration::NoPreference => MediaAcceleration::NoPreference,
            HardwareAcceleration::PreferHardware => MediaAcceleration::PreferHardware,
            HardwareAcceleration::PreferSoftware => MediaAcceleration::PreferSoftware,
        },
        keep_alpha: config.alpha == AlphaOption::Keep,
        scalability,
        bitrate_mode: match config.bitrate_mode {
            VideoEncoderBitrateMode::Constant => MediaBitrateMode::Constant,
            VideoEncoderBitrateMode::Variable => MediaBitrateMode::Variable,
            VideoEncoderBitrateMode::Quantizer => MediaBitrateMode::Quantizer,
        },
        latency_mode: match config.latency_mode {
            LatencyMode::Quality => MediaLatency::Quality,
            LatencyMode::Realtime => MediaLatency::Realtime,
        },
        // Hints that are not known are ignored: https://www.w3.org/TR/mst-content-hint/#behavior-of-a-mediastreamtrack
        content_hint: match config.content_hint.as_deref() {
            Some("motion") => ContentHint::Motion,
            Some("detail") => ContentHint::Detail,
            Some("text") => ContentHint::Text,
            _ => ContentHint::None,
        },
        nal_format: match annexb {
            true => NalFormat::AnnexB,
            false => NalFormat::LengthPrefixed,
        },
    })
}

/// What is said of one frame: each codec reads the quantizer of its own member only.
fn encode_options(options: &VideoEncoderEncodeOptions, codec: Option<VideoCodec>) -> EncodeOptions {
    // `null` asks for nothing, like a member that is not there.
    let quantizer = match codec {
        Some(VideoCodec::Avc(_)) => options.avc.as_ref().and_then(|avc| avc.quantizer),
        Some(VideoCodec::Hevc(_)) => options.hevc.as_ref().and_then(|hevc| hevc.quantizer),
        Some(VideoCodec::Vp9(_)) => options.vp9.as_ref().and_then(|vp9| vp9.quantizer),
        Some(VideoCodec::Av1(_)) => options.av1.as_ref().and_then(|av1| av1.quantizer),
        _ => None,
    };
    let quantizer = quantizer.flatten();
    EncodeOptions {
        key_frame: options.key_frame,
        quantizer,
    }
}

impl VideoEncoderMethods for VideoEncoder {
    /// <https://w3c.github.io/webcodecs/#dom-videoencoder-videoencoder>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        init: VideoEncoderInit<'s>,
    ) -> Result<Self, Exception> {
        Ok(Self {
            // 7. Assign init.output to [[output callback]]. 8. Assign init.error to [[error callback]].
            output: init.output.traced(scope),
            error: init.error.traced(scope),
            // 10. Assign null to [[active orientation]]. 11. Assign null to [[active output config]].
            codec: Cell::new(None),
            orientation: Cell::new(None),
            output_config: RefCell::new(None),
            codec_strings: CodecStrings::new(),
            slots: codec_object::new_slots::<Self>(scope, this)?,
        })
    }

    fn state(&self) -> CodecState {
        codec_object::state(self)
    }

    fn encode_queue_size(&self) -> u32 {
        codec_object::queue_size(self)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoencoder-configure>
    fn configure<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        config: VideoEncoderConfig,
    ) -> Result<(), Exception> {
        // 1. If config is not a valid VideoEncoderConfig, throw a TypeError.
        check_valid(&config)?;
        // 2., 3., 5., 6.
        let string = config.codec.clone();
        let config = media_config(&config);
        let codec = config.as_ref().ok().map(|config| config.codec);
        codec_object::configure(self, scope, this, config)?;
        self.codec.set(codec);
        if let Some(codec) = codec {
            self.codec_strings.add(codec, &string);
        }
        // 4. Set [[active orientation]] to null.
        self.orientation.set(None);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoencoder-encode>
    fn encode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        frame: Handle<'s, VideoFrame>,
        options: VideoEncoderEncodeOptions,
    ) -> Result<(), Exception> {
        // 1. If frame's [[Detached]] is true, throw a TypeError.
        let Some(open) = frame.open() else {
            return Err(Exception::type_error("The VideoFrame is closed."));
        };
        // 2. If [[state]] is not "configured", throw an InvalidStateError.
        codec_object::require_configured(self)?;
        // 3. If [[active orientation]] is not null and does not match the frame's rotation and flip, throw a DataError.
        // 4. If it is null, set it to the frame's.
        let orientation = (open.frame.rotation, open.frame.flip);
        match self.orientation.get() {
            Some(active) if active != orientation => {
                return Err(Exception::data(format!(
                    "The VideoFrame has rotation {} and flip {}, the first one since configure() has {} and {}.",
                    orientation.0.degrees(),
                    orientation.1,
                    active.0.degrees(),
                    active.1
                )));
            }
            _ => self.orientation.set(Some(orientation)),
        }
        // 5. Let frameClone hold the result of running the Clone VideoFrame algorithm. The pixels are shared.
        let options = encode_options(&options, self.codec.get());
        // 6. to 8.
        let input = VideoInput {
            frame: open.frame.clone(),
            options,
        };
        codec_object::enqueue(self, scope, this, input)
    }

    fn flush<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<Promise<'s, ()>, Exception> {
        codec_object::flush(self, scope, this)
    }

    /// Reset VideoEncoder: <https://w3c.github.io/webcodecs/#reset-videoencoder>
    fn reset<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        codec_object::reset(self, scope, this)?;
        // 3., 4. Set [[active encoder config]] and [[active output config]] to null.
        self.output_config.take();
        Ok(())
    }

    fn close<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        codec_object::close(self, scope, this)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoencoder-isconfigsupported>
    fn is_config_supported<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        config: VideoEncoderConfig,
    ) -> Result<Promise<'s, VideoEncoderSupport>, Exception> {
        // 1. If config is not a valid VideoEncoderConfig, return a promise rejected with TypeError.
        check_valid(&config)?;
        // 4.1. Check Configuration Support. Asking the registry takes no time that would call for another thread.
        let registry = codec_object::registry(scope);
        let supported = media_config(&config)
            .is_ok_and(|config| VideoEncode::supports(&registry, &config, Engine::global()));
        // 4.2. Clone Configuration: the dictionary has the known members only.
        let support = VideoEncoderSupport {
            supported: Some(supported),
            config: Some(config),
        };
        // 2., 5. A promise, resolved with encoderSupport.
        Promise::resolved(scope, &support)
    }
}
