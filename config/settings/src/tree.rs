//! A YAML text as a tree of values that know where they stand.
//!
//! Built from the events of the parser that `serde-saphyr` re-exports, not through serde: serde's model has no
//! place for a scalar's own spelling (`+4930…`, `"201"`), for a second occurrence of a key, or for going on after
//! a mistake, and the decoder needs all three.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{
    self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Span as ParserSpan,
};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Span, quoted};
use crate::source::{FileLimits, Reporter, Source, looks_secret};

/// A stretch of the text, in bytes and as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) span: Span,
}

impl Spot {
    /// Before the first character.
    pub(crate) const START: Self = Self {
        start: 0,
        end: 0,
        span: Span {
            line: 1,
            column: 1,
            length: 1,
        },
    };

    /// Lines and columns are the parser's, so that no line is counted through twice.
    fn of(span: &ParserSpan, text: &str) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (start, end) = (
            span.start.byte_offset().unwrap_or(0),
            span.end.byte_offset().unwrap_or(0),
        );
        let first_line = text.get(start..end).and_then(|slice| slice.lines().next());
        let length = first_line.map_or(0, |line| line.chars().count());
        Self {
            start,
            end,
            span: Span {
                line: number(span.start.line()),
                column: number(span.start.col() + 1),
                length: number(length.max(1)),
            },
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Of a scalar, its own; of a list or map, its key or its first character.
    pub(crate) spot: Spot,
    /// Levels of lists and maps below and including this one.
    height: usize,
    /// Values in this one, itself included.
    size: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// No value: nothing, `~` or `null`.
    Null,
    /// A value that was refused and reported when the tree was built.
    Refused,
    Scalar {
        text: Arc<str>,
        style: Style,
    },
    List(Arc<Vec<Node>>),
    Map(Arc<Vec<Entry>>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// In quotes; `verbatim` if what stands between them is the text itself, without escapes or folding.
    Quoted {
        verbatim: bool,
    },
    Block,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) key_spot: Spot,
    pub(crate) value: Node,
}

impl Node {
    /// What this is, for "found …".
    pub(crate) fn form(&self) -> &'static str {
        match &self.kind {
            Kind::Null | Kind::Refused => "nothing",
            Kind::Scalar { .. } => "one value",
            Kind::List(items) if items.is_empty() => "an empty list",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// The tree of the one document in `source`, and what is wrong with its form.
///
/// After a syntax error the tree holds the entries of the top-level map that were complete before it, and
/// `complete` is false.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Node,
    pub(crate) complete: bool,
}

/// Builds the tree; mistakes of form go to `reporter`, whose source number `index` is the text.
pub(crate) fn build(reporter: &mut Reporter, index: usize, limits: &FileLimits) -> Tree {
    let text = Arc::clone(&reporter.sources[index].text);
    let mut builder = Builder::new(limits);
    if text.len() > limits.bytes {
        let message = format!("the file has {} bytes", text.len());
        builder.problem(
            Spot::START,
            Diagnostic::new(Code::FileTooLarge, message).expected(format!("at most {} bytes", limits.bytes)),
        );
        builder.complete = false;
    } else {
        builder.run(&text);
    }
    let (tree, problems) = builder.finish();
    let source = &mut reporter.sources[index];
    source.unstructured |= !tree.complete;
    mask_secrets(&tree.root, source);
    for problem in problems {
        let source = &reporter.sources[index];
        let mut diagnostic = problem.diagnostic.at(source.at(problem.spot.span));
        if let Some(first) = problem.first {
            diagnostic = diagnostic.note(format!("first given at line {}", first.span.line));
        }
        reporter.report(diagnostic);
    }
    tree
}

/// Keeps the values of keys like `secret` out of every excerpt, whatever else is wrong with them.
fn mask_secrets(node: &Node, source: &mut Source) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries.iter() {
                if looks_secret(&entry.key) {
                    mask_all(&entry.value, source);
                } else {
                    mask_secrets(&entry.value, source);
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| mask_secrets(item, source)),
        // A URL with a user and a password, which no key takes.
        Kind::Scalar { text, .. } if text.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) => {
            mask_all(node, source);
        }
        Kind::Null | Kind::Refused | Kind::Scalar { .. } => {}
    }
}

