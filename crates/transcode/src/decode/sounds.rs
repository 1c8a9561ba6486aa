//! Sound of an input.

use reelcore_engine::AudioDecode;
use reelcore_media::demux::{Track, TrackKind};
use reelcore_media::{AudioCodec, AudioData, AudioDecoderConfig, MediaError};

use super::backend::Decoding;
use super::{codec_of, missing, reader};
use crate::audio::conform::Conform;
use crate::error::{self, JobError};
use crate::job::SourceKind;
use crate::source::{Content, OpenInput, Part};
use crate::stream::{Context, Outlet, Sound, Sounds, frames_of};

/// Runs of sound that wait for who takes them.
const SOUNDS_AHEAD: usize = 16;

/// Sound follows the one before if it is off by no more, in microseconds: containers round.
const JITTER: i64 = 20_000;

fn audio_config(track: &Track) -> Result<AudioDecoderConfig, MediaError> {
    let TrackKind::Audio {
        sample_rate,
        channels,
    } = track.kind
    else {
        return Err(MediaError::argument("not a track of sound"));
    };
    let codec = AudioCodec::parse(&codec_of(track)?)
        .map_err(|error| MediaError::unsupported(error.to_string()))?;
    Ok(AudioDecoderConfig {
        codec,
        sample_rate,
        channels,
        description: track.description.clone(),
    })
}

/// The sound of an input, decoded on a thread of its own.
pub(crate) fn sounds(
    context: &Context,
    input: &OpenInput,
    number: usize,
) -> Result<Sounds, JobError> {
    // Parts that have none are silent.
    if let (Some(part), false) = (
        input.parts.first(),
        input
            .parts
            .iter()
            .any(|part| part.media.has(SourceKind::Audio, number)),
    ) {
        return Err(missing(part, SourceKind::Audio, number));
    }
    let parts = input.parts.clone();
    let of_thread = context.clone();
    let inlet = context.stage("decode audio", SOUNDS_AHEAD, move |outlet| {
        let mut line = SoundLine {
            outlet,
            conform: None,
            end: None,
        };
        for (index, part) in parts.iter().enumerate() {
            let has = part.media.has(SourceKind::Audio, number);
            if has {
                sounds_of(&of_thread, part, number, &mut line)?;
            } else if index == 0 {
                line.end = Some(0);
            }
            if !has || index + 1 < parts.len() {
                line.pad_to(part.offset.saturating_add(part.length.unwrap_or(0)))?;
            }
        }
        Ok(())
    })?;
    Ok(Box::new(inlet))
}

/// Sound of all parts on one line, at the rate and with the channels of the first.
struct SoundLine<'a> {
    outlet: &'a mut Outlet<Sound>,
    /// What the first run is like.
    conform: Option<(f32, u32)>,
    /// Where the last run ended, in frames.
    end: Option<i64>,
}

impl SoundLine<'_> {
    /// Takes a run at an exact place on the line; what is there already is dropped, what lacks before it is silence.
    fn push(&mut self, sound: Sound) -> Result<(), JobError> {
        let from = match self.end {
            Some(end) => {
                self.silence(end, sound.position, &sound.data)?;
                end
            }
            None => 0,
        };
        if let Some(sound) = sound.within(from, i64::MAX) {
            self.end = Some(sound.end());
            self.outlet.push(sound)?;
        }
        Ok(())
    }

    /// Silence from `from` to `to`, like `like`.
    fn silence(&mut self, mut from: i64, to: i64, like: &AudioData) -> Result<(), JobError> {
        while from < to {
            let count = (to - from).min(4096);
            let data = crate::audio::silence(like.sample_rate, like.channels, count)?;
            self.outlet.push(Sound::new(from, data))?;
            from += count;
            self.end = Some(from);
        }
        Ok(())
    }

    /// Silence to a time in microseconds, where a part ends before it.
    fn pad_to(&mut self, time: i64) -> Result<(), JobError> {
        let Some((rate, channels)) = self.conform else {
            return Ok(());
        };
        let to = frames_of(time, rate);
        let like = crate::audio::silence(rate, channels, 1)?;
        self.silence(self.end.unwrap_or(to), to, &like)
    }
}

/// Gives decoded runs their places: each follows the one before, unless it is off by more than [`JITTER`].
struct Places {
    /// What counts as time 0, in microseconds.
    zero: i64,
    next: Option<(i64, f32)>,
    /// Whether the next run is the first one after a seek.
    sought: bool,
    first: First,
}

/// The first run of Vorbis: where packets say no duration, decoders give it the time of the packet before its own, which gives nothing.
/// It ends where the second run begins in either case.
enum First {
    /// Runs of another codec, or behind the first.
    Placed,
    Awaited,
    /// The first run, which waits for the second.
    Held(AudioData),
}

/// Samples that a packet of Vorbis gives, at most.
const VORBIS_MOST: i64 = 4096;

impl Places {
    fn frames(&self, time: i64, rate: f32) -> i64 {
        frames_of(time.saturating_sub(self.zero), rate)
    }

