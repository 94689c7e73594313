//! What is read and written is as `schemas/` says: golden inputs, and what `replay` makes of them.

use crate::command::touchline;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Fails unless a document is what a file in `schemas/` says.
pub(crate) fn assert_is(schema: &str, document: &Value) {
    let text = std::fs::read_to_string(root().join("schemas").join(schema)).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    assert!(validator.is_valid(document), "{schema}: {document}");
}

/// The form of a message in the document of all topics, with the schema of its data in it.
pub(crate) fn form_of_event(message: &str) -> jsonschema::Validator {
    let mut form = asyncapi()["components"]["messages"][message]["payload"].clone();
    let data = &mut form["properties"]["data"];
    let file = root().join("schemas").join(data["$ref"].as_str().unwrap());
    *data = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    jsonschema::validator_for(&form).unwrap()
}

/// Every released version of our Avro schemas: (file name, version, text), oldest first.
pub(crate) fn released() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for version in std::fs::read_dir(root().join("schemas/released")).unwrap() {
        let version = version.unwrap();
        for file in std::fs::read_dir(version.path()).unwrap() {
            let file = file.unwrap();
            let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
            found.push((name(&file), name(&version), std::fs::read_to_string(file.path()).unwrap()));
        }
    }
    found.sort_by_key(|(file, version, _)| (file.clone(), version.trim_start_matches('v').parse::<u32>().unwrap()));
    found
}

/// The registry's BACKWARD_TRANSITIVE: whoever reads by today's schemas reads what any release wrote.
#[test]
fn every_released_schema_is_read_by_todays() {
    let parse = |text: &str| apache_avro::Schema::parse_str(text).unwrap();
    let reads = |written: &str, read: &str| {
        SchemaCompatibility::can_read(&parse(written), &parse(read)).is_ok_and(|found| found == Compatibility::Full)
    };
    let released = released();
    let files: std::collections::BTreeSet<&str> = released.iter().map(|(file, ..)| file.as_str()).collect();
    assert_eq!(files.into_iter().collect::<Vec<_>>(), ["alert.avsc", "experience.avsc", "touchpoint.avsc"]);
    for (file, version, text) in &released {
        let today = std::fs::read_to_string(root().join("schemas").join(file)).unwrap();
        assert!(reads(text, &today), "{file} of {version} cannot be read by today's");
        // What the check is worth: a required field more, and a symbol less.
        let (fields, more) = ("\"fields\": [", "\"fields\": [{\"name\": \"new\", \"type\": \"long\"},");
        assert!(!reads(text, &today.replacen(fields, more, 1)), "{file}");
        let less = today.replace("\"web\", ", "").replace(", \"default\": \"other\"", "");
        assert!(!reads(text, &less), "{file}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails unless the file has lines and each is valid.
fn assert_valid(schema: &str, file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("schemas").join(schema)).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let lines = std::fs::read_to_string(file).unwrap();
    let documents: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (at, document) in documents.iter().enumerate() {
        if let Err(error) = validator.validate(document) {
            panic!("{}:{}: {error}", file.display(), at + 1);
        }
    }
    assert!(!documents.is_empty(), "{} is empty", file.display());
    documents
}

#[test]
fn golden_inputs_and_what_comes_out_of_them_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (alerts, experience) = (folder.path().join("alerts.jsonl"), folder.path().join("experience.jsonl"));
    let mut phases = std::collections::BTreeSet::new();
    for case in std::fs::read_dir(root().join("tests/golden")).unwrap() {
        let case = case.unwrap().path();
        let (input, config) = (case.join("input.jsonl"), case.join("config.toml"));
        let mut arguments: Vec<PathBuf> = vec!["replay".into(), "--out".into(), alerts.clone()];
        arguments.extend(["--experience".into(), experience.clone(), input.clone()]);
        if config.exists() {
            arguments.extend(["--config".into(), config]);
        } else {
            assert_valid("touchpoint.json", &input);
        }
        let answer = touchline(&arguments);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert_valid("experience.json", &experience);
        let changes = assert_valid("alert.json", &alerts);
        phases.extend(changes.iter().map(|change| change["phase"].as_str().unwrap().to_owned()));
    }
    assert!(phases.contains("opened") && phases.contains("resolved"), "{phases:?}");
}

#[test]
fn rows_as_of_a_moment_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, out) = (folder.path().join("rows.jsonl"), folder.path().join("features.jsonl"));
    let case = root().join("tests/golden/promises");
    let touchpoints = std::fs::read_to_string(case.join("input.jsonl")).unwrap();
    let moment = |line: &str| {
        let touchpoint: Value = serde_json::from_str(line).unwrap();
        let (customer, at) = (&touchpoint["customer_id"], touchpoint["occurred_at"].as_i64().unwrap() + 86_400_000);
        format!("{{\"customer_id\":{customer},\"as_of\":{at},\"label\":1}}\n")
    };
    let nobody = "{\"customer_id\":\"nobody\",\"as_of\":\"2026-03-02T09:00:00Z\",\"entity\":\"o-1\"}\n";
    std::fs::write(&rows, touchpoints.lines().map(moment).chain([nobody.to_owned()]).collect::<String>()).unwrap();
    let arguments = ["replay".into(), "--as-of".into(), rows, "--out".into(), out.clone(), "--config".into()];
    let answer = touchline(&[&arguments[..], &[case.join("config.toml"), case.join("input.jsonl")]].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let answers = assert_valid("features.json", &out);
    assert!(answers.iter().any(|row| row["features"]["pressure"].as_f64().is_some_and(|pressure| pressure > 0.0)));
    assert_eq!(answers.last().unwrap()["features"]["pressure"], Value::Null);
}

