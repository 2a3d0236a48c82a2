//! From options and a configuration file to the relay's settings.

use std::collections::HashSet;
use std::ops::Range;

use crate::code::Code;
use crate::decode::Fault;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, quoted};
use crate::form::address::PortRange;
use crate::form::port;
use crate::load::Loaded;
use crate::media::{AdvertisedForm, BindForm, InterfaceAddress, KernelMode, interface_name};
use crate::positions::Positions;
use crate::source::{Reporter, Source};
use crate::suggest::did_you_mean;

use super::args::{Arguments, Assignment};
use super::conf::{self, ConfEntry, ConfSection};
use super::draft::{Draft, FlagForm, IntForm, Problem, parse};
use super::options::{self, Effect, INTERFACE_KEYS, Known, Opt};
use super::{RelaySettings, check, read_yaml};

impl Arguments {
    /// The settings, from the file's name and text, if one is read, and from the options, which count more.
    ///
    /// A file whose name ends in `.yaml` or `.yml` is the relay's own form, any other rtpengine's.
    ///
    /// # Errors
    ///
    /// Every mistake in the file and in the values of options, with warnings among them.
    pub fn settings(&self, config: Option<(&str, &str)>) -> Result<Loaded<RelaySettings>, Diagnostics> {
        let mut sources = vec![self.line.source()];
        sources.extend(config.map(|(file, text)| Source::new(file, text)));
        let mut reporter = Reporter::new(sources);
        let is_yaml = config.is_some_and(|(file, _)| file.ends_with(".yaml") || file.ends_with(".yml"));
        let draft = if is_yaml {
            let Some((settings, positions)) = read_yaml(&mut reporter, 1) else {
                return Err(reporter.finish());
            };
            Draft::new(settings, positions)
        } else {
            let whole = reporter.sources[usize::from(config.is_some())].place(0..0);
            Draft::new(RelaySettings::rtpengine_defaults(), Positions::empty(whole))
        };
        let mut applier = Applier {
            draft,
            reporter: &mut reporter,
        };
        let mut sections = Vec::new();
        if config.is_some() && !is_yaml {
            sections = conf::read(applier.reporter, 1);
            if let Some(section) = conf::find(&sections, &self.config_section, applier.reporter, 1) {
                applier.section(section, &self.assignments);
            }
        }
        applier.command_line(&self.assignments);
        applier.interface_sections(&sections);
        applier.template_section(&sections);
        let (settings, positions) = applier.draft.finish(&mut reporter);
        check(&settings, &positions, &mut reporter);
        Loaded::new(settings, positions, reporter)
    }
}

/// Turns the text of an rtpengine configuration file into settings, or into all mistakes of the file.
///
/// # Errors
///
/// Every mistake of the file, with warnings among them.
pub fn load_relay_conf(file: &str, text: &str, section: &str) -> Result<Loaded<RelaySettings>, Diagnostics> {
    Arguments::without_options(section).settings(Some((file, text)))
}

/// Applies options to a draft.
struct Applier<'a> {
    draft: Draft,
    reporter: &'a mut Reporter,
}

