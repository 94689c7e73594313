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

use super::lexicon::{Entry, Lexicon, role};
use super::tokens::{Kind, Token, Tokens};

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
    pub(super) valence: i32,
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
    valence: i32,
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

/// Tokens of a text by what is said of the whole text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) words: i64,
    /// Words that are frequent in the language.
    pub(super) known: i64,
    /// Words with a valence or a booster's strength.
    pub(super) valued: i64,
    pub(super) exclamations: i64,
    pub(super) questions: i64,
    pub(super) numbers: i64,
    pub(super) capitals: i64,
    pub(super) repeated: i64,
    pub(super) plain_negators: i64,
}

/// The clauses of a text and how each token counts. Kept between texts.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    all: Vec<Clause>,
    pub(super) parts: Vec<Part>,
    /// The tokens that have a valence, by place.
    pub(super) hits: Vec<usize>,
    pub(super) counts: Counts,
    /// A contrast was found.
    pub(super) contrast: bool,
}

/// Joins the idiom these tokens begin with: its entry goes to the first, the others keep none. Answers its length, 1 for
/// none.
fn idiom(tokens: &mut [Token], lexicon: &Lexicon) -> usize {
    let hashes = tokens.iter().take_while(|token| token.kind == Kind::Word).map(|token| token.hash);
    let Some((entry, words)) = lexicon.idiom(hashes) else { return 1 };
    for (at, token) in tokens.iter_mut().take(words).enumerate() {
        token.entry = if at == 0 { entry } else { Entry::default() };
    }
    words
}

