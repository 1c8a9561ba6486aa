//! The boxes at the top of the file, read through the source one header at a time.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, Source};

use super::parse::{BoxHeader, FourCc, Reader, invalid};
use crate::{Limits, source};

/// A source of known length, with the caps that hold for it.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) source: Arc<dyn Source>,
    /// Its length when it was opened.
    pub(crate) len: u64,
    pub(crate) limits: Limits,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A box at the top of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopBox {
    pub(crate) kind: FourCc,
    pub(crate) start: u64,
    body: u64,
    /// Where it ends by its own size, which may be past the end of the source.
    pub(crate) end: u64,
}

impl File {
    pub(crate) fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        Ok(Self {
            // Reads past the end of a source of unknown length fail by themselves.
            len: source.len()?.unwrap_or(u64::MAX),
            source,
            limits: limits.clone(),
        })
    }

    /// The box at `start`; `None` at the end, where fewer than 8 bytes are no box.
    pub(crate) fn top_box(&self, start: u64) -> Result<Option<TopBox>, DemuxError> {
        let left = self.len.saturating_sub(start);
        if left < 8 {
            return Ok(None);
        }
        let mut head = [0; 16];
        let count = source::read_up_to(&*self.source, start, &mut head)?;
        let head = head.get(..count).unwrap_or_default();
        if head.len() < 8 {
            // Only a read finds the end of a source of unknown length.
            return Ok(None);
        }
        let header = BoxHeader::parse(head, start, left)?;
        let end = start.checked_add(header.size).ok_or_else(|| {
            invalid(
                start,
                format!("the {} box has a size of {}", header.kind, header.size),
            )
        })?;
        Ok(Some(TopBox {
            kind: header.kind,
            start,
            body: start.saturating_add(header.header),
            end,
        }))
    }

    /// Auxiliary information of samples, which stands between the boxes.
    pub(crate) fn read_auxiliary(&self, offset: u64, len: u64) -> Result<Bytes, DemuxError> {
        let left = self.len.saturating_sub(offset);
        if len > left {
            return Err(invalid(
                offset,
                format!(
                    "expected {len} bytes of auxiliary information, the source has {left} left"
                ),
            ));
        }
        let fits = usize::try_from(len).ok();
        let Some(len) = fits.filter(|_| len <= self.limits.max_header_bytes) else {
            return Err(DemuxError::Limit(format!(
                "the auxiliary information at byte {offset} has {len} bytes, the cap is {}",
                self.limits.max_header_bytes
            )));
        };
        Ok(source::read_bytes(&*self.source, offset, len)?)
    }

    /// The body of a set-up box, in memory.
    pub(crate) fn read_body(&self, top: &TopBox) -> Result<Reader, DemuxError> {
        if top.end > self.len {
            return Err(invalid(
                top.start,
                format!(
                    "the {} box has a size of {}, the source has {} bytes left",
                    top.kind,
                    top.end - top.start,
                    self.len.saturating_sub(top.start)
                ),
            ));
        }
        let len = top.end.saturating_sub(top.body);
        let fits = usize::try_from(len).ok();
        let Some(len) = fits.filter(|_| len <= self.limits.max_header_bytes) else {
            return Err(DemuxError::Limit(format!(
                "the {} box at byte {} has {len} bytes, the cap is {}",
                top.kind, top.start, self.limits.max_header_bytes
            )));
        };
        let bytes = source::read_bytes(&*self.source, top.body, len)?;
        Ok(Reader::new(top.kind, bytes, top.body))
    }
}
