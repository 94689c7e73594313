//! The user's own rules ([`crate::rules::own`]) over the state: values of their figures, readings, deadlines.
//!
//! A rule is read at every touchpoint and timer of the customer; when a time that it compares with a constant gets there;
//! and once a day while its alert is open. Figures that fade (perception, effort) move between these moments without being
//! read.

use super::Output;
use super::contacts;
use super::customer::{AlertState, Customer, Detail};
use super::events::origin;
use super::features::{Moment, Source, Unit, rule_figures};
use super::figures::Derived;
use super::items::OpenItem;
use super::pressure;
use super::settings::Settings;
use super::turn::{Basis, Subject, Told, Turn};
use crate::model::{Evidence, Micro, Timestamp};
use crate::rules::own::{OwnRule, RULES_MAX, Rule};
use crate::rules::{Kind, Reading, Verdict};
use std::sync::Arc;

/// All own rules, and where their figures' values come from.
#[derive(Debug, Clone, Default)]
pub struct OwnRules {
    rules: Vec<Rule>,
    sources: Vec<(Source, Unit)>,
    /// A rule about items needs the terms of their risks.
    needs_terms: bool,
}

impl OwnRules {
    /// Reads the rules; `settings` has everything else.
    ///
    /// # Errors
    /// Every problem, as (key path, what is wrong and what to do).
    pub fn new(own: &[OwnRule], settings: &Settings) -> Result<Self, Vec<(String, String)>> {
        if own.is_empty() {
            return Ok(Self::default());
        }
        let (figures, sources) = rule_figures(settings);
        let (mut rules, mut problems) = (Vec::<Rule>::new(), Vec::new());
        if own.len() > RULES_MAX {
            problems.push(("rule".to_owned(), format!("at most {RULES_MAX} rules of your own")));
        }
        for (at, own) in own.iter().enumerate() {
            match Rule::new(own, &figures) {
                Ok(rule) if rules.iter().any(|known| known.name == rule.name) => {
                    problems.push((format!("rule[{at}].name"), format!("`{}` is used twice", rule.name)));
                }
                Ok(rule) => rules.push(rule),
                Err(wrong) => problems.extend(wrong.into_iter().map(|(key, what)| (format!("rule[{at}].{key}"), what))),
            }
        }
        let source = |place: &usize| sources.get(*place).is_some_and(|(source, _)| source.has_terms());
        let needs_terms = rules.iter().flat_map(Rule::figures).any(|place| source(&place));
        if problems.is_empty() { Ok(Self { rules, sources, needs_terms }) } else { Err(problems) }
    }

    /// The names of all figures that a rule may name, in order.
    #[must_use]
    pub fn figure_names(settings: &Settings) -> Vec<String> {
        rule_figures(settings).0.into_iter().map(|figure| figure.name).collect()
    }

    /// Every rule, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.rules.iter()
    }

    /// The rule of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| *rule.name == *name)
    }

    /// What the figure of a rule's alerts is called; of a rule that is gone, "figure".
    pub(super) fn figure_of(&self, name: &str) -> &str {
        self.named(name).map_or("figure", |rule| &rule.figure)
    }

    fn source(&self, place: usize) -> Option<Source> {
        self.sources.get(place).map(|(source, _)| *source)
    }

    /// The value of a figure as expressions take it: counts as numbers.
    fn value(&self, moment: &Moment<'_>, place: usize) -> Option<i64> {
        let (source, unit) = self.sources.get(place)?;
        let value = moment.value(*source)?;
        Some(if *unit == Unit::Count { Micro::whole(value).0 } else { value })
    }
}

/// A reading of one rule.
struct Read {
    subject: Subject,
    detail: Detail,
    reading: Reading,
    evidence: Option<Vec<Evidence>>,
    message: Option<Arc<str>>,
}

/// Reads every rule, about the customer and about each open item; ends the alerts about items that are no more.
pub(super) fn read(turn: &mut Turn<'_>, customer: &mut Customer, derived: &Derived) {
    let settings = turn.settings;
    if settings.own_rules.rules.is_empty() {
        return;
    }
    let mut reads = Vec::new();
    let mut skipped = Vec::new();
    read_about(turn, customer, derived, None, &mut reads, &mut skipped);
    if settings.own_rules.rules.iter().any(|rule| rule.is_about_items) {
        for item in customer.items.iter().filter(|item| item.is_open()) {
            read_about(turn, customer, derived, Some(item), &mut reads, &mut skipped);
        }
    }
    turn.out.extend(skipped.into_iter().map(Output::RuleSkipped));
    read_stranded(customer, settings, &mut reads);
    for Read { subject, detail, reading, evidence, message } in reads {
        let basis = evidence.as_deref().map_or(Basis::Perception(derived), Basis::Lines);
        turn.judge_detail(customer, &subject, &detail, reading, Told { basis, message });
    }
}

