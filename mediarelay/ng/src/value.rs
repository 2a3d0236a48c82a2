//! The tree that both encodings carry.

use crate::byte_string::ByteString;

/// One value of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Octets.
    Bytes(ByteString),
    /// A number.
    Integer(i64),
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Dict(Dict),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<ByteString>) -> Self {
        Self::Bytes(text.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<ByteString>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The octets of a string; `None` for every other value.
    pub fn as_bytes(&self) -> Option<&ByteString> {
        match self {
            Self::Bytes(octets) => Some(octets),
            Self::Integer(_) | Self::List(_) | Self::Dict(_) => None,
        }
    }

    /// The members of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(members) => Some(members),
            Self::Bytes(_) | Self::Integer(_) | Self::Dict(_) => None,
        }
    }

    /// The dictionary.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(dict) => Some(dict),
            Self::Bytes(_) | Self::Integer(_) | Self::List(_) => None,
        }
    }

    /// A number, also one written as a decimal string: OpenSIPS sends `TOS` as `"184"`.
    pub fn to_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bytes(text) => text.as_text()?.trim_ascii().parse().ok(),
            Self::List(_) | Self::Dict(_) => None,
        }
    }

    /// A string, also a number as its decimal digits.
    pub fn to_bytes(&self) -> Option<ByteString> {
        match self {
            Self::Bytes(octets) => Some(octets.clone()),
            Self::Integer(number) => Some(ByteString::from(number.to_string())),
            Self::List(_) | Self::Dict(_) => None,
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}

/// A dictionary that keeps the order of its keys. No key stands in it twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dict(Vec<(ByteString, Value)>);

impl Dict {
    /// An empty dictionary.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty dictionary with room for so many keys.
    pub fn with_capacity(keys: usize) -> Self {
        Self(Vec::with_capacity(keys))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key, which is compared octet by octet. Takes time in proportion to the length.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(have, _)| *have == key)
            .map(|(_, value)| value)
    }

    /// Sets a key: in its place if it is there, else at the end.
    pub fn insert(&mut self, key: impl Into<ByteString>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(have, _)| *have == key) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets a key that is not there, which is not looked for.
    pub(crate) fn push(&mut self, key: ByteString, value: Value) {
        debug_assert!(!self.0.iter().any(|(have, _)| *have == key), "{key} is there");
        self.0.push((key, value));
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(have, _)| *have == key)?;
        Some(self.0.remove(at).1)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ByteString, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// So many keys are compared with each other sooner than sorted.
const FEW: usize = 16;

/// Where a key is repeated the last one counts, and stands where it was last written.
/// Takes time n log n, so a message full of keys cannot make it slow.
impl FromIterator<(ByteString, Value)> for Dict {
    fn from_iter<T: IntoIterator<Item = (ByteString, Value)>>(pairs: T) -> Self {
        let mut pairs: Vec<(ByteString, Value)> = pairs.into_iter().collect();
        if pairs.len() <= FEW && (1..pairs.len()).all(|at| !pairs[..at].iter().any(|of| of.0 == pairs[at].0))
        {
            return Self(pairs);
        }
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        // Stable: among equal keys the last written stays last.
        order.sort_by(|left, right| pairs[*left].0.cmp(&pairs[*right].0));
        let mut keep = vec![true; pairs.len()];
        for neighbours in order.windows(2) {
            if let [earlier, later] = *neighbours
                && pairs[earlier].0 == pairs[later].0
            {
                keep[earlier] = false;
            }
        }
        let mut keep = keep.into_iter();
        pairs.retain(|_| keep.next().unwrap_or(true));
        Self(pairs)
    }
}

/// Adds many keys at the cost of one sort. A key that is there already counts as repeated.
impl Extend<(ByteString, Value)> for Dict {
    fn extend<T: IntoIterator<Item = (ByteString, Value)>>(&mut self, pairs: T) {
        let mut pairs = pairs.into_iter().peekable();
        if pairs.peek().is_some() {
            *self = std::mem::take(&mut self.0).into_iter().chain(pairs).collect();
        }
    }
}

impl IntoIterator for Dict {
    type Item = (ByteString, Value);
    type IntoIter = std::vec::IntoIter<(ByteString, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, number: i64) -> (ByteString, Value) {
        (key.into(), Value::Integer(number))
    }

    #[test]
    fn last_of_repeated_keys_counts_and_order_is_kept() {
        let dict: Dict = [
            pair("b", 1),
            pair("a", 2),
            pair("b", 3),
            pair("c", 4),
            pair("b", 5),
        ]
        .into_iter()
        .collect();
        let shown: Vec<_> = dict
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_integer().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [("a".to_owned(), 2), ("c".to_owned(), 4), ("b".to_owned(), 5)]
        );
    }

    #[test]
    fn insert_replaces_in_place() {
        let mut dict = Dict::new();
        dict.insert("a", 1);
        dict.insert("b", 2);
        dict.insert("a", 3);
        assert_eq!(dict.iter().next().unwrap().1, &Value::Integer(3));
        assert_eq!(
            (dict.len(), dict.remove("a"), dict.len()),
            (2, Some(Value::Integer(3)), 1)
        );
        assert_eq!(dict.get("a"), None);
        assert_eq!(dict.remove("a"), None);
    }

    #[test]
    fn extended_keys_count_as_repeated() {
        let mut dict: Dict = [pair("a", 1), pair("b", 2)].into_iter().collect();
        dict.extend([pair("a", 3), pair("c", 4)]);
        let shown: Vec<_> = dict.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(
            (shown.join(" "), dict.get("a")),
            ("b a c".to_owned(), Some(&Value::Integer(3)))
        );
    }

    #[test]
    fn message_full_of_keys_is_read_in_time() {
        // Two hundred thousand keys would take minutes if each were compared with all others.
        let dict: Dict = (0..200_000)
            .map(|number| pair(&number.to_string(), number))
            .collect();
        assert_eq!(dict.len(), 200_000);
    }

    #[test]
    fn numbers_and_texts_stand_for_each_other() {
        assert_eq!(Value::text("184").to_integer(), Some(184));
        assert_eq!(Value::text(" -1 ").to_integer(), Some(-1));
        assert_eq!(Value::text("x").to_integer(), None);
        assert_eq!(Value::Integer(5).to_bytes(), Some("5".into()));
        assert_eq!(Value::List(Vec::new()).to_bytes(), None);
    }

    #[test]
    fn strings_show_escaped() {
        assert_eq!(
            format!("{:?}", ByteString::from(&b"a\r\n\xff\""[..])),
            r#""a\r\n\xff\"""#
        );
    }
}
