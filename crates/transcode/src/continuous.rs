//! Times that jump: transport streams that were put together, or whose encoder was started anew in the middle. A job puts what is
//! behind a jump right behind what is before it.

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Demuxer, Packet, PacketReader, TrackKind};

/// Steps back by more than this, and forward by more than [`FORWARD`], are jumps; in microseconds. Those that the ffmpeg command
/// counts as such (`-dts_delta_threshold`).
const BACK: i64 = 100_000;
const FORWARD: i64 = 10_000_000;

/// The longest time that a packet without a duration is taken to last.
const LONGEST_STEP: i64 = 1_000_000;

/// Whether the times of packets from `demuxer` may jump.
pub(crate) fn may_jump(demuxer: &dyn Demuxer) -> bool {
    demuxer.container() == "mpegts"
}

/// A place where times jump: between the packets that begin at these bytes.
#[derive(Clone, Copy)]
struct Jump {
    before: u64,
    after: u64,
    /// What puts the packet behind it at the end of the one before it.
    shift: i64,
    back: bool,
}

/// Looks for jumps in the packets of a track.
#[derive(Default)]
struct Steps {
    /// Decode time, how long it lasts, and the place of the last packet.
    last: Option<(i64, i64, u64)>,
}

impl Steps {
    fn next(&mut self, packet: &Packet) -> Option<Jump> {
        let time = packet.decode_time;
        let said = packet
            .chunk
            .duration
            .and_then(|said| i64::try_from(said).ok());
        let last = self.last.replace((time, said.unwrap_or(0), packet.offset));
        let (before, length, offset) = last?;
        let end = before.saturating_add(length);
        let step = time.saturating_sub(before);
        if said.is_none() {
            let length = if (1..=LONGEST_STEP).contains(&step) {
                step
            } else {
                length
            };
            self.last = Some((time, length, packet.offset));
        }
        let over = time.saturating_sub(end);
        let back = over < -BACK;
        (back || over > FORWARD).then(|| Jump {
            before: offset,
            after: packet.offset,
            shift: end.saturating_sub(time),
            back,
        })
    }
}

/// Another reader of the track that says how far times are shifted, so that all tracks are shifted alike: a jump is at one place of the
/// file, and the tracks before it do not end at one time.
struct Guide {
    reader: Box<dyn PacketReader>,
    steps: Steps,
    jumps: VecDeque<Jump>,
    /// Where its last packet begins; `None` before the first.
    at: Option<u64>,
}

impl Guide {
    /// The shift of the jumps between the packets that `jump` is between; `None` where there are none.
    fn shift(&mut self, jump: &Jump) -> Result<Option<i64>, DemuxError> {
        while self.at.is_none_or(|at| at <= jump.after) {
            let Some(packet) = self.reader.next_sample()? else {
                break;
            };
            self.at = Some(packet.offset);
            self.jumps.extend(self.steps.next(&packet));
            while self
                .jumps
                .front()
                .is_some_and(|other| other.after <= jump.before)
            {
                self.jumps.pop_front();
            }
        }
        let here = |other: &&Jump| other.before < jump.after && other.after > jump.before;
        let mut shifts = self.jumps.iter().filter(here).map(|other| other.shift);
        let first = shifts.next();
        Ok(first.map(|first| shifts.fold(first, i64::saturating_add)))
    }
}

/// A reader of one track whose times go on over jumps.
pub(crate) struct Continuous {
    demuxer: Arc<dyn Demuxer>,
    index: usize,
    reader: Box<dyn PacketReader>,
    steps: Steps,
    shift: i64,
    /// Where the last packet that was given ends; packets of sound behind a jump that come before it are left out.
    end: Option<i64>,
    overlaps: bool,
    guide: Option<Guide>,
    /// The time that was sought last.
    sought: Option<i64>,
}

