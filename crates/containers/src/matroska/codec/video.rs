//! Codecs of pictures.

use reelcore_media::Size;
use reelcore_media::demux::DemuxError;
use reelcore_media::h264::{AvcC, Nal, Sps};
use reelcore_media::hevc::{self, HvcC, NalType};

use super::Private;
use crate::annexb::{Splitter, Syntax};
use crate::bitstream::vp9;
use crate::mp4::codec::Codec;
use crate::mp4::codec::video::{self as boxes, Nclx};
use crate::mp4::parse::FourCc;

/// A codec whose string stands in the first frame alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFrame {
    Vp9,
    Av1,
    /// H.264 and HEVC as byte streams with start codes, which have no CodecPrivate.
    Avc,
    Hevc,
}

/// What a frame tells of its track's codec.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) codec: Codec,
    pub(crate) reorder: Option<usize>,
}

/// What a track's codec is.
#[derive(Clone, Debug, Default)]
pub(crate) struct VideoCodec {
    pub(crate) codec: Option<Codec>,
    pub(crate) in_frame: Option<InFrame>,
    /// Frames that can stand before a frame in decoding order and after it in presentation order; `None` where that is
    /// not known.
    pub(crate) reorder: Option<usize>,
    /// A block addition with ID 1 is the alpha plane.
    pub(crate) alpha: bool,
}

/// What the container says of pictures, for codec strings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Picture {
    /// Primaries, transfer characteristics, matrix coefficients; 2 where not given.
    pub(crate) code_points: Option<[u8; 3]>,
    pub(crate) full_range: Option<bool>,
    pub(crate) size: Size,
    pub(crate) frame_nanos: Option<u64>,
}

impl Picture {
    fn nclx(&self) -> Option<Nclx> {
        let [primaries, transfer, matrix] = self.code_points?;
        Some(Nclx::new(primaries, transfer, matrix, self.full_range))
    }
}

pub(crate) fn video(
    id: &str,
    private: &Private,
    picture: &Picture,
) -> Result<VideoCodec, DemuxError> {
    let in_order = |codec| VideoCodec {
        codec,
        reorder: Some(0),
        ..VideoCodec::default()
    };
    let empty = private.data.is_empty();
    Ok(match id {
        "V_VP8" => VideoCodec {
            alpha: true,
            ..in_order(Some(Codec::new("vp8", None)))
        },
        "V_VP9" => {
            let codec = vp9_private(&private.data, picture);
            VideoCodec {
                in_frame: codec.is_none().then_some(InFrame::Vp9),
                alpha: true,
                ..in_order(codec)
            }
        }
        "V_AV1" if empty => VideoCodec {
            in_frame: Some(InFrame::Av1),
            ..in_order(None)
        },
        "V_AV1" => in_order(Some(boxes::av1(private.as_box(b"av1C"), picture.nclx())?)),
        "V_MPEG4/ISO/AVC" if empty => VideoCodec {
            in_frame: Some(InFrame::Avc),
            ..VideoCodec::default()
        },
        "V_MPEGH/ISO/HEVC" if empty => VideoCodec {
            in_frame: Some(InFrame::Hevc),
            ..VideoCodec::default()
        },
        "V_MPEG4/ISO/AVC" => VideoCodec {
            codec: Some(boxes::avc(FourCc(*b"avc1"), private.as_box(b"avcC"))?),
            reorder: avc_reorder(&private.data),
            ..VideoCodec::default()
        },
        "V_MPEGH/ISO/HEVC" => {
            // What the record is worth is said by those who decode with it.
            let sets = HvcC::parse(&private.data).ok();
            let complete = sets.as_ref().is_some_and(is_complete);
            let entry = if complete { b"hvc1" } else { b"hev1" };
            VideoCodec {
                codec: Some(boxes::hevc(FourCc(*entry), private.as_box(b"hvcC"))?),
                reorder: sets.as_ref().and_then(hevc_reorder),
                ..VideoCodec::default()
            }
        }
        // BITMAPINFOHEADER: 40 bytes, with the code of the codec at byte 16, then the codec's own.
        "V_MS/VFW/FOURCC" => match private.data.get(16..20) {
            Some(b"VP80") => video("V_VP8", &private.skip(40), picture)?,
            Some(b"VP90") => video("V_VP9", &private.skip(40), picture)?,
            Some(b"AV01") => video("V_AV1", &private.skip(40), picture)?,
            _ => VideoCodec::default(),
        },
        _ => VideoCodec::default(),
    })
}

