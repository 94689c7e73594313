//! The score of one touchpoint: which evidence counts, how much, how heavily.
//!
//! Order of evidence: rating, else text, else wait, else outcome, else lateness of a kept promise, else the catalogue's
//! valence of the kind. A touchpoint with a rating and a text keeps both. Everything is integer arithmetic; the
//! instruments' ranges are the published ones.

use super::{Plan, about};
use crate::engine::Settings;
use crate::model::time::SECOND_MS;
use crate::model::{
    Actor, Attribute, Channel, EventHash, Instrument, Micro, Name, Outcome, Position, Rating, Scored, Signal,
    SignalSource, Signals, Touchpoint,
};
use crate::rules::catalogue::KindEntry;
use crate::sentiment::{Scorer, Scratch};
use std::borrow::Cow;

/// Longest value of a context attribute; longer ones are left out.
const CONTEXT_BYTES_MAX: usize = 64;
/// In a shop, a wait this long is neutral …
const WAIT_NEUTRAL_MS: i64 = 120 * SECOND_MS;
/// … and none at all is worth this.
const WAIT_SCORE: i64 = 500_000;

/// Room for the text of one touchpoint after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    own: String,
    masked: String,
    scratch: Scratch,
}

/// Scores a touchpoint, and says whether the catalogue knows its kind. `texts` is kept between touchpoints.
pub(super) fn score<'a>(
    plan: &Plan,
    scorer: &Scorer,
    touchpoint: &'a Touchpoint<'_>,
    position: Position,
    texts: &mut Texts,
) -> (Scored<'a>, bool) {
    let kind = Name::of(&touchpoint.kind);
    let entry = plan.settings.catalogue.kind(kind);
    let actor = touchpoint.actor.or(entry.map(|entry| entry.kind.actor)).unwrap_or_default();
    let contact = touchpoint.contact.or(entry.map(|entry| entry.kind.contact)).unwrap_or_default();
    let signals = match actor {
        Actor::System => [None, None],
        Actor::Customer => signals(touchpoint, entry, text_signal(plan, scorer, touchpoint, texts)),
        Actor::Agent => signals(touchpoint, entry, None),
    };
    let scoring = &plan.scoring;
    let scored = Scored {
        customer_id: &touchpoint.customer_id,
        event: EventHash::of(&touchpoint.source, &touchpoint.id),
        position,
        occurred_at: touchpoint.occurred_at,
        channel: touchpoint.channel,
        kind,
        actor,
        contact,
        signals,
        rating: touchpoint.rating,
        outcome: touchpoint.outcome,
        due_at: touchpoint.due_at,
        wait_ms: touchpoint.wait_ms,
        duration_ms: touchpoint.duration_ms,
        session_id: touchpoint.session_id.as_deref(),
        conversation_id: touchpoint.conversation_id.as_deref(),
        order_id: touchpoint.order_id.as_deref(),
        topic: touchpoint.topic.as_deref(),
        item_type: about::item_type(plan, touchpoint, position),
        measures: about::measures(plan, touchpoint),
        segments: about::segments(plan, touchpoint),
        dues: about::dues(entry, touchpoint),
        segment: scoring.segment.as_ref().and_then(|(field, allowed)| listed(touchpoint, field, allowed)),
        tier: scoring.tier.as_ref().and_then(|(field, allowed)| listed(touchpoint, field, allowed)),
        context: context(&plan.settings, touchpoint),
    };
    (scored, entry.is_some())
}

fn signals(touchpoint: &Touchpoint<'_>, entry: Option<&KindEntry>, text: Option<Signal>) -> Signals {
    let rating = touchpoint.rating.as_ref().map(rating_signal);
    if rating.is_some() || text.is_some() {
        return [rating, text];
    }
    let otherwise = wait_signal(touchpoint)
        .or_else(|| outcome_signal(touchpoint))
        .or_else(|| lateness_signal(touchpoint, entry?))
        .or_else(|| kind_signal(entry?));
    [otherwise, None]
}

