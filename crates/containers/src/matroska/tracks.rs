//! Tracks: RFC 9559, section 5.1.4.

use reelcore_media::demux::{DemuxError, Encryption, Track, TrackKind};
use reelcore_media::{ColorSpace, Rotation, Size};

use super::codec::{self, InFrame, Picture, Private, Sound, Vorbis};
use super::content::Content;
use super::ebml::Element;
use super::ids;
use crate::Limits;
use crate::bitstream::audio::Timing;

/// What reading a track needs.
#[derive(Clone, Debug)]
pub(crate) struct MatroskaTrack {
    pub(crate) public: Track,
    pub(crate) number: u64,
    pub(crate) uid: u64,
    pub(crate) kind: Kind,
    /// Nanoseconds between frames, where given.
    pub(crate) default_duration: Option<u64>,
    /// Nanoseconds.
    pub(crate) codec_delay: u64,
    /// Nanoseconds of decoded sound to drop at the track's start.
    pub(crate) priming: u64,
    /// Nanoseconds.
    pub(crate) seek_pre_roll: u64,
    pub(crate) content: Content,
    pub(crate) timing: Timing,
    pub(crate) vorbis: Option<Vorbis>,
    /// The codec string is in the first frame.
    pub(crate) in_frame: Option<InFrame>,
    pub(crate) picture: Picture,
    pub(crate) alpha: bool,
    pub(crate) reorder: Option<usize>,
    pub(crate) codec_id: String,
}

/// TrackType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    Other,
}

/// Parses the Tracks element.
pub(crate) fn parse(tracks: &Element, limits: &Limits) -> Result<Vec<MatroskaTrack>, DemuxError> {
    let mut all: Vec<MatroskaTrack> = Vec::new();
    let mut children = tracks.children();
    while let Some(child) = children.next()? {
        if child.id != ids::TRACK_ENTRY {
            continue;
        }
        if all.len() >= limits.max_tracks {
            return Err(DemuxError::Limit(format!(
                "more than {} tracks",
                limits.max_tracks
            )));
        }
        let track = entry(&child, limits)?;
        if all.iter().any(|other| other.number == track.number) {
            return Err(child.error(format_args!(
                "a second track has the number {}",
                track.number
            )));
        }
        all.push(track);
    }
    Ok(all)
}

fn entry(element: &Element, limits: &Limits) -> Result<MatroskaTrack, DemuxError> {
    let (mut number, mut uid, mut kind) = (0, 0, 0);
    let mut id = String::new();
    let mut private = Private::default();
    let (mut default_duration, mut codec_delay, mut seek_pre_roll) = (0, 0, 0);
    let (mut language, mut bcp47, mut name) = (None, None, None);
    let (mut video, mut audio) = (Video::default(), Audio::default());
    let mut content = Content::default();
    let mut children = element.children();
    while let Some(child) = children.next()? {
        match child.id {
            ids::TRACK_NUMBER => number = child.uint()?,
            ids::TRACK_UID => uid = child.uint()?,
            ids::TRACK_TYPE => kind = child.uint()?,
            ids::CODEC_ID => id = child.string(),
            ids::CODEC_PRIVATE => {
                private = Private {
                    offset: child.offset,
                    data: child.data,
                }
            }
            ids::DEFAULT_DURATION => default_duration = child.uint()?,
            ids::CODEC_DELAY => codec_delay = child.uint()?,
            ids::SEEK_PRE_ROLL => seek_pre_roll = child.uint()?,
            ids::LANGUAGE => language = Some(child.string()),
            ids::LANGUAGE_BCP47 => bcp47 = Some(child.string()),
            ids::NAME => name = Some(child.string()),
            ids::VIDEO => video = Video::parse(&child)?,
            ids::AUDIO => audio = Audio::parse(&child)?,
            ids::CONTENT_ENCODINGS => content = Content::parse(&child)?,
            _ => {}
        }
    }
    let public_id = u32::try_from(number).ok().filter(|&number| number > 0);
    let Some(public_id) = public_id else {
        return Err(element.error(format_args!(
            "expected a TrackNumber from 1 to {}, found {number}",
            u32::MAX
        )));
    };
    private.data = content.decode_private(private.data, private.offset, limits.max_header_bytes)?;
    let default_duration = Some(default_duration).filter(|&nanos| nanos > 0);
    let mut track = MatroskaTrack {
        public: Track {
            id: public_id,
            kind: TrackKind::Other(id.clone()),
            codec: None,
            description: None,
            // BCP 47 wins over ISO 639-2; `und` says nothing.
            language: bcp47
                .or(language)
                .filter(|language| !language.is_empty() && language != "und"),
            name: name.filter(|name| !name.is_empty()),
            encryption: None,
            duration: None,
            samples: None,
        },
        number,
        uid,
        kind: Kind::Other,
        default_duration,
        codec_delay,
        priming: codec_delay,
        seek_pre_roll,
        content,
        timing: Timing::Unknown,
        vorbis: None,
        in_frame: None,
        picture: Picture::default(),
        alpha: false,
        reorder: None,
        codec_id: id.clone(),
    };
    let codec = match kind {
        1 => {
            track.kind = Kind::Video;
            track.picture = video.picture(default_duration);
            track.public.kind = video.kind();
            let found = codec::video(&id, &private, &track.picture)?;
            track.alpha = found.alpha;
            track.reorder = found.reorder;
            track.in_frame = found.in_frame;
            found.codec
        }
        2 => {
            track.kind = Kind::Audio;
            let found = codec::audio(&id, &private, &audio.0)?;
            track.timing = found.timing;
            track.vorbis = found.vorbis;
            // Writers from before CodecDelay left it out.
            if codec_delay == 0 {
                track.priming = found.pre_skip;
            }
            track.public.kind = TrackKind::Audio {
                sample_rate: found.sample_rate,
                channels: found.channels,
            };
            found.codec
        }
        _ => None,
    };
    if let Some(codec) = codec {
        track.public.codec = Some(codec.string);
        track.public.description = codec.description;
    }
    if let Some(encryption) = &track.content.encryption {
        track.public.encryption = Some(Encryption {
            original_codec: track.public.codec.take(),
            ..encryption.clone()
        });
        track.in_frame = None;
        // The packets' own headers are not to be read.
        if !matches!(track.timing, Timing::Constant(_)) {
            track.timing = Timing::Unknown;
        }
        track.vorbis = None;
    }
    Ok(track)
}

