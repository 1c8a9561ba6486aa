//! CodecID and CodecPrivate: RFC 9559 and
//! <https://github.com/ietf-wg-cellar/matroska-specification/blob/master/codec_specs.md>.

use bytes::Bytes;
use reelcore_media::codec_string::PcmFormat;
use reelcore_media::mux::{MuxError, OutputKind, OutputTrack};
use reelcore_media::{AudioCodec, VideoCodec};

use super::track::Codec;
use crate::bitstream::audio::{Timing, aac_frames};
use crate::flac::header::STREAM_INFO;
use crate::mp4::codec::esds;
use crate::mp4::parse::{FourCc, Reader};
use crate::mux::{invalid, opus, xiph};

pub(super) fn parse(output: &OutputTrack, webm: bool) -> Result<Codec, MuxError> {
    let container = if webm { "WebM" } else { "Matroska" };
    let unsupported =
        |what: &dyn std::fmt::Display| MuxError::Unsupported(format!("{what} in {container}"));
    let codec = match output.kind {
        OutputKind::Video {
            coded_size, alpha, ..
        } => {
            let codec = VideoCodec::parse(&output.codec).map_err(|error| unsupported(&error))?;
            if coded_size.width == 0 || coded_size.height == 0 {
                return Err(invalid(format!(
                    "expected a coded size of 1 pixel or more a side, found {}x{}",
                    coded_size.width, coded_size.height
                )));
            }
            if alpha && !matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9(_)) {
                return Err(unsupported(&format!(
                    "alpha beside {}, other than VP8 and VP9,",
                    output.codec
                )));
            }
            Codec::Video(codec)
        }
        OutputKind::Audio {
            sample_rate,
            channels,
        } => {
            let codec = AudioCodec::parse(&output.codec).map_err(|error| unsupported(&error))?;
            if sample_rate == 0 || channels == 0 || channels > 255 {
                return Err(invalid(format!(
                    "expected a sample rate above 0 and 1 to 255 channels, found {sample_rate} and {channels}"
                )));
            }
            Codec::Audio(codec)
        }
    };
    let of_the_web = matches!(
        codec,
        Codec::Video(VideoCodec::Vp8 | VideoCodec::Vp9(_) | VideoCodec::Av1(_))
            | Codec::Audio(AudioCodec::Opus | AudioCodec::Vorbis)
    );
    if webm && !of_the_web {
        return Err(unsupported(&format!(
            "{}, other than VP8, VP9, AV1, Opus and Vorbis,",
            output.codec
        )));
    }
    Ok(codec)
}

pub(super) fn id(codec: &Codec) -> &'static str {
    match codec {
        Codec::Video(VideoCodec::Avc(_)) => "V_MPEG4/ISO/AVC",
        Codec::Video(VideoCodec::Hevc(_)) => "V_MPEGH/ISO/HEVC",
        Codec::Video(VideoCodec::Vp8) => "V_VP8",
        Codec::Video(VideoCodec::Vp9(_)) => "V_VP9",
        Codec::Video(VideoCodec::Av1(_)) => "V_AV1",
        Codec::Audio(AudioCodec::Aac(_)) => "A_AAC",
        Codec::Audio(AudioCodec::Mp3) => "A_MPEG/L3",
        Codec::Audio(AudioCodec::Opus) => "A_OPUS",
        Codec::Audio(AudioCodec::Vorbis) => "A_VORBIS",
        Codec::Audio(AudioCodec::Flac) => "A_FLAC",
        Codec::Audio(AudioCodec::Alaw | AudioCodec::Ulaw) => "A_MS/ACM",
        Codec::Audio(AudioCodec::Pcm(PcmFormat::F32)) => "A_PCM/FLOAT/IEEE",
        Codec::Audio(AudioCodec::Pcm(_)) => "A_PCM/INT/LIT",
    }
}

/// Bits of an uncompressed sample.
pub(super) fn bits(codec: &Codec) -> Option<u8> {
    match codec {
        Codec::Audio(AudioCodec::Pcm(format)) => Some(match format {
            PcmFormat::U8 => 8,
            PcmFormat::S16 => 16,
            PcmFormat::S24 => 24,
            PcmFormat::S32 | PcmFormat::F32 => 32,
        }),
        Codec::Audio(AudioCodec::Alaw | AudioCodec::Ulaw) => Some(8),
        _ => None,
    }
}

