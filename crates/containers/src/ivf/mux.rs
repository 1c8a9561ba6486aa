//! Writes IVF: one track of VP8, VP9 or AV1.
//!
//! A tick of the file is a frame where the track's frame rate is known (times are rounded to frames), else a microsecond.

use bytes::Bytes;
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{Size, VideoCodec};

use super::HEADER;
use crate::mux::hidden::{Hidden, Room};
use crate::mux::invalid;

/// Where the header has the duration in ticks.
const DURATION: u64 = 24;

/// OBU_TEMPORAL_DELIMITER with a size of 0.
const TEMPORAL_DELIMITER: &[u8; 2] = &[0x12, 0];

/// Writes IVF.
#[derive(Debug, Default)]
pub struct IvfMuxer {
    track: Option<IvfTrack>,
    state: State,
    /// Ticks of the last packet, and of its end.
    last: Option<u64>,
    end: u64,
    packets: u64,
}

#[derive(Debug)]
struct IvfTrack {
    four_cc: &'static [u8; 4],
    size: Size,
    /// A tick lasts `scale / rate` seconds.
    rate: u32,
    scale: u32,
    /// Pictures that are not shown, for which there is no room.
    hidden: Hidden,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Track,
    Packets,
    Finished,
}

impl IvfMuxer {
    /// A muxer without a track.
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        match (self.state, &self.track) {
            (State::Finished, _) => Err(invalid("the file is finished")),
            (_, None) => Err(invalid("expected a track, found none")),
            (State::Packets, _) => Ok(()),
            (State::Track, Some(track)) => {
                self.state = State::Packets;
                let mut header = Vec::with_capacity(HEADER);
                header.extend(b"DKIF\0\0");
                header.extend((HEADER as u16).to_le_bytes());
                header.extend(track.four_cc);
                for side in [track.size.width, track.size.height] {
                    header.extend(u16::try_from(side).unwrap_or(0).to_le_bytes());
                }
                header.extend(track.rate.to_le_bytes());
                header.extend(track.scale.to_le_bytes());
                // The duration is known at the end; the rest is not used.
                header.extend([0; 8]);
                Ok(sink.write(header.into())?)
            }
        }
    }

    fn check_index(index: usize) -> Result<(), MuxError> {
        match index {
            0 => Ok(()),
            _ => Err(invalid(format!("expected track 0, found {index}"))),
        }
    }

    /// Writes a packet.
    fn frame(&mut self, packet: OutputPacket, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let Some(track) = &self.track else {
            return Ok(());
        };
        let timestamp = packet.chunk.timestamp;
        let Ok(micros) = u64::try_from(timestamp) else {
            return Err(invalid(format!(
                "expected a timestamp of at least 0 in IVF, found {timestamp} us"
            )));
        };
        let time = track.ticks(micros);
        if let Some(last) = self.last.filter(|&last| last >= time) {
            return Err(invalid(format!(
                "expected a timestamp after tick {last} of {}/{} s, found {timestamp} us, which is tick {time}",
                track.scale, track.rate
            )));
        }
        let data = packet.chunk.data;
        // A temporal unit starts with its delimiter (AV1 specification, 7.5); other containers leave it out.
        let delimiter: &[u8] = match track.four_cc {
            b"AV01" if data.first().is_none_or(|header| header >> 3 & 15 != 2) => {
                TEMPORAL_DELIMITER
            }
            _ => &[],
        };
        let Ok(size) = u32::try_from(data.len() + delimiter.len()) else {
            return Err(MuxError::Limit("a packet of 4 GiB or more".into()));
        };
        let header = [&size.to_le_bytes()[..], &time.to_le_bytes(), delimiter].concat();
        sink.write(Bytes::from(header))?;
        sink.write(data)?;
        self.end = match packet.chunk.duration {
            Some(duration) => track.ticks(micros.saturating_add(duration)),
            // As long as the one before.
            None => time.saturating_add(time - self.last.unwrap_or(time)),
        };
        self.last = Some(time);
        self.packets += 1;
        Ok(())
    }
}

impl IvfTrack {
    fn ticks(&self, micros: u64) -> u64 {
        let (scale, rate) = (u128::from(self.scale), u128::from(self.rate));
        let per_tick = scale * 1_000_000;
        u64::try_from((u128::from(micros) * rate * 2 + per_tick) / (2 * per_tick))
            .unwrap_or(u64::MAX)
    }
}

/// Rate and scale of frames; microseconds where none is known.
fn time_base(framerate: Option<f64>) -> (u32, u32) {
    let Some(rate) = framerate.filter(|rate| (0.01..=1000.0).contains(rate)) else {
        return (1_000_000, 1);
    };
    let near = |other: f64| (rate - other).abs() < rate * 1e-4;
    let whole = rate.round();
    let ntsc = (rate * 1.001).round();
    if near(whole) {
        (whole as u32, 1)
    } else if near(ntsc / 1.001) {
        (ntsc as u32 * 1000, 1001)
    } else {
        ((rate * 1000.0).round() as u32, 1000)
    }
}

impl Muxer for IvfMuxer {
    fn container(&self) -> &'static str {
        "ivf"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        if self.state != State::Track || self.track.is_some() {
            return Err(MuxError::Unsupported("IVF has one track".into()));
        }
        let OutputKind::Video {
            coded_size,
            framerate,
            alpha,
            ..
        } = track.kind
        else {
            return Err(MuxError::Unsupported(format!("{} in IVF", track.codec)));
        };
        if alpha {
            return Err(MuxError::Unsupported(
                "IVF has no place for alpha beside the picture".into(),
            ));
        }
        let codec = VideoCodec::parse(&track.codec)
            .map_err(|error| MuxError::Unsupported(error.to_string()))?;
        let four_cc = match codec {
            VideoCodec::Vp8 => b"VP80",
            VideoCodec::Vp9(_) => b"VP90",
            VideoCodec::Av1(_) => b"AV01",
            other => {
                return Err(MuxError::Unsupported(format!(
                    "{} in IVF, which has VP8, VP9 or AV1",
                    other.family()
                )));
            }
        };
        let (rate, scale) = time_base(framerate);
        let room = Room {
            container: "IVF",
            before: false,
            behind: false,
        };
        let max = MuxOptions::default().max_buffered_bytes;
        self.track = Some(IvfTrack {
            four_cc,
            size: coded_size,
            rate,
            scale,
            hidden: Hidden::new(codec, track.description.as_ref(), room, max),
        });
        Ok(0)
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        Self::check_index(index)?;
        self.start(sink)?;
        let mut ready = Vec::new();
        if let Some(track) = &mut self.track {
            track.hidden.push(packet, &mut |packet| {
                ready.push(packet);
                Ok(())
            })?;
        }
        ready
            .into_iter()
            .try_for_each(|packet| self.frame(packet, sink))
    }

    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        Self::check_index(index)?;
        self.start(sink)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.start(sink)?;
        self.state = State::Finished;
        if sink.is_seekable() {
            // 0 stands for what does not fit.
            let duration = u32::try_from(self.end).unwrap_or(0);
            sink.patch(DURATION, &duration.to_le_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_kept_as_ratios() {
        assert_eq!(time_base(Some(30.0)), (30, 1));
        assert_eq!(time_base(Some(29.97)), (30_000, 1001));
        assert_eq!(time_base(Some(12.5)), (12_500, 1000));
        assert_eq!(time_base(Some(f64::NAN)), (1_000_000, 1));
        assert_eq!(time_base(None), (1_000_000, 1));
    }
}
