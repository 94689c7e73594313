//! Own rules: `[[rule]]` of the user's configuration, in the place of code.
//!
//! A rule is a condition ([`super::expression`]) over the customer's figures, with the life cycle, evidence and
//! determinism of the built-in ones. It is known by its name everywhere, in state too: a rule that is renamed is another
//! rule, and the open alerts of one that is gone are resolved as `rule_removed`. A condition that names a figure of items is
//! read for each open item, and has an alert for each; any other is about the customer.
//!
//! The figure of its alerts is the left side of one comparison of `when`, always the same: of the one that `figure` names,
//! else of the first. Lengths of time are told in hours.

use super::expression::{self, Comparison, Condition, Expression, Figure, Relation, Type, Unknown, Value};
use super::{Kind, Lifecycle, Row, Verdict, Words};
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::model::{ItemType, Micro, Severity, time::Span};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most own rules: each is a value of a label of metrics, and is read at every touchpoint.
pub const RULES_MAX: usize = 32;
/// Longest name.
const NAME_BYTES_MAX: usize = 40;
/// Longest message or suggested action.
const TEXT_BYTES_MAX: usize = 500;
/// What all own rules have in common. The version is that of how conditions are read.
pub const ROW: Row = Row { kind: Kind::Own, name: "own", version: 1, summary: "a rule of your own" };

/// `[[rule]]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRule {
    /// The kind of its alerts: lower-case letters, digits and `_`.
    pub name: String,
    /// Opens while this holds.
    pub when: String,
    /// Closes at this: a condition, or a threshold for the figure (which closes without a value, too). When `when` does
    /// not hold, if absent.
    #[serde(default)]
    pub close: Option<Close>,
    /// The figure of its alerts: the left side of a comparison in `when`. The first one, if absent.
    #[serde(default)]
    pub figure: Option<String>,
    /// Types of items it is about, if it names figures of items; empty = all.
    #[serde(default)]
    pub items: Vec<ItemType>,
    /// What its alerts say; `{name}` is the value of a figure.
    #[serde(default)]
    pub message: Option<String>,
    /// Off = it is not read.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Severity when it opens, before it is raised.
    #[serde(default = "severity")]
    pub severity: Severity,
    /// It must hold this long before the alert opens.
    #[serde(default, rename = "for")]
    pub hold: Span,
    /// The closing condition must hold this long before the alert is resolved.
    #[serde(default)]
    pub keep_firing_for: Span,
    /// After it ended, the same alert stays quiet for this long.
    #[serde(default = "cooldown")]
    pub cooldown: Span,
    /// Resolved as `expired` after this long; `0ms` = never.
    #[serde(default = "max_open")]
    pub max_open: Span,
    /// Text or code for whoever gets the alert.
    #[serde(default)]
    pub suggested_action: Option<String>,
}

const fn enabled() -> bool {
    true
}

const fn severity() -> Severity {
    Severity::Warning
}

const fn cooldown() -> Span {
    Span(DAY_MS)
}

const fn max_open() -> Span {
    Span(90 * DAY_MS)
}

/// When an own rule closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Close {
    /// Beyond this the figure is well again.
    Threshold(Micro),
    /// When this holds; or a threshold with a unit, such as `"2d"`.
    Expression(String),
}

/// An own rule, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// As written.
    pub own: OwnRule,
    /// Severity and times.
    pub lifecycle: Lifecycle,
    /// What the figure of its alerts is called.
    pub figure: String,
    /// It is read for each open item.
    pub is_about_items: bool,
    /// The comparison whose left side is the figure of its alerts.
    pub compared: Comparison,
    when: Condition,
    closes: Option<Condition>,
    message: Vec<Piece>,
    /// What grows by itself, and the value at which a comparison with it turns.
    pub turns: Vec<(usize, i64)>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(usize, Type),
}

