//! The texts that diagnostics point into, and the collecting of diagnostics.

use std::ops::Range;
use std::sync::Arc;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Excerpt, Place, Span};

/// Limits on what is read as settings. They bound the work that a wrong file can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Size of a YAML or INI file, in bytes. Default 4 MiB.
    pub bytes: usize,
    /// Size of a user table (CSV), in bytes. Default 64 MiB.
    pub table_bytes: usize,
    /// Nesting of lists and maps, in levels. Default 32.
    pub depth: usize,
    /// Values in a file after aliases are expanded. Default 500,000.
    pub nodes: usize,
    /// Values that aliases add. Default 10,000.
    pub alias_nodes: usize,
    /// Diagnostics kept; further ones are counted only. Default 200.
    pub diagnostics: usize,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            table_bytes: 64 << 20,
            depth: 32,
            nodes: 500_000,
            alias_nodes: 10_000,
            diagnostics: 200,
        }
    }
}

/// Widest source line that is shown whole, in characters.
const EXCERPT_WIDTH: usize = 110;

/// Lines longer than this are not shown at all, in bytes.
const LINE_SHOWN_MAX: usize = 16 << 10;

/// One text with a name: a file, or the command line.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
    /// Byte ranges that must not be shown.
    masks: Vec<Range<usize>>,
    /// The structure is unknown, so whatever follows a word like `secret` is starred out.
    pub(crate) unstructured: bool,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        // A byte order mark is no part of the text; editors on some systems write one.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file: file.into(),
            text: text.into(),
            lines: std::iter::once(0)
                .chain(starts.map(|(offset, _)| offset + 1))
                .collect(),
            masks: Vec::new(),
            unstructured: false,
        }
    }

    /// Keeps a byte range out of every excerpt.
    pub(crate) fn mask(&mut self, range: Range<usize>) {
        self.masks.push(range);
    }

    /// The place of a span in this text.
    pub(crate) fn at(&self, span: Span) -> Place {
        Place {
            file: Arc::clone(&self.file),
            span,
        }
    }

    /// The place of a byte range; what extends over the end of its first line is cut.
    pub(crate) fn place(&self, range: Range<usize>) -> Place {
        let start = range.start.min(self.text.len());
        let line = self.lines.partition_point(|offset| *offset <= start) - 1;
        let text = self.line(line);
        let offset = start - self.lines[line];
        let before = text.get(..offset).unwrap_or(text).chars().count();
        let end = range.end.saturating_sub(self.lines[line]).min(text.len());
        let length = text.get(offset..end).map_or(0, |part| part.chars().count());
        self.at(Span {
            line: number(line + 1),
            column: number(before + 1),
            length: number(length.max(1)),
        })
    }

    /// A line without its end, counting from 0; empty if there is none.
    fn line(&self, index: usize) -> &str {
        let Some(&start) = self.lines.get(index) else {
            return "";
        };
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let line = self.text.get(start..end).unwrap_or("");
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The line of `span` as it may be shown.
    fn excerpt(&self, span: Span) -> Option<Excerpt> {
        let index = span.line.saturating_sub(1) as usize;
        let start = self.lines.get(index).copied().unwrap_or(0);
        let line = self.line(index);
        if line.len() > LINE_SHOWN_MAX {
            return None;
        }
        let secret_from = if self.unstructured {
            self.secret_from(index)
        } else {
            None
        };
        let shown: Vec<char> = line
            .char_indices()
            .map(|(offset, c)| {
                if secret_from.is_some_and(|from| offset >= from) || self.is_masked(start + offset) {
                    '*'
                } else if c.is_control() {
                    ' '
                } else {
                    c
                }
            })
            .collect();
        Some(crop(&shown, span))
    }

    /// Where in a line of a text without structure a secret may begin.
    fn secret_from(&self, index: usize) -> Option<usize> {
        const LINES_BACK_MAX: usize = 50;
        let line = self.line(index);
        if let Some(from) = secret_tail(line) {
            return Some(from);
        }
        // A line without a key of its own may go on with the value of a key above.
        let has_key = |line: &str| line.contains(": ") || line.trim_end().ends_with(':');
        if has_key(line) {
            return None;
        }
        let above = (index.saturating_sub(LINES_BACK_MAX)..index).rev();
        let key_line = above.map(|at| self.line(at)).find(|line| has_key(line))?;
        secret_tail(key_line).map(|_| 0)
    }

    fn is_masked(&self, offset: usize) -> bool {
        // Masks are sorted by `finish` and do not overlap, except for a value that is masked twice.
        let index = self.masks.partition_point(|mask| mask.start <= offset);
        index > 0 && self.masks[index - 1].end > offset
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Cuts a long line to the part around the caret.
fn crop(line: &[char], span: Span) -> Excerpt {
    let column = (span.column.saturating_sub(1) as usize).min(line.len());
    let width = (span.length as usize).min(EXCERPT_WIDTH - 20);
    if line.len() <= EXCERPT_WIDTH {
        return Excerpt {
            text: line.iter().collect::<String>().trim_end().to_owned(),
            indent: column,
            width,
        };
    }
    let end = (column + width + 10).max(EXCERPT_WIDTH).min(line.len());
    let start = end.saturating_sub(EXCERPT_WIDTH).min(column);
    let mut text = String::new();
    if start > 0 {
        text.push('…');
    }
    text.extend(&line[start..end]);
    if end < line.len() {
        text.push('…');
    }
    Excerpt {
        text,
        indent: column - start + usize::from(start > 0),
        width,
    }
}

/// Where the part of a line begins that may hold a secret: after a word like `secret` or `password`.
///
/// Used where the structure of the file is lost, so it errs on the side of hiding too much.
fn secret_tail(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut start = 0;
    // Only ASCII bytes end a word, so every cut is between characters.
    for end in 0..=bytes.len() {
        let in_word = bytes
            .get(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | 0x80..));
        if in_word {
            continue;
        }
        let value_may_follow = !matches!(bytes.get(end), Some(b'/' | b'.'));
        if end > start && value_may_follow && looks_secret(&line[start..end]) {
            let value = line[end..].find(|c: char| !matches!(c, ':' | '=' | ' ' | '\t'));
            return Some(value.map_or(line.len(), |offset| end + offset));
        }
        start = end + 1;
    }
    None
}

/// Words in the names of keys that hold secrets.
const SECRET_WORDS: [&str; 4] = ["secret", "password", "passwd", "ha1"];

/// Whether the value of a key of this name may be a secret. Misspelt names count too.
pub(crate) fn looks_secret(name: &str) -> bool {
    let folded = fold(name);
    !names_a_place(&folded)
        && (names_a_secret(name) || crate::suggest::nearest(&folded, SECRET_WORDS).is_some())
}

/// The same for names that are spelt right.
pub(crate) fn names_a_secret(name: &str) -> bool {
    const SHORT: [&str; 3] = ["pass", "pwd", "pw"];
    let folded = fold(name);
    !names_a_place(&folded)
        && (SECRET_WORDS.iter().any(|word| folded.contains(word))
            || folded.split('_').any(|part| SHORT.contains(&part)))
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// A secret's file or variable is none itself.
fn names_a_place(folded: &str) -> bool {
    ["_file", "_env", "_dir", "_path"]
        .iter()
        .any(|ending| folded.ends_with(ending))
}

/// Collects diagnostics about one or several texts.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) sources: Vec<Source>,
    list: Vec<Diagnostic>,
    errors: usize,
    kept_max: usize,
    dropped: usize,
}

impl Reporter {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            list: Vec::new(),
            errors: 0,
            kept_max: FileLimits::default().diagnostics,
            dropped: 0,
        }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.code.is_error());
        if self.list.len() < self.kept_max {
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Reports what follows from good values, unless something is wrong at that very place already.
    pub(crate) fn report_consequence(&mut self, diagnostic: Diagnostic) {
        let marked = |known: &Diagnostic| known.code.is_error() && known.place == diagnostic.place;
        if diagnostic.place.is_none() || !self.list.iter().any(marked) {
            self.report(diagnostic);
        }
    }

    /// Whether further diagnostics are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= self.kept_max
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Forgets what `keep` refuses.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
        self.errors = self.list.iter().filter(|d| d.code.is_error()).count();
    }

    /// Adds the source lines and sorts.
    pub(crate) fn finish(mut self) -> Diagnostics {
        for source in &mut self.sources {
            source.masks.sort_by_key(|mask| (mask.start, mask.end));
        }
        for diagnostic in &mut self.list {
            let Some(place) = &diagnostic.place else { continue };
            diagnostic.excerpt = self
                .sources
                .iter()
                .find(|source| source.file == place.file)
                .and_then(|source| source.excerpt(place.span));
        }
        Diagnostics::new(self.list, self.dropped)
    }
}

