//! What may stand for a key, as data: the reference page, the JSON Schema and the "expected …" of a diagnostic
//! all come from it.

/// A key of a map in the file.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// The doc comment of the field.
    pub(crate) doc: &'static str,
    pub(crate) presence: Presence,
    pub(crate) shape: Shape,
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The value of this YAML text.
    Default(&'static str),
    /// What the text says; no value of its own.
    Absent(&'static str),
    Required,
}

/// The values that a key takes.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds.
    Whole {
        min: u64,
        max: u64,
    },
    /// A number from 0 on with up to two decimals.
    Decimal {
        max: u32,
    },
    /// Text of one spelling: what it is ("a duration from 1s to 1d") and a pattern for the schema.
    Text {
        what: String,
        pattern: Option<&'static str>,
    },
    /// One fixed word.
    Word(&'static str),
    /// One of several words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    List(Box<Shape>),
    /// A map whose keys are names chosen by the user; `name` says what they name.
    Map {
        name: &'static str,
        value: Box<Shape>,
    },
    Section {
        doc: &'static str,
        keys: Vec<Key>,
    },
    OneOf(Vec<Shape>),
}

impl Shape {
    /// The shape in words, for "expected …" and for the reference page.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Whole { min, max } if min == max => format!("`{min}`"),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Decimal { max } => format!("a number from 0 to {max} with at most two decimals"),
            Self::Text { what, .. } => what.clone(),
            Self::Word(word) => format!("`{word}`"),
            Self::Choice(words) => join_or(
                &words
                    .iter()
                    .map(|(word, _)| format!("`{word}`"))
                    .collect::<Vec<_>>(),
            ),
            Self::List(item) => format!("a list, each {}", item.describe()),
            Self::Map { name, value } => format!("a map from {name} to {}", value.describe()),
            Self::Section { keys, .. } => {
                let names: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
                match names.len() {
                    0..=6 => format!("a map with {}", join_and(&names)),
                    _ => "a map of keys".to_owned(),
                }
            }
            Self::OneOf(shapes) => join_or(&shapes.iter().map(Self::describe).collect::<Vec<_>>()),
        }
    }
}

pub(crate) fn join_or(parts: &[String]) -> String {
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn join_and(parts: &[String]) -> String {
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// The first sentence of a doc comment, on one line, without its full stop.
pub(crate) fn first_sentence(doc: &str) -> String {
    let line = one_line(doc);
    match line.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => line.trim_end_matches('.').to_owned(),
    }
}

/// A doc comment on one line.
pub(crate) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_describe_themselves() {
        let shape = Shape::OneOf(vec![
            Shape::Word("auto"),
            Shape::List(Box::new(Shape::Whole { min: 1, max: 9 })),
        ]);
        assert_eq!(
            shape.describe(),
            "`auto` or a list, each a whole number from 1 to 9"
        );
        assert_eq!(
            Shape::Choice(&[("a", ""), ("b", ""), ("c", "")]).describe(),
            "`a`, `b` or `c`"
        );
    }

    #[test]
    fn sentences_end_at_a_full_stop_and_a_blank() {
        assert_eq!(
            first_sentence(" Media at 10.0.0.5\n counts. Not more."),
            "Media at 10.0.0.5 counts"
        );
        assert_eq!(first_sentence(" One.\n"), "One");
    }
}
