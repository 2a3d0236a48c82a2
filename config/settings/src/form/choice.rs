//! Choices: one of a few words, each an enum variant.

use std::marker::PhantomData;

use crate::code::Code;
use crate::decode::{Fault, TextForm};
use crate::shape::Shape;
use crate::suggest::did_you_mean;

/// An enum whose variants are words of the file.
pub(crate) trait Choice: Sized + Copy + 'static {
    /// Each word with the doc comment of its variant, in the order of the enum.
    const WORDS: &'static [(&'static str, &'static str)];

    /// The variants, in the same order.
    const VARIANTS: &'static [Self];
}

/// A word for a variant of `T`.
#[derive(Debug)]
pub(crate) struct ChoiceForm<T>(PhantomData<T>);

/// One of the words of `T`.
pub(crate) fn choice<T: Choice>() -> ChoiceForm<T> {
    ChoiceForm(PhantomData)
}

impl<T: Choice> TextForm for ChoiceForm<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Result<T, Fault> {
        if let Some(index) = T::WORDS.iter().position(|(word, _)| *word == text) {
            return Ok(T::VARIANTS[index]);
        }
        let words = T::WORDS.iter().map(|(word, _)| *word);
        Err(Fault {
            code: Code::UnknownChoice,
            ..Fault::bad().help(did_you_mean(text, words))
        })
    }

    fn shape(&self) -> Shape {
        Shape::Choice(T::WORDS)
    }
}

/// Defines an enum whose variants are words of the file: `Variant = "word"` with doc comments.
macro_rules! choices {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $variant:ident = $word:literal,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(
                $(#[doc = $doc])*
                $variant,
            )*
        }

        impl $name {
            /// Every choice, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that stands for this in the file.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::form::choice::Choice for $name {
            const WORDS: &'static [(&'static str, &'static str)] =
                &[$(($word, concat!($($doc, "\n"),*)),)*];
            const VARIANTS: &'static [Self] = Self::ALL;
        }
    };
}
pub(crate) use choices;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::gateway::service::LogLevel;

    #[test]
    fn words_are_exact_and_suggested() {
        let form = choice::<LogLevel>();
        assert_eq!(form.parse("debug"), Ok(LogLevel::Debug));
        let fault = form.parse("Debgu").unwrap_err();
        assert_eq!(
            (fault.code, fault.help.as_deref()),
            (Code::UnknownChoice, Some("did you mean `debug`?"))
        );
        assert_eq!(LogLevel::Warn.to_string(), "warn");
    }
}
