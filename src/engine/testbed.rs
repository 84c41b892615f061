//! Schemas, tuples and views for the tests of the engine, short enough to be read at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::caveat::{Caveat, Context, ParameterType};
use crate::model::{
    CaveatName, CaveatUse, Counter, Decision, IdempotencyKey, ObjectId, ObjectRef, Qualifiers, RelationName, Revision,
    StoreId, SubjectRef, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TypeName,
};
use crate::schema::{Allowed, AllowedSubject, ArrowKind, Definition, Member, Permission, Relation, Rewrite, Schema};
use crate::store::{
    MemoryStore, ReadView, RequestRecord, StateBatch, StateStore, StoreError, StoredSchema, SubjectRow, TupleRow,
};

use super::{Budget, CheckError, CheckItem, CheckOutcome, Circumstances, Plan, check, check_bulk};

pub(super) fn type_name(text: &str) -> TypeName {
    TypeName::new(text).unwrap()
}

pub(super) fn relation_name(text: &str) -> RelationName {
    RelationName::new(text).unwrap()
}

/// `type:id`.
pub(super) fn object(text: &str) -> ObjectRef {
    let (object_type, id) = text.split_once(':').unwrap();
    ObjectRef::new(object_type, id).unwrap()
}

/// `type:id` or `type:id#relation`.
pub(super) fn subject(text: &str) -> SubjectRef {
    let (object_text, relation) = text.split_once('#').unwrap_or((text, ""));
    SubjectRef { object: object(object_text), relation: (!relation.is_empty()).then(|| relation_name(relation)) }
}

/// `resource#relation@subject`, then optionally `with CAVEAT`, `with CAVEAT {CONTEXT}` and `until MILLISECONDS`.
pub(super) fn qualified(text: &str) -> Tuple {
    let (text, expires_at) = match text.rsplit_once(" until ") {
        Some((text, millis)) => (text, Some(TimestampMs(millis.parse().unwrap()))),
        None => (text, None),
    };
    let (text, caveat) = match text.split_once(" with ") {
        Some((text, caveat)) => {
            let (name, context) = caveat.split_once(' ').unwrap_or((caveat, ""));
            (text, Some(CaveatUse { name: name.into(), context_json: context.into() }))
        }
        None => (text, None),
    };
    Tuple { key: tuple(text), qualifiers: Qualifiers { caveat, expires_at } }
}

/// A context as JSON.
pub(super) fn context(json: &str) -> Context {
    Context::from_json_text(json).unwrap()
}

/// A caveat of parameters that are all `bool`, or `int` where their names are one letter from `i` to `n`.
pub(super) fn caveat(name: &str, parameters: &str, expression: &str) -> Arc<Caveat> {
    let parameters = parameters.split_whitespace().map(|name| {
        let kind = if ("i"..="n").contains(&name) { ParameterType::Int } else { ParameterType::Bool };
        (name.to_owned(), kind)
    });
    let name = CaveatName::new(name).unwrap();
    Arc::new(Caveat::compile(&name, &parameters.collect(), expression).unwrap())
}

/// `resource#relation@subject`.
pub(super) fn tuple(text: &str) -> TupleKey {
    let (left, right) = text.split_once('@').unwrap();
    let (resource, relation) = left.split_once('#').unwrap();
    TupleKey { resource: object(resource), relation: relation_name(relation), subject: subject(right) }
}

pub(super) fn computed(name: &str) -> Rewrite {
    Rewrite::Computed(relation_name(name))
}

/// `tupleset->target`.
pub(super) fn any(tupleset: &str, target: &str) -> Rewrite {
    Rewrite::Arrow { tupleset: relation_name(tupleset), target: relation_name(target), kind: ArrowKind::Any }
}

/// `tupleset.all(target)`.
pub(super) fn all(tupleset: &str, target: &str) -> Rewrite {
    Rewrite::Arrow { tupleset: relation_name(tupleset), target: relation_name(target), kind: ArrowKind::All }
}

