//! Names of containers.

/// A container that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// ISO base media: `mp4`, `m4a`, `m4v`.
    Mp4,
    /// MP4 in fragments, as CMAF and Media Source Extensions have it.
    FragmentedMp4,
    /// The part of Matroska for the Web.
    WebM,
    /// Matroska: `mkv`, `mka`.
    Matroska,
    /// Ogg: `ogg`, `oga`, `opus`.
    Ogg,
    /// RIFF WAVE, RF64 where it grows beyond 4 GiB.
    Wav,
    /// AAC frame by frame.
    Adts,
    /// FLAC frame by frame, in its own container.
    Flac,
    /// MP3 frame by frame.
    Mp3,
    /// VP8, VP9 or AV1 frame by frame.
    Ivf,
    /// MPEG-2 transport stream.
    MpegTs,
}

impl Format {
    /// Every container.
    pub const ALL: &'static [Self] = &[
        Self::Mp4,
        Self::FragmentedMp4,
        Self::WebM,
        Self::Matroska,
        Self::Ogg,
        Self::Wav,
        Self::Adts,
        Self::Ivf,
        Self::MpegTs,
        Self::Flac,
        Self::Mp3,
    ];

    /// The short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::FragmentedMp4 => "fmp4",
            Self::WebM => "webm",
            Self::Matroska => "matroska",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Adts => "adts",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Ivf => "ivf",
            Self::MpegTs => "mpegts",
        }
    }

    /// The container of that short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.name() == name)
    }

    /// The container that a file name's extension means, without the dot and in any case.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "mp4" | "m4a" | "m4v" | "m4b" => Self::Mp4,
            "m4s" | "cmfv" | "cmfa" | "cmfc" => Self::FragmentedMp4,
            "webm" => Self::WebM,
            "mkv" | "mka" => Self::Matroska,
            "ogg" | "oga" | "opus" => Self::Ogg,
            "wav" | "wave" => Self::Wav,
            "aac" | "adts" => Self::Adts,
            "flac" => Self::Flac,
            "mp3" => Self::Mp3,
            "ivf" => Self::Ivf,
            "ts" | "mts" | "m2t" => Self::MpegTs,
            _ => return None,
        })
    }

    /// The MIME type, without codecs. `audio` where no track has pictures.
    pub const fn mime_type(self, audio: bool) -> &'static str {
        match (self, audio) {
            (Self::Mp4 | Self::FragmentedMp4, false) => "video/mp4",
            (Self::Mp4 | Self::FragmentedMp4, true) => "audio/mp4",
            (Self::WebM, false) => "video/webm",
            (Self::WebM, true) => "audio/webm",
            (Self::Matroska, false) => "video/matroska",
            (Self::Matroska, true) => "audio/matroska",
            (Self::Ogg, _) => "audio/ogg",
            (Self::Wav, _) => "audio/wav",
            (Self::Adts, _) => "audio/aac",
            (Self::Flac, _) => "audio/flac",
            (Self::Mp3, _) => "audio/mpeg",
            (Self::Ivf, _) => "video/x-ivf",
            (Self::MpegTs, _) => "video/mp2t",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_container() {
        for &format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("MP4"), None);
        assert_eq!(Format::from_extension("MKV"), Some(Format::Matroska));
        assert_eq!(Format::from_extension("txt"), None);
    }
}
