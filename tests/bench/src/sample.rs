//! Percentiles within a run, medians over runs.

use std::time::Duration;

/// How long each of many things took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    each: Vec<Duration>,
}

impl Latencies {
    /// One more.
    pub fn add(&mut self, latency: Duration) {
        self.each.push(latency);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.each.len()
    }

    /// The smallest latency that `percent` of all do not exceed (nearest rank). `None` without any latency.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        self.within(percent as usize, 100)
    }

    /// The smallest latency that `part` of `whole` do not exceed (nearest rank): 999 of 1000, say. `None` without any
    /// latency.
    #[must_use]
    pub fn within(&self, part: usize, whole: usize) -> Option<Duration> {
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * part).div_ceil(whole);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// The same figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The one in the middle, or the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` without any figure.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { min, median, max })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latencies(millis: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for millis in millis {
            latencies.add(Duration::from_millis(millis));
        }
        latencies
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let five = latencies([50, 15, 40, 20, 35]);
        let at = |percent| five.percentile(percent).unwrap().as_millis();
        // The worked example of the nearest-rank method: ranks 1, 2, 2, 3 and 5 of five.
        assert_eq!([5, 30, 40, 50, 100].map(at), [15, 20, 20, 35, 50]);
        assert_eq!(at(0), 15);
        let many = latencies(1..=2_000);
        assert_eq!(many.within(999, 1_000), Some(Duration::from_millis(1_998)));
    }

    #[test]
    fn one_latency_is_every_percentile_and_none_is_none() {
        assert_eq!(latencies([7]).percentile(50), Some(Duration::from_millis(7)));
        assert_eq!(latencies([7]).percentile(99), Some(Duration::from_millis(7)));
        assert_eq!(latencies([]).percentile(50), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        let odd = Spread::of(&[9.0, 1.0, 5.0]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 5.0, 9.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
    }

    proptest! {
        #[test]
        fn a_percentile_is_exceeded_by_no_more_than_the_rest(
            millis in prop::collection::vec(0u64..1_000, 1..200),
            percent in 1u32..=100,
        ) {
            let found = latencies(millis.iter().copied()).percentile(percent).unwrap();
            let within = millis.iter().filter(|&&each| Duration::from_millis(each) <= found).count();
            let below = millis.iter().filter(|&&each| Duration::from_millis(each) < found).count();
            prop_assert!(within * 100 >= millis.len() * percent as usize);
            prop_assert!(below * 100 < millis.len() * percent as usize);
        }

        #[test]
        fn half_of_the_runs_are_on_either_side_of_the_median(figures in prop::collection::vec(-1e6f64..1e6, 1..50)) {
            let Spread { min, median, max } = Spread::of(&figures).unwrap();
            prop_assert!(min <= median && median <= max);
            let below = figures.iter().filter(|&&each| each < median).count();
            let above = figures.iter().filter(|&&each| each > median).count();
            prop_assert!(below * 2 <= figures.len() && above * 2 <= figures.len());
        }
    }
}
