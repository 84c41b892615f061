//! Keys with scopes: what each is good for, over both protocols, and their coming and going while a node runs.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Client, Cluster, Fault, SCHEMA, Settings, eventually, fully, run, touch};

const LIMIT: Duration = Duration::from_secs(20);
const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";

async fn create(file: &Path, name: &str, scopes: &str) -> String {
    let file = file.display().to_string();
    let ran = run(&["key", "create", name, "--scope", scopes, "--append-to", &file], LIMIT).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out.trim().to_owned()
}

/// Which of read, write, schema and admin calls are let through; the others are refused for the key's sake.
async fn good_for(client: &Client) -> Vec<&'static str> {
    let tried: [(&str, Result<(), Status>); 4] = [
        ("read", client.check(CHECK, fully()).await.map(drop)),
        ("write", client.write([touch(TUPLE)]).await.map(drop)),
        ("schema", client.write_schema(SCHEMA).await.map(drop)),
        ("admin", client.snapshot().await.map(drop)),
    ];
    let mut good = Vec::new();
    for (name, outcome) in tried {
        match outcome {
            Ok(()) => good.push(name),
            Err(status) => assert_eq!(status.code(), Code::PermissionDenied, "{name}: {status:?}"),
        }
    }
    good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_good_for_its_scopes_and_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let reader = create(&file, "reader", "read").await;
    let writer = create(&file, "writer", "write,schema").await;
    let flags = vec!["--key-file".to_owned(), file.display().to_string()];
    let cluster = Cluster::form_with(1, Settings { gateway: true, flags, ..Settings::default() }).await;
    let node = &cluster.nodes[0];
    let with = |key: &str| Client::with_key(&node.client_address, Some(key));
    assert_eq!(good_for(&cluster.client(0)).await, ["read", "write", "schema", "admin"]);
    assert_eq!(good_for(&with(&reader)).await, ["read"]);
    assert_eq!(good_for(&with(&writer)).await, ["write", "schema"]);
    let refused = with(&reader).write([touch(TUPLE)]).await.expect_err("it is for reading");
    assert!(refused.message().contains("reader") && refused.message().contains("write"), "{refused:?}");
    assert_eq!(refused.get_details_error_info().map(|info| info.reason).as_deref(), Some("SCOPE_MISSING"));

    // The gateway asks before it reads a body.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let post = |key: &str, path: &str, body: &str| {
        let request = agent.post(format!("http://{}{path}", node.gateway_address()));
        let response = request.header("Authorization", format!("Bearer {key}")).send(body).expect("it answers");
        response.status().as_u16()
    };
    let schema = json!({ "schema": SCHEMA }).to_string();
    assert_eq!(post(&writer, "/v1/schema/write", &schema), 200);
    assert_eq!(post(&reader, "/v1/schema/write", "no JSON at all"), 403);
    assert_eq!(post(&reader, "/v1/schema/read", "{}"), 200);

    // A new key comes, the old one goes, and a file that is half written changes nothing.
    let log = |words: &str| node.log().matches(words).count();
    let told = async |words: &str| {
        let before = log(words);
        node.inflict(Fault::Hangup);
        eventually(words, LIMIT, async || if log(words) > before { Ok(()) } else { Err(node.log()) }).await;
    };
    let successor = create(&file, "successor", "read").await;
    told("new keys").await;
    assert_eq!(good_for(&with(&successor)).await, ["read"]);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    told("the keys in force stay in force").await;
    assert_eq!(good_for(&with(&reader)).await, ["read"]);
    let last = text.rfind("[[key]]").unwrap();
    std::fs::write(&file, &text[last..]).unwrap();
    told("new keys").await;
    assert_eq!(good_for(&with(&successor)).await, ["read"]);
    assert_eq!(good_for(&with(&reader)).await, [""; 0]);
    for key in [reader, writer, successor] {
        assert!(!node.log().contains(&key), "a key in the log");
    }
}
