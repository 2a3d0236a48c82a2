//! Lists, maps, sections, and forms with a word for "nothing".

use std::marker::PhantomData;

use crate::code::Code;
use crate::decode::{Decoder, Fault, Form, Section, TextForm, decode_text, section_shape};
use crate::diagnostic::Diagnostic;
use crate::shape::Shape;
use crate::tree::{Kind, Node};

/// A list of values of one form.
#[derive(Debug)]
pub(crate) struct List<F>(F);

/// A list; `[]` is an empty one.
pub(crate) fn list<F: Form>(item: F) -> List<F> {
    List(item)
}

impl<F: Form> List<F> {
    /// The good items with their indexes.
    fn items(&self, items: &[Node], decoder: &mut Decoder<'_>) -> Vec<(usize, F::Value)> {
        let decoded = items.iter().enumerate().map(|(index, item)| {
            let value = decoder.within(&format!("[{index}]"), |decoder| self.0.decode(item, decoder));
            value.map(|value| (index, value))
        });
        decoded.flatten().collect()
    }

    fn values(&self, items: &[Node], decoder: &mut Decoder<'_>) -> Vec<F::Value> {
        let items = self.items(items, decoder);
        items.into_iter().map(|(_, value)| value).collect()
    }
}

impl<F: Form> Form for List<F> {
    type Value = Vec<F::Value>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        if let Kind::List(items) = &node.kind {
            return Some(self.values(items, decoder));
        }
        decoder.wrong_form(node, &self.shape());
        None
    }

    fn shape(&self) -> Shape {
        Shape::List(Box::new(self.0.shape()))
    }

    fn default_value(&self, text: &'static str) -> Option<Self::Value> {
        match text {
            // Each of many users has several empty lists.
            "[]" => Some(Vec::new()),
            _ => decode_text(self, text),
        }
    }
}

/// A list whose items keep their index as written, so that a later check can name their place.
#[derive(Debug)]
pub(crate) struct Numbered<F> {
    list: List<F>,
    items_max: usize,
}

/// A list of at most `items_max` pairs `(index as written, value)`.
pub(crate) fn numbered<F: Form>(item: F, items_max: usize) -> Numbered<F> {
    Numbered {
        list: List(item),
        items_max,
    }
}

impl<F: Form> Form for Numbered<F> {
    type Value = Vec<(usize, F::Value)>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        let Kind::List(items) = &node.kind else {
            decoder.wrong_form(node, &self.shape());
            return None;
        };
        if items.len() > self.items_max {
            too_many(node, items.len(), self.items_max, decoder);
            return None;
        }
        Some(self.list.items(items, decoder))
    }

    fn shape(&self) -> Shape {
        self.list.shape()
    }
}

fn too_many(node: &Node, found: usize, items_max: usize, decoder: &mut Decoder<'_>) {
    let message = format!("{} has {found} items", decoder.what());
    let diagnostic =
        Diagnostic::new(Code::OutOfRange, message).expected(format!("at most {items_max} items"));
    decoder.report(node.spot, diagnostic);
}

/// One value, or a list of them.
#[derive(Debug)]
pub(crate) struct OneOrMany<F>(List<F>);

/// A value alone counts as a list of one.
pub(crate) fn one_or_many<F: Form>(item: F) -> OneOrMany<F> {
    OneOrMany(List(item))
}

impl<F: Form> Form for OneOrMany<F> {
    type Value = Vec<F::Value>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => Some(self.0.values(items, decoder)),
            Kind::List(_) | Kind::Null | Kind::Refused => {
                decoder.wrong_form(node, &self.shape());
                None
            }
            Kind::Scalar { .. } | Kind::Map(_) => {
                let value = self.0.0.decode(node, decoder)?;
                Some(vec![value])
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![self.0.0.shape(), self.0.shape()])
    }
}

/// A map whose keys are names.
#[derive(Debug)]
pub(crate) struct MapOf<N, F> {
    title: &'static str,
    name: N,
    value: F,
    entries_max: usize,
}

/// A map from names to values, in the order of the file; `title` says what the names are.
pub(crate) fn map_of<N: TextForm, F: Form>(title: &'static str, name: N, value: F) -> MapOf<N, F> {
    MapOf {
        title,
        name,
        value,
        entries_max: usize::MAX,
    }
}

impl<N, F> MapOf<N, F> {
    /// With this many entries at most.
    pub(crate) fn at_most(self, entries_max: usize) -> Self {
        Self { entries_max, ..self }
    }
}

impl<N: TextForm, F: Form> Form for MapOf<N, F> {
    type Value = Vec<(N::Value, F::Value)>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Self::Value> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            // All entries of a map are often commented out; that is an empty map.
            Kind::Null => return Some(Vec::new()),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Refused => {
                decoder.wrong_form(node, &self.shape());
                return None;
            }
        };
        if entries.len() > self.entries_max {
            too_many(node, entries.len(), self.entries_max, decoder);
            return None;
        }
        let mut decoded = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            let name = self.name.parse(&entry.key).map_err(|fault: Fault| {
                let what = format!("a key of {}", decoder.what());
                let diagnostic = fault.diagnostic(&self.name, &entry.key, &what);
                decoder.report(entry.key_spot, diagnostic);
            });
            let value = decoder.within(&entry.key, |decoder| self.value.decode(&entry.value, decoder));
            if let (Ok(name), Some(value)) = (name, value) {
                decoded.push((name, value));
            }
        }
        Some(decoded)
    }

    fn shape(&self) -> Shape {
        Shape::Map {
            name: self.title,
            value: Box::new(self.value.shape()),
        }
    }
}

/// The keys of a section.
#[derive(Debug)]
pub(crate) struct SectionForm<S>(PhantomData<S>);

/// A map with the keys of `S`.
pub(crate) fn section_form<S: Section>() -> SectionForm<S> {
    SectionForm(PhantomData)
}

impl<S: Section> Form for SectionForm<S> {
    type Value = S;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<S> {
        decoder.section(node)
    }

    fn shape(&self) -> Shape {
        section_shape::<S>()
    }
}

/// A text form with one word more, which stands for `None`.
#[derive(Debug)]
pub(crate) struct OrWord<F> {
    word: &'static str,
    form: F,
}

/// The word `word` is `None`, anything else is of the form.
pub(crate) fn or_word<F: TextForm>(word: &'static str, form: F) -> OrWord<F> {
    OrWord { word, form }
}

impl<F: TextForm> TextForm for OrWord<F> {
    type Value = Option<F::Value>;

    fn parse(&self, text: &str) -> Result<Self::Value, Fault> {
        if text == self.word {
            return Ok(None);
        }
        self.form.parse(text).map(Some)
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![Shape::Word(self.word), self.form.shape()])
    }

    fn plain_only(&self) -> bool {
        self.form.plain_only()
    }
}
