//! From nothing to a cluster that has a leader, and what can be asked of it as a whole.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::cleanup::{Names, remove_disks};
use super::client::{Client, KEY};
use super::clock::Clock;
use super::command::SystemError;
use super::disk::Disk;
use super::ground::Ground;
use super::network::Network;
use super::node::{Node, Parts};

/// The longest that starting, forming or catching up may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CLIENT_PORT: u16 = 50051;
const PEER_PORT: u16 = 50151;

/// What to form.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The binary under test.
    pub binary: PathBuf,
    /// How many voters.
    pub voters: usize,
    /// How many learners, numbered after the voters: a region that only reads.
    pub learners: usize,
    /// Where configurations and logs go.
    pub folder: PathBuf,
    /// Log entries between snapshots.
    pub snapshot_after: u64,
    /// The age that reads without any demand may have, in milliseconds.
    pub ceiling_ms: u64,
    /// The bug that the binary is asked to have.
    pub mutant: Option<String>,
    /// The library that shows a node another wall clock, if there is one.
    pub faketime: Option<PathBuf>,
}

impl Plan {
    fn size(&self) -> usize {
        self.voters + self.learners
    }
}

/// What one node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its id in the cluster.
    pub id: u64,
    /// Its term.
    pub term: u64,
    /// Whether it says that it leads.
    pub leads: bool,
    /// What it knows to be committed.
    pub committed: u64,
    /// What it has applied.
    pub applied: u64,
    /// Its hash chain there.
    pub hash: String,
    /// What its last snapshot covers.
    pub snapshot: u64,
    /// What it has removed from its log.
    pub purged: u64,
    /// Its version.
    pub version: String,
    /// The cluster.
    pub lineage: u64,
}

/// There is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A program of the system.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Nothing came of it in time.
    #[error("{what}: not within {SETTLE_LIMIT:?}; last: {last}")]
    Late {
        /// What.
        what: String,
        /// What was seen last.
        last: String,
    },
}

/// A cluster. Dropping it ends its processes and removes its disks and its network, in this order.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Mutex<Node>>,
    voters: usize,
    clocks: Vec<Option<Clock>>,
    addresses: Vec<String>,
    lineage: u64,
    version: String,
    network: Option<Network>,
    disks: Option<PathBuf>,
}

impl Cluster {
    /// Starts the processes and forms a cluster of them.
    pub async fn form(ground: &Ground, plan: &Plan) -> Result<Self, ClusterError> {
        let mut cluster = if ground.namespaces.is_ok() {
            Self::in_namespaces(plan, ground.queues.is_ok())?
        } else {
            Self::on_loopback(plan)?
        };
        for node in &cluster.nodes {
            node.lock().await.start().map_err(|error| ClusterError::File(plan.binary.clone(), error))?;
        }
        let peers = cluster.peer_of_first();
        for number in 1..=plan.size() {
            let client = cluster.client(number);
            eventually(&format!("node {number} answers"), async || client.status().await).await?;
            if number == 1 {
                client.init().await.map_err(|status| late("the first node forms a cluster", &status))?;
            } else {
                let joined = async || client.join(peers.clone(), number > plan.voters).await;
                eventually(&format!("node {number} joins"), joined).await?;
            }
        }
        let status = eventually("a status", async || cluster.client(1).status().await).await?;
        (cluster.lineage, cluster.version) = (status.lineage, status.version);
        Ok(cluster)
    }

    fn in_namespaces(plan: &Plan, delays: bool) -> Result<Self, ClusterError> {
        let network = Network::create(plan.size(), delays)?;
        let disks = Names::own().folder();
        std::fs::create_dir_all(&disks).map_err(|error| ClusterError::File(disks.clone(), error))?;
        // Complete before anything in it can fail, so that dropping it removes what is there.
        let mut cluster = Self::empty(plan.voters, Some(network), Some(disks.clone()));
        for number in 1..=plan.size() {
            let disk = Disk::create(&disks, number)?;
            let data = disk.path().join("data");
            let network = cluster.network.as_ref().expect("it was just put there");
            let (address, namespace) = (network.address(number), network.namespace(number));
            cluster.add(plan, number, (&address, CLIENT_PORT, PEER_PORT), &data, Some(namespace), Some(disk))?;
        }
        Ok(cluster)
    }

    fn on_loopback(plan: &Plan) -> Result<Self, ClusterError> {
        let first = free_ports(plan.size());
        let mut cluster = Self::empty(plan.voters, None, None);
        for number in 1..=plan.size() {
            let offset = u16::try_from(number * 2).unwrap_or_default();
            let data = plan.folder.join(format!("node-{number}")).join("data");
            cluster.add(plan, number, ("127.0.0.1", first + offset, first + offset + 1), &data, None, None)?;
        }
        Ok(cluster)
    }

    fn empty(voters: usize, network: Option<Network>, disks: Option<PathBuf>) -> Self {
        Self {
            nodes: Vec::new(),
            voters,
            clocks: Vec::new(),
            addresses: Vec::new(),
            lineage: 0,
            version: String::new(),
            network,
            disks,
        }
    }

