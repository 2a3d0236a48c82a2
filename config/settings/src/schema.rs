//! JSON Schemas of the YAML files, so that editors complete and check keys.

use serde_json::{Map, Value, json};

use crate::decode::Section;
use crate::gateway::GatewayFile;
use crate::relay::RelayFile;
use crate::shape::{Key, Presence, Shape, one_line};
use crate::source::{FileLimits, Reporter, Source};
use crate::tree::{self, Kind, Node, Style};

/// The JSON Schema (draft 2020-12) of the gateway's configuration file.
#[must_use]
pub fn gateway_schema() -> Value {
    document::<GatewayFile>("Configuration of the viaduct gateway")
}

/// The JSON Schema (draft 2020-12) of the relay's configuration file.
#[must_use]
pub fn relay_schema() -> Value {
    document::<RelayFile>("Configuration of viaduct-relay")
}

fn document<S: Section>(title: &str) -> Value {
    let mut schema = section(S::DOC, &S::keys());
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!(title));
    Value::Object(schema)
}

fn section(doc: &str, keys: &[Key]) -> Map<String, Value> {
    let required: Vec<_> = keys
        .iter()
        .filter(|key| key.presence == Presence::Required)
        .map(|key| key.name)
        .collect();
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(one_line(doc)));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = of(&key.shape);
    schema.insert("description".to_owned(), json!(one_line(key.doc)));
    if let Presence::Default(text) = key.presence {
        schema.insert("default".to_owned(), default(text));
    }
    Value::Object(schema)
}

fn of(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Switch => json!({ "type": "boolean" }),
        Shape::Decimal { max } => json!({ "type": "number", "minimum": 0, "maximum": max }),
        Shape::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Text {
            pattern: Some(pattern),
            ..
        } => json!({ "type": "string", "pattern": pattern }),
        Shape::Text { pattern: None, .. } => json!({ "type": "string", "minLength": 1 }),
        Shape::Word(word) => json!({ "const": word }),
        Shape::Choice(words) => json!({ "enum": words.iter().map(|(word, _)| word).collect::<Vec<_>>() }),
        Shape::List(item) => json!({ "type": "array", "items": of(item) }),
        Shape::Map { value, .. } => json!({ "type": "object", "additionalProperties": of(value) }),
        Shape::Section { doc, keys } => return section(doc, keys),
        Shape::OneOf(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A default, which is written as YAML, as JSON.
fn default(text: &str) -> Value {
    let mut reporter = Reporter::new(vec![Source::new("default", text)]);
    to_json(&tree::build(&mut reporter, 0, &FileLimits::default()).root)
}

fn to_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null | Kind::Refused => Value::Null,
        Kind::Scalar { text, style } => match (style, text.as_ref()) {
            (Style::Plain, "true") => json!(true),
            (Style::Plain, "false") => json!(false),
            (Style::Plain, digits) if digits.parse::<u64>().is_ok() => json!(digits.parse::<u64>().ok()),
            (_, text) => json!(text),
        },
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), to_json(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_types_bounds_defaults_and_docs() {
        let schema = gateway_schema();
        let limits = &schema["properties"]["limits"]["properties"];
        assert_eq!(limits["calls"]["type"], "integer");
        assert_eq!(limits["calls"]["default"], 1000);
        assert_eq!(limits["calls"]["minimum"], 1);
        assert!(
            limits["calls"]["description"]
                .as_str()
                .unwrap()
                .starts_with("Calls at the same time")
        );
        assert_eq!(schema["additionalProperties"], false);
        let route = &schema["properties"]["routes"]["items"];
        assert_eq!(route["required"], json!(["match", "send_to"]));
        assert_eq!(
            schema["properties"]["tls"]["properties"]["certificate"]["anyOf"][0],
            json!({ "const": "self-signed" })
        );
    }

    #[test]
    fn the_relay_has_the_media_keys_at_the_top() {
        let schema = relay_schema();
        assert_eq!(schema["properties"]["browser_port"]["default"], 3480);
        assert_eq!(schema["properties"]["strict_source"]["type"], "boolean");
    }
}
