//! What a file says, key by key, and in what two files differ.

use std::fmt;
use std::sync::Arc;

use crate::decode::Section;
use crate::shape::{Key, Presence, Shape};
use crate::source::{FileLimits, Reporter, Source, names_a_secret};
use crate::tree::{self, Kind, Node};

/// Characters of a value that a [`Difference`] shows.
const SHOWN_MAX: usize = 80;

/// The keys and values of a file as they are written, for comparison with another file of the same kind. Secrets are
/// not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    root: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Arc<str>),
    /// The value of a key that may be a secret. All look the same.
    Hidden,
    List(Vec<Value>),
    Map(Vec<(Arc<str>, Value)>),
}

/// One key, list item or name that is not the same in two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `limits.calls`, `users.alice`.
    pub key: String,
    /// What the first file says; what holds by default where it says nothing. `None` for what it does not have at all.
    pub from: Option<String>,
    /// What the second file says. `None` for what it does not have at all. With neither, what cannot be shown has
    /// changed, or the order has.
    pub to: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "{key}: {from} → {to}"),
            (None, Some(to)) => write!(f, "{key}: added {to}"),
            (Some(from), None) => write!(f, "{key}: removed {from}"),
            (None, None) => write!(f, "{key}: changed"),
        }
    }
}

impl Difference {
    /// A change that cannot be shown.
    pub fn unseen(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            from: None,
            to: None,
        }
    }

    /// Whether it is about this key or what is below it.
    #[must_use]
    pub fn is_within(&self, key: &str) -> bool {
        let rest = self.key.strip_prefix(key);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Default for Written {
    fn default() -> Self {
        Self {
            root: Value::Map(Vec::new()),
        }
    }
}

impl Written {
    pub(crate) fn of(root: &Node) -> Self {
        let root = Value::of(root).unwrap_or(Value::Map(Vec::new()));
        Self { root }
    }

    /// In what `other` differs, for files of which `S` is the whole. A key that one of them leaves out counts as its
    /// default.
    pub(crate) fn differences<S: Section>(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        section(&mut found, "", &S::keys(), Some(&self.root), Some(&other.root));
        found
    }
}

impl Value {
    /// `None` for nothing.
    fn of(node: &Node) -> Option<Self> {
        Some(match &node.kind {
            Kind::Null | Kind::Refused => return None,
            Kind::Scalar { text, .. } => Self::Text(Arc::clone(text)),
            Kind::List(items) => Self::List(items.iter().filter_map(Self::of).collect()),
            Kind::Map(entries) => {
                let entry = |entry: &tree::Entry| {
                    let value = if names_a_secret(&entry.key) {
                        Self::Hidden
                    } else {
                        Self::of(&entry.value)?
                    };
                    Some((Arc::clone(&entry.key), value))
                };
                Self::Map(entries.iter().filter_map(entry).collect())
            }
        })
    }

    /// The value of a default.
    fn of_text(text: &'static str) -> Option<Self> {
        let mut reporter = Reporter::new(vec![Source::new("default", text)]);
        Self::of(&tree::build(&mut reporter, 0, &FileLimits::default()).root)
    }

    fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| **key == *name)
                .map(|(_, value)| value),
            Self::Text(_) | Self::Hidden | Self::List(_) => None,
        }
    }

    fn is_map(&self) -> bool {
        matches!(self, Self::Map(_))
    }

    fn shown(&self) -> String {
        let full = self.to_string();
        if full.chars().count() <= SHOWN_MAX {
            return full;
        }
        let start: String = full.chars().take(SHOWN_MAX - 1).collect();
        format!("{start}…")
    }
}