/// The text of a file, or a diagnostic that names the first byte that is not UTF-8.
///
/// # Errors
///
/// [`Code::NotUtf8`] with line and column.
pub fn decode_utf8<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let text = String::from_utf8_lossy(good).into_owned() + "\u{fffd}";
        let source = Source::new(file, &text);
        let end = source.text.len();
        let place = source.place(end - '\u{fffd}'.len_utf8()..end);
        let mut reporter = Reporter::new(vec![source]);
        reporter.sources[0].unstructured = true;
        reporter.report(
            Diagnostic::new(Code::NotUtf8, format!("{file} is not UTF-8 text"))
                .at(place)
                .found(format!("byte 0x{:02x}", bytes[error.valid_up_to()]))
                .help(format!("byte 0x{:02x}", bytes[error.valid_up_to()]))
                .note("fix: save the file as UTF-8 (`iconv -f latin1 -t UTF-8` converts older files)"),
        );
        reporter.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_not_bytes() {
        let source = Source::new("f", "a: é\r\nbcd: ü x\n");
        let start = source.text.find('x').unwrap();
        assert_eq!(
            source.place(start..start + 1).span,
            Span {
                line: 2,
                column: 8,
                length: 1
            }
        );
        let end = source.text.len();
        assert_eq!(source.place(end..end + 5).span.line, 3);
        assert_eq!(source.place(0..usize::MAX).span.length, 4);
    }

    #[test]
    fn masked_parts_are_starred_out() {
        let mut source = Source::new("f", "secret: hunter2 # x");
        source.mask(8..15);
        let place = source.place(16..17);
        let mut reporter = Reporter::new(vec![source]);
        reporter.report(Diagnostic::new(Code::Syntax, "m").at(place));
        let shown = reporter.finish().to_string();
        assert!(shown.contains("secret: ******* # x"), "{shown}");
    }

    #[test]
    fn without_structure_everything_after_a_secret_word_is_hidden() {
        for line in [
            "secret: x",
            "  password x",
            "{ secret_: 'x",
            "sercet: x",
            "mysql-passwd=x",
        ] {
            let from = secret_tail(line).unwrap_or_else(|| panic!("{line}"));
            assert!(!line[..from].contains('x') || line.contains("mysql"), "{line}");
        }
        assert_eq!(secret_tail("secret_file: secrets/alice"), None);
        assert_eq!(secret_tail("domain: voice.example.com"), None);
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let line: Vec<char> = "0123456789".repeat(40).chars().collect();
        let excerpt = crop(
            &line,
            Span {
                line: 1,
                column: 201,
                length: 5,
            },
        );
        assert!(excerpt.text.chars().count() <= EXCERPT_WIDTH + 2);
        let under: String = excerpt.text.chars().skip(excerpt.indent).take(5).collect();
        assert_eq!(under, "01234");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_with_their_place() {
        let found = decode_utf8("f.yaml", b"a: 1\nname: J\xf6rg\n").unwrap_err();
        let text = found.to_string();
        assert!(
            text.contains("f.yaml:2:8") && text.contains("byte 0xf6"),
            "{text}"
        );
    }

    #[test]
    fn diagnostics_beyond_the_limit_are_counted() {
        let mut reporter = Reporter::new(vec![Source::new("f", "")]);
        for _ in 0..250 {
            reporter.report(Diagnostic::new(Code::Syntax, "m"));
        }
        assert!(reporter.has_errors());
        assert!(reporter.finish().to_string().contains("50 more are not shown"));
    }
}
