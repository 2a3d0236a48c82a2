//! The relay's command line in the style of rtpengine.

use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, quoted};
use crate::source::{Reporter, Source};

use super::options::{self, Effect, Known, Opt};

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print this text and exit.
    Help(String),
    /// Print this text and exit.
    Version(String),
    /// Run with these options.
    Run(Arguments),
}

/// The options of a command line that is good in its form.
#[derive(Debug)]
pub struct Arguments {
    /// The file to read first.
    pub config_file: ConfigFile,
    /// Section of an rtpengine file.
    pub(super) config_section: String,
    pub(super) assignments: Vec<Assignment>,
    /// The command line as one text, and what must not be shown of it.
    pub(super) line: CommandLine,
}

impl Arguments {
    /// No options, for reading a file by itself.
    pub(super) fn without_options(config_section: &str) -> Self {
        Self {
            config_file: ConfigFile::None,
            config_section: config_section.to_owned(),
            assignments: Vec::new(),
            line: CommandLine::default(),
        }
    }
}

/// Which configuration file the command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// None is named; rtpengine reads `/etc/rtpengine/rtpengine.conf` then, if there is one.
    Unnamed,
    /// `--config-file=none`.
    None,
    /// This one.
    Path(String),
}

/// An option with its value.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Place,
    /// Where the value stands, if apart from the name.
    pub(super) value_place: Place,
}

/// The arguments joined by blanks, as they are shown in messages.
#[derive(Debug, Clone, Default)]
pub(super) struct CommandLine {
    text: String,
    /// Where each argument stands.
    ranges: Vec<Range<usize>>,
}

const COMMAND_LINE: &str = "command line";
const DEFAULT_SECTION: &str = "rtpengine";

impl CommandLine {
    fn new(args: &[String]) -> Self {
        let mut line = Self::default();
        for arg in args {
            if !line.text.is_empty() {
                line.text.push(' ');
            }
            let quote = if arg.is_empty() || arg.contains(char::is_whitespace) {
                "'"
            } else {
                ""
            };
            line.text.push_str(quote);
            let start = line.text.len();
            line.text.push_str(&arg.replace('\n', " "));
            line.ranges.push(start..line.text.len());
            line.text.push_str(quote);
        }
        line
    }

    /// Stars out what may be a password, character by character, so that columns stay right.
    fn hide(&mut self, ranges: &[Range<usize>]) {
        let hidden = |offset: usize| ranges.iter().any(|range| range.contains(&offset));
        let shown = self.text.char_indices();
        self.text = shown
            .map(|(offset, c)| if hidden(offset) { '*' } else { c })
            .collect();
    }

    pub(super) fn source(&self) -> Source {
        Source::new(COMMAND_LINE, &self.text)
    }
}

/// Reads rtpengine-style arguments, without the program's name.
///
/// # Errors
///
/// Every argument that is no option, lacks its value or has one too many. Values are checked by
/// [`Arguments::settings`].
pub fn parse_args(args: &[String]) -> Result<Invocation, Diagnostics> {
    let line = CommandLine::new(args);
    let mut parser = Parser {
        args,
        at: 0,
        places: line.source(),
        line,
        secrets: Vec::new(),
        problems: Vec::new(),
        assignments: Vec::new(),
        asked: None,
    };
    parser.run();
    parser.line.hide(&parser.secrets);
    match parser.asked {
        Some(Effect::Help) => return Ok(Invocation::Help(options::help())),
        Some(_) => return Ok(Invocation::Version(options::version())),
        None => {}
    }
    if !parser.problems.is_empty() {
        let mut reporter = Reporter::new(vec![parser.line.source()]);
        for problem in parser.problems {
            reporter.report(problem.note("`viaduct-relay --help` lists the options"));
        }
        return Err(reporter.finish());
    }
    let last = |name: &str| {
        let mut given = parser.assignments.iter().rev();
        given
            .find(|assignment| assignment.name == name)
            .map(|assignment| assignment.value.clone())
    };
    Ok(Invocation::Run(Arguments {
        config_file: match last("config-file") {
            None => ConfigFile::Unnamed,
            Some(path) if path == "none" => ConfigFile::None,
            Some(path) => ConfigFile::Path(path),
        },
        config_section: last("config-section").unwrap_or_else(|| DEFAULT_SECTION.to_owned()),
        assignments: parser.assignments,
        line: parser.line,
    }))
}

struct Parser<'a> {
    args: &'a [String],
    /// Number of the next argument.
    at: usize,
    line: CommandLine,
    /// Only for turning ranges into places.
    places: Source,
    /// What may be a password.
    secrets: Vec<Range<usize>>,
    problems: Vec<Diagnostic>,
    assignments: Vec<Assignment>,
    /// `--help` or `--version`, whichever came first.
    asked: Option<Effect>,
}

