//! Files, memory and queues to write to.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use reelcore_media::mux::Sink;

/// Bytes that are gathered before the system is called; larger writes go past the buffer.
const BUFFER: usize = 128 << 10;

/// Bytes that are moved at once by an insertion.
const MOVE: usize = 1 << 20;

fn beyond(offset: u64, len: usize, end: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("expected a place within the {end} bytes written, found {offset} + {len}"),
    )
}

fn full(max: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::QuotaExceeded,
        format!("more than {max} bytes, the cap, are to be kept"),
    )
}

fn in_stream(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} what a stream has passed on"),
    )
}

/// A file, written through a buffer. [`FileSink::finish`] says whether all of it was written.
#[derive(Debug)]
pub struct FileSink {
    file: BufWriter<File>,
    len: u64,
}

impl FileSink {
    /// Creates the file at `path`, or empties it.
    ///
    /// # Errors
    /// What the system reports.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        // An insertion reads back what it moves.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Self::new(file))
    }

    /// Writes to `file`, which is empty and open for reading and writing.
    pub fn new(file: File) -> Self {
        Self {
            file: BufWriter::with_capacity(BUFFER, file),
            len: 0,
        }
    }

    /// Bytes that were written.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hands what is in the buffer to the system, and gives the file.
    ///
    /// # Errors
    /// What the system reports.
    pub fn finish(self) -> io::Result<File> {
        self.file.into_inner().map_err(|error| error.into_error())
    }
}

impl Sink for FileSink {
    fn write(&mut self, data: Bytes) -> io::Result<()> {
        self.file.write_all(&data)?;
        self.len = self.len.saturating_add(data.len() as u64);
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(beyond(offset, data.len(), self.len));
        }
        // Seeking flushes the buffer.
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(data)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        Ok(())
    }

    fn insert(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset > self.len {
            return Err(beyond(offset, data.len(), self.len));
        }
        self.file.flush()?;
        let by = data.len() as u64;
        let file = self.file.get_mut();
        let mut buffer = vec![0; MOVE.min(usize::try_from(self.len - offset).unwrap_or(MOVE))];
        // From the end, so that nothing is overwritten before it was moved.
        let mut end = self.len;
        while end > offset {
            let count = (end - offset).min(buffer.len() as u64);
            let part = buffer.get_mut(..count as usize).unwrap_or_default();
            end -= count;
            file.seek(SeekFrom::Start(end))?;
            file.read_exact(part)?;
            file.seek(SeekFrom::Start(end.saturating_add(by)))?;
            file.write_all(part)?;
        }
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(data)?;
        self.len = self.len.saturating_add(by);
        file.seek(SeekFrom::Start(self.len))?;
        Ok(())
    }
}

/// Memory, in one piece: what is written is copied there, as a whole file is what its users want.
#[derive(Debug)]
pub struct MemorySink {
    bytes: Vec<u8>,
    max: usize,
}

impl MemorySink {
    /// Keeps up to `max` bytes; a write beyond is an error of [`io::ErrorKind::QuotaExceeded`].
    pub fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            max,
        }
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    fn room(&self, more: usize) -> io::Result<()> {
        let len = self.bytes.len().saturating_add(more);
        if len > self.max {
            return Err(full(self.max));
        }
        Ok(())
    }
}

impl Default for MemorySink {
    /// With as much room as the system gives.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Sink for MemorySink {
    fn write(&mut self, data: Bytes) -> io::Result<()> {
        self.room(data.len())?;
        self.bytes.extend_from_slice(&data);
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let len = self.bytes.len() as u64;
        let place = usize::try_from(offset)
            .ok()
            .and_then(|at| self.bytes.get_mut(at..at.checked_add(data.len())?));
        let place = place.ok_or_else(|| beyond(offset, data.len(), len))?;
        place.copy_from_slice(data);
        Ok(())
    }

    fn insert(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let len = self.bytes.len();
        let at = usize::try_from(offset).ok().filter(|&at| at <= len);
        let at = at.ok_or_else(|| beyond(offset, data.len(), len as u64))?;
        self.room(data.len())?;
        // Grown and moved in place.
        self.bytes.splice(at..at, data.iter().copied());
        Ok(())
    }
}

