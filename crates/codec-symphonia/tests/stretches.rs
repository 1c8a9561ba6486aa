//! Stretches that two decoders decode: what comes out is what one gives.

use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::sound::*;
use reelcore_conformance::stretches::{CUTS, check_stretches};

#[test]
fn mp3_is_the_same_to_the_bit_whatever_the_bit_reservoir_holds() {
    for (rate, layout, options) in [
        (44_100, "stereo", &["-b:a", "128k"][..]),
        (44_100, "stereo", &["-b:a", "320k"]),
        (48_000, "stereo", &["-b:a", "64k", "-joint_stereo", "1"]),
        (44_100, "stereo", &["-b:a", "192k", "-joint_stereo", "0"]),
        (44_100, "stereo", &["-q:a", "2"]),
        (48_000, "mono", &["-q:a", "7"]),
        (32_000, "mono", &["-b:a", "40k"]),
        (44_100, "stereo", &["-b:a", "128k", "-reservoir", "0"]),
        (24_000, "stereo", &["-b:a", "64k"]),
        (22_050, "mono", &["-b:a", "32k"]),
        (8000, "mono", &["-b:a", "16k"]),
        (11_025, "stereo", &["-q:a", "5"]),
    ] {
        let name = format!("stretches-{rate}-{layout}{}.mp3", options.concat());
        let encoder = [&["-c:a", "libmp3lame", "-write_xing", "0"], options].concat();
        let track = track(&clip(&name.replace(':', ""), rate, layout, &encoder));
        let config = config("mp3", rate, track.channels, None);
        let by_second = check_stretches(&name, &Symphonia, &config, &track.chunks);
        // Where frames are short, more of them are needed before the first one that is whole.
        assert!(
            by_second * 12 > track.chunks.len() * CUTS,
            "{name}: {by_second} of {CUTS} times {} chunks",
            track.chunks.len()
        );
    }
}

#[test]
fn mp3_whose_rate_or_channels_change_goes_on_as_one_decoder_does() {
    let part = |rate, layout, bits| {
        let name = format!("stretches-change-{rate}-{layout}.mp3");
        let encoder = ["-c:a", "libmp3lame", "-write_xing", "0", "-b:a", bits];
        track(&clip(&name, rate, layout, &encoder)).chunks
    };
    let chunks = [
        &part(44_100, "stereo", "128k")[..20],
        &part(44_100, "mono", "64k")[..20],
        &part(22_050, "mono", "32k")[..20],
        &part(44_100, "stereo", "128k")[20..40],
    ]
    .concat();
    let config = config("mp3", 44_100, 2, None);
    assert!(check_stretches("changes", &Symphonia, &config, &chunks) > 0);
}

#[test]
fn vorbis_is_the_same_to_the_bit_with_short_and_long_blocks() {
    for (rate, layout) in [
        (48_000, "stereo"),
        (8000, "mono"),
        (44_100, "3.0"),
        (48_000, "5.1"),
    ] {
        let name = format!("stretches-{rate}-{layout}.mka");
        let track = track(&clip(&name, rate, layout, &["-c:a", "libvorbis"]));
        let config = config("vorbis", rate, track.channels, Some(&track.description));
        for durations in [true, false] {
            let chunks = track.chunks.iter().cloned();
            let chunks: Vec<_> = chunks
                .map(|mut chunk| {
                    chunk.duration = durations.then_some(1000);
                    chunk
                })
                .collect();
            let by_second = check_stretches(&name, &Symphonia, &config, &chunks);
            assert!(by_second * 3 > chunks.len() * CUTS, "{name}: {by_second}");
        }
    }
}

#[test]
fn flac_is_the_same_to_the_bit_without_any_preroll() {
    for (rate, layout) in [(48_000, "stereo"), (96_000, "mono"), (44_100, "5.1")] {
        let name = format!("stretches-{rate}-{layout}.mka");
        let encoder = ["-c:a", "flac", "-frame_size", "1152"];
        let track = track(&clip(&name, rate, layout, &encoder));
        let description = [b"fLaC\x80\x00\x00\x22", &track.description[..]].concat();
        let config = config("flac", rate, track.channels, Some(&description));
        let by_second = check_stretches(&name, &Symphonia, &config, &track.chunks);
        assert!(
            by_second * 3 > track.chunks.len() * CUTS,
            "{name}: {by_second}"
        );
    }
}