fn read_about(
    turn: &Turn<'_>,
    customer: &Customer,
    derived: &Derived,
    item: Option<&OpenItem>,
    reads: &mut Vec<Read>,
    skipped: &mut Vec<Arc<str>>,
) {
    let (settings, own) = (turn.settings, &turn.settings.own_rules);
    let terms = item.filter(|_| own.needs_terms);
    let terms = terms.map(|item| pressure::terms(customer, item, settings, derived.at, derived.figures.perception));
    let moment = Moment::new(customer, settings, derived, item, terms.unwrap_or_default());
    let figure = |place: usize| own.value(&moment, place);
    let is_about = |rule: &&Rule| match item {
        Some(item) => rule.is_about(item.item.item_type),
        None => !rule.is_about_items,
    };
    for rule in own.rules.iter().filter(|rule| rule.lifecycle.enabled).filter(is_about) {
        let Ok(verdict) = rule.read(&figure) else {
            skipped.push(Arc::clone(&rule.name));
            continue;
        };
        let subject_item = item.map(|item| &item.item);
        let is_same = |alert: &AlertState| {
            matches!(&alert.detail, Detail::Own(name) if *name == rule.name) && alert.item.as_ref() == subject_item
        };
        if !matches!(verdict, Verdict::Open(_)) && !customer.alerts.iter().any(is_same) {
            continue;
        }
        let origin = item.map_or_else(|| origin(turn, customer), |item| item.opener.at(item.opened));
        let (after, threshold) = rule.told(&figure);
        reads.push(Read {
            subject: Subject { kind: Kind::Own, item: subject_item.cloned(), origin },
            detail: Detail::Own(Arc::clone(&rule.name)),
            reading: Reading { verdict, figure: "", before: None, after, threshold },
            evidence: evidence(rule, customer, settings, &moment, origin.evidence(after)),
            message: rule.message(&figure),
        });
    }
}

/// The lines of the figure: what adds to it where it is a sum; else the touchpoint that started the episode. None =
/// those of perception.
fn evidence(
    rule: &Rule,
    customer: &Customer,
    settings: &Settings,
    moment: &Moment<'_>,
    origin: Evidence,
) -> Option<Vec<Evidence>> {
    let source = rule.single_figure().and_then(|place| settings.own_rules.source(place));
    let lines = match source {
        Some(Source::Perception) => return None,
        Some(Source::Effort) => contacts::effort(customer, settings).1,
        Some(source) => moment.term_lines(source),
        None => Vec::new(),
    };
    Some(if lines.is_empty() { vec![origin] } else { lines })
}

/// Alerts about items that closed or gave way, and those of a rule that is not about the same things any more.
fn read_stranded(customer: &Customer, settings: &Settings, reads: &mut Vec<Read>) {
    for alert in customer.alerts.iter().filter(|alert| alert.kind == Kind::Own) {
        let is_read = |read: &Read| (&read.subject.item, &read.detail) == (&alert.item, &alert.detail);
        let Detail::Own(name) = &alert.detail else { continue };
        // The alerts of a rule that is gone are ended with those of other rules that are.
        let Some(rule) = settings.own_rules.named(name).filter(|rule| rule.lifecycle.enabled) else { continue };
        let is_open = |item: &OpenItem| item.is_open() && Some(&item.item) == alert.item.as_ref();
        let is_there = match alert.item {
            Some(_) => rule.is_about_items && customer.items.iter().any(is_open),
            None => !rule.is_about_items,
        };
        if is_there || reads.iter().any(is_read) {
            continue;
        }
        let reading = Reading {
            verdict: Verdict::Close("closed"),
            figure: "",
            before: alert.before,
            after: alert.origin.value,
            threshold: alert.threshold,
        };
        let subject = Subject { kind: alert.kind, item: alert.item.clone(), origin: alert.origin };
        reads.push(Read { subject, detail: alert.detail.clone(), reading, evidence: Some(Vec::new()), message: None });
    }
}

/// When time alone next turns a comparison, after the customer's own time.
pub(super) fn deadline(customer: &Customer, settings: &Settings) -> Option<Timestamp> {
    let own = &settings.own_rules;
    let turning = own.rules.iter().filter(|rule| rule.lifecycle.enabled && !rule.turns.is_empty());
    let next = |rule: &Rule, item: Option<&OpenItem>| {
        let moments = rule.turns.iter().filter_map(|(place, at_ms)| {
            Some(own.source(*place)?.since(customer, item)?.plus(*at_ms)).filter(|moment| *moment > customer.now)
        });
        moments.min()
    };
    let of_rule = |rule: &Rule| {
        let items = customer.items.iter().filter(|item| item.is_open() && rule.is_about(item.item.item_type));
        let about_customer = (!rule.is_about_items).then(|| next(rule, None)).flatten();
        items.filter_map(|item| next(rule, Some(item))).chain(about_customer).min()
    };
    turning.filter_map(of_rule).min()
}
