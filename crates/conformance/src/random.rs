//! Numbers that look random.

/// A small generator (xorshift64) with a fixed seed, so that a failure comes again on every machine.
pub struct Random(
    /// The seed, not 0.
    pub u64,
);

impl Random {
    /// The next number below `below`; 0 where that is 0.
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}
