//! The codec registry: which backends there are, and which serves a configuration.

use std::fmt::Display;
use std::sync::Arc;

use crate::codec::{
    AudioDecoderBackend, AudioDecoderConfig, HardwareAcceleration, VideoDecoderBackend,
    VideoDecoderConfig,
};
use crate::encoder::{
    AudioEncoderBackend, AudioEncoderConfig, VideoEncoderBackend, VideoEncoderConfig,
};
use crate::error::MediaError;

/// Which of the backends that can decode a stream comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DecoderOrder {
    /// The one that was registered first; [`Registry`]s are made with the fastest first.
    #[default]
    Fastest,
    /// One that finds damage within pictures ([`VideoDecoderBackend::finds_damage`]), though it be slower: for sources
    /// whose streams may be damaged, where a wrong picture must not pass for a right one.
    VerifiedFirst,
}

/// The backends that are compiled in, in order of preference. `isConfigSupported` and `configure`
/// ask the same registry, so they cannot disagree.
#[derive(Clone, Default)]
pub struct Registry {
    video_decoders: Vec<Arc<dyn VideoDecoderBackend>>,
    audio_decoders: Vec<Arc<dyn AudioDecoderBackend>>,
    video_encoders: Vec<Arc<dyn VideoEncoderBackend>>,
    audio_encoders: Vec<Arc<dyn AudioEncoderBackend>>,
    order: DecoderOrder,
}

impl Registry {
    /// A registry without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes which decoder comes first.
    #[must_use]
    pub fn with_decoder_order(mut self, order: DecoderOrder) -> Self {
        self.order = order;
        self
    }

    /// Adds a backend after those already there.
    #[must_use]
    pub fn with_video_decoder(mut self, backend: impl VideoDecoderBackend + 'static) -> Self {
        self.video_decoders.push(Arc::new(backend));
        self
    }

    /// Adds a backend after those already there.
    #[must_use]
    pub fn with_audio_decoder(mut self, backend: impl AudioDecoderBackend + 'static) -> Self {
        self.audio_decoders.push(Arc::new(backend));
        self
    }

    /// Adds a backend after those already there.
    #[must_use]
    pub fn with_video_encoder(mut self, backend: impl VideoEncoderBackend + 'static) -> Self {
        self.video_encoders.push(Arc::new(backend));
        self
    }

    /// Adds a backend after those already there.
    #[must_use]
    pub fn with_audio_encoder(mut self, backend: impl AudioEncoderBackend + 'static) -> Self {
        self.audio_encoders.push(Arc::new(backend));
        self
    }

    /// The backends that can decode `config`, best first.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none, with the reason of each that knows the codec.
    pub fn audio_decoders(
        &self,
        config: &AudioDecoderConfig,
    ) -> Result<Vec<Arc<dyn AudioDecoderBackend>>, MediaError> {
        choose(
            "decoder",
            &self.audio_decoders,
            config.codec,
            |backend| backend.knows(&config.codec),
            |backend| backend.name(),
            |backend| backend.check(config),
        )
    }

    /// Whether `AudioDecoder.isConfigSupported` says yes; see [`AudioDecoderBackend::supports`].
    pub fn supports_audio(&self, config: &AudioDecoderConfig) -> bool {
        let mut backends = self.audio_decoders.iter();
        backends.any(|backend| backend.supports(config))
    }

    /// The backends that can decode `config`, best first.
    /// Hardware comes first unless software is preferred; [`DecoderOrder`] decides among what is left.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none, with the reason of each that knows the codec.
    pub fn video_decoders(
        &self,
        config: &VideoDecoderConfig,
    ) -> Result<Vec<Arc<dyn VideoDecoderBackend>>, MediaError> {
        let mut found = choose(
            "decoder",
            &self.video_decoders,
            config.codec.family(),
            |backend| backend.knows(&config.codec),
            |backend| backend.name(),
            |backend| backend.check(config),
        )?;
        let software_first = config.hardware_acceleration == HardwareAcceleration::PreferSoftware;
        let verified_first = self.order == DecoderOrder::VerifiedFirst;
        // Stable: where both are the same, the order of registration stays.
        found.sort_by_key(|backend| {
            (
                backend.is_hardware() == software_first,
                verified_first && !backend.finds_damage(&config.codec),
            )
        });
        Ok(found)
    }

    /// The backends that can encode `config`, best first. Hardware comes first unless software is preferred.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none, with the reason of each that knows the codec.
    pub fn video_encoders(
        &self,
        config: &VideoEncoderConfig,
    ) -> Result<Vec<Arc<dyn VideoEncoderBackend>>, MediaError> {
        let known = self.video_encoders.iter();
        let known: Vec<_> = known.filter(|b| b.knows(&config.codec)).cloned().collect();
        let mut found = choose(
            "encoder",
            &known,
            config.codec.family(),
            |_| true,
            |backend| backend.name(),
            |backend| {
                if config.keep_alpha && !backend.supports_alpha(config) {
                    return Err(MediaError::unsupported("it does not keep alpha"));
                }
                backend.check(config)
            },
        )?;
        let software_first = config.hardware_acceleration == HardwareAcceleration::PreferSoftware;
        found.sort_by_key(|backend| backend.is_hardware() == software_first);
        Ok(found)
    }