impl Applier<'_> {
    fn command_line(&mut self, assignments: &[Assignment]) {
        let mut cleared: Vec<&str> = Vec::new();
        for assignment in assignments {
            let is_list = matches!(
                options::by_name(&assignment.name),
                Some(Known::Used(Opt { list: true, .. }))
            );
            if is_list && !cleared.contains(&assignment.name.as_str()) {
                cleared.push(&assignment.name);
                self.draft.clear_list(&assignment.name);
            }
            self.apply(assignment, &format!("--{}", assignment.name));
        }
    }

    /// The entries of a section, except those that the command line replaces.
    fn section(&mut self, section: &ConfSection, replaced: &[Assignment]) {
        let mut seen: HashSet<&str> = HashSet::new();
        for entry in &section.entries {
            let place = self.place(&entry.key_range);
            if !seen.insert(&entry.key) {
                let diagnostic = Diagnostic::new(
                    Code::DuplicateKey,
                    format!("key {} is given twice", quoted(&entry.key)),
                )
                .at(place)
                .help("delete one of the two".to_owned())
                .note("several values stand on one line, separated by `;`");
                self.reporter.report(diagnostic);
                continue;
            }
            let Some(known) = options::by_name(&entry.key) else {
                let meant = if self.reporter.is_full() {
                    None
                } else {
                    did_you_mean(&entry.key, options::names())
                };
                let diagnostic = Diagnostic::new(
                    Code::UnknownOption,
                    format!("unknown option {}", quoted(&entry.key)),
                )
                .at(place)
                .found(quoted(&entry.key))
                .help(meant)
                .note("rtpengine has no such option either, and would ignore it without a word");
                self.reporter.report(diagnostic);
                continue;
            };
            if replaced.iter().any(|assignment| assignment.name == entry.key) {
                continue;
            }
            for (value, range) in values(entry, known) {
                let assignment = Assignment {
                    name: entry.key.clone(),
                    value,
                    place: place.clone(),
                    value_place: self.place(&range),
                };
                self.apply(&assignment, &entry.key);
            }
        }
    }

    /// `[PREFIX-NAME]` sections with one address each.
    fn interface_sections(&mut self, sections: &[ConfSection]) {
        let Some(prefix) = self.draft.interface_sections.clone() else {
            return;
        };
        let named = sections.iter().filter_map(|section| {
            let name = section.name.strip_prefix(&prefix)?.strip_prefix('-')?;
            Some((name, section))
        });
        for (name, section) in named {
            self.interface_section(name, section);
        }
    }

    /// Every entry of the section is a template.
    fn template_section(&mut self, sections: &[ConfSection]) {
        let Some(name) = self
            .draft
            .template_section
            .as_ref()
            .filter(|_| !sections.is_empty())
        else {
            return;
        };
        let Some(section) = conf::find(sections, name, self.reporter, 1) else {
            return;
        };
        let entries = section.entries.iter();
        self.draft.settings.templates = entries
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect();
    }

    fn interface_section(&mut self, name: &str, section: &ConfSection) {
        let unknown = |entry: &&ConfEntry| !INTERFACE_KEYS.contains(&entry.key.as_str());
        for entry in section.entries.iter().filter(unknown) {
            let message = format!("unknown option {} in [{}]", quoted(&entry.key), section.name);
            let diagnostic = Diagnostic::new(Code::UnknownOption, message)
                .at(self.place(&entry.key_range))
                .found(quoted(&entry.key))
                .help(did_you_mean(&entry.key, INTERFACE_KEYS));
            self.reporter.report(diagnostic);
        }
        let find = |key: &str| section.entries.iter().find(|entry| entry.key == key);
        let name = match find("name") {
            Some(entry) => self.value(entry, parse(&interface_name(), &entry.value)),
            None => Some(name.to_owned()),
        };
        let Some(name) = name else { return };
        if let Some(entry) = find("alias") {
            let added = self.draft.add_alias(name, &entry.value);
            self.value(entry, added);
            return;
        }
        let Some(entry) = find("address") else {
            let message = format!("[{}] has neither `address` nor `alias`", section.name);
            let place = section.entries.first().map(|entry| self.place(&entry.key_range));
            self.reporter
                .report(Diagnostic::new(Code::MissingKey, message).at(place));
            return;
        };
        let address = self.value(entry, parse(&BindForm, &entry.value));
        let advertise = match find("advertised") {
            Some(entry) => match self.value(entry, parse(&AdvertisedForm, &entry.value)) {
                Some(advertise) => Some(advertise),
                None => return,
            },
            None => None,
        };
        let rtp_ports = self.interface_ports(section);
        let exclude_ports = match find("exclude-ports") {
            Some(entry) => self.excluded_ports(entry),
            None => Vec::new(),
        };
        if let Some(address) = address {
            let place = self.place(&entry.value_range);
            let address = InterfaceAddress {
                address,
                advertise,
                rtp_ports,
                exclude_ports,
            };
            self.draft.add_address(name, address, &place);
        }
    }

    /// The ports of an interface's own, `None` if its section has none. What it leaves out is as for all interfaces.
    fn interface_ports(&mut self, section: &ConfSection) -> Option<PortRange> {
        let find = |key: &str| section.entries.iter().find(|entry| entry.key == key);
        let (min, max) = (find("port-min"), find("port-max"));
        let entry = max.or(min)?;
        let PortRange { first, last } = self.draft.rtp_ports();
        let first = match min {
            Some(entry) => self.value(entry, parse(&port(), &entry.value))?,
            None => first,
        };
        let last = match max {
            Some(entry) => self.value(entry, parse(&port(), &entry.value))?,
            None => last,
        };
        if first >= last {
            let message = format!("the port range {first} to {last} of [{}] is empty", section.name);
            let diagnostic = Diagnostic::new(Code::Order, message)
                .at(self.place(&entry.value_range))
                .expected("`port-min` below `port-max`")
                .note("a call needs at least two ports");
            self.reporter.report(diagnostic);
            return None;
        }
        Some(PortRange { first, last })
    }

    /// Ports with `;` between them.
    fn excluded_ports(&mut self, entry: &ConfEntry) -> Vec<u16> {
        let parts = entry.value.split(';').map(str::trim);
        let ports: Result<Vec<u16>, Problem> = parts
            .filter(|part| !part.is_empty())
            .map(|part| parse(&port(), part))
            .collect();
        self.value(entry, ports).unwrap_or_default()
    }

    /// The value of an entry, or `None` after reporting what is wrong with it.
    fn value<T>(&mut self, entry: &ConfEntry, parsed: Result<T, Problem>) -> Option<T> {
        parsed
            .map_err(|problem| {
                let place = self.place(&entry.value_range);
                self.bad_value(problem, &entry.value, &entry.key, place);
            })
            .ok()
    }

    fn apply(&mut self, assignment: &Assignment, shown: &str) {
        let value = assignment.value.as_str();
        match options::by_name(&assignment.name) {
            Some(Known::Used(option)) => match option.effect {
                Effect::Set(setter) => {
                    if let Err(problem) = setter(&mut self.draft, value, &assignment.value_place) {
                        self.bad_value(problem, value, shown, assignment.value_place.clone());
                    }
                }
                Effect::Table => self.table(assignment, shown),
                Effect::Holds => {
                    if let Err(problem) = parse(&FlagForm, value) {
                        self.bad_value(problem, value, shown, assignment.value_place.clone());
                    }
                }
                Effect::ConfigFile | Effect::ConfigSection | Effect::Help | Effect::Version => {}
            },
            // A flag that is switched off asks for what holds anyway.
            Some(Known::Unused { value: false }) if parse(&FlagForm, value).ok() == Some(false) => {}
            Some(Known::Unused { .. }) => self.unused(
                assignment.name.clone(),
                assignment.place.clone(),
                "it is accepted and ignored",
            ),
            None => {}
        }
    }

    fn table(&mut self, assignment: &Assignment, shown: &str) {
        match parse(&IntForm { min: -1, max: 63 }, &assignment.value) {
            Ok(-1) => self.draft.settings.media.kernel = KernelMode::Off,
            Ok(_) => self.unused(
                assignment.name.clone(),
                assignment.place.clone(),
                "rtpengine's kernel module is not used; the kernel forwards media without it where it can",
            ),
            Err(problem) => self.bad_value(problem, &assignment.value, shown, assignment.value_place.clone()),
        }
    }

    fn unused(&mut self, name: String, place: Place, note: &str) {
        let diagnostic = Diagnostic::new(Code::OptionUnused, format!("`{name}` has no effect here"))
            .at(place)
            .note(note);
        self.reporter.report(diagnostic);
        if !self.draft.settings.unused_options.contains(&name) {
            self.draft.settings.unused_options.push(name);
        }
    }

    fn bad_value(&mut self, problem: Problem, value: &str, shown: &str, place: Place) {
        let mut fault: Fault = problem.fault;
        if fault.help.is_none() && value.contains(" #") {
            fault = fault.help("a comment needs a line of its own".to_owned());
        }
        let found = quoted(value);
        let diagnostic = fault.about(Some(&found), shown, problem.expected);
        self.reporter.report(diagnostic.found(found).at(place));
    }

    /// The place of a range of the configuration file.
    fn place(&self, range: &Range<usize>) -> Place {
        self.reporter.sources[1].place(range.clone())
    }
}

/// The values of an entry: several if the option may be repeated.
fn values(entry: &ConfEntry, known: Known) -> Vec<(String, Range<usize>)> {
    if !matches!(known, Known::Used(Opt { list: true, .. })) {
        return vec![(entry.value.clone(), entry.value_range.clone())];
    }
    let mut offset = entry.value_range.start;
    let mut values = Vec::new();
    for part in entry.value.split(';') {
        let trimmed = part.trim();
        let start = offset + (part.len() - part.trim_start().len());
        if !trimmed.is_empty() {
            values.push((trimmed.to_owned(), start..start + trimmed.len()));
        }
        offset += part.len() + 1;
    }
    values
}
