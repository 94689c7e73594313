//! Configuration: text in, a validated [`Config`] out, or every problem at once.
//!
//! `config/touchline.toml` is compiled in and holds every key; a user's file is laid over it. The legal keys are those
//! of the defaults, plus a few tables of the user's own. Each key is read for itself, so a wrong one hides no other.
//! Files and the environment are reached only through the `resolve` function the caller hands in.

mod canonical;
mod cards;
mod changes;
mod check;
mod files;
mod inputs;
mod kafka;
mod merge;
mod outcomes;
mod output;
mod raw;
mod registry;
mod schema;
mod secret;

use crate::codec::encode;
use crate::model::{Name, hash64};
use crate::pipeline::{Bounds, Plan, Scoring};
use crate::rules::outcome_risk::{Mismatch, Outcome};
use crate::rules::profile::ProfileFile;
use crate::sentiment::{Model, ModelError, Scorer};
use crate::{codec, engine};
use canonical::Canonical;
use changes::Keys;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use toml::{Table, Value};

pub use canonical::settings_of;
pub use kafka::{Kafka, StartFrom, Topics};
pub use output::OutputFormat;
pub use registry::{Credentials, Registry};
pub use schema::schema;
pub use secret::Secret;

/// The defaults, every key with a comment.
pub const DEFAULTS: &str = include_str!("../../config/touchline.toml");
/// The catalogue of kinds that is compiled in.
pub const CATALOGUE: &str = include_str!("../../config/catalogue.toml");

/// Largest canonical configuration: a record that fits a broker's default limit.
const CANONICAL_BYTES_MAX: usize = 900_000;
/// Scores text where no model is named: three quarters of a megabyte, the same for every configuration.
static SHIPPED: LazyLock<Arc<Scorer>> = LazyLock::new(|| Arc::new(Scorer::new()));

/// Something wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Key path, such as `rules.detractor.nps` or `input[0].mapping.kind`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Problem {
    fn new(path: &str, message: &str, hint: &str) -> Self {
        Self { path: path.to_owned(), message: message.to_owned(), hint: hint.to_owned() }
    }
}

/// `path: what (hint)`.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// Reads what a configuration refers to: `"env:NAME"` is a variable of the environment, `"file:PATH"` the content of a
/// file without the line end, anything else the content of the file at that path; relative to the configuration.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens; none = off.
    pub listen: Option<SocketAddr>,
    /// The bearer token; always there when `listen` is not a loopback address.
    pub token: Option<Secret>,
}

/// `[telemetry]`.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// Level or directives of the log filter.
    pub log: String,
    /// JSON lines instead of text.
    pub json: bool,
}

/// A whole configuration, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[kafka]`.
    pub kafka: Kafka,
    /// `[topics]`.
    pub topics: Topics,
    /// `[registry]`; none where it is not used.
    pub registry: Option<Registry>,
    /// `[output] format`.
    pub output: OutputFormat,
    /// `[[input]]`, at least one.
    pub inputs: Vec<codec::Input>,
    /// What the engine runs on.
    pub settings: Arc<engine::Settings>,
    /// `[scoring]` and `[customer]`.
    pub scoring: Scoring,
    /// Scores text.
    pub scorer: Arc<Scorer>,
    /// `[pipeline]`.
    pub bounds: Bounds,
    /// `[admin]`.
    pub admin: Admin,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// The canonical configuration as JSON: what decides outputs. [`settings_of`] reads it back.
    pub canonical: String,
    /// XXH3-64 of `canonical`.
    pub config_hash: u64,
    /// Hashes of what a card rests on: the configuration of its features, and the profile.
    pub card_hashes: (u64, u64),
    keys: Keys,
}

impl Config {
    /// Reads a configuration; `None` = the defaults alone.
    ///
    /// # Errors
    /// Every problem found, sorted by key path.
    pub fn load(text: Option<&str>, resolve: Resolve<'_>) -> Result<Self, Vec<Problem>> {
        Self::load_as(text, resolve, &Without::Nothing)
    }

    /// As [`Self::load`], with an empty profile, whatever file is named: for whoever is about to make it.
    ///
    /// # Errors
    /// Every problem found, sorted by key path.
    pub fn load_without_profile(text: Option<&str>, resolve: Resolve<'_>) -> Result<Self, Vec<Problem>> {
        Self::load_as(text, resolve, &Without::Profile)
    }

    /// As [`Self::load`], without the outcome of this name: for whoever is about to make its card.
    ///
    /// # Errors
    /// Every problem found, sorted by key path.
    pub fn load_without_outcome(text: Option<&str>, resolve: Resolve<'_>, outcome: &str) -> Result<Self, Vec<Problem>> {
        Self::load_as(text, resolve, &Without::Outcome(outcome))
    }

