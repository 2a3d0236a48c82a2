//! The user table (CSV) of `user_source`: RFC 4180 with a header line.

use std::ops::Range;

use crate::code::Code;
use crate::decode::{Fault, TextForm};
use crate::diagnostic::{Diagnostic, Place, quoted};
use crate::form::choice::Choice;
use crate::form::{choice, count, text};
use crate::secret::Secret;
use crate::source::{FileLimits, Reporter, Source};
use crate::suggest::did_you_mean;

use super::users::{Ha1, HexForm, PasswordForm, Profile, Transport, codec, login};

/// The columns with their meaning, for the reference page.
pub(crate) const COLUMNS: &[(&str, &str)] = &[
    ("user", "Login name or number. Required."),
    (
        "secret",
        "Password. Each row needs this or one of the hashes; the file should be readable for the gateway only.",
    ),
    (
        "ha1_md5",
        "HA1 hash for MD5, 32 hex digits of `user:realm:password`.",
    ),
    ("ha1_sha256", "HA1 hash for SHA-256, 64 hex digits."),
    ("ha1_sha512_256", "HA1 hash for SHA-512-256, 64 hex digits."),
    ("name", "Name to show. Empty: the login name."),
    (
        "devices",
        "Devices that may be registered. Empty: `limits.contacts_per_user`.",
    ),
    ("transports", "Transports, separated by blanks. Empty: all."),
    ("codecs", "Codecs, best first, separated by blanks. Empty: all."),
    (
        "aliases",
        "Further identities for From, separated by blanks. Empty: none.",
    ),
    (
        "profile",
        "How SDP for the user's devices is written. Empty: `auto`.",
    ),
];

/// The columns of which each row needs one, and which are never shown.
const SECRET_COLUMNS: [&str; 4] = ["secret", "ha1_md5", "ha1_sha256", "ha1_sha512_256"];

/// A row of the table: the same values as a user has in the configuration file.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) login: String,
    pub(crate) place: Place,
    pub(crate) secret: Option<Secret>,
    pub(crate) ha1: Ha1,
    pub(crate) name: Option<String>,
    pub(crate) devices: Option<u32>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) codecs: Vec<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) profile: Profile,
}

/// A cell: its text without quotes, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    text: String,
    range: Range<usize>,
}

/// What is wrong with a row, and where.
#[derive(Debug)]
struct BadRow {
    range: Range<usize>,
    what: &'static str,
}

/// Reads the rows of `text`; mistakes go to `reporter`.
pub(crate) fn read(file: &str, text: &str, reporter: &mut Reporter) -> Vec<Row> {
    let source = Source::new(file, text);
    let text = std::sync::Arc::clone(&source.text);
    let index = reporter.sources.len();
    reporter.sources.push(source);
    let mut table = Table {
        reporter,
        index,
        columns: Vec::new(),
    };
    let limit = FileLimits::default().table_bytes;
    if text.len() > limit {
        let message = format!("{file} has {} bytes", text.len());
        let diagnostic =
            Diagnostic::new(Code::FileTooLarge, message).expected(format!("at most {limit} bytes"));
        table.report(0..0, diagnostic);
        return Vec::new();
    }
    table.rows(&text)
}

struct Table<'r> {
    reporter: &'r mut Reporter,
    /// Number of the table among the sources.
    index: usize,
    /// For each column of the file, the number of its name in [`COLUMNS`].
    columns: Vec<usize>,
}

