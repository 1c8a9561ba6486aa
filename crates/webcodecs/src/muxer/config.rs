//! What a script says of a track, at its start and in the middle of it.

use reelcore_media::codec_string::family;
use reelcore_media::mux::{MuxError, OutputKind, OutputTrack};
use reelcore_media::{AudioCodec, ColorSpace, Size, VideoCodec};

/// A decoder config, of which members may be missing.
pub(super) struct Configuration {
    pub(super) track: OutputTrack,
    /// The members that a container needs and that are not there; in `track` they are 0.
    pub(super) lacks: Option<&'static str>,
}

impl Configuration {
    /// Takes the size of pictures, where it is not there, from what held before: VideoDecoderConfig need not have it.
    pub(super) fn complete(&mut self, before: &OutputTrack) {
        if let OutputKind::Video { coded_size, .. } = &mut self.track.kind
            && let OutputKind::Video {
                coded_size: size, ..
            } = before.kind
            && self.lacks.is_some()
        {
            *coded_size = size;
            self.lacks = None;
        }
    }

    /// That members are missing.
    pub(super) fn incomplete(lacks: &str) -> String {
        format!("Muxer: the decoderConfig lacks {lacks}")
    }
}

/// Whether a description is known only once there are packets, since encoders make it, or since it stands in them.
pub(super) fn may_get_description(track: &OutputTrack) -> bool {
    if track.description.is_some() {
        return false;
    }
    match (
        VideoCodec::parse(&track.codec),
        AudioCodec::parse(&track.codec),
    ) {
        (Ok(codec), _) => !matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9(_)),
        (_, Ok(codec)) => matches!(
            codec,
            AudioCodec::Aac(_) | AudioCodec::Opus | AudioCodec::Flac | AudioCodec::Vorbis
        ),
        _ => false,
    }
}

/// Refuses what a `container` cannot say in the middle of a track: it says it once, in front of the packets.
///
/// # Errors
/// [`MuxError::Invalid`] for another codec, [`MuxError::Unsupported`] for the rest.
pub(super) fn check_change(
    container: &str,
    track: usize,
    before: &OutputTrack,
    now: &OutputTrack,
) -> Result<(), MuxError> {
    // Strings of one family may be of two codecs: mp4a.40.2 and mp4a.6B.
    let sound = |codec: &str| AudioCodec::parse(codec).ok().map(|codec| codec.family());
    if family(&before.codec) != family(&now.codec) || sound(&before.codec) != sound(&now.codec) {
        return Err(MuxError::Invalid(format!(
            "track {track} changes from {} to {}",
            before.codec, now.codec
        )));
    }
    let changes = |what: &str, from: String, to: String| {
        Err(MuxError::Unsupported(format!(
            "{what} of track {track} changes from {from} to {to} in the middle of it, which {container} has no place for"
        )))
    };
    match (&before.kind, &now.kind) {
        (
            OutputKind::Audio {
                sample_rate: old_rate,
                channels: old_channels,
            },
            OutputKind::Audio {
                sample_rate,
                channels,
            },
        ) => {
            let (rate_told, channels_told) = told_by_packets(container, now);
            if !rate_told && old_rate != sample_rate {
                return changes(
                    "the sample rate",
                    format!("{old_rate} Hz"),
                    format!("{sample_rate} Hz"),
                );
            }
            if !channels_told && old_channels != channels {
                return changes(
                    "the number of channels",
                    old_channels.to_string(),
                    channels.to_string(),
                );
            }
            Ok(())
        }
        (
            OutputKind::Video {
                coded_size: old_size,
                display_aspect: old_aspect,
                rotation: old_rotation,
                flip: old_flip,
                color_space: old_space,
                ..
            },
            OutputKind::Video {
                coded_size,
                display_aspect,
                rotation,
                flip,
                color_space,
                ..
            },
        ) => {
            // The others have no place for it, not even at the start.
            if !matches!(container, "mp4" | "matroska" | "webm") {
                return Ok(());
            }
            if old_rotation != rotation {
                return changes(
                    "the rotation",
                    format!("{} degrees", old_rotation.degrees()),
                    format!("{} degrees", rotation.degrees()),
                );
            }
            if old_flip != flip {
                return changes("the flip", old_flip.to_string(), flip.to_string());
            }
            // Where the container says nothing of colours, these streams do.
            let of_stream = *old_space == ColorSpace::default()
                && matches!(
                    VideoCodec::parse(&now.codec),
                    Ok(VideoCodec::Avc(_) | VideoCodec::Hevc(_) | VideoCodec::Av1(_))
                );
            if old_space != color_space && !of_stream {
                return changes("the colour space", colors(old_space), colors(color_space));
            }
            let shape = |aspect: Option<Size>, size: &Size| {
                let aspect = aspect.unwrap_or(*size);
                format!("{}:{}", aspect.width, aspect.height)
            };
            if !same_shape((*old_size, *old_aspect), (*coded_size, *display_aspect)) {
                return changes(
                    "the aspect ratio",
                    shape(*old_aspect, old_size),
                    shape(*display_aspect, coded_size),
                );
            }
            Ok(())
        }
        _ => Err(MuxError::Invalid(format!(
            "track {track} changes between pictures and sound"
        ))),
    }
}

