//! Medians with their range: what a noisy machine lets one say.

use std::fmt;

/// The middle of some values, with the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// `None` of nothing. The median of an even number of values is the mean of the middle two.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let below = values.get((values.len() - 1) / 2)?;
        let above = values.get(values.len() / 2)?;
        Some(Self {
            median: f64::midpoint(*below, *above),
            least,
            most,
        })
    }

    /// Of ratios, pair by pair.
    pub fn of_ratios(
        dividends: impl IntoIterator<Item = f64>,
        divisors: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        Self::of(
            dividends
                .into_iter()
                .zip(divisors)
                .map(|(dividend, divisor)| dividend / divisor),
        )
    }

    /// Of ratios around 1: the most that one of them is away from it, up or down.
    pub fn largest_factor(&self) -> f64 {
        self.most.max(1.0 / self.least)
    }
}

/// `0.953 [0.921, 0.980]`
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3} [{:.3}, {:.3}]", self.median, self.least, self.most);
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Median, least, most.
    fn spread<const N: usize>(values: [f64; N]) -> Option<[f64; 3]> {
        Spread::of(values).map(|spread| [spread.median, spread.least, spread.most])
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(spread([9.0, 1.0, 2.0]), Some([2.0, 1.0, 9.0]));
        assert_eq!(spread([4.0, 1.0, 9.0, 2.0]), Some([3.0, 1.0, 9.0]));
        assert_eq!(spread([7.0]), Some([7.0, 7.0, 7.0]));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(spread([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round ran on a machine half as fast; within each, the cost is the same tenth.
        let ratios = Spread::of_ratios([90.0, 45.0], [100.0, 50.0]);
        assert_eq!(ratios, Spread::of([0.9]));
    }

    #[test]
    fn the_largest_factor_counts_up_and_down_alike() {
        let factor = |values: [f64; 2]| Spread::of(values).unwrap().largest_factor();
        assert!((factor([0.5, 1.25]) - 2.0).abs() < f64::EPSILON);
        assert!((factor([0.8, 4.0]) - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_spread_reads_as_median_and_range() {
        let ratios = Spread::of([0.5, 1.0, 2.0]).unwrap();
        assert_eq!(format!("{ratios:>24}"), "    1.000 [0.500, 2.000]");
    }
}
