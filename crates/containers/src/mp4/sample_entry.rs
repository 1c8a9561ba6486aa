//! `stsd`: what the samples of a track are.

use reelcore_media::Size;
use reelcore_media::demux::DemuxError;

use super::codec::audio::{self, Pcm};
use super::codec::video::{self, Nclx};
use super::codec::{Codec, esds};
use super::parse::{FourCc, Reader};
use super::protection::TrackProtection;

/// The descriptions of a track's samples.
#[derive(Clone, Debug)]
pub(crate) struct SampleDescriptions {
    /// That of the first sample, which the track is configured with.
    pub(crate) own: Option<SampleEntry>,
    /// Its place, from 0.
    pub(crate) own_place: usize,
    /// All entries as they stand in the file: the others are parsed when a sample names them.
    entries: Vec<(FourCc, Reader)>,
    /// Whether there are entries beside those that repeat it.
    pub(crate) several: bool,
    handler: FourCc,
    version: u8,
}

/// One sample entry.
#[derive(Clone, Debug)]
pub(crate) struct SampleEntry {
    pub(crate) format: FourCc,
    pub(crate) media: Media,
    pub(crate) codec: Option<Codec>,
    /// How the samples are protected, where they are.
    pub(crate) protection: Option<TrackProtection>,
    /// Index of the data reference, from 1.
    pub(crate) data_reference: u16,
}

