//! `[[input]]`: from TOML to [`Input`], every mistake with its key path.

use super::Problem;
use super::kafka::is_topic;
use super::merge::{join, suggestion};
use crate::codec::mapping::{AttributesMapping, Expr, Field, From, Mapping, RatingMapping, TimeFormat};
use crate::codec::node::{Node, Pointer};
use crate::codec::{Format, Input, Repartition};
use crate::model::{Channel, Instrument, ItemType};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

pub(super) const KEYS: [&str; 10] =
    ["name", "topics", "format", "arrival", "arrival_time", "source", "channel", "item", "repartition", "mapping"];
const ITEMS: [(&str, ItemType); 4] = [
    ("order_id", ItemType::Order),
    ("conversation_id", ItemType::Conversation),
    ("topic", ItemType::Topic),
    ("customer", ItemType::Customer),
];
pub(super) const FORMATS: [&str; 7] =
    ["touchpoint-json", "json", "csv", "cloudevents", "segment", "touchpoint-avro", "avro"];
const TIMES: &str = "rfc3339, epoch_ms or epoch_s";
const REQUIRED: [Field; 6] =
    [Field::Id, Field::Source, Field::CustomerId, Field::Channel, Field::Kind, Field::OccurredAt];

/// How messages of Segment are read, each field unless the user maps it: `codec::segment` adds `kind` and `occurred_at`.
const SEGMENT: &str = r#"
id = "/messageId"
customer_id = { first = ["/userId", "/anonymousId"] }
kind = "/kind"
occurred_at = "/occurred_at"
session_id = "/context/sessionId"
order_id = { first = ["/properties/order_id", "/properties/orderId"] }
product_id = { first = ["/properties/product_id", "/properties/productId"] }
text = "/properties/review_body"
language = "/context/locale"
"#;
/// Where a message of Segment came from, for inputs without a channel of their own.
const SEGMENT_CHANNEL: &str = r#"
channel = { first = ["/channel", "/type"], default = "other", table = { browser = "web", mobile = "mobile", server = "other", page = "web", screen = "mobile" } }
"#;

fn tables(defaults: &Table, user: &Table) -> Value {
    user.get("input").or_else(|| defaults.get("input")).cloned().unwrap_or_else(|| Value::Array(Vec::new()))
}

/// The inputs without what does not decide outputs: their topics, and by which road records come.
pub(super) fn canonical(defaults: &Table, user: &Table) -> Vec<Table> {
    let Value::Array(items) = tables(defaults, user) else { return Vec::new() };
    let mut inputs: Vec<Table> = items.into_iter().filter_map(|item| item.try_into().ok()).collect();
    for input in &mut inputs {
        input.retain(|key, _| key != "topics" && key != "repartition");
    }
    inputs
}

/// Reads all inputs.
pub(super) fn read(defaults: &Table, user: &Table, problems: &mut Vec<Problem>) -> Vec<Input> {
    let Value::Array(items) = tables(defaults, user) else {
        problems.push(Problem::new("input", "expected tables", "write [[input]]"));
        return Vec::new();
    };
    if items.is_empty() {
        problems.push(Problem::new("input", "at least one input is needed", "write [[input]]"));
    }
    let mut names = BTreeSet::new();
    let mut inputs = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let path = format!("input[{at}]");
        let Value::Table(table) = item else {
            problems.push(Problem::new(&path, "expected a table", "write [[input]]"));
            continue;
        };
        let input = Reader { path: path.clone(), table, problems }.input();
        if !names.insert(input.name.clone()) {
            problems.push(Problem::new(&join(&path, "name"), "used twice", "give each input its own name"));
        }
        inputs.push(input);
    }
    inputs
}

/// The user's mapping over ours.
fn segment(user: Table, has_channel: bool) -> Table {
    let ours = if has_channel { vec![SEGMENT] } else { vec![SEGMENT, SEGMENT_CHANNEL] };
    let mut mapping: Table = ours.into_iter().filter_map(|text| text.parse::<Table>().ok()).flatten().collect();
    mapping.extend(user);
    mapping
}

