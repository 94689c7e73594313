//! The demo as a stranger runs it: an empty folder, no configuration.

use crate::command::touchline_in;
use std::collections::BTreeSet;
use touchline::model::Channel;
use touchline::rules::TABLE;

#[test]
fn demo_shows_alerts_of_many_kinds_and_channels() {
    let folder = tempfile::tempdir().unwrap();
    let answer = touchline_in(folder.path(), &["demo", "--for", "20s", "--seed", "3"]);
    let text = &answer.stdout;
    assert_eq!(
        answer.code,
        Some(0),
        "{text}
{}",
        answer.stderr
    );
    assert!(!text.contains('\x1b'), "plain text when not a terminal");

    let alerts: Vec<&str> = text.lines().filter(|line| line.contains(": customer c-")).collect();
    let kinds: BTreeSet<&str> = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| alerts.iter().any(|line| line.contains(&format!(" {}: customer", name.replace('_', " ")))))
        .collect();
    let channels: BTreeSet<&str> = Channel::ALL
        .iter()
        .map(|channel| channel.as_str())
        .filter(|name| alerts.iter().any(|line| line.contains(&format!(" ({}) ", name.replace('_', " ")))))
        .collect();
    assert!(alerts.len() >= 5 && kinds.len() >= 3 && channels.len() >= 4, "{kinds:?} {channels:?}\n{text}");
    assert!(text.contains("\ndone in ") && text.contains("bad records set aside"), "{text}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the demo leaves nothing behind");
}
