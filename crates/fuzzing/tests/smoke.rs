//! A short run of each fuzz target: the seeds as they are, what was found before, and mutations of both.

use std::path::{Path, PathBuf};

use reelcore_fuzzing::TARGETS;

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn files(kind: &str, name: &str, prefix: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(name);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            (path, [prefix, &bytes].concat())
        })
        .collect()
}

fn mutate(random: &mut Random, seeds: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].1.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len());
        match random.below(7) {
            0 => input.truncate(at),
            1 => input.insert(at, random.next() as u8),
            2 if !input.is_empty() => {
                input.remove(at);
            }
            3 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            4 => {
                // The values where sizes and counts go wrong.
                let values = [0, 1, 0x7f, 0x80, 0xff];
                let value = values[random.below(values.len())];
                let end = (at + 1 + random.below(8)).min(input.len());
                input[at.min(end)..end].fill(value);
            }
            5 => {
                // A piece of another seed.
                let other = &seeds[random.below(seeds.len())].1;
                let from = random.below(other.len());
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ if !input.is_empty() => input[at] = random.next() as u8,
            _ => {}
        }
    }
    input
}

fn smoke(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target");
    let (folder, prefix) = target.seeds;
    let mut seeds = files("seeds", folder, prefix);
    assert!(!seeds.is_empty(), "{name} has seeds");
    seeds.extend(files("regressions", target.name, b""));
    for (path, input) in &seeds {
        // Named before it runs, for where it does not return.
        println!("{}", path.display());
        (target.run)(input);
    }
    let mut random = Random(0x5eed_0000_0000_0001);
    for round in 0..target.smoke {
        let input = mutate(&mut random, &seeds);
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        if result.is_err() {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{round}"));
            std::fs::write(&kept, &input).expect("the input is kept");
            panic!("{name} fails on {}", kept.display());
        }
    }
}

macro_rules! smoke_tests {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                smoke(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_smoke_run() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

smoke_tests!(
    demux,
    demux_stream,
    mux,
    job,
    codec_string,
    description,
    decode_dav1d,
    decode_openh264,
    decode_hevc,
    decode_ffmpeg_h264,
    decode_ffmpeg_hevc,
    decode_ffmpeg_vp8,
    decode_vp8,
    decode_vp9,
    decode_aac,
    decode_opus,
    decode_pcm,
    decode_mp3,
    decode_flac,
    decode_vorbis,
);
