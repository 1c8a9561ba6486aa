//! What stands before the first Cluster: RFC 9559, sections 4.5 and 5.1.

use reelcore_media::mux::{OutputKind, OutputTrack};
use reelcore_media::{AudioCodec, Rotation, Size, VideoCodec};

use super::super::ids;
use super::codec;
use super::track::{Codec, MuxTrack};
use super::write::Ebml;
use crate::bitstream::vp9;

/// Bytes that a SeekHead of four entries and a Void of two take.
pub(super) const SEEK_HEAD: usize = 96;

/// Bytes of the Duration element.
pub(super) const DURATION: usize = 11;

/// Nanoseconds before a packet of Opus from which a decoder has to start (RFC 7845, section 4.6).
const OPUS_PRE_ROLL: u64 = 80_000_000;

const APP: &str = concat!("Reelcore ", env!("CARGO_PKG_VERSION"));

/// The EBML header.
pub(super) fn ebml(webm: bool) -> Ebml {
    let mut out = Ebml::default();
    out.master(ids::EBML, |e| {
        e.uint(ids::EBML_VERSION, 1);
        e.uint(ids::EBML_READ_VERSION, 1);
        e.uint(ids::EBML_MAX_ID_LENGTH, 4);
        e.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
        e.text(ids::DOC_TYPE, if webm { "webm" } else { "matroska" });
        // Version 4 has CodecDelay and DiscardPadding; those who know version 2 can read all but that.
        e.uint(ids::DOC_TYPE_VERSION, 4);
        e.uint(ids::DOC_TYPE_READ_VERSION, 2);
    });
    out
}

/// Info, and where in it there is room for Duration.
pub(super) fn info(scale: u64, tags: &[(String, String)]) -> (Ebml, usize) {
    let tag = |wanted: &str| tags.iter().find(|(name, _)| name == wanted);
    let mut room = 0;
    let mut body = Ebml::default();
    body.uint(ids::TIMESTAMP_SCALE, scale);
    body.text(ids::MUXING_APP, APP);
    let writer = tag("encoder").map_or(APP, |(_, value)| value);
    body.text(ids::WRITING_APP, writer);
    if let Some((_, title)) = tag("title") {
        body.text(ids::TITLE, title);
    }
    room += body.len();
    body.void(DURATION);
    let mut out = Ebml::default();
    out.binary(ids::INFO, body.bytes());
    let before = out.len() - body.len();
    (out, before + room)
}

/// Duration in ticks.
pub(super) fn duration(ticks: f64) -> Ebml {
    let mut out = Ebml::default();
    out.float(ids::DURATION, ticks);
    out
}

/// A SeekHead for elements at those places in the Segment, and a Void up to [`SEEK_HEAD`] bytes.
pub(super) fn seek_head(places: &[(u32, u64)]) -> Ebml {
    let mut out = Ebml::default();
    out.master(ids::SEEK_HEAD, |e| {
        for &(id, place) in places {
            e.master(ids::SEEK, |e| {
                e.binary(ids::SEEK_ID, &id.to_be_bytes());
                e.binary(ids::SEEK_POSITION, &place.to_be_bytes());
            });
        }
    });
    out.void(SEEK_HEAD.saturating_sub(out.len()).max(2));
    out
}

/// Tags of the presentation, but for the title and the encoder, which Info has. `None` where there are none.
pub(super) fn tags(tags: &[(String, String)]) -> Option<Ebml> {
    let mut body = Ebml::default();
    for (name, value) in tags {
        if name == "title" || name == "encoder" || value.is_empty() {
            continue;
        }
        // https://www.matroska.org/technical/tagging.html; others in capitals, as FFmpeg has them.
        let name = match name.as_str() {
            "performer" => "LEAD_PERFORMER".to_owned(),
            "track" => "PART_NUMBER".to_owned(),
            name => name.to_uppercase(),
        };
        body.master(ids::SIMPLE_TAG, |e| {
            e.text(ids::TAG_NAME, &name);
            e.text(ids::TAG_STRING, value);
        });
    }
    (body.len() > 0).then(|| {
        let mut out = Ebml::default();
        out.master(ids::TAGS, |e| {
            e.master(ids::TAG, |e| {
                e.master(ids::TARGETS, |_| {});
                e.raw(body.bytes());
            });
        });
        out
    })
}

/// Tracks.
pub(super) fn tracks(tracks: &[MuxTrack]) -> Ebml {
    let mut out = Ebml::default();
    out.master(ids::TRACKS, |e| {
        for (number, track) in (1..).zip(tracks) {
            e.master(ids::TRACK_ENTRY, |e| entry(e, number, track));
        }
    });
    out
}

