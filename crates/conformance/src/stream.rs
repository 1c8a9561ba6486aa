//! The streams and their chunks.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reelcore_media::codec_string::Avc;
use reelcore_media::h264::{NalKind, Packaging, nal_units};
use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};
use reelcore_media::{ChunkKind, EncodedChunk, VideoCodec, VideoDecoderConfig, av1, hevc};

use crate::av1::annexb_to_low_overhead;
use crate::error::Error;
use crate::ivf::ivf_frames;
use crate::locate::{package, vectors};
use crate::md5::Layout;
use crate::{ffmpeg, h264};

/// The codecs that there are streams of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// H.264, in Annex B.
    H264,
    /// H.265, in Annex B.
    H265,
    /// VP8, in IVF.
    Vp8,
    /// VP9, in IVF.
    Vp9,
    /// AV1, in IVF: temporal units in low-overhead or in length-delimited form.
    Av1,
}

impl Family {
    /// The folder of its streams, and how their names end.
    fn files(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::H264 => ("h264", &["h264", "264", "jsv"]),
            Self::H265 => ("h265", &["h265", "265"]),
            Self::Vp8 => ("vp8", &["vp8", "ivf"]),
            Self::Vp9 => ("vp9", &["vp9", "ivf"]),
            Self::Av1 => ("av1", &["av1", "ivf"]),
        }
    }
}

/// The MD5 of each frame in output order, of its visible part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// What they are of.
    pub layout: Layout,
    /// One for each frame, in lower-case hexadecimal.
    pub md5: Vec<String>,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The file's name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its codec.
    pub family: Family,
    /// What others decoded from it: none, or one or two for the same frames.
    pub checksums: Vec<Checksums>,
}

/// The checksums of this stream are of pictures without the cropping at the left, which FFmpeg rounds to what its
/// buffers are aligned to.
const LEFT_NOT_CROPPED: &str = "CVFC1_Sony_C.jsv";

/// This one's file of checksums has one for the whole stream.
const ONE_CHECKSUM: &str = "resolution_change_500frames-vp9.ivf";

/// Every stream of `family`, by name: those of the package, then those of `../shared/vectors` where it is there.
///
/// # Errors
/// [`Error::NoPackage`] when the package cannot be had: not a reason to skip a test.
pub fn streams(family: Family) -> Result<Vec<Stream>, Error> {
    let (folder, endings) = family.files();
    let mut found = list(
        &package()?.join(format!("src/codec/{folder}/test_data")),
        family,
        endings,
        true,
    )?;
    match vectors() {
        Some(vectors) if vectors.join(folder).is_dir() => {
            found.extend(list(&vectors.join(folder), family, endings, false)?);
        }
        Some(_) => {}
        None => eprintln!(
            "no ../shared/vectors (../shared/prepare.sh fetches them): the {folder} streams of cros-codecs alone"
        ),
    }
    Ok(found)
}

