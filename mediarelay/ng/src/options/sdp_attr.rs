//! The `sdp-attr` dictionary.

use std::fmt;

use super::MediaType;
use crate::words::{Word, fold};

/// Where in the SDP an [`SdpAttr`] applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SdpSection {
    /// Before the first media: `global`, also written `none`.
    Global,
    /// Every media of a kind.
    Media(MediaType),
}

impl SdpSection {
    /// The section a name means.
    pub fn from_text(text: &str) -> Option<Self> {
        match &*fold(text) {
            "global" | "none" => Some(Self::Global),
            _ => MediaType::from_text(text).map(Self::Media),
        }
    }
}

impl fmt::Display for SdpSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Media(kind) => kind.fmt(f),
        }
    }
}

/// Changes to the attributes of one section, made after everything else is decided. Attributes are written
/// without `a=`; `=` and space have been put for `--` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SdpAttr {
    /// Where.
    pub section: SdpSection,
    /// Attributes to add.
    pub add: Vec<String>,
    /// Attributes to leave out, by name, by name and tag, or as a whole.
    pub remove: Vec<String>,
    /// Attributes to write in another form: what matches, and what is written.
    pub substitute: Vec<(String, String)>,
}

impl SdpAttr {
    /// No change.
    pub fn new(section: SdpSection) -> Self {
        Self {
            section,
            add: Vec::new(),
            remove: Vec::new(),
            substitute: Vec::new(),
        }
    }

    /// True when nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.substitute.is_empty()
    }
}
