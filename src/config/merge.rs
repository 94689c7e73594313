//! Laying a user's tables over the defaults, key by key, so that every mistake is found and named, not only the first:
//! each key is tried alone on top of the defaults; one that does not read is reported and left out.

use super::Problem;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Tables whose keys are the user's own.
pub(super) const FREE: [&str; 9] = [
    "kafka.properties",
    "kafka.consumer_properties",
    "kafka.producer_properties",
    "model.segment_priors",
    "engine.channel_lateness",
    "rules.sla_breach.topics",
    "catalogue.kinds",
    "catalogue.journeys",
    "catalogue.promises",
];

/// Lays `over` on `base`: tables merge, everything else replaces.
pub(super) fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Makes a path that is relative to `folder` relative to where `folder` is.
pub(super) fn relocate(table: &mut Table, key: &str, folder: &Path) {
    if let Some(Value::String(path)) = table.get_mut(key)
        && !path.is_empty()
    {
        let moved: PathBuf = folder.join(&*path);
        *path = moved.to_string_lossy().into_owned();
    }
}

/// Takes keys out that the defaults do not know, each with a problem.
pub(super) fn drop_unknown(user: &mut Table, defaults: &Table, prefix: &str, problems: &mut Vec<Problem>) {
    let keys: Vec<String> = user.keys().cloned().collect();
    for key in keys {
        let path = join(prefix, &key);
        let keep = match (defaults.get(&key), user.get_mut(&key)) {
            (Some(Value::Table(below)), Some(Value::Table(above))) => {
                if !FREE.contains(&path.as_str()) {
                    drop_unknown(above, below, &path, problems);
                }
                true
            }
            (Some(Value::Table(_)), _) => {
                problems.push(Problem::new(
                    &path,
                    "expected a table",
                    &format!("write [{path}] and its keys below it"),
                ));
                false
            }
            (Some(_), _) => true,
            (None, _) => {
                let known: Vec<&str> = defaults.keys().map(String::as_str).collect();
                problems.push(Problem::new(&path, "unknown key", &suggestion(&key, &known)));
                false
            }
        };
        if !keep {
            user.remove(&key);
        }
    }
}

/// "did you mean …", or the list of what is known.
pub(super) fn suggestion(wrong: &str, known: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(wrong, name);
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= 3 => format!("did you mean `{nearest}`?"),
        _ => format!("known here: {}", known.join(", ")),
    }
}

/// Reads one section: the defaults with those of the user's keys that read. None only if the defaults do not.
pub(super) fn section<T: DeserializeOwned>(
    name: &str,
    defaults: &Table,
    user: &Table,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut merged = table(defaults, name);
    let mut found = Vec::new();
    leaves(&table(user, name), &mut Vec::new(), &mut found);
    for (path, value) in found {
        let mut trial = table(defaults, name);
        set(&mut trial, &path, value.clone());
        match T::deserialize(Value::Table(trial)) {
            Ok(_) => set(&mut merged, &path, value),
            Err(error) => {
                let default =
                    lookup(defaults, name, &path).map_or_else(String::new, |value| format!("the default is {value}"));
                problems.push(Problem::new(
                    &format!("{name}.{}", path.join(".")),
                    first_line(error.message()),
                    &default,
                ));
            }
        }
    }
    match T::deserialize(Value::Table(merged)) {
        Ok(section) => Some(section),
        Err(error) => {
            problems.push(Problem::new(name, first_line(error.message()), "see config/touchline.toml"));
            None
        }
    }
}

/// A table of a table; empty when it is not there.
pub(super) fn table(tables: &Table, name: &str) -> Table {
    tables.get(name).and_then(Value::as_table).cloned().unwrap_or_default()
}

/// A key path.
pub(super) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text).trim()
}

fn leaves(table: &Table, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value.as_table().filter(|inner| !inner.is_empty()) {
            Some(inner) => leaves(inner, path, found),
            None => found.push((path.clone(), value.clone())),
        }
        path.pop();
    }
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let empty = value.as_table().is_some_and(Table::is_empty);
        if !(empty && table.contains_key(key)) {
            table.insert(key.clone(), value);
        }
    } else if let Value::Table(inner) = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())) {
        set(inner, rest, value);
    }
}

fn lookup<'a>(defaults: &'a Table, name: &str, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(defaults.get(name)?, |value, key| value.get(key))
}