/// CodecPrivate, where the track's description tells it; `None` where the first packet has to.
pub(super) fn private(codec: &Codec, output: &OutputTrack) -> Result<Option<Bytes>, MuxError> {
    let description = output.description.clone();
    let (rate, channels) = match output.kind {
        OutputKind::Audio {
            sample_rate,
            channels,
        } => (sample_rate, channels),
        OutputKind::Video { .. } => (0, 0),
    };
    let needed = |what: &str| {
        let found = description.as_ref().map_or(0, Bytes::len);
        invalid(format!(
            "expected {what} as description of {}, found {found} bytes",
            output.codec
        ))
    };
    Ok(match codec {
        Codec::Video(VideoCodec::Vp9(vp9)) => {
            // https://www.webmproject.org/docs/container/#vp9-codec-feature-metadata-codecprivate
            let features = [
                [1, 1, vp9.profile],
                [2, 1, vp9.level],
                [3, 1, vp9.bit_depth],
                [4, 1, vp9.chroma],
            ];
            Some(features.concat().into())
        }
        // Its form was checked with the stream of NAL units.
        Codec::Video(VideoCodec::Avc(_) | VideoCodec::Hevc(_)) => description,
        Codec::Video(VideoCodec::Av1(_)) => {
            description.filter(|av1c| av1c.first() == Some(&0x81) && av1c.len() >= 4)
        }
        Codec::Audio(AudioCodec::Aac(_)) => match description {
            Some(config) => {
                let reader = Reader::new(FourCc(*b"esds"), config.clone(), 0);
                esds::audio_specific_config(reader)
                    .map_err(|error| invalid(format!("the description of AAC: {error}")))?;
                Some(config)
            }
            None => None,
        },
        Codec::Audio(AudioCodec::Opus) => Some(opus::head(description.as_ref(), rate, channels)?),
        Codec::Audio(AudioCodec::Vorbis) => {
            let valid = description.as_ref().and_then(xiph::headers).is_some();
            if !valid {
                return Err(needed("the three headers of Vorbis"));
            }
            description
        }
        Codec::Audio(AudioCodec::Flac) => {
            let flac = description
                .as_ref()
                .filter(|flac| flac.starts_with(b"fLaC") && flac.len() >= 8 + STREAM_INFO);
            Some(
                flac.ok_or_else(|| needed("\"fLaC\" and STREAMINFO"))?
                    .clone(),
            )
        }
        Codec::Audio(AudioCodec::Alaw | AudioCodec::Ulaw) => {
            // WAVEFORMATEX.
            let tag: u16 = if *codec == Codec::Audio(AudioCodec::Alaw) {
                6
            } else {
                7
            };
            let channels = u16::try_from(channels).unwrap_or(u16::MAX);
            let mut format = Vec::with_capacity(18);
            format.extend(tag.to_le_bytes());
            format.extend(channels.to_le_bytes());
            format.extend(rate.to_le_bytes());
            format.extend(rate.saturating_mul(u32::from(channels)).to_le_bytes());
            format.extend(channels.to_le_bytes());
            format.extend(8_u16.to_le_bytes());
            format.extend([0, 0]);
            Some(format.into())
        }
        Codec::Video(VideoCodec::Vp8) | Codec::Audio(AudioCodec::Mp3 | AudioCodec::Pcm(_)) => {
            Some(Bytes::new())
        }
    })
}

pub(super) fn aac_timing(config: &[u8]) -> Timing {
    aac_frames(config).map_or(Timing::Unknown, Timing::Constant)
}

/// How packets of sound tell how long they are.
pub(super) fn timing(codec: &Codec, output: &OutputTrack) -> Timing {
    let OutputKind::Audio {
        sample_rate: rate,
        channels,
    } = output.kind
    else {
        return Timing::Unknown;
    };
    match codec {
        Codec::Audio(AudioCodec::Opus) => Timing::Opus,
        Codec::Audio(AudioCodec::Mp3) => Timing::Mp3,
        Codec::Audio(AudioCodec::Flac) => Timing::Flac { rate },
        Codec::Audio(AudioCodec::Aac(_)) => output
            .description
            .as_deref()
            .map_or(Timing::Unknown, aac_timing),
        _ => match bits(codec) {
            Some(bits) => Timing::Pcm {
                bytes_per_frame: u32::from(bits / 8) * channels,
                rate,
            },
            None => Timing::Unknown,
        },
    }
}
