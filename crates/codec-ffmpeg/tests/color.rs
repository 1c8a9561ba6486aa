//! Colour spaces of VP8 and VP9: what libavcodec says of them is not what libvpx says.

mod common;

use common::*;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::Family;
use reelcore_conformance::video::{context, decode_all};
use reelcore_media::{ColorSpace, VideoDecoderBackend};

/// The colour space of the clip's frames, which is that from libvpx.
fn color_space(clip: &Clip) -> ColorSpace {
    let of = |frames: Vec<reelcore_media::VideoFrame>| {
        let first = frames.first().expect("a frame").color_space;
        assert!(frames.iter().all(|frame| frame.color_space == first));
        first
    };
    let found = of(decode_all(&mut *start(&clip.config, 2), &clip.chunks));
    let mut libvpx = Vpx.start(&clip.config, &context(1)).unwrap();
    assert_eq!(
        found,
        of(decode_all(&mut *libvpx, &clip.chunks)),
        "{}",
        clip.name
    );
    found
}

#[test]
fn vp8_has_the_colour_space_that_libvpx_gives() {
    let vp8 = clip("color.vp8.ivf", Family::Vp8, 3, "yuv420p", "yuv420p", &[]);
    let found = color_space(&vp8);
    assert_eq!(found, ColorSpace::from_code_points(6, 6, 6, false));
}

#[test]
fn vp9_has_the_colour_space_that_libvpx_gives() {
    let mut all = Vec::new();
    for (matrix, range) in [
        ("bt470bg", "tv"),
        ("bt709", "tv"),
        ("smpte170m", "pc"),
        ("smpte240m", "tv"),
        ("bt2020nc", "tv"),
        ("unknown", "tv"),
        ("bt709", "pc"),
    ] {
        let name = format!("color-{matrix}-{range}.vp9.ivf");
        let args = ["-colorspace", matrix, "-color_range", range, "-b:v", "200k"];
        let vp9 = clip(&name, Family::Vp9, 3, "yuv420p", "yuv420p", &args);
        all.push(color_space(&vp9));
    }
    let points = [
        (6, 6, 6, false),
        (1, 1, 1, false),
        (6, 6, 6, true),
        (7, 7, 7, false),
        (9, 14, 9, false),
        (2, 2, 2, false),
        (1, 1, 1, true),
    ];
    let want = points.map(|(primaries, transfer, matrix, full)| {
        ColorSpace::from_code_points(primaries, transfer, matrix, full)
    });
    assert_eq!(all, want);
    let args = ["-b:v", "200k"];
    let rgb = clip("color-rgb.vp9.ivf", Family::Vp9, 3, "gbrp", "gbrp", &args);
    assert_eq!(
        color_space(&rgb),
        ColorSpace::from_code_points(1, 13, 0, true)
    );
}
