//! `[[outcome]]`, `[items]`, `[risk]` and `profile`: what must be there for a risk to mean anything.

use super::Problem;
use super::canonical::Canonical;
use super::cards;
use super::merge::{join, suggestion};
use crate::engine::settings::Measure;
use crate::model::{Micro, TermKind};
use crate::rules::profile::ProfileFile;
use crate::rules::promises::{Party, Promise};
use std::collections::BTreeSet;
use toml::{Table, Value};

const MEASURES_MAX: usize = 8;
const SEGMENTS_MAX: usize = 4;
const FIELDS: [&str; 3] = ["/amount_minor", "/wait_ms", "/duration_ms"];

/// Whether a profile is named.
pub(super) fn names_profile(user: &Table) -> bool {
    user.get("profile").and_then(Value::as_str).is_some_and(|path| !path.is_empty())
}

/// The file that `profile` names; empty without one.
pub(super) fn profile(user: &Table, resolve: super::Resolve<'_>, problems: &mut Vec<Problem>) -> ProfileFile {
    let Some(path) = user.get("profile").and_then(Value::as_str).filter(|path| !path.is_empty()) else {
        return ProfileFile::default();
    };
    let read = resolve(path).and_then(|text| toml::from_str(&text).map_err(|error| error.message().to_owned()));
    read.unwrap_or_else(|error| {
        let message = format!("cannot read {path}: {error}");
        problems.push(Problem::new("profile", &message, "make it with `touchline profile`"));
        ProfileFile::default()
    })
}

/// What must hold between them and the catalogue.
pub(super) fn check(canonical: &Canonical, has_profile: bool, problems: &mut Vec<Problem>) {
    risk(canonical, problems);
    measures(canonical, problems);
    for promise in canonical.profile.promises.keys() {
        if !canonical.catalogue.promises.contains_key(promise) {
            let known: Vec<&str> = canonical.catalogue.promises.keys().map(String::as_str).collect();
            let message = format!("no promise \"{promise}\" in the catalogue");
            problems.push(Problem::new("profile", &message, &suggestion(promise, &known)));
        }
    }
    let mut names = BTreeSet::new();
    for (at, outcome) in canonical.outcomes.iter().enumerate() {
        let path = format!("outcome[{at}]");
        let mut problem = |key: &str, message: &str, hint: &str| {
            problems.push(Problem::new(&join(&path, key), message, hint));
        };
        if outcome.name.is_empty() || !names.insert(outcome.name.as_str()) {
            problem("name", "empty or used twice", "a name for alerts, such as \"low_review\"");
        }
        if outcome.open <= outcome.close {
            problem("close", "must be below `open`, or the alert would flap", "");
        }
        if outcome.open.0.abs() > 100 * Micro::SCALE {
            problem("open", "must lie between -100 and 100", "");
        }
        if outcome.card.is_some() {
            if !outcome.terms.is_empty() {
                problem("terms", "stand beside a card", "an outcome has either terms or a card");
            }
            if outcome.close.0 <= 0 || outcome.open.0 >= Micro::SCALE {
                problem("open", "a card's thresholds are chances, between 0 and 1", "`touchline train` names some");
            }
            continue;
        }
        if !outcome.allow.is_empty() {
            problem("allow", "is for outcomes with a card", "leave it out");
        }
        let terms: BTreeSet<TermKind> = outcome.terms.iter().copied().collect();
        if terms.is_empty() || terms.len() < outcome.terms.len() {
            problem("terms", "empty, or a term twice", "due, long_wait, no_answer, size, perception, rhythm");
        }
        // Without a profile the terms of waits are 0, and the others still foretell something.
        let lacks: Vec<_> = terms.iter().filter_map(|term| missing(canonical, has_profile, *term)).collect();
        if lacks.len() == terms.len()
            && let (Some(term), Some(lack)) = (terms.first(), lacks.first())
        {
            problem("terms", &format!("\"{}\" would always be 0", term.as_str()), lack);
        }
    }
}

/// What must hold between cards and the configuration they are served with; answers the hashes they are held against.
pub(super) fn check_cards(canonical: &Canonical, problems: &mut Vec<Problem>) -> (u64, u64) {
    let hashes = canonical.card_hashes().unwrap_or_else(|error| {
        let message = format!("the configuration cannot be written as JSON: {error}");
        problems.push(Problem::new("", &message, ""));
        (0, 0)
    });
    for (at, outcome) in canonical.outcomes.iter().enumerate() {
        let Some(card) = canonical.cards.get(&outcome.name) else { continue };
        for (key, what) in cards::mismatches(card, hashes, &outcome.allow) {
            let hint = format!("train it anew, or serve it all the same with allow = [\"{key}\"]");
            problems.push(Problem::new(&format!("outcome[{at}].card.{key}"), &what, &hint));
        }
    }
    hashes
}

