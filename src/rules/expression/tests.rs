use super::*;
use proptest::prelude::*;

fn figures() -> Vec<Figure> {
    let figure = |name: &str, unit, grows| Figure { name: name.to_owned(), unit, grows, of_item: false };
    vec![
        figure("effort", Type::Number, false),
        figure("c.in7", Type::Number, false),
        figure("c.silence", Type::Duration, true),
        figure("c.tier", Type::Category, false),
        figure("order", Type::Number, false),
    ]
}

fn condition(text: &str) -> Condition {
    match parse(text, &figures()) {
        Ok(Expression::Condition(condition)) => condition,
        other => panic!("{text}: {other:?}"),
    }
}

/// effort = 2.5, c.in7 = 3, c.silence = 2 d, c.tier = gold, order is missing.
fn value(place: usize) -> Option<i64> {
    [Some(2_500_000), Some(3_000_000), Some(172_800_000), Some(i64::from(crate::model::Name::of("gold").0)), None]
        [place]
}

#[test]
fn conditions_hold_or_not() {
    for (text, holds) in [
        ("effort >= 2.5", Ok(true)),
        ("effort > 2.5", Ok(false)),
        ("effort * 2 - c.in7 == 2", Ok(true)),
        ("-effort < -2.4 and c.silence >= 48h", Ok(true)),
        ("effort - 1 - 1 == 0.5", Ok(true)),
        ("effort + c.in7 * 2 == 8.5", Ok(true)),
        ("(effort + c.in7) * 2 == 11", Ok(true)),
        ("c.silence > 1d + 12h and c.silence < 2 * 36h", Ok(true)),
        ("min(effort, c.in7) == effort && max(effort, 7) == 7", Ok(true)),
        ("c.tier == \"gold\" || effort < 0", Ok(true)),
        ("c.tier != 'gold'", Ok(false)),
        ("not effort > 2.5", Ok(true)),
        ("!(effort > 2 and c.in7 > 2)", Ok(false)),
        ("not (effort < 2 or c.in7 < 2) and effort > 2", Ok(true)),
        ("effort < 0 or effort < 9 and c.in7 < 0", Ok(false)),
        // Missing: unknown, unless the rest decides.
        ("order > 0", Err(Unknown::Missing)),
        ("not order > 0", Err(Unknown::Missing)),
        ("order > 0 or effort > 2", Ok(true)),
        ("order > 0 and effort > 3", Ok(false)),
        ("effort > 2 and order > 0", Err(Unknown::Missing)),
        ("has(order)", Ok(false)),
        ("not has(order) and has(effort)", Ok(true)),
        ("has(order) and order > 0", Ok(false)),
        ("9000000000000 + 9000000000000 > 0", Err(Unknown::Overflow)),
        ("order > 0 and 9000000000000 * 9000000000000 > 0", Err(Unknown::Overflow)),
    ] {
        assert_eq!(condition(text).holds(&value), holds, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, position, what) in [
        ("efort > 3", 1, "no figure `efort`; did you mean `effort`?"),
        ("effort > 3 and c.in8 > 1", 16, "no figure `c.in8`; did you mean `c.in7`?"),
        ("effort > 7d", 8, "`>` compares a number with a length of time"),
        ("c.tier > \"gold\"", 8, "`>` compares categories: they are equal (==) or not (!=)"),
        ("c.silence * c.silence > 1d", 11, "`*` cannot compute with these two: numbers, or lengths of time"),
        ("effort and c.in7 > 1", 8, "`and` needs a condition on each side"),
        ("1 < effort < 3", 12, "`<` needs a value on each side"),
        ("effort > ", 10, "expected a figure, a number, a length of time or a text"),
        ("effort > 3 c.in7", 12, "expected an operator, such as `and`, `<` or `+`"),
        ("(effort > 3", 12, "expected `)`"),
        ("effort > 1.2345678", 10, "expected a number such as 3 or 0.25"),
        ("effort > 3 weeks", 12, "expected an operator"),
        ("c.silence > 3w", 13, "expected a whole number and a unit"),
        ("avg(effort, 3) > 2", 1, "no function `avg`; there are min, max and has"),
        ("min(effort, 7d) > 2", 1, "`min` of a number and a length of time"),
        ("not effort", 1, "`not` needs a condition after it"),
        ("c.tier == \"gold", 11, "the text does not end"),
    ] {
        let wrong = parse(text, &figures()).expect_err(text);
        assert_eq!(wrong.position, position, "{text}: {wrong}");
        assert!(wrong.what.starts_with(what), "{text}: {wrong}");
    }
}

#[test]
fn the_cost_is_bounded() {
    for text in [
        "(".repeat(20) + "effort",
        "not ".repeat(20) + "effort > 1",
        vec!["effort"; 40].join("+") + " > 1",
        "effort > 1 or ".repeat(60) + "effort > 2",
        "has(".repeat(90),
    ] {
        let wrong = parse(&text, &figures()).expect_err(&text);
        assert!(
            ["nested", "more than 64", "longer than 500"].iter().any(|what| wrong.what.starts_with(what)),
            "{wrong}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in r#"[ -~ä]{0,80}|([a-z.7]{1,6}|[<>=!&|+*(),-]{1,2}|effort|c\.silence|7d|0\.5| ){0,40}"#) {
        if let Ok(Expression::Condition(condition)) = parse(&text, &figures()) {
            let extremes = |place: usize| Some([i64::MAX, i64::MIN, 1, 0, -1][place]);
            prop_assert_ne!(condition.holds(&extremes), Err(Unknown::Missing));
        }
    }

    #[test]
    fn a_negation_is_the_opposite(effort in any::<i64>(), silence in any::<Option<i64>>()) {
        for text in ["effort > 1 and c.silence > 2d", "effort <= 1 or not c.silence == 3ms and effort != 0"] {
            let figure = |place| if place == 2 { silence } else { Some(effort) };
            let plain = condition(text).holds(&figure);
            prop_assert_eq!(condition(&format!("not ({text})")).holds(&figure), plain.map(|holds| !holds));
        }
    }
}
