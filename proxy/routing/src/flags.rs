//! Flags that requests and location records carry, named as in OpenSIPS scripts.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use serde::{Deserialize, Serialize};

/// A set of flags. `SRC_WS` belongs to requests, `DST_WS` to location records and the branches made from them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Vec<Flag>", from = "Vec<Flag>")]
pub struct Flags(u8);

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// The request came over WS or WSS.
    #[serde(rename = "SRC_WS")]
    SrcWs,
    /// The contact was registered over WS or WSS.
    #[serde(rename = "DST_WS")]
    DstWs,
}

impl Flag {
    const ALL: [Self; 2] = [Self::SrcWs, Self::DstWs];

    /// The name that lists and scripts use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SrcWs => "SRC_WS",
            Self::DstWs => "DST_WS",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::SrcWs => 1,
            Self::DstWs => 2,
        }
    }
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// True when the flag is in the set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The flags of the set, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |&flag| self.has(flag))
    }

    /// This set with the flag in it if `present`.
    #[must_use]
    pub fn with(self, flag: Flag, present: bool) -> Self {
        if present { self | flag } else { self }
    }
}

impl BitOr<Flag> for Flags {
    type Output = Self;

    fn bitor(self, flag: Flag) -> Self {
        Self(self.0 | flag.bit())
    }
}

impl BitOrAssign<Flag> for Flags {
    fn bitor_assign(&mut self, flag: Flag) {
        *self = *self | flag;
    }
}

impl From<Vec<Flag>> for Flags {
    fn from(flags: Vec<Flag>) -> Self {
        flags.into_iter().fold(Self::NONE, |set, flag| set | flag)
    }
}

impl From<Flags> for Vec<Flag> {
    fn from(flags: Flags) -> Self {
        flags.iter().collect()
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Flag::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_and_reads_as_names() {
        let both = Flags::NONE | Flag::DstWs | Flag::SrcWs;
        assert_eq!(format!("{both:?}"), r#"{"SRC_WS", "DST_WS"}"#);
        assert_eq!(Flags::from(Vec::from(both)), both);
        assert!(!Flags::NONE.has(Flag::SrcWs));
        assert_eq!(Flags::NONE.with(Flag::DstWs, false), Flags::NONE);
    }
}
