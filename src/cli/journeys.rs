//! Moves of customers on journeys: as JSON lines, as a table, and as one customer's path.

use crate::engine::{Move, Place, Settings, UnderWay};
use crate::insight::{clock, quartiles, span};
use crate::model::{Item, Name};
use crate::rules::catalogue::Catalogue;
use serde::Serialize;
use std::collections::BTreeMap;

/// A line of `replay --journeys`. Times in ms since 1970, UTC.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    customer_id: &'a str,
    journey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Of<'a>>,
    from: &'a str,
    to: &'a str,
    at: i64,
    waited_ms: i64,
}

#[derive(Debug, Serialize)]
struct Of<'a> {
    #[serde(rename = "type")]
    item_type: &'static str,
    id: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn of(of: &'a Move, catalogue: &'a Catalogue) -> Self {
        Self {
            customer_id: &of.customer_id,
            journey: catalogue.text(of.journey),
            item: of.item.as_ref().map(|item| Of { item_type: item.item_type.as_str(), id: &item.id }),
            from: of.from.name(catalogue),
            to: of.to.name(catalogue),
            at: of.at.0,
            waited_ms: of.waited_ms,
        }
    }
}

/// How long each way from one place of a journey to another took, in ms.
#[derive(Debug, Default)]
pub(super) struct Map(BTreeMap<(Name, Place, Place), Vec<i64>>);

impl Map {
    pub(super) fn take(&mut self, of: &Move) {
        self.0.entry((of.journey, of.from, of.to)).or_default().push(of.waited_ms);
    }

    /// Each way: how many went it, and the quartiles of how long it took. In the order of the journeys' names and steps.
    pub(super) fn table(&self, settings: &Settings) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let catalogue = &settings.catalogue;
        let order = |journey: Name, place: Place| match place {
            Place::Start => (0, 0),
            Place::Step(step) => (1, catalogue.journey(journey).and_then(|entry| entry.place(step)).unwrap_or(0)),
            Place::Stalled => (2, 0),
            Place::End => (3, 0),
        };
        let mut ways: Vec<_> = self.0.iter().collect();
        ways.sort_by_key(|((journey, from, to), _)| {
            (catalogue.text(*journey), order(*journey, *from), order(*journey, *to))
        });
        let mut text = format!("{:<34}{:>9}  {}\n", "journeys", "moves", "a quarter, half, three quarters within");
        for ((journey, from, to), waits) in ways {
            let way = format!("{}: {} to {}", catalogue.text(*journey), from.name(catalogue), to.name(catalogue));
            let within = quartiles(waits.clone())
                .map(|of| [of.first, of.median, of.third].map(span).join(", "))
                .unwrap_or_default();
            text += &format!("  {way:<32}{:>9}  {within}\n", waits.len());
        }
        text
    }
}

/// A customer's way on every journey, in the order in which they began.
pub(super) fn path(moves: &[Move], under_way: &[UnderWay], catalogue: &Catalogue) -> String {
    let mut journeys: Vec<(Name, &Option<Item>, Vec<&Move>)> = Vec::new();
    for of in moves {
        let going = journeys.iter_mut().rev().find(|(journey, item, _)| *journey == of.journey && **item == of.item);
        // What stalled before its first step goes on from the start, and from the same one.
        let began = of.at.minus(of.waited_ms);
        let is_same = |first: &&Move| of.from != Place::Start || first.at.minus(first.waited_ms) == began;
        match going.filter(|(.., moves)| moves.first().is_some_and(is_same)) {
            Some((.., moves)) => moves.push(of),
            None => journeys.push((of.journey, &of.item, vec![of])),
        }
    }
    let about = |item: &Option<Item>| {
        item.as_ref().map(|item| format!(", {} {}", item.item_type.as_str(), item.id)).unwrap_or_default()
    };
    let mut text = String::new();
    for (journey, item, moves) in &journeys {
        text += &format!("\njourney {}{}\n", catalogue.text(*journey), about(item));
        if let Some(first) = moves.first() {
            text += &format!("    {}  start\n", clock(first.at.minus(first.waited_ms)));
        }
        for of in moves {
            text += &format!("    {}  {}, after {}\n", clock(of.at), of.to.name(catalogue), span(of.waited_ms));
        }
        let still = under_way.iter().find(|still| still.journey == *journey && still.item == **item);
        text += &still.map(|still| waits(still, catalogue)).unwrap_or_default();
    }
    for still in under_way
        .iter()
        .filter(|still| !journeys.iter().any(|(journey, item, _)| still.journey == *journey && still.item == **item))
    {
        text += &format!("\njourney {}{}\n", catalogue.text(still.journey), about(&still.item));
        text += &format!("    {}  start\n{}", clock(still.started), waits(still, catalogue));
    }
    text
}

fn waits(still: &UnderWay, catalogue: &Catalogue) -> String {
    let next = still.waits_for.map_or("the end", |step| Place::Step(step).name(catalogue));
    let until = still.deadline.filter(|_| !still.stalled).map(|deadline| format!(", until {}", clock(deadline)));
    format!("    waits for {next}{}\n", until.unwrap_or_default())
}
