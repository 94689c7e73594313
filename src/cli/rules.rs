//! `touchline rules`: every rule in force, in words, with its settings.

use super::{exit, load};
use crate::engine::Settings;
use crate::model::time::Span;
use crate::rules::outcome_risk::{Outcome, OutcomeKind};
use crate::rules::own::{self, Rule};
use crate::rules::{Kind, Lifecycle, Row, TABLE, Words};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `touchline rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 2 the configuration is wrong.")]
pub(super) struct Args {
    /// Configuration; the shipped defaults without it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match load::config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    if args.json {
        println!("{}", records(&config.settings)?);
    } else {
        print!("{}", table(&config.settings));
    }
    Ok(ExitCode::from(exit::OK))
}

/// One object a rule: its words, and its settings as in `[rules.<name>]` or `[[rule]]`.
fn records(settings: &Settings) -> anyhow::Result<Value> {
    let built_in = serde_json::to_value(&settings.rules)?;
    let record = |row: &Row| {
        let Words { opens, closes } = settings.rules.words(row.kind)?;
        let outcomes: Vec<&Outcome> = outcomes(settings, row.kind).collect();
        Some(json!({"name": row.name, "version": row.version, "summary": row.summary, "opens": opens, "closes": closes,
            "settings": built_in.get(row.name), "outcomes": outcomes}))
    };
    let own = |rule: &Rule| {
        let Words { opens, closes } = rule.words();
        json!({"name": rule.own.name, "version": own::ROW.version, "summary": own::ROW.summary, "opens": opens,
            "closes": closes, "settings": rule.own, "outcomes": []})
    };
    Ok(TABLE.iter().filter_map(record).chain(settings.own_rules.iter().map(own)).collect())
}

/// The configured outcomes that a rule warns of.
fn outcomes(settings: &Settings, kind: Kind) -> impl Iterator<Item = &Outcome> {
    let raises = move |outcome: &&Outcome| match outcome.kind {
        OutcomeKind::OutcomeRisk => kind == Kind::OutcomeRisk,
        OutcomeKind::ChurnRisk => kind == Kind::ChurnRisk,
    };
    settings.outcomes.iter().map(|(_, outcome)| outcome).filter(raises)
}

fn table(settings: &Settings) -> String {
    let (rules, mut text) = (&settings.rules, String::new());
    for row in &TABLE {
        if let Some((lifecycle, words)) = rules.lifecycle(row.kind).zip(rules.words(row.kind)) {
            text += &lines(row.name, row.summary, lifecycle, &words, outcomes(settings, row.kind));
        }
    }
    for rule in settings.own_rules.iter() {
        let about = if rule.is_about_items { "of each open item" } else { "of the customer" };
        let summary = format!("{}, {about}; its figure is {}", own::ROW.summary, rule.figure);
        text += &lines(&rule.name, &summary, &rule.lifecycle, &rule.words(), std::iter::empty());
        if let Some(message) = &rule.own.message {
            text += &format!("  says    {message}\n");
        }
    }
    text
}

fn lines<'a>(
    name: &str,
    summary: &str,
    lifecycle: &Lifecycle,
    Words { opens, closes }: &Words,
    outcomes: impl Iterator<Item = &'a Outcome>,
) -> String {
    let severity = if lifecycle.enabled { lifecycle.severity.as_str() } else { "off" };
    let mut text = format!("{name} ({severity}): {summary}\n");
    text += &format!("  opens   when {opens}{}\n", lasting(", for", lifecycle.hold));
    text += &format!("  closes  when {closes}{}{}\n", lasting(", for", lifecycle.keep_firing_for), expiry(lifecycle));
    for Outcome { name, terms, open, close, severity, .. } in outcomes {
        let terms: Vec<&str> = terms.iter().map(|term| term.as_str()).collect();
        let severity = severity.map(|severity| format!(", {}", severity.as_str())).unwrap_or_default();
        text += &format!("  outcome {name}{severity}: open {open}, close {close}; risk = {}\n", terms.join(" + "));
    }
    text += &format!("  then    {}\n", quiet(lifecycle));
    if let Some(action) = &lifecycle.suggested_action {
        text += &format!("  action  {action}\n");
    }
    text
}

fn lasting(words: &str, span: Span) -> String {
    if span.0 > 0 { format!("{words} {span}") } else { String::new() }
}

fn expiry(lifecycle: &Lifecycle) -> String {
    lasting("; by itself after", lifecycle.max_open)
}

fn quiet(lifecycle: &Lifecycle) -> String {
    if lifecycle.cooldown.0 > 0 {
        format!("quiet for {}, unless it is worse", lifecycle.cooldown)
    } else {
        "may open again at once".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::Micro;

    /// A setting nobody is told of would be a surprise; `[rules.<name>]` of the defaults has every one.
    #[test]
    fn every_setting_of_a_rule_is_in_its_words() {
        let config = Config::load(None, &|path| Err(path.to_owned())).unwrap();
        let lifecycle =
            ["enabled", "severity", "for", "keep_firing_for", "cooldown", "max_open", "suggested_action"].as_slice();
        let records = records(&config.settings).unwrap();
        assert_eq!(records.as_array().unwrap().len(), TABLE.len());
        for record in records.as_array().unwrap() {
            let words = format!(" {} {} ", record["opens"].as_str().unwrap(), record["closes"].as_str().unwrap());
            for (key, value) in record["settings"].as_object().unwrap() {
                let shown = match value {
                    Value::Number(number) => Micro::from_f64(number.as_f64().unwrap().abs()).unwrap().to_string(),
                    Value::String(text) => text.clone(),
                    Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => continue,
                };
                let is_told = words.split(|c: char| " ,;():".contains(c)).any(|word| word.trim_matches('-') == shown);
                assert!(lifecycle.contains(&key.as_str()) || is_told, "{key} = {shown} of {}:{words}", record["name"]);
            }
        }
    }

    #[test]
    fn the_table_says_what_is_off_and_for_how_long_things_must_hold() {
        let text = "[rules.detractor]\nenabled = false\n[rules.sentiment_drop]\nfor = \"3h\"\nopen = -0.37";
        let config = Config::load(Some(text), &|path| Err(path.to_owned())).unwrap();
        let table = table(&config.settings);
        assert!(table.contains("\ndetractor (off): "), "{table}");
        assert!(table.contains("at or below -0.37, ") && table.contains(", for 3h\n"), "{table}");
    }
}
