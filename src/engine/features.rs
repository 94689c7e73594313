//! Features: a customer's state as columns of whole numbers, as of any moment. What models are trained on and scores are
//! judged by is read here, from the state that serves, so it cannot know more than the service would have known.
//!
//! | column | unit | what | missing when |
//! |---|---|---|---|
//! | `index` | millionths | with the item's pressure (0 without an item), not rounded to whole points | – |
//! | `perception` … `remembered`, `risk.<outcome>` | millionths | the other derived figures; pressure and risk are the item's | no item; `remembered`: no episode |
//! | `card.<outcome>` | millionths | chance of the outcome, by its card | no item |
//! | `c.n7`, `c.in7` | count | touchpoints, and contacts by the customer, of the last 7 days, to 6 hours | – |
//! | `c.silence` | ms | since the last touchpoint | none yet |
//! | `c.past`, `c.past_bad`, `c.open_items` | count | items closed, of them badly; other open items | – |
//! | `x.p`, `x.W7` | millionths | perception, and the decayed weight behind it | – |
//! | `x.last_age` | ms | since the last scored touchpoint | none scored |
//! | `x.effort` | millionths | contacts by the customer, halved each day | – |
//! | `r.n`, `r.recency` | count, ms | purchases; since the last one | none yet (no such kind: no column) |
//! | `r.ratio` | millionths | recency / (mean gap + 1 d) | fewer than two |
//! | `i.age`, `i.n`, `i.stage_age`, `i.stage` | ms, count, ms, category | of the item | no item, no stage |
//! | `i.since_in`, `i.dur` | ms | since the customer's last contact in it; Σ handling times | none; no item |
//! | `m.<measure>`, `m.sum_<measure>` | millionths | last value and sum in the item | never given |
//! | `p.<promise>.open`, `.overdue` | ms | since it was opened; since its due moment, signed | not open; no due moment |
//! | `p.<promise>.kept`, `.kept_late` | ms | from opening, or from the due moment (signed), to its end | not ended; no due moment |
//! | `p.<promise>.len` | ms | from opening to the due moment | never opened; no due moment |
//! | `p.<promise>.surprise` | millionths of a bit | of the wait so far, or that it took | never opened; fewer than 20 usual waits |
//! | `g.<segment>` | category | of the item | not given |
//!
//! Missing is none, never imputed. Still waiting and waited are columns of their own: late and still waiting is far worse
//! than late but delivered. Reading changes nobody: it works on a copy, on which timers up to the moment are fired.

use super::apply::{Opened, fire_until};
use super::contacts;
use super::customer::Customer;
use super::figures::{Derived, derive, index_terms};
use super::items::{OpenItem, Promise};
use super::pressure::{self, Term};
use super::settings::Items;
use super::{Engine, Output, Settings, image, week};
use crate::model::time::DAY_MS;
use crate::model::{Evidence, Micro, Name, TermKind, Timestamp};
use crate::rules::expression::{Figure, Type};

/// What a column's whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Pieces, as they are.
    Count,
    /// Milliseconds.
    Ms,
    /// Millionths.
    Micro,
    /// A category: the low 32 bits of the XXH3 of its name ([`Name`]); equal or not, nothing else.
    Category,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, such as `perception` or `c.silence`.
    pub name: String,
    /// What its numbers count.
    pub unit: Unit,
    /// A derived figure, as against a feature for training.
    pub is_figure: bool,
    /// It reads an attribute that no score may use (`items.protected`).
    pub is_protected: bool,
    pub(super) source: Source,
}

/// Where a column's value comes from; numbers are places in the settings' lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Index,
    Perception,
    Expectation,
    Disconfirmation,
    Felt,
    Pressure,
    Effort,
    Remembered,
    Risk(usize),
    Card(Name),
    Since(Clock),
    Touchpoints7,
    Inbound7,
    Past,
    PastBad,
    OtherItems,
    Weight,
    InboundEffort,
    Purchases,
    RecencyRatio,
    ItemTouchpoints,
    Stage,
    Handled,
    Measure(usize),
    MeasureSum(usize),
    Promise(Name, Wait),
    Segment(usize),
    Touchpoints,
    Failures,
    Tier,
    CustomerSegment,
    LastScore,
}