impl Parser<'_> {
    fn run(&mut self) {
        let mut options_end = false;
        while let Some(arg) = self.args.get(self.at) {
            let range = self.line.ranges[self.at].clone();
            self.at += 1;
            if options_end || !arg.starts_with('-') || arg == "-" {
                let diagnostic =
                    Diagnostic::new(Code::UnexpectedArgument, format!("{} is no option", quoted(arg)));
                self.problem(&range, diagnostic.expected("an option that starts with `-`"));
            } else if arg == "--" {
                options_end = true;
            } else if let Some(long) = arg.strip_prefix("--") {
                self.long(long, range);
            } else {
                self.letters(arg, range);
            }
        }
    }

    fn problem(&mut self, range: &Range<usize>, diagnostic: Diagnostic) {
        let place = self.places.place(range.clone());
        self.problems.push(diagnostic.at(place));
    }

    /// `--name`, `--name=value` or `--name value`.
    fn long(&mut self, arg: &str, range: Range<usize>) {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, None),
        };
        let name_range = range.start..range.start + 2 + name.len();
        let inline = inline.map(|value| (value.to_owned(), range.end - value.len()..range.end));
        let Some(known) = options::by_name(name) else {
            self.unknown(
                &format!("--{name}"),
                name,
                &name_range,
                inline.map(|(_, range)| range),
            );
            return;
        };
        if takes_value(known) {
            let value = inline.or_else(|| self.next_value(&format!("--{name}"), &name_range));
            if let Some((value, value_range)) = value {
                self.assign(known, name, value, &name_range, value_range);
            }
        } else if let Some((_, value_range)) = inline {
            let diagnostic = Diagnostic::new(Code::OptionValue, format!("`--{name}` takes no value"))
                .help(format!("write `--{name}`"));
            self.problem(&value_range, diagnostic);
        } else {
            self.assign(known, name, "true".to_owned(), &name_range, name_range.clone());
        }
    }

    /// `-f`, several flags together, `-n value` or `-nvalue`.
    fn letters(&mut self, arg: &str, range: Range<usize>) {
        for (offset, letter) in arg.char_indices().skip(1) {
            let letter_range = range.start + offset..range.start + offset + letter.len_utf8();
            let Some((name, known)) =
                options::long_name(letter).and_then(|name| Some((name, options::by_name(name)?)))
            else {
                let rest = letter_range.end..range.end;
                self.unknown(&format!("-{letter}"), "", &letter_range, Some(rest));
                return;
            };
            if !takes_value(known) {
                self.assign(
                    known,
                    name,
                    "true".to_owned(),
                    &letter_range,
                    letter_range.clone(),
                );
                continue;
            }
            let rest = &arg[offset + letter.len_utf8()..];
            let value = if rest.is_empty() {
                self.next_value(&format!("-{letter}"), &letter_range)
            } else {
                Some((rest.to_owned(), letter_range.end..range.end))
            };
            if let Some((value, value_range)) = value {
                self.assign(known, name, value, &letter_range, value_range);
            }
            return;
        }
    }

    /// The next argument as a value, unless it is an option itself.
    fn next_value(&mut self, shown: &str, range: &Range<usize>) -> Option<(String, Range<usize>)> {
        let next = self.args.get(self.at);
        let is_option = next.and_then(|arg| arg.strip_prefix("--")).is_some_and(|long| {
            let name = long.split_once('=').map_or(long, |(name, _)| name);
            options::by_name(name).is_some()
        });
        match next {
            Some(value) if !is_option => {
                let value_range = self.line.ranges[self.at].clone();
                self.at += 1;
                Some((value.clone(), value_range))
            }
            _ => {
                let diagnostic = Diagnostic::new(Code::OptionValue, format!("`{shown}` needs a value"));
                let diagnostic = diagnostic.help(format!("write `{shown} VALUE`"));
                self.problem(range, diagnostic);
                None
            }
        }
    }

    fn unknown(&mut self, shown: &str, name: &str, range: &Range<usize>, value: Option<Range<usize>>) {
        // What an unknown option's value means is unknown too; it may be a password.
        match value {
            Some(value) => self.secrets.push(value),
            None => {
                let next = self.args.get(self.at).filter(|arg| !arg.starts_with('-'));
                if next.is_some() {
                    self.secrets.push(self.line.ranges[self.at].clone());
                    self.at += 1;
                }
            }
        }
        let meant = crate::suggest::nearest(name, options::names());
        let diagnostic = Diagnostic::new(Code::UnknownOption, format!("unknown option {}", quoted(shown)))
            .found(quoted(shown))
            .help(meant.map(|meant| format!("did you mean `--{meant}`?")));
        self.problem(range, diagnostic);
    }

    fn assign(
        &mut self,
        known: Known,
        name: &str,
        mut value: String,
        range: &Range<usize>,
        value_range: Range<usize>,
    ) {
        if let Known::Used(Opt {
            effect: effect @ (Effect::Help | Effect::Version),
            ..
        }) = known
        {
            self.asked.get_or_insert(*effect);
            return;
        }
        if takes_value(known) && options::is_secret(name) {
            self.secrets.push(value_range.clone());
            // Nobody needs the value of one without an effect.
            if matches!(known, Known::Unused { .. }) {
                value.clear();
            }
        }
        self.assignments.push(Assignment {
            name: name.to_owned(),
            value,
            place: self.places.place(range.clone()),
            value_place: self.places.place(value_range),
        });
    }
}

fn takes_value(known: Known) -> bool {
    match known {
        Known::Used(option) => option.value.is_some(),
        Known::Unused { value } => value,
    }
}

#[cfg(test)]
mod tests;
