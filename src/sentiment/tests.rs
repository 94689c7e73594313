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

/// (phenomenon, sentence, class; `+` and `-` also allow neutral when followed by `0`)
const SENTENCES: &[(&str, &str, &str)] = &[
    ("negation", "The soup was not good.", "-"),
    ("negation", "The driver wasn't friendly at all.", "-"),
    ("negation", "This is not a bad camera.", "+0"),
    ("negation", "I never had a problem with this shop.", "+0"),
    ("negation", "I don't like the new menu.", "-"),
    ("negation", "Nobody here is helpful.", "-"),
    ("negation", "No good reason to come here.", "-"),
    ("negation", "The room was hardly comfortable.", "-"),
    ("contrast", "The lobby is beautiful, but the rooms are filthy.", "-"),
    ("contrast", "The queue was awful, but the clerk was wonderful.", "+"),
    ("contrast", "Although the food was great, I hate the noise.", "-"),
    ("contrast", "Pretty box, however the phone inside is broken.", "-"),
    ("contrast", "It looked cheap, but it works perfectly.", "+"),
    ("contrast", "Nice app, but it crashes every day.", "-"),
    ("contrast", "I like the colour, but the zip broke after a day.", "-"),
    ("contrast", "The agent was slow, but she solved everything.", "+0"),
    ("contrast", "Good prices. However, the parcel came broken.", "-"),
    ("contrast", "Cheap, yet really reliable.", "+"),
    ("time", "I used to love this bakery, now I avoid it.", "-"),
    ("time", "I used to hate their coffee, now I love it.", "+"),
    ("time", "The service used to be excellent.", "-"),
    ("expectation", "I thought it would be great, but it was not.", "-"),
    ("expectation", "We expected a lovely evening, but it was dreadful.", "-"),
    ("expectation", "I feared the worst, but it was fantastic.", "+"),
    ("modality", "I can't say, after three visits, that it is good.", "-"),
    ("modality", "I don't think the printer is reliable.", "-"),
    ("modality", "I would not recommend it to anyone.", "-"),
    ("answer", "Is the hotel nice? No.", "-"),
    ("answer", "Was it a good trip? Not really.", "-"),
    ("answer", "Is the staff friendly? Yes.", "+"),
    ("hearsay", "Some people say it is wonderful, but I think it is awful.", "-"),
    ("hearsay", "My friends hate it, but I love it.", "+"),
    ("wish", "I wish the support were helpful.", "-"),
    ("wish", "If only the delivery were reliable.", "-"),
    ("sarcasm", "Great, another delay.", "-"),
    ("sarcasm", "Thanks for nothing.", "-"),
    ("sarcasm", "Nice job losing my suitcase.", "-"),
    ("sarcasm", "Lovely, two more hours on hold.", "-"),
    ("plain", "My parcel never arrived and nobody answers.", "-"),
    ("plain", "Still waiting for my refund after three weeks.", "-"),
    ("plain", "Thank you so much, that worked!", "+"),
    ("plain", "What time does the shop open?", "0"),
    ("plain", "How do I change my booking?", "0"),
];

#[test]
fn turns_of_phrase_are_understood() {
    let mut rates: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut missed = Vec::new();
    for (phenomenon, text, wanted) in SENTENCES {
        let sign = match sentiment(text).unwrap().class() {
            Class::Negative => "-",
            Class::Neutral => "0",
            Class::Positive => "+",
        };
        let right = wanted.contains(sign);
        let (all, passed) = rates.entry(phenomenon).or_default();
        *all += 1;
        *passed += usize::from(right);
        if !right {
            missed.push(format!("{text} {sign}"));
        }
    }
    let passed: usize = rates.values().map(|(_, passed)| passed).sum();
    assert!(passed * 100 >= SENTENCES.len() * 75, "{rates:?} {missed:#?}");
    for phenomenon in ["negation", "contrast"] {
        let (all, passed) = rates[phenomenon];
        assert!(passed * 100 >= all * 85, "{phenomenon}: {rates:?} {missed:#?}");
    }
}

#[test]
fn words_for_groups_of_people_have_no_weight() {
    for template in
        ["My {} neighbour is kind.", "The {} waiter was rude to us.", "She is {}.", "Many {} customers buy here."]
    {
        let scores = ["gay", "muslim", "black", "polish", "old", "jewish", "african american", "trans"]
            .map(|word| sentiment(&template.replace("{}", word)).unwrap());
        assert!(scores.iter().all(|score| *score == scores[0]), "{template}: {scores:?}");
    }
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
