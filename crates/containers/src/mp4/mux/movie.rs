//! `moov`: what stands before or behind the samples.

use reelcore_media::mux::{MuxError, MuxOptions, OutputKind};
use reelcore_media::{AudioCodec, Rotation};

use super::boxes::Boxes;
use super::entry::display_size;
use super::table::{Sizes, Table};
use super::track::{Codec, MuxTrack};
use super::{tags, time};

/// What of a track is shown, and when, in its own ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Nothing is shown for so long.
    pub(super) empty: i64,
    /// Media time that is shown first.
    pub(super) media_start: i64,
    /// How much is shown; `None` in fragments, where it is not known.
    pub(super) length: Option<i64>,
    /// Whether an edit list has to say it.
    pub(super) needed: bool,
}

/// A track as `moov` tells it.
#[derive(Debug)]
pub(super) struct TrackView<'a> {
    pub(super) track: &'a MuxTrack,
    /// Its time scale.
    pub(super) scale: u32,
    pub(super) edit: Edit,
    /// Sum of the samples' durations, in its ticks.
    pub(super) media_duration: u64,
    /// The samples; `None` in a file of fragments.
    pub(super) table: Option<&'a Table>,
    /// How many ticks the first sample of sound lasts.
    pub(super) first_duration: i64,
}

impl TrackView<'_> {
    /// How long the presentation of the track takes, with what is empty before it.
    fn shown(&self) -> i64 {
        match self.edit.length {
            Some(length) => self.edit.empty.saturating_add(length),
            None => 0,
        }
    }
}

