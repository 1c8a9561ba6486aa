//! Profiles and formats of H.264 and HEVC, against what FFmpeg's command decodes.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_conformance::video::checksums;
use reelcore_conformance::{Family, check};
use reelcore_media::h264::unescape_into;
use reelcore_media::hevc::HvcC;
use reelcore_media::{ErrorKind, PixelFormat, VideoCodec, VideoDecoderBackend, VideoDecoderConfig};

/// Checks the pictures on one, two and five threads, and their format.
fn agrees(clip: &Clip, format: PixelFormat) {
    for threads in [1, 2, 5] {
        check(&FFMPEG, &clip.stream, threads)
            .unwrap_or_else(|mismatch| panic!("{} on {threads}: {mismatch}", clip.name));
    }
    let mut config = clip.config.clone();
    config.optimize_for_latency = true;
    let (frames, error) = decode(&mut *start(&config, 3), &clip.chunks);
    assert!(error.is_none(), "{}: {error:?}", clip.name);
    assert_eq!(
        checksums(&frames),
        clip.md5,
        "{} with low latency",
        clip.name
    );
    assert_eq!(frames[0].format, Some(format), "{}", clip.name);
}

fn h264(name: &str, pix_fmt: &str, params: &str, format: PixelFormat) {
    let args = ["-preset", "medium", "-x264-params", params];
    agrees(
        &clip(name, Family::H264, 12, pix_fmt, pix_fmt, &args),
        format,
    );
}

fn hevc(name: &str, pix_fmt: &str, decoded: &str, format: PixelFormat) {
    let params = "log-level=error:pools=1:bframes=2";
    let args = ["-preset", "fast", "-x265-params", params];
    agrees(
        &clip(name, Family::H265, 10, pix_fmt, decoded, &args),
        format,
    );
}

#[test]
fn h264_of_more_than_8_bits_420_decodes_exactly() {
    use PixelFormat as F;
    h264("high10.264", "yuv420p10le", "bframes=2", F::I420P10);
    h264("high422.264", "yuv422p", "bframes=2", F::I422);
    h264(
        "high422-10.264",
        "yuv422p10le",
        "bframes=2:cabac=0",
        F::I422P10,
    );
    h264("high444.264", "yuv444p", "bframes=2", F::I444);
    h264("high444-10.264", "yuv444p10le", "bframes=1", F::I444P10);
    h264("lossless.264", "yuv444p", "qp=0:bframes=1", F::I444);
    h264("intra10.264", "yuv422p10le", "keyint=1", F::I422P10);
}

#[test]
fn h264_with_fields_decodes_exactly() {
    let params = "interlaced=1:bframes=2:weightp=2:slices=2";
    h264("mbaff.264", "yuv420p", params, PixelFormat::I420);
    let params = "interlaced=1:bframes=2:cabac=0:ref=4:b-pyramid=normal";
    h264("mbaff-cavlc.264", "yuv420p", params, PixelFormat::I420);
    let params = "interlaced=1:bframes=1:direct=temporal";
    h264("mbaff-10.264", "yuv422p10le", params, PixelFormat::I422P10);
    let params = "fake-interlaced=1:bframes=2";
    h264("fake-interlaced.264", "yuv420p", params, PixelFormat::I420);
}

#[test]
fn h264_with_everything_that_openh264_is_not_exact_in_decodes_exactly() {
    for (name, params) in [
        ("temporal-cavlc.264", "cabac=0:direct=temporal:bframes=3"),
        (
            "spatial.264",
            "direct=spatial:bframes=3:partitions=all:me=umh:subme=9",
        ),
        ("weights.264", "weightp=2:bframes=3:b-pyramid=strict"),
        ("slices.264", "slices=4:bframes=2:deblock=3,3"),
        ("refresh.264", "intra-refresh=1:keyint=8"),
    ] {
        h264(name, "yuv420p", params, PixelFormat::I420);
    }
}

#[test]
fn hevc_with_range_extensions_decodes_exactly() {
    use PixelFormat as F;
    hevc("main.265", "yuv420p", "yuv420p", F::I420);
    hevc("main10.265", "yuv420p10le", "yuv420p10le", F::I420P10);
    hevc("main12.265", "yuv420p12le", "yuv420p12le", F::I420P12);
    hevc("422-10.265", "yuv422p10le", "yuv422p10le", F::I422P10);
    hevc("444.265", "yuv444p", "yuv444p", F::I444);
    hevc("444-12.265", "yuv444p12le", "yuv444p12le", F::I444P12);
}