pub(super) fn or<const N: usize>(operands: [Rewrite; N]) -> Rewrite {
    Rewrite::Union(operands.into())
}

pub(super) fn and<const N: usize>(operands: [Rewrite; N]) -> Rewrite {
    Rewrite::Intersection(operands.into())
}

pub(super) fn minus(left: Rewrite, right: Rewrite) -> Rewrite {
    Rewrite::Exclusion(Box::new(left), Box::new(right))
}

/// A schema under construction; members go to the definition that was begun last.
pub(super) struct SchemaText {
    schema: Schema,
    current: TypeName,
}

impl SchemaText {
    /// With a type `user` that has no members.
    pub(super) fn with_users() -> Self {
        Self { schema: Schema::default(), current: type_name("user") }.definition("user")
    }

    pub(super) fn definition(mut self, name: &str) -> Self {
        self.current = type_name(name);
        let definition = Definition { name: self.current.clone(), members: BTreeMap::new() };
        self.schema.definitions.insert(self.current.clone(), definition);
        self
    }

    /// `allowed` holds `type`, `type:*` and `type#relation`, divided by spaces.
    pub(super) fn relation(self, name: &str, allowed: &str) -> Self {
        let allowed = allowed
            .split_whitespace()
            .map(|kind| match (kind.strip_suffix(":*"), kind.split_once('#')) {
                (Some(object_type), _) => AllowedSubject::Wildcard(type_name(object_type)),
                (None, Some((object_type, member))) => {
                    AllowedSubject::Userset(type_name(object_type), relation_name(member))
                }
                (None, None) => AllowedSubject::Direct(type_name(kind)),
            })
            .map(Allowed::plain)
            .collect();
        self.member(name, Member::Relation(Relation { allowed }))
    }

    /// For parameters see [`caveat`].
    pub(super) fn caveat(mut self, name: &str, parameters: &str, expression: &str) -> Self {
        self.schema.caveats.insert(CaveatName::new(name).unwrap(), caveat(name, parameters, expression));
        self
    }

    pub(super) fn permission(self, name: &str, rewrite: Rewrite) -> Self {
        self.member(name, Member::Permission(Permission { rewrite }))
    }

    fn member(mut self, name: &str, member: Member) -> Self {
        let definition = self.schema.definitions.get_mut(&self.current).unwrap();
        definition.members.insert(relation_name(name), member);
        self
    }

    pub(super) fn done(self) -> Arc<Schema> {
        Arc::new(self.schema)
    }
}

/// Groups in groups.
pub(super) fn groups() -> SchemaText {
    SchemaText::with_users().definition("group").relation("member", "user group#member")
}

/// Folders in folders, seen by viewers who are not banned there.
pub(super) fn guarded_folders() -> SchemaText {
    SchemaText::with_users()
        .definition("folder")
        .relation("parent", "folder")
        .relation("viewer", "user")
        .relation("banned", "user")
        .permission("view", minus(or([computed("viewer"), any("parent", "view")]), computed("banned")))
}

/// A view of the memory store that shows `tuples`.
pub(super) fn stored(tuples: impl IntoIterator<Item = Tuple>) -> Arc<dyn ReadView> {
    let store = MemoryStore::new();
    let at = Revision::new(1);
    let mut batch = store.batch();
    for tuple in tuples {
        batch.put(StoreId::DEFAULT, at, &tuple).unwrap();
    }
    batch.commit(at).unwrap();
    store.view(StoreId::DEFAULT, at).unwrap()
}

/// A plan and a view to ask.
pub(super) struct Bench {
    pub(super) plan: Plan,
    pub(super) view: Arc<dyn ReadView>,
    pub(super) circumstances: Circumstances,
    pub(super) budget: Budget,
}

impl Bench {
    pub(super) fn new(schema: SchemaText, tuples: &[&str]) -> Self {
        let view = stored(tuples.iter().map(|text| qualified(text)));
        Self::of(schema, view)
    }

