use super::*;
use proptest::prelude::*;

fn no_files(reference: &str) -> Result<String, String> {
    match reference {
        "env:TOKEN" => Ok("0123456789abcdef0123".into()),
        "base/base.toml" => {
            Ok("catalogue_file = \"kinds.toml\"\n[engine]\nlateness = \"2h\"\ntimer_grace = \"5s\"".into())
        }
        "base/kinds.toml" => Ok("[kinds.visited]\nvalence = 0.1".into()),
        other => Err(format!("no {other} here")),
    }
}

fn load(text: &str) -> Result<Config, Vec<Problem>> {
    Config::load(Some(text), &no_files)
}

fn paths(text: &str) -> Vec<String> {
    load(text).expect_err("must have problems").into_iter().map(|problem| problem.path).collect()
}

#[test]
fn the_defaults_are_valid_and_hold_the_numbers_of_the_model() {
    let config = Config::load(None, &no_files).expect("the compiled-in configuration is valid");
    assert_eq!(config.settings.model.perception_half_life.to_string(), "7d");
    assert_eq!(config.settings.rules.sentiment_drop.open.0, -200_000);
    assert_eq!(config.inputs.len(), 1);
    assert_eq!(config.topics.images, "touchline-images");
    assert!(config.settings.catalogue.len() >= 60);
    assert_eq!(config.kafka.start_from, None);
}

#[test]
fn a_few_keys_replace_a_few_defaults() {
    let config =
        load("[kafka]\ngroup_id = \"cx\"\nstart_from = \"2026-01-31T00:00:00Z\"\n[rules.detractor]\nnps = 5\n")
            .unwrap();
    assert_eq!(config.topics.journal, "cx-journal");
    assert_eq!(config.kafka.start_from, Some(StartFrom::At(crate::model::Timestamp(1_769_817_600_000))));
    assert_eq!(config.settings.rules.detractor.nps.0, 5_000_000);
    assert_eq!(config.settings.rules.detractor.csat.0, 2_000_000);
}

#[test]
fn every_problem_is_found_at_once() {
    let eight = r#"
        [kafka]
        workers = "two"
        comit_interval = "1s"
        [kafka.properties]
        "enable.auto.commit" = true
        [engine]
        lateness = "1 day"
        [rules.detractor]
        nps = 11
        severity = "urgent"
        [[input]]
        name = "shop"
        format = "json"
        [input.mapping]
        id = "event_id"
        source = { const = "shop" }
        customer_id = { key = true }
        channel = { const = "web" }
        kind = "/type"
        occured_at = "/ts"
        occurred_at = { from = "/ts", time = "rfc3339" }
    "#;
    assert_eq!(
        paths(eight),
        [
            "engine.lateness",
            "input[0].mapping.id",
            "input[0].mapping.occured_at",
            "kafka.comit_interval",
            "kafka.properties.\"enable.auto.commit\"",
            "kafka.workers",
            "rules.detractor.nps",
            "rules.detractor.severity",
        ]
    );
    let problems = load(eight).unwrap_err();
    assert!(problems.iter().any(|problem| problem.hint == "did you mean `commit_interval`?"), "{problems:#?}");
}

#[test]
fn single_mistakes_are_found_where_they_are() {
    for (text, path) in [
        ("kafka = 1", "kafka"),
        ("[kafka", "configuration"),
        ("[topics]\nalerts = \"cx.dlq\"", "topics.dlq"),
        ("[[context]]\nname = \"a\"", "context[0]"),
        ("context = 3", "context"),
        ("[[context]]\nname = \"\"\nfield = \"channel\"\nmode = \"last\"\nwithin = \"1d\"", "context[0]"),
        ("[[input]]\nname = \"a\"\ntopics = [\"cx.alerts\"]", "topics.alerts"),
        ("[[input]]\nname = \"a\"\nchannel = \"webb\"", "input[0].channel"),
        ("[[input]]\nname = \"a\"\narrival = \"ts\"", "input[0].arrival"),
        ("[rules.detracter]\nnps = 6", "rules.detracter"),
        ("[[input]]\nname = \"a\"\nformat = \"xml\"", "input[0].format"),
        ("[[input]]\nname = \"a\"\nformat = \"json\"", "input[0].mapping"),
        ("[[input]]\nname = \"a\"\n[[input]]\nname = \"a\"", "input[1].name"),
        ("input = []", "input"),
        ("[kafka]\ngroup_instance_id = \"env:NOT_SET\"", "kafka.group_instance_id"),
        ("[kafka]\ngroup_instance_id = \"a b\"", "kafka.group_instance_id"),
        ("[admin]\nlisten = \"0.0.0.0:9464\"", "admin.token"),
        ("[admin]\ntoken = \"clear text, for all to see\"", "admin.token"),
        ("[catalogue.kinds.x]\nvalence = 2", "catalogue.kinds.x.valence"),
        ("[catalogue.kinds.x]\nstarts = \"nowhere\"", "catalogue.kinds.x.starts"),
        ("[catalogue.kinds.x]\ncolour = \"red\"", "catalogue.kinds.x.colour"),
        ("extends = \"missing.toml\"", "extends"),
        ("[rules.sentiment_drop]\nclose = -0.5", "rules.sentiment_drop.close"),
        ("[kafka.producer_properties]\nacks = 1", "kafka.producer_properties.\"acks\""),
        ("[kafka.properties]\n\"sasl.password\" = \"env:NOWHERE\"", "kafka.properties.\"sasl.password\""),
        (
            "[kafka.properties]\n\"enable.ssl.certificate.verification\" = false",
            "kafka.properties.\"enable.ssl.certificate.verification\"",
        ),
        ("[customer]\nhigh_value_tiers = [\"gold\"]", "customer.high_value_tiers"),
    ] {
        assert_eq!(paths(text), [path], "{text}");
    }
}

