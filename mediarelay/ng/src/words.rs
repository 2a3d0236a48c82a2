//! The words that keys may hold: one table an enum, with every spelling in use.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// An enum whose members are words of the protocol.
pub trait Word: Copy + Eq + fmt::Debug + 'static {
    /// Every member, in order of declaration.
    const ALL: &'static [Self];

    /// The spelling we write: the one that rtpengine 10.5 and the newest release both take, where both
    /// know the word.
    fn name(self) -> &'static str;

    /// Further spellings we read, in lower case with hyphens.
    fn aliases(self) -> &'static [&'static str];

    /// The member a text means. Case does not count; hyphen, space and underscore are the same.
    fn from_text(text: &str) -> Option<Self> {
        let means =
            |word: &Self| same(word.name(), text) || word.aliases().iter().any(|alias| same(alias, text));
        Self::ALL.iter().copied().find(means)
    }
}

/// Lower case, with hyphens for spaces and underscores: a superset of the spellings rtpengine takes. Most texts are in that form
/// already.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|octet| fold_octet(octet) == octet) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.to_ascii_lowercase().replace([' ', '_'], "-"))
}

/// True when both texts fold to the same.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().map(fold_octet).eq(right.bytes().map(fold_octet))
}

/// Only ASCII is changed, and to ASCII.
fn fold_octet(octet: u8) -> u8 {
    match octet {
        b' ' | b'_' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

/// The names of all members, for a message that says what was expected.
pub(crate) fn names<W: Word>() -> String {
    let names: Vec<_> = W::ALL.iter().map(|word| word.name()).collect();
    format!("one of {}", names.join(", "))
}

/// Declares an enum of words: `Variant = "name" ["alias", …]`.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$member_doc:meta])* $member:ident = $text:literal $([$($alias:literal),*])?;)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$member_doc])* $member,)*
        }

        impl $crate::words::Word for $name {
            const ALL: &'static [Self] = &[$(Self::$member),*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$member => $text,)*
                }
            }

            fn aliases(self) -> &'static [&'static str] {
                match self {
                    $(Self::$member => &[$($($alias),*)?],)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::words::Word::name(*self))
            }
        }
    };
}
pub(crate) use words;

/// A set of words. At most 64 members.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WordSet<W> {
    bits: u64,
    words: PhantomData<W>,
}

impl<W: Word> WordSet<W> {
    /// Nothing.
    pub const fn new() -> Self {
        const { assert!(W::ALL.len() <= 64, "a set has 64 bits") }
        Self {
            bits: 0,
            words: PhantomData,
        }
    }

    /// True when nothing is in it.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// True when `word` is in it.
    pub fn contains(self, word: W) -> bool {
        self.bits & Self::bit(word) != 0
    }

    /// Puts `word` in.
    pub fn insert(&mut self, word: W) {
        self.bits |= Self::bit(word);
    }

    /// Takes `word` out.
    pub fn remove(&mut self, word: W) {
        self.bits &= !Self::bit(word);
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
            words: PhantomData,
        }
    }

    /// What is in this, but not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self {
            bits: self.bits & !other.bits,
            words: PhantomData,
        }
    }

    /// The members in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = W> {
        W::ALL.iter().copied().filter(move |word| self.contains(*word))
    }

    fn bit(word: W) -> u64 {
        let position = W::ALL.iter().position(|member| *member == word);
        // Every member is in ALL, and `new` has checked at compile time that there are at most 64.
        position.map_or(0, |position| 1 << position)
    }
}

impl<W: Word> Default for WordSet<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: Word> FromIterator<W> for WordSet<W> {
    fn from_iter<T: IntoIterator<Item = W>>(words: T) -> Self {
        let mut set = Self::new();
        words.into_iter().for_each(|word| set.insert(word));
        set
    }
}

impl<W: Word> Extend<W> for WordSet<W> {
    fn extend<T: IntoIterator<Item = W>>(&mut self, words: T) {
        words.into_iter().for_each(|word| self.insert(word));
    }
}

impl<W: Word, const N: usize> From<[W; N]> for WordSet<W> {
    fn from(words: [W; N]) -> Self {
        words.into_iter().collect()
    }
}

impl<W: Word> fmt::Debug for WordSet<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Word::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unreachable_pub, reason = "the macro makes public enums")]
    mod colour {
        super::words! {
            /// For these tests.
            Colour {
                /// Red
                Red = "Red-ish" ["rouge"];
                /// Blue
                Blue = "blue";
            }
        }
    }
    use colour::Colour;

    #[test]
    fn spellings_are_folded() {
        for text in ["Red-ish", "red_ish", "RED ISH", "Rouge"] {
            assert_eq!(Colour::from_text(text), Some(Colour::Red), "{text}");
        }
        assert_eq!(Colour::from_text("redish"), None);
        assert_eq!(names::<Colour>(), "one of Red-ish, blue");
    }

    #[test]
    fn sets_are_sets() {
        let mut set = WordSet::from([Colour::Blue]);
        set.insert(Colour::Red);
        set.insert(Colour::Red);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Colour::Red, Colour::Blue]);
        assert_eq!(format!("{set:?}"), r#"{"Red-ish", "blue"}"#);
        set.remove(Colour::Red);
        assert_eq!(set, WordSet::from([Colour::Blue]));
        assert_eq!(
            set.union(WordSet::from([Colour::Red])).difference(set),
            WordSet::from([Colour::Red])
        );
    }
}
