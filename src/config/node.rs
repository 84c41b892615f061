//! The whole configuration of a node: where its parts come from (flags over environment over file over defaults), what
//! must hold between them, and how it is printed.

use std::path::{Path, PathBuf};

use clap::{Args as _, FromArgMatches as _};
use serde::{Deserialize, Serialize};

use super::audit::{AuditOverrides, AuditSection};
use super::client::{ClientOverrides, ClientSection};
use super::console::{ConsoleOverrides, ConsoleSection};
use super::gateway::{GatewayOverrides, GatewaySection};
use super::history::{HistoryOverrides, HistorySection};
use super::limits::{LimitsOverrides, LimitsSection};
use super::locality::{NodeSection, NodeSectionOverrides};
use super::log::{LogOverrides, LogSection};
use super::metrics::{MetricsOverrides, MetricsSection};
use super::peer::{PeerOverrides, PeerSection};
use super::raft::{RaftOverrides, RaftSection};
use super::reads::{ReadsOverrides, ReadsSection};
use super::store::{StoreOverrides, StoreSection};
use super::traces::{TracesOverrides, TracesSection};
use super::{ConfigError, invalid};

const DEFAULT_DATA_DIR: &str = "/var/lib/quorate";

/// The configuration of one node, validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeConfig {
    /// Where everything that must survive a restart is kept. One node, one folder.
    pub data_dir: PathBuf,
    /// Where it is.
    pub node: NodeSection,
    /// The public API.
    pub client: ClientSection,
    /// The public API as JSON.
    pub gateway: GatewaySection,
    /// The pages for people.
    pub console: ConsoleSection,
    /// The other nodes.
    pub peer: PeerSection,
    /// Elections and the log.
    pub raft: RaftSection,
    /// The embedded database.
    pub store: StoreSection,
    /// Freshness of reads.
    pub reads: ReadsSection,
    /// Retention of old states.
    pub history: HistorySection,
    /// Bounds on work.
    pub limits: LimitsSection,
    /// Logging.
    pub log: LogSection,
    /// Metrics.
    pub metrics: MetricsSection,
    /// The audit log.
    pub audit: AuditSection,
    /// Traces.
    pub traces: TracesSection,
}

/// The keys that one source sets: a file, or the flags with the environment.
#[derive(Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct NodeOverrides {
    /// Folder for everything that must survive a restart [default: /var/lib/quorate]
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    node: NodeSectionOverrides,
    #[command(flatten)]
    client: ClientOverrides,
    #[command(flatten)]
    gateway: GatewayOverrides,
    #[command(flatten)]
    console: ConsoleOverrides,
    #[command(flatten)]
    peer: PeerOverrides,
    #[command(flatten)]
    raft: RaftOverrides,
    #[command(flatten)]
    store: StoreOverrides,
    #[command(flatten)]
    reads: ReadsOverrides,
    #[command(flatten)]
    history: HistoryOverrides,
    #[command(flatten)]
    limits: LimitsOverrides,
    #[command(flatten)]
    log: LogOverrides,
    #[command(flatten)]
    metrics: MetricsOverrides,
    #[command(flatten)]
    audit: AuditOverrides,
    #[command(flatten)]
    traces: TracesOverrides,
}

impl NodeOverrides {
    /// The keys that the file at `path` sets.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::from_toml(&text, path)
    }

    /// The keys that the environment of this process sets.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let command = Self::augment_args(clap::Command::new("serve")).no_binary_name(true);
        let found = command.try_get_matches_from([""; 0]).and_then(|matches| Self::from_arg_matches(&matches));
        // The message of the parser quotes values, and one of them may be a secret.
        found.map_err(|_| invalid("the environment", "has a QUORATE_ variable whose value cannot be used"))
    }

    /// The keys that `text` sets; `path` is for messages.
    fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            line: error.span().map(|span| 1 + text[..span.start].matches('\n').count()),
            problem: problem(&error, text),
        })
    }

    /// These, and `lower` where these set nothing.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(lower.data_dir),
            node: self.node.over(lower.node),
            client: self.client.over(lower.client),
            gateway: self.gateway.over(lower.gateway),
            console: self.console.over(lower.console),
            peer: self.peer.over(lower.peer),
            raft: self.raft.over(lower.raft),
            store: self.store.over(lower.store),
            reads: self.reads.over(lower.reads),
            history: self.history.over(lower.history),
            limits: self.limits.over(lower.limits),
            log: self.log.over(lower.log),
            metrics: self.metrics.over(lower.metrics),
            audit: self.audit.over(lower.audit),
            traces: self.traces.over(lower.traces),
        }
    }

    /// The configuration: defaults where nothing is set, then judged as a whole.
    pub fn resolve(self) -> Result<NodeConfig, ConfigError> {
        let config = self.with_defaults();
        config.validate()?;
        Ok(config)
    }

    /// Defaults where nothing is set, without judging: for printing a configuration that is being written.
    #[must_use]
    pub fn with_defaults(self) -> NodeConfig {
        NodeConfig {
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
            node: self.node.resolve(),
            client: self.client.resolve(),
            gateway: self.gateway.resolve(),
            console: self.console.resolve(),
            peer: self.peer.resolve(),
            raft: self.raft.resolve(),
            store: self.store.resolve(),
            reads: self.reads.resolve(),
            history: self.history.resolve(),
            limits: self.limits.resolve(),
            log: self.log.resolve(),
            metrics: self.metrics.resolve(),
            audit: self.audit.resolve(),
            traces: self.traces.resolve(),
        }
    }
}

