//! Times that jump: transport streams that were put together, or whose encoder was started anew in the middle. A job puts what is
//! behind a jump right behind what is before it.

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::ChunkKind;
use reelcore_media::demux::{DemuxError, Demuxer, Packet, PacketReader, TrackKind};

/// Steps back by more than this, and forward by more than [`FORWARD`], are jumps; in microseconds. Those that the ffmpeg command
/// counts as such (`-dts_delta_threshold`).
const BACK: i64 = 100_000;
const FORWARD: i64 = 10_000_000;

/// A step ahead of this in another track says that one of [`FORWARD`] is a jump, and no pause of a single track. Tracks do not end at
/// one time before a jump, so that theirs are not alike.
const ALSO_FORWARD: i64 = FORWARD / 2;

/// The most packets of sound from a place that was sought to that of the pictures.
const MAX_SKIPPED: usize = 4096;

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
struct Steps {
    /// Decode time, how long it lasts, and the place of the last packet.
    last: Option<(i64, i64, u64)>,
    forward: i64,
}

impl Steps {
    fn new(forward: i64) -> Self {
        Self {
            last: None,
            forward,
        }
    }

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
        (back || over > self.forward).then(|| Jump {
            before: offset,
            after: packet.offset,
            shift: end.saturating_sub(time),
            back,
        })
    }
}

/// Another reader of a track, which says whether and how far times jump there.
struct Guide {
    reader: Box<dyn PacketReader>,
    steps: Steps,
    jumps: VecDeque<Jump>,
    /// Where its last packet begins; `None` before the first.
    at: Option<u64>,
}

impl Guide {
    fn new(reader: Box<dyn PacketReader>, forward: i64) -> Self {
        Self {
            reader,
            steps: Steps::new(forward),
            jumps: VecDeque::new(),
            at: None,
        }
    }

    /// Reads a packet; `false` at the end.
    fn advance(&mut self) -> Result<bool, DemuxError> {
        let Some(packet) = self.reader.next_sample()? else {
            return Ok(false);
        };
        self.at = Some(packet.offset);
        self.jumps.extend(self.steps.next(&packet));
        Ok(true)
    }

