//! What of a sentence counts, and which way round: negation, contrast, expectation, what was once, what others say,
//! questions and their answers, wishes.
//!
//! Tokens are cut into clauses at punctuation and at words of contrast. Each clause gets a weight and may be turned
//! round as a whole; each token is negated or not on top of that. The rest of the scorer sees only the result.
//!
//! | found | effect |
//! |---|---|
//! | a negator | turns the next three words with meaning, up to punctuation or a contrast |
//! | … before a verb of saying or thinking ("can't say, given all, that it is good") | up to the end of the sentence |
//! | "X, but Y" | X counts half, Y one and a half |
//! | "although X, Y" | X counts half |
//! | "thought it would be X, but Y"; "used to be X, now Y"; "some say X, but I say Y" | X counts a quarter |
//! | "X, but it was not" | X is turned round |
//! | "used to be X" and nothing after it; "I wish it were X" | X is turned round, at three quarters |
//! | "X? No." / "X? Yes." | X is turned round / said; without an answer it counts half |

use super::lexicon::{Entry, role};
use super::tokens::{Kind, Token, Tokens};
use super::lexicon::Lexicon;

/// Weight of an ordinary token.
pub(super) const WHOLE: i32 = 256;
const AFTER_CONTRAST: i32 = 384;
const BEFORE_CONTRAST: i32 = 128;
const DISCOUNTED: i32 = 64;
const TURNED: i32 = 192;
/// Words with meaning that a negator reaches, and tokens at most.
const NEGATION_WORDS: u8 = 3;
const NEGATION_TOKENS: u8 = 7;
/// A clause this short may be an ellipsis ("but it really was not").
const ELLIPSIS_WORDS: usize = 6;

/// How a token counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// In 1/256; 0 for what an idiom took up.
    pub(super) weight: i32,
    pub(super) negated: bool,
    /// Valence with boosters, capitals and negation applied, in hundredths, not yet weighted.
    pub(super) valence: i64,
    /// Of its clause: said, or only expected, remembered, reported, asked.
    pub(super) discounted: bool,
}

/// A stretch between pauses.
#[derive(Debug, Clone, Copy, Default)]
struct Clause {
    start: usize,
    end: usize,
    sentence: usize,
    /// Roles of all its words together.
    roles: u16,
    words: usize,
    negators: usize,
    /// Valence of its words, in hundredths, and whether there is any.
    valence: i64,
    hits: usize,
    contrast: bool,
    question: bool,
    /// It begins with yes or no and can answer.
    answer: Option<bool>,
    /// Ends with an auxiliary, possibly negated: "it was not", "they did".
    ellipsis: bool,
    first_person_opinion: bool,
    others_opinion: bool,
    weight: i32,
    turned: bool,
}

/// The clauses of a text and how each token counts. Kept between texts.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    all: Vec<Clause>,
    pub(super) parts: Vec<Part>,
    /// A contrast was found.
    pub(super) contrast: bool,
    pub(super) negators: usize,
}

impl Clauses {
    /// Weighs the tokens of a text.
    pub(super) fn weigh(&mut self, tokens: &mut Tokens, lexicon: &Lexicon) {
        self.parts.clear();
        self.all.clear();
        self.contrast = false;
        self.negators = 0;
        self.values(&mut tokens.all, lexicon);
        self.cut(&tokens.all);
        if self.all.len() > 1 || self.all.first().is_some_and(|clause| clause.needs_a_look()) {
            self.relate();
        }
        for clause in &self.all {
            for part in self.parts.get_mut(clause.start..clause.end).unwrap_or_default() {
                part.weight = part.weight * clause.weight / WHOLE;
                part.discounted = clause.weight < BEFORE_CONTRAST;
                if clause.turned {
                    part.negated = !part.negated;
                    part.valence = -part.valence;
                }
            }
        }
    }

    /// Negation, boosters and idioms: each token by its neighbours to the left.
    fn values(&mut self, tokens: &mut [Token], lexicon: &Lexicon) {
        let mut negation = Negation::default();
        let mut boost = Boost::default();
        let mut skip = 0_usize;
        for at in 0..tokens.len() {
            let Some(&token) = tokens.get(at) else { break };
            if skip > 0 {
                skip -= 1;
                self.parts.push(Part { weight: WHOLE, negated: negation.is_on(), valence: 0, discounted: false });
                continue;
            }
            let mut entry = token.entry;
            if entry.is(role::STARTS_IDIOM) {
                let rest = tokens.get(at..).unwrap_or_default();
                let hashes = rest.iter().take_while(|token| token.kind == Kind::Word).map(|token| token.hash);
                if let Some((idiom, words)) = lexicon.idiom(hashes) {
                    skip = words - 1;
                    entry = idiom;
                    if let Some(token) = tokens.get_mut(at) {
                        token.entry = idiom;
                    }
                    for token in tokens.get_mut(at + 1..at + words).unwrap_or_default() {
                        token.entry = Entry::default();
                    }
                }
            }
            self.parts.push(negation.part(&token, entry, &mut boost));
            self.negators += usize::from(entry.is(role::NEGATOR));
        }
    }

