//! What `touchline train` says to the person at the terminal.

use super::train::Samples;
use super::train_moments::Labelled;
use crate::engine::{Column, Settings, Unit};
use crate::insight::{
    Alerted, Auc, Case, Columns, Course, Learned, Row, Trained, auc, calibration_error, cases, single_areas,
};
use crate::model::Micro;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::rules::card::chance;
use std::collections::BTreeMap;

/// With fewer rows, or fewer bad ones, a card is a guess.
const ROWS_MIN: usize = 500;
const BAD_MIN: usize = 50;
/// An area that one column reaches alone is suspicious …
const LEAK_AREA: f64 = 0.9;
/// Features drawn.
const DRAWN_MAX: usize = 8;
/// Groups of bins drawn of each.
const GROUPS_MAX: usize = 6;
/// Width of a bar on either side, in characters.
const BAR_WIDTH: usize = 16;

/// Label rows that were left out, by reason.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sides {
    pub(super) problems: u64,
    pub(super) others: usize,
    pub(super) too_late: usize,
    pub(super) duplicates: usize,
    pub(super) contradictions: usize,
    pub(super) unknown: usize,
    pub(super) early: usize,
}

impl Sides {
    /// With the rows left out while features were read.
    pub(super) const fn with(self, samples: &Samples) -> Self {
        Self { unknown: samples.unknown, early: samples.early, ..self }
    }

    /// One line, or nothing.
    pub(super) fn line(&self) -> String {
        let parts = [
            (self.problems, "cannot be read"),
            (self.others as u64, "are of other outcomes"),
            (self.too_late as u64, "have an outcome before their moment"),
            (self.duplicates as u64, "are there twice"),
            (self.contradictions as u64, "contradict one another"),
            (self.unknown as u64, "are of customers without any touchpoint"),
            (self.early as u64, "lie before the customer's first touchpoint"),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if told.is_empty() { String::new() } else { format!("rows left out: {}\n", told.join(", ")) }
    }
}

/// Everything the report says.
pub(super) struct Report<'a> {
    pub(super) sides: Sides,
    pub(super) labelled: &'a Labelled,
    pub(super) rows: &'a [Row],
    pub(super) columns: &'a Columns,
    pub(super) names: &'a [Column],
    pub(super) settings: &'a Settings,
    pub(super) trained: &'a Trained,
    pub(super) courses: &'a [Course],
    pub(super) alerts: &'a [(usize, Alerted)],
}

