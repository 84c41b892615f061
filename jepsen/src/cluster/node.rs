//! One node: a process of the binary under test, its configuration, its disk and its logs.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::{Clock, forget};
use super::disk::Disk;

/// A node process and what belongs to it. Dropping it kills the process, then unmounts its disk.
#[derive(Debug)]
pub struct Node {
    process: Option<Child>,
    paused: bool,
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
        let log = fs::read(self.logs.join("log")).unwrap_or_default();
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(log.len());
        String::from_utf8_lossy(&log[from..]).into_owned()
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
