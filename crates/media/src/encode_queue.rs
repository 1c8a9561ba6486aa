//! What every audio encoder keeps beside its library: samples that do not fill a packet yet, and the time line of
//! packets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::audio::AudioData;
use crate::chunk::{ChunkKind, EncodedChunk, SideData};
use crate::codec::AudioDecoderConfig;
use crate::encoder::EncodedAudio;
use crate::error::MediaError;
use crate::format::SampleFormat;

/// A sample type that an encoder takes, interleaved.
pub trait QueueSample: bytemuck::Pod + Default {
    /// The format of a run of such samples.
    const FORMAT: SampleFormat;
}

impl QueueSample for i16 {
    const FORMAT: SampleFormat = SampleFormat::S16;
}

impl QueueSample for i32 {
    const FORMAT: SampleFormat = SampleFormat::S32;
}

impl QueueSample for f32 {
    const FORMAT: SampleFormat = SampleFormat::F32;
}

/// Makes packets of one length out of runs of any length. It never holds more than one packet.
#[derive(Debug)]
pub struct EncodeQueue<T> {
    packet: Vec<T>,
    filled: usize,
    channels: usize,
}

impl<T: QueueSample> EncodeQueue<T> {
    /// For packets of `frames` frames of `channels` channels each; both are at least 1.
    pub fn new(frames: usize, channels: u32) -> Self {
        let channels = (channels as usize).max(1);
        Self {
            packet: vec![T::default(); frames.max(1).saturating_mul(channels)],
            filled: 0,
            channels,
        }
    }

    /// Frames that wait for their packet to be full.
    pub fn waiting(&self) -> usize {
        self.filled / self.channels
    }

