//! `touchline check`.

use crate::command::touchline;

fn check(config: &str) -> crate::command::Answer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("touchline.toml");
    std::fs::write(&path, config).unwrap();
    touchline(&["check".as_ref(), "--config".as_ref(), path.as_os_str()])
}

#[test]
fn eight_mistakes_are_eight_problems_with_path_and_exit_code() {
    let answer = check(
        r#"
        [kafka]
        comit_interval = "100ms"
        workers = 0
        [kafka.properties]
        "enable.auto.commit" = true
        [engine]
        lateness = "two hours"
        [rules.detractor]
        severity = "dreadful"
        nps = "six"
        [catalogue.kinds.delivered]
        valence = 3
        [[input]]
        name = "shop"
        topics = ["shop.events"]
        format = "yaml"
        "#,
    );
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""));
    let paths: Vec<&str> = answer.stderr.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "catalogue.kinds.delivered.valence",
            "engine.lateness",
            "input[0].format",
            "kafka.comit_interval",
            "kafka.properties.\"enable.auto.commit\"",
            "kafka.workers",
            "rules.detractor.nps",
            "rules.detractor.severity",
        ],
        "{}",
        answer.stderr
    );
}

#[test]
fn a_valid_configuration_and_the_defaults_pass() {
    let own_topic = check(include_str!("../golden/own_topic/config.toml"));
    assert_eq!((own_topic.code, own_topic.stderr.as_str()), (Some(0), ""));
    assert_eq!(touchline(&["check"]).code, Some(0));
}

#[test]
fn a_secret_is_not_shown_with_its_problem() {
    let answer = check("[kafka.properties]\n\"sasl.password\" = \"hunter2-in-clear\"\n[kafka]\nworkers = 0");
    assert_eq!(answer.code, Some(2));
    assert!(!answer.stderr.contains("hunter2"), "{}", answer.stderr);
}
