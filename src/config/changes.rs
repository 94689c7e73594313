//! Which keys differ between two configurations, for a service that can take over rules and nothing else.
//!
//! Every key of the merged configuration and the content of every file and variable that it names is kept as a hash: whole
//! values would keep secrets where nobody needs them.

use super::Resolve;
use super::merge::{join, overlay};
use crate::model::hash64;
use std::cell::RefCell;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Hashes by key path; what a key refers to is under the reference, such as `file:kafka-password`.
#[derive(Clone, Default)]
pub(super) struct Keys(BTreeMap<String, u64>);

impl Keys {
    /// Every key outside of `[rules]` and `[[rule]]`, the user's laid over the defaults.
    pub(super) fn of(defaults: &Table, user: &Table) -> Self {
        let mut merged = defaults.clone();
        overlay(&mut merged, user.clone());
        merged.retain(|key, _| key != "rules" && key != "rule");
        let mut keys = Self::default();
        keys.add("", &Value::Table(merged));
        keys
    }

    /// The content of what a key refers to.
    pub(super) fn refer(&mut self, reference: &str, content: &[u8]) {
        self.0.insert(reference.to_owned(), hash64(content));
    }

    /// The paths whose values are not the same in both, sorted.
    pub(super) fn differing(&self, other: &Self) -> Vec<String> {
        let differs = |(path, hash): &(&String, &u64)| other.0.get(*path) != Some(*hash);
        let gone = other.0.keys().filter(|path| !self.0.contains_key(*path));
        let mut paths: Vec<String> = self.0.iter().filter(differs).map(|(path, _)| path).chain(gone).cloned().collect();
        paths.sort();
        paths
    }

    fn add(&mut self, path: &str, value: &Value) {
        match value {
            Value::Table(table) => table.iter().for_each(|(key, value)| self.add(&join(path, &quoted(key)), value)),
            Value::Array(items) if items.iter().all(Value::is_table) => {
                items.iter().enumerate().for_each(|(at, item)| self.add(&format!("{path}[{at}]"), item));
            }
            Value::Array(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => drop(self.0.insert(path.to_owned(), hash64(value.to_string().as_bytes()))),
        }
    }
}

/// The same `resolve`, with what it reads noted.
pub(super) fn noting<'a>(
    resolve: Resolve<'a>,
    keys: &'a RefCell<Keys>,
) -> impl Fn(&str) -> Result<String, String> + use<'a> {
    move |reference| {
        let content = resolve(reference)?;
        keys.borrow_mut().refer(reference, content.as_bytes());
        Ok(content)
    }
}

/// Hashes of secrets are not for showing either.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A key as TOML writes it in a path.
fn quoted(key: &str) -> String {
    let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { key.to_owned() } else { format!("\"{key}\"") }
}
