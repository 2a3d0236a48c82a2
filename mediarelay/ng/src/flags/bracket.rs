//! `[a b]` and `[k=v k2=[…]]`: lists and dictionaries inside a flag string.

use super::diagnostic::Problem;
use super::token::tokens;
use crate::byte_string::ByteString;
use crate::value::{Dict, Value};

/// Lists and dictionaries inside each other, as in OpenSIPS.
const DEPTH_MAX: usize = 8;

/// Reads a value that may be in brackets. The first member decides: with `=` it is a dictionary. What has one in a list is a text,
/// unless a bracket follows, which would be neither.
pub(super) fn parse_value(text: &str) -> Result<Value, Problem> {
    parse(text, 0)
}

fn parse(text: &str, depth: usize) -> Result<Value, Problem> {
    if !text.starts_with('[') {
        return Ok(Value::text(text));
    }
    if depth >= DEPTH_MAX {
        return Err(Problem::TooDeep { limit: DEPTH_MAX });
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inner = inner
        .filter(|inner| is_balanced(inner))
        .ok_or(Problem::UnbalancedBracket)?;
    let members = tokens(inner);
    if tokens(inner).next().is_some_and(|first| first.value.is_some()) {
        let entry = |token: super::token::Token<'_>| match token.value {
            Some(value) => Ok((ByteString::from(token.key), parse(value, depth + 1)?)),
            None => Err(Problem::EntryWithoutEquals {
                entry: token.text.to_owned(),
            }),
        };
        return members.map(entry).collect::<Result<Dict, _>>().map(Value::Dict);
    }
    let member = |token: super::token::Token<'_>| match token.value {
        Some(value) if value.starts_with('[') => Err(Problem::EntryInList {
            entry: token.text.to_owned(),
        }),
        _ => parse(token.text, depth + 1),
    };
    members
        .map(member)
        .collect::<Result<Vec<_>, _>>()
        .map(Value::List)
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    for octet in text.bytes() {
        match octet {
            b'[' => depth += 1,
            b']' if depth == 0 => return false,
            b']' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(members: &[&str]) -> Value {
        Value::texts(members.iter().copied())
    }

    #[test]
    fn lists_and_dictionaries_are_told_by_their_first_member() {
        assert_eq!(parse_value("a"), Ok(Value::text("a")));
        assert_eq!(parse_value("[]"), Ok(list(&[])));
        assert_eq!(parse_value("[ a  b ]"), Ok(list(&["a", "b"])));
        assert_eq!(parse_value("[a b=c]"), Ok(list(&["a", "b=c"])));
        let mut dict = Dict::new();
        dict.insert("k", Value::text("v"));
        dict.insert("l", list(&["x", "y"]));
        assert_eq!(parse_value("[k=v l=[x y]]"), Ok(Value::Dict(dict)));
        assert_eq!(
            parse_value("[[a b] [c]]"),
            Ok(Value::List(vec![list(&["a", "b"]), list(&["c"])]))
        );
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(parse_value("[a"), Err(Problem::UnbalancedBracket));
        assert_eq!(parse_value("[a]]"), Err(Problem::UnbalancedBracket));
        assert_eq!(
            parse_value("[k=v x]"),
            Err(Problem::EntryWithoutEquals { entry: "x".into() })
        );
        assert_eq!(
            parse_value("[a k=[b c]]"),
            Err(Problem::EntryInList {
                entry: "k=[b c]".into()
            })
        );
        assert!(parse_value(&format!("{}{}", "[".repeat(8), "]".repeat(8))).is_ok());
        let deep = format!("{}{}", "[".repeat(9), "]".repeat(9));
        assert_eq!(parse_value(&deep), Err(Problem::TooDeep { limit: 8 }));
    }

    #[test]
    fn endless_brackets_end() {
        assert!(parse_value(&"[".repeat(100_000)).is_err());
        assert!(parse_value(&format!("{}{}", "[".repeat(50_000), "]".repeat(50_000))).is_err());
    }
}
