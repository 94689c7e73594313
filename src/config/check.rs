//! What must hold between the values of a configuration.

use super::canonical::Canonical;
use super::kafka::Topics;
use super::merge::join;
use super::{Admin, Problem, Resolve, Secret, raw};
use crate::codec;
use crate::engine::settings::{Context, Limits, Model, Timing};
use crate::model::{Micro, time::Span};
use crate::rules;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use toml::{Table, Value};

/// Most context attributes.
const CONTEXT_MAX: usize = 8;
/// Longest half-life the panes can serve.
const HALF_LIFE_MAX_MS: i64 = 3_650 * crate::model::time::DAY_MS;

struct Checker<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn require(&mut self, holds: bool, path: &str, message: &str) {
        if !holds {
            self.problems.push(Problem::new(path, message, ""));
        }
    }

    /// `low` and `high` are whole numbers.
    fn between(&mut self, path: &str, value: Micro, low: i64, high: i64) {
        let inside = (Micro::whole(low)..=Micro::whole(high)).contains(&value);
        self.require(inside, path, &format!("must lie between {low} and {high}"));
    }

    fn span(&mut self, path: &str, value: Span, least_ms: i64) {
        self.require(value.0 >= least_ms, path, &format!("must be at least {}", Span(least_ms)));
    }

    fn ordered(&mut self, path: &str, open: Micro, close: Micro) {
        self.require(open < close, path, "must be above `open`, or the alert would flap");
    }
}

/// Everything outputs depend on.
pub(super) fn all(canonical: &Canonical, problems: &mut Vec<Problem>) {
    let mut checker = Checker { problems };
    model(&canonical.model, &mut checker);
    engine(&canonical.engine, &mut checker);
    limits(&canonical.limits, &mut checker);
    pipeline(&canonical.pipeline, &mut checker);
    rules(&canonical.rules, &mut checker);
    customer(&canonical.customer, &mut checker);
    let blank = canonical.scoring.brand_words.iter().any(|word| word.trim().is_empty());
    checker.require(!blank, "scoring.brand_words", "must not hold empty words");
}

fn model(model: &Model, checker: &mut Checker<'_>) {
    for (key, half_life) in
        [("perception_half_life", model.perception_half_life), ("expectation_half_life", model.expectation_half_life)]
    {
        let inside = (3_600_000..=HALF_LIFE_MAX_MS).contains(&half_life.0);
        checker.require(inside, &join("model", key), "must lie between 1h and 3650d");
    }
    checker.between("model.perception_prior_weight", model.perception_prior_weight, 0, 1_000);
    checker.between("model.expectation_prior_weight", model.expectation_prior_weight, 0, 1_000);
    checker.between("model.prior", model.prior, -1, 1);
    for (segment, prior) in &model.segment_priors {
        checker.between(&format!("model.segment_priors.{segment}"), *prior, -1, 1);
    }
    checker.between("model.loss_aversion", model.loss_aversion, 0, 10);
    checker.between("model.loss_confidence_weight", model.loss_confidence_weight, 0, 1_000);
    checker.between("model.index_base", model.index_base, 0, 100);
    checker.between("model.index_perception", model.index_perception, 0, 100);
    checker.between("model.index_felt", model.index_felt, 0, 100);
    checker.between("model.index_pressure", model.index_pressure, 0, 100);
}

fn engine(engine: &Timing, checker: &mut Checker<'_>) {
    checker.span("engine.forget_after", engine.forget_after, 3_600_000);
    checker.span("engine.episode_gap", engine.episode_gap, 1_000);
    checker.require(engine.session_events_max >= 1, "engine.session_events_max", "must be at least 1");
    checker.require(
        engine.conversation_turns_min >= 3,
        "engine.conversation_turns_min",
        "must be at least 3: a trend needs thirds",
    );
    checker.between("engine.conversation_weight", engine.conversation_weight, 0, 100);
    checker.require(
        (1..=100).contains(&engine.experience_step),
        "engine.experience_step",
        "must lie between 1 and 100",
    );
    checker.require(engine.stage_history <= 64, "engine.stage_history", "must not be above 64");
}

