//! Passing a request on: from HTTP to the gRPC services of this process, and back.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use parking_lot::Mutex;
use prost_reflect::DynamicMessage;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::body::Question;
use super::codec::DynamicCodec;
use super::routes::Method;
use super::{body, json};
use crate::api::audit::{KeyName, PeerAddress};
use crate::api::auth::RequireKey;
use crate::api::memory::Memory;
use crate::api::metering::Metering;
use crate::api::quotas::Admitted;
use crate::api::request_id::{HEADER as REQUEST_ID, RequestIds, choose as choose_id};
use crate::api::step::Stepped;
use crate::api::traced::Tracing;
use crate::security::Standing;
use crate::telemetry::TRACEPARENT;

/// Headers of a request that the services see under the same name.
const PASSED_ON: [&str; 4] = ["authorization", "x-request-id", "grpc-timeout", TRACEPARENT];
/// So do headers of this product's own, in requests and in answers.
const OWN_PREFIX: &str = "quorate-";
/// Any other metadata is a header with this in front.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// The messages of a request; an error in it ends the call.
type Questions = BoxStream<'static, Result<Question, Status>>;

/// What is asked, with what is done on the way there.
type Services = Stepped<RequestIds, Stepped<Metering, Stepped<Tracing, Routes>>>;

/// Passes requests on to these services.
#[derive(Clone)]
pub(super) struct Gateway {
    services: Services,
    key: RequireKey,
    memory: Memory,
}

impl Gateway {
    /// The services ask for a key themselves; nothing is read for whoever has none.
    pub(super) fn new(services: Services, key: RequireKey) -> Self {
        Self { services, key, memory: Memory::default() }
    }

    /// Answers one request.
    pub(super) async fn pass(self, method: Method, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        // Chosen here, so that what is refused before a service sees it has one too.
        parts.headers.insert(REQUEST_ID, choose_id(&parts.headers));
        let fault = Fault::default();
        if let Some(from) = parts.extensions.get::<Standing>().map(Standing::from) {
            parts.extensions.insert(PeerAddress(from));
        }
        let (admitted, questions) = match self.questions(&method, &parts, body, &fault).await {
            Ok(begun) => begun,
            Err(status) => {
                let mut refusal = last(refuse(&status));
                refusal.headers_mut().extend(parts.headers.remove(REQUEST_ID).map(|id| (REQUEST_ID, id)));
                return refusal;
            }
        };
        let answer = self.call(&method, &parts, admitted, questions).await;
        if let Some(fault) = fault.lock().take() {
            return last(refuse(&blame(fault, answer.err())));
        }
        if method.descriptor.is_server_streaming() { stream(answer).await } else { single(answer).await }
    }

    /// The messages of the body, for whoever has a key and uses no more than he may. Where there is only one, it must be whole
    /// before anything is asked.
    async fn questions(
        &self,
        method: &Method,
        parts: &Parts,
        body: Body,
        fault: &Fault,
    ) -> Result<((KeyName, Admitted), Questions), Status> {
        let admitted = self.key.begin(&parts.headers, &parts.extensions, method.grpc_path.path())?;
        let message = method.descriptor.input();
        if method.descriptor.is_client_streaming() {
            let fault = Arc::clone(fault);
            let note = move |status: &Status| *fault.lock() = Some(status.clone());
            return Ok((admitted, body::many(message, body, &self.memory).inspect_err(note).boxed()));
        }
        let question = body::one(message, body, &self.memory).await?;
        Ok((admitted, stream::iter([Ok(question)]).boxed()))
    }

    /// Calls the service. Every kind of call is a stream of questions and one of answers here, as in the protocol below it.
    async fn call(
        &self,
        method: &Method,
        parts: &Parts,
        (key, admitted): (KeyName, Admitted),
        questions: Questions,
    ) -> Result<Answer, Status> {
        let mut request = tonic::Request::new(questions);
        *request.metadata_mut() = metadata(&parts.headers);
        request.extensions_mut().insert(admitted);
        request.extensions_mut().insert(key);
        // The services have no connection of the client to look at.
        if let Some(peer) = parts.extensions.get::<PeerAddress>() {
            request.extensions_mut().insert(*peer);
        }
        let codec = DynamicCodec { answer: method.descriptor.output() };
        // The services bound their answers; nothing is won by a second bound on the way.
        let mut services = Grpc::new(self.services.clone()).max_decoding_message_size(usize::MAX);
        let never = |error: Infallible| match error {};
        services.ready().await.unwrap_or_else(never);
        let response = services.streaming(request, method.grpc_path.clone(), codec).await?;
        let headers = answer_headers(response.metadata());
        Ok(Answer { headers, messages: response.into_inner() })
    }
}

/// The one answer of a call that does not stream.
async fn single(answer: Result<Answer, Status>) -> Response<Body> {
    let text = async {
        let mut answer = answer?;
        let message = answer.messages.message().await?;
        let message = message.ok_or_else(|| Status::internal("a call ended without an answer"))?;
        Ok::<_, Status>((answer.headers, json::write(&message)?))
    };
    match text.await {
        Ok((headers, text)) => respond(StatusCode::OK, headers, Body::from(text)),
        Err(status) => refuse(&status),
    }
}

