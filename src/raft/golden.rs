//! Records as the version before feature levels wrote them, and messages as the version did that brought them, in hexadecimal
//! (`golden.txt`): they are read, and written the same at the first level, so that versions of before and after can share a
//! log, a disk and a wire.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use openraft::impls::leader_id_std::LeaderId;
use openraft::raft::AppendEntriesRequest;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, Membership};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::apply::AppliedState;
use super::forward::{Attempt, Forwarded};
use super::network::{Admitted, PromoteRequest, Rejection};
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig, Vote};
use super::{
    Applied, ChangeCounter, ChangeError, Changed, Command, CommandBody, DeleteTuples, FeatureLevel, KeyedRequest,
    MemberChange, NodeAddress, Outcome, ProposeError, Refusal, SetFloors, WriteSchema, WriteTuples, codec,
};
use crate::model::{
    CaveatUse, CounterName, Floor, Floors, IdempotencyKey, ObjectRef, Precondition, PreconditionKind, Qualifiers,
    RelationName, Revision, StoreId, SubjectRef, TimestampMs, Tuple, TupleFilter, TupleKey, TupleUpdate, TypeName,
    UpdateKind,
};

const GOLDEN: &str = include_str!("golden.txt");

/// Compares values with the text, line by line.
struct Golden {
    lines: BTreeMap<&'static str, &'static str>,
    wrong: Vec<String>,
}

impl Golden {
    fn record<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &'static str, value: &T) {
        let bytes = codec::encode(value);
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string");
            hex
        });
        if self.lines.remove(name) != Some(hex.as_str()) {
            self.wrong.push(format!("{name} {hex}"));
        }
        assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
        assert_eq!(bytes, codec::encode_at(FeatureLevel::FIRST, value), "{name}");
    }
}

fn key() -> TupleKey {
    TupleKey {
        resource: ObjectRef::new("document", "plan").unwrap(),
        relation: RelationName::new("viewer").unwrap(),
        subject: SubjectRef::new("group", "eng", "member").unwrap(),
    }
}

fn keyed() -> Option<KeyedRequest> {
    Some(KeyedRequest { key: IdempotencyKey::new("order 17").unwrap(), digest: [9; 32] })
}

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId::new(3, 2).to_committed(), index }
}

fn address() -> NodeAddress {
    NodeAddress { client: "node-2:50051".into(), peer: "node-2:50151".into() }
}

fn membership() -> Membership<u64, NodeAddress> {
    let nodes = BTreeMap::from([(1, address()), (2, address()), (3, address())]);
    Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2])], nodes).unwrap()
}

fn filter() -> TupleFilter {
    TupleFilter { resource_type: TypeName::new("document").ok(), ..TupleFilter::default() }
}

fn bodies() -> Vec<(&'static str, CommandBody)> {
    let caveat = CaveatUse { name: "on_call".into(), context_json: "{\"a\":1}".into() };
    let qualifiers = Qualifiers { caveat: Some(caveat), expires_at: Some(TimestampMs(77)) };
    let update = TupleUpdate { kind: UpdateKind::Touch, tuple: Tuple { key: key(), qualifiers } };
    let condition = Precondition { kind: PreconditionKind::MustNotMatch, filter: filter() };
    let (store, revision) = (StoreId::DEFAULT, Revision::new(5));
    let write = WriteTuples {
        store,
        schema_revision: revision,
        preconditions: vec![condition.clone()],
        updates: vec![update],
        metadata_json: "{}".into(),
        request: keyed(),
    };
    let delete = DeleteTuples {
        store,
        preconditions: vec![condition],
        filter: filter(),
        limit: 10,
        allow_partial: true,
        metadata_json: String::new(),
        request: None,
    };
    let schema = WriteSchema {
        store,
        replaces: Some(revision),
        orphan_guards: vec![filter()],
        judged_at: revision,
        expired_by: TimestampMs(6),
        text: "definition user {}".into(),
        request: keyed(),
    };
    let name = CounterName::new("documents").unwrap();
    let counter = ChangeCounter { store, name, filter: Some(filter()), request: None };
    let floors = BTreeMap::from([(TypeName::new("payment").unwrap(), Floor::FullyConsistent)]);
    vec![
        ("write_tuples", CommandBody::WriteTuples(write)),
        ("delete_tuples", CommandBody::DeleteTuples(delete)),
        ("write_schema", CommandBody::WriteSchema(schema)),
        ("change_counter", CommandBody::ChangeCounter(counter)),
        ("admit_node", CommandBody::AdmitNode(address())),
        ("advance_watermark", CommandBody::AdvanceWatermark { oldest: revision }),
        ("set_floors", CommandBody::SetFloors(SetFloors { store, replaces: revision, floors })),
    ]
}