    fn load_as(text: Option<&str>, resolve: Resolve<'_>, without: &Without<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let config = load(text, resolve, without, &mut problems);
        problems.sort();
        problems.dedup();
        config.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// Scores text by these model files, in place of the shipped model or beside it. What they are goes into the
    /// canonical configuration.
    ///
    /// # Errors
    /// The path of the first that is no model, and why.
    pub fn use_models(&mut self, files: &[(String, Vec<u8>)]) -> Result<(), (String, ModelError)> {
        let mut scorer = Scorer::new();
        for (path, bytes) in files {
            scorer.add(Model::parse(bytes).map_err(|error| (path.clone(), error))?);
        }
        let with_path = |error: serde_json::Error| ("scoring.model".to_owned(), ModelError::from(error));
        let mut canonical: Canonical = serde_json::from_str(&self.canonical).map_err(with_path)?;
        canonical.scoring.model_hashes = files.iter().map(|(_, bytes)| format!("{:016x}", hash64(bytes))).collect();
        files.iter().for_each(|(path, bytes)| self.keys.refer(path, bytes));
        self.canonical = canonical.text().map_err(with_path)?;
        self.config_hash = hash64(self.canonical.as_bytes());
        self.scorer = Arc::new(scorer);
        Ok(())
    }

    /// Adds a card whose chance shall stand among the features, without alerts.
    ///
    /// # Errors
    /// What is wrong with it, or differs from this configuration and is not allowed to.
    pub fn add_card(&mut self, text: &str, allow: &[Mismatch]) -> Result<(), Vec<String>> {
        let card = cards::parse(text).map_err(|problem| vec![problem])?;
        let differ = cards::mismatches(&card, self.card_hashes, allow);
        if !differ.is_empty() {
            return Err(differ
                .into_iter()
                .map(|(key, what)| format!("{what} (--allow {key} uses it all the same)"))
                .collect());
        }
        let served = engine::Served::new(&card, &self.settings);
        let served = served.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Arc::make_mut(&mut self.settings).cards.insert(Name::of(&card.outcome), served);
        Ok(())
    }

    /// The plan of a run over these sources (name of the topic or file, index of its input). `partitions` is the
    /// number of partitions of every topic, 0 for files. What comes out is written as JSON.
    #[must_use]
    pub fn plan(&self, sources: Vec<(String, usize)>, partitions: i32) -> Arc<Plan> {
        self.plan_writing(encode::Format::Json, sources, partitions)
    }

    /// As [`Self::plan`], with another form of what comes out.
    #[must_use]
    pub fn plan_writing(&self, output: encode::Format, sources: Vec<(String, usize)>, partitions: i32) -> Arc<Plan> {
        Arc::new(Plan {
            inputs: self.inputs.clone(),
            sources,
            settings: Arc::clone(&self.settings),
            scoring: self.scoring.clone(),
            scorer: Arc::clone(&self.scorer),
            configuration: self.canonical.as_str().into(),
            config_hash: self.config_hash,
            settings_of,
            bounds: self.bounds,
            output,
            partitions,
            repartition: None,
        })
    }

    /// The keys that differ besides rules, and the files and variables whose content does; a running service can take over no
    /// more than rules.
    #[must_use]
    pub fn differs_beyond_rules(&self, other: &Self) -> Vec<String> {
        self.keys.differing(&other.keys)
    }

    /// Every topic it reads with the index of its input, in the order of the configuration.
    #[must_use]
    pub fn input_topics(&self) -> Vec<(String, usize)> {
        let topics = |(at, input): (usize, &codec::Input)| {
            input.topics.iter().map(|topic| (topic.clone(), at)).collect::<Vec<_>>()
        };
        self.inputs.iter().enumerate().flat_map(topics).collect()
    }

    /// The index of the input of a name.
    #[must_use]
    pub fn input_named(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|input| input.name == name)
    }
}

fn load(
    text: Option<&str>,
    resolve: Resolve<'_>,
    without: &Without<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let (defaults, user) = files::tables(text, resolve, problems)?;
    let keys = RefCell::new(Keys::of(&defaults, &user));
    let resolve: Resolve<'_> = &changes::noting(resolve, &keys);
    let inputs = inputs::read(&defaults, &user, problems);
    let context = check::context(&user, problems);
    let mut outcomes = tables::<Outcome>(&user, "outcome", OUTCOME_KEYS, problems);
    let own_rules = tables(&user, "rule", OWN_RULE_KEYS, problems);
    let profile = match without {
        Without::Profile => ProfileFile::default(),
        Without::Nothing | Without::Outcome(_) => outcomes::profile(&user, resolve, problems),
    };
    outcomes.retain(|outcome| without.keeps(outcome));
    let cards = cards::read(&mut outcomes, resolve, problems);
    let mut reader = Reader { defaults: &defaults, user: &user, problems };
    let (kafka, topics, admin) = (reader.section("kafka"), reader.section("topics"), reader.section("admin"));
    let telemetry: raw::Telemetry = reader.section("telemetry")?;
    let registry: raw::Registry = reader.section("registry")?;
    let output: raw::Output = reader.section("output")?;
    let canonical = Canonical {
        cards,
        catalogue: reader.section("catalogue")?,
        context,
        customer: reader.section("customer")?,
        engine: reader.section("engine")?,
        inputs: inputs::canonical(&defaults, &user),
        items: reader.section("items")?,
        limits: reader.section("limits")?,
        model: reader.section("model")?,
        outcomes,
        pipeline: reader.section("pipeline")?,
        profile,
        rule: own_rules,
        risk: reader.section("risk")?,
        rules: reader.section("rules")?,
        scoring: reader.section("scoring")?,
    };
    check::all(&canonical, problems);
    outcomes::check(&canonical, outcomes::names_profile(&user), problems);
    let kafka = kafka::kafka(kafka?, resolve, problems);
    let topics = kafka::topics(topics?, &kafka.group_id, problems);
    check::distinct_topics(&topics, &inputs, problems);
    let card_hashes = outcomes::check_cards(&canonical, problems);
    let admin = check::admin(&admin?, resolve, problems);
    let output = output::format(&output, problems);
    let registry = registry::registry(&registry, (&inputs, output), resolve, problems);
    assemble(canonical, inputs, problems, |settings, scoring, bounds, inputs, canonical| Config {
        kafka,
        topics,
        registry,
        output,
        inputs,
        settings,
        scoring,
        scorer: Arc::clone(&SHIPPED),
        bounds,
        admin,
        telemetry: Telemetry { log: telemetry.log, json: telemetry.json },
        config_hash: hash64(canonical.as_bytes()),
        card_hashes,
        canonical,
        keys: keys.take(),
    })
}

