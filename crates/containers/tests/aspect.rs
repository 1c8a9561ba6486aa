//! What MP4 files of FFmpeg say of the shape of pixels, in the container and in the stream.

#[path = "support/clips.rs"]
mod clips;
mod support;

use clips::ffmpeg;
use reelcore_media::demux::TrackKind;
use support::open_bytes;

#[test]
fn square_pixels_in_the_container_leave_the_aspect_to_a_stream_that_has_no_other() {
    for (codec, sar, of_stream) in [
        ("libx264", "1", true),
        ("libx265", "1", true),
        ("libvpx-vp9", "1", true),
        ("libx264", "4/3", false),
        ("libx265", "4/3", false),
        ("libvpx-vp9", "4/3", false),
    ] {
        let filter = format!("setsar={sar}");
        let source = "testsrc2=size=96x64:rate=25:duration=0.2";
        let args = [
            "-f", "lavfi", "-i", source, "-vf", &filter, "-pix_fmt", "yuv420p", "-c:v", codec,
        ];
        let bytes = std::fs::read(ffmpeg("aspect.mp4", &args)).expect("the clip");
        let has_box = bytes.windows(4).any(|window| window == b"pasp");
        assert!(has_box, "{codec} {sar}: the box that this is about");
        let demuxer = open_bytes(bytes).expect("it opens");
        let TrackKind::Video {
            aspect_of_stream,
            display_aspect,
            ..
        } = demuxer.tracks()[0].kind
        else {
            panic!("no video");
        };
        assert_eq!(aspect_of_stream, of_stream, "{codec} {sar}");
        let square = u64::from(display_aspect.width) * 64 == u64::from(display_aspect.height) * 96;
        assert_eq!(square, of_stream, "{codec} {sar}: {display_aspect:?}");
    }
}
