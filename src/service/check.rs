//! Checks: one question, or many at once. All questions of a request are answered from one view.

use std::sync::Arc;
use std::time::Instant;

use super::{Call, Consistency, Services};
use crate::consistency::Zookie;
use crate::engine::{self, Budget};
use crate::model::{Decision, Error, ErrorCode, ObjectRef, RelationName, SubjectRef, limits};

/// "Does `subject` have `permission` on `resource`?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// On what.
    pub resource: ObjectRef,
    /// A permission or a relation.
    pub permission: RelationName,
    /// Who.
    pub subject: SubjectRef,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAnswer {
    /// What it is.
    pub decision: Decision,
    /// The state that it was made from.
    pub zookie: Zookie,
}

/// The answers to many questions, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCheckAnswer {
    /// A question that cannot be answered does not spoil the others.
    pub decisions: Vec<Result<Decision, Error>>,
    /// The state that all of them were made from.
    pub zookie: Zookie,
}
