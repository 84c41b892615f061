//! The engine against the reference: random schemas, random tuples with cycles, caveats and expirations, and every question
//! that can be asked, in a random context.
//!
//! Where the reference has an answer, an answer of the engine is that one, with the same missing parameters where it is
//! conditional. The engine may refuse to answer only where an exclusion stands in a cycle with its right side or where the
//! answer hangs on a caveat that fails, and where the reference has no answer it must refuse. Alone or in bulk, in whatever
//! order: each answer or refusal is the same. An explanation shows what is allowed to rest on something else than itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::caveat::Context;
use crate::model::{
    CaveatName, CaveatUse, Decision, ObjectRef, Qualifiers, SubjectRef, TimestampMs, Tuple, TupleKey, TypeName,
};
use crate::schema::{Allowed, AllowedSubject, ArrowKind, Definition, Member, Permission, Relation, Rewrite, Schema};

use super::lookup::World;
use super::reference::{FAILED, Holds, Reference, Spot, Truth};
use super::testbed::{caveat, context, object, relation_name, stored, type_name};
use super::{
    Budget, CheckError, CheckItem, CheckOutcome, Circumstances, Explanation, ExplanationRoom, Plan, Proof, Standing,
    check, check_bulk, explain,
};

/// The relation that arrows follow comes first and never holds wildcards. Some names exist on one type only.
const TYPES: [(&str, &[&str]); 3] = [
    ("user", &[]),
    ("folder", &["parent", "viewer", "view", "edit", "own"]),
    ("group", &["parent", "viewer", "view", "manage"]),
];
const RELATIONS: usize = 2;
const TARGETS: [&str; 6] = ["parent", "viewer", "view", "edit", "own", "manage"];
const OBJECTS: [&str; 8] =
    ["user:tom", "user:amy", "user:bob", "folder:one", "folder:two", "folder:six", "group:aaa", "group:bbb"];

/// Caveats: a name, its parameters, and its expression.
const CAVEATS: [(&str, &[&str], &str); 4] = [
    ("if_aa", &["aa"], "aa"),
    ("if_bb", &["bb"], "bb"),
    ("if_both", &["aa", "bb"], "aa && bb"),
    ("fails", &["n"], "1 / n == 1"),
];

const NOW: TimestampMs = TimestampMs(1000);

#[derive(Debug, Clone)]
enum RawRewrite {
    Nil,
    Itself,
    Computed(Index),
    Arrow(Index, bool),
    Union(Vec<RawRewrite>),
    Intersection(Vec<RawRewrite>),
    Exclusion(Box<RawRewrite>, Box<RawRewrite>),
}

/// A kind of subject: which type, which of its members if any, and whether a wildcard.
type RawKind = (Index, Option<Index>, bool);

/// A tuple: resource, relation, one of the kinds allowed there, object; whether the kind is to be any other; and its
/// qualifiers.
type RawTuple = (Index, Index, Index, Index, Option<RawKind>, RawQualifiers);

/// A caveat with the values stored for `aa` and `bb`, and whether the tuple expires, and if so in time.
type RawQualifiers = (Option<(Index, RawContext)>, Option<bool>);

/// Values for `aa` and `bb`.
type RawContext = (Option<bool>, Option<bool>);

#[derive(Debug, Clone)]
struct RawCase {
    allowed: Vec<Vec<RawKind>>,
    rewrites: Vec<RawRewrite>,
    tuples: Vec<RawTuple>,
    context: RawContext,
}

fn raw_rewrite() -> impl Strategy<Value = RawRewrite> {
    let leaf = prop_oneof![
        1 => Just(RawRewrite::Nil),
        1 => Just(RawRewrite::Itself),
        8 => any::<Index>().prop_map(RawRewrite::Computed),
        8 => (any::<Index>(), prop::bool::weighted(0.3)).prop_map(|(target, all)| RawRewrite::Arrow(target, all)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(RawRewrite::Union),
            2 => prop::collection::vec(inner.clone(), 2..4).prop_map(RawRewrite::Intersection),
            2 => (inner.clone(), inner).prop_map(|(a, b)| RawRewrite::Exclusion(Box::new(a), Box::new(b))),
        ]
    })
}