impl Source {
    /// Whether it is of an item.
    const fn is_of_item(self) -> bool {
        matches!(
            self,
            Self::Pressure
                | Self::Risk(_)
                | Self::Card(_)
                | Self::Since(Clock::Item | Clock::Stage | Clock::Inbound | Clock::Opened(_) | Clock::Due(_))
                | Self::ItemTouchpoints
                | Self::Stage
                | Self::Handled
                | Self::Measure(_)
                | Self::MeasureSum(_)
                | Self::Promise(..)
                | Self::Segment(_)
        )
    }

    /// Whether it rests on the terms of the item's risk.
    pub(super) const fn has_terms(self) -> bool {
        matches!(self, Self::Pressure | Self::Risk(_))
    }

    /// Of what grows by itself, a ms each ms: since when.
    pub(super) fn since(self, customer: &Customer, item: Option<&OpenItem>) -> Option<Timestamp> {
        if let Self::Since(clock) = self { clock.since(customer, item) } else { None }
    }
}

/// What the time since is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    First,
    Last,
    Scored,
    Purchase,
    Item,
    Stage,
    Inbound,
    Opened(Name),
    Due(Name),
}

impl Clock {
    fn since(self, customer: &Customer, item: Option<&OpenItem>) -> Option<Timestamp> {
        let open = |name| item?.open_promises().find(|promise| promise.name == name);
        match self {
            Self::First => (customer.touchpoints > 0).then_some(customer.first_seen),
            Self::Last => (customer.touchpoints > 0).then_some(customer.latest),
            Self::Scored => customer.last_scored().map(|recent| recent.mark.time),
            Self::Purchase => customer.purchases.last(),
            Self::Item => item.map(|item| item.opened),
            Self::Stage => item?.stage.map(|(since, _)| since),
            Self::Inbound => item?.last_in,
            Self::Opened(name) => open(name).map(|promise| promise.opened_at),
            Self::Due(name) => open(name)?.due,
        }
    }
}

/// Figures for own rules besides the columns: counts, and what is not for training.
const RULE_FIGURES: [(&str, Unit, Source); 6] = [
    ("c.n", Unit::Count, Source::Touchpoints),
    ("c.known", Unit::Ms, Source::Since(Clock::First)),
    ("c.failures", Unit::Count, Source::Failures),
    ("c.tier", Unit::Category, Source::Tier),
    ("c.segment", Unit::Category, Source::CustomerSegment),
    ("x.last", Unit::Micro, Source::LastScore),
];

/// What of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Kept,
    KeptLate,
    Promised,
    Surprise,
}

/// Reads features. Holds the room for it, so that a reader is made once and used for many moments.
#[derive(Debug)]
pub struct Features {
    columns: Vec<Column>,
    values: Vec<Option<i64>>,
    customer: Customer,
    outputs: Vec<Output>,
}

impl Features {
    /// A reader of every column that the settings give.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let columns = columns(settings);
        Self { columns, values: Vec::new(), customer: Customer::default(), outputs: Vec::new() }
    }

    /// The columns, in the order of the values. The same settings give the same columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of a customer at `at`, one for each column: from the touchpoints applied so far, timers ≤ `at` fired.
    /// `item` is the id of an item; without one, the open item with the highest pressure answers. When the customer's own
    /// time is later than `at` (a touchpoint from the future was applied), the values are that time's. A customer
    /// nobody has seen has no touchpoints, and figures all the same.
    pub fn read(&mut self, engine: &Engine, customer_id: &str, item: Option<&str>, at: Timestamp) -> &[Option<i64>] {
        let (settings, customer) = (&*engine.settings, &mut self.customer);
        customer.clear();
        if let Some(slot) = engine.find(customer_id)
            && image::read(engine.image(slot), customer).is_err()
        {
            customer.clear();
        }
        fire_until(settings, customer, customer_id, at, &mut Opened::default(), &mut self.outputs);
        self.outputs.clear();
        customer.now = customer.now.max(at);
        customer.panes.advance(customer.now);
        let derived = derive(customer, settings);
        let moment = Moment::of(customer, settings, &derived, item);
        self.values.clear();
        self.values.extend(self.columns.iter().map(|column| moment.value(column.source)));
        &self.values
    }
}

fn column(items: &Items, name: &str, unit: Unit, source: Source) -> Column {
    Column { name: name.to_owned(), unit, is_figure: true, is_protected: is_protected(items, source), source }
}