    /// Over many tuples, which the memory store is too simple for.
    pub(super) fn large(schema: SchemaText, tuples: impl IntoIterator<Item = String>) -> Self {
        Self::of(schema, Arc::new(SortedView::new(tuples.into_iter().map(|text| tuple(&text)))))
    }

    fn of(schema: SchemaText, view: Arc<dyn ReadView>) -> Self {
        let circumstances = Circumstances::default();
        Self { plan: Plan::new(schema.done()), view, circumstances, budget: Budget::default() }
    }

    /// The same at another time and in another context.
    pub(super) fn under(mut self, now: u64, json: &str) -> Self {
        self.circumstances = Circumstances { now: TimestampMs(now), context: context(json) };
        self
    }

    /// `resource#permission@subject`: whether it is allowed. Panics on what is conditional.
    pub(super) fn ask(&self, question: &str) -> Result<bool, CheckError> {
        self.cost(question).map(|(allowed, _)| allowed)
    }

    /// The decision: `allowed`, `denied`, or the missing parameters.
    pub(super) fn decide(&self, question: &str) -> Result<String, CheckError> {
        Ok(match self.outcome(question)?.decision {
            Decision::Allowed => "allowed".into(),
            Decision::Denied => "denied".into(),
            Decision::Conditional { missing } => missing.join(" "),
        })
    }

    pub(super) fn outcome(&self, question: &str) -> Result<CheckOutcome, CheckError> {
        let TupleKey { resource, relation, subject } = tuple(question);
        check(&self.plan, &*self.view, &resource, &relation, &subject, &self.circumstances, &self.budget)
    }

    /// The same with the number of reads.
    pub(super) fn cost(&self, question: &str) -> Result<(bool, u64), CheckError> {
        let outcome = self.outcome(question)?;
        Ok((is_allowed(outcome.decision), outcome.reads))
    }

    pub(super) fn ask_bulk(&self, questions: &[&str]) -> Vec<Result<bool, CheckError>> {
        let items: Vec<CheckItem> = questions
            .iter()
            .map(|text| {
                let TupleKey { resource, relation, subject } = tuple(text);
                CheckItem { resource, permission: relation, subject, context: self.circumstances.context.clone() }
            })
            .collect();
        let results = check_bulk(&self.plan, &*self.view, &items, self.circumstances.now, &self.budget);
        results.into_iter().map(|result| result.map(|outcome| is_allowed(outcome.decision))).collect()
    }

    /// Each question with its answer as [`Bench::decide`] gives it.
    #[track_caller]
    pub(super) fn expect_decisions(&self, cases: &[(&str, &str)]) {
        for (question, expected) in cases {
            assert_eq!(self.decide(question).unwrap(), *expected, "{question}");
        }
    }

    #[track_caller]
    pub(super) fn expect(&self, cases: &[(&str, bool)]) {
        for (question, allowed) in cases {
            assert_eq!(self.ask(question).unwrap(), *allowed, "{question}");
        }
    }
}

fn is_allowed(decision: Decision) -> bool {
    match decision {
        Decision::Allowed => true,
        Decision::Denied => false,
        Decision::Conditional { missing } => panic!("is conditional on {missing:?}"),
    }
}

/// Unqualified tuples in order: finds the subjects of a resource and the resources of a subject without looking at all others.
struct SortedView {
    tuples: BTreeMap<(ObjectRef, RelationName), BTreeSet<SubjectRef>>,
    by_subject: BTreeMap<(SubjectRef, TypeName, RelationName), BTreeSet<ObjectId>>,
}

