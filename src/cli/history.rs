//! One pass over recorded touchpoints in order of arrival, with stops at given moments.

use super::feeds::{Feeds, sources};
use super::replay;
use super::summary::Summary;
use crate::codec::mapping::TimeFormat;
use crate::codec::node::Pointer;
use crate::config::Config;
use crate::engine::{Engine, Move};
use crate::model::{AlertChange, ExperienceChange, Position, Timestamp, Touchpoint};
use crate::pipeline::{Fate, ImagesDue, Observed, Partition, Plan, Staged};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Records per transaction.
const TRANSACTION_RECORDS: u64 = 10_000;
/// Records of each file held back to put them in order: files may be out of order by that much. (They are some 125 MB.)
pub(super) const AHEAD_RECORDS: usize = 250_000;

/// Who watches a pass.
pub(super) trait Witness {
    /// This touchpoint is about to be applied.
    fn touchpoint(&mut self, _touchpoint: &Touchpoint<'_>) {}

    /// Everything before the moment of this place in the list was applied, nothing else.
    ///
    /// # Errors
    /// When an answer cannot be written: the pass ends.
    fn moment(&mut self, _place: usize, _engine: &Engine) -> anyhow::Result<()> {
        Ok(())
    }

    /// What else was seen since the last call.
    fn observed(&mut self, _observed: &Observed) {}

    /// The experience of a customer changed; none = the customer is gone.
    fn changed(&mut self, _customer_id: &Arc<str>, _change: Option<Box<ExperienceChange>>) {}

    /// A transaction of the journal ended; what changed in it was published under this plan.
    ///
    /// # Errors
    /// As of [`Self::moment`].
    fn committed(&mut self, _plan: &Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// What changed since the last call, in order, under this plan.
    ///
    /// # Errors
    /// As of [`Self::moment`].
    fn alerts(&mut self, _alerts: &[AlertChange], _plan: &Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// Customers moved on journeys since the last call, in order.
    fn moved(&mut self, _moves: &[Move]) {}

    /// Everything was applied. (Of a journal: of one partition.)
    fn end(&mut self, _engine: &Engine) {}
}

/// A plan over these files whose records are taken in order of event time; or, with `arrival_field`, of arrival.
///
/// # Errors
/// When the field is no JSON pointer.
pub(super) fn plan(
    config: &Config,
    sources: Vec<(String, usize)>,
    arrival_field: Option<&str>,
) -> Result<Arc<Plan>, String> {
    let mut config = config.clone();
    let mut arrival = Vec::new();
    for pointer in arrival_field.into_iter().flat_map(pointers) {
        let pointer = Pointer::parse(&pointer).map_err(|hint| format!("--arrival-field: {hint}"))?;
        arrival.extend([TimeFormat::Rfc3339, TimeFormat::EpochMs].map(|format| (pointer.clone(), format)));
    }
    config.inputs.iter_mut().for_each(|input| input.arrival.clone_from(&arrival));
    Ok(config.plan(sources, 0))
}

/// [`plan`] over the files of a command line; what is wrong with it is told, with the exit code to end with.
pub(super) fn plan_of_files(
    config: &Config,
    input: Option<&str>,
    files: &[String],
    arrival_field: Option<&str>,
) -> Result<Arc<Plan>, ExitCode> {
    sources(config, input, files)
        .and_then(|sources| plan(config, sources, arrival_field))
        .map_err(|problem| replay::usage(&problem))
}

/// A plain name is a field of the record, or of its attributes.
fn pointers(field: &str) -> Vec<String> {
    if field.starts_with('/') {
        vec![field.to_owned()]
    } else {
        vec![format!("/{field}"), format!("/attributes/{field}")]
    }
}

/// Puts all records of the plan through one partition and stops at each moment, which sees what arrived strictly before
/// it. A summary goes to standard error at the end.
pub(super) fn pass(plan: &Arc<Plan>, moments: &[Timestamp], witness: &mut dyn Witness) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut order: Vec<usize> = (0..moments.len()).collect();
    order.sort_by_key(|place| moments.get(*place));
    let mut stops = order.into_iter().filter_map(|place| Some((place, *moments.get(place)?))).peekable();
    let mut partition = Partition::new(Arc::clone(plan), Arc::clone(&plan.scorer), 0, 0, false);
    partition.mute_experience();
    let (mut summary, mut staged) = (Summary::default(), Staged::default());
    let mut feeds = Feeds::open(plan, AHEAD_RECORDS)?;
    while let Some(arrival) = feeds.next_arrival()? {
        while let Some((place, _)) = stops.next_if(|(_, moment)| *moment <= arrival) {
            witness.moment(place, partition.engine())?;
        }
        feeds.take(|raw| {
            let mut decoded = plan.decode(raw);
            if let Ok(touchpoint) = &decoded {
                witness.touchpoint(touchpoint);
            }
            if let Fate::Dlq(code) = partition.accept(raw, &mut decoded) {
                summary.rejected(code, raw.position);
            }
        })?;
        if partition.pending().inputs >= TRANSACTION_RECORDS {
            close(plan, &mut partition, &mut staged, &mut summary, witness)?;
        }
    }
    for (place, _) in stops {
        witness.moment(place, partition.engine())?;
    }
    partition.finish();
    close(plan, &mut partition, &mut staged, &mut summary, witness)?;
    witness.end(partition.engine());
    summary.out_of_window = feeds.finish();
    summary.print(plan, std::slice::from_ref(&partition), started.elapsed());
    Ok(())
}

/// Only decodes all records of the plan, in the same order as [`pass`].
pub(super) fn scan(plan: &Arc<Plan>, each: &mut dyn FnMut(&Touchpoint<'_>, Position)) -> anyhow::Result<()> {
    let mut feeds = Feeds::open(plan, AHEAD_RECORDS)?;
    while feeds.take(|raw| {
        if let Ok(touchpoint) = plan.decode(raw) {
            each(&touchpoint, raw.position);
        }
    })? {}
    Ok(())
}

/// Ends a transaction.
fn close(
    plan: &Plan,
    partition: &mut Partition,
    staged: &mut Staged,
    summary: &mut Summary,
    witness: &mut dyn Witness,
) -> anyhow::Result<()> {
    witness.alerts(partition.alerts(), plan)?;
    partition.stage(ImagesDue::Due, staged);
    summary.observe(&staged.observed);
    witness.moved(&staged.observed.moves);
    witness.observed(&staged.observed);
    summary.forgotten += staged.experience.len() as u64;
    partition.commit();
    Ok(())
}