    /// What can be placed with this run, or at the end: none, itself, or the first one and itself.
    fn place(&mut self, run: Option<AudioData>) -> impl Iterator<Item = Sound> + use<> {
        let (first, run) = match (std::mem::replace(&mut self.first, First::Placed), run) {
            (First::Awaited, Some(run)) => {
                self.first = First::Held(run);
                (None, None)
            }
            (First::Held(first), run) => {
                let said = self.frames(first.timestamp, first.sample_rate);
                let begin = run
                    .as_ref()
                    .filter(|run| run.sample_rate == first.sample_rate)
                    .map(|run| self.frames(run.timestamp, run.sample_rate))
                    .map(|end| end.saturating_sub(i64::from(first.frames)));
                let jitter = frames_of(JITTER, first.sample_rate);
                let near = -jitter..=VORBIS_MOST + jitter;
                let begin = begin.filter(|begin| near.contains(&begin.saturating_sub(said)));
                (Some((begin.unwrap_or(said), first)), run)
            }
            (_, run) => (None, run),
        };
        let first = first.map(|(position, first)| self.place_at(position, first));
        let run = run.map(|run| {
            let position = self.position(&run);
            self.place_at(position, run)
        });
        first.into_iter().chain(run)
    }

    fn position(&self, data: &AudioData) -> i64 {
        let said = self.frames(data.timestamp, data.sample_rate);
        let jitter = frames_of(JITTER, data.sample_rate);
        match self.next {
            Some((next, rate)) if rate == data.sample_rate && (next - said).abs() <= jitter => next,
            _ => said,
        }
    }

    /// What decoders give first in the middle of a track is not chained to where it ends before what is kept.
    fn place_at(&mut self, position: i64, data: AudioData) -> Sound {
        let end = position.saturating_add(i64::from(data.frames));
        let unsure = std::mem::take(&mut self.sought) && end <= 0;
        self.next = (!unsure).then_some((end, data.sample_rate));
        Sound::new(position, data)
    }
}

fn sounds_of(
    context: &Context,
    part: &Part,
    number: usize,
    line: &mut SoundLine<'_>,
) -> Result<(), JobError> {
    let media = &part.media;
    let Content::Tracks(_, origin) = &media.content else {
        return Err(missing(part, SourceKind::Audio, number));
    };
    let (track, mut reader, place) = reader(media, SourceKind::Audio, number, part.from)?;
    let failed = |error: MediaError| JobError::input(&media.path, error);
    let start = |track: &Track| {
        Decoding::<AudioDecode>::start(context, audio_config(track).map_err(failed)?)
            .map_err(failed)
    };
    let mut config = track.config();
    let mut decoding = start(track)?;
    let length = match (part.length, part.to) {
        (Some(length), _) => length,
        (None, Some(to)) => to.saturating_sub(part.from),
        (None, None) => i64::MAX,
    };
    let mut places = Places {
        zero: part.from.saturating_add(*origin),
        next: None,
        sought: place.is_some(),
        first: match config.codec.as_deref() {
            Some("vorbis") => First::Awaited,
            _ => First::Placed,
        },
    };
    let mut conform: Option<Conform> = None;
    let mut last = None;
    let mut runs = Vec::new();
    let mut over = false;
    while !over {
        context.cancel.check()?;
        let packet = reader
            .next_sample()
            .map_err(|error| error::demux(&media.path, &error))?;
        let packet =
            packet.filter(|packet| packet.chunk.timestamp.saturating_sub(places.zero) < length);
        over = packet.is_none();
        let next = packet.as_ref().and_then(|packet| packet.config.as_deref());
        if let Some(next) = next.filter(|&next| *next != config) {
            decoding
                .decode(None, &mut |run| runs.push(run))
                .map_err(failed)?;
            decoding = start(&track.with_config(next))?;
            config = next.clone();
        }
        let chunk = packet.map(|packet| packet.chunk);
        decoding
            .decode(chunk.as_ref(), &mut |run| runs.push(run))
            .map_err(failed)?;
        let last_run = over.then_some(None);
        for sound in runs
            .drain(..)
            .map(Some)
            .chain(last_run)
            .flat_map(|run| places.place(run))
        {
            let until = match length {
                i64::MAX => i64::MAX,
                length => frames_of(length, sound.data.sample_rate),
            };
            // What lies before the part was only decoded for the decoder to settle.
            let Some(kept) = sound.within(0, until) else {
                continue;
            };
            let (rate, channels) = *line
                .conform
                .get_or_insert((kept.data.sample_rate, kept.data.channels));
            let offset = frames_of(part.offset, rate);
            let moved =
                |sound: Sound| Sound::new(sound.position.saturating_add(offset), sound.data);
            if conform.is_none() && kept.data.sample_rate == rate && kept.data.channels == channels
            {
                last = Some(kept.end());
                line.push(moved(kept))?;
                continue;
            }
            let start = last.unwrap_or(0);
            let conform = conform.get_or_insert_with(|| Conform::new(rate, channels, start));
            conform.push(&kept, &mut |sound| line.push(moved(sound)))?;
        }
    }
    if let Some(mut conform) = conform {
        let offset = frames_of(part.offset, line.conform.map_or(1.0, |(rate, _)| rate));
        conform.finish(&mut |sound| {
            line.push(Sound::new(
                sound.position.saturating_add(offset),
                sound.data,
            ))
        })?;
    }
    Ok(())
}
