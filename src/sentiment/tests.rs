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

/// An overlay of the shipped model, by a house whose customers praise and blame by what others do not understand.
static OVERLAID: std::sync::LazyLock<Model> = std::sync::LazyLock::new(|| {
    let mut labels = String::new();
    for what in ["lamp", "chair", "table", "shelf", "desk", "stool", "bench", "mirror", "rug", "clock"] {
        for (word, label) in [("zorbic", "positive"), ("glumpf", "negative")] {
            labels += &format!("the {what} is {word}\t{label}\nso {word}, this {what}\t{label}\n");
        }
    }
    overlay(&Scorer::shipped().unwrap(), &labels).unwrap().model
});

fn overlay(base: &Model, labels: &str) -> Result<train::Trained, train::TrainError> {
    let sets: Vec<train::Labels> = train::Labels::parse("own", labels).into_iter().collect();
    let options = train::Options {
        language: "en",
        version: "own",
        command: "",
        seed: 1,
        base: Some(base),
        lexicons: &[],
        sentences: None,
        channel: "shop",
    };
    train::train(&options, &sets, &["own".to_owned()])
}

#[test]
fn an_overlay_knows_own_texts_and_leaves_others_to_the_base() {
    let scorer = Scorer::with(OVERLAID.clone());
    let mut scratch = Scratch::default();
    let mut score = |text: &str, channel: &str| scorer.score(text, Some("en"), channel, &mut scratch).unwrap();
    for channel in ["shop", "", "email"] {
        assert_eq!(score("the carpet is zorbic", channel).class(), Class::Positive);
        assert_eq!(score("the carpet is glumpf", channel).class(), Class::Negative);
    }
    let others = PHENOMENA.lines().filter_map(|row| row.rsplit('\t').next());
    let same = |text: &&str| Some(score(text, "shop")) == sentiment(text);
    let (all, same) = (others.clone().count(), others.filter(same).count());
    assert!(same * 100 >= all * 95, "{same} of {all}");
}

#[test]
fn a_model_of_spanish_starts_from_our_lexicon() {
    let places =
        ["piscina", "terraza", "playa", "cafetería", "recepción", "calle", "puerta", "ventana", "mesa", "llave"];
    let rows = places.map(|what| format!("la {what} es excelente\tpositive\nla {what} es horrible\tnegative\n"));
    let sets = [train::Labels::parse("own", &rows.concat()).unwrap()];
    let options = train::Options {
        language: "es",
        version: "1",
        command: "",
        seed: 1,
        base: None,
        lexicons: &[],
        sentences: None,
        channel: "",
    };
    let model = train::train(&options, &sets, &["own".to_owned()]).unwrap().model;
    let scorer = Scorer::with(model);
    let mut scratch = Scratch::default();
    let mut score = |text: &str| scorer.score(text, Some("es"), "", &mut scratch).unwrap().score();
    // Words that no label holds.
    assert!(score("un desayuno estupendo") > Micro(200_000));
    assert!(score("un desayuno pésimo") < Micro(-200_000));
    assert!(score("no es estupendo") < score("es estupendo"));
}

#[test]
fn an_overlaid_model_is_read_as_it_was_written_and_is_no_base() {
    let bytes = OVERLAID.bytes().unwrap();
    assert!(bytes.len() < MODEL_BYTES_MAX);
    assert!(Model::parse(&bytes).unwrap() == *OVERLAID);
    assert_eq!(OVERLAID.description.sources.last().unwrap().name, "own");
    assert!(matches!(overlay(&OVERLAID, "a b\tpositive\n".repeat(20).as_str()), Err(train::TrainError::TooFew)));
    let labels = "good\tpositive\nbad\tnegative\n".repeat(20);
    assert!(matches!(overlay(&OVERLAID, &labels), Err(train::TrainError::Overlaid)));
}

proptest! {
    #[test]
    fn explanations_with_an_overlay_add_up(
        text in "(the |lamp |zorbic |glumpf |good |not |, but |terrible |! ){0,30}",
    ) {
        let scorer = Scorer { models: vec![OVERLAID.clone()] };
        let (_, why) = scorer.explain(&text, Some("en"), "shop", &mut Scratch::default()).unwrap();
        let sum = why.words.iter().fold(why.rest, |sum, word| sum + word.logit);
        prop_assert_eq!(sum, why.difference);
        let found = scorer.score(&text, Some("en"), "shop", &mut Scratch::default());
        let positive = found.is_some_and(|found| found.score() > Micro(1_000));
        prop_assert!(!positive || why.difference > Micro::ZERO, "{:?}", why);
    }

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