#[test]
fn every_kind_of_alert_is_in_the_schema() {
    let text = std::fs::read_to_string(root().join("schemas/alert.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let listed: Vec<&str> = schema["properties"]["kind"]["anyOf"][0]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_str().unwrap())
        .collect();
    let known: Vec<&str> = touchline::rules::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(listed, known);
}

fn form_of_configurations() -> Value {
    serde_json::from_str(&touchline(&["schema"]).stdout).unwrap()
}

/// A configuration as JSON.
fn json_of(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

/// `TOUCHLINE_BLESS=1` writes the file anew.
#[test]
fn the_schema_of_configurations_is_current() {
    let (file, printed) = (root().join("schemas/config.json"), touchline(&["schema"]).stdout);
    if std::env::var_os("TOUCHLINE_BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert!(
        std::fs::read_to_string(file).unwrap() == printed,
        "`touchline schema > schemas/config.json` brings it up to date"
    );
}

#[test]
fn every_shipped_configuration_has_the_form_of_one() {
    let validator = jsonschema::validator_for(&form_of_configurations()).unwrap();
    let folders = ["config", "config/examples", "tests/tutorial"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let golden = std::fs::read_dir(root().join("tests/golden")).unwrap();
    let golden = golden.map(|case| case.unwrap().path().join("config.toml")).filter(|config| config.exists());
    let mut seen = 0;
    for file in files.chain(golden).filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        let name = file.file_name().unwrap().to_string_lossy();
        if name == "catalogue.toml" || name.ends_with(".profile.toml") || name.ends_with(".card.toml") {
            continue;
        }
        let problems: Vec<String> = validator
            .iter_errors(&json_of(&std::fs::read_to_string(&file).unwrap()))
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(problems.is_empty(), "{}: {problems:?}", file.display());
        seen += 1;
    }
    assert!(seen > 14, "{seen}");
}

#[test]
fn a_misspelt_key_or_a_wrong_sort_of_value_has_not() {
    let validator = jsonschema::validator_for(&form_of_configurations()).unwrap();
    for text in [
        "exteds = 'x.toml'",
        "[rules.detractor]\nnsp = 5",
        "[rules.detractr]\nnps = 5",
        "[rules.detractor]\nnps = 'five'",
        "[rules.detractor]\ncooldown = '1 week'",
        "[rules.detractor]\nenabled = 1",
        "[catalogue.kinds.order_completed]\nvalnce = 1",
        "[catalogue.promises.delivery]\nparti = 'us'",
        "[[rule]]\nname = 'x'\nwen = 'effort > 1'",
        "[[rule]]\nname = 'x'\nseverity = 'hgih'",
        "[[outcome]]\nnam = 'x'",
        "[[input]]\nname = 'x'\nformat = 'jsn'",
        "[[input]]\nname = 'x'\n[input.mapping]\ncustomer = '/id'",
        "[items]\nmeasures = [{ nme = 'x' }]",
        "rule = 1",
    ] {
        assert!(!validator.is_valid(&json_of(text)), "{text}");
    }
}

fn asyncapi() -> Value {
    serde_json::from_str(&touchline(&["schema", "asyncapi"]).stdout).unwrap()
}

#[test]
fn the_document_of_all_topics_names_the_defaults() {
    let document = asyncapi();
    let defaults: Value = json_of(touchline::config::DEFAULTS);
    let address = |channel: &str| document["channels"][channel]["address"].as_str().unwrap().to_owned();
    for (channel, key) in [("alerts", "alerts"), ("experience", "experience"), ("deadLetters", "dlq")] {
        assert_eq!(address(channel), defaults["topics"][key].as_str().unwrap());
    }
    let group = defaults["kafka"]["group_id"].as_str().unwrap();
    for topic in ["images", "journal", "repartition"] {
        assert_eq!(address(topic), format!("{group}-{topic}"));
    }
    let inputs = document["channels"]["touchpoints"]["parameters"]["channel"]["enum"].as_array().unwrap();
    let inputs: Vec<String> =
        inputs.iter().map(|input| address("touchpoints").replace("{channel}", input.as_str().unwrap())).collect();
    assert_eq!(serde_json::to_value(inputs).unwrap(), defaults["input"][0]["topics"]);
}

/// Every message of the document that has a form is checked against messages as they are.
#[test]
fn the_messages_of_the_document_are_those_of_the_topics() {
    let folder = tempfile::tempdir().unwrap();
    let (alerts, experience) = (folder.path().join("alerts.jsonl"), folder.path().join("experience.jsonl"));
    let input = root().join("tests/golden/detractor/input.jsonl");
    let arguments: [PathBuf; 6] =
        ["replay".into(), "--out".into(), alerts.clone(), "--experience".into(), experience.clone(), input.clone()];
    assert_eq!(touchline(&arguments).code, Some(0));
    let lines = |file: &Path| -> Vec<Value> {
        std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let avro = apache_avro::Schema::parse_str(&touchline(&["schema", "touchpoint-avro"]).stdout).unwrap();
    let event = |touchpoint: &Value| serde_json::json!({"specversion": "1.0", "id": "e", "source": "s", "type": "k", "data": touchpoint});
    for (name, message) in asyncapi()["components"]["messages"].as_object().unwrap() {
        let samples = match name.as_str() {
            "touchpoint" | "touchpointAvro" => lines(&input),
            "touchpointEvent" => lines(&input).iter().map(event).collect(),
            "alert" => lines(&alerts),
            "experience" => lines(&experience),
            // Captured from a broker by the tests of `kafka_avro` and `kafka_outputs`.
            "alertAvro" | "alertEvent" | "experienceAvro" | "experienceEvent" | "deadLetter" => continue,
            // Have no form.
            "image" | "journal" | "repartitioned" => continue,
            other => panic!("{other} is checked against nothing"),
        };
        assert!(!samples.is_empty(), "{name}");
        if name == "touchpointAvro" {
            let fits =
                |sample: &Value| apache_avro::types::Value::try_from(sample.clone()).unwrap().resolve(&avro).is_ok();
            assert!(samples.iter().all(fits));
            continue;
        }
        let schema = match message["payload"]["$ref"].as_str() {
            Some(file) => {
                serde_json::from_str(&std::fs::read_to_string(root().join("schemas").join(file)).unwrap()).unwrap()
            }
            None => message["payload"].clone(),
        };
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(samples.iter().all(|sample| validator.is_valid(sample)), "{name}");
        assert!(!validator.is_valid(&serde_json::json!({"id": 1})), "{name}");
    }
}
