//! Text to a typed expression: a Pratt parser, operands and what binds them, by strength.

use super::{
    BYTES_MAX, Comparison, Condition, DEPTH_MAX, Expression, Figure, NODES_MAX, Operation, Relation, Type, Value, Wrong,
};
use crate::model::time::Span;
use crate::model::{Micro, Name};

/// Reads an expression over these figures.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(text: &str, figures: &[Figure]) -> Result<Expression, Wrong> {
    if text.len() > BYTES_MAX {
        return Err(Wrong { position: BYTES_MAX, what: format!("longer than {BYTES_MAX} bytes") });
    }
    let mut parser = Parser { text, place: 0, figures, nodes: 0, depth: 0 };
    let expression = parser.expression(0)?;
    parser.skip_blanks();
    if parser.rest().is_empty() {
        Ok(expression)
    } else {
        Err(parser.wrong(parser.place, "expected an operator, such as `and`, `<` or `+`"))
    }
}

/// What may stand between two operands.
#[derive(Debug, Clone, Copy)]
enum Infix {
    Or,
    And,
    Compare(Relation),
    Compute(Operation),
}

/// Spellings, the longer ones first; how strongly they bind.
const INFIXES: [(&str, Infix, u8); 13] = [
    ("||", Infix::Or, 1),
    ("or", Infix::Or, 1),
    ("&&", Infix::And, 2),
    ("and", Infix::And, 2),
    ("<=", Infix::Compare(Relation::AtMost), 4),
    (">=", Infix::Compare(Relation::AtLeast), 4),
    ("==", Infix::Compare(Relation::Equal), 4),
    ("!=", Infix::Compare(Relation::Unequal), 4),
    ("<", Infix::Compare(Relation::Below), 4),
    (">", Infix::Compare(Relation::Above), 4),
    ("+", Infix::Compute(Operation::Plus), 5),
    ("-", Infix::Compute(Operation::Minus), 5),
    ("*", Infix::Compute(Operation::Times), 6),
];
const NOT_BINDS: u8 = 3;
const SIGN_BINDS: u8 = 7;

