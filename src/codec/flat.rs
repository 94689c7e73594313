//! The usual `touchpoint-json` without a parser: one object of texts without escapes, whole numbers, flags and nulls, in
//! which `rating` and `attributes` may be such objects too. Most records are like this, and a parser that must be ready for
//! everything takes three times as long over them.
//!
//! Whatever else a record holds, sound or not, is left to `json`, which reads the record anew and says what it is: nothing
//! is accepted here that would not be accepted there, with the same values.

use super::fields::{Fields, Scalar};
use super::json::{ATTRIBUTES, RATING, entries};
use super::mapping::Field;
use super::node::{Node, has_duplicate};
use std::borrow::Cow;

/// More digits may be beyond 64 bits.
const DIGITS_MAX: usize = 18;

/// Reads a record into empty fields; answers its rating as it stands. None: it is for `json` to read, into other fields.
pub(super) fn touchpoint<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<Node<'a>> {
    let mut scan = Scan { text, at: 0 };
    let mut rating = Node::Null;
    let mut seen = 0_u32;
    scan.space();
    scan.byte(b'{')?;
    let mut is_first = true;
    while let Some(key) = scan.key(&mut is_first)? {
        let slot = match Field::parse(key) {
            Some(field) => {
                fields.set(field, scan.scalar()?);
                field as u32
            }
            None if key == "rating" => {
                rating = scan.flat()?;
                RATING
            }
            None if key == "attributes" => {
                fields.attributes = entries(scan.flat()?).ok()?;
                ATTRIBUTES
            }
            None => {
                scan.scalar()?;
                continue;
            }
        };
        if seen & (1 << slot) != 0 {
            return None;
        }
        seen |= 1 << slot;
    }
    scan.space();
    (scan.at == text.len()).then_some(rating)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips what JSON calls white space.
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let is_there = self.peek()? == wanted;
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    /// The next key of an object, up to its value; `Some(None)` at the object's end.
    fn key(&mut self, is_first: &mut bool) -> Option<Option<&'a str>> {
        self.space();
        if self.byte(b'}').is_some() {
            return Some(None);
        }
        if !std::mem::take(is_first) {
            self.byte(b',')?;
            self.space();
        }
        self.byte(b'"')?;
        let key = self.rest_of_text()?;
        self.space();
        self.byte(b':')?;
        self.space();
        Some(Some(key))
    }

    #[inline]
    fn scalar(&mut self) -> Option<Scalar<'a>> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.rest_of_text().map(Scalar::Text)
            }
            b'-' | b'0'..=b'9' => self.whole().map(Scalar::Int),
            b't' => self.word("true", Scalar::Flag(true)),
            b'f' => self.word("false", Scalar::Flag(false)),
            b'n' => self.word("null", Scalar::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Scalar<'a>) -> Option<Scalar<'a>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(value)
    }

    /// An object of scalars, or a scalar.
    fn flat(&mut self) -> Option<Node<'a>> {
        if self.byte(b'{').is_none() {
            return self.scalar().and_then(node);
        }
        let (mut entries, mut is_first) = (Vec::new(), true);
        while let Some(key) = self.key(&mut is_first)? {
            entries.push((Cow::Borrowed(key), node(self.scalar()?)?));
        }
        (!has_duplicate(&entries)).then_some(Node::Object(entries))
    }

    /// What is left of a text up to its closing quote.
    #[inline]
    fn rest_of_text(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = plain(rest);
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length;
        self.byte(b'"')?;
        Some(text)
    }

    fn whole(&mut self) -> Option<i64> {
        let is_negative = self.byte(b'-').is_some();
        let rest = self.text.as_bytes().get(self.at..)?;
        let mut number = 0_i64;
        let mut digits = 0;
        for digit in
            rest.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10).take(DIGITS_MAX + 1)
        {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
            digits += 1;
        }
        self.at += digits;
        // 007 is no number, and -0 is none of the whole ones.
        let leads = rest.first() == Some(&b'0') && (digits > 1 || is_negative);
        let ends = matches!(self.peek()?, b',' | b'}' | b' ' | b'\n' | b'\t' | b'\r');
        ((1..=DIGITS_MAX).contains(&digits) && !leads && ends).then(|| if is_negative { -number } else { number })
    }
}