/// The streams of one folder. In the `package`, .md5 is of NV12 and .json of I420; elsewhere .md5 is of I420.
fn list(
    folder: &Path,
    family: Family,
    endings: &[&str],
    package: bool,
) -> Result<Vec<Stream>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::file(folder, error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::file(folder, error))?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        if !endings.contains(&ending) {
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let mut checksums = Vec::new();
        let beside = |suffix: &str| path.with_file_name(format!("{name}.{suffix}"));
        let md5 = beside("md5");
        if md5.is_file() && name != ONE_CHECKSUM {
            let text = std::fs::read_to_string(&md5).map_err(|error| Error::file(&md5, error))?;
            checksums.push(Checksums {
                layout: if package {
                    Layout::Nv12
                } else {
                    Layout::Planar
                },
                md5: text.split_whitespace().map(str::to_string).collect(),
            });
        }
        let json = beside("json");
        if json.is_file() {
            let text = std::fs::read(&json).map_err(|error| Error::file(&json, error))?;
            let value: serde_json::Value =
                serde_json::from_slice(&text).map_err(|error| Error::format(&json, error))?;
            let sums = value["md5_checksums"].as_array();
            let sums = sums.ok_or_else(|| Error::format(&json, "expected md5_checksums"))?;
            checksums.push(Checksums {
                layout: Layout::Planar,
                md5: sums
                    .iter()
                    .filter_map(|sum| Some(sum.as_str()?.to_string()))
                    .collect(),
            });
        }
        found.push(Stream {
            name,
            path,
            family,
            checksums,
        });
    }
    if found.is_empty() {
        return Err(Error::format(folder, "no stream in it"));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

impl Stream {
    /// A stream that the `ffmpeg` command made, in Annex B or IVF, with the checksums of what `ffmpeg` decodes from
    /// it as `pix_fmt`, which must be the layout in which the decoder under test gives its frames.
    ///
    /// # Errors
    /// [`Error::Ffmpeg`].
    pub fn with_ffmpeg_checksums(
        path: PathBuf,
        family: Family,
        pix_fmt: &str,
        decoder: &[&str],
    ) -> Result<Self, Error> {
        let md5 = ffmpeg::framemd5(&path, pix_fmt, decoder)?;
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            path,
            family,
            checksums: vec![Checksums {
                layout: Layout::Planar,
                md5,
            }],
        })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn bytes(&self) -> Result<Bytes, Error> {
        let bytes = std::fs::read(&self.path).map_err(|error| Error::file(&self.path, error))?;
        Ok(bytes.into())
    }

    /// Whether the checksums show the part that is cropped off at the left.
    pub fn left_not_cropped(&self) -> bool {
        self.name == LEFT_NOT_CROPPED
    }

    /// A configuration without a description; of H.264 with the profile and level of the first sequence parameter
    /// set, of the others with a profile of 8 bits and a high level.
    ///
    /// # Errors
    /// [`Error::Format`] for H.264 without a sequence parameter set.
    pub fn config(&self) -> Result<VideoDecoderConfig, Error> {
        let string = match self.family {
            Family::H264 => return self.avc_config(),
            Family::H265 => "hev1.1.6.L153.B0",
            Family::Vp8 => "vp8",
            Family::Vp9 => "vp09.00.51.08",
            Family::Av1 => "av01.0.13M.08",
        };
        let codec = VideoCodec::parse(string).map_err(|error| Error::format(&self.path, error))?;
        Ok(VideoDecoderConfig::new(codec))
    }

    fn avc_config(&self) -> Result<VideoDecoderConfig, Error> {
        let bytes = self.bytes()?;
        for nal in nal_units(&bytes, Packaging::AnnexB) {
            let nal = nal.map_err(Error::media(&self.path))?;
            if nal.kind == NalKind::Sps
                && let [_, profile, constraints, level, ..] = *nal.bytes
            {
                return Ok(VideoDecoderConfig::new(VideoCodec::Avc(Avc {
                    in_band: true,
                    profile,
                    constraints,
                    level,
                })));
            }
        }
        Err(Error::format(&self.path, "no sequence parameter set"))
    }

    /// The stream as chunks in decoding order. The timestamp of each is 40,000 times its place in the output (of
    /// H.265: in decoding order), its duration 1000 plus its place in decoding order: all are distinct.
    ///
    /// # Errors
    /// [`Error::Format`] for what the family's syntax does not permit.
    pub fn chunks(&self) -> Result<Vec<EncodedChunk>, Error> {
        let bytes = self.bytes()?;
        let fail = Error::media(&self.path);
        let units: Vec<(Bytes, bool, usize)> = match self.family {
            Family::H264 => h264::units(&bytes)
                .map_err(fail)?
                .into_iter()
                .map(|unit| (bytes.slice(unit.range), unit.idr, unit.rank))
                .collect(),
            Family::H265 => hevc::access_units(&bytes)
                .map_err(fail)?
                .into_iter()
                .enumerate()
                .map(|(index, unit)| (bytes.slice(unit.range), unit.irap, index))
                .collect(),
            Family::Vp8 | Family::Vp9 | Family::Av1 => {
                let mut units = Vec::new();
                for (index, data) in ivf_frames(&self.path, &bytes)?.into_iter().enumerate() {
                    // A temporal unit in low-overhead form starts with a temporal delimiter.
                    let data = match self.family {
                        Family::Av1 if !data.starts_with(&[0x12, 0]) => {
                            annexb_to_low_overhead(&data)
                                .ok_or_else(|| Error::format(&self.path, "no temporal unit"))?
                                .into()
                        }
                        _ => data,
                    };
                    let key = self.is_key(&data)?;
                    units.push((data, key, index));
                }
                units
            }
        };
        Ok(units
            .into_iter()
            .enumerate()
            .map(|(index, (data, key, rank))| EncodedChunk {
                kind: if key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp: rank as i64 * 40_000,
                duration: Some(1000 + index as u64),
                data,
                side: None,
            })
            .collect())
    }

    /// Whether timestamps come out in ascending order: where the chunks' place in the output is known.
    pub(crate) fn ascending(&self) -> bool {
        self.family != Family::H265
    }

    fn is_key(&self, data: &[u8]) -> Result<bool, Error> {
        let fail = Error::media(&self.path);
        Ok(match self.family {
            Family::Vp8 => Vp8FrameHeader::parse(data).map_err(fail)?.key.is_some(),
            Family::Vp9 => {
                let superframe = Superframe::parse(data).map_err(&fail)?;
                let first = superframe.frames().first().cloned().unwrap_or(0..0);
                let header = Vp9FrameHeader::parse(data.get(first).unwrap_or(&[]));
                header.map_err(fail)?.kind == Vp9FrameKind::Key
            }
            _ => av1::inspect(data).map_err(fail)?.first_frame_is_key == Some(true),
        })
    }
}
