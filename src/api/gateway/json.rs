//! Messages as proto3 JSON, made from the descriptors: names in lowerCamelCase, enums by name, 64-bit numbers as text.
//!
//! Unknown fields are refused: a filter whose name is misspelled must not become a wider filter. So are those named twice.
//! Answers show empty values too, as SpiceDB's do, but leave out absent messages, where it writes `null`.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, SerializeOptions};
use serde::de::DeserializeSeed as _;
use tonic::{Code, Status};

use super::survey::survey;
use crate::api::memory::Share;
use crate::wire;

/// All messages of the public protocols, and those that stand in the details of errors.
pub(super) fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        const WHY: &str = "the descriptors were made when the program was built, and tests read them";
        let mut pool = DescriptorPool::decode(wire::FILE_DESCRIPTOR_SET).expect(WHY);
        let details = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET).expect(WHY);
        // The rest of them stands in the first set already, partly under other names.
        let details = details.file.into_iter().filter(|file| file.name() == "error_details.proto");
        pool.add_file_descriptor_protos(details).expect(WHY);
        pool
    });
    &POOL
}

/// The message of an error.
pub(super) fn status_descriptor() -> MessageDescriptor {
    pool().get_message_by_name("google.rpc.Status").expect("responses of the protocol hold it")
}

/// The message that `text` holds, in memory that is taken from `share` before. An empty text is an empty message.
pub(super) fn parse(message: MessageDescriptor, text: &[u8], share: &mut Share) -> Result<DynamicMessage, Status> {
    if text.trim_ascii().is_empty() {
        return Ok(DynamicMessage::new(message));
    }
    survey(&message, text, share)?;
    let mut json = serde_json::Deserializer::from_slice(text);
    let parsed = message.deserialize(&mut json).and_then(|parsed| json.end().map(|()| parsed));
    parsed.map_err(|error| not_json(&error))
}

/// What is wrong with the text of a request.
pub(super) fn not_json(error: &serde_json::Error) -> Status {
    Status::invalid_argument(format!("the body is not the JSON of this request: {error}"))
}

/// The JSON of `message`.
pub(super) fn write(message: &DynamicMessage) -> Result<Vec<u8>, Status> {
    const OPTIONS: SerializeOptions = SerializeOptions::new().skip_default_fields(false);
    let mut text = serde_json::Serializer::new(Vec::new());
    match message.serialize_with_options(&mut text, &OPTIONS) {
        Ok(()) => Ok(text.into_inner()),
        Err(error) => {
            tracing::error!(%error, message = message.descriptor().full_name(), "an answer has no JSON");
            Err(Status::internal("the answer cannot be written as JSON; ask by gRPC"))
        }
    }
}

/// The JSON of an error: code, message, and the details that a gRPC client would get.
pub(super) fn write_status(status: &Status) -> Vec<u8> {
    let detailed = DynamicMessage::decode(status_descriptor(), status.details()).ok();
    // Details that cannot be shown must not hide the error itself.
    detailed.filter(|_| !status.details().is_empty()).and_then(|detailed| write(&detailed).ok()).unwrap_or_else(|| {
        let text = serde_json::json!({ "code": status.code() as i32, "message": status.message(), "details": [] });
        text.to_string().into_bytes()
    })
}

/// The HTTP code of a gRPC code, as in the gateways that clients know.
pub(super) fn http_code(code: Code) -> http::StatusCode {
    use http::StatusCode as Http;
    match code {
        Code::Ok => Http::OK,
        Code::Cancelled => Http::from_u16(499).expect("three digits"), // "client closed request"; it has no name
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => Http::BAD_REQUEST,
        Code::Unauthenticated => Http::UNAUTHORIZED,
        Code::PermissionDenied => Http::FORBIDDEN,
        Code::NotFound => Http::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => Http::CONFLICT,
        Code::ResourceExhausted => Http::TOO_MANY_REQUESTS,
        Code::Unimplemented => Http::NOT_IMPLEMENTED,
        Code::Unavailable => Http::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => Http::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => Http::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::errors::to_status;
    use crate::api::memory::Memory;
    use crate::model::{Error, ErrorCode};

    fn round_trip(message: &str, text: &str) -> Result<String, Status> {
        let message = pool().get_message_by_name(&format!("authzed.api.v1.{message}")).expect("it exists");
        let parsed = parse(message.clone(), text.as_bytes(), &mut Memory::default().share())?;
        // Through the bytes of the wire, as a request goes.
        let received = DynamicMessage::decode(message, parsed.encode_to_vec().as_slice()).expect("its own bytes");
        Ok(String::from_utf8(write(&received)?).expect("JSON is text"))
    }

    #[test]
    fn messages_are_proto3_json() {
        let cases = [
            // Empty values are shown, absent messages are not.
            ("ReadSchemaResponse", "", r#"{"schemaText":""}"#),
            ("Consistency", " \n", "{}"),
            ("Consistency", r#"{"fullyConsistent":true}"#, r#"{"fullyConsistent":true}"#),
            // Both spellings of a name, an enum by name or number, 64 bits as text or number.
            (
                "DeleteRelationshipsResponse",
                r#"{"deletion_progress":1,"relationshipsDeletedCount":18446744073709551615}"#,
                r#"{"deletionProgress":"DELETION_PROGRESS_COMPLETE","relationshipsDeletedCount":"18446744073709551615"}"#,
            ),
            (
                "ContextualizedCaveat",
                r#"{"caveatName":"c","context":{"a":[1,"x",null,{"b":true}]}}"#,
                r#"{"caveatName":"c","context":{"a":[1.0,"x",null,{"b":true}]}}"#,
            ),
            (
                "Relationship",
                r#"{"optionalExpiresAt":"2030-01-02T03:04:05.5Z"}"#,
                r#"{"relation":"","optionalExpiresAt":"2030-01-02T03:04:05.500Z"}"#,
            ),
        ];
        for (message, text, expected) in cases {
            assert_eq!(round_trip(message, text).expect(text), expected, "{message} {text}");
        }
    }

    #[test]
    fn what_is_not_the_request_is_refused() {
        let deep = format!(r#"{{"context":{{"a":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
        for text in [
            "{",
            "[]",
            "{} {}",
            r#"{"permision":"view"}"#,
            r#"{"permission":1}"#,
            r#"{"consistency":{"fullyConsistent":"yes"}}"#,
            r#"{"consistency":{"fullyConsistent":true,"minimizeLatency":true}}"#,
            r#"{"permission":"view","permission":"edit"}"#,
            deep.as_str(),
        ] {
            let refused = round_trip("CheckPermissionRequest", text).expect_err("refused");
            assert_eq!(refused.code(), Code::InvalidArgument, "{text}");
            assert!(refused.message().len() < 400, "{}", refused.message().len());
        }
    }

    #[test]
    fn an_error_shows_what_a_grpc_client_would_get() {
        let error = Error::new(ErrorCode::UnknownDefinition, "no such type").with("definition_name", "document");
        let text = String::from_utf8(write_status(&to_status(error))).expect("JSON is text");
        let expected = concat!(
            r#"{"code":9,"message":"no such type","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","#,
            r#""reason":"ERROR_REASON_UNKNOWN_DEFINITION","domain":"authzed.com","#,
            r#""metadata":{"definition_name":"document"}}]}"#
        );
        assert_eq!(text, expected);
        let plain = write_status(&Status::not_found("Not Found"));
        assert_eq!(plain, br#"{"code":5,"details":[],"message":"Not Found"}"#);
    }
}