/// A time scale in which all edits are whole: that of most players, or one of which those of all tracks are parts.
fn movie_scale(tracks: &[TrackView<'_>]) -> u32 {
    let exact = |scale: u32| {
        let edits = tracks.iter().filter(|view| view.edit.needed);
        edits
            .flat_map(|view| {
                let length = view.edit.length.unwrap_or(0);
                [(view.edit.empty, view.scale), (length, view.scale)]
            })
            .all(|(ticks, from)| time::convert(ticks, from, scale).1)
    };
    let common = || {
        let mut scales = tracks.iter().map(|view| view.scale);
        scales.try_fold(1, time::lcm)
    };
    match exact(1000) {
        true => 1000,
        false => common().unwrap_or(1_000_000),
    }
}

/// Builds `moov`. `shift` is where the media data begin in the file.
pub(super) fn moov(
    tracks: &[TrackView<'_>],
    options: &MuxOptions,
    fragmented: bool,
    shift: u64,
) -> Result<Vec<u8>, MuxError> {
    let scale = movie_scale(tracks);
    let durations: Vec<u64> = tracks
        .iter()
        .map(|view| time::convert(view.shown(), view.scale, scale).0)
        .collect();
    let duration = durations.iter().copied().max().unwrap_or(0);
    let mut boxes = Boxes::default();
    boxes.bx(b"moov", |b| {
        b.full(b"mvhd", version(duration), 0, |b| {
            dates_and(b, duration, |b| b.u32(scale));
            b.u32(0x1_0000);
            b.u16(0x100);
            b.zeros(10);
            matrix(b, Rotation::R0, false, (0, 0));
            b.zeros(24);
            // next_track_ID
            b.count(tracks.len() + 1);
        });
        for (index, view) in tracks.iter().enumerate() {
            let duration = durations.get(index).copied().unwrap_or(0);
            trak(b, view, index, scale, duration, shift);
        }
        if fragmented {
            b.bx(b"mvex", |b| {
                for index in 0..tracks.len() {
                    b.full(b"trex", 0, 0, |b| {
                        b.count(index + 1);
                        // The first sample description; the rest is told in each fragment.
                        b.u32(1);
                        b.zeros(12);
                    });
                }
            });
        }
        tags::write(b, &options.tags);
    });
    boxes.finish()
}

/// The version of a box with a duration.
fn version(duration: u64) -> u8 {
    u8::from(duration > u64::from(u32::MAX))
}

/// Creation and modification (not told), what `between` writes, and the duration.
fn dates_and(b: &mut Boxes, duration: u64, between: impl FnOnce(&mut Boxes)) {
    let version = version(duration);
    b.u32_or_u64(version, 0);
    b.u32_or_u64(version, 0);
    between(b);
    b.u32_or_u64(version, duration);
}

/// Rotation, then mirroring, moved so that the picture stays at the origin.
fn matrix(b: &mut Boxes, rotation: Rotation, flip: bool, size: (i32, i32)) {
    let (cos, sin) = match rotation {
        Rotation::R0 => (1, 0),
        Rotation::R90 => (0, 1),
        Rotation::R180 => (-1, 0),
        Rotation::R270 => (0, -1),
    };
    let mirror = if flip { -1 } else { 1 };
    let (a, b_, c, d) = (cos * mirror, sin, -sin * mirror, cos);
    let (width, height) = size;
    let origin = |x: i32, y: i32| -((x * width).min(0) + (y * height).min(0));
    let one = 1 << 16;
    for value in [a * one, b_ * one, 0, c * one, d * one, 0] {
        b.i32(value);
    }
    b.i32(origin(a, c).saturating_mul(one));
    b.i32(origin(b_, d).saturating_mul(one));
    b.i32(1 << 30);
}

fn trak(b: &mut Boxes, view: &TrackView<'_>, index: usize, movie: u32, duration: u64, shift: u64) {
    let output = &view.track.output;
    b.bx(b"trak", |b| {
        // Enabled, and in the presentation.
        b.full(b"tkhd", version(duration), 3, |b| {
            dates_and(b, duration, |b| {
                b.count(index + 1);
                b.u32(0);
            });
            b.zeros(12);
            match output.kind {
                OutputKind::Video { rotation, flip, .. } => {
                    b.zeros(4);
                    let size = display_size(output);
                    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
                    let (width, height) = (side(size.width), side(size.height));
                    // The translation is a signed 16.16 number.
                    let signed = |side: u16| i32::from(side.min(i16::MAX as u16));
                    matrix(b, rotation, flip, (signed(width), signed(height)));
                    b.u32(u32::from(width) << 16);
                    b.u32(u32::from(height) << 16);
                }
                OutputKind::Audio { .. } => {
                    // Full volume.
                    b.u16(0x100);
                    b.u16(0);
                    matrix(b, Rotation::R0, false, (0, 0));
                    b.zeros(8);
                }
            }
        });
        if view.edit.needed {
            b.bx(b"edts", |b| edit_list(b, view, movie));
        }
        // A string that ends in 0 cannot hold one.
        let own_name = output.name.as_deref();
        let own_name = own_name.and_then(|name| name.split('\0').next());
        let own_name = own_name.filter(|name| !name.is_empty());
        b.bx(b"mdia", |b| {
            b.full(b"mdhd", version(view.media_duration), 0, |b| {
                dates_and(b, view.media_duration, |b| b.u32(view.scale));
                b.u16(language(output.language.as_deref()));
                b.u16(0);
            });
            if let Some(tag) = extended_language(output.language.as_deref()) {
                b.full(b"elng", 0, 0, |b| b.bytes(&[tag.as_bytes(), &[0]].concat()));
            }
            let (handler, name): (&[u8; 4], &str) = match output.kind {
                OutputKind::Video { .. } => (b"vide", "VideoHandler"),
                OutputKind::Audio { .. } => (b"soun", "SoundHandler"),
            };
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(handler);
                b.zeros(12);
                b.bytes(own_name.unwrap_or(name).as_bytes());
                b.u8(0);
            });
            b.bx(b"minf", |b| {
                match output.kind {
                    OutputKind::Video { .. } => b.full(b"vmhd", 0, 1, |b| b.zeros(8)),
                    OutputKind::Audio { .. } => b.full(b"smhd", 0, 0, |b| b.zeros(4)),
                }
                b.bx(b"dinf", |b| {
                    b.full(b"dref", 0, 0, |b| {
                        b.u32(1);
                        // Self-contained.
                        b.full(b"url ", 0, 1, |_| ());
                    });
                });
                b.bx(b"stbl", |b| sample_table(b, view, shift));
            });
        });
        if let Some(name) = own_name {
            b.bx(b"udta", |b| b.bx(b"name", |b| b.bytes(name.as_bytes())));
        }
    });
}

fn edit_list(b: &mut Boxes, view: &TrackView<'_>, movie: u32) {
    let empty = time::convert(view.edit.empty, view.scale, movie).0;
    let length = time::convert(view.edit.length.unwrap_or(0), view.scale, movie).0;
    let largest = empty.max(length).max(view.edit.media_start.unsigned_abs());
    let version = u8::from(largest > i32::MAX as u64);
    b.full(b"elst", version, 0, |b| {
        b.u32(if empty > 0 { 2 } else { 1 });
        let mut entry = |duration: u64, media: i64| {
            b.u32_or_u64(version, duration);
            match version {
                0 => b.i32(media as i32),
                _ => b.i64(media),
            }
            // At the normal rate.
            b.u32(0x1_0000);
        };
        if empty > 0 {
            entry(empty, -1);
        }
        entry(length, view.edit.media_start);
    });
}