fn limits(limits: &Limits, checker: &mut Checker<'_>) {
    checker.require(limits.customers_per_partition >= 1, "limits.customers_per_partition", "must be at least 1");
    let bytes = (4_096..=900_000).contains(&limits.customer_bytes_max);
    checker.require(
        bytes,
        "limits.customer_bytes_max",
        "must lie between 4096 and 900000, what a broker takes in one record",
    );
    checker.require((1..=4_096).contains(&limits.dedup_entries), "limits.dedup_entries", "must lie between 1 and 4096");
    checker.require(
        (1..=1_024).contains(&limits.open_items_max),
        "limits.open_items_max",
        "must lie between 1 and 1024",
    );
}

fn pipeline(pipeline: &raw::Pipeline, checker: &mut Checker<'_>) {
    let bytes = (1_024..=16 * 1024 * 1024).contains(&pipeline.record_bytes_max);
    checker.require(bytes, "pipeline.record_bytes_max", "must lie between 1024 and 16777216");
    checker.require(pipeline.dlq_consecutive_max >= 1, "pipeline.dlq_consecutive_max", "must be at least 1");
    checker.between("pipeline.dlq_ratio_max", pipeline.dlq_ratio_max, 0, 1);
    checker.between("pipeline.images_per_commit", pipeline.images_per_commit, 0, 1);
    checker.require(pipeline.images_per_commit > Micro::ZERO, "pipeline.images_per_commit", "must be above 0");
    checker.require(pipeline.tail_max >= 1, "pipeline.tail_max", "must be at least 1");
    checker.span("pipeline.checkpoint_interval", pipeline.checkpoint_interval, 1_000);
}

fn rules(rules: &rules::Settings, checker: &mut Checker<'_>) {
    for row in rules::TABLE {
        let Some(lifecycle) = rules.lifecycle(row.kind) else { continue };
        let path = format!("rules.{}.for", row.name);
        checker.require(
            row.kind.can_hold() || lifecycle.hold.0 == 0,
            &path,
            "must be 0ms: this rule judges one moment",
        );
        let path = format!("rules.{}.keep_firing_for", row.name);
        let can_wait = row.kind.is_level() || row.kind.can_hold() || lifecycle.keep_firing_for.0 == 0;
        checker.require(can_wait, &path, "must be 0ms: what closes this rule is a single moment");
        let action = lifecycle.suggested_action.as_ref();
        let path = format!("rules.{}.suggested_action", row.name);
        checker.require(action.is_none_or(|text| text.len() <= 500), &path, "must not be longer than 500 bytes");
    }
    let drop = &rules.sentiment_drop;
    checker.between("rules.sentiment_drop.open", drop.open, -1, 1);
    checker.between("rules.sentiment_drop.close", drop.close, -1, 1);
    checker.between("rules.sentiment_drop.drop", drop.drop, 0, 2);
    checker.ordered("rules.sentiment_drop.close", drop.open, drop.close);
    checker.span("rules.sentiment_drop.lookback", drop.lookback, 3_600_000);
    let gap = &rules.expectation_gap;
    checker.between("rules.expectation_gap.expectation_min", gap.expectation_min, -1, 1);
    checker.between("rules.expectation_gap.open", gap.open, -2, 2);
    checker.between("rules.expectation_gap.close", gap.close, -2, 2);
    checker.ordered("rules.expectation_gap.close", gap.open, gap.close);
    let detractor = &rules.detractor;
    checker.between("rules.detractor.nps", detractor.nps, 0, 10);
    checker.between("rules.detractor.nps_high", detractor.nps_high, 0, 10);
    checker.require(detractor.nps_high <= detractor.nps, "rules.detractor.nps_high", "must not be above `nps`");
    checker.between("rules.detractor.csat", detractor.csat, 1, 5);
    checker.between("rules.detractor.stars", detractor.stars, 1, 5);
    checker.require(rules.service_failure.payments >= 1, "rules.service_failure.payments", "must be at least 1");
    checker.span("rules.service_failure.payment_window", rules.service_failure.payment_window, 1_000);
    checker.span("rules.double_deviation.window", rules.double_deviation.window, 3_600_000);
    checker.between("rules.double_deviation.close", rules.double_deviation.close, -1, 1);
    checker.between("rules.recovery_confirmed.score_min", rules.recovery_confirmed.score_min, -1, 1);
    checker.span("rules.recovery_confirmed.window", rules.recovery_confirmed.window, 60_000);
    checker.between("rules.silent_after_bad.remembered", rules.silent_after_bad.remembered, -1, 1);
    checker.span("rules.silent_after_bad.silence", rules.silent_after_bad.silence, 3_600_000);
    checker.span("rules.silent_after_bad.usual_gap_max", rules.silent_after_bad.usual_gap_max, 60_000);
    checker.span("rules.silent_after_bad.known_min", rules.silent_after_bad.known_min, 0);
    service_rules(rules, checker);
}

