//! `AudioEncoder`: <https://w3c.github.io/webcodecs/#audioencoder-interface>
//!
//! Here are the checks of its arguments and the metadata of its outputs; the rest is in `codec_object`.

use std::cell::RefCell;
use std::sync::Arc;

use deno_core::{GarbageCollected, v8};
use reelcore_engine::AudioEncode;
use reelcore_media::codec::AudioDecoderConfig;
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, EncodedAudio, OpusApplication as MediaApplication,
    OpusOptions, OpusSignal as MediaSignal,
};
use reelcore_media::{AudioCodec, AudioEncoderConfig as MediaConfig};

use crate::codec_object::{self, CodecObject, CodecSlots};
use crate::codec_strings::CodecStrings;
use crate::generated::{
    AacBitstreamFormat, AudioDecoderConfig as DecoderConfig, AudioEncoderConfig, AudioEncoderInit,
    AudioEncoderMethods, AudioEncoderSupport, BitrateMode, CodecState, EncodedAudioChunkMetadata,
    EncodedAudioChunkOutputCallback, OpusApplication, OpusBitstreamFormat, OpusEncoderConfig,
    OpusSignal,
};
use crate::interfaces::{AudioData, EncodedAudioChunk};
use crate::webidl::{BufferSource, Exception, Handle, Promise, TracedCallback};

/// An AudioEncoder object.
pub struct AudioEncoder {
    /// `[[output callback]]`
    output: TracedCallback,
    /// `[[error callback]]`
    error: TracedCallback,
    /// `[[active output config]]`
    output_config: RefCell<Option<Arc<AudioDecoderConfig>>>,
    /// What the script calls the codecs that it configured.
    codec_strings: CodecStrings<AudioCodec>,
    slots: RefCell<CodecSlots<AudioEncode>>,
}

// SAFETY: the callbacks are traced; the slots need no tracing (see `CodecObject`).
unsafe impl GarbageCollected for AudioEncoder {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        self.output.trace(visitor);
        self.error.trace(visitor);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"AudioEncoder"
    }
}

impl CodecObject for AudioEncoder {
    type Codec = AudioEncode;

    const OUTPUTS: &'static str = "EncodedAudioChunks";

    fn slots(&self) -> &RefCell<CodecSlots<AudioEncode>> {
        &self.slots
    }

    fn error_callback(&self) -> &TracedCallback {
        &self.error
    }

    /// Output EncodedAudioChunks: <https://w3c.github.io/webcodecs/#output-encodedaudiochunks>
    fn output(&self, scope: &mut v8::PinScope<'_, '_>, output: EncodedAudio) {
        // 1. to 3. The engine has made the chunk; its bytes are shared with the object.
        // 4. Let chunkMetadata be a new EncodedAudioChunkMetadata.
        let mut metadata = EncodedAudioChunkMetadata::default();
        // 5. to 7. outputConfig describes the output.
        if let Some(config) = output.decoder_config {
            // 8. If outputConfig and [[active output config]] are not equal dictionaries:
            if self.output_config.borrow().as_ref() != Some(&config) {
                // outputConfig.codec is encoderConfig.codec.
                let codec = self.codec_strings.of(&config.codec);
                // 1. Assign outputConfig to chunkMetadata.decoderConfig.
                metadata.decoder_config = Some(decoder_config(scope, &config, codec));
                // 2. Assign outputConfig to [[active output config]].
                *self.output_config.borrow_mut() = Some(config);
            }
        }
        let Ok(chunk) = EncodedAudioChunk::create(scope, output.chunk) else {
            return;
        };
        // 9. Invoke [[output callback]] with chunk and chunkMetadata.
        if let Some(callback) = EncodedAudioChunkOutputCallback::from_traced(scope, &self.output) {
            // What it throws is reported; converting these does not fail.
            let _ = callback.call_and_report(scope, &chunk, &metadata);
        }
    }
}

/// The dictionary that configures a decoder for what the encoder gives.
fn decoder_config<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    config: &AudioDecoderConfig,
    codec: String,
) -> DecoderConfig<'s> {
    DecoderConfig {
        codec,
        sample_rate: config.sample_rate,
        number_of_channels: config.channels,
        description: config
            .description
            .as_ref()
            .map(|description| BufferSource::from_bytes(scope, description)),
    }
}

/// Lengths of an Opus packet in microseconds:
/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#dom-opusencoderconfig-frameduration>
const OPUS_DURATIONS: [u64; 9] = [
    2500, 5000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000,
];