    /// Cuts the tokens into clauses, which get their first weight.
    fn cut(&mut self, tokens: &[Token]) {
        let mut clause = Clause { weight: WHOLE, ..Clause::default() };
        let mut sentence = 0;
        for (at, (token, part)) in tokens.iter().zip(&self.parts).enumerate() {
            let opens = token.entry.is(role::CONTRAST);
            let pause = matches!(token.kind, Kind::Stop | Kind::Pause | Kind::Exclamation | Kind::Question);
            if opens && clause.words > 0 {
                self.all.push(Clause { end: at, ..clause });
                clause = Clause { start: at, sentence, weight: WHOLE, ..Clause::default() };
            }
            clause.contrast |= opens;
            if !pause {
                clause.add(token, part);
                continue;
            }
            clause.question = token.kind == Kind::Question;
            if clause.words > 0 {
                self.all.push(Clause { end: at + 1, ..clause });
                sentence += usize::from(token.kind != Kind::Pause);
                clause = Clause { start: at + 1, sentence, weight: WHOLE, ..Clause::default() };
            }
        }
        if clause.start < tokens.len() {
            self.all.push(Clause { end: tokens.len(), ..clause });
        }
    }

    /// What the clauses do to each other.
    fn relate(&mut self) {
        for at in 0..self.all.len() {
            let (before, rest) = self.all.split_at_mut(at);
            let Some((clause, after)) = rest.split_first_mut() else { break };
            if clause.contrast {
                self.contrast = true;
                contrast(before, clause);
            }
            clause.by_itself(after);
            if let Some(next) = after.first_mut()
                && clause.question
            {
                question(before, clause, next);
            }
        }
    }
}

/// "X, but Y": what was said in this sentence, or in the one before when a sentence begins with the contrast.
fn contrast(before: &mut [Clause], clause: &mut Clause) {
    let Some(last) = before.last() else { return };
    let sentence = last.sentence;
    let ellipsis = clause.ellipsis && clause.hits == 0 && clause.words <= ELLIPSIS_WORDS;
    for earlier in before.iter_mut().rev().take_while(|earlier| earlier.sentence == sentence) {
        if ellipsis && earlier.hits > 0 {
            // "… but it was not"; "I did not think it would be good, but it was" takes the negation back.
            let taken_back = clause.negators == 0 && earlier.negators > 0;
            earlier.turned = if clause.negators > 0 || taken_back { !earlier.turned } else { earlier.turned };
            earlier.weight = WHOLE;
        } else if earlier.is_discounted() {
            earlier.weight = DISCOUNTED;
            earlier.turned = false;
        } else {
            earlier.weight = earlier.weight.min(BEFORE_CONTRAST);
        }
    }
    clause.weight = AFTER_CONTRAST;
}

/// "X? No.": the clauses of a question by the beginning of what follows.
fn question(before: &mut [Clause], last: &mut Clause, next: &mut Clause) {
    let sentence = last.sentence;
    let asked = before.iter_mut().rev().take_while(|earlier| earlier.sentence == sentence).chain(std::iter::once(last));
    for clause in asked {
        match next.answer {
            Some(true) => clause.weight = WHOLE,
            Some(false) => {
                clause.turned = !clause.turned;
                clause.weight = WHOLE;
            }
            None => clause.weight = clause.weight * BEFORE_CONTRAST / WHOLE,
        }
    }
}

impl Clause {
    fn add(&mut self, token: &Token, part: &Part) {
        let entry = token.entry;
        let word = token.kind == Kind::Word;
        if word && self.words == 0 {
            self.answer = if entry.is(role::YES) {
                Some(true)
            } else if entry.is(role::NEGATOR) {
                Some(false)
            } else {
                None
            };
        }
        let first_person = self.roles & role::FIRST_PERSON != 0;
        let others = self.roles & role::OTHERS != 0;
        if entry.is(role::OPINION) {
            self.first_person_opinion |= first_person;
            self.others_opinion |= others && !first_person;
        }
        self.roles |= entry.roles;
        self.words += usize::from(word);
        self.negators += usize::from(entry.is(role::NEGATOR));
        self.hits += usize::from(part.valence != 0);
        self.valence += part.valence;
        if word {
            self.ellipsis = entry.is(role::AUXILIARY | role::NEGATOR) || (self.ellipsis && entry.is(role::BOOSTER));
        }
    }

