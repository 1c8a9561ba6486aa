//! Encrypted MP4: what the tracks say, and that the subsample maps are right, by decrypting with them.

mod support;

use std::process::Command;
use std::sync::Arc;

use aes::cipher::{KeyIvInit, StreamCipher};
use reelcore_media::demux::{Demuxer, Packet, SampleEncryption, Subsample};
use support::{
    DATA, TrackBuilder, audio_entry, bx, clip, clips, full, moov, open_bytes, packets, progressive,
    table, words,
};

const KEY: [u8; 16] = *b"\x76\xa6\xc6\x5c\x5e\xa7\x62\x04\x6b\xd7\x49\xa2\xe6\x32\xcc\xbb";
const KID: [u8; 16] = *b"\xa7\xe6\x1c\x37\x3e\x21\x90\x33\xc2\x10\x91\xfa\x60\x7b\xf3\xb8";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sample clip, encrypted by FFmpeg.
fn encrypted() -> Arc<dyn Demuxer> {
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("encrypted.mp4");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .arg(clips().join("h264-aac.mp4"))
        .args(["-c", "copy", "-encryption_scheme", "cenc-aes-ctr"])
        .args(["-encryption_key", &hex(&KEY), "-encryption_kid", &hex(&KID)])
        .arg(&out)
        .status()
        .expect("the ffmpeg command (./x setup installs it)");
    assert!(status.success());
    open_bytes(std::fs::read(out).expect("the clip")).expect("it opens")
}

/// AES-CTR over the protected parts, as one stream.
fn decrypt(packet: &Packet) -> Vec<u8> {
    let mut data = packet.chunk.data.to_vec();
    let Some(encryption) = &packet.encryption else {
        return data;
    };
    let mut iv = [0; 16];
    iv[..encryption.iv.len()].copy_from_slice(&encryption.iv);
    let mut cipher = ctr::Ctr64BE::<aes::Aes128>::new(&KEY.into(), &iv.into());
    if encryption.subsamples.is_empty() {
        cipher.apply_keystream(&mut data);
        return data;
    }
    let mut at = 0;
    for run in &encryption.subsamples {
        at += run.clear as usize;
        cipher.apply_keystream(&mut data[at..at + run.protected as usize]);
        at += run.protected as usize;
    }
    assert_eq!(at, data.len(), "the runs cover the sample");
    data
}

#[test]
fn a_progressive_file_decrypts_with_its_subsample_maps() {
    let demuxer = encrypted();
    let clear = open_bytes(clip("h264-aac.mp4")).expect("it opens");
    for (index, codec) in ["avc1.64001e", "mp4a.40.2"].into_iter().enumerate() {
        let track = &demuxer.tracks()[index];
        let encryption = track.encryption.as_ref().expect("it is encrypted");
        assert_eq!((track.codec.as_deref(), &track.description), (None, &None));
        assert_eq!(encryption.scheme.as_deref(), Some("cenc"));
        assert_eq!(encryption.default_kid, Some(KID));
        assert_eq!(encryption.original_codec.as_deref(), Some(codec));
        assert_eq!(track.kind, clear.tracks()[index].kind);
        let wanted = packets(&clear, index).expect("packets");
        let got = packets(&demuxer, index).expect("packets");
        assert_eq!(got.len(), wanted.len());
        let mut changed = 0;
        for (got, wanted) in got.iter().zip(&wanted) {
            assert!(got.encryption.is_some());
            changed += usize::from(got.chunk.data != wanted.chunk.data);
            assert!(
                decrypt(got) == wanted.chunk.data,
                "the packet at {} us of {codec}",
                got.chunk.timestamp
            );
        }
        assert_eq!(changed, wanted.len(), "all were encrypted");
    }
}

/// `tenc`, or the body of a `seig` group.
fn keys(pattern: u8, protected: u8, iv_size: u8, kid: u8, constant_iv: &[u8]) -> Vec<u8> {
    let mut out = vec![0, pattern, protected, iv_size];
    out.extend([kid; 16]);
    if protected == 1 && iv_size == 0 {
        out.push(constant_iv.len() as u8);
        out.extend(constant_iv);
    }
    out
}

/// A sound track of A-law, protected so.
fn protected_track(scheme: &[u8; 4], tenc: &[u8]) -> TrackBuilder {
    let schm = full(b"schm", 0, 0, &[scheme, &words(&[0x1_0000])]);
    let tenc = bx(b"schi", &[&full(b"tenc", 1, 0, &[tenc])]);
    let sinf = bx(b"sinf", &[&bx(b"frma", &[b"alaw"]), &schm, &tenc]);
    TrackBuilder {
        handler: *b"soun",
        entry: audio_entry(b"enca", 1, 16, 8000, &sinf),
        ..TrackBuilder::video(8000)
    }
}

