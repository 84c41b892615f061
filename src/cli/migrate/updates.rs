//! What the source tells as changes, as writes that the destination takes: in order, bounded, and no relationship twice in one.

use std::collections::HashMap;

use prost::Message;

use crate::model::limits;
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::{Relationship, RelationshipUpdate, WriteRelationshipsRequest};

/// Bytes of one write, far below what a message may have.
const WRITE_BYTES: usize = 4 << 20;

/// Writes them, whether or not they exist.
pub(super) fn touches(relationships: Vec<Relationship>) -> Vec<WriteRelationshipsRequest> {
    let update =
        |relationship| RelationshipUpdate { operation: Operation::Touch.into(), relationship: Some(relationship) };
    parts(relationships.into_iter().map(update).collect())
}

/// The changes of one transaction. As long as they fit into one write they are one; else several, in the same order.
pub(super) fn changes(updates: Vec<RelationshipUpdate>) -> Vec<WriteRelationshipsRequest> {
    // Where one relationship is named twice, the last word counts.
    let mut last: HashMap<String, usize> = HashMap::with_capacity(updates.len());
    for (at, update) in updates.iter().enumerate() {
        last.insert(identity(update.relationship.as_ref()), at);
    }
    let is_last = |at: usize, update: &RelationshipUpdate| last[&identity(update.relationship.as_ref())] == at;
    let kept = updates.into_iter().enumerate().filter(|(at, update)| is_last(*at, update));
    parts(kept.map(|(_, update)| upsert(update)).collect())
}

/// A relationship that is created is one that is touched, for whoever may have to write it twice.
fn upsert(mut update: RelationshipUpdate) -> RelationshipUpdate {
    if update.operation == i32::from(Operation::Create) {
        update.operation = Operation::Touch.into();
    }
    if update.operation == i32::from(Operation::Delete)
        && let Some(relationship) = &mut update.relationship
    {
        // What limits it has no part in which one it is, and what limited it then may be unknown now.
        (relationship.optional_caveat, relationship.optional_expires_at) = (None, None);
    }
    update
}

/// What makes a relationship the one that it is.
fn identity(relationship: Option<&Relationship>) -> String {
    let Some(relationship) = relationship else { return String::new() };
    let object = |object: Option<&crate::wire::authzed::v1::ObjectReference>| {
        object.map(|it| format!("{}:{}", it.object_type, it.object_id)).unwrap_or_default()
    };
    let subject = relationship.subject.as_ref();
    let subject_relation =
        subject.map(|it| it.optional_relation.as_str()).filter(|it| *it != "...").unwrap_or_default();
    let subject = object(subject.and_then(|it| it.object.as_ref()));
    format!("{}#{}@{subject}#{subject_relation}", object(relationship.resource.as_ref()), relationship.relation)
}

fn parts(updates: Vec<RelationshipUpdate>) -> Vec<WriteRelationshipsRequest> {
    let mut parts: Vec<WriteRelationshipsRequest> = Vec::new();
    let mut bytes = 0;
    for update in updates {
        let size = update.encoded_len();
        match parts.last_mut() {
            Some(part) if part.updates.len() < limits::UPDATES_PER_WRITE && bytes + size <= WRITE_BYTES => {
                bytes += size;
                part.updates.push(update);
            }
            _ => {
                bytes = size;
                parts.push(WriteRelationshipsRequest { updates: vec![update], ..Default::default() });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reference::{parse_tuple, relationship_to_wire};

    fn update(operation: Operation, text: &str) -> RelationshipUpdate {
        let tuple = parse_tuple(text).expect("a relationship");
        RelationshipUpdate { operation: operation.into(), relationship: Some(relationship_to_wire(&tuple)) }
    }

    #[test]
    fn the_last_word_on_a_relationship_counts_and_a_creation_is_a_touch() {
        let written = changes(vec![
            update(Operation::Delete, "doc:1#viewer@user:a[cave:{\"x\":1}]"),
            update(Operation::Create, "doc:2#viewer@user:a"),
            update(Operation::Touch, "doc:1#viewer@user:a[cave]"),
            update(Operation::Delete, "doc:3#viewer@user:a[cave]"),
            update(Operation::Touch, "doc:1#viewer@user:a#member"),
        ]);
        let expected = [
            update(Operation::Touch, "doc:2#viewer@user:a"),
            update(Operation::Touch, "doc:1#viewer@user:a[cave]"),
            update(Operation::Delete, "doc:3#viewer@user:a"),
            update(Operation::Touch, "doc:1#viewer@user:a#member"),
        ];
        assert_eq!(written.len(), 1);
        assert_eq!(written[0].updates, expected);
    }

    #[test]
    fn what_is_too_much_for_one_write_becomes_several_in_order() {
        let many = (0..2500).map(|n| update(Operation::Touch, &format!("doc:{n}#viewer@user:a"))).collect();
        let sizes: Vec<usize> = changes(many).iter().map(|part| part.updates.len()).collect();
        assert_eq!(sizes, [1000, 1000, 500]);
        let context = "x".repeat(20_000);
        let large = (0..300).map(|n| {
            let text = format!("doc:{n}#viewer@user:a[cave:{{\"x\":\"{context}\"}}]");
            relationship_to_wire(&parse_tuple(&text).expect("a relationship"))
        });
        let parts = touches(large.collect());
        assert!(parts.len() > 1 && parts.iter().all(|part| part.encoded_len() < WRITE_BYTES + 4096), "{}", parts.len());
        assert_eq!(changes(Vec::new()), []);
    }
}