/// The complexity of Opus where a configuration says none: libopus's own, and less where processors are slow.
/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#dom-opusencoderconfig-complexity>
const OPUS_COMPLEXITY: u32 = if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
    5
} else {
    9
};

/// The bits a second that libopus takes for one channel (opus_defines.h, OPUS_SET_BITRATE).
const OPUS_BITRATES: std::ops::RangeInclusive<u64> = 500..=512_000;

/// Whether a config is valid: <https://w3c.github.io/webcodecs/#valid-audioencoderconfig>
fn check_valid(config: &AudioEncoderConfig) -> Result<(), Exception> {
    let invalid = |what: String| Err(Exception::type_error(format!("AudioEncoderConfig.{what}.")));
    // 1. If codec is empty after stripping leading and trailing ASCII whitespace, return false.
    let whitespace = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    if config.codec.trim_matches(whitespace).is_empty() {
        return invalid("codec is empty".into());
    }
    // 2. If config has a codec-specific extension, and that is not valid, return false.
    if let Some(opus) = &config.opus {
        check_opus(opus)?;
    }
    if let Some(flac) = &config.flac {
        // https://w3c.github.io/webcodecs/flac_codec_registration.html#flacencoderconfig
        if flac.compress_level > 8 {
            return invalid(format!(
                "flac.compressLevel is {}, at most 8 is possible",
                flac.compress_level
            ));
        }
        if flac.block_size != 0 && !(16..=65_535).contains(&flac.block_size) {
            return invalid(format!(
                "flac.blockSize is {}, 0 or 16 to 65535 are possible",
                flac.block_size
            ));
        }
    }
    // 3. If sampleRate or numberOfChannels is 0, return false.
    for (value, name) in [
        (config.sample_rate, "sampleRate"),
        (config.number_of_channels, "numberOfChannels"),
    ] {
        if value == 0 {
            return invalid(format!("{name} must not be 0"));
        }
    }
    // No steps of the specification; the Web Platform Tests ask for them.
    if let Some(bitrate) = config.bitrate {
        let possible = match AudioCodec::parse(&config.codec) {
            Ok(AudioCodec::Opus) => {
                let channels = u64::from(config.number_of_channels);
                *OPUS_BITRATES.start()..=OPUS_BITRATES.end().saturating_mul(channels)
            }
            _ => 1..=u64::from(u32::MAX),
        };
        if !possible.contains(&bitrate) {
            return invalid(format!(
                "bitrate is {bitrate}, {} to {} are possible",
                possible.start(),
                possible.end()
            ));
        }
    }
    // 4. Return true.
    Ok(())
}

/// Whether an OpusEncoderConfig is valid:
/// <https://w3c.github.io/webcodecs/opus_codec_registration.html#valid-opusencoderconfig>
fn check_opus(opus: &OpusEncoderConfig) -> Result<(), Exception> {
    let invalid = |what: String| Err(Exception::type_error(format!("OpusEncoderConfig.{what}.")));
    // 1. If frameDuration is not a valid frame duration, return false.
    if !OPUS_DURATIONS.contains(&opus.frame_duration) {
        return invalid(format!(
            "frameDuration is {} microseconds, possible are {OPUS_DURATIONS:?}",
            opus.frame_duration
        ));
    }
    // 2. If complexity is specified and not in 0 to 10, return false.
    if let Some(complexity) = opus.complexity.filter(|complexity| *complexity > 10) {
        return invalid(format!(
            "complexity is {complexity}, at most 10 is possible"
        ));
    }
    // 3. If packetlossperc is not in 0 to 100, return false.
    if opus.packetlossperc > 100 {
        return invalid(format!(
            "packetlossperc is {}, at most 100 is possible",
            opus.packetlossperc
        ));
    }
    // 4. Return true.
    Ok(())
}

/// The config for the engine; an error if its codec string is not one of the registry's audio codecs.
fn media_config(config: &AudioEncoderConfig) -> Result<MediaConfig, String> {
    let codec = AudioCodec::parse(&config.codec).map_err(|error| error.to_string())?;
    // Members of other codecs are ignored, and those of this one have defaults.
    let options = match codec {
        AudioCodec::Opus => {
            let opus = config.opus.as_ref();
            AudioCodecOptions::Opus(opus.map(opus_options).unwrap_or_default())
        }
        AudioCodec::Aac(_) => match config.aac.as_ref().map(|aac| aac.format) {
            Some(AacBitstreamFormat::Adts) => AudioCodecOptions::Adts,
            _ => AudioCodecOptions::None,
        },
        AudioCodec::Flac => {
            let flac = config.flac.as_ref();
            AudioCodecOptions::Flac {
                block_size: flac.map_or(0, |flac| flac.block_size),
                compress_level: flac.map_or(5, |flac| flac.compress_level),
                depth: None,
            }
        }
        _ => AudioCodecOptions::None,
    };
    Ok(MediaConfig {
        codec,
        sample_rate: config.sample_rate,
        channels: config.number_of_channels,
        bitrate: config.bitrate,
        bitrate_mode: match config.bitrate_mode {
            BitrateMode::Constant => AudioBitrateMode::Constant,
            BitrateMode::Variable => AudioBitrateMode::Variable,
        },
        options,
    })
}

