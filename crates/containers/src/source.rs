//! Byte sources: files and memory.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use reelcore_media::demux::Source;

/// A file, read at offsets. Several readers can share one.
#[derive(Debug)]
pub struct FileSource {
    file: File,
}

impl FileSource {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// What the system reports, and [`io::ErrorKind::IsADirectory`] for a folder.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "expected a file, found a folder",
            ));
        }
        Ok(Self { file })
    }

    /// Takes a file that is open for reading. Its position is not used on Unix; on Windows it moves.
    pub fn new(file: File) -> Self {
        Self { file }
    }
}

impl Source for FileSource {
    fn len(&self) -> io::Result<Option<u64>> {
        self.file.metadata().map(|data| Some(data.len()))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
        }
        #[cfg(windows)]
        {
            std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)
        }
    }
}

/// Bytes in memory. Packets are slices of them: nothing is copied.
#[derive(Clone, Debug)]
pub struct BytesSource {
    bytes: Bytes,
}

impl BytesSource {
    /// A source over `bytes`.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
        }
    }
}

impl Source for BytesSource {
    fn len(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| self.bytes.get(start..))
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn shared(&self, offset: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// Fills `buffer` from `offset` as far as the source goes; returns the number of bytes read.
pub(crate) fn read_up_to(source: &dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        match source.read_at(at, rest) {
            Ok(0) => break,
            // A source that claims more than it was asked for is taken at the buffer's length.
            Ok(count) => done = done.saturating_add(count).min(buffer.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Fills `buffer` from `offset`; an end before that is [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn read_exact(source: &dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let count = read_up_to(source, offset, buffer)?;
    if count < buffer.len() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!(
                "expected {} bytes at byte {offset}, the source ended after {count}",
                buffer.len()
            ),
        ));
    }
    Ok(())
}

/// What is set aside at once for bytes of a source whose length is not known.
const PIECE: usize = 1 << 20;

/// `len` bytes at `offset`: shared where the source is in memory, else read. The caller has checked that they lie
/// within the source, where its length is known.
pub(crate) fn read_bytes(source: &dyn Source, offset: u64, len: usize) -> io::Result<Bytes> {
    if let Some(bytes) = source.shared(offset, len) {
        return Ok(bytes);
    }
    if len <= PIECE || source.len()?.is_some() {
        let mut buffer = vec![0; len];
        read_exact(source, offset, &mut buffer)?;
        return Ok(buffer.into());
    }
    // `len` may be a lie: memory grows with what arrives.
    let mut buffer = Vec::new();
    while buffer.len() < len {
        let start = buffer.len();
        buffer.resize(len.min(start + PIECE), 0);
        let at = offset.saturating_add(start as u64);
        read_exact(source, at, buffer.get_mut(start..).unwrap_or_default())?;
    }
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_and_never_past_its_end() {
        let source = BytesSource::new(vec![1, 2, 3, 4]);
        assert_eq!(source.shared(1, 3).as_deref(), Some(&[2, 3, 4][..]));
        assert_eq!(source.shared(1, 4), None);
        assert_eq!(source.shared(u64::MAX, usize::MAX), None);
        let mut buffer = [0; 8];
        assert_eq!(source.read_at(3, &mut buffer).ok(), Some(1));
        assert_eq!(source.read_at(9, &mut buffer).ok(), Some(0));
        assert!(read_exact(&source, 2, &mut buffer).is_err());
    }
}
