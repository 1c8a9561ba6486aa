//! HEVC parameter sets of real streams, and properties of the parsers over arbitrary data.

use proptest::prelude::*;
use reelcore_media::codec_string::VideoCodec;
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};
use reelcore_media::h264::{escape_into, unescape_into};
use reelcore_media::hevc::{
    AccessUnitStarts, HvcC, Nal, NalArray, NalType, OutputOrder, Packaging, Pps, ProfileTierLevel,
    RangeExtension, SliceStart, Sps, Timing, Vps, access_units, nal_units, starts_with_irap,
};
use reelcore_media::{Rect, Size};

// Sets that x265 wrote.
const MAIN_VPS: &str = "40010c01ffff01600000030090000003000003003c959809";
const MAIN_SPS: &str =
    "42010101600000030090000003000003003ca0162024596566924daf016808000003000800000300c840";
const MAIN_PPS: &str = "4401c176b46240";
const CROPPED_SPS: &str =
    "42010101600000030090000003000003001ea0308126c8965959a4932bc39b808680820000030002000003003210";
const HRD_SPS: &str = "42010101600000030090000003000003003ca030810596566924caf0168080000003008000000cb0064b2f000927800249f1";
const HDR_SPS: &str =
    "42010102200000030090000003000003001ea0208104d96566924caf016a12201208000003000800000300c840";
const MAIN_422_10_SPS: &str =
    "4201010408000003009d0800000300001eb0208104d96566924caf016808000003000800000300c840";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn sps(hex: &str) -> Sps {
    Sps::parse(&Nal::new(0, &bytes(hex)).expect("a header")).expect("an SPS")
}

#[test]
fn the_sets_of_a_main_stream_are_read_to_the_end() {
    let main = sps(MAIN_SPS);
    assert_eq!((main.id, main.vps_id, main.max_sub_layers), (0, 0, 1));
    assert_eq!(main.coded_size, Size::new(176, 144));
    assert_eq!(main.visible, Rect::of_size(Size::new(176, 144)));
    assert_eq!((main.chroma_format, main.bit_depth), (1, [8, 8]));
    assert_eq!(main.log2_max_poc_lsb, 8);
    assert_eq!(main.ordering.max_dec_pic_buffering, 5);
    assert_eq!(main.ordering.max_num_reorder, 2);
    assert_eq!(main.log2_ctb_size, 6);
    assert_eq!(
        main.vui.timing,
        Some(Timing {
            units_in_tick: 1,
            time_scale: 25,
        })
    );
    assert_eq!(main.extensions, [false; 4]);
    assert_eq!(
        VideoCodec::Hevc(main.profile.codec(true)).to_string(),
        "hev1.1.6.L60.90"
    );
    let vps = bytes(MAIN_VPS);
    let vps = Vps::parse(&Nal::new(0, &vps).unwrap()).unwrap();
    assert_eq!((vps.id, vps.max_layers, vps.max_sub_layers), (0, 1, 1));
    assert_eq!(vps.profile, main.profile);
    let pps = bytes(MAIN_PPS);
    let pps = Pps::parse(&Nal::new(0, &pps).unwrap()).unwrap();
    assert_eq!((pps.id, pps.sps_id), (0, 0));
    assert!(!pps.output_flag_present && !pps.dependent_slice_segments);
}

#[test]
fn the_conformance_window_and_usability_information_are_read() {
    let cropped = sps(CROPPED_SPS);
    assert_eq!(cropped.coded_size, Size::new(96, 72));
    let want = Rect {
        x: 4,
        y: 2,
        width: 86,
        height: 68,
    };
    assert_eq!(cropped.visible, want);
    assert_eq!(cropped.vui.sample_aspect, Some((4, 3)));
    assert_eq!(cropped.vui.color.full_range, Some(true));
    let hdr = sps(HDR_SPS);
    assert_eq!(hdr.bit_depth, [10, 10]);
    assert_eq!(
        hdr.vui.color,
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Pq),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(false),
        }
    );
    assert_eq!(
        VideoCodec::Hevc(hdr.profile.codec(false)).to_string(),
        "hvc1.2.4.L30.90"
    );
    // What follows the buffer model is still read.
    let hrd = sps(HRD_SPS);
    assert_eq!(hrd.extensions, [false; 4]);
    assert!(hrd.vui.timing.is_some());
    let ranged = sps(MAIN_422_10_SPS);
    assert_eq!((ranged.chroma_format, ranged.bit_depth), (2, [10, 10]));
    assert_eq!(ranged.profile.profile, 4);
    assert!(ranged.profile.conforms_to(4) && !ranged.profile.conforms_to(1));
}

