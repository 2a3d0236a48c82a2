//! What came of a reload, or would come of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use viaduct_settings::{Diagnostics, Difference};

/// Changes that are listed one by one; of a user table there may be thousands.
const LISTED_MAX: usize = 200;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The file that was read.
    pub(crate) file: String,
    /// Everything that is wrong with it. Nothing of it is applied then.
    pub(crate) mistakes: Option<String>,
    /// What should be looked at all the same.
    pub(crate) warnings: String,
    /// What a running gateway takes over.
    pub(crate) live: Vec<Change>,
    /// What waits for a restart.
    pub(crate) restart: Vec<Change>,
    /// What else there is to know.
    pub(crate) notes: Vec<String>,
}

/// One key that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// `limits.calls`, `users.alice`.
    pub(crate) key: String,
    /// What it was, if it was there and can be shown.
    pub(crate) from: Option<String>,
    /// What it is, if it is there and can be shown.
    pub(crate) to: Option<String>,
}

impl From<Difference> for Change {
    fn from(difference: Difference) -> Self {
        let Difference { key, from, to } = difference;
        Self { key, from, to }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self.clone();
        Difference { key, from, to }.fmt(f)
    }
}

impl Report {
    pub(super) fn new(file: String, differences: Vec<Difference>, warnings: &Diagnostics) -> Self {
        Self {
            file,
            warnings: text_of(warnings),
            ..Self::of(differences)
        }
    }

    fn of(differences: Vec<Difference>) -> Self {
        let (live, restart): (Vec<_>, Vec<_>) = differences.into_iter().partition(Difference::is_live);
        let changes = |all: Vec<Difference>| all.into_iter().map(Change::from).collect();
        Self {
            live: changes(live),
            restart: changes(restart),
            ..Self::default()
        }
    }

    /// A file with mistakes.
    pub(super) fn wrong(file: String, diagnostics: &Diagnostics) -> Self {
        Self::unusable(file, text_of(diagnostics))
    }

    /// A file that cannot be used.
    pub(super) fn unusable(file: String, mistakes: String) -> Self {
        Self {
            file,
            mistakes: Some(mistakes),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn log(&self) {
        let Self { file, .. } = self;
        if let Some(mistakes) = &self.mistakes {
            return tracing::warn!("{file} is not applied; the configuration stays as it is\n{mistakes}");
        }
        if !self.warnings.is_empty() {
            tracing::warn!("{file}\n{}", self.warnings);
        }
        tracing::info!(
            "{file} is applied: {} changed, {} wait for a restart",
            self.live.len(),
            self.restart.len()
        );
        for change in self.live.iter().take(LISTED_MAX) {
            tracing::info!("{change}");
        }
        for change in self.restart.iter().take(LISTED_MAX) {
            tracing::warn!("needs a restart: {change}");
        }
        for note in &self.notes {
            tracing::warn!("{note}");
        }
    }

    /// The changes as people read them; `verb` says what happens to those that need no restart.
    pub(crate) fn text(&self, verb: &str) -> String {
        let mut lines = Vec::new();
        let mut list = |title: String, changes: &[Change]| {
            if changes.is_empty() {
                return;
            }
            lines.push(title);
            lines.extend(
                changes
                    .iter()
                    .take(LISTED_MAX)
                    .map(|change| format!("  {change}")),
            );
            if changes.len() > LISTED_MAX {
                lines.push(format!("  and {} more", changes.len() - LISTED_MAX));
            }
        };
        list(format!("{verb}:"), &self.live);
        list("needs a restart:".to_owned(), &self.restart);
        lines.extend(self.notes.iter().cloned());
        if lines.is_empty() {
            lines.push("nothing differs from what runs".to_owned());
        }
        lines.join("\n")
    }
}

fn text_of(diagnostics: &Diagnostics) -> String {
    if diagnostics.is_empty() {
        String::new()
    } else {
        diagnostics.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str) -> Difference {
        Difference {
            from: Some("1".to_owned()),
            to: Some("2".to_owned()),
            ..Difference::unseen(key)
        }
    }

    fn report(keys: &[&str]) -> Report {
        Report::of(keys.iter().map(|key| change(key)).collect())
    }

    #[test]
    fn what_is_applied_and_what_waits_are_told_apart() {
        assert_eq!(
            report(&["limits.calls", "listen"]).text("applied"),
            "applied:\n  limits.calls: 1 → 2\nneeds a restart:\n  listen: 1 → 2"
        );
        assert_eq!(report(&[]).text("applied"), "nothing differs from what runs");
    }

    #[test]
    fn a_list_that_nobody_would_read_is_cut() {
        let keys: Vec<String> = (0..LISTED_MAX + 5)
            .map(|number| format!("users.{number}"))
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let text = report(&keys).text("applied");
        assert_eq!(text.lines().count(), LISTED_MAX + 2);
        assert!(text.ends_with("  and 5 more"));
    }
}
