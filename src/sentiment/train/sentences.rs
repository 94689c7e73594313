//! Our own sentences, from templates: turns of phrase that no data set holds often enough, and words for groups of people
//! in sentences of every label, so that they get no weight.

use super::labels::{Labelled, target};

/// Sentences of one template.
const VARIANTS: u64 = 14;

/// Fills the templates of a text: `@name words` is a list, `label<TAB>template` a template. `seed` chooses the words.
/// Answers none with the number of a line that is neither, or names a list that is not there.
pub(super) fn sentences(text: &str, seed: u64) -> Result<Vec<Labelled>, usize> {
    let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut found: Vec<Labelled> = Vec::new();
    let mut mixer = Mixer(seed);
    for (line, row) in (1_usize..).zip(text.lines()).filter(|(_, row)| !row.is_empty() && !row.starts_with('#')) {
        if let Some(list) = row.strip_prefix('@') {
            let (name, words) = list.split_once(' ').ok_or(line)?;
            lists.push((name, words.split(", ").collect()));
            continue;
        }
        let (label, template) = row.split_once('\t').ok_or(line)?;
        let target = target(label).ok_or(line)?;
        for _ in 0..VARIANTS {
            let text = fill(template, &lists, &mut mixer).ok_or(line)?;
            if found.iter().all(|known| known.text != text) {
                found.push(Labelled { text, target });
            }
        }
    }
    Ok(found)
}

fn fill(template: &str, lists: &[(&str, Vec<&str>)], mixer: &mut Mixer) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, slot)) = rest.split_once('{') {
        let (name, after) = slot.split_once('}')?;
        let (_, words) = lists.iter().find(|(known, _)| *known == name)?;
        text.push_str(before);
        text.push_str(words.get(mixer.below(words.len()))?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Mixer(u64);

impl Mixer {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % (bound as u64).max(1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sentence_to_learn_from_is_one_to_judge_by() {
        let judged = include_str!("../../../tests/sentiment/phenomena.tsv");
        let letters = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let judged: Vec<String> = judged.lines().filter_map(|row| row.rsplit('\t').next()).map(letters).collect();
        for seed in 1..4 {
            let learned = sentences(include_str!("../../../config/sentiment/sentences.txt"), seed).unwrap();
            assert!(learned.iter().all(|sentence| !judged.contains(&letters(&sentence.text))));
        }
    }

    #[test]
    fn templates_are_filled_the_same_way_from_the_same_seed() {
        let text = "# words\n@x a, b, c\npositive\tI like {x} and {x}.\nneutral|positive\tIt is {x}.\n";
        let found = sentences(text, 1).unwrap();
        assert!(found.len() > 4 && found.len() <= 12, "{}", found.len());
        assert!(found.iter().all(|sentence| !sentence.text.contains('{')));
        assert!(found.last().unwrap().target[2] > 0.4 && found.last().unwrap().target[0] < 0.1);
        assert_eq!(found, sentences(text, 1).unwrap());
        assert_ne!(found, sentences(text, 2).unwrap());
        assert_eq!(sentences("@x a\npositive\t{y}\n", 1), Err(2));
        assert_eq!(sentences("great\tx\n", 1), Err(1));
    }
}
