//! A cluster of node processes: forming it, finding its leader, comparing its nodes.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use super::SCHEMA;
use super::client::Client;
use super::node::{Node, Settings};
use super::ports::PortBlock;
use super::wait::{eventually, say};
use super::wire::cluster::StatusResponse;
use super::wire::cluster::join_progress::Stage;
use super::wire::cluster::status_response::State;

/// Only one test has node processes at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// The turn of a test that starts processes by itself. A cluster takes its own.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// The longest that an election, or catching up after one, may take on a busy machine.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(30);
/// No test has so many nodes that one would be at a spare address.
const SPARE: usize = 50;
/// How many of the last lines of each log are shown when a test fails.
const LINES_SHOWN: usize = 60;

/// Nodes that form a cluster, or will. Dropping it kills them all.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    settings: Settings,
    ports: PortBlock,
    /// How many spare addresses were given out.
    spares: usize,
    home: TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Cluster {
    /// `size` nodes with default settings that have become a cluster and hold [`SCHEMA`].
    pub(crate) async fn form(size: usize) -> Self {
        Self::form_with(size, Settings::default()).await
    }

    /// As [`Cluster::form`], with these settings.
    pub(crate) async fn form_with(size: usize, settings: Settings) -> Self {
        let mut cluster = Self::prepare(size, settings, None, Some(turn().await));
        cluster.grow_together().await;
        cluster
    }

    /// As [`Cluster::form_with`]; each node is told apart by `adapt` before it starts.
    pub(crate) async fn form_each(size: usize, settings: Settings, adapt: impl Fn(usize, &mut Node)) -> Self {
        let mut cluster = Self::prepare(size, settings, None, Some(turn().await));
        for (index, node) in cluster.nodes.iter_mut().enumerate() {
            adapt(index, node);
        }
        cluster.grow_together().await;
        cluster
    }

    /// A second cluster within the turn of a test that has one.
    pub(crate) async fn form_beside(_first: &Self, size: usize) -> Self {
        let mut cluster = Self::prepare(size, Settings::default(), None, None);
        cluster.grow_together().await;
        cluster
    }

    /// A cluster whose data lies in `folder`.
    pub(crate) async fn form_in(folder: &Path, size: usize) -> Self {
        let mut cluster = Self::prepare(size, Settings::default(), Some(folder), Some(turn().await));
        cluster.grow_together().await;
        cluster
    }

    /// One node that runs and belongs to no cluster.
    pub(crate) async fn waiting_node() -> Self {
        let mut cluster = Self::prepare(1, Settings::default(), None, Some(turn().await));
        assert_eq!(cluster.nodes[0].start().await, "waiting");
        cluster
    }

    /// Starts nothing. `folder` takes the place of a folder of its own.
    fn prepare(size: usize, settings: Settings, folder: Option<&Path>, turn: Option<MutexGuard<'static, ()>>) -> Self {
        // Below the build folder rather than in a temporary folder, which may live in memory, where a flush costs nothing.
        let home =
            TempDir::with_prefix_in("cluster-", env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable");
        let ports = PortBlock::claim();
        let base = folder.unwrap_or_else(|| home.path());
        let node =
            |i: usize| Node::prepare(base, &format!("node-{}", i + 1), ports.client(i), ports.peer(i), &settings);
        let nodes = (0..size).map(node).collect();
        Self { nodes, settings, ports, spares: 0, home, _turn: turn }
    }

    async fn grow_together(&mut self) {
        for node in &mut self.nodes {
            node.spawn();
        }
        for node in &mut self.nodes {
            assert_eq!(node.ready().await, "waiting", "{}", node.name);
        }
        self.client(0).init().await.expect("an empty node can begin a cluster");
        for index in 1..self.nodes.len() {
            self.join(index).await;
        }
        self.leader().await;
        eventually("the schema is written", SETTLE_LIMIT, async || self.client(0).write_schema(SCHEMA).await).await;
    }

    /// Starts one more node and makes it a member with a vote; its position.
    pub(crate) async fn add_node(&mut self) -> usize {
        let index = self.start_one_more().await;
        self.join(index).await;
        index
    }

    /// Starts one more node and makes it a member that stays a learner; its position.
    pub(crate) async fn add_learner(&mut self) -> usize {
        let index = self.start_one_more().await;
        self.join_to(index, Stage::Learner).await;
        index
    }

    async fn start_one_more(&mut self) -> usize {
        let index = self.prepare_one_more();
        assert_eq!(self.nodes[index].start().await, "waiting");
        index
    }

    /// One more node, which is not started; its position.
    pub(crate) fn prepare_one_more(&mut self) -> usize {
        let index = self.nodes.len();
        let (client, peer) = (self.ports.client(index), self.ports.peer(index));
        let node = Node::prepare(self.home.path(), &format!("node-{}", index + 1), client, peer, &self.settings);
        self.nodes.push(node);
        index
    }

    /// Where no node is: addresses for clients and for other nodes.
    pub(crate) fn spare_addresses(&mut self) -> (String, String) {
        self.spares += 1;
        (self.ports.client(SPARE + self.spares), self.ports.peer(SPARE + self.spares))
    }

    /// Starts the node at this position, which is down, with an empty data folder, and makes it a member with a vote.
    pub(crate) async fn join_anew(&mut self, index: usize, by: usize) {
        std::fs::remove_dir_all(&self.nodes[index].data).expect("the test's folder is writable");
        assert_eq!(self.nodes[index].start().await, "waiting");
        let peers = vec![self.nodes[by].peer_address.clone()];
        let last = self.client(index).join(peers, false).await.unwrap().expect("a join reports progress");
        assert_eq!(last.stage(), Stage::Voter, "{last:?}");
    }

    async fn join(&self, index: usize) {
        self.join_to(index, Stage::Voter).await;
    }

    async fn join_to(&self, index: usize, goal: Stage) {
        let peers = vec![self.nodes[0].peer_address.clone()];
        let joined = self.client(index).join(peers, goal == Stage::Learner).await;
        let last = joined.unwrap_or_else(|error| panic!("node {index} joins: {error:?}"));
        let last = last.expect("a join reports progress");
        assert_eq!(last.stage(), goal, "{last:?}");
    }

    /// A client of one node.
    pub(crate) fn client(&self, index: usize) -> Client {
        self.nodes[index].client()
    }

    /// A client of every node, in order.
    pub(crate) fn clients(&self) -> Vec<Client> {
        self.nodes.iter().map(Node::client).collect()
    }

    /// The positions of all nodes but these.
    pub(crate) fn others(&self, than: &[usize]) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| !than.contains(index)).collect()
    }

    /// Waits for a leader that a majority follows; its position.
    pub(crate) async fn leader(&self) -> usize {
        self.leader_among(&self.others(&[])).await
    }

    /// Waits until one of these nodes leads, and enough of them follow it to be a majority of the whole.
    pub(crate) async fn leader_among(&self, among: &[usize]) -> usize {
        let needed = self.nodes.len() / 2 + 1;
        eventually("a leader with a majority", SETTLE_LIMIT, async || {
            let statuses = self.statuses(among).await;
            leader_of(&statuses, needed).ok_or(statuses)
        })
        .await
    }

    /// What the nodes at these positions say of themselves, those that answer.
    pub(crate) async fn statuses(&self, among: &[usize]) -> Vec<(usize, StatusResponse)> {
        let running = among.iter().copied().filter(|index| self.nodes[*index].runs());
        let asked = running.map(async |index| {
            let answer = tokio::time::timeout(Duration::from_secs(2), self.client(index).status()).await;
            answer.ok()?.ok().map(|status| (index, status))
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// What one node says of itself; it must answer.
    pub(crate) async fn status(&self, index: usize) -> StatusResponse {
        eventually("a node's status", SETTLE_LIMIT, async || self.client(index).status().await).await
    }

    /// Waits, with no writes going on, until every running node has applied the same; then their hash chains must be equal.
    /// The index.
    pub(crate) async fn assert_same_state(&self) -> u64 {
        let running: Vec<usize> = self.others(&[]).into_iter().filter(|index| self.nodes[*index].runs()).collect();
        let statuses = eventually("every node has applied the same", SETTLE_LIMIT, async || {
            let statuses = self.statuses(&running).await;
            let applied = statuses.first().map(|(_, status)| status.applied_index);
            let settled =
                statuses.iter().all(|(_, s)| Some(s.applied_index) == applied && s.applied_index >= s.committed_index);
            if statuses.len() == running.len() && settled { Ok(statuses) } else { Err(statuses) }
        })
        .await;
        let (_, first) = &statuses[0];
        assert!(!first.state_hash.is_empty(), "a node shows its hash chain: {first:?}");
        for (index, status) in &statuses {
            let what = format!("the hash chain of node {index} at index {}", status.applied_index);
            assert_eq!(status.state_hash, first.state_hash, "{what}");
        }
        first.applied_index
    }
}

/// The position of the node that leads, when it and at least `needed` in all say so, in one term.
pub(crate) fn leader_of(statuses: &[(usize, StatusResponse)], needed: usize) -> Option<usize> {
    let (position, leader) =
        statuses.iter().filter(|(_, status)| status.state() == State::Leader).max_by_key(|(_, status)| status.term)?;
    let follows = |status: &StatusResponse| status.leader_id == leader.node_id && status.term == leader.term;
    (statuses.iter().filter(|(_, status)| follows(status)).count() >= needed).then_some(*position)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            say(&format!("---- the end of the log of {}\n{shown}", node.name));
        }
        self.home.disable_cleanup(true);
        say(&format!("---- configuration, logs and data are kept in {}", self.home.path().display()));
    }
}
