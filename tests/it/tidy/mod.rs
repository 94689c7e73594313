//! The house rules a compiler does not know: direction of imports, purity of the core, lengths, forbidden words.
//! ARCHITECTURE.md says why each exists; `self_test` proves that each can fail.

mod source;

use source::{Path, functions, paths, tokens, without_tests};
use std::path::Path as FilePath;

/// Module → the other modules it may name. A module that is missing here is a problem, too.
const LAYERS: &[(&str, &str)] = &[
    ("model", ""),
    ("codec", "model"),
    ("sentiment", "model"),
    ("rules", "model"),
    ("engine", "model rules"),
    ("insight", "model codec rules engine"),
    ("journal", "model rules engine"),
    ("pipeline", "model codec sentiment rules engine journal"),
    ("sim", "model codec rules"),
    ("config", "model codec sentiment rules engine journal pipeline sim"),
    ("shutdown", ""),
    ("status", "model rules engine journal pipeline config"),
    ("telemetry", "model codec rules engine journal pipeline config status"),
    ("registry", "codec config"),
    ("kafka", "model codec sentiment rules engine journal pipeline sim config shutdown status telemetry registry"),
    ("admin", "model codec rules engine journal pipeline config shutdown status telemetry"),
    (
        "app",
        "model codec sentiment rules engine journal pipeline sim config shutdown status telemetry registry kafka admin",
    ),
    (
        "cli",
        "model codec sentiment rules engine insight journal pipeline sim config shutdown status telemetry registry kafka admin app",
    ),
];

/// The modules which only compute: no clock, no input or output, no threads, no shared state.
const PURE: &[&str] = &["model", "codec", "sentiment", "rules", "engine", "insight", "journal", "pipeline", "sim"];

/// Paths a pure module may not contain, in whole or as a part.
const IMPURE: &[&str] = &[
    "anyhow",
    "axum",
    "dashmap",
    "indicatif",
    "prometheus",
    "rdkafka",
    "tokio",
    "tracing",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "sync::atomic",
    "sync::mpsc",
    "sync::Mutex",
    "sync::RwLock",
    "sync::Condvar",
    "sync::Once",
    "sync::OnceLock",
    "hash::RandomState",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
];

/// The modules which decide: the same journal must give the same bytes on every machine, so no floats.
const INTEGER: &[&str] = &["rules", "engine", "journal"];

/// The only places that may name rdkafka.
const RDKAFKA: &[&str] = &["src/kafka/", "src/cli/demo.rs"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Every problem of one source file; `name` is its path from the repository's root, with `/`.
fn problems(name: &str, text: &str) -> Vec<String> {
    let all = tokens(text);
    // A file of tests is its parent's `#[cfg(test)] mod`.
    let is_test = name.ends_with("/tests.rs") || name.ends_with("_tests.rs");
    let (code, test_lines) = if is_test { (Vec::new(), text.lines().count()) } else { without_tests(&all) };
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("{name}:{line}: {what}"));
    for path in paths(&code) {
        layer_problem(name, &path).into_iter().for_each(|what| report(path.line, what));
        purity_problem(name, &path).into_iter().for_each(|what| report(path.line, what));
        if path.names[0] == "rdkafka" && !RDKAFKA.iter().any(|place| name.starts_with(place)) {
            report(path.line, "only kafka/ and cli/demo.rs may name rdkafka".into());
        }
    }
    for function in functions(&code).iter().filter(|f| f.lines > FUNCTION_LINES_MAX) {
        report(function.line, format!("{} has {} lines, at most {FUNCTION_LINES_MAX}", function.name, function.lines));
    }
    if text.lines().count() - test_lines > FILE_LINES_MAX {
        report(FILE_LINES_MAX, format!("more than {FILE_LINES_MAX} lines without tests"));
    }
    let integer = module_of(name).is_some_and(|module| INTEGER.contains(&module));
    for token in code.iter().filter(|t| integer && ["f32", "f64", "from_f64", "to_f64"].contains(&t.text.as_str())) {
        report(token.line, format!("{} in a module which decides", token.text));
    }
    for token in all.iter().filter(|t| ["unsafe", "unimplemented"].contains(&t.text.as_str())) {
        report(token.line, format!("{} is not used here", token.text));
    }
    found.extend(unfinished(name, text));
    found
}