/// What is left out because it is about to be made.
enum Without<'a> {
    Nothing,
    Profile,
    Outcome(&'a str),
}

impl Without<'_> {
    fn keeps(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Nothing => true,
            // A card is of the profile it was trained with.
            Self::Profile => outcome.card.is_none(),
            Self::Outcome(name) => outcome.name != *name,
        }
    }
}

struct Reader<'a> {
    defaults: &'a Table,
    user: &'a Table,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        merge::section(name, self.defaults, self.user, self.problems)
    }
}

fn assemble(
    canonical: Canonical,
    mut inputs: Vec<codec::Input>,
    problems: &mut Vec<Problem>,
    build: impl FnOnce(Arc<engine::Settings>, Scoring, Bounds, Vec<codec::Input>, String) -> Config,
) -> Option<Config> {
    let settings = match canonical.settings() {
        Ok(settings) => settings,
        Err(wrong) => {
            problems.extend(wrong.iter().map(|(path, what)| Problem::new(path, what, "")));
            return None;
        }
    };
    let text = match canonical.text() {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new("", &format!("the configuration cannot be written as JSON: {error}"), ""));
            return None;
        }
    };
    if text.len() > CANONICAL_BYTES_MAX {
        let message = format!("profile, catalogue and rules together take {} bytes as JSON", text.len());
        let hint = format!("the images topic keeps them in one record of at most {CANONICAL_BYTES_MAX}");
        problems.push(Problem::new("", &message, &hint));
    }
    let junk_ids: Vec<String> = canonical.customer.junk_ids.iter().map(|id| id.to_lowercase()).collect();
    inputs.iter_mut().for_each(|input| input.junk_ids.clone_from(&junk_ids));
    let scoring = scoring(&canonical);
    Some(build(Arc::new(settings), scoring, bounds(&canonical.pipeline), inputs, text))
}

fn scoring(canonical: &Canonical) -> Scoring {
    let customer = &canonical.customer;
    let attribute = |name: &String, values: &Vec<String>| (!name.is_empty()).then(|| (name.clone(), values.clone()));
    Scoring {
        segment: attribute(&customer.segment_attribute, &customer.segments),
        tier: attribute(&customer.tier_attribute, &customer.tiers),
        brand_words: canonical.scoring.brand_words.iter().map(|word| word.to_lowercase()).collect(),
        models: canonical.scoring.model.clone(),
    }
}

const fn bounds(raw: &raw::Pipeline) -> Bounds {
    Bounds {
        record_bytes_max: raw.record_bytes_max,
        future_skew: raw.future_skew,
        dlq_consecutive_max: raw.dlq_consecutive_max,
        dlq_ratio_max: raw.dlq_ratio_max,
        images_per_commit: raw.images_per_commit,
        tail_max: raw.tail_max,
        checkpoint_interval: raw.checkpoint_interval,
    }
}

const OUTCOME_KEYS: &str = "name, kind, terms or card, allow, items, open, close, severity";
const OWN_RULE_KEYS: &str = "name, when, close, figure, items, message, enabled, severity, for, keep_firing_for, cooldown, \
    max_open, suggested_action";

/// A list of tables of the user's own, such as `[[outcome]]`, table by table.
fn tables<T: DeserializeOwned>(user: &Table, name: &str, keys: &str, problems: &mut Vec<Problem>) -> Vec<T> {
    let items = match user.get(name) {
        None => return Vec::new(),
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => {
            problems.push(Problem::new(name, "expected tables", &format!("write [[{name}]]")));
            return Vec::new();
        }
    };
    let mut read = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match T::deserialize(item.clone()) {
            Ok(table) => read.push(table),
            Err(error) => {
                let hint = format!("keys: {keys}");
                problems.push(Problem::new(&format!("{name}[{at}]"), error.message(), &hint));
            }
        }
    }
    read
}

#[cfg(test)]
mod tests;
