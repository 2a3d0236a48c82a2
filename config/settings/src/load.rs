//! What loading a file gives: settings, warnings, and where everything stands.

use crate::diagnostic::Diagnostics;
use crate::positions::Positions;
use crate::source::Reporter;

/// Settings that can be used, and what should still be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Warnings; no errors are among them.
    pub warnings: Diagnostics,
    /// Where each key stands, for messages about what turns out later, such as a port that is taken.
    pub positions: Positions,
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
        })
    }
}
