//! What colours and alpha come out of filters and joined parts, by exact arithmetic. PNG is written without loss.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A picture of RGBA.
struct Image {
    width: usize,
    pixels: Vec<[u8; 4]>,
}

impl Image {
    fn at(&self, x: usize, y: usize) -> [u8; 4] {
        self.pixels[y * self.width + x]
    }
}

fn read(path: &Path) -> Image {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("a file"));
    let mut decoder = png::Decoder::new(file);
    decoder.set_transformations(png::Transformations::ALPHA);
    let mut reader = decoder.read_info().expect("an image");
    let mut data = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut data).expect("an image");
    assert_eq!(info.color_type, png::ColorType::Rgba);
    let pixels = data.chunks_exact(4).map(|p| [p[0], p[1], p[2], p[3]]);
    Image {
        width: info.width as usize,
        pixels: pixels.collect(),
    }
}

/// An image of `width` by `height` pixels, each as `pixel` says of its place.
fn drawn(
    folder: &Path,
    name: &str,
    (width, height): (u32, u32),
    pixel: impl Fn(u32, u32) -> [u8; 4],
) -> PathBuf {
    let path = folder.join(name);
    let mut encoder =
        png::Encoder::new(std::fs::File::create(&path).expect("a file"), width, height);
    encoder.set_color(png::ColorType::Rgba);
    let pixels: Vec<u8> = (0..width * height)
        .flat_map(|n| pixel(n % width, n / width))
        .collect();
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .expect("an image");
    path
}

/// Of `inputs` and `filters` those that `sources` come from: a job has no others.
fn reached(inputs: &Value, filters: &Value, sources: &[&str]) -> (Value, Value) {
    let mut left: Vec<&str> = sources.to_vec();
    let (mut some_inputs, mut some_filters) = (json!({}), json!({}));
    while let Some(source) = left.pop() {
        if let Some((input, _)) = source.split_once(':') {
            some_inputs[input] = inputs[input].clone();
            continue;
        }
        some_filters[source] = filters[source].clone();
        let options = filters[source].as_object().and_then(|f| f.values().next());
        let options = options.expect("a filter");
        left.extend(
            ["input", "over", "next"]
                .iter()
                .filter_map(|&key| options[key].as_str()),
        );
    }
    (some_inputs, some_filters)
}

/// The first pictures of `sources`.
fn images<const N: usize>(
    folder: &Path,
    inputs: &Value,
    filters: &Value,
    sources: [&str; N],
) -> [Image; N] {
    let (inputs, filters) = reached(inputs, filters, &sources);
    let written = tempfile::tempdir_in(folder).expect("a folder");
    let path = |source: &str| {
        written
            .path()
            .join(format!("{}.png", source.replace(':', "-")))
    };
    let outputs: Vec<Value> = sources
        .iter()
        .map(|&source| {
            let stream = json!({ "video": { "source": source, "alpha": "keep" } });
            json!({ "path": path(source), "streams": [stream] })
        })
        .collect();
    done(json!({
        "version": 1, "inputs": inputs, "filters": filters, "outputs": outputs,
    }));
    sources.map(|source| read(&path(source)))
}

fn assert_near(what: &str, got: [u8; 4], want: [u8; 4], within: u8) {
    let near = got.iter().zip(want).all(|(a, b)| a.abs_diff(b) <= within);
    assert!(near, "{what}: {got:?}, expected {want:?}");
}

/// Ten pictures of one colour at 25 a second, stored as red, green and blue.
fn stored_rgb() -> PathBuf {
    made(
        "-f lavfi -i color=c=0x0040ff:s=64x64:r=25:d=0.4 -pix_fmt gbrp -c:v libvpx-vp9 -lossless 1",
        "transcode-gbr.webm",
    )
}

const HALF_RED: [u8; 4] = [255, 0, 0, 128];

#[test]
fn a_layer_over_an_image_or_stored_rgb_has_its_own_colour() {
    let folder = folder();
    let folder = folder.path();
    let white = drawn(folder, "white.png", (64, 64), |_, _| [255; 4]);
    let red = drawn(folder, "red.png", (16, 16), |_, _| HALF_RED);
    let inputs = json!({
        "white": { "path": white }, "gbr": { "path": stored_rgb() }, "red": { "path": red },
    });
    let filters = json!({
        "image": { "overlay": { "input": "white:video", "over": "red:video", "x": 8, "y": 8 } },
        "rgb": { "overlay": { "input": "gbr:video", "over": "red:video", "x": 8, "y": 8 } },
    });
    let [image, rgb] = images(folder, &inputs, &filters, ["image", "rgb"]);
    assert_near("over white", image.at(12, 12), [255, 127, 127, 255], 2);
    assert_near("beside", image.at(40, 40), [255; 4], 1);
    assert_near("over blue", rgb.at(12, 12), [128, 32, 127, 255], 2);
    assert_near("beside", rgb.at(40, 40), [0, 64, 255, 255], 2);
}