fn service_rules(rules: &rules::Settings, checker: &mut Checker<'_>) {
    let declining = &rules.conversation_declining;
    let turns = (3..=32).contains(&declining.turns_min);
    checker.require(turns, "rules.conversation_declining.turns_min", "must lie between 3 and 32");
    checker.between("rules.conversation_declining.start_min", declining.start_min, -1, 1);
    checker.between("rules.conversation_declining.trend", declining.trend, -1, 0);
    let burst = &rules.frustration_burst;
    checker.between("rules.frustration_burst.points_info", burst.points_info, 1, 1_000);
    checker.between("rules.frustration_burst.points", burst.points, 1, 1_000);
    let path = "rules.frustration_burst.points";
    checker.require(burst.points_info < burst.points, path, "must be above `points_info`");
    let effort = &rules.high_effort;
    let points = [("contact", effort.contact), ("transfer", effort.transfer), ("repeat", effort.repeat)];
    for (key, points) in points.into_iter().chain([("switch", effort.switch), ("close", effort.close)]) {
        checker.between(&join("rules.high_effort", key), points, 0, 100);
    }
    checker.between("rules.high_effort.open", effort.open, 0, 1_000);
    checker.require(effort.close < effort.open, "rules.high_effort.open", "must be above `close`");
    checker.between("rules.high_effort.ces", effort.ces, 0, 7);
    checker.require(effort.transfers >= 1, "rules.high_effort.transfers", "must be at least 1");
    checker.require(effort.channels >= 2, "rules.high_effort.channels", "must be at least 2");
    checker.span("rules.high_effort.half_life", effort.half_life, 3_600_000);
    checker.span("rules.high_effort.channels_within", effort.channels_within, 60_000);
    checker.require(rules.repeat_contact.contacts >= 2, "rules.repeat_contact.contacts", "must be at least 2");
    checker.span("rules.repeat_contact.window", rules.repeat_contact.window, 3_600_000);
    checker.span("rules.sla_breach.support_wait", rules.sla_breach.support_wait, 1);
    checker.span("rules.sla_breach.store_wait", rules.sla_breach.store_wait, 1);
    checker.between("rules.advocate.nps", rules.advocate.nps, 0, 10);
    checker.between("rules.advocate.stars", rules.advocate.stars, 1, 5);
    checker.span("rules.advocate.window", rules.advocate.window, 60_000);
    checker.between("rules.advocate.perception_min", rules.advocate.perception_min, -1, 1);
    checker.between("rules.indirect_negative.score", rules.indirect_negative.score, -1, 0);
}

