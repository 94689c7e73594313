//! Journeys: what customers go through from a beginning to an end, step by step, such as an order from payment to
//! delivery.
//!
//! Declared once in the catalogue (`[catalogue.journeys.<name>]`). Kinds of touchpoints start it (`starts`), reach its
//! steps (the step names the kinds, or the stage they have) and end it: the last step does, and kinds that say
//! `completes` do from wherever it stands. Steps may be skipped; what counts is the furthest one reached.

use crate::model::{Name, time::Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most journeys of a catalogue, and most steps of one: every way from one step to another is a time series.
const JOURNEYS_MAX: usize = 16;
/// What a place on a journey is called that is no step of it.
pub const START: &str = "start";
/// Ended by a kind that says so.
pub const END: &str = "end";
/// Nothing came in time.
pub const STALLED: &str = "stalled";

/// `[catalogue.journeys.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journey {
    /// Longest time from start to end before `journey_stalled`; without steps there must be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// In their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A step of a journey.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Unique in the journey.
    pub name: String,
    /// Kinds that reach it …
    pub kinds: Vec<String>,
    /// … and the stage whose kinds do.
    pub stage: Option<String>,
    /// Longest time from the step before, or the start, before `journey_stalled`.
    pub deadline: Option<Span>,
}

/// A journey as the core uses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JourneyEntry {
    /// From start to end, in ms.
    pub deadline_ms: Option<i64>,
    /// In their order.
    pub steps: Vec<StepEntry>,
}

/// A step as the core uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepEntry {
    /// Of `<journey>.<step>`.
    pub name: Name,
    /// From the step before, or the start, in ms.
    pub deadline_ms: Option<i64>,
}

impl Journey {
    /// What the core needs of it.
    #[must_use]
    pub fn entry(&self, name: &str) -> JourneyEntry {
        let ms = |span: Option<Span>| span.map(|Span(span_ms)| span_ms);
        let step = |step: &Step| StepEntry { name: Name::of(&full_name(name, step)), deadline_ms: ms(step.deadline) };
        JourneyEntry { deadline_ms: ms(self.deadline), steps: self.steps.iter().map(step).collect() }
    }
}

impl JourneyEntry {
    /// Where a step stands in the order; none when the journey has no such step (any more).
    #[must_use]
    pub fn place(&self, step: Name) -> Option<usize> {
        self.steps.iter().position(|known| known.name == step)
    }

    /// The step after this one, or the first; none after the last.
    #[must_use]
    pub fn after(&self, step: Option<Name>) -> Option<StepEntry> {
        let next = step.map_or(Some(0), |step| self.place(step).map(|place| place + 1))?;
        self.steps.get(next).copied()
    }

    /// Whether reaching it ends the journey.
    #[must_use]
    pub fn is_last(&self, step: Name) -> bool {
        self.steps.last().is_some_and(|last| last.name == step)
    }
}

/// The name of a step among all names of a catalogue.
#[must_use]
pub fn full_name(journey: &str, step: &Step) -> String {
    format!("{journey}.{}", step.name)
}

/// The steps that a kind reaches, as (journey, step): those that name it or its stage.
pub fn reached<'a>(
    journeys: &'a BTreeMap<String, Journey>,
    kind: &'a str,
    stage: Option<&'a str>,
) -> impl Iterator<Item = (Name, Name)> + 'a {
    journeys.iter().flat_map(move |(name, journey)| {
        let reaches = move |step: &&Step| {
            step.kinds.iter().any(|known| known == kind) || stage.is_some() && step.stage.as_deref() == stage
        };
        let steps = journey.steps.iter().filter(reaches);
        steps.map(move |step| (Name::of(name), Name::of(&full_name(name, step))))
    })
}

/// What is wrong with the journeys, as (key path, what to do): `is_kind` and `is_stage` say what the catalogue has.
#[must_use]
pub fn problems(
    journeys: &BTreeMap<String, Journey>,
    is_kind: &dyn Fn(&str) -> bool,
    is_stage: &dyn Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut wrong = |path: &str, hint: String| problems.push((path.to_owned(), hint));
    if journeys.len() > JOURNEYS_MAX {
        wrong("journeys", format!("at most {JOURNEYS_MAX} journeys"));
    }
    for (name, journey) in journeys {
        let path = format!("journeys.{name}");
        if journey.steps.is_empty() && journey.deadline.is_none() {
            wrong(&format!("{path}.deadline"), "a journey without steps needs one, such as \"24h\"".to_owned());
        }
        if journey.steps.len() > JOURNEYS_MAX {
            wrong(&format!("{path}.steps"), format!("at most {JOURNEYS_MAX} steps"));
        }
        for (place, step) in journey.steps.iter().enumerate() {
            let path = format!("{path}.steps[{place}]");
            let key = |key: &str| format!("{path}.{key}");
            if step.name.is_empty() || [START, END, STALLED].contains(&step.name.as_str()) {
                wrong(&key("name"), format!("must be a name other than {START}, {END} and {STALLED}"));
            }
            if journey.steps.iter().take(place).any(|other| other.name == step.name) {
                wrong(&key("name"), format!("there is a step \"{}\" already", step.name));
            }
            if step.kinds.is_empty() && step.stage.is_none() {
                wrong(&key("kinds"), "name the kinds that reach it, or a `stage`".to_owned());
            }
            for kind in step.kinds.iter().filter(|kind| !is_kind(kind)) {
                wrong(&key("kinds"), format!("no kind \"{kind}\" in the catalogue"));
            }
            if let Some(stage) = step.stage.as_deref().filter(|stage| !is_stage(stage)) {
                wrong(&key("stage"), format!("no kind of the catalogue has the stage \"{stage}\""));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let journeys: BTreeMap<String, Journey> = toml::from_str(
            "[trip]\n[order]\nsteps = [{ name = \"paid\", kinds = [\"payment\", \"moon\"] }, { name = \"paid\", stage = \"space\" }, { name = \"end\" }]",
        )
        .unwrap();
        let problems = problems(&journeys, &|kind| kind == "payment", &|_| false);
        let paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "journeys.order.steps[0].kinds",
                "journeys.order.steps[1].name",
                "journeys.order.steps[1].stage",
                "journeys.order.steps[2].name",
                "journeys.order.steps[2].kinds",
                "journeys.trip.deadline",
            ]
        );
    }

    #[test]
    fn steps_are_in_the_order_of_the_configuration() {
        let journeys: BTreeMap<String, Journey> = toml::from_str(
            "[order]\nsteps = [{ name = \"paid\", kinds = [\"payment\"], deadline = \"1d\" }, { name = \"used\", stage = \"use\" }]",
        )
        .unwrap();
        let order = journeys["order"].entry("order");
        let [paid, used] = ["order.paid", "order.used"].map(Name::of);
        assert_eq!(order.after(None).map(|step| (step.name, step.deadline_ms)), Some((paid, Some(86_400_000))));
        assert_eq!(order.after(Some(paid)).map(|step| step.name), Some(used));
        assert_eq!((order.after(Some(used)), order.after(Some(Name::of("gone")))), (None, None));
        assert!(order.is_last(used) && !order.is_last(paid));
        let by = |kind, stage| reached(&journeys, kind, stage).map(|(_, step)| step).collect::<Vec<_>>();
        assert_eq!((by("payment", Some("use")), by("view", None)), (vec![paid, used], vec![]));
    }
}