/// One table, with the path for messages.
struct Reader<'a> {
    path: String,
    table: &'a Table,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, message: &str, hint: &str) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.problems.push(Problem::new(&path, message, hint));
    }

    fn within<'b>(&'b mut self, key: &str, table: &'b Table) -> Reader<'b> {
        Reader { path: join(&self.path, key), table, problems: self.problems }
    }

    fn unknown_keys(&mut self, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.problems.push(Problem::new(&join(&self.path, key), "unknown key", &suggestion(key, known)));
        }
    }

    /// A text; none when absent or empty.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key) {
            None => None,
            Some(Value::String(text)) => (!text.is_empty()).then(|| text.clone()),
            Some(_) => {
                self.problem(key, "expected text", "");
                None
            }
        }
    }

    fn input(&mut self) -> Input {
        self.unknown_keys(&KEYS);
        let name = self.text("name").unwrap_or_else(|| {
            self.problem("name", "missing", "a name for messages and metrics");
            String::new()
        });
        let source = self.text("source");
        let channel = self.channel();
        let arrival = self.arrival().into_iter().collect();
        let topics = self.topics();
        let format = self.format(source.is_some(), channel.is_some());
        let source = source.or_else(|| matches!(format, Format::Segment(_)).then(|| "segment".to_owned()));
        let item = self.item();
        let repartition = self.repartition();
        Input { name, topics, format, arrival, source, channel, item, junk_ids: Vec::new(), repartition }
    }

    fn repartition(&mut self) -> Repartition {
        match self.text("repartition").as_deref() {
            None | Some("auto") => Repartition::Auto,
            Some("always") => Repartition::Always,
            Some("never") => Repartition::Never,
            Some(other) => {
                self.problem("repartition", "unknown choice", &suggestion(other, &["auto", "always", "never"]));
                Repartition::Auto
            }
        }
    }

    fn item(&mut self) -> Vec<ItemType> {
        let Some(value) = self.table.get("item") else { return Input::default().item };
        let names = ITEMS.map(|(name, _)| name);
        let Ok(listed) = Vec::<String>::deserialize(value.clone()) else {
            self.problem("item", "expected a list", &format!("of {}", names.join(", ")));
            return Vec::new();
        };
        let mut item = Vec::new();
        for name in listed {
            match ITEMS.iter().find(|(known, _)| *known == name) {
                Some((_, item_type)) => item.push(*item_type),
                None => self.problem("item", &format!("\"{name}\" names no item"), &suggestion(&name, &names)),
            }
        }
        item
    }

    fn channel(&mut self) -> Option<Channel> {
        let name = self.text("channel")?;
        let channel = Channel::parse(&name);
        if channel.is_none() {
            let known: Vec<&str> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
            self.problem("channel", "unknown channel", &suggestion(&name, &known));
        }
        channel
    }

    fn topics(&mut self) -> Vec<String> {
        let Some(value) = self.table.get("topics") else { return Vec::new() };
        let Ok(topics) = Vec::<String>::deserialize(value.clone()) else {
            self.problem("topics", "expected a list of names", "");
            return Vec::new();
        };
        if let Some(wrong) = topics.iter().find(|topic| !is_topic(topic)) {
            self.problem(
                "topics",
                &format!("\"{wrong}\" is not a name Kafka takes"),
                "letters, digits, dot, dash and underscore",
            );
        }
        topics
    }

    fn arrival(&mut self) -> Option<(Pointer, TimeFormat)> {
        let pointer = self.text("arrival");
        let time = self.text("arrival_time").map_or(Some(TimeFormat::EpochMs), |name| TimeFormat::parse(&name));
        if time.is_none() {
            self.problem("arrival_time", "unknown time format", TIMES);
        }
        match Pointer::parse(&pointer?) {
            Ok(pointer) => Some((pointer, time?)),
            Err(hint) => {
                self.problem("arrival", "not a JSON pointer", hint);
                None
            }
        }
    }

    fn format(&mut self, has_source: bool, has_channel: bool) -> Format {
        let format = self.text("format").unwrap_or_else(|| FORMATS[0].to_owned());
        if !FORMATS.contains(&format.as_str()) {
            self.problem("format", "unknown format", &suggestion(&format, &FORMATS));
            return Format::Touchpoint;
        }
        let mapping = match (format.as_str(), self.table.get("mapping")) {
            ("touchpoint-json", None) => return Format::Touchpoint,
            ("touchpoint-avro", None) => return Format::Avro(None),
            ("cloudevents", None) => return Format::CloudEvents(None),
            ("segment", None) => segment(Table::new(), has_channel),
            ("segment", Some(Value::Table(mapping))) => segment(mapping.clone(), has_channel),
            ("touchpoint-json" | "touchpoint-avro", Some(_)) => {
                let hint = "use format = \"json\" or \"avro\" for fields of your own";
                self.problem("mapping", &format!("{format} takes none"), hint);
                return Format::Touchpoint;
            }
            (_, Some(Value::Table(mapping))) => mapping.clone(),
            (_, _) => {
                self.problem("mapping", "missing", "write [input.mapping]: one key per touchpoint field");
                return Format::Touchpoint;
            }
        };
        let has_source = has_source || format == "segment";
        let mapping = self.within("mapping", &mapping).mapping(has_source, has_channel);
        match format.as_str() {
            "csv" => Format::Csv(mapping),
            "cloudevents" => Format::CloudEvents(Some(mapping)),
            "segment" => Format::Segment(mapping),
            "avro" => Format::Avro(Some(mapping)),
            _ => Format::Json(mapping),
        }
    }

    fn mapping(&mut self, has_source: bool, has_channel: bool) -> Mapping {
        let mut mapping = Mapping::default();
        for (key, value) in self.table {
            match (key.as_str(), Field::parse(key)) {
                (_, Some(field)) => {
                    let expr = self.expr(key, value);
                    mapping.fields.extend(expr.map(|expr| (field, expr)));
                }
                ("rating", None) => mapping.rating = self.rating(value),
                ("attributes", None) => mapping.attributes = self.attributes(value),
                (_, None) => {
                    let known: Vec<&str> =
                        Field::ALL.iter().map(|field| field.name()).chain(["rating", "attributes"]).collect();
                    self.problem(key, "not a field of a touchpoint", &suggestion(key, &known));
                }
            }
        }
        for field in REQUIRED {
            let given = self.table.contains_key(field.name())
                || (field == Field::Source && has_source)
                || (field == Field::Channel && has_channel);
            if !given {
                self.problem(field.name(), "missing", "every touchpoint needs it");
            }
        }
        mapping
    }

    fn pointer(&mut self, key: &str, value: &Value) -> Option<Pointer> {
        let parsed = value.as_str().ok_or("expected text such as \"/attributes/order\"").and_then(Pointer::parse);
        parsed.map_err(|hint| self.problem(key, "not a JSON pointer", hint)).ok()
    }

    fn expr(&mut self, key: &str, value: &Value) -> Option<Expr> {
        match value {
            Value::String(_) => self.pointer(key, value).map(|pointer| Expr::plain(From::First(vec![pointer]))),
            Value::Table(table) => self.within(key, table).composed(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
                let hint = "a pointer \"/a/b\" or a table with const, from, first, key, table, default, prefix, time";
                self.problem(key, "not a mapping", hint);
                None
            }
        }
    }

    fn composed(&mut self) -> Option<Expr> {
        self.unknown_keys(&["const", "from", "first", "key", "table", "default", "prefix", "time"]);
        let from = self.from()?;
        let time = self.text("time");
        let format = time.as_deref().and_then(TimeFormat::parse);
        if time.is_some() && format.is_none() {
            self.problem("time", "unknown time format", TIMES);
        }
        Some(Expr {
            table: self.value_table(),
            default: self.text("default"),
            prefix: self.text("prefix"),
            time: format,
            from,
        })
    }

    fn from(&mut self) -> Option<From> {
        let sources: Vec<&str> =
            ["const", "from", "first", "key"].into_iter().filter(|key| self.table.contains_key(*key)).collect();
        let [source] = sources.as_slice() else {
            self.problem("", "needs exactly one of const, from, first and key", "where the value comes from");
            return None;
        };
        let value = self.table.get(*source)?;
        match (*source, value) {
            ("const", value) => self.constant("const", value).map(From::Const),
            ("from", value) => self.pointer("from", value).map(|pointer| From::First(vec![pointer])),
            ("first", Value::Array(items)) if !items.is_empty() => {
                let pointers = items.iter().map(|item| self.pointer("first", item)).collect::<Option<Vec<_>>>();
                pointers.map(From::First)
            }
            ("key", Value::Boolean(true)) => Some(From::Key),
            (source, _) => {
                self.problem(source, "wrong kind of value", "first = [\"/a\", \"/b\"], key = true");
                None
            }
        }
    }

    fn constant(&mut self, key: &str, value: &Value) -> Option<Node<'static>> {
        match value {
            Value::String(text) => Some(Node::Text(Cow::Owned(text.clone()))),
            Value::Integer(number) => Some(Node::Int(*number)),
            Value::Float(number) if number.is_finite() => Some(Node::Float(*number)),
            Value::Boolean(flag) => Some(Node::Flag(*flag)),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                self.problem(key, "expected text, a number or a flag", "");
                None
            }
        }
    }

    fn value_table(&mut self) -> Option<BTreeMap<String, String>> {
        let table = BTreeMap::<String, String>::deserialize(self.table.get("table")?.clone());
        table.map_err(|_| self.problem("table", "expected texts by text", "table = { phone = \"support\" }")).ok()
    }

    fn rating(&mut self, value: &Value) -> Option<RatingMapping> {
        let Value::Table(table) = value else {
            self.problem("rating", "expected a table", "rating = { instrument = \"stars\", value = \"/rating\" }");
            return None;
        };
        let mut reader = self.within("rating", table);
        reader.unknown_keys(&["instrument", "value", "min", "max"]);
        let instrument = table.get("instrument").cloned().and_then(|name| Instrument::deserialize(name).ok());
        if instrument.is_none() {
            reader.problem("instrument", "missing or unknown", "nps, csat, ces, stars or custom");
        }
        let scale = match (table.get("min"), table.get("max")) {
            (Some(min), Some(max)) => reader.constant("min", min).zip(reader.constant("max", max)),
            (None, None) => None,
            (_, _) => {
                reader.problem("", "min and max belong together", "");
                None
            }
        };
        if instrument == Some(Instrument::Custom) && scale.is_none() {
            reader.problem("min", "missing", "a custom scale needs min and max");
        }
        let Some(value) = table.get("value") else {
            reader.problem("value", "missing", "a pointer to the answer");
            return None;
        };
        Some(RatingMapping { value: reader.expr("value", value)?, instrument: instrument?, scale })
    }

    fn attributes(&mut self, value: &Value) -> Option<AttributesMapping> {
        let Value::Table(table) = value else {
            return self.pointer("attributes", value).map(AttributesMapping::All);
        };
        let mut reader = self.within("attributes", table);
        let named = table.iter().filter_map(|(name, value)| Some((name.clone(), reader.expr(name, value)?)));
        Some(AttributesMapping::Named(named.collect()))
    }
}
