//! `trak`: one track.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::ColorSpace;
use reelcore_media::demux::{DemuxError, Encryption, Track, TrackConfig, TrackKind};

use super::aspect::{display_aspect, says_no_aspect};
use super::budget::Budget;
use super::cursor::Cursor;
use super::edits::Timeline;
use super::file::File;
use super::fragment::Fragments;
use super::fragment::ahead::Ahead;
use super::frames::PcmFrames;
use super::gapless::Gapless;
use super::language;
use super::movie::MovieHeader;
use super::orientation::Matrix;
use super::parse::{Child, FourCc, Reader};
use super::protection::TrackProtection;
use super::sample_entry::{Media, SampleDescriptions, SampleEntry};
use super::stream_aspect;
use super::table::{self, SampleTable};
use crate::mp3::header::{HEADER, Header, Layer};
use crate::source;

/// A track with all that reading it takes.
#[derive(Debug)]
pub(crate) struct Mp4Track {
    pub(crate) public: Track,
    pub(crate) timeline: Timeline,
    pub(crate) table: Arc<SampleTable>,
    pub(crate) descriptions: SampleDescriptions,
    pub(crate) is_audio: bool,
    /// Whether every sample stands alone, whatever the file says.
    pub(crate) all_sync: bool,
    pub(crate) media_scale: u32,
    /// Whether the samples are in another file.
    pub(crate) external: bool,
    /// How its samples are protected, where any are.
    pub(crate) protection: Option<TrackProtection>,
    /// Protection system specific headers of the movie.
    pub(crate) pssh: Arc<[Bytes]>,
    header: TrackHeader,
    has_edits: bool,
    movie_matrix: Matrix,
    handler: FourCc,
    references: Option<Reader>,
    /// Bytes of one frame of uncompressed sound, as the tables were read with it.
    pcm_frame: Option<u32>,
    /// What such frames are, where fragments have them.
    pub(crate) frames: Option<PcmFrames>,
    /// What the samples are, where there is no codec string for it.
    pub(crate) format: Option<String>,
    /// How much sound the last packet decodes to: where its duration is less, it ends in padding.
    pub(crate) packet_length: PacketLength,
    /// Whether the first frame of MPEG audio was looked into: its layer is known.
    pub(crate) layer_known: bool,
}

/// How to tell how much sound a packet decodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketLength {
    /// Every packet decodes to as many ticks.
    Even(u64),
    /// Opus packets say so themselves.
    Opus,
    /// It is as long as the table says.
    Unknown,
}

#[derive(Debug)]
struct TrackHeader {
    id: u32,
    matrix: Matrix,
    /// Display size in 1/65536 pixels.
    width: u32,
    height: u32,
}

