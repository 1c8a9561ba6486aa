//! One sample, as tables and fragments both give it.

/// Where a sample lies and when it is decoded and presented, in ticks of the media's time scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Byte offset in the source.
    pub(crate) offset: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    pub(crate) decode_time: i64,
    pub(crate) composition_time: i64,
    pub(crate) duration: u64,
    /// Whether it can be decoded without the ones before it.
    pub(crate) sync: bool,
    /// Sample description, from 1.
    pub(crate) description: u32,
    /// Its number, from 0, among those of the sample table or of its track fragment.
    pub(crate) number: u64,
}