impl Report<'_> {
    /// The report.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        text += &self.tasks();
        text += &self.warnings();
        text += &self.alerts();
        text += &self.segments();
        text += &self.features();
        text
    }

    fn head(&self) -> String {
        let own = self.rows.iter().filter(|row| row.task.is_some()).count();
        let bad = self.rows.iter().filter(|row| row.bad).count();
        let more = self.rows.len() - own;
        let way = if self.labelled.is_sampled {
            format!("{more} more moments of the same items, for every row has its outcome_ts and rows of an item agree")
        } else {
            "no other moments, for not every row has an outcome_ts, or rows of an item differ".to_owned()
        };
        format!(
            "{own} label rows of {} items, and {way}\n{}{} rows trained on, {bad} bad ({:.1} %)\n",
            self.labelled.items.len(),
            self.sides.line(),
            self.rows.len(),
            share(bad, self.rows.len()) * 100.0
        )
    }

    fn tasks(&self) -> String {
        let mut text = format!(
            "\n{:<28}{:>7}{:>7}  {:<20}{:>6}  {:<20}  {}\n",
            "task", "rows", "bad", "AUC (95 %)", "ECE", "later (by time)", "best number of the label file"
        );
        let mut names: Vec<&str> = self.labelled.labels.iter().map(|label| label.task.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for (number, name) in names.iter().enumerate() {
            let is_own = |row: &Row| row.task == Some(number);
            let judged = cases(self.rows, &self.trained.scores, is_own);
            let later = cases(self.rows, &self.trained.later, is_own);
            text += &format!(
                "{name:<28}{:>7}{:>7}  {:<20}{:>6.3}  {:<20}  {}\n",
                judged.len(),
                judged.iter().filter(|case| case.bad).count(),
                shown(auc(&judged)),
                calibration_error(&judged),
                shown(auc(&later)),
                self.best_baseline(name),
            );
        }
        text
    }

    fn best_baseline(&self, task: &str) -> String {
        let mut by_name: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
        let (mut cluster, mut known) = (0, None);
        for label in self.labelled.labels.iter().filter(|label| label.task == task) {
            if known.replace(&label.customer_id) != Some(&label.customer_id) {
                cluster += 1;
            }
            for (name, score) in &label.baseline {
                by_name.entry(name).or_default().push(Case { cluster, score: *score, bad: label.bad });
            }
        }
        let judged = by_name.iter().filter_map(|(name, cases)| Some((auc(cases)?.strength(), *name)));
        let best = judged.max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or_else(|| "–".to_owned(), |(area, name)| format!("{name} {area:.3}"))
    }

    fn warnings(&self) -> String {
        let mut text = String::new();
        let bad = self.rows.iter().filter(|row| row.bad).count();
        let rarer = bad.min(self.rows.len() - bad);
        if self.rows.len() < ROWS_MIN || rarer < BAD_MIN {
            text += &format!(
                "\nwarning: {} rows, {rarer} of the rarer class; below {ROWS_MIN} and {BAD_MIN} a card is a guess\n",
                self.rows.len()
            );
        }
        for (column, area) in single_areas(self.rows, self.columns) {
            if area >= LEAK_AREA {
                let name = self.names.get(column).map_or("", |column| column.name.as_str());
                text += &format!(
                    "\nwarning: {name} alone tells bad rows from others (AUC {area:.3}): is it made from the outcome? List its \
                     attribute under items.protected, or see that it is not given before the outcome\n"
                );
            }
        }
        for column in self.names.iter().filter(|column| column.is_protected) {
            text += &format!("\n{} was not used: items.protected\n", column.name);
        }
        text
    }

    fn alerts(&self) -> String {
        let mut text = format!(
            "\n{:>7}  {:>8}{:>8}{:>11}{:>9}{:>12}\n",
            "alerts", "open at", "right", "precision", "recall", "lead days"
        );
        for (_, of) in self.alerts {
            let lead = of.lead_days.map_or_else(|| "–".to_owned(), |lead| format!("{lead:.1}"));
            text += &format!(
                "{:>7}  {:>8.3}{:>8}{:>11.3}{:>9.3}{lead:>12}\n",
                of.right.whole,
                chance(of.open).to_f64(),
                of.right.part,
                of.right.value().unwrap_or_default(),
                of.found.value().unwrap_or_default(),
            );
        }
        text
    }

    /// How the alerts of the first threshold fall on the declared segments.
    fn segments(&self) -> String {
        let Some((_, of)) = self.alerts.first() else { return String::new() };
        let mut counts: BTreeMap<(usize, i64), [usize; 4]> = BTreeMap::new();
        for course in self.courses {
            for segment in &course.segments {
                let [all, bad, alerts, right] = counts.entry(*segment).or_default();
                let is_alerted = course.reached(of.open).is_some();
                *all += 1;
                *bad += usize::from(course.bad);
                *alerts += usize::from(is_alerted);
                *right += usize::from(is_alerted && course.bad);
            }
        }
        let mut text = String::new();
        for (segment, name) in self.settings.items.segments.iter().enumerate() {
            let mut own: Vec<(i64, [usize; 4])> = counts
                .iter()
                .filter(|((of, _), _)| *of == segment)
                .map(|((_, value), counts)| (*value, *counts))
                .collect();
            own.sort_by_key(|(value, [all, ..])| (std::cmp::Reverse(*all), *value));
            if !own.is_empty() {
                text += &format!("\n{name:<16}{:>8}{:>8}{:>11}{:>11}\n", "items", "bad", "alerted", "of them right");
            }
            for (value, [all, bad, alerts, right]) in own.into_iter().take(10) {
                let value = self.labelled.texts.get(&value).map_or("", String::as_str);
                text += &format!(
                    "  {value:<14}{all:>8}{:>7.1}%{:>10.1}%{:>12.1}%\n",
                    share(bad, all) * 100.0,
                    share(alerts, all) * 100.0,
                    share(right, alerts) * 100.0
                );
            }
        }
        text
    }

    /// The strongest features with their points as bars.
    fn features(&self) -> String {
        let mut features: Vec<&Learned> = self.trained.card.features.iter().collect();
        features.sort_by(|a, b| b.strength().total_cmp(&a.strength()).then(a.column.cmp(&b.column)));
        let numbers: usize = features.iter().map(|feature| feature.points.len() + 1).sum();
        let mut text = format!("\n{} features with {numbers} points; the strongest:\n", features.len());
        for feature in features.into_iter().take(DRAWN_MAX) {
            let Some(column) = self.names.get(feature.column) else { continue };
            text += &format!("\n{}\n", column.name);
            for (what, points, rows) in self.groups(feature, column) {
                text += &format!("  {what:>24} {:>7} rows {:>6.2} {}\n", rows, Micro(points).to_f64(), bar(points));
            }
        }
        text
    }

    /// Neighbouring bins with like points together: what they hold, mean points, rows.
    fn groups(&self, feature: &Learned, column: &Column) -> Vec<(String, i64, usize)> {
        let bins = feature.points.iter().zip(&feature.rows).map(|(points, rows)| (*points, *rows));
        let mut groups: Vec<(usize, usize, i64, usize)> =
            bins.enumerate().map(|(bin, (points, rows))| (bin, bin, points, rows)).collect();
        if column.unit != Unit::Category {
            while groups.len() > GROUPS_MAX {
                let nearest = groups.windows(2).enumerate().min_by_key(|(_, pair)| match pair {
                    [(.., a, _), (.., b, _)] => a.abs_diff(*b),
                    _ => u64::MAX,
                });
                let Some((at, _)) = nearest else { break };
                let (_, last, points, rows) = groups.remove(at + 1);
                if let Some(group) = groups.get_mut(at) {
                    let all = (group.3 + rows).max(1) as i64;
                    *group = (group.0, last, (group.2 * group.3 as i64 + points * rows as i64) / all, group.3 + rows);
                }
            }
        }
        let describe = |first: usize, last: usize| {
            if column.unit == Unit::Category {
                let value = feature.categories.get(first);
                return value.map_or_else(|| "others".to_owned(), |value| self.category(*value));
            }
            let edge = |at: usize| feature.edges.get(at).map(|edge| quantity(*edge, column.unit));
            match (first.checked_sub(1).and_then(edge), edge(last)) {
                (None, None) => "any".to_owned(),
                (None, Some(below)) => format!("below {below}"),
                (Some(from), None) => format!("from {from}"),
                (Some(from), Some(below)) => format!("{from} to {below}"),
            }
        };
        let mut told: Vec<(String, i64, usize)> =
            groups.iter().map(|(first, last, points, rows)| (describe(*first, *last), *points, *rows)).collect();
        if let Some(rows) = feature.rows.last().filter(|rows| **rows > 0) {
            told.push(("missing".to_owned(), feature.missing, *rows));
        }
        told
    }

    fn category(&self, value: i64) -> String {
        let stage = u32::try_from(value).ok().map(|value| self.settings.catalogue.text(crate::model::Name(value)));
        self.labelled.texts.get(&value).map_or_else(|| stage.unwrap_or_default().to_owned(), String::clone)
    }
}

