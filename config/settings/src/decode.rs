//! From the tree to typed settings: every mistake is reported and decoding goes on.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place, quoted};
use crate::environment::{FlagCheck, FlagProblem};
use crate::shape::{Key, Shape, first_sentence};
use crate::source::{FileLimits, Reporter, Source, looks_secret};
use crate::suggest::did_you_mean;
use crate::tree::{self, Entry, Kind, Node, Spot, Style};

/// The form of a value: how it is decoded and how it is described.
pub(crate) trait Form {
    type Value;

    /// The value of `node`, or `None` after reporting what is wrong with it.
    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value>;

    fn shape(&self) -> Shape;

    /// The value of a default, which is written as YAML.
    fn default_value(&self, text: &'static str) -> Option<Self::Value> {
        decode_text(self, text)
    }
}

/// The value of a YAML text by itself, whose mistakes nobody sees.
pub(crate) fn decode_text<F: Form + ?Sized>(form: &F, text: &str) -> Option<F::Value> {
    let mut reporter = Reporter::new(vec![Source::new("default", text)]);
    let tree = tree::build(&mut reporter, 0, &FileLimits::default());
    form.decode(&tree.root, &mut Decoder::new(&mut reporter, 0))
}

/// The form of a value that is written as one text, in YAML or elsewhere.
pub(crate) trait TextForm {
    type Value;

    fn parse(&self, text: &str) -> Result<Self::Value, Fault>;

    fn shape(&self) -> Shape;

    /// Numbers and switches lose their meaning in quotes.
    fn plain_only(&self) -> bool {
        false
    }

    /// The value must never be shown.
    fn is_secret(&self) -> bool {
        false
    }
}

/// Why a text is not what its form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    /// Beside the caret: the nearest good spelling, or what exactly is wrong.
    pub(crate) help: Option<String>,
    /// A further line.
    pub(crate) note: Option<String>,
}

impl Fault {
    pub(crate) fn bad() -> Self {
        Self {
            code: Code::BadValue,
            help: None,
            note: None,
        }
    }

    pub(crate) fn range() -> Self {
        Self {
            code: Code::OutOfRange,
            ..Self::bad()
        }
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The diagnostic for `text` as the value of `what`.
    pub(crate) fn diagnostic(self, form: &impl TextForm, text: &str, what: &str) -> Diagnostic {
        let expected = form.shape().describe();
        if form.is_secret() {
            return self.about(None, what, expected);
        }
        let shown = quoted(text);
        self.about(Some(&shown), what, expected).found(shown)
    }

    /// The diagnostic for a value that is shown as `shown`, or not at all if it is a secret.
    pub(crate) fn about(self, shown: Option<&str>, what: &str, expected: String) -> Diagnostic {
        let Some(shown) = shown else {
            return Diagnostic::new(self.code, format!("bad value for {what}"))
                .expected(expected)
                .help(self.help);
        };
        let message = match self.code {
            Code::UnknownChoice => format!("unknown choice {shown} for {what}"),
            Code::OutOfRange => format!("{shown} is out of range for {what}"),
            Code::Version => format!("the file is for version {shown}; this program reads version 1"),
            Code::NotAvailable => format!("{shown} is not available for {what} in this version"),
            _ => format!("bad value {shown} for {what}"),
        };
        let diagnostic = Diagnostic::new(self.code, message)
            .expected(expected)
            .help(self.help);
        match self.note {
            Some(note) => diagnostic.note(note),
            None => diagnostic,
        }
    }
}

impl<F: TextForm> Form for F {
    type Value = F::Value;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        let Kind::Scalar { text, style } = &node.kind else {
            decoder.wrong_form(node, &TextForm::shape(self));
            return None;
        };
        let parsed = if self.plain_only() && *style != Style::Plain {
            Err(Fault::bad().help("remove the quotes".to_owned()))
        } else {
            self.parse(text)
        };
        match parsed {
            Ok(value) => Some(value),
            Err(fault) => {
                let diagnostic = fault.diagnostic(self, text, &decoder.what());
                decoder.report(node.spot, diagnostic);
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        TextForm::shape(self)
    }

    fn default_value(&self, text: &'static str) -> Option<Self::Value> {
        self.parse(text).ok()
    }
}

/// Where in the file the decoder is, and where its findings go.
pub(crate) struct Decoder<'r> {
    pub(crate) reporter: &'r mut Reporter,
    source: usize,
    path: Vec<String>,
    /// The innermost key and its doc comment.
    key: Option<(&'static str, &'static str)>,
    flags: Option<&'r FlagCheck<'r>>,
}

impl<'r> Decoder<'r> {
    /// A decoder for the tree of source number `source`.
    pub(crate) fn new(reporter: &'r mut Reporter, source: usize) -> Self {
        Self {
            reporter,
            source,
            path: Vec::new(),
            key: None,
            flags: None,
        }
    }

