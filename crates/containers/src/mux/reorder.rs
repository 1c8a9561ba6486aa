//! How far a stream of pictures reorders, from its parameter sets.

use bytes::Bytes;
use reelcore_media::VideoCodec;
use reelcore_media::h264::{self, AvcC};
use reelcore_media::hevc::{self, HvcC, NalType};

use super::decode_times::DecodeTimes;

/// Decode times for packets of `codec` that have none. `description` is an avcC or hvcC.
pub(crate) fn decode_times(codec: &VideoCodec, description: Option<&Bytes>) -> DecodeTimes {
    match codec {
        VideoCodec::Avc(_) => DecodeTimes::reordered(description.and_then(|bytes| h264(bytes))),
        VideoCodec::Hevc(_) => DecodeTimes::reordered(description.and_then(|bytes| hevc(bytes))),
        _ => DecodeTimes::in_order(),
    }
}

/// How many pictures are coded before another and shown after it, at most, where the parameter sets of a track with this codec
/// string say so.
pub(crate) fn depth(codec: &str, description: &[u8]) -> Option<usize> {
    match codec.get(..4)? {
        "avc1" | "avc3" => h264(description),
        "hvc1" | "hev1" => hevc(description),
        _ => None,
    }
}

/// What the stream says itself. Without it the bound that the standard infers is many times what is used: packets are
/// looked at then.
fn h264(description: &[u8]) -> Option<usize> {
    let record = AvcC::parse(description).ok()?;
    let mut depth = 0;
    for sps in &record.sps {
        let sps = h264::Sps::parse(&h264::Nal::new(0, sps).ok()?).ok()?;
        let said = sps.vui.max_reorder_frames;
        depth = depth.max(said.or_else(|| (sps.reorder_frames() == 0).then_some(0))?);
    }
    (!record.sps.is_empty()).then_some(depth as usize)
}

fn hevc(description: &[u8]) -> Option<usize> {
    let record = HvcC::parse(description).ok()?;
    let mut depth = None;
    for unit in record.units(NalType::SPS) {
        let sps = hevc::Sps::parse(&hevc::Nal::new(0, unit).ok()?).ok()?;
        depth = depth.max(Some(sps.ordering.max_num_reorder as usize));
    }
    depth
}