fn mask_all(node: &Node, source: &mut Source) {
    match &node.kind {
        Kind::Scalar { .. } => source.mask(node.spot.start..node.spot.end),
        Kind::List(items) => items.iter().for_each(|item| mask_all(item, source)),
        Kind::Map(entries) => entries.iter().for_each(|entry| mask_all(&entry.value, source)),
        Kind::Null | Kind::Refused => {}
    }
}

/// A mistake of form, before its place in lines and columns is known.
struct Problem {
    spot: Spot,
    diagnostic: Diagnostic,
    /// Where the same key stands above.
    first: Option<Spot>,
}

/// A list or map that is being read.
struct Frame {
    spot: Spot,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<Arc<str>, Spot>,
        next: Next,
    },
}

/// What a map expects next.
enum Next {
    Key,
    Value(Arc<str>, Spot),
    /// A value whose key was refused.
    Refused,
}

struct Builder<'l> {
    limits: &'l FileLimits,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    alias_nodes: usize,
    problems: Vec<Problem>,
    complete: bool,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l FileLimits) -> Self {
        Self {
            limits,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            alias_nodes: 0,
            problems: Vec::new(),
            complete: true,
        }
    }

    fn problem(&mut self, spot: Spot, diagnostic: Diagnostic) {
        // Each of these comes from one event, so their number is bounded by the size of the text.
        self.problems.push(Problem {
            spot,
            diagnostic,
            first: None,
        });
    }

    fn run(&mut self, text: &str) {
        let mut options = granit_parser::options! {
            emit_unresolved_aliases: true,
            flow_nesting_limit: self.limits.depth,
            block_nesting_limit: self.limits.depth,
        };
        options.set_emit_comments(false);
        for event in Parser::new_from_str_with_options(text, options) {
            match event {
                Ok((event, span)) => {
                    let spot = Spot::of(&span, text);
                    if !self.event(event, spot, text) {
                        break;
                    }
                }
                Err(error) => {
                    self.syntax_error(&error);
                    break;
                }
            }
        }
    }

    /// Takes one event in; false ends the reading.
    fn event(&mut self, event: Event<'_>, spot: Spot, text: &str) -> bool {
        self.nodes += usize::from(event.is_node());
        if self.nodes > self.limits.nodes {
            self.too_complex(
                spot,
                format!("the file has more than {} values", self.limits.nodes),
            );
            return false;
        }
        if let Some(tag) = event.tag() {
            let shown = quoted(&tag.original());
            self.refuse(
                spot,
                "tags",
                format!("{shown} has no meaning here: write the value without it"),
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.refuse(
                        spot,
                        "several documents in one file",
                        "everything from here on is ignored".to_owned(),
                    );
                    return false;
                }
            }
            Event::Scalar(value, style, anchor, tag) => {
                let raw = text.get(spot.start..spot.end).unwrap_or("");
                let kind = if tag.is_some() {
                    Kind::Refused
                } else {
                    scalar(&value, style, raw)
                };
                self.value(anchor, leaf(kind, spot));
            }
            Event::SequenceStart(_, anchor, _) => self.open(spot, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(
                spot,
                anchor,
                Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    next: Next::Key,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => return self.alias(id, spot),
            Event::UnresolvedAlias(name) => {
                let shown = quoted(&format!("*{name}"));
                self.refuse(
                    spot,
                    "an alias without its anchor",
                    format!("{shown} refers to nothing above it; quote the text if a `*` is meant"),
                );
                self.value(0, leaf(Kind::Refused, spot));
            }
            _ => {}
        }
        true
    }

    fn open(&mut self, spot: Spot, anchor: usize, content: Content) {
        self.stack.push(Frame {
            spot,
            anchor,
            content,
        });
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let node = match frame.content {
            Content::List(items) => Node {
                height: 1 + items.iter().map(|item| item.height).max().unwrap_or(0),
                size: 1 + items.iter().map(|item| item.size).sum::<usize>(),
                kind: Kind::List(Arc::new(items)),
                spot: frame.spot,
            },
            Content::Map { entries, .. } => Node {
                height: 1 + entries.iter().map(|entry| entry.value.height).max().unwrap_or(0),
                size: 1 + entries.iter().map(|entry| entry.value.size).sum::<usize>(),
                kind: Kind::Map(Arc::new(entries)),
                spot: frame.spot,
            },
        };
        self.value(frame.anchor, node);
    }

    fn alias(&mut self, id: usize, spot: Spot) -> bool {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.refuse(
                spot,
                "an alias inside its own anchor",
                "it would never end".to_owned(),
            );
            self.value(0, leaf(Kind::Refused, spot));
            return true;
        };
        self.alias_nodes += node.size;
        if self.alias_nodes > self.limits.alias_nodes || self.stack.len() + node.height > self.limits.depth {
            self.too_complex(spot, "aliases expand to too much".to_owned());
            return false;
        }
        self.value(0, node);
        true
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, anchor: usize, mut node: Node) {
        let Some(frame) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        let mut refused_key = None;
        match &mut frame.content {
            Content::List(items) => items.push(node.clone()),
            Content::Map { entries, seen, next } => match std::mem::replace(next, Next::Key) {
                Next::Key => match map_key(&node, seen) {
                    Ok(key) => {
                        seen.insert(Arc::clone(&key), node.spot);
                        *next = Next::Value(key, node.spot);
                    }
                    Err(refused) => {
                        refused_key = Some(refused);
                        *next = Next::Refused;
                    }
                },
                Next::Value(key, key_spot) => {
                    if !matches!(node.kind, Kind::Scalar { .. }) {
                        // Where a list, a map or nothing stands is best shown by its key.
                        node.spot = key_spot;
                    }
                    let value = node.clone();
                    entries.push(Entry { key, key_spot, value });
                }
                Next::Refused => {}
            },
        }
        if let Some(refused) = refused_key {
            self.refused_key(node.spot, refused);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node);
        }
    }

    fn refused_key(&mut self, spot: Spot, refused: RefusedKey) {
        match refused {
            RefusedKey::NotText => self.refuse(
                spot,
                "keys that are not text",
                "write one word, quoted if need be, before the colon".to_owned(),
            ),
            RefusedKey::Merge => self.refuse(
                spot,
                "merge keys (`<<`)",
                "write the keys out, or give the whole map by an alias".to_owned(),
            ),
            RefusedKey::Twice(key, first) => self.problems.push(Problem {
                spot,
                diagnostic: Diagnostic::new(
                    Code::DuplicateKey,
                    format!("key {} is given twice", quoted(&key)),
                )
                .help("delete one of the two".to_owned()),
                first: Some(first),
            }),
        }
    }

    fn refuse(&mut self, spot: Spot, what: &str, fix: String) {
        self.problem(
            spot,
            Diagnostic::new(Code::YamlFeature, format!("{what} cannot be used in settings")).help(fix),
        );
    }

    fn too_complex(&mut self, spot: Spot, message: String) {
        self.problem(spot, Diagnostic::new(Code::TooComplex, message));
        self.complete = false;
    }

    fn syntax_error(&mut self, error: &ScanError) {
        self.complete = false;
        let spot = Spot::of(&ParserSpan::new(*error.marker(), *error.marker()), "");
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            let message = format!("lists and maps are nested more than {} deep", self.limits.depth);
            self.problem(spot, Diagnostic::new(Code::TooComplex, message));
            return;
        }
        self.problem(
            spot,
            Diagnostic::new(Code::Syntax, syntax_message(error))
                .help(syntax_help(error.kind()).map(str::to_owned)),
        );
    }

    fn finish(mut self) -> (Tree, Vec<Problem>) {
        if !self.complete {
            // Only top-level entries that were finished can be trusted.
            self.stack.truncate(1);
            self.close();
        }
        let tree = Tree {
            root: self.root.unwrap_or_else(|| leaf(Kind::Null, Spot::START)),
            complete: self.complete,
        };
        (tree, self.problems)
    }
}

