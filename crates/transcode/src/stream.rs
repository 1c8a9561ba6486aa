//! Streams that are pulled, and threads between them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use reelcore_engine::Engine;
use reelcore_media::{AudioData, Registry, VideoFrame};

use crate::error::JobError;

/// How often who waits looks whether the job is cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// What gives one item after another. After the end and after an error nothing is asked any more.
pub(crate) trait Pull<T>: Send {
    /// The next item, or `None` at the end.
    fn next(&mut self) -> Result<Option<T>, JobError>;
}

/// Pictures on one time line: times in microseconds from 0, ascending; each has a duration, which ends where the next
/// one begins or before.
pub(crate) type Pictures = Box<dyn Pull<VideoFrame>>;

/// Sound on one time line: all of one rate and one number of channels, each run where the one before ended.
pub(crate) type Sounds = Box<dyn Pull<Sound>>;

/// A run of sound with its exact place.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    /// Frames from time 0, at its own rate.
    pub(crate) position: i64,
    /// The samples. The timestamp is that of the position.
    pub(crate) data: AudioData,
}

impl Sound {
    /// `data` at `position`.
    pub(crate) fn new(position: i64, mut data: AudioData) -> Self {
        data.timestamp = micros_of(position, data.sample_rate);
        Self { position, data }
    }

    /// Where it ends, in frames.
    pub(crate) fn end(&self) -> i64 {
        self.position.saturating_add(i64::from(self.data.frames))
    }

    /// The part within `from..to`, without a copy; `None` where that is empty.
    pub(crate) fn within(&self, from: i64, to: i64) -> Option<Self> {
        let (start, end) = (self.position.max(from), self.end().min(to));
        if start >= end {
            return None;
        }
        let skip = u32::try_from(start.checked_sub(self.position)?).ok()?;
        let count = u32::try_from(end.checked_sub(start)?).ok()?;
        Some(Self::new(start, self.data.slice(skip, count)?))
    }
}

/// The time of a frame, rounded to the nearest microsecond.
pub(crate) fn micros_of(position: i64, rate: f32) -> i64 {
    let rate = (rate.max(1.0) as i64).max(1);
    let exact = i128::from(position) * 1_000_000;
    let rounded = (exact + i128::from(rate / 2)).div_euclid(i128::from(rate));
    i64::try_from(rounded).unwrap_or(if position < 0 { i64::MIN } else { i64::MAX })
}

/// The frame that is nearest to a time in microseconds.
pub(crate) fn frames_of(micros: i64, rate: f32) -> i64 {
    let rate = (rate.max(1.0) as i64).max(1);
    let exact = i128::from(micros) * i128::from(rate);
    let rounded = (exact + 500_000).div_euclid(1_000_000);
    i64::try_from(rounded).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

/// Stops a job from elsewhere. Clones stop the same one.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    /// Set, it cancels this as well.
    above: Option<Arc<AtomicBool>>,
}

impl Cancel {
    /// A job that sees `flag` become true stops.
    pub fn on(flag: Arc<AtomicBool>) -> Self {
        Self { flag, above: None }
    }