impl Continuous {
    /// A reader of the track at `index`.
    ///
    /// # Errors
    /// As [`Demuxer::reader`].
    pub(crate) fn new(demuxer: Arc<dyn Demuxer>, index: usize) -> Result<Self, DemuxError> {
        Ok(Self {
            reader: demuxer.clone().reader(index)?,
            demuxer,
            index,
            steps: Steps::default(),
            shift: 0,
            end: None,
            overlaps: false,
            guide: None,
            sought: None,
        })
    }

    /// The track by which all are shifted: the first of pictures, else the first of sound.
    fn guide_index(&self) -> usize {
        let kinds = || self.demuxer.tracks().iter().map(|track| &track.kind);
        let pictures = kinds().position(|kind| matches!(kind, TrackKind::Video { .. }));
        pictures
            .or_else(|| kinds().position(|kind| matches!(kind, TrackKind::Audio { .. })))
            .unwrap_or(self.index)
    }

    fn shift_of(&mut self, jump: &Jump) -> Result<i64, DemuxError> {
        let index = self.guide_index();
        if index == self.index {
            return Ok(jump.shift);
        }
        let guide = match &mut self.guide {
            Some(guide) => guide,
            none => {
                let mut reader = self.demuxer.clone().reader(index)?;
                if let Some(time) = self.sought {
                    reader.seek(time)?;
                }
                none.insert(Guide {
                    reader,
                    steps: Steps::default(),
                    jumps: VecDeque::new(),
                    at: None,
                })
            }
        };
        // What is ahead in this track alone is a pause of it; what is back has to go somewhere.
        let own = if jump.back { jump.shift } else { 0 };
        Ok(guide.shift(jump)?.unwrap_or(own))
    }

    fn is_sound(&self) -> bool {
        let track = self.demuxer.tracks().get(self.index);
        track.is_some_and(|track| matches!(track.kind, TrackKind::Audio { .. }))
    }
}

