//! What the clients ask for: schemas that replace each other, changes with and without a key, questions.

use quorate::caveat::Context;
use quorate::model::{
    CaveatUse, IdempotencyKey, ObjectId, ObjectRef, Precondition, PreconditionKind, Qualifiers, RelationName,
    SubjectFilter, SubjectRef, SubjectRelationFilter, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName,
    UpdateKind,
};
use quorate::service::{CheckItem, DeleteTuples, WriteSchema, WriteTuples};
use rand::RngExt;
use rand::rngs::StdRng;

/// Users, and documents.
const EACH: u32 = 3;
/// What `permission view` is where whoever is banned cannot view.
pub const WITHOUT_BANNED: &str = "viewer - banned";

/// The schemas that replace each other: the subjects of `viewer`, whether there is `banned`, and what `view` is.
const SCHEMAS: [(&str, bool, &str); 4] = [
    ("user | user with on_day | user with expiration", true, "viewer"),
    ("user | user with on_day | user with expiration", true, WITHOUT_BANNED),
    ("user | user with on_day | user with expiration", false, "viewer"),
    ("user | user with on_day", true, WITHOUT_BANNED),
];

/// One change, whole: sent again, it is the same request.
#[derive(Debug, Clone)]
pub enum Ask {
    Write(WriteTuples),
    Delete(DeleteTuples),
    Schema(WriteSchema),
}

impl Ask {
    pub fn key(&self) -> Option<&IdempotencyKey> {
        match self {
            Self::Write(write) => write.key.as_ref(),
            Self::Delete(delete) => delete.key.as_ref(),
            Self::Schema(schema) => schema.key.as_ref(),
        }
    }

    pub fn with_key(mut self, key: Option<IdempotencyKey>) -> Self {
        match &mut self {
            Self::Write(write) => write.key = key,
            Self::Delete(delete) => delete.key = key,
            Self::Schema(schema) => schema.key = key,
        }
        self
    }
}

/// A check: of `view` on a document for a user, on a day or without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub document: u32,
    pub user: u32,
    pub today: Option<i64>,
}

impl Question {
    pub fn any(rng: &mut StdRng) -> Self {
        let today = rng.random_bool(0.8).then(|| rng.random_range(0..2));
        Self { document: rng.random_range(0..EACH), user: rng.random_range(0..EACH), today }
    }

    pub fn tuple(&self, relation: &str) -> TupleKey {
        key(self.document, relation, self.user)
    }

    pub fn item(&self) -> CheckItem {
        let TupleKey { resource, relation: _, subject } = self.tuple("viewer");
        let context = self.today.map(|day| format!("{{\"today\":{day}}}"));
        let context = context.map_or_else(Context::default, |text| Context::from_json_text(&text).expect("valid"));
        CheckItem { resource, permission: RelationName::new("view").expect("valid"), subject, context }
    }
}

fn key(document: u32, relation: &str, user: u32) -> TupleKey {
    TupleKey {
        resource: ObjectRef::new("document", &format!("d{document}")).expect("valid"),
        relation: RelationName::new(relation).expect("valid"),
        subject: SubjectRef::new("user", &format!("u{user}"), "").expect("valid"),
    }
}

/// The number that a change was given: in its metadata, or in the schema's last line.
pub fn op_of(text: &str) -> Option<u64> {
    let number = text.strip_prefix("{\"op\":").and_then(|rest| rest.strip_suffix('}'));
    number.or_else(|| text.rsplit_once("// op ").map(|(_, number)| number))?.parse().ok()
}

fn mark(op: u64) -> String {
    format!("{{\"op\":{op}}}")
}

/// One of the schemas.
pub fn schema(number: usize, op: u64) -> Ask {
    let (viewers, banned, view) = SCHEMAS[number];
    let banned = if banned { "relation banned: user\n" } else { "" };
    let text = format!(
        "use expiration\ndefinition user {{}}\ncaveat on_day(day int, today int) {{ day == today }}\ndefinition document {{\n\
         relation viewer: {viewers}\n{banned}permission view = {view}\n}}\n// op {op}"
    );
    Ask::Schema(WriteSchema { text, key: None })
}

/// Any change, numbered `op`, where the cluster's time is about `time`.
pub fn any_change(rng: &mut StdRng, op: u64, time: u64) -> Ask {
    let ask = match rng.random_range(0..100) {
        0..4 => schema(rng.random_range(0..SCHEMAS.len()), op),
        4..16 => Ask::Delete(any_delete(rng, op)),
        _ => Ask::Write(any_write(rng, op, time)),
    };
    let key = rng.random_bool(0.5).then(|| IdempotencyKey::new(&format!("key-{op}")).expect("valid"));
    ask.with_key(key)
}

