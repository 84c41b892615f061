//! `quorate migrate` between two clusters, which speak the same protocol as SpiceDB does; `tests/migrate` has the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{
    Client, Cluster, KEY, Ran, SETTLE_LIMIT, Settings, binary, delete, eventually, filter, fully, run_command, touch,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a `migrate` command from the one cluster to the other.
async fn migrate(source: &Cluster, here: &Cluster, args: &[&str]) -> Ran {
    let mut command = binary();
    command.arg("migrate").args(args);
    command.args(["--from", &source.nodes[0].client_address, "--from-key", KEY]);
    command.args(["--endpoint", &here.nodes[0].client_address, "--key", KEY]);
    run_command(command, LIMIT).await
}

/// Runs a `migrate` command that concerns one cluster.
async fn at(here: &Cluster, args: &[&str]) -> Ran {
    let mut command = binary();
    command.arg("migrate").args(args).args(["--endpoint", &here.nodes[0].client_address, "--key", KEY]);
    run_command(command, LIMIT).await
}

async fn content(client: &Client, object_type: &str) -> Vec<String> {
    let (mut texts, _) = client.read(filter(object_type), fully()).await.unwrap();
    texts.sort();
    texts
}

fn path(of: &Path) -> &str {
    of.to_str().expect("a test's folder has a plain name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_and_so_does_what_changes_later() {
    let source = Cluster::form(1).await;
    let here = Cluster::form_beside(&source, 1).await;
    let home = TempDir::new().unwrap();
    let state = home.path().join("state.json");
    for n in 0..25 {
        let updates = (0..100).map(|m| touch(&format!("document:{n}-{m}#viewer@user:u{m}")));
        source.client(0).write(updates).await.unwrap();
    }
    source
        .client(0)
        .write([touch("document:1#viewer@group:eng#member"), touch("document:1#viewer@user:*")])
        .await
        .unwrap();

    let args = ["from-spicedb", "--state", path(&state), "--json"];
    let ran = migrate(&source, &here, &args).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((ran.json()["copied"].as_u64(), ran.json()["caught_up"].as_bool()), (Some(2502), Some(true)), "{ran:?}");
    assert_eq!(content(&here.client(0), "document").await, content(&source.client(0), "document").await);

    source.client(0).write([delete("document:1#viewer@user:*"), touch("document:2#owner@user:ada")]).await.unwrap();
    let ran = migrate(&source, &here, &["verify", "--settle", "1s", "--json"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.json()["differences"]["only_source"][0], "document:2#owner@user:ada", "{ran:?}");
    let ran = migrate(&source, &here, &args).await;
    assert_eq!((ran.code, ran.json()["transactions"].as_u64()), (Some(0), Some(1)), "{ran:?}");
    let ran = migrate(&source, &here, &["verify"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("relationships: the same") && ran.out.contains("checks: the same"), "{ran:?}");

    // A second migration does not go on top of the first one unasked.
    let other = home.path().join("other.json");
    let ran = migrate(&source, &here, &["from-spicedb", "--state", path(&other)]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("holds relationships already") && !other.exists(), "{ran:?}");
    here.client(0).write([touch("document:stale#viewer@user:mallory")]).await.unwrap();
    let ran = migrate(&source, &here, &["from-spicedb", "--state", path(&other), "--replace"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(content(&here.client(0), "document").await, content(&source.client(0), "document").await);
    // Nor into another cluster with the file of the first.
    let ran = migrate(&here, &source, &args).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("another cluster"), "{ran:?}");
}

/// What is not kept any more cannot be followed, and to leave it out would be a stale allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_has_forgotten_what_is_to_be_followed_is_not_followed() {
    let history = Settings { history: Some((1_000, 20)), ..Settings::default() };
    let source = Cluster::form_with(1, history).await;
    let here = Cluster::form_beside(&source, 1).await;
    let home = TempDir::new().unwrap();
    let state = home.path().join("state.json");
    source.client(0).write([touch("document:1#viewer@user:tom")]).await.unwrap();
    let begun = source.client(0).status().await.unwrap().applied_index;
    let args = ["from-spicedb", "--state", path(&state), "--patience", "2s"];
    let ran = migrate(&source, &here, &args).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    source.client(0).write([delete("document:1#viewer@user:tom")]).await.unwrap();
    eventually("the source has forgotten", SETTLE_LIMIT, async || {
        source.client(0).write([touch("document:2#viewer@user:tom")]).await.map_err(|error| error.to_string())?;
        let oldest = source.client(0).status().await.map_err(|error| error.to_string())?.oldest_index;
        if oldest > begun + 1 { Ok(()) } else { Err(format!("{oldest} of {begun}")) }
    })
    .await;
    let ran = migrate(&source, &here, &args).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("--replace"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_are_loaded_and_written() {
    let here = Cluster::form(1).await;
    let home = TempDir::new().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate/go.zedbackup");
    let ran = at(&here, &["from-backup", path(&file), "--json"]).await;
    assert_eq!((ran.code, ran.json()["relationships"].as_u64()), (Some(0), Some(308)), "{ran:?}");
    let expected = [
        "doc:plan#guest@user:eve[expiration:2100-01-02T03:04:05.678Z]",
        "doc:plan#guest@user:fay[on_tier:{\"tier\":1}][expiration:2100-01-02T03:04:05.678Z]",
        "doc:plan#viewer@user:ada[on_tier:{\"limits\":{\"a\":[1.5,null,\"x\"]},\"tier\":5}]",
        "doc:plan#viewer@user:bob[on_tier]",
        "doc:readme#viewer@team:eng#member",
        "doc:readme#viewer@user:*",
        "doc:readme#viewer@user:emil",
    ];
    let mut command = binary();
    command.args(["relationship", "read", "--resource-type", "doc", "--consistency", "full"]);
    command.args(["--endpoint", &here.nodes[0].client_address, "--key", KEY]);
    let read = run_command(command, LIMIT).await;
    let mut lines: Vec<&str> = read.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected, "{read:?}");

    let copy = home.path().join("copy.zedbackup");
    let ran = at(&here, &["to-backup", path(&copy), "--json"]).await;
    assert_eq!((ran.code, ran.json()["relationships"].as_u64()), (Some(0), Some(308)), "{ran:?}");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600, "it holds everything");
    let ran = at(&here, &["to-backup", path(&copy)]).await;
    assert_eq!(ran.code, Some(2), "a backup is not written over: {ran:?}");
    let ran = at(&here, &["from-backup", path(&copy), "--replace", "--json"]).await;
    assert_eq!((ran.code, ran.json()["relationships"].as_u64()), (Some(0), Some(308)), "{ran:?}");

    let whole = std::fs::read(&copy).unwrap();
    let cut = home.path().join("cut.zedbackup");
    std::fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
    let ran = at(&here, &["from-backup", path(&cut), "--keep"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    std::fs::write(home.path().join("copy.zedbackup.lock"), "a cursor").unwrap();
    let ran = at(&here, &["from-backup", path(&copy), "--keep"]).await;
    assert!(ran.code == Some(2) && ran.err.contains("not complete"), "{ran:?}");
}
