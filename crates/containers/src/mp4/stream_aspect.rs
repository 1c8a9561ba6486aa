//! What the streams themselves say of the shape of their pixels.

use reelcore_media::h264::{self, AvcC};
use reelcore_media::hevc::{self, HvcC, NalType};

use super::codec::Codec;

/// Whether no picture says that its pixels are anything but square: streams of VP8, VP9 and AV1 cannot, those of H.264 and HEVC
/// do in their parameter sets. Where these are in the stream alone it is not known: false.
pub(crate) fn is_square(codec: &Codec) -> bool {
    let family = codec.string.split('.').next().unwrap_or_default();
    let record = codec.description.as_deref();
    let aspects = match (family, record) {
        ("vp8" | "vp09" | "av01", _) => return true,
        ("avc1" | "avc3", Some(record)) => avc_aspects(record),
        ("hvc1" | "hev1", Some(record)) => hevc_aspects(record),
        _ => return false,
    };
    !aspects.is_empty()
        && aspects
            .iter()
            .all(|aspect| aspect.is_none_or(|(width, height)| width == height))
}

/// Of each sequence parameter set, where it says one. None at all for a record that is damaged.
type Aspects = Vec<Option<(u16, u16)>>;

fn avc_aspects(record: &[u8]) -> Aspects {
    let Ok(record) = AvcC::parse(record) else {
        return Aspects::new();
    };
    let sets = record.sps.iter().map(|set| {
        let sps = h264::Sps::parse(&h264::Nal::new(0, set).ok()?).ok()?;
        Some(sps.vui.sample_aspect)
    });
    sets.collect::<Option<_>>().unwrap_or_default()
}

fn hevc_aspects(record: &[u8]) -> Aspects {
    let Ok(record) = HvcC::parse(record) else {
        return Aspects::new();
    };
    let arrays = record.arrays.iter();
    let sets = arrays
        .filter(|array| array.nal_type == NalType::SPS)
        .flat_map(|array| &array.units);
    let aspects = sets.map(|set| {
        let sps = hevc::Sps::parse(&hevc::Nal::new(0, set).ok()?).ok()?;
        Some(sps.vui.sample_aspect)
    });
    aspects.collect::<Option<_>>().unwrap_or_default()
}