/// A line for each answer: `{"result": …}`, and `{"error": …}` as the last one if the call fails. When it fails before the
/// first answer, the HTTP code says so too.
async fn stream(answer: Result<Answer, Status>) -> Response<Body> {
    let first = async {
        let mut answer = answer?;
        let first = answer.messages.message().await?;
        Ok::<_, Status>((answer, first))
    };
    match first.await {
        Ok((answer, Some(first))) => {
            let messages = stream::iter([Ok(first)]).chain(answer.messages);
            let lines = messages.map(line).scan(false, |over, line| {
                let more = !std::mem::replace(over, line.is_err());
                let text = line.unwrap_or_else(|error| error);
                std::future::ready(more.then_some(Ok::<_, Infallible>(text)))
            });
            respond(StatusCode::OK, answer.headers, Body::from_stream(lines))
        }
        Ok((answer, None)) => respond(StatusCode::OK, answer.headers, Body::empty()),
        Err(status) => {
            let (code, headers) = (json::http_code(status.code()), answer_headers(status.metadata()));
            respond(code, headers, Body::from(error_line(&status)))
        }
    }
}

/// The line of an answer, or of an error, after which there is none.
fn line(message: Result<DynamicMessage, Status>) -> Result<Vec<u8>, Vec<u8>> {
    match message.and_then(|message| json::write(&message)) {
        Ok(text) => Ok([&br#"{"result":"#[..], &text, b"}\n"].concat()),
        Err(status) => Err(error_line(&status)),
    }
}

fn error_line(status: &Status) -> Vec<u8> {
    [&br#"{"error":"#[..], &json::write_status(status), b"}\n"].concat()
}

/// The answer to a request that failed.
pub(in crate::api) fn refuse(status: &Status) -> Response<Body> {
    let code = json::http_code(status.code());
    let mut response = respond(code, answer_headers(status.metadata()), Body::from(json::write_status(status)));
    if status.code() == Code::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = status.get_details_retry_info().and_then(|info| info.retry_delay) {
        let seconds = wait.as_millis().div_ceil(1_000);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
    }
    response
}

/// The last answer on its connection. The rest of the request may still be on its way, so the server closes; a client that is
/// not told so would send its next request into that.
fn last(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a service answered, to be read to its end.
struct Answer {
    headers: HeaderMap,
    messages: Streaming<DynamicMessage>,
}

/// What was wrong with a body of several messages. The service only knows that they broke off.
type Fault = Arc<Mutex<Option<Status>>>;

/// The `fault` in a request, with what the service knows besides: an import may have loaded a part.
fn blame(fault: Status, answered: Option<Status>) -> Status {
    let Some(known) = answered.and_then(|status| status.get_details_error_info()) else { return fault };
    let reason = match fault.code() {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        _ => "CANCELLED",
    };
    let details = ErrorDetails::with_error_info(reason, known.domain, known.metadata);
    Status::with_error_details(fault.code(), fault.message(), details)
}

/// The headers that are meant for the services.
fn metadata(headers: &HeaderMap) -> MetadataMap {
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let inner = name.strip_prefix(METADATA_PREFIX);
        if let Some(inner) = inner.filter(|inner| !inner.starts_with("grpc-") && !PASSED_ON.contains(inner)) {
            if let Ok(inner) = HeaderName::try_from(inner) {
                passed.append(inner, value.clone());
            }
        } else if (PASSED_ON.contains(&name) || name.starts_with(OWN_PREFIX))
            && let Ok(name) = HeaderName::try_from(name)
        {
            passed.append(name, value.clone());
        }
    }
    MetadataMap::from_headers(passed)
}

/// The headers of an answer that are meant for the client.
fn answer_headers(metadata: &MetadataMap) -> HeaderMap {
    let mut headers = metadata.clone().into_headers();
    let unwanted = |name: &HeaderName| name != REQUEST_ID && !name.as_str().starts_with(OWN_PREFIX);
    for name in headers.keys().filter(|name| unwanted(name)).cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers
}

/// An answer in JSON.
pub(super) fn respond(code: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_metadata() {
        let cases = [
            ("authorization", Some("authorization")),
            ("grpc-timeout", Some("grpc-timeout")),
            ("x-request-id", Some("x-request-id")),
            ("traceparent", Some("traceparent")),
            ("quorate-max-lag", Some("quorate-max-lag")),
            ("grpc-metadata-io.spicedb.requestdebuginfo", Some("io.spicedb.requestdebuginfo")),
            ("grpc-metadata-authorization", None),
            ("grpc-metadata-grpc-encoding", None),
            ("grpc-metadata-", None),
            ("grpc-encoding", None),
            ("cookie", None),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(header), HeaderValue::from_static("value"));
            let passed = metadata(&headers).into_headers();
            let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
            assert_eq!(names, Vec::from_iter(expected), "{header}");
        }
    }

    #[test]
    fn an_answer_has_our_headers_and_no_others() {
        let mut metadata = MetadataMap::new();
        for name in ["x-request-id", "quorate-consistency-raised", "grpc-encoding", "date"] {
            metadata.insert(name, "value".parse().expect("text"));
        }
        let headers = answer_headers(&metadata);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["quorate-consistency-raised", "x-request-id"]);
    }
}
