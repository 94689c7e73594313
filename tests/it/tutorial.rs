//! `config/README.md`: its six commands run as they stand there, and its figures are those there are.

use crate::command::touchline_in;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use touchline::config::Config;
use touchline::engine::own_rules::OwnRules;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn document() -> String {
    std::fs::read_to_string(root().join("config/README.md")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn the_six_commands_run_as_they_stand_there() {
    let document = document();
    let commands: Vec<&str> = document.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
    let wanted = [
        ("check", "309 touchpoints, 0 rejected"),
        ("replay", ""),
        ("rules", "worn_out (warning): a rule of your own"),
        ("evaluate", "  worn_out "),
        ("backtest", "= turned out bad: outcome"),
        ("test", "2 passed, 0 failed"),
    ];
    assert_eq!(commands.len(), wanted.len());
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("tests/tutorial"), folder.path());
    for (command, (name, said)) in commands.into_iter().zip(wanted) {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(&words[..2], ["touchline", name]);
        let answer = touchline_in(folder.path(), &words[1..]);
        assert_eq!(answer.code, Some(0), "{command}: {}", answer.stderr);
        assert!(answer.stdout.contains(said), "{command}: {}", answer.stdout);
    }
    let alerts = std::fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    assert!(alerts.contains("\"kind\":\"worn_out\"") && alerts.contains("\"message\":\"effort "), "{alerts}");
}

#[test]
fn the_rule_shown_is_the_tuned_one() {
    let tuned = std::fs::read_to_string(root().join("tests/tutorial/tuned.toml")).unwrap();
    let (_, rule) = tuned.split_once("[[rule]]").unwrap();
    assert!(document().contains(&format!("```toml\n[[rule]]{rule}```\n")), "{rule}");
}

#[test]
fn its_figures_are_those_there_are() {
    let document = document();
    let (_, rest) = document.split_once("<!-- figures -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /figures -->").unwrap();
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let told: BTreeSet<String> =
        names.flat_map(|cell| cell.split('`')).map(|name| name.trim_matches([',', ' ', '†']).to_owned()).collect();
    let config = std::fs::read_to_string(root().join("tests/golden/promises/config.toml")).unwrap();
    let config = config.replace("[items]", "[items]\nsegments = [\"area\"]");
    let settings = Config::load(Some(&config), &|path| Err(path.to_owned())).unwrap().settings;
    let there: BTreeSet<String> = OwnRules::figure_names(&settings)
        .into_iter()
        .filter(|name| !name.ends_with("risk.lapse"))
        .map(|name| {
            let placeholders = [
                ("risk.low_review", "risk.<outcome>"),
                ("m.n_items", "m.<measure>"),
                ("m.sum_n_items", "m.sum_<measure>"),
                ("g.area", "g.<segment>"),
            ];
            let own = placeholders.iter().find(|(own, _)| *own == name);
            let name = own.map_or(name, |(_, placeholder)| (*placeholder).to_owned());
            match name.split('.').collect::<Vec<_>>()[..] {
                ["p", _, what] => format!("p.<promise>.{what}"),
                _ => name,
            }
        })
        .collect();
    let told: BTreeSet<String> = told.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(told, there);
}