    /// Asks the job to stop: it ends with [`JobError::Cancelled`] after the picture it is at.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// One that is cancelled with this one, and can be by itself.
    pub(crate) fn child(&self) -> Self {
        Self {
            flag: Arc::default(),
            above: Some(self.flag.clone()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), JobError> {
        let set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        match set(&self.flag) || self.above.as_ref().is_some_and(set) {
            true => Err(JobError::Cancelled),
            false => Ok(()),
        }
    }
}

/// What all stages of a job share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) registry: Registry,
    pub(crate) engine: Engine,
    pub(crate) cancel: Cancel,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

enum Message<T> {
    Item(T),
    /// The end, or why there is no more.
    Last(Result<(), JobError>),
}

/// Where a stage puts what it makes.
pub(crate) struct Outlet<T> {
    sender: SyncSender<Message<T>>,
    cancel: Cancel,
}

impl<T> Outlet<T> {
    /// Waits until there is room. Fails when nobody takes anything any more, or the job is cancelled.
    pub(crate) fn push(&mut self, item: T) -> Result<(), JobError> {
        self.cancel.check()?;
        let sent = self.sender.send(Message::Item(item));
        sent.map_err(|_| JobError::Cancelled)
    }
}

/// The end of a channel that a stage fills.
pub(crate) struct Inlet<T> {
    receiver: Receiver<Message<T>>,
    cancel: Cancel,
    done: bool,
}

impl<T: Send> Pull<T> for Inlet<T> {
    fn next(&mut self) -> Result<Option<T>, JobError> {
        if self.done {
            return Ok(None);
        }
        loop {
            return match self.receiver.recv_timeout(PATIENCE) {
                Ok(Message::Item(item)) => Ok(Some(item)),
                Ok(Message::Last(result)) => {
                    self.done = true;
                    result.map(|()| None)
                }
                // The stage may be at a picture that takes long: who waits need not.
                Err(RecvTimeoutError::Timeout) => match self.cancel.check() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(RecvTimeoutError::Disconnected) => Err(JobError::failed(
                    "a stage of the job stopped without a word",
                )),
            };
        }
    }
}

impl Context {
    pub(crate) fn new(registry: &Registry, engine: &Engine, cancel: &Cancel) -> Self {
        Self {
            registry: registry.clone(),
            engine: engine.clone(),
            cancel: cancel.clone(),
            threads: Arc::default(),
        }
    }

    /// Runs `work` on a thread of its own, at most `room` items ahead of who takes them.
    pub(crate) fn stage<T: Send + 'static>(
        &self,
        name: &str,
        room: usize,
        work: impl FnOnce(&mut Outlet<T>) -> Result<(), JobError> + Send + 'static,
    ) -> Result<Inlet<T>, JobError> {
        let (sender, receiver) = sync_channel(room);
        let mut outlet = Outlet {
            sender,
            cancel: self.cancel.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = work(&mut outlet);
                // Where nobody listens any more, nobody needs to know.
                let _ = outlet.sender.send(Message::Last(result));
            })
            .map_err(|error| JobError::failed(format!("no thread can be started: {error}")))?;
        self.threads
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(thread);
        Ok(Inlet {
            receiver,
            cancel: self.cancel.clone(),
            done: false,
        })
    }

    /// Pulls from `stream` on a thread of its own.
    pub(crate) fn ahead<T: Send + 'static>(
        &self,
        name: &str,
        room: usize,
        mut stream: Box<dyn Pull<T>>,
    ) -> Result<Box<dyn Pull<T>>, JobError> {
        let inlet = self.stage(name, room, move |outlet| {
            while let Some(item) = stream.next()? {
                outlet.push(item)?;
            }
            Ok(())
        })?;
        Ok(Box::new(inlet))
    }

    /// Waits for all threads. Only once nobody holds an inlet any more.
    pub(crate) fn join(&self) {
        loop {
            let thread = self.threads.lock().unwrap_or_else(|e| e.into_inner()).pop();
            match thread {
                // A panic was seen by who took from the thread.
                Some(thread) => drop(thread.join()),
                None => return,
            }
        }
    }
}

/// What is there already, one after another.
#[cfg(test)]
pub(crate) struct Listed<T>(pub(crate) std::vec::IntoIter<T>);

#[cfg(test)]
impl<T: Send> Pull<T> for Listed<T> {
    fn next(&mut self) -> Result<Option<T>, JobError> {
        Ok(self.0.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reelcore_media::SampleFormat;

    #[test]
    fn places_and_times_lead_back_to_each_other() {
        for rate in [8000.0, 44_100.0, 48_000.0, 96_000.0] {
            for position in (-100_000..100_000i64).step_by(977).chain([1 << 40]) {
                assert_eq!(
                    frames_of(micros_of(position, rate), rate),
                    position,
                    "{rate}"
                );
            }
        }
        assert_eq!(micros_of(i64::MAX, 1.0), i64::MAX);
        assert_eq!(frames_of(i64::MIN, 2_000_000.0), i64::MIN);
    }

    #[test]
    fn a_part_of_a_run_keeps_its_place() {
        let data = AudioData::new(
            SampleFormat::U8,
            8000.0,
            4,
            1,
            0,
            Bytes::from_static(&[1, 2, 3, 4]),
        )
        .unwrap();
        let sound = Sound::new(-2, data);
        let part = sound.within(-1, 1).unwrap();
        assert_eq!(
            (part.position, &part.data.planes[0][..]),
            (-1, &[2u8, 3][..])
        );
        assert_eq!(part.data.timestamp, -125);
        assert!(sound.within(2, 9).is_none() && sound.within(1, 1).is_none());
    }

    #[test]
    fn a_stage_that_panics_is_no_end_of_the_stream() {
        let context = Context::new(&Registry::new(), Engine::global(), &Cancel::default());
        let mut inlet = context
            .stage("test", 1, |outlet| {
                outlet.push(1)?;
                if outlet.cancel.check().is_ok() {
                    panic!("on purpose");
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(inlet.next(), Ok(Some(1)));
        assert!(inlet.next().is_err());
        drop(inlet);
        context.join();
    }
}
