use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn video(string: &str) -> VideoCodec {
    VideoCodec::parse(string).unwrap_or_else(|error| panic!("{error}"))
}

fn audio(string: &str) -> AudioCodec {
    AudioCodec::parse(string).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_member_of_a_string_reaches_its_field() {
    assert_eq!(
        video("avc3.64001f"),
        VideoCodec::Avc(Avc {
            in_band: true,
            profile: 100,
            constraints: 0,
            level: 31
        })
    );
    assert_eq!(
        video("hvc1.A2.4.H153.B0.0.8"),
        VideoCodec::Hevc(Hevc {
            in_band: false,
            profile_space: 1,
            profile: 2,
            compatibility: 1 << 29,
            high_tier: true,
            level: 153,
            constraints: [0xB0, 0, 8, 0, 0, 0]
        })
    );
    assert_eq!(
        video("vp09.02.51.10.03.09.16.09.01"),
        VideoCodec::Vp9(Vp9 {
            profile: 2,
            level: 51,
            bit_depth: 10,
            chroma: 3,
            color: [9, 16, 9],
            full_range: true
        })
    );
    assert_eq!(
        video("av01.2.15H.12.0.112.09.18.10.1"),
        VideoCodec::Av1(Av1 {
            profile: 2,
            level: 15,
            high_tier: true,
            bit_depth: 12,
            monochrome: false,
            chroma: [1, 1, 2],
            color: [9, 18, 10],
            full_range: true
        })
    );
}

#[test]
fn a_tail_may_end_early_and_its_rest_is_bt709_limited() {
    let VideoCodec::Vp9(vp9) = video("vp09.01.10.08.03") else {
        panic!("not VP9")
    };
    assert_eq!(
        (vp9.chroma, vp9.color, vp9.full_range),
        (3, [1, 1, 1], false)
    );
    let VideoCodec::Av1(av1) = video("av01.1.04M.08.0.000") else {
        panic!("not AV1")
    };
    assert_eq!(
        (av1.chroma, av1.color, av1.full_range),
        ([0, 0, 0], [1, 1, 1], false)
    );
}

#[test]
fn spellings_of_one_codec_share_the_shortest_string() {
    for (string, shortest) in [
        ("avc1.64000b", "avc1.64000B"),
        ("hvc1.1.6.L123.00", "hvc1.1.6.L123"),
        ("hev1.1.6.L60.90", "hev1.1.6.L60.90"),
        ("hev1.1.06.L60.90.0.00.0", "hev1.1.6.L60.90"),
        ("vp09.00.10.08.01.01.01.01.00", "vp09.00.10.08"),
        ("vp09.01.10.08.03", "vp09.01.10.08.03.01.01.01.00"),
        ("av01.0.04M.08.0.110.01.01.01.0", "av01.0.04M.08"),
        ("vp8", "vp8"),
    ] {
        assert_eq!(video(string).to_string(), shortest);
    }
    for (string, shortest) in [
        ("mp4a.40.02", "mp4a.40.2"),
        ("mp4a.40.05", "mp4a.40.5"),
        ("mp4a.40.29", "mp4a.40.29"),
        ("mp4a.67", "mp4a.67"),
        ("mp4a.69", "mp3"),
        ("mp4a.6b", "mp3"),
        ("pcm-s24", "pcm-s24"),
        ("ulaw", "ulaw"),
    ] {
        assert_eq!(audio(string).to_string(), shortest);
    }
}

#[test]
fn what_the_registry_does_not_list_is_refused_with_the_reason() {
    for (string, reason) in [
        ("", "empty"),
        ("bogus", "names no video codec"),
        ("7\u{e038e}\u{fdfa}\u{6f9}.9", "names no video codec"),
        ("vorbis", "audio codec"),
        ("vp9", "ambiguous"),
        ("vp08.00.10.08", "ambiguous"),
        ("vp8.00", "no parameters"),
        ("Vp09.00.10.08", "lower-case"),
        ("vP8", "lower-case"),
        ("video/webm; codecs=\"vp8\"", "MIME type"),
        ("  vp09.00.10.08  ", "white space"),
        ("vp09.00.10.08 ", "2 decimal digits"),
        ("avc1", "missing"),
        ("avc1.", "6 hexadecimal digits"),
        ("avc1.42001", "6 hexadecimal digits"),
        ("avc1.42001E0", "6 hexadecimal digits"),
        ("avc1.+2001E", "6 hexadecimal digits"),
        ("avc1.FF000b", "profile_idc 255"),
        ("avc1.4D401D", "level_idc 29"),
        ("avc1.42001E.1", "expected the end"),
        ("hvc1.C99.6FFFFFF.L93", "general_profile_idc"),
        ("hvc1.1.6FFFFFFFF.L93", "1 to 8 hexadecimal"),
        ("hvc1.1.6.93", "L or H"),
        ("hvc1.1.6.L256", "general_level_idc"),
        ("hvc1.1.6.L93.1.2.3.4.5.6.7", "expected the end"),
        ("hvc1.1.6", "missing"),
        ("vp09.99.99.08", "profile"),
        ("vp09.00.99.08", "level 99"),
        ("vp09.00.10.10", "profile 0"),
        ("vp09.00.10", "missing"),
        ("vp09.00.10.8", "2 decimal digits"),
        ("vp09.00.10.08.01.00", "reserved"),
        ("vp09.00.10.08.01.01.01.00", "identity matrix"),
        ("vp09.00.10.08.01.01.01.01.02", "0 or 1"),
        ("av01.9.99M.08", "profile"),
        ("av01.0.99M.08", "seq_level_idx 99"),
        ("av01.0.04H.08", "high tier"),
        ("av01.0.04.08", "M or H"),
        ("av01.0.04M.12", "12-bit"),
        ("av01.0.04M.08.0.010", "chroma"),
        ("av01.0.04M.08.0.110.01.01.01.0.0", "expected the end"),
    ] {
        let error = VideoCodec::parse(string).expect_err(string);
        assert!(error.reason.contains(reason), "{error}, wanted `{reason}`");
    }
    for (string, reason) in [
        ("", "empty"),
        ("bogus", "names no audio codec"),
        ("vp8", "video codec"),
        ("opus.123", "no parameters"),
        ("Opus", "lower-case"),
        ("  opus  ", "white space"),
        ("audio/webm; codecs=\"opus\"", "MIME type"),
        ("mp4a", "missing"),
        ("mp4a.FF.9", "object type indication"),
        ("mp4a.40", "missing"),
        ("mp4a.40.1", "2, 5 or 29"),
        ("mp4a.40.002", "2, 5 or 29"),
        ("mp4a.67.2", "expected the end"),
        ("mp4ax", "names no audio codec"),
        ("pcm-s8", "names no audio codec"),
    ] {
        let error = AudioCodec::parse(string).expect_err(string);
        assert!(error.reason.contains(reason), "{error}, wanted `{reason}`");
    }
}

#[test]
fn an_error_does_not_carry_a_huge_string() {
    let error = VideoCodec::parse(&"é".repeat(1 << 20)).unwrap_err();
    assert!(error.to_string().len() < 1000);
    let error = VideoCodec::parse(&format!("avc1.{}", "0".repeat(1 << 20))).unwrap_err();
    assert!(error.to_string().len() < 1000);
}

fn any_color() -> impl Strategy<Value = [u8; 3]> {
    let primaries = select(vec![1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22]);
    (
        primaries,
        prop_oneof![1..=2u8, 4..=18u8],
        prop_oneof![1..=2u8, 4..=17u8],
    )
        .prop_map(|(p, t, m)| [p, t, m])
}

fn any_avc() -> impl Strategy<Value = Avc> {
    let profiles = select(vec![
        44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 138, 244,
    ]);
    let levels = select(vec![
        9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 62,
    ]);
    (any::<bool>(), profiles, any::<u8>(), levels).prop_map(
        |(in_band, profile, constraints, level)| Avc {
            in_band,
            profile,
            constraints,
            level,
        },
    )
}

fn any_hevc() -> impl Strategy<Value = Hevc> {
    (
        any::<bool>(),
        0..4u8,
        0..32u8,
        any::<u32>(),
        any::<bool>(),
        any::<u8>(),
        any::<[u8; 6]>(),
    )
        .prop_map(
            |(in_band, profile_space, profile, compatibility, high_tier, level, constraints)| {
                Hevc {
                    in_band,
                    profile_space,
                    profile,
                    compatibility,
                    high_tier,
                    level,
                    constraints,
                }
            },
        )
}

fn any_vp9() -> impl Strategy<Value = Vp9> {
    let profile = prop_oneof![(0..2u8, Just(8u8)), (2..4u8, select(vec![10u8, 12])),];
    let level = select(vec![10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62]);
    (profile, level, 0..4u8, any_color(), any::<bool>()).prop_map(
        |((profile, bit_depth), level, chroma, color, full_range)| Vp9 {
            profile,
            level,
            bit_depth,
            chroma,
            color,
            full_range,
        },
    )
}

fn any_av1() -> impl Strategy<Value = Av1> {
    let profile = prop_oneof![(0..3u8, select(vec![8u8, 10])), (Just(2u8), Just(12u8)),];
    let level = prop_oneof![
        (0..24u8, Just(false)),
        (8..24u8, Just(true)),
        (Just(31u8), any::<bool>())
    ];
    let chroma = select(vec![[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 2]]);
    (
        profile,
        level,
        any::<bool>(),
        chroma,
        any_color(),
        any::<bool>(),
    )
        .prop_map(
            |((profile, bit_depth), (level, high_tier), mono, chroma, color, full_range)| {
                let monochrome = mono && profile != 1;
                Av1 {
                    profile,
                    level,
                    high_tier,
                    bit_depth,
                    monochrome,
                    chroma: if monochrome { [1, 1, 0] } else { chroma },
                    color,
                    full_range,
                }
            },
        )
}

fn any_video() -> impl Strategy<Value = VideoCodec> {
    prop_oneof![
        any_avc().prop_map(VideoCodec::Avc),
        any_hevc().prop_map(VideoCodec::Hevc),
        Just(VideoCodec::Vp8),
        any_vp9().prop_map(VideoCodec::Vp9),
        any_av1().prop_map(VideoCodec::Av1),
    ]
}

fn any_audio() -> impl Strategy<Value = AudioCodec> {
    use AudioCodec::{Aac, Alaw, Flac, Mp3, Opus, Pcm, Ulaw, Vorbis};
    use PcmFormat::{F32, S16, S24, S32, U8};
    select(vec![
        Aac(2),
        Aac(5),
        Aac(29),
        Aac(0x67),
        Mp3,
        Opus,
        Vorbis,
        Flac,
        Alaw,
        Ulaw,
        Pcm(U8),
        Pcm(S16),
        Pcm(S24),
        Pcm(S32),
        Pcm(F32),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_video_codec_survives_the_way_through_its_string(codec in any_video()) {
        let string = codec.to_string();
        prop_assert_eq!(VideoCodec::parse(&string), Ok(codec));
        prop_assert!(AudioCodec::parse(&string).is_err());
    }

    #[test]
    fn an_audio_codec_survives_the_way_through_its_string(codec in any_audio()) {
        let string = codec.to_string();
        prop_assert_eq!(AudioCodec::parse(&string), Ok(codec));
        prop_assert!(VideoCodec::parse(&string).is_err());
    }

    #[test]
    fn no_string_panics_or_is_both_audio_and_video(string in any::<String>()) {
        let (video, audio) = (VideoCodec::parse(&string), AudioCodec::parse(&string));
        prop_assert!(video.is_err() || audio.is_err());
    }

    #[test]
    fn a_damaged_string_is_refused_with_a_reason_or_means_what_it_prints(
        codec in any_video(),
        at in any::<prop::sample::Index>(),
        change in prop_oneof![
            "[0-9A-Fa-fLHM.]{0,3}",
            any::<char>().prop_map(String::from),
        ],
        remove in 0..3usize,
    ) {
        let mut chars: Vec<char> = codec.to_string().chars().collect();
        let start = at.index(chars.len());
        let end = (start + remove).min(chars.len());
        chars.splice(start..end, change.chars());
        let string: String = chars.into_iter().collect();
        match VideoCodec::parse(&string) {
            Ok(parsed) => prop_assert_eq!(VideoCodec::parse(&parsed.to_string()), Ok(parsed)),
            Err(error) => prop_assert!(!error.reason.is_empty()),
        }
    }
}
