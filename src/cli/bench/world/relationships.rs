//! Relationships as the wire has them, from their parts.

use crate::wire::authzed::v1::{ObjectReference, Relationship, SubjectReference};

/// `kind:id#relation@subject_kind:subject_id`, and `#of` behind it where that is not empty.
pub(in crate::cli::bench) fn edge(
    kind: &str,
    id: String,
    relation: &str,
    subject_kind: &str,
    subject_id: String,
    of: &str,
) -> Relationship {
    Relationship {
        resource: Some(ObjectReference { object_type: kind.to_owned(), object_id: id }),
        relation: relation.to_owned(),
        subject: Some(SubjectReference {
            object: Some(ObjectReference { object_type: subject_kind.to_owned(), object_id: subject_id }),
            optional_relation: of.to_owned(),
        }),
        optional_caveat: None,
        optional_expires_at: None,
    }
}
