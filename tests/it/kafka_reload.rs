//! Rules that change while the service runs on a real Kafka.

use crate::broker::wait_until;
use crate::kafka_real::{Scene, lines_of};
use std::collections::BTreeSet;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// Configurations that committed alerts name.
fn hashes(scene: &Scene) -> BTreeSet<String> {
    let hash = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["config_hash"].to_string();
    lines_of(&scene.lines("alerts")).lines().map(hash).collect()
}

#[test]
fn rules_change_under_load_and_an_invalid_file_changes_nothing() {
    let mut scene = Scene::new("reload", 20_000);
    let service = scene.start("a");
    scene.wait_for_share(1, 4);
    scene.reconfigure(
        "[rules.detractor]\nenabled = false\n[rules.sentiment_drop]\nopen = -0.15\nclose = 0.0\nfor = \"0ms\"\n",
    );
    service.signal("HUP");
    let count = |what: &str| service.log().matches(what).count();
    wait_until("both workers to take the rules over", DEADLINE, || count("reconfigured") == 2);
    scene.simulate(10_000, 2);
    scene.wait_for_share(4, 5);
    let before = hashes(&scene);
    assert_eq!(before.len(), 2, "alerts of both configurations");

    scene.reconfigure_from("open = -0.15", "open = \"deep\"");
    service.signal("HUP");
    wait_until("the file to be refused", DEADLINE, || count("the one in force stays") == 1);
    assert!(service.log().contains("rules.sentiment_drop.open"), "{}", service.log());
    scene.reconfigure_from("open = \"deep\"", "open = -0.15");
    let others = "[engine]\nforget_after = \"40d\"\n[output]\nformat = \"cloudevents\"\n";
    scene.reconfigure(others);
    service.signal("HUP");
    wait_until("the file to be refused", DEADLINE, || count("the one in force stays") == 2);
    assert!(service.log().contains("(2): engine.forget_after, output.format"), "{}", service.log());
    scene.reconfigure_from(others, "");

    scene.simulate(5_000, 3);
    scene.wait_for_share(1, 1);
    // Killed: what the topics hold under both configurations is replayed under each.
    service.kill();
    let service = scene.start("a");
    scene.simulate(5_000, 4);
    scene.wait_for_share(1, 1);
    service.stop();
    assert_eq!(hashes(&scene), before);
    scene.check();
    scene.check_lives();
    let removed = lines_of(&scene.lines("alerts")).matches("rule_removed").count();
    assert!(removed > 0, "no alert of a rule that was taken away was resolved");
}
