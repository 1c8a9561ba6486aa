//! Access units and ADTS frames to audio.

use reelcore_media::audio::OutputClock;
use reelcore_media::codec::Successor;
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError, SampleFormat};
use rusty_aac::config::{StreamConfig, aot};
use rusty_aac::{AacDecoder, DecodedAudio, Error};

use crate::returns::Returns;
use crate::scan::{Content, Syntax};

fn invalid(chunk: &EncodedChunk, what: impl std::fmt::Display) -> MediaError {
    MediaError::invalid_data(format!(
        "AAC: {what} (chunk of {} bytes with timestamp {})",
        chunk.data.len(),
        chunk.timestamp
    ))
}

/// Refuses a frame that by its headers gives more than the cap, before it is decoded. What only the frame's inside
/// tells (SBR and parametric stereo that no header states, a layout of its own) can make four times as much of it,
/// which is refused afterwards; with at most 64 channels of 2048 samples that is never more than 512 KiB. The cap is on
/// all frames of a chunk together: `given` is what those before this one gave.
fn check(
    samples: usize,
    channels: usize,
    given: usize,
    max_bytes: usize,
) -> Result<(), MediaError> {
    let bytes = samples * channels * size_of::<f32>();
    if bytes > max_bytes.saturating_sub(given) {
        return Err(MediaError::limit(format!(
            "an AAC frame gives {bytes} bytes after {given} of the same chunk, max_audio_bytes is {max_bytes}"
        )));
    }
    Ok(())
}

/// Interleaved floats in the order of FFmpeg, which is that of WebCodecs.
fn audio(
    result: Result<DecodedAudio, Error>,
    chunk: &EncodedChunk,
    timestamp: i64,
    (given, max_bytes): (usize, usize),
    returns: &mut Returns,
) -> Result<AudioData, MediaError> {
    let decoded = result.map_err(|error| invalid(chunk, error))?;
    check(decoded.samples.len(), 1, given, max_bytes)?;
    if decoded.samples.is_empty() || decoded.sample_rate == 0 {
        return Err(invalid(chunk, "no channels"));
    }
    AudioData::new(
        SampleFormat::F32,
        decoded.sample_rate as f32,
        decoded.frames() as u32,
        u32::from(decoded.channels),
        timestamp,
        returns.share(decoded.samples),
    )
}

/// Chunks that are access units, after an AudioSpecificConfig.
pub struct AccessUnits {
    library: rusty_aac::decode::Decoder,
    stream: StreamConfig,
    max_bytes: usize,
    returns: Returns,
    /// Where a unit may need the one before it and no others.
    seams: Option<Seams>,
    /// It was primed: what it is given was read before.
    is_second: bool,
}

impl AccessUnits {
    /// # Errors
    /// `Unsupported` for what rusty_aac cannot decode; `LimitExceeded` for frames above the cap.
    pub fn new(stream: StreamConfig, max_bytes: usize) -> Result<Self, MediaError> {
        let doubled = stream.sbr && stream.ext_sample_rate > stream.sample_rate;
        check(
            stream.frame_length * if doubled { 2 } else { 1 },
            channels(stream.channel_config),
            0,
            max_bytes,
        )?;
        Ok(Self {
            library: start(&stream)?,
            seams: Seams::of_stream(&stream),
            is_second: false,
            stream,
            max_bytes,
            returns: Returns::new(),
        })
    }
}

/// So many units are read for what they hold, if no other decoder takes part meanwhile: then it is not worth a seventh of
/// the time of decoding any more.
const MAX_READ: u32 = 8192;

/// Units of a stream that hold nothing so far that has consequences beyond the next one, but for noise.
#[derive(Clone, Copy)]
struct Seams {
    syntax: Syntax,
    /// Units that are read yet.
    left: u32,
}

impl Seams {
    fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            left: MAX_READ,
        }
    }

    fn of_stream(stream: &StreamConfig) -> Option<Self> {
        // Of 1024 samples, and without spectral band replication, at whatever rate.
        let simple =
            stream.frame_length == 1024 && !stream.sbr && !stream.ps && !stream.ext_rate_signalled;
        let syntax = Syntax::new(stream.channel_config, stream.sf_index);
        syntax.filter(|_| simple).map(Self::new)
    }

    /// After one more unit.
    fn after(self, unit: &[u8]) -> Option<Self> {
        let left = self.left.checked_sub(1)?;
        (self.syntax.content(unit) != Content::Other).then_some(Self { left, ..self })
    }

    fn is_seamless(&self, unit: &[u8]) -> bool {
        self.syntax.content(unit) == Content::SelfContained
    }
}

