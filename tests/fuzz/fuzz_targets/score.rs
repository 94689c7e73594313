//! Any bytes as text: no panic, probabilities that sum to one, explanations that add up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::sync::LazyLock;
use touchline::model::Micro;
use touchline::sentiment::{Model, Scorer, Scratch};

static SCORER: LazyLock<Scorer> = LazyLock::new(Scorer::new);

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    SCRATCH.with_borrow_mut(|scratch| {
        for language in [None, Some("en"), Some("xx")] {
            if let Some(found) = SCORER.score(&text, language, "", scratch) {
                assert_eq!(found.probabilities.iter().map(|share| share.0).sum::<i64>(), Micro::SCALE);
            }
            if let Some((_, why)) = SCORER.explain(&text, language, "", scratch) {
                let sum = why.words.iter().fold(why.rest, |sum, word| sum + word.logit);
                assert_eq!(sum, why.difference);
            }
        }
    });
    // A model file may be any bytes, too.
    drop(Model::parse(bytes));
});
