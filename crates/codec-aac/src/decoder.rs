//! Access units and ADTS frames to audio.

use reelcore_media::audio::OutputClock;
use reelcore_media::{AudioData, AudioDecoder, EncodedChunk, MediaError, SampleFormat};
use rusty_aac::config::{StreamConfig, aot};
use rusty_aac::{AacDecoder, DecodedAudio, Error};

use crate::returns::Returns;

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
            stream,
            max_bytes,
            returns: Returns::new(),
        })
    }
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
        sink(audio);
        Ok(())
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        self.returns.free();
        Ok(())
    }

    fn reset(&mut self) {
        // What has started once starts again.
        if let Ok(library) = start(&self.stream) {
            self.library = library;
        }
    }
}

/// Chunks of one or more ADTS frames, each with its own rate and channels.
pub struct Adts {
    library: AacDecoder,
    max_bytes: usize,
    returns: Returns,
}

impl Adts {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            library: AacDecoder::new(),
            max_bytes,
            returns: Returns::new(),
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
                return Ok(());
            }
        }
    }

    fn flush(&mut self, _sink: &mut dyn FnMut(AudioData)) -> Result<(), MediaError> {
        self.returns.free();
        Ok(())
    }

    fn reset(&mut self) {
        self.library = AacDecoder::new();
    }
}