#[test]
fn grey_has_neutral_chroma() {
    for (family, name, depth) in [
        (Family::H264, "grey.264", 8),
        (Family::H265, "grey.265", 8),
        (Family::H265, "grey10.265", 10),
    ] {
        let format = if depth == 8 { "gray" } else { "gray10le" };
        let grey = clip(name, family, 4, format, format, &["-preset", "fast"]);
        let (frames, error) = decode(&mut *start(&grey.config, 2), &grey.chunks);
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(frames.len(), 4);
        for frame in frames {
            let image = frame.resource.read_back().unwrap();
            let [_, u, v] = image.planes() else {
                panic!("{name}: three planes")
            };
            let neutral: &[u8] = if depth == 8 { &[128] } else { &[0, 2] };
            for plane in [u, v] {
                for row in plane.data.chunks(plane.stride) {
                    let mut samples = row[..48 * neutral.len()].chunks_exact(neutral.len());
                    assert!(samples.all(|sample| sample == neutral), "{name}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_decoded_is_refused_before_it_starts() {
    let check = |codec: &str| {
        let config = VideoDecoderConfig::new(VideoCodec::parse(codec).unwrap());
        FFMPEG.check(&config)
    };
    for codec in [
        "avc1.42001f",
        "avc1.4d0028",
        "avc3.64002a",
        "avc1.6e0033",
        "avc1.7a0033",
        "avc1.f40033",
    ] {
        assert!(check(codec).is_ok(), "{codec}");
    }
    for codec in [
        "hev1.1.6.L93.B0",
        "hvc1.4.10.L93.B0",
        "hvc1.5.20.L93.90",
        // Screen content that is also of the range extensions.
        "hvc1.9.210.L93.90",
        "vp8",
        "vp09.01.10.08",
    ] {
        assert!(check(codec).is_ok(), "{codec}");
    }
    // Extended, Scalable High, Multiview High, AV1; HEVC of screen content, of no known profile and of no known space.
    for codec in [
        "avc1.580028",
        "avc1.560028",
        "avc1.760028",
        "av01.0.04M.08",
        "hvc1.9.200.L93.90",
        "hvc1.11.800.L93",
        "hvc1.31.1.L93",
        "hvc1.A1.6.L93",
    ] {
        let error = check(codec).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{codec}");
    }
}

/// The chunk with `extension` at the end of its sequence parameter set, after sps_extension_present_flag.
fn with_extension(data: &[u8], extension: &str) -> Bytes {
    let mut units = nals(data);
    let sps = units.iter_mut().find(|nal| nal[0] >> 1 == 33);
    let sps = sps.expect("a sequence parameter set");
    let mut rbsp = Vec::new();
    unescape_into(&sps[2..], usize::MAX, &mut rbsp);
    let mut bits: String = rbsp.iter().map(|byte| format!("{byte:08b}")).collect();
    // The stop bit, and the flag before it.
    bits.truncate(bits.rfind('1').expect("a stop bit"));
    assert_eq!(bits.pop(), Some('0'), "no extension");
    bits = format!("{bits}1{extension}1");
    *sps = nal_of_bits(&sps[..2], bits);
    annexb(&units)
}

#[test]
fn hevc_with_tools_that_libavcodec_leaves_out_is_refused() {
    let clip = x265("tools.265", 2, "bframes=0");
    // sps_range_extension_flag and three more, sps_extension_4bits, the flags of the range extensions.
    let cases = [
        ("0000 0000", None),
        ("1000 0000 000000000", None),
        ("1000 0000 000010000", Some("extended_precision")),
        ("1000 0000 000000100", Some("high_precision_offsets")),
        ("1000 0000 000000001", Some("cabac_bypass_alignment")),
        ("0001 0000 000000000", Some("screen content")),
    ];
    for (extension, refused) in cases {
        let mut chunks = clip.chunks.clone();
        chunks[0].data = with_extension(&chunks[0].data, &extension.replace(' ', ""));
        // In band.
        let (frames, error) = decode(&mut *start(&clip.config, 1), &chunks);
        // In the description.
        let units = nals(&chunks[0].data);
        let of = |nal_type: u8| -> Vec<&[u8]> {
            let sets = units.iter().filter(|set| set[0] >> 1 == nal_type);
            sets.map(Vec::as_slice).collect()
        };
        let record = HvcC::of_parameter_sets(&of(32), &of(33), &of(34), 4, true).unwrap();
        let mut config = clip.config.clone();
        config.description = Some(record.write().unwrap().into());
        let checked = FFMPEG.check(&config);
        let Some(reason) = refused else {
            assert!(error.is_none(), "{extension}: {error:?}");
            assert_eq!(checksums(&frames), clip.md5, "{extension}");
            assert!(checked.is_ok(), "{extension}: {checked:?}");
            continue;
        };
        assert!(frames.is_empty(), "{extension}");
        for error in [error.unwrap(), checked.unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
            assert!(error.message.contains(reason), "{extension}: {error}");
        }
    }
}