/// Whether packets or their description tell the sample rate, and the number of channels.
fn told_by_packets(container: &str, track: &OutputTrack) -> (bool, bool) {
    match AudioCodec::parse(&track.codec) {
        Ok(AudioCodec::Aac(_) | AudioCodec::Flac | AudioCodec::Vorbis) => (true, true),
        // Opus is decoded at 48 kHz, whatever it was made of.
        Ok(AudioCodec::Opus) => (true, track.description.is_some()),
        // The header of each frame; other containers say it in front as well.
        Ok(AudioCodec::Mp3) => (container == "mpegts", container == "mpegts"),
        _ => (false, false),
    }
}

/// Whether pixels have the same shape and, where that is not a square, pictures too: of the two, some containers say one and
/// some the other.
fn same_shape(old: (Size, Option<Size>), new: (Size, Option<Size>)) -> bool {
    let of_pixel = |(size, aspect): (Size, Option<Size>)| {
        let aspect = aspect.unwrap_or(size);
        (
            u128::from(aspect.width) * u128::from(size.height),
            u128::from(aspect.height) * u128::from(size.width),
        )
    };
    let equal = |(a, b): (u128, u128), (c, d): (u128, u128)| a * d == b * c;
    let of_picture = |(size, aspect): (Size, Option<Size>)| {
        let aspect = aspect.unwrap_or(size);
        (u128::from(aspect.width), u128::from(aspect.height))
    };
    let (old_pixel, new_pixel) = (of_pixel(old), of_pixel(new));
    let square = |(width, height): (u128, u128)| width == height;
    equal(old_pixel, new_pixel) && (square(old_pixel) || equal(of_picture(old), of_picture(new)))
}

