//! Scans that go on where they stopped: a piece of rows at a time, from the plan's names.

use std::ops::ControlFlow;

use crate::engine::plan::{MemberId, Plan};
use crate::model::{
    ObjectId, ObjectRef, Qualifiers, SubjectFilter, SubjectRef, SubjectRelationFilter, TimestampMs, TupleFilter,
    TupleKey, TypeName,
};
use crate::store::{ReadView, TupleRow};

use super::LookupError;
use super::bounds::Spent;

/// Rows read in one go.
const PIECE_ROWS: usize = 1_000;

/// A scan under way.
#[derive(Debug)]
pub(super) struct Scan {
    filter: TupleFilter,
    after: Option<TupleKey>,
}

impl Scan {
    /// The resources of `relation` that name `subject`.
    pub(super) fn naming(plan: &Plan, relation: MemberId, subject: &SubjectRef) -> Self {
        Self::new(plan, relation, None, Some(SubjectFilter::exactly(subject)))
    }

    /// The subjects of `relation` on one object; only those of a type, where one is given.
    pub(super) fn held(plan: &Plan, relation: MemberId, object: &ObjectId, subject_type: Option<&TypeName>) -> Self {
        let subject = subject_type.map(|name| SubjectFilter {
            subject_type: name.clone(),
            subject_id: None,
            relation: SubjectRelationFilter::Any,
        });
        Self::new(plan, relation, Some(object.clone()), subject)
    }

    fn new(plan: &Plan, relation: MemberId, object: Option<ObjectId>, subject: Option<SubjectFilter>) -> Self {
        let member = plan.member(relation);
        let filter = TupleFilter {
            resource_type: Some(member.object_type.clone()),
            resource_id: object,
            resource_id_prefix: None,
            relation: Some(member.name.clone()),
            subject,
            traits: None,
        };
        Self { filter, after: None }
    }

    /// Reads the next piece. True where there may be more.
    pub(super) fn piece(
        &mut self,
        view: &dyn ReadView,
        spent: &mut Spent,
        visit: &mut dyn FnMut(&TupleRow) -> Result<(), LookupError>,
    ) -> Result<bool, LookupError> {
        let mut rows = 0;
        let mut failed = Ok(());
        let mut last = None;
        view.scan(&self.filter, self.after.as_ref(), &mut |row| {
            rows += 1;
            failed = visit(&row);
            let enough = rows >= PIECE_ROWS;
            if enough {
                last = Some(row.tuple.key);
            }
            if enough || failed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        failed?;
        // A scan costs a look-up even where it finds nothing.
        spent.read(rows.max(1) as u64)?;
        let more = last.is_some();
        self.after = last;
        Ok(more)
    }
}

/// What a tuple is to a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is not there.
    Nothing,
    /// It is to be followed, and whether it counts is for a check to say.
    Doubtful,
    /// It counts.
    Sure,
}

impl Worth {
    /// What a tuple with these qualifiers is worth to a walk that follows what had not expired at `walked_at`. What will expire
    /// may have done so by the time at which its batch is made.
    pub(super) fn of(qualifiers: &Qualifiers, walked_at: TimestampMs) -> Self {
        match qualifiers.expires_at {
            Some(_) if qualifiers.expired(walked_at) => Self::Nothing,
            Some(_) => Self::Doubtful,
            None if qualifiers.caveat.is_some() => Self::Doubtful,
            None => Self::Sure,
        }
    }
}

/// The object of a member's type with this id.
pub(super) fn object_of(plan: &Plan, member: MemberId, id: &ObjectId) -> ObjectRef {
    ObjectRef { object_type: plan.member(member).object_type.clone(), object_id: id.clone() }
}
