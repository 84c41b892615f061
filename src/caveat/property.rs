//! Properties of random expressions over random contexts: nothing panics, and an answer that is reached without some
//! parameters is the answer for every value of them.

use proptest::prelude::*;

use super::cases::compile;
use super::{Caveat, Context, Outcome};

const PARAMETERS: &str = "b bool, c bool, d any, i int, j int, l list<int>, m map<int>, s string, u uint, x double";
/// Names every parameter, so that none is unused, and changes nothing.
const USES_ALL: &str =
    "(false && (b || c || d == 1 || i == j || l == [] || m == {} || s == '' || u == 1 || x == 1.0)) || ";

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("i".to_owned()),
        Just("j".to_owned()),
        Just("u".to_owned()),
        Just("l.size()".to_owned()),
        Just("l[0]".to_owned()),
        Just("m.k".to_owned()),
        Just("m.?k.orValue(j)".to_owned()),
        Just("int(x)".to_owned()),
        Just("size(s)".to_owned()),
        Just("9223372036854775807".to_owned()),
        (-2_i64..3).prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), "[-+*/%]", inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(b ? {a} : {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}, {b}][0]")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("b".to_owned()),
        Just("c".to_owned()),
        Just("s.startsWith('a')".to_owned()),
        Just("s.matches(s)".to_owned()),
        Just("has(m.k)".to_owned()),
        Just("d == 1".to_owned()),
        Just("d.f == i".to_owned()),
        Just("d > x".to_owned()),
        Just("m.?k.optMap(v, v / i).hasValue()".to_owned()),
        (number(), prop_oneof![Just("<"), Just(">="), Just("=="), Just("!=")], number())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (number(), number()).prop_map(|(a, b)| format!("{a} in [1, {b}]")),
        number().prop_map(|a| format!("{a} in l")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (
                inner.clone(),
                prop_oneof![Just("all"), Just("exists"), Just("exists_one")],
                prop_oneof![Just("l"), Just("[1, i, 2]"), Just("l.map(j, j + i)"), Just("m"),]
            )
                .prop_map(|(a, name, range)| format!("{range}.{name}(e, {a})")),
            (inner, number()).prop_map(|(a, n)| format!("l.filter(j, {a}).map(j, {n}).size() == 1")),
        ]
    })
}

/// A value for every parameter, and which of them are given at first.
fn contexts() -> impl Strategy<Value = (serde_json::Map<String, serde_json::Value>, Vec<bool>)> {
    use serde_json::json;
    let value = || prop_oneof![Just(-1), Just(0), Just(1), Just(2), Just(i64::MAX)];
    let values =
        (any::<(bool, bool)>(), value(), value(), prop::collection::vec(value(), 0..3), 0_u64..3, "[ab(]{0,2}");
    (values, 0_u8..5, prop::collection::vec(any::<bool>(), 10)).prop_map(|(values, d, given)| {
        let ((b, c), i, j, l, u, s) = values;
        let m = if b { json!({"k": j}) } else { json!({}) };
        let d = [json!(1), json!("x"), json!(null), json!({"f": i}), json!([1, 2])][usize::from(d)].clone();
        let object = json!({
            "b": b, "c": c, "d": d, "i": i.to_string(), "j": j.to_string(), "l": l, "m": m, "s": s, "u": u, "x": 1.5
        });
        (object.as_object().expect("it is written as one").clone(), given)
    })
}

fn evaluate(caveat: &Caveat, values: serde_json::Map<String, serde_json::Value>) -> Option<Outcome> {
    let context = Context::from_map(values).expect("the values are shallow");
    caveat.evaluate(&Context::new(), &context).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_answer_without_parameters_is_the_answer_for_all_their_values(
        expression in condition(),
        (all, given) in contexts(),
        (other, _) in contexts(),
    ) {
        let caveat = compile(PARAMETERS, &format!("{USES_ALL}({expression})"))
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
        let partial: serde_json::Map<_, _> =
            all.clone().into_iter().zip(&given).filter(|(_, given)| **given).map(|(entry, _)| entry).collect();
        let before = evaluate(&caveat, partial.clone());
        let mut completed = other;
        completed.extend(partial.clone());
        for complete in [all, completed] {
            let after = evaluate(&caveat, complete);
            prop_assert!(!matches!(after, Some(Outcome::Missing(_))), "nothing was missing");
            match &before {
                Some(Outcome::True | Outcome::False) => prop_assert_eq!(&after, &before, "{}", expression),
                Some(Outcome::Missing(names)) => {
                    prop_assert!(names.iter().all(|name| !partial.contains_key(name)), "{:?} was given", names);
                    prop_assert!(!names.is_empty());
                }
                None => {}
            }
        }
    }

    #[test]
    fn no_text_panics(text in "[abilmsx0-9.,:?!&|<>=+*/%\\-(){}\\[\\]'\"\\\\ rue]{0,40}") {
        let _ = compile(PARAMETERS, &text);
        let _ = compile("a string", &format!("a.matches('{text}')")).map(|caveat| evaluate(&caveat, serde_json::Map::new()));
        let context = serde_json::json!({"a": text.clone()});
        for of in ["int", "uint", "double", "bytes", "duration", "timestamp", "ipaddress"] {
            let caveat = compile(&format!("a {of}"), "dyn(a) == 1").expect("it compiles");
            let _ = evaluate(&caveat, context.as_object().expect("it is written as one").clone());
        }
        let caveat = compile("a string", "a.matches(a) || bool(a) || timestamp(0).getHours(a) == 1 || duration(a) == duration('1s')")
            .expect("it compiles");
        let _ = evaluate(&caveat, context.as_object().expect("it is written as one").clone());
    }
}
