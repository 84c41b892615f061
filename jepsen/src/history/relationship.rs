//! Relationships and questions in their usual notation: `document:a#viewer@group:g#member`. A question has the same shape, with
//! a permission in place of the relation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who has a relation to an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject {
    /// Type of the object.
    pub kind: String,
    /// Id of the object.
    pub id: String,
    /// For a userset, its relation.
    pub relation: Option<String>,
}

/// A relationship, or a question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Relationship {
    /// Type of the object.
    pub kind: String,
    /// Id of the object.
    pub id: String,
    /// The relation; in a question, the permission.
    pub relation: String,
    /// To whom.
    pub subject: Subject,
}

/// A text is not a relationship, nor a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form type:id#relation@SUBJECT, nor of that of a subject: type:id or type:id#relation")]
pub struct SyntaxError(String);

/// Parts of a name that hold nothing, or a sign that separates names.
fn is_odd(part: &str) -> bool {
    part.is_empty() || part.contains(['@', '#', ':'])
}

impl Subject {
    /// A single user.
    #[must_use]
    pub fn user(id: &str) -> Self {
        Self { kind: "user".to_owned(), id: id.to_owned(), relation: None }
    }
}

impl FromStr for Subject {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let wrong = || SyntaxError(text.to_owned());
        let (object, relation) = match text.split_once('#') {
            Some((object, relation)) => (object, Some(relation.to_owned())),
            None => (text, None),
        };
        let (kind, id) = object.split_once(':').ok_or_else(wrong)?;
        if [kind, id, relation.as_deref().unwrap_or("-")].into_iter().any(is_odd) {
            return Err(wrong());
        }
        Ok(Self { kind: kind.to_owned(), id: id.to_owned(), relation })
    }
}

impl TryFrom<String> for Subject {
    type Error = SyntaxError;

    fn try_from(text: String) -> Result<Self, SyntaxError> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl Relationship {
    /// The relationship of a text in this program, which is well formed.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn of(text: &str) -> Self {
        text.parse().expect("texts in this program are relationships")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.kind, self.id)?;
        self.relation.as_ref().map_or(Ok(()), |relation| write!(out, "#{relation}"))
    }
}

impl fmt::Display for Relationship {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}#{}@{}", self.kind, self.id, self.relation, self.subject)
    }
}

impl FromStr for Relationship {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let wrong = || SyntaxError(text.to_owned());
        let (resource, subject) = text.split_once('@').ok_or_else(wrong)?;
        let (object, relation) = resource.split_once('#').ok_or_else(wrong)?;
        let (kind, id) = object.split_once(':').ok_or_else(wrong)?;
        if [kind, id, relation].into_iter().any(is_odd) {
            return Err(wrong());
        }
        Ok(Self { kind: kind.to_owned(), id: id.to_owned(), relation: relation.to_owned(), subject: subject.parse()? })
    }
}

impl TryFrom<String> for Relationship {
    type Error = SyntaxError;

    fn try_from(text: String) -> Result<Self, SyntaxError> {
        text.parse()
    }
}

impl From<Relationship> for String {
    fn from(relationship: Relationship) -> Self {
        relationship.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notation_is_read_and_written() {
        for text in ["document:a#viewer@user:b", "document:a#viewer@group:g#member"] {
            assert_eq!(Relationship::of(text).to_string(), text);
        }
        for text in ["", "document:a", "document:a#viewer", "a#b@c:d", "a:b#c@d", "a:b#c@d:e#", "a:b#c@d:e@f"] {
            assert!(text.parse::<Relationship>().is_err(), "{text}");
        }
    }
}