/// The derived figures.
fn figures(settings: &Settings) -> Vec<Column> {
    let figure = |name: &str, unit, source| column(&settings.items, name, unit, source);
    let mut figures = vec![
        figure("index", Unit::Micro, Source::Index),
        figure("perception", Unit::Micro, Source::Perception),
        figure("expectation", Unit::Micro, Source::Expectation),
        figure("disconfirmation", Unit::Micro, Source::Disconfirmation),
        figure("felt", Unit::Micro, Source::Felt),
        figure("pressure", Unit::Micro, Source::Pressure),
        figure("effort", Unit::Micro, Source::Effort),
        figure("remembered", Unit::Micro, Source::Remembered),
    ];
    let outcomes = settings.outcomes.iter().enumerate();
    figures.extend(
        outcomes
            .filter(|(_, (_, outcome))| outcome.card.is_none())
            .map(|(at, (_, outcome))| figure(&format!("risk.{}", outcome.name), Unit::Micro, Source::Risk(at))),
    );
    let cards = settings.cards.iter();
    figures
        .extend(cards.map(|(name, card)| figure(&format!("card.{}", card.outcome), Unit::Micro, Source::Card(*name))));
    figures
}

fn columns(settings: &Settings) -> Vec<Column> {
    let mut columns = figures(settings);
    let feature = |name: &str, unit, source| Column { is_figure: false, ..column(&settings.items, name, unit, source) };
    columns.extend([
        feature("c.n7", Unit::Count, Source::Touchpoints7),
        feature("c.in7", Unit::Count, Source::Inbound7),
        feature("c.silence", Unit::Ms, Source::Since(Clock::Last)),
        feature("c.past", Unit::Count, Source::Past),
        feature("c.past_bad", Unit::Count, Source::PastBad),
        feature("c.open_items", Unit::Count, Source::OtherItems),
        feature("x.p", Unit::Micro, Source::Perception),
        feature("x.W7", Unit::Micro, Source::Weight),
        feature("x.last_age", Unit::Ms, Source::Since(Clock::Scored)),
        feature("x.effort", Unit::Micro, Source::InboundEffort),
    ]);
    if settings.catalogue.has_purchases() {
        columns.extend([
            feature("r.n", Unit::Count, Source::Purchases),
            feature("r.recency", Unit::Ms, Source::Since(Clock::Purchase)),
            feature("r.ratio", Unit::Micro, Source::RecencyRatio),
        ]);
    }
    columns.extend([
        feature("i.age", Unit::Ms, Source::Since(Clock::Item)),
        feature("i.n", Unit::Count, Source::ItemTouchpoints),
        feature("i.stage_age", Unit::Ms, Source::Since(Clock::Stage)),
        feature("i.stage", Unit::Category, Source::Stage),
        feature("i.since_in", Unit::Ms, Source::Since(Clock::Inbound)),
        feature("i.dur", Unit::Ms, Source::Handled),
    ]);
    for (at, measure) in settings.items.measures.iter().enumerate() {
        columns.push(feature(&format!("m.{}", measure.name), Unit::Micro, Source::Measure(at)));
        if measure.counts.is_none() {
            columns.push(feature(&format!("m.sum_{}", measure.name), Unit::Micro, Source::MeasureSum(at)));
        }
    }
    let promises = settings.catalogue.promises().map(|(name, _)| (settings.catalogue.text(name), name));
    // By name, not by hash.
    for (text, name) in std::collections::BTreeMap::from_iter(promises) {
        columns.extend(WAITS.map(|(source, word, unit)| feature(&format!("p.{text}.{word}"), unit, source(name))));
    }
    let segments = settings.items.segments.iter().enumerate();
    columns.extend(segments.map(|(at, name)| feature(&format!("g.{name}"), Unit::Category, Source::Segment(at))));
    columns
}

/// Every figure that an own rule may name, and where its value comes from: none of what no score may use.
pub(super) fn rule_figures(settings: &Settings) -> (Vec<Figure>, Vec<(Source, Unit)>) {
    let columns = columns(settings)
        .into_iter()
        .filter(|column| !column.is_protected)
        .map(|column| (column.name, column.unit, column.source));
    let more = RULE_FIGURES.map(|(name, unit, source)| (name.to_owned(), unit, source));
    let figure = |(name, unit, source): (String, Unit, Source)| {
        let figure = Figure {
            name,
            unit: match unit {
                Unit::Count | Unit::Micro => Type::Number,
                Unit::Ms => Type::Duration,
                Unit::Category => Type::Category,
            },
            grows: matches!(source, Source::Since(_)),
            of_item: source.is_of_item(),
        };
        (figure, (source, unit))
    };
    columns.chain(more).map(figure).unzip()
}