#[test]
fn a_layer_keeps_its_colour_where_an_image_becomes_a_video() {
    let folder = folder();
    let folder = folder.path();
    let title = drawn(folder, "title.png", (320, 240), |_, _| [40, 80, 120, 255]);
    let red = drawn(folder, "red.png", (16, 16), |_, _| [255, 0, 0, 255]);
    let inputs = json!({
        "show": { "concat": [{ "path": title, "to": 0.2 }, { "path": clip() }] },
        "red": { "path": red },
    });
    let filters = json!({
        "marked": { "overlay": { "input": "show:video", "over": "red:video", "x": 8, "y": 8 } },
        "behind": { "trim": { "input": "marked", "from": 0.5 } },
    });
    let [first, behind] = images(folder, &inputs, &filters, ["marked", "behind"]);
    assert_near("title", first.at(12, 12), [255, 0, 0, 255], 2);
    assert_near("video", behind.at(12, 12), [255, 0, 0, 255], 2);
}

#[test]
fn parts_of_stored_rgb_keep_their_colours_behind_the_first_picture() {
    let folder = folder();
    let folder = folder.path();
    let part = json!({ "path": stored_rgb() });
    let inputs = json!({ "both": { "concat": [part, part] }, "a": part, "b": part });
    let filters = json!({
        "second": { "trim": { "input": "both:video", "from": 0.08 } },
        "part": { "trim": { "input": "both:video", "from": 0.5 } },
        "cross": { "crossfade": { "input": "a:video", "next": "b:video", "duration": 0.2 } },
        "middle": { "trim": { "input": "cross", "from": 0.3 } },
        "last": { "trim": { "input": "cross", "from": 0.5 } },
    });
    let sources = ["both:video", "second", "part", "middle", "last"];
    let images = images(folder, &inputs, &filters, sources);
    for (source, image) in sources.into_iter().zip(&images) {
        assert_near(source, image.at(30, 30), [0, 64, 255, 255], 2);
    }
}

/// Ten pictures with alpha that grows from left to right.
fn see_through() -> PathBuf {
    made(
        "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4,format=yuva420p,geq=lum=p(X\\,Y):a=X*2 \
         -c:v libvpx-vp9 -lossless 1 -pix_fmt yuva420p -auto-alt-ref 0",
        "transcode-pixels-alpha.webm",
    )
}

#[test]
fn alpha_goes_through_joined_parts_and_crossfades() {
    let folder = folder();
    let part = json!({ "path": see_through() });
    let inputs = json!({ "both": { "concat": [part, part] }, "a": part, "b": part });
    let filters = json!({
        "cross": { "crossfade": { "input": "a:video", "next": "b:video", "duration": 0.2 } },
    });
    let want = pictures(&see_through(), (128, 96), "yuva420p", "");
    for (source, count) in [("both:video", 20), ("cross", 15)] {
        let out = folder.path().join(format!("{count}.webm"));
        let (inputs, filters) = reached(&inputs, &filters, &[source]);
        done(json!({
            "version": 1, "inputs": inputs, "filters": filters,
            "outputs": [{ "path": out, "streams": [{ "video": {
                "source": source, "codec": "vp9", "quantizer": 0, "mode": "realtime", "alpha": "keep",
            } }] }],
        }));
        let got = pictures(&out, (128, 96), "yuva420p", "");
        assert_eq!(got.frames.len(), count, "{source}");
        for frame in 0..count {
            let value = psnr(&got.plane(frame, 3), &want.plane(0, 3), 8);
            assert!(value > 45.0, "{source}, picture {frame}: {value:.1} dB");
        }
    }
}

