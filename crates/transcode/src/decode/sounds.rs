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
}

impl Places {
    /// What decoders give first in the middle of a track is not chained to where it ends before what is kept: that of Vorbis has the
    /// time of the packet before its own.
    fn place(&mut self, data: &AudioData) -> i64 {
        let said = frames_of(data.timestamp.saturating_sub(self.zero), data.sample_rate);
        let jitter = frames_of(JITTER, data.sample_rate);
        let position = match self.next {
            Some((next, rate)) if rate == data.sample_rate && (next - said).abs() <= jitter => next,
            _ => said,
        };
        let end = position.saturating_add(i64::from(data.frames));
        let unsure = std::mem::take(&mut self.sought) && end <= 0;
        self.next = (!unsure).then_some((end, data.sample_rate));
        position
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
        for run in runs.drain(..) {
            let position = places.place(&run);
            let until = match length {
                i64::MAX => i64::MAX,
                length => frames_of(length, run.sample_rate),
            };
            // What lies before the part was only decoded for the decoder to settle.
            let Some(kept) = Sound::new(position, run).within(0, until) else {
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