impl Rule {
    /// Makes a rule of what the user wrote, over the figures there are.
    ///
    /// # Errors
    /// Every problem, as (key below the rule, what is wrong and what to do).
    pub fn new(own: &OwnRule, figures: &[Figure]) -> Result<Self, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        check(own, &mut problems);
        let when = match expression::parse(&own.when, figures) {
            Ok(Expression::Condition(when)) => Ok(when),
            Ok(Expression::Value(..)) => Err("a value, not a condition: compare it, as in `effort >= 6`".to_owned()),
            Err(wrong) => Err(wrong.to_string()),
        };
        let when = when.map_err(|what| problems.push(("when", what))).ok();
        let compared = when.as_ref().map(|when| compared(own, when));
        let compared = compared.and_then(|compared| compared.map_err(|problem| problems.push(problem)).ok());
        let closes =
            own.close.as_ref().zip(compared.as_ref()).map(|(close, compared)| closes(close, compared, figures));
        let closes = closes.transpose().map_err(|what| problems.push(("close", what))).ok().flatten();
        let message = message(own.message.as_deref().unwrap_or_default(), figures);
        let message = message.map_err(|what| problems.push(("message", what))).ok();
        let (Some(when), Some(compared), Some(message), true) = (when, compared, message, problems.is_empty()) else {
            return Err(problems);
        };
        let is_of_item = |place: &usize| figures.get(*place).is_some_and(|figure| figure.of_item);
        let named: Vec<usize> = when.figures().into_iter().chain(closes.iter().flat_map(Condition::figures)).collect();
        let is_about_items = named.iter().any(is_of_item);
        if !own.items.is_empty() && !is_about_items {
            return Err(vec![(
                "items",
                "the condition names no figure of items, so it is about the customer".to_owned(),
            )]);
        }
        let turns = turns(&when, figures).into_iter().chain(closes.iter().flat_map(|closes| turns(closes, figures)));
        Ok(Self {
            name: Arc::from(own.name.as_str()),
            lifecycle: lifecycle(own),
            figure: figure_name(&compared),
            is_about_items,
            turns: turns.collect(),
            compared,
            when,
            closes,
            message,
            own: own.clone(),
        })
    }

    /// Whether it is read about items of this type.
    #[must_use]
    pub fn is_about(&self, item_type: ItemType) -> bool {
        self.is_about_items && (self.own.items.is_empty() || self.own.items.contains(&item_type))
    }

    /// Every figure it compares.
    pub fn figures(&self) -> Vec<usize> {
        self.when.figures().into_iter().chain(self.closes.iter().flat_map(Condition::figures)).collect()
    }

    /// What it says; `figure` gives the value of a figure by its place.
    ///
    /// # Errors
    /// When a number on the way is too large; then it says nothing.
    pub fn read(&self, figure: &impl Fn(usize) -> Option<i64>) -> Result<Verdict, Unknown> {
        let known = |answer| match answer {
            Err(Unknown::Overflow) => Err(Unknown::Overflow),
            Err(Unknown::Missing) => Ok(None),
            Ok(holds) => Ok(Some(holds)),
        };
        let when = known(self.when.holds(figure))?;
        if when == Some(true) {
            return Ok(Verdict::Open(self.lifecycle.severity));
        }
        let closes = match &self.closes {
            Some(closes) => known(closes.holds(figure))? == Some(true),
            None => true,
        };
        Ok(if closes { Verdict::Close("condition_over") } else { Verdict::Hold })
    }

    /// The figure of its alerts and what it is compared with, as told; 0 where there is no value.
    pub fn told(&self, figure: &impl Fn(usize) -> Option<i64>) -> (Micro, Micro) {
        let told = |value: &Value| {
            let value = value.compute(figure).unwrap_or(0);
            if self.compared.unit == Type::Duration { Micro::ratio(value, Micro::SCALE, HOUR_MS) } else { Micro(value) }
        };
        (told(&self.compared.left), told(&self.compared.right))
    }

    /// The figure, where it is a single one.
    #[must_use]
    pub const fn single_figure(&self) -> Option<usize> {
        match &self.compared.left {
            Value::Figure(place) => Some(*place),
            Value::Literal(_) | Value::Of(..) => None,
        }
    }

    /// What its alert says; none without a message.
    pub fn message(&self, figure: &impl Fn(usize) -> Option<i64>) -> Option<Arc<str>> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(place, unit) => {
                figure(*place).map_or_else(|| "unknown".to_owned(), |value| spoken(value, *unit))
            }
        };
        (!self.message.is_empty()).then(|| self.message.iter().map(piece).collect::<String>().into())
    }

    /// When it opens and closes.
    #[must_use]
    pub fn words(&self) -> Words {
        let left = &self.compared.text;
        let closes = match (&self.own.close, self.compared.relation) {
            (None, _) => "that does not hold".to_owned(),
            (Some(Close::Expression(text)), _) if text.contains(['<', '>', '=', '(']) => text.clone(),
            (Some(close), Relation::Below | Relation::AtMost) => format!("{left} > {close}"),
            (Some(close), _) => format!("{left} < {close}"),
        };
        Words { opens: self.own.when.clone(), closes }
    }
}

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Threshold(threshold) => threshold.fmt(f),
            Self::Expression(text) => text.fmt(f),
        }
    }
}

