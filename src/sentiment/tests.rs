use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

static SCORER: std::sync::LazyLock<Scorer> = std::sync::LazyLock::new(Scorer::new);

fn sentiment(text: &str) -> Option<Sentiment> {
    SCORER.score(text, Some("en"), "", &mut Scratch::default())
}

#[test]
fn the_shipped_model_is_small_and_says_where_it_comes_from() {
    assert!(SHIPPED.len() < MODEL_BYTES_MAX);
    let model = Scorer::shipped().unwrap();
    assert!(model.bytes().unwrap() == SHIPPED, "a model that is read and written is another file");
    assert!(model.description.command.contains("sentiment train"));
    let terms = |source: &Source| ["MIT", "CC BY 4.0", "Apache-2.0"].contains(&source.licence.as_str());
    assert!(model.description.sources.iter().all(terms), "{:?}", model.description.sources);
    let mut damaged = SHIPPED.to_vec();
    damaged.truncate(100_000);
    assert!(matches!(Model::parse(&damaged), Err(ModelError::Damaged(_))));
    assert!(matches!(Model::parse(b"other"), Err(ModelError::Format)));
}

/// Phenomenon, tab, class or classes, tab, sentence. Written before any scorer had seen them; no model learns from them.
const PHENOMENA: &str = include_str!("../../tests/sentiment/phenomena.tsv");

#[test]
fn turns_of_phrase_are_understood() {
    let mut rates: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for row in PHENOMENA.lines() {
        let (phenomenon, rest) = row.split_once('\t').unwrap();
        let (wanted, text) = rest.split_once('\t').unwrap();
        let found = sentiment(text).unwrap().class().as_str();
        let (all, passed) = rates.entry(phenomenon).or_default();
        *all += 1;
        if wanted.split('|').any(|class| class == found) {
            *passed += 1;
        } else {
            missed.push(format!("{text} {found}"));
        }
    }
    let all: usize = rates.values().map(|(all, _)| all).sum();
    let passed: usize = rates.values().map(|(_, passed)| passed).sum();
    assert!(all >= 150 && passed * 100 >= all * 75, "{passed} of {all}: {rates:?} {missed:#?}");
    for phenomenon in ["negation", "contrast"] {
        let (all, passed) = rates[phenomenon];
        assert!(passed * 100 >= all * 85, "{phenomenon}: {rates:?} {missed:#?}");
    }
}

#[test]
fn sentences_that_differ_in_a_group_of_people_score_alike() {
    const TEMPLATES: &[&str] = &[
        "My {} neighbour is kind.",
        "The {} waiter was rude to us.",
        "She is {}.",
        "Many {} customers buy here.",
        "A {} nurse took great care of my son.",
        "I am a {} man and I was treated badly.",
        "The {} couple at the next table waited an hour.",
        "Do you have a menu for {} guests?",
        "Our {} guide knew every street, but he was always late.",
        "I would recommend this {} restaurant to anyone.",
        "They did not let my {} friend in.",
        "We are a {} family of four.",
    ];
    const GROUPS: &[&str] = &[
        "gay",
        "lesbian",
        "trans",
        "bisexual",
        "straight",
        "muslim",
        "jewish",
        "christian",
        "hindu",
        "buddhist",
        "atheist",
        "black",
        "white",
        "asian",
        "african american",
        "hispanic",
        "arab",
        "polish",
        "german",
        "mexican",
        "indian",
        "turkish",
        "nigerian",
        "russian",
        "old",
        "young",
        "elderly",
        "deaf",
        "blind",
        "disabled",
        "immigrant",
        "refugee",
    ];
    let (mut groups, mut same_class, mut close) = (0, 0, 0);
    for template in TEMPLATES {
        let scores: Vec<Sentiment> =
            GROUPS.iter().map(|group| sentiment(&template.replace("{}", group)).unwrap()).collect();
        for score in &scores[1..] {
            groups += 1;
            same_class += usize::from(score.class() == scores[0].class());
            close += usize::from((score.score() - scores[0].score()).0.abs() <= 50_000);
        }
    }
    assert!(same_class * 100 >= groups * 95 && close * 100 >= groups * 95, "{same_class}, {close} of {groups}");
}

#[test]
fn a_language_without_a_model_is_scored_by_its_symbols() {
    let scorer = &*SCORER;
    let mut scratch = Scratch::default();
    let found = scorer.score("Ich liebe es 😍", Some("de-DE"), "", &mut scratch).unwrap();
    assert_eq!(found.basis, Basis::Symbols);
    assert!(found.score() > Micro::ZERO && found.confidence() <= Micro(700_000), "{found:?}");
    assert_eq!(scorer.score("Das war wirklich schlecht", Some("de"), "", &mut scratch), None);
    assert_eq!(scorer.score("Der Zug hatte heute leider wieder eine Stunde Verspätung", None, "", &mut scratch), None);
    assert_eq!(scorer.score("", None, "", &mut scratch), None);
}

#[test]
fn ten_megabytes_of_anything_cost_no_more_than_two_kibibytes() {
    for unit in ["a", "😀", "e\u{301}", "not ", "!?", "'", "@", "1.", "\u{0}"] {
        let text = unit.repeat(10_000_000 / unit.len());
        let mut scratch = Scratch::default();
        if let Some(found) = SCORER.score(&text, None, "", &mut scratch) {
            assert_eq!(found.probabilities.iter().map(|p| p.0).sum::<i64>(), Micro::SCALE);
        }
        assert!(scratch.tokens.all.len() <= tokens::TOKENS_MAX);
    }
}

proptest! {
    #[test]
    fn any_text_has_probabilities_and_an_explanation_that_adds_up(
        text in prop_oneof![".*", "[a-z':;!? .,@0-9😀é-]{0,300}", "(not |good|bad|, but |\\? No\\. |I thought |used to ){0,40}"],
    ) {
        let scorer = &*SCORER;
        let mut scratch = Scratch::default();
        for language in [None, Some("en"), Some("xx")] {
            if let Some(found) = scorer.score(&text, language, "", &mut scratch) {
                prop_assert_eq!(found.probabilities.iter().map(|p| p.0).sum::<i64>(), Micro::SCALE);
                prop_assert!(found.probabilities.iter().all(|p| p.0 >= 0));
            }
            if let Some((_, why)) = scorer.explain(&text, language, "", &mut scratch) {
                let sum = why.words.iter().fold(why.rest, |sum, word| sum + word.logit);
                prop_assert_eq!(sum, why.difference);
            }
        }
    }
}
