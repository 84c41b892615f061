//! The table of expressions in `cases.txt`, whose answers are SpiceDB's, and what stands beside it: bounds and places.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::MAX_DEPTH;
use super::{Caveat, CompileError, Context, EvaluationError, MAX_EXPRESSION_BYTES, Outcome, ParameterType};
use crate::model::CaveatName;

const CASES: &str = include_str!("cases.txt");

/// Compiles `expression` with parameters as a schema declares them, and as one that is written must use them.
pub(super) fn compile(parameters: &str, expression: &str) -> Result<Caveat, CompileError> {
    let declared = parameters.split(", ").filter(|d| !d.is_empty()).map(|declared| {
        let (name, of) = declared.split_once(' ').expect("a parameter has a name and a type");
        (name.to_owned(), ParameterType::parse(of).expect("the type is one of the language"))
    });
    let name = CaveatName::new("some_caveat").unwrap();
    let caveat = Caveat::compile(&name, &declared.collect::<BTreeMap<_, _>>(), expression)?;
    match caveat.unused_parameter() {
        Some(parameter) => Err(CompileError::whole(format!("parameter {parameter} is never used"))),
        None => Ok(caveat),
    }
}

impl Caveat {
    /// Evaluates without any other bound than that of one evaluation.
    pub(super) fn evaluate(&self, stored: &Context, request: &Context) -> Result<Outcome, EvaluationError> {
        self.evaluate_within(stored, request, &mut { u64::MAX })
    }
}