/// Parses a `trak` box. `fragments` are those that follow, where any do.
pub(crate) fn parse(
    mut trak: Reader,
    movie: &MovieHeader,
    mut fragments: Option<&mut Ahead<'_>>,
) -> Result<Mp4Track, DemuxError> {
    let fragmented = fragments.is_some();
    let at = trak.clone();
    let mut header = None;
    let mut edits = None;
    let mut media = None;
    let mut name = None;
    while let Some(child) = trak.child()? {
        match &child.kind.0 {
            b"tkhd" => header = Some(track_header(child.body)?),
            b"edts" => edits = find(child, b"elst")?,
            b"mdia" => media = Some(child.body),
            b"udta" => name = name.or_else(|| track_name(child)),
            _ => {}
        }
    }
    let header = header.ok_or_else(|| at.error("expected a tkhd box, found none"))?;
    let mut media = media.ok_or_else(|| at.error("expected a mdia box, found none"))?;

    let at = media.clone();
    let mut media_header = None;
    let mut extended = None;
    let mut handler = FourCc(*b"    ");
    let mut information = None;
    while let Some(mut child) = media.child()? {
        match &child.kind.0 {
            b"mdhd" => media_header = Some(parse_media_header(child.body)?),
            b"elng" => extended = language::extended(child.body).or(extended),
            b"hdlr" => {
                child.body.skip(8)?;
                handler = child.body.fourcc()?;
            }
            b"minf" => information = Some(child.body),
            _ => {}
        }
    }
    let (media_scale, media_duration, language) =
        media_header.ok_or_else(|| at.error("expected a mdhd box, found none"))?;
    let language = extended.or(language);
    let mut information = information.ok_or_else(|| at.error("expected a minf box, found none"))?;

    let at = information.clone();
    let mut tables = None;
    let mut references = None;
    while let Some(child) = information.child()? {
        match &child.kind.0 {
            b"stbl" => tables = Some(child.body),
            b"dinf" => references = find(child, b"dref")?,
            _ => {}
        }
    }
    let tables = tables.ok_or_else(|| at.error("expected a stbl box, found none"))?;
    let (mut stsd, mut stsc) = (None, None);
    let mut children = tables.clone();
    while let Some(child) = children.child()? {
        match &child.kind.0 {
            b"stsd" if stsd.is_none() => stsd = Some(child.body),
            b"stsc" if stsc.is_none() => stsc = Some(child.body),
            _ => {}
        }
    }
    let first = || {
        let in_tables = stsc.and_then(table::first_description);
        in_tables.or_else(|| fragments.as_mut()?.description(header.id))
    };
    let descriptions = match stsd {
        Some(stsd) => SampleDescriptions::parse(stsd, handler, first)?.or_sample_rate(media_scale),
        None => SampleDescriptions::none(),
    };
    let entry = descriptions.own.as_ref();
    // A clear beginning may have an entry of its own.
    let mut protection = descriptions.protection();
    let frames = match entry.map(|entry| &entry.media) {
        // Each protected sample has information of its own.
        Some(Media::Audio(audio)) if protection.is_none() => audio
            .pcm_frame
            .map(|size| PcmFrames::new(size, audio.sample_rate, media_scale)),
        _ => None,
    };
    let mut table = SampleTable::parse(tables, frames)?;
    let all_sync = entry.is_some_and(stand_alone);
    if all_sync {
        table.all_sync();
    }
    let has_edits = edits.is_some();
    let timeline = match edits {
        Some(mut elst) => Timeline::parse(&mut elst, movie.scale, media_scale, fragmented)?,
        None => Timeline::identity(movie.scale, media_scale),
    };
    let external = match (&references, entry) {
        (Some(references), Some(entry)) => is_external(references.clone(), entry.data_reference)?,
        _ => false,
    };
    // The sum of the samples' durations is exact; the header's is what the writer thought.
    let media_end = match table.duration() {
        0 if fragmented => None,
        0 => Some(media_duration).filter(|&d| d > 0),
        sum => Some(sum).filter(|_| !fragmented),
    };
    let duration = timeline
        .duration()
        .or_else(|| media_end.and_then(|end| timeline.end_micros(end)));
    if let Some(protection) = &mut protection {
        protection.add_groups(&table.info)?;
    }
    let codec = entry.and_then(|entry| entry.codec.as_ref());
    let codec_name = codec.map_or("", |codec| codec.string.as_str());
    let packet_length = if fragmented {
        PacketLength::Unknown
    } else if codec_name == "opus" {
        PacketLength::Opus
    } else if codec_name == "mp3" || codec_name.starts_with("mp4a.") {
        table
            .usual_duration()
            .map_or(PacketLength::Unknown, PacketLength::Even)
    } else {
        PacketLength::Unknown
    };
    let format = entry
        .filter(|entry| codec.is_none() && !matches!(entry.media, Media::Other))
        .map(|entry| entry.format.to_string());
    let kind = track_kind(entry, &header, true, movie.matrix, handler);
    let TrackConfig {
        kind,
        codec,
        description,
        encryption,
    } = config(entry, kind, &Arc::default());
    let public = Track {
        id: header.id,
        kind,
        codec,
        description,
        language,
        name,
        encryption,
        duration,
        samples: if fragmented { None } else { table.packets() },
    };
    Ok(Mp4Track {
        is_audio: matches!(public.kind, TrackKind::Audio { .. }),
        public,
        timeline,
        table: Arc::new(table),
        descriptions,
        all_sync,
        media_scale,
        external,
        protection,
        pssh: Arc::default(),
        header,
        has_edits,
        movie_matrix: movie.matrix,
        handler,
        references,
        pcm_frame: frames.map(|frames| frames.size),
        frames,
        format,
        packet_length,
        layer_known: false,
    })
}