/// What is wrong, without any value: the parser's messages quote values, and one of them may be a secret.
fn problem(error: &toml::de::Error, text: &str) -> String {
    let said = error.message().replace('\n', " ");
    if let Some(about) = said.strip_prefix("unknown field") {
        return format!("unknown key{about}");
    }
    // What serde expected stands at the end of its messages, behind the value, and is made of the types of keys.
    let expected = said.rsplit_once(", expected ").map(|(_, types)| format!("; expected {types}")).unwrap_or_default();
    if text.parse::<toml::Table>().is_err() {
        return format!("this is not TOML{expected}");
    }
    match error.span().and_then(|span| key_before(&text[..span.start])) {
        Some(key) => format!("the value of {key} cannot be used{expected}"),
        None => format!("this value cannot be used{expected}"),
    }
}

/// The key whose value begins at the end of `text`. In an array, none: what stands before a value there is another one.
fn key_before(text: &str) -> Option<&str> {
    let (before, between) = text.rsplit('\n').next()?.rsplit_once('=')?;
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let key = before.trim_end().rsplit(|c| !is_bare(c)).next()?;
    (between.trim().is_empty() && !key.is_empty()).then_some(key)
}

impl NodeConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(invalid("data_dir", "is empty; name a folder of this node's own"));
        }
        self.node.validate()?;
        self.client.validate()?;
        self.peer.validate()?;
        self.client.check_exposure("client.listen", self.client.listen)?;
        if let Some(listen) = self.gateway.listen.address() {
            self.client.check_exposure("gateway.listen", listen)?;
        }
        if let Some(listen) = self.console.listen.address() {
            self.client.check_exposure("console.listen", listen)?;
        }
        let listeners = [
            ("client.listen", Some(self.client.listen)),
            ("peer.listen", Some(self.peer.listen)),
            ("gateway.listen", self.gateway.listen.address()),
            ("console.listen", self.console.listen.address()),
            ("metrics.listen", self.metrics.listen.address()),
        ];
        for (index, (key, address)) in listeners.into_iter().enumerate() {
            let Some(address) = address.filter(|address| address.port() != 0) else { continue };
            if let Some((other, _)) = listeners[..index].iter().find(|(_, taken)| *taken == Some(address)) {
                return Err(invalid(key, format!("is {address}, the same as {other}; use another port")));
            }
        }
        self.raft.validate()?;
        self.store.validate()?;
        self.reads.validate()?;
        self.history.validate()?;
        self.limits.validate()?;
        self.audit.validate()?;
        self.traces.validate()?;
        self.log.validate()
    }

    /// The configuration as a file that a node can be started with, but for the keys: those are secrets, so only their
    /// number is told.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(self).expect("plain values under string keys are always TOML");
        let keys = match self.client.keys.len() {
            0 if self.client.key_file().is_some() => {
                "# keys = [\"…\"]  # none is set, and key_file has some".to_owned()
            }
            0 => "# keys = [\"…\"]  # none is set; at least one is needed, here or in QUORATE_KEYS".to_owned(),
            count => format!("# keys = [\"…\"]  # {count} set, not shown; write them here or in QUORATE_KEYS"),
        };
        text.replacen("[client]\n", &format!("[client]\n{keys}\n"), 1)
    }
}