impl Table<'_> {
    fn rows(&mut self, text: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut offset = 0;
        let mut has_header = false;
        while offset < text.len() {
            let (cells, end) = match split_row(text, offset) {
                Ok(split) => split,
                Err(BadRow { range, what }) => {
                    self.mask(offset..range.end);
                    let diagnostic = Diagnostic::new(Code::UserTable, what.to_owned());
                    self.report(
                        range,
                        diagnostic.expected("quotes as in RFC 4180: `\"…\"`, with `\"\"` for a quote inside"),
                    );
                    break;
                }
            };
            offset = end;
            if let [only] = cells.as_slice()
                && only.text.trim().is_empty()
            {
                continue;
            }
            if has_header {
                rows.extend(self.row(&cells));
            } else if self.header(&cells) {
                has_header = true;
            } else {
                return rows;
            }
        }
        rows
    }

    /// Takes the names of the columns in; false if the rest cannot be read without them.
    fn header(&mut self, cells: &[Cell]) -> bool {
        let known = || COLUMNS.iter().map(|(name, _)| *name);
        let mut good = true;
        if !cells
            .iter()
            .any(|cell| known().any(|name| name == cell.text.trim()))
        {
            // Perhaps the file has no header, and this is somebody's password.
            let whole = cells.first().map_or(0, |cell| cell.range.start)
                ..cells.last().map_or(0, |cell| cell.range.end);
            self.mask(whole.clone());
            let diagnostic = Diagnostic::new(Code::UserTable, "the first line must name the columns")
                .expected(format!("some of: {}", known().collect::<Vec<_>>().join(", ")))
                .note("fix: start the file with a line such as `user,secret,name`, with commas between");
            self.report(whole, diagnostic);
            return false;
        }
        for cell in cells {
            let name = cell.text.trim();
            let position = known().position(|column| column == name);
            let problem = match position {
                Some(position) if self.columns.contains(&position) => Some("is given twice"),
                Some(position) => {
                    self.columns.push(position);
                    None
                }
                None => Some("is unknown"),
            };
            if let Some(problem) = problem {
                good = false;
                let diagnostic =
                    Diagnostic::new(Code::UserTable, format!("the column {} {problem}", quoted(name)))
                        .help(did_you_mean(name, known()))
                        .note(format!(
                            "known columns: {}",
                            known().collect::<Vec<_>>().join(", ")
                        ));
                self.report(cell.range.clone(), diagnostic);
            }
        }
        let has = |columns: &[usize], wanted: &[&str]| {
            columns.iter().any(|column| wanted.contains(&COLUMNS[*column].0))
        };
        let range = cells.first().map_or(0..0, |cell| cell.range.clone());
        for wanted in [&["user"][..], &SECRET_COLUMNS] {
            if good && !has(&self.columns, wanted) {
                good = false;
                let message = format!("a column {} is needed", wanted.join(" or "));
                self.report(range.clone(), Diagnostic::new(Code::UserTable, message));
            }
        }
        good
    }

    fn row(&mut self, cells: &[Cell]) -> Option<Row> {
        for (cell, column) in cells.iter().zip(&self.columns) {
            if SECRET_COLUMNS.contains(&COLUMNS[*column].0) {
                self.reporter.sources[self.index].mask(cell.range.clone());
            }
        }
        if cells.len() != self.columns.len() {
            // Which cell is the secret is a guess, so none is shown.
            let whole = cells.first()?.range.start..cells.last()?.range.end;
            self.mask(whole.clone());
            let message = format!("the row has {} cells", cells.len());
            let diagnostic = Diagnostic::new(Code::UserTable, message)
                .expected(format!("{} cells, as the header names", self.columns.len()))
                .note("a text with a comma needs quotes");
            self.report(whole, diagnostic);
            return None;
        }
        let login = self.cell(cells, "user", &login());
        let Some(login) = login else {
            if self.find(cells, "user").is_some_and(|cell| cell.text.is_empty()) {
                let range = self.find(cells, "user")?.range.clone();
                self.report(range, Diagnostic::new(Code::UserTable, "the row has no user"));
            }
            return None;
        };
        let first = self.find(cells, "user")?.range.clone();
        let transports = self.words(cells, "transports", &choice::<Transport>());
        Some(Row {
            login,
            place: self.reporter.sources[self.index].place(first),
            secret: self.cell(cells, "secret", &PasswordForm),
            ha1: Ha1 {
                md5: self.cell(cells, "ha1_md5", &HexForm(32)),
                sha256: self.cell(cells, "ha1_sha256", &HexForm(64)),
                sha512_256: self.cell(cells, "ha1_sha512_256", &HexForm(64)),
            },
            name: self.cell(cells, "name", &text("a name of up to 100 bytes", 100)),
            devices: self.cell(cells, "devices", &count(1..=1_000)),
            transports: if transports.is_empty() {
                Transport::VARIANTS.to_vec()
            } else {
                transports
            },
            codecs: self.words(cells, "codecs", &codec()),
            aliases: self.words(cells, "aliases", &super::users::login()),
            profile: self
                .cell(cells, "profile", &choice::<Profile>())
                .unwrap_or(Profile::Auto),
        })
    }

    fn find<'c>(&self, cells: &'c [Cell], column: &str) -> Option<&'c Cell> {
        let position = self.columns.iter().position(|at| COLUMNS[*at].0 == column)?;
        cells.get(position)
    }

    /// The value of a cell, `None` if it is empty or wrong.
    fn cell<F: TextForm>(&mut self, cells: &[Cell], column: &str, form: &F) -> Option<F::Value> {
        let cell = self.find(cells, column)?;
        let text = if form.is_secret() {
            cell.text.as_str()
        } else {
            cell.text.trim()
        };
        if text.is_empty() {
            return None;
        }
        self.parse(text, cell.range.clone(), column, form)
    }

    /// The values of a cell with words.
    fn words<F: TextForm>(&mut self, cells: &[Cell], column: &str, form: &F) -> Vec<F::Value> {
        let Some(cell) = self.find(cells, column) else {
            return Vec::new();
        };
        let words = cell.text.split_whitespace();
        words
            .filter_map(|word| self.parse(word, cell.range.clone(), column, form))
            .collect()
    }

    fn parse<F: TextForm>(
        &mut self,
        text: &str,
        range: Range<usize>,
        column: &str,
        form: &F,
    ) -> Option<F::Value> {
        form.parse(text)
            .map_err(|fault: Fault| {
                let diagnostic = fault.diagnostic(form, text, &format!("the column `{column}`"));
                self.report(range, diagnostic);
            })
            .ok()
    }

    fn report(&mut self, range: Range<usize>, diagnostic: Diagnostic) {
        if self.reporter.is_full() {
            // Only counted, so the work of finding its line is saved.
            self.reporter.report(diagnostic);
            return;
        }
        let place = self.reporter.sources[self.index].place(range);
        self.reporter.report(diagnostic.at(place));
    }

    fn mask(&mut self, range: Range<usize>) {
        self.reporter.sources[self.index].mask(range);
    }
}

