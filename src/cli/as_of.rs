//! `touchline replay --as-of`: features of customers at given moments, from what happened before each.

use super::history::{self, Witness};
use super::rows::{self, Moment};
use super::{exit, load, replay};
use crate::codec::node::Node;
use crate::config::Config;
use crate::engine::{Column, Engine, Features, Unit};
use crate::model::{Micro, Timestamp};
use anyhow::Context as _;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The field that is added to every row.
const FEATURES: &str = "features";

/// The part of `touchline replay`'s arguments that is about moments.
#[derive(Debug, clap::Args)]
pub(super) struct AsOfArgs {
    /// Answer rows of moments (customer_id, as_of, optionally entity; JSON lines or CSV) with the features of the customer
    /// just before, instead of alerts
    #[arg(long, value_name = "ROWS", conflicts_with_all = ["topics", "journal", "experience", "partitions"])]
    pub(super) as_of: Option<PathBuf>,
    /// With --as-of: a row sees what had arrived before it, by this field of the touchpoints (a JSON pointer, or a name)
    #[arg(long, value_name = "FIELD", requires = "as_of")]
    arrival_field: Option<String>,
    #[command(flatten)]
    pub(super) cards: load::CardArgs,
    /// With --as-of: answer as CSV
    #[arg(long, requires = "as_of")]
    csv: bool,
}

/// A row to answer.
struct Query {
    moment: Moment,
    /// The row as it was, a JSON object.
    own: Box<[u8]>,
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
pub(super) fn run(
    config: &Config,
    sources: Vec<(String, usize)>,
    args: &AsOfArgs,
    path: &Path,
    out: Box<dyn Write>,
) -> anyhow::Result<ExitCode> {
    let plan = match history::plan(config, sources, args.arrival_field.as_deref()) {
        Ok(plan) => plan,
        Err(problem) => return Ok(replay::usage(&problem)),
    };
    let (mut queries, mut names) = (Vec::new(), Vec::new());
    let problems = rows::read(path, &mut |own, row| {
        let own_names = names_of(row);
        if own_names.iter().any(|name| name == FEATURES) {
            return Err(format!("has a field {FEATURES} already"));
        }
        queries.push(Query { moment: Moment::take(row)?, own: own.into() });
        for name in own_names {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(())
    })?;
    let moments: Vec<Timestamp> = queries.iter().map(|query| query.moment.as_of).collect();
    let features = Features::new(&config.settings);
    let form = if args.csv { Form::Csv(names) } else { Form::Json };
    let answers = queries.iter().map(|_| None).collect();
    let mut writer = Answers { queries, features, form, answers, written: 0, unseen: 0, out };
    writer.header()?;
    history::pass(&plan, &moments, &mut writer)?;
    writer.out.flush().context("cannot write the rows")?;
    eprintln!("{:<22}{:>12}", "rows answered", moments.len());
    eprintln!("{:<22}{:>12}", "  of unseen customers", writer.unseen);
    eprintln!("{:<22}{problems:>12}", "rows with a problem");
    Ok(ExitCode::from(exit::OK))
}

fn names_of(row: &Node<'_>) -> Vec<String> {
    match row {
        Node::Object(fields) => fields.iter().map(|(name, _)| name.clone().into_owned()).collect(),
        Node::Null | Node::Flag(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::List(_) => Vec::new(),
    }
}

/// How rows are written.
enum Form {
    Json,
    /// With these columns of the rows' own.
    Csv(Vec<String>),
}

/// Answers moments as they come and writes them in the order of the rows.
struct Answers {
    queries: Vec<Query>,
    features: Features,
    form: Form,
    /// What waits for an earlier row.
    answers: Vec<Option<Box<[u8]>>>,
    written: usize,
    /// Rows of customers without a touchpoint before them.
    unseen: u64,
    out: Box<dyn Write>,
}

impl Witness for Answers {
    fn moment(&mut self, place: usize, engine: &Engine) -> anyhow::Result<()> {
        let Some(query) = self.queries.get_mut(place) else { return Ok(()) };
        let Moment { customer_id, entity, as_of } = &query.moment;
        self.unseen += u64::from(engine.find(customer_id).is_none());
        let values = self.features.read(engine, customer_id, entity.as_deref(), *as_of).to_vec();
        let cells = self.features.columns().iter().zip(values);
        let own = std::mem::take(&mut query.own);
        let row = match &self.form {
            Form::Json => json(&own, cells),
            Form::Csv(names) => csv(names, &own, cells)?,
        };
        if let Some(answer) = self.answers.get_mut(place) {
            *answer = Some(row.into());
        }
        while let Some(row) = self.answers.get_mut(self.written).and_then(Option::take) {
            self.out.write_all(&row).context("cannot write the rows")?;
            self.written += 1;
        }
        Ok(())
    }
}

impl Answers {
    fn header(&mut self) -> anyhow::Result<()> {
        let Form::Csv(names) = &self.form else { return Ok(()) };
        let columns = self.features.columns().iter().map(|column| format!("{FEATURES}.{}", column.name));
        self.out.write_all(&record(names.iter().cloned().chain(columns))?).context("cannot write the rows")
    }
}

/// The row's own bytes up to its closing brace, then the features.
fn json<'c>(own: &[u8], cells: impl Iterator<Item = (&'c Column, Option<i64>)>) -> Vec<u8> {
    let end = own.iter().rposition(|byte| *byte == b'}').unwrap_or(own.len());
    let mut row = own.get(..end).unwrap_or(own).to_vec();
    row.extend_from_slice(format!(",\"{FEATURES}\":{{").as_bytes());
    for (at, (column, value)) in cells.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let name = serde_json::Value::from(column.name.as_str());
        let value = value.map_or_else(|| "null".to_owned(), |value| decimal(column.unit, value));
        row.extend_from_slice(format!("{comma}{name}:{value}").as_bytes());
    }
    row.extend_from_slice(b"}}\n");
    row
}

/// A value as a number; exact.
fn decimal(unit: Unit, value: i64) -> String {
    match unit {
        Unit::Micro => Micro(value).to_string(),
        Unit::Count | Unit::Ms | Unit::Category => value.to_string(),
    }
}

/// The row's own fields in the columns `names` (what is not text as its JSON), then the features; nothing where missing.
fn csv<'c>(
    names: &[String],
    own: &[u8],
    cells: impl Iterator<Item = (&'c Column, Option<i64>)>,
) -> anyhow::Result<Vec<u8>> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(own)?;
    let own = names.iter().map(|name| match fields.get(name.as_str()).map(|raw| raw.get()) {
        None | Some("null") => Ok(String::new()),
        Some(text) if text.starts_with('"') => serde_json::from_str(text),
        Some(other) => Ok(other.to_owned()),
    });
    let own = own.collect::<Result<Vec<_>, _>>()?;
    let cells = cells.map(|(column, value)| value.map(|value| decimal(column.unit, value)).unwrap_or_default());
    record(own.into_iter().chain(cells))
}

fn record(cells: impl Iterator<Item = String>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells.map(String::into_bytes))?;
    Ok(writer.into_inner()?)
}
