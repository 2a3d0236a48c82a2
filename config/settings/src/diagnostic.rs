//! One mistake, and all mistakes of a run: as text for people and as JSON for programs.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::code::Code;

/// Where something stands in a file: lines and columns count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Line, from 1.
    pub line: u32,
    /// Column of the first character, from 1.
    pub column: u32,
    /// Characters on that line, at least 1.
    pub length: u32,
}

/// A span and the file it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name as the caller gave it, or `command line`.
    pub file: Arc<str>,
    /// The position in that file.
    pub span: Span,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.span.line, self.span.column)
    }
}

/// One mistake: what it is, where it stands, why it matters and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of mistake; its explanation is [`Code::explanation`].
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where, if the mistake has a place.
    pub place: Option<Place>,
    /// What stands there, if it may be shown. A secret never is.
    pub found: Option<String>,
    /// What should stand there.
    pub expected: Option<String>,
    /// The shortest way to mend it, printed beside the caret: `did you mean …?`.
    pub help: Option<String>,
    /// Further lines: known keys, consequences, fixes.
    pub notes: Vec<String>,
    /// The source line with secrets starred out, filled in when all mistakes are known.
    pub(crate) excerpt: Option<Excerpt>,
}

/// A source line as it is shown: control characters replaced, secrets starred out, cut to a readable width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// Characters before the caret.
    pub(crate) indent: usize,
    /// Width of the caret in characters.
    pub(crate) width: usize,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            place: None,
            found: None,
            expected: None,
            help: None,
            notes: Vec::new(),
            excerpt: None,
        }
    }

    pub(crate) fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The diagnostic as one JSON object; absent parts are `null`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let span = self.place.as_ref().map(|place| place.span);
        json!({
            "severity": self.severity(),
            "code": self.code.as_str(),
            "message": self.message,
            "file": self.place.as_ref().map(|place| place.file.as_ref()),
            "line": span.map(|span| span.line),
            "column": span.map(|span| span.column),
            "length": span.map(|span| span.length),
            "found": self.found,
            "expected": self.expected,
            "help": self.help,
            "notes": self.notes,
            "explanation": self.code.explanation(),
        })
    }

    fn severity(&self) -> &'static str {
        if self.code.is_error() { "error" } else { "warning" }
    }

    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "{}[{}]: {}", self.severity(), self.code, self.message)?;
        let line = self
            .place
            .as_ref()
            .map_or(String::new(), |place| place.span.line.to_string());
        let gutter = " ".repeat(line.len().max(2));
        if let Some(place) = &self.place {
            writeln!(f, "{gutter}┌ {place}")?;
        }
        if let Some(excerpt) = &self.excerpt {
            writeln!(f, "{line:>2}│ {}", excerpt.text)?;
            let indent = " ".repeat(excerpt.indent);
            let caret = "^".repeat(excerpt.width);
            let help = self
                .help
                .as_ref()
                .map_or(String::new(), |help| format!(" {help}"));
            writeln!(f, "{gutter}│ {indent}{caret}{help}")?;
        } else if let Some(help) = &self.help {
            writeln!(f, "{gutter}= {help}")?;
        }
        if let Some(expected) = &self.expected {
            writeln!(f, "{gutter}= expected {expected}")?;
        }
        for note in &self.notes {
            writeln!(f, "{gutter}= {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// All mistakes of one run, by file and position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Found beyond the limit of one run; counted only.
    unlisted: usize,
}

impl Diagnostics {
    /// Sorts by file and position, and drops what is said twice of one place.
    pub(crate) fn new(mut list: Vec<Diagnostic>, unlisted: usize) -> Self {
        list.sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
        list.dedup_by(|a, b| a.code == b.code && a.place == b.place && a.message == b.message);
        Self { list, unlisted }
    }

    /// The diagnostics in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many are listed, warnings included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|d| d.code.is_error()).count()
    }

    /// How many are warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.len() - self.errors()
    }

    /// `2 errors, 1 warning`, without a full stop, so that the caller can say what follows from it.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        match (self.errors(), self.warnings()) {
            (0, 0) => "no mistakes".to_owned(),
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    }

    /// All diagnostics as one JSON object: `errors` and `warnings` are counts, `diagnostics` the list.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "errors": self.errors(),
            "warnings": self.warnings(),
            "unlisted": self.unlisted,
            "diagnostics": self.list.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }

    /// Adds what another run found, for callers that check several files.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
        self.unlisted += other.unlisted;
    }
}

impl fmt::Display for Diagnostics {
    /// The diagnostics with an empty line between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.unlisted > 0 {
            writeln!(f, "\n{} more are not shown; correct these first", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A value as it may be shown in a message: in backticks, one line, at most 60 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let mut shown = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Reporter, Source};

    const SITE: &str = "    outside: { address: 10.0.0.5, advertize: public }";

    fn place(line: u32, column: u32, length: u32) -> Place {
        Place {
            file: "config/gateway.yaml".into(),
            span: Span { line, column, length },
        }
    }

    #[test]
    fn looks_as_the_manual_shows() {
        let text = format!("{}{SITE}\n", "\n".repeat(61));
        let mut reporter = Reporter::new(vec![Source::new("config/gateway.yaml", &text)]);
        reporter.report(
            Diagnostic::new(
                Code::UnknownKey,
                "unknown key `advertize` in relay.interfaces.outside",
            )
            .at(place(62, 35, 9))
            .help("did you mean `advertise`?".to_owned())
            .note("known keys here: address, advertise"),
        );
        reporter.report(
            Diagnostic::new(
                Code::PrivateAddress,
                "phones will be told to send audio to 10.0.0.5, which they cannot reach",
            )
            .at(place(62, 16, 7))
            .note("fix: add `advertise: public`"),
        );
        let found = reporter.finish();
        assert_eq!(found.summary(), "2 errors");
        assert_eq!(
            found.to_string(),
            "\
error[E212]: phones will be told to send audio to 10.0.0.5, which they cannot reach
  ┌ config/gateway.yaml:62:16
62│     outside: { address: 10.0.0.5, advertize: public }
  │                ^^^^^^^
  = fix: add `advertise: public`

error[E104]: unknown key `advertize` in relay.interfaces.outside
  ┌ config/gateway.yaml:62:35
62│     outside: { address: 10.0.0.5, advertize: public }
  │                                   ^^^^^^^^^ did you mean `advertise`?
  = known keys here: address, advertise
"
        );
    }

    #[test]
    fn json_has_every_part() {
        let diagnostic = Diagnostic::new(Code::UnknownKey, "unknown key `a`")
            .at(place(3, 4, 1))
            .found("`a`")
            .expected("another");
        let json = diagnostic.to_json();
        assert_eq!(json["severity"], "error");
        assert_eq!(json["code"], "E104");
        assert_eq!(json["line"], 3);
        assert_eq!(json["column"], 4);
        assert_eq!(json["expected"], "another");
        assert_eq!(json["help"], Value::Null);
    }

    #[test]
    fn shown_values_are_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 63);
    }
}