impl Mp4Track {
    /// Takes from the first frame of MPEG audio what the object type does not tell: the layer, and the channels, which many
    /// writers give as two. A frame that cannot be had leaves it at what the boxes say: reading it will say why.
    ///
    /// Of a stream, of which `read` bytes were needed so far, only a frame among those: another one would be waited for, and what
    /// stands before it would be let go. [`other_layer`] tells its layer when it is read.
    pub(crate) fn look_into_first_frame(
        &mut self,
        file: &File,
        index: usize,
        fragments: Option<&Arc<Fragments>>,
        read: u64,
        budget: &mut Budget,
    ) {
        if budget.is_spent() || self.external || self.public.codec.as_deref() != Some("mp3") {
            return;
        }
        let mut cursor = Cursor::new(self, index, fragments.cloned());
        let first = if file.source.is_seekable() {
            let first = cursor.next().ok().flatten();
            // Beyond it, what the boxes say stands.
            let _ = budget.spend(cursor.parsed());
            first
        } else {
            let sample = cursor.next_at_hand();
            sample.filter(|sample| sample.offset.saturating_add(HEADER as u64) <= read)
        };
        let Some(sample) = first else {
            return;
        };
        let Ok(bytes) = source::read_bytes(&*file.source, sample.offset, HEADER) else {
            return;
        };
        let Some(header) = Header::parse(&bytes) else {
            return;
        };
        self.layer_known = true;
        if let TrackKind::Audio { channels, .. } = &mut self.public.kind {
            *channels = header.channels;
        }
        if let Some(other) = other_layer(&bytes) {
            self.public.codec = None;
            self.format = Some(other.to_owned());
        }
    }

    /// Leaves out the priming and padding that a tag names, where no edit list says what is heard.
    pub(crate) fn trim(&mut self, gapless: Gapless) {
        let TrackKind::Audio { sample_rate, .. } = self.public.kind else {
            return;
        };
        if self.has_edits || sample_rate != self.media_scale {
            return;
        }
        let total = self.table.duration();
        if let Some(timeline) = gapless.timeline(total, self.media_scale) {
            let end = timeline.duration();
            self.public.duration = end.or_else(|| timeline.end_micros(total));
            self.timeline = timeline;
        }
    }

    /// What decoders are configured with for samples of the entry at `place`, as [`SampleDescriptions::place`] gave it.
    pub(crate) fn config_at(&self, place: usize) -> Result<TrackConfig, DemuxError> {
        if place == self.descriptions.own_place {
            return Ok(self.public.config());
        }
        let number = place + 1;
        let entry = self.descriptions.at(place)?;
        let entry = entry.as_ref();
        if let (Some(references), Some(entry)) = (&self.references, entry)
            && is_external(references.clone(), entry.data_reference)?
        {
            return Err(DemuxError::Unsupported(format!(
                "sample description {number}, whose samples are in another file"
            )));
        }
        if let Some(protection) = entry.and_then(|entry| entry.protection.as_ref())
            && !self
                .protection
                .as_ref()
                .is_some_and(|known| known.reads_as(protection))
        {
            return Err(DemuxError::Unsupported(format!(
                "sample description {number}, which is encrypted in another way than the first samples"
            )));
        }
        let pcm_frame = match entry.map(|entry| &entry.media) {
            Some(Media::Audio(audio)) if self.protection.is_none() => audio.pcm_frame,
            _ => None,
        };
        if pcm_frame != self.pcm_frame {
            return Err(DemuxError::Unsupported(format!(
                "sample description {number}, whose frames of uncompressed sound have another size than the first ones"
            )));
        }
        let kind = track_kind(entry, &self.header, false, self.movie_matrix, self.handler);
        Ok(config(entry, kind, &self.pssh))
    }
}

/// The name of the frame of MPEG audio that `data` begins, where it is not MP3.
pub(crate) fn other_layer(data: &[u8]) -> Option<&'static str> {
    match Header::parse(data)?.layer {
        Layer::One => Some("mp1"),
        Layer::Two => Some("mp2"),
        Layer::Three => None,
    }
}

fn config(entry: Option<&SampleEntry>, kind: TrackKind, pssh: &Arc<[Bytes]>) -> TrackConfig {
    let protection = entry.and_then(|entry| entry.protection.as_ref());
    let codec = entry.and_then(|entry| entry.codec.as_ref());
    let clear = codec.filter(|_| protection.is_none());
    TrackConfig {
        kind,
        codec: clear.map(|codec| codec.string.clone()),
        description: clear.and_then(|codec| codec.description.clone()),
        encryption: protection.map(|protection| Encryption {
            scheme: protection.scheme.map(|scheme| scheme.to_string()),
            default_kid: protection.keys.as_ref().map(|keys| keys.kid),
            original_codec: codec.map(|codec| codec.string.clone()),
            pssh: Arc::clone(pssh),
        }),
    }
}

