//! Which configurations are decoded.

use std::ffi::OsString;

use reelcore_media::codec::DecoderContext;
use reelcore_media::hevc::{HvcC, Packaging};
use reelcore_media::{
    MediaError, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

use crate::decoder::{Decoder, guard};
use crate::sets::{ParameterSets, check_size};

/// The HEVC software decoder over rusty_h265: Main, Main 10 and Main Still Picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hevc;

impl VideoDecoderBackend for Hevc {
    fn name(&self) -> &'static str {
        "rusty_h265"
    }

    /// rusty_h265 decodes on the calling thread.
    fn max_threads(&self) -> usize {
        1
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Hevc(_))
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        setup(config).map(drop)
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        check_environment(std::env::vars_os().map(|(name, _)| name))?;
        let (packaging, sets) = setup(config)?;
        Ok(Box::new(Decoder::new(context, packaging, sets)))
    }
}

/// rusty_h265 reads switches of its own developers from the environment, which leave out filters or prediction
/// (`RH265_NO_LF`, `RH265_ABLATE_MC` and more) or write to the standard error. Nothing but the stream may decide what a
/// picture looks like, and a library cannot safely change its process's environment: where one of them is set,
/// another backend decodes, or none.
fn check_environment(names: impl Iterator<Item = OsString>) -> Result<(), MediaError> {
    let mut names = names.map(|name| name.to_string_lossy().into_owned());
    match names.find(|name| name.starts_with("RH265_")) {
        None => Ok(()),
        Some(name) => Err(MediaError::unsupported(format!(
            "the environment variable {name} changes what rusty_h265 decodes: unset it"
        ))),
    }
}

/// What a decoder starts from: how chunks are packed, and the parameter sets of the hvcC where there is one.
fn setup(config: &VideoDecoderConfig) -> Result<(Packaging, ParameterSets), MediaError> {
    let VideoCodec::Hevc(hevc) = &config.codec else {
        return Err(MediaError::unsupported(format!(
            "rusty_h265 decodes HEVC, not {}",
            config.codec
        )));
    };
    // general_profile_compatibility_flag[1] to [3].
    let compatible = hevc.compatibility & (0b111 << 28) != 0;
    if hevc.profile_space != 0 || !(matches!(hevc.profile, 1..=3) || compatible) {
        let name = match hevc.profile {
            4 => "range extensions",
            5 => "High Throughput",
            6 => "Multiview Main",
            7 => "Scalable",
            8 => "3D Main",
            9 | 11 => "screen content coding",
            10 => "scalable range extensions",
            _ => "an unknown one",
        };
        return Err(MediaError::unsupported(format!(
            "rusty_h265 decodes the Main, Main 10 and Main Still Picture profiles (1, 2, 3), not {} ({name})",
            hevc.profile
        )));
    }
    if let Some(size) = config.coded_size {
        check_size(size)?;
    }
    // https://www.w3.org/TR/webcodecs-hevc-codec-registration/#videodecoderconfig-description
    // With a description it is an hvcC and chunks are in "hevc" form; without, in "annexb" form.
    let Some(description) = &config.description else {
        return Ok((Packaging::AnnexB, ParameterSets::new()));
    };
    let unsupported = |error: MediaError| MediaError::unsupported(format!("description: {error}"));
    let hvcc = HvcC::parse(description).map_err(unsupported)?;
    let sets = guard(|| ParameterSets::of_record(&hvcc)).map_err(unsupported)?;
    let length_size = hvcc.length_size;
    Ok((Packaging::Hevc { length_size }, sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variable_of_the_environment_changes_pictures() {
        let check = |names: &[&str]| check_environment(names.iter().map(OsString::from));
        assert!(check(&["PATH", "XRH265_NO_LF", "RH26"]).is_ok());
        let error = check(&["PATH", "RH265_NO_LF"]).unwrap_err();
        assert!(error.message.contains("RH265_NO_LF"), "{error}");
        assert!(check(&["RH265_ABLATE_MC"]).is_err());
    }
}
