//! The form of a configuration as a JSON Schema, for editors: made of the commented defaults, which hold every legal key,
//! and of the types of what a user writes in lists. So it cannot forget a key, and refuses what loading refuses to know.
//! What only holds between values (thresholds in order, names that exist) is left to `touchline check`.

use super::inputs::{self, FORMATS};
use super::merge::{FREE, join};
use super::{CATALOGUE, DEFAULTS};
use crate::codec::mapping::Field;
use crate::engine::settings::{Context, Measure};
use crate::model::Severity;
use crate::model::time::Span;
use crate::rules::catalogue::Kind;
use crate::rules::journeys::{Journey, Step};
use crate::rules::outcome_risk::Outcome;
use crate::rules::own::OwnRule;
use crate::rules::promises::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The schema.
#[must_use]
pub fn schema() -> Json {
    let defaults: Table = DEFAULTS.parse().unwrap_or_default();
    let mut schema = table(&defaults, "", &comments(DEFAULTS));
    let mut journey = keys_in::<Journey>("deadline = '1h'\nsteps = [{}]");
    if let Some(steps) = journey.pointer_mut("/properties/steps") {
        *steps = json!({"type": "array", "items": keys_in::<Step>("name = ''\nstage = ''\ndeadline = '1h'")});
    }
    let catalogue = json!({
        "type": "object", "additionalProperties": false,
        "description": comments(CATALOGUE).get("").cloned().unwrap_or_default(),
        "properties": {
            "kinds": named(&keys_in::<Kind>("")),
            "journeys": named(&journey),
            "promises": named(&keys_in::<Promise>("")),
        },
    });
    let lists = [
        ("rule", keys_in::<OwnRule>("name = ''\nwhen = ''")),
        ("outcome", keys_in::<Outcome>("name = ''\nterms = []\nopen = 0\nclose = 0")),
        ("context", keys_in::<Context>("name = ''\nfield = ''\nmode = 'last'\nwithin = '1d'")),
        ("input", input()),
    ];
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        properties.insert("catalogue".to_owned(), catalogue);
        for (name, item) in lists {
            let description = properties.get(name).and_then(|known| known.get("description")).cloned();
            properties.insert(name.to_owned(), json!({"type": "array", "description": description, "items": item}));
        }
        if let Some(measures) = properties.get_mut("items").and_then(|items| items.pointer_mut("/properties/measures"))
        {
            let description = measures.get("description").cloned();
            *measures = json!({"type": "array", "description": description, "items": keys_in::<Measure>("name = ''\nfrom = 1")});
        }
    }
    let head = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Touchline configuration"});
    if let (Json::Object(schema), Json::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

fn table(defaults: &Table, path: &str, comments: &BTreeMap<String, String>) -> Json {
    let property = |(key, value): (&String, &Value)| {
        let path = join(path, key);
        let mut property = match value.as_table() {
            Some(inner) if !FREE.contains(&path.as_str()) => table(inner, &path, comments),
            Some(_) | None => form(value),
        };
        if let (Some(comment), Some(property)) = (comments.get(&path), property.as_object_mut()) {
            property.insert("description".to_owned(), Json::String(comment.clone()));
        }
        (key.clone(), property)
    };
    let properties: Map<String, Json> = defaults.iter().map(property).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The form of a value that has this default.
fn form(default: &Value) -> Json {
    match default {
        Value::String(text) if Span::parse(text).is_ok() => span(),
        Value::String(_) | Value::Datetime(_) => json!({"type": "string"}),
        Value::Integer(_) | Value::Float(_) => json!({"type": "number"}),
        Value::Boolean(_) => json!({"type": "boolean"}),
        Value::Array(_) => json!({"type": "array"}),
        Value::Table(_) => json!({"type": "object"}),
    }
}

fn span() -> Json {
    json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"})
}

/// A table of tables by names of the user's own.
fn named(item: &Json) -> Json {
    json!({"type": "object", "additionalProperties": item})
}

/// An object with the keys that an example writes, and what they hold.
fn keys_of(example: &impl Serialize) -> Json {
    let Ok(Json::Object(keys)) = serde_json::to_value(example) else { return json!({}) };
    let property = |(key, value): (String, Json)| {
        let form = match &value {
            Json::String(text) if Span::parse(text).is_ok() => span(),
            Json::String(text) if text == Severity::Warning.as_str() => {
                json!({"enum": Severity::ALL.map(Severity::as_str)})
            }
            Json::String(_) => json!({"type": "string"}),
            Json::Number(_) => json!({"type": "number"}),
            Json::Bool(_) => json!({"type": "boolean"}),
            Json::Array(_) => json!({"type": "array"}),
            // Absent by default: what it holds is not to be seen.
            Json::Null | Json::Object(_) => json!({}),
        };
        (key, form)
    };
    let properties: Map<String, Json> = keys.into_iter().map(property).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// An object with the keys of a type: what a wrong key is told the right ones are. The values of an example say what
/// they hold.
fn keys_in<T: Serialize + DeserializeOwned>(example: &str) -> Json {
    let mut schema = toml::from_str::<T>(example).map_or_else(|_| json!({}), |example| keys_of(&example));
    let refusal = toml::from_str::<T>("'?' = 0").err().map(|error| error.message().to_owned()).unwrap_or_default();
    let (_, known) = refusal.split_once("expected").unwrap_or_default();
    if let Some(properties) = schema.pointer_mut("/properties").and_then(Json::as_object_mut) {
        for key in known.split('`').skip(1).step_by(2) {
            properties.entry(key).or_insert_with(|| json!({}));
        }
    }
    schema
}

fn input() -> Json {
    let mapped = Field::ALL.iter().map(|field| field.name()).chain(["attributes", "rating"]);
    let mapping: Map<String, Json> = mapped.map(|name| (name.to_owned(), json!({}))).collect();
    let property = |key: &&str| {
        let form = match *key {
            "topics" | "item" => json!({"type": "array", "items": {"type": "string"}}),
            "format" => json!({"enum": FORMATS}),
            "repartition" => json!({"enum": ["auto", "always", "never"]}),
            "mapping" => json!({"type": "object", "additionalProperties": false, "properties": mapping}),
            _ => json!({"type": "string"}),
        };
        ((*key).to_owned(), form)
    };
    let properties: Map<String, Json> = inputs::KEYS.iter().map(property).collect();
    json!({"type": "object", "additionalProperties": false, "required": ["name"], "properties": properties})
}

/// The comment above each key, by key path; examples in it are left out.
fn comments(text: &str) -> BTreeMap<String, String> {
    let (mut comments, mut above, mut path) = (BTreeMap::new(), Vec::new(), String::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            if !comment.starts_with("   ") {
                above.push(comment.trim());
            }
            continue;
        }
        let table = line.strip_prefix('[').map(|name| name.trim_matches(['[', ']']));
        let key = line.split_once(" = ").map(|(key, _)| key.trim()).filter(|key| !key.starts_with([' ', '[', '{']));
        let named = table.map(str::to_owned).or_else(|| key.map(|key| join(&path, key)));
        if let Some(name) = table {
            name.clone_into(&mut path);
        }
        if let Some(named) = named.filter(|_| !above.is_empty()) {
            comments.insert(named, above.join(" "));
        }
        above.clear();
    }
    comments
}