/// A fragmented file with one fragment of four samples of 2 bytes. `boxes` stand in its `traf`.
fn fragment(track: &TrackBuilder, boxes: &[u8]) -> Vec<u8> {
    let mvex = bx(
        b"mvex",
        &[&full(b"trex", 0, 0, &[&words(&[1, 1, 2, 2, 0])])],
    );
    let traf = bx(
        b"traf",
        &[
            &full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]),
            &full(b"tfdt", 0, 0, &[&words(&[0])]),
            &full(b"trun", 0, 0, &[&words(&[4])]),
            boxes,
        ],
    );
    // Without an offset the samples begin at the moof box itself: eight bytes of it are as good as any.
    [moov(&[track.build()], &mvex), bx(b"moof", &[&traf])].concat()
}

fn encryption(file: Vec<u8>) -> Vec<Option<Arc<SampleEncryption>>> {
    let demuxer = open_bytes(file).expect("it opens");
    let packets = packets(&demuxer, 0).expect("packets");
    packets
        .into_iter()
        .map(|packet| packet.encryption)
        .collect()
}

#[test]
fn a_constant_vector_and_a_pattern_hold_for_every_sample() {
    let track = protected_track(b"cbcs", &keys(0x19, 1, 0, 7, &[5; 16]));
    let pssh = full(b"pssh", 0, 0, &[&[1; 16], &words(&[2]), b"ab"]);
    let mut file = fragment(&track, &[]);
    // The header of the movie grows by the box.
    let end = u32::from_be_bytes(file[..4].try_into().unwrap()) as usize;
    file.splice(end..end, pssh.iter().copied());
    file[..4].copy_from_slice(&((end + pssh.len()) as u32).to_be_bytes());
    let demuxer = open_bytes(file.clone()).expect("it opens");
    let public = demuxer.tracks()[0].encryption.as_ref().expect("encrypted");
    assert_eq!(public.scheme.as_deref(), Some("cbcs"));
    assert_eq!(public.original_codec.as_deref(), Some("alaw"));
    assert_eq!(*public.pssh, [pssh]);
    let wanted = SampleEncryption {
        kid: None,
        iv: vec![5; 16].into(),
        subsamples: Vec::new(),
        pattern: Some((1, 9)),
    };
    let got = encryption(file);
    assert_eq!(got.len(), 4);
    for sample in got {
        assert_eq!(sample.as_deref(), Some(&wanted));
    }
}

#[test]
fn sample_groups_change_the_key_and_leave_samples_in_clear() {
    let track = protected_track(b"cenc", &keys(0, 1, 8, 7, &[]));
    // Sample 0 by the track's keys, 1 and 2 in clear, 3 by another key with vectors of 16 bytes.
    let sgpd = [keys(0, 0, 0, 0, &[]), keys(0, 1, 16, 9, &[])];
    let sgpd = full(b"sgpd", 1, 0, &[b"seig", &words(&[20, 2]), &sgpd.concat()]);
    let runs = table(2, &[1, 0, 2, 0x1_0001, 1, 0x1_0002]);
    let sbgp = full(b"sbgp", 0, 0, &[b"seig", &runs]);
    let senc = [
        &[1; 8][..],
        &[0, 1, 0, 1, 0, 0, 0, 1],
        // The two in clear have an empty map.
        &[0, 0],
        &[0, 0],
        &[2; 16],
        &[0, 0],
    ]
    .concat();
    let senc = full(b"senc", 0, 2, &[&words(&[4]), &senc]);
    let got = encryption(fragment(&track, &[sgpd, sbgp, senc].concat()));
    let first = got[0].as_deref().expect("protected");
    assert_eq!((first.kid, &first.iv[..]), (None, &[1; 8][..]));
    let run = Subsample {
        clear: 1,
        protected: 1,
    };
    assert_eq!(first.subsamples, [run]);
    assert_eq!((&got[1], &got[2]), (&None, &None));
    let last = got[3].as_deref().expect("protected");
    assert_eq!((last.kid, &last.iv[..]), (Some([9; 16]), &[2; 16][..]));
}

#[test]
fn auxiliary_information_is_found_where_the_tables_say() {
    let mut track = protected_track(b"cenc", &keys(0, 1, 8, 7, &[]));
    // Two chunks of two samples, and the information of each chunk somewhere else.
    let ivs: Vec<u8> = (1..=4).flat_map(|n| [n; 8]).collect();
    let data = [&[0; 8][..], &ivs[16..], &[9; 5], &ivs[..16]].concat();
    let at = support::DATA;
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[4, 1])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 2, 1])]),
        full(b"stsz", 0, 0, &[&words(&[2, 4])]),
        full(b"stco", 0, 0, &[&table(1, &[at, at + 4])]),
        full(b"saiz", 0, 0, &[&[8], &words(&[4])]),
        full(b"saio", 0, 0, &[&table(1, &[at + 29, at + 8])]),
    ]
    .concat();
    let got = encryption(progressive(&data, &[track.build()]));
    let ivs: Vec<_> = got
        .iter()
        .map(|one| one.as_ref().expect("protected").iv[0])
        .collect();
    assert_eq!(ivs, [1, 2, 3, 4]);
}

