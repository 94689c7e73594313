//! Features: a customer's state as columns of whole numbers, as of any moment. What models are trained on and scores are
//! judged by is read here, from the state that serves, so it cannot know more than the service would have known.
//!
//! | column | unit | what | missing when |
//! |---|---|---|---|
//! | `index` | millionths | with the item's pressure (0 without an item), not rounded to whole points | – |
//! | `perception` … `remembered`, `risk.<outcome>` | millionths | the other derived figures; pressure and risk are the item's | no item; `remembered`: no episode |
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
use crate::model::{Micro, Name, Timestamp};

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
    source: Source,
}

/// Where a column's value comes from; numbers are places in the settings' lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Index,
    Perception,
    Expectation,
    Disconfirmation,
    Felt,
    Pressure,
    Effort,
    Remembered,
    Risk(usize),
    Touchpoints7,
    Inbound7,
    Silence,
    Past,
    PastBad,
    OtherItems,
    Weight,
    ScoredAge,
    InboundEffort,
    Purchases,
    Recency,
    RecencyRatio,
    ItemAge,
    ItemTouchpoints,
    StageAge,
    Stage,
    SinceInbound,
    Handled,
    Measure(usize),
    MeasureSum(usize),
    Promise(Name, Wait),
    Segment(usize),
}

/// What of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Open,
    Overdue,
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
        let moment = Moment::new(customer, settings, item);
        self.values.clear();
        self.values.extend(self.columns.iter().map(|column| moment.value(column.source)));
        &self.values
    }
}

