//! What can be said of a node without reading a tuple.

use crate::engine::plan::{Plan, ReachSet, SubjectKind};
use crate::model::{ObjectId, ObjectRef, SubjectRef};

use super::memo::Memo;
use super::objects::{Node, ObjectIx};

/// The subject of an evaluation.
#[derive(Debug)]
pub(super) struct Subject {
    /// As it was asked for.
    pub(super) reference: SubjectRef,
    /// What sort it is.
    pub(super) kind: SubjectKind,
    /// The wildcard that would match it.
    pub(super) wildcard: SubjectRef,
    /// Its object's id.
    pub(super) object: ObjectIx,
}

impl Subject {
    pub(super) fn new(reference: &SubjectRef, kind: SubjectKind, object: ObjectIx) -> Self {
        let everyone = ObjectRef { object_type: reference.object.object_type.clone(), object_id: ObjectId::wildcard() };
        Self { reference: reference.clone(), kind, wildcard: SubjectRef::direct(everyone), object }
    }

    /// Whether the subject is the object that `at` speaks of.
    pub(super) fn is_object(&self, plan: &Plan, at: Node) -> bool {
        self.object == at.object && self.kind == SubjectKind::Object(plan.member(at.member).type_id)
    }

    /// A userset is a member of itself, be it of a relation or of a permission.
    pub(super) fn is(&self, node: Node) -> bool {
        self.kind == SubjectKind::Userset(node.member) && self.object == node.object
    }
}

/// The subject, what it can reach, and what was found out about it.
#[derive(Debug)]
pub(super) struct Knowledge<'a> {
    pub(super) subject: Subject,
    pub(super) reach: &'a ReachSet,
    pub(super) memo: Memo,
}

impl Knowledge<'_> {
    /// Whether the subject has `node`, where that is known. A provisional denial is noted as relied on.
    pub(super) fn settled(&mut self, node: Node) -> Option<bool> {
        if self.subject.is(node) {
            Some(true)
        } else if !self.reach.contains(node.member) {
            Some(false)
        } else {
            self.memo.consult(node)
        }
    }
}
