//! Clips that the ffmpeg command makes, and what ffprobe says of them.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use md5::{Digest, Md5};
use reelcore_media::ChunkKind;
use reelcore_media::demux::Packet;
use serde::Deserialize;

/// One packet, as ffprobe sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Probed {
    pub stream_index: usize,
    /// In ticks of the stream.
    pub pts: Option<i64>,
    pub dts: Option<i64>,
    pub duration: Option<i64>,
    pub size: String,
    pub pos: Option<String>,
    pub flags: String,
    pub data_hash: String,
}

#[derive(Deserialize)]
struct Probe {
    packets: Vec<Probed>,
}

/// Runs ffmpeg, which writes `name` into the folder of this build's temporary files; a clip that is there is kept.
pub fn ffmpeg(name: &str, args: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    std::fs::create_dir_all(&folder).expect("a folder");
    // The arguments are part of the name: a clip that is made otherwise is another one.
    let digest = Md5::digest(args.join(" "));
    let key = format!("{digest:x}");
    let path = folder.join(format!("{}-{name}", &key[..8]));
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    if !path.exists() {
        // Written beside and renamed: other processes make clips too, and may be killed.
        let part = folder.join(format!("{}-{}-{name}", std::process::id(), &key[..8]));
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(args)
            .args(["-fflags", "+bitexact"])
            .arg(&part)
            // What SVT-AV1 says of itself.
            .stderr(Stdio::null())
            .status()
            .expect("the ffmpeg command (./x setup installs it)");
        assert!(status.success(), "{name}: {args:?}");
        std::fs::rename(part, &path).expect("the clip");
    }
    path
}

/// The packets of each stream of the file at `path`.
pub fn ffprobe(path: &Path, streams: usize) -> Vec<Vec<Probed>> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_packets",
            "-show_data_hash",
            "md5",
            "-of",
            "json",
        ])
        .arg(path)
        .output()
        .expect("the ffprobe command (./x setup installs it)");
    assert!(output.status.success(), "{}", path.display());
    let probe: Probe = serde_json::from_slice(&output.stdout).expect("ffprobe's JSON");
    let mut all = vec![Vec::new(); streams];
    for packet in probe.packets {
        all[packet.stream_index].push(packet);
    }
    all
}

/// The checksum of `data`, as ffprobe writes it.
pub fn md5(data: &[u8]) -> String {
    format!("MD5:{:x}", Md5::digest(data))
}

/// That the bytes and flags of a packet are those that ffprobe saw.
pub fn assert_same_data(packet: &Packet, probed: &Probed, what: &str) {
    let key = packet.chunk.kind == ChunkKind::Key;
    assert_eq!(
        packet.chunk.data.len().to_string(),
        probed.size,
        "{what}: size"
    );
    assert_eq!(md5(&packet.chunk.data), probed.data_hash, "{what}: data");
    assert_eq!(key, probed.flags.starts_with('K'), "{what}: flags");
}
