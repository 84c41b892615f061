//! The JSON gateway of a real node, by a plain HTTP client.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use crate::harness::{Cluster, KEY, Settings, eventually};

struct Gateway {
    address: String,
    agent: Agent,
}

impl Gateway {
    fn of(cluster: &Cluster) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { address: cluster.nodes[0].gateway_address(), agent }
    }

    /// The code and the lines of the answer.
    fn post(&self, path: &str, key: Option<&str>, body: &str) -> (u16, Vec<Value>) {
        let mut request = self.agent.post(format!("http://{}{path}", self.address));
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(body).expect("the gateway answers");
        let text = response.body_mut().read_to_string().expect("the answer is text");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of the answer is JSON"));
        (response.status().as_u16(), lines.collect())
    }

    /// The one object of a good answer.
    fn ask(&self, path: &str, body: Value) -> Value {
        let (code, mut lines) = self.post(path, Some(KEY), &body.to_string());
        assert_eq!((code, lines.len()), (200, 1), "{path}: {lines:?}");
        lines.remove(0)
    }
}

fn relationship(id: usize) -> Value {
    json!({
        "resource": { "objectType": "document", "objectId": format!("d{id:03}") },
        "relation": "viewer",
        "subject": { "object": { "objectType": "user", "objectId": "tom" } },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_http_client_can_do_everything() {
    const IMPORTED: usize = 250;
    let cluster = Cluster::form_with(1, Settings { gateway: true, ..Settings::default() }).await;
    let gateway = Gateway::of(&cluster);

    let written = gateway.ask(
        "/v1/relationships/write",
        json!({ "updates": [{ "operation": "OPERATION_TOUCH", "relationship": relationship(0) }] }),
    );
    let zookie = &written["writtenAt"];
    assert!(zookie["token"].is_string(), "{written}");
    let check = json!({
        "consistency": { "atLeastAsFresh": zookie },
        "resource": { "objectType": "document", "objectId": "d000" },
        "permission": "view",
        "subject": { "object": { "objectType": "user", "objectId": "tom" } },
    });
    assert_eq!(gateway.ask("/v1/permissions/check", check.clone())["permissionship"], "PERMISSIONSHIP_HAS_PERMISSION");

    // A stream of messages in, as lines; a stream of messages out.
    let messages = |bad: &str| -> String {
        let message =
            |ids: &[usize]| json!({ "relationships": ids.iter().map(|id| relationship(*id)).collect::<Vec<_>>() });
        let ids: Vec<usize> = (1..=IMPORTED).collect();
        ids.chunks(100).map(|ids| message(ids).to_string() + "\n").collect::<String>() + bad
    };
    // What breaks off, or is not JSON at its end, is no import.
    for bad in ["{\"relationships\": [", "{\"relation\": 1}"] {
        let (code, lines) = gateway.post("/v1/relationships/importbulk", Some(KEY), &messages(bad));
        assert_eq!((code, &lines[0]["code"]), (400, &json!(3)), "{bad}: {lines:?}");
        assert_eq!(lines[0]["details"][0]["metadata"]["relationships_loaded"], "0", "{bad}: {lines:?}");
    }
    let read =
        json!({ "consistency": { "fullyConsistent": true }, "relationshipFilter": { "resourceType": "document" } });
    let (code, lines) = gateway.post("/v1/relationships/read", Some(KEY), &read.to_string());
    assert_eq!((code, lines.len()), (200, 1), "nothing of a broken import is there");
    let (code, lines) = gateway.post("/v1/relationships/importbulk", Some(KEY), &messages(""));
    assert_eq!((code, &lines[..]), (200, &[json!({ "numLoaded": IMPORTED.to_string() })][..]));
    let (code, lines) = gateway.post("/v1/relationships/read", Some(KEY), &read.to_string());
    assert_eq!((code, lines.len()), (200, IMPORTED + 1));
    assert!(lines.iter().all(|line| line["result"]["relationship"]["resource"]["objectType"] == "document"));

    // Keys and errors as on the other side.
    let (code, lines) = gateway.post("/v1/permissions/check", None, &check.to_string());
    assert_eq!((code, &lines[0]["code"]), (401, &json!(16)));
    let (code, lines) = gateway.post("/v1/permissions/check", Some("wrong"), &check.to_string());
    assert_eq!((code, &lines[0]["code"]), (403, &json!(7)));
    let mut unknown = check;
    unknown["permission"] = "absent".into();
    let (code, lines) = gateway.post("/v1/permissions/check", Some(KEY), &unknown.to_string());
    let reason = &lines[0]["details"][0]["reason"];
    assert_eq!((code, reason), (400, &json!("ERROR_REASON_UNKNOWN_RELATION_OR_PERMISSION")), "{lines:?}");

    for path in ["/healthz", "/openapi.json"] {
        eventually(path, Duration::from_secs(10), async || {
            let response = gateway.agent.get(format!("http://{}{path}", gateway.address)).call().expect("it is served");
            if response.status().as_u16() == 200 { Ok(()) } else { Err(response.status()) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_can_be_repeated_over_http() {
    let cluster = Cluster::form_with(1, Settings { gateway: true, ..Settings::default() }).await;
    let gateway = Gateway::of(&cluster);
    let write = |operation: &str| {
        let update = json!({ "operation": operation, "relationship": relationship(0) });
        let request = gateway.agent.post(format!("http://{}/v1/relationships/write", gateway.address));
        let request = request.header("Authorization", format!("Bearer {KEY}"));
        let request = request.header("quorate-idempotency-key", "one key");
        let response = request.send(json!({ "updates": [update] }).to_string()).expect("the gateway answers");
        let replayed = response.headers().get("quorate-replayed").map(|value| value.to_str().expect("text").to_owned());
        let (status, mut body) = (response.status().as_u16(), response.into_body());
        (status, replayed, body.read_to_string().expect("text"))
    };
    let (status, replayed, first) = write("OPERATION_CREATE");
    assert_eq!((status, replayed), (200, None), "{first}");
    assert_eq!(write("OPERATION_CREATE"), (200, Some("true".to_owned()), first));
    let (status, _, error) = write("OPERATION_TOUCH");
    assert!(status == 400 && error.contains("IDEMPOTENCY_KEY_REUSED"), "{status}: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floors_and_the_check_before_a_change_are_there_over_http() {
    let cluster = Cluster::form_with(1, Settings { gateway: true, ..Settings::default() }).await;
    let gateway = Gateway::of(&cluster);
    let question = json!({
        "resource": { "objectType": "document", "objectId": "d000" },
        "permission": "view",
        "subject": { "object": { "objectType": "user", "objectId": "tom" } },
    });
    let raised = || {
        let request = gateway.agent.post(format!("http://{}/v1/permissions/check", gateway.address));
        let request = request.header("Authorization", format!("Bearer {KEY}"));
        let response = request.send(question.to_string()).expect("the gateway answers");
        assert_eq!(response.status().as_u16(), 200);
        response.headers().get("quorate-consistency-raised").map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(raised(), None);
    let floors = json!([{ "objectType": "document", "maxStaleness": "5s" }]);
    let set = gateway.ask("/quorate/v1/floors/set", json!({ "expectedVersion": "0", "floors": floors.clone() }));
    let got = gateway.ask("/quorate/v1/floors/get", json!({}));
    assert_eq!((&got["version"], &got["floors"]), (&set["version"], &floors), "{got}");
    assert_eq!(raised().as_deref(), Some("max_staleness=5s (document)"));

    let update = json!({ "operation": "OPERATION_TOUCH", "relationship": relationship(0) });
    gateway.ask("/v1/relationships/write", json!({ "updates": [update] }));
    let answer = gateway.ask("/quorate/v1/contentchangecheck", question.clone());
    assert_eq!(answer["permissionship"], "PERMISSIONSHIP_HAS_PERMISSION");
    let mut later = question.clone();
    later["consistency"] = json!({ "atLeastAsFresh": answer["zookie"] });
    assert_eq!(gateway.ask("/v1/permissions/check", later)["permissionship"], "PERMISSIONSHIP_HAS_PERMISSION");
}
