//! What one client does next: an operation from those prepared, or a write that nobody made before.

use std::sync::Arc;

use prost::bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;

use super::lane::Answer;
use super::messages::Put;
use super::operation::{Call, Expected, Operation};
use super::world::{Question, edge};
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::relationship_update::Operation as Change;
use crate::wire::authzed::v1::{
    Consistency, ImportBulkRelationshipsRequest, Relationship, RelationshipUpdate, WriteRelationshipsRequest, ZedToken,
};

/// Documents of a client that reads its own writes.
const OWN_DOCUMENTS: usize = 64;
/// The one who views what is written.
const READER: &str = "w";

/// The operations of one client, one after the other.
#[derive(Debug)]
pub(super) enum Script {
    /// Those prepared, in turn, beginning at one's own place.
    Prepared(Turn),
    /// New relationships.
    Writes(Writes),
    /// Those prepared, and now and then a write.
    Mixed { turn: Turn, writes: Writes, share: f64, random: Box<StdRng> },
    /// Own writes, and checks of them.
    Own(Box<Own>),
}

impl Script {
    /// The next operation. What became of it is to be told before the one after it is asked for.
    pub(super) fn next(&mut self) -> Operation {
        match self {
            Self::Prepared(turn) => turn.next(),
            Self::Writes(writes) => writes.next(),
            Self::Mixed { turn, writes, share, random } => {
                if random.random_bool(*share) {
                    writes.next()
                } else {
                    turn.next()
                }
            }
            Self::Own(own) => own.next(),
        }
    }

    /// What became of the last operation: its answer, or none if it failed.
    pub(super) fn learn(&mut self, answer: Option<&Answer>) {
        match self {
            Self::Prepared(_) => {}
            Self::Writes(writes) | Self::Mixed { writes, .. } => writes.learn(answer),
            Self::Own(own) => own.learn(answer),
        }
    }

    /// Something that was written and acknowledged, if anything was: it must be there.
    pub(super) fn last_written(&self) -> Option<Question> {
        match self {
            Self::Writes(writes) | Self::Mixed { writes, .. } => writes.last_written.clone(),
            Self::Prepared(_) | Self::Own(_) => None,
        }
    }
}

/// Goes round over prepared operations; clients with the same step and other beginnings share them.
#[derive(Debug)]
pub(super) struct Turn {
    operations: Arc<[Operation]>,
    at: usize,
    step: usize,
}

impl Turn {
    /// There must be operations.
    pub(super) fn new(operations: Arc<[Operation]>, at: usize, step: usize) -> Self {
        let at = at % operations.len();
        Self { operations, at, step }
    }

    fn next(&mut self) -> Operation {
        let operation = self.operations[self.at].clone();
        self.at = (self.at + self.step) % self.operations.len();
        operation
    }
}

/// How relationships are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// An ordinary write.
    Write,
    /// A bulk import.
    Import,
    /// A put of etcd.
    EtcdPut,
}

/// Writes relationships that nobody wrote before.
#[derive(Debug)]
pub(super) struct Writes {
    by: By,
    name: String,
    items: u64,
    written: u64,
    pending: bool,
    last_written: Option<Question>,
}

impl Writes {
    /// `name` must be of this client, and of this run, alone.
    pub(super) fn new(by: By, name: String, items: u64) -> Self {
        Self { by, name, items, written: 0, pending: false, last_written: None }
    }

    fn document(&self, number: u64) -> String {
        format!("w{}-{number}", self.name)
    }

    fn next(&mut self) -> Operation {
        self.pending = true;
        let relationship = |at: u64| viewer(self.document(self.written + at));
        let relationships = (0..self.items).map(relationship);
        match self.by {
            By::Import => {
                let request = ImportBulkRelationshipsRequest { relationships: relationships.collect() };
                Operation::new(Call::Import, &request, Expected::Loaded(self.items), self.items)
            }
            By::Write => {
                let updates = relationships.map(|one| update(one, Change::Touch)).collect();
                let request = WriteRelationshipsRequest { updates, ..Default::default() };
                Operation::new(Call::Write, &request, Expected::Done, self.items)
            }
            By::EtcdPut => {
                let key = etcd_key(&self.document(self.written), READER);
                let request = Put { key, value: Bytes::from_static(ETCD_VALUE) };
                Operation::new(Call::EtcdPut, &request, Expected::Done, 1)
            }
        }
    }

    fn learn(&mut self, answer: Option<&Answer>) {
        if !std::mem::take(&mut self.pending) {
            return;
        }
        if matches!(answer, Some(Answer::Right(_))) {
            self.last_written = Some(Question::new(self.document(self.written), "view", READER, true));
        }
        // One that failed may be there or not: its names are not used again.
        self.written += self.items;
    }
}

/// What stands in etcd for a relationship.
pub(super) const ETCD_VALUE: &[u8] = b"1";

/// The key that stands in etcd for a relationship.
pub(super) fn etcd_key(document: &str, user: &str) -> Bytes {
    format!("doc:{document}#viewer@user:{user}").into()
}

fn viewer(document: String) -> Relationship {
    edge("doc", document, "viewer", "user", READER.to_owned(), "")
}

