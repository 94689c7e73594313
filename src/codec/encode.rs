//! Model → bytes: alerts and experience changes as JSON, the headers of dead letters. Keys come in the order of the
//! schemas and numbers as exact decimals, so the same change is the same bytes everywhere. What is not known is left out.

use super::{RETRIES, RawRecord, Rejection};
use crate::model::{
    AlertChange, Cause, EventHash, Evidence, ExperienceChange, FeatureValue, Figures, Item, Micro, Name, Position,
};
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What the numbers in outputs stand for. Implemented by whoever owns the catalogue and the list of sources.
pub trait Vocabulary {
    /// The text of a kind or stage.
    fn name(&self, name: Name) -> &str;
    /// The topic or file of [`Position::source`].
    fn source(&self, source: u16) -> &str;
    /// True when sources are files: positions are then file and line.
    fn reads_files(&self) -> bool;
    /// The name of a context attribute.
    fn context(&self, index: u8) -> &str;
    /// Hash of the configuration.
    fn config_hash(&self) -> u64;
}

/// Appends an alert change, as in `schemas/alert.json`.
///
/// # Errors
/// Never for changes of the engine; the signature is the serializer's.
pub fn alert(change: &AlertChange, words: &dyn Vocabulary, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let record = AlertRecord {
        alert_id: Hex(change.alert_id),
        phase: change.phase.as_str(),
        revision: change.revision,
        customer_id: &change.customer_id,
        kind: &change.kind,
        severity: change.severity.as_str(),
        event_time: change.event_time.0,
        detected_at: change.detected_at.0,
        figure: &change.figure,
        before: change.before.map(Decimal),
        after: Decimal(change.after),
        threshold: Decimal(change.threshold),
        evidence: evidence(&change.evidence, words),
        remainder: Decimal(change.remainder),
        stage: change.stage.map(|stage| words.name(stage)),
        channel: change.channel.map(|channel| channel.as_str()),
        item: change.item.as_ref().map(ItemRecord::of),
        outcome: change.outcome.map(|outcome| words.name(outcome)),
        journey: change.journey.map(|journey| words.name(journey)),
        probability: change.chance.map(|chance| Decimal(chance.probability)),
        calibrated: change
            .chance
            .and_then(|chance| chance.calibrated)
            .map(|(low, high)| BandRecord { low: Decimal(low), high: Decimal(high) }),
        reason: change.reason,
        message: change.message.as_deref(),
        suggested_action: change.suggested_action.as_deref(),
        rule_version: change.rule_version,
        config_hash: Hex(words.config_hash()),
        position: change.position.map(|position| PositionRecord::of(position, words)),
    };
    serde_json::to_writer(out, &record)
}

/// Appends an experience change, as in `schemas/experience.json`.
///
/// # Errors
/// Never for changes of the engine; the signature is the serializer's.
pub fn experience(
    change: &ExperienceChange,
    words: &dyn Vocabulary,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let open_alerts = change.open_alerts.iter();
    let record = ExperienceRecord {
        customer_id: &change.customer_id,
        time: change.time.0,
        before: change.before.as_ref().map(|figures| FiguresRecord::of(figures, words)),
        after: FiguresRecord::of(&change.after, words),
        open_alerts: open_alerts.map(|(kind, alert_id)| OpenAlert { kind, alert_id: Hex(*alert_id) }).collect(),
        cause: match change.cause {
            Cause::Touchpoint(event) => CauseRecord::Touchpoint { event: Hex(event.0) },
            Cause::Timer => CauseRecord::Timer,
        },
        evidence: evidence(&change.evidence, words),
        context: Context(change.context.iter().map(|(index, value)| (words.context(*index), value.as_ref())).collect()),
    };
    serde_json::to_writer(out, &record)
}

/// Headers of a dead letter: reason and origin, never anything of the payload. `source` is the topic or file.
#[must_use]
pub fn dead_letter_headers(record: &RawRecord<'_>, rejection: &Rejection, source: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("touchline.reason", rejection.code.as_str().to_owned()),
        ("touchline.detail", rejection.detail.clone()),
        ("touchline.stage", "decode".to_owned()),
        ("touchline.topic", source.to_owned()),
        ("touchline.partition", record.position.partition.to_string()),
        ("touchline.offset", record.position.offset.to_string()),
        ("touchline.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    headers.extend(record.recorded_at.map(|at| ("touchline.timestamp", at.0.to_string())));
    headers.extend((record.retries > 0).then(|| (RETRIES, record.retries.to_string())));
    headers
}

#[derive(Serialize)]
struct AlertRecord<'a> {
    alert_id: Hex,
    phase: &'static str,
    revision: u32,
    customer_id: &'a str,
    kind: &'a str,
    severity: &'static str,
    event_time: i64,
    detected_at: i64,
    figure: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Decimal>,
    after: Decimal,
    threshold: Decimal,
    evidence: Vec<EvidenceRecord<'a>>,
    remainder: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journey: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated: Option<BandRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_action: Option<&'a str>,
    rule_version: u16,
    config_hash: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<PositionRecord<'a>>,
}

