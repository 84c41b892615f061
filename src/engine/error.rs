//! Why a check has no answer.

use crate::caveat::{ContextParseError, EvaluationError};
use crate::model::{Error, ErrorCode, ObjectRef, RelationName, TypeName};
use crate::store::StoreError;

/// Why a check has no answer. None of these may be read as a denial, let alone as an allow.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The schema lacks the type of the resource or the subject.
    #[error("the schema does not define `{name}`; check the spelling, or write a schema that defines it")]
    UnknownDefinition {
        /// The type.
        name: TypeName,
    },
    /// The type of the resource or the subject lacks the relation or permission.
    #[error("`{definition}` has no relation or permission `{name}`; check the spelling, or add it to the schema")]
    UnknownRelation {
        /// The type.
        definition: TypeName,
        /// What it lacks.
        name: RelationName,
    },
    /// The resource is a wildcard.
    #[error("`{resource}` is not one object; a check needs the id of one resource")]
    WildcardResource {
        /// The resource.
        resource: ObjectRef,
    },
    /// The subject is a wildcard.
    #[error("`{subject}` is not one subject; a check needs the id of one subject")]
    WildcardSubject {
        /// The subject.
        subject: ObjectRef,
    },
    /// Permissions nest more deeply than the budget allows.
    #[error(
        "the check nests more than {max_depth} levels deep; flatten the relationships or the permission that recurses"
    )]
    DepthExceeded {
        /// The budget.
        max_depth: u32,
    },
    /// The check needs more tuples than the budget allows.
    #[error("the check would read more than {max_steps} relationships; narrow the permission, or split large groups")]
    StepsExceeded {
        /// The budget.
        max_steps: u64,
    },
    /// The caveats that the check meets take more work than the budget allows.
    #[error(
        "the caveats on the way would take more than {max_steps} steps to evaluate; simplify them, or shorten the context"
    )]
    CaveatStepsExceeded {
        /// The budget.
        max_steps: u64,
    },
    /// Nobody waits for the answer any more.
    #[error("the deadline passed before the evaluation was done, or its caller has gone; try again with more time")]
    GivenUp,
    /// A subject has the permission only if it does not have it: relationships form a cycle through an exclusion.
    #[error(
        "`{resource}#{permission}` excludes what depends on itself; remove the relationship that closes the cycle, or the \
         exclusion from the recursion"
    )]
    CycleThroughExclusion {
        /// Where the exclusion stands.
        resource: ObjectRef,
        /// The permission that holds it.
        permission: RelationName,
    },
    /// A caveat that the answer hangs on has no value.
    #[error(transparent)]
    Caveat(#[from] EvaluationError),
    /// A tuple names a caveat that the schema lacks. The schema guards should have kept it from that.
    #[error("a relationship that the answer hangs on names the caveat `{name}`, which the schema does not define")]
    UnknownCaveat {
        /// The caveat.
        name: String,
    },
    /// The context stored with a tuple is no context.
    #[error(
        "a relationship that the answer hangs on holds a context for caveat `{caveat}` that cannot be read: {source}"
    )]
    StoredContext {
        /// The caveat.
        caveat: String,
        /// What is wrong with it.
        source: ContextParseError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CheckError> for Error {
    fn from(error: CheckError) -> Self {
        let message = error.to_string();
        match error {
            CheckError::UnknownDefinition { name } => {
                Self::new(ErrorCode::UnknownDefinition, message).with("definition_name", name)
            }
            CheckError::UnknownRelation { definition, name } => Self::new(ErrorCode::UnknownRelation, message)
                .with("definition_name", definition)
                .with("relation_or_permission_name", name),
            CheckError::WildcardResource { .. } => Self::new(ErrorCode::InvalidArgument, message),
            CheckError::WildcardSubject { .. } => Self::new(ErrorCode::WildcardNotAllowed, message),
            CheckError::DepthExceeded { max_depth } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_depth_allowed", max_depth)
            }
            CheckError::StepsExceeded { max_steps } | CheckError::CaveatStepsExceeded { max_steps } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_steps_allowed", max_steps)
            }
            CheckError::GivenUp => Self::new(ErrorCode::DeadlineExceeded, message),
            CheckError::CycleThroughExclusion { resource, permission } => {
                Self::new(ErrorCode::DepthExceeded, message).with("resource", resource).with("permission", permission)
            }
            CheckError::Caveat(error) => error.into(),
            CheckError::UnknownCaveat { .. } | CheckError::StoredContext { .. } => {
                Self::new(ErrorCode::Internal, message)
            }
            CheckError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: CheckError) -> ErrorCode {
        Error::from(error).code
    }

    #[test]
    fn every_failure_keeps_its_public_code() {
        let resource = ObjectRef::new("doc", "one").unwrap();
        let relation = RelationName::new("view").unwrap();
        let name = resource.object_type.clone();
        assert_eq!(code(CheckError::UnknownDefinition { name: name.clone() }), ErrorCode::UnknownDefinition);
        let unknown = CheckError::UnknownRelation { definition: name, name: relation.clone() };
        assert_eq!(code(unknown), ErrorCode::UnknownRelation);
        assert_eq!(code(CheckError::WildcardResource { resource: resource.clone() }), ErrorCode::InvalidArgument);
        assert_eq!(code(CheckError::WildcardSubject { subject: resource.clone() }), ErrorCode::WildcardNotAllowed);
        assert_eq!(code(CheckError::DepthExceeded { max_depth: 1 }), ErrorCode::DepthExceeded);
        assert_eq!(code(CheckError::StepsExceeded { max_steps: 1 }), ErrorCode::DepthExceeded);
        assert_eq!(code(CheckError::CaveatStepsExceeded { max_steps: 1 }), ErrorCode::DepthExceeded);
        assert_eq!(code(CheckError::GivenUp), ErrorCode::DeadlineExceeded);
        let cycle = CheckError::CycleThroughExclusion { resource: resource.clone(), permission: relation.clone() };
        assert_eq!(code(cycle), ErrorCode::DepthExceeded);
        assert_eq!(code(CheckError::UnknownCaveat { name: "gone".into() }), ErrorCode::Internal);
        assert_eq!(code(CheckError::Store(StoreError::Engine("gone".into()))), ErrorCode::Internal);
    }
}