#[test]
fn a_part_without_alpha_is_opaque_behind_one_with_it() {
    let folder = folder();
    let folder = folder.path();
    let clear = drawn(folder, "clear.png", (64, 64), |_, _| [0; 4]);
    let inputs = json!({ "both": { "concat": [
        { "path": clear, "to": 0.2 }, { "path": stored_rgb() }, { "path": clear, "to": 1 },
    ] } });
    let filters = json!({
        "video": { "trim": { "input": "both:video", "from": 0.3 } },
        "again": { "trim": { "input": "both:video", "from": 0.8 } },
    });
    let [first, video, again] = images(folder, &inputs, &filters, ["both:video", "video", "again"]);
    assert_eq!(first.at(30, 30)[3], 0);
    assert_near("video", video.at(30, 30), [0, 64, 255, 255], 2);
    assert_eq!(again.at(30, 30)[3], 0);
}

#[test]
fn alpha_of_ten_bits_stays_where_parts_have_other_colours() {
    let folder = folder();
    let folder = folder.path();
    let deep = folder.join("deep.webm");
    done(json!({
        "version": 1, "inputs": { "a": { "path": see_through() } },
        "outputs": [{ "path": deep, "streams": [{ "video": {
            "codec": "vp09.02.20.10", "quantizer": 0, "mode": "realtime", "alpha": "keep",
        } }] }],
    }));
    assert_eq!(ffprobe(&deep, "stream=pix_fmt"), "yuv420p10le");
    let other = made(
        "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4,format=yuva420p,geq=lum=p(X\\,Y):a=X*2 \
         -c:v libvpx-vp9 -lossless 1 -pix_fmt yuva420p -auto-alt-ref 0 -color_range pc",
        "transcode-pixels-alpha-full.webm",
    );
    let (deep, other) = (json!({ "path": deep }), json!({ "path": other }));
    let inputs = json!({
        "both": { "concat": [deep, other] }, "turned": { "concat": [other, deep] },
        "a": deep, "b": other,
    });
    let filters = json!({
        "cross": { "crossfade": { "input": "a:video", "next": "b:video", "duration": 0.2 } },
        "second": { "trim": { "input": "both:video", "from": 0.6 } },
        "deep-second": { "trim": { "input": "turned:video", "from": 0.6 } },
        "middle": { "trim": { "input": "cross", "from": 0.3 } },
        "last": { "trim": { "input": "cross", "from": 0.5 } },
    });
    let sources = ["both:video", "second", "deep-second", "middle", "last"];
    let images = images(folder, &inputs, &filters, sources);
    for (source, image) in sources.into_iter().zip(&images) {
        for x in [0, 20, 64, 100] {
            let (got, want) = (image.at(x, 40)[3], 2 * x as u8);
            assert!(
                got.abs_diff(want) <= 3,
                "{source} at {x}: {got}, expected {want}"
            );
        }
    }
}

#[test]
fn what_is_not_seen_gives_a_crossfade_no_colour() {
    let folder = folder();
    let folder = folder.path();
    let red = drawn(folder, "red.png", (64, 64), |_, _| [255, 0, 0, 255]);
    let clear = drawn(folder, "clear.png", (64, 64), |_, _| [0, 255, 0, 0]);
    let inputs = json!({ "red": { "path": red, "to": 1 }, "clear": { "path": clear, "to": 1 } });
    let filters = json!({
        "cross": { "crossfade": { "input": "red:video", "next": "clear:video", "duration": 1 } },
        "middle": { "trim": { "input": "cross", "from": 0.5 } },
    });
    let [middle] = images(folder, &inputs, &filters, ["middle"]);
    // The picture at 0.5 s is that of 0.48 s to 0.52 s.
    assert_near("middle", middle.at(30, 30), [255, 0, 0, 128], 2);
}

#[test]
fn a_layer_over_what_is_not_seen_has_no_dark_edges() {
    let folder = folder();
    let folder = folder.path();
    let clear = drawn(folder, "clear.png", (64, 64), |_, _| [0; 4]);
    let half = drawn(folder, "half.png", (64, 64), |_, _| [0, 0, 255, 128]);
    let red = drawn(folder, "red.png", (16, 16), |_, _| HALF_RED);
    let inputs = json!({
        "clear": { "path": clear }, "half": { "path": half }, "red": { "path": red },
    });
    let filters = json!({
        "one": { "overlay": { "input": "clear:video", "over": "red:video", "x": 7, "y": 8 } },
        "both": { "overlay": { "input": "half:video", "over": "red:video", "x": 7, "y": 8 } },
    });
    let [one, both] = images(folder, &inputs, &filters, ["one", "both"]);
    assert_near("over nothing", one.at(12, 12), HALF_RED, 2);
    // Porter and Duff's "over": 128 and 128 less what is covered of it.
    let whole = 128.0 + 128.0 * 127.0 / 255.0;
    let blue = 255.0 * (whole - 128.0) / whole;
    let want = [255 - blue as u8, 0, blue as u8, whole as u8];
    assert_near("over half", both.at(12, 12), want, 2);
}

