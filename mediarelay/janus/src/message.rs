//! Reading members of a client's JSON.

use serde_json::{Map, Value};

use crate::error::{MISSING_ELEMENT, Refusal};

pub(crate) type Object = Map<String, Value>;

/// The largest number that is given out: JavaScript counts exactly up to 2^53, and Janus stays below that.
pub(crate) const ID_MAX: u64 = (1 << 51) - 1;

/// A name of a session, handle, room or feed: a number, or its digits as text. `None` if it is neither, or 0.
pub(crate) fn id(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.filter(|number| *number != 0 && i64::try_from(*number).is_ok())
}

/// The same by its key; `None` as well if there is no such member.
pub(crate) fn id_of(object: &Object, key: &str) -> Option<u64> {
    object.get(key).and_then(id)
}

/// A text by its key, if it is one.
pub(crate) fn text<'o>(object: &'o Object, key: &str) -> Option<&'o str> {
    object.get(key).and_then(Value::as_str)
}

/// A text that there must be. `what` is how the member is called to the client.
pub(crate) fn required<'o>(object: &'o Object, key: &str, what: &str) -> Result<&'o str, Refusal> {
    match object.get(key) {
        None | Some(Value::Null) => Err(missing(what)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::new(
            MISSING_ELEMENT,
            format!("'{what}' key does not contain a string"),
        )),
    }
}

/// A member is missing. The words are rtpengine's: its clients may compare them.
pub(crate) fn missing(what: &str) -> Refusal {
    Refusal::new(
        MISSING_ELEMENT,
        format!("JSON object does not contain '{what}' key"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_numbers_or_digits_and_never_nothing() {
        for (value, read) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!(0), None),
            (json!("0"), None),
            (json!(-1), None),
            (json!(1.5), None),
            (json!("7x"), None),
            (json!(""), None),
            (json!(u64::MAX), None),
            (json!([7]), None),
        ] {
            assert_eq!(id(&value), read, "{value}");
        }
    }
}