/// The Video element.
#[derive(Debug, Default)]
struct Video {
    size: Size,
    /// Cropped from left and right, from top and bottom.
    crop: (u64, u64),
    display: (Option<u64>, Option<u64>),
    unit: u64,
    colour: Option<Colour>,
    rotation: Rotation,
    flip: bool,
}

impl Video {
    fn parse(element: &Element) -> Result<Self, DemuxError> {
        let mut video = Self::default();
        let mut children = element.children();
        while let Some(child) = children.next()? {
            let side = || {
                let value = child.uint()?;
                u32::try_from(value).map_err(|_| {
                    child.error(format_args!("{value} pixels are more than {}", u32::MAX))
                })
            };
            match child.id {
                ids::PIXEL_WIDTH => video.size.width = side()?,
                ids::PIXEL_HEIGHT => video.size.height = side()?,
                ids::PIXEL_CROP_LEFT | ids::PIXEL_CROP_RIGHT => {
                    video.crop.0 = video.crop.0.saturating_add(child.uint()?);
                }
                ids::PIXEL_CROP_TOP | ids::PIXEL_CROP_BOTTOM => {
                    video.crop.1 = video.crop.1.saturating_add(child.uint()?);
                }
                ids::DISPLAY_WIDTH => video.display.0 = Some(child.uint()?).filter(|&v| v > 0),
                ids::DISPLAY_HEIGHT => video.display.1 = Some(child.uint()?).filter(|&v| v > 0),
                ids::DISPLAY_UNIT => video.unit = child.uint()?,
                ids::COLOUR => video.colour = Some(Colour::parse(&child)?),
                ids::PROJECTION => (video.rotation, video.flip) = projection(&child)?,
                _ => {}
            }
        }
        Ok(video)
    }

    /// Width and height as they are to be shown: pixels, lengths or a ratio, which all give a ratio.
    fn display_aspect(&self) -> Size {
        let shown = |side: u32, crop: u64| {
            u32::try_from(u64::from(side).saturating_sub(crop))
                .ok()
                .filter(|&left| left > 0)
                .unwrap_or(side)
        };
        let cropped = Size::new(
            shown(self.size.width, self.crop.0),
            shown(self.size.height, self.crop.1),
        );
        let known = match (self.unit, self.display) {
            (0, (width, height)) => Some((
                width.unwrap_or(u64::from(cropped.width)),
                height.unwrap_or(u64::from(cropped.height)),
            )),
            (1..=3, (Some(width), Some(height))) => Some((width, height)),
            _ => None,
        };
        match known.map(|(width, height)| (u32::try_from(width), u32::try_from(height))) {
            Some((Ok(width), Ok(height))) => Size::new(width, height),
            _ => cropped,
        }
    }

    fn kind(&self) -> TrackKind {
        TrackKind::Video {
            coded_size: self.size,
            display_aspect: self.display_aspect(),
            aspect_of_stream: self.display == (None, None) && self.crop == (0, 0),
            rotation: self.rotation,
            flip: self.flip,
            color_space: self
                .colour
                .as_ref()
                .map(Colour::color_space)
                .unwrap_or_default(),
        }
    }

