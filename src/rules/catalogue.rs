//! What each kind of touchpoint means. Filled from `config/catalogue.toml` by `config`; pure data here.

use super::journeys::{self, Journey, JourneyEntry};
use super::promises::{Direction, Opening, OpeningEntry, Promise, PromiseEntry};
use crate::model::{Actor, Contact, Micro, Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most promises of a catalogue.
const PROMISES_MAX: usize = 16;

/// Aspect of experience a kind speaks to. Only a tag (and through `weight` a weight); never inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Involvement {
    /// Price, facts, function.
    Rational,
    /// Feelings.
    Emotional,
    /// Senses: taste, look, sound.
    Sensorial,
    /// The body: walking, waiting, carrying.
    Physical,
    /// Values and meaning.
    Spiritual,
}

/// How a kind counts as a failure of the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The business cancelled.
    MerchantCancel,
    /// Money back for a defect.
    DefectRefund,
    /// A payment was refused; two within `payment_window` are a failure.
    Payment,
    /// The app crashed in checkout.
    Crash,
    /// A solved case came back.
    Reopened,
}

/// One kind of touchpoint. All keys optional in TOML.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kind {
    /// Score of the kind itself when nothing better is known, −1 to 1; absent = not scored.
    pub valence: Option<Micro>,
    /// Weight of that score, 0 to 100; 1 when absent.
    pub weight: Option<Micro>,
    /// Stage the customer is in after it.
    pub stage: Option<String>,
    /// Direct or indirect, unless the touchpoint says so itself.
    pub contact: Contact,
    /// Whether the customer acts (a contact) or the business; absent = neither.
    pub direction: Option<Direction>,
    /// Who acts, unless the touchpoint says so itself.
    pub actor: Actor,
    /// Aspect of experience.
    pub involvement: Option<Involvement>,
    /// Counts as frustration: at most `sessions.capped_events` of the kind are scored in one session.
    pub capped: bool,
    /// The touchpoint fulfils the promise of its `due_at`: scored by lateness, and late beyond the rule's limit it is a failure.
    pub fulfils: bool,
    /// A failure of the business.
    pub failure: Option<Failure>,
    /// Makes up for a failure (replacement, apology with effect, late delivery at last).
    pub recovers: bool,
    /// The business followed up with the customer: closes `detractor`.
    pub follow_up: bool,
    /// Journey it starts.
    pub starts: Option<String>,
    /// Journeys it ends, wherever they stand.
    pub completes: Vec<String>,
    /// Points of frustration; see `frustration_burst`.
    pub frustration: Option<Micro>,
    /// The customer turns to service: a contact.
    pub service_contact: bool,
    /// Points of effort it costs the customer by itself, besides being a contact or a transfer.
    pub effort: Option<Micro>,
    /// The customer is passed on to someone else.
    pub transfers: bool,
    /// The matter is closed as resolved.
    pub resolves: bool,
    /// Others can read it: a post, a review.
    pub public: bool,
    /// A share or referral.
    pub shares: bool,
    /// Promises it opens.
    pub opens: Vec<Opening>,
    /// Promises it keeps.
    pub keeps: Vec<String>,
    /// Promises it breaks.
    pub breaks: Vec<String>,
    /// Closes the item it is about.
    pub closes: bool,
    /// A purchase.
    pub purchase: bool,
    /// One line for people.
    pub description: Option<String>,
}

/// The whole catalogue, as in TOML: `[kinds.<name>]`, `[journeys.<name>]`, `[promises.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueFile {
    /// Kinds by name.
    pub kinds: BTreeMap<String, Kind>,
    /// Journeys by name.
    pub journeys: BTreeMap<String, Journey>,
    /// Promises by name.
    pub promises: BTreeMap<String, Promise>,
}

/// A kind with its names resolved to hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindEntry {
    /// As configured.
    pub kind: Kind,
    /// `kind.stage`.
    pub stage: Option<Name>,
    /// `kind.starts`.
    pub starts: Option<Name>,
    /// Journeys it moves on: to a step, or (`kind.completes`) to the end.
    pub passes: Vec<(Name, Option<Name>)>,
    /// `kind.opens`.
    pub opens: Vec<OpeningEntry>,
    /// `kind.keeps`.
    pub keeps: Vec<Name>,
    /// `kind.breaks`.
    pub breaks: Vec<Name>,
}

/// The catalogue as the core uses it: looked up by hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    kinds: BTreeMap<Name, KindEntry>,
    promises: BTreeMap<Name, PromiseEntry>,
    journeys: BTreeMap<Name, JourneyEntry>,
    names: BTreeMap<Name, String>,
}

