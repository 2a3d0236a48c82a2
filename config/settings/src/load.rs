//! What loading a file gives: settings, warnings, and where everything stands.

use crate::diagnostic::Diagnostics;
use crate::positions::Positions;
use crate::source::Reporter;
use crate::written::Written;

/// Settings that can be used, and what should still be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Warnings; no errors are among them.
    pub warnings: Diagnostics,
    /// Where each key stands, for messages about what turns out later, such as a port that is taken.
    pub positions: Positions,
    /// What the file says, for comparison with another one: the gateway's only.
    pub written: Written,
}

impl<T> Loaded<T> {
    /// The settings, unless there are errors.
    pub(crate) fn new(settings: T, positions: Positions, reporter: Reporter) -> Result<Self, Diagnostics> {
        if reporter.has_errors() {
            return Err(reporter.finish());
        }
        Ok(Self {
            settings,
            warnings: reporter.finish(),
            positions,
            written: Written::default(),
        })
    }
}