fn log_and_state(golden: &mut Golden) {
    let entry = |payload| Entry { log_id: log_id(41), payload };
    for (name, body) in bodies() {
        let command = Command { op_id: 7, proposed_at: TimestampMs(1234), body: Arc::new(body) };
        golden.record(name, &entry(EntryPayload::Normal(command)));
    }
    golden.record("blank", &entry(EntryPayload::Blank));
    golden.record("membership", &entry(EntryPayload::Membership(membership())));
    golden.record("vote", &Vote::new_committed(3, 2));
    golden.record("identity", &(0xfeed_u64, 3_u64));
    let stored = StoredMembership::new(Some(log_id(40)), membership());
    let state = AppliedState {
        last: Some(log_id(41)),
        membership: stored.clone(),
        chain: [8; 32],
        cluster_time: TimestampMs(55),
        next_node_id: 4,
        oldest_request: Some((Revision::new(9), TimestampMs(10))),
        retired: BTreeSet::from([2, 9]),
    };
    golden.record("applied_state", &state);
    golden.record("snapshot_meta", &SnapshotMeta { last_log_id: Some(log_id(41)), last_membership: stored });
    let by_type = BTreeMap::from([(TypeName::new("payment").unwrap(), Floor::FullyConsistent)]);
    let floors = Arc::new(Floors { version: Revision::new(6), by_type });
    golden.record("floors", &BTreeMap::from([(StoreId::DEFAULT, floors)]));
}

fn messages(golden: &mut Golden) {
    let append = AppendEntriesRequest::<TypeConfig> {
        vote: Vote::new_committed(3, 2),
        prev_log_id: Some(log_id(40)),
        entries: vec![Entry { log_id: log_id(41), payload: EntryPayload::Blank }],
        leader_commit: Some(log_id(39)),
    };
    let hex = codec::encode(&append);
    let back: AppendEntriesRequest<TypeConfig> = codec::decode(&hex).unwrap();
    assert_eq!(codec::encode(&back), hex);
    golden.record("append_entries", &Bytes(hex));
    golden.record("admitted", &Bytes(codec::encode(&Admitted { lineage: 7, node_id: 4 })));
    let promote = PromoteRequest { node_id: 4, address: address(), voter: true };
    golden.record("promote_request", &Bytes(codec::encode(&promote)));
    golden.record("not_leader", &Rejection::NotLeader { leader: Some((2, address())) });
    golden.record("demote", &MemberChange::Demote { node_id: 3 });
    golden.record("changed", &Ok::<_, ChangeError>(Changed { leader: 2, term: 3, changed: true }));
    golden.record("unknown", &ChangeError::Unknown("no answer".into()));
    let forwarded = Forwarded { op_id: 7, traceparent: "00-aa-bb-01".into(), body: Arc::new(bodies()[0].1.clone()) };
    golden.record("propose_many", &Bytes(codec::encode(&vec![forwarded])));
    let refused = Outcome::Refused(Refusal::KeyReused);
    for (name, outcome) in [
        ("done", Outcome::Done),
        ("deleted", Outcome::Deleted { count: 2, partial: true }),
        ("admission", Outcome::Admitted { node_id: 4 }),
        ("refused", refused),
    ] {
        let applied = Applied { revision: Revision::new(41), outcome, repeated: false };
        golden.record(name, &Ok::<_, Rejection>(Ok::<_, ProposeError>(applied)));
    }
    let attempts: Vec<Attempt> =
        vec![Ok(Err(ProposeError::Unknown("lost".into()))), Err(Rejection::NotConfirmed("no quorum".into()))];
    golden.record("proposed_many", &attempts);
}

/// Bytes of a record whose type has no equality.
#[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
struct Bytes(Vec<u8>);

#[test]
fn what_the_version_before_feature_levels_wrote_is_read_and_written_the_same() {
    let lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(' ')).collect();
    let mut golden = Golden { lines, wrong: Vec::new() };
    log_and_state(&mut golden);
    messages(&mut golden);
    assert!(golden.wrong.is_empty(), "these are other bytes than before:\n{}", golden.wrong.join("\n"));
    assert!(golden.lines.is_empty(), "nothing is compared with {:?}", golden.lines.keys());
}