#[test]
fn the_flags_of_the_range_extensions_are_read_in_their_order() {
    let flags = |range: RangeExtension| {
        [
            range.transform_skip_rotation,
            range.transform_skip_context,
            range.implicit_rdpcm,
            range.explicit_rdpcm,
            range.extended_precision,
            range.intra_smoothing_disabled,
            range.high_precision_offsets,
            range.persistent_rice_adaptation,
            range.cabac_bypass_alignment,
        ]
    };
    // The set ends with sps_extension_present_flag 0, the stop bit and six zeros.
    let mut whole = bytes(MAIN_SPS);
    assert_eq!(whole.pop(), Some(0x40));
    for at in 0..9 {
        // The flag, sps_range_extension_flag alone, sps_extension_4bits, one flag of nine, the stop bit.
        let bits: u32 = 1 << 23 | 1 << 22 | 1 << (14 - at) | 1 << 5;
        let mut set = whole.clone();
        set.extend_from_slice(&bits.to_be_bytes()[1..]);
        let set = Sps::parse(&Nal::new(0, &set).unwrap()).expect("an SPS");
        assert_eq!(set.extensions, [true, false, false, false]);
        let mut want = [false; 9];
        want[at] = true;
        assert_eq!(flags(set.range), want);
    }
    assert_eq!(flags(sps(MAIN_SPS).range), [false; 9]);
}

#[test]
fn every_truncation_of_a_set_is_an_error() {
    for hex in [MAIN_SPS, CROPPED_SPS, HRD_SPS, HDR_SPS, MAIN_422_10_SPS] {
        let whole = bytes(hex);
        // The last byte may hold nothing but the stop bit.
        for end in 2..whole.len() - 1 {
            let nal = Nal::new(0, &whole[..end]).unwrap();
            let error = Sps::parse(&nal).expect_err("a cut set");
            assert!(error.message.contains("at bit"), "{error}");
        }
    }
    let vps = bytes(MAIN_VPS);
    for end in 2..16 {
        assert!(Vps::parse(&Nal::new(0, &vps[..end]).unwrap()).is_err());
    }
}

#[test]
fn the_record_of_parameter_sets_says_what_they_say() {
    let sets = [bytes(MAIN_VPS), bytes(CROPPED_SPS), bytes(MAIN_PPS)];
    let record = HvcC::of_parameter_sets(&[&sets[0]], &[&sets[1]], &[&sets[2]], 4, true).unwrap();
    assert_eq!(record.profile, sps(CROPPED_SPS).profile);
    assert_eq!((record.chroma_format, record.bit_depth), (1, [8, 8]));
    assert!(record.temporal_id_nested);
    assert_eq!(record.temporal_layers, 1);
    let written = record.write().unwrap();
    // configurationVersion, general_profile_idc, and the reserved ones.
    assert_eq!(written[..2], [1, 1]);
    assert_eq!(written[13..19], [0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8]);
    assert_eq!(written[21..23], [0b0000_1111, 3]);
    let again = HvcC::parse(&written).unwrap();
    assert_eq!(again, record);
    assert_eq!(
        again.units(NalType::SPS).collect::<Vec<_>>(),
        [&sets[1][..]]
    );
    for end in 0..written.len() {
        assert!(HvcC::parse(&written[..end]).is_err(), "{end} bytes");
    }
    assert!(HvcC::of_parameter_sets(&[], &[], &[&sets[2]], 4, true).is_err());
    assert!(HvcC::of_parameter_sets(&[], &[&sets[2]], &[], 4, true).is_err());
    assert!(
        HvcC {
            length_size: 3,
            ..record
        }
        .write()
        .is_err()
    );
    let mut three = written;
    three[21] = three[21] & 0xfc | 2;
    assert!(HvcC::parse(&three).is_err(), "lengths of 3 bytes");
    three[0] = 0;
    assert!(HvcC::parse(&three).is_err(), "version 0");
}

