//! One node: a process of the binary under test, its configuration, its disk and its logs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::{Clock, forget};
use super::disk::Disk;
use super::footprint;

/// A node process and what belongs to it. Dropping it kills the process, then unmounts its disk.
#[derive(Debug)]
pub struct Node {
    process: Option<Child>,
    paused: bool,
    /// Its files are harmed for good: it must not come back.
    retired: bool,
    binary: PathBuf,
    namespace: Option<String>,
    mutant: Option<String>,
    clock: Option<Clock>,
    config: PathBuf,
    data: PathBuf,
    logs: PathBuf,
    disk: Option<Disk>,
}

/// What a node is made of.
pub(super) struct Parts<'a> {
    pub(super) binary: &'a Path,
    pub(super) namespace: Option<String>,
    pub(super) mutant: Option<String>,
    pub(super) clock: Option<Clock>,
    /// Where the configuration puts its data.
    pub(super) data: PathBuf,
    /// The configuration file's text.
    pub(super) config: &'a str,
    /// For configuration and logs.
    pub(super) logs: PathBuf,
    pub(super) disk: Option<Disk>,
}

impl Node {
    /// Writes the configuration; starts nothing.
    pub(super) fn prepare(parts: Parts<'_>) -> std::io::Result<Self> {
        fs::create_dir_all(&parts.logs)?;
        let config = parts.logs.join("quorate.toml");
        fs::write(&config, parts.config)?;
        Ok(Self {
            process: None,
            paused: false,
            retired: false,
            binary: parts.binary.to_owned(),
            namespace: parts.namespace,
            mutant: parts.mutant,
            clock: parts.clock,
            config,
            data: parts.data,
            logs: parts.logs,
            disk: parts.disk,
        })
    }

    /// Starts the process, if it does not run.
    pub fn start(&mut self) -> std::io::Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        if self.retired {
            return Err(std::io::Error::other("the harness harmed its files and could not undo it"));
        }
        // The log goes on over restarts: what happened before a kill is often why something fails after it.
        let append = |name: &str| OpenOptions::new().append(true).create(true).open(self.logs.join(name));
        let (out, log): (File, File) = (append("out")?, append("log")?);
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{namespace}")).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUORATE_")) {
            command.env_remove(name);
        }
        if let Some(mutant) = &self.mutant {
            command.env("QUORATE_MUTANT", mutant);
        }
        if let Some(clock) = &self.clock {
            command.envs(clock.environment());
        }
        command.args(["serve", "--exit-with-parent", "--config"]).arg(&self.config);
        // A pipe that ends when this program ends, however it does: no node is left behind.
        self.process = Some(command.stdin(Stdio::piped()).stdout(out).stderr(log).spawn()?);
        Ok(())
    }

    /// Whether a process was started and has not ended.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Its process, the memory that it has resident in KiB, and how many files it has open. `None` when it does not run.
    #[must_use]
    pub fn footprint(&self) -> Option<(u32, u64, u64)> {
        let process = self.process.as_ref()?.id();
        footprint::of(process).map(|(resident_kib, files)| (process, resident_kib, files))
    }

    /// `kill -9`, and the end of the process. Whether it ran until then.
    pub fn kill(&mut self) -> bool {
        let ran = self.runs();
        self.paused = false;
        if let Some(mut process) = self.process.take() {
            // Both fail only when it is gone already.
            let _ = process.kill();
            let _ = process.wait();
            if self.clock.is_some() {
                forget(process.id());
            }
        }
        ran
    }

    /// Ends it for good.
    pub fn retire(&mut self) {
        self.kill();
        self.retired = true;
    }

    /// Whether it was ended for good.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Asks the process to stop. [`Node::kill`] must follow after a while.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops the process's time.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.paused = true;
    }

    /// Lets its time go on.
    pub fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.signal(Signal::SIGCONT);
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().and_then(|process| i32::try_from(process.id()).ok());
        if let Some(id) = id {
            // Fails only when it is gone, which is found out elsewhere.
            let _ = kill(Pid::from_raw(id), signal);
        }
    }

    /// Its disk, if it has one of its own.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// How long its log is, in bytes.
    #[must_use]
    pub fn log_length(&self) -> u64 {
        fs::metadata(self.logs.join("log")).map_or(0, |log| log.len())
    }

    /// Its log, from a byte on.
    #[must_use]
    pub fn log_after(&self, from: u64) -> String {
        String::from_utf8_lossy(&self.bytes_after(from)).into_owned()
    }

    /// The whole lines of its log from a byte on, and the byte after them.
    #[must_use]
    pub fn lines_after(&self, from: u64) -> (String, u64) {
        let bytes = self.bytes_after(from);
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        (String::from_utf8_lossy(&bytes[..whole]).into_owned(), from + whole as u64)
    }

    fn bytes_after(&self, from: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = File::open(self.logs.join("log"))
            .and_then(|mut log| log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes)));
        // A log that is not there yet says nothing.
        if read.is_err() {
            bytes.clear();
        }
        bytes
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.logs.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
impl Node {
    /// One that does not run, with its logs in this folder.
    pub(crate) fn for_test(logs: &Path) -> Self {
        let (binary, data) = (Path::new("/bin/true"), logs.join("data"));
        let (namespace, mutant, clock, disk) = (None, None, None, None);
        let parts = Parts { binary, namespace, mutant, clock, data, config: "", logs: logs.to_owned(), disk };
        Self::prepare(parts).expect("a folder for tests can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_ended_for_good_does_not_start_and_its_log_is_read_by_whole_lines() {
        let logs = std::env::temp_dir().join(format!("quorate-node-{}", std::process::id()));
        let mut node = Node::for_test(&logs);
        assert_eq!(node.lines_after(0), (String::new(), 0));
        fs::write(logs.join("log"), "one\nthread panicked\nhal").unwrap();
        assert_eq!(node.lines_after(4), ("thread panicked\n".to_owned(), 20));
        node.retire();
        assert!(node.is_retired() && node.start().is_err() && !node.runs());
        fs::remove_dir_all(logs).unwrap();
    }
}
