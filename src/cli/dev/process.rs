//! One node as a process: started, watched, asked to stop.
//!
//! A node never outlives this process: its standard input is a pipe that nothing is written to, and that ends when this
//! process does, however it does (`serve --exit-with-parent`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::folder::NodePlace;
use crate::cli::failure::Failure;

/// Opening a large store after a crash takes time; this is beyond any that a laptop holds.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A node that does not stop in this time is killed; its data stands that.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// What is shown of a log.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 12;
const TAIL_LINE_CHARS: usize = 300;
/// openraft tells its whole state at every start; what this product itself says would drown in it.
const QUIET_LOG: &str = "info,openraft=warn";

/// A node ended without being asked to.
#[derive(Debug)]
pub(super) struct Exited {
    pub(super) number: u16,
    /// `None` where the system would not say.
    pub(super) status: Option<ExitStatus>,
}

/// A running node.
pub(super) struct NodeProcess {
    place: NodePlace,
    listening: Option<oneshot::Receiver<()>>,
    stop: oneshot::Sender<()>,
    /// Whether the node stopped by itself when it was asked to.
    watcher: JoinHandle<bool>,
}

impl NodeProcess {
    /// Starts the node. If it ends unasked, `exits` is told.
    pub(super) fn start(place: NodePlace, key: &str, exits: mpsc::Sender<Exited>) -> Result<Self, Failure> {
        let number = place.number;
        let mut child =
            spawn(&place, key).map_err(|error| Failure::new(format!("cannot start node {number}: {error}")))?;
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let (listens, listening) = oneshot::channel();
        tokio::spawn(follow(stdout, listens));
        let (stop, asked) = oneshot::channel();
        let watcher = tokio::spawn(watch(child, number, asked, exits));
        Ok(Self { place, listening: Some(listening), stop, watcher })
    }

    pub(super) fn place(&self) -> &NodePlace {
        &self.place
    }

    /// Returns when the node accepts requests. If it ends before, that is told elsewhere, and this never returns.
    pub(super) async fn wait_until_it_listens(&mut self) -> Result<(), Failure> {
        let Some(listening) = self.listening.take() else {
            return Ok(());
        };
        match tokio::time::timeout(START_PATIENCE, listening).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                let (number, log) = (self.place.number, self.place.log.display());
                let seconds = START_PATIENCE.as_secs();
                Err(Failure::new(format!("node {number} does not listen after {seconds} s; its log is {log}")))
            }
        }
    }

    /// Asks the node to stop and waits for it. Whether it did so by itself.
    pub(super) async fn stop(self) -> bool {
        // No receiver: the node has ended already.
        let _ = self.stop.send(());
        self.watcher.await.unwrap_or(false)
    }
}

fn spawn(place: &NodePlace, key: &str) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&place.log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("serve")
        .arg("--exit-with-parent")
        .arg("--data-dir")
        .arg(&place.data)
        .args(["--client-listen", &place.client.to_string()])
        .args(["--peer-listen", &place.peer.to_string()]);
    if let Some(gateway) = place.gateway {
        command.args(["--gateway-listen", &gateway.to_string()]);
    }
    if let Some(console) = place.console {
        command.args(["--console-listen", &console.to_string()]);
    }
    // What is set here for commands, or for another node, is not meant for these nodes. But their logs may be tuned.
    for (name, _) in std::env::vars_os() {
        let quorate = name.to_string_lossy().starts_with("QUORATE_");
        if quorate && !["QUORATE_LOG", "QUORATE_LOG_FORMAT"].iter().any(|kept| name == *kept) {
            command.env_remove(name);
        }
    }
    if std::env::var_os("QUORATE_LOG").is_none() {
        command.env("QUORATE_LOG", QUIET_LOG);
    }
    command
        .env("QUORATE_KEYS", key) // Not an argument: those are for everyone to see.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C is for this process, which then asks the nodes in its own way.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Reads what the node prints, to the end: a full pipe would stop it.
async fn follow(stdout: ChildStdout, listens: oneshot::Sender<()>) {
    let mut listens = Some(listens);
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("ready ")
            && let Some(listens) = listens.take()
        {
            // No receiver: nobody waits any more.
            let _ = listens.send(());
        }
    }
}

/// Owns the process. Returns whether it stopped by itself when it was asked to.
async fn watch(mut child: Child, number: u16, asked: oneshot::Receiver<()>, exits: mpsc::Sender<Exited>) -> bool {
    // Out of the child's hands, since `Child::wait` would close it, and so ask the node to stop.
    let _stdin = child.stdin.take();
    tokio::select! {
        status = child.wait() => {
            // No receiver: everything is ending anyway.
            let _ = exits.send(Exited { number, status: status.ok() }).await;
            return true;
        }
        _ = asked => {}
    }
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // The child has not been waited for, so the id is still its own. If it is ending just now, so be it.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    if let Ok(ended) = tokio::time::timeout(STOP_PATIENCE, child.wait()).await {
        return ended.is_ok_and(|status| status.success());
    }
    // It fails only where the child has ended meanwhile.
    let _ = child.kill().await;
    false
}

/// The last lines of a log, each with its line end.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(cannot be read: {error})"),
    };
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines[first..].iter().map(|line| line.chars().take(TAIL_LINE_CHARS).chain(['\n']).collect::<String>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_short_whatever_the_log_is() {
        let log = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(tail(log.path()), "");
        let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(log.path(), lines).unwrap();
        let shown = tail(log.path());
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 4999\n"));
        assert!(tail(Path::new("/no/such/log")).starts_with("(cannot be read"));
    }
}