/// The body of the first box of `kind` in `parent`.
fn find(parent: Child, kind: &[u8; 4]) -> Result<Option<Reader>, DemuxError> {
    let mut body = parent.body;
    while let Some(child) = body.child()? {
        if &child.kind.0 == kind {
            return Ok(Some(child.body));
        }
    }
    Ok(None)
}

fn track_header(mut reader: Reader) -> Result<TrackHeader, DemuxError> {
    let (version, _) = reader.full_box()?;
    reader.skip(if version == 0 { 8 } else { 16 })?;
    let id = reader.u32()?;
    reader.skip(4)?;
    reader.u32_or_u64(version)?;
    reader.skip(16)?;
    let matrix = Matrix::parse(&mut reader)?;
    Ok(TrackHeader {
        id,
        matrix,
        width: reader.u32()?,
        height: reader.u32()?,
    })
}

/// Time scale, duration in its ticks (0 where unknown) and language of a `mdhd` box.
fn parse_media_header(mut reader: Reader) -> Result<(u32, i64, Option<String>), DemuxError> {
    let (version, _) = reader.full_box()?;
    reader.skip(if version == 0 { 8 } else { 16 })?;
    let scale = reader.u32()?;
    if scale == 0 {
        return Err(reader.error("expected a time scale above 0, found 0"));
    }
    let duration = match (version, reader.u32_or_u64(version)?) {
        (0, 0xffff_ffff) => 0,
        (_, duration) => i64::try_from(duration).unwrap_or(0),
    };
    Ok((scale, duration, language::of_media(reader.u16()?)))
}

/// Whether each sample of the codec can be decoded without those before it, whatever flags say. Of codecs of sound only xHE-AAC has
/// others, and what has no codec string may.
fn stand_alone(entry: &SampleEntry) -> bool {
    let codec = entry.codec.as_ref();
    let codec = codec.filter(|_| matches!(entry.media, Media::Audio(_)));
    codec.is_some_and(|codec| codec.string != "mp4a.40.42")
}

/// The name in a track's user data: nothing but text (QuickTime File Format, "User Data Atoms"). That of the handler is no name of the
/// track: most writers give theirs there.
fn track_name(udta: Child) -> Option<String> {
    // What is damaged there does not concern the media.
    let text = find(udta, b"name").ok()??.rest();
    let text = text.split(|&byte| byte == 0).next()?;
    let name = String::from_utf8_lossy(text).into_owned();
    Some(name).filter(|name| !name.is_empty())
}

/// Whether the data reference at `index` (from 1) leads to another file.
fn is_external(mut references: Reader, index: u16) -> Result<bool, DemuxError> {
    references.full_box()?;
    references.skip(4)?;
    let mut at = 1_u32;
    while let Some(mut child) = references.child()? {
        if at == u32::from(index) {
            const SELF_CONTAINED: u32 = 1;
            let (_, flags) = child.body.full_box()?;
            return Ok(flags & SELF_CONTAINED == 0);
        }
        at = at.saturating_add(1);
    }
    Ok(false)
}

/// `first`: whether it is the entry for which the size in the track header was written.
fn track_kind(
    entry: Option<&SampleEntry>,
    header: &TrackHeader,
    first: bool,
    movie: Matrix,
    handler: FourCc,
) -> TrackKind {
    let square = || {
        let codec = entry.and_then(|entry| entry.codec.as_ref());
        codec.is_some_and(stream_aspect::is_square)
    };
    match entry.map(|entry| &entry.media) {
        Some(Media::Video(video)) => {
            let (rotation, flip) = header.matrix.then(movie).orientation();
            let (width, height) = match first {
                true => (header.width, header.height),
                false => (0, 0),
            };
            TrackKind::Video {
                coded_size: video.size,
                display_aspect: display_aspect(video, (width, height)),
                aspect_of_stream: says_no_aspect(video, (width, height), square),
                rotation,
                flip,
                color_space: video
                    .colour
                    .map_or_else(ColorSpace::default, |colour| colour.color_space()),
            }
        }
        Some(Media::Audio(audio)) => TrackKind::Audio {
            sample_rate: audio.sample_rate,
            channels: audio.channels,
        },
        _ => TrackKind::Other(match entry {
            Some(entry) => format!("{handler}/{}", entry.format),
            None => handler.to_string(),
        }),
    }
}
