//! What is done with arbitrary bytes: one function for each target, which must return for any input, within bounded
//! memory and time, without a panic.
//!
//! `fuzz/` holds the thin wrappers for cargo-fuzz; `tests/smoke.rs` runs the same functions over the seeds, their
//! mutations and the files of what was found before.

#![forbid(unsafe_code)]

mod decode;
mod demux;
mod job;
mod mux;
mod strings;

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder of regressions.
    pub name: &'static str,
    /// The folder of its seeds, and what is put before each.
    pub seeds: (&'static str, &'static [u8]),
    /// What it does with an input.
    pub run: fn(&[u8]),
    /// Inputs of the smoke run; fewer where each takes longer.
    pub smoke: usize,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn target(name: &'static str, run: fn(&[u8]), smoke: usize) -> Target {
    Target {
        name,
        seeds: (name, b""),
        run,
        smoke,
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("demux", demux::any, 20_000),
    Target {
        // In pieces of a hundred bytes.
        seeds: ("demux", &[99]),
        ..target("demux_stream", demux::streamed, 5000)
    },
    target("mux", mux::any, 10_000),
    target("job", job::any, 20_000),
    target("codec_string", strings::codec_string, 20_000),
    target("description", strings::description, 4000),
    target("decode_dav1d", decode::dav1d, 1000),
    target("decode_openh264", decode::openh264, 1000),
    target("decode_hevc", decode::hevc, 1000),
    Target {
        seeds: ("decode_openh264", b""),
        ..target("decode_ffmpeg_h264", decode::ffmpeg_h264, 1000)
    },
    Target {
        seeds: ("decode_hevc", b""),
        ..target("decode_ffmpeg_hevc", decode::ffmpeg_hevc, 1000)
    },
    Target {
        seeds: ("decode_vp8", b""),
        ..target("decode_ffmpeg_vp8", decode::ffmpeg_vp8, 1000)
    },
    target("decode_vp8", decode::vp8, 1000),
    target("decode_vp9", decode::vp9, 1000),
    target("decode_aac", decode::aac, 2000),
    target("decode_opus", decode::opus, 2000),
    target("decode_pcm", decode::pcm, 2000),
    target("decode_mp3", decode::mp3, 2000),
    target("decode_flac", decode::flac, 2000),
    target("decode_vorbis", decode::vorbis, 2000),
];

/// The target of that name.
///
/// # Panics
/// Where there is none: only the fuzz wrappers ask.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => (target.run)(input),
        None => panic!("no target {name}"),
    }
}
