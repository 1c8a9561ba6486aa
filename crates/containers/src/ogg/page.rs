//! Pages (RFC 3533, section 6).

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use crate::audio::crc;
use crate::audio::invalid;
use crate::window::Window;

/// Bytes of a page's header before the table of segments.
const HEADER: usize = 27;

/// Bytes of a page, at most.
pub(crate) const MAX_PAGE: usize = HEADER + 255 + 255 * 255;

/// Bytes that are passed over in search of a page, at most.
const MAX_LOST: u64 = 1 << 20;

/// Bytes of pages with wrong checksums that are summed beyond those that are passed over, at most: forged headers lie close
/// together and claim much.
const MAX_VAIN: u64 = 2 << 20;

/// What the look for pages has cost on the way through a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vain {
    /// Bytes that were summed for nothing, less those that were passed over with them and those of whole pages.
    summed: u64,
}

impl Vain {
    /// Counts a page whose checksum is wrong; whether there were too many.
    fn add(&mut self, page: u64) -> bool {
        self.summed = self.summed.saturating_add(page);
        self.summed > MAX_VAIN
    }

    /// So many bytes were passed over or belong to a whole page: a damaged page pays for itself.
    fn passed(&mut self, bytes: u64) {
        self.summed = self.summed.saturating_sub(bytes);
    }
}

/// A page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Byte offset.
    pub(crate) at: u64,
    flags: u8,
    /// Where the stream stands at the end of the last packet that ends here; -1: none does.
    pub(crate) granule: i64,
    pub(crate) serial: u32,
    pub(crate) sequence: u32,
    /// The table of segments.
    pub(crate) lacing: Bytes,
    /// Bytes of the body.
    pub(crate) size: usize,
    /// The body, of a page that is wanted.
    pub(crate) body: Bytes,
}

impl Page {
    /// Whether the first packet began on an earlier page.
    pub(crate) fn continued(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether it is its stream's first.
    pub(crate) fn begins(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether it is its stream's last.
    pub(crate) fn ends(&self) -> bool {
        self.flags & 4 != 0
    }

    /// Byte offset of the body.
    pub(crate) fn body_at(&self) -> u64 {
        self.at + (HEADER + self.lacing.len()) as u64
    }

    /// Byte offset of what follows.
    pub(crate) fn next(&self) -> u64 {
        self.body_at() + self.size as u64
    }

    /// Reads the header at `at`; `None` where none stands.
    fn parse(window: &mut Window, at: u64, ahead: usize) -> Result<Option<Self>, DemuxError> {
        let head = window.peek(at, HEADER, ahead)?;
        let Some(head) = head.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let &[
            b'O',
            b'g',
            b'g',
            b'S',
            0,
            flags,
            g0,
            g1,
            g2,
            g3,
            g4,
            g5,
            g6,
            g7,
            s0,
            s1,
            s2,
            s3,
            n0,
            n1,
            n2,
            n3,
            ..,
            segments,
        ] = head
        else {
            return Ok(None);
        };
        let lacing = window.take(at + HEADER as u64, usize::from(segments), ahead)?;
        if lacing.len() < usize::from(segments) {
            return Ok(None);
        }
        Ok(Some(Self {
            at,
            flags,
            granule: i64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
            serial: u32::from_le_bytes([s0, s1, s2, s3]),
            sequence: u32::from_le_bytes([n0, n1, n2, n3]),
            size: lacing.iter().map(|&size| usize::from(size)).sum(),
            lacing,
            body: Bytes::new(),
        }))
    }

    /// Reads the body and checks the checksum.
    fn verified(
        mut self,
        window: &mut Window,
        ahead: usize,
    ) -> Result<Result<Self, DemuxError>, DemuxError> {
        let header = HEADER + self.lacing.len();
        let whole = window.take(self.at, header + self.size, ahead)?;
        if whole.len() < header + self.size {
            return Ok(Err(invalid(
                self.at,
                format!(
                    "expected a page of {} bytes, the source has {} bytes left",
                    header + self.size,
                    whole.len()
                ),
            )));
        }
        let (before, rest) = whole.split_at(22);
        let (field, after) = rest.split_at(4);
        let found = field
            .first_chunk()
            .map_or(0, |field| u32::from_le_bytes(*field));
        let sum = crc::ogg(crc::ogg(crc::ogg(0, before), &[0; 4]), after);
        if sum != found {
            return Ok(Err(invalid(
                self.at,
                format!("expected a page with the checksum {found:#010x}, found {sum:#010x}"),
            )));
        }
        self.body = whole.slice(header..);
        Ok(Ok(self))
    }
}

/// The first page at or after `at` that is `wanted`, whole and with a right checksum; `None` at the end. Damaged pages are
/// passed over like lost ones, which the numbers of pages tell; an error where none follows. Pages that are not wanted
/// are passed over by their headers. `vain` goes along from page to page.
pub(crate) fn next(
    window: &mut Window,
    mut at: u64,
    end: u64,
    ahead: usize,
    vain: &mut Vain,
    wanted: &dyn Fn(&Page) -> bool,
) -> Result<Option<Page>, DemuxError> {
    let (mut damage, mut lost) = (None, 0);
    while at < end {
        if let Some(page) = Page::parse(window, at, ahead)? {
            if !wanted(&page) {
                at = page.next();
                continue;
            }
            let size = page.next() - at;
            match page.verified(window, ahead)? {
                Ok(page) => {
                    // Losses here and there in a long file do not add up to one that is forged.
                    vain.passed(size);
                    return Ok(Some(page));
                }
                Err(error) if vain.add(size) => return Err(damage.unwrap_or(error)),
                Err(error) => damage = damage.or(Some(error)),
            }
            at += 1;
            lost += 1;
        }
        let bytes = window.peek(at, 4, ahead)?;
        let bytes = bytes.get(..bytes.len().min(MAX_PAGE)).unwrap_or_default();
        if bytes.len() < 4 {
            break;
        }
        let found = bytes.windows(4).position(|bytes| bytes == b"OggS");
        let passed = found
            .unwrap_or(bytes.len() - 3)
            .max(usize::from(found.is_none())) as u64;
        // A capture pattern that begins no page.
        let passed = if found == Some(0) && Page::parse(window, at, ahead)?.is_none() {
            1
        } else {
            passed
        };
        at += passed;
        lost += passed;
        vain.passed(passed);
        if lost > MAX_LOST {
            return Err(damage.unwrap_or_else(|| {
                invalid(
                    at - lost,
                    format!("expected an Ogg page, found none in {MAX_LOST} bytes"),
                )
            }));
        }
    }
    damage.map_or(Ok(None), Err)
}