impl fmt::Display for Value {
    /// As YAML on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.is_empty() || text.contains([',', '{', '}', '[', ']', ' ']) => {
                write!(f, "'{text}'")
            }
            Self::Text(text) => f.write_str(text),
            Self::Hidden => f.write_str("***"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                write!(f, "{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// The keys of a section, in the order of the reference.
fn section(out: &mut Vec<Difference>, path: &str, keys: &[Key], old: Option<&Value>, new: Option<&Value>) {
    for key in keys {
        let path = join(path, key.name);
        let of = |value: Option<&Value>| value.and_then(|value| value.get(key.name)).cloned();
        let (old, new) = (of(old), of(new));
        if old != new {
            key_differs(out, &path, key, old, new);
        }
    }
}

fn key_differs(out: &mut Vec<Difference>, path: &str, key: &Key, old: Option<Value>, new: Option<Value>) {
    let is_map = |value: &Option<Value>| match (value, key.presence) {
        (Some(value), _) => value.is_map(),
        (None, Presence::Default(text)) => Value::of_text(text).is_none_or(|value| value.is_map()),
        (None, Presence::Absent(_) | Presence::Required) => false,
    };
    match (maps_of(&key.shape), is_map(&old) && is_map(&new)) {
        (Some(Maps::Section(keys)), true) => section(out, path, keys, old.as_ref(), new.as_ref()),
        (Some(Maps::Names(value)), true) => names(out, path, value, old.as_ref(), new.as_ref()),
        _ => value(out, path, key.presence, old, new),
    }
}

/// What a key holds if it holds a map.
enum Maps<'a> {
    /// Keys of ours.
    Section(&'a [Key]),
    /// Names of the user's.
    Names(&'a Shape),
}

fn maps_of(shape: &Shape) -> Option<Maps<'_>> {
    match shape {
        Shape::Section { keys, .. } => Some(Maps::Section(keys)),
        Shape::Map { value, .. } => Some(Maps::Names(value)),
        Shape::OneOf(shapes) => shapes.iter().find_map(maps_of),
        Shape::Switch
        | Shape::Whole { .. }
        | Shape::Decimal { .. }
        | Shape::Text { .. }
        | Shape::Word(_)
        | Shape::Choice(_)
        | Shape::List(_) => None,
    }
}

/// A map from names: those that came, those that went, and what differs in those that stayed.
fn names(out: &mut Vec<Difference>, path: &str, shape: &Shape, old: Option<&Value>, new: Option<&Value>) {
    let entries = |value: Option<&Value>| match value {
        Some(Value::Map(entries)) => entries.iter().cloned().collect(),
        _ => std::collections::BTreeMap::<Arc<str>, Value>::new(),
    };
    let (old, mut new) = (entries(old), entries(new));
    for (name, old) in old {
        let path = join(path, &name);
        match new.remove(&name) {
            None => out.push(Difference {
                from: Some(old.shown()),
                ..Difference::unseen(path)
            }),
            Some(new) if new != old => match maps_of(shape) {
                Some(Maps::Section(keys)) if old.is_map() && new.is_map() => {
                    section(out, &path, keys, Some(&old), Some(&new));
                }
                _ => value(out, &path, Presence::Required, Some(old), Some(new)),
            },
            Some(_) => {}
        }
    }
    for (name, new) in new {
        out.push(Difference {
            to: Some(new.shown()),
            ..Difference::unseen(join(path, &name))
        });
    }
}

/// A value as a whole, or the items of a list.
fn value(out: &mut Vec<Difference>, path: &str, presence: Presence, old: Option<Value>, new: Option<Value>) {
    let or_default = |value: Option<Value>| match (value, presence) {
        (Some(value), _) => (Some(value.shown()), Some(value)),
        (None, Presence::Default(text)) => (Some(text.to_owned()), Value::of_text(text)),
        (None, Presence::Absent(_) | Presence::Required) => (Some("(not set)".to_owned()), None),
    };
    let ((from, old), (to, new)) = (or_default(old), or_default(new));
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::List(old)), Some(Value::List(new))) => items(out, path, &old, &new),
        _ => out.push(Difference {
            key: path.to_owned(),
            from,
            to,
        }),
    }
}

