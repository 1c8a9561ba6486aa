//! Cuts a byte stream of H.264 or HEVC (Annex B of either) into access units, as it arrives.

use reelcore_media::{ColorSpace, Size};

use super::h264::H264;
use super::hevc::Hevc;

/// What an access unit's picture is, as far as its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Decoding can start here.
    pub(crate) key: bool,
    /// It starts a coded video sequence: every picture before it precedes it in output order.
    pub(crate) restart: bool,
    /// Picture order count; `None` where the sets that it needs are missing.
    pub(crate) poc: Option<i32>,
    /// One field, not a frame.
    pub(crate) field: bool,
    /// Pictures that can precede it in decoding order and follow it in output order, at most.
    pub(crate) reorder: u8,
}

/// One access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccessUnit {
    /// Its length in bytes.
    pub(crate) len: usize,
    pub(crate) picture: Picture,
    /// It holds a sequence parameter set.
    pub(crate) has_sets: bool,
}

/// What the sequence parameter set in force says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoInfo {
    /// The codec string.
    pub(crate) codec: String,
    /// The part of the picture that is shown: what the containers with a size of their own mean by it.
    pub(crate) size: Size,
    /// The sample aspect ratio.
    pub(crate) sample_aspect: (u64, u64),
    pub(crate) color: ColorSpace,
    /// How long a frame lasts, in seconds as a fraction.
    pub(crate) frame_duration: Option<(u64, u64)>,
    /// Pictures that wait for reordering, at most.
    pub(crate) reorder: u8,
}

/// What a NAL unit means for access units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The first slice of a picture.
    Picture(Picture),
    /// Another slice.
    Slice,
    /// Stands before a picture: where one has come, an access unit begins here.
    Before { sets: bool },
    /// Stands before a slice, which may be the first of a picture or not.
    BeforeSlice,
    /// Belongs to what stands before it.
    After,
}

/// The syntax of one of the codecs, with its parameter sets.
#[derive(Clone, Debug)]
pub(crate) enum Syntax {
    H264(H264),
    Hevc(Hevc),
}

impl Syntax {
    pub(crate) fn h264() -> Self {
        Self::H264(H264::default())
    }

    pub(crate) fn hevc() -> Self {
        Self::Hevc(Hevc::default())
    }

    /// Bytes of a NAL unit's header.
    fn header_bytes(&self) -> usize {
        match self {
            Self::H264(_) => 1,
            Self::Hevc(_) => 2,
        }
    }

    /// Whether the header alone says that the NAL unit stands before a picture.
    fn stands_before(&self, header: &[u8]) -> bool {
        match self {
            Self::H264(_) => H264::stands_before(header),
            Self::Hevc(_) => Hevc::stands_before(header),
        }
    }

    /// Reads a NAL unit. `first`: no slice of the access unit has come; `led`: units that stand before a picture have.
    fn read(&mut self, nal: &[u8], first: bool, led: bool) -> Role {
        match self {
            Self::H264(syntax) => syntax.read(nal, first, led),
            Self::Hevc(syntax) => syntax.read(nal),
        }
    }

    /// Forgets what leads from picture to picture, and keeps the parameter sets.
    pub(super) fn restart(&mut self) {
        match self {
            Self::H264(syntax) => syntax.restart(),
            Self::Hevc(syntax) => syntax.restart(),
        }
    }

    /// What the set says that the last picture refers to.
    pub(crate) fn info(&self) -> Option<VideoInfo> {
        match self {
            Self::H264(syntax) => syntax.info(),
            Self::Hevc(syntax) => syntax.info(),
        }
    }

    /// The parameter sets in force, as an Annex B stream.
    pub(crate) fn parameter_sets(&self) -> Vec<u8> {
        match self {
            Self::H264(syntax) => syntax.parameter_sets(),
            Self::Hevc(syntax) => syntax.parameter_sets(),
        }
    }
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes are needed; at the end, there is nothing more.
    More,
    /// So many bytes at the front are no part of a whole access unit.
    Skip(usize),
    /// An access unit at the front.
    Unit(AccessUnit),
}

/// A NAL unit whose end has not been seen.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where its start code begins.
    begin: usize,
    /// Where its header stands.
    header: usize,
}

/// The access unit under way.
#[derive(Clone, Copy, Debug, Default)]
struct Unit {
    picture: Option<Picture>,
    /// It begins in the middle of a picture.
    broken: bool,
    /// Parameter sets, delimiters or SEI stand in it.
    led: bool,
    has_sets: bool,
}

