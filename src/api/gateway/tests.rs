//! Requests through the whole of the gateway, and the services behind it, on a node in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceExt as _;

use crate::api::audit::Recorder;
use crate::api::auth::RequireKey;
use crate::api::quotas::Quotas;
use crate::api::server::{ApiServices, routes};
use crate::api::tests::{KEY, TestAdmin};
use crate::model::{TimestampMs, Tuple, limits};
use crate::security::Keyring;
use crate::service::testing::{SCHEMA, TestNode, key};

/// What came back.
#[derive(Debug)]
struct Answer {
    code: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn lines(&self) -> Vec<Value> {
        self.text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

struct Site {
    node: Arc<TestNode>,
    router: Router,
    reporter: HealthReporter,
}

impl Site {
    /// A member with a schema and two tuples.
    async fn start() -> Self {
        let (node, services) = TestNode::start();
        let api = ApiServices { services, cluster: Arc::new(TestAdmin), audit: None };
        let keyring = Arc::new(Keyring::new(&[KEY], None).expect("one key"));
        let reporter = HealthReporter::new();
        let key = RequireKey::new(keyring, Quotas::default(), Recorder::off());
        let services = routes(api, key.clone(), reporter.clone()).expect("the descriptors are usable");
        let site = Self { node, router: super::router(services, key), reporter };
        let written = site.post("/v1/schema/write", &json!({ "schema": SCHEMA }).to_string()).await;
        assert_eq!(written.code, StatusCode::OK, "{written:?}");
        for document in ["a", "b"] {
            let updates = json!([{ "operation": "OPERATION_TOUCH", "relationship": relationship(document) }]);
            let written = site.post("/v1/relationships/write", &json!({ "updates": updates }).to_string()).await;
            assert_eq!(written.code, StatusCode::OK, "{written:?}");
        }
        site
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &[("authorization", "Bearer a key")], body.to_owned()).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("it cannot fail");
        let (parts, body) = response.into_parts();
        let text = to_bytes(body, usize::MAX).await.expect("it ends");
        let text = String::from_utf8(text.to_vec()).expect("JSON is text");
        Answer { code: parts.status, headers: parts.headers, text }
    }
}

fn relationship(document: &str) -> Value {
    json!({
        "resource": { "objectType": "document", "objectId": document },
        "relation": "viewer",
        "subject": { "object": { "objectType": "user", "objectId": "tom" } },
    })
}

fn check(permission: &str) -> String {
    let mut request = relationship("a");
    let request_members = request.as_object_mut().expect("an object");
    request_members.remove("relation");
    request_members.insert("permission".to_owned(), permission.into());
    request.to_string()
}

#[tokio::test]
async fn a_call_is_answered_as_by_grpc() {
    let site = Site::start().await;
    let answer = site.post("/v1/permissions/check", &check("view")).await;
    assert_eq!(answer.code, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json()["permissionship"], "PERMISSIONSHIP_HAS_PERMISSION");
    assert!(answer.json()["checkedAt"]["token"].is_string());

    let chosen = [("authorization", "Bearer a key"), ("X-Request-Id", "mine")];
    let answer = site.send(Method::POST, "/v1/permissions/check", &chosen, check("view")).await;
    assert_eq!(answer.headers["x-request-id"], "mine");

    let answer = site.post("/v1/permissions/check", &check("absent")).await;
    assert_eq!((answer.code, &answer.json()["code"]), (StatusCode::BAD_REQUEST, &json!(9)));
    let details = &answer.json()["details"][0];
    assert_eq!(details["reason"], "ERROR_REASON_UNKNOWN_RELATION_OR_PERMISSION");
    assert_eq!(details["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_stream_is_lines() {
    let site = Site::start().await;
    let read = r#"{"consistency":{"fullyConsistent":true},"relationshipFilter":{"resourceType":"document"}}"#;
    let answer = site.post("/v1/relationships/read", read).await;
    assert_eq!(answer.code, StatusCode::OK);
    let ids: Vec<Value> =
        answer.lines().iter().map(|line| line["result"]["relationship"]["resource"]["objectId"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);

    let none = r#"{"relationshipFilter":{"resourceType":"document","optionalResourceId":"none"}}"#;
    let answer = site.post("/v1/relationships/read", none).await;
    assert_eq!((answer.code, answer.text.as_str()), (StatusCode::OK, ""));

    let wrong = r#"{"relationshipFilter":{"resourceType":"folder"}}"#;
    let answer = site.post("/v1/relationships/read", wrong).await;
    assert_eq!(answer.code, StatusCode::BAD_REQUEST);
    assert_eq!(answer.lines()[0]["error"]["details"][0]["reason"], "ERROR_REASON_UNKNOWN_DEFINITION");
}

#[tokio::test]
async fn keys_and_sizes_count_as_on_the_other_side() {
    let site = Site::start().await;
    let path = "/v1/permissions/check";
    let none = site.send(Method::POST, path, &[], check("view")).await;
    assert_eq!((none.code, &none.json()["code"]), (StatusCode::UNAUTHORIZED, &json!(16)));
    assert_eq!(none.headers["www-authenticate"], "Bearer");
    let wrong = site.send(Method::POST, path, &[("authorization", "Bearer wrong")], check("view")).await;
    assert_eq!((wrong.code, &wrong.json()["code"]), (StatusCode::FORBIDDEN, &json!(7)));
    // No other spelling of the header gets around the key.
    let sneaky = site.send(Method::POST, path, &[("grpc-metadata-authorization", "Bearer a key")], check("view")).await;
    assert_eq!(sneaky.code, StatusCode::UNAUTHORIZED);

    let long = format!(r#"{{"permission":"{}"}}"#, "x".repeat(limits::MESSAGE_BYTES));
    let refused = site.post(path, &long).await;
    assert_eq!((refused.code, &refused.json()["code"]), (StatusCode::BAD_REQUEST, &json!(11)));
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let site = Site::start().await;
    for body in ["{", "[]", r#"{"permision":"view"}"#, "{}{}", r#"{"permission":"a","permission":"b"}"#] {
        let answer = site.post("/v1/permissions/check", body).await;
        assert_eq!((answer.code, &answer.json()["code"]), (StatusCode::BAD_REQUEST, &json!(3)), "{body}");
    }
    let answer = site.post("/v1/nothing", "").await;
    assert_eq!((answer.code, &answer.json()["code"]), (StatusCode::NOT_FOUND, &json!(5)));
    let answer = site.send(Method::GET, "/v1/permissions/check", &[], Body::empty()).await;
    assert_eq!((answer.code, &answer.json()["code"]), (StatusCode::NOT_IMPLEMENTED, &json!(12)));
}

#[tokio::test]
async fn nothing_is_read_for_whoever_has_no_key() {
    let site = Site::start().await;
    for path in ["/v1/permissions/check", "/v1/relationships/importbulk"] {
        for (headers, code) in
            [(&[][..], StatusCode::UNAUTHORIZED), (&[("authorization", "Bearer wrong")][..], StatusCode::FORBIDDEN)]
        {
            let unread = futures::stream::poll_fn(|_| -> Poll<Option<Result<Vec<u8>, Infallible>>> {
                panic!("the body is read");
            });
            let answer = site.send(Method::POST, path, headers, Body::from_stream(unread)).await;
            assert_eq!(answer.code, code, "{path}");
            assert!(answer.headers.contains_key("x-request-id"), "{path}");
        }
    }
}

#[tokio::test]
async fn what_the_services_cannot_decode_is_the_callers_fault() {
    let site = Site::start().await;
    for levels in 25..45 {
        let mut request: Value = serde_json::from_str(&check("view")).expect("JSON");
        request["context"] = (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        let answer = site.post("/v1/permissions/check", &request.to_string()).await;
        assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&answer.code), "{levels}: {answer:?}");
        assert!(answer.text.len() < 500, "{levels}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_import_that_breaks_off_says_why_and_how_much_is_in() {
    let site = Site::start().await;
    let one = json!({ "relationships": [relationship("new")] }).to_string();
    let answer = site.post("/v1/relationships/importbulk", &format!("{one}{{\"relationships\":")).await;
    assert_eq!((answer.code, &answer.json()["code"]), (StatusCode::BAD_REQUEST, &json!(3)));
    let details = &answer.json()["details"][0];
    assert_eq!(details["reason"], "INVALID_ARGUMENT");
    assert_eq!(details["metadata"]["relationships_loaded"], "0");
}

#[tokio::test]
async fn an_error_is_the_last_line() {
    let site = Site::start().await;
    let mut beyond = Tuple::unqualified(key("document:aa#viewer@user:b"));
    beyond.qualifiers.expires_at = Some(TimestampMs(u64::MAX / 2)); // JSON has no such time.
    site.node.put(beyond);
    let read = r#"{"consistency":{"fullyConsistent":true},"relationshipFilter":{"resourceType":"document"}}"#;
    let lines = site.post("/v1/relationships/read", read).await.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0]["result"].is_object() && lines[1]["error"].is_object(), "{lines:?}");
}

#[tokio::test]
async fn health_and_the_description_need_no_key() {
    let site = Site::start().await;
    let get = async |path: &str| site.send(Method::GET, path, &[], Body::empty()).await;
    for (status, code, name) in [
        (ServingStatus::NotServing, StatusCode::SERVICE_UNAVAILABLE, "NOT_SERVING"),
        (ServingStatus::Serving, StatusCode::OK, "SERVING"),
    ] {
        site.reporter.set_service_status("", status).await;
        let answer = get("/healthz").await;
        assert_eq!((answer.code, answer.json()), (code, json!({ "status": name })));
    }
    let description = get("/openapi.json").await;
    assert_eq!(description.code, StatusCode::OK);
    assert!(description.json()["paths"]["/v1/permissions/check"]["post"].is_object());
}