    /// Has relay flag strings checked by `flags`.
    pub(crate) fn with_flags(mut self, flags: &'r FlagCheck<'r>) -> Self {
        self.flags = Some(flags);
        self
    }

    /// What is wrong with a relay flag string, as far as it can be checked.
    pub(crate) fn flag_problems(&self, text: &str) -> Vec<FlagProblem> {
        self.flags.map_or(Vec::new(), |check| check(text))
    }

    pub(crate) fn place(&self, spot: Spot) -> Place {
        self.reporter.sources[self.source].at(spot.span)
    }

    /// The path of the value at hand, such as `relay.interfaces.outside`.
    pub(crate) fn what(&self) -> String {
        let mut what = String::new();
        for step in &self.path {
            if !what.is_empty() && !step.starts_with('[') {
                what.push('.');
            }
            what.push_str(step);
        }
        if what.is_empty() {
            "the file".to_owned()
        } else {
            what
        }
    }

    /// Reports at a spot, with the meaning of the key at hand as the last note.
    pub(crate) fn report(&mut self, spot: Spot, mut diagnostic: Diagnostic) {
        if let Some((key, doc)) = self.key {
            diagnostic = diagnostic.note(format!("{key}: {}", first_sentence(doc)));
        }
        self.report_bare(spot, diagnostic);
    }

    fn report_bare(&mut self, spot: Spot, diagnostic: Diagnostic) {
        let place = self.place(spot);
        self.reporter.report(diagnostic.at(place));
    }

    /// Reports that `node` is a list, a map or nothing where something else belongs.
    pub(crate) fn wrong_form(&mut self, node: &Node, shape: &Shape) {
        if matches!(node.kind, Kind::Refused) {
            // What is wrong with it was reported when the tree was built.
            return;
        }
        let (message, help) = if matches!(node.kind, Kind::Null) {
            (
                format!("{} has no value", self.what()),
                Some("give a value, or delete the line to get the default".to_owned()),
            )
        } else {
            (format!("{} is {}", self.what(), node.form()), None)
        };
        let diagnostic = Diagnostic::new(Code::WrongType, message)
            .found(node.form())
            .expected(shape.describe())
            .help(help);
        self.report(node.spot, diagnostic);
    }

    /// Decodes within the value of a key or the item of a list.
    pub(crate) fn within<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(short(step));
        let value = inner(self);
        self.path.pop();
        value
    }

    fn within_key<T>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = self.key.replace((key, doc));
        let value = self.within(key, inner);
        self.key = outer;
        value
    }

    /// Decodes a map with the keys of `S`; whatever it does not know is reported.
    pub(crate) fn section<S: Section>(&mut self, node: &Node) -> Option<S> {
        let entries: &[Entry] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Scalar { .. } | Kind::List(_) | Kind::Refused => {
                self.wrong_form(node, &section_shape::<S>());
                return None;
            }
        };
        let mut reader = MapReader {
            entries,
            used: vec![false; entries.len()],
            spot: node.spot,
        };
        let outer = self.key.take();
        let value = S::read(&mut reader, self);
        if reader.used.contains(&false) {
            self.unknown_keys(&reader, &S::keys());
        }
        self.key = outer;
        value
    }

    fn unknown_keys(&mut self, reader: &MapReader<'_>, keys: &[Key]) {
        let known: Vec<_> = keys.iter().map(|key| key.name).collect();
        for (entry, used) in reader.entries.iter().zip(&reader.used) {
            if *used {
                continue;
            }
            let key = quoted(&entry.key);
            let place = if self.path.is_empty() {
                "at the top level".to_owned()
            } else {
                format!("in {}", self.what())
            };
            let meant = if self.reporter.is_full() {
                None
            } else {
                unknown_key_help(&entry.key, &known)
            };
            let diagnostic = Diagnostic::new(Code::UnknownKey, format!("unknown key {key} {place}"))
                .found(key)
                .help(meant)
                .note(format!("known keys here: {}", known.join(", ")));
            self.report_bare(entry.key_spot, diagnostic);
        }
    }
}