#[test]
fn one_configuration_builds_on_another() {
    let config = load("extends = \"base/base.toml\"\n[engine]\ntimer_grace = \"7s\"").unwrap();
    assert_eq!(config.settings.timing.lateness.to_string(), "2h");
    assert_eq!(config.settings.timing.timer_grace.to_string(), "7s");
    assert_eq!(config.settings.catalogue.len(), 1);
    let circle = |_: &str| Ok("extends = \"me.toml\"".to_owned());
    assert!(Config::load(Some("extends = \"me.toml\""), &circle).is_err());
}

#[test]
fn the_hash_covers_what_decides_outputs_and_nothing_else() {
    let hash = |text: &str| load(text).unwrap().config_hash;
    let plain = hash("");
    assert_eq!(plain, hash("[kafka]\nbootstrap_servers = \"elsewhere:9092\"\n[admin]\ntoken = \"env:TOKEN\""));
    assert_eq!(plain, hash("[engine]\nlateness = \"1440m\""), "the same length of time");
    assert_eq!(
        plain,
        hash(
            "[[input]]\nname = \"touchpoints\"\ntopics = [\"other\"]\nformat = \"touchpoint-json\"\narrival = \"\"\narrival_time = \"epoch_ms\"\nsource = \"\"\nchannel = \"\"\nitem = [\"order_id\", \"conversation_id\"]"
        )
    );
    assert_eq!(
        plain,
        hash(
            "[pipeline]\ndlq_consecutive_max = 5\nimages_per_commit = 0.5\ntail_max = 7\ncheckpoint_interval = \"5m\""
        ),
        "when a partition stops and when images are written"
    );
    for changed in [
        "[pipeline]\nfuture_skew = \"6m\"",
        "[engine]\nlateness = \"25h\"",
        "[rules.detractor]\nnps = 5",
        "[catalogue.kinds.x]",
        "[scoring]\nbrand_words = [\"acme\"]",
    ] {
        assert_ne!(plain, hash(changed), "{changed}");
    }
}

#[test]
fn settings_are_read_back_from_the_canonical_text() {
    let config = load("[catalogue.kinds.x]\nstage = \"use\"\nvalence = 0.3").unwrap();
    let back = settings_of(&config.canonical).unwrap();
    assert_eq!(format!("{back:?}"), format!("{:?}", config.settings.as_ref()));
    assert!(settings_of("{}").is_err());
}

