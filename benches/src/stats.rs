//! What the benchmarks say of their samples.

/// The median; sorts the samples. 0 for none.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    match samples.len() {
        0 => 0.0,
        n if n % 2 == 1 => samples[n / 2],
        n => (samples[n / 2 - 1] + samples[n / 2]) / 2.0,
    }
}

/// What is compared, round by round: in each, a few passes of the one and of the other, of which the middle ones count. A
/// machine that is slower for a while is slower for both.
#[derive(Debug, Default)]
pub struct Compared {
    rates: Vec<f64>,
    other_rates: Vec<f64>,
    ratios: Vec<f64>,
}

impl Compared {
    /// A round: the rates of the passes of each.
    pub fn add(&mut self, rates: &mut [f64], other_rates: &mut [f64]) {
        let (rate, other) = (median(rates), median(other_rates));
        self.rates.push(rate);
        self.other_rates.push(other);
        self.ratios.push(rate / other);
    }

    /// What the rounds say together.
    pub fn result(mut self) -> Comparison {
        let rate = median(&mut self.rates);
        let other = median(&mut self.other_rates);
        let ratio = median(&mut self.ratios);
        let outside = outside(self.ratios.len());
        let at = |index: Option<usize>| index.and_then(|index| self.ratios.get(index)).copied();
        let last = self.ratios.len().checked_sub(1 + outside);
        Comparison {
            rate,
            other,
            ratio,
            low: at(last.and(Some(outside))).unwrap_or(ratio),
            high: at(last).unwrap_or(ratio),
        }
    }
}

/// How many of `samples` samples lie below the interval that holds the median of their distribution in 96 of 100 cases (with
/// fewer than six samples all of them do so less often), and as many above it. The median lies below the k-th smallest of n samples, or above the k-th largest, with the probability that
/// fewer than k of n throws of a coin show one side.
fn outside(samples: usize) -> usize {
    let throws = samples.min(1000) as i32;
    // Of each number of throws that show one side, from none: the probability.
    let mut exactly = 0.5f64.powi(throws);
    let mut fewer = 0.0;
    for k in 0..throws {
        fewer += exactly;
        if 2.0 * fewer > 0.04 {
            return usize::try_from(k - 1).unwrap_or(0);
        }
        exactly *= f64::from(throws - k) / f64::from(k + 1);
    }
    0
}

/// Rates and their ratio: medians of all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The rate of the one.
    pub rate: f64,
    /// The rate of the other.
    pub other: f64,
    /// The ratio of the one to the other, round by round.
    pub ratio: f64,
    /// Where the interval begins that holds the ratio in 96 of 100 cases.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Comparison {
    /// The ratio in percent, with the interval.
    pub fn percent(&self) -> String {
        let [ratio, low, high] = [self.ratio, self.low, self.high].map(|ratio| ratio * 100.0);
        format!("{ratio:.1} % ({low:.1} to {high:.1})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Compared, median, outside};

    #[test]
    fn a_machine_that_gets_slower_changes_rates_and_not_ratios() {
        let mut compared = Compared::default();
        for speed in [4.0, 2.0, 1.0] {
            compared.add(
                &mut [9.0 * speed, 90.0 * speed, 8.0 * speed],
                &mut [10.0 * speed, 1.0 * speed, 11.0 * speed],
            );
        }
        let result = compared.result();
        assert_eq!((result.rate, result.other), (18.0, 20.0));
        assert!((result.ratio - 0.9).abs() < 1e-9);
        assert_eq!(result.percent(), "90.0 % (90.0 to 90.0)");
    }

    #[test]
    fn one_round_that_was_disturbed_does_not_widen_the_interval() {
        let mut compared = Compared::default();
        for ratio in [0.5, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 2.0] {
            compared.add(&mut [ratio * 8.0], &mut [8.0]);
        }
        let result = compared.result();
        assert_eq!((result.low, result.ratio, result.high), (0.97, 1.0, 1.03));
    }

    #[test]
    fn more_rounds_make_the_interval_narrower() {
        // P(at most 1 of 9) is 1.95 %, of 4 of 20 0.59 % (5: 2.07 %), of 8 of 30 0.81 % (9: 2.14 %).
        assert_eq!([9, 20, 30].map(outside), [1, 4, 8]);
        assert_eq!([0, 1, 3].map(outside), [0; 3]);
        assert!(outside(1000) > 450);
    }

    #[test]
    fn a_single_round_is_its_own_interval() {
        let mut compared = Compared::default();
        compared.add(&mut [2.0], &mut [4.0]);
        let result = compared.result();
        assert_eq!((result.low, result.ratio, result.high), (0.5, 0.5, 0.5));
        assert_eq!(Compared::default().result().ratio, 0.0);
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_samples() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
