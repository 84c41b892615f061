//! References: an object, and a subject (an object, all objects of a type, or the members of a relation on an object).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NameError, ObjectId, RelationName, TypeName};

/// `type:id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The object's type.
    pub object_type: TypeName,
    /// The object's id; the wildcard only inside a [`SubjectRef`].
    pub object_id: ObjectId,
}

impl ObjectRef {
    /// Parses the two parts.
    pub fn new(object_type: &str, object_id: &str) -> Result<Self, NameError> {
        Ok(Self { object_type: TypeName::new(object_type)?, object_id: ObjectId::new(object_id)? })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object_type, self.object_id)
    }
}

/// `type:id`, `type:*` or `type:id#relation`. The wire's ellipsis relation is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubjectRef {
    /// The object, or the wildcard of its type.
    pub object: ObjectRef,
    /// The relation whose members are meant; `None` for the object itself.
    pub relation: Option<RelationName>,
}

impl SubjectRef {
    /// The object itself as a subject.
    #[must_use]
    pub fn direct(object: ObjectRef) -> Self {
        Self { object, relation: None }
    }

    /// Parses the parts; an empty relation or `...` is the object itself.
    pub fn new(object_type: &str, object_id: &str, relation: &str) -> Result<Self, NameError> {
        let relation = match relation {
            "" | "..." => None,
            name => Some(RelationName::new(name)?),
        };
        Ok(Self { object: ObjectRef::new(object_type, object_id)?, relation })
    }

    /// Whether this stands for every object of its type.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.object.object_id.is_wildcard()
    }
}

impl fmt::Display for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relation {
            None => self.object.fmt(f),
            Some(relation) => write!(f, "{}#{relation}", self.object),
        }
    }
}
