//! What `touchline evaluate` found, as a table for people and as JSON for machines.

use crate::insight::{self, Bin, Case, Hits, Share, auc};
use serde::Serialize;

/// With fewer bad or fewer other rows an area is a guess.
const ROWS_MIN: usize = 30;
/// With fewer alerts or items a share is a guess.
const ALERTS_MIN: usize = 10;
/// Bins of the index.
const BINS: usize = 10;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Scoreboard {
    pub(super) rows: usize,
    pub(super) rows_with_a_problem: u64,
    pub(super) rows_of_unknown_customers: usize,
    pub(super) rows_before_any_touchpoint: usize,
    pub(super) customers: usize,
    pub(super) tasks: Vec<Task>,
    pub(super) outcomes: Vec<Outcome>,
}

/// One task: how well each score told bad rows from others at its moments.
#[derive(Debug, Serialize)]
pub(super) struct Task {
    task: String,
    rows: usize,
    bad: usize,
    scores: Vec<Score>,
    index_calibration: Vec<Step>,
}

/// One score.
#[derive(Debug, Serialize)]
struct Score {
    name: String,
    /// It comes with the labels.
    baseline: bool,
    /// Chance that a bad row has the higher value, ties half.
    auc: f64,
    /// `auc`, or 1 − `auc` where low values are bad; with its 95 % interval.
    strength: f64,
    low: f64,
    high: f64,
    bad_when: &'static str,
    /// Rows that have a value.
    rows: usize,
    few: bool,
    /// Of a chance: expected calibration error, over ten bins of equal width.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration_error: Option<f64>,
}

/// Rows of neighbouring heights of the index.
#[derive(Debug, Serialize)]
struct Step {
    from: f64,
    to: f64,
    rows: usize,
    bad: usize,
    share: f64,
    low: f64,
    high: f64,
    few: bool,
}

/// One outcome: how well alerts foretold it.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    outcome: String,
    items: usize,
    bad: usize,
    alerts: Vec<Alerts>,
}

/// Alerts of one kind.
#[derive(Debug, Serialize)]
struct Alerts {
    kind: String,
    opened: usize,
    /// On labelled items.
    judged: usize,
    right: usize,
    precision: Option<Estimate>,
    bad_items_found: usize,
    recall: Option<Estimate>,
    lead_days: Option<Lead>,
    /// On items without a label.
    unlabelled: usize,
    per_thousand_customers_and_day: Option<f64>,
}

/// A share with its 95 % interval.
#[derive(Debug, Serialize)]
struct Estimate {
    value: f64,
    low: f64,
    high: f64,
    few: bool,
}

/// Days from alert to outcome.
#[derive(Debug, Serialize)]
struct Lead {
    first_quartile: f64,
    median: f64,
    third_quartile: f64,
    /// The moments of outcomes are not known: the days are at least these.
    at_least: bool,
    few: bool,
}

impl Task {
    pub(super) fn new(name: &str, bad: usize, rows: usize) -> Self {
        Self { task: name.to_owned(), rows, bad, scores: Vec::new(), index_calibration: Vec::new() }
    }

    /// Adds a score; nothing when one of the classes is empty.
    pub(super) fn score(&mut self, name: &str, baseline: bool, cases: &[Case]) {
        let Some(auc) = auc(cases) else { return };
        let (low, high) = auc.interval();
        self.scores.push(Score {
            name: name.to_owned(),
            baseline,
            auc: rounded(auc.area),
            strength: rounded(auc.strength()),
            low: rounded(low),
            high: rounded(high),
            bad_when: if auc.area >= 0.5 { "high" } else { "low" },
            rows: cases.len(),
            few: auc.bad.min(auc.good) < ROWS_MIN,
            calibration_error: None,
        });
    }

    /// Adds a score that is a chance.
    pub(super) fn chance(&mut self, name: &str, cases: &[Case]) {
        let before = self.scores.len();
        self.score(name, false, cases);
        if let Some(score) = self.scores.get_mut(before) {
            score.calibration_error = Some(rounded(insight::calibration_error(cases)));
        }
    }

    /// Adds the share of bad rows by the height of the index.
    pub(super) fn calibrate_index(&mut self, cases: &[Case]) {
        let step = |bin: &Bin| {
            let (low, high) = bin.bad.interval()?;
            Some(Step {
                from: bin.from,
                to: bin.to,
                rows: bin.bad.whole,
                bad: bin.bad.part,
                share: rounded(bin.bad.value()?),
                low: rounded(low),
                high: rounded(high),
                few: bin.bad.whole < ROWS_MIN,
            })
        };
        self.index_calibration = insight::bins(cases, BINS).iter().filter_map(step).collect();
    }

    /// The strongest first, those that rest on too few rows last; ties by name.
    pub(super) fn sort(&mut self) {
        let rank = |score: &Score| (score.few, -score.strength);
        self.scores.sort_by(|a, b| {
            let ((a_few, a_rank), (b_few, b_rank)) = (rank(a), rank(b));
            a_few.cmp(&b_few).then(a_rank.total_cmp(&b_rank)).then_with(|| a.name.cmp(&b.name))
        });
    }