fn raw_kind() -> impl Strategy<Value = RawKind> {
    (any::<Index>(), prop::option::weighted(0.6, any::<Index>()), prop::bool::weighted(0.2))
}

fn raw_context(given: f64) -> impl Strategy<Value = RawContext> {
    (prop::option::weighted(given, any::<bool>()), prop::option::weighted(given, any::<bool>()))
}

fn raw_case() -> impl Strategy<Value = RawCase> {
    let index = any::<Index>;
    let qualifiers = (
        prop::option::weighted(0.4, (index(), raw_context(0.15))),
        prop::option::weighted(0.2, prop::bool::weighted(0.7)),
    );
    let tuple = (index(), index(), index(), index(), prop::option::weighted(0.05, raw_kind()), qualifiers);
    (
        prop::collection::vec(prop::collection::vec(raw_kind(), 0..3), 4),
        prop::collection::vec(raw_rewrite(), 5),
        prop::collection::vec(tuple, 0..24),
        raw_context(0.25),
    )
        .prop_map(|(allowed, rewrites, tuples, context)| RawCase { allowed, rewrites, tuples, context })
}

fn pick<'a>(index: &Index, names: &[&'a str]) -> &'a str {
    names[index.index(names.len())]
}

fn kind((type_index, member, wildcard): &RawKind, wildcards: bool) -> AllowedSubject {
    let (name, members) = *type_index.get(&TYPES);
    match member {
        Some(member) if !members.is_empty() => {
            AllowedSubject::Userset(type_name(name), relation_name(pick(member, members)))
        }
        Some(_) | None if *wildcard && wildcards => AllowedSubject::Wildcard(type_name(name)),
        Some(_) | None => AllowedSubject::Direct(type_name(name)),
    }
}

fn rewrite(raw: &RawRewrite, members: &[&str]) -> Rewrite {
    let each = |operands: &[RawRewrite]| operands.iter().map(|operand| rewrite(operand, members)).collect();
    match raw {
        RawRewrite::Nil => Rewrite::Nil,
        RawRewrite::Itself => Rewrite::Itself,
        RawRewrite::Computed(member) => Rewrite::Computed(relation_name(pick(member, members))),
        RawRewrite::Arrow(target, all) => Rewrite::Arrow {
            tupleset: relation_name("parent"),
            target: relation_name(pick(target, &TARGETS)),
            kind: if *all { ArrowKind::All } else { ArrowKind::Any },
        },
        RawRewrite::Union(operands) => Rewrite::Union(each(operands)),
        RawRewrite::Intersection(operands) => Rewrite::Intersection(each(operands)),
        RawRewrite::Exclusion(left, right) => {
            Rewrite::Exclusion(Box::new(rewrite(left, members)), Box::new(rewrite(right, members)))
        }
    }
}

fn schema(case: &RawCase) -> Schema {
    let (mut relations, mut rewrites) = (case.allowed.iter(), case.rewrites.iter());
    let mut definitions = BTreeMap::new();
    for (name, names) in TYPES {
        let mut members = BTreeMap::new();
        for (position, member) in names.iter().enumerate() {
            let body = if position < RELATIONS {
                let kinds = relations.next().expect("one list of kinds a relation");
                // Chains, cycles and plain users are where the work is, so no schema is without them.
                let sure = AllowedSubject::Direct(type_name(if position == 0 { name } else { "user" }));
                let drawn = kinds.iter().map(|raw| kind(raw, position > 0));
                let allowed = std::iter::once(sure).chain(drawn).map(Allowed::plain).collect();
                Member::Relation(Relation { allowed })
            } else {
                let raw = rewrites.next().expect("one rewrite a permission");
                Member::Permission(Permission { rewrite: rewrite(raw, names) })
            };
            members.insert(relation_name(member), body);
        }
        definitions.insert(type_name(name), Definition { name: type_name(name), members });
    }
    let caveats = CAVEATS.iter().map(|(name, parameters, expression)| {
        (CaveatName::new(name).unwrap(), caveat(name, &parameters.join(" "), expression))
    });
    Schema { definitions, caveats: caveats.collect(), ..Schema::default() }
}

