//! The audit log: a line for each change that was answered, who was refused, what reads ask for, and what happens when it
//! cannot be written or is moved away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::harness::wire::authzed::{ImportBulkRelationshipsRequest, WriteRelationshipsRequest};
use crate::harness::{
    Client, Cluster, Fault, KEY, SCHEMA, Settings, create, eventually, filter, fully, reason_of, run, touch,
};

const LIMIT: Duration = Duration::from_secs(20);
const TUPLE: &str = "document:plan#viewer@user:tom";

/// Settings of nodes whose audit logs are in `audit.log` of the folder that they run in.
fn settings(file: &Path, flags: &[&str]) -> Settings {
    let file = file.display().to_string();
    let all = ["--audit-file", &file, "--audit-reads-sampled", "1"];
    Settings {
        gateway: true,
        flags: all.iter().chain(flags).map(|flag| (*flag).to_owned()).collect(),
        ..Settings::default()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The last line about a call of this method.
fn last(path: &Path, method: &str) -> Value {
    let found = lines(path).into_iter().rfind(|line| line["method"].as_str().is_some_and(|m| m.ends_with(method)));
    found.unwrap_or_else(|| panic!("no line about {method}: {:?}", lines(path)))
}

/// The same about a read, which is answered before its line is there.
async fn of_read(path: &Path, method: &str) -> Value {
    let is_there = |line: &Value| line["method"].as_str().is_some_and(|m| m.ends_with(method));
    eventually(
        "the line of a read",
        LIMIT,
        async || if lines(path).iter().any(is_there) { Ok(()) } else { Err("none") },
    )
    .await;
    last(path, method)
}

fn assert_has(line: &Value, expected: Value) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_has_a_line_when_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let cluster = Cluster::form_with(1, settings(&path, &[])).await;
    let client = cluster.client(0);
    assert_has(&last(&path, "/Init"), json!({ "kind": "change", "outcome": "done", "key": "client.keys[0]" }));
    let schema = last(&path, "/WriteSchema");
    assert_eq!(schema["what"]["schema"]["blake3"], blake3(SCHEMA));

    let write = async |request_id: &'static str| {
        let mut request =
            Request::new(WriteRelationshipsRequest { updates: vec![create(TUPLE)], ..Default::default() });
        for (name, value) in [("x-request-id", request_id), ("quorate-idempotency-key", "once")] {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        client.permissions.clone().write_relationships(request).await
    };
    for (request_id, repetition) in [("first", false), ("second", true)] {
        let zookie = write(request_id).await.expect("the same under one key").into_inner().written_at.unwrap();
        // At once: the answer comes after the line.
        let line = last(&path, "/WriteRelationships");
        let expected = json!({
            "kind": "change", "node": 1, "request_id": request_id, "via": "grpc", "outcome": "done", "code": "OK",
            "repetition": repetition,
            "what": { "count": 1, "relationships": [format!("create {TUPLE}")], "idempotency_key": "once" },
        });
        assert_has(&line, expected);
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line["index"].as_u64(), Some(index_of(&zookie.token).await), "{line}");
    }
    client.write([create(TUPLE)]).await.expect_err("it exists");
    let refused = json!({ "outcome": "refused", "code": "ALREADY_EXISTS", "index": null });
    assert_has(&last(&path, "/WriteRelationships"), refused);

    client.check("document:plan#view@user:tom", fully()).await.unwrap();
    let line = of_read(&path, "/CheckPermission").await;
    let expected = json!({
        "kind": "read", "consistency": "full", "answer": "allowed", "outcome": "done",
        "what": { "check": "document:plan#view@user:tom" },
    });
    assert_has(&line, expected);
    assert!(line["index"].as_u64() > Some(0));
    client.read(filter("document"), fully()).await.unwrap();
    assert_has(
        &of_read(&path, "/ReadRelationships").await,
        json!({ "what": { "read": { "resource_type": "document" } } }),
    );

    let import = ImportBulkRelationshipsRequest {
        relationships: (0..150).map(|n| touch(&format!("group:g{n}#member@user:eve")).relationship.unwrap()).collect(),
    };
    client.permissions.clone().import_bulk_relationships(futures::stream::iter([import])).await.unwrap();
    let line = last(&path, "/ImportBulkRelationships");
    assert_eq!((&line["what"]["count"], &line["what"]["left_out"]), (&json!(150), &json!(50)));
    assert!(line["index"].as_u64() > Some(0), "{line}");
    client.snapshot().await.unwrap();
    assert_has(&last(&path, "/Snapshot"), json!({ "outcome": "done" }));
    client.promote(99).await.expect_err("no such node");
    let failed = json!({ "what": { "node_id": 99 }, "outcome": "failed", "reason": "UNKNOWN_NODE" });
    assert_has(&last(&path, "/Promote"), failed);
    assert!(!fs::read_to_string(&path).unwrap().contains(KEY), "a key in the audit log");
}

async fn index_of(token: &str) -> u64 {
    let ran = run(&["zookie", "inspect", token, "--json"], LIMIT).await;
    ran.json()["index"].as_u64().unwrap_or_else(|| panic!("{ran:?}"))
}