/// Keys of later versions, which documents and examples may show already.
const LATER_KEYS: [&str; 6] = [
    "acme_email",
    "fast_path",
    "record",
    "renew_before",
    "trace",
    "trunks",
];

fn unknown_key_help(key: &str, known: &[&str]) -> Option<String> {
    if LATER_KEYS.contains(&key) {
        return Some("this version cannot do it yet: delete the key".to_owned());
    }
    let meant = did_you_mean(key, known.iter().copied());
    if meant.is_none() && looks_secret(key) && known.contains(&"secret_file") {
        return Some("a password belongs into a file: `secret_file: …`".to_owned());
    }
    meant
}

/// A step of a path as it is shown; a name may be of any length.
fn short(step: &str) -> String {
    const STEP_MAX: usize = 40;
    let shown = quoted(step);
    let inner = shown.trim_matches('`');
    if inner.chars().count() <= STEP_MAX {
        inner.to_owned()
    } else {
        inner.chars().take(STEP_MAX).chain(['…']).collect()
    }
}

/// A map with fixed keys. The `section!` macro implements it.
pub(crate) trait Section: Sized {
    const DOC: &'static str;

    fn keys() -> Vec<Key>;

    /// Reads every key, so that every mistake is found; `None` if a required one is missing or wrong.
    fn read(map: &mut MapReader<'_>, decoder: &mut Decoder<'_>) -> Option<Self>;
}

pub(crate) fn section_shape<S: Section>() -> Shape {
    Shape::Section {
        doc: S::DOC,
        keys: S::keys(),
    }
}

/// A section of which nothing is written in the file.
#[expect(
    clippy::expect_used,
    reason = "only for sections without required keys, and a test decodes every default"
)]
pub(crate) fn defaults<S: Section>() -> S {
    let mut reporter = Reporter::new(vec![Source::new("", "")]);
    let mut reader = MapReader {
        entries: &[],
        used: Vec::new(),
        spot: Spot::START,
    };
    let section = S::read(&mut reader, &mut Decoder::new(&mut reporter, 0));
    section.expect("the defaults of a section decode")
}

/// The entries of a map of which some have been read.
#[derive(Debug)]
pub(crate) struct MapReader<'n> {
    entries: &'n [Entry],
    used: Vec<bool>,
    spot: Spot,
}

impl<'n> MapReader<'n> {
    fn take(&mut self, key: &str) -> Option<&'n Entry> {
        let index = self.entries.iter().position(|entry| &*entry.key == key)?;
        self.used[index] = true;
        Some(&self.entries[index])
    }

    /// The value of a key that may be left out, `None` if it is or if it is wrong.
    pub(crate) fn optional<F: Form>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        form: &F,
        decoder: &mut Decoder<'_>,
    ) -> Option<F::Value> {
        let entry = self.take(key)?;
        decoder.within_key(key, doc, |decoder| form.decode(&entry.value, decoder))
    }

    /// The value of a key that must be there.
    pub(crate) fn required<F: Form>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        form: &F,
        decoder: &mut Decoder<'_>,
    ) -> Option<F::Value> {
        let Some(entry) = self.take(key) else {
            let diagnostic = Diagnostic::new(
                Code::MissingKey,
                format!("{} needs the key `{key}`", decoder.what()),
            )
            .expected(form.shape().describe())
            .help(format!("add `{key}: …`"))
            .note(format!("{key}: {}", first_sentence(doc)));
            decoder.report_bare(self.spot, diagnostic);
            return None;
        };
        decoder.within_key(key, doc, |decoder| form.decode(&entry.value, decoder))
    }
}