fn context_json((aa, bb): &RawContext) -> String {
    let part = |name: &str, value: Option<bool>| value.map(|value| format!("\"{name}\":{value}"));
    let parts: Vec<String> = [part("aa", *aa), part("bb", *bb)].into_iter().flatten().collect();
    format!("{{{}}}", parts.join(","))
}

fn qualifiers((caveat, expires): &RawQualifiers) -> Qualifiers {
    let caveat = caveat.as_ref().map(|(name, stored)| {
        let (name, _, _) = *name.get(&CAVEATS);
        let context_json = if name == "fails" { r#"{"n":0}"#.to_owned() } else { context_json(stored) };
        CaveatUse { name: name.to_owned(), context_json }
    });
    let expires_at = expires.map(|later| TimestampMs(NOW.0 + u64::from(later)));
    Qualifiers { caveat, expires_at }
}

/// What the reference is told of a tuple: `None` where it has expired.
fn holds((caveat, expires): &RawQualifiers, asked: &RawContext) -> Option<Holds> {
    if *expires == Some(false) {
        return None;
    }
    let Some((name, stored)) = caveat else { return Some(Holds::Yes) };
    let (_, parameters, _) = *name.get(&CAVEATS);
    let values = parameters.iter().map(|parameter| match *parameter {
        "aa" => (*parameter, stored.0.or(asked.0)),
        "bb" => (*parameter, stored.1.or(asked.1)),
        _ => (FAILED, None),
    });
    let values: Vec<(&str, Option<bool>)> = values.collect();
    if values.iter().any(|(_, value)| *value == Some(false)) {
        return Some(Holds::No);
    }
    let missing = values.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| (*name).to_owned());
    let missing: BTreeSet<String> = missing.collect();
    Some(if missing.is_empty() { Holds::Yes } else { Holds::Open(missing) })
}

fn tuples(case: &RawCase, schema: &Schema) -> BTreeMap<TupleKey, RawQualifiers> {
    let resources: Vec<ObjectRef> =
        OBJECTS.iter().map(|text| object(text)).filter(|o| o.object_type.as_str() != "user").collect();
    let mut tuples = BTreeMap::new();
    for (resource, relation, allowed, subject, other, qualifiers) in &case.tuples {
        let resource = resource.get(&resources).clone();
        let relation = relation_name(pick(relation, &["parent", "viewer"]));
        let Some(Member::Relation(body)) = schema.member(resource.object_type.as_str(), relation.as_str()) else {
            panic!("both are relations on both types");
        };
        let kind = other.as_ref().map_or_else(|| allowed.get(&body.allowed).subject.clone(), |other| kind(other, true));
        let of_type = |name: &TypeName| -> ObjectRef {
            let objects: Vec<ObjectRef> =
                OBJECTS.iter().map(|text| object(text)).filter(|o| o.object_type == *name).collect();
            subject.get(&objects).clone()
        };
        let subject = match &kind {
            AllowedSubject::Direct(name) => SubjectRef::direct(of_type(name)),
            AllowedSubject::Userset(name, member) => {
                SubjectRef { object: of_type(name), relation: Some(member.clone()) }
            }
            AllowedSubject::Wildcard(name) => SubjectRef::new(name.as_str(), "*", "").unwrap(),
        };
        tuples.insert(TupleKey { resource, relation, subject }, *qualifiers);
    }
    tuples
}

/// Every relation and permission of every object for every subject.
fn questions(schema: &Schema, universe: &BTreeSet<ObjectRef>, context: &Context) -> Vec<CheckItem> {
    let spots: Vec<Spot> = universe
        .iter()
        .flat_map(|object| {
            schema.definitions[&object.object_type].members.keys().map(|name| (object.clone(), name.clone()))
        })
        .collect();
    let usersets =
        spots.iter().map(|(object, name)| SubjectRef { object: object.clone(), relation: Some(name.clone()) });
    let subjects: Vec<SubjectRef> = universe.iter().cloned().map(SubjectRef::direct).chain(usersets).collect();
    let item = |(resource, permission): &Spot, subject: &SubjectRef| CheckItem {
        resource: resource.clone(),
        permission: permission.clone(),
        subject: subject.clone(),
        context: context.clone(),
    };
    spots.iter().flat_map(|spot| subjects.iter().map(move |subject| item(spot, subject))).collect()
}