    fn add(
        &mut self,
        plan: &Plan,
        number: usize,
        (host, client, peer): (&str, u16, u16),
        data: &Path,
        namespace: Option<String>,
        disk: Option<Disk>,
    ) -> Result<(), ClusterError> {
        let config = format!(
            "data_dir = {data:?}\n[client]\nlisten = \"{host}:{client}\"\nkeys = [{KEY:?}]\nplaintext = true\n\
             [peer]\nplaintext = true\nlisten = \"{host}:{peer}\"\n[raft]\nsnapshot_after_entries = {after}\nkeep_entries = {keep}\n[reads]\n\
             max_staleness_ms = {ceiling}\n[log]\nfilter = \"info\"\n",
            after = plan.snapshot_after,
            keep = plan.snapshot_after / 5,
            ceiling = plan.ceiling_ms,
        );
        let logs = plan.folder.join(format!("node-{number}"));
        let failed = |error| ClusterError::File(logs.clone(), error);
        std::fs::create_dir_all(&logs).map_err(failed)?;
        let clock = plan.faketime.clone().map(|library| Clock::create(library, &logs));
        let clock = clock.transpose().map_err(failed)?;
        let parts = Parts {
            binary: &plan.binary,
            namespace,
            mutant: plan.mutant.clone(),
            clock: clock.clone(),
            data: data.to_owned(),
            config: &config,
            logs: logs.clone(),
            disk,
        };
        let node = Node::prepare(parts).map_err(failed)?;
        self.nodes.push(Mutex::new(node));
        self.clocks.push(clock);
        self.addresses.push(format!("{host}:{client}"));
        Ok(())
    }

    fn peer_of_first(&self) -> Vec<String> {
        let (host, port) = self.addresses[0].rsplit_once(':').expect("addresses have ports");
        let peer = if self.network.is_some() { PEER_PORT } else { port.parse::<u16>().unwrap_or_default() + 1 };
        vec![format!("{host}:{peer}")]
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// How many of them vote. The others are learners, and have the numbers above.
    #[must_use]
    pub fn voters(&self) -> usize {
        self.voters
    }

    /// The cluster's lineage.
    #[must_use]
    pub fn lineage(&self) -> u64 {
        self.lineage
    }

    /// What the binary says that it is.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its network, if it has one of its own.
    #[must_use]
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// A node, counted from 1. Whoever does something to it holds it until that is over.
    #[must_use]
    pub fn node(&self, number: usize) -> &Mutex<Node> {
        &self.nodes[number - 1]
    }

    /// The wall clock of a node, counted from 1, if it can be set.
    #[must_use]
    pub fn clock(&self, number: usize) -> Option<&Clock> {
        self.clocks[number - 1].as_ref()
    }

    /// A new client of one node, counted from 1.
    #[must_use]
    pub fn client(&self, number: usize) -> Client {
        Client::new(&self.addresses[number - 1], self.lineage)
    }

    /// What the nodes say of themselves, those that answer in time.
    pub async fn statuses(&self) -> Vec<(usize, NodeStatus)> {
        let asked = (1..=self.size()).map(async |number| {
            let answer = tokio::time::timeout(Duration::from_secs(1), self.client(number).status()).await;
            Some((number, answer.ok()?.ok()?))
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// The node that leads in the newest term, as far as anybody says so.
    pub async fn leader(&self) -> Option<usize> {
        let statuses = self.statuses().await;
        statuses.iter().filter(|(_, status)| status.leads).max_by_key(|(_, status)| status.term).map(|(n, _)| *n)
    }

    /// Waits until every node has applied the same, with no writes going on.
    pub async fn settled(&self) -> Result<Vec<(usize, NodeStatus)>, ClusterError> {
        eventually("every node has applied the same", async || {
            let statuses = self.statuses().await;
            let same = statuses.windows(2).all(|pair| pair[0].1.applied == pair[1].1.applied);
            let done = statuses.iter().all(|(_, status)| status.applied >= status.committed);
            if statuses.len() == self.size() && same && done {
                return Ok(statuses);
            }
            let applied: Vec<(usize, u64)> = statuses.iter().map(|(n, status)| (*n, status.applied)).collect();
            Err(tonic::Status::unavailable(format!("applied: {applied:?}")))
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
        if let Some(folder) = &self.disks {
            remove_disks(folder);
        }
    }
}

fn late(what: &str, status: &tonic::Status) -> ClusterError {
    ClusterError::Late { what: what.to_owned(), last: format!("{:?}: {}", status.code(), status.message()) }
}

async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, tonic::Status>,
) -> Result<T, ClusterError> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(status) if Instant::now() >= deadline => return Err(late(what, &status)),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// The first of a run of ports that nobody listens on, below those that the system hands out by itself.
fn free_ports(nodes: usize) -> u16 {
    let is_free = |first: &u16| {
        let last = first + u16::try_from(nodes * 2 + 1).unwrap_or(u16::MAX - first);
        (*first..=last).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    };
    let start = 10_000 + (std::process::id() % 100) as u16 * 64;
    (0..100).map(|step| start + step * 32).find(is_free).unwrap_or(start)
}
