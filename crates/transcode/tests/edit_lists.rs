//! Jobs on files whose edit list leaves pictures out.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use reelcore_transcode::JobError;
use serde_json::json;

/// The clip from 0 to 0.4 and from 1 to 1.4 seconds, by the edit list of its first track.
fn cut(folder: &Path) -> PathBuf {
    let mut bytes = std::fs::read(clip()).expect("the clip");
    let find = |bytes: &[u8], name: &[u8]| bytes.windows(4).position(|four| four == name);
    let at = find(&bytes, b"elst").expect("an edit list");
    let number = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let (start, rate) = (number(&bytes, at + 16), [0, 1, 0, 0]);
    let mut edits = 2_u32.to_be_bytes().to_vec();
    for media in [start, start + 12_800] {
        edits.extend(400_u32.to_be_bytes());
        edits.extend(media.to_be_bytes());
        edits.extend(rate);
    }
    bytes.splice(at + 8..at + 24, edits);
    // The boxes around it grow by an entry; nothing that samples lie in comes after them.
    for name in [b"moov", b"trak", b"edts", b"elst"] {
        let at = find(&bytes, name).expect("a box") - 4;
        let size = number(&bytes, at) + 12;
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    let path = folder.join("cut.mp4");
    std::fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn pictures_that_a_cut_leaves_out_are_in_no_output() {
    let folder = folder();
    let out = folder.path().join("out.mkv");
    done(json!({
        "version": 1, "inputs": { "in": { "path": cut(folder.path()) } },
        "outputs": [{ "path": out, "streams": [lossless("in:video")] }],
    }));
    assert_eq!(ffprobe(&out, "stream=nb_read_frames"), "20");
}

#[test]
fn a_copy_of_a_cut_is_refused_by_the_edit_lists_name() {
    let folder = folder();
    let error = refused(json!({
        "version": 1, "inputs": { "in": { "path": cut(folder.path()) } },
        "outputs": [{
            "path": folder.path().join("copy.mp4"), "streams": [{ "video": { "codec": "copy" } }],
        }],
    }));
    assert!(matches!(error, JobError::Input { .. }), "{error}");
    assert!(error.to_string().contains("an edit list"), "{error}");
}
