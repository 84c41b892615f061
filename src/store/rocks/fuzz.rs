//! Keys and values from a damaged disk.

use super::keys::{
    Prefix, change_key, decode_change_key, decode_names, decode_request_order_key, decode_tuple_key,
    decode_version_key, group, has_group, request_order_key, split_version, tuple_key, tuple_prefix, version_key,
    versioned,
};
use super::record::{
    decode_format, decode_request, decode_revision, decode_schema, decode_tuple, encode_request, encode_schema,
    encode_tuple,
};
use crate::model::StoreId;
use crate::store::ScanOrder;

/// What decodes is what would be written, byte for byte.
#[test]
fn a_key_is_one_key() {
    bolero::check!().for_each(|bytes: &[u8]| {
        assert!(bytes.starts_with(group(bytes)));
        assert!(has_group(bytes) || group(bytes) == bytes || bytes.is_empty());
        let store = StoreId::new(bytes.first_chunk().map_or(0, |first| u32::from_be_bytes(*first)));
        for order in [ScanOrder::ByResource, ScanOrder::BySubject] {
            let Ok((tuple, at)) = split_version(order, bytes) else { continue };
            let Ok(names) = decode_names(order, tuple) else { continue };
            assert_eq!(tuple_prefix(store, order, names).bytes(), tuple);
            assert_eq!(versioned(tuple, at), bytes);
            if let Ok((key, decoded_at)) = decode_tuple_key(order, bytes) {
                assert_eq!((super::keys::Names::of(&key), decoded_at), (names, at));
                assert_eq!(tuple_key(store, order, &key, at), bytes);
            }
        }
        if let Ok(at) = decode_version_key("test", bytes) {
            assert_eq!(version_key(store, at), bytes);
        }
        if let Ok(at) = decode_change_key(bytes) {
            assert_eq!(change_key(store, at), bytes);
        }
        if let Ok((at, store, key)) = decode_request_order_key(bytes) {
            assert_eq!(request_order_key(at, store, &key), bytes);
        }
        let prefix = Prefix::new(store).beginning(&String::from_utf8_lossy(bytes));
        if let Some(end) = prefix.end() {
            assert!(end.as_slice() > prefix.bytes() && !end.starts_with(prefix.bytes()));
        }
    });
}

/// What decodes is what would be written, byte for byte.
#[test]
fn a_record_is_one_record() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(qualifiers) = decode_tuple("test", bytes) {
            assert_eq!(encode_tuple(qualifiers.as_ref()).expect("it was a record"), bytes);
        }
        if let Ok(text) = decode_schema(bytes) {
            assert_eq!(encode_schema(text), bytes);
        }
        if let Ok(request) = decode_request(bytes) {
            assert_eq!(encode_request(&request), bytes);
        }
        let _ = (decode_revision(bytes), decode_format(bytes));
    });
}