    fn picture(&self, frame_nanos: Option<u64>) -> Picture {
        let colour = self.colour.as_ref();
        Picture {
            code_points: colour.and_then(Colour::code_points),
            full_range: colour.and_then(|colour| colour.full_range),
            size: self.size,
            frame_nanos,
        }
    }
}

/// The Colour element: code points of ITU-T H.273, 2 where not given.
#[derive(Debug)]
struct Colour {
    primaries: u8,
    transfer: u8,
    matrix: u8,
    full_range: Option<bool>,
}

impl Colour {
    fn parse(element: &Element) -> Result<Self, DemuxError> {
        let mut colour = Self {
            primaries: 2,
            transfer: 2,
            matrix: 2,
            full_range: None,
        };
        let mut children = element.children();
        while let Some(child) = children.next()? {
            let point = || {
                child
                    .uint_or(2)
                    .map(|point| u8::try_from(point).unwrap_or(2))
            };
            match child.id {
                ids::PRIMARIES => colour.primaries = point()?,
                ids::TRANSFER_CHARACTERISTICS => colour.transfer = point()?,
                ids::MATRIX_COEFFICIENTS => colour.matrix = point()?,
                // 0 is unspecified, 3 leaves it to the other three.
                ids::RANGE => {
                    colour.full_range = match child.uint()? {
                        1 => Some(false),
                        2 => Some(true),
                        _ => None,
                    }
                }
                _ => {}
            }
        }
        Ok(colour)
    }

    fn code_points(&self) -> Option<[u8; 3]> {
        let points = [self.primaries, self.transfer, self.matrix];
        (points != [2; 3]).then_some(points)
    }

    fn color_space(&self) -> ColorSpace {
        ColorSpace {
            full_range: self.full_range,
            ..ColorSpace::from_code_points(self.primaries, self.transfer, self.matrix, false)
        }
    }
}

/// Projection: the pose of a flat picture, in degrees. Roll turns it counter-clockwise; yaw and pitch of half a turn
/// show its back.
fn projection(element: &Element) -> Result<(Rotation, bool), DemuxError> {
    let (mut kind, mut yaw, mut pitch, mut roll) = (0, 0.0, 0.0, 0.0);
    let mut children = element.children();
    while let Some(child) = children.next()? {
        match child.id {
            ids::PROJECTION_TYPE => kind = child.uint()?,
            ids::PROJECTION_POSE_YAW => yaw = child.float_or(0.0)?,
            ids::PROJECTION_POSE_PITCH => pitch = child.float_or(0.0)?,
            ids::PROJECTION_POSE_ROLL => roll = child.float_or(0.0)?,
            _ => {}
        }
    }
    if kind != 0 {
        return Ok((Rotation::R0, false));
    }
    let half = |degrees: f64| Rotation::parse(degrees) == Rotation::R180;
    let rotation = Rotation::parse(-roll);
    // Upside down by pitch is mirrored and turned by half a circle.
    Ok(match (half(yaw), half(pitch)) {
        (false, false) => (rotation, false),
        (true, false) => (rotation, true),
        (false, true) => (rotation.plus(Rotation::R180), true),
        (true, true) => (rotation.plus(Rotation::R180), false),
    })
}

/// The Audio element.
#[derive(Debug)]
struct Audio(Sound);

impl Default for Audio {
    fn default() -> Self {
        Self(Sound {
            sample_rate: 8000,
            output_rate: None,
            channels: 1,
            bit_depth: 0,
        })
    }
}

impl Audio {
    fn parse(element: &Element) -> Result<Self, DemuxError> {
        let mut audio = Self::default();
        let sound = &mut audio.0;
        let mut children = element.children();
        while let Some(child) = children.next()? {
            let rate = |default: f64| {
                let rate = child.float_or(default)?.round();
                if (1.0..=f64::from(u32::MAX)).contains(&rate) {
                    Ok(rate as u32)
                } else {
                    Err(child.error(format_args!("expected a rate of 1 or more, found {rate}")))
                }
            };
            match child.id {
                ids::SAMPLING_FREQUENCY => sound.sample_rate = rate(8000.0)?,
                ids::OUTPUT_SAMPLING_FREQUENCY => {
                    sound.output_rate = Some(rate(f64::from(sound.sample_rate))?)
                }
                ids::CHANNELS => {
                    let channels = child.uint_or(1)?;
                    sound.channels = u32::try_from(channels)
                        .ok()
                        .filter(|&channels| channels > 0)
                        .ok_or_else(|| {
                            child.error(format_args!(
                                "expected 1 or more channels, found {channels}"
                            ))
                        })?;
                }
                ids::BIT_DEPTH => sound.bit_depth = u32::try_from(child.uint()?).unwrap_or(0),
                _ => {}
            }
        }
        Ok(audio)
    }
}
