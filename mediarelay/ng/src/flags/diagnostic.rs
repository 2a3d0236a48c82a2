//! What is wrong with a flag string, and where.

use std::fmt;

/// One finding about a flag string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Octets of the string before the token.
    pub offset: usize,
    /// The token.
    pub token: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Has no effect.
    Warning,
    /// A module would refuse the string, or the value means nothing.
    Error,
}

/// The finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// `key=` or `key` where a value is needed.
    MissingValue,
    /// A bracket is not closed, or closed twice.
    UnbalancedBracket,
    /// Brackets inside each other.
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// An entry of a dictionary in brackets has no `=`.
    EntryWithoutEquals {
        /// The entry.
        entry: String,
    },
    /// A list in brackets has something of a dictionary in it.
    EntryInList {
        /// The entry.
        entry: String,
    },
    /// The value, or one member of it, is not what the key holds.
    Unusable {
        /// The member, where not the whole value is meant.
        member: Option<String>,
        /// What would have been.
        expected: String,
    },
    /// Nobody knows this flag.
    UnknownFlag {
        /// One that is spelled nearly so.
        suggestion: Option<&'static str>,
    },
    /// Nobody knows this key.
    UnknownKey {
        /// One that is spelled nearly so.
        suggestion: Option<&'static str>,
    },
    /// rtpengine knows it; this relay does not do it.
    NotServed,
    /// The module sends it, and no relay knows it.
    NoEffect,
    /// One interface is named, and the other is not.
    InterfaceAlone {
        /// The token that is missing.
        missing: &'static str,
    },
    /// More than two interfaces.
    TooManyInterfaces,
}

impl Diagnostic {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self.problem {
            Problem::UnknownFlag { .. }
            | Problem::UnknownKey { .. }
            | Problem::NotServed
            | Problem::NoEffect => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Diagnostic {
    /// `column 1: `ICE=fource`: expected one of …`. Columns are counted in octets from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column {}: `{}`: {}",
            self.offset + 1,
            self.token,
            self.problem
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = |f: &mut fmt::Formatter<'_>, what: &str, suggestion: &Option<&str>| {
            write!(f, "unknown {what}")?;
            match suggestion {
                Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
                None => Ok(()),
            }
        };
        match self {
            Self::MissingValue => f.write_str("a value is missing"),
            Self::UnbalancedBracket => f.write_str("unbalanced bracket"),
            Self::TooDeep { limit } => write!(f, "brackets nested deeper than {limit}"),
            Self::EntryWithoutEquals { entry } => write!(f, "`{entry}` in a dictionary has no `=`"),
            Self::EntryInList { entry } => write!(f, "`{entry}` stands in a list and not in a dictionary"),
            Self::Unusable {
                member: Some(member),
                expected,
            } => write!(f, "`{member}`: expected {expected}"),
            Self::Unusable {
                member: None,
                expected,
            } => write!(f, "expected {expected}"),
            Self::UnknownFlag { suggestion } => unknown(f, "flag", suggestion),
            Self::UnknownKey { suggestion } => unknown(f, "key", suggestion),
            Self::NotServed => f.write_str("known, but not done by this relay"),
            Self::NoEffect => f.write_str("no relay knows it"),
            Self::InterfaceAlone { missing } => write!(f, "needs `{missing}` beside it"),
            Self::TooManyInterfaces => f.write_str("more than two interfaces"),
        }
    }
}

/// The candidate that `text` is most likely a misspelling of: at most two edits away, and at most a third of
/// its letters.
pub(super) fn suggest(
    text: &str,
    candidates: &mut dyn Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let text = crate::words::fold(text);
    if text.len() > 40 {
        return None;
    }
    let near = candidates.map(|candidate| (distance(&text, &crate::words::fold(candidate)), candidate));
    let near = near.filter(|(edits, candidate)| *edits <= 2 && edits * 3 <= candidate.len());
    near.min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: an octet inserted, deleted or replaced, or two neighbours exchanged.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut before = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.iter().enumerate() {
        let mut current = vec![row + 1; right.len() + 1];
        for (column, to) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            let mut best = replaced.min(current[column] + 1).min(above[column + 1] + 1);
            if row > 0 && column > 0 && *from == right[column - 1] && left[row - 1] == *to {
                best = best.min(before[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("abc", "acb", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
        ] {
            assert_eq!(
                (distance(left, right), distance(right, left)),
                (expected, expected)
            );
        }
    }

    #[test]
    fn only_near_spellings_are_suggested() {
        let candidates = ["ICE", "DTLS", "trust-address"];
        let suggest = |text| suggest(text, &mut candidates.into_iter());
        assert_eq!(suggest("trust-adress"), Some("trust-address"));
        assert_eq!(suggest("TRUST_ADRES"), Some("trust-address"));
        assert_eq!(suggest("DTSL"), Some("DTLS"));
        assert_eq!(suggest("DTL"), Some("DTLS"));
        assert_eq!(suggest("SDES"), None);
        assert_eq!(suggest("x"), None);
    }
}