/// What a list lost and gained. One that only changed its order says so.
fn items(out: &mut Vec<Difference>, path: &str, old: &[Value], new: &[Value]) {
    let count = |items: &[Value]| {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for item in items {
            *counts.entry(item.to_string()).or_default() += 1;
        }
        counts
    };
    let (before, after) = (count(old), count(new));
    let begin = out.len();
    // What one list has more often than the other.
    let mut report = |items: &[Value], others: &std::collections::BTreeMap<String, usize>, is_new: bool| {
        let mut left = others.clone();
        for item in items {
            match left.get_mut(&item.to_string()) {
                Some(count) if *count > 0 => *count -= 1,
                _ => out.push(Difference {
                    key: path.to_owned(),
                    from: (!is_new).then(|| item.shown()),
                    to: is_new.then(|| item.shown()),
                }),
            }
        }
    };
    report(old, &after, false);
    report(new, &before, true);
    if out.len() == begin {
        out.push(Difference::unseen(format!("{path} (order)")));
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::GatewayFile;

    fn written(text: &'static str) -> Written {
        let mut reporter = Reporter::new(vec![Source::new("test.yaml", text)]);
        Written::of(&tree::build(&mut reporter, 0, &FileLimits::default()).root)
    }

    fn differences(old: &'static str, new: &'static str) -> Vec<String> {
        let found = written(old).differences::<GatewayFile>(&written(new));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_that_is_left_out_counts_as_its_default() {
        assert_eq!(
            differences("limits: { calls: 50 }", "site: {}"),
            ["limits.calls: 50 → 1000"]
        );
        assert_eq!(differences("limits: { calls: 1000 }", ""), [""; 0]);
        assert_eq!(
            differences("", "admin: { socket: /run/x }"),
            ["admin.socket: (not set) → /run/x"]
        );
    }

    #[test]
    fn names_come_and_go_and_change_inside() {
        assert_eq!(
            differences(
                "users: { a: { secret_env: A }, b: { devices: 1, secret_env: B } }",
                "users: { b: { devices: 2, secret_env: B }, c: { secret_env: C } }"
            ),
            [
                "users.a: removed { secret_env: A }",
                "users.b.devices: 1 → 2",
                "users.c: added { secret_env: C }"
            ]
        );
    }

    #[test]
    fn lists_show_what_they_lost_and_gained_but_not_what_moved_up() {
        assert_eq!(
            differences(
                "listen: [sip+udp://10.0.0.1:5060, sip+tcp://10.0.0.1:5060]",
                "listen: [sip+tcp://10.0.0.1:5060, ws://10.0.0.1:80]"
            ),
            [
                "listen: removed sip+udp://10.0.0.1:5060",
                "listen: added ws://10.0.0.1:80"
            ]
        );
        assert_eq!(
            differences(
                "auth: { challenge: { ws: [MD5, SHA-256] } }",
                "auth: { challenge: { ws: [SHA-256, MD5] } }"
            ),
            ["auth.challenge.ws (order): changed"]
        );
    }

    #[test]
    fn a_word_becomes_a_map() {
        assert_eq!(
            differences("", "tls: { certificate: { cert: a.pem, key: b.pem } }"),
            ["tls.certificate: self-signed → { cert: a.pem, key: b.pem }"]
        );
    }

    #[test]
    fn secrets_are_never_kept() {
        let with = written("users: { a: { secret: hunter2 } }");
        assert!(!format!("{with:?}").contains("hunter2"));
        assert_eq!(
            differences("users: {}", "users: { a: { secret: hunter2 } }"),
            ["users.a: added { secret: *** }"]
        );
        let hash = written("users: { a: { ha1: { MD5: 0123456789abcdef0123456789abcdef } } }");
        assert!(!format!("{hash:?}").contains("0123"));
    }
}