/// The cells of the row at `offset` and where the next row starts, or what is wrong and where.
fn split_row(text: &str, offset: usize) -> Result<(Vec<Cell>, usize), BadRow> {
    let bytes = text.as_bytes();
    let mut cells = Vec::new();
    let mut at = offset;
    loop {
        let (cell, end) = split_cell(text, at)?;
        cells.push(cell);
        match bytes.get(end) {
            Some(b',') => at = end + 1,
            Some(b'\r') if bytes.get(end + 1) == Some(&b'\n') => return Ok((cells, end + 2)),
            Some(b'\r') => {
                return Err(BadRow {
                    range: end..end + 1,
                    what: "a line ends with a carriage return alone",
                });
            }
            Some(_) => return Ok((cells, end + 1)),
            None => return Ok((cells, end)),
        }
    }
}

/// The cell at `start` and where it ends.
fn split_cell(text: &str, start: usize) -> Result<(Cell, usize), BadRow> {
    let rest = &text[start..];
    let Some(inner) = rest.strip_prefix('"') else {
        let end = start + rest.find([',', '\n', '\r']).unwrap_or(rest.len());
        if let Some(quote) = text[start..end].find('"') {
            return Err(BadRow {
                range: start + quote..end,
                what: "a quote stands in the middle of a cell",
            });
        }
        let cell = Cell {
            text: text[start..end].to_owned(),
            range: start..end,
        };
        return Ok((cell, end));
    };
    let mut content = String::new();
    let mut left = inner;
    loop {
        let Some(quote) = left.find('"') else {
            return Err(BadRow {
                range: start..text.len(),
                what: "a quote is not closed",
            });
        };
        content.push_str(&left[..quote]);
        left = &left[quote + 1..];
        match left.strip_prefix('"') {
            Some(more) => {
                content.push('"');
                left = more;
            }
            None => break,
        }
    }
    let end = text.len() - left.len();
    if !(left.is_empty() || left.starts_with([',', '\n', '\r'])) {
        return Err(BadRow {
            range: start..end + 1,
            what: "text follows a closing quote",
        });
    }
    let cell = Cell {
        text: content,
        range: start..end,
    };
    Ok((cell, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(text: &str) -> (Vec<Row>, String) {
        let mut reporter = Reporter::new(Vec::new());
        let rows = read("users.csv", text, &mut reporter);
        (rows, reporter.finish().to_string())
    }

    #[test]
    fn rows_have_the_columns_of_the_header() {
        let (rows, found) =
            run("name,user,secret,codecs\r\n\"Smith, \"\"Bob\"\"\",bob,pw 1,pcma g722\r\n\r\n,201,x,\n");
        assert_eq!(found, "");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].name.as_deref(), Some("Smith, \"Bob\""));
        assert_eq!(rows[0].secret.as_ref().map(Secret::expose), Some("pw 1"));
        assert_eq!(rows[0].codecs, ["pcma", "g722"]);
        assert_eq!(rows[1].login, "201");
        assert_eq!(rows[1].transports.len(), 5);
    }

    #[test]
    fn every_bad_row_is_reported_and_no_secret_is_shown() {
        let (rows, found) =
            run("user,secret,devices\nbob,hunter2,many\nalice,hunter2\n,hunter2,1\ncarol,hunter2,0\n");
        assert_eq!(rows.len(), 2);
        assert_eq!(found.matches("error[").count(), 4, "{found}");
        assert!(!found.contains("hunter2"), "{found}");
        assert!(found.contains("users.csv:2:13"), "{found}");
    }

    #[test]
    fn a_file_without_header_is_not_shown() {
        let (_, found) = run("bob,hunter2\n");
        assert!(
            found.contains("must name the columns") && !found.contains("hunter2"),
            "{found}"
        );
        let (_, found) = run("bob;hunter2\n");
        assert!(!found.contains("hunter2"), "{found}");
    }

    #[test]
    fn headers_are_checked() {
        let (_, found) = run("user,sercet,user\n");
        assert!(
            found.contains("did you mean `secret`?") && found.contains("given twice"),
            "{found}"
        );
        let (_, found) = run("user,name\n");
        assert!(
            found.contains("a column secret or ha1_md5 or ha1_sha256 or ha1_sha512_256 is needed"),
            "{found}"
        );
    }

    #[test]
    fn broken_quotes_end_the_reading_without_showing_the_row() {
        for text in [
            "user,secret\nbob,\"hunter2\n",
            "user,secret\nbob,\"a\"hunter2\n",
            "user,secret\nbob,hunter2\"x\n",
        ] {
            let (_, found) = run(text);
            assert!(found.contains("E213") && !found.contains("hunter2"), "{found}");
        }
    }

    proptest! {
        #[test]
        fn no_table_panics(text in "(user,secret\n)?[a-z\",\r\n é]{0,60}") {
            run(&text);
        }
    }
}