/// What waits for somebody else to take it: the start of a stream. Clones share the queue.
#[derive(Clone, Debug)]
pub struct QueueSink {
    queue: Arc<Mutex<Queue>>,
    max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    written: u64,
}

impl QueueSink {
    /// Holds up to `max` bytes; a write beyond is an error of [`io::ErrorKind::QuotaExceeded`]. Who writes looks at
    /// [`QueueSink::buffered_bytes`] and waits until enough was taken.
    pub fn new(max: usize) -> Self {
        Self {
            queue: Arc::default(),
            max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock.
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The oldest piece, which the caller owns.
    pub fn take(&self) -> Option<Bytes> {
        let mut queue = self.lock();
        let first = queue.waiting.pop_front()?;
        queue.bytes -= first.len();
        Some(first)
    }

    /// Bytes that wait to be taken.
    pub fn buffered_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Bytes that were ever written.
    pub fn written(&self) -> u64 {
        self.lock().written
    }
}

impl Sink for QueueSink {
    fn write(&mut self, data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let mut queue = self.lock();
        let bytes = queue.bytes.saturating_add(data.len());
        if bytes > self.max {
            return Err(full(self.max));
        }
        queue.bytes = bytes;
        queue.written = queue.written.saturating_add(data.len() as u64);
        queue.waiting.push_back(data);
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn patch(&mut self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(in_stream("cannot overwrite"))
    }

    fn insert(&mut self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(in_stream("cannot insert into"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> std::path::PathBuf {
        let name = format!("reelcore-sink-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn exercise(sink: &mut dyn Sink, tail: usize) -> Vec<u8> {
        let body: Vec<u8> = (0..tail).map(|i| (i * 31) as u8).collect();
        sink.write(Bytes::from_static(b"head")).expect("writes");
        sink.write(body.clone().into()).expect("writes");
        sink.patch(1, b"EA").expect("patches");
        sink.insert(4, b"between").expect("inserts");
        sink.write(Bytes::from_static(b"end")).expect("writes");
        assert!(sink.patch(tail as u64 + 14, b"x").is_err());
        assert!(sink.patch(u64::MAX, b"x").is_err());
        assert!(sink.insert(tail as u64 + 15, b"x").is_err());
        [&b"hEAdbetween"[..], &body, b"end"].concat()
    }

    #[test]
    fn a_file_is_patched_and_inserted_into_whatever_its_length() {
        for (index, tail) in [0, 1, BUFFER - 4, BUFFER, 2 * MOVE + 5]
            .into_iter()
            .enumerate()
        {
            let path = path(&index.to_string());
            let mut sink = FileSink::create(&path).expect("a file");
            let want = exercise(&mut sink, tail);
            assert_eq!(sink.len(), want.len() as u64);
            sink.finish().expect("written");
            let got = std::fs::read(&path).expect("the file");
            std::fs::remove_file(&path).expect("removed");
            assert!(got == want, "{tail}");
        }
    }

    #[test]
    fn memory_does_the_same_up_to_its_cap() {
        let mut sink = MemorySink::default();
        let want = exercise(&mut sink, 1000);
        assert_eq!(sink.into_bytes(), want);
        let mut small = MemorySink::new(3);
        small.write(Bytes::from_static(b"ab")).expect("fits");
        let error = small
            .write(Bytes::from_static(b"cd"))
            .expect_err("too much");
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(small.insert(0, b"cd").is_err());
        assert_eq!(small.bytes(), b"ab");
    }

    #[test]
    fn a_queue_hands_on_the_very_bytes_and_cannot_change_them() {
        let mut sink = QueueSink::new(5);
        let data = Bytes::from_static(b"abc");
        sink.write(data.clone()).expect("fits");
        assert!(sink.write(data.clone()).is_err());
        assert!(
            !sink.is_seekable() && sink.patch(0, b"x").is_err() && sink.insert(0, b"x").is_err()
        );
        let reader = sink.clone();
        assert_eq!(reader.buffered_bytes(), 3);
        let taken = reader.take().expect("a piece");
        assert_eq!(taken.as_ptr(), data.as_ptr());
        sink.write(data).expect("there is room again");
        assert_eq!((reader.buffered_bytes(), reader.written()), (3, 6));
    }
}