fn leaf(kind: Kind, spot: Spot) -> Node {
    Node {
        kind,
        spot,
        height: 0,
        size: 1,
    }
}

fn scalar(value: &str, style: ScalarStyle, raw: &str) -> Kind {
    let style = match style {
        ScalarStyle::Plain if raw.is_empty() || matches!(value, "~" | "null" | "Null" | "NULL") => {
            return Kind::Null;
        }
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted {
            verbatim: raw.get(1..raw.len().saturating_sub(1)) == Some(value),
        },
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    };
    Kind::Scalar {
        text: value.into(),
        style,
    }
}

enum RefusedKey {
    NotText,
    Merge,
    Twice(Arc<str>, Spot),
}

fn map_key(node: &Node, seen: &HashMap<Arc<str>, Spot>) -> Result<Arc<str>, RefusedKey> {
    let Kind::Scalar { text, style } = &node.kind else {
        return Err(RefusedKey::NotText);
    };
    if &**text == "<<" && *style == Style::Plain {
        return Err(RefusedKey::Merge);
    }
    match seen.get(text) {
        Some(first) => Err(RefusedKey::Twice(Arc::clone(text), *first)),
        None => Ok(Arc::clone(text)),
    }
}

/// The parser's words, without the half sentence about what it was doing.
fn syntax_message(error: &ScanError) -> String {
    let info = error.info();
    let what = match info.split_once(", ") {
        Some((doing, what)) if doing.starts_with("while ") => what,
        _ => info.as_str(),
    };
    format!("YAML: {}", what.replace("`", "'"))
}