/// NPS on its own scale by its table; everything else as a k-point scale, of which (r − 3)/2 on 1–5 and (r − 4)/3 on 1–7
/// are cases.
fn rating_signal(rating: &Rating) -> Signal {
    let zero_to_ten = rating.min == Micro::ZERO && rating.max == Micro::whole(10);
    let score = if rating.instrument == Instrument::Nps && zero_to_ten {
        nps(rating.value)
    } else {
        let range = rating.max - rating.min;
        Micro::ratio(2 * Micro::SCALE, (rating.value - rating.min).0, range.0) - Micro::ONE
    };
    let weight = if rating.instrument == Instrument::Stars { Micro::whole(2) } else { Micro::whole(3) };
    Signal { score: clamped(score), weight, source: SignalSource::Rating }
}

/// Detractors (0–6) rise from −1 to −0.2, passives are barely positive, promoters high.
fn nps(value: Micro) -> Micro {
    let nearest = (value.0 + Micro::SCALE / 2).div_euclid(Micro::SCALE);
    match nearest {
        ..=6 => Micro::ratio(800_000, value.0, 6 * Micro::SCALE) - Micro::ONE,
        7 => Micro(100_000),
        8 => Micro(300_000),
        9 => Micro(800_000),
        10.. => Micro::ONE,
    }
}

/// Time spent queueing in a shop. Elsewhere a wait is judged against its queue's target, not scored.
fn wait_signal(touchpoint: &Touchpoint<'_>) -> Option<Signal> {
    let wait_ms = touchpoint.wait_ms.filter(|_| touchpoint.channel == Channel::InStore)?;
    let score = Micro(WAIT_SCORE) - Micro::ratio(WAIT_SCORE, wait_ms, WAIT_NEUTRAL_MS);
    let score = Micro(score.0.clamp(-WAIT_SCORE, WAIT_SCORE));
    Some(Signal { score, weight: Micro::ONE, source: SignalSource::Wait })
}

/// How a contact ended. A plain success or failure says less than the catalogue's kind; giving up counts here only
/// where there is a queue (an abandoned cart is a kind of its own).
fn outcome_signal(touchpoint: &Touchpoint<'_>) -> Option<Signal> {
    let queue = matches!(touchpoint.channel, Channel::Support | Channel::Messaging | Channel::InStore);
    let score = match touchpoint.outcome? {
        Outcome::Transferred => -400_000,
        Outcome::Escalated => -600_000,
        Outcome::Reopened => -700_000,
        Outcome::Abandoned if queue => -800_000,
        Outcome::Resolved => 200_000,
        Outcome::Success | Outcome::Failure | Outcome::Abandoned => return None,
    };
    Some(Signal { score: Micro(score), weight: Micro(1_500_000), source: SignalSource::Outcome })
}

/// On time, or late by parts of days.
fn lateness_signal(touchpoint: &Touchpoint<'_>, entry: &KindEntry) -> Option<Signal> {
    let due_at = touchpoint.due_at.filter(|_| entry.kind.fulfils)?;
    Some(Signal::of_lateness(touchpoint.occurred_at.since(due_at)))
}

fn kind_signal(entry: &KindEntry) -> Option<Signal> {
    let score = entry.kind.valence?;
    Some(Signal { score, weight: entry.kind.weight.unwrap_or(Micro::ONE), source: SignalSource::Kind })
}

fn text_signal(plan: &Plan, scorer: &Scorer, touchpoint: &Touchpoint<'_>, texts: &mut Texts) -> Option<Signal> {
    let text = touchpoint.text.as_deref()?;
    if is_automatic(text) {
        return None;
    }
    texts.own.clear();
    let text = own_words(text, &mut texts.own);
    let text = mask(text, &plan.scoring.brand_words, &mut texts.masked);
    let (language, channel) = (touchpoint.language.as_deref(), touchpoint.channel.as_str());
    let score = clamped(scorer.score(text, language, channel, &mut texts.scratch)?.score());
    Some(Signal { score, weight: Micro::ONE, source: SignalSource::Text })
}

/// Whether a machine answered for the customer.
fn is_automatic(text: &str) -> bool {
    const SIGNS: [&str; 5] = ["automatic reply", "out of office", "auto-reply", "autoreply", "this is an automated"];
    let start = text.trim_start().as_bytes();
    SIGNS.iter().any(|sign| start.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign.as_bytes())))
}