impl SortedView {
    fn new(tuples: impl Iterator<Item = TupleKey>) -> Self {
        let mut sorted = Self { tuples: BTreeMap::new(), by_subject: BTreeMap::new() };
        for TupleKey { resource, relation, subject } in tuples {
            let named = (subject.clone(), resource.object_type.clone(), relation.clone());
            sorted.by_subject.entry(named).or_default().insert(resource.object_id.clone());
            sorted.tuples.entry((resource, relation)).or_default().insert(subject);
        }
        sorted
    }

    fn of(&self, resource: &ObjectRef, relation: &RelationName) -> impl Iterator<Item = &SubjectRef> {
        self.tuples.get(&(resource.clone(), relation.clone())).into_iter().flatten()
    }
}

impl ReadView for SortedView {
    fn revision(&self) -> Revision {
        Revision::new(1)
    }

    fn lookup(&self, key: &TupleKey) -> Result<Option<Qualifiers>, StoreError> {
        let subjects = self.tuples.get(&(key.resource.clone(), key.relation.clone()));
        Ok(subjects.filter(|subjects| subjects.contains(&key.subject)).map(|_| Qualifiers::default()))
    }

    fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &RelationName,
        visit: &mut dyn FnMut(SubjectRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let qualifiers = Qualifiers::default();
        for subject in self.of(resource, relation) {
            let row = SubjectRow {
                subject_type: subject.object.object_type.as_str(),
                subject_id: subject.object.object_id.as_str(),
                subject_relation: subject.relation.as_ref().map(RelationName::as_str),
                qualifiers: &qualifiers,
            };
            if visit(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan_some(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        _: usize,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<Option<TupleKey>, StoreError> {
        let object_type = filter.resource_type.clone().expect("the engine scans one type of resource");
        let relation = filter.relation.clone().expect("the engine scans one relation");
        let key = |object_id: &ObjectId, subject: &SubjectRef| TupleKey {
            resource: ObjectRef { object_type: object_type.clone(), object_id: object_id.clone() },
            relation: relation.clone(),
            subject: subject.clone(),
        };
        let found: Box<dyn Iterator<Item = TupleKey>> = if let Some(object_id) = &filter.resource_id {
            let resource = ObjectRef { object_type: object_type.clone(), object_id: object_id.clone() };
            let begin = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.subject));
            let subjects = self.tuples.get(&(resource, relation.clone()));
            let subjects = subjects.into_iter().flat_map(move |set| set.range((begin, Bound::Unbounded)));
            Box::new(subjects.map(|subject| key(object_id, subject)))
        } else {
            let subject = filter.subject.as_ref().expect("the engine scans one resource or one subject");
            let object_id = subject.subject_id.clone().expect("the engine scans one resource or one subject");
            let subject_relation = match &subject.relation {
                SubjectRelationFilter::Direct => None,
                SubjectRelationFilter::Relation(name) => Some(name.clone()),
                other => panic!("the engine scans one subject, not {other:?}"),
            };
            let object = ObjectRef { object_type: subject.subject_type.clone(), object_id };
            let subject = SubjectRef { object, relation: subject_relation };
            let begin = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.resource.object_id));
            let objects = self.by_subject.get(&(subject.clone(), object_type.clone(), relation.clone()));
            let objects = objects.into_iter().flat_map(move |set| set.range::<ObjectId, _>((begin, Bound::Unbounded)));
            Box::new(objects.map(move |object_id| key(object_id, &subject)))
        };
        for key in found.filter(|key| filter.matches(key)) {
            if visit(TupleRow { tuple: Tuple::unqualified(key), written_at: self.revision() }).is_break() {
                break;
            }
        }
        Ok(None)
    }

    fn schema(&self) -> Result<Option<StoredSchema>, StoreError> {
        Ok(None)
    }

    fn schema_revision(&self) -> Result<Option<Revision>, StoreError> {
        Ok(None)
    }

    fn counters(&self) -> Result<Vec<Counter>, StoreError> {
        Ok(Vec::new())
    }

    fn request(&self, _: &IdempotencyKey) -> Result<Option<RequestRecord>, StoreError> {
        Ok(None)
    }
}