    const fn is(&self, roles: u16) -> bool {
        self.roles & roles != 0
    }

    /// Whether a clause alone can mean anything else than what it says.
    const fn needs_a_look(&self) -> bool {
        self.is(role::EXPECTATION | role::PAST | role::WISH | role::CONCESSION | role::CONTRAST)
    }

    /// Whether it says what was expected, what once was or what others think.
    const fn is_discounted(&self) -> bool {
        self.is(role::EXPECTATION | role::PAST) || self.others_opinion
    }

    /// Concession, wishes, the past, and others' opinions before one's own.
    fn by_itself(&mut self, after: &mut [Self]) {
        if self.is(role::CONCESSION) {
            self.weight = self.weight.min(BEFORE_CONTRAST);
        }
        if self.is(role::WISH) && self.valence > 0 {
            self.turned = !self.turned;
            self.weight = self.weight * TURNED / WHOLE;
        }
        let answered = after.iter().any(|later| later.hits > 0 || later.is(role::NOW) || later.contrast);
        if self.is(role::PAST) && !self.is(role::NOW) {
            if answered {
                self.weight = self.weight.min(DISCOUNTED);
            } else {
                self.turned = !self.turned;
                self.weight = self.weight * TURNED / WHOLE;
            }
        }
        let own = after.iter().any(|later| later.first_person_opinion || later.is(role::FIRST_PERSON));
        if self.others_opinion && own {
            self.weight = self.weight.min(DISCOUNTED);
        }
    }
}

/// Reach of the last negator.
#[derive(Default)]
struct Negation {
    words: u8,
    tokens: u8,
    /// Up to the end of the sentence.
    sentence: bool,
    /// Words since the last negator.
    since: u8,
}

impl Negation {
    const fn is_on(&self) -> bool {
        self.sentence || (self.words > 0 && self.tokens > 0)
    }

    fn end(&mut self, sentence: bool) {
        self.words = 0;
        self.sentence &= !sentence;
    }

    fn part(&mut self, token: &Token, entry: Entry, boost: &mut Boost) -> Part {
        match token.kind {
            Kind::Stop | Kind::Exclamation | Kind::Question => self.end(true),
            Kind::Pause => self.end(false),
            _ => {}
        }
        if entry.is(role::CONTRAST) {
            self.end(true);
        }
        let negated = self.is_on();
        let mut valence = boost.apply(token, entry);
        if negated && valence != 0 {
            valence = -valence * 3 / 4;
        }
        let part = Part { weight: WHOLE, negated, valence, discounted: false };
        self.advance(token, entry);
        part
    }

    fn advance(&mut self, token: &Token, entry: Entry) {
        if token.kind != Kind::Word {
            return;
        }
        self.since = self.since.saturating_add(1);
        if entry.is(role::NEGATOR) {
            // A second negation nearby takes the first back; "no, never" does not.
            self.words = if self.is_on() && self.since > 1 { 0 } else { NEGATION_WORDS };
            self.tokens = NEGATION_TOKENS;
            self.since = 0;
            return;
        }
        if entry.is(role::OPINION) && self.is_on() && self.since <= 2 {
            self.sentence = true;
        }
        self.tokens = self.tokens.saturating_sub(1);
        if !entry.is(role::FUNCTION | role::BOOSTER | role::AUXILIARY) {
            self.words = self.words.saturating_sub(1);
        }
    }
}

/// What the two words before add to a valence.
#[derive(Default)]
struct Boost {
    last: i64,
    before: i64,
}

impl Boost {
    fn apply(&mut self, token: &Token, entry: Entry) -> i64 {
        let valence = entry.hundredths();
        let mut strength = valence.abs();
        if valence != 0 {
            strength += self.last + self.before * 95 / 100;
            // Of VADER: what capitals add.
            strength += if token.capitals { 73 } else { 0 };
            strength += if token.repeated { 40 } else { 0 };
        }
        self.before = self.last;
        self.last = if entry.is(role::BOOSTER) { i64::from(entry.valence) * 4 } else { 0 };
        if token.kind != Kind::Word {
            *self = Self::default();
        }
        strength.max(0) * valence.signum()
    }
}