/// Finds access units in bytes that are given again, from the front of what is left, as they arrive.
///
/// Every byte is looked at once: the positions of an earlier step are kept.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    pub(crate) syntax: Syntax,
    /// No start code that has not been seen begins before this.
    scanned: usize,
    open: Option<Open>,
    /// Where the unit of [`Role::BeforeSlice`] begins that precedes `open`.
    lead: Option<usize>,
    unit: Unit,
}

impl Splitter {
    pub(crate) fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            scanned: 0,
            open: None,
            lead: None,
            unit: Unit::default(),
        }
    }

    /// Starts anew, with the parameter sets there were: what follows does not adjoin what came.
    pub(crate) fn restart(&mut self) {
        self.syntax.restart();
        self.scanned = 0;
        self.open = None;
        self.lead = None;
        self.unit = Unit::default();
    }

    /// Looks at `data`, which begins after what the last step gave; `last`: nothing follows it.
    pub(crate) fn step(&mut self, data: &[u8], last: bool) -> Step {
        loop {
            let next = find_start_code(data, self.scanned);
            let Some(open) = self.open else {
                let Some(code) = next else {
                    self.scanned = data.len().saturating_sub(2).max(self.scanned);
                    return self.finish(data.len(), last);
                };
                let begin = with_zero_byte(data, code);
                self.open = Some(Open {
                    begin,
                    header: code + 3,
                });
                self.scanned = code + 3;
                if begin > 0 {
                    return self.cut(begin);
                }
                continue;
            };
            // A unit that stands before a picture ends the access unit before its own end is seen.
            let head = data
                .get(open.header..open.header.saturating_add(self.syntax.header_bytes()))
                .unwrap_or_default();
            let ends_unit = self.unit.picture.is_some() || self.unit.broken;
            if open.begin > 0 && ends_unit && self.syntax.stands_before(head) {
                return self.cut(open.begin);
            }
            let end = match next {
                Some(code) => with_zero_byte(data, code),
                None if last => data.len(),
                None => {
                    self.scanned = data.len().saturating_sub(2).max(self.scanned);
                    return Step::More;
                }
            };
            let nal = trim(data.get(open.header..end).unwrap_or_default());
            let lead = self.lead.take();
            let role = self
                .syntax
                .read(nal, self.unit.picture.is_none(), self.unit.led);
            self.open = next.map(|code| Open {
                begin: end,
                header: code + 3,
            });
            self.scanned = next.map_or(data.len(), |code| code + 3);
            match role {
                Role::Picture(picture) => {
                    let begin = lead.unwrap_or(open.begin);
                    let step = (ends_unit && begin > 0).then(|| self.cut(begin));
                    self.unit.picture = Some(picture);
                    if let Some(step) = step {
                        return step;
                    }
                }
                Role::Slice => self.unit.broken |= self.unit.picture.is_none(),
                Role::Before { sets } => {
                    self.unit.led = true;
                    self.unit.has_sets |= sets;
                }
                Role::BeforeSlice => self.lead = lead.or(Some(open.begin)),
                Role::After => {}
            }
        }
    }

    /// After the last NAL unit.
    fn finish(&mut self, len: usize, last: bool) -> Step {
        if last && len > 0 {
            self.cut(len)
        } else {
            Step::More
        }
    }

    /// Ends what is under way at `at`, and begins anew there.
    fn cut(&mut self, at: usize) -> Step {
        let unit = std::mem::take(&mut self.unit);
        self.scanned = self.scanned.saturating_sub(at);
        self.lead = None;
        if let Some(open) = &mut self.open {
            open.begin = open.begin.saturating_sub(at);
            open.header = open.header.saturating_sub(at);
        }
        match unit.picture {
            Some(picture) if !unit.broken => Step::Unit(AccessUnit {
                len: at,
                picture,
                has_sets: unit.has_sets,
            }),
            _ => Step::Skip(at),
        }
    }
}

/// The index of the first `00 00 01` from `from` on.
pub(crate) fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    let rest = data.get(from..)?;
    let mut at = 2;
    while let Some(&last) = rest.get(at) {
        // A byte above 1 cannot be part of a start code, so three positions can be passed over.
        if last > 1 {
            at += 3;
        } else if last == 1 && rest.get(at - 2..at) == Some(&[0, 0]) {
            return Some(from + at - 2);
        } else {
            at += 1;
        }
    }
    None
}

/// Where the start code at `code` begins, its zero_byte included.
fn with_zero_byte(data: &[u8], code: usize) -> usize {
    match code.checked_sub(1) {
        Some(before) if data.get(before) == Some(&0) => before,
        _ => code,
    }
}

/// Without trailing_zero_8bits.
fn trim(nal: &[u8]) -> &[u8] {
    let used = nal.iter().rposition(|&byte| byte != 0).map_or(0, |i| i + 1);
    nal.get(..used).unwrap_or_default()
}