#[derive(Serialize)]
struct BandRecord {
    low: Decimal,
    high: Decimal,
}

#[derive(Serialize)]
struct ExperienceRecord<'a> {
    customer_id: &'a str,
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<FiguresRecord<'a>>,
    after: FiguresRecord<'a>,
    open_alerts: Vec<OpenAlert<'a>>,
    cause: CauseRecord,
    evidence: Vec<EvidenceRecord<'a>>,
    context: Context<'a>,
}

#[derive(Serialize)]
struct FiguresRecord<'a> {
    index: i64,
    perception: Decimal,
    expectation: Decimal,
    disconfirmation: Decimal,
    felt: Decimal,
    pressure: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
}

impl<'a> FiguresRecord<'a> {
    fn of(figures: &Figures, words: &'a dyn Vocabulary) -> Self {
        Self {
            index: figures.index,
            perception: Decimal(figures.perception),
            expectation: Decimal(figures.expectation),
            disconfirmation: Decimal(figures.disconfirmation),
            felt: Decimal(figures.felt),
            pressure: Decimal(figures.pressure),
            stage: figures.stage.map(|stage| words.name(stage)),
        }
    }
}

#[derive(Serialize)]
struct OpenAlert<'a> {
    kind: &'a str,
    alert_id: Hex,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum CauseRecord {
    Touchpoint { event: Hex },
    Timer,
}

#[derive(Serialize)]
struct EvidenceRecord<'a> {
    event: Hex,
    kind: &'a str,
    channel: &'static str,
    occurred_at: i64,
    contribution: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueRecord<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueRecord<'a> {
    Missing(()),
    Whole(i64),
    Number(Decimal),
    Text(&'a str),
}

impl<'a> ValueRecord<'a> {
    fn of(value: FeatureValue, words: &'a dyn Vocabulary) -> Self {
        match value {
            FeatureValue::Missing => Self::Missing(()),
            FeatureValue::Count(value) | FeatureValue::Ms(value) => Self::Whole(value),
            FeatureValue::Number(value) => Self::Number(Decimal(value)),
            FeatureValue::Category(value) => Self::Text(words.name(value)),
        }
    }
}

fn evidence<'a>(evidence: &[Evidence], words: &'a dyn Vocabulary) -> Vec<EvidenceRecord<'a>> {
    let record = |line: &Evidence| {
        let EventHash(event) = line.event;
        EvidenceRecord {
            event: Hex(event),
            kind: words.name(line.kind),
            channel: line.channel.as_str(),
            occurred_at: line.occurred_at.0,
            contribution: Decimal(line.contribution),
            term: line.term.map(|(term, _)| term.as_str()),
            of: line.term.and_then(|(_, of)| of).map(|of| words.name(of)),
            value: line.value.map(|value| ValueRecord::of(value, words)),
        }
    };
    evidence.iter().map(record).collect()
}

#[derive(Serialize)]
struct ItemRecord<'a> {
    #[serde(rename = "type")]
    item_type: &'static str,
    id: &'a str,
}

impl<'a> ItemRecord<'a> {
    fn of(item: &'a Item) -> Self {
        Self { item_type: item.item_type.as_str(), id: &item.id }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum PositionRecord<'a> {
    Topic { topic: &'a str, partition: i32, offset: i64 },
    File { file: &'a str, line: i64 },
}

impl<'a> PositionRecord<'a> {
    fn of(position: Position, words: &'a dyn Vocabulary) -> Self {
        let source = words.source(position.source);
        if words.reads_files() {
            Self::File { file: source, line: position.offset }
        } else {
            Self::Topic { topic: source, partition: position.partition, offset: position.offset }
        }
    }
}

/// Name → value, in the order of the configuration.
struct Context<'a>(Vec<(&'a str, &'a str)>);

impl Serialize for Context<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// Sixteen lower-case hex digits.
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

/// A number with all its decimals and no float on the way.
struct Decimal(Micro);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Decimals of up to 15 digits survive the way through a double and its shortest form, which is far cheaper;
        // below 0.00001 that form has an exponent.
        let Micro(millionths) = self.0;
        if millionths % Micro::SCALE == 0 {
            serializer.serialize_i64(millionths / Micro::SCALE)
        } else if (10..1_000_000_000_000_000).contains(&millionths.unsigned_abs()) {
            serializer.serialize_f64(self.0.to_f64())
        } else {
            RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
        }
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
