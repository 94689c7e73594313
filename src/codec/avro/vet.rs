//! Schemas of strangers: what a decoder could be made to fall over by is refused before one is built.
//!
//! A few hundred bytes of schema can ask for a stack of any depth (a record in itself), and a few bytes of data for
//! gigabytes of items (an array of things that take no bytes). So neither is read; what is left needs at least a byte of
//! the record for every item, and the record's size is limited.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest text of a schema.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of types.
const DEPTH_MAX: usize = 32;
/// Types that one value may hold, names followed and arrays counted once.
const NODES_MAX: u64 = 5_000;

/// A schema that is safe to build a decoder of.
#[derive(Debug)]
pub(super) struct Vetted {
    pub(super) root: Value,
    /// Definitions by full name.
    named: BTreeMap<String, Value>,
}

impl Vetted {
    /// Reads and vets the text of a schema.
    ///
    /// # Errors
    /// What it is refused for.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > TEXT_BYTES_MAX {
            return Err("larger than 256 KiB");
        }
        // serde_json ends at 127 levels by itself.
        let root: Value = serde_json::from_str(text).map_err(|_| "not JSON, or nested too deep")?;
        let mut walk = Walk::default();
        walk.size(&root, "", 0)?;
        Ok(Self { root, named: walk.named.into_iter().map(|(name, (definition, _))| (name, definition)).collect() })
    }

    /// The definition of a type where a name stands for it.
    pub(super) fn definition<'v>(&'v self, node: &'v Value, namespace: &str) -> &'v Value {
        let name = node.as_str().filter(|name| width(name).is_none());
        let found = name.and_then(|name| self.named.get(&full_name(name, namespace)).or_else(|| self.named.get(name)));
        match node.get("type") {
            Some(inner @ Value::Object(_)) => self.definition(inner, namespace),
            _ => found.unwrap_or(node),
        }
    }
}

/// The namespace in force inside of a named type.
pub(super) fn namespace_of(definition: &Map<String, Value>, outer: &str) -> String {
    let text = |key| definition.get(key).and_then(Value::as_str);
    match (text("name").and_then(|name| name.rsplit_once('.')), text("namespace")) {
        (Some((namespace, _)), _) => namespace.to_owned(),
        (None, Some(namespace)) => namespace.to_owned(),
        (None, None) => outer.to_owned(),
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// Least bytes of a primitive type; none for any other name.
fn width(name: &str) -> Option<u64> {
    Some(match name {
        "null" => 0,
        "boolean" | "int" | "long" | "bytes" | "string" => 1,
        "float" => 4,
        "double" => 8,
        _ => return None,
    })
}

/// Least bytes of a value, and how many types it holds.
#[derive(Debug, Clone, Copy)]
struct Size {
    bytes: u64,
    nodes: u64,
}

#[derive(Debug, Default)]
struct Walk {
    named: BTreeMap<String, (Value, Size)>,
    /// Names whose definition is not finished.
    open: Vec<String>,
}

impl Walk {
    fn size(&mut self, node: &Value, namespace: &str, depth: usize) -> Result<Size, &'static str> {
        if depth > DEPTH_MAX {
            return Err("nested too deep");
        }
        let size = match node {
            Value::String(name) => self.named(name, namespace)?,
            Value::Array(variants) => {
                let mut nodes = 1_u64;
                for variant in variants {
                    nodes = nodes.saturating_add(self.size(variant, namespace, depth + 1)?.nodes);
                }
                Size { bytes: 1, nodes }
            }
            Value::Object(definition) => self.defined(definition, node, namespace, depth)?,
            Value::Null | Value::Bool(_) | Value::Number(_) => return Err("not a type"),
        };
        if size.nodes > NODES_MAX { Err("holds too many types") } else { Ok(size) }
    }

    fn named(&self, name: &str, namespace: &str) -> Result<Size, &'static str> {
        if let Some(bytes) = width(name) {
            return Ok(Size { bytes, nodes: 1 });
        }
        let full = full_name(name, namespace);
        if self.open.iter().any(|open| *open == full || open == name) {
            return Err("a type holds itself");
        }
        let known = self.named.get(&full).or_else(|| self.named.get(name));
        known.map(|(_, size)| *size).ok_or("names a type that it does not define")
    }

    fn defined(
        &mut self,
        definition: &Map<String, Value>,
        node: &Value,
        namespace: &str,
        depth: usize,
    ) -> Result<Size, &'static str> {
        let part = |key: &str| definition.get(key).ok_or("a part of a type is missing");
        let inner = namespace_of(definition, namespace);
        let own_size = match part("type")? {
            Value::String(name) => match name.as_str() {
                "record" | "error" => {
                    self.open.push(self.new_name(definition, &inner)?);
                    let size = self.record(part("fields")?, &inner, depth)?;
                    self.open.pop();
                    size
                }
                "enum" => Size { bytes: 1, nodes: 1 },
                "fixed" => Size { bytes: part("size")?.as_u64().ok_or("a size is no number")?, nodes: 1 },
                "array" => {
                    let items = self.size(part("items")?, namespace, depth + 1)?;
                    if items.bytes == 0 {
                        return Err("an array of items that take no bytes");
                    }
                    return Ok(Size { bytes: 1, nodes: items.nodes.saturating_add(1) });
                }
                "map" => {
                    let values = self.size(part("values")?, namespace, depth + 1)?;
                    return Ok(Size { bytes: 1, nodes: values.nodes.saturating_add(1) });
                }
                name => return self.named(name, namespace),
            },
            nested @ (Value::Object(_) | Value::Array(_)) => return self.size(nested, namespace, depth + 1),
            Value::Null | Value::Bool(_) | Value::Number(_) => return Err("not a type"),
        };
        if own_size.bytes == 0 {
            return Err("a record or fixed that takes no bytes");
        }
        let name = self.new_name(definition, &inner)?;
        self.named.insert(name, (node.clone(), own_size));
        Ok(own_size)
    }

    fn new_name(&self, definition: &Map<String, Value>, namespace: &str) -> Result<String, &'static str> {
        let name = definition.get("name").and_then(Value::as_str).ok_or("a type has no name")?;
        let full = full_name(name, namespace);
        if self.named.contains_key(&full) || self.open.contains(&full) { Err("defines a name twice") } else { Ok(full) }
    }

    fn record(&mut self, fields: &Value, namespace: &str, depth: usize) -> Result<Size, &'static str> {
        let mut size = Size { bytes: 0, nodes: 1 };
        for field in fields.as_array().ok_or("a record without fields")? {
            let own = self.size(field.get("type").ok_or("a field without type")?, namespace, depth + 1)?;
            size.bytes = size.bytes.saturating_add(own.bytes);
            size.nodes = size.nodes.saturating_add(own.nodes);
        }
        Ok(size)
    }
}
