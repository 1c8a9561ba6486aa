//! The codec registry: which backends there are, and which serves a configuration.

use std::sync::Arc;

use crate::codec::{HardwareAcceleration, VideoDecoderBackend, VideoDecoderConfig};
use crate::error::MediaError;

/// The backends that are compiled in, in order of preference. `isConfigSupported` and `configure`
/// ask the same registry, so they cannot disagree.
#[derive(Clone, Default)]
pub struct Registry {
    video_decoders: Vec<Arc<dyn VideoDecoderBackend>>,
}

impl Registry {
    /// A registry without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend after those already there.
    #[must_use]
    pub fn with_video_decoder(mut self, backend: impl VideoDecoderBackend + 'static) -> Self {
        self.video_decoders.push(Arc::new(backend));
        self
    }

    /// The backends that can decode `config`, best first.
    /// Hardware comes first unless software is preferred.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when there is none, with each backend's reason.
    pub fn video_decoders(
        &self,
        config: &VideoDecoderConfig,
    ) -> Result<Vec<Arc<dyn VideoDecoderBackend>>, MediaError> {
        let mut found = Vec::new();
        let mut reasons = Vec::new();
        for backend in &self.video_decoders {
            match backend.check(config) {
                Ok(()) => found.push(backend.clone()),
                Err(error) => reasons.push(format!("{}: {error}", backend.name())),
            }
        }
        if found.is_empty() {
            let codec = config.codec.family();
            return Err(MediaError::unsupported(if reasons.is_empty() {
                format!("no decoder for {codec} is built in")
            } else {
                format!(
                    "no decoder for this {codec} configuration ({})",
                    reasons.join("; ")
                )
            }));
        }
        let software_first = config.hardware_acceleration == HardwareAcceleration::PreferSoftware;
        found.sort_by_key(|backend| backend.is_hardware() == software_first);
        Ok(found)
    }
}