/// VP9's codec features: <https://www.webmproject.org/docs/container/#vp9-codec-feature-metadata-codecprivate>.
fn vp9_private(private: &[u8], picture: &Picture) -> Option<Codec> {
    let (mut profile, mut level, mut depth, mut chroma) = (None, None, None, None);
    let mut rest = private;
    while let [id, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        match (id, value) {
            (1, [value]) => profile = Some(*value),
            (2, [value]) => level = Some(*value),
            (3, [value]) => depth = Some(*value),
            (4, [value]) => chroma = Some(*value),
            _ => {}
        }
        rest = after.get(usize::from(*length)..)?;
    }
    let profile = profile.filter(|&profile| profile <= 3)?;
    // Profiles 2 and 3 have 10 or 12 bits: the frames know.
    let depth = depth.or((profile < 2).then_some(8))?;
    let level = level.filter(|&level| level > 0);
    let string = vp9::codec_string(
        profile,
        level.unwrap_or_else(|| vp9::level(picture.size, picture.frame_nanos)),
        depth,
        chroma
            .filter(|&chroma| chroma <= 3)
            .or((profile & 1 == 0).then_some(1))?,
        picture.code_points,
        picture.full_range,
    );
    Some(Codec::new(string, None))
}

/// The codec that the first frame of a track tells.
pub(crate) fn from_frame(kind: InFrame, frame: &[u8], picture: &Picture) -> Option<Told> {
    let string = match kind {
        InFrame::Avc => return from_byte_stream(Syntax::h264(), frame),
        InFrame::Hevc => return from_byte_stream(Syntax::hevc(), frame),
        InFrame::Av1 => crate::bitstream::av1::sequence_header(frame)?.codec_string(),
        InFrame::Vp9 => {
            // What the container says of colour comes first.
            let color = picture
                .code_points
                .map(|points| (points, picture.full_range));
            vp9::from_key_frame(frame, picture.frame_nanos, color)?
        }
    };
    Some(Told {
        codec: Codec::new(string, None),
        reorder: Some(0),
    })
}

/// What the parameter sets of an access unit with start codes say. Without a description, decoders take packets in that form.
fn from_byte_stream(syntax: Syntax, frame: &[u8]) -> Option<Told> {
    let zeros = frame.iter().take_while(|&&byte| byte == 0).count();
    if zeros < 2 || frame.get(zeros) != Some(&1) {
        return None;
    }
    let mut splitter = Splitter::new(syntax);
    splitter.step(frame, true);
    let info = splitter.syntax.info()?;
    Some(Told {
        codec: Codec::new(info.codec, None),
        reorder: Some(usize::from(info.reorder)),
    })
}

/// max_num_reorder_frames of the sequence parameter sets in an `avcC`.
fn avc_reorder(avcc: &[u8]) -> Option<usize> {
    let sets = AvcC::parse(avcc).ok()?;
    let frames = sets.sps.iter().map(|set| {
        let nal = Nal::new(0, set).ok()?;
        Sps::parse(&nal)
            .ok()
            .map(|sps| sps.reorder_frames() as usize)
    });
    frames.max().flatten()
}

/// sps_max_num_reorder_pics of the sequence parameter sets in an `hvcC`.
fn hevc_reorder(sets: &HvcC) -> Option<usize> {
    let frames = sets.units(NalType::SPS).map(|set| {
        let nal = hevc::Nal::new(0, set).ok()?;
        let sps = hevc::Sps::parse(&nal).ok()?;
        usize::try_from(sps.ordering.max_num_reorder).ok()
    });
    frames.max().flatten().filter(|&frames| frames <= 16)
}

/// Whether the frames hold no parameter sets, which `hvc1` promises.
fn is_complete(sets: &HvcC) -> bool {
    [NalType::VPS, NalType::SPS, NalType::PPS]
        .iter()
        .all(|kind| {
            let mut arrays = sets
                .arrays
                .iter()
                .filter(|array| array.nal_type == *kind)
                .peekable();
            arrays.peek().is_some() && arrays.all(|array| array.complete)
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn private(data: &'static [u8]) -> Private {
        Private {
            data: Bytes::from_static(data),
            offset: 100,
        }
    }

    fn string(codec: Option<Codec>) -> String {
        codec.map(|codec| codec.string).unwrap_or_default()
    }

    #[test]
    fn vp9_strings_come_from_the_feature_list_and_the_colour() {
        let mut picture = Picture {
            size: Size::new(640, 360),
            ..Picture::default()
        };
        let vp9 = |data, picture: &Picture| video("V_VP9", &private(data), picture).expect("valid");
        let full = b"\x01\x01\x00\x02\x01\x1e\x03\x01\x08\x04\x01\x01";
        assert_eq!(string(vp9(full, &picture).codec), "vp09.00.30.08");
        assert_eq!(
            string(vp9(b"\x01\x01\x00", &picture).codec),
            "vp09.00.21.08"
        );
        let deep = b"\x01\x01\x03\x02\x01\x1e\x03\x01\x0a\x04\x01\x03";
        assert_eq!(
            string(vp9(deep, &picture).codec),
            "vp09.03.30.10.03.02.02.02.00"
        );
        picture.code_points = Some([9, 16, 9]);
        picture.full_range = Some(false);
        assert_eq!(
            string(vp9(full, &picture).codec),
            "vp09.00.30.08.01.09.16.09.00"
        );
        // No list, or one that leaves the depth open: the frames know.
        for open in [&b""[..], b"\x01\x01\x02", b"\x01\x09\x00"] {
            let found = vp9(open, &picture);
            assert_eq!((found.codec, found.in_frame), (None, Some(InFrame::Vp9)));
        }
    }
}
