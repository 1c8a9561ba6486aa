//! Each filter of pictures against what `ffmpeg` makes of the same decoded pictures. What comes out is encoded next to without loss.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// The pictures that `filter` makes of the clip.
fn filtered(filter: Value) -> (TempDir, PathBuf) {
    let inputs = json!({ "clip": { "path": clip() } });
    filtered_of(inputs, json!({ "result": filter }), lossless("result"))
}

fn filtered_of(inputs: Value, filters: Value, stream: Value) -> (TempDir, PathBuf) {
    let folder = folder();
    let out = folder.path().join("out.webm");
    done(json!({
        "version": 1, "inputs": inputs, "filters": filters,
        "outputs": [{ "path": out, "streams": [stream] }],
    }));
    (folder, out)
}

/// Runs `filter` on the clip, and compares it with what FFmpeg's `theirs` gives.
fn compare(filter: Value, theirs: &str, size: (usize, usize), bounds: [f64; 2]) {
    let (_folder, out) = filtered(filter);
    let got = pictures(&out, size, "yuv420p", "");
    let want = pictures(&clip(), size, "yuv420p", theirs);
    assert_eq!(want.frames.len(), 50);
    assert_like(theirs, &got, &want, bounds);
}

const EXACT: [f64; 2] = [SAME; 2];

#[test]
fn what_passes_no_filter_is_what_was_decoded() {
    let inputs = json!({ "clip": { "path": clip() } });
    let (_folder, out) = filtered_of(inputs, json!({}), lossless("clip:video"));
    let size = (320, 240);
    let got = pictures(&out, size, "yuv420p", "");
    let want = pictures(&clip(), size, "yuv420p", "");
    assert_like("no filter", &got, &want, EXACT);
    for (n, time) in times(&out).into_iter().enumerate() {
        assert!((time - n as f64 * 0.04).abs() < 1e-6, "{n} at {time}");
    }
}

#[test]
fn a_crop_is_those_samples() {
    let crop =
        json!({ "crop": { "input": "clip:video", "x": 32, "y": 16, "width": 200, "height": 120 } });
    compare(crop, "crop=200:120:32:16", (200, 120), EXACT);
}

#[test]
fn a_crop_at_an_odd_place_keeps_luma_exact() {
    let crop =
        json!({ "crop": { "input": "clip:video", "x": 33, "y": 17, "width": 200, "height": 120 } });
    let theirs = "format=yuv444p,crop=200:120:33:17:exact=1";
    compare(crop, theirs, (200, 120), [SAME, 45.0]);
}

#[test]
fn a_pad_is_a_border_around_the_same_samples() {
    let pad =
        json!({ "pad": { "input": "clip:video", "width": 400, "height": 300, "x": 60, "y": 30 } });
    compare(pad, "pad=400:300:60:30", (400, 300), EXACT);
    let pad = json!({ "pad": { "input": "clip:video", "width": 400, "height": 300, "color": "#ff8000" } });
    compare(
        pad,
        "pad=400:300:40:30:color=0xff8000",
        (400, 300),
        [48.0, 45.0],
    );
}

#[test]
fn a_rotation_is_exact_and_goes_clockwise() {
    for (degrees, flip, theirs, size) in [
        (90, false, "transpose=clock", (240, 320)),
        (180, false, "hflip,vflip", (320, 240)),
        (270, false, "transpose=cclock", (240, 320)),
        (0, true, "hflip", (320, 240)),
        (90, true, "transpose=clock,hflip", (240, 320)),
        (270, true, "transpose=cclock,hflip", (240, 320)),
    ] {
        let rotate =
            json!({ "rotate": { "input": "clip:video", "degrees": degrees, "flip": flip } });
        compare(rotate, theirs, size, EXACT);
    }
}

#[test]
fn a_scale_is_as_sharp_as_it_should_be() {
    for (width, height, bounds) in [
        (160, 120, [50.0, 48.0]),
        (640, 480, [50.0, 48.0]),
        (200, 90, [50.0, 48.0]),
    ] {
        let scale = json!({ "scale": { "input": "clip:video", "width": width, "height": height } });
        let theirs = format!("scale={width}:{height}");
        compare(scale, &theirs, (width, height), bounds);
    }
}

#[test]
fn a_scale_that_contains_or_covers_keeps_the_aspect_ratio() {
    let scale = json!({ "scale": { "input": "clip:video", "width": 240, "height": 120, "fit": "contain" } });
    compare(
        scale,
        "scale=160:120,pad=240:120:40:0",
        (240, 120),
        [50.0, 48.0],
    );
    let scale =
        json!({ "scale": { "input": "clip:video", "width": 160, "height": 160, "fit": "cover" } });
    compare(
        scale,
        "crop=240:240:40:0,scale=160:160",
        (160, 160),
        [50.0, 48.0],
    );
    let (_folder, out) = filtered(json!({ "scale": { "input": "clip:video", "height": 90 } }));
    assert_eq!(ffprobe(&out, "stream=width,height"), "120,90");
}

