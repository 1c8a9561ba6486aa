//! What a script says of a track, at its start and in the middle of it.

use reelcore_media::codec_string::family;
use reelcore_media::mux::{MuxError, OutputKind, OutputTrack};
use reelcore_media::{AudioCodec, ColorSpace, Rotation, Size, VideoCodec};

/// A decoder config, of which members may be missing.
pub(super) struct Configuration {
    pub(super) track: OutputTrack,
    /// The members that a container needs and that are not there; in `track` they are 0.
    pub(super) lacks: Option<&'static str>,
    /// Whether it says how pictures are turned; in `track` they are upright else.
    pub(super) says_orientation: bool,
}

/// How much of a track is settled when another configuration of it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Added,
    /// What stands in front of the packets is written, and no packet yet.
    Begun,
    /// It has packets.
    Running,
}

impl Configuration {
    /// Takes what is not there from what held before: VideoDecoderConfig need not have it.
    ///
    /// Encoders say of upright pictures that they are not turned. So until there are packets that does not undo what who added the
    /// track said, and `turned`, which says that it was so, holds on. Gives the same for the next one.
    pub(super) fn complete(&mut self, before: &OutputTrack, stage: Stage, turned: bool) -> bool {
        let OutputKind::Video {
            coded_size,
            display_aspect,
            rotation,
            flip,
            color_space,
            ..
        } = &mut self.track.kind
        else {
            return false;
        };
        let OutputKind::Video {
            coded_size: old_size,
            display_aspect: old_aspect,
            rotation: old_rotation,
            flip: old_flip,
            color_space: old_colors,
            ..
        } = before.kind
        else {
            return false;
        };
        if self.lacks.take().is_some() {
            *coded_size = old_size;
        }
        *display_aspect = display_aspect.or(old_aspect);
        *color_space = color_space.or(old_colors);
        if stage == Stage::Begun {
            // The file keeps saying nothing of what it was begun without.
            color_space.primaries = old_colors.primaries.and(color_space.primaries);
            color_space.transfer = old_colors.transfer.and(color_space.transfer);
            color_space.matrix = old_colors.matrix.and(color_space.matrix);
            color_space.full_range = old_colors.full_range.and(color_space.full_range);
        }
        let upright = *rotation == Rotation::R0 && !*flip;
        let was_upright = old_rotation == Rotation::R0 && !old_flip;
        let overruled = upright && !was_upright && (stage != Stage::Running || turned);
        if overruled || !self.says_orientation {
            (*rotation, *flip) = (old_rotation, old_flip);
        }
        overruled || (turned && !self.says_orientation)
    }

    /// That members are missing.
    pub(super) fn incomplete(lacks: &str) -> String {
        format!("Muxer: the decoderConfig lacks {lacks}")
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
            says_orientation: false,
        };
        now.complete(&before, Stage::Running, false);
        assert_eq!((now.lacks, &now.track), (None, &before));
        let mut sound_only = Configuration {
            track: sound("opus", 0, 2),
            lacks: Some("sampleRate"),
            says_orientation: false,
        };
        sound_only.complete(&before, Stage::Running, false);
        assert_eq!(sound_only.lacks, Some("sampleRate"));
    }

    #[test]
    fn what_a_config_does_not_say_is_as_before_and_upright_pictures_do_not_turn_those_of_the_track()
    {
        let aspect = Some((16, 9));
        let before = pictures("vp8", (320, 240), aspect, Rotation::R90, BT709);
        let plain = |rotation, says_orientation| Configuration {
            track: pictures("vp8", (320, 240), None, rotation, ColorSpace::default()),
            lacks: None,
            says_orientation,
        };
        let mut unsaid = plain(Rotation::R0, false);
        assert!(!unsaid.complete(&before, Stage::Running, false));
        assert_eq!(unsaid.track, before);
        // An encoder's, before there is a packet and after.
        for stage in [Stage::Added, Stage::Begun] {
            let mut upright = plain(Rotation::R0, true);
            assert!(upright.complete(&before, stage, false));
            assert_eq!(upright.track, before);
        }
        let mut later = plain(Rotation::R0, true);
        assert!(later.complete(&before, Stage::Running, true));
        assert_eq!(later.track, before);
        let mut turned_back = plain(Rotation::R0, true);
        assert!(!turned_back.complete(&before, Stage::Running, false));
        assert!(refused("mp4", &before, &turned_back.track).is_some());
        let mut other = plain(Rotation::R180, true);
        assert!(!other.complete(&before, Stage::Added, false));
        assert!(matches!(
            other.track.kind,
            OutputKind::Video {
                rotation: Rotation::R180,
                ..
            }
        ));
    }

    #[test]
    fn colours_that_a_file_was_begun_without_stay_unknown() {
        let unknown = ColorSpace::default();
        let before = pictures("vp8", (64, 48), None, Rotation::R0, unknown);
        let mut now = Configuration {
            track: pictures("vp8", (64, 48), None, Rotation::R0, BT709),
            lacks: None,
            says_orientation: true,
        };
        now.complete(&before, Stage::Begun, false);
        assert_eq!(now.track, before);
        let bt601 = ColorSpace {
            matrix: Some(Matrix::Smpte170m),
            ..unknown
        };
        let before = pictures("vp8", (64, 48), None, Rotation::R0, bt601);
        let mut now = Configuration {
            track: pictures("vp8", (64, 48), None, Rotation::R0, BT709),
            lacks: None,
            says_orientation: true,
        };
        now.complete(&before, Stage::Begun, false);
        assert!(refused("webm", &before, &now.track).is_some());
    }
}
