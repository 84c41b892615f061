//! Running the binary as a person or a script would, with a bound on how long it may take.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::client::KEY;
use super::cluster::Cluster;
use super::node::binary;
use super::wait::eventually;

/// What a command that ended left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The JSON document on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// Runs the binary with `args`, which must end within `limit`.
pub(crate) async fn run(args: &[&str], limit: Duration) -> Ran {
    let mut command = binary();
    command.args(args);
    run_command(command, limit).await
}

/// Runs a client command against node `index` of the cluster.
pub(crate) async fn run_at(cluster: &Cluster, index: usize, args: &[&str]) -> Ran {
    let mut command = binary();
    command.args(args).args(["--endpoint", &cluster.nodes[index].client_address, "--key", KEY]);
    run_command(command, Duration::from_secs(20)).await
}

/// The exit code of a client command against node `index` of the cluster, when nobody reads what it prints: both of its
/// outputs are pipes whose readers have gone.
pub(crate) async fn run_unread(cluster: &Cluster, index: usize, args: &[&str]) -> Option<i32> {
    let mut command = binary();
    command.args(args);
    if args[0] != "validate" {
        command.args(["--endpoint", &cluster.nodes[index].client_address, "--key", KEY]);
    }
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("the system has pipes");
        drop(reader);
        writer
    };
    let child = command.stdout(closed()).stderr(closed()).spawn().expect("the binary under test starts");
    let mut guard = Ends(child);
    let status = eventually(&format!("{command:?}"), Duration::from_secs(20), async || {
        guard.0.try_wait().expect("a child can be asked").ok_or("it still runs")
    })
    .await;
    status.code()
}

/// Runs `command`, which must end within `limit`.
pub(crate) async fn run_command(mut command: Command, limit: Duration) -> Ran {
    let what = format!("{command:?}");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary under test starts");
    let (out, err) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let mut guard = Ends(child);
    let status =
        eventually(&what, limit, async || guard.0.try_wait().expect("a child can be asked").ok_or("it still runs"))
            .await;
    let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("the reader does not panic");
    Ran { code: status.code(), out: text(out), err: text(err) }
}

/// Reads all that a child prints, so that it never waits for a full pipe.
fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<String> {
    let mut pipe = pipe.expect("it was piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A child that does not outlive the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