fn node(value: Scalar<'_>) -> Option<Node<'_>> {
    Some(match value {
        Scalar::Null => Node::Null,
        Scalar::Flag(flag) => Node::Flag(flag),
        Scalar::Int(number) => Node::Int(number),
        Scalar::Text(text) => Node::Text(Cow::Borrowed(text)),
        Scalar::Float(_) | Scalar::Unescaped(_) | Scalar::Composite => return None,
    })
}

/// How many bytes there are before a quote, a backslash, a control character or the end. Eight at a time.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The high bit of every byte that is 0; above the first such byte it may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let ends = zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c)) | controls;
        if ends != 0 {
            return at * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;
    use proptest::prelude::*;

    /// Both ways through the decoder: what is read here, and what `json` reads.
    fn both(text: &str) -> (Option<String>, Option<String>) {
        let (mut fields, mut parsed) = (Fields::new(false), Fields::new(false));
        let rating = touchpoint(text, &mut fields);
        let here = rating.map(|rating| format!("{fields:?} {rating:?}"));
        let there = json::parsed(text, &mut parsed).ok().map(|rating| format!("{parsed:?} {rating:?}"));
        (here, there)
    }

    #[test]
    fn the_usual_is_read_here_and_the_rest_is_left() {
        let usual = r#" {"id" : "e1","due_at":-15,"consent":true , "topic":null,"other":"x","kind":"Grüße",
            "rating":{"instrument":"csat","value":4},"attributes":{"a":"b","c":1,"d":false}} "#;
        for (text, is_read) in [
            (usual, true),
            ("{}", true),
            (r#"{"other":1,"other":2}"#, true),
            (r#"{"rating":null,"attributes":null}"#, true),
            (r#"{"wait_ms":0}"#, true),
            (r#"{"wait_ms":999999999999999999}"#, true),
            (r#"{"wait_ms":1000000000000000000}"#, false),
            (r#"{"wait_ms":-9223372036854775808}"#, false),
            (r#"{"wait_ms":-0}"#, false),
            (r#"{"wait_ms":007}"#, false),
            (r#"{"wait_ms":-}"#, false),
            (r#"{"wait_ms":1.5}"#, false),
            (r#"{"wait_ms":1e3}"#, false),
            (r#"{"wait_ms":1"#, false),
            (r#"{"id":"a\"b"}"#, false),
            ("{\"id\":\"a\u{1}b\"}", false),
            ("{\"id\":\"a\u{7f}b\"}", true),
            (r#"{"id":"a","id":"b"}"#, false),
            (r#"{"attributes":{"a":1,"a":2}}"#, false),
            (r#"{"attributes":{"a":[]}}"#, false),
            (r#"{"attributes":7}"#, false),
            (r#"{"other":{}}"#, false),
            (r#"{"id":"a",}"#, false),
            (r#"{,"id":"a"}"#, false),
            (r#"{"id":"a" "kind":"b"}"#, false),
            (r#"{"id":"a"} x"#, false),
            (r#"{"id":nul}"#, false),
            (r#"{"id":truex}"#, false),
            (r#"["id"]"#, false),
            ("", false),
            ("{", false),
            (r#"{"id"#, false),
            (r#"{"id":"abcdefghijklmnopqrstuvwxyz"#, false),
        ] {
            let (here, there) = both(text);
            assert_eq!(here.is_some(), is_read, "{text}");
            if here.is_some() {
                assert_eq!(here, there, "{text}");
            }
        }
    }

    proptest! {
        /// Pieces of JSON in any order: mostly nonsense, with records among it.
        #[test]
        fn what_is_read_here_is_read_the_same_there(pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "\"", ":", ",", " ", "\n", "\\", "0", "-", "12", "1.5", "true", "null", "é", "\u{1}", "[", "]",
            "\"id\":\"a\"", "\"kind\":\"page viewed by me\",", "\"wait_ms\":15", "\"rating\":{\"value\":1}",
            "\"attributes\":{\"a\":1}", "\"id\"", "{\"id\":1,", "}\n",
        ]), 0..14)) {
            let (here, there) = both(&pieces.concat());
            if here.is_some() {
                prop_assert_eq!(here, there);
            }
        }

        #[test]
        fn plain_texts_end_where_they_end(bytes: Vec<u8>, after in 0_usize..20) {
            let mut bytes = bytes;
            bytes.extend(std::iter::repeat_n(b'a', after));
            let expected = bytes.iter().take_while(|byte| **byte >= 0x20 && !b"\"\\".contains(*byte)).count();
            prop_assert_eq!(plain(&bytes), expected);
        }
    }
}