impl Clauses {
    /// Weighs the tokens of a text.
    pub(super) fn weigh(&mut self, tokens: &mut Tokens, lexicon: &Lexicon) {
        self.parts.clear();
        self.all.clear();
        self.hits.clear();
        self.contrast = false;
        self.cut(&mut tokens.all, lexicon);
        if self.all.len() > 1 || self.all.first().is_some_and(Clause::needs_a_look) {
            self.relate();
        }
        for clause in self.all.iter().filter(|clause| clause.weight != WHOLE || clause.turned) {
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

    /// Negation, boosters and idioms, each token by its neighbours to the left; and the clauses, with their first weight.
    fn cut(&mut self, tokens: &mut [Token], lexicon: &Lexicon) {
        let mut negation = Negation::default();
        let mut boost = Boost::default();
        let mut clause = Clause { weight: WHOLE, ..Clause::default() };
        let mut counts = Counts::default();
        let (mut at, count) = (0, tokens.len());
        while let Some(token) = tokens.get(at) {
            let starts = token.entry.starts_idiom()
                && tokens.get(at + 1).is_some_and(|next| token.entry.may_start_idiom(next.entry, next.hash));
            if token.plain && !starts {
                self.parts.push(Part { weight: WHOLE, negated: negation.is_on(), valence: 0, discounted: false });
                counts.words = counts.words.wrapping_add(1);
                counts.known = counts.known.wrapping_add(i64::from(token.entry.is(role::FUNCTION)));
                clause.add_plain(token.entry);
                negation.pass(token.entry);
                boost.pass();
                at += 1;
                continue;
            }
            if token.kind != Kind::Word && token.entry.valence == 0 {
                self.parts.push(negation.mark(token.kind));
                boost = Boost::default();
                counts.mark(token);
                at += 1;
                if matches!(token.kind, Kind::Stop | Kind::Pause | Kind::Exclamation | Kind::Question) {
                    clause.question = token.kind == Kind::Question;
                    clause = self.open(clause, at, usize::from(token.kind != Kind::Pause));
                }
                continue;
            }
            let taken = if starts { idiom(tokens.get_mut(at..).unwrap_or_default(), lexicon) } else { 1 };
            let Some(token) = tokens.get(at) else { break };
            if token.entry.is(role::CONTRAST) {
                clause = self.open(clause, at, 0);
                clause.contrast = true;
            }
            let part = negation.part(token, &mut boost);
            clause.add(token, &part);
            counts.add(token);
            if part.valence != 0 {
                self.hits.push(at);
            }
            self.parts.push(part);
            for _ in 1..taken {
                self.parts.push(Part { valence: 0, ..part });
                counts.words += 1;
            }
            at += taken;
        }
        if clause.start < count {
            self.all.push(Clause { end: count, ..clause });
        }
        self.counts = counts;
    }

    /// Ends a clause and begins the next, `sentences` further; a clause without words goes on.
    fn open(&mut self, clause: Clause, at: usize, sentences: usize) -> Clause {
        if clause.words == 0 {
            return clause;
        }
        self.all.push(Clause { end: at, ..clause });
        Clause { start: at, sentence: clause.sentence + sentences, weight: WHOLE, ..Clause::default() }
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

impl Counts {
    /// A word, or a symbol with a valence. Without a branch: what it is cannot be foreseen.
    #[inline]
    fn add(&mut self, token: &Token) {
        let (entry, word) = (token.entry, i64::from(token.kind == Kind::Word));
        let add = |to: &mut i64, condition: bool| *to = to.wrapping_add(word & i64::from(condition));
        add(&mut self.words, true);
        add(&mut self.known, entry.is(role::FUNCTION | role::NEGATOR | role::IDENTITY));
        add(&mut self.valued, entry.valence != 0);
        add(&mut self.capitals, token.capitals & (token.end > token.start.wrapping_add(2)));
        add(&mut self.repeated, token.repeated);
        add(&mut self.plain_negators, entry.is(role::NEGATOR) & (entry.valence == 0));
    }

    #[inline]
    fn mark(&mut self, token: &Token) {
        let is = |kind: Kind| i64::from(token.kind == kind);
        self.exclamations = self.exclamations.wrapping_add(is(Kind::Exclamation) << i64::from(token.repeated));
        self.questions = self.questions.wrapping_add(is(Kind::Question));
        self.numbers = self.numbers.wrapping_add(is(Kind::Number));
    }
}

impl Clause {
    /// A word that changes nothing nearby.
    #[inline]
    const fn add_plain(&mut self, entry: Entry) {
        self.words = self.words.wrapping_add(1);
        self.ellipsis = entry.is(role::AUXILIARY);
        self.roles |= entry.roles;
    }

    #[inline]
    fn add(&mut self, token: &Token, part: &Part) {
        let entry = token.entry;
        self.hits = self.hits.wrapping_add(usize::from(part.valence != 0));
        self.valence = self.valence.wrapping_add(part.valence);
        if token.kind != Kind::Word {
            return;
        }
        if self.words == 0 && entry.is(role::YES | role::NEGATOR) {
            self.answer = Some(entry.is(role::YES));
        }
        self.words = self.words.wrapping_add(1);
        self.ellipsis = entry.is(role::AUXILIARY | role::NEGATOR) | (self.ellipsis & entry.is(role::BOOSTER));
        if entry.is(role::OPINION) {
            let first_person = self.is(role::FIRST_PERSON);
            self.first_person_opinion |= first_person;
            self.others_opinion |= self.is(role::OTHERS) && !first_person;
        }
        self.roles |= entry.roles;
        self.negators = self.negators.wrapping_add(usize::from(entry.is(role::NEGATOR)));
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

    /// A word, or a symbol with a valence.
    #[inline]
    fn part(&mut self, token: &Token, boost: &mut Boost) -> Part {
        if token.entry.is(role::CONTRAST) {
            (self.words, self.sentence) = (0, false);
        }
        let negated = self.is_on();
        let valence = boost.apply(token);
        let valence = if negated { valence.wrapping_mul(-3) / 4 } else { valence };
        self.advance(token, token.entry);
        Part { weight: WHOLE, negated, valence, discounted: false }
    }

    /// Any other token: the end of a sentence or a pause ends a negation.
    #[inline]
    const fn mark(&mut self, kind: Kind) -> Part {
        let stop = matches!(kind, Kind::Stop | Kind::Exclamation | Kind::Question);
        if stop || matches!(kind, Kind::Pause) {
            self.words = 0;
            self.sentence = self.sentence && !stop;
        }
        Part { weight: WHOLE, negated: self.is_on(), valence: 0, discounted: false }
    }

    /// Goes past a word that changes nothing nearby.
    #[inline]
    const fn pass(&mut self, entry: Entry) {
        self.since = self.since.saturating_add(1);
        self.tokens = self.tokens.saturating_sub(1);
        self.words = self.words.saturating_sub(if entry.is(role::FUNCTION | role::AUXILIARY) { 0 } else { 1 });
    }

    #[inline]
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
        let meant = !entry.is(role::FUNCTION | role::BOOSTER | role::AUXILIARY);
        self.words = self.words.saturating_sub(u8::from(meant));
    }
}

/// What the two words before add to a valence.
#[derive(Default)]
struct Boost {
    last: i32,
    before: i32,
}

impl Boost {
    #[inline]
    const fn pass(&mut self) {
        self.before = self.last;
        self.last = 0;
    }

    #[inline]
    fn apply(&mut self, token: &Token) -> i32 {
        let entry = token.entry;
        let (value, booster) = (i32::from(entry.valence).wrapping_mul(4), entry.is(role::BOOSTER));
        let valence = if booster { 0 } else { value };
        let boosted = self.last.wrapping_add(self.before.wrapping_mul(95) / 100);
        // Of VADER: what capitals add.
        let written =
            i32::from(token.capitals).wrapping_mul(73).wrapping_add(i32::from(token.repeated).wrapping_mul(40));
        let strength = valence.wrapping_abs().wrapping_add(boosted).wrapping_add(written);
        let word = token.kind == Kind::Word;
        self.before = if word { self.last } else { 0 };
        self.last = if word & booster { value } else { 0 };
        strength.max(0).wrapping_mul(valence.signum())
    }
}
