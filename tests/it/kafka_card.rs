//! A learned card on a real broker: the service warns as every replay does.

use crate::broker::{self, Record};
use crate::kafka_real::{Scene, lines_of};
use crate::train::{SHOP, Shop};

#[test]
fn a_learned_card_warns_in_the_service_as_in_every_replay() {
    let shop = Shop::new(600, false);
    assert_eq!(shop.train("card.toml").code, Some(0));
    let mut scene = Scene::empty("card");
    // The card was learned from a file: the inputs, which `config_hash` covers, are others here.
    scene.reconfigure(&format!(
        "{SHOP}\n[[outcome]]\nname = \"bad_review\"\ncard = {:?}\nallow = [\"config_hash\"]\nitems = [\"order\"]\n\
         open = 0.5\nclose = 0.3\n",
        shop.path("card.toml")
    ));
    let text = std::fs::read_to_string(shop.path("x.jsonl")).unwrap();
    let record = |line: &str| {
        let touchpoint: serde_json::Value = serde_json::from_str(line).unwrap();
        Record::new(touchpoint["customer_id"].as_str().unwrap(), line)
    };
    let mut records: Vec<_> = text.lines().map(record).collect();
    // Set aside, as everywhere.
    records.push(Record::new("broken", "{"));
    broker::produce(scene.brokers, &scene.inputs[0], &records);
    let service = scene.start("a");
    scene.wait_for_share(1, 1);
    service.stop();
    scene.check();
    scene.check_topics();
    let alerts = lines_of(&scene.lines("alerts"));
    let warned = alerts.lines().filter(|line| line.contains("\"outcome_risk\"") && line.contains("\"probability\""));
    assert!(warned.count() > 20, "{alerts}");
}