#[test]
fn a_constant_rate_shows_the_nearest_picture() {
    for (rate, theirs) in [
        (json!(10), "fps=10"),
        (json!(50), "fps=50"),
        (json!("30000/1001"), "fps=30000/1001"),
        (json!(12.5), "fps=12.5"),
    ] {
        let (_folder, out) = filtered(json!({ "fps": { "input": "clip:video", "rate": rate } }));
        let got = pictures(&out, (320, 240), "yuv420p", "");
        let want = pictures(&clip(), (320, 240), "yuv420p", theirs);
        assert_like(theirs, &got, &want, EXACT);
        let rate: f64 = match theirs {
            "fps=30000/1001" => 30_000.0 / 1001.0,
            other => other[4..].parse().expect("a rate"),
        };
        // WebM counts milliseconds.
        for (index, time) in times(&out).into_iter().enumerate() {
            assert!(
                (time - index as f64 / rate).abs() < 0.0006,
                "{theirs}: {index} at {time}"
            );
        }
    }
}

#[test]
fn a_constant_rate_gives_a_picture_of_what_is_shorter_than_half_a_frame() {
    let folder = folder();
    let out = folder.path().join("short.mkv");
    done(json!({
        "version": 1, "inputs": { "clip": { "path": clip(), "to": 0.08 } },
        "filters": { "f": { "fps": { "input": "clip:video", "rate": 1 } } },
        "outputs": [{ "path": out, "streams": [lossless("f")] }],
    }));
    assert_eq!(pictures(&out, (320, 240), "yuv420p", "").frames.len(), 1);
}

#[test]
fn a_format_keeps_the_picture_at_another_depth_and_subsampling() {
    let inputs = json!({ "clip": { "path": clip() } });
    for (format, codec, theirs, bounds) in [
        ("I444", "vp09.01.20.08.03", "yuv444p", [SAME, 45.0]),
        ("I420P10", "vp09.02.20.10", "yuv420p10le", [SAME; 2]),
    ] {
        let filters =
            json!({ "result": { "format": { "input": "clip:video", "format": format } } });
        let stream = json!({ "video": { "source": "result", "codec": codec, "quantizer": 0, "mode": "realtime" } });
        let (_folder, out) = filtered_of(inputs.clone(), filters, stream);
        assert_eq!(ffprobe(&out, "stream=pix_fmt"), theirs);
        let got = pictures(&out, (320, 240), theirs, "");
        let want = pictures(&clip(), (320, 240), theirs, "");
        assert_like(format, &got, &want, bounds);
    }
}

/// `a` and `b` by their weights, of 8 bits.
fn mixed(a: &[u16], b: &[u16], weight_of_b: f64) -> Vec<u16> {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| {
            (f64::from(a) * (1.0 - weight_of_b) + f64::from(b) * weight_of_b).round() as u16
        })
        .collect()
}

#[test]
fn a_fade_is_a_straight_line_to_the_colour() {
    let want = pictures(&clip(), (320, 240), "yuv420p", "");
    for (direction, from, color, yuv) in [
        ("in", 0.0, "black", [16, 128, 128]),
        ("out", 1.2, "white", [235, 128, 128]),
        ("in", 0.4, "#0000ff", [41, 240, 110]),
    ] {
        let (_folder, out) = filtered(json!({ "fade": {
            "input": "clip:video", "direction": direction, "from": from, "duration": 0.8, "color": color,
        } }));
        let got = pictures(&out, (320, 240), "yuv420p", "");
        assert_eq!(got.frames.len(), 50);
        for frame in 0..50 {
            let done = ((frame as f64 * 0.04 - from) / 0.8).clamp(0.0, 1.0);
            let weight = if direction == "in" { 1.0 - done } else { done };
            for (plane, value) in yuv.into_iter().enumerate() {
                let original = want.plane(frame, plane);
                let flat = vec![value; original.len()];
                let value = psnr(
                    &got.plane(frame, plane),
                    &mixed(&original, &flat, weight),
                    8,
                );
                assert!(
                    value > 48.0,
                    "{direction} {color}: picture {frame}, plane {plane}: {value:.1} dB"
                );
            }
        }
    }
    // By default a fade out ends with the stream.
    let (_folder, out) =
        filtered(json!({ "fade": { "input": "clip:video", "direction": "out", "duration": 1 } }));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    assert!(same(&got, 25, &want, 25));
    let flat = vec![16; 320 * 240];
    let last = mixed(&want.plane(49, 0), &flat, 0.96);
    assert!(psnr(&got.plane(49, 0), &last, 8) > 48.0);
}

