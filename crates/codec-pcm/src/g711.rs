//! The two laws of ITU-T G.711: <https://www.itu.int/rec/T-REC-G.711>.
//!
//! Both laws are 8 segments of 16 steps for each sign; each segment's steps are twice as large as those of the one
//! before it. Values are left-justified in 16 bits: A-law has 13 significant bits, mu-law 14.

/// A-law: even bits are inverted on the line; the sign bit is 1 for positive values. The first two segments have
/// steps of the same size.
pub static ALAW: [i16; 256] = table(true);

/// mu-law: all bits are inverted on the line; the sign bit, after that, is 1 for negative values. The curve is that of
/// segments that double from the start, moved by a bias of 33 steps (132 in 16 bits).
pub static ULAW: [i16; 256] = table(false);

const fn table(a_law: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if a_law {
            alaw(code as u8)
        } else {
            ulaw(code as u8)
        };
        code += 1;
    }
    table
}

const fn alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 7;
    // The middle of the step.
    let step = ((code & 15) as i16) * 16 + 8;
    let magnitude = if segment == 0 {
        step
    } else {
        (step + 256) << (segment - 1)
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

const fn ulaw(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4) & 7;
    // Up to 32124 + 132: more than 15 bits on the way.
    let biased = (((code & 15) as i32) * 8 + 132) << segment;
    let magnitude = (biased - 132) as i16;
    if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// The A-law code of `sample`. Steps are closed at their lower end, so that the magnitude of a negative sample counts
/// from -1.
pub const fn alaw_code(sample: i16) -> u8 {
    let (magnitude, sign) = if sample < 0 {
        (!sample as u16, 0)
    } else {
        (sample as u16, 0x80)
    };
    // The highest bit from 256 on says the segment; the first segment has steps as the second.
    let segment = match magnitude.checked_ilog2() {
        Some(bit @ 8..) => bit - 7,
        _ => 0,
    };
    let shift = if segment == 0 { 4 } else { segment + 3 };
    let step = (magnitude >> shift) as u8 & 15;
    ((segment as u8) << 4 | step | sign) ^ 0x55
}

/// The mu-law code of `sample`.
pub const fn ulaw_code(sample: i16) -> u8 {
    // 32635 is the largest magnitude that has a code; the few beyond it get the same.
    let magnitude = sample.unsigned_abs();
    let biased = (if magnitude > 32_635 {
        32_635
    } else {
        magnitude
    }) + 132;
    // At least 132: the highest bit is 7 to 14.
    let segment = biased.ilog2() - 7;
    let step = (biased >> (segment + 3)) as u8 & 15;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((segment as u8) << 4 | step | sign)
}

#[cfg(test)]
mod tests {
    use super::{ALAW, ULAW, alaw_code, ulaw_code};

    #[test]
    fn every_code_comes_back_and_no_sample_is_more_than_half_a_step_off() {
        for code in 0..=255u8 {
            assert_eq!(alaw_code(ALAW[usize::from(code)]), code);
            // There are two zeros.
            if code != 0x7f {
                assert_eq!(ulaw_code(ULAW[usize::from(code)]), code);
            }
        }
        // The decision values of both laws are the ends of steps: a value is at most half a step off, and codes follow
        // the order of samples. What is beyond the last decision value of mu-law has the last code.
        let mut last = [i32::MIN; 2];
        for sample in i16::MIN..=i16::MAX {
            let (a, mu) = (alaw_code(sample), ulaw_code(sample));
            let sample = i32::from(sample);
            let values = [
                i32::from(ALAW[usize::from(a)]),
                i32::from(ULAW[usize::from(mu)]),
            ];
            let segments = [((a ^ 0x55) >> 4 & 7).max(1) - 1, !mu >> 4 & 7];
            let halves = [8 << segments[0], 4 << segments[1]];
            let clipped = [sample, sample.clamp(-32_635, 32_635)];
            for law in 0..2 {
                assert!(
                    (values[law] - clipped[law]).abs() <= halves[law],
                    "{sample}"
                );
                assert!(values[law] >= last[law], "{sample}");
            }
            last = values;
        }
    }

    #[test]
    fn the_ends_and_the_middle_of_both_laws_are_those_of_the_recommendation() {
        // G.711, tables 1 and 2: the largest values are 4032 of 4096 (A) and 8031 of 8192 (mu), left-justified here.
        assert_eq!((ALAW[0xaa], ALAW[0x2a]), (32256, -32256));
        assert_eq!((ALAW[0xd5], ALAW[0x55]), (8, -8));
        assert_eq!((ULAW[0x80], ULAW[0x00]), (32124, -32124));
        assert_eq!((ULAW[0xff], ULAW[0x7f]), (0, 0));
    }

    #[test]
    fn each_law_is_odd_and_grows_with_its_code() {
        for code in 0..128usize {
            assert_eq!(ALAW[code | 0x80], -ALAW[code]);
            assert_eq!(ULAW[code | 0x80], -ULAW[code]);
        }
        for code in 1..128usize {
            assert!(ALAW[(code | 0x80) ^ 0x55] > ALAW[((code - 1) | 0x80) ^ 0x55]);
            assert!(ULAW[0x80 | (127 - code)] > ULAW[0x80 | (128 - code)]);
        }
    }
}
