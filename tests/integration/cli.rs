//! The command line against a live cluster: exit codes, messages, JSON.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Cluster, KEY, Ran, SCHEMA, run, run_at, run_unread, touch, turn};

const SHORT: Duration = Duration::from_secs(10);

/// Exit codes, as the help names them.
const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const DENIED: Option<i32> = Some(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_what_happened_by_their_exit_codes() {
    let cluster = Cluster::form(3).await;
    let at = async |args: &[&str]| run_at(&cluster, 1, args).await;
    let tuple = "document:readme#viewer@user:emil";

    assert_eq!(at(&["relationship", "touch", tuple]).await.code, DONE);
    let again = at(&["relationship", "create", tuple]).await;
    assert_eq!(again.code, FAILED, "{again:?}");
    assert!(again.err.contains("error:") && again.err.contains("exists"), "{again:?}");

    let check = ["permission", "check", "document:readme", "view", "user:emil", "--consistency", "full"];
    let allowed = at(&check).await;
    assert_eq!(allowed.code, DONE, "{allowed:?}");
    assert!(allowed.out.contains("allowed"), "{allowed:?}");
    let denied = at(&["permission", "check", "document:readme", "edit", "user:emil", "--consistency", "full"]).await;
    assert_eq!(denied.code, DENIED, "{denied:?}");
    assert!(denied.out.contains("denied"), "{denied:?}");
    let unknown = at(&["permission", "check", "document:readme", "print", "user:emil"]).await;
    assert_eq!(unknown.code, FAILED, "a question that has no answer is no denial: {unknown:?}");
    assert!(unknown.err.contains("print"), "{unknown:?}");

    // The zookie of a write, as JSON gives it, on another node.
    let written = at(&["relationship", "touch", "document:readme#owner@user:ann", "--json"]).await;
    let zookie = written.json()["zookie"].as_str().expect("a write gives a zookie").to_owned();
    let with_zookie = ["permission", "check", "document:readme", "edit", "user:ann", "--zookie", &zookie, "--json"];
    let on_other = run_at(&cluster, 2, &with_zookie).await;
    assert_eq!(on_other.code, DONE, "{on_other:?}");
    assert!(on_other.json()["zookie"].is_string(), "{on_other:?}");
    let damaged = at(&["permission", "check", "document:readme", "edit", "user:ann", "--zookie", "damaged"]).await;
    assert_eq!(damaged.code, FAILED, "{damaged:?}");

    let rows = at(&["relationship", "read", "--resource-type", "document", "--json"]).await;
    let parsed: Vec<serde_json::Value> = rows.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 2, "{rows:?}");
    let schema = at(&["schema", "read", "--json"]).await;
    assert!(schema.json()["schema"].as_str().is_some_and(|text| text.contains("definition document")), "{schema:?}");
    assert_eq!(at(&["relationship", "delete", tuple]).await.code, DONE);
    assert_eq!(at(&check).await.code, DENIED);

    let status = at(&["cluster", "status", "--json"]).await;
    assert_eq!(status.code, DONE, "{status:?}");
    assert!(status.json().is_object() || status.json().is_array(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floors_are_set_shown_and_taken_away() {
    let cluster = Cluster::form(1).await;
    let floor = async |args: &[&str]| run_at(&cluster, 0, &[&["floor"], args].concat()).await;
    assert!(floor(&["list"]).await.out.contains("no type has a floor"));
    let set = floor(&["set", "document=fully-consistent", "payment=5s", "--json"]).await;
    assert_eq!(set.code, DONE, "{set:?}");
    assert!(set.err.contains("no type payment") && !set.err.contains("document"), "only one is unknown: {set:?}");
    // Others stay as they are.
    assert_eq!(floor(&["set", "group=250ms"]).await.code, DONE);
    let expected = serde_json::json!({
        "document": { "fully_consistent": true },
        "group": { "max_staleness_ms": 250 },
        "payment": { "max_staleness_ms": 5000 },
    });
    assert_eq!(floor(&["list", "--json"]).await.json()["floors"], expected);
    let version = floor(&["list", "--json"]).await.json()["version"].clone();
    let again = floor(&["set", "group=250ms", "--json"]).await;
    assert_eq!((again.code, &again.json()["version"]), (DONE, &version), "nothing to change: {again:?}");
    assert_eq!(floor(&["unset", "document", "payment", "absent"]).await.code, DONE);
    let shown = floor(&["list"]).await;
    assert!(shown.out.contains("250ms") && !shown.out.contains("document"), "{shown:?}");

    run_at(&cluster, 0, &["relationship", "touch", "document:readme#viewer@user:emil"]).await;
    for (permission, code) in [("view", DONE), ("edit", DENIED)] {
        let check = ["permission", "check", "document:readme", permission, "user:emil", "--content-change", "--json"];
        let ran = run_at(&cluster, 0, &check).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.json()["zookie"].is_string(), "to be stored whatever the answer: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_go_in_and_come_out_as_they_were() {
    let cluster = Cluster::form(1).await;
    let home = TempDir::new().unwrap();
    let file = home.path().join("schema.zed");
    fs::write(&file, SCHEMA).unwrap();
    let path = file.to_str().expect("a plain path");
    assert_eq!(run_at(&cluster, 0, &["schema", "write", path]).await.code, DONE);
    let read = run_at(&cluster, 0, &["schema", "read"]).await;
    assert_eq!(read.out.trim(), SCHEMA.trim());

    fs::write(&file, "definition user {}\ndefinition document {\n    relation viewer user\n}\n").unwrap();
    let refused = run_at(&cluster, 0, &["schema", "write", path]).await;
    assert_eq!(refused.code, FAILED, "{refused:?}");
    assert!(refused.err.contains('3'), "the error names the line: {refused:?}");
    let missing = run_at(&cluster, 0, &["schema", "write", "/nowhere/schema.zed"]).await;
    assert_ne!(missing.code, DONE);
    assert!(missing.err.contains("/nowhere/schema.zed"), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_connection_is_said() {
    let cluster = Cluster::form(1).await;
    cluster.client(0).write([touch("document:readme#viewer@user:emil")]).await.unwrap();
    let address = cluster.nodes[0].client_address.clone();
    let check = async |more: &[&str]| -> Ran {
        let mut args = vec!["permission", "check", "document:readme", "view", "user:emil"];
        args.extend(more);
        run(&args, SHORT).await
    };
    let wrong = check(&["--endpoint", &address, "--key", "wrong"]).await;
    assert_eq!(wrong.code, FAILED, "{wrong:?}");
    assert!(wrong.err.contains("key"), "it names the key as the reason: {wrong:?}");
    let missing = check(&["--endpoint", &address]).await;
    assert_ne!(missing.code, DONE, "{missing:?}");
    assert!(missing.err.contains("key"), "{missing:?}");
    let nobody = check(&["--endpoint", "127.0.0.1:9", "--key", KEY]).await;
    assert_eq!(nobody.code, FAILED, "{nobody:?}");
    assert!(nobody.err.contains("127.0.0.1:9"), "it names the address: {nobody:?}");
    // The first endpoint that serves is used.
    let second = check(&["--endpoint", &format!("127.0.0.1:9,{address}"), "--key", KEY]).await;
    assert_eq!(second.code, DONE, "{second:?}");
    for ran in [wrong, missing, nobody] {
        assert!(!ran.err.contains("panicked") && !ran.err.contains("RUST_BACKTRACE"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_on_the_command_line_are_usage_errors() {
    let _turn = turn().await;
    let mistyped = run(&["permission", "check", "document:1", "view", "user:a", "--consistncy", "full"], SHORT).await;
    assert_eq!(mistyped.code, USAGE, "{mistyped:?}");
    assert!(mistyped.err.contains("--consistency"), "it guesses what was meant: {mistyped:?}");
    let misnamed = run(&["permision", "check"], SHORT).await;
    assert_eq!(misnamed.code, USAGE);
    assert!(misnamed.err.contains("permission"), "{misnamed:?}");
    for args in [
        &["permission", "check", "document", "view", "user:a", "--key", "k"][..],
        &["relationship", "touch"],
        &["serve"],
    ] {
        let ran = run(args, SHORT).await;
        assert_eq!(ran.code, USAGE, "{args:?}: {ran:?}");
        assert!(!ran.err.is_empty());
    }
    let help = run(&["permission", "check", "--help"], SHORT).await;
    assert_eq!(help.code, DONE);
    assert!(help.out.contains("Example"), "{help:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_effective_configuration_is_shown_without_keys() {
    let _turn = turn().await;
    let home = TempDir::new().unwrap();
    let file = home.path().join("quorate.toml");
    let path = file.to_str().expect("a plain path");
    fs::write(&file, "data_dir = \"/data\"\n[client]\nkeys = [\"secret-key\"]\nlisten = \"127.0.0.1:7001\"\n").unwrap();
    let shown = run(&["serve", "--config", path, "--client-listen", "127.0.0.1:7002", "--print-config"], SHORT).await;
    assert_eq!(shown.code, DONE, "{shown:?}");
    assert!(shown.out.contains("127.0.0.1:7002"), "a flag wins over the file: {shown:?}");
    assert!(!shown.out.contains("secret-key") && !shown.err.contains("secret-key"), "{shown:?}");
    shown.out.parse::<toml::Table>().expect("what is shown is TOML");

    fs::write(&file, "data_dir = \"/data\"\nlisen = 1\n[client]\nkeys = [\"k\"]\n").unwrap();
    let refused = run(&["serve", "--config", path], SHORT).await;
    assert_eq!(refused.code, USAGE, "{refused:?}");
    assert!(refused.err.contains("lisen"), "it names the key that it does not know: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_code_does_not_depend_on_who_reads_along() {
    let cluster = Cluster::form(1).await;
    cluster.client(0).write_schema(SCHEMA).await.unwrap();
    cluster.client(0).write([touch("document:readme#viewer@user:emil")]).await.unwrap();
    let home = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let answered = file("answered", "document:readme#view@user:emil\n");
    let failing = file("failing", "document:readme#view@user:emil\ndocument:readme#print@user:emil\n");
    let smaller = file("smaller.zed", "definition user {}");
    let wrong =
        file("wrong.yaml", "schema: 'definition user {}'\nassertions:\n  assertTrue:\n  - user:a#view@user:b\n");
    let check = |permission| vec!["permission", "check", "document:readme", permission, "user:emil"];
    for (args, expected) in [
        (check("view"), DONE),
        (check("edit"), DENIED),
        (check("print"), FAILED),
        (vec!["permission", "bulk", &answered], DONE),
        (vec!["permission", "bulk", &failing], FAILED),
        (vec!["schema", "write", "--dry-run", &smaller], FAILED),
        (vec!["relationship", "read", "--resource-type", "document"], DONE),
        (vec!["relationship", "touch", "document:readme#nobody@user:emil"], FAILED),
        (vec!["validate", &wrong], FAILED),
    ] {
        let read = if args[0] == "validate" { run(&args, SHORT).await } else { run_at(&cluster, 0, &args).await };
        assert_eq!(read.code, expected, "{read:?}");
        assert_eq!(run_unread(&cluster, 0, &args).await, expected, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_says_whether_there_was_anything_to_delete() {
    let cluster = Cluster::form(1).await;
    cluster.client(0).write_schema(SCHEMA).await.unwrap();
    let kept = ["document:a#viewer@user:emil2", "document:a#owner@user:emil", "document:a2#viewer@user:emil"];
    let gone = ["document:a#viewer@user:emil", "document:a#viewer@user:*", "document:a#viewer@group:eng#member"];
    cluster.client(0).write(kept.into_iter().chain(gone).map(touch)).await.unwrap();
    let at = async |args: &[&str]| run_at(&cluster, 0, args).await;
    for tuple in gone {
        let deleted = at(&["relationship", "delete", tuple]).await;
        assert!(deleted.code == DONE && deleted.out.starts_with("1 relationship deleted\n"), "{deleted:?}");
        let again = at(&["relationship", "delete", tuple]).await;
        assert!(
            again.code == DONE && again.out.starts_with("0 relationships deleted: it was not there\n"),
            "{again:?}"
        );
        let json = at(&["relationship", "delete", tuple, "--json"]).await.json();
        assert!(json["deleted"] == 0 && json["zookie"].is_string(), "{json}");
    }
    let mistyped = at(&["relationship", "delete", "document:a#viewr@user:emil"]).await;
    assert_eq!(mistyped.code, FAILED, "{mistyped:?}");
    let left = at(&["relationship", "read", "--resource-type", "document", "--consistency", "full"]).await;
    assert_eq!(left.out.lines().count(), kept.len(), "nothing else was deleted: {left:?}");
    let several = at(&["relationship", "delete", kept[0], gone[0]]).await;
    assert!(several.out.starts_with("2 relationships deleted, where they were there\n"), "{several:?}");
}

/// What docs/operation.md calls a backup: the schema and every type, of one state, though others write meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_can_be_of_one_state() {
    let cluster = Cluster::form(1).await;
    cluster.client(0).write_schema(SCHEMA).await.unwrap();
    cluster
        .client(0)
        .write([touch("document:a#viewer@group:eng#member"), touch("group:eng#member@user:a")])
        .await
        .unwrap();
    let schema = run_at(&cluster, 0, &["schema", "read", "--json"]).await.json();
    let of_schema = schema["zookie"].as_str().expect("it names its state").to_owned();
    let list = async |resource_type: &str, zookie: &str| {
        let filter = ["relationship", "read", "--resource-type", resource_type];
        run_at(&cluster, 0, &[&filter[..], &["--consistency", "exact", "--zookie", zookie]].concat()).await
    };
    let first = list("document", &of_schema).await;
    let zookie = first.err.strip_prefix("zookie: ").unwrap_or_else(|| panic!("no zookie: {first:?}")).trim().to_owned();
    cluster.client(0).write([touch("group:eng#member@user:b")]).await.unwrap();
    assert_eq!(list("group", &zookie).await.out, "group:eng#member@user:a\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_something_else_is_told_and_passed_over() {
    let cluster = Cluster::form(1).await;
    cluster.client(0).write([touch("document:readme#viewer@user:emil")]).await.unwrap();
    let node = &cluster.nodes[0];
    let check = async |endpoint: &str| {
        let args =
            ["permission", "check", "document:readme", "view", "user:emil", "--endpoint", endpoint, "--key", KEY];
        run(&args, SHORT).await
    };
    let peer = check(&node.peer_address).await;
    assert!(peer.code == FAILED && peer.err.contains("client address of a node"), "{peer:?}");
    let passed = check(&format!("{},{}", node.peer_address, node.client_address)).await;
    assert_eq!(passed.code, DONE, "{passed:?}");
    let nobody = check("127.0.0.1:9,127.0.0.1:10").await;
    assert!(nobody.err.contains("127.0.0.1:9, 127.0.0.1:10"), "{nobody:?}");
}
