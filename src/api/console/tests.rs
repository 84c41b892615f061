//! The console as a browser meets it, without a browser: what is served to whom, and what stands in the files.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use tonic_health::server::HealthReporter;
use tower::ServiceExt as _;

use super::assets::ASSETS;
use super::router::{CALLS, router};
use crate::api::audit::Recorder;
use crate::api::auth::RequireKey;
use crate::api::quotas::Quotas;
use crate::api::scopes;
use crate::api::server::{ApiServices, routes};
use crate::api::tests::{KEY, TestAdmin};
use crate::security::{Keyring, Scope};
use crate::service::testing::TestNode;

/// All files together; a page must be there at once on a slow line.
const MOST_BYTES: usize = 100_000;

fn console() -> Router {
    let (_, services) = TestNode::start();
    let api = ApiServices { services, cluster: Arc::new(TestAdmin), audit: None };
    let key =
        RequireKey::new(Arc::new(Keyring::new(&[KEY], None).expect("one key")), Quotas::default(), Recorder::off());
    router(routes(api, key.clone(), HealthReporter::new()).expect("the descriptors are usable"), key)
}

async fn ask(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from("{}")).expect("a request");
    let (parts, body) = router.clone().oneshot(request).await.expect("it cannot fail").into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.expect("it ends").to_vec())
}

const BEARER: (&str, &str) = ("authorization", "Bearer a key");

#[tokio::test]
async fn files_are_for_everybody_and_answers_for_whoever_has_a_key() {
    let console = console();
    for asset in ASSETS.iter() {
        let (status, headers, body) = ask(&console, Method::GET, asset.path, &[]).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, asset.bytes), "{}", asset.path);
        assert_eq!(headers["content-type"], asset.kind);
        let known = [("if-none-match", asset.tag.as_str())];
        let (status, _, body) = ask(&console, Method::GET, asset.path, &known).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{}", asset.path);
        let (status, _, _) = ask(&console, Method::GET, asset.path, &[("if-none-match", "\"0\"")]).await;
        assert_eq!(status, StatusCode::OK);
    }
    let overview = CALLS[0];
    let (status, _, _) = ask(&console, Method::POST, overview, &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _, _) = ask(&console, Method::POST, overview, &[("authorization", "Bearer other")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _, body) = ask(&console, Method::POST, overview, &[BEARER]).await;
    let text = String::from_utf8(body).expect("JSON");
    assert!(status == StatusCode::OK && text.contains("\"failure\":\"silent\""), "{status}: {text}");
}

#[tokio::test]
async fn nothing_can_be_changed_from_here() {
    for path in CALLS {
        let grpc_path = crate::api::gateway::grpc_path(path).expect("a call of the gateway");
        assert_eq!(scopes::needed(&grpc_path), Scope::Read, "{path}");
    }
    let console = console();
    for path in ["/v1/relationships/write", "/v1/schema/write", "/quorate/v1/floors/set", "/openapi.json", "/nothing"] {
        let (status, _, _) = ask(&console, Method::POST, path, &[BEARER]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_answer_is_protected_and_no_other_site_gets_one() {
    let console = console();
    for (method, path) in [(Method::GET, "/"), (Method::GET, "/none"), (Method::POST, CALLS[0]), (Method::PUT, "/")] {
        let (_, headers, _) = ask(&console, method, path, &[BEARER]).await;
        let policy = headers["content-security-policy"].to_str().expect("text");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("access-control-allow-origin") && !headers.contains_key("set-cookie"));
    }
    let (_, headers, _) = ask(&console, Method::POST, CALLS[0], &[BEARER]).await;
    assert_eq!(headers["cache-control"], "no-store");
    for (site, expected) in
        [("same-origin", StatusCode::OK), ("cross-site", StatusCode::FORBIDDEN), ("same-site", StatusCode::FORBIDDEN)]
    {
        let (status, _, _) = ask(&console, Method::POST, CALLS[0], &[BEARER, ("sec-fetch-site", site)]).await;
        assert_eq!(status, expected, "{site}");
    }
}

/// The browser's tests show that it works; this shows that nobody has to trust them for it.
#[test]
fn the_files_are_small_and_lead_nowhere_else() {
    let total: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
    assert!(total < MOST_BYTES, "{total}");
    for asset in ASSETS.iter() {
        let text = std::str::from_utf8(asset.bytes).expect("text");
        let elsewhere = text
            .match_indices("://")
            .filter(|(at, _)| !text[..*at].ends_with("http") || !text[*at..].starts_with("://www.w3.org/2000/svg"));
        assert_eq!(elsewhere.count(), 0, "{} names another place", asset.path);
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
            "style=",
        ] {
            assert!(!text.contains(sink), "{} has {sink}", asset.path);
        }
        for from in text.split("from \"./").skip(1).chain(text.split("=\"/assets/").skip(1)) {
            let name = from.split('"').next().expect("a name ends");
            assert!(ASSETS.iter().any(|it| it.path == format!("/assets/{name}")), "{} wants {name}", asset.path);
        }
    }
    let page = std::str::from_utf8(ASSETS[0].bytes).expect("text");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script type=\"module\" src=\"/assets/app.js\"></script>"), "no script in the page itself");
}