#[test]
fn what_is_scaled_with_alpha_has_no_dark_rim() {
    let folder = folder();
    let folder = folder.path();
    let disc = drawn(folder, "disc.png", (128, 128), |x, y| {
        let inside = (x as f64 - 64.0).hypot(y as f64 - 64.0) < 50.0;
        if inside { [255; 4] } else { [0; 4] }
    });
    let white = drawn(folder, "white.png", (128, 128), |_, _| [255; 4]);
    let inputs = json!({ "disc": { "path": disc }, "white": { "path": white } });
    let filters = json!({
        "small": { "scale": { "input": "disc:video", "width": 50, "height": 50 } },
        "large": { "scale": { "input": "disc:video", "width": 300, "height": 300 } },
        "on": { "overlay": { "input": "white:video", "over": "small", "x": 10, "y": 10 } },
        "under": { "overlay": { "input": "white:video", "over": "large", "x": -90, "y": -90 } },
    });
    let [small, on, under] = images(folder, &inputs, &filters, ["small", "on", "under"]);
    let rim = small.pixels.iter().filter(|p| (1..255).contains(&p[3]));
    assert!(rim.clone().count() > 50, "there is a rim");
    for image in [&on, &under] {
        let darkest = image.pixels.iter().map(|p| p[1]).min();
        assert!(darkest >= Some(253), "{darkest:?}");
    }
}

#[test]
fn colours_of_untagged_video_stay_when_its_size_changes() {
    let folder = folder();
    let folder = folder.path();
    let input = |size: &str| {
        let input = made(
            &format!(
                "-f lavfi -i color=c=0x10c020:s={size}:r=25:d=0.2 -c:v libx264 -pix_fmt yuv420p"
            ),
            &format!("transcode-untagged-{size}.mp4"),
        );
        assert_eq!(ffprobe(&input, "stream=color_space"), "unknown");
        input
    };
    let inputs = json!({ "hd": { "path": input("1280x720") }, "sd": { "path": input("720x480") } });
    let filters = json!({
        "scaled": { "scale": { "input": "hd:video", "width": 320, "height": 180 } },
        "contained": { "scale": { "input": "hd:video", "width": 320, "height": 320, "fit": "contain" } },
        "covered": { "scale": { "input": "hd:video", "width": 320, "height": 320, "fit": "cover" } },
        "cropped": { "crop": { "input": "hd:video", "width": 640, "height": 360 } },
        "padded-crop": { "pad": { "input": "cropped", "width": 700, "height": 400 } },
        "turned": { "rotate": { "input": "sd:video", "degrees": 90 } },
        "padded": { "pad": { "input": "sd:video", "width": 720, "height": 720, "color": "#10c020" } },
        "enlarged": { "scale": { "input": "sd:video", "height": 960 } },
        "again": { "scale": { "input": "enlarged", "height": 240 } },
    });
    let [hd, scaled, contained, covered, cropped, padded_crop] = images(
        folder,
        &inputs,
        &filters,
        [
            "hd:video",
            "scaled",
            "contained",
            "covered",
            "cropped",
            "padded-crop",
        ],
    );
    let want = hd.at(600, 300);
    assert_near("scaled", scaled.at(100, 100), want, 2);
    assert_near("contained", contained.at(160, 160), want, 2);
    assert_near("covered", covered.at(160, 160), want, 2);
    assert_near("cropped", cropped.at(100, 100), want, 2);
    assert_near("cropped and padded", padded_crop.at(350, 200), want, 2);
    let [sd, turned, padded, enlarged, again] = images(
        folder,
        &inputs,
        &filters,
        ["sd:video", "turned", "padded", "enlarged", "again"],
    );
    let want = sd.at(300, 300);
    assert_near("turned", turned.at(100, 100), want, 2);
    assert_near("padded", padded.at(300, 360), want, 2);
    assert_near("its border", padded.at(300, 20), [16, 192, 32, 255], 2);
    assert_near("enlarged", enlarged.at(100, 100), want, 2);
    assert_near("enlarged and reduced", again.at(100, 100), want, 2);
}