struct Parser<'a> {
    text: &'a str,
    place: usize,
    figures: &'a [Figure],
    nodes: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.place..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.place += rest.len() - rest.trim_start().len();
    }

    fn wrong(&self, place: usize, what: &str) -> Wrong {
        let before = self.text.get(..place).unwrap_or(self.text);
        Wrong { position: before.chars().count() + 1, what: what.to_owned() }
    }

    /// Takes a token if it is next; a word must end there.
    fn eat(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let Some(after) = self.rest().strip_prefix(token) else { return false };
        let is_word = token.chars().all(char::is_alphabetic);
        let ends = !is_word || !after.starts_with(is_part_of_name);
        self.place += if ends { token.len() } else { 0 };
        ends
    }

    fn require(&mut self, token: &str) -> Result<(), Wrong> {
        if self.eat(token) { Ok(()) } else { Err(self.wrong(self.place, &format!("expected `{token}`"))) }
    }

    /// An expression of operators that bind more strongly than `least`.
    fn expression(&mut self, least: u8) -> Result<Expression, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(self.place, &format!("nested more than {DEPTH_MAX} deep")));
        }
        self.skip_blanks();
        let start = self.place;
        let mut left = self.operand()?;
        loop {
            self.skip_blanks();
            let (before, end) = (self.place, self.text.get(start..self.place).unwrap_or_default().trim_end().len());
            let next = INFIXES.iter().find(|(token, ..)| self.eat(token));
            let Some((token, infix, binds)) = next.filter(|(_, _, binds)| *binds > least) else {
                self.place = before;
                break;
            };
            self.count(before)?;
            let right = self.expression(*binds)?;
            let text = self.text.get(start..start + end).unwrap_or_default();
            left = join(left, *infix, right, text).map_err(|what| self.wrong(before, &format!("`{token}` {what}")))?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn count(&mut self, place: usize) -> Result<(), Wrong> {
        self.nodes += 1;
        let most = format!("more than {NODES_MAX} figures, numbers and operators");
        if self.nodes > NODES_MAX { Err(self.wrong(place, &most)) } else { Ok(()) }
    }

    fn operand(&mut self) -> Result<Expression, Wrong> {
        let place = self.place;
        self.count(place)?;
        if self.eat("(") {
            let inner = self.expression(0)?;
            self.require(")")?;
            return Ok(inner);
        }
        if self.eat("not") || self.eat("!") {
            return match self.expression(NOT_BINDS)? {
                Expression::Condition(condition) => Ok(Expression::Condition(condition.negated())),
                Expression::Value(..) => Err(self.wrong(place, "`not` needs a condition after it")),
            };
        }
        if self.eat("-") {
            let (value, unit) = self.value(SIGN_BINDS)?;
            if unit == Type::Category {
                return Err(self.wrong(place, "a category has no sign"));
            }
            let negative = Value::Of(Operation::Minus, Box::new((Value::Literal(0), value)));
            let folded = negative.constant().map_or(negative, Value::Literal);
            return Ok(Expression::Value(folded, unit));
        }
        match self.rest().chars().next() {
            Some('"' | '\'') => self.category(),
            Some(first) if first.is_ascii_digit() => self.number(),
            Some(first) if first.is_alphabetic() => self.name(),
            _ => Err(self.wrong(place, "expected a figure, a number, a length of time or a text")),
        }
    }

    fn value(&mut self, least: u8) -> Result<(Value, Type), Wrong> {
        let place = self.place;
        match self.expression(least)? {
            Expression::Value(value, unit) => Ok((value, unit)),
            Expression::Condition(_) => Err(self.wrong(place, "expected a value, not a condition")),
        }
    }

    fn category(&mut self) -> Result<Expression, Wrong> {
        let place = self.place;
        let quote = self.rest().chars().next().unwrap_or('"');
        let inner = self.rest().strip_prefix(quote).unwrap_or_default();
        let Some((text, _)) = inner.split_once(quote) else {
            return Err(self.wrong(place, "the text does not end"));
        };
        self.place += text.len() + 2;
        Ok(Expression::Value(Value::Literal(i64::from(Name::of(text).0)), Type::Category))
    }

    fn number(&mut self) -> Result<Expression, Wrong> {
        let (place, rest) = (self.place, self.rest());
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        self.place += length;
        if word.ends_with(|c: char| c.is_ascii_alphabetic()) {
            let span = Span::parse(word).map_err(|hint| self.wrong(place, hint))?;
            return Ok(Expression::Value(Value::Literal(span.0), Type::Duration));
        }
        let hint = "expected a number such as 3 or 0.25, with at most six decimals, below 9.2 × 10¹²";
        let micro = decimal(word).ok_or_else(|| self.wrong(place, hint))?;
        Ok(Expression::Value(Value::Literal(micro), Type::Number))
    }

    fn name(&mut self) -> Result<Expression, Wrong> {
        let (place, rest) = (self.place, self.rest());
        let length = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        self.place += length;
        if self.eat("(") {
            return self.call(word, place);
        }
        let figure = self.figure(word, place)?;
        let unit = self.figures.get(figure).map_or(Type::Number, |figure| figure.unit);
        Ok(Expression::Value(Value::Figure(figure), unit))
    }

    fn call(&mut self, word: &str, place: usize) -> Result<Expression, Wrong> {
        let operation = match word {
            "min" => Operation::Min,
            "max" => Operation::Max,
            "has" => {
                self.skip_blanks();
                let Expression::Value(Value::Figure(figure), _) = self.operand()? else {
                    return Err(self.wrong(place, "`has` needs the name of a figure"));
                };
                self.require(")")?;
                return Ok(Expression::Condition(Condition::Has(figure, true)));
            }
            _ => return Err(self.wrong(place, &format!("no function `{word}`; there are min, max and has"))),
        };
        let (left, unit) = self.value(0)?;
        self.require(",")?;
        let (right, other) = self.value(0)?;
        self.require(")")?;
        if unit != other || unit == Type::Category {
            let what = format!("`{word}` of {} and {}", unit.noun(), other.noun());
            return Err(self.wrong(place, &what));
        }
        Ok(Expression::Value(Value::Of(operation, Box::new((left, right))), unit))
    }

    fn figure(&self, word: &str, place: usize) -> Result<usize, Wrong> {
        if let Some(found) = self.figures.iter().position(|figure| figure.name == word) {
            return Ok(found);
        }
        let near = self.figures.iter().min_by_key(|figure| strsim::damerau_levenshtein(word, &figure.name));
        let near = near.map(|near| format!("; did you mean `{}`?", near.name)).unwrap_or_default();
        Err(self.wrong(place, &format!("no figure `{word}`{near}")))
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// Exact millionths of a decimal.
fn decimal(word: &str) -> Option<i64> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !is_number(fraction) || word.ends_with('.') {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole.checked_mul(Micro::SCALE)?.checked_add(fraction)
}

/// Two expressions and what stands between them; `text` is the left one as written.
fn join(left: Expression, infix: Infix, right: Expression, text: &str) -> Result<Expression, String> {
    match (infix, left, right) {
        (Infix::And, Expression::Condition(left), Expression::Condition(right)) => {
            Ok(Expression::Condition(Condition::And(Box::new((left, right)))))
        }
        (Infix::Or, Expression::Condition(left), Expression::Condition(right)) => {
            Ok(Expression::Condition(Condition::Or(Box::new((left, right)))))
        }
        (Infix::And | Infix::Or, ..) => Err("needs a condition on each side".to_owned()),
        (Infix::Compare(relation), Expression::Value(left, unit), Expression::Value(right, other)) => {
            let ordered = !matches!(relation, Relation::Equal | Relation::Unequal);
            if unit != other {
                return Err(format!("compares {} with {}", unit.noun(), other.noun()));
            }
            if unit == Type::Category && ordered {
                return Err("compares categories: they are equal (==) or not (!=)".to_owned());
            }
            Ok(Expression::Condition(Condition::Compare(Comparison {
                left,
                relation,
                right,
                unit,
                text: text.to_owned(),
            })))
        }
        (Infix::Compute(operation), Expression::Value(left, unit), Expression::Value(right, other)) => {
            let unit = match (operation, unit, other) {
                (_, Type::Category, _) | (_, _, Type::Category) => None,
                (Operation::Times, Type::Number, unit) | (Operation::Times, unit, Type::Number) => Some(unit),
                (Operation::Times, Type::Duration, Type::Duration) => None,
                (_, unit, other) => (unit == other).then_some(unit),
            };
            let unit = unit.ok_or_else(|| "cannot compute with these two: numbers, or lengths of time".to_owned())?;
            let value = Value::Of(operation, Box::new((left, right)));
            Ok(Expression::Value(value, unit))
        }
        (Infix::Compare(_) | Infix::Compute(_), ..) => Err("needs a value on each side".to_owned()),
    }
}