/// The usual cause of a syntax error, if the error points to one.
fn syntax_help(kind: &ErrorKind) -> Option<&'static str> {
    use ErrorKind as K;
    Some(match kind {
        K::TabNotAllowed | K::TabInBlockIndentation | K::TabInIndentation | K::TabAtBlockScalarStart => {
            "indent with spaces, not with tabs"
        }
        K::UnclosedQuotedScalar | K::InvalidQuotedScalarIndent | K::DocumentIndicatorInQuotedScalar => {
            "is a closing quote missing above?"
        }
        K::ExpectedFlowMappingSeparator
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping => "is a `}` or a comma missing above?",
        K::ExpectedFlowSequenceSeparator | K::UnexpectedEofFlowSequence | K::InvalidColonPlacement => {
            "is a `]` or a comma missing above?"
        }
        K::UnclosedFlowCollection { open: '{' } => "is a `}` missing?",
        K::UnclosedFlowCollection { .. } => "is a `]` missing?",
        K::MappingValueNotAllowed => "a second `: ` on one line needs quotes; or is the indentation wrong?",
        K::ExpectedBlockMappingKey | K::InvalidIndentation => "does the indentation match the lines above?",
        K::ExpectedBlockSequenceEntry => "a list and a map cannot be mixed: is a `- ` missing or too much?",
        K::UnexpectedCharacter { .. } => "put the text in quotes",
        K::SimpleKeyExpected | K::InvalidSimpleKey => "is a `: ` missing after the key?",
        K::MissingAnchorOrAliasName => "quote the text: `*` and `&` have a meaning in YAML",
        K::UnknownQuotedScalarEscape => "use single quotes, or write `\\\\` for a backslash",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
