//! What the load generator reads of answers, and the few messages of etcd that it needs. An answer is decoded only as far as
//! it is looked at: nothing else of it is copied, so that the generator takes little of a machine that it shares.

/// The `HealthCheckRequest` about a server as a whole.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Health {}

/// A `HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Healthy {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// Of `CheckPermissionResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Checked {
    #[prost(int32, tag = "2")]
    pub(super) permissionship: i32,
}

/// Of `CheckBulkPermissionsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BulkChecked {
    #[prost(message, repeated, tag = "2")]
    pub(super) pairs: Vec<Pair>,
}

/// Of `CheckBulkPermissionsPair`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pair {
    #[prost(message, optional, tag = "2")]
    pub(super) item: Option<Item>,
}

/// Of `CheckBulkPermissionsResponseItem`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Item {
    #[prost(int32, tag = "1")]
    pub(super) permissionship: i32,
}

/// Of `LookupResourcesResponse`, and of `ResolvedSubject`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Found {
    /// Of a resource.
    #[prost(string, tag = "2")]
    pub(super) resource: String,
    /// Of a subject.
    #[prost(message, optional, tag = "6")]
    pub(super) subject: Option<FoundSubject>,
}

/// Of `ResolvedSubject`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FoundSubject {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

/// Of `WriteRelationshipsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Written {
    #[prost(message, optional, tag = "1")]
    pub(super) at: Option<Token>,
}

/// A `ZedToken`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Token {
    #[prost(string, tag = "1")]
    pub(super) token: String,
}

/// Of `ImportBulkRelationshipsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Loaded {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
}

/// etcd's `PutRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Put {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: prost::bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: prost::bytes::Bytes,
}

/// etcd's `PutResponse` and `TxnResponse`, of which nothing is looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Accepted {}

/// etcd's `RangeRequest`, for one key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Range {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: prost::bytes::Bytes,
    /// Whether the node may answer from what it has.
    #[prost(bool, tag = "7")]
    pub(super) serializable: bool,
}

/// Of etcd's `RangeResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ranged {
    #[prost(message, repeated, tag = "2")]
    pub(super) found: Vec<KeyValue>,
}

/// Of etcd's `KeyValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) value: prost::bytes::Bytes,
}

/// etcd's `TxnRequest`, without conditions.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Transaction {
    #[prost(message, repeated, tag = "2")]
    pub(super) success: Vec<TransactionPart>,
}

/// etcd's `RequestOp`, when it is a put.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TransactionPart {
    #[prost(message, optional, tag = "2")]
    pub(super) put: Option<Put>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::wire::authzed::v1 as wire;

    #[test]
    fn the_part_that_is_read_means_what_the_whole_says() {
        let token = Some(wire::ZedToken { token: "z".to_owned() });
        let check =
            wire::CheckPermissionResponse { checked_at: token.clone(), permissionship: 2, ..Default::default() };
        assert_eq!(Checked::decode(check.encode_to_vec().as_slice()).unwrap().permissionship, 2);
        let item = wire::CheckBulkPermissionsResponseItem { permissionship: 1, ..Default::default() };
        let pair = wire::CheckBulkPermissionsPair {
            request: None,
            response: Some(wire::check_bulk_permissions_pair::Response::Item(item)),
        };
        let bulk = wire::CheckBulkPermissionsResponse { checked_at: token.clone(), pairs: vec![pair] };
        let read = BulkChecked::decode(bulk.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.pairs[0].item.as_ref().unwrap().permissionship, 1);
        let found = wire::LookupResourcesResponse { resource_object_id: "r".to_owned(), ..Default::default() };
        assert_eq!(Found::decode(found.encode_to_vec().as_slice()).unwrap().resource, "r");
        let subject = wire::ResolvedSubject { subject_object_id: "s".to_owned(), ..Default::default() };
        let found = wire::LookupSubjectsResponse { subject: Some(subject), ..Default::default() };
        assert_eq!(Found::decode(found.encode_to_vec().as_slice()).unwrap().subject.unwrap().id, "s");
        let written = wire::WriteRelationshipsResponse { written_at: token };
        assert_eq!(Written::decode(written.encode_to_vec().as_slice()).unwrap().at.unwrap().token, "z");
        let loaded = wire::ImportBulkRelationshipsResponse { num_loaded: 9 };
        assert_eq!(Loaded::decode(loaded.encode_to_vec().as_slice()).unwrap().count, 9);
    }
}