/// Whether a result may stand beside the reference.
fn judge(reference: &Reference, item: &CheckItem, result: &Result<CheckOutcome, CheckError>) -> Result<(), String> {
    let spot = (item.resource.clone(), item.permission.clone());
    let truth = reference.truth(&spot, &item.subject);
    let stratified = reference.stratified(&spot);
    let fits = match result {
        Ok(outcome) => match (&outcome.decision, &truth) {
            (Decision::Allowed, Truth::True) | (Decision::Denied, Truth::False) => true,
            // Without strata the reference may be right about a value and not about all that it hangs on.
            (Decision::Conditional { missing }, Truth::Open(names)) => !stratified || names.iter().eq(missing),
            _ => false,
        },
        Err(CheckError::CycleThroughExclusion { .. }) => !stratified,
        Err(CheckError::Caveat { .. }) => {
            matches!(&truth, Truth::Open(names) if !stratified || names.contains(FAILED))
        }
        Err(_) => false,
    };
    let question = format!("{}#{}@{} in {}", item.resource, item.permission, item.subject, item.context);
    if fits { Ok(()) } else { Err(format!("{question}: engine {result:?}, reference {truth:?}")) }
}

/// An explanation is there where an answer is, says the same, and shows nothing to be allowed for its own sake.
fn judge_explanation(
    item: &CheckItem,
    result: &Result<CheckOutcome, CheckError>,
    explained: &Result<(CheckOutcome, Explanation), CheckError>,
) -> Result<(), String> {
    let (Ok(plain), Ok((outcome, explanation))) = (result, explained) else {
        return if result.is_err() && explained.is_err() {
            Ok(())
        } else {
            Err(format!("{explained:?}, not {result:?}"))
        };
    };
    let standing = match &plain.decision {
        Decision::Allowed => Standing::True,
        Decision::Denied => Standing::False,
        Decision::Conditional { .. } => Standing::Open,
    };
    if outcome.decision != plain.decision || explanation.root.standing != standing {
        return Err(format!("{outcome:?}, not {plain:?}"));
    }
    if explanation.truncated { Ok(()) } else { grounded(&explanation.root, &item.subject, &mut Vec::new()) }
}

/// Whether every path of what is allowed ends at a relationship that names the subject, or at the subject itself.
fn grounded(proof: &Proof, subject: &SubjectRef, path: &mut Vec<Spot>) -> Result<(), String> {
    let spot = (proof.resource.clone(), proof.permission.clone());
    let itself = subject.object == spot.0 && subject.relation.as_ref() == Some(&spot.1);
    if proof.standing != Standing::True || itself {
        return Ok(());
    }
    if path.contains(&spot) {
        return Err(format!("{spot:?} rests on itself"));
    }
    if proof.shown_before {
        return Ok(());
    }
    if proof.is_relation && proof.steps.is_empty() {
        return Err(format!("{spot:?} rests on nothing"));
    }
    path.push(spot);
    for step in proof.steps.iter().filter(|step| !step.excluded) {
        match (&step.tuple, &step.proof) {
            (Some(tuple), _) if tuple.standing != Standing::True => return Err(format!("{tuple:?} does not count")),
            (Some(tuple), None) if tuple.key.subject.object.object_type != subject.object.object_type => {
                return Err(format!("{tuple:?} names somebody else"));
            }
            (_, Some(below)) if below.standing != Standing::True => return Err(format!("{below:?} is not allowed")),
            (_, Some(below)) => grounded(below, subject, path)?,
            (_, None) => {}
        }
    }
    path.pop();
    Ok(())
}

/// Every question under one context, with the reference for it.
fn asked(
    schema: &Schema,
    tuples: &BTreeMap<TupleKey, RawQualifiers>,
    given: &RawContext,
) -> (Reference, Vec<CheckItem>) {
    let universe: BTreeSet<ObjectRef> = OBJECTS.iter().map(|text| object(text)).collect();
    let held: Vec<(TupleKey, Holds)> =
        tuples.iter().filter_map(|(key, raw)| Some((key.clone(), holds(raw, given)?))).collect();
    let items = questions(schema, &universe, &context(&context_json(given)));
    (Reference::new(schema, &held, &universe), items)
}

