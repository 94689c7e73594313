//! Just enough of Rust's syntax to check a house rule: tokens with lines, without comments, strings and test code.
//!
//! A real parser would need `syn` with its spans; these few token rules are exact on formatted code and build at once.

/// One token of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// An identifier, or one character of punctuation; `"` stands for a whole literal string.
    pub(super) text: String,
    /// 1-based.
    pub(super) line: usize,
}

/// The tokens of a file, comments dropped and strings reduced to `"`.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut out, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let (end, text) = token_at(&chars, at);
        if let Some(text) = text {
            out.push(Token { text, line });
        }
        line += chars[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    out
}

/// Where the token at `at` ends, and its text unless it is white space or a comment.
fn token_at(chars: &[char], at: usize) -> (usize, Option<String>) {
    let next = chars.get(at + 1).copied().unwrap_or(' ');
    match chars[at] {
        '/' if next == '/' => (seek(chars, at, |c| c == '\n'), None),
        '/' if next == '*' => (block_comment_end(chars, at), None),
        '"' => (string_end(chars, at + 1), Some("\"".into())),
        '\'' if next == '\\' || chars.get(at + 2) == Some(&'\'') => {
            (seek(chars, at + if next == '\\' { 3 } else { 2 }, |c| c == '\'') + 1, Some("\"".into()))
        }
        'r' | 'b' | 'c' if raw_string_end(chars, at).is_some() => {
            (raw_string_end(chars, at).unwrap_or(at + 1), Some("\"".into()))
        }
        c if c.is_alphanumeric() || c == '_' => {
            let end = seek(chars, at, |c| !c.is_alphanumeric() && c != '_');
            (end, Some(chars[at..end].iter().collect()))
        }
        c if c.is_whitespace() => (at + 1, None),
        c => (at + 1, Some(c.to_string())),
    }
}

fn seek(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&i| stop(chars[i])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') if depth == 1 => return i + 2,
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of `r"…"`, `r#"…"#`, `br"…"`, `b"…"` or `c"…"`; none if it is only an identifier that starts like one.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let mut i = at;
    while i < chars.len() && matches!(chars[i], 'b' | 'c' | 'r') && i < at + 2 {
        i += 1;
    }
    let raw = chars[at..i].contains(&'r');
    let hashes = seek(chars, i, |c| c != '#') - i;
    if chars.get(i + hashes) != Some(&'"') || (!raw && hashes > 0) {
        return None;
    }
    if !raw {
        return Some(string_end(chars, i + 1));
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    (i + hashes + 1..chars.len()).find(|&j| chars[j..].starts_with(&close)).map(|j| j + close.len())
}

/// The tokens without the items marked `#[cfg(test)]`, and how many lines those items take.
pub(super) fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut out, mut at, mut test_lines) = (Vec::new(), 0, 0);
    while at < tokens.len() {
        if starts_with(&tokens[at..], &MARK) {
            let end = item_end(tokens, at + MARK.len());
            test_lines += tokens[end - 1].line - tokens[at].line + 1;
            at = end;
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    (out, test_lines)
}

fn starts_with(tokens: &[Token], wanted: &[&str]) -> bool {
    tokens.len() >= wanted.len() && wanted.iter().zip(tokens).all(|(w, t)| *w == t.text)
}

/// The end of the item that starts at `at`: its `;`, or the brace that closes its body.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth <= 1 => return i + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// A path of code, groups expanded: `use a::{b, c::d}` is `a b` and `a c d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// Its names.
    pub(super) names: Vec<String>,
    /// Where its last name stands.
    pub(super) line: usize,
}

/// Every path of two or more names.
pub(super) fn paths(tokens: &[Token]) -> Vec<Path> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        at = if is_name(&tokens[at]) { path(tokens, at, &[], &mut out) } else { at + 1 };
    }
    out.retain(|path| path.names.len() > 1);
    out
}

fn is_name(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the path that starts at `at` below `prefix`; answers where it ends.
fn path(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<Path>) -> usize {
    let mut names = prefix.to_vec();
    loop {
        names.push(tokens[at].text.clone());
        let line = tokens[at].line;
        let joined = starts_with(&tokens[at + 1..], &[":", ":"]);
        match tokens.get(at + 3) {
            Some(next) if joined && is_name(next) => at += 3,
            Some(next) if joined && next.text == "{" => return group(tokens, at + 4, &names, out),
            _ => {
                out.push(Path { names, line });
                return at + 1;
            }
        }
    }
}

fn group(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<Path>) -> usize {
    while at < tokens.len() && tokens[at].text != "}" {
        at = if is_name(&tokens[at]) { path(tokens, at, prefix, out) } else { at + 1 };
    }
    at + 1
}

/// A function: its name, first line and number of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// Where `fn` stands.
    pub(super) line: usize,
    /// From `fn` to the closing brace.
    pub(super) lines: usize,
}

/// Every function with a name and a body.
pub(super) fn functions(tokens: &[Token]) -> Vec<Function> {
    tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0].text == "fn" && is_name(&pair[1]))
        .map(|(at, pair)| {
            let last = &tokens[item_end(tokens, at) - 1];
            Function { name: pair[1].text.clone(), line: pair[0].line, lines: last.line - pair[0].line + 1 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_not_code() {
        let source = "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# b\"l\" '\"' 'm' '\\'' <'n> rest";
        assert_eq!(texts(source), ["a", "e", "\"", "i", "\"", "\"", "\"", "\"", "\"", "<", "'", "n", ">", "rest"]);
        assert_eq!(tokens("/*\n*/\nx")[0].line, 3);
    }

    #[test]
    fn test_items_are_cut_and_code_after_them_stays() {
        let source = "fn a() {} #[cfg(test)] mod tests { fn b() { x[1]; } } #[cfg(test)] use c; fn d() {}";
        let (kept, _) = without_tests(&tokens(source));
        assert_eq!(functions(&kept).iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a", "d"]);
        assert!(!kept.iter().any(|t| t.text == "c"));
        assert_eq!(without_tests(&tokens("a;\n#[cfg(test)]\nmod tests {\n}\nb;")).1, 3);
    }

    #[test]
    fn groups_of_paths_are_expanded() {
        let found = paths(&tokens("use crate::{model::{A, b::C}, kafka::X}; let y = std::fs::read(\"p\"); z"));
        let found: Vec<String> = found.iter().map(|p| p.names.join(" ")).collect();
        assert_eq!(found, ["crate model A", "crate model b C", "crate kafka X", "std fs read"]);
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let found =
            functions(&tokens("fn a(x: [u8; 3]) {\n  if x { 1 } else { 2 }\n}\nfn b();\nimpl Fn(fn() -> A) {}"));
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("a", 1, 3), ("b", 4, 1)]);
    }
}
