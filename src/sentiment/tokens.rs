//! Text to tokens, in one pass: words, numbers, handles, links, e-mail addresses, emoticons, emoji, punctuation.
//!
//! What each byte is, and the text in small letters, [`super::bytes`] finds for all of it first. A word of up to fifteen
//! bytes is then one load, its length a count of ones, its hash one multiplication. Longer words, other scripts and
//! repeated letters ("soooo") take a slower way to the same kind of
//! hash. Text beyond ASCII is first rewritten: typographic quotes and dashes to plain ones, capitals to small letters,
//! combining marks and variation selectors dropped.

use super::bytes::Bytes;
use super::hash::{IDENTITY_HASH, hash_16, hash_word, placeholder};
use super::lexicon::{Entry, Lexicon, role};
use super::spelled::Spelled;

/// More tokens than this are not looked at.
pub(super) const TOKENS_MAX: usize = 512;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Handle,
    Link,
    Email,
    /// An emoticon or emoji.
    Symbol,
    /// `!` and `?` in any number and order.
    Exclamation,
    Question,
    /// The end of a sentence otherwise: a full stop, a semicolon, a new line.
    Stop,
    /// A comma, dash, colon, bracket or quotation mark: a pause.
    Pause,
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Of what is compared: the word in small letters, a placeholder for numbers, handles, links.
    pub(super) hash: u64,
    pub(super) entry: Entry,
    /// Its bytes in the text as the tokens know it.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: Kind,
    /// A word all in capitals, of two letters or more.
    pub(super) capitals: bool,
    /// A letter three times in a row, or a run of a symbol.
    pub(super) repeated: bool,
    /// A word that changes nothing nearby, and written as usual.
    pub(super) plain: bool,
}

/// The tokens of a text, and the text as they know it. Kept between texts: nothing is allocated once it has grown.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    text: Bytes,
    pub(super) all: Vec<Token>,
}

/// What a word has of each number of bytes: the first so many bytes of sixteen.
static KEPT: [u128; 16] = {
    let mut kept = [0; 16];
    let mut length = 1;
    while length < 16 {
        #[expect(clippy::indexing_slicing, reason = "const code; the index is below the length")]
        {
            kept[length] = (1 << (8 * length)) - 1;
        }
        length += 1;
    }
    kept
};

/// How a byte that is no letter begins a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Blank,
    Digit,
    Handle,
    Mark,
    Stop,
    Pause,
    /// Not ASCII.
    Wide,
}

static STARTS: [Start; 256] = starts();

#[expect(clippy::cast_possible_truncation, reason = "of 256 entries")]
const fn table_byte(place: usize) -> u8 {
    place as u8
}

const fn starts() -> [Start; 256] {
    let mut table = [Start::Blank; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "const code; the index is below the length")]
        {
            table[byte] = match table_byte(byte) {
                b'0'..=b'9' => Start::Digit,
                b'@' => Start::Handle,
                b'!' | b'?' => Start::Mark,
                b'.' | b';' | b'\n' => Start::Stop,
                0x80.. => Start::Wide,
                b'!'..=b'~' => Start::Pause,
                _ => Start::Blank,
            };
        }
        byte += 1;
    }
    table
}