impl PacketReader for Continuous {
    /// In the file's own times: those from the place that is found on are put together.
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.steps = Steps::default();
        self.shift = 0;
        self.end = None;
        self.overlaps = false;
        self.guide = None;
        self.sought = Some(time);
        self.reader.seek(time)
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        loop {
            let Some(mut packet) = self.reader.next_sample()? else {
                return Ok(None);
            };
            if let Some(jump) = self.steps.next(&packet) {
                self.shift = self.shift.saturating_add(self.shift_of(&jump)?);
                self.overlaps = self.is_sound();
            }
            packet.decode_time = packet.decode_time.saturating_add(self.shift);
            packet.chunk.timestamp = packet.chunk.timestamp.saturating_add(self.shift);
            let length = i64::try_from(packet.chunk.duration.unwrap_or(0)).unwrap_or(0);
            let middle = packet.decode_time.saturating_add(length / 2);
            // Sound before a jump may last longer than the pictures do. What more than half of is there already has no place.
            if self.overlaps && self.end.is_some_and(|end| middle < end) && packet.config.is_none()
            {
                continue;
            }
            self.overlaps = false;
            self.end = Some(packet.decode_time.saturating_add(length));
            return Ok(Some(packet));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reelcore_media::demux::Track;
    use reelcore_media::{ChunkKind, EncodedChunk};

    use super::*;

    /// Tracks of packets that are (place in the file, decode time, duration) each.
    struct File(Vec<Track>, Vec<Vec<(u64, i64, u64)>>);

    struct Reader(std::vec::IntoIter<(u64, i64, u64)>);

    fn track(kind: TrackKind) -> Track {
        Track {
            id: 1,
            kind,
            codec: None,
            description: None,
            encryption: None,
            language: None,
            duration: None,
            samples: None,
        }
    }

    impl Demuxer for File {
        fn container(&self) -> &'static str {
            "mpegts"
        }

        fn duration(&self) -> Option<u64> {
            None
        }

        fn tracks(&self) -> &[Track] {
            &self.0
        }

        fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
            Ok(Box::new(Reader(self.1[index].clone().into_iter())))
        }
    }

    impl PacketReader for Reader {
        fn seek(&mut self, _: i64) -> Result<Option<i64>, DemuxError> {
            Ok(None)
        }

        fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
            Ok(self.0.next().map(|(offset, time, duration)| Packet {
                chunk: EncodedChunk {
                    kind: ChunkKind::Key,
                    timestamp: time + 7,
                    duration: Some(duration),
                    data: Bytes::new(),
                    side: None,
                },
                decode_time: time,
                offset,
                presented: true,
                encryption: None,
                config: None,
            }))
        }
    }

    fn file(pictures: &[(u64, i64, u64)], sound: &[(u64, i64, u64)]) -> Arc<dyn Demuxer> {
        let audio = TrackKind::Audio {
            sample_rate: 48_000,
            channels: 2,
        };
        let video = TrackKind::Video {
            coded_size: reelcore_media::Size::new(16, 16),
            display_aspect: reelcore_media::Size::new(16, 16),
            aspect_of_stream: true,
            rotation: Default::default(),
            flip: false,
            color_space: Default::default(),
        };
        let tracks = vec![track(audio), track(video)];
        Arc::new(File(tracks, vec![sound.to_vec(), pictures.to_vec()]))
    }

    fn times(file: &Arc<dyn Demuxer>, index: usize) -> Vec<i64> {
        let mut reader = Continuous::new(file.clone(), index).unwrap();
        let mut times = Vec::new();
        while let Some(packet) = reader.next_sample().unwrap() {
            assert_eq!(packet.chunk.timestamp, packet.decode_time + 7);
            times.push(packet.decode_time);
        }
        times
    }

    #[test]
    fn both_tracks_are_shifted_as_the_pictures_are_wherever_the_times_jump_to() {
        const S: i64 = 1_000_000;
        for start in [0, 100 * S, -3 * S] {
            let file = file(
                &[
                    (0, 0, 500_000),
                    (20, S / 2, 500_000),
                    (40, start, 500_000),
                    (60, start + S / 2, 500_000),
                ],
                // A little longer than the pictures, and behind the jump a little later.
                &[
                    (10, 0, 600_000),
                    (30, 600_000, 600_000),
                    (50, start + 300_000, 600_000),
                    (70, start + 900_000, 600_000),
                ],
            );
            assert_eq!(times(&file, 1), [0, S / 2, S, 3 * S / 2]);
            assert_eq!(times(&file, 0), [0, 600_000, 1_300_000, 1_900_000]);
        }
    }

    #[test]
    fn sound_that_is_there_already_is_left_out_and_does_not_push_the_rest_away() {
        let file = file(
            &[(0, 0, 1_000_000), (40, 0, 1_000_000)],
            &[
                (10, 0, 600_000),
                (30, 600_000, 600_000),
                (50, 0, 300_000),
                (60, 300_000, 300_000),
            ],
        );
        assert_eq!(times(&file, 0), [0, 600_000, 1_300_000]);
    }

    #[test]
    fn a_pause_of_one_track_stays_a_pause() {
        const S: i64 = 1_000_000;
        let pictures: Vec<_> = (0..40)
            .map(|at| (at as u64 * 10, at * S, 1_000_000))
            .collect();
        let file = file(&pictures, &[(5, 0, 1_000_000), (355, 35 * S, 1_000_000)]);
        assert_eq!(times(&file, 0), [0, 35 * S]);
    }

    #[test]
    fn a_track_that_goes_on_alone_goes_on() {
        const S: i64 = 1_000_000;
        let file = file(
            &[(0, 0, 1_000_000)],
            &[
                (5, 0, 1_000_000),
                (15, 2 * S, 1_000_000),
                (25, 0, 1_000_000),
            ],
        );
        assert_eq!(times(&file, 0), [0, 2 * S, 3 * S]);
    }
}