fn no_seam() -> MediaError {
    MediaError::unsupported("no AAC unit to begin after")
}

/// The channels of a channel configuration; of 0, where a program configuration element says them, at least one.
/// ISO/IEC 14496-3, table 1.19.
fn channels(configuration: u8) -> usize {
    match configuration {
        channels @ 1..=6 => usize::from(channels),
        11 => 7,
        7 | 12 | 14 => 8,
        13 => 24,
        _ => 1,
    }
}

fn start(stream: &StreamConfig) -> Result<rusty_aac::decode::Decoder, MediaError> {
    rusty_aac::decode::Decoder::with_stream_config(stream.clone())
        .map_err(|error| MediaError::unsupported(error.to_string()))
}

impl AudioDecoder for AccessUnits {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        self.returns.free_one();
        let result = self.library.decode(&chunk.data, None);
        let audio = audio(
            result,
            chunk,
            chunk.timestamp,
            (0, self.max_bytes),
            &mut self.returns,
        )?;
        if !self.is_second {
            self.seams = self.seams.and_then(|seams| seams.after(&chunk.data));
        }
        sink(audio);
        Ok(())
    }

    fn preroll(&self, before: &[EncodedChunk]) -> Option<usize> {
        (self.seams.is_some() && !before.is_empty()).then_some(1)
    }

    fn prime(&mut self, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        self.is_second = true;
        let last = preroll.last().filter(|chunk| self.is_seamless(chunk));
        self.decode(last.ok_or_else(no_seam)?, &mut drop)
    }

    fn is_seamless(&self, chunk: &EncodedChunk) -> bool {
        self.seams
            .is_some_and(|seams| seams.is_seamless(&chunk.data))
    }

    fn catch_up(&mut self, chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        let Some(seams) = &mut self.seams else {
            return Ok(Successor::Neither);
        };
        seams.left = MAX_READ;
        // The random numbers of noise substitution, of which the chunks have none, stay where they are.
        self.decode(chunks.last().ok_or_else(no_seam)?, &mut drop)?;
        Ok(Successor::First)
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        self.returns.free();
        Ok(())
    }

    fn reset(&mut self) {
        // What has started once starts again.
        if let Ok(library) = start(&self.stream) {
            self.library = library;
            self.seams = Seams::of_stream(&self.stream);
            self.is_second = false;
        }
    }
}

/// Chunks of one or more ADTS frames, each with its own rate and channels.
pub struct Adts {
    library: AacDecoder,
    max_bytes: usize,
    returns: Returns,
    /// As long as each chunk was one frame with one unit of one stream.
    stream: Option<AdtsStream>,
    /// Whether there was a chunk.
    begun: bool,
    /// It was primed: what it is given was read before.
    is_second: bool,
}

/// What does not change in the headers of a stream.
#[derive(Clone, Copy)]
struct AdtsStream {
    sample_rate: u32,
    channel_configuration: u16,
    seams: Seams,
}

/// The access unit in a chunk that is one ADTS frame with one of them, and the stream it is of.
fn adts_unit(data: &[u8]) -> Option<(AdtsStream, &[u8])> {
    let header = rusty_aac::parse_adts(data).ok()?;
    // number_of_raw_data_blocks_in_frame, one less than there are: ISO/IEC 14496-3, 1.A.2.2.1.
    let more_blocks = data.get(6)? & 3 > 0;
    if header.object_type != aot::AAC_LC || header.frame_length != data.len() || more_blocks {
        return None;
    }
    let stream = AdtsStream {
        sample_rate: header.sample_rate,
        channel_configuration: header.channels,
        seams: Seams::new(Syntax::new(
            u8::try_from(header.channels).ok()?,
            rusty_aac::sf_index_for_rate(header.sample_rate)?,
        )?),
    };
    Some((stream, data.get(header.header_len..)?))
}

