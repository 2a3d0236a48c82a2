//! What a request said that has no effect.

use std::fmt;

/// A part of a message that was read past (in NG never an error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The key, as written. `flags` for a flag.
    pub key: String,
    /// The flag or list member, where not the whole key is meant.
    pub member: Option<String>,
    /// Why it has no effect.
    pub why: Why,
}

/// Why something has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// rtpengine knows it; there is no typed field for it here.
    NotServed,
    /// Nobody knows it.
    Unknown,
    /// The value is not what the key holds.
    Unusable {
        /// What would have been.
        expected: String,
    },
    /// A token of `rtpp-flags` that cannot be taken apart.
    Malformed {
        /// What is wrong with it.
        fault: String,
    },
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(member) = &self.member {
            write!(f, "={member}")?;
        }
        match &self.why {
            Why::NotServed => f.write_str(" is not served"),
            Why::Unknown => f.write_str(" is unknown"),
            Why::Unusable { expected } => write!(f, " is unusable: expected {expected}"),
            Why::Malformed { fault } => write!(f, " is malformed: {fault}"),
        }
    }
}