/// A payload with emulation prevention (7.4.1).
fn escaped(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Bytes with many of those that matter.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0u8), 1 => 1u8..=4, 2 => any::<u8>()];
    // A payload ends with its stop bit.
    prop::collection::vec(byte, 1..60).prop_map(|mut payload| {
        payload.push(0x80);
        payload
    })
}

fn nal_unit() -> impl Strategy<Value = Vec<u8>> {
    (0u8..64, 1u8..8, payload()).prop_map(|(nal_type, temporal_id, payload)| {
        let mut unit = vec![nal_type << 1, temporal_id];
        unit.extend(escaped(&payload));
        unit
    })
}

fn record() -> impl Strategy<Value = HvcC> {
    let profile = (
        0u8..4,
        any::<bool>(),
        0u8..32,
        any::<u32>(),
        any::<[u8; 6]>(),
        any::<u8>(),
    )
        .prop_map(
            |(profile_space, high_tier, profile, compatibility, constraints, level)| {
                ProfileTierLevel {
                    profile_space,
                    high_tier,
                    profile,
                    compatibility,
                    constraints,
                    level,
                }
            },
        );
    let array = (
        any::<bool>(),
        0u8..64,
        prop::collection::vec(nal_unit(), 0..4),
    )
        .prop_map(|(complete, nal_type, units)| NalArray {
            complete,
            nal_type: NalType(nal_type),
            units,
        });
    let numbers = (0u16..4096, 0u8..4, 0u8..4, 8u8..16, 8u8..16, any::<u16>());
    let layers = (
        0u8..4,
        0u8..8,
        any::<bool>(),
        prop::sample::select(&[1usize, 2, 4][..]),
    );
    (profile, numbers, layers, prop::collection::vec(array, 0..5)).prop_map(
        |(profile, numbers, layers, arrays)| HvcC {
            profile,
            min_spatial_segmentation: numbers.0,
            parallelism: numbers.1,
            chroma_format: numbers.2,
            bit_depth: [numbers.3, numbers.4],
            average_frame_rate: numbers.5,
            constant_frame_rate: layers.0,
            temporal_layers: layers.1,
            temporal_id_nested: layers.2,
            length_size: layers.3,
            arrays,
        },
    )
}

