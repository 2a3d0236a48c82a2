//! What a dialled number is compared with.

use std::fmt;

/// A number or name, or the beginning of one: `201`, `+49*`, `*`. Case counts, as in the user part of a SIP URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    start: String,
    open: bool,
}

impl Pattern {
    /// Reads a pattern: a `*` at the end stands for any rest, anywhere else for itself.
    pub fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self {
                start: start.to_owned(),
                open: true,
            },
            None => Self {
                start: text.to_owned(),
                open: false,
            },
        }
    }

    /// True when `number` is what the pattern says.
    pub fn matches(&self, number: &str) -> bool {
        match number.strip_prefix(self.start.as_str()) {
            Some(rest) => self.open || rest.is_empty(),
            None => false,
        }
    }

    /// What every match begins with.
    pub fn start(&self) -> &str {
        &self.start
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.start, if self.open { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_takes_any_rest() {
        for (pattern, takes, leaves) in [
            ("201", "201", "2011"),
            ("+49*", "+49301", "+43301"),
            ("+49*", "+49", "49301"),
            ("*", "", "\u{0}never"),
            ("*21*", "*21*5", "215"),
        ] {
            let read = Pattern::new(pattern);
            assert!(read.matches(takes), "{pattern} {takes}");
            assert!(pattern == "*" || !read.matches(leaves), "{pattern} {leaves}");
            assert_eq!(read.to_string(), pattern);
        }
    }
}