    /// Takes interleaved samples, and calls `full` with each packet that they fill.
    ///
    /// # Errors
    /// What `full` returns; what came after that packet is then lost.
    pub fn push(
        &mut self,
        samples: &[T],
        full: &mut dyn FnMut(&[T]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        self.push_bytes(bytemuck::cast_slice(samples), full)
    }

    /// Takes a run, which has the queue's channels and [`QueueSample::FORMAT`], as [`push`](Self::push).
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for other runs, and what `full` returns.
    pub fn push_run(
        &mut self,
        data: &AudioData,
        full: &mut dyn FnMut(&[T]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let bytes = (data.frames as usize)
            .checked_mul(self.channels)
            .and_then(|samples| samples.checked_mul(size_of::<T>()));
        let samples = match data.planes.first() {
            Some(plane) if data.format == T::FORMAT && data.channels as usize == self.channels => {
                bytes.and_then(|bytes| plane.get(..bytes))
            }
            _ => None,
        };
        let samples = samples.ok_or_else(|| {
            MediaError::argument(format!(
                "expected {} channels of {}, found {} frames of {} channels of {}",
                self.channels,
                T::FORMAT.as_str(),
                data.frames,
                data.channels,
                data.format.as_str()
            ))
        })?;
        self.push_bytes(samples, full)
    }

    fn push_bytes(
        &mut self,
        mut bytes: &[u8],
        full: &mut dyn FnMut(&[T]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        while !bytes.is_empty() {
            // Copied even where a whole packet lies in the run: a run's samples need not be aligned.
            let room: &mut [u8] = bytemuck::cast_slice_mut(&mut self.packet[self.filled..]);
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len() / size_of::<T>();
            bytes = later;
            if self.filled == self.packet.len() {
                self.filled = 0;
                full(&self.packet)?;
            }
        }
        Ok(())
    }

    /// Fills the packet that waits with silence, and calls `full` with it; also where nothing waits, if `even_empty`.
    ///
    /// # Errors
    /// What `full` returns.
    pub fn pad(
        &mut self,
        even_empty: bool,
        full: &mut dyn FnMut(&[T]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        if self.filled == 0 && !even_empty {
            return Ok(());
        }
        self.packet[self.filled..].fill(T::default());
        self.filled = 0;
        full(&self.packet)
    }

    /// The samples that wait, which are taken out: encoders whose last packet may be short.
    pub fn take_rest(&mut self) -> &[T] {
        let filled = std::mem::take(&mut self.filled);
        &self.packet[..filled]
    }
}

/// The time line of packets, and what of them was not in the input.
///
/// Time is counted in frames: a packet's timestamp is that of the first run, plus the exact duration of the packets
/// before it, rounded down to a microsecond; durations are the steps from one to the next. The frames that an encoder
/// puts before the input (its delay) are not counted back: as in browsers, the first packet has the first run's
/// timestamp, and its side data says how much to drop.
#[derive(Debug)]
pub struct PacketClock {
    sample_rate: u32,
    delay: u64,
    announce: Option<Arc<AudioDecoderConfig>>,
    /// Of the first run since the last flush.
    start: Option<i64>,
    /// Frames of input, and in packets, since then.
    input: u64,
    coded: u64,
}

impl PacketClock {
    /// A clock that counts frames at `sample_rate` a second. The first `delay` frames that are decoded are not from
    /// the input. `config` goes out with the first packet.
    pub fn new(sample_rate: u32, delay: u64, config: AudioDecoderConfig) -> Self {
        Self {
            sample_rate: sample_rate.max(1),
            delay,
            announce: Some(Arc::new(config)),
            start: None,
            input: 0,
            coded: 0,
        }
    }

    /// Has `config` go out with the next packet: what is to come needs another decoder.
    pub fn announce(&mut self, config: Arc<AudioDecoderConfig>) {
        self.announce = Some(config);
    }

    /// Notes a run of `frames` frames, at the clock's rate. `timestamp`, in microseconds, counts for the first one.
    pub fn input(&mut self, timestamp: i64, frames: u64) {
        self.start.get_or_insert(timestamp);
        self.input += frames;
    }

    /// Whether there was input since the last flush.
    pub fn is_running(&self) -> bool {
        self.start.is_some()
    }

    /// Frames of input since the last flush.
    pub fn input_frames(&self) -> u64 {
        self.input
    }

    /// Frames that packets still have to bring until all of the input is out, delay included.
    pub fn missing(&self) -> u64 {
        (self.input + self.delay).saturating_sub(self.coded)
    }

    fn micros(&self, frames: u64) -> u64 {
        let micros = u128::from(frames) * 1_000_000 / u128::from(self.sample_rate);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    fn exact(&self, frames: u64) -> Duration {
        let nanos = u128::from(frames) * 1_000_000_000 + u128::from(self.sample_rate) / 2;
        let nanos = nanos / u128::from(self.sample_rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Passes over `frames` frames for which there is no packet.
    pub fn skip(&mut self, frames: u64) {
        self.coded += frames;
    }

    /// A packet that decodes to `frames` frames. Of the last one before a flush, all that goes beyond the input is
    /// padding.
    pub fn output(&mut self, data: Bytes, frames: u64, last: bool) -> EncodedAudio {
        let before = self.micros(self.coded);
        let delayed = self.delay.saturating_sub(self.coded).min(frames);
        self.coded += frames;
        let after = self.micros(self.coded);
        let padding = match last {
            true => self.coded.saturating_sub(self.input + self.delay),
            false => 0,
        };
        let start = self.start.unwrap_or(0);
        let side = (delayed > 0 || padding > 0).then(|| {
            Arc::new(SideData {
                discard_start: self.exact(delayed),
                discard_end: self.exact(padding.min(frames)),
                counts_kept: true,
                ..SideData::default()
            })
        });
        EncodedAudio {
            chunk: EncodedChunk {
                kind: ChunkKind::Key,
                timestamp: start.saturating_add(i64::try_from(before).unwrap_or(i64::MAX)),
                duration: Some(after - before),
                data,
                side,
            },
            decoder_config: self.announce.take(),
        }
    }

    /// Ends the count: the next run starts a new one, with the delay at its start again.
    pub fn restart(&mut self) {
        self.start = None;
        self.input = 0;
        self.coded = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec_string::AudioCodec;

    fn config() -> AudioDecoderConfig {
        AudioDecoderConfig {
            codec: AudioCodec::Opus,
            sample_rate: 44_100,
            channels: 2,
            description: None,
        }
    }

    #[test]
    fn no_sample_is_lost_or_moved_between_runs_and_packets() {
        let mut queue = EncodeQueue::<i16>::new(5, 2);
        let mut got: Vec<i16> = Vec::new();
        let mut packets = 0;
        let mut full = |packet: &[i16]| {
            assert_eq!(packet.len(), 10);
            got.extend(packet);
            packets += 1;
            Ok(())
        };
        let mut next = 1i16;
        for frames in [1u32, 3, 1, 12, 4, 2, 5] {
            let samples: Vec<i16> = (0..frames as i16 * 2).map(|i| next + i).collect();
            next += frames as i16 * 2;
            // A byte in front: runs are not aligned.
            let mut bytes = vec![0];
            bytes.extend(samples.iter().flat_map(|s| s.to_ne_bytes()));
            let bytes = Bytes::from(bytes).slice(1..);
            let run = AudioData::new(SampleFormat::S16, 8000.0, frames, 2, 0, bytes).unwrap();
            queue.push_run(&run, &mut full).unwrap();
        }
        assert_eq!(queue.waiting(), 28 % 5);
        queue.pad(false, &mut full).unwrap();
        queue.pad(false, &mut full).unwrap();
        assert_eq!(packets, 6);
        assert_eq!(got[..56], (1..57).collect::<Vec<i16>>());
        assert_eq!(got[56..], [0; 4]);
    }

    #[test]
    fn a_run_of_another_shape_is_refused() {
        let mut queue = EncodeQueue::<f32>::new(5, 2);
        let mut full = |_: &[f32]| Ok(());
        let data = Bytes::from(vec![0; 64]);
        for (format, channels) in [
            (SampleFormat::F32, 1),
            (SampleFormat::S32, 2),
            (SampleFormat::F32Planar, 2),
        ] {
            let run = AudioData::new(format, 8000.0, 4, channels, 0, data.clone()).unwrap();
            assert!(queue.push_run(&run, &mut full).is_err());
        }
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn timestamps_do_not_drift_and_durations_fill_the_gaps_between_them() {
        let mut clock = PacketClock::new(44_100, 0, config());
        clock.input(-5, 1024 * 1000);
        clock.input(99, 0);
        let mut end = -5;
        for index in 0..1000i64 {
            let output = clock.output(Bytes::new(), 1024, false);
            assert_eq!(output.chunk.timestamp, end);
            assert_eq!(output.chunk.timestamp, -5 + index * 1_024_000_000 / 44_100);
            assert_eq!(output.decoder_config.is_some(), index == 0);
            assert_eq!(output.chunk.side, None);
            end += output.chunk.duration.unwrap() as i64;
        }
        assert_eq!(end, -5 + 23_219_954);
        clock.restart();
        clock.input(7, 1);
        let output = clock.output(Bytes::new(), 1024, false);
        assert_eq!((output.chunk.timestamp, output.decoder_config), (7, None));
    }

    #[test]
    fn the_side_data_leaves_exactly_the_input() {
        // Delays longer than a packet are spread over the first ones.
        let mut clock = PacketClock::new(48_000, 312, config());
        clock.input(0, 1000);
        let mut kept = 0;
        let frames = |duration: Duration| (duration.as_secs_f64() * 48_000.0).round() as u64;
        let mut discards = Vec::new();
        while clock.missing() > 0 {
            let last = clock.missing() <= 120;
            let side = clock.output(Bytes::new(), 120, last).chunk.side;
            let side = side.unwrap_or_default();
            let pair = (frames(side.discard_start), frames(side.discard_end));
            kept += 120 - pair.0 - pair.1;
            discards.push(pair);
        }
        assert_eq!(kept, 1000);
        assert_eq!(discards[..4], [(120, 0), (120, 0), (72, 0), (0, 0)]);
        assert_eq!(discards.last(), Some(&(0, 8)));
    }
}
