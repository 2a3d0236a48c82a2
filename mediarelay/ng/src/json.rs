//! JSON: the same tree, for clients that have no bencode.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::byte_string::ByteString;
use crate::decode::{Budget, DecodeError, DecodeFault};
use crate::limits::Limits;
use crate::value::{Dict, Value};

/// Reads one value. What NG has no kind for is brought into it: `true` and `false` are 1 and 0, `null` is
/// left out, a number with a fraction is its text.
pub fn decode(body: &[u8], limits: &Limits) -> Result<Value, DecodeError> {
    let state = State {
        budget: RefCell::new(Budget::new(body, limits)?),
        fault: RefCell::new(None),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Seed {
        state: &state,
        depth: 0,
    }
    .deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    let fail = |fault, offset| Err(DecodeError { offset, fault });
    match read {
        Ok(Some(value)) => Ok(value),
        Ok(None) => fail(DecodeFault::Json("null".to_owned()), 0),
        Err(error) => {
            let offset = offset_of(body, error.line(), error.column());
            let fault = state
                .fault
                .take()
                .unwrap_or_else(|| DecodeFault::Json(error.to_string()));
            fail(fault, offset)
        }
    }
}

/// Writes one value. Octets that are not UTF-8 are replaced: JSON cannot carry them.
pub fn encode(value: &Value) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every write, and all keys are strings"
    )]
    serde_json::to_vec(&Printed(value)).expect("a value is always printable")
}

/// Octets before a place that the parser gives as line and column, both counted from 1.
fn offset_of(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize = body
        .split_inclusive(|octet| *octet == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(body.len())
}

/// What is spent, and the fault that made the parser stop, if it was ours.
struct State {
    budget: RefCell<Budget>,
    fault: RefCell<Option<DecodeFault>>,
}

impl State {
    fn check<E: Error>(&self, result: Result<(), DecodeFault>) -> Result<(), E> {
        result.map_err(|fault| {
            let error = E::custom(&fault);
            *self.fault.borrow_mut() = Some(fault);
            error
        })
    }
}

/// Reads one value inside `depth` containers; `None` for `null`.
#[derive(Clone, Copy)]
struct Seed<'s> {
    state: &'s State,
    depth: usize,
}

impl Seed<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let descended = self.state.budget.borrow().descend(self.depth);
        self.state.check(descended)?;
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn spend<E: Error>(&self) -> Result<(), E> {
        let spent = self.state.budget.borrow_mut().spend();
        self.state.check(spent)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(truth.into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let Ok(number) = i64::try_from(number) else {
            self.state.check(Err(DecodeFault::Overflow))?;
            return Ok(None);
        };
        Ok(Some(Value::Integer(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::text(number.to_string())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::text(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(member) = members.next_element_seed(inner)? {
            list.extend(member);
        }
        Ok(Some(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let inner = self.inner()?;
        let mut pairs = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            inner.spend()?;
            let value = entries.next_value_seed(inner)?;
            pairs.extend(value.map(|value| (ByteString::from(key), value)));
        }
        Ok(Some(Value::Dict(Dict::from_iter(pairs))))
    }
}

/// A value as JSON.
struct Printed<'v>(&'v Value);

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bytes(text) => serializer.serialize_str(&text.to_text()),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::List(members) => {
                let mut list = serializer.serialize_seq(Some(members.len()))?;
                members
                    .iter()
                    .try_for_each(|member| list.serialize_element(&Printed(member)))?;
                list.end()
            }
            Value::Dict(dict) => {
                let mut map = serializer.serialize_map(Some(dict.len()))?;
                dict.iter()
                    .try_for_each(|(key, value)| map.serialize_entry(&key.to_text(), &Printed(value)))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> DecodeFault {
        decode(body.as_bytes(), &Limits::default()).unwrap_err().fault
    }

    fn read(body: &str) -> Value {
        decode(body.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_read_and_written() {
        for body in [
            r#"{"a":1,"b":["x",-2,{}],"c":{"d":"\r\n\u0000é"}}"#,
            "[]",
            "9223372036854775807",
            r#""""#,
        ] {
            assert_eq!(encode(&read(body)), body.as_bytes());
        }
    }

    #[test]
    fn what_ng_has_no_kind_for_is_brought_into_it() {
        assert_eq!(
            read(r#"{"a":true,"b":null,"c":1.5,"d":[null,false]}"#),
            read(r#"{"a":1,"c":"1.5","d":[0]}"#)
        );
    }

    #[test]
    fn last_duplicate_wins() {
        assert_eq!(read(r#"{"a":1,"b":2,"a":3}"#), read(r#"{"b":2,"a":3}"#));
    }

    #[test]
    fn octets_that_are_not_text_are_replaced() {
        assert_eq!(encode(&Value::text(&b"a\xffb"[..])), "\"a\u{fffd}b\"".as_bytes());
    }

    #[test]
    fn broken_documents_are_refused_with_their_place() {
        for body in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":01}",
            "{\"a\":1}x",
            "null",
            "{\"a\":\"\\ud800\"}",
            "{'a':1}",
        ] {
            assert!(matches!(fault(body), DecodeFault::Json(_)), "{body}");
        }
        assert_eq!(
            decode(b"{\n \"a\": x}", &Limits::default()).unwrap_err().offset,
            8
        );
        assert_eq!(fault("{\"a\":9223372036854775808}"), DecodeFault::Overflow);
        assert!(decode(b"{\"a\":\"\xff\"}", &Limits::default()).is_err());
    }

    #[test]
    fn every_limit_is_enforced() {
        let limits = Limits::default();
        let within = |body: &[u8], limits| decode(body, &limits).map_err(|error| error.fault);
        assert_eq!(
            within(
                b"[]",
                Limits {
                    octets_max: 1,
                    ..limits
                }
            ),
            Err(DecodeFault::TooManyOctets(1))
        );
        assert_eq!(
            within(
                b"[[]]",
                Limits {
                    depth_max: 1,
                    ..limits
                }
            ),
            Err(DecodeFault::TooDeep(1))
        );
        assert!(
            within(
                b"[[]]",
                Limits {
                    depth_max: 2,
                    ..limits
                }
            )
            .is_ok()
        );
        let body = br#"[1,2,{"a":3}]"#;
        assert_eq!(
            within(
                body,
                Limits {
                    elements_max: 5,
                    ..limits
                }
            ),
            Err(DecodeFault::TooManyElements(5))
        );
        assert!(
            within(
                body,
                Limits {
                    elements_max: 6,
                    ..limits
                }
            )
            .is_ok()
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(fault(&"[".repeat(100_000)), DecodeFault::TooDeep(32));
    }
}