fn check(own: &OwnRule, problems: &mut Vec<(&'static str, String)>) {
    let name = &own.name;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if name.len() > NAME_BYTES_MAX || !begins || !name.bytes().all(legal) {
        let what = "needs at most 40 lower-case letters, digits and `_`, a letter first, such as \"worn_out\"";
        problems.push(("name", what.to_owned()));
    }
    if super::TABLE.iter().any(|row| row.name == name) {
        problems.push(("name", format!("`{name}` is a built-in rule: its thresholds are in [rules.{name}]")));
    }
    for (key, text) in [("message", &own.message), ("suggested_action", &own.suggested_action)] {
        if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            problems.push((key, format!("longer than {TEXT_BYTES_MAX} bytes")));
        }
    }
}

fn lifecycle(own: &OwnRule) -> Lifecycle {
    let OwnRule { enabled, severity, hold, keep_firing_for, cooldown, max_open, .. } = *own;
    let suggested_action = own.suggested_action.clone();
    Lifecycle { enabled, severity, hold, keep_firing_for, cooldown, max_open, suggested_action }
}

/// The comparison whose left side is the figure of the alerts.
fn compared(own: &OwnRule, when: &Condition) -> Result<Comparison, (&'static str, String)> {
    let measures = |comparison: &&&Comparison| comparison.unit != Type::Category;
    let comparisons = when.comparisons();
    let mut measuring = comparisons.iter().filter(measures);
    match &own.figure {
        None => measuring.next().map(|first| (*first).clone()).ok_or_else(|| {
            let what = "needs a comparison of a number or a length of time, for the figure of its alerts";
            ("when", what.to_owned())
        }),
        Some(wanted) => {
            let sides: Vec<&str> = measuring.clone().map(|comparison| comparison.text.as_str()).collect();
            let found = measuring.find(|comparison| comparison.text == *wanted).map(|found| (*found).clone());
            let what = || format!("`{wanted}` is on the left of no comparison in `when`; there: {}", sides.join(", "));
            found.ok_or_else(|| ("figure", what()))
        }
    }
}

fn figure_name(compared: &Comparison) -> String {
    match compared.unit {
        Type::Duration => format!("{}_hours", compared.text),
        Type::Number | Type::Category => compared.text.clone(),
    }
}

fn closes(close: &Close, compared: &Comparison, figures: &[Figure]) -> Result<Condition, String> {
    let (threshold, unit) = match close {
        Close::Threshold(threshold) => (Value::Literal(threshold.0), Type::Number),
        Close::Expression(text) => match expression::parse(text, figures).map_err(|wrong| wrong.to_string())? {
            Expression::Condition(condition) => return Ok(condition),
            Expression::Value(value, unit) => (value, unit),
        },
    };
    let what = || format!("a threshold for `{}` must be a constant of the same unit", compared.text);
    let at = threshold.constant().filter(|_| unit == compared.unit).ok_or_else(what)?;
    let (relation, beyond) = match compared.relation {
        Relation::Above | Relation::AtLeast => {
            (Relation::Below, compared.right.constant().is_some_and(|open| at > open))
        }
        Relation::Below | Relation::AtMost => {
            (Relation::Above, compared.right.constant().is_some_and(|open| at < open))
        }
        Relation::Equal | Relation::Unequal => {
            return Err("a threshold needs a comparison with <, <=, > or >=; write a condition".to_owned());
        }
    };
    if beyond {
        return Err("lies on the opening side of the threshold in `when`: the alert would flap".to_owned());
    }
    let condition = Condition::Compare(Comparison { relation, right: threshold, ..compared.clone() });
    Ok(match compared.left {
        // What is gone, such as the wait for what came, is well again.
        Value::Figure(place) => Condition::Or(Box::new((condition, Condition::Has(place, false)))),
        Value::Literal(_) | Value::Of(..) => condition,
    })
}