/// Whether a column reads an attribute that no score may use.
fn is_protected(items: &Items, source: Source) -> bool {
    if let Source::Measure(at) | Source::MeasureSum(at) = source {
        items.measures.get(at).is_some_and(|measure| items.protected_by(measure).is_some())
    } else if let Source::Segment(at) = source {
        items.segments.get(at).is_some_and(|name| items.protected.contains(name))
    } else {
        false
    }
}

type SourceOf = fn(Name) -> Source;

/// The columns of each promise.
const WAITS: [(SourceOf, &str, Unit); 6] = [
    (|name| Source::Since(Clock::Opened(name)), "open", Unit::Ms),
    (|name| Source::Since(Clock::Due(name)), "overdue", Unit::Ms),
    (|name| Source::Promise(name, Wait::Kept), "kept", Unit::Ms),
    (|name| Source::Promise(name, Wait::KeptLate), "kept_late", Unit::Ms),
    (|name| Source::Promise(name, Wait::Promised), "len", Unit::Ms),
    (|name| Source::Promise(name, Wait::Surprise), "surprise", Unit::Micro),
];

/// A customer, and one of their items, at the customer's own time.
pub(super) struct Moment<'a> {
    customer: &'a Customer,
    settings: &'a Settings,
    derived: &'a Derived,
    item: Option<&'a OpenItem>,
    terms: Vec<Term>,
}

impl<'a> Moment<'a> {
    /// `terms` are those of the item's risk; none where no figure rests on them.
    pub(super) const fn new(
        customer: &'a Customer,
        settings: &'a Settings,
        derived: &'a Derived,
        item: Option<&'a OpenItem>,
        terms: Vec<Term>,
    ) -> Self {
        Self { customer, settings, derived, item, terms }
    }

    /// Of the item with this id; without one, of the open item with the highest pressure.
    fn of(customer: &'a Customer, settings: &'a Settings, derived: &'a Derived, item: Option<&str>) -> Self {
        let at = derived.at;
        let item = match item {
            // An id that is used again: the open one, else the latest.
            Some(id) => {
                let same = customer.items.iter().filter(|item| *item.item.id == *id);
                same.max_by_key(|item| (item.is_open(), item.opened))
            }
            None => pressure::most_pressing(customer, settings, at).map(|(item, _)| item),
        };
        let terms = item.map(|item| pressure::terms(customer, item, settings, at, derived.figures.perception));
        Self::new(customer, settings, derived, item, terms.unwrap_or_default())
    }

