//! The texts a configuration is made of: the user's own, what it extends, and the catalogue.

use super::{CATALOGUE, DEFAULTS, Problem, Resolve, merge};
use std::path::Path;
use toml::{Table, Value};

/// Configurations one may build on another.
const EXTENDS_MAX: usize = 8;

/// The defaults with the catalogue, and the user's table without unknown keys. None only if the defaults do not read.
pub(super) fn tables(text: Option<&str>, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Option<(Table, Table)> {
    let mut defaults = parse(DEFAULTS, "config/touchline.toml", problems)?;
    let mut user = text.map(|text| gather(text, resolve, problems)).unwrap_or_default();
    merge::drop_unknown(&mut user, &defaults, "", problems);
    let catalogue = catalogue(&user, resolve, problems)?;
    defaults.insert("catalogue".into(), Value::Table(catalogue));
    Some((defaults, user))
}

fn parse(text: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Table> {
    match text.parse::<Table>() {
        Ok(table) => Some(table),
        Err(error) => {
            let line =
                error.span().map_or(1, |span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
            problems.push(Problem::new(
                path,
                &format!("not TOML, line {line}: {}", error.message()),
                "fix the syntax first",
            ));
            None
        }
    }
}

/// The user's table with everything it extends below it.
fn gather(text: &str, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Table {
    with_base(text, Path::new(""), resolve, EXTENDS_MAX, problems)
}

/// `folder` is where the text stands, relative to the first one.
fn with_base(text: &str, folder: &Path, resolve: Resolve<'_>, left: usize, problems: &mut Vec<Problem>) -> Table {
    let Some(mut table) = parse(text, "configuration", problems) else { return Table::new() };
    merge::relocate(&mut table, "catalogue_file", folder);
    merge::relocate(&mut table, "profile", folder);
    let outcomes = table.get_mut("outcome").and_then(Value::as_array_mut).into_iter().flatten();
    outcomes.filter_map(Value::as_table_mut).for_each(|outcome| merge::relocate(outcome, "card", folder));
    let Some(Value::String(base)) = table.remove("extends") else { return table };
    if base.is_empty() {
        return table;
    }
    let file = folder.join(&base);
    if left == 0 {
        problems.push(Problem::new("extends", "too many configurations extend one another", "is there a circle?"));
        return table;
    }
    match resolve(&file.to_string_lossy()) {
        Ok(text) => {
            let mut below = with_base(&text, file.parent().unwrap_or(folder), resolve, left - 1, problems);
            merge::overlay(&mut below, table);
            below
        }
        Err(error) => {
            problems.push(Problem::new(
                "extends",
                &format!("cannot read {base}: {error}"),
                "relative to this configuration",
            ));
            table
        }
    }
}

/// The catalogue the user's `[catalogue]` is laid over.
fn catalogue(user: &Table, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Option<Table> {
    let compiled = parse(CATALOGUE, "config/catalogue.toml", problems);
    match user.get("catalogue_file") {
        Some(Value::String(path)) if !path.is_empty() => match resolve(path) {
            Ok(text) => parse(&text, "catalogue_file", problems).or(compiled),
            Err(error) => {
                problems.push(Problem::new("catalogue_file", &format!("cannot read {path}: {error}"), ""));
                compiled
            }
        },
        Some(Value::String(_)) | None => compiled,
        Some(_) => {
            problems.push(Problem::new("catalogue_file", "expected text", "the path of a catalogue"));
            compiled
        }
    }
}