/// A language that three letters do not say, as RFC 5646 has it (ISO/IEC 14496-12, 8.4.6).
fn extended_language(language: Option<&str>) -> Option<&str> {
    let tag = language?;
    let of_tag = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let is_tag = !tag.is_empty() && tag.as_bytes().iter().all(of_tag);
    let packed = tag.len() == 3 && tag.as_bytes().iter().all(u8::is_ascii_lowercase);
    Some(tag).filter(|_| is_tag && !packed)
}

/// ISO 639-2/T in three times five bits; "und" for what is none.
fn language(language: Option<&str>) -> u16 {
    let code = language
        .and_then(|language| language.as_bytes().first_chunk::<3>())
        .filter(|code| code.iter().all(u8::is_ascii_lowercase))
        .filter(|_| language.is_some_and(|language| language.len() == 3));
    code.unwrap_or(b"und")
        .iter()
        .fold(0, |packed, letter| packed << 5 | u16::from(letter & 31))
}

/// How many samples of sound before one have to be decoded with it, for the decoder to settle.
pub(super) fn roll_distance(view: &TrackView<'_>) -> Option<i16> {
    match view.track.codec {
        // 80 ms: RFC 7845, section 4.6.
        Codec::Audio(AudioCodec::Opus) => {
            let first = view.first_duration.max(1);
            Some(-i16::try_from((3840 + first - 1) / first).unwrap_or(32))
        }
        // The overlap with the frame before.
        Codec::Audio(AudioCodec::Aac(_)) => Some(-1),
        _ => None,
    }
}

/// `sbgp` for `count` samples.
pub(super) fn roll_samples(b: &mut Boxes, count: u64) {
    b.full(b"sbgp", 0, 0, |b| {
        b.bytes(b"roll");
        b.u32(1);
        b.u32(u32::try_from(count).unwrap_or(u32::MAX));
        b.u32(1);
    });
}

fn sample_table(b: &mut Boxes, view: &TrackView<'_>, shift: u64) {
    b.full(b"stsd", 0, 0, |b| {
        b.count(view.track.entries.len());
        let alone = view.track.entries.len() == 1;
        for entry in &view.track.entries {
            entry.write(&view.track.codec, &view.track.output, alone, b);
        }
    });
    let roll = roll_distance(view);
    if let Some(distance) = roll {
        b.full(b"sgpd", 1, 0, |b| {
            b.bytes(b"roll");
            b.u32(2);
            b.u32(1);
            b.i16(distance);
        });
    }
    let Some(table) = view.table else {
        for kind in [b"stts", b"stsc", b"stco"] {
            b.full(kind, 0, 0, |b| b.u32(0));
        }
        b.full(b"stsz", 0, 0, |b| b.zeros(8));
        return;
    };
    if roll.is_some() && table.times.count > 0 {
        roll_samples(b, table.times.count);
    }
    let deltas = table.times.deltas();
    b.full(b"stts", 0, 0, |b| {
        b.count(deltas.len());
        for (count, delta) in deltas.iter() {
            b.u32(count);
            b.u32(delta);
        }
    });
    let offsets = &table.times.offsets;
    if offsets.iter().any(|(_, offset)| offset != 0) {
        // Signed offsets need version 1.
        let version = u8::from(offsets.iter().any(|(_, offset)| offset < 0));
        b.full(b"ctts", version, 0, |b| {
            b.count(offsets.len());
            for (count, offset) in offsets.iter() {
                b.u32(count);
                b.i32(offset);
            }
        });
    }
    if table.has_delta {
        b.full(b"stss", 0, 0, |b| {
            b.count(table.keys.len());
            table.keys.iter().for_each(|&number| b.u32(number));
        });
    }
    b.full(b"stsc", 0, 0, |b| {
        b.count(table.chunk_runs.len());
        for &(first, samples, description) in &table.chunk_runs {
            b.u32(first);
            b.u32(samples);
            b.u32(description);
        }
    });
    b.full(b"stsz", 0, 0, |b| match &table.sizes {
        Sizes::Even(size, count) => {
            b.u32(*size);
            b.u32(u32::try_from(*count).unwrap_or(u32::MAX));
        }
        Sizes::Each(sizes) => {
            b.u32(0);
            b.count(sizes.len());
            sizes.iter().for_each(|&size| b.u32(size));
        }
    });
    let last = table
        .chunks
        .last()
        .copied()
        .unwrap_or(0)
        .saturating_add(shift);
    let wide = last > u64::from(u32::MAX);
    b.full(if wide { b"co64" } else { b"stco" }, 0, 0, |b| {
        b.count(table.chunks.len());
        for offset in &table.chunks {
            b.u32_or_u64(u8::from(wide), offset.saturating_add(shift));
        }
    });
}