/// A value in words: `3.2 d`, `5`, `0.25`.
#[expect(clippy::cast_precision_loss, reason = "shown to people only")]
pub(super) fn quantity(value: i64, unit: Unit) -> String {
    match unit {
        Unit::Count | Unit::Category => value.to_string(),
        Unit::Micro => format!("{:.3}", Micro(value).to_f64()),
        Unit::Ms => {
            let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min")];
            let fits = units.iter().find(|(unit_ms, _)| value.abs() >= *unit_ms);
            let (unit_ms, name) = fits.unwrap_or(&(SECOND_MS, "s"));
            format!("{:.1} {name}", value as f64 / *unit_ms as f64)
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    crate::insight::Share { part, whole }.value().unwrap_or_default()
}

fn shown(auc: Option<Auc>) -> String {
    auc.map_or_else(
        || "–".to_owned(),
        |auc| {
            format!("{:.3} ({:.3}–{:.3})", auc.area, (auc.area - auc.margin).max(0.0), (auc.area + auc.margin).min(1.0))
        },
    )
}

/// A bar to the right (worse) or to the left; four blocks are a log-odds of one half.
fn bar(points: i64) -> String {
    let blocks = usize::try_from((points.unsigned_abs() + 62_500) / 125_000).unwrap_or(BAR_WIDTH).min(BAR_WIDTH);
    let (left, right) = if points < 0 { (blocks, 0) } else { (0, blocks) };
    format!("{:>BAR_WIDTH$}|{}", "█".repeat(left), "█".repeat(right))
}