/// What a sample entry says for its kind of media.
#[derive(Clone, Debug)]
pub(crate) enum Media {
    Video(Video),
    Audio(Audio),
    Other,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Video {
    pub(crate) size: Size,
    /// Size of the clean aperture, where there is one.
    pub(crate) aperture: Option<Size>,
    /// Width and height of a pixel.
    pub(crate) pixel_aspect: Option<Size>,
    pub(crate) colour: Option<Nclx>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Audio {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    /// Bytes of one frame of uncompressed sound.
    pub(crate) pcm_frame: Option<u32>,
}

impl SampleDescriptions {
    /// Those of a track that has none.
    pub(crate) fn none() -> Self {
        Self {
            own: None,
            own_place: 0,
            entries: Vec::new(),
            several: false,
            handler: FourCc(*b"    "),
            version: 0,
        }
    }

    /// Parses a `stsd` box. `handler` says what the track holds, `first` which description (from 1) its first sample has, where
    /// that is known.
    pub(crate) fn parse(
        mut reader: Reader,
        handler: FourCc,
        first: impl FnOnce() -> Option<u32>,
    ) -> Result<Self, DemuxError> {
        let (version, _) = reader.full_box()?;
        let count = reader.u32()?;
        let mut this = Self {
            handler,
            version,
            ..Self::none()
        };
        for _ in 0..count {
            let Some(entry) = reader.child()? else {
                return Err(reader.error(format_args!(
                    "expected {count} sample entries, found {}",
                    this.entries.len()
                )));
            };
            this.entries.push((entry.kind, entry.body));
        }
        if let Some((kind, body)) = this.entries.first() {
            let same = |(k, b): &(FourCc, Reader)| k == kind && b.same_bytes(body);
            this.several = !this.entries.iter().all(same);
        }
        if this.several {
            let place = first().and_then(|index| this.place(index));
            this.own_place = place.unwrap_or(0);
        }
        if let Some((kind, body)) = this.entries.get(this.own_place) {
            this.own = Some(this.parse_entry(*kind, body.clone())?);
        }
        Ok(this)
    }

    /// Where the track's own does not say the sample rate, which has no room for more than 65,535 Hz, it is the rate of the media's time:
    /// writers give sound that one.
    pub(crate) fn or_sample_rate(mut self, media_scale: u32) -> Self {
        if let Some(SampleEntry {
            media: Media::Audio(audio),
            ..
        }) = &mut self.own
            && audio.sample_rate == 0
        {
            audio.sample_rate = media_scale;
        }
        self
    }

    fn parse_entry(&self, kind: FourCc, mut body: Reader) -> Result<SampleEntry, DemuxError> {
        body.skip(6)?;
        let data_reference = body.u16()?;
        let protected = matches!(
            &kind.0,
            b"encv" | b"enca" | b"enct" | b"encs" | b"drmi" | b"drms"
        );
        let protection = match protected {
            true => Some(find_protection(body.clone(), self.handler, self.version)?),
            false => None,
        };
        // What stands in a protected entry is what stands in it in clear.
        let original = protection.as_ref().and_then(|found| found.original);
        let format = original.unwrap_or(kind);
        let mut entry = match &self.handler.0 {
            b"vide" | b"auxv" | b"pict" => video_entry(format, body)?,
            b"soun" => audio_entry(format, body, self.version)?,
            _ => SampleEntry {
                format: kind,
                media: Media::Other,
                codec: None,
                protection: None,
                data_reference,
            },
        };
        entry.data_reference = data_reference;
        entry.protection = protection;
        Ok(entry)
    }

    /// The place, from 0, of description `index` (from 1): that of the track's own as well where it repeats that. Nothing where
    /// there is none of that number.
    pub(crate) fn place(&self, index: u32) -> Option<usize> {
        // Some fragments name description 0: they mean the only one.
        let index = usize::try_from(index.max(1) - 1).ok()?;
        if index == self.own_place {
            return Some(index);
        }
        let (kind, body) = self.entries.get(index)?;
        let same = |(k, b): &(FourCc, Reader)| k == kind && b.same_bytes(body);
        match self.entries.get(self.own_place) {
            Some(own) if same(own) => Some(self.own_place),
            _ => Some(index),
        }
    }

    /// The entry at a place that [`SampleDescriptions::place`] gave.
    pub(crate) fn at(&self, place: usize) -> Result<Option<SampleEntry>, DemuxError> {
        match self.entries.get(place) {
            _ if place == self.own_place => Ok(self.own.clone()),
            Some((kind, body)) => self.parse_entry(*kind, body.clone()).map(Some),
            None => Ok(None),
        }
    }

    /// How samples are protected: as the track's own entry says, or the first that has a say in it.
    pub(crate) fn protection(&self) -> Option<TrackProtection> {
        std::iter::once(self.own_place)
            .chain(0..self.entries.len())
            // What is wrong with an entry is told when a sample names it.
            .filter_map(|place| self.at(place).ok()?)
            .find_map(|entry| entry.protection)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The `sinf` box of a protected entry, given its body after the data reference. Nothing where there is none.
fn find_protection(
    mut body: Reader,
    handler: FourCc,
    stsd_version: u8,
) -> Result<TrackProtection, DemuxError> {
    match &handler.0 {
        b"vide" | b"auxv" | b"pict" => body.skip(70)?,
        b"soun" => {
            let version = body.u16()?;
            body.skip(18)?;
            match (stsd_version, version) {
                (0, 1) => body.skip(16)?,
                (0, 2) => body.skip(36)?,
                _ => {}
            }
        }
        _ => {}
    }
    while let Some(child) = body.child()? {
        if &child.kind.0 == b"sinf" {
            return TrackProtection::parse(child.body);
        }
    }
    Ok(TrackProtection::default())
}

fn video_entry(format: FourCc, mut body: Reader) -> Result<SampleEntry, DemuxError> {
    body.skip(16)?;
    let size = Size::new(u32::from(body.u16()?), u32::from(body.u16()?));
    body.skip(50)?;
    let mut video = Video {
        size,
        ..Video::default()
    };
    let mut config = None;
    while let Some(mut child) = body.child()? {
        match &child.kind.0 {
            b"avcC" | b"hvcC" | b"av1C" | b"vpcC" if config.is_none() => {
                config = Some((child.kind, child.body));
            }
            b"pasp" => {
                let aspect = Size::new(child.body.u32()?, child.body.u32()?);
                video.pixel_aspect = (aspect.width > 0 && aspect.height > 0).then_some(aspect);
            }
            b"clap" => {
                let (width, width_d) = (child.body.u32()?, child.body.u32()?);
                let (height, height_d) = (child.body.u32()?, child.body.u32()?);
                video.aperture = width
                    .checked_div(width_d)
                    .zip(height.checked_div(height_d))
                    .map(|(width, height)| Size::new(width, height))
                    .filter(|a| a.area() > 0 && a.width <= size.width && a.height <= size.height);
            }
            // An ICC profile may stand beside the code points. Pictures do not depend on a box that is cut short.
            b"colr" => {
                let colour = Nclx::parse(&mut child.body).ok().flatten();
                video.colour = colour.or(video.colour);
            }
            _ => {}
        }
    }
    let codec = match (&format.0, config) {
        (b"avc1" | b"avc2" | b"avc3" | b"avc4", Some((FourCc(kind), config)))
            if &kind == b"avcC" =>
        {
            Some(video::avc(format, config)?)
        }
        (b"hvc1" | b"hev1", Some((FourCc(kind), config))) if &kind == b"hvcC" => {
            Some(video::hevc(format, config)?)
        }
        (b"av01", Some((FourCc(kind), config))) if &kind == b"av1C" => {
            Some(video::av1(config, video.colour)?)
        }
        (b"vp09", Some((FourCc(kind), config))) if &kind == b"vpcC" => {
            let (codec, colour) = video::vp9(config)?;
            video.colour = video.colour.or(Some(colour));
            Some(codec)
        }
        (b"vp08", _) => Some(Codec::new("vp8", None)),
        _ => None,
    };
    Ok(SampleEntry {
        format,
        media: Media::Video(video),
        codec,
        protection: None,
        data_reference: 0,
    })
}

fn audio_entry(
    format: FourCc,
    mut body: Reader,
    stsd_version: u8,
) -> Result<SampleEntry, DemuxError> {
    let version = body.u16()?;
    body.skip(6)?;
    let mut audio = Audio {
        channels: u32::from(body.u16()?),
        ..Audio::default()
    };
    let mut bits = u32::from(body.u16()?);
    body.skip(4)?;
    audio.sample_rate = body.u32()? >> 16;
    let mut lpcm_flags = None;
    // In QuickTime the version of the entry says how it goes on; ISO's own version 1 has version 1 of `stsd`.
    if stsd_version == 0 {
        match version {
            1 => body.skip(16)?,
            2 => {
                body.skip(4)?;
                let rate = f64::from_bits(body.u64()?);
                if !(1.0..=f64::from(u32::MAX)).contains(&rate) {
                    return Err(body.error(format_args!("expected a sample rate, found {rate}")));
                }
                audio.sample_rate = rate as u32;
                audio.channels = body.u32()?;
                body.skip(4)?;
                bits = body.u32()?;
                lpcm_flags = Some(body.u32()?);
                body.skip(8)?;
            }
            _ => {}
        }
    }
    let mut pcm = Pcm::from_entry(format, bits);
    if let (Some(layout), Some(flags)) = (pcm, lpcm_flags)
        && &format.0 == b"lpcm"
    {
        pcm = Some(layout.with_lpcm_flags(flags));
    }
    let mut codec = match &format.0 {
        b".mp3" | b"ms\0\x55" => Some(Codec::new("mp3", None)),
        b"ulaw" | b"alaw" => Some(Codec::new(format.to_string(), None)),
        b"ac-3" | b"ec-3" => Some(Codec::new(format.to_string(), None)),
        _ => None,
    };
    let mut children = vec![body];
    while let Some(mut list) = children.pop() {
        while let Some(mut child) = list.child()? {
            match &child.kind.0 {
                // QuickTime wraps the configuration in `wave`, once.
                b"wave" if list.name() != FourCc(*b"wave") => children.push(child.body),
                // Inside `wave` stands an atom without content as the end.
                b"esds" => {
                    let esds = esds::parse(child.body)?;
                    audio.sample_rate = esds.sample_rate.unwrap_or(audio.sample_rate);
                    audio.channels = esds.channels.unwrap_or(audio.channels);
                    codec = esds.codec.or(codec);
                }
                b"dac3" if &format.0 == b"ac-3" => {
                    let channels = audio::ac3_channels(&child.body.rest());
                    audio.channels = channels.unwrap_or(audio.channels);
                }
                b"dec3" if &format.0 == b"ec-3" => {
                    let channels = audio::eac3_channels(&child.body.rest());
                    audio.channels = channels.unwrap_or(audio.channels);
                }
                b"dOps" if &format.0 == b"Opus" => {
                    let (opus, channels) = audio::opus(child.body)?;
                    // Opus decodes at 48 kHz, whatever the input was.
                    audio.sample_rate = 48000;
                    audio.channels = channels;
                    codec = Some(opus);
                }
                b"dfLa" if &format.0 == b"fLaC" => {
                    let (flac, rate, channels) = audio::flac(child.body)?;
                    audio.sample_rate = rate;
                    audio.channels = channels;
                    codec = Some(flac);
                }
                // ISO/IEC 14496-12, 12.2.3: of entries of version 1, for rates beyond the 16 bits of the entry.
                b"srat" if stsd_version > 0 => {
                    child.body.full_box()?;
                    audio.sample_rate = child.body.u32()?;
                }
                b"pcmC" => {
                    if let Some(layout) = pcm {
                        pcm = Some(layout.with_config(&mut child.body)?);
                    }
                }
                b"enda" => {
                    if let Some(layout) = pcm {
                        pcm = Some(layout.with_enda(&mut child.body)?);
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(layout) = pcm {
        codec = layout.codec();
        audio.pcm_frame = (layout.bits / 8)
            .checked_mul(audio.channels)
            .filter(|&bytes| bytes > 0);
    } else if matches!(&format.0, b"ulaw" | b"alaw") {
        audio.pcm_frame = Some(audio.channels).filter(|&bytes| bytes > 0);
    }
    Ok(SampleEntry {
        format,
        media: Media::Audio(audio),
        codec,
        protection: None,
        data_reference: 0,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A `stsd` box's content: one entry of 16-bit PCM with that rate in it, and what follows it.
    fn descriptions(version: u8, rate: u16, boxes: &[u8]) -> SampleDescriptions {
        let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
        entry.extend([0, version, 0, 0, 0, 0, 0, 0, 0, 2, 0, 16, 0, 0, 0, 0]);
        entry.extend(rate.to_be_bytes());
        entry.extend([0, 0]);
        entry.extend(boxes);
        let mut stsd = vec![version, 0, 0, 0, 0, 0, 0, 1];
        stsd.extend((entry.len() as u32 + 8).to_be_bytes());
        stsd.extend(b"sowt");
        stsd.extend(entry);
        let reader = Reader::new(FourCc(*b"stsd"), Bytes::from(stsd), 0);
        SampleDescriptions::parse(reader, FourCc(*b"soun"), || None).expect("valid")
    }

    fn rate(descriptions: &SampleDescriptions) -> u32 {
        match &descriptions.own.as_ref().expect("an entry").media {
            Media::Audio(audio) => audio.sample_rate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sample_rate_stands_in_the_entry_in_its_box_or_is_that_of_the_time() {
        let srat = b"\0\0\0\x10srat\0\0\0\0\0\x02\xee\0";
        assert_eq!(rate(&descriptions(0, 44_100, &[])), 44_100);
        assert_eq!(rate(&descriptions(1, 1, srat)), 192_000);
        let none = descriptions(0, 0, &[]);
        assert_eq!(rate(&none), 0);
        assert_eq!(rate(&none.or_sample_rate(96_000)), 96_000);
        assert_eq!(
            rate(&descriptions(0, 8000, &[]).or_sample_rate(90_000)),
            8000
        );
    }
}