/// The text without what it quotes: lines that begin with `>`, and all after "On … wrote:". Other text is not copied.
fn own_words<'a>(text: &'a str, own: &'a mut String) -> &'a str {
    let quotes = |line: &str| line.starts_with('>');
    let introduces = |line: &str| line.starts_with("On ") && line.trim_end().ends_with("wrote:");
    if !text.lines().any(|line| quotes(line) || introduces(line)) {
        return text;
    }
    for line in text.lines().take_while(|line| !introduces(line)).filter(|line| !quotes(line)) {
        own.push_str(line);
        own.push('\n');
    }
    own
}

/// The text without @handles and brand words ("United" is no praise). Untouched text is not copied.
fn mask<'a>(text: &'a str, brand_words: &[String], masked: &'a mut String) -> &'a str {
    if brand_words.is_empty() && !text.contains('@') {
        return text;
    }
    masked.clear();
    let mut pieces = text.split_inclusive(char::is_whitespace);
    while let Some(piece) = pieces.next() {
        let word = bare(piece);
        let words = brand_words.iter().filter_map(|brand| words_of(brand, word, pieces.clone())).max();
        let words = words.unwrap_or(usize::from(word.starts_with('@')));
        let last = (1..words).filter_map(|_| pieces.next()).last().unwrap_or(piece);
        if words == 0 {
            masked.push_str(piece);
        } else if let (Some((before, _)), Some((_, after))) = (piece.split_once(word), last.split_once(bare(last))) {
            masked.push_str(before);
            masked.push_str(after);
        }
    }
    masked
}

/// A piece without the punctuation around it.
fn bare(piece: &str) -> &str {
    piece.trim_matches(|c: char| !c.is_alphanumeric() && c != '@' && c != '_')
}

/// How many words the brand has, if a word and the pieces after it are the brand.
fn words_of<'a>(brand: &str, word: &'a str, rest: impl Iterator<Item = &'a str>) -> Option<usize> {
    let mut found = std::iter::once(word).chain(rest.map(bare));
    let mut words = 0;
    for wanted in brand.split_whitespace() {
        found.next().filter(|found| is_word(found, wanted))?;
        words += 1;
    }
    (words > 0).then_some(words)
}

/// Whether `word` is the lower-case `brand`, or its possessive.
fn is_word(word: &str, brand: &str) -> bool {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    word.chars().flat_map(char::to_lowercase).eq(brand.chars())
}

const fn clamped(score: Micro) -> Micro {
    match score.0 {
        ..=-1_000_001 => Micro(-Micro::SCALE),
        1_000_001.. => Micro::ONE,
        _ => score,
    }
}

/// The value of a field when it is allowed.
fn listed<'a>(touchpoint: &'a Touchpoint<'_>, field: &str, allowed: &[String]) -> Option<&'a str> {
    field_text(touchpoint, field).filter(|value| allowed.iter().any(|allowed| allowed == value))
}

fn context<'a>(settings: &Settings, touchpoint: &'a Touchpoint<'_>) -> Vec<(u8, &'a str)> {
    let indexed = (0..).zip(&settings.context);
    let value = |field: &str| field_text(touchpoint, field).filter(|value| value.len() <= CONTEXT_BYTES_MAX);
    indexed.filter_map(|(index, context)| Some((index, value(&context.field)?))).collect()
}

/// A top-level field, or an attribute that is text or a flag. Numbers are measures, not names: they have no text.
fn field_text<'a>(touchpoint: &'a Touchpoint<'_>, field: &str) -> Option<&'a str> {
    let own = match field {
        "channel" => return Some(touchpoint.channel.as_str()),
        "kind" => return Some(&touchpoint.kind),
        "product_id" => &touchpoint.product_id,
        "location_id" => &touchpoint.location_id,
        "order_id" => &touchpoint.order_id,
        "topic" => &touchpoint.topic,
        "language" => &touchpoint.language,
        "currency" => &touchpoint.currency,
        _ => &None,
    };
    own.as_ref().map(Cow::as_ref).or_else(|| {
        let (_, value) = touchpoint.attributes.iter().find(|(name, _)| name == field)?;
        match value {
            Attribute::Text(text) => Some(text.as_ref()),
            Attribute::Flag(true) => Some("true"),
            Attribute::Flag(false) => Some("false"),
            Attribute::Number(_) => None,
        }
    })
}