impl Catalogue {
    /// Resolves a catalogue.
    ///
    /// # Errors
    /// Every problem at once, as (key path, what is wrong and what to do): an unknown journey or promise, a valence
    /// outside [−1, 1], a weight outside its range, two names with one hash.
    pub fn new(file: &CatalogueFile) -> Result<Self, Vec<(String, String)>> {
        let mut catalogue = Self::default();
        let mut problems = Vec::new();
        catalogue.take_journeys(file, &mut problems);
        catalogue.take_promises(file, &mut problems);
        for (name, kind) in &file.kinds {
            let path = format!("kinds.{name}");
            if kind.valence.is_some_and(|valence| valence.0.abs() > Micro::SCALE) {
                problems.push((format!("{path}.valence"), "must lie between -1 and 1".into()));
            }
            if kind.weight.is_some_and(|weight| !(0..=100 * Micro::SCALE).contains(&weight.0)) {
                problems.push((format!("{path}.weight"), "must lie between 0 and 100".into()));
            }
            for (key, points) in [("frustration", kind.frustration), ("effort", kind.effort)] {
                if points.is_some_and(|points| !(0..=100 * Micro::SCALE).contains(&points.0)) {
                    problems.push((format!("{path}.{key}"), "must lie between 0 and 100".into()));
                }
            }
            let reached = journeys::reached(&file.journeys, name, kind.stage.as_deref());
            let ended = kind.completes.iter().map(|journey| (Name::of(journey), None));
            let passes = reached.map(|(journey, step)| (journey, Some(step))).chain(ended).collect();
            let stage = kind.stage.as_ref().map(|stage| catalogue.intern(stage, &path, &mut problems));
            let hash = catalogue.intern(name, &path, &mut problems);
            let opens = kind
                .opens
                .iter()
                .map(|opening| OpeningEntry { promise: Name::of(&opening.promise), due: opening.due.clone() });
            let names = |names: &[String]| names.iter().map(|name| Name::of(name)).collect();
            let entry = KindEntry {
                kind: kind.clone(),
                stage,
                starts: kind.starts.as_deref().map(Name::of),
                passes,
                opens: opens.collect(),
                keeps: names(&kind.keeps),
                breaks: names(&kind.breaks),
            };
            catalogue.kinds.insert(hash, entry);
        }
        if problems.is_empty() { Ok(catalogue) } else { Err(problems) }
    }

    /// Takes the journeys in, and checks what kinds say of them.
    fn take_journeys(&mut self, file: &CatalogueFile, problems: &mut Vec<(String, String)>) {
        let is_stage = |stage: &str| file.kinds.values().any(|kind| kind.stage.as_deref() == Some(stage));
        problems.extend(journeys::problems(&file.journeys, &|kind| file.kinds.contains_key(kind), &is_stage));
        for (name, journey) in &file.journeys {
            let path = format!("journeys.{name}");
            let hash = self.intern(name, &path, problems);
            for step in &journey.steps {
                self.intern(&journeys::full_name(name, step), &path, problems);
            }
            self.journeys.insert(hash, journey.entry(name));
        }
        for (name, kind) in &file.kinds {
            let started = kind.starts.iter().map(|journey| ("starts", journey));
            for (key, journey) in started.chain(kind.completes.iter().map(|journey| ("completes", journey))) {
                if !file.journeys.contains_key(journey) {
                    let known: Vec<&str> = file.journeys.keys().map(String::as_str).collect();
                    let hint = format!("no journey \"{journey}\"; known: {}", known.join(", "));
                    problems.push((format!("kinds.{name}.{key}"), hint));
                }
            }
        }
    }

    /// Takes the promises in, and checks what kinds say of them.
    fn take_promises(&mut self, file: &CatalogueFile, problems: &mut Vec<(String, String)>) {
        if file.promises.len() > PROMISES_MAX {
            problems.push(("promises".into(), format!("at most {PROMISES_MAX} promises")));
        }
        for (name, promise) in &file.promises {
            let path = format!("promises.{name}");
            if !(0..=10 * Micro::SCALE).contains(&promise.weight.0) {
                problems.push((format!("{path}.weight"), "must lie between 0 and 10".into()));
            }
            let opened_by = file.kinds.values().flat_map(|kind| &kind.opens).filter(|opening| opening.promise == *name);
            let dated = opened_by.clone().any(|opening| opening.due.is_some());
            let Promise { party, weight, alert, sla, .. } = *promise;
            let hash = self.intern(name, &path, problems);
            self.promises.insert(hash, PromiseEntry { party, weight, alert, sla, dated });
        }
        for (name, kind) in &file.kinds {
            let opened = kind.opens.iter().map(|opening| ("opens", &opening.promise));
            let kept = kind.keeps.iter().map(|promise| ("keeps", promise));
            let broken = kind.breaks.iter().map(|promise| ("breaks", promise));
            for (key, promise) in opened.chain(kept).chain(broken) {
                if !file.promises.contains_key(promise) {
                    let known: Vec<&str> = file.promises.keys().map(String::as_str).collect();
                    let hint = format!("no promise \"{promise}\"; known: {}", known.join(", "));
                    problems.push((format!("kinds.{name}.{key}"), hint));
                }
            }
        }
    }

