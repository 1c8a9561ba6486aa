//! How many bits a sample needs.

/// Bits of the samples of a stream. Samples come as `i32`, full scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What comes from `s16` and `u8`.
    Sixteen,
    /// All else: of 32 bits, the upper 24.
    TwentyFour,
}

impl Depth {
    pub fn bits(self) -> usize {
        match self {
            Self::Sixteen => 16,
            Self::TwentyFour => 24,
        }
    }

    /// The least that holds all of `samples`; `None` for silence, which says nothing.
    pub fn of(samples: &[i32]) -> Option<Self> {
        let used = samples.iter().fold(0, |used, sample| used | sample);
        match (used, used & 0xffff) {
            (0, _) => None,
            (_, 0) => Some(Self::Sixteen),
            _ => Some(Self::TwentyFour),
        }
    }

    /// The sample with that many bits, rounded down, as everywhere in the conversion of samples.
    pub fn shrink(self, sample: i32) -> i32 {
        sample >> (32 - self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::Depth;

    #[test]
    fn samples_of_16_bits_are_told_from_others_and_silence_from_both() {
        assert_eq!(Depth::of(&[0, 0]), None);
        assert_eq!(
            Depth::of(&[0, i32::from(i16::MIN) << 16]),
            Some(Depth::Sixteen)
        );
        assert_eq!(Depth::of(&[1 << 16, 1 << 15]), Some(Depth::TwentyFour));
        assert_eq!(Depth::of(&[1]), Some(Depth::TwentyFour));
        assert_eq!(Depth::Sixteen.shrink(i32::MIN), i32::from(i16::MIN));
        assert_eq!(Depth::TwentyFour.shrink(-1), -1);
        assert_eq!(Depth::TwentyFour.shrink(i32::MAX), 0x7f_ffff);
    }
}