    pub(super) fn value(&self, source: Source) -> Option<i64> {
        let Self { customer, settings, derived, item, .. } = *self;
        let figures = &derived.figures;
        match source {
            Source::Index => Some(self.index().0),
            Source::Perception => Some(figures.perception.0),
            Source::Expectation => Some(figures.expectation.0),
            Source::Disconfirmation => Some(figures.disconfirmation.0),
            Source::Felt => Some(figures.felt.0),
            Source::Pressure => item.map(|item| pressure::pressure(item, settings, derived.at).0),
            Source::Effort => Some(contacts::effort(customer, settings).0.0),
            Source::Remembered => customer.last_episode(settings).map(|episode| episode.remembered().0),
            Source::Risk(at) => {
                let (_, outcome) = settings.outcomes.get(at)?;
                item.filter(|item| outcome.is_about(item.item.item_type))
                    .map(|_| pressure::risk(outcome, &self.terms).0)
            }
            Source::Card(name) => {
                let card = settings.cards.get(&name)?;
                item.map(|_| card.chance(card.score(self)).probability.0)
            }
            Source::Touchpoints7 => Some(week::counts(&customer.week, derived.at).0),
            Source::Inbound7 => Some(week::counts(&customer.week, derived.at).1),
            Source::InboundEffort => Some(week::effort(&customer.week, derived.at).0),
            Source::Since(clock) => clock.since(customer, item).map(|since| derived.at.since(since)),
            Source::Past => Some(i64::from(customer.past) + self.others(|item| !item.is_open())),
            Source::PastBad => {
                let bad = |item: &OpenItem| !item.is_open() && item.is_bad(&settings.catalogue);
                Some(i64::from(customer.past_bad) + self.others(bad))
            }
            Source::OtherItems => Some(self.others(OpenItem::is_open)),
            Source::Weight => Some(derived.perception_sum.w),
            Source::Purchases => (customer.purchases.count > 0).then_some(i64::from(customer.purchases.count)),
            Source::RecencyRatio => self.recency_ratio(),
            Source::ItemTouchpoints => item.map(|item| i64::from(item.touchpoints)),
            Source::Stage => item?.stage.map(|(_, stage)| i64::from(stage.0)),
            Source::Handled => item.map(|item| item.handled_ms),
            Source::Measure(at) => {
                let counted = settings.items.measures.get(at)?.counts.is_some();
                let measured = item?.measures.iter().find(|measured| usize::from(measured.index) == at)?;
                Some(if counted { measured.sum.0 } else { measured.last.0 })
            }
            Source::MeasureSum(at) => {
                item?.measures.iter().find(|measured| usize::from(measured.index) == at).map(|measured| measured.sum.0)
            }
            Source::Promise(name, wait) => self.wait(item?.promises.iter().find(|promise| promise.name == name)?, wait),
            Source::Segment(at) => item?
                .segments
                .iter()
                .find(|(index, ..)| usize::from(*index) == at)
                .map(|(.., value)| i64::from(value.0)),
            Source::Touchpoints => i64::try_from(customer.touchpoints).ok(),
            Source::Failures => {
                let since = derived.at.minus(settings.rules.double_deviation.window.0);
                i64::try_from(customer.failures.iter().filter(|failure| failure.mark.time > since).count()).ok()
            }
            Source::Tier => customer.tier.as_ref().map(|(_, tier)| i64::from(Name::of(tier).0)),
            Source::CustomerSegment => customer.segment.as_ref().map(|(_, segment)| i64::from(Name::of(segment).0)),
            Source::LastScore => customer.last_scored().map(|recent| recent.own().value.0),
        }
    }

    /// The index with the pressure of the item that is asked about, before it is rounded to whole points: the customer's
    /// published one has that of the most pressing item.
    fn index(&self) -> Micro {
        let figures = &self.derived.figures;
        let pressure = self.item.map_or(Micro::ZERO, |item| pressure::pressure(item, self.settings, self.derived.at));
        let terms = index_terms(&self.settings.model, figures.perception, figures.felt, pressure);
        terms.iter().fold(Micro::ZERO, |sum, term| sum + *term).clamp(Micro::ZERO, Micro::whole(100))
    }

    fn wait(&self, promise: &Promise, wait: Wait) -> Option<i64> {
        match wait {
            Wait::Kept => promise.closed_at.map(|closed| closed.since(promise.opened_at)),
            Wait::KeptLate => Some(promise.closed_at?.since(promise.due?)),
            Wait::Promised => promise.due.map(|due| due.since(promise.opened_at)),
            Wait::Surprise => {
                let end = promise.closed_at.or(self.item?.closed).unwrap_or(self.derived.at);
                Some(self.settings.profile.waits(promise.name)?.surprise(end.since(promise.opened_at)).0)
            }
        }
    }

    /// The lines that sum to a pressure or risk; none of other figures.
    pub(super) fn term_lines(&self, source: Source) -> Vec<Evidence> {
        let of_pressure = [TermKind::Due, TermKind::LongWait, TermKind::NoAnswer];
        let outcome = if let Source::Risk(at) = source { self.settings.outcomes.get(at) } else { None };
        let adds = |term: &&Term| match outcome {
            Some((_, outcome)) => outcome.terms.contains(&term.kind),
            None => source == Source::Pressure && of_pressure.contains(&term.kind),
        };
        self.terms.iter().filter(adds).map(Term::evidence).collect()
    }

    fn recency_ratio(&self) -> Option<i64> {
        let purchases = &self.customer.purchases;
        let gaps = i64::from(purchases.count) - 1;
        let last = purchases.last().filter(|_| gaps > 0)?;
        let gap_ms = last.since(purchases.first) / gaps;
        Some(Micro::ratio(self.derived.at.since(last), Micro::SCALE, gap_ms + DAY_MS).0)
    }

    /// How many of the other items are so.
    fn others(&self, is_so: impl Fn(&OpenItem) -> bool) -> i64 {
        let is_other = |item: &&OpenItem| self.item.is_none_or(|own| !std::ptr::eq(own, *item));
        let count = self.customer.items.iter().filter(is_other).filter(|item| is_so(item)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}