fn columns(settings: &Settings) -> Vec<Column> {
    let items = &settings.items;
    let figure = |name: &str, unit, source| Column {
        name: name.to_owned(),
        unit,
        is_figure: true,
        is_protected: is_protected(items, source),
        source,
    };
    let feature = |name: &str, unit, source| Column { is_figure: false, ..figure(name, unit, source) };
    let mut columns = vec![
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
    columns.extend(
        outcomes.map(|(at, (_, outcome))| figure(&format!("risk.{}", outcome.name), Unit::Micro, Source::Risk(at))),
    );
    columns.extend([
        feature("c.n7", Unit::Count, Source::Touchpoints7),
        feature("c.in7", Unit::Count, Source::Inbound7),
        feature("c.silence", Unit::Ms, Source::Silence),
        feature("c.past", Unit::Count, Source::Past),
        feature("c.past_bad", Unit::Count, Source::PastBad),
        feature("c.open_items", Unit::Count, Source::OtherItems),
        feature("x.p", Unit::Micro, Source::Perception),
        feature("x.W7", Unit::Micro, Source::Weight),
        feature("x.last_age", Unit::Ms, Source::ScoredAge),
        feature("x.effort", Unit::Micro, Source::InboundEffort),
    ]);
    if settings.catalogue.has_purchases() {
        columns.extend([
            feature("r.n", Unit::Count, Source::Purchases),
            feature("r.recency", Unit::Ms, Source::Recency),
            feature("r.ratio", Unit::Micro, Source::RecencyRatio),
        ]);
    }
    columns.extend([
        feature("i.age", Unit::Ms, Source::ItemAge),
        feature("i.n", Unit::Count, Source::ItemTouchpoints),
        feature("i.stage_age", Unit::Ms, Source::StageAge),
        feature("i.stage", Unit::Category, Source::Stage),
        feature("i.since_in", Unit::Ms, Source::SinceInbound),
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
        columns.extend(
            WAITS.map(|(wait, word, unit)| feature(&format!("p.{text}.{word}"), unit, Source::Promise(name, wait))),
        );
    }
    let segments = settings.items.segments.iter().enumerate();
    columns.extend(segments.map(|(at, name)| feature(&format!("g.{name}"), Unit::Category, Source::Segment(at))));
    columns
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

/// The columns of each promise.
const WAITS: [(Wait, &str, Unit); 6] = [
    (Wait::Open, "open", Unit::Ms),
    (Wait::Overdue, "overdue", Unit::Ms),
    (Wait::Kept, "kept", Unit::Ms),
    (Wait::KeptLate, "kept_late", Unit::Ms),
    (Wait::Promised, "len", Unit::Ms),
    (Wait::Surprise, "surprise", Unit::Micro),
];

/// A customer, and one of their items, at the customer's own time.
struct Moment<'a> {
    customer: &'a Customer,
    settings: &'a Settings,
    derived: Derived,
    item: Option<&'a OpenItem>,
    terms: Vec<Term>,
}

impl<'a> Moment<'a> {
    fn new(customer: &'a Customer, settings: &'a Settings, item: Option<&str>) -> Self {
        let derived = derive(customer, settings);
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
        Self { customer, settings, derived, item, terms: terms.unwrap_or_default() }
    }

    fn value(&self, source: Source) -> Option<i64> {
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
            Source::Remembered => customer.episode.map(|episode| episode.remembered().0),
            Source::Risk(at) => {
                let (_, outcome) = settings.outcomes.get(at)?;
                item.filter(|item| outcome.is_about(item.item.item_type))
                    .map(|_| pressure::risk(outcome, &self.terms).0)
            }
            Source::Touchpoints7 => Some(week::counts(&customer.week, derived.at).0),
            Source::Inbound7 => Some(week::counts(&customer.week, derived.at).1),
            Source::InboundEffort => Some(week::effort(&customer.week, derived.at).0),
            Source::Silence => (customer.touchpoints > 0).then(|| self.age(customer.latest)),
            Source::Past => Some(i64::from(customer.past) + self.others(|item| !item.is_open())),
            Source::PastBad => {
                let bad = |item: &OpenItem| !item.is_open() && item.is_bad(&settings.catalogue);
                Some(i64::from(customer.past_bad) + self.others(bad))
            }
            Source::OtherItems => Some(self.others(OpenItem::is_open)),
            Source::Weight => Some(derived.perception_sum.w),
            Source::ScoredAge => {
                let scored = customer.recent.iter().rev().find(|recent| recent.weight > Micro::ZERO);
                scored.map(|recent| self.age(recent.mark.time))
            }
            Source::Purchases => (customer.purchases.count > 0).then_some(i64::from(customer.purchases.count)),
            Source::Recency => customer.purchases.last().map(|last| self.age(last)),
            Source::RecencyRatio => self.recency_ratio(),
            Source::ItemAge => item.map(|item| self.age(item.opened)),
            Source::ItemTouchpoints => item.map(|item| i64::from(item.touchpoints)),
            Source::StageAge => item?.stage.map(|(since, _)| self.age(since)),
            Source::Stage => item?.stage.map(|(_, stage)| i64::from(stage.0)),
            Source::SinceInbound => item?.last_in.map(|last| self.age(last)),
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
        let open = promise.is_open() && self.item.is_some_and(OpenItem::is_open);
        match wait {
            Wait::Open => open.then(|| self.age(promise.opened_at)),
            Wait::Overdue => promise.due.filter(|_| open).map(|due| self.age(due)),
            Wait::Kept => promise.closed_at.map(|closed| closed.since(promise.opened_at)),
            Wait::KeptLate => Some(promise.closed_at?.since(promise.due?)),
            Wait::Promised => promise.due.map(|due| due.since(promise.opened_at)),
            Wait::Surprise => {
                let end = promise.closed_at.or(self.item?.closed).unwrap_or(self.derived.at);
                Some(self.settings.profile.waits(promise.name)?.surprise(end.since(promise.opened_at)).0)
            }
        }
    }

    fn recency_ratio(&self) -> Option<i64> {
        let purchases = &self.customer.purchases;
        let gaps = i64::from(purchases.count) - 1;
        let last = purchases.last().filter(|_| gaps > 0)?;
        let gap_ms = last.since(purchases.first) / gaps;
        Some(Micro::ratio(self.age(last), Micro::SCALE, gap_ms + DAY_MS).0)
    }

    /// How many of the other items are so.
    fn others(&self, is_so: impl Fn(&OpenItem) -> bool) -> i64 {
        let is_other = |item: &&OpenItem| self.item.is_none_or(|own| !std::ptr::eq(own, *item));
        let count = self.customer.items.iter().filter(is_other).filter(|item| is_so(item)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    fn age(&self, since: Timestamp) -> i64 {
        self.derived.at.since(since)
    }
}
