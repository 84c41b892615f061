//! Apply on both stores: the same log gives the same outcomes, the same state and the same hash chain, however it was cut
//! into calls, and each kind of command does what it says.

mod cluster;

mod requests;

mod settings;

use std::ops::ControlFlow;
use std::sync::Arc;

use openraft::EntryPayload;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;
use proptest::prelude::*;

use super::{AppliedState, Applier, Apply, ApplyError, ClusterSettings, FloorTable};
use crate::model::{
    Counter, CounterName, Floor, IdempotencyKey, Locality, ObjectRef, PlaceName, Precondition, PreconditionKind,
    Qualifiers, RelationName, Revision, StoreId, SubjectRef, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate,
    TypeName, UpdateKind, limits,
};
use crate::raft::types::{Entry, LogId};
use crate::raft::{
    Applied, ChangeCounter, Command, CommandBody, DeleteTuples, FeatureLevel, KeyedRequest, NodeAddress, Outcome,
    RaiseLevel, Refusal, SetFloors, SupportedLevels, WriteSchema, WriteTuples,
};
use crate::store::{
    ChangeRecord, Collector, MemoryStore, MetaKey, RequestRecord, RocksStore, StateBatch, StateStore, StoreOptions,
    TupleRow,
};

use cluster::{home, raise};
use settings::{count, floor, watermark};

const STORE: StoreId = StoreId::DEFAULT;

fn key(resource: u8, subject: u8) -> TupleKey {
    TupleKey {
        resource: ObjectRef::new("document", &format!("d{resource}")).unwrap(),
        relation: RelationName::new("viewer").unwrap(),
        subject: SubjectRef::new("user", &format!("u{subject}"), "").unwrap(),
    }
}

fn on_document(resource: u8) -> TupleFilter {
    TupleFilter { resource_id: Some(key(resource, 0).resource.object_id), ..TupleFilter::default() }
}

fn entry(index: u64, body: CommandBody) -> Entry {
    // Leader times that go back and forth: apply must not care.
    let proposed_at = TimestampMs(1000 + index * 7 % 5);
    let command = Command { op_id: u128::from(index), proposed_at, body: Arc::new(body) };
    let leader_id = LeaderId::new(1, 1).to_committed();
    Entry { log_id: LogId { leader_id, index }, payload: EntryPayload::Normal(command) }
}

fn write(schema: u64, preconditions: Vec<Precondition>, updates: Vec<(UpdateKind, TupleKey)>) -> CommandBody {
    let update = |(kind, key)| TupleUpdate { kind, tuple: Tuple::unqualified(key) };
    CommandBody::WriteTuples(WriteTuples {
        store: STORE,
        schema_revision: Revision::new(schema),
        preconditions,
        updates: updates.into_iter().map(update).collect(),
        metadata_json: String::new(),
        request: None,
    })
}

fn delete(resource: u8, limit: u64, allow_partial: bool) -> CommandBody {
    let (filter, preconditions) = (on_document(resource), Vec::new());
    let (metadata_json, request) = (String::new(), None);
    CommandBody::DeleteTuples(DeleteTuples {
        store: STORE,
        preconditions,
        filter,
        limit,
        allow_partial,
        metadata_json,
        request,
    })
}

/// A change that was judged where nothing is yet, so that apply judges all of it.
fn schema(replaces: Option<u64>, orphan_guards: Vec<TupleFilter>) -> CommandBody {
    judged(0, 0, replaces, orphan_guards)
}

fn judged(at: u64, expired_by: u64, replaces: Option<u64>, orphan_guards: Vec<TupleFilter>) -> CommandBody {
    let (replaces, text) = (replaces.map(Revision::new), "definition user {}".to_owned());
    let (judged_at, expired_by) = (Revision::new(at), TimestampMs(expired_by));
    CommandBody::WriteSchema(WriteSchema {
        store: STORE,
        replaces,
        orphan_guards,
        judged_at,
        expired_by,
        text,
        request: None,
    })
}