fn blake3(text: &str) -> Value {
    blake3::hash(text.as_bytes()).to_hex().to_string().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_recorded_and_a_flood_of_them_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (path, keys) = (folder.path().join("audit.log"), folder.path().join("keys.toml"));
    let file = keys.display().to_string();
    let ran = run(&["key", "create", "reader", "--scope", "read", "--append-to", &file], LIMIT).await;
    let cluster = Cluster::form_with(1, settings(&path, &["--key-file", &file])).await;
    let node = &cluster.nodes[0];
    let with = |key: &str| Client::with_key(&node.client_address, Some(key));
    let refused = with("no-key-of-ours").write([touch(TUPLE)]).await.expect_err("a wrong key");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let method = "authzed.api.v1.PermissionsService/WriteRelationships";
    let is_there = async |expected: Value| {
        eventually("a line about a refusal", LIMIT, async || {
            let line =
                lines(&path).into_iter().rfind(|line| line["kind"] == "refused").ok_or_else(|| "none".to_owned())?;
            let matches = expected.as_object().unwrap().iter().all(|(name, value)| line[name] == *value);
            if matches { Ok(line) } else { Err(line.to_string()) }
        })
        .await
    };
    is_there(json!({ "method": method, "key": null, "reason": "PERMISSION_DENIED", "via": "grpc" })).await;
    with(ran.out.trim()).write([touch(TUPLE)]).await.expect_err("it is for reading");
    is_there(json!({ "method": method, "key": "reader", "reason": "SCOPE_MISSING" })).await;
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let url = format!("http://{}/v1/schema/write", node.gateway_address());
    assert_eq!(agent.post(url).send("{}").unwrap().status().as_u16(), 401);
    let line = is_there(json!({ "reason": "UNAUTHENTICATED", "via": "json", "code": "UNAUTHENTICATED" })).await;
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");

    let flood = with("no-key-of-ours");
    for _ in 0..400 {
        flood.status().await.expect_err("a wrong key");
    }
    let count = lines(&path).iter().filter(|line| line["kind"] == "refused").count();
    assert!((100..390).contains(&count), "{count} lines about 400 refusals");
    let told = eventually("what was left out is counted", LIMIT, async || {
        flood.status().await.expect_err("a wrong key");
        lines(&path).iter().filter_map(|line| line["suppressed"].as_u64()).max().ok_or("not yet")
    });
    assert!(told.await > 0);
    assert!(!fs::read_to_string(&path).unwrap().contains("no-key-of-ours"), "a key in the audit log");
}

/// A folder that is there, or is not.
struct Home {
    path: PathBuf,
    away: PathBuf,
}

impl Home {
    fn go(&self) {
        fs::rename(&self.path, &self.away).unwrap();
    }

    fn come_back(&self) {
        fs::rename(&self.away, &self.path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_moved_away_is_begun_anew_and_one_that_cannot_be_is_no_small_matter() {
    for required in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { path: folder.path().join("home"), away: folder.path().join("away") };
        fs::create_dir(&home.path).unwrap();
        let path = home.path.join("audit.log");
        let flags = ["--metrics-listen", "127.0.0.1:0", "--audit-required", if required { "true" } else { "false" }];
        let cluster = Cluster::form_with(1, settings(&path, &flags)).await;
        let (node, client) = (&cluster.nodes[0], cluster.client(0));
        let moved = home.path.join("audit.log.moved");
        fs::rename(&path, &moved).unwrap();
        node.inflict(Fault::Hangup);
        eventually("a new file", LIMIT, async || if path.exists() { Ok(()) } else { Err("not yet") }).await;
        client.write([touch(TUPLE)]).await.unwrap();
        assert_eq!(lines(&path).len(), 1, "{:?}", lines(&path));
        assert!(lines(&moved).len() >= 2);

        home.go();
        node.inflict(Fault::Hangup);
        let said = "the audit log cannot be written";
        eventually(said, LIMIT, async || if node.log().contains(said) { Ok(()) } else { Err(node.log()) }).await;
        let lost = client.write([touch("document:lost#viewer@user:tom")]).await;
        match (required, &lost) {
            (false, Ok(_)) => {}
            (true, Err(status)) => {
                assert_eq!((status.code(), reason_of(status).as_deref()), (Code::Unavailable, Some("UNAVAILABLE")));
                assert!(status.message().contains("audit log"), "{status:?}");
            }
            (_, other) => panic!("required: {required}, and {other:?}"),
        }
        let check = client.check("document:lost#view@user:tom", fully()).await.expect("reads go on");
        assert_eq!(check.allowed, !required, "what is refused has no effect");
        let agent = ureq::agent();
        let url = format!("http://{}/metrics", node.metrics_address());
        let text = agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(text.contains("\nquorate_audit_failing 1\n"), "{text}");

        home.come_back();
        eventually("changes are recorded again", LIMIT, async || {
            client.write([touch("document:found#viewer@user:tom")]).await.map_err(|status| status.to_string())
        })
        .await;
        let told = |words: &str| lines(&path).iter().any(|line| line["what"].to_string().contains(words));
        // Where the log is not required, a change is answered before the file is there again.
        eventually(
            "what waited is written",
            LIMIT,
            async || if told("document:found") { Ok(()) } else { Err(lines(&path)) },
        )
        .await;
        // A call that was refused for want of the log is told as well, and as refused.
        let done = |line: &Value| {
            let is_done_change = line["kind"] == "change" && line["outcome"] == "done";
            is_done_change && line["what"].to_string().contains("document:lost")
        };
        assert_eq!(lines(&path).iter().any(done), !required, "what waited is written in the end: {:?}", lines(&path));
    }
}