proptest! {
    #[test]
    fn emulation_prevention_round_trips(payload in payload()) {
        let mut out = Vec::new();
        escape_into(&payload, &mut out);
        prop_assert_eq!(&out, &escaped(&payload));
        unescape_into(&escaped(&payload), usize::MAX, &mut out);
        prop_assert_eq!(out, payload);
    }

    #[test]
    fn units_come_back_from_both_packagings(units in prop::collection::vec(nal_unit(), 1..6)) {
        let mut annex_b = Vec::new();
        let mut lengths = Vec::new();
        for (index, unit) in units.iter().enumerate() {
            annex_b.extend_from_slice(&[0, 0, 0, 1][index % 2..]);
            annex_b.extend_from_slice(unit);
            lengths.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            lengths.extend_from_slice(unit);
        }
        for (chunk, packaging) in [
            (annex_b, Packaging::AnnexB),
            (lengths, Packaging::Hevc { length_size: 2 }),
        ] {
            let found: Vec<_> = nal_units(&chunk, packaging)
                .map(|nal| nal.map(|nal| nal.bytes.to_vec()))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(&found, &units);
        }
    }

    #[test]
    fn access_units_cover_the_stream_and_hold_one_picture_each(
        units in prop::collection::vec(nal_unit(), 1..20)
    ) {
        let mut stream = Vec::new();
        for unit in &units {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(unit);
        }
        let found = access_units(&stream).unwrap();
        let mut end = 0;
        for unit in &found {
            prop_assert_eq!(unit.range.start, end);
            end = unit.range.end;
            let chunk = &stream[unit.range.clone()];
            let first_slices = nal_units(chunk, Packaging::AnnexB)
                .map(|nal| nal.unwrap())
                .filter(|nal| nal.nal_type.is_vcl() && nal.layer_id == 0)
                .skip(1)
                .filter(|nal| nal.payload()[0] & 0x80 != 0)
                .count();
            prop_assert_eq!(first_slices, 0);
            let irap = starts_with_irap(chunk, Packaging::AnnexB).unwrap();
            prop_assert_eq!(unit.irap, irap.unwrap_or(false));
        }
        prop_assert_eq!(end, stream.len());
    }

    #[test]
    fn output_is_in_order_and_complete_for_every_decoding_order(
        leading in prop::collection::hash_set(-20i32..0, 0..4).prop_map(Vec::from_iter).prop_shuffle(),
        trailing in prop::collection::hash_set(1i32..40, 0..12).prop_map(Vec::from_iter).prop_shuffle(),
        with_latency in any::<bool>(),
    ) {
        const RADL_R: NalType = NalType(7);
        const TRAIL_R: NalType = NalType(1);
        let mut pictures = vec![(NalType::IDR_W_RADL, 0)];
        pictures.extend(leading.iter().map(|&poc| (RADL_R, poc)));
        pictures.extend(trailing.iter().map(|&poc| (TRAIL_R, poc)));
        // The limits that an encoder of this order states.
        let count = |of: &dyn Fn(usize, i32) -> usize| {
            let counts = pictures.iter().enumerate().map(|(i, p)| of(i, p.1));
            counts.max().unwrap_or(0) as u32
        };
        let mut sps = sps(MAIN_SPS);
        sps.ordering.max_num_reorder =
            count(&|i, poc| pictures[..i].iter().filter(|p| p.1 > poc).count());
        let latency = count(&|i, poc| pictures[i..].iter().filter(|p| p.1 < poc).count());
        sps.ordering.max_latency = with_latency.then_some(latency);
        let mut order = OutputOrder::default();
        let mut out = Vec::new();
        order.start_sequence(&sps, false, &mut |poc| out.push(poc));
        for &(nal_type, poc) in &pictures {
            order.push(poc, nal_type, poc, &mut |poc| out.push(poc));
        }
        let without_flush = out.len();
        order.drain(&mut |poc| out.push(poc));
        prop_assert!(out.is_sorted(), "{:?}", out);
        prop_assert_eq!(out.len(), pictures.len());
        prop_assert!(pictures.len() - without_flush <= sps.ordering.max_num_reorder as usize);
    }

    #[test]
    fn records_round_trip(record in record()) {
        let written = record.write().unwrap();
        prop_assert_eq!(HvcC::parse(&written).unwrap(), record);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(mut data in prop::collection::vec(any::<u8>(), 2..200), good in 0usize..5, at in any::<prop::sample::Index>()) {
        let _ = HvcC::parse(&data);
        let _ = access_units(&data);
        for nal in nal_units(&data, Packaging::Hevc { length_size: 1 }).flatten() {
            AccessUnitStarts::default().starts(&nal);
        }
        // Behind the start of a good set, where most of the syntax is reached.
        let mut set = bytes([MAIN_SPS, CROPPED_SPS, HRD_SPS, HDR_SPS, MAIN_422_10_SPS][good]);
        set.truncate(at.index(set.len() - 2) + 2);
        set.append(&mut data);
        let nal = Nal::new(0, &set).unwrap();
        let _ = Sps::parse(&nal);
        let _ = Vps::parse(&nal);
        let _ = Pps::parse(&nal);
        let _ = SliceStart::parse(&nal);
    }
}