/// Everything a reader could see, and everything replicated beside it.
#[derive(Debug, PartialEq)]
struct Dump {
    tuples: Vec<TupleRow>,
    changes: Vec<(Revision, ChangeRecord)>,
    record: Option<Vec<u8>>,
    oldest: Revision,
    counters: Vec<Counter>,
    requests: Vec<(IdempotencyKey, RequestRecord)>,
    floors: FloorTable,
    settings: Option<Vec<u8>>,
}

fn dump<S: StateStore>(store: &S) -> Dump {
    let (mut tuples, mut changes) = (Vec::new(), Vec::new());
    let view = store.view(STORE, store.applied()).unwrap();
    let take = &mut |row| {
        tuples.push(row);
        ControlFlow::Continue(())
    };
    view.scan(&TupleFilter::default(), None, take).unwrap();
    let take = &mut |revision, change| {
        changes.push((revision, change));
        ControlFlow::Continue(())
    };
    store.changes(STORE, store.oldest(), store.applied(), take).unwrap();
    let counters = view.counters().unwrap();
    let (mut requests, mut batch, mut from) = (Vec::new(), store.batch(), Revision::ZERO);
    while let Some((_, key, record)) = batch.oldest_request(from).unwrap() {
        from = Revision::new(record.at.index() + 1);
        requests.push((key, record));
    }
    let floors = FloorTable::read(store).unwrap();
    Dump {
        tuples,
        changes,
        record: store.meta(MetaKey::Applied).unwrap(),
        oldest: store.oldest(),
        counters,
        requests,
        floors,
        settings: store.meta(MetaKey::Settings).unwrap(),
    }
}

/// Applies `log` to `store` in calls of `cut` entries.
fn apply<S: StateStore>(store: &Arc<S>, log: &[Entry], cut: usize) -> Vec<Applied> {
    let mut applier = Applier::open(Arc::clone(store)).unwrap();
    log.chunks(cut).flat_map(|entries| applier.apply(entries).unwrap()).collect()
}

fn outcomes_of(applied: Vec<Applied>) -> Vec<Outcome> {
    applied.into_iter().map(|applied| applied.outcome).collect()
}

fn rocks() -> (tempfile::TempDir, Arc<RocksStore>) {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(dir.path(), StoreOptions::default()).unwrap();
    (dir, Arc::new(store))
}

fn outcomes(bodies: Vec<CommandBody>) -> Vec<Outcome> {
    let log: Vec<_> = bodies.into_iter().zip(1..).map(|(body, index)| entry(index, body)).collect();
    let memory = Arc::new(MemoryStore::new());
    let (_dir, durable) = rocks();
    let applied = apply(&memory, &log, 1);
    assert_eq!(applied, apply(&durable, &log, log.len()));
    assert_eq!(dump(&*memory), dump(&*durable));
    outcomes_of(applied)
}

