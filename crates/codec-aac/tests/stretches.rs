//! Stretches that two decoders decode: what comes out is what one gives.

use reelcore_codec_aac::Aac;
use reelcore_conformance::sound::*;
use reelcore_conformance::stretches::{CUTS, check_stretches};
use reelcore_media::{AudioDecoderConfig, EncodedChunk};

/// Packets with a description, and the frames of ADTS without.
fn both(
    name: &str,
    rate: u32,
    layout: &str,
    options: &[&str],
) -> [(AudioDecoderConfig, Vec<EncodedChunk>); 2] {
    let path = clip(&format!("{name}.mka"), rate, layout, options);
    let track = track(&path);
    let config = |description| config("mp4a.40.2", rate, track.channels, description);
    let adts = track.chunks.iter().map(|unit| {
        let bytes = adts(rate, track.channels, &unit.data);
        chunk(unit.timestamp, bytes)
    });
    [
        (config(Some(&track.description[..])), track.chunks.clone()),
        (config(None), adts.collect()),
    ]
}

/// A unit as an ADTS frame: ISO/IEC 14496-3, 1.A.2.2.
fn adts(rate: u32, channels: u32, unit: &[u8]) -> Vec<u8> {
    let index = u32::from(rusty_aac::sf_index_for_rate(rate).expect("a rate"));
    let configuration = if channels == 8 { 7 } else { channels };
    let length = unit.len() as u32 + 7;
    let header: u64 = 0xfff1_u64 << 40
        | u64::from(1 << 14 | index << 10 | configuration << 6 | length >> 11) << 24
        | u64::from((length & 0x7ff) << 13 | 0x7ff << 2);
    [&header.to_be_bytes()[1..], unit].concat()
}

#[test]
fn two_decoders_give_what_one_gives_to_the_bit() {
    for (rate, layout) in [
        (44_100, "stereo"),
        (48_000, "mono"),
        (8000, "mono"),
        (16_000, "stereo"),
        (22_050, "stereo"),
        (32_000, "stereo"),
        (64_000, "mono"),
        (96_000, "stereo"),
        (48_000, "3.0"),
        (48_000, "4.0"),
        (48_000, "5.0"),
        (48_000, "5.1"),
    ] {
        let name = format!("stretches-{rate}-{layout}");
        let options = ["-c:a", "aac", "-aac_pns", "0", "-b:a", "160k"];
        for (config, chunks) in both(&name, rate, layout, &options) {
            let by_second = check_stretches(&name, &Aac, &config, &chunks);
            // The shortest clip has twelve chunks, hardly more than one stretch of each decoder.
            assert!(by_second > 0, "{name}");
            assert!(
                chunks.len() < 40 || by_second * 3 > chunks.len() * CUTS,
                "{name}: {by_second} of {CUTS} times {} chunks",
                chunks.len()
            );
        }
    }
}

#[test]
fn noise_substitution_goes_on_with_its_random_numbers() {
    let clip = |name, noise| {
        let options = ["-c:a", "aac", "-aac_pns", noise, "-b:a", "64k"];
        both(name, 44_100, "stereo", &options)
    };
    let plain = clip("stretches-plain", "0");
    let noisy = clip("stretches-noisy", "1");
    for ((config, plain), (_, noisy)) in plain.into_iter().zip(noisy) {
        assert_eq!(check_stretches("with noise", &Aac, &config, &noisy), 0);
        let mixed = [&plain[..9], &noisy[9..14], &plain[14..32], &noisy[32..]].concat();
        assert!(check_stretches("with some noise", &Aac, &config, &mixed) > 0);
    }
}

#[test]
fn spectral_band_replication_is_one_decoders() {
    for name in ["he-stereo-44100", "he-v2-48000"] {
        let path = format!("{}/tests/data/{name}.adts", env!("CARGO_MANIFEST_DIR"));
        let chunks = track(path.as_ref()).chunks;
        let config = config("mp4a.40.2", 44_100, 2, None);
        assert_eq!(check_stretches(name, &Aac, &config, &chunks), 0, "{name}");
    }
}
