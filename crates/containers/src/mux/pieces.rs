//! What is to be written, without a copy of the packets in it.

use bytes::{Bytes, BytesMut};
use reelcore_media::mux::{MuxError, Sink};

/// A packet up to this many bytes is copied behind the headers before it: a piece of its own costs more.
const SMALL: usize = 512;

/// Bytes in pieces: headers are gathered, packets stay where they are.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    done: Vec<Bytes>,
    tail: BytesMut,
    len: u64,
}

impl Pieces {
    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a header.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
    }

    /// Adds a packet, or a part of one.
    pub(crate) fn share(&mut self, bytes: &Bytes) {
        if bytes.len() <= SMALL {
            return self.put(bytes);
        }
        self.close();
        self.done.push(bytes.clone());
        self.len = self.len.saturating_add(bytes.len() as u64);
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.done.push(self.tail.split().freeze());
        }
    }

    /// Writes all of it, and is empty then.
    ///
    /// # Errors
    /// What the sink reports.
    pub(crate) fn write(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.close();
        self.len = 0;
        for piece in self.done.drain(..) {
            sink.write(piece)?;
        }
        Ok(())
    }
}