    /// The shift of the jumps between the packets that `jump` is between; `None` where there are none.
    fn shift(&mut self, jump: &Jump) -> Result<Option<i64>, DemuxError> {
        while self.at.is_none_or(|at| at <= jump.after) {
            if !self.advance()? {
                break;
            }
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

/// A reader of one track whose times go on over jumps. All tracks are shifted as the first of pictures is, or else the first of
/// sound: a jump is at one place of the file, and the tracks before it do not end at one time.
pub(crate) struct Continuous {
    demuxer: Arc<dyn Demuxer>,
    index: usize,
    reader: Box<dyn PacketReader>,
    steps: Steps,
    shift: i64,
    /// Packets that were read ahead after a seek.
    ahead: VecDeque<Packet>,
    /// Where the last packet that was given ends; packets of sound behind a jump that come before it are left out.
    end: Option<i64>,
    overlaps: bool,
    /// Pictures behind a jump are left out up to the first key picture.
    until_key: bool,
    /// Of the track that leads; of one that follows, where this one leads.
    guide: Option<Guide>,
}

impl Continuous {
    /// A reader of the track at `index`.
    ///
    /// # Errors
    /// As [`Demuxer::reader`].
    pub(crate) fn new(demuxer: Arc<dyn Demuxer>, index: usize) -> Result<Self, DemuxError> {
        let mut reader = Self {
            reader: demuxer.clone().reader(index)?,
            demuxer,
            index,
            steps: Steps::new(ALSO_FORWARD),
            shift: 0,
            ahead: VecDeque::new(),
            end: None,
            overlaps: false,
            until_key: false,
            guide: None,
        };
        reader.restart();
        Ok(reader)
    }

    /// The first tracks of pictures and of sound.
    fn leaders(&self) -> (Option<usize>, Option<usize>) {
        let kinds = || self.demuxer.tracks().iter().map(|track| &track.kind);
        (
            kinds().position(|kind| matches!(kind, TrackKind::Video { .. })),
            kinds().position(|kind| matches!(kind, TrackKind::Audio { .. })),
        )
    }

    /// The track by which all are shifted.
    fn leader(&self) -> usize {
        let (pictures, sound) = self.leaders();
        pictures.or(sound).unwrap_or(self.index)
    }

    fn restart(&mut self) {
        let leads = self.leader() == self.index;
        self.steps = Steps::new(if leads { FORWARD } else { ALSO_FORWARD });
        self.shift = 0;
        self.ahead.clear();
        self.end = None;
        self.overlaps = false;
        self.until_key = false;
        self.guide = None;
    }

    /// A guide of the track at `index`, from `time` on where one is given.
    fn guide_of(&self, index: usize, time: Option<i64>) -> Result<Guide, DemuxError> {
        let mut reader = self.demuxer.clone().reader(index)?;
        if let Some(time) = time {
            reader.seek(time)?;
        }
        let leads = self.leader() == index;
        Ok(Guide::new(
            reader,
            if leads { FORWARD } else { ALSO_FORWARD },
        ))
    }

    fn shift_of(&mut self, jump: &Jump) -> Result<i64, DemuxError> {
        let leader = self.leader();
        // One that leads is sure of a step back, and of one ahead where it is alone. Else the others must jump as well.
        let other = match self.leaders() {
            _ if leader != self.index => Some(leader),
            (Some(_), Some(sound)) if !jump.back => Some(sound),
            _ => None,
        };
        let Some(other) = other else {
            return Ok(jump.shift);
        };
        let mut guide = match self.guide.take() {
            Some(guide) => guide,
            None => self.guide_of(other, None)?,
        };
        let found = guide.shift(jump)?;
        self.guide = Some(guide);
        Ok(match found {
            Some(_) if leader == self.index => jump.shift,
            Some(shift) => shift,
            // What is ahead in this track alone is a pause of it; what is back has to go somewhere.
            None if jump.back => jump.shift,
            None => 0,
        })
    }

    fn is_sound(&self) -> bool {
        let track = self.demuxer.tracks().get(self.index);
        track.is_some_and(|track| matches!(track.kind, TrackKind::Audio { .. }))
    }

    /// Moves to the last key packet at or before `time`, in the file's own times: those from the place that is found on are put
    /// together. Sound begins so much `early`er than the pictures that go with it; what is before a jump before these belongs
    /// elsewhere, and is left out.
    pub(crate) fn seek_early(&mut self, time: i64, early: i64) -> Result<Option<i64>, DemuxError> {
        self.restart();
        let found = self.reader.seek(time)?;
        let leader = self.leader();
        let wanted = time.saturating_add(early);
        if leader == self.index {
            if let (Some(_), Some(sound)) = self.leaders() {
                self.guide = Some(self.guide_of(sound, Some(wanted))?);
            }
            return Ok(found);
        }
        let mut guide = self.guide_of(leader, Some(wanted))?;
        guide.advance()?;
        let place = guide.at.unwrap_or(0);
        self.guide = Some(guide);
        while self.ahead.len() < MAX_SKIPPED {
            let Some(mut packet) = self.reader.next_sample()? else {
                break;
            };
            let offset = packet.offset;
            if self
                .steps
                .next(&packet)
                .is_some_and(|jump| jump.before < place)
            {
                let config = self
                    .ahead
                    .drain(..)
                    .filter_map(|packet| packet.config)
                    .last();
                packet.config = packet.config.or(config);
            }
            self.ahead.push_back(packet);
            if offset >= place {
                break;
            }
        }
        Ok(found)
    }
}

impl PacketReader for Continuous {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.seek_early(time, 0)
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        loop {
            let next = match self.ahead.pop_front() {
                // Steps between these were looked at.
                Some(packet) => Some((packet, None)),
                None => self.reader.next_sample()?.map(|packet| {
                    let jump = self.steps.next(&packet);
                    (packet, jump)
                }),
            };
            let Some((mut packet, jump)) = next else {
                return Ok(None);
            };
            if let Some(jump) = jump {
                let shift = self.shift_of(&jump)?;
                self.shift = self.shift.saturating_add(shift);
                self.overlaps = self.is_sound();
                self.until_key = !self.is_sound() && shift != 0;
            }
            if self.until_key && packet.chunk.kind == ChunkKind::Delta && packet.config.is_none() {
                continue;
            }
            self.until_key = false;
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
    use reelcore_media::EncodedChunk;
    use reelcore_media::demux::Track;

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
            name: None,
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
    fn a_pause_of_the_pictures_alone_stays_a_pause() {
        const S: i64 = 1_000_000;
        let sound: Vec<_> = (0..40)
            .map(|at| (at as u64 * 10 + 5, at * S, 1_000_000))
            .collect();
        let file = file(&[(0, 0, 1_000_000), (350, 35 * S, 1_000_000)], &sound);
        assert_eq!(times(&file, 1), [0, 35 * S]);
        assert_eq!(times(&file, 0).len(), 40);
    }

    #[test]
    fn tracks_jump_together_also_where_one_is_just_below_the_limit() {
        const S: i64 = 1_000_000;
        let file = file(
            &[(0, 0, 1_000_000), (20, 12 * S, 1_000_000)],
            &[(10, 0, 2_500_000), (30, 12 * S, 1_000_000)],
        );
        assert_eq!(times(&file, 1), [0, S]);
        // Shifted as the pictures are, most of its packet is there already.
        assert_eq!(times(&file, 0), [0]);
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
