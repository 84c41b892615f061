//! One node: a process of the binary under test, its configuration file, its data and its logs.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::client::{Client, KEY};
use super::faults::Fault;
use super::wait::eventually;

/// The longest that a node may take from the start of its process until it accepts connections.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The longest that a clean stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// What `/proc` counts processor time in.
const TICK: Duration = Duration::from_millis(10);

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    // What the caller's environment sets is no part of a test.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUORATE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What differs from the defaults; `None` leaves the default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) snapshot_after_entries: Option<u64>,
    pub(crate) keep_entries: Option<u64>,
    pub(crate) request_timeout_ms: Option<u64>,
    /// Whether the node serves the JSON gateway, on a port that the system chooses.
    pub(crate) gateway: bool,
    pub(crate) max_staleness_ms: Option<u64>,
    /// More flags of `quorate serve`.
    pub(crate) flags: Vec<String>,
    /// Milliseconds and entries for which history is kept.
    pub(crate) history: Option<(u64, u64)>,
}

/// A node process and what belongs to it. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) data: PathBuf,
    pub(crate) client_address: String,
    pub(crate) peer_address: String,
    /// More flags of its next process.
    pub(crate) flags: Vec<String>,
    /// The highest feature level that its next process supports, in place of the program's own: a version of before.
    pub(crate) max_level: Option<u32>,
    config: PathBuf,
    home: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// Writes the configuration; starts nothing.
    pub(crate) fn prepare(home: &Path, name: &str, client: String, peer: String, settings: &Settings) -> Self {
        let home = home.join(name);
        fs::create_dir_all(&home).expect("the test's folder is writable");
        let data = home.join("data");
        let config = home.join("quorate.toml");
        let mut text = format!("data_dir = {data:?}\n");
        let mut raft = String::from("[raft]\n");
        if let Some(entries) = settings.snapshot_after_entries {
            writeln!(raft, "snapshot_after_entries = {entries}").expect("writing to a string");
        }
        if let Some(entries) = settings.keep_entries {
            writeln!(raft, "keep_entries = {entries}").expect("writing to a string");
        }
        let mut limits = String::from("[limits]\n");
        if let Some(ms) = settings.request_timeout_ms {
            writeln!(limits, "request_timeout_ms = {ms}").expect("writing to a string");
        }
        let mut reads = String::from("[reads]\n");
        if let Some(ms) = settings.max_staleness_ms {
            writeln!(reads, "max_staleness_ms = {ms}").expect("writing to a string");
        }
        write!(
            text,
            "[client]\nlisten = {client:?}\nkeys = [{KEY:?}]\n[peer]\nlisten = {peer:?}\n{raft}{limits}{reads}"
        )
        .expect("writing to a string");
        if settings.gateway {
            text.push_str("[gateway]\nlisten = \"127.0.0.1:0\"\n");
        }
        if let Some((ms, entries)) = settings.history {
            writeln!(text, "[history]\nretain_ms = {ms}\nretain_entries = {entries}").expect("writing to a string");
        }
        fs::write(&config, text).expect("the test's folder is writable");
        // A power cut is about what the node flushes; its operator wrote the configuration long before.
        File::open(&config).and_then(|file| file.sync_all()).expect("a file can be flushed");
        let (name, flags) = (name.to_owned(), settings.flags.clone());
        Self {
            name,
            data,
            client_address: client,
            peer_address: peer,
            flags,
            max_level: None,
            config,
            home,
            process: None,
        }
    }

    /// Starts the process and waits until it accepts connections. The state that it names: `waiting` or `member`.
    pub(crate) async fn start(&mut self) -> String {
        self.spawn();
        self.ready().await
    }

    /// Starts the process.
    pub(crate) fn spawn(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let out = File::create(self.out_path()).expect("the test's folder is writable");
        // The log goes on over restarts: what happened before a kill is often why something fails after it.
        let log =
            OpenOptions::new().append(true).create(true).open(self.log_path()).expect("the test's folder is writable");
        let mut command = binary();
        command.args(["serve", "--exit-with-parent", "--config"]).arg(&self.config).args(&self.flags);
        if let Some(level) = self.max_level {
            command.env("QUORATE_MAX_FEATURE_LEVEL", level.to_string());
        }
        // A pipe that ends when this process ends, however it does: no node is left behind.
        let process = command.stdin(Stdio::piped()).stdout(out).stderr(log).spawn();
        self.process = Some(process.expect("the binary under test starts"));
    }

    /// Waits until the process that was spawned accepts connections.
    pub(crate) async fn ready(&mut self) -> String {
        let (name, out) = (self.name.clone(), self.out_path());
        let process = self.process.as_mut().expect("it was spawned");
        eventually(&format!("{name} is ready"), START_LIMIT, async || {
            let ended = process.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "{name} ended instead of starting: {ended:?}");
            let text = fs::read_to_string(&out).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("ready ")).map(str::to_owned);
            line.and_then(|line| Some(line.split_once("state=")?.1.trim().to_owned())).ok_or(text)
        })
        .await
    }

    /// Where the JSON gateway of the running process is.
    pub(crate) fn gateway_address(&self) -> String {
        let out = fs::read_to_string(self.out_path()).unwrap_or_default();
        let address = out.split_whitespace().find_map(|word| word.strip_prefix("gateway="));
        address.expect("a node with a gateway says where it is").to_owned()
    }

    /// Where the metrics of the running process are.
    pub(crate) fn metrics_address(&self) -> String {
        let out = fs::read_to_string(self.out_path()).unwrap_or_default();
        let address = out.split_whitespace().find_map(|word| word.strip_prefix("metrics="));
        address.expect("a node with metrics says where they are").to_owned()
    }

    /// Whether a process was started and not taken away since.
    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// The running process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Does something to the running process.
    pub(crate) fn inflict(&self, fault: Fault) {
        fault.inflict(self.pid());
    }

    /// `kill -9`, and the end of the process.
    pub(crate) fn kill(&mut self) {
        self.inflict(Fault::Kill);
        self.process.take().expect("it runs").wait().expect("a killed child ends");
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.inflict(Fault::Terminate);
        self.ended().await
    }

    /// Waits until the process ends by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        eventually(&format!("{} stops", self.name), STOP_LIMIT, async || {
            process.try_wait().expect("a child can be asked").ok_or("it still runs")
        })
        .await
    }

    /// User and system time of the process until now.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the node runs");
        let after_name = stat.rsplit(')').next().expect("a name in parentheses");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().expect("a number")).sum();
        TICK * ticks
    }

    /// What the process holds in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has memory");
        let kilobytes = line.split_whitespace().nth(1).expect("a number follows the name");
        1024 * kilobytes.parse::<u64>().expect("a number")
    }

    /// How many files the process has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the node runs").count()
    }

    /// A new client of this node.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.client_address)
    }

    /// All that the node logged, over all its processes.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }

    fn out_path(&self) -> PathBuf {
        self.home.join("out")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when it is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
