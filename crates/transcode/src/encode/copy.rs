//! Copies packets.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::ChunkKind;
use reelcore_media::codec_string::family;
use reelcore_media::demux::{TrackConfig, TrackKind};
use reelcore_media::mux::{OutputKind, OutputPacket, OutputTrack};

use crate::decode::{codec_of, has_codec};
use crate::error::{self, JobError};
use crate::job::SourceKind;
use crate::source::{self, Content as MediaContent, Media};
use crate::stream::{Context, Inlet};

use super::{Item, PACKETS_AHEAD, flac};

/// Copies packets as they are, until a time in microseconds. `counted` says whether the container itself counts samples of FLAC:
/// otherwise their description no longer says how many there are where it was of more.
pub(crate) fn copy(
    context: &Context,
    media: Arc<Media>,
    kind: SourceKind,
    number: usize,
    to: i64,
    counted: bool,
) -> Result<Inlet<Item>, JobError> {
    let of_thread = context.clone();
    context.stage("copy", PACKETS_AHEAD, move |outlet| {
        let missing = || {
            JobError::input(
                &media.path,
                format!("it has no {} track of number {number}", kind.as_str()),
            )
        };
        let MediaContent::Tracks(demuxer, origin) = &media.content else {
            return Err(missing());
        };
        let (index, track) = media.track(kind, number).ok_or_else(missing)?;
        has_codec(&media, index, track)?;
        let codec = codec_of(track).map_err(|error| JobError::input(&media.path, error))?;
        let codec_text = codec.clone();
        let failed = |error| error::demux(&media.path, &error);
        let mut reader = source::reader(demuxer, index).map_err(failed)?;
        let mut next = reader.next_sample().map_err(failed)?;
        let mut began: Option<Arc<TrackConfig>> = None;
        let empty = next.is_none();
        // Of a recording that begins in the middle, what nobody can decode is left out.
        while let Some(packet) = next
            .as_mut()
            .filter(|packet| kind == SourceKind::Video && packet.chunk.kind == ChunkKind::Delta)
        {
            of_thread.cancel.check()?;
            began = packet.config.take().or(began);
            next = reader.next_sample().map_err(failed)?;
        }
        match &mut next {
            Some(packet) => packet.config = packet.config.take().or(began),
            None if empty => {}
            None => {
                return Err(JobError::input(
                    &media.path,
                    "expected a key picture to begin at, found none",
                ));
            }
        }
        let kind = match &track.kind {
            TrackKind::Video {
                coded_size,
                display_aspect,
                rotation,
                flip,
                color_space,
                ..
            } => OutputKind::Video {
                coded_size: *coded_size,
                display_aspect: Some(*display_aspect).filter(|aspect| aspect.area() > 0),
                rotation: *rotation,
                flip: *flip,
                color_space: *color_space,
                framerate: None,
                alpha: next.as_ref().is_some_and(|packet| {
                    packet
                        .chunk
                        .side
                        .as_ref()
                        .is_some_and(|side| side.alpha.is_some())
                }),
            },
            TrackKind::Audio {
                sample_rate,
                channels,
            } => OutputKind::Audio {
                sample_rate: *sample_rate,
                channels: *channels,
            },
            TrackKind::Other(_) => return Err(missing()),
        };
        let described = |description: &Option<Bytes>, decode_time: i64| match description {
            Some(description) if !counted && to < i64::MAX && codec_text == "flac" => {
                let left = to.saturating_sub(decode_time.saturating_sub(*origin));
                Some(flac::cut(description, left))
            }
            description => description.clone(),
        };
        let first = next.as_ref().map_or(*origin, |packet| packet.decode_time);
        outlet.push(Item::Track(Box::new(OutputTrack {
            kind,
            codec,
            description: described(&track.description, first),
            language: track.language.clone(),
            name: track.name.clone(),
        })))?;
        let mut last = i64::MIN;
        while let Some(packet) = next {
            let decode_time = packet.decode_time.saturating_sub(*origin);
            if decode_time < last {
                let reason = match demuxer.container() {
                    "mp4" => ", as an edit list that cuts or repeats makes them",
                    _ => "",
                };
                return Err(JobError::input(
                    &media.path,
                    format!(
                        "its times go back from {last} us to {decode_time} us{reason}, which packets that are copied cannot follow: decode and encode the track"
                    ),
                ));
            }
            last = decode_time;
            if decode_time >= to {
                break;
            }
            let mut output = OutputPacket::new(packet.chunk);
            output.chunk.timestamp = output.chunk.timestamp.saturating_sub(*origin);
            output.decode_time = Some(decode_time);
            if let Some(config) = &packet.config {
                let now = codec_of(&track.with_config(config))
                    .map_err(|error| JobError::input(&media.path, error))?;
                if family(&now) != family(&codec_text) {
                    return Err(JobError::input(
                        &media.path,
                        format!("the track changes from {codec_text} to {now}, which cannot be copied into one track"),
                    ));
                }
                output.description = described(&config.description, packet.decode_time);
            }
            outlet.push(Item::Packet(output))?;
            next = reader.next_sample().map_err(failed)?;
        }
        Ok(())
    })
}
