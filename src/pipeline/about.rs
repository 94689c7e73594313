//! What a touchpoint says of the item it is about: which item, its measures and segments, and by when it is promised
//! something.

use super::Plan;
use crate::codec::mapping::TimeFormat;
use crate::codec::node::Node;
use crate::model::{Attribute, ItemType, Micro, Name, Position, Timestamp, Touchpoint};
use crate::rules::catalogue::KindEntry;
use crate::rules::promises::Due;
use std::borrow::Cow;

/// Exact whole numbers of a float end here.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Which of its ids names the item: the first of the input's list that the touchpoint has.
pub(super) fn item_type(plan: &Plan, touchpoint: &Touchpoint<'_>, position: Position) -> Option<ItemType> {
    let (_, input) = plan.sources.get(usize::from(position.source))?;
    let has = |item_type: &ItemType| match item_type {
        ItemType::Order => touchpoint.order_id.is_some(),
        ItemType::Conversation => touchpoint.conversation_id.is_some(),
        ItemType::Session => touchpoint.session_id.is_some(),
        ItemType::Topic => touchpoint.topic.is_some(),
        ItemType::Customer => true,
    };
    plan.inputs.get(*input)?.item.iter().copied().find(has)
}

/// The id of the item a touchpoint is about.
#[must_use]
pub fn item_id<'t>(plan: &Plan, touchpoint: &'t Touchpoint<'_>, position: Position) -> Option<&'t str> {
    match item_type(plan, touchpoint, position)? {
        ItemType::Order => touchpoint.order_id.as_deref(),
        ItemType::Conversation => touchpoint.conversation_id.as_deref(),
        ItemType::Session => touchpoint.session_id.as_deref(),
        ItemType::Topic => touchpoint.topic.as_deref(),
        ItemType::Customer => Some(&touchpoint.customer_id),
    }
}

/// The moments by which a touchpoint promises something.
#[must_use]
pub fn due_moments(plan: &Plan, touchpoint: &Touchpoint<'_>) -> Vec<Timestamp> {
    let entry = plan.settings.catalogue.kind(Name::of(&touchpoint.kind));
    let mut moments: Vec<Timestamp> = dues(entry, touchpoint).into_iter().map(|(_, due)| due).collect();
    moments.extend(entry.iter().flat_map(|entry| &entry.opens).filter_map(|opening| match &opening.due {
        Some(Due::DueAt) => touchpoint.due_at,
        Some(Due::After(span)) => Some(touchpoint.occurred_at.plus(span.0)),
        Some(Due::Attribute(_)) | None => None,
    }));
    moments
}

/// The configured segments' values as texts: (index in `items.segments`, value).
pub fn segment_texts<'t>(plan: &'t Plan, touchpoint: &'t Touchpoint<'_>) -> impl Iterator<Item = (usize, &'t str)> {
    let segments = plan.settings.items.segments.iter().enumerate();
    segments.filter_map(|(index, name)| match attribute(touchpoint, name)? {
        Attribute::Text(text) => Some((index, &**text)),
        Attribute::Number(_) | Attribute::Flag(_) => None,
    })
}

/// How many measures' attributes are there but hold no number, or due moments that are none.
pub(super) fn unreadable(plan: &Plan, touchpoint: &Touchpoint<'_>) -> u64 {
    let given =
        |field: &str| field.strip_prefix("/attributes/").is_some_and(|name| attribute(touchpoint, name).is_some());
    let fields = plan.settings.items.measures.iter().filter_map(|measure| measure.field.as_deref());
    let measures = fields.filter(|field| given(field) && number(touchpoint, field).is_none()).count();
    let entry = plan.settings.catalogue.kind(Name::of(&touchpoint.kind));
    let named = entry.map_or(&[][..], |entry| &entry.opens).iter().filter(|opening| match &opening.due {
        Some(Due::Attribute(name)) => attribute(touchpoint, name).is_some(),
        Some(Due::DueAt | Due::After(_)) | None => false,
    });
    (measures + named.count() - dues(entry, touchpoint).len()) as u64
}

/// Values of the configured measures; what is no number is left out, and counted by [`unreadable`].
pub(super) fn measures(plan: &Plan, touchpoint: &Touchpoint<'_>) -> Vec<(u8, Micro)> {
    let measures = (0_u8..).zip(&plan.settings.items.measures);
    measures.filter_map(|(index, measure)| Some((index, number(touchpoint, measure.field.as_deref()?)?))).collect()
}

/// Hashes of the configured segments' values.
pub(super) fn segments(plan: &Plan, touchpoint: &Touchpoint<'_>) -> Vec<(u8, Name)> {
    let segments = (0_u8..).zip(&plan.settings.items.segments);
    let hash = |(index, name): (u8, &String)| match attribute(touchpoint, name)? {
        Attribute::Text(text) => Some((index, Name::of(text))),
        Attribute::Number(_) | Attribute::Flag(_) => None,
    };
    segments.filter_map(hash).collect()
}

/// The moments promised by attributes, for the promises the kind opens.
pub(super) fn dues(entry: Option<&KindEntry>, touchpoint: &Touchpoint<'_>) -> Vec<(u8, Timestamp)> {
    let opens = (0_u8..).zip(entry.map_or(&[][..], |entry| &entry.opens));
    let moment = |name: &str| match attribute(touchpoint, name)? {
        Attribute::Text(text) => TimeFormat::Rfc3339.read(&Node::Text(Cow::Borrowed(text))),
        Attribute::Number(number) => epoch_ms(*number),
        Attribute::Flag(_) => None,
    };
    let due = |(index, due): (u8, &Option<Due>)| match due {
        Some(Due::Attribute(name)) => {
            let due = moment(name).filter(|due| (Timestamp::EARLIEST..Timestamp::LATEST).contains(due));
            due.map(|due| (index, due))
        }
        Some(Due::DueAt | Due::After(_)) | None => None,
    };
    opens.filter_map(|(index, opening)| due((index, &opening.due))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn epoch_ms(number: f64) -> Option<Timestamp> {
    (number.abs() <= WHOLE_MAX).then_some(Timestamp(number as i64))
}

fn number(touchpoint: &Touchpoint<'_>, field: &str) -> Option<Micro> {
    let whole = |value: Option<i64>| value.map(Micro::whole);
    match field {
        "/amount_minor" => whole(touchpoint.amount_minor),
        "/wait_ms" => whole(touchpoint.wait_ms),
        "/duration_ms" => whole(touchpoint.duration_ms),
        _ => match attribute(touchpoint, field.strip_prefix("/attributes/")?)? {
            Attribute::Number(number) => Micro::from_f64(*number),
            Attribute::Flag(flag) => Some(Micro::whole(i64::from(*flag))),
            // Columns of a CSV file are texts.
            Attribute::Text(text) => Micro::from_f64(text.parse().ok()?),
        },
    }
}

fn attribute<'a>(touchpoint: &'a Touchpoint<'_>, name: &str) -> Option<&'a Attribute<'a>> {
    touchpoint.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}