    fn table(&self, out: &mut String) {
        let share = Share { part: self.bad, whole: self.rows };
        *out += &format!("\n{}: {} rows, {} bad ({})\n", self.task, self.rows, self.bad, percent(share.value()));
        if self.bad.min(self.rows - self.bad) == 0 {
            *out += "  all rows have the same label: nothing to tell apart\n";
            return;
        }
        *out += &format!("  {:<32}{:>6}  {:<13}{:<10}{:>8}\n", "score", "AUC", "95 %", "bad when", "rows");
        for score in &self.scores {
            let name = if score.baseline { format!("{} (label file)", score.name) } else { score.name.clone() };
            *out += &format!(
                "  {name:<32}{:>6.3}  {:.3}–{:.3}  {:<10}{:>8}{}{}\n",
                score.strength,
                score.low,
                score.high,
                score.bad_when,
                score.rows,
                score.calibration_error.map(|error| format!("  ECE {error:.3}")).unwrap_or_default(),
                few(score.few)
            );
        }
        *out += &format!("  {:<12}{:>8}{:>8}{:>9}  {}\n", "index", "rows", "bad", "share", "95 %");
        for step in &self.index_calibration {
            let range = format!("{:.0}–{:.0}", step.from, step.to);
            let interval = format!("{:.1}–{:.1} %", step.low * 100.0, step.high * 100.0);
            let share = percent(Some(step.share));
            *out += &format!("  {range:<12}{:>8}{:>8}{share:>9}  {interval}{}\n", step.rows, step.bad, few(step.few));
        }
    }
}

impl Outcome {
    pub(super) fn new(name: &str, bad: Share) -> Self {
        Self { outcome: name.to_owned(), items: bad.whole, bad: bad.part, alerts: Vec::new() }
    }

    /// Adds the alerts of one kind.
    pub(super) fn alerts(&mut self, kind: &str, opened: usize, hits: &Hits, per_thousand_and_day: Option<f64>) {
        let lead = |lead: insight::Quartiles| Lead {
            first_quartile: insight::days(lead.first),
            median: insight::days(lead.median),
            third_quartile: insight::days(lead.third),
            at_least: hits.lead_at_least,
            few: hits.right.part < ALERTS_MIN,
        };
        self.alerts.push(Alerts {
            kind: kind.to_owned(),
            opened,
            judged: hits.right.whole,
            right: hits.right.part,
            precision: estimate(hits.right),
            bad_items_found: hits.found.part,
            recall: estimate(hits.found),
            lead_days: hits.lead_ms.map(lead),
            unlabelled: hits.unlabelled,
            per_thousand_customers_and_day: per_thousand_and_day.map(rounded),
        });
    }

    fn table(&self, out: &mut String) {
        let share = percent(Share { part: self.bad, whole: self.items }.value());
        *out += &format!("\nalerts before {}: {} items, {} bad ({share})\n", self.outcome, self.items, self.bad);
        *out += &format!(
            "  {:<30}{:>7}{:>8}{:>7}{:>11}{:>9}  {:<22}{:>11}{:>12}\n",
            "kind",
            "opened",
            "judged",
            "right",
            "precision",
            "recall",
            "lead days (quartiles)",
            "unlabelled",
            "per 1,000·d"
        );
        for alerts in &self.alerts {
            let (precision, recall) = (shown(alerts.precision.as_ref()), shown(alerts.recall.as_ref()));
            let lead = alerts.lead_days.as_ref().map_or_else(
                || "–".to_owned(),
                |lead| {
                    let least = if lead.at_least { "≥ " } else { "" };
                    let Lead { first_quartile, median, third_quartile, .. } = lead;
                    format!("{least}{median:.1} ({first_quartile:.1}–{third_quartile:.1})")
                },
            );
            let load =
                alerts.per_thousand_customers_and_day.map_or_else(|| "–".to_owned(), |load| format!("{load:.2}"));
            let is_few = |estimate: &Option<Estimate>| estimate.as_ref().is_none_or(|estimate| estimate.few);
            *out += &format!(
                "  {:<30}{:>7}{:>8}{:>7}{precision:>11}{recall:>9}  {lead:<22}{:>11}{load:>12}{}\n",
                alerts.kind,
                alerts.opened,
                alerts.judged,
                alerts.right,
                alerts.unlabelled,
                few(is_few(&alerts.precision) || is_few(&alerts.recall)),
            );
        }
    }
}

impl Scoreboard {
    /// The table.
    pub(super) fn table(&self) -> String {
        let mut out = format!("{} rows of labels", self.rows);
        for (count, what) in [
            (self.rows_with_a_problem, "with a problem, left out"),
            (self.rows_of_unknown_customers as u64, "of customers without any touchpoint, left out"),
            (self.rows_before_any_touchpoint as u64, "before the customer's first touchpoint, left out"),
        ] {
            if count > 0 {
                out += &format!("; {count} {what}");
            }
        }
        out += &format!("; {} customers with touchpoints\n", self.customers);
        self.tasks.iter().for_each(|task| task.table(&mut out));
        self.outcomes.iter().for_each(|outcome| outcome.table(&mut out));
        if out.contains(FEW) {
            out += &format!(
                "\n{FEW}: a score with fewer than {ROWS_MIN} bad or other rows, or alerts where fewer than {ALERTS_MIN} were \
                 judged or could be found: do not rely on it\n"
            );
        }
        out
    }
}

const FEW: &str = "too few";

fn few(few: bool) -> String {
    if few { format!("  {FEW}") } else { String::new() }
}

fn estimate(share: Share) -> Option<Estimate> {
    let (low, high) = share.interval()?;
    Some(Estimate {
        value: rounded(share.value()?),
        low: rounded(low),
        high: rounded(high),
        few: share.whole < ALERTS_MIN,
    })
}

fn shown(estimate: Option<&Estimate>) -> String {
    estimate.map_or_else(|| "–".to_owned(), |estimate| format!("{:.3}", estimate.value))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// To four decimals: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