/// The module a file belongs to: `src/engine/mod.rs` and `src/engine/state/pane.rs` are of `engine`.
fn module_of(name: &str) -> Option<&str> {
    let inside = name.strip_prefix("src/")?;
    Some(inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs"))
}

/// How many `super::` lead from a file to the crate's root.
fn depth(name: &str) -> usize {
    let parts: Vec<&str> = name.split('/').skip(1).collect();
    parts.len() - usize::from(parts.last() == Some(&"mod.rs"))
}

fn layer_problem(name: &str, path: &Path) -> Option<String> {
    let module = module_of(name)?;
    if ["main", "lib"].contains(&module) {
        return None;
    }
    let supers = path.names.iter().take_while(|n| *n == "super").count();
    let target = match path.names[0].as_str() {
        "crate" | "touchline" => path.names.get(1)?,
        "super" if supers >= depth(name) => path.names.get(supers)?,
        _ => return None,
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == module) else {
        return Some(format!("module {module} has no place in the table of layers"));
    };
    (target != module && !allowed.split(' ').any(|layer| layer == target))
        .then(|| format!("{module} may not name {target}"))
}

fn purity_problem(name: &str, path: &Path) -> Option<String> {
    let module = module_of(name).filter(|module| PURE.contains(module))?;
    let matches = |forbidden: &&&str| {
        let parts: Vec<&str> = forbidden.split("::").collect();
        match parts.as_slice() {
            [whole_crate] => path.names[0] == *whole_crate,
            _ => path.names.windows(parts.len()).any(|window| window == parts),
        }
    };
    IMPURE.iter().find(matches).map(|forbidden| format!("{module} is pure and may not name {forbidden}"))
}

/// Words that mark unfinished work, also in comments.
fn unfinished(name: &str, text: &str) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("to", "do!")];
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            marks.iter().filter(|mark| line.contains(*mark)).map(move |mark| format!("{name}:{}: {mark}", at + 1))
        })
        .collect()
}

/// Every file below `folder` whose name ends with one of `endings`, as (path from the root, text), sorted.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR"));
    let (mut open, mut out) = (vec![root.join(folder)], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            out.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    out.sort();
    out
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_sources_keep_the_house_rules() {
    let sources = files("src", &[".rs"]);
    assert!(sources.len() > 30, "only {} source files found", sources.len());
    assert_none(&sources.iter().flat_map(|(name, text)| problems(name, text)).collect::<Vec<_>>());
}

#[test]
fn tests_and_configuration_hold_no_unfinished_work() {
    let all = ["tests", "config", "schemas", ".ci"]
        .iter()
        .filter(|f| FilePath::new(env!("CARGO_MANIFEST_DIR")).join(f).exists());
    let texts = all.flat_map(|folder| files(folder, &[".rs", ".toml", ".json", "run"]));
    assert_none(&texts.flat_map(|(name, text)| unfinished(&name, &text)).collect::<Vec<_>>());
}

#[test]
fn self_test() {
    let long_function = format!("fn long() {{\n{}}}", "x();\n".repeat(70));
    let long_file = "fn a() {}\n".repeat(501);
    let cases: &[(&str, &str, &str)] = &[
        ("src/engine/w.rs", "use crate::{model::Id, kafka::Worker};", "src/engine/w.rs:1: engine may not name kafka"),
        ("src/rules/w.rs", "\nfn a() { crate::engine::apply() }", "src/rules/w.rs:2: rules may not name engine"),
        ("src/codec/a/b.rs", "use super::super::super::rules::X;", "codec may not name rules"),
        ("src/admin/mod.rs", "use super::kafka::Worker;", "admin may not name kafka"),
        ("src/novel/mod.rs", "use crate::model::Id;", "module novel has no place"),
        ("src/model/a.rs", "use std::{fs, collections::BTreeMap};", "model is pure and may not name std::fs"),
        ("src/engine/a.rs", "let t = std::time::SystemTime::now();", "may not name SystemTime::now"),
        ("src/engine/a.rs", "use std::sync::{Arc, Mutex};", "may not name sync::Mutex"),
        ("src/engine/a.rs", "use std::sync::atomic::AtomicU64;", "may not name sync::atomic"),
        ("src/pipeline/a.rs", "tracing::info!(\"x\");", "may not name tracing"),
        ("src/app.rs", "use rdkafka::ClientConfig;", "only kafka/ and cli/demo.rs may name rdkafka"),
        ("src/rules/a.rs", "fn a(p: f64) {}", "f64 in a module which decides"),
        ("src/kafka/a.rs", "fn a() { unsafe { b() } }", "unsafe is not used here"),
        ("src/kafka/a.rs", concat!("// TO", "DO later"), concat!("src/kafka/a.rs:1: TO", "DO")),
        ("src/kafka/a.rs", &long_function, "long has 72 lines, at most 70"),
        ("src/kafka/a.rs", &long_file, "more than 500 lines"),
    ];
    for (name, text, wanted) in cases {
        let found = problems(name, text);
        assert!(found.iter().any(|problem| problem.contains(wanted)), "{name}: wanted {wanted:?}, found {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let tests_are_free =
        format!("#[cfg(test)]\nmod tests {{\n use std::fs;\n fn a() {{\n{}}}\n}}", "x();\n".repeat(600));
    let cases: &[(&str, &str)] = &[
        ("src/engine/a.rs", "use crate::{engine::B, model::C}; use super::D; use std::sync::Arc; // std::fs"),
        ("src/engine/a/b.rs", "use super::super::kafka;"),
        ("src/kafka/a.rs", "use rdkafka::consumer::Consumer; use crate::journal::Meta;"),
        ("src/cli/demo.rs", "use rdkafka::mocking::MockCluster;"),
        ("src/rules/a.rs", &tests_are_free),
        ("src/rules/tests.rs", "use std::fs;"),
    ];
    for (name, text) in cases {
        assert_eq!(problems(name, text), Vec::<String>::new(), "{name}");
    }
}