/// The answer in the words of the table.
fn answer(caveat: &Caveat, stored: &str, request: &str) -> String {
    let context = |text| Context::from_json_text(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let stored = context(stored);
    if caveat.check_context(&stored).is_err() {
        return "unstorable".to_owned();
    }
    match caveat.evaluate(&stored, &context(request)) {
        Ok(Outcome::True) => "true".to_owned(),
        Ok(Outcome::False) => "false".to_owned(),
        Ok(Outcome::Missing(names)) => format!("missing {}", names.into_iter().collect::<Vec<_>>().join(", ")),
        Err(EvaluationError::Context(_)) => "badtype".to_owned(),
        Err(EvaluationError::Failed { .. } | EvaluationError::TooExpensive { .. }) => "error".to_owned(),
    }
}

#[test]
fn expressions_answer_as_in_spicedb() {
    let mut wrong = Vec::new();
    let mut asked = 0;
    for block in CASES.split("\ncaveat ").skip(1) {
        let (parameters, rest) = block.split_once('\n').expect("an expression follows");
        let (answers, expression): (Vec<&str>, Vec<&str>) = rest.lines().partition(|line| line.starts_with("  "));
        let compiled = compile(parameters, &expression.join("\n"));
        for line in answers {
            asked += 1;
            let expected = line.trim();
            let found = match (&compiled, expected.split_once(" => ")) {
                (Err(error), _) => format!("refused ({error})"),
                (Ok(_), None) => "compiles".to_owned(),
                (Ok(caveat), Some((contexts, _))) => {
                    let (stored, request) = contexts.split_once(" + ").expect("two contexts");
                    format!("{contexts} => {}", answer(caveat, stored, request))
                }
            };
            let agrees = found == expected || (compiled.is_err() && expected == "refused");
            if !agrees {
                wrong.push(format!("caveat {parameters}\n{}\n  {expected}\n  {found}", expression.join("\n")));
            }
        }
    }
    assert!(asked > 400, "the table was read as {asked} lines");
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where the answer is not SpiceDB's, because there it comes of an oversight or is a number's notation of another language.
#[test]
fn some_answers_are_our_own() {
    for (parameters, expression, request, expected) in [
        // A literal is a map like any other: there the evaluation breaks down.
        ("a map<string>", "{'x': '1'}.isSubtreeOf(a)", r#"{"a": {"x": "1", "y": "2"}}"#, "true"),
        ("a map<string>", "{'x': '1'}.isSubtreeOf(a)", r#"{"a": {"x": "2"}}"#, "false"),
        // A parameter in the key of a literal is used: there it counts as unused.
        ("a int", "{a: 1}[1] == 1", r#"{"a": 1}"#, "true"),
        // Doubles are no keys.
        ("a int", "{1.5: 1}[1.5] == a", r#"{"a": 1}"#, "error"),
        // Numbers are decimal.
        ("a int", "a > 0", r#"{"a": "1p4"}"#, "badtype"),
        ("a string", "double(a) > 0.0", r#"{"a": "0x10p0"}"#, "error"),
        ("a string", "double(a) > 0.0", r#"{"a": "1_6"}"#, "error"),
    ] {
        let caveat = compile(parameters, expression).unwrap();
        assert_eq!(answer(&caveat, "{}", request), expected, "{expression}");
    }
    // Protobuf messages are not built.
    assert!(compile("a duration", "google.protobuf.Duration{seconds: 1} == a").is_err());
}

/// A schema that is written has no pattern that is none; one that is computed fails when it is reached.
#[test]
fn constant_patterns_that_are_none_are_told_of() {
    for (expression, is_bad) in [
        ("a.matches('(')", true),
        ("true || a.matches('^\\\\p{L}+$') && matches(a, 'a{1001}')", true),
        ("a.matches('^\\\\p{L}+$')", false),
        ("a.matches('(' + '')", false),
    ] {
        let caveat = compile("a string", expression).unwrap();
        assert_eq!(caveat.bad_pattern().is_some(), is_bad, "{expression}");
    }
    let many = ["a.matches('^[\\\\pL\\\\pN ]{1,200}$')"; 3].join(" || ");
    assert!(compile("a string", &many).unwrap().bad_pattern().unwrap().message.contains("bytes in all"));
}

/// One budget serves many evaluations.
#[test]
fn evaluations_draw_from_the_budget_that_they_are_given() {
    let caveat = compile("l list<int>", "l.all(x, x > 0)").unwrap();
    let context = Context::from_json_text(r#"{"l": [1, 2, 3]}"#).unwrap();
    let mut steps = u64::MAX;
    caveat.evaluate_within(&context, &Context::new(), &mut steps).unwrap();
    let cost = u64::MAX - steps;
    assert!((10..100).contains(&cost), "{cost}");
    let mut steps = 2 * cost + 1;
    for _ in 0..2 {
        assert_eq!(caveat.evaluate_within(&context, &Context::new(), &mut steps), Ok(Outcome::True));
    }
    assert_eq!(steps, 1);
    let exhausted = caveat.evaluate_within(&context, &Context::new(), &mut steps);
    assert!(matches!((exhausted, steps), (Err(EvaluationError::TooExpensive { .. }), 0)));
}

/// Zones by the names that they have, and what is no zone is an error and nothing worse.
#[test]
fn zones_are_known_by_their_exact_names() {
    let caveat = compile("z string", "timestamp('2021-01-01T10:30:00Z').getHours(z) == 5").unwrap();
    for (zone, expected) in [
        ("America/New_York", "true"),
        ("EST", "true"),
        ("-05:00", "true"),
        ("-5:0", "true"),
        ("-4:30", "false"),
        ("Etc/UTC", "false"),
        ("UTC", "false"),
        ("america/new_york", "error"),
        ("utc", "error"),
        ("Etc/Unknown", "error"),
        ("-1:-2147483648", "error"),
        ("1:-2147483648", "error"),
        ("-35791394:2147483647", "error"),
        ("-2147483648:0", "error"),
    ] {
        assert_eq!(answer(&caveat, "{}", &format!("{{\"z\": {zone:?}}}")), expected, "{zone}");
    }
}

#[test]
fn errors_name_the_place() {
    for (expression, offset) in [
        ("a == 1 && b", 10),
        ("a == ", 5),
        ("a == 1 )", 7),
        ("a + 'x' == 1", 2),
        ("/* */ a == 1", 0),
        ("a == 99999999999999999999", 5),
        ("é == a", 0),
    ] {
        assert_eq!(compile("a int", expression).unwrap_err().offset, Some(offset), "{expression}");
    }
}

#[test]
fn a_caveat_needs_parameters_and_uses_all_of_them() {
    assert!(compile("", "true").is_err());
    assert!(compile("a int, b int", "a == 1").unwrap_err().message.contains('b'));
    assert!(compile("a int", &format!("a == 1 {}", " ".repeat(MAX_EXPRESSION_BYTES))).is_err());
}

/// Every way in which a text can nest, at a depth.
fn nested(depth: usize) -> Vec<String> {
    let wrapped =
        |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
    vec![
        wrapped("(", "a", ")"),
        wrapped("!(", "a", ")"),
        wrapped("[", "a", "]") + " == []",
        wrapped("{1: ", "a", "}") + " == {}",
        wrapped("dyn(", "a", ")") + " == 1",
        wrapped("a ? a : ", "a", ""),
        wrapped("a ? (a) : (", "a", ")"),
        wrapped("[a].exists(a, ", "a", ")"),
        wrapped("[a", "a", "]"),
        format!("1{} == 2 || a", " + 1".repeat(depth)),
        format!("a{}", " == a".repeat(depth)),
        format!("[a]{} == 1", "[0]".repeat(depth)),
        format!("[a]{} == 1", ".x".repeat(depth)),
        format!("[a]{} == []", ".map(x, [x])".repeat(depth)),
    ]
}

#[test]
fn nesting_is_bounded_and_evaluates_in_a_small_stack() {
    let checked = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        for depth in [usize::from(MAX_DEPTH) / 2 - 2, usize::from(MAX_DEPTH) - 3, usize::from(MAX_DEPTH) + 1, 10_000] {
            for expression in nested(depth) {
                let compiled = compile("a bool", &expression);
                if depth > usize::from(MAX_DEPTH) {
                    assert!(compiled.is_err(), "{depth}: {}", &expression[..40]);
                }
                if let Ok(caveat) = compiled {
                    let _ = caveat.evaluate(&Context::new(), &Context::from_json_text(r#"{"a": true}"#).unwrap());
                }
            }
        }
        assert!(compile("a bool", &nested(usize::from(MAX_DEPTH) - 3)[1]).is_ok());
    });
    checked.unwrap().join().unwrap();
}

#[test]
fn long_chains_are_no_nesting() {
    for mark in [" && a", " || a"] {
        let caveat = compile("a bool", &format!("a{}", mark.repeat(10_000))).unwrap();
        let outcome = caveat.evaluate(&Context::new(), &Context::from_json_text(r#"{"a": true}"#).unwrap());
        assert_eq!(outcome, Ok(Outcome::True));
        let missing = caveat.evaluate(&Context::new(), &Context::new());
        assert_eq!(missing, Ok(Outcome::Missing(BTreeSet::from(["a".to_owned()]))));
    }
}

#[test]
fn work_is_bounded() {
    let list: Vec<String> = (0..1500).map(|n| n.to_string()).collect();
    let context =
        Context::from_json_text(&format!("{{\"l\": [{}], \"s\": \"{}\"}}", list.join(","), "x".repeat(9000))).unwrap();
    for expression in [
        "l.all(x, l.all(y, l.all(z, x + y + z >= 0))) && s != ''",
        "l.map(x, s + s).map(x, x + x).map(x, x + x).map(x, x + x).size() == 1",
        "l.exists(x, s.matches('y' + string(x))) && s != ''",
        "l.map(x, l + l).map(x, x + x).size() == 1 && s != ''",
        "l.all(x, [s, s, s] == [s, s, s])",
        "l.all(x, s.matches('(x+x+)+(x+x+)+(x+x+)+(x+x+)+y|z|xxxxxxxxxxxxxxx')) && l.all(x, !s.matches('(x*)*y'))",
    ] {
        let caveat = compile("l list<int>, s string", expression).unwrap();
        let outcome = caveat.evaluate(&Context::new(), &context);
        assert!(!matches!(outcome, Ok(Outcome::True)), "{expression}: {outcome:?}");
    }
    let heavy = compile("l list<int>", "l.all(x, l.all(y, x + y >= 0))").unwrap();
    let only_list = Context::from_json_text(&format!("{{\"l\": [{}]}}", list.join(","))).unwrap();
    assert!(matches!(heavy.evaluate(&only_list, &Context::new()), Err(EvaluationError::TooExpensive { .. })));
}

/// Shared contents weigh what a walk over them would cost, and nothing walks them for that: 90 doublings would never end.
#[test]
fn what_is_shared_is_not_walked_unpaid() {
    let doubled = format!("[a]{}", ".map(x, [x, x])".repeat(90));
    let mapped = format!("[{{'k': a}}]{}", ".map(x, {'l': x, 'r': x})".repeat(90));
    let optional = format!("[a]{}", ".map(x, [optional.of(x), optional.of(x)])".repeat(45));
    for (expression, expected) in [
        (format!("size({doubled}) == 1"), Ok(Outcome::True)),
        (format!("type({doubled}) == list"), Ok(Outcome::True)),
        (format!("dyn({doubled})[0].size() == 2"), Ok(Outcome::True)),
        (format!("optional.of({optional}).hasValue()"), Ok(Outcome::True)),
        (format!("dyn({doubled}) != [1, 2]"), Ok(Outcome::True)),
        (format!("{doubled} == {doubled}"), Err(())),
        (format!("{mapped} == {mapped}"), Err(())),
        (format!("{optional} == {optional}"), Err(())),
        (format!("1 in dyn({doubled})"), Err(())),
        (format!("{mapped}[0].isSubtreeOf({mapped}[0])"), Err(())),
    ] {
        let caveat = compile("a int", &expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let context = Context::from_json_text(r#"{"a": 1}"#).unwrap();
        let outcome = caveat.evaluate(&Context::new(), &context);
        let outcome =
            outcome.map_err(|error| assert!(matches!(error, EvaluationError::TooExpensive { .. }), "{error}"));
        assert_eq!(outcome, expected, "{expression}");
    }
}

/// Texts are long to walk, too: 2 MiB, thousands of times.
#[test]
fn long_texts_are_paid_for_wherever_they_are_walked() {
    let long = "[s].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)";
    let context =
        Context::from_json_text(&format!("{{\"l\": {:?}, \"s\": \"{}\"}}", [0; 3000], "x".repeat(16_000))).unwrap();
    for walked in [
        "size(t) > 0",
        "t in {t: 1}",
        "{t: 1}[t] == 1",
        "{t: 1, t + 'a': 2}.size() == 2",
        "timestamp(0).getHours(t) == 0 || true",
    ] {
        let expression = format!("{long}.all(t, l.all(x, {walked} && x == 0))");
        let outcome = compile("l list<int>, s string", &expression).unwrap().evaluate(&Context::new(), &context);
        assert!(matches!(outcome, Err(EvaluationError::TooExpensive { .. })), "{walked}: {outcome:?}");
    }
}

#[test]
fn caveats_are_equal_by_their_text() {
    let caveat = compile("a int", "a == 1").unwrap();
    assert_eq!(caveat, compile("a int", "a == 1").unwrap());
    assert_ne!(caveat, compile("a int", "a  == 1").unwrap());
    assert_ne!(caveat, compile("a uint", "a == 1").unwrap());
    fn is_shareable<T: Send + Sync>(_: &T) {}
    is_shareable(&caveat);
}
