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

    /// The medians of all rounds: the rate of the one, that of the other, and the ratio.
    pub fn medians(mut self) -> (f64, f64, f64) {
        (
            median(&mut self.rates),
            median(&mut self.other_rates),
            median(&mut self.ratios),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Compared, median};

    #[test]
    fn a_machine_that_gets_slower_changes_rates_and_not_ratios() {
        let mut compared = Compared::default();
        for speed in [4.0, 2.0, 1.0] {
            compared.add(
                &mut [9.0 * speed, 90.0 * speed, 8.0 * speed],
                &mut [10.0 * speed, 1.0 * speed, 11.0 * speed],
            );
        }
        let (rate, other, ratio) = compared.medians();
        assert_eq!((rate, other), (18.0, 20.0));
        assert!((ratio - 0.9).abs() < 1e-9);
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_samples() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