fn customer(customer: &raw::Customer, checker: &mut Checker<'_>) {
    for (attribute, values, key) in [
        (&customer.segment_attribute, &customer.segments, "segments"),
        (&customer.tier_attribute, &customer.tiers, "tiers"),
    ] {
        let path = join("customer", key);
        checker.require(attribute.is_empty() || !values.is_empty(), &path, "must list the values that count");
        checker.require(
            values.iter().all(|value| (1..=64).contains(&value.len())),
            &path,
            "values must be 1 to 64 bytes long",
        );
        checker.require(values.len() <= 64, &path, "must not list more than 64 values");
    }
    let known = customer.high_value_tiers.iter().all(|tier| customer.tiers.contains(tier));
    checker.require(known, "customer.high_value_tiers", "must be among customer.tiers");
}

/// `[[context]]`, item by item.
pub(super) fn context(user: &Table, problems: &mut Vec<Problem>) -> Vec<Context> {
    let items = match user.get("context") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => {
            problems.push(Problem::new("context", "expected tables", "write [[context]]"));
            return Vec::new();
        }
    };
    if items.len() > CONTEXT_MAX {
        problems.push(Problem::new("context", "at most 8 attributes", "name what whoever reads the alert needs"));
    }
    let mut read = Vec::new();
    let mut names = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        match Context::deserialize(item.clone()) {
            Ok(context) if context.name.is_empty() || context.field.is_empty() || context.within.0 < 60_000 => {
                let message = "name and field must not be empty, within must be at least 1m";
                problems.push(Problem::new(&format!("context[{at}]"), message, ""));
            }
            Ok(context) if names.insert(context.name.clone()) => read.push(context),
            Ok(_) => problems.push(Problem::new(&format!("context[{at}].name"), "used twice", "")),
            Err(error) => problems.push(Problem::new(
                &format!("context[{at}]"),
                error.message(),
                "keys: name, field, mode (last | most_frequent), within",
            )),
        }
    }
    read
}

/// No topic may have two roles.
pub(super) fn distinct_topics(topics: &Topics, inputs: &[codec::Input], problems: &mut Vec<Problem>) {
    let mut roles: BTreeMap<&str, String> = BTreeMap::new();
    let read = inputs
        .iter()
        .flat_map(|input| input.topics.iter().map(|topic| (topic.as_str(), format!("input {}", input.name))));
    let written = topics.outputs().map(|(key, name)| (name, join("topics", key)));
    for (topic, role) in read.chain(written) {
        if let Some(other) = roles.get(topic) {
            problems.push(Problem::new(&role, &format!("topic {topic} is also that of {other}"), "give each its own"));
        }
        roles.entry(topic).or_insert(role);
    }
}

/// `[admin]`.
pub(super) fn admin(raw: &raw::Admin, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Admin {
    let listen = match raw.listen.as_str() {
        "" => None,
        text => text.parse::<SocketAddr>().ok().or_else(|| {
            problems.push(Problem::new(
                "admin.listen",
                "not an address",
                "such as \"127.0.0.1:9464\" or \"[::1]:9464\"",
            ));
            None
        }),
    };
    let token = token(&raw.token, resolve, problems);
    if listen.is_some_and(|address| !address.ip().is_loopback()) && raw.token.is_empty() {
        let hint = "set admin.token = \"env:NAME\" or \"file:PATH\", or listen on 127.0.0.1";
        problems.push(Problem::new("admin.token", "needed: the address is open to others", hint));
    }
    Admin { listen, token }
}

fn token(text: &str, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Option<Secret> {
    if text.is_empty() {
        return None;
    }
    if !text.starts_with("env:") && !text.starts_with("file:") {
        problems.push(Problem::new(
            "admin.token",
            "a secret must not stand in the file",
            "write \"env:NAME\" or \"file:PATH\"",
        ));
        return None;
    }
    match resolve(text) {
        Ok(token) if token.len() >= 16 => Some(Secret::new(token)),
        Ok(_) => {
            problems.push(Problem::new(
                "admin.token",
                "must have at least 16 characters",
                "such as 32 random hex digits",
            ));
            None
        }
        Err(error) => {
            problems.push(Problem::new("admin.token", &format!("cannot read {text}: {error}"), ""));
            None
        }
    }
}
