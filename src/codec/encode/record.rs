//! The fields of outputs, in the order of their schemas; `N` is how numbers are written. What is not known is left out.

use super::Vocabulary;
use crate::model::{
    AlertChange, Cause, EventHash, Evidence, ExperienceChange, FeatureValue, Figures, Item, Micro, Position,
};
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

#[derive(Serialize)]
pub(super) struct AlertRecord<'a, N> {
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
    before: Option<N>,
    after: N,
    threshold: N,
    evidence: Vec<EvidenceRecord<'a, N>>,
    remainder: N,
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
    probability: Option<N>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibrated: Option<BandRecord<N>>,
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

impl<'a, N: From<Micro>> AlertRecord<'a, N> {
    pub(super) fn of(change: &'a AlertChange, words: &'a dyn Vocabulary) -> Self {
        Self {
            alert_id: Hex(change.alert_id),
            phase: change.phase.as_str(),
            revision: change.revision,
            customer_id: &change.customer_id,
            kind: &change.kind,
            severity: change.severity.as_str(),
            event_time: change.event_time.0,
            detected_at: change.detected_at.0,
            figure: &change.figure,
            before: change.before.map(Into::into),
            after: change.after.into(),
            threshold: change.threshold.into(),
            evidence: evidence(&change.evidence, words),
            remainder: change.remainder.into(),
            stage: change.stage.map(|stage| words.name(stage)),
            channel: change.channel.map(|channel| channel.as_str()),
            item: change.item.as_ref().map(ItemRecord::of),
            outcome: change.outcome.map(|outcome| words.name(outcome)),
            journey: change.journey.map(|journey| words.name(journey)),
            probability: change.chance.map(|chance| chance.probability.into()),
            calibrated: change
                .chance
                .and_then(|chance| chance.calibrated)
                .map(|(low, high)| BandRecord { low: low.into(), high: high.into() }),
            reason: change.reason,
            message: change.message.as_deref(),
            suggested_action: change.suggested_action.as_deref(),
            rule_version: change.rule_version,
            config_hash: Hex(words.config_hash()),
            position: change.position.map(|position| PositionRecord::of(position, words)),
        }
    }
}

#[derive(Serialize)]
struct BandRecord<N> {
    low: N,
    high: N,
}

#[derive(Serialize)]
pub(super) struct ExperienceRecord<'a, N> {
    customer_id: &'a str,
    time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<FiguresRecord<'a, N>>,
    after: FiguresRecord<'a, N>,
    open_alerts: Vec<OpenAlert<'a>>,
    cause: CauseRecord,
    evidence: Vec<EvidenceRecord<'a, N>>,
    context: Context<'a>,
}

impl<'a, N: From<Micro>> ExperienceRecord<'a, N> {
    pub(super) fn of(change: &'a ExperienceChange, words: &'a dyn Vocabulary) -> Self {
        let open_alerts = change.open_alerts.iter();
        Self {
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
            context: Context(
                change.context.iter().map(|(index, value)| (words.context(*index), value.as_ref())).collect(),
            ),
        }
    }
}

#[derive(Serialize)]
struct FiguresRecord<'a, N> {
    index: i64,
    perception: N,
    expectation: N,
    disconfirmation: N,
    felt: N,
    pressure: N,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
}

impl<'a, N: From<Micro>> FiguresRecord<'a, N> {
    fn of(figures: &Figures, words: &'a dyn Vocabulary) -> Self {
        Self {
            index: figures.index,
            perception: figures.perception.into(),
            expectation: figures.expectation.into(),
            disconfirmation: figures.disconfirmation.into(),
            felt: figures.felt.into(),
            pressure: figures.pressure.into(),
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
struct EvidenceRecord<'a, N> {
    event: Hex,
    kind: &'a str,
    channel: &'static str,
    occurred_at: i64,
    contribution: N,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueRecord<'a, N>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueRecord<'a, N> {
    Missing(()),
    Whole(i64),
    Number(N),
    Text(&'a str),
}

impl<'a, N: From<Micro>> ValueRecord<'a, N> {
    fn of(value: FeatureValue, words: &'a dyn Vocabulary) -> Self {
        match value {
            FeatureValue::Missing => Self::Missing(()),
            FeatureValue::Count(value) | FeatureValue::Ms(value) => Self::Whole(value),
            FeatureValue::Number(value) => Self::Number(value.into()),
            FeatureValue::Category(value) => Self::Text(words.name(value)),
        }
    }
}

fn evidence<'a, N: From<Micro>>(evidence: &[Evidence], words: &'a dyn Vocabulary) -> Vec<EvidenceRecord<'a, N>> {
    let record = |line: &Evidence| {
        let EventHash(event) = line.event;
        EvidenceRecord {
            event: Hex(event),
            kind: words.name(line.kind),
            channel: line.channel.as_str(),
            occurred_at: line.occurred_at.0,
            contribution: line.contribution.into(),
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

/// A number of JSON with all its decimals and no float on the way.
pub(super) struct Decimal(Micro);

impl From<Micro> for Decimal {
    fn from(number: Micro) -> Self {
        Self(number)
    }
}

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