#[test]
fn a_fragment_finds_auxiliary_information_from_its_own_start() {
    let track = protected_track(b"cenc", &keys(0, 1, 8, 7, &[]));
    let ivs: Vec<u8> = (1..=4).flat_map(|n| [n; 8]).collect();
    // After the headers of moof, traf and free, and tfhd, tfdt and trun of 16 bytes each.
    const INFORMATION: u32 = 8 + 8 + 3 * 16 + 8;
    let boxes = [
        bx(b"free", &[&ivs]),
        full(b"saiz", 0, 1, &[b"cenc", &words(&[0]), &[8], &words(&[4])]),
        full(
            b"saio",
            0,
            1,
            &[b"cenc", &words(&[0]), &table(1, &[INFORMATION])],
        ),
    ];
    let got = encryption(fragment(&track, &boxes.concat()));
    let ivs: Vec<_> = got
        .iter()
        .map(|one| one.as_ref().expect("protected").iv[0])
        .collect();
    assert_eq!(ivs, [1, 2, 3, 4]);
}

#[test]
fn a_protected_sample_without_its_vector_is_an_error_that_says_so() {
    let track = protected_track(b"cenc", &keys(0, 1, 8, 7, &[]));
    let demuxer = open_bytes(fragment(&track, &[])).expect("it opens");
    let error = packets(&demuxer, 0).expect_err("no vector").to_string();
    assert!(error.contains("initialisation vector"), "{error}");
    // A map that claims more than its box holds.
    let senc = full(b"senc", 0, 2, &[&words(&[1]), &[1; 8], &[0xff, 0xff]]);
    let demuxer = open_bytes(fragment(&track, &senc)).expect("it opens");
    assert!(packets(&demuxer, 0).is_err());
    let bad = protected_track(b"cenc", &keys(0, 1, 9, 7, &[]));
    assert!(open_bytes(fragment(&bad, &[])).is_err());
}

/// Two samples of 2 bytes: of the first sample description, then of the second.
fn two_entries(mut track: TrackBuilder, entries: &[&[u8]], order: [u32; 2]) -> Vec<u8> {
    track.entry = entries.concat();
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[2, 80])]),
        full(
            b"stsc",
            0,
            0,
            &[&table(3, &[1, 1, order[0], 2, 1, order[1]])],
        ),
        full(b"stsz", 0, 0, &[&words(&[2, 2])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA, DATA + 2])]),
    ]
    .concat();
    progressive(b"abcd", &[track.build()])
}

#[test]
fn clear_samples_beside_protected_ones_have_a_codec_and_no_keys() {
    let track = protected_track(b"cbcs", &keys(0x19, 1, 0, 7, &[5; 16]));
    let protected = track.entry.clone();
    let clear = audio_entry(b"alaw", 1, 16, 8000, &[]);
    for (entries, order, clear_first) in [
        ([&protected[..], &clear], [2, 1], true),
        ([&protected[..], &clear], [1, 2], false),
        ([&clear[..], &protected], [1, 2], true),
    ] {
        let track = protected_track(b"cbcs", &keys(0x19, 1, 0, 7, &[5; 16]));
        let demuxer = open_bytes(two_entries(track, &entries, order)).expect("it opens");
        let public = &demuxer.tracks()[0];
        assert_eq!(public.encryption.is_none(), clear_first);
        let got = packets(&demuxer, 0).expect("packets");
        let mut holds = public.config();
        for (at, packet) in got.iter().enumerate() {
            let is_clear = clear_first == (at == 0);
            if let Some(config) = &packet.config {
                assert_ne!(**config, holds, "only what changes is told");
                holds = (**config).clone();
            }
            assert_eq!(packet.encryption.is_none(), is_clear, "{order:?}, {at}");
            assert_eq!(holds.encryption.is_none(), is_clear);
            assert_eq!(holds.codec.as_deref(), is_clear.then_some("alaw"));
        }
        assert_eq!(got.len(), 2);
    }
    // Keys are the track's: others in its middle would be taken for them.
    let other = protected_track(b"cbcs", &keys(0x19, 1, 0, 8, &[5; 16])).entry;
    let file = two_entries(track, &[&protected, &other], [1, 2]);
    let error = packets(&open_bytes(file).expect("it opens"), 0).expect_err("other keys");
    assert!(error.to_string().contains("another way"), "{error}");
}