impl Tokens {
    /// Cuts a text into tokens; of a very long one, the first [`TOKENS_MAX`].
    pub(super) fn read(&mut self, text: &str, lexicon: &Lexicon) {
        self.all.clear();
        let ascii = text.is_ascii();
        self.text.read(|out| if ascii { out.extend_from_slice(text.as_bytes()) } else { rewrite(text, out) });
        let end = self.text.end();
        let mut cutter = Cutter { text: &self.text, lexicon, out: &mut self.all };
        let mut at = 0;
        while at < end && cutter.out.len() < TOKENS_MAX {
            at = cutter.next(at);
            // Most tokens are followed by one blank.
            at += usize::from(self.text.at(at) == b' ');
        }
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: &Token) -> &str {
        let bytes = self.text.get(token.start as usize, token.end as usize);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// A place in the text.
#[expect(clippy::cast_possible_truncation, reason = "a text is read in parts of a few KiB")]
const fn narrow(place: usize) -> u32 {
    place as u32
}

/// Text beyond ASCII in the plainest form that says the same.
fn rewrite(text: &str, out: &mut Vec<u8>) {
    let mut encoded = [0; 4];
    for letter in text.chars() {
        let plain: &[u8] = match letter {
            '\0'..='\x7f' => letter.encode_utf8(&mut encoded).as_bytes(),
            '‘' | '’' | 'ʼ' | '´' => b"'",
            '“' | '”' | '„' | '«' | '»' => b"\"",
            '–' | '—' | '―' => b" - ",
            '…' => b"...",
            // Combining marks, joiners, variation selectors, skin tones.
            '\u{300}'..='\u{36f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{1f3fb}'..='\u{1f3ff}' => b"",
            _ if letter.is_whitespace() => b" ",
            _ => {
                let small = letter.to_lowercase().next().unwrap_or(letter);
                small.encode_utf8(&mut encoded).as_bytes()
            }
        };
        out.extend_from_slice(plain);
    }
}

struct Cutter<'t> {
    text: &'t Bytes,
    lexicon: &'t Lexicon,
    out: &'t mut Vec<Token>,
}

impl Cutter<'_> {
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.at(at)
    }

    /// Takes the token at a place, and says where it ends.
    #[inline]
    fn next(&mut self, at: usize) -> usize {
        let byte = self.byte(at);
        if byte.is_ascii_alphabetic() {
            return self.word(at);
        }
        match STARTS.get(usize::from(byte)).copied().unwrap_or(Start::Blank) {
            Start::Blank => at + 1,
            Start::Digit => self.number(at),
            Start::Handle => self.handle(at),
            Start::Wide => self.wide(at),
            Start::Mark => self.marks(at),
            start @ (Start::Stop | Start::Pause) => self.punctuation(at, start),
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, hash: u64, entry: Entry) -> usize {
        let (start, until) = (narrow(start), narrow(end));
        self.out.push(Token { hash, entry, start, end: until, kind, capitals: false, repeated: false, plain: false });
        end
    }

    /// A placeholder for all tokens of a kind.
    fn push_any(&mut self, kind: Kind, start: usize, end: usize) -> usize {
        self.push(kind, start, end, placeholder(kind as u64), Entry::default())
    }

    #[inline]
    fn word(&mut self, at: usize) -> usize {
        let length = self.text.word(at);
        let end = at + length;
        let next = self.byte(end);
        let joined = matches!(next, b':' | b'@' | b'.') && self.byte(end + 1) > b' ';
        let Some(kept) = KEPT.get(length) else { return self.unusual_word(at, end) };
        if joined || next >= 0x80 || self.text.repeats(at, length) || self.byte(end - 1) == b'\'' {
            return self.unusual_word(at, end);
        }
        let lower = self.text.sixteen(at) & kept;
        self.push_word(at, end, hash_16(lower, 0), self.text.in_capitals(at, lower, *kept), false);
        end
    }

    #[inline(always)]
    fn push_word(&mut self, start: usize, end: usize, mut hash: u64, capitals: bool, repeated: bool) {
        let mut entry = self.lexicon.entry(hash);
        if entry.is(role::IDENTITY) {
            // All groups of people are one token, and one of several words is one.
            if let Some(last) = self.out.last_mut().filter(|last| last.hash == IDENTITY_HASH) {
                last.end = narrow(end);
                return;
            }
            (hash, entry.valence) = (IDENTITY_HASH, 0);
        }
        let (start, end) = (narrow(start), narrow(end));
        let plain = entry.is_plain() & !capitals & !repeated;
        self.out.push(Token { hash, entry, start, end, kind: Kind::Word, capitals, repeated, plain });
    }

    /// A word that ends at `end` if it is none of: a link, an address, one of other scripts, of repeated letters or of
    /// more than fifteen bytes.
    #[cold]
    fn unusual_word(&mut self, at: usize, end: usize) -> usize {
        let rest = self.text.get(at, usize::MAX).unwrap_or_default();
        let until_blank = rest.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len());
        let piece = rest.get(..until_blank).unwrap_or_default();
        let begins = |what: &[u8]| piece.get(..what.len()).is_some_and(|piece| piece.eq_ignore_ascii_case(what));
        if begins(b"http://") || begins(b"https://") || begins(b"www.") {
            return self.push_any(Kind::Link, at, at + until_blank);
        }
        let address = piece.get(end - at..).unwrap_or_default();
        let name = address.iter().take_while(|byte| **byte == b'.' || byte.is_ascii_alphanumeric()).count();
        if address.get(name) == Some(&b'@') && address.get(name + 1).is_some_and(u8::is_ascii_alphanumeric) {
            return self.push_any(Kind::Email, at, at + until_blank);
        }
        self.spelled_word(at)
    }

    /// A word letter by letter.
    fn spelled_word(&mut self, at: usize) -> usize {
        let mut word = Spelled::default();
        let mut end = at;
        while end < self.text.end() {
            let (bytes, inside) = self.letter(end);
            if !inside {
                break;
            }
            word.take(self.text.get(end, end + bytes).unwrap_or_default());
            end += bytes;
        }
        while end > at && self.byte(end - 1) == b'\'' {
            end -= 1;
            word.untake();
        }
        let mut hash = hash_word(word.twice());
        if word.repeated {
            let once = hash_word(word.once());
            if self.lexicon.entry(hash) == Entry::default() && self.lexicon.entry(once) != Entry::default() {
                hash = once;
            }
        }
        self.push_word(at, end, hash, word.capitals(), word.repeated);
        end.max(at + 1)
    }

    /// Length of the character at a place, and whether it belongs to a word.
    fn letter(&self, at: usize) -> (usize, bool) {
        let byte = self.byte(at);
        if byte < 0x80 {
            return (1, byte.is_ascii_alphanumeric() || byte == b'\'');
        }
        match self.wide_char(at) {
            Some(letter) => (letter.len_utf8(), letter.is_alphanumeric()),
            None => (1, false),
        }
    }

    fn wide_char(&self, at: usize) -> Option<char> {
        let bytes = self.text.get(at, at + 4)?;
        (1..=bytes.len()).find_map(|length| std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next())
    }

    #[cold]
    fn wide(&mut self, at: usize) -> usize {
        let Some(letter) = self.wide_char(at) else { return at + 1 };
        if letter.is_alphanumeric() {
            return self.spelled_word(at);
        }
        let length = letter.len_utf8();
        let one = self.text.get(at, at + length).unwrap_or_default();
        let mut end = at + length;
        while self.text.get(end, end + length) == Some(one) {
            end += length;
        }
        let hash = hash_word(one);
        self.push(Kind::Symbol, at, end, hash, self.lexicon.entry(hash));
        self.set_repeated(end > at + length);
        end
    }

    fn set_repeated(&mut self, repeated: bool) {
        if let Some(last) = self.out.last_mut() {
            last.repeated = repeated;
        }
    }

    /// Digits with what belongs to them: 3.50, 10/10, 12:30, 50%.
    fn number(&mut self, at: usize) -> usize {
        let mut end = at;
        while self.byte(end).is_ascii_digit()
            || (matches!(self.byte(end), b'.' | b',' | b':' | b'/') && self.byte(end + 1).is_ascii_digit())
        {
            end += 1;
        }
        end += usize::from(self.byte(end) == b'%');
        self.push_any(Kind::Number, at, end)
    }

    fn handle(&mut self, at: usize) -> usize {
        let mut end = at + 1;
        while self.byte(end).is_ascii_alphanumeric() || self.byte(end) == b'_' {
            end += 1;
        }
        if end == at + 1 { end } else { self.push_any(Kind::Handle, at, end) }
    }

    fn marks(&mut self, at: usize) -> usize {
        let mut end = at;
        let mut question = false;
        while matches!(self.byte(end), b'!' | b'?') {
            question |= self.byte(end) == b'?';
            end += 1;
        }
        let kind = if question { Kind::Question } else { Kind::Exclamation };
        self.push_any(kind, at, end);
        self.set_repeated(end > at + 1);
        end
    }

    fn punctuation(&mut self, at: usize, start: Start) -> usize {
        if let Some(end) = self.emoticon(at) {
            return end;
        }
        let byte = self.byte(at);
        let mut end = at + 1;
        while self.byte(end) == byte {
            end += 1;
        }
        let kind = if start == Start::Stop { Kind::Stop } else { Kind::Pause };
        match byte {
            // These join words or belong to them.
            b'#' | b'&' | b'_' | b'*' | b'$' | b'\'' | b'~' | b'+' => end,
            b'-' | b'/' if end == at + 1 && self.byte(end) != b' ' => end,
            _ => {
                self.push_any(kind, at, end);
                self.set_repeated(end > at + 1);
                end
            }
        }
    }

    /// The longest emoticon of the lexicon at a place: it begins with a mark and its second byte is no blank.
    fn emoticon(&mut self, at: usize) -> Option<usize> {
        let second = self.byte(at + 1);
        let begins =
            matches!(self.byte(at), b':' | b';' | b'=' | b'<' | b'>' | b'(' | b')' | b'^' | b'|' | b'%' | b'8');
        if !begins || second <= b' ' || (second.is_ascii_alphanumeric() && self.byte(at + 2).is_ascii_lowercase()) {
            return None;
        }
        let (length, entry, hash) = (2..=5).rev().find_map(|length| {
            let bytes = self.text.get(at, at + length).filter(|bytes| bytes.len() == length)?;
            let hash = hash_word(&bytes.to_ascii_lowercase());
            let entry = self.lexicon.entry(hash);
            (entry != Entry::default()).then_some((length, entry, hash))
        })?;
        Some(self.push(Kind::Symbol, at, at + length, hash, entry))
    }
}