#[test]
fn updates_do_what_they_say_and_a_refused_write_changes_nothing() {
    use UpdateKind::{Create, Delete, Touch};
    let outcomes = outcomes(vec![
        schema(None, vec![]),
        write(1, vec![], vec![(Create, key(1, 1)), (Touch, key(1, 2))]),
        write(1, vec![], vec![(Touch, key(1, 3)), (Create, key(1, 1))]),
        write(1, vec![], vec![(Delete, key(1, 1)), (Delete, key(9, 9))]),
        write(1, vec![], vec![(Create, key(1, 1))]),
        write(7, vec![], vec![(Touch, key(1, 4))]),
        delete(1, 10, false),
    ]);
    let expected = [
        Outcome::Done,
        Outcome::Done,
        Outcome::Refused(Refusal::AlreadyExists { key: key(1, 1) }),
        Outcome::Done,
        Outcome::Done,
        Outcome::Refused(Refusal::SchemaChanged { current: Some(Revision::new(1)) }),
        // The tuples of the refused writes are not among them.
        Outcome::Deleted { count: 2, partial: false },
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn preconditions_see_the_state_right_before_and_not_their_own_writes() {
    use PreconditionKind::{MustMatch, MustNotMatch};
    let condition = |kind, document| Precondition { kind, filter: on_document(document) };
    let touch = |document| vec![(UpdateKind::Touch, key(document, 1))];
    let outcomes = outcomes(vec![
        schema(None, vec![]),
        write(1, vec![condition(MustMatch, 1)], touch(1)),
        write(1, vec![], touch(1)),
        write(1, vec![condition(MustMatch, 1), condition(MustNotMatch, 2)], touch(2)),
        write(1, vec![condition(MustMatch, 1), condition(MustNotMatch, 2)], touch(3)),
    ]);
    let refused = |position| Outcome::Refused(Refusal::PreconditionFailed { position });
    assert_eq!(outcomes, [Outcome::Done, refused(0), Outcome::Done, Outcome::Done, refused(1)]);
}

/// A touch of a tuple of document 1 that expires.
fn expiring(subject: u8, at: u64) -> CommandBody {
    let qualifiers = Qualifiers { caveat: None, expires_at: Some(TimestampMs(at)) };
    let tuple = Tuple { key: key(1, subject), qualifiers };
    let CommandBody::WriteTuples(empty) = write(1, vec![], vec![]) else { unreachable!("it is a write") };
    CommandBody::WriteTuples(WriteTuples { updates: vec![TupleUpdate { kind: UpdateKind::Touch, tuple }], ..empty })
}

/// An entry with a leader's time.
fn when(proposed_at: u64, index: u64, body: CommandBody) -> Entry {
    let mut entry = entry(index, body);
    if let EntryPayload::Normal(command) = &mut entry.payload {
        command.proposed_at = TimestampMs(proposed_at);
    }
    entry
}

#[test]
fn what_has_expired_goes_last_and_keeps_no_limited_removal_from_the_rest() {
    use UpdateKind::Touch;
    /// Limit, whether a part is enough, and what becomes of it.
    type Case = (u64, bool, Outcome);
    let deleted = |count, partial| Outcome::Deleted { count, partial };
    let cases: [Case; 8] = [
        (1, false, Outcome::Refused(Refusal::TooManyDeletes { limit: 1 })),
        (2, false, deleted(2, true)),
        (3, false, deleted(3, true)),
        (4, false, deleted(4, false)),
        (9, false, deleted(4, false)),
        (1, true, deleted(1, true)),
        (3, true, deleted(3, true)),
        (4, true, deleted(4, false)),
    ];
    for (limit, allow_partial, expected) in cases {
        let log = [
            when(10, 1, schema(None, vec![])),
            when(10, 2, expiring(1, 20)),
            when(10, 3, expiring(2, 20)),
            when(10, 4, write(1, vec![], vec![(Touch, key(1, 3)), (Touch, key(1, 4))])),
            when(30, 5, delete(1, limit, allow_partial)),
        ];
        let store = Arc::new(MemoryStore::new());
        assert_eq!(apply(&store, &log, log.len())[4].outcome, expected, "{limit} {allow_partial}");
        if !allow_partial && limit == 2 {
            let left: Vec<_> = dump(&*store).tuples.into_iter().map(|row| row.tuple.key).collect();
            assert_eq!(left, [key(1, 1), key(1, 2)], "those that still say something are gone");
        }
    }
}

#[test]
fn what_has_expired_matches_no_condition_and_still_stands_in_the_way_of_a_create() {
    use PreconditionKind::{MustMatch, MustNotMatch};
    let condition = |kind| Precondition { kind, filter: on_document(1) };
    let touch = || vec![(UpdateKind::Touch, key(2, 1))];
    let log = [
        when(10, 1, schema(None, vec![])),
        when(10, 2, expiring(1, 20)),
        when(19, 3, write(1, vec![condition(MustMatch)], touch())),
        when(19, 4, schema(Some(1), vec![on_document(1)])),
        // The time of the entry itself counts, and what it brought stays when a later leader's clock is behind.
        when(20, 5, write(1, vec![condition(MustMatch)], touch())),
        when(3, 6, write(1, vec![condition(MustNotMatch)], touch())),
        when(3, 7, write(1, vec![], vec![(UpdateKind::Create, key(1, 1))])),
        when(3, 8, schema(Some(1), vec![on_document(1)])),
        when(3, 9, delete(1, 5, false)),
    ];
    let store = Arc::new(MemoryStore::new());
    let expected = [
        Outcome::Done,
        Outcome::Done,
        Outcome::Done,
        Outcome::Refused(Refusal::WouldOrphan { position: 0, example: key(1, 1) }),
        Outcome::Refused(Refusal::PreconditionFailed { position: 0 }),
        Outcome::Done,
        Outcome::Refused(Refusal::AlreadyExists { key: key(1, 1) }),
        Outcome::Done,
        Outcome::Deleted { count: 1, partial: false },
    ];
    assert_eq!(outcomes_of(apply(&store, &log, 1)), expected);
    let (_dir, durable) = rocks();
    assert_eq!(outcomes_of(apply(&durable, &log, log.len())), expected);
}

#[test]
fn deletion_by_filter_keeps_its_limit() {
    let touch = |subject| write(1, vec![], vec![(UpdateKind::Touch, key(1, subject))]);
    let outcomes = outcomes(vec![
        schema(None, vec![]),
        touch(1),
        touch(2),
        touch(3),
        delete(1, 2, false),
        delete(1, 2, true),
        delete(1, 2, true),
        delete(1, 2, false),
    ]);
    let expected = [
        Outcome::Refused(Refusal::TooManyDeletes { limit: 2 }),
        Outcome::Deleted { count: 2, partial: true },
        Outcome::Deleted { count: 1, partial: false },
        Outcome::Deleted { count: 0, partial: false },
    ];
    assert_eq!(outcomes[4..], expected);
}

#[test]
fn a_schema_replaces_only_the_one_it_was_judged_against_and_orphans_nothing() {
    let outcomes = outcomes(vec![
        schema(None, vec![]),
        schema(None, vec![]),
        write(1, vec![], vec![(UpdateKind::Touch, key(1, 1))]),
        schema(Some(1), vec![on_document(2), on_document(1)]),
        schema(Some(1), vec![on_document(2)]),
    ]);
    let expected = [
        Outcome::Done,
        Outcome::Refused(Refusal::SchemaChanged { current: Some(Revision::new(1)) }),
        Outcome::Done,
        Outcome::Refused(Refusal::WouldOrphan { position: 1, example: key(1, 1) }),
        Outcome::Done,
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn of_the_data_apply_looks_only_at_what_came_after_the_judgement() {
    use UpdateKind::{Delete, Touch};
    let guards = || vec![on_document(2), on_document(1)];
    let outcomes = outcomes(vec![
        schema(None, vec![]),
        write(1, vec![], vec![(Touch, key(1, 1)), (Touch, key(2, 1)), (Touch, key(3, 1))]),
        write(1, vec![], vec![(Delete, key(2, 1))]),
        // Written and deleted again since: not in the way. What was there before is for the proposer to see.
        judged(2, 0, Some(1), guards()),
        write(4, vec![], vec![(Touch, key(1, 2)), (Touch, key(2, 2)), (Touch, key(3, 2))]),
        judged(4, 0, Some(4), guards()),
        // A judgement about what is not there yet, and one that waits for a time that has not come.
        judged(7, 0, Some(4), guards()),
        judged(7, 9999, Some(4), guards()),
        judged(8, 0, Some(4), guards()),
    ]);
    let (refused, outdated) = (|r| Outcome::Refused(r), Outcome::Refused(Refusal::JudgementOutdated));
    assert_eq!(outcomes[3], Outcome::Done);
    assert_eq!(outcomes[5], refused(Refusal::WouldOrphan { position: 0, example: key(2, 2) }));
    assert_eq!(outcomes[6..], [outdated.clone(), outdated, Outcome::Done]);
}

/// `body` under a key: of the same number, another body is another request.
fn keyed(mut body: CommandBody, number: u8) -> CommandBody {
    let digest = *blake3::hash(format!("{body:?}").as_bytes()).as_bytes();
    let key = IdempotencyKey::new(&format!("request {number}")).unwrap();
    let named = Some(KeyedRequest { key, digest });
    match &mut body {
        CommandBody::WriteTuples(write) => write.request = named,
        CommandBody::DeleteTuples(delete) => delete.request = named,
        CommandBody::WriteSchema(write) => write.request = named,
        CommandBody::ChangeCounter(change) => change.request = named,
        CommandBody::AdmitNode(_)
        | CommandBody::AdvanceWatermark { .. }
        | CommandBody::SetFloors(_)
        | CommandBody::RaiseLevel(_)
        | CommandBody::PlaceNode { .. }
        | CommandBody::SetHomeRegion { .. } => {}
    }
    body
}

fn any_body() -> impl Strategy<Value = CommandBody> {
    (unkeyed_body(), prop::option::of(0..4u8)).prop_map(|(body, number)| match number {
        Some(number) => keyed(body, number),
        None => body,
    })
}

fn unkeyed_body() -> impl Strategy<Value = CommandBody> {
    let kind = prop_oneof![Just(UpdateKind::Create), Just(UpdateKind::Touch), Just(UpdateKind::Delete)];
    let updates = prop::collection::vec((kind, (0..4u8, 0..4u8).prop_map(|(r, s)| key(r, s))), 0..4);
    let condition = (any::<bool>(), 0..4u8).prop_map(|(must, document)| Precondition {
        kind: if must { PreconditionKind::MustMatch } else { PreconditionKind::MustNotMatch },
        filter: on_document(document),
    });
    let conditions = prop::collection::vec(condition, 0..2);
    prop_oneof![
        8 => (1..3u64, conditions, updates).prop_map(|(schema, conditions, updates)| write(schema, conditions, updates)),
        2 => (0..4u8, 0..4u64, any::<bool>()).prop_map(|(document, limit, partial)| delete(document, limit, partial)),
        1 => (prop::option::of(1..3u64), prop::collection::vec((0..4u8).prop_map(on_document), 0..2))
            .prop_map(|(replaces, guards)| schema(replaces, guards)),
        1 => (0..2u8, prop::option::of(0..4u8)).prop_map(|(name, filter)| count(&format!("counter_{name}"), filter)),
        1 => Just(CommandBody::AdmitNode(NodeAddress::default())),
        2 => (0..60u64).prop_map(watermark),
        1 => (0..4u64).prop_map(|replaces| floor(STORE, replaces, "payment")),
        1 => (1..3u32).prop_map(|to| raise(to, &[])),
        1 => any::<bool>().prop_map(|somewhere| home(somewhere.then_some("north"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn the_same_log_gives_the_same_bytes(bodies in prop::collection::vec(any_body(), 1..40), cut in 1..9usize) {
        let bodies = std::iter::once(schema(None, vec![])).chain(bodies);
        let log: Vec<_> = bodies.zip(1..).map(|(body, index)| entry(index, body)).collect();
        let (one, many) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let (_dir, durable) = rocks();
        let expected = apply(&one, &log, 1);
        prop_assert_eq!(&expected, &apply(&many, &log, cut));
        prop_assert_eq!(&expected, &apply(&durable, &log, log.len()));
        let state = dump(&*one);
        prop_assert_eq!(&state, &dump(&*many));
        prop_assert_eq!(&state, &dump(&*durable));
    }
}
