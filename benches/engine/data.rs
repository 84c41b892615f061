//! A world of one schema: documents with direct viewers, chains of groups, a wide document, and one with set algebra.

use std::path::Path;
use std::sync::Arc;

use quorate::engine::Plan;
use quorate::model::{ObjectRef, Qualifiers, RelationName, Revision, StoreId, SubjectRef, Tuple, TupleKey};
use quorate::schema::spicedb;
use quorate::store::{ReadView, RocksStore, StateBatch, StateStore, StoreOptions};

/// Documents with direct viewers, and viewers of each: together most of the data.
pub(crate) const DOCUMENTS: u64 = 20_000;
pub(crate) const VIEWERS: u64 = 10;
/// Groups in groups.
pub(crate) const DEEPEST: u64 = 24;
/// Viewers of the wide document; documents that one user may view; users who may view one document.
pub(crate) const WIDE: u64 = 1000;
const BATCH: usize = 1000;

pub(crate) const SCHEMA: &str = "
definition user {}
definition group { relation member: user | group#member }
definition org { relation member: user }
definition doc {
    relation org: org
    relation viewer: user | group#member
    relation editor: user
    relation banned: user
    permission view = viewer + editor
    permission edit = editor & org->member
    permission read = view - banned
}
";

pub(crate) fn object(object_type: &str, id: &str) -> ObjectRef {
    ObjectRef::new(object_type, id).expect("a valid name")
}

pub(crate) fn relation(name: &str) -> RelationName {
    RelationName::new(name).expect("a valid name")
}

pub(crate) fn user(id: &str) -> SubjectRef {
    SubjectRef::new("user", id, "").expect("a valid name")
}

/// `resource#name@subject`.
pub(crate) fn tuple(resource: ObjectRef, name: &str, subject: SubjectRef) -> Tuple {
    Tuple { key: TupleKey { resource, relation: relation(name), subject }, qualifiers: Qualifiers::default() }
}

/// The viewer of a flat document, or with `off` 1 somebody who is none.
pub(crate) fn flat_user(document: u64, viewer: u64, off: u64) -> String {
    let stride = DOCUMENTS / VIEWERS;
    format!("u{}", (document * 7919 + viewer * stride + off) % DOCUMENTS)
}

fn tuples() -> impl Iterator<Item = Tuple> {
    let doc = |id: &str| object("doc", id);
    let group = |id: &str| SubjectRef::new("group", id, "member").expect("a valid name");
    let flat = (0..DOCUMENTS * VIEWERS).map(move |at| {
        let (document, viewer) = (at / VIEWERS, at % VIEWERS);
        tuple(doc(&format!("f{document}")), "viewer", user(&flat_user(document, viewer, 0)))
    });
    let chain = (1..DEEPEST)
        .map(move |level| tuple(object("group", &format!("g{}", level + 1)), "member", group(&format!("g{level}"))));
    let ends = [
        tuple(object("group", "g1"), "member", user("deep")),
        tuple(doc("algebra"), "org", SubjectRef::new("org", "o", "").expect("a valid name")),
        tuple(object("org", "o"), "member", user("insider")),
        tuple(doc("algebra"), "editor", user("insider")),
        tuple(doc("algebra"), "viewer", user("barred")),
        tuple(doc("algebra"), "banned", user("barred")),
    ];
    let hung = (1..=DEEPEST).map(move |depth| tuple(doc(&format!("d{depth}")), "viewer", group(&format!("g{depth}"))));
    let wide = (0..WIDE).map(move |at| tuple(doc("wide"), "viewer", user(&format!("wide{at}"))));
    let many = (0..WIDE).map(move |at| tuple(doc(&format!("many{at}")), "viewer", user("many")));
    flat.chain(chain).chain(ends).chain(hung).chain(wide).chain(many)
}

/// The data in a durable store, and the plan of its schema.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) view: Arc<dyn ReadView>,
}

/// A store in `folder` with all of it.
pub(crate) fn world(folder: &Path) -> World {
    let store = RocksStore::open(folder, StoreOptions::default()).expect("an empty folder");
    let all: Vec<Tuple> = tuples().collect();
    let mut revision = Revision::new(1);
    for part in all.chunks(BATCH) {
        put(&store, revision, part);
        revision = Revision::new(revision.index() + 1);
    }
    let last = Revision::new(revision.index() - 1);
    let view = store.view(StoreId::DEFAULT, last).expect("it was applied");
    let schema = spicedb::parse(SCHEMA).expect("a valid schema");
    World { plan: Plan::new(Arc::new(schema)), view }
}

/// One batch, as the log is applied.
pub(crate) fn put(store: &RocksStore, at: Revision, tuples: &[Tuple]) {
    let mut batch = store.batch();
    for tuple in tuples {
        batch.put(StoreId::DEFAULT, at, tuple).expect("the disk works");
    }
    batch.commit(at).expect("the disk works");
}
