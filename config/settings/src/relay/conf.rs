//! The INI form of rtpengine's configuration file: `[section]`, `key = value`, `#` for comments.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quoted};
use crate::source::{FileLimits, Reporter};
use crate::suggest::nearest;

use super::options::is_secret;

/// A section and its entries in the order of the file.
#[derive(Debug)]
pub(super) struct ConfSection {
    pub(super) name: String,
    pub(super) entries: Vec<ConfEntry>,
}

/// One `key = value`.
#[derive(Debug)]
pub(super) struct ConfEntry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: String,
    pub(super) value_range: Range<usize>,
}

/// Reads source number `index`; mistakes of form go to `reporter`.
pub(super) fn read(reporter: &mut Reporter, index: usize) -> Vec<ConfSection> {
    let text = std::sync::Arc::clone(&reporter.sources[index].text);
    let mut sections: Vec<ConfSection> = Vec::new();
    let limit = FileLimits::default().bytes;
    if text.len() > limit {
        let message = format!("the file has {} bytes", text.len());
        let place = reporter.sources[index].place(0..0);
        let diagnostic = Diagnostic::new(Code::FileTooLarge, message).at(place);
        reporter.report(diagnostic.expected(format!("at most {limit} bytes")));
        return sections;
    }
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        match parse_line(line, start) {
            Line::Nothing => {}
            Line::Section(name) => sections.push(ConfSection {
                name: name.to_owned(),
                entries: Vec::new(),
            }),
            Line::Entry(entry) => {
                if is_secret(&entry.key) {
                    reporter.sources[index].mask(entry.value_range.clone());
                }
                match sections.last_mut() {
                    Some(section) => section.entries.push(entry),
                    None => {
                        let help = "put a line `[rtpengine]` above";
                        report(
                            reporter,
                            index,
                            entry.key_range,
                            "a key stands before the first section",
                            help,
                        );
                    }
                }
            }
            Line::Bad(range, help) => {
                // A password may stand behind a name without `=`.
                let bad = &text[range.clone()];
                if let Some((name, _)) = bad.split_once(char::is_whitespace)
                    && is_secret(name)
                {
                    reporter.sources[index].mask(range.start + name.len()..range.end);
                }
                report(reporter, index, range, "this line cannot be understood", help);
            }
        }
    }
    sections
}

fn report(reporter: &mut Reporter, index: usize, range: Range<usize>, message: &str, help: &str) {
    let place = reporter.sources[index].place(range);
    let diagnostic = Diagnostic::new(Code::ConfSyntax, message)
        .at(place)
        .help(help.to_owned());
    reporter.report(diagnostic.expected("`[section]`, `key = value` or `# comment`"));
}

enum Line<'t> {
    Nothing,
    Section(&'t str),
    Entry(ConfEntry),
    Bad(Range<usize>, &'static str),
}

fn parse_line(line: &str, start: usize) -> Line<'_> {
    let trimmed = line.trim();
    let start = start + (line.len() - line.trim_start().len());
    let whole = start..start + trimmed.len();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Line::Nothing;
    }
    if let Some(rest) = trimmed.strip_prefix('[') {
        return match rest.strip_suffix(']') {
            Some(name) if !name.is_empty() && !name.contains(['[', ']']) => Line::Section(name),
            _ => Line::Bad(whole, "a section looks like `[rtpengine]`"),
        };
    }
    if trimmed.starts_with(';') {
        return Line::Bad(whole, "comments start with `#`");
    }
    let Some((key, value)) = trimmed.split_once('=') else {
        return Line::Bad(whole, "is a `=` missing?");
    };
    let key = key.trim_end();
    if key.is_empty() {
        return Line::Bad(whole, "the key is missing");
    }
    let value = value.trim_start();
    Line::Entry(ConfEntry {
        key: key.to_owned(),
        key_range: start..start + key.len(),
        value: value.to_owned(),
        value_range: whole.end - value.len()..whole.end,
    })
}

/// The one section of this name, or a diagnostic.
pub(super) fn find<'s>(
    sections: &'s [ConfSection],
    name: &str,
    reporter: &mut Reporter,
    index: usize,
) -> Option<&'s ConfSection> {
    let found = sections.iter().find(|section| section.name == name);
    if found.is_none() {
        let names: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
        let message = format!("there is no section {} in the file", quoted(&format!("[{name}]")));
        let place = reporter.sources[index].place(0..0);
        let mut diagnostic = Diagnostic::new(Code::UnknownSection, message)
            .at(place)
            .help(nearest(name, names.iter().copied()).map(|near| format!("the file has `[{near}]`")));
        if !names.is_empty() {
            diagnostic = diagnostic.note(format!("sections of the file: {}", names.join(", ")));
        }
        reporter.report(diagnostic);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use proptest::prelude::*;

    fn run(text: &str) -> (Vec<ConfSection>, String) {
        let mut reporter = Reporter::new(vec![Source::new("rtpengine.conf", text)]);
        let sections = read(&mut reporter, 0);
        (sections, reporter.finish().to_string())
    }

    #[test]
    fn sections_hold_keys_and_values() {
        let (sections, found) = run("# c\n[a]\nkey = va lue \n\n  other=x;y\r\n[b]\nempty =\n");
        assert_eq!(found, "");
        assert_eq!(sections.len(), 2);
        let entries: Vec<_> = sections[0]
            .entries
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str()))
            .collect();
        assert_eq!(entries, [("key", "va lue"), ("other", "x;y")]);
        assert_eq!(sections[1].entries[0].value, "");
    }

    #[test]
    fn every_bad_line_is_reported_with_its_place() {
        let (_, found) = run("key = 1\n[a\nword\n; x\n = 5\n");
        for place in [":1:1", ":2:1", ":3:1", ":4:1", ":5:2"] {
            assert!(found.contains(place), "{place} in\n{found}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let (_, found) = run("mysql-pass = hunter2\n");
        assert!(
            found.contains("before the first section") && !found.contains("hunter2"),
            "{found}"
        );
        let (_, found) = run("[a]\nmysql-pass hunter2\n");
        assert!(found.contains("E304") && !found.contains("hunter2"), "{found}");
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "([\\[\\]=;#a-zé \r\n]){0,80}") {
            run(&text);
        }
    }
}
