//! When the next trunk is tried.

use std::fmt;
use std::time::Duration;

use crate::FailOn;

/// What makes a call go on to the next trunk of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailPolicy {
    statuses: Vec<u16>,
    /// How long a trunk may say nothing at all, not even 100, before the next one is tried. Once it has said something,
    /// the telephone network behind it may take its time.
    pub first_answer: Duration,
}

/// Codes that speak about the trunk and not about who was called.
const TRUNK_FAILURES: [u16; 5] = [408, 500, 502, 503, 504];

/// How long a trunk may say nothing.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

impl FailPolicy {
    /// What a rule says; what it leaves open is 408, 500, 502, 503, 504 and 5 seconds. A trunk that cannot be reached
    /// fails in any case. A 6xx never does: it is for everybody (RFC 3261 section 21.6).
    pub fn new(on_fail: &[FailOn]) -> Self {
        let mut statuses: Vec<u16> = Vec::new();
        let mut first_answer = None;
        for one in on_fail {
            match *one {
                FailOn::Status(status) => statuses.push(status),
                FailOn::Timeout(after) => first_answer = Some(after),
            }
        }
        if statuses.is_empty() {
            statuses.extend(TRUNK_FAILURES);
        }
        Self {
            statuses,
            first_answer: first_answer.unwrap_or(FIRST_ANSWER),
        }
    }

    /// True when the next trunk is tried after this final answer.
    pub fn goes_on_after(&self, status: u16) -> bool {
        status < 600 && self.statuses.contains(&status)
    }
}

impl Default for FailPolicy {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl fmt::Display for FailPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for status in &self.statuses {
            write!(f, "{status}, ")?;
        }
        write!(f, "no answer in {} s", self.first_answer.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trunks_own_failure_leads_to_the_next() {
        let policy = FailPolicy::default();
        for status in [408, 500, 502, 503, 504] {
            assert!(policy.goes_on_after(status), "{status}");
        }
        for status in [401, 403, 404, 407, 480, 486, 487, 488, 600, 603] {
            assert!(!policy.goes_on_after(status), "{status}");
        }
        assert_eq!(policy.first_answer, Duration::from_secs(5));
    }

    #[test]
    fn a_rule_chooses_codes_and_time() {
        let policy = FailPolicy::new(&[FailOn::Status(403), FailOn::Timeout(Duration::from_secs(4))]);
        assert!(policy.goes_on_after(403) && !policy.goes_on_after(503));
        assert_eq!(policy.to_string(), "403, no answer in 4 s");
        assert!(!FailPolicy::new(&[FailOn::Status(603)]).goes_on_after(603));
    }
}
