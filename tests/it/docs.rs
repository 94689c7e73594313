//! The documents say what the code says.

use std::path::Path;
use touchline::rules::TABLE;

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Fails with the text to paste when a document does not contain it.
fn assert_contains(document: &str, wanted: &str) {
    assert!(text(document).contains(wanted), "{document} should contain:\n{wanted}");
}

#[test]
fn the_readme_lists_every_kind_of_alert() {
    let rows: String = TABLE.iter().map(|row| format!("| `{}` | {} |\n", row.name, row.summary)).collect();
    assert_contains("README.md", &format!("| kind | opens when |\n|---|---|\n{rows}"));
}

#[test]
fn the_readme_shows_configurations_that_are_tested() {
    for case in ["own_topic", "journey_steps"] {
        let config = text(&format!("tests/golden/{case}/config.toml"));
        assert_contains("README.md", &format!("```toml\n{config}```\n"));
    }
}

#[test]
fn the_readme_lists_the_exit_codes() {
    use touchline::cli::exit::{FAILED, OK, USAGE};
    for (code, meaning) in [
        (OK, "all went well"),
        (FAILED, "it failed while working: a broker, a file, a limit"),
        (USAGE, "the command line or the configuration is wrong; nothing was started"),
    ] {
        assert_contains("README.md", &format!("| {code} | {meaning} |\n"));
    }
}

#[test]
fn the_architecture_names_every_module() {
    let map = text("ARCHITECTURE.md");
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        let named = map.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(named || name == "lib", "ARCHITECTURE.md says nothing of {name}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let content = text(document);
        for target in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
            assert!(target.starts_with("https://") || file.exists(), "{document}: {target} does not exist");
        }
    }
}

#[test]
fn the_readme_shows_the_own_rule_that_is_tested() {
    let rule = text("config/examples/own_rule.toml");
    assert_contains("README.md", &format!("```toml\n{rule}```\n"));
}