fn update(relationship: Relationship, change: Change) -> RelationshipUpdate {
    RelationshipUpdate { operation: change.into(), relationship: Some(relationship) }
}

/// A client with documents of its own, of which it gives and takes the permission: it alone knows whether it stands, and the
/// zookie of its last write must show it.
#[derive(Debug)]
pub(super) struct Own {
    name: String,
    share: f64,
    random: StdRng,
    /// Whether the reader may view each document, and how often its name was given up: a write that failed may still take
    /// effect much later.
    documents: Vec<(bool, u32)>,
    zookie: Requirement,
    pending: Option<(usize, bool)>,
}

impl Own {
    /// `zookie` is of any time before; with [`Requirement::FullyConsistent`], no zookie is used.
    pub(super) fn new(name: String, share: f64, zookie: Requirement, random: StdRng) -> Self {
        Self { name, share, random, documents: vec![(false, 0); OWN_DOCUMENTS], zookie, pending: None }
    }

    fn next(&mut self) -> Operation {
        let at = self.random.random_range(0..OWN_DOCUMENTS);
        let (allowed, generation) = self.documents[at];
        let document = format!("o{}-{at}-{generation}", self.name);
        if !self.random.random_bool(self.share) {
            let question = Question::new(document, "view", READER, allowed);
            let consistency = Consistency { requirement: Some(self.zookie.clone()) };
            return Operation::new(Call::Check, &question.to_check(consistency), Expected::Decision(allowed), 1);
        }
        self.pending = Some((at, !allowed));
        let change = if allowed { Change::Delete } else { Change::Touch };
        let request =
            WriteRelationshipsRequest { updates: vec![update(viewer(document), change)], ..Default::default() };
        Operation::new(Call::Write, &request, Expected::Done, 1)
    }

    fn learn(&mut self, answer: Option<&Answer>) {
        let Some((at, gives)) = self.pending.take() else { return };
        let (allowed, generation) = &mut self.documents[at];
        match answer {
            Some(Answer::Right(zookie)) => {
                *allowed = gives;
                if let (Some(token), Requirement::AtLeastAsFresh(_)) = (zookie, &self.zookie) {
                    self.zookie = Requirement::AtLeastAsFresh(ZedToken { token: token.clone() });
                }
            }
            Some(Answer::Wrong(_)) | None => (*allowed, *generation) = (false, *generation + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use rand::SeedableRng;

    use super::*;
    use crate::wire::authzed::v1::CheckPermissionRequest;

    #[test]
    fn clients_share_the_prepared_operations() {
        let operations: Arc<[Operation]> = (0..10)
            .map(|at| {
                Operation::new(Call::Import, &ImportBulkRelationshipsRequest::default(), Expected::Loaded(at), at)
            })
            .collect();
        let mut turns: Vec<Turn> = (0..3).map(|client| Turn::new(Arc::clone(&operations), client, 3)).collect();
        let seen: Vec<u64> = (0..9).map(|n: usize| turns[n % 3].next().items).collect();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn no_name_is_written_twice_and_only_what_was_acknowledged_is_claimed() {
        let mut writes = Writes::new(By::Write, "r-0".to_owned(), 2);
        let names = |operation: &Operation| -> Vec<String> {
            let request = WriteRelationshipsRequest::decode(operation.body.clone()).unwrap();
            request.updates.into_iter().map(|u| u.relationship.unwrap().resource.unwrap().object_id).collect()
        };
        assert_eq!(names(&writes.next()), ["wr-0-0", "wr-0-1"]);
        writes.learn(None);
        assert!(writes.last_written.is_none());
        assert_eq!(names(&writes.next()), ["wr-0-2", "wr-0-3"]);
        writes.learn(Some(&Answer::Right(None)));
        assert_eq!(writes.last_written.as_ref().unwrap().document, "wr-0-2");
    }

    #[test]
    fn own_writes_are_expected_with_their_zookie_and_not_after_a_failure() {
        let start = Requirement::AtLeastAsFresh(ZedToken { token: "start".to_owned() });
        let mut own = Own::new("r-0".to_owned(), 0.5, start, StdRng::seed_from_u64(1));
        let (mut checks, mut writes) = (0, 0);
        for turn in 0..1000 {
            let operation = own.next();
            if operation.call == Call::Check {
                let request = CheckPermissionRequest::decode(operation.body.clone()).unwrap();
                let requirement = request.consistency.unwrap().requirement;
                assert_eq!(requirement.as_ref(), Some(&own.zookie));
                checks += 1;
                own.learn(Some(&Answer::Right(None)));
            } else if turn % 7 == 0 {
                let (at, _) = own.pending.unwrap();
                let before = own.documents[at].1;
                own.learn(None);
                assert_eq!(own.documents[at], (false, before + 1));
            } else {
                let (at, gives) = own.pending.unwrap();
                own.learn(Some(&Answer::Right(Some(format!("z{turn}")))));
                assert_eq!(own.documents[at].0, gives);
                assert_eq!(own.zookie, Requirement::AtLeastAsFresh(ZedToken { token: format!("z{turn}") }));
                writes += 1;
            }
        }
        assert!(checks > 300 && writes > 300, "{checks} {writes}");
    }
}
