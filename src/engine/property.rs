//! The engine against the reference: random schemas, random tuples with cycles, and every question that can be asked.
//!
//! Where the reference has an answer, an answer of the engine is that one. The engine may refuse to answer only where an
//! exclusion stands in a cycle with its right side, and where the reference has no answer it must refuse. Alone or in bulk,
//! in whatever order: each is judged the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::{Decision, ObjectRef, SubjectRef, Tuple, TupleKey};
use crate::schema::{Allowed, AllowedSubject, ArrowKind, Definition, Member, Permission, Relation, Rewrite, Schema};

use super::reference::{Reference, Spot, Truth};
use super::testbed::{object, relation_name, stored, type_name};
use super::{Budget, CheckError, CheckItem, CheckOutcome, Plan, check, check_bulk};

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

#[derive(Debug, Clone)]
enum RawRewrite {
    Nil,
    Computed(Index),
    Arrow(Index, bool),
    Union(Vec<RawRewrite>),
    Intersection(Vec<RawRewrite>),
    Exclusion(Box<RawRewrite>, Box<RawRewrite>),
}

/// A kind of subject: which type, which of its members if any, and whether a wildcard.
type RawKind = (Index, Option<Index>, bool);

/// A tuple: resource, relation, one of the kinds allowed there, object; and whether the kind is to be any other.
type RawTuple = (Index, Index, Index, Index, Option<RawKind>);

#[derive(Debug, Clone)]
struct RawCase {
    allowed: Vec<Vec<RawKind>>,
    rewrites: Vec<RawRewrite>,
    tuples: Vec<RawTuple>,
}

fn raw_rewrite() -> impl Strategy<Value = RawRewrite> {
    let leaf = prop_oneof![
        1 => Just(RawRewrite::Nil),
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

fn raw_case() -> impl Strategy<Value = RawCase> {
    let index = any::<Index>;
    let tuple = (index(), index(), index(), index(), prop::option::weighted(0.05, raw_kind()));
    (
        prop::collection::vec(prop::collection::vec(raw_kind(), 0..3), 4),
        prop::collection::vec(raw_rewrite(), 5),
        prop::collection::vec(tuple, 0..24),
    )
        .prop_map(|(allowed, rewrites, tuples)| RawCase { allowed, rewrites, tuples })
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
    Schema { definitions, ..Schema::default() }
}

fn tuples(case: &RawCase, schema: &Schema) -> Vec<TupleKey> {
    let resources: Vec<ObjectRef> =
        OBJECTS.iter().map(|text| object(text)).filter(|o| o.object_type.as_str() != "user").collect();
    let mut keys = BTreeSet::new();
    for (resource, relation, allowed, subject, other) in &case.tuples {
        let resource = resource.get(&resources).clone();
        let relation = relation_name(pick(relation, &["parent", "viewer"]));
        let Some(Member::Relation(body)) = schema.member(resource.object_type.as_str(), relation.as_str()) else {
            panic!("both are relations on both types");
        };
        let kind = other.as_ref().map_or_else(|| allowed.get(&body.allowed).subject.clone(), |other| kind(other, true));
        let of_type = |name: &crate::model::TypeName| -> ObjectRef {
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
        keys.insert(TupleKey { resource, relation, subject });
    }
    keys.into_iter().collect()
}

/// Every relation and permission of every object for every subject.
fn questions(schema: &Schema, universe: &BTreeSet<ObjectRef>) -> Vec<CheckItem> {
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
    };
    spots.iter().flat_map(|spot| subjects.iter().map(move |subject| item(spot, subject))).collect()
}

/// Whether a result may stand beside the reference.
fn judge(reference: &Reference, item: &CheckItem, result: &Result<CheckOutcome, CheckError>) -> Result<(), String> {
    let spot = (item.resource.clone(), item.permission.clone());
    let truth = reference.truth(&spot, &item.subject);
    let fits = match result {
        Ok(outcome) => match outcome.decision {
            Decision::Allowed => truth == Truth::True,
            Decision::Denied => truth == Truth::False,
            Decision::Conditional { .. } => false,
        },
        Err(CheckError::CycleThroughExclusion { .. }) => !reference.stratified(&spot),
        Err(_) => false,
    };
    let question = format!("{}#{}@{}", item.resource, item.permission, item.subject);
    if fits { Ok(()) } else { Err(format!("{question}: engine {result:?}, reference {truth:?}")) }
}

fn compare(schema: Schema, tuples: Vec<TupleKey>) -> Result<(), String> {
    let universe: BTreeSet<ObjectRef> = OBJECTS.iter().map(|text| object(text)).collect();
    let reference = Reference::new(&schema, &tuples, &universe);
    let view = stored(tuples.into_iter().map(Tuple::unqualified));
    let mut items = questions(&schema, &universe);
    let plan = Plan::new(Arc::new(schema));
    let budget = Budget::default();
    for item in &items {
        let result = check(&plan, &*view, &item.resource, &item.permission, &item.subject, &budget);
        judge(&reference, item, &result)?;
    }
    for _ in 0..2 {
        for (item, result) in items.iter().zip(check_bulk(&plan, &*view, &items, &budget)) {
            judge(&reference, item, &result).map_err(|error| format!("in bulk, {error}"))?;
        }
        items.reverse();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_reference(case in raw_case()) {
        let schema = schema(&case);
        let tuples = tuples(&case, &schema);
        let shown = tuples.iter().map(ToString::to_string).collect::<Vec<_>>();
        if let Err(error) = compare(schema.clone(), tuples) {
            return Err(TestCaseError::fail(format!("{error}\n{schema:#?}\n{shown:#?}")));
        }
    }
}