fn opus_options(opus: &OpusEncoderConfig) -> OpusOptions {
    OpusOptions {
        ogg: opus.format == OpusBitstreamFormat::Ogg,
        signal: match opus.signal {
            OpusSignal::Auto => MediaSignal::Auto,
            OpusSignal::Music => MediaSignal::Music,
            OpusSignal::Voice => MediaSignal::Voice,
        },
        application: match opus.application {
            OpusApplication::Voip => MediaApplication::Voip,
            OpusApplication::Audio => MediaApplication::Audio,
            OpusApplication::Lowdelay => MediaApplication::LowDelay,
        },
        frame_duration: opus.frame_duration,
        complexity: Some(opus.complexity.unwrap_or(OPUS_COMPLEXITY)),
        packet_loss_percent: opus.packetlossperc,
        in_band_fec: opus.useinbandfec,
        dtx: opus.usedtx,
    }
}

impl AudioEncoderMethods for AudioEncoder {
    /// <https://w3c.github.io/webcodecs/#dom-audioencoder-audioencoder>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        init: AudioEncoderInit<'s>,
    ) -> Result<Self, Exception> {
        Ok(Self {
            // 7. Assign init.output to [[output callback]]. 8. Assign init.error to [[error callback]].
            output: init.output.traced(scope),
            error: init.error.traced(scope),
            // 10. Assign null to [[active output config]].
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

    /// <https://w3c.github.io/webcodecs/#dom-audioencoder-configure>
    fn configure<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        config: AudioEncoderConfig,
    ) -> Result<(), Exception> {
        // 1. If config is not a valid AudioEncoderConfig, throw a TypeError.
        check_valid(&config)?;
        // 2. to 5.
        let string = config.codec.clone();
        let config = media_config(&config);
        let codec = config.as_ref().ok().map(|config| config.codec);
        codec_object::configure(self, scope, this, config)?;
        if let Some(codec) = codec {
            self.codec_strings.add(codec, &string);
        }
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-audioencoder-encode>
    fn encode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        data: Handle<'s, AudioData>,
    ) -> Result<(), Exception> {
        // 1. If data's [[Detached]] is true, throw a TypeError.
        let Some(open) = data.open() else {
            return Err(Exception::type_error("The AudioData is closed."));
        };
        // 2. If [[state]] is not "configured", throw an InvalidStateError.
        codec_object::require_configured(self)?;
        // 3. Let dataClone hold the result of running the Clone AudioData algorithm. The samples are shared.
        // 4. to 6.
        codec_object::enqueue(self, scope, this, open.audio.clone())
    }

    fn flush<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<Promise<'s, ()>, Exception> {
        codec_object::flush(self, scope, this)
    }

    /// Reset AudioEncoder: <https://w3c.github.io/webcodecs/#reset-audioencoder>
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

    /// <https://w3c.github.io/webcodecs/#dom-audioencoder-isconfigsupported>
    fn is_config_supported<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        mut config: AudioEncoderConfig,
    ) -> Result<Promise<'s, AudioEncoderSupport>, Exception> {
        // 1. If config is not a valid AudioEncoderConfig, return a promise rejected with TypeError.
        check_valid(&config)?;
        // 4.1. Check Configuration Support. Asking the registry takes no time that would call for another thread.
        let registry = codec_object::registry(scope);
        let supported =
            media_config(&config).is_ok_and(|config| registry.audio_encoders(&config).is_ok());
        // 4.2. Clone Configuration: the dictionary has the known members only, and what they are where none is given.
        if let Some(opus) = &mut config.opus {
            opus.complexity.get_or_insert(OPUS_COMPLEXITY);
        }
        let support = AudioEncoderSupport {
            supported: Some(supported),
            config: Some(config),
        };
        // 2., 5. A promise, resolved with encoderSupport.
        Promise::resolved(scope, &support)
    }
}