/// What a term needs and the configuration does not have.
fn missing(canonical: &Canonical, has_profile: bool, term: TermKind) -> Option<&'static str> {
    let promises = &canonical.catalogue.promises;
    let counts = |party: Party| promises.values().any(|of: &Promise| of.party == party && of.weight > Micro::ZERO);
    let kinds = || canonical.catalogue.kinds.values();
    let dated = |name: &String| promises.get(name).is_some_and(|of| of.party == Party::Us && of.weight > Micro::ZERO);
    let (holds, hint) = match term {
        TermKind::Due => (
            kinds().flat_map(|kind| &kind.opens).any(|opening| opening.due.is_some() && dated(&opening.promise)),
            "no kind opens a promise of ours with a `due`",
        ),
        TermKind::LongWait => (
            has_profile && counts(Party::Us),
            "it needs a promise of ours in the catalogue, and a `profile` of usual waits",
        ),
        TermKind::NoAnswer => (
            has_profile && counts(Party::Customer),
            "it needs a promise of the customer's in the catalogue, and a `profile` of usual waits",
        ),
        TermKind::Size => (
            canonical.items.measures.iter().any(|measure| measure.weight != Micro::ZERO),
            "no measure in [items] has a weight",
        ),
        TermKind::Perception => (true, ""),
        TermKind::Feature | TermKind::Average => (false, "it is a card's; name the card instead"),
        TermKind::Step => (false, "it is a journey's, and no measure of risk"),
        TermKind::Rhythm => (kinds().any(|kind| kind.purchase), "no kind of the catalogue is a `purchase`"),
    };
    (!holds).then_some(hint)
}

fn risk(canonical: &Canonical, problems: &mut Vec<Problem>) {
    let risk = &canonical.risk;
    for (key, value) in [
        ("used", risk.used),
        ("overdue", risk.overdue),
        ("per_day", risk.per_day),
        ("overdue_max", risk.overdue_max),
        ("late", risk.late),
        ("on_time", risk.on_time),
        ("surprise", risk.surprise),
        ("surprise_max", risk.surprise_max),
        ("perception", risk.perception),
        ("rhythm", risk.rhythm),
    ] {
        if value.0.abs() > 100 * Micro::SCALE {
            problems.push(Problem::new(&join("risk", key), "must lie between -100 and 100", ""));
        }
    }
}

fn measures(canonical: &Canonical, problems: &mut Vec<Problem>) {
    let items = &canonical.items;
    if items.measures.len() > MEASURES_MAX {
        problems.push(Problem::new("items.measures", "at most 8", ""));
    }
    let is_name = |name: &String| (1..=64).contains(&name.len());
    if items.segments.len() > SEGMENTS_MAX || !items.segments.iter().all(is_name) {
        problems.push(Problem::new("items.segments", "at most 4 names of attributes", ""));
    }
    let mut names = BTreeSet::new();
    for (at, measure) in items.measures.iter().enumerate() {
        let path = format!("items.measures[{at}]");
        let Measure { name, field, counts, weight, from, .. } = measure;
        if name.is_empty() || !names.insert(name) {
            problems.push(Problem::new(&join(&path, "name"), "empty or used twice", ""));
        }
        match (field, counts) {
            (Some(field), None) => {
                let attribute = field.strip_prefix("/attributes/").is_some_and(|name| !name.is_empty());
                if !attribute && !FIELDS.contains(&field.as_str()) {
                    let hint = format!("\"/attributes/<name>\", {}", FIELDS.join(", "));
                    problems.push(Problem::new(&join(&path, "field"), "no field with a number", &hint));
                }
            }
            (None, Some(kind)) => {
                if !canonical.catalogue.kinds.contains_key(kind) {
                    let known: Vec<&str> = canonical.catalogue.kinds.keys().map(String::as_str).collect();
                    let hint = suggestion(kind, &known);
                    problems.push(Problem::new(&join(&path, "counts"), "unknown kind", &hint));
                }
            }
            (_, _) => problems.push(Problem::new(&path, "needs either field or counts", "")),
        }
        if *weight != Micro::ZERO && items.protected_by(measure).is_some() {
            problems.push(Problem::new(
                &join(&path, "weight"),
                "reads an attribute that is listed in items.protected",
                "",
            ));
        }
        if weight.0.abs() > 10 * Micro::SCALE {
            problems.push(Problem::new(&join(&path, "weight"), "must lie between -10 and 10", ""));
        }
        if *from > 1 {
            problems.push(Problem::new(&join(&path, "from"), "must be 0 or 1", "the least possible value"));
        }
    }
}