impl AdtsStream {
    /// The access unit in a chunk of this stream.
    fn unit<'a>(&self, chunk: &'a EncodedChunk) -> Option<&'a [u8]> {
        let (stream, unit) = adts_unit(&chunk.data)?;
        let same = (stream.sample_rate, stream.channel_configuration)
            == (self.sample_rate, self.channel_configuration);
        same.then_some(unit)
    }

    /// After one more chunk.
    fn after(self, chunk: &EncodedChunk) -> Option<Self> {
        let seams = self.seams.after(self.unit(chunk)?)?;
        Some(Self { seams, ..self })
    }
}

impl Adts {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            library: AacDecoder::new(),
            max_bytes,
            returns: Returns::new(),
            stream: None,
            begun: false,
            is_second: false,
        }
    }

    fn begin_with(&mut self, chunk: &EncodedChunk) {
        if !std::mem::replace(&mut self.begun, true) {
            self.stream = adts_unit(&chunk.data).map(|(stream, _)| stream);
        }
    }
}

impl AudioDecoder for Adts {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(AudioData),
    ) -> Result<(), MediaError> {
        let mut rest = &chunk.data[..];
        let mut clock = OutputClock::new(chunk.timestamp);
        let mut given = 0;
        loop {
            let at = chunk.data.len() - rest.len();
            let header = rusty_aac::parse_adts(rest).map_err(|_| {
                invalid(
                    chunk,
                    format_args!(
                        "expected an ADTS frame at byte {at}; access units need a description"
                    ),
                )
            })?;
            if header.object_type != aot::AAC_LC {
                return Err(invalid(
                    chunk,
                    format_args!(
                        "expected object type 2 (LC), found {} at byte {at}",
                        header.object_type
                    ),
                ));
            }
            if header.frame_length < header.header_len {
                return Err(invalid(
                    chunk,
                    format_args!(
                        "an ADTS frame of {} bytes at byte {at}",
                        header.frame_length
                    ),
                ));
            }
            let Some((frame, after)) = rest.split_at_checked(header.frame_length) else {
                return Err(invalid(
                    chunk,
                    format_args!(
                        "expected an ADTS frame of {} bytes at byte {at}, found {}",
                        header.frame_length,
                        rest.len()
                    ),
                ));
            };
            rest = after;
            let channels = usize::from(header.channels.max(1));
            check(1024, channels, given, self.max_bytes)?;
            self.returns.free_one();
            let result = self.library.decode(frame, None);
            let audio = audio(
                result,
                chunk,
                clock.now(),
                (given, self.max_bytes),
                &mut self.returns,
            )?;
            given += audio.byte_size();
            clock.advance(audio.frames, audio.sample_rate);
            sink(audio);
            if rest.is_empty() {
                self.begin_with(chunk);
                if !self.is_second {
                    self.stream = self.stream.and_then(|stream| stream.after(chunk));
                }
                return Ok(());
            }
        }
    }

    fn preroll(&self, before: &[EncodedChunk]) -> Option<usize> {
        (self.stream.is_some() && !before.is_empty()).then_some(1)
    }

    fn prime(&mut self, preroll: &[EncodedChunk]) -> Result<(), MediaError> {
        self.is_second = true;
        let last = preroll.last().ok_or_else(no_seam)?;
        self.begin_with(last);
        if !self.is_seamless(last) {
            return Err(no_seam());
        }
        self.decode(last, &mut drop)
    }

    fn is_seamless(&self, chunk: &EncodedChunk) -> bool {
        self.stream.is_some_and(|stream| {
            stream
                .unit(chunk)
                .is_some_and(|unit| stream.seams.is_seamless(unit))
        })
    }

    fn catch_up(&mut self, chunks: &[EncodedChunk]) -> Result<Successor, MediaError> {
        // With another header another stream would have begun, for this decoder.
        let last = chunks.last().filter(|chunk| self.is_seamless(chunk));
        let (Some(last), Some(stream)) = (last, &mut self.stream) else {
            return Ok(Successor::Neither);
        };
        stream.seams.left = MAX_READ;
        // The random numbers of noise substitution, of which the chunks have none, stay where they are.
        self.decode(last, &mut drop)?;
        Ok(Successor::First)
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        self.returns.free();
        Ok(())
    }

    fn reset(&mut self) {
        self.library = AacDecoder::new();
        self.stream = None;
        self.begun = false;
        self.is_second = false;
    }
}