/// Where time alone turns a comparison: a figure that grows against a constant.
fn turns(condition: &Condition, figures: &[Figure]) -> Vec<(usize, i64)> {
    let mut turns = Vec::new();
    for Comparison { left, right, relation, .. } in condition.comparisons() {
        let (place, constant, relation) = match (left, right) {
            (Value::Figure(place), value) => (*place, value.constant(), *relation),
            (value, Value::Figure(place)) => (*place, value.constant(), relation.mirrored()),
            (Value::Literal(_) | Value::Of(..), Value::Literal(_) | Value::Of(..)) => continue,
        };
        let grows = figures.get(place).is_some_and(|figure| figure.grows);
        let Some(constant) = constant.filter(|_| grows) else { continue };
        if !matches!(relation, Relation::Above | Relation::AtMost) {
            turns.push((place, constant));
        }
        if !matches!(relation, Relation::AtLeast | Relation::Below) {
            turns.push((place, constant.saturating_add(1)));
        }
    }
    turns
}

fn message(text: &str, figures: &[Figure]) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` without its `}`")?;
        pieces.push(Piece::Text(before.to_owned()));
        match expression::parse(name, figures).map_err(|wrong| format!("in `{{{name}}}`, {wrong}"))? {
            Expression::Value(Value::Figure(place), unit) if unit != Type::Category => {
                pieces.push(Piece::Value(place, unit));
            }
            Expression::Value(..) | Expression::Condition(_) => {
                return Err(format!("`{{{name}}}` must be the name of a figure that is a number or a length of time"));
            }
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// A value for people: numbers to two decimals, lengths of time in their largest unit to one.
fn spoken(value: i64, unit: Type) -> String {
    let rounded = |value: i64, step: i64| {
        let half = if value < 0 { -step / 2 } else { step / 2 };
        Micro(value.saturating_add(half) / step * step)
    };
    if unit != Type::Duration {
        return rounded(value, 10_000).to_string();
    }
    let units = [(DAY_MS, "days"), (HOUR_MS, "hours"), (MINUTE_MS, "minutes")];
    let largest = units.into_iter().find(|(unit_ms, _)| value.saturating_abs() >= *unit_ms);
    let (unit_ms, name) = largest.unwrap_or((1_000, "seconds"));
    format!("{} {name}", rounded(Micro::ratio(value, Micro::SCALE, unit_ms).0, 100_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figures() -> Vec<Figure> {
        let figure = |name: &str, unit, grows, of_item| Figure { name: name.to_owned(), unit, grows, of_item };
        vec![
            figure("effort", Type::Number, false, false),
            figure("c.silence", Type::Duration, true, false),
            figure("p.delivery.open", Type::Duration, true, true),
            figure("c.tier", Type::Category, false, false),
        ]
    }

    fn problems(toml: &str) -> Vec<String> {
        let own: OwnRule = toml::from_str(toml).unwrap();
        let problems = Rule::new(&own, &figures()).expect_err(toml);
        problems.into_iter().map(|(key, what)| format!("{key}: {what}")).collect()
    }

    fn rule(toml: &str) -> Rule {
        Rule::new(&toml::from_str(toml).unwrap(), &figures()).expect(toml)
    }

    #[test]
    fn problems_are_named_by_key() {
        for (more, problem) in [
            ("name = 'Worn out'", "name: needs at most 40"),
            ("name = 'detractor'", "name: `detractor` is a built-in rule"),
            ("when = 'efort > 1'", "when: at character 1: no figure `efort`; did you mean `effort`?"),
            ("when = 'effort'", "when: a value, not a condition"),
            ("when = 'c.tier == \"gold\"'", "when: needs a comparison of a number"),
            ("figure = 'c.silence'", "figure: `c.silence` is on the left of no comparison in `when`; there: effort"),
            ("close = 2", "close: lies on the opening side"),
            ("close = '2d'", "close: a threshold for `effort` must be a constant of the same unit"),
            ("when = 'effort == 1'\nclose = 0", "close: a threshold needs a comparison with"),
            ("items = ['order']", "items: the condition names no figure of items"),
            ("message = '{efort} points'", "message: in `{efort}`, at character 1: no figure"),
            ("message = '{c.tier}'", "message: `{c.tier}` must be the name of a figure that is a number"),
            ("message = '{effort'", "message: a `{` without its `}`"),
        ] {
            let name = if more.starts_with("name") { "" } else { "name = 'x'\n" };
            let when = if more.starts_with("when") { "" } else { "when = 'effort > 1'\n" };
            let found = problems(&format!("{name}{when}{more}"));
            assert!(found.iter().any(|found| found.starts_with(problem)), "{problem}: {found:?}");
        }
    }

    #[test]
    fn opens_holds_and_closes() {
        let at = |effort: i64| move |place: usize| (place == 0).then_some(Micro::whole(effort).0);
        let open = Verdict::Open(Severity::Warning);
        let close = Verdict::Close("condition_over");
        for (close_at, verdicts) in [
            ("", [open, close, close, close]),
            ("close = 2", [open, Verdict::Hold, Verdict::Hold, close]),
            ("close = \"effort <= 2\"", [open, Verdict::Hold, close, close]),
            // Never known: never closes.
            ("close = \"c.silence > 1d\"", [open, Verdict::Hold, Verdict::Hold, Verdict::Hold]),
        ] {
            let rule = rule(&format!("name = \"x\"\nwhen = \"effort >= 6\"\n{close_at}"));
            assert_eq!([6, 5, 2, 1].map(|effort| rule.read(&at(effort)).unwrap()), verdicts, "{close_at}");
        }
    }

    #[test]
    fn time_turns_it_where_a_growing_figure_meets_a_constant() {
        for (when, turns) in [
            ("c.silence >= 2d and effort > 1", vec![(1, 2 * DAY_MS)]),
            ("c.silence > 2d", vec![(1, 2 * DAY_MS + 1)]),
            ("36h + 12h <= c.silence", vec![(1, 2 * DAY_MS)]),
            ("not p.delivery.open < 1h", vec![(2, HOUR_MS)]),
            ("effort > 1", vec![]),
        ] {
            let rule = rule(&format!("name = \"x\"\nwhen = \"{when}\""));
            assert_eq!(rule.turns, turns, "{when}");
            assert_eq!(rule.is_about_items, when.contains("p."));
        }
    }

    #[test]
    fn figure_and_message_are_told_in_units_people_read() {
        let rule = rule(
            "name = \"x\"\nwhen = \"effort > 1 and c.silence > 36h\"\nfigure = \"c.silence\"\n\
             message = \"silent for {c.silence}, effort {effort}, parcel {p.delivery.open}\"",
        );
        let figure = |place: usize| [Some(1_234_567), Some(2 * DAY_MS + 5 * HOUR_MS), None, None][place];
        assert_eq!(rule.figure, "c.silence_hours");
        assert_eq!(rule.told(&figure), (Micro::whole(53), Micro::whole(36)));
        let message = rule.message(&figure).unwrap();
        assert_eq!(&*message, "silent for 2.2 days, effort 1.23, parcel unknown");
    }

    proptest! {
        #[test]
        fn an_overflow_is_an_answer(effort in any::<i64>(), silence in any::<i64>()) {
            let rule = rule("name = \"x\"\nwhen = \"effort * effort + effort > 1\"\nclose = \"c.silence * 3 > 5d\"\nmessage = \"{effort} {c.silence}\"");
            let figure = |place: usize| [Some(effort), Some(silence), None, None][place];
            let fits = i128::from(effort) * i128::from(effort) / 1_000_000 < i128::from(i64::MAX) - i128::from(effort.max(0));
            if !fits {
                prop_assert_eq!(rule.read(&figure), Err(Unknown::Overflow));
            }
            rule.told(&figure);
            rule.message(&figure);
        }
    }
}