fn entry(e: &mut Ebml, number: u64, track: &MuxTrack) {
    let output = &track.output;
    e.uint(ids::TRACK_NUMBER, number);
    e.uint(ids::TRACK_UID, number);
    e.uint(ids::TRACK_TYPE, if track.is_video() { 1 } else { 2 });
    e.uint(ids::FLAG_LACING, 0);
    if let Some(step) = track.default_duration {
        e.uint(ids::DEFAULT_DURATION, step);
    }
    // Where none is given it would be English.
    let language = output.language.as_deref().unwrap_or("und");
    if language.len() == 3 {
        e.text(ids::LANGUAGE, language);
    } else {
        e.text(ids::LANGUAGE, "und");
        e.text(ids::LANGUAGE_BCP47, language);
    }
    if let Some(name) = &output.name {
        e.text(ids::NAME, name);
    }
    e.text(ids::CODEC_ID, codec::id(&track.codec));
    if let Some(private) = track.private.as_ref().filter(|private| !private.is_empty()) {
        e.binary(ids::CODEC_PRIVATE, private);
    }
    if track.priming.delay() > 0 {
        e.uint(ids::CODEC_DELAY, track.priming.delay());
    }
    if track.codec == Codec::Audio(AudioCodec::Opus) {
        e.uint(ids::SEEK_PRE_ROLL, OPUS_PRE_ROLL);
    }
    match output.kind {
        OutputKind::Video { alpha, .. } => {
            if alpha {
                e.uint(ids::MAX_BLOCK_ADDITION_ID, 1);
            }
            e.master(ids::VIDEO, |e| video(e, output, &track.codec));
        }
        OutputKind::Audio {
            sample_rate,
            channels,
        } => e.master(ids::AUDIO, |e| {
            // A core that spectral band replication makes faster.
            let core = match track.timing {
                crate::bitstream::audio::Timing::Constant(frames) => frames.rate,
                _ => sample_rate,
            };
            let opus = track.codec == Codec::Audio(AudioCodec::Opus);
            let rate = if opus { 48_000 } else { core };
            e.float(ids::SAMPLING_FREQUENCY, f64::from(rate));
            if !opus && core != sample_rate {
                e.float(ids::OUTPUT_SAMPLING_FREQUENCY, f64::from(sample_rate));
            }
            e.uint(ids::CHANNELS, u64::from(channels));
            if let Some(bits) = codec::bits(&track.codec) {
                e.uint(ids::BIT_DEPTH, u64::from(bits));
            }
        }),
    }
}

fn video(e: &mut Ebml, output: &OutputTrack, codec: &Codec) {
    let OutputKind::Video {
        coded_size,
        display_aspect,
        rotation,
        flip,
        alpha,
        ..
    } = output.kind
    else {
        return;
    };
    e.uint(ids::PIXEL_WIDTH, u64::from(coded_size.width));
    e.uint(ids::PIXEL_HEIGHT, u64::from(coded_size.height));
    if alpha {
        e.uint(ids::ALPHA_MODE, 1);
    }
    if let Some(shown) = display_aspect.and_then(|aspect| display_size(coded_size, aspect)) {
        e.uint(ids::DISPLAY_WIDTH, u64::from(shown.width));
        e.uint(ids::DISPLAY_HEIGHT, u64::from(shown.height));
    }
    colour(e, output, codec);
    if rotation != Rotation::R0 || flip {
        e.master(ids::PROJECTION, |e| {
            e.uint(ids::PROJECTION_TYPE, 0);
            // Half a turn to the side shows the back: a mirror image.
            e.float(ids::PROJECTION_POSE_YAW, if flip { 180.0 } else { 0.0 });
            e.float(ids::PROJECTION_POSE_PITCH, 0.0);
            // Counter-clockwise, from -180 to 180.
            e.float(
                ids::PROJECTION_POSE_ROLL,
                match rotation {
                    Rotation::R0 => 0.0,
                    Rotation::R90 => -90.0,
                    Rotation::R180 => 180.0,
                    Rotation::R270 => 90.0,
                },
            );
        });
    }
}

/// The size in square pixels at which pictures of `coded` size are shown, where it is another. A pair of numbers that
/// can be such a size is kept.
fn display_size(coded: Size, aspect: Size) -> Option<Size> {
    let across = u64::from(aspect.width) * u64::from(coded.height);
    let down = u64::from(aspect.height) * u64::from(coded.width);
    if across == down || across == 0 || down == 0 {
        return None;
    }
    if aspect.width >= coded.width && aspect.height >= coded.height {
        return Some(aspect);
    }
    Some(coded.with_sample_aspect((across, down)))
}

/// Colour: what is known of it. The codec string of VP9 may say more.
fn colour(e: &mut Ebml, output: &OutputTrack, codec: &Codec) {
    let OutputKind::Video { color_space, .. } = output.kind else {
        return;
    };
    let said = match codec {
        Codec::Video(VideoCodec::Vp9(vp9)) => vp9::told_colors(&output.codec, vp9),
        _ => None,
    };
    let [primaries, transfer, matrix] = said.map_or([None; 3], |(color, _)| {
        color.map(|code| (code != 2).then_some(code))
    });
    let primaries = color_space.primaries.map(|p| p.code_point()).or(primaries);
    let transfer = color_space.transfer.map(|t| t.code_point()).or(transfer);
    let matrix = color_space.matrix.map(|m| m.code_point()).or(matrix);
    let full_range = color_space.full_range.or(said.map(|(_, full)| full));
    if primaries.is_none() && transfer.is_none() && matrix.is_none() && full_range.is_none() {
        return;
    }
    e.master(ids::COLOUR, |e| {
        for (id, code) in [
            (ids::MATRIX_COEFFICIENTS, matrix),
            (ids::TRANSFER_CHARACTERISTICS, transfer),
            (ids::PRIMARIES, primaries),
        ] {
            if let Some(code) = code {
                e.uint(id, u64::from(code));
            }
        }
        if let Some(full) = full_range {
            e.uint(ids::RANGE, if full { 2 } else { 1 });
        }
    });
}
