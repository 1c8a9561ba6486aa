//! Sequence parameter sets: what OpenH264 decodes rightly, and how it is told.

use reelcore_media::h264::{Nal, NalKind, Pps, START_CODE, Sps, escape_into};
use reelcore_media::{MediaError, Size};

/// The largest picture that OpenH264 takes, in macroblocks: MaxFS of level 5.2 (table A-1).
const MAX_FRAME_MBS: u64 = 36_864;

/// nal_ref_idc 3, nal_unit_type 7.
const SPS_HEADER: u8 = 0x67;

/// The set in `nal`, a NAL unit with its header byte.
pub(crate) fn parse_sps(nal: &[u8]) -> Result<Sps, MediaError> {
    let nal = Nal::new(0, nal)?;
    if nal.kind != NalKind::Sps {
        return Err(MediaError::invalid_data(format!(
            "a NAL unit of type {:?} where an SPS is expected",
            nal.kind
        )));
    }
    Sps::parse(&nal)
}

/// Whether OpenH264 takes pictures of `size` pixels.
pub(crate) fn check_size(size: Size) -> Result<(), MediaError> {
    let width = u64::from(size.width.div_ceil(16));
    let height = u64::from(size.height.div_ceil(16));
    // A.3.1: neither side may pass sqrt(8 * MaxFS).
    let side = |mbs: u64| mbs * mbs <= 8 * MAX_FRAME_MBS;
    if width * height <= MAX_FRAME_MBS && side(width) && side(height) {
        return Ok(());
    }
    Err(MediaError::unsupported(format!(
        "OpenH264 decodes pictures of up to {MAX_FRAME_MBS} macroblocks, not {}x{} pixels ({} macroblocks)",
        size.width,
        size.height,
        width * height
    )))
}

/// Whether OpenH264 decodes streams of `sps`.
pub(crate) fn check_sps(sps: &Sps) -> Result<(), MediaError> {
    let reason = if !sps.frames_only {
        "interlaced coding (frame_mbs_only_flag is 0)".into()
    } else if sps.bit_depth != [8, 8] {
        format!(
            "samples of {} (luma) and {} (chroma) bits",
            sps.bit_depth[0], sps.bit_depth[1]
        )
    } else if sps.chroma_format > 1 {
        let name = if sps.chroma_format == 2 {
            "4:2:2"
        } else {
            "4:4:4"
        };
        format!("{name} chroma")
    } else if sps.lossless {
        "lossless macroblocks (qpprime_y_zero_transform_bypass_flag is 1)".into()
    } else if !matches!(sps.profile, 66 | 77 | 88 | 100) {
        format!("profile_idc {}", sps.profile)
    } else {
        return check_size(sps.coded_size);
    };
    Err(MediaError::unsupported(format!(
        "OpenH264 does not decode {reason}"
    )))
}

/// Whether OpenH264 decodes pictures of `pps`.
pub(crate) fn check_pps(pps: &Pps) -> Result<(), MediaError> {
    if pps.slice_groups > 1 && pps.slice_group_map_type > 1 {
        return Err(MediaError::unsupported(format!(
            "OpenH264 does not decode slice groups of map type {}",
            pps.slice_group_map_type
        )));
    }
    Ok(())
}

/// Appends the set that OpenH264 is given for `sps`, in Annex B.
///
/// It says what `sps` says about decoding, with three changes:
/// - profile_idc: OpenH264 buffers and reorders the pictures of every profile but Baseline and
///   Scalable Baseline by rules of its own, which lose the low delay that a stream permits. Main and
///   High streams are given as Scalable Baseline, whose set has the elements of High and whose
///   pictures come out in decoding order at once. Which tools a picture uses is in its picture
///   parameter set and slices, not in the profile.
/// - no cropping: the frame shows the cropped part of a whole picture.
/// - no usability information: OpenH264 uses none.
pub(crate) fn write_sps(sps: &Sps, out: &mut Vec<u8>) {
    const SCALABLE_BASELINE: u8 = 83;
    let mut bits = BitWriter::default();
    let baseline = sps.profile == 66;
    bits.u(
        8,
        u32::from(if baseline {
            sps.profile
        } else {
            SCALABLE_BASELINE
        }),
    );
    bits.u(8, u32::from(sps.constraints));
    bits.u(8, u32::from(sps.level));
    bits.ue(u32::from(sps.id));
    if !baseline && !Sps::has_chroma_format(sps.profile) {
        // chroma_format_idc 4:2:0, 8 bits, no lossless macroblocks, no scaling lists.
        bits.ue(1);
        bits.ue(0);
        bits.ue(0);
        bits.u(2, 0);
    }
    for bit in sps.body.clone() {
        let byte = sps.rbsp.get(bit / 8).copied().unwrap_or(0);
        bits.u(1, u32::from(byte >> (7 - bit % 8)) & 1);
    }
    // frame_cropping_flag, vui_parameters_present_flag.
    bits.u(2, 0);
    out.extend_from_slice(&START_CODE);
    out.push(SPS_HEADER);
    bits.finish(out);
}

/// Bits of a payload, the most significant first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn u(&mut self, n: u32, value: u32) {
        for bit in (0..n).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> bit) & 1) as u8) << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.u(length - 1, 0);
        self.u(length, code);
    }

    /// rbsp_trailing_bits(), then the payload with emulation prevention (7.4.1).
    fn finish(mut self, out: &mut Vec<u8>) {
        self.u(1, 1);
        escape_into(&self.bytes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1280x720, Main, POC type 0, cropped, with usability information; made by x264.
    const MAIN: &[u8] = &[
        0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0xb5, 0x01, 0x01, 0x01, 0x40,
        0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0c, 0x03, 0xc6, 0x0c, 0x65, 0x80,
    ];

    #[test]
    fn the_rewritten_set_decodes_to_the_same_elements() {
        let sps = parse_sps(MAIN).unwrap();
        assert_eq!(sps.coded_size, Size::new(1280, 720));
        let mut out = Vec::new();
        write_sps(&sps, &mut out);
        let again = parse_sps(&out[4..]).unwrap();
        assert_eq!(again.profile, 83);
        assert_eq!(again.log2_max_frame_num, sps.log2_max_frame_num);
        assert_eq!(again.poc, sps.poc);
        assert_eq!(again.max_ref_frames, sps.max_ref_frames);
        assert_eq!(again.coded_size, sps.coded_size);
        assert_eq!(again.visible.size(), again.coded_size);
    }

    #[test]
    fn what_openh264_cannot_decode_is_refused_with_the_reason() {
        let sps = parse_sps(MAIN).unwrap();
        assert!(check_sps(&sps).is_ok());
        let refused = |change: &dyn Fn(&mut Sps)| {
            let mut sps = sps.clone();
            change(&mut sps);
            check_sps(&sps).unwrap_err().message
        };
        assert!(refused(&|s| s.frames_only = false).contains("interlaced"));
        assert!(refused(&|s| s.bit_depth = [10, 10]).contains("10 (luma)"));
        assert!(refused(&|s| s.chroma_format = 2).contains("4:2:2"));
        assert!(refused(&|s| s.chroma_format = 3).contains("4:4:4"));
        assert!(refused(&|s| s.lossless = true).contains("lossless"));
        assert!(refused(&|s| s.coded_size = Size::new(7680, 4320)).contains("7680x4320"));
        assert!(refused(&|s| s.coded_size = Size::new(16384, 16)).contains("16384x16"));
    }
}
