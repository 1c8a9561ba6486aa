//! A bound on the work that a file can cause.

use reelcore_media::demux::DemuxError;

/// What passing by a box at the top of the file costs: the bytes of its header that are read.
pub(crate) const PASSED_BOX: u64 = 16;

/// Counts samples and bytes against what the source's length allows. A file may name the same bytes many times
/// over, so that its tables' own length bounds nothing.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    /// The budget of one pass over a source of `len` bytes.
    pub(crate) fn new(len: u64) -> Self {
        Self {
            left: len.saturating_mul(16).saturating_add(1 << 20),
        }
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Takes `work` off.
    pub(crate) fn spend(&mut self, work: u64) -> Result<(), DemuxError> {
        match self.left.checked_sub(work) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(DemuxError::Limit(
                    "the file names more than 16 times the data that it holds".to_owned(),
                ))
            }
        }
    }
}
