//! `quorate dev`: a cluster on one machine, its example, its end, and what it says when it cannot start.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Client, Fault, PortBlock, binary, delete, eventually, fully, run, touch, turn};

/// The key that `quorate dev` gives its nodes.
const DEV_KEY: &str = "quorate-dev";
/// Until the line `cluster ready`.
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running `quorate dev` with its output in a file.
struct Dev {
    process: Child,
    out: std::path::PathBuf,
}

impl Dev {
    /// Starts it and waits until the cluster is ready.
    async fn start(home: &Path, ports: &PortBlock, more: &[&str]) -> Self {
        let out = home.join("dev.out");
        let file = File::create(&out).unwrap();
        let mut command = binary();
        command
            .arg("dev")
            .arg("--dir")
            .arg(home.join("dev"))
            .args(["--base-port", &ports.first().to_string()])
            .args(more);
        let errors = file.try_clone().unwrap();
        let process = command.stdout(Stdio::from(file)).stderr(errors).spawn().expect("the binary under test starts");
        let mut dev = Self { process, out };
        eventually("the line `cluster ready`", READY_LIMIT, async || {
            let text = dev.text();
            let ended = dev.process.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "it ended instead: {ended:?}\n{text}");
            if text.lines().any(|line| line.trim() == "cluster ready") { Ok(()) } else { Err(text) }
        })
        .await;
        dev
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Ctrl-C; it must end cleanly, and all its nodes with it.
    async fn interrupt(mut self) -> String {
        Fault::Interrupt.inflict(self.process.id());
        let status = eventually("it stops", STOP_LIMIT, async || {
            self.process.try_wait().expect("a child can be asked").ok_or("it still runs")
        })
        .await;
        assert_eq!(status.code(), Some(0), "{}", self.text());
        self.text()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // After a failure: its nodes see its end and end too. Both calls fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_development_cluster_serves_stops_and_keeps_its_data() {
    let _turn = turn().await;
    let home = TempDir::with_prefix_in("dev-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ports = PortBlock::claim();

    let dev = Dev::start(home.path(), &ports, &[]).await;
    let clients: Vec<Client> = (0..3).map(|node| Client::with_key(&ports.client(node), Some(DEV_KEY))).collect();
    let said = dev.text();
    for expected in [ports.client(0).as_str(), ports.client(2).as_str(), DEV_KEY, "permission check"] {
        assert!(said.contains(expected), "it does not say {expected:?}:\n{said}");
    }
    let folder = home.path().join("dev").display().to_string();
    assert!(said.contains(&folder), "it does not name the folder of its data:\n{said}");

    // The example schema is there; the data written now outlives a restart.
    let schema = "definition user {}\ndefinition note { relation reader: user\n permission read = reader }";
    let both = format!("{}\n{schema}", current_schema(&clients[0]).await.replace("definition user {}", ""));
    clients[0].write_schema(&both).await.unwrap();
    clients[1].write([touch("note:kept#reader@user:ann")]).await.unwrap();
    dev.interrupt().await;
    for node in 0..3 {
        TcpListener::bind(ports.client(node)).expect("no node is left behind");
    }

    // A node whose folder was removed comes back as another one, and leaves nobody behind that never answers.
    fs::remove_dir_all(home.path().join("dev/node-2")).unwrap();
    let again = Dev::start(home.path(), &ports, &[]).await;
    assert!(again.text().contains("Node 2 has lost its data"), "{}", again.text());
    let members = clients[0].status().await.unwrap().members;
    assert!(members.len() == 3 && members.iter().all(|member| member.voter), "{members:?}");
    let answer = clients[2].check("note:kept#read@user:ann", fully()).await.unwrap();
    assert!(answer.allowed, "the data is still there");
    assert!(current_schema(&clients[0]).await.contains("definition note"), "the example did not replace what is there");
    again.interrupt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_in_the_example_stays_revoked() {
    let _turn = turn().await;
    let home = TempDir::with_prefix_in("dev-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ports = PortBlock::claim();
    let dev = Dev::start(home.path(), &ports, &["--nodes", "1"]).await;
    let client = Client::with_key(&ports.client(0), Some(DEV_KEY));
    let shown = "document:readme#view@user:emil";
    assert!(client.check(shown, fully()).await.unwrap().allowed);
    client
        .write([delete("document:readme#viewer@user:emil"), delete("document:roadmap#banned@user:ivo")])
        .await
        .unwrap();
    dev.interrupt().await;

    let again = Dev::start(home.path(), &ports, &[]).await;
    assert!(!client.check(shown, fully()).await.unwrap().allowed, "{}", again.text());
    assert!(client.check("document:roadmap#view@user:ivo", fully()).await.unwrap().allowed, "{}", again.text());
    client.write([touch("document:readme#banned@user:emil")]).await.unwrap();
    again.interrupt().await;

    let banned = Dev::start(home.path(), &ports, &[]).await;
    assert!(!client.check(shown, fully()).await.unwrap().allowed, "{}", banned.text());
    banned.interrupt().await;
}

async fn current_schema(client: &Client) -> String {
    let request = crate::harness::wire::authzed::ReadSchemaRequest {};
    client.schemas.clone().read_schema(request).await.unwrap().into_inner().schema_text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let _turn = turn().await;
    let home = TempDir::new().unwrap();
    let ports = PortBlock::claim();
    let taken = TcpListener::bind(ports.client(1)).unwrap();
    let dir = home.path().join("dev");
    let base = ports.first().to_string();
    let ran = run(&["dev", "--dir", dir.to_str().unwrap(), "--base-port", &base], READY_LIMIT).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(ran.err.contains(&port), "it names the port: {ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_something_else_is_refused() {
    let _turn = turn().await;
    let home = TempDir::new().unwrap();
    let ports = PortBlock::claim();
    let file = home.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let base = ports.first().to_string();
    let ran = run(&["dev", "--dir", file.to_str().unwrap(), "--base-port", &base], READY_LIMIT).await;
    assert!(ran.code.is_some_and(|code| code == 1 || code == 2), "{ran:?}");
    assert!(ran.err.contains(file.to_str().unwrap()), "it names the folder: {ran:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a folder", "and leaves it alone");
}