#[test]
fn a_crossfade_goes_from_one_to_the_other() {
    let inputs = json!({ "a": { "path": clip() }, "b": { "path": clip() } });
    let filters = json!({
        "turned": { "rotate": { "input": "b:video", "degrees": 180 } },
        "result": { "crossfade": { "input": "a:video", "next": "turned", "duration": 0.8 } },
    });
    let (_folder, out) = filtered_of(inputs, filters, lossless("result"));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let first = pictures(&clip(), (320, 240), "yuv420p", "");
    let second = pictures(&clip(), (320, 240), "yuv420p", "hflip,vflip");
    assert_eq!(got.frames.len(), 80, "2 s and 2 s less 0.8 s");
    for frame in 0..80 {
        // As far as the fade is in the middle of each picture's time.
        let weight = match frame {
            0..30 => 0.0,
            30..50 => (frame as f64 - 29.5) / 20.0,
            _ => 1.0,
        };
        for plane in 0..3 {
            let a = first.plane(frame.min(49), plane);
            let b = second.plane(frame.saturating_sub(30).min(49), plane);
            let value = psnr(&got.plane(frame, plane), &mixed(&a, &b, weight), 8);
            assert!(
                value > 48.0,
                "picture {frame}, plane {plane}: {value:.1} dB"
            );
        }
    }
    let theirs = pictures_of(
        &[&clip(), &clip()],
        (320, 240),
        "yuv420p",
        "[1]hflip,vflip[t];[0][t]xfade=transition=fade:duration=0.8:offset=1.2",
    );
    assert_like("xfade", &got, &theirs, [36.0, 30.0]);
}

#[test]
fn pictures_of_another_size_are_brought_to_the_first_in_a_crossfade() {
    let inputs = json!({ "a": { "path": clip() }, "b": { "path": other_clip() } });
    let filters = json!({ "result": { "crossfade": { "input": "a:video", "next": "b:video", "duration": 0.4 } } });
    let (_folder, out) = filtered_of(inputs, filters, lossless("result"));
    assert_eq!(ffprobe(&out, "stream=width,height"), "320,240");
    let last = *times(&out).last().expect("a picture");
    // 2 s and 1.5 s less 0.4 s, and pictures of 30 a second.
    assert!((last - (3.1 - 1.0 / 30.0)).abs() < 0.03, "{last}");
}

#[test]
fn a_video_is_laid_over_another_at_its_time_and_place() {
    let inputs = json!({ "a": { "path": clip() }, "b": { "path": clip(), "from": 1 } });
    let filters = json!({
        "small": { "scale": { "input": "b:video", "width": 160, "height": 120 } },
        "result": { "overlay": { "input": "a:video", "over": "small", "x": 200, "y": -20, "from": 0.4, "to": 1.2 } },
    });
    let (_folder, out) = filtered_of(inputs, filters, lossless("result"));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let theirs = pictures_of(
        &[&clip(), &clip()],
        (320, 240),
        "yuv420p",
        "[1]trim=1,setpts=PTS-STARTPTS+0.4/TB,scale=160:120[o];\
         [0][o]overlay=200:-20:enable='between(t,0.4,1.199)':eof_action=pass",
    );
    assert_like("overlay", &got, &theirs, [50.0, 42.0]);
    // Where nothing lies over it, the base is as it was.
    let base = pictures(&clip(), (320, 240), "yuv420p", "");
    for frame in (0..10).chain(30..50) {
        assert!(same(&got, frame, &base, frame), "picture {frame}");
    }
    assert!(!same(&got, 10, &base, 10) && !same(&got, 29, &base, 29));
}

#[test]
fn what_lies_over_is_not_read_behind_its_end() {
    let source = clip();
    let mut data = std::fs::read(&source).expect("a file");
    let packets = ffprobe(&source, "packet=dts_time,size,pos,stream_index");
    let mut damaged = 0;
    for line in packets.lines().filter(|line| line.starts_with("0,")) {
        let mut fields = line.split(',').skip(1);
        let mut number = || fields.next().and_then(|text| text.parse::<f64>().ok());
        let (time, size, at) = (number(), number(), number());
        if time.expect("a time") > 1.0 {
            let (size, at) = (
                size.expect("a size") as usize,
                at.expect("a place") as usize,
            );
            // The length of a NAL unit comes first: no packet is so long.
            data[at..at + size].fill(0xff);
            damaged += 1;
        }
    }
    assert!((20..26).contains(&damaged), "{damaged} of 50 packets");
    let folder = folder();
    let (bad, out) = (
        folder.path().join("bad.mp4"),
        folder.path().join("out.webm"),
    );
    std::fs::write(&bad, data).expect("a file");
    let overlay = |to: f64| {
        json!({
            "version": 1, "inputs": { "a": { "path": source }, "bad": { "path": bad } },
            "filters": { "result": { "overlay": {
                "input": "a:video", "over": "bad:video", "x": 100, "to": to,
            } } },
            "outputs": [{ "path": out, "streams": [lossless("result")] }],
        })
    };
    refused(overlay(1.8));
    done(overlay(0.5));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let base = pictures(&source, (320, 240), "yuv420p", "");
    assert_eq!(got.frames.len(), 50);
    for frame in 0..50 {
        let same = same(&got, frame, &base, frame);
        assert_eq!(same, frame >= 13, "picture {frame}");
    }
}