fn colors(space: &ColorSpace) -> String {
    let range = match space.full_range {
        Some(true) => "full range",
        Some(false) => "limited range",
        None => "unknown range",
    };
    format!(
        "{}/{}/{}, {range}",
        space.primaries.map_or("unknown", |p| p.as_str()),
        space.transfer.map_or("unknown", |t| t.as_str()),
        space.matrix.map_or("unknown", |m| m.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use reelcore_media::Rotation;
    use reelcore_media::color::{Matrix, Primaries, Transfer};

    use super::*;

    const BT709: ColorSpace = ColorSpace {
        primaries: Some(Primaries::Bt709),
        transfer: Some(Transfer::Bt709),
        matrix: Some(Matrix::Bt709),
        full_range: Some(false),
    };

    fn track(codec: &str, kind: OutputKind) -> OutputTrack {
        OutputTrack {
            kind,
            codec: codec.into(),
            description: None,
            language: None,
            name: None,
        }
    }

    fn sound(codec: &str, sample_rate: u32, channels: u32) -> OutputTrack {
        let kind = OutputKind::Audio {
            sample_rate,
            channels,
        };
        track(codec, kind)
    }

    fn pictures(
        codec: &str,
        size: (u32, u32),
        aspect: Option<(u32, u32)>,
        rotation: Rotation,
        color_space: ColorSpace,
    ) -> OutputTrack {
        let kind = OutputKind::Video {
            coded_size: Size::new(size.0, size.1),
            display_aspect: aspect.map(|(w, h)| Size::new(w, h)),
            rotation,
            flip: false,
            color_space,
            framerate: None,
            alpha: false,
        };
        track(codec, kind)
    }

    fn refused(container: &str, before: &OutputTrack, now: &OutputTrack) -> Option<String> {
        match check_change(container, 0, before, now) {
            Ok(()) => None,
            Err(MuxError::Unsupported(what)) => Some(what),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn another_rate_or_number_of_channels_is_refused_where_only_the_container_says_it() {
        for codec in ["pcm-s16", "ulaw", "alaw", "mp3"] {
            let before = sound(codec, 48_000, 2);
            let rate = refused("mp4", &before, &sound(codec, 24_000, 2)).expect(codec);
            assert!(rate.contains("from 48000 Hz to 24000 Hz"), "{rate}");
            let channels = refused("wav", &before, &sound(codec, 48_000, 1)).expect(codec);
            assert!(channels.contains("number of channels"), "{channels}");
            assert_eq!(refused("mp4", &before, &before), None);
        }
        let opus = sound("opus", 48_000, 2);
        assert_eq!(refused("webm", &opus, &sound("opus", 24_000, 2)), None);
        assert!(refused("webm", &opus, &sound("opus", 48_000, 1)).is_some());
        let mut headed = sound("opus", 48_000, 1);
        headed.description = Some(bytes::Bytes::from_static(b"OpusHead"));
        assert_eq!(refused("mp4", &opus, &headed), None);
        let aac = sound("mp4a.40.2", 48_000, 2);
        assert_eq!(refused("mp4", &aac, &sound("mp4a.40.2", 44_100, 1)), None);
        let other = check_change("mp4", 0, &aac, &sound("mp4a.6B", 48_000, 2));
        assert!(matches!(other, Err(MuxError::Invalid(_))));
    }

    #[test]
    fn another_orientation_or_colour_is_refused_where_the_container_says_it() {
        let size = (320, 180);
        let before = pictures("vp8", size, None, Rotation::R0, BT709);
        let turned = pictures("vp8", size, None, Rotation::R90, BT709);
        let colours = pictures("vp8", size, None, Rotation::R0, ColorSpace::default());
        for container in ["mp4", "webm", "matroska"] {
            let found = refused(container, &before, &turned).expect(container);
            assert!(found.contains("from 0 degrees to 90 degrees"), "{found}");
            let found = refused(container, &before, &colours).expect(container);
            assert!(found.contains("unknown range"), "{found}");
        }
        assert_eq!(refused("ivf", &before, &turned), None);
        // Of VP8 nothing but the container tells colours, of H.264 the stream does.
        assert!(refused("webm", &colours, &before).is_some());
        let silent = pictures(
            "avc1.42c00c",
            size,
            None,
            Rotation::R0,
            ColorSpace::default(),
        );
        let said = pictures("avc1.42c00c", size, None, Rotation::R0, BT709);
        assert_eq!(refused("mp4", &silent, &said), None);
        assert!(refused("mp4", &said, &silent).is_some());
    }

    #[test]
    fn pictures_of_another_size_are_taken_and_of_another_shape_of_pixels_refused() {
        let of = |size, aspect| pictures("vp8", size, aspect, Rotation::R0, BT709);
        let square = of((320, 180), None);
        for same in [
            of((640, 360), None),
            of((64, 48), None),
            of((320, 180), Some((16, 9))),
            of((640, 480), Some((4, 3))),
        ] {
            assert_eq!(refused("mp4", &square, &same), None, "{same:?}");
        }
        let wide = refused("mp4", &square, &of((320, 180), Some((4, 3)))).expect("refused");
        assert!(wide.contains("from 320:180 to 4:3"), "{wide}");
        // Half as large, with the same pixels: but where pixels are not square, the shape of pictures is said in Matroska.
        let pal = of((720, 576), Some((16, 9)));
        assert_eq!(refused("mp4", &pal, &of((360, 288), Some((16, 9)))), None);
        assert!(refused("mp4", &pal, &of((720, 576), Some((4, 3)))).is_some());
        assert!(refused("mp4", &pal, &of((1440, 576), Some((32, 9)))).is_some());
    }

    #[test]
    fn a_size_that_is_missing_in_the_middle_is_that_before() {
        let before = pictures("vp8", (320, 180), None, Rotation::R0, BT709);
        let mut now = Configuration {
            track: pictures("vp8", (0, 0), None, Rotation::R0, BT709),
            lacks: Some("codedWidth and codedHeight"),
        };
        now.complete(&before);
        assert_eq!((now.lacks, &now.track), (None, &before));
        let mut sound_only = Configuration {
            track: sound("opus", 0, 2),
            lacks: Some("sampleRate"),
        };
        sound_only.complete(&before);
        assert_eq!(sound_only.lacks, Some("sampleRate"));
    }
}
