//! A customer as queries see it, with the arithmetic behind the figures.

use super::Engine;
use super::apply::unpack;
use super::customer::Customer;
use super::features::Moment;
use super::figures::{Derived, derive, index_terms, perception_evidence};
use super::pressure::{each_pressure, most_pressing, terms};
use super::settings::Settings;
use super::{Foreseen, Line, OpenAlert, View, image, journeys, stages};
use crate::model::Micro;
use crate::rules::lifecycle::State;
use std::sync::Arc;

impl Engine {
    /// A customer as of the last `apply`, at the customer's own time; none when there is none.
    #[must_use]
    pub fn view(&self, customer_id: &str) -> Option<View> {
        let slot = self.find(customer_id)?;
        let mut customer = Customer::default();
        image::read(self.image(slot), &mut customer).ok()?;
        let settings = &self.settings;
        let derived = derive(&customer, settings);
        let figures = derived.figures;
        let line = |label: &str, contribution| Line { label: label.to_owned(), contribution };
        let [base, perception, felt, _] =
            index_terms(&settings.model, figures.perception, figures.felt, figures.pressure);
        let mut index_lines =
            vec![line("base", base), line("perception", perception), line("felt disconfirmation", felt)];
        index_lines.extend(pressure_lines(&customer, settings));
        let told = index_lines.iter().fold(Micro::ZERO, |sum, line| sum + line.contribution);
        index_lines.push(line("rounding and limits", Micro::whole(figures.index) - told));
        let evidence = perception_evidence(&customer, &settings.model, &derived, usize::MAX);
        let mut rest = figures.perception;
        let mut perception_lines = Vec::with_capacity(evidence.len() + 1);
        for evidence in evidence {
            rest -= evidence.contribution;
            let label = format!(
                "{} {} ({})",
                settings.catalogue.text(evidence.kind),
                evidence.event,
                evidence.channel.as_str()
            );
            perception_lines.push(Line { label, contribution: evidence.contribution });
        }
        perception_lines.push(line("older touchpoints", rest));
        Some(View {
            customer_id: Arc::from(customer_id),
            time: customer.now,
            first_seen: customer.first_seen,
            last_seen: customer.latest,
            touchpoints: customer.touchpoints,
            figures,
            index_lines,
            perception_lines,
            outcomes: foreseen(&customer, settings, &derived),
            open_alerts: open(&customer).collect(),
            journeys: journeys::under_way(&customer, settings),
            stages: stages::stays(&customer, settings).collect(),
        })
    }

    /// Every open alert and whose it is, as of the last `apply`. Reads every customer: for after a restore.
    #[must_use]
    pub fn open_alerts_by_customer(&self) -> Vec<(Arc<str>, OpenAlert)> {
        let (mut customer, mut all) = (Customer::default(), Vec::new());
        for slot in self.store.slots() {
            if unpack(self.store.packed(slot), &mut customer) {
                all.extend(open(&customer).map(|alert| (Arc::from(self.store.id(slot)), alert)));
            }
        }
        all
    }
}

fn open(customer: &Customer) -> impl Iterator<Item = OpenAlert> {
    customer.alerts.iter().filter_map(|alert| match alert.state {
        State::Firing { since, severity, .. } => {
            let kind = Settings::kind_name(alert.kind, &alert.detail);
            Some(OpenAlert { kind, alert_id: alert.alert_id, severity, opened_at: since })
        }
        State::Pending { .. } | State::Cooling { .. } | State::Ended { .. } => None,
    })
}

/// Every configured outcome of every open item.
fn foreseen(customer: &Customer, settings: &Settings, derived: &Derived) -> Vec<Foreseen> {
    let mut all = Vec::new();
    for item in customer.items.iter().filter(|item| item.is_open()) {
        let terms = terms(customer, item, settings, derived.at, derived.figures.perception);
        for (name, outcome) in settings.outcomes.iter().filter(|(_, outcome)| outcome.is_about(item.item.item_type)) {
            let card = settings.cards.get(name).filter(|_| outcome.card.is_some());
            let mut lines = Vec::new();
            if let Some(card) = card {
                for part in card.contributions(&Moment::new(customer, settings, derived, Some(item), Vec::new())) {
                    let label = part.feature.map_or("the average case", |feature| settings.catalogue.text(feature));
                    lines.push(Line { label: label.to_owned(), contribution: part.points });
                }
            } else {
                for term in terms.iter().filter(|term| outcome.terms.contains(&term.kind)) {
                    let of = term.label.map_or("", |label| settings.catalogue.text(label));
                    let label = format!("{} {of}", term.kind.as_str());
                    lines.push(Line { label: label.trim_end().to_owned(), contribution: term.value });
                }
            }
            let score = lines.iter().fold(Micro::ZERO, |sum, line| sum + line.contribution);
            all.push(Foreseen {
                outcome: outcome.name.clone(),
                item: item.item.clone(),
                score,
                chance: card.map(|card| card.chance(score)),
                lines,
            });
        }
    }
    all
}

/// What each term of the most pressing item takes from the index.
fn pressure_lines(customer: &Customer, settings: &Settings) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some((item, _)) = most_pressing(customer, settings, customer.now) {
        each_pressure(item, settings, customer.now, |term| {
            let of = term.label.map_or("", |label| settings.catalogue.text(label));
            let label = format!(
                "pressure of {} {}: {} of {of}",
                item.item.item_type.as_str(),
                item.item.id,
                term.kind.as_str()
            );
            lines.push(Line { label, contribution: -settings.model.index_pressure.times(term.value) });
        });
    }
    lines
}
