//! Schemas, tuples and views for the tests of the engine, short enough to be read at a glance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::model::{
    ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectRef, Tuple, TupleFilter, TupleKey, TypeName,
};
use crate::schema::{Allowed, AllowedSubject, ArrowKind, Definition, Member, Permission, Relation, Rewrite, Schema};
use crate::store::{MemoryStore, ReadView, StateBatch, StateStore, StoreError, StoredSchema, SubjectRow, TupleRow};

use super::{Budget, CheckError, CheckItem, Plan, check, check_bulk};
use crate::model::Decision;

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
    pub(super) budget: Budget,
}

impl Bench {
    pub(super) fn new(schema: SchemaText, tuples: &[&str]) -> Self {
        let view = stored(tuples.iter().map(|text| Tuple::unqualified(tuple(text))));
        Self { plan: Plan::new(schema.done()), view, budget: Budget::default() }
    }

    /// Over many tuples, which the memory store is too simple for.
    pub(super) fn large(schema: SchemaText, tuples: impl IntoIterator<Item = String>) -> Self {
        let view = Arc::new(SortedView::new(tuples.into_iter().map(|text| tuple(&text))));
        Self { plan: Plan::new(schema.done()), view, budget: Budget::default() }
    }

    /// `resource#permission@subject`: whether it is allowed.
    pub(super) fn ask(&self, question: &str) -> Result<bool, CheckError> {
        self.cost(question).map(|(allowed, _)| allowed)
    }

    /// The same with the number of reads.
    pub(super) fn cost(&self, question: &str) -> Result<(bool, u64), CheckError> {
        let TupleKey { resource, relation, subject } = tuple(question);
        let outcome = check(&self.plan, &*self.view, &resource, &relation, &subject, &self.budget)?;
        Ok((outcome.decision == Decision::Allowed, outcome.reads))
    }

    pub(super) fn ask_bulk(&self, questions: &[&str]) -> Vec<Result<bool, CheckError>> {
        let items: Vec<CheckItem> = questions
            .iter()
            .map(|text| {
                let TupleKey { resource, relation, subject } = tuple(text);
                CheckItem { resource, permission: relation, subject }
            })
            .collect();
        let results = check_bulk(&self.plan, &*self.view, &items, &self.budget);
        results.into_iter().map(|result| result.map(|outcome| outcome.decision == Decision::Allowed)).collect()
    }

    #[track_caller]
    pub(super) fn expect(&self, cases: &[(&str, bool)]) {
        for (question, allowed) in cases {
            assert_eq!(self.ask(question).unwrap(), *allowed, "{question}");
        }
    }
}

/// Unqualified tuples in order: finds the subjects of a resource without looking at all others.
struct SortedView {
    tuples: BTreeMap<(ObjectRef, RelationName), BTreeSet<SubjectRef>>,
}

impl SortedView {
    fn new(tuples: impl Iterator<Item = TupleKey>) -> Self {
        let mut sorted: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for key in tuples {
            sorted.entry((key.resource, key.relation)).or_default().insert(key.subject);
        }
        Self { tuples: sorted }
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

    fn scan(
        &self,
        filter: &TupleFilter,
        after: Option<&TupleKey>,
        visit: &mut dyn FnMut(TupleRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let object_type = filter.resource_type.clone().expect("the engine scans one resource");
        let object_id = filter.resource_id.clone().expect("the engine scans one resource");
        let relation = filter.relation.clone().expect("the engine scans one relation");
        assert!(after.is_none(), "the engine scans from the beginning");
        let resource = ObjectRef { object_type, object_id };
        for subject in self.of(&resource, &relation) {
            let key = TupleKey { resource: resource.clone(), relation: relation.clone(), subject: subject.clone() };
            if filter.matches(&key, &Qualifiers::default())
                && visit(TupleRow { tuple: Tuple::unqualified(key), written_at: self.revision() }).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn schema(&self) -> Result<Option<StoredSchema>, StoreError> {
        Ok(None)
    }
}
