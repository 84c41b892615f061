//! From the metadata of a write to the key under which it takes effect once, and what the answer says of it. The protocol has
//! no field for either.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use super::errors::to_status;
use crate::model::{Error, ErrorCode, IdempotencyKey};

/// What the client calls its write.
const KEY: &str = "quorate-idempotency-key";
/// `true` in the answer to a repetition.
const REPLAYED: &str = "quorate-replayed";

/// The key in `metadata`. Calls that write nothing do not look for one.
pub(super) fn idempotency_key(metadata: &MetadataMap) -> Result<Option<IdempotencyKey>, Status> {
    const TWICE: &str = "quorate-idempotency-key is given twice; give one key";
    let invalid = |message: String| to_status(Error::new(ErrorCode::InvalidArgument, message));
    let mut values = metadata.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(TWICE.to_owned()));
    }
    let key = IdempotencyKey::new(&String::from_utf8_lossy(value.as_bytes()));
    key.map(Some).map_err(|error| invalid(format!("quorate-idempotency-key: {error}")))
}

/// Refuses a key where one cannot be kept: an import may become several transactions.
pub(super) fn refuse_key(metadata: &MetadataMap) -> Result<(), Status> {
    const MESSAGE: &str = "an import takes no quorate-idempotency-key, because it may become several transactions: write in \
                           portions with WriteRelationships, each with a key of its own, or go on after the relationships \
                           that the error of the import says were loaded";
    match metadata.get(KEY) {
        Some(_) => Err(to_status(Error::new(ErrorCode::InvalidArgument, MESSAGE))),
        None => Ok(()),
    }
}

/// The answer to a write, which says so where it is a repetition.
pub(super) fn answer<T>(message: T, replayed: bool) -> Response<T> {
    let mut response = Response::new(message);
    if replayed {
        response.metadata_mut().insert(REPLAYED, MetadataValue::from_static("true"));
    }
    response
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn one_printable_key_is_taken_and_nothing_else() {
        let longest = "k".repeat(128);
        type Case<'a> = (&'a [&'a str], Result<Option<&'a str>, Code>);
        let cases: &[Case<'_>] = &[
            (&[], Ok(None)),
            (&["order-17"], Ok(Some("order-17"))),
            (&[&longest], Ok(Some(&longest))),
            (&[""], Err(Code::InvalidArgument)),
            (&["a\tb"], Err(Code::InvalidArgument)),
            (&["é"], Err(Code::InvalidArgument)),
            (&[&format!("{longest}k")], Err(Code::InvalidArgument)),
            (&["a", "a"], Err(Code::InvalidArgument)),
        ];
        for (given, expected) in cases {
            let mut headers = http::HeaderMap::new();
            for value in *given {
                headers.append(KEY, http::HeaderValue::from_bytes(value.as_bytes()).expect("a header can hold it"));
            }
            let metadata = MetadataMap::from_headers(headers);
            let found = idempotency_key(&metadata).map_err(|status| status.code());
            assert_eq!(found, expected.map(|key| key.map(|key| IdempotencyKey::new(key).expect("valid"))), "{given:?}");
            assert_eq!(refuse_key(&metadata).is_ok(), given.is_empty(), "{given:?}");
        }
    }
}
