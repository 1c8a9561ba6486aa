//! WAV: RIFF, RF64 and BW64 with `ds64`, and Sony's W64.

mod format;
mod mux;
mod riff;

pub use self::mux::WavMuxer;

use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Source, TrackKind};

use self::format::Format;
use self::riff::Riff;
use crate::Limits;
use crate::audio::file::{
    AudioFile, Frame, Framing, Opened, Position, Total, audio_demuxer, track,
};
use crate::audio::tags::Tags;
use crate::audio::{invalid, micros};
use crate::mp3;
use crate::window::Window;

/// Samples in a packet: 43 ms at 48 kHz.
const PACKET: u64 = 2048;

/// Bytes in a packet, at most, where many channels would make it longer.
const PACKET_BYTES: u64 = 1 << 20;

/// Whether the first bytes of a source (64 of them, or all there are) can be WAV.
pub fn probe(head: &[u8]) -> bool {
    riff::kind(head).is_some()
}

audio_demuxer!(
    /// An opened WAV file. Its packets are 2048 samples of all channels each.
    WavDemuxer,
    "wav"
);

impl WavDemuxer {
    /// Opens a WAV file: reads its chunks up to the data, and those after it where the source can be read anywhere. Data
    /// of size 0 or of all ones go as far as the source does.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not WAV.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let head = window.peek(0, 40, 40)?;
        let Some(kind) = riff::kind(head) else {
            return Err(invalid(
                0,
                "expected \"RIFF\", \"RF64\", \"BW64\" or W64's \"riff\" with \"WAVE\"",
            ));
        };
        let mut tags = Tags::default();
        let Riff {
            format,
            start,
            end,
            samples,
        } = riff::read(&mut window, kind, &mut tags)?;
        if format.other.as_deref() == Some("mp3")
            && let Some(opened) = mp3::within(&mut window, start, end)?
        {
            return Ok(Self(Arc::new(opened.file(window, tags, limits)?)));
        }
        // The byte rate of codecs whose packets are not alike, and of ADPCM as FFmpeg writes it, is not that of the data.
        let samples = match &format.other {
            Some(name) if !name.starts_with("pcm") => samples.or_else(|| {
                let blocks = end?.saturating_sub(start) / u64::from(format.block);
                blocks.checked_mul(u64::from(format.block_samples?))
            }),
            _ => None,
        };
        let samples = samples.filter(|&samples| samples > 0);
        let data = Data::new(&format, start, end, samples, limits);
        let kind = match &format.other {
            Some(name) => TrackKind::Other(name.clone()),
            None => TrackKind::Audio {
                sample_rate: format.rate,
                channels: u32::from(format.channels),
            },
        };
        let total = data.blocks();
        let mut track = track(kind, format.codec);
        track.samples = total.map(|total| total.div_ceil(data.packet));
        let rate = format.rate;
        let mut file = AudioFile::new(
            Opened {
                window,
                rate: data.rate,
                framing: Box::new(data),
                track,
                tags,
            },
            limits,
            total.map_or(Total::Unknown, Total::Samples),
            0,
            None,
        )?;
        if let Some(samples) = samples.and_then(|samples| i64::try_from(samples).ok()) {
            file.track[0].duration = u64::try_from(micros(samples, rate)).ok();
        }
        Ok(Self(Arc::new(file)))
    }
}

/// The data as blocks of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Data {
    start: u64,
    end: Option<u64>,
    /// Bytes of a block.
    block: u64,
    /// Blocks a second.
    rate: u32,
    /// Blocks in a packet.
    packet: u64,
}

impl Data {
    /// `samples`: of a codec that is only named, where their number is known.
    fn new(
        format: &Format,
        start: u64,
        end: Option<u64>,
        samples: Option<u64>,
        limits: &Limits,
    ) -> Self {
        let byte_rate = samples.zip(end).and_then(|(samples, end)| {
            let bytes = u128::from(end.saturating_sub(start)) * u128::from(format.rate);
            u32::try_from(bytes / u128::from(samples).max(1)).ok()
        });
        let byte_rate = byte_rate.unwrap_or(format.byte_rate);
        let (block, rate) = match format.codec {
            Some(_) => (u64::from(format.block), format.rate),
            // Time goes by bytes: what a block holds is the codec's to say.
            None => (1, byte_rate.max(1)),
        };
        let together = if format.codec.is_some() {
            1
        } else {
            u64::from(format.block)
        };
        let most = PACKET_BYTES.min(limits.max_packet_bytes) / block;
        let packet = match format.codec {
            Some(_) => PACKET.min(most).max(1),
            None => (4096 / together).max(1) * together,
        };
        Self {
            start,
            end: end.map(|end| end.max(start)),
            block,
            rate,
            packet,
        }
    }

    /// Whole blocks, where that is known.
    fn blocks(&self) -> Option<u64> {
        self.end.map(|end| (end - self.start) / self.block)
    }
}

impl Framing for Data {
    fn start(&self) -> Position {
        Position {
            at: self.start,
            ..Position::default()
        }
    }

    fn frame(
        &self,
        window: &mut Window,
        from: Position,
        ahead: usize,
    ) -> Result<Option<Frame>, DemuxError> {
        let most = self.packet * self.block;
        let have = match self.end {
            Some(end) if window.is_seekable() => end.saturating_sub(from.at).min(most),
            end => {
                let most = end.map_or(most, |end| end.saturating_sub(from.at).min(most));
                let need = usize::try_from(most).unwrap_or(usize::MAX);
                (window.peek(from.at, need, ahead)?.len() as u64).min(most)
            }
        };
        // A part of a block at the end is none.
        let count = have / self.block;
        let sizes = (usize::try_from(count * self.block), u32::try_from(count));
        let (Ok(size), Ok(samples), true) = (sizes.0, sizes.1, count > 0) else {
            return Ok(None);
        };
        Ok(Some(Frame {
            at: from.at,
            size,
            sample: from.sample,
            samples,
            setup: 0,
        }))
    }

    fn locate(&self, _: &mut Window, sample: u64) -> Result<Option<Position>, DemuxError> {
        let last = self
            .blocks()
            .map_or(u64::MAX, |blocks| blocks.saturating_sub(1));
        let sample = sample.min(last) / self.packet * self.packet;
        let at = sample
            .checked_mul(self.block)
            .and_then(|bytes| self.start.checked_add(bytes));
        Ok(at.map(|at| Position {
            at,
            sample,
            setup: 0,
        }))
    }
}