fn compare(schema: Schema, tuples: &BTreeMap<TupleKey, RawQualifiers>, given: RawContext) -> Result<(), String> {
    let stored = stored(tuples.iter().map(|(key, raw)| Tuple { key: key.clone(), qualifiers: qualifiers(raw) }));
    let (reference, items) = asked(&schema, tuples, &given);
    let (elsewhere, others) = asked(&schema, tuples, &(None, None));
    let plan = Plan::new(Arc::new(schema));
    let (view, budget) = (&*stored, Budget::default());
    let alone = |item: &CheckItem| {
        let circumstances = Circumstances { now: NOW, context: item.context.clone() };
        check(&plan, view, &item.resource, &item.permission, &item.subject, &circumstances, &budget)
    };
    for item in &items {
        let result = alone(item);
        judge(&reference, item, &result)?;
        let explained = explain(&plan, view, item, NOW, &budget, ExplanationRoom { nodes: 10_000, bytes: 1 << 20 });
        judge_explanation(item, &result, &explained).map_err(|error| format!("{item:?}, explained: {error}"))?;
    }
    // Both contexts in one request, and each question in front of as well as behind the others.
    let of_both =
        items.into_iter().map(|item| (&reference, item)).chain(others.into_iter().map(|item| (&elsewhere, item)));
    let answered = of_both.map(|(reference, item)| {
        let answer = alone(&item).ok().map(|outcome| outcome.decision);
        (reference, item, answer)
    });
    let mut answered: Vec<(&Reference, CheckItem, Option<Decision>)> = answered.collect();
    for _ in 0..2 {
        let items: Vec<CheckItem> = answered.iter().map(|(_, item, _)| item.clone()).collect();
        for ((reference, item, alone), result) in answered.iter().zip(check_bulk(&plan, view, &items, NOW, &budget)) {
            judge(reference, item, &result).map_err(|error| format!("in bulk, {error}"))?;
            if *alone != result.as_ref().ok().map(|outcome| outcome.decision.clone()) {
                return Err(format!("{item:?}: {result:?} in bulk, and {alone:?} alone"));
            }
        }
        answered.reverse();
    }
    Ok(())
}

/// Both lookups against the checks that [`compare`] holds against the reference.
fn compare_lookups(
    schema: Schema,
    tuples: &BTreeMap<TupleKey, RawQualifiers>,
    given: &RawContext,
) -> Result<(), String> {
    let stored = stored(tuples.iter().map(|(key, raw)| Tuple { key: key.clone(), qualifiers: qualifiers(raw) }));
    let universe: BTreeSet<ObjectRef> = OBJECTS.iter().map(|text| object(text)).collect();
    let circumstances = Circumstances { now: NOW, context: context(&context_json(given)) };
    let plan = Plan::new(Arc::new(schema));
    World { plan: &plan, view: &*stored, circumstances: &circumstances, universe: &universe }
        .lookups_agree_with_checks()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_reference(case in raw_case()) {
        let schema = schema(&case);
        let tuples = tuples(&case, &schema);
        let shown = tuples.iter().map(|(key, raw)| format!("{key} {:?}", qualifiers(raw))).collect::<Vec<_>>();
        if let Err(error) = compare(schema.clone(), &tuples, case.context) {
            return Err(TestCaseError::fail(format!("{error}\n{schema:#?}\n{shown:#?}")));
        }
    }

    #[test]
    fn the_lookups_agree_with_the_checks(case in raw_case()) {
        let schema = schema(&case);
        let tuples = tuples(&case, &schema);
        let shown = tuples.iter().map(|(key, raw)| format!("{key} {:?}", qualifiers(raw))).collect::<Vec<_>>();
        if let Err(error) = compare_lookups(schema.clone(), &tuples, &case.context) {
            return Err(TestCaseError::fail(format!("{error}\n{schema:#?}\n{shown:#?}")));
        }
    }
}
