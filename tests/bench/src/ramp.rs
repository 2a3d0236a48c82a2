//! The search for the highest rate at which nothing fails.

/// Rates to try, one after the other: up in steps until one fails, then in between.
///
/// It ends: a rate is never tried twice, none is above `max`, and there is a bound on tries after the first failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    factor: f64,
    max: f64,
    good: Option<f64>,
    bad: Option<f64>,
    next: f64,
    /// Tries that are left once something has failed.
    tries: usize,
}

impl Ramp {
    /// Begins with `first`, goes up by `factor` to `max` at most, and looks `tries` times more between the last rate that
    /// held and the first that did not.
    #[must_use]
    pub fn new(first: f64, factor: f64, max: f64, tries: usize) -> Self {
        Self {
            factor,
            max,
            good: None,
            bad: None,
            next: first.min(max),
            tries,
        }
    }

    /// The rate to try, `None` when the search is over.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let is_over = match (self.good, self.bad) {
            (_, Some(_)) => self.tries == 0,
            (Some(good), None) => good >= self.max,
            (None, None) => false,
        };
        (!is_over).then_some(self.next)
    }

    /// What came of the rate to try.
    pub fn tried(&mut self, has_failed: bool) {
        if self.bad.is_some() {
            self.tries = self.tries.saturating_sub(1);
        }
        if has_failed {
            self.bad = Some(self.next);
        } else {
            self.good = Some(self.next);
        }
        self.next = match (self.good, self.bad) {
            (Some(good), Some(bad)) => (good * bad).sqrt(),
            (None, Some(bad)) => bad / 2.0,
            _ => (self.next * self.factor).min(self.max),
        };
    }

    /// The highest rate that held.
    #[must_use]
    pub fn held(&self) -> Option<f64> {
        self.good
    }

    /// The lowest rate that failed. `None` when the end of the ramp held.
    #[must_use]
    pub fn failed(&self) -> Option<f64> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries a program that fails above `limit`. Also says how many tries it took.
    fn search(mut ramp: Ramp, limit: f64) -> (Ramp, usize) {
        let mut tries = 0;
        while let Some(rate) = ramp.rate() {
            ramp.tried(rate > limit);
            tries += 1;
            assert!(tries < 100, "it does not end: {ramp:?}");
        }
        (ramp, tries)
    }

    #[test]
    fn what_fails_is_approached_from_below_and_then_from_both_sides() {
        let (ramp, tries) = search(Ramp::new(100.0, 2.0, 10_000.0, 3), 1_000.0);
        // 100, 200, 400, 800, 1600 fails; then 1131 fails, 951 holds, 1037 fails.
        assert_eq!(tries, 8);
        let (held, failed) = (ramp.held().unwrap(), ramp.failed().unwrap());
        assert!((950.0..=1_000.0).contains(&held), "{held}");
        assert!((1_000.0..=1_040.0).contains(&failed), "{failed}");
    }

    #[test]
    fn one_who_never_fails_is_tried_up_to_the_end() {
        let (ramp, tries) = search(Ramp::new(100.0, 2.0, 500.0, 3), 1e9);
        assert_eq!((ramp.held(), ramp.failed(), tries), (Some(500.0), None, 4));
    }

    #[test]
    fn one_who_fails_at_once_is_asked_for_less() {
        let (ramp, _) = search(Ramp::new(1_000.0, 2.0, 8_000.0, 4), 300.0);
        assert!(
            ramp.held().is_some_and(|held| held > 200.0 && held <= 300.0),
            "{ramp:?}"
        );
        let (ramp, tries) = search(Ramp::new(1_000.0, 2.0, 8_000.0, 4), 0.0);
        assert_eq!((ramp.held(), tries), (None, 5));
    }
}