/// Pictures of HDR of 10 bits: half-way grey of so many code values.
fn hdr(transfer: &str) -> PathBuf {
    made(
        &format!(
            "-f lavfi -i color=gray:s=64x64:r=25:d=0.4,format=yuv420p10le,geq=lum=439:cb=512:cr=512 \
             -c:v libvpx-vp9 -lossless 1 -pix_fmt yuv420p10le \
             -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv"
        ),
        &format!("transcode-{transfer}.webm"),
    )
}

/// The middle luma of the first picture, of 10 bits.
fn luma(folder: &Path, inputs: &Value, filters: &Value, source: &str, at: usize) -> u16 {
    let out = folder.join(format!("{source}.webm"));
    let (inputs, filters) = reached(inputs, filters, &[source]);
    done(json!({
        "version": 1, "inputs": inputs, "filters": filters,
        "outputs": [{ "path": out, "streams": [{ "video": {
            "source": source, "codec": "vp09.02.20.10", "quantizer": 0, "mode": "realtime",
        } }] }],
    }));
    let size = ffprobe(&out, "stream=width,height");
    let (width, height) = size.split_once(',').expect("a size");
    let size = (
        width.parse().expect("a width"),
        height.parse().expect("a height"),
    );
    pictures(&out, size, "yuv420p10le", "").plane(0, 0)[at]
}

/// What a signal of PQ is in nits, and back: ITU-R BT.2100, table 4.
fn pq(nits: f64) -> f64 {
    let power = (nits / 10_000.0).powf(1305.0 / 8192.0);
    ((107.0 / 128.0 + 2413.0 / 128.0 * power) / (1.0 + 2392.0 / 128.0 * power)).powf(2523.0 / 32.0)
}

#[test]
fn colours_become_those_of_hdr_and_not_only_their_name() {
    let folder = folder();
    let folder = folder.path();
    let grey = drawn(folder, "grey.png", (64, 64), |_, _| [128, 128, 128, 255]);
    let part = json!({ "path": grey, "to": 1 });
    let (pq_part, hlg_part) = (
        json!({ "path": hdr("smpte2084") }),
        json!({ "path": hdr("arib-std-b67") }),
    );
    let inputs = json!({
        "pq": pq_part, "grey": { "path": grey },
        "then-grey": { "concat": [pq_part, part] },
        "then-pq": { "concat": [hlg_part, pq_part] },
        "to-sdr": { "concat": [part, pq_part] },
    });
    let filters = json!({
        "padded": { "pad": { "input": "pq:video", "width": 128, "height": 128, "color": "#808080" } },
        "faded": { "fade": { "input": "pq:video", "direction": "in", "duration": 1, "color": "#808080" } },
        "laid": { "overlay": { "input": "pq:video", "over": "grey:video" } },
        "grey-part": { "trim": { "input": "then-grey:video", "from": 0.5 } },
        "pq-part": { "trim": { "input": "then-pq:video", "from": 0.5 } },
        "sdr-part": { "trim": { "input": "to-sdr:video", "from": 1.1 } },
    });
    // SDR white is 203 nits: 128 is so much of it.
    let light = ((128.0f64 / 255.0 + 0.055) / 1.055).powf(2.4);
    let want = (64.0 + 876.0 * pq(203.0 * light)).round() as u16;
    assert_eq!(want, 439);
    for (source, at) in [
        ("padded", 5),
        ("faded", 100),
        ("laid", 100),
        ("grey-part", 100),
    ] {
        let got = luma(folder, &inputs, &filters, source, at);
        assert!(got.abs_diff(want) <= 1, "{source}: {got}, expected {want}");
    }
    // HLG: of the light on a display of 1000 nits to that of the scene, and its signal (ITU-R BT.2100, table 5).
    let scene = (203.0 * light / 1000.0).powf(1.0 / 1.2);
    assert!(scene < 1.0 / 12.0);
    let want = (64.0 + 876.0 * (3.0 * scene).sqrt()).round() as u16;
    let got = luma(folder, &inputs, &filters, "pq-part", 100);
    assert!(got.abs_diff(want) <= 1, "PQ as HLG: {got}, expected {want}");
    // To SDR it is tone mapped (docs/decisions/0007-colour-conversion.md).
    let [sdr] = images(folder, &inputs, &filters, ["sdr-part"]);
    let mapped = light * (1.0 + light / (1000.0f64 / 203.0).powi(2)) / (1.0 + light);
    let want = ((1.055 * mapped.powf(1.0 / 2.4) - 0.055) * 255.0).round() as u8;
    assert_near("PQ as SDR", sdr.at(30, 30), [want, want, want, 255], 2);
}