fn any_relation(rng: &mut StdRng) -> &'static str {
    if rng.random_bool(0.75) { "viewer" } else { "banned" }
}

fn any_key(rng: &mut StdRng) -> TupleKey {
    key(rng.random_range(0..EACH), any_relation(rng), rng.random_range(0..EACH))
}

fn any_qualifiers(rng: &mut StdRng, time: u64) -> Qualifiers {
    let mut qualifiers = Qualifiers::default();
    match rng.random_range(0..10) {
        0..2 => {
            let day = rng.random_bool(0.8).then(|| rng.random_range(0..2));
            let context_json = day.map_or_else(String::new, |day| format!("{{\"day\":{day}}}"));
            qualifiers.caveat = Some(CaveatUse { name: "on_day".into(), context_json });
        }
        2..5 => qualifiers.expires_at = Some(TimestampMs((time + rng.random_range(0..4000)).saturating_sub(300))),
        _ => {}
    }
    qualifiers
}

fn any_write(rng: &mut StdRng, op: u64, time: u64) -> WriteTuples {
    const KINDS: [UpdateKind; 5] =
        [UpdateKind::Create, UpdateKind::Touch, UpdateKind::Touch, UpdateKind::Delete, UpdateKind::Delete];
    let mut updates: Vec<TupleUpdate> = Vec::new();
    for _ in 0..rng.random_range(1..=3) {
        let (key, kind) = (any_key(rng), KINDS[rng.random_range(0..KINDS.len())]);
        let qualified = kind != UpdateKind::Delete && key.relation.as_str() == "viewer";
        let qualifiers = if qualified { any_qualifiers(rng, time) } else { Qualifiers::default() };
        if updates.iter().all(|update| update.tuple.key != key) {
            updates.push(TupleUpdate { kind, tuple: Tuple { key, qualifiers } });
        }
    }
    let preconditions = any_preconditions(rng);
    WriteTuples { updates, preconditions, metadata_json: mark(op), key: None }
}

fn any_delete(rng: &mut StdRng, op: u64) -> DeleteTuples {
    let key = any_key(rng);
    let mut filter = filter_of(&key);
    // A limit makes the order matter, and only that of one resource's tuples is simple.
    let limit = if rng.random_bool(0.4) { rng.random_range(1..3) } else { 0 };
    if limit > 0 || rng.random_bool(0.7) {
        filter.subject = None;
    }
    if rng.random_bool(0.3) {
        filter.relation = None;
    }
    if limit == 0 && rng.random_bool(0.2) {
        filter.resource_id = None;
    }
    let (preconditions, allow_partial) = (any_preconditions(rng), rng.random_bool(0.5));
    DeleteTuples { filter, preconditions, limit, allow_partial, metadata_json: mark(op), key: None }
}

fn any_preconditions(rng: &mut StdRng) -> Vec<Precondition> {
    if rng.random_bool(0.75) {
        return Vec::new();
    }
    let kind = if rng.random_bool(0.5) { PreconditionKind::MustMatch } else { PreconditionKind::MustNotMatch };
    let mut filter = filter_of(&any_key(rng));
    if rng.random_bool(0.5) {
        filter.subject = None;
    }
    vec![Precondition { kind, filter }]
}

/// Exactly the tuple of `key`.
fn filter_of(key: &TupleKey) -> TupleFilter {
    TupleFilter {
        resource_type: Some(TypeName::new("document").expect("valid")),
        resource_id: Some(ObjectId::new(key.resource.object_id.as_str()).expect("valid")),
        relation: Some(key.relation.clone()),
        subject: Some(SubjectFilter {
            subject_type: TypeName::new("user").expect("valid"),
            subject_id: Some(ObjectId::new(key.subject.object.object_id.as_str()).expect("valid")),
            relation: SubjectRelationFilter::Any,
        }),
        ..TupleFilter::default()
    }
}

/// All tuples of a relation on documents.
pub fn filter_of_relation(relation: &str) -> TupleFilter {
    TupleFilter {
        resource_type: Some(TypeName::new("document").expect("valid")),
        relation: Some(RelationName::new(relation).expect("valid")),
        ..TupleFilter::default()
    }
}