#[test]
fn alpha_and_opacity_weigh_what_is_laid_over() {
    let folder = folder();
    let logo = folder.path().join("logo.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&logo).expect("a file"), 64, 64);
    encoder.set_color(png::ColorType::Rgba);
    // From left to right from nothing to all.
    let pixels: Vec<u8> = (0..64 * 64)
        .flat_map(|n| [250, 20, 60, (n % 64 * 4) as u8])
        .collect();
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .expect("an image");
    let inputs = json!({ "a": { "path": clip() }, "logo": { "path": logo } });
    let filters = json!({ "result": { "overlay": {
        "input": "a:video", "over": "logo:video", "x": 100, "y": 50, "opacity": 0.5,
    } } });
    let (_folder, out) = filtered_of(inputs, filters, lossless("result"));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let base = pictures(&clip(), (320, 240), "yuv420p", "");
    // BT.601 of the colour, as the picture is small.
    let (r, g, b) = (250.0 / 255.0, 20.0 / 255.0, 60.0 / 255.0);
    let luma = 16.0 + 219.0 * (0.299 * r + 0.587 * g + 0.114 * b);
    for frame in [0, 25, 49] {
        let (got, base) = (got.plane(frame, 0), base.plane(frame, 0));
        let mut want = base.clone();
        for y in 0..64 {
            for x in 0..64 {
                let weight = (x * 4) as f64 / 255.0 * 0.5;
                let at = (50 + y) * 320 + 100 + x;
                want[at] = (f64::from(base[at]) * (1.0 - weight) + luma * weight).round() as u16;
            }
        }
        let value = psnr(&got, &want, 8);
        assert!(value > 55.0, "picture {frame}: {value:.1} dB");
    }
}

#[test]
fn a_trim_shows_what_was_shown_there() {
    let (_folder, out) =
        filtered(json!({ "trim": { "input": "clip:video", "from": 0.5, "to": 1.1 } }));
    let got = pictures(&out, (320, 240), "yuv420p", "");
    let base = pictures(&clip(), (320, 240), "yuv420p", "");
    // At 0.5 s the picture of 0.48 s is shown, and at 1.1 s that of 1.08 s.
    assert_eq!(got.frames.len(), 16);
    for frame in 0..16 {
        assert!(same(&got, frame, &base, frame + 12), "picture {frame}");
    }
    assert_eq!(&times(&out)[..3], [0.0, 0.02, 0.06]);
}

/// A few pictures of 320x180 whose pixels are of 16:11.
fn anamorphic() -> PathBuf {
    made(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=0.2 -vf setsar=16/11 -c:v libx264 -pix_fmt yuv420p",
        "transcode-anamorphic.mp4",
    )
}

#[test]
fn pixels_keep_their_shape_in_filters_that_keep_them() {
    let folder = folder();
    for (number, (filter, theirs)) in [
        (
            json!({ "pad": { "input": "in:video", "width": 400, "height": 240 } }),
            "400,240,16:11",
        ),
        (
            json!({ "crop": { "input": "in:video", "width": 160, "height": 90 } }),
            "160,90,16:11",
        ),
        (
            json!({ "rotate": { "input": "in:video", "degrees": 90 } }),
            "180,320,11:16",
        ),
        (
            json!({ "fade": { "input": "in:video", "direction": "in", "duration": 0.1 } }),
            "320,180,16:11",
        ),
        (
            json!({ "scale": { "input": "in:video", "width": 200, "height": 100 } }),
            "200,100,1:1",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let out = folder.path().join(format!("{number}.mp4"));
        done(json!({
            "version": 1, "inputs": { "in": { "path": anamorphic() } }, "filters": { "result": filter },
            "outputs": [{ "path": out, "streams": [{ "video": { "source": "result" } }] }],
        }));
        let got = ffprobe(&out, "stream=width,height,sample_aspect_ratio");
        let got = got.replace("N/A", "1:1");
        assert_eq!(got, theirs, "{filter}");
    }
}