    /// The backends that can encode `config`, best first.
    ///
    /// # Errors
    /// As [`Registry::video_encoders`].
    pub fn audio_encoders(
        &self,
        config: &AudioEncoderConfig,
    ) -> Result<Vec<Arc<dyn AudioEncoderBackend>>, MediaError> {
        let known = self.audio_encoders.iter();
        let known: Vec<_> = known.filter(|b| b.knows(&config.codec)).cloned().collect();
        choose(
            "encoder",
            &known,
            config.codec,
            |_| true,
            |backend| backend.name(),
            |backend| backend.check(config),
        )
    }
}

/// The backends that `check` accepts; when there is none, the reasons of those that know the codec.
fn choose<B: ?Sized>(
    kind: &str,
    backends: &[Arc<B>],
    codec: impl Display,
    knows: impl Fn(&B) -> bool,
    name: impl Fn(&B) -> &'static str,
    check: impl Fn(&B) -> Result<(), MediaError>,
) -> Result<Vec<Arc<B>>, MediaError> {
    let mut found = Vec::new();
    let mut reasons = Vec::new();
    for backend in backends {
        match check(backend) {
            Ok(()) => found.push(backend.clone()),
            Err(_) if !knows(backend) => {}
            Err(error) => reasons.push(format!("{}: {error}", name(backend))),
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    Err(MediaError::unsupported(if reasons.is_empty() {
        format!("no {kind} for {codec} is built in")
    } else {
        format!(
            "no {kind} for this {codec} configuration ({})",
            reasons.join("; ")
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{AudioDecoder, DecoderContext, VideoDecoder};
    use crate::codec_string::{AudioCodec, VideoCodec};

    /// A backend of Opus, and one of MP3.
    struct One(AudioCodec);

    impl AudioDecoderBackend for One {
        fn name(&self) -> &'static str {
            if self.0 == AudioCodec::Opus {
                "opus"
            } else {
                "mp3"
            }
        }

        fn knows(&self, codec: &AudioCodec) -> bool {
            *codec == self.0
        }

        fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError> {
            Err(MediaError::unsupported(format!(
                "not {} at {} Hz",
                config.codec, config.sample_rate
            )))
        }

        fn start(
            &self,
            config: &AudioDecoderConfig,
            _: &DecoderContext,
        ) -> Result<Box<dyn AudioDecoder>, MediaError> {
            self.check(config)?;
            Err(MediaError::backend("not reached"))
        }
    }

    #[test]
    fn only_backends_of_the_codec_give_their_reasons() {
        let registry = Registry::new()
            .with_audio_decoder(One(AudioCodec::Opus))
            .with_audio_decoder(One(AudioCodec::Mp3));
        let message = |codec| {
            let config = AudioDecoderConfig {
                codec,
                sample_rate: 1,
                channels: 1,
                description: None,
            };
            let error = registry.audio_decoders(&config).err();
            error.expect("there is none").message
        };
        assert_eq!(
            message(AudioCodec::Opus),
            "no decoder for this opus configuration (opus: not opus at 1 Hz)"
        );
        assert_eq!(message(AudioCodec::Flac), "no decoder for flac is built in");
    }

    /// A backend of VP8.
    struct Vp8 {
        name: &'static str,
        hardware: bool,
        finds_damage: bool,
    }

    impl VideoDecoderBackend for Vp8 {
        fn name(&self) -> &'static str {
            self.name
        }

        fn is_hardware(&self) -> bool {
            self.hardware
        }

        fn finds_damage(&self, _: &VideoCodec) -> bool {
            self.finds_damage
        }

        fn check(&self, _: &VideoDecoderConfig) -> Result<(), MediaError> {
            Ok(())
        }

        fn start(
            &self,
            _: &VideoDecoderConfig,
            _: &DecoderContext,
        ) -> Result<Box<dyn VideoDecoder>, MediaError> {
            Err(MediaError::backend("not reached"))
        }
    }

    #[test]
    fn who_asks_for_it_gets_the_decoder_that_finds_damage_before_the_fast_one() {
        let backend = |name, hardware, finds_damage| Vp8 {
            name,
            hardware,
            finds_damage,
        };
        let registry = Registry::new()
            .with_video_decoder(backend("fast", false, false))
            .with_video_decoder(backend("careful", false, true))
            .with_video_decoder(backend("last", false, true))
            .with_video_decoder(backend("card", true, false));
        let names = |registry: &Registry, hardware_acceleration| -> Vec<&str> {
            let config = VideoDecoderConfig {
                hardware_acceleration,
                ..VideoDecoderConfig::new(VideoCodec::Vp8)
            };
            let found = registry.video_decoders(&config).unwrap();
            found.iter().map(|backend| backend.name()).collect()
        };
        let any = HardwareAcceleration::NoPreference;
        let software = HardwareAcceleration::PreferSoftware;
        assert_eq!(names(&registry, any), ["card", "fast", "careful", "last"]);
        let careful = registry.with_decoder_order(DecoderOrder::VerifiedFirst);
        assert_eq!(names(&careful, any), ["card", "careful", "last", "fast"]);
        assert_eq!(
            names(&careful, software),
            ["careful", "last", "fast", "card"]
        );
    }
}