#[test]
fn secrets_are_not_shown() {
    let config = load("[admin]\ntoken = \"env:TOKEN\"\n[kafka.properties]\n\"sasl.password\" = \"env:TOKEN\"").unwrap();
    assert_eq!(config.admin.token.as_ref().map(Secret::reveal), Some("0123456789abcdef0123"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert!(!config.canonical.contains("0123456789abcdef"));
}

#[test]
fn what_changed_besides_rules_is_named_by_key_and_by_content() {
    let base = "[[input]]\nname = \"a\"\ntopics = [\"a\"]\nformat = \"touchpoint-json\"\n[kafka.properties]\n\"sasl.password\" = \"file:password\"\n";
    let config = |text: &str, password: &str| {
        let resolve = |_: &str| Ok(password.to_owned());
        Config::load(Some(text), &resolve).unwrap()
    };
    let before = config(base, "canary");
    let differs = |text: &str| before.differs_beyond_rules(&config(text, "canary"));
    let none: [String; 0] = [];
    let rules = "[rules.detractor]\nnps = 5\n[[rule]]\nname = \"x\"\nwhen = \"effort >= 1.5\"\n";
    assert_eq!(differs(&format!("{base}{rules}")), none);
    assert_eq!(differs(&format!("{base}[output]\nformat = \"json\"\n")), none, "the default, written down");
    let many = "[output]\nformat = \"cloudevents\"\n[admin]\nlisten = \"\"\n[pipeline]\ndlq_ratio_max = 0.9\n";
    assert_eq!(differs(&format!("{base}{many}")), ["admin.listen", "output.format", "pipeline.dlq_ratio_max"]);
    let never = base.replace("[kafka", "repartition = \"never\"\n[kafka");
    assert_eq!(differs(&never), ["input[0].repartition"]);
    let timeout = format!("{base}\"socket.timeout.ms\" = 5000\n");
    assert_eq!(differs(&timeout), ["kafka.properties.\"socket.timeout.ms\""]);
    assert_eq!(before.differs_beyond_rules(&config(base, "another")), ["file:password"]);
    assert!(!format!("{before:?}").contains("canary"));
}

#[test]
fn the_examples_are_valid() {
    for (name, text) in [
        ("airline", include_str!("../../config/examples/airline.toml")),
        ("care", include_str!("../../config/examples/care.toml")),
        ("loans", include_str!("../../config/examples/loans.toml")),
        ("olist", include_str!("../../config/examples/olist.toml")),
        ("retail", include_str!("../../config/examples/retail.toml")),
        ("tickets", include_str!("../../config/examples/tickets.toml")),
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/");
        let beside = |path: &str| std::fs::read_to_string(format!("{folder}{path}")).map_err(|error| error.to_string());
        assert_eq!(Config::load(Some(text), &beside).map(|config| config.inputs.len()), Ok(1), "{name}");
        // A form of data, laid over a kind of business: no half-life, threshold or lifecycle.
        let table: Table = text.parse().unwrap();
        let of_the_form = ["extends", "profile", "input", "context", "outcome", "items", "scoring", "catalogue"];
        let keys = |of: &Table, known: &[&str]| of.keys().all(|key| known.contains(&key.as_str()));
        assert!(keys(&table, &[&of_the_form[..], &["engine", "rules"]].concat()), "{name}");
        let inner = |key: &str| table.get(key).and_then(|inner| inner.as_table()).cloned().unwrap_or_default();
        assert!(keys(&inner("engine"), &["stage_history"]), "{name}");
        assert!(inner("rules").values().all(|rule| keys(rule.as_table().unwrap(), &["suggested_action"])), "{name}");
        // Journeys of its own, but no deadline of another's.
        let base = beside(table["extends"].as_str().unwrap()).unwrap();
        let shipped = [include_str!("../../config/catalogue.toml"), &base].concat();
        let journeys = table["catalogue"].get("journeys").and_then(|journeys| journeys.as_table());
        let own = |journey: &String| !shipped.contains(&format!("journeys.{journey}]"));
        assert!(journeys.into_iter().flat_map(Table::keys).all(own), "{name}: deadlines");
        assert!(table["extends"].as_str().unwrap().starts_with("../"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_text_panics(at in 0..DEFAULTS.len(), cut in 0usize..12, put in "[-a-z0-9\\[\\]={}\"., \n]{0,12}") {
        let damaged: String =
            DEFAULTS.chars().take(at).chain(put.chars()).chain(DEFAULTS.chars().skip(at + cut)).collect();
        if let Err(problems) = Config::load(Some(&damaged), &no_files) {
            prop_assert!(!problems.is_empty());
        }
    }
}

#[test]
fn tables_of_ones_own_names_take_any_name() {
    let text = "[engine.channel_lateness]\nweb = \"2d\"\n[rules.sla_breach.topics]\nbilling = \"5s\"\n[model.segment_priors]\ngold = 0.2";
    let settings = Config::load(Some(text), &|path| Err(path.to_owned())).unwrap().settings;
    assert_eq!(settings.timing.lateness_ms(crate::model::Channel::Web), 2 * 86_400_000);
    assert_eq!(settings.rules.sla_breach.topics.len(), 1);
}

#[test]
fn formats_with_a_form_of_their_own_need_no_mapping() {
    let input = |text: &str| load(&format!("[[input]]\nname = \"x\"\n{text}")).unwrap().inputs.remove(0);
    assert_eq!(input("format = \"cloudevents\"").format, codec::Format::CloudEvents(None));
    let segment = |text: &str| {
        let input = input(&format!("format = \"segment\"\n{text}"));
        let codec::Format::Segment(mapping) = input.format else { panic!("{:?}", input.format) };
        let fields = mapping.fields.iter().map(|(field, _)| field.name()).collect::<Vec<_>>().join(" ");
        (input.source, fields)
    };
    let (source, fields) = segment("");
    assert_eq!(source.as_deref(), Some("segment"));
    assert!(fields.contains("customer_id") && fields.contains("channel"), "{fields}");
    let (source, fields) =
        segment("source = \"app\"\nchannel = \"mobile\"\n[input.mapping]\nwait_ms = \"/properties/wait\"");
    assert_eq!(source.as_deref(), Some("app"));
    assert!(fields.contains("wait_ms") && !fields.contains("channel"), "{fields}");
    let wrong = "[[input]]\nname = \"x\"\nformat = \"segment\"\n[input.mapping]\nkind = 1";
    assert_eq!(paths(wrong), ["input[0].mapping.kind"]);
}