/// The value of a default.
#[expect(clippy::expect_used, reason = "a test decodes every default of every section")]
pub(crate) fn default_value<F: Form>(form: &F, text: &'static str) -> F::Value {
    form.default_value(text).expect("defaults decode")
}

/// Defines a map of the file: the struct, its decoding, and its keys for the reference page and the schema.
///
/// `field: Type = default(form, "yaml text");`, `= required(form);` (with a second argument, that value stands in for
/// a wrong one, so that later checks still see the rest), `= absent(form, "what holds then");` (the
/// field is an `Option`), or `= flatten;` (the keys of another section stand in this map).
/// `field["key"]` gives the key another spelling than the field.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident $([$key:literal])? : $type:ty = $presence:ident $(($form:expr $(, $more:expr)?))? ;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name {
            $(
                $(#[doc = $field_doc])*
                $vis $field: $type,
            )*
        }

        impl $crate::decode::Section for $name {
            const DOC: &'static str = concat!($($doc, "\n"),*);

            fn keys() -> Vec<$crate::shape::Key> {
                let keys = [
                    $(
                        $crate::decode::section!(@key $presence, $type,
                            $crate::decode::section!(@name $field $($key)?),
                            concat!($($field_doc, "\n"),*) $(, $form $(, $more)?)?),
                    )*
                ];
                keys.into_iter().flatten().collect()
            }

            fn read(
                map: &mut $crate::decode::MapReader<'_>,
                decoder: &mut $crate::decode::Decoder<'_>,
            ) -> Option<Self> {
                $(
                    let $field = $crate::decode::section!(@read map, decoder, $presence, $type,
                        $crate::decode::section!(@name $field $($key)?),
                        concat!($($field_doc, "\n"),*) $(, $form $(, $more)?)?);
                )*
                Some(Self { $($field: $field?,)* })
            }
        }
    };

    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $key:literal) => { $key };

    (@key flatten, $type:ty, $name:expr, $doc:expr) => {
        <$type as $crate::decode::Section>::keys()
    };
    (@key required, $type:ty, $name:expr, $doc:expr, $form:expr $(, $stand_in:expr)?) => {
        $crate::decode::section!(@key $crate::shape::Presence::Required, $name, $doc, $form)
    };
    (@key default, $type:ty, $name:expr, $doc:expr, $form:expr, $text:expr) => {
        $crate::decode::section!(@key $crate::shape::Presence::Default($text), $name, $doc, $form)
    };
    (@key absent, $type:ty, $name:expr, $doc:expr, $form:expr, $text:expr) => {
        $crate::decode::section!(@key $crate::shape::Presence::Absent($text), $name, $doc, $form)
    };
    (@key $presence:expr, $name:expr, $doc:expr, $form:expr) => {
        vec![$crate::shape::Key {
            name: $name,
            doc: $doc,
            presence: $presence,
            shape: $crate::decode::Form::shape(&$form),
        }]
    };

    (@read $map:ident, $decoder:ident, flatten, $type:ty, $name:expr, $doc:expr) => {
        <$type as $crate::decode::Section>::read($map, $decoder)
    };
    (@read $map:ident, $decoder:ident, required, $type:ty, $name:expr, $doc:expr, $form:expr $(, $stand_in:expr)?) => {
        $map.required($name, $doc, &$form, $decoder) $(.or_else(|| Some($stand_in)))?
    };
    (@read $map:ident, $decoder:ident, default, $type:ty, $name:expr, $doc:expr, $form:expr, $text:expr) => {
        Some(
            $map.optional($name, $doc, &$form, $decoder)
                .unwrap_or_else(|| $crate::decode::default_value(&$form, $text)),
        )
    };
    (@read $map:ident, $decoder:ident, absent, $type:ty, $name:expr, $doc:expr, $form:expr, $text:expr) => {
        Some($map.optional($name, $doc, &$form, $decoder))
    };
}
pub(crate) use section;

/// `Default` for sections without required keys.
macro_rules! section_default {
    ($($name:ident),*) => {
        $(
            impl Default for $name {
                /// The values that hold when nothing is written.
                fn default() -> Self {
                    $crate::decode::defaults()
                }
            }
        )*
    };
}
pub(crate) use section_default;
