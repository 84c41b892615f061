//! Backups of a running cluster, and clusters made from them: the same state at the same index, whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use crate::harness::wire::authzed::{RelationshipUpdate, WriteRelationshipsRequest, ZedToken};
use crate::harness::wire::cluster::backup_part::Part;
use crate::harness::wire::cluster::backup_service_client::BackupServiceClient;
use crate::harness::wire::cluster::{CreateBackupRequest, StatusResponse};
use crate::harness::{
    Client, Cluster, KEY, Load, Ran, SETTLE_LIMIT, Settings, at_least, binary, create, delete, eventually, exactly,
    filter, fully, reason_of, run, run_at, run_command, touch,
};

const LIMIT: Duration = Duration::from_secs(60);

async fn backup(cluster: &Cluster, index: usize, to: &Path) -> Value {
    let to = to.display().to_string();
    let ran = run_at(cluster, index, &["backup", "create", "--to", &to, "--json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()
}

async fn offline(command: &str, args: &[&str], paths: &[(&str, &Path)]) -> Ran {
    let mut run = binary();
    run.args(command.split(' ')).args(args);
    for (flag, path) in paths {
        if !flag.is_empty() {
            run.arg(flag);
        }
        run.arg(path);
    }
    run_command(run, LIMIT).await
}

async fn verify(repository: &Path) -> Ran {
    offline("backup verify", &[], &[("", repository)]).await
}

async fn restore(from: &Path, data: &Path, more: &[&str]) -> Ran {
    offline("restore", more, &[("--from", from), ("--data-dir", data)]).await
}

fn zookie(said: &Value) -> ZedToken {
    ZedToken { token: said["zookie"].as_str().expect("it names the state").to_owned() }
}

async fn documents(client: &Client, at: &ZedToken) -> BTreeSet<String> {
    let read =
        eventually("an exact read", SETTLE_LIMIT, async || client.read(filter("document"), exactly(at)).await).await;
    read.0.into_iter().collect()
}

async fn keyed(client: &Client, update: RelationshipUpdate) -> Result<bool, tonic::Status> {
    let message = WriteRelationshipsRequest { updates: vec![update], ..Default::default() };
    let mut request = Request::new(message);
    request.metadata_mut().insert("quorate-idempotency-key", "one of a kind".parse().expect("plain text"));
    let response = client.permissions.clone().write_relationships(request).await?;
    Ok(response.metadata().get("quorate-replayed").is_some_and(|value| value == "true"))
}

async fn refused(client: &Client, check: &str, at: &ZedToken) -> [Option<String>; 2] {
    let exact = client.check(check, exactly(at)).await.err().and_then(|status| reason_of(&status));
    let fresh = client.check(check, at_least(at)).await.err().and_then(|status| reason_of(&status));
    [exact, fresh]
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("readable").path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_comes_back_as_it_was() {
    let mut cluster = Cluster::form(3).await;
    let follower = cluster.others(&[cluster.leader().await])[0];
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let repository = home.path().join("backups");

    // History, and a write that may be repeated.
    let client = cluster.client(0);
    let early = client.write([create("document:early#viewer@user:tom")]).await.unwrap();
    client.write([delete("document:early#viewer@user:tom")]).await.unwrap();
    assert!(!keyed(&client, create("document:once#viewer@user:tom")).await.unwrap());

    let mut load = Load::start(&cluster.clients(), 2);
    load.progress(60).await;
    let said = backup(&cluster, follower, &repository).await;
    assert_eq!(said["fetched_files"], said["files"], "{said}");
    load.progress(40).await;
    load.stop().await;
    let late = client.write([touch("document:late#viewer@user:tom")]).await.unwrap();
    cluster.assert_same_state().await;

    // A second one of the same node has nearly all it needs.
    let second = backup(&cluster, follower, &repository).await;
    let third = backup(&cluster, follower, &repository).await;
    let (all, fetched) = (third["files"].as_u64().unwrap(), third["fetched_files"].as_u64().unwrap());
    assert!(second["index"].as_u64() > said["index"].as_u64(), "{second}");
    assert!(fetched < all, "nothing was written in between: {third}");
    assert!(second["fetched_files"].as_u64() < second["files"].as_u64(), "{second}");
    let listed = offline("backup list", &["--json"], &[("", &repository)]).await;
    assert!(listed.code == Some(0) && listed.out.lines().count() >= 2, "{listed:?}");
    let verified = verify(&repository).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");

    let at = zookie(&said);
    let expected = documents(&client, &at).await;
    assert!(expected.len() > 60 && expected.contains("document:once#viewer@user:tom"));
    assert!(client.check("document:early#view@user:tom", exactly(&early)).await.unwrap().allowed);
    let old = cluster.status(0).await;
    for index in [0, 1, 2] {
        cluster.nodes[index].kill();
    }
    let data = cluster.nodes[0].data.clone();
    let index = said["index"].to_string();
    let full = restore(&repository, &data, &["--at", &index]).await;
    assert!(full.code == Some(1) && full.err.contains("not empty"), "{full:?}");
    fs::remove_dir_all(&data).unwrap();
    let restored = restore(&repository, &data, &["--at", &index, "--keep-zookies", "--json"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");

    assert_eq!(cluster.nodes[0].start().await, "member");
    cluster.join_anew(1, 0).await;
    let statuses = eventually("both know where both are", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&[0, 1]).await;
        let known = |status: &StatusResponse| {
            status.members.len() == 2 && status.members.iter().all(|member| !member.peer_address.is_empty())
        };
        if statuses.len() == 2 && statuses.iter().all(|(_, status)| known(status)) {
            Ok(statuses)
        } else {
            Err(statuses)
        }
    })
    .await;
    for (_, status) in &statuses {
        assert_ne!(status.lineage, old.lineage);
        assert_eq!(Some(status.lineage.as_str()), restored.json()["lineage"].as_str());
        for member in &status.members {
            assert!(old.members.iter().all(|before| before.node_id != member.node_id), "an id again: {status:?}");
        }
    }
    for node in [0, 1] {
        let client = cluster.client(node);
        assert_eq!(documents(&client, &at).await, expected, "node {node}");
        assert!(client.check("document:early#view@user:tom", exactly(&early)).await.unwrap().allowed);
        assert!(!client.check("document:early#view@user:tom", at_least(&early)).await.unwrap().allowed);
        // What was written after the backup is lost, and nobody is told otherwise.
        let lost = Some("ZOOKIE_FROM_FUTURE".to_owned());
        assert_eq!(refused(&client, "document:late#view@user:tom", &late).await, [lost.clone(), lost]);
    }
    let client = cluster.client(1);
    assert!(keyed(&client, create("document:once#viewer@user:tom")).await.unwrap(), "it is remembered");
    // The index of `late` comes again, for something else.
    for n in 0..200 {
        client.write([touch(&format!("document:new-{n}#viewer@user:tom"))]).await.unwrap();
    }
    let lost = Some("ZOOKIE_FROM_FUTURE".to_owned());
    assert_eq!(refused(&client, "document:late#view@user:tom", &late).await, [lost.clone(), lost]);
    cluster.assert_same_state().await;

    // Without its zookies it is a stranger.
    let data = cluster.nodes[2].data.clone();
    fs::remove_dir_all(&data).unwrap();
    let restored = restore(&repository, &data, &["--at", &index]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(cluster.nodes[2].start().await, "member");
    let client = cluster.client(2);
    let (rows, _) =
        eventually("it leads itself", SETTLE_LIMIT, async || client.read(filter("document"), fully()).await).await;
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(refused(&client, "document:late#view@user:tom", &late).await, [Some("FOREIGN_ZOOKIE".to_owned()), None]);
    client.write([touch("document:more#viewer@user:tom")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_found() {
    let mut cluster = Cluster::form(1).await;
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let repository = home.path().join("backups");
    for n in 0..20 {
        cluster.client(0).write([touch(&format!("document:{n}#viewer@user:tom"))]).await.unwrap();
    }
    backup(&cluster, 0, &repository).await;
    assert_eq!(verify(&repository).await.code, Some(0));
    assert!(cluster.nodes[0].stop().await.success());

    let data = home.path().join("data");
    let objects = files(&repository.join("objects"));
    assert!(objects.len() >= 4, "{objects:?}");
    for path in &objects {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let manifests = files(&repository.join("backups"));
    for path in objects.iter().chain(&manifests) {
        let whole = fs::read(path).unwrap();
        if whole.is_empty() {
            continue;
        }
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        fs::write(path, &flipped).unwrap();
        for ran in [verify(&repository).await, restore(&repository, &data, &[]).await] {
            assert!(ran.code == Some(1) && ran.err.contains("damaged"), "{}: {ran:?}", path.display());
        }
        fs::write(path, &whole).unwrap();
    }
    // A manifest that is sound, and says something else than the files do.
    let whole = fs::read_to_string(&manifests[0]).unwrap();
    for (field, value) in
        [("state_hash", Value::from("0".repeat(64))), ("term", 99.into()), ("oldest_index", 99.into())]
    {
        let (_, body) = whole.split_once('\n').unwrap();
        let mut said: Value = serde_json::from_str(body).unwrap();
        said[field] = value;
        let body = said.to_string();
        let checksum = blake3::hash(body.as_bytes()).to_hex();
        fs::write(&manifests[0], format!("quorate backup 1 blake3 {checksum}\n{body}")).unwrap();
        let ran = verify(&repository).await;
        assert!(ran.code == Some(1) && ran.err.contains("the manifest says"), "{field}: {ran:?}");
    }
    fs::write(&manifests[0], &whole).unwrap();
    // One that is gone is no better.
    let moved = home.path().join("moved");
    fs::rename(&objects[0], &moved).unwrap();
    for ran in [verify(&repository).await, restore(&repository, &data, &[]).await] {
        assert!(ran.code == Some(1) && ran.err.contains("missing"), "{ran:?}");
    }
    fs::rename(&moved, &objects[0]).unwrap();

    // A restore that failed left nothing that a node would take for its own.
    let identity = data.join("identity");
    assert!(!identity.exists());
    assert_eq!(verify(&repository).await.code, Some(0));
    assert_eq!(restore(&repository, &data, &[]).await.code, Some(0));
    assert!(identity.exists());

    let removed = offline("backup remove", &["--at", "1"], &[("", &repository)]).await;
    assert_eq!(removed.code, Some(1), "there is none at 1: {removed:?}");
    let at = manifests[0].file_stem().unwrap().to_str().unwrap().to_owned();
    let removed = offline("backup remove", &["--at", &at], &[("", &repository)]).await;
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(files(&repository.join("objects")).len() + files(&repository.join("backups")).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_broken_off_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml").display().to_string();
    let made = run(&["key", "create", "reader", "--scope", "read,write,schema", "--append-to", &keys], LIMIT).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let flags = vec!["--key-file".to_owned(), keys];
    let cluster = Cluster::form_with(1, Settings { flags, ..Settings::default() }).await;
    let client = cluster.client(0);
    for batch in 0..10 {
        // Names that do not compress, so that the files are larger than what is on its way at one time.
        let name = |n: u64| {
            format!("{:032x}", u128::from(n + 1000 * batch).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        };
        client.write((0..1000).map(|n| touch(&format!("document:{}#viewer@user:tom", name(n))))).await.unwrap();
    }

    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let repository = home.path().join("backups");
    let mut unfit = binary();
    unfit.args(["backup", "create", "--endpoint", &cluster.nodes[0].client_address, "--key", made.out.trim()]);
    unfit.arg("--to").arg(&repository);
    let unfit = run_command(unfit, LIMIT).await;
    assert!(unfit.code == Some(1) && unfit.err.contains("admin"), "{unfit:?}");
    assert_eq!(offline("backup list", &["--json"], &[("", &repository)]).await.out, "");

    // Two that nobody reads are the most; when they are left, their files go, and there is room again.
    let address = format!("http://{}", cluster.nodes[0].client_address);
    let narrow = Endpoint::from_shared(address).unwrap().initial_stream_window_size(65_535);
    let narrow = narrow.initial_connection_window_size(65_535);
    // Each on a connection of its own: what nobody reads of one fills the window of all.
    let slow = || BackupServiceClient::new(narrow.connect_lazy());
    let keyed = |have: Vec<Vec<u8>>| {
        let mut request = Request::new(CreateBackupRequest { have });
        request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().expect("plain text"));
        request
    };
    let begin = async || {
        let mut stream = slow().create_backup(keyed(Vec::new())).await?.into_inner();
        let first = stream.message().await?.and_then(|message| message.part);
        assert!(matches!(first, Some(Part::Manifest(_))), "{first:?}");
        Ok::<_, tonic::Status>(stream)
    };
    let held = (begin().await.unwrap(), begin().await.unwrap());
    assert_eq!(begin().await.expect_err("a third").code(), Code::ResourceExhausted);
    let snapshots = cluster.nodes[0].data.join("snapshots");
    let asides = || fs::read_dir(&snapshots).map_or(0, Iterator::count);
    assert_eq!(asides(), 2);
    drop(held);
    eventually("their files go", SETTLE_LIMIT, async || match asides() {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
    let odd = slow().create_backup(keyed(vec![vec![1; 31]])).await.expect_err("a hash has 32 bytes");
    assert_eq!(odd.code(), Code::InvalidArgument);

    // What was fetched before a client ended counts for the next one.
    let whole = backup(&cluster, 0, &repository).await;
    for manifest in files(&repository.join("backups")) {
        fs::remove_file(manifest).unwrap();
    }
    let objects = files(&repository.join("objects"));
    fs::remove_file(&objects[0]).unwrap();
    fs::write(repository.join("tmp").join("object"), "half").unwrap();
    assert_eq!(offline("backup list", &["--json"], &[("", &repository)]).await.out, "");
    let again = backup(&cluster, 0, &repository).await;
    let (fetched, all) = (again["fetched_files"].as_u64().unwrap(), again["files"].as_u64().unwrap());
    assert!(fetched < all, "{whole} {again}");
    assert_eq!(verify(&repository).await.code, Some(0));
    let held = run_at(&cluster, 0, &["backup", "create", "--to", env!("CARGO_TARGET_TMPDIR")]).await;
    assert!(held.code == Some(1) && held.err.contains("not empty"), "{held:?}");
}