    /// Remembers the text of a further name, of an outcome or a measure.
    ///
    /// # Errors
    /// When another name has the same hash: (key path, what to do).
    pub fn learn(&mut self, text: &str, path: &str) -> Result<Name, (String, String)> {
        let mut problems = Vec::new();
        let name = self.intern(text, path, &mut problems);
        problems.pop().map_or(Ok(name), Err)
    }

    fn intern(&mut self, text: &str, path: &str, problems: &mut Vec<(String, String)>) -> Name {
        let name = Name::of(text);
        let known = self.names.entry(name).or_insert_with(|| text.to_owned());
        if known != text {
            problems.push((path.to_owned(), format!("\"{text}\" and \"{known}\" share a hash; rename one")));
        }
        name
    }

    /// The entry of a kind; none when the catalogue does not know it.
    #[must_use]
    pub fn kind(&self, kind: Name) -> Option<&KindEntry> {
        self.kinds.get(&kind)
    }

    /// Whether a kind is a purchase.
    #[must_use]
    pub fn has_purchases(&self) -> bool {
        self.kinds.values().any(|entry| entry.kind.purchase)
    }

    /// A promise; none when the catalogue does not know it (any more).
    #[must_use]
    pub fn promise(&self, promise: Name) -> Option<&PromiseEntry> {
        self.promises.get(&promise)
    }

    /// A journey; none when the catalogue does not know it (any more).
    #[must_use]
    pub fn journey(&self, journey: Name) -> Option<&JourneyEntry> {
        self.journeys.get(&journey)
    }

    /// All promises, in the order of their hashes.
    pub fn promises(&self) -> impl Iterator<Item = (Name, &PromiseEntry)> {
        self.promises.iter().map(|(name, entry)| (*name, entry))
    }

    /// The text of a name; `"uncatalogued"` when the catalogue does not know it.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        self.names.get(&name).map_or("uncatalogued", String::as_str)
    }

    /// How many kinds it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// True when it knows no kind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../config/catalogue.toml");

    #[test]
    fn shipped_catalogue_is_valid_and_says_what_each_kind_is() {
        let file: CatalogueFile = toml::from_str(SHIPPED).unwrap();
        let catalogue = Catalogue::new(&file).unwrap();
        assert!(catalogue.len() >= 60, "{} kinds", catalogue.len());
        for (name, kind) in &file.kinds {
            assert!(kind.description.as_ref().is_some_and(|text| !text.is_empty()), "{name} has no description");
        }
        let failures: std::collections::BTreeSet<Failure> =
            file.kinds.values().filter_map(|kind| kind.failure).collect();
        assert_eq!(failures.len(), 5, "every way to fail has a kind");
    }

    #[test]
    fn shipped_valences_are_the_published_ones() {
        let file: CatalogueFile = toml::from_str(SHIPPED).unwrap();
        for (name, valence, weight) in [
            ("rage_clicked", -600_000, 500_000),
            ("error_clicked", -700_000, 500_000),
            ("script_error", -500_000, 500_000),
            ("application_crashed", -900_000, 1_000_000),
            ("dead_clicked", -300_000, 300_000),
            ("coupon_denied", -400_000, 1_000_000),
            ("payment_failed", -700_000, 1_000_000),
            ("order_completed", 400_000, 1_000_000),
            ("contact_transferred", -400_000, 1_500_000),
            ("contact_escalated", -600_000, 1_500_000),
            ("contact_abandoned", -800_000, 1_500_000),
            ("order_delivered", 300_000, 2_000_000),
            ("order_refunded", -400_000, 2_000_000),
            ("order_cancelled_by_merchant", -900_000, 2_000_000),
            ("order_cancelled", -200_000, 2_000_000),
            ("unsubscribed", -400_000, 500_000),
            ("email_marked_as_spam", -800_000, 500_000),
            ("email_opened", 50_000, 500_000),
        ] {
            let kind = &file.kinds[name];
            assert_eq!((kind.valence, kind.weight), (Some(Micro(valence)), Some(Micro(weight))), "{name}");
        }
    }

    #[test]
    fn problems_are_told_all_at_once() {
        let text =
            "[kinds.a]\nvalence = -2\nstarts = \"trip\"\n[kinds.b]\nweight = -1\n[journeys.cart]\ndeadline = \"1h\"";
        let problems = Catalogue::new(&toml::from_str(text).unwrap()).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["kinds.a.starts", "kinds.a.valence", "kinds.b.weight"]);
    }
}
