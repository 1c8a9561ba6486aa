//! What the first fragments of a file say of its tracks, which are not yet known.

use bytes::Bytes;

use super::cursor::{LOOK_AHEAD, MAX_STREAM};
use super::{MoofContext, parse_moof};
use crate::mp4::budget::{Budget, PASSED_BOX};
use crate::mp4::file::File;
use crate::mp4::movie::FragmentDefaults;

/// Where the first fragment from `start` on stands; `None` where there is none. Of a stream, what has not arrived is not known: it
/// may stand anywhere from there.
pub(crate) fn first(file: &File, start: u64) -> Option<u64> {
    if !file.source.is_seekable() {
        return Some(start);
    }
    let mut at = start;
    loop {
        match file.top_box(at) {
            Ok(Some(top)) if &top.kind.0 == b"moof" => return Some(at),
            Ok(Some(top)) => at = top.end,
            Ok(None) => return None,
            // What is damaged there is reported by the reader that comes to it.
            Err(_) => return Some(at),
        }
    }
}

/// A look at the first fragments.
pub(crate) struct Ahead<'a> {
    file: &'a File,
    first: u64,
    defaults: &'a [FragmentDefaults],
    budget: Budget,
}

impl<'a> Ahead<'a> {
    /// At the fragments from `first` on, where the first one stands.
    pub(crate) fn new(file: &'a File, first: u64, defaults: &'a [FragmentDefaults]) -> Self {
        Self {
            file,
            first,
            defaults,
            budget: Budget::new(file.len),
        }
    }

    /// The sample description of a track's first sample: as its first fragment says, or what holds where fragments say nothing.
    pub(crate) fn description(&mut self, track: u32) -> Option<u32> {
        self.first_described(track).or_else(|| {
            let mut defaults = self.defaults.iter();
            let of_track = defaults.find(|defaults| defaults.track == track)?;
            Some(of_track.description)
        })
    }

    /// As the first fragment says that has samples of the track, where it is one of the first. What is damaged there is reported
    /// when it is read.
    fn first_described(&mut self, track: u32) -> Option<u32> {
        if !self.file.source.is_seekable() {
            return None;
        }
        let context = MoofContext {
            defaults: self.defaults,
            track,
            source_len: self.file.len.min(MAX_STREAM),
            protection: None,
            read: &|_, _| Ok(Bytes::new()),
        };
        let (mut at, mut looks) = (self.first, 0);
        while looks < LOOK_AHEAD
            && let Some(top) = self.file.top_box(at).ok()?
        {
            if &top.kind.0 == b"moof" {
                looks += 1;
                self.budget.spend(top.end.saturating_sub(top.start)).ok()?;
                let body = self.file.read_body(&top).ok()?;
                let fragment = parse_moof(body, top.start, 0, &context).ok()?;
                if let Some(run) = fragment.as_ref().and_then(|found| found.runs.first()) {
                    return Some(run.defaults.description);
                }
            } else {
                self.budget.spend(PASSED_BOX).ok()?;
            }
            at = top.end;
        }
        None
    }
}
