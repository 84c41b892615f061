//! Watches and what they tell.

use super::filters::to_filter;
use super::json::from_json_text;
use super::responses::{to_relationship, to_zed_token};
use crate::model::{Error, ErrorCode, TupleUpdate, TypeName, UpdateKind};
use crate::service::{Watch, WatchEvent, WatchKinds, WatchStart};
use crate::wire::authzed::v1 as wire;

/// What a request asks to watch; `snapshot` is its metadata's wish.
pub(in crate::api::authzed) fn to_watch(request: wire::WatchRequest, snapshot: bool) -> Result<Watch, Error> {
    let cursor = request.optional_start_cursor.map(|cursor| cursor.token).filter(|token| !token.is_empty());
    let start = match (cursor, snapshot) {
        (None, false) => WatchStart::Now,
        (None, true) => WatchStart::Snapshot,
        (Some(token), false) => WatchStart::After(token),
        (Some(_), true) => {
            const MESSAGE: &str = "a watch begins with a snapshot or after a token; ask for one of them";
            return Err(Error::new(ErrorCode::InvalidArgument, MESSAGE));
        }
    };
    let names = request.optional_object_types.iter().map(|name| TypeName::new(name));
    let filters = request.optional_relationship_filters.into_iter().map(|filter| to_filter(Some(filter)));
    Ok(Watch {
        start,
        object_types: names.collect::<Result<_, _>>()?,
        filters: filters.collect::<Result<_, _>>()?,
        kinds: to_kinds(&request.optional_update_kinds)?,
    })
}

fn to_kinds(kinds: &[i32]) -> Result<WatchKinds, Error> {
    let mut wanted = WatchKinds { tuples: kinds.is_empty(), schema: false, checkpoints: false };
    for kind in kinds {
        match wire::WatchKind::try_from(*kind) {
            // A client that says nothing in so many words means what one means that says nothing.
            Ok(wire::WatchKind::Unspecified | wire::WatchKind::IncludeRelationshipUpdates) => wanted.tuples = true,
            Ok(wire::WatchKind::IncludeSchemaUpdates) => wanted.schema = true,
            Ok(wire::WatchKind::IncludeCheckpoints) => wanted.checkpoints = true,
            Err(_) => {
                let message = format!("{kind} is no kind of update that can be watched");
                return Err(Error::new(ErrorCode::InvalidArgument, message));
            }
        }
    }
    Ok(wanted)
}

/// One message.
pub(in crate::api::authzed) fn from_watch(event: WatchEvent) -> wire::WatchResponse {
    match event {
        WatchEvent::Snapshot { updates } => {
            wire::WatchResponse { updates: updates.iter().map(to_update).collect(), ..Default::default() }
        }
        WatchEvent::Tuples { updates, metadata_json, zookie } => {
            let metadata = from_json_text(&metadata_json);
            wire::WatchResponse {
                updates: updates.iter().map(to_update).collect(),
                changes_through: Some(to_zed_token(zookie)),
                optional_transaction_metadata: metadata.clone(),
                full_revision_metadata: metadata.into_iter().collect(),
                ..Default::default()
            }
        }
        WatchEvent::Schema { zookie } => wire::WatchResponse {
            changes_through: Some(to_zed_token(zookie)),
            schema_updated: true,
            ..Default::default()
        },
        WatchEvent::Checkpoint { zookie } => wire::WatchResponse {
            changes_through: Some(to_zed_token(zookie)),
            is_checkpoint: true,
            ..Default::default()
        },
    }
}

fn to_update(update: &TupleUpdate) -> wire::RelationshipUpdate {
    use wire::relationship_update::Operation;
    let operation = match update.kind {
        UpdateKind::Create => Operation::Create,
        UpdateKind::Touch => Operation::Touch,
        UpdateKind::Delete => Operation::Delete,
    };
    wire::RelationshipUpdate { operation: operation.into(), relationship: Some(to_relationship(&update.tuple)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_names_no_kind_is_about_tuples() {
        let kinds = |given: &[i32]| to_kinds(given).map(|k| (k.tuples, k.schema, k.checkpoints)).map_err(|e| e.code);
        assert_eq!(kinds(&[]), Ok((true, false, false)));
        assert_eq!(kinds(&[0]), Ok((true, false, false)));
        assert_eq!(kinds(&[2]), Ok((false, true, false)));
        assert_eq!(kinds(&[1, 2, 3]), Ok((true, true, true)));
        assert_eq!(kinds(&[9]), Err(ErrorCode::InvalidArgument));
    }

    #[test]
    fn a_watch_begins_in_one_place() {
        let request = |token: &str| wire::WatchRequest {
            optional_start_cursor: Some(wire::ZedToken { token: token.to_owned() }),
            ..Default::default()
        };
        let start = |token, snapshot| to_watch(request(token), snapshot).map(|w| w.start).map_err(|e| e.code);
        assert_eq!(start("", false), Ok(WatchStart::Now));
        assert_eq!(start("", true), Ok(WatchStart::Snapshot));
        assert_eq!(start("abc", false), Ok(WatchStart::After("abc".to_owned())));
        assert_eq!(start("abc", true), Err(ErrorCode::InvalidArgument));
    }
}
