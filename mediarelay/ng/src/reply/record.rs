//! Typed dictionaries: what a key may hold, and records of keys.

use crate::byte_string::ByteString;
use crate::value::{Dict, Value};
use crate::words::{Word, WordSet};

/// What a key of a reply holds.
pub(super) trait Field: Sized {
    /// The value when the key is absent.
    fn absent() -> Self;

    /// Reads a value; `None` when it is not of this kind.
    fn read(value: &Value) -> Option<Self>;

    /// Writes the value; `None` leaves the key out.
    fn write(&self) -> Option<Value>;

    /// Takes a key out of a dictionary. A value of another kind stays there.
    fn take_from(dict: &mut Dict, key: &str) -> Self {
        match dict.get(key).and_then(Self::read) {
            Some(field) => {
                dict.remove(key);
                field
            }
            None => Self::absent(),
        }
    }

    /// Puts a key into a dictionary that does not have it.
    fn put(&self, dict: &mut Dict, key: &'static str) {
        if let Some(value) = self.write() {
            dict.push(ByteString::from_static(key), value);
        }
    }
}

/// A count; absent is 0. Beyond 63 bits it is written as the largest number.
impl Field for u64 {
    fn absent() -> Self {
        0
    }

    fn read(value: &Value) -> Option<Self> {
        value.to_integer().and_then(|number| Self::try_from(number).ok())
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
    }
}

impl Field for i64 {
    fn absent() -> Self {
        0
    }

    fn read(value: &Value) -> Option<Self> {
        value.to_integer()
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Integer(*self))
    }
}

impl Field for ByteString {
    fn absent() -> Self {
        Self::default()
    }

    fn read(value: &Value) -> Option<Self> {
        value.to_bytes()
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Bytes(self.clone()))
    }
}

impl Field for Value {
    fn absent() -> Self {
        Self::Dict(Dict::new())
    }

    fn read(value: &Value) -> Option<Self> {
        Some(value.clone())
    }

    fn write(&self) -> Option<Value> {
        Some(self.clone())
    }
}

impl<T: Field> Field for Option<T> {
    fn absent() -> Self {
        None
    }

    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// A list; absent is empty. It is of another kind when a member is.
impl<T: Field> Field for Vec<T> {
    fn absent() -> Self {
        Self::new()
    }

    fn read(value: &Value) -> Option<Self> {
        value.as_list()?.iter().map(T::read).collect()
    }

    fn write(&self) -> Option<Value> {
        Some(Value::List(self.iter().filter_map(T::write).collect()))
    }
}

/// A dictionary whose keys are data: tags, SSRCs. In order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<T>(pub Vec<(ByteString, T)>);

impl<T> Entries<T> {
    /// The entry with this key.
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        self.0
            .iter()
            .find(|(have, _)| have.as_bytes() == key)
            .map(|(_, entry)| entry)
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Field> Field for Entries<T> {
    fn absent() -> Self {
        Self::default()
    }

    fn read(value: &Value) -> Option<Self> {
        let entries = value
            .as_dict()?
            .iter()
            .map(|(key, value)| Some((key.clone(), T::read(value)?)));
        entries.collect::<Option<_>>().map(Self)
    }

    fn write(&self) -> Option<Value> {
        let entries = self
            .0
            .iter()
            .filter_map(|(key, entry)| Some((key.clone(), entry.write()?)));
        Some(Value::Dict(entries.collect()))
    }
}

/// A list of flags: those with a name here, and the others as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagList<W: Word> {
    /// Known flags.
    pub known: WordSet<W>,
    /// Flags without a name here, as a peer sent them.
    pub other: Vec<ByteString>,
}

impl<W: Word> Default for FlagList<W> {
    fn default() -> Self {
        Self {
            known: WordSet::new(),
            other: Vec::new(),
        }
    }
}

impl<W: Word> FromIterator<W> for FlagList<W> {
    fn from_iter<T: IntoIterator<Item = W>>(flags: T) -> Self {
        Self {
            known: flags.into_iter().collect(),
            other: Vec::new(),
        }
    }
}

impl<W: Word> Field for FlagList<W> {
    fn absent() -> Self {
        Self::default()
    }

    fn read(value: &Value) -> Option<Self> {
        let mut flags = Self::default();
        for member in value.as_list()? {
            let text = member.as_bytes()?;
            match text
                .as_text()
                .and_then(|text| W::ALL.iter().find(|word| word.name() == text))
            {
                Some(word) => flags.known.insert(*word),
                None => flags.other.push(text.clone()),
            }
        }
        Some(flags)
    }

    fn write(&self) -> Option<Value> {
        let known = self.known.iter().map(|flag| ByteString::from_static(flag.name()));
        Some(Value::texts(known.chain(self.other.iter().cloned())))
    }
}

/// Declares a dictionary with fixed keys: `field: Type = "key";`. Every other key is kept in `rest`.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Every other key, as it came.
            pub rest: $crate::value::Dict,
        }

        impl $name {
            /// Writes the keys into a dictionary that may hold others.
            pub(super) fn write_into(&self, dict: &mut $crate::value::Dict) {
                $($crate::reply::record::Field::put(&self.$field, dict, $key);)*
                dict.extend(self.rest.clone());
            }
        }

        impl $crate::reply::record::Field for $name {
            fn absent() -> Self {
                Self::default()
            }

            fn read(value: &$crate::value::Value) -> Option<Self> {
                let mut dict = value.as_dict()?.clone();
                Some(Self {
                    $($field: $crate::reply::record::Field::take_from(&mut dict, $key),)*
                    rest: dict,
                })
            }

            fn write(&self) -> Option<$crate::value::Value> {
                let mut dict = $crate::value::Dict::with_capacity([$($key),*].len());
                self.write_into(&mut dict);
                Some(dict.into())
            }
        }
    };
}
pub(super) use record;
