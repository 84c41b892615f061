//! A check whose answer is known.

use crate::wire::authzed::v1::{
    CheckBulkPermissionsRequestItem, CheckPermissionRequest, Consistency, ObjectReference, SubjectReference,
};

/// May `user` do `permission` to `document`?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cli::bench) struct Question {
    pub(in crate::cli::bench) document: String,
    pub(in crate::cli::bench) permission: &'static str,
    pub(in crate::cli::bench) user: String,
    /// The right answer.
    pub(in crate::cli::bench) allowed: bool,
}

impl Question {
    pub(in crate::cli::bench) fn new(
        document: String,
        permission: &'static str,
        user: impl Into<String>,
        allowed: bool,
    ) -> Self {
        Self { document, permission, user: user.into(), allowed }
    }

    fn resource(&self) -> Option<ObjectReference> {
        Some(ObjectReference { object_type: "doc".to_owned(), object_id: self.document.clone() })
    }

    fn subject(&self) -> Option<SubjectReference> {
        let user = ObjectReference { object_type: "user".to_owned(), object_id: self.user.clone() };
        Some(SubjectReference { object: Some(user), optional_relation: String::new() })
    }

    /// As a check of its own.
    pub(in crate::cli::bench) fn to_check(&self, consistency: Consistency) -> CheckPermissionRequest {
        CheckPermissionRequest {
            consistency: Some(consistency),
            resource: self.resource(),
            permission: self.permission.to_owned(),
            subject: self.subject(),
            context: None,
            with_tracing: false,
        }
    }

    /// As a part of a bulk check.
    pub(in crate::cli::bench) fn to_item(&self) -> CheckBulkPermissionsRequestItem {
        CheckBulkPermissionsRequestItem {
            resource: self.resource(),
            permission: self.permission.to_owned(),
            subject: self.subject(),
            context: None,
        }
    }
}
