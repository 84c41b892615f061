//! Calls to the other nodes: who speaks, how long to wait, and what is logged of failures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{Instrument as _, Span};

use super::announcement::Announcement;
use super::envelope::{Kind, PeerIdentity};
use super::transport::{CallError, Rpc, Transport};
use crate::raft::clock::monotonic;
use crate::raft::codec::RECORD_BYTES;
use crate::telemetry::{part_of_trace, traceparent};
use crate::wire::quorate::peer::{Envelope, Reply, SnapshotPart};

/// Largest message between nodes: a record and its envelope.
pub(super) const PEER_MESSAGE_BYTES: usize = RECORD_BYTES + (1 << 20);

/// Between two lines in the log about one address that goes on failing, and now for another reason: a machine that was down
/// may come back with a certificate that has expired.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What was logged of an address at which calls fail.
struct Failing {
    /// Whether the other side refused the call.
    refused: bool,
    reason: String,
    said: Instant,
}

/// The span of what is sent to `to` for a request; none where that is not traced.
pub(in crate::raft) fn forwarding(kind: Kind, to: u64) -> Span {
    part_of_trace!("forward", otel.kind = "client", quorate.message = ?kind, quorate.to = to)
}

/// One node's way to all others.
pub(in crate::raft) struct Peers {
    me: PeerIdentity,
    /// What this node says of itself.
    announcement: Announcement,
    transport: Arc<dyn Transport>,
    /// What the others last said of themselves, in answer to a message of when.
    heard: Mutex<BTreeMap<u64, (Instant, Announcement)>>,
    /// Counts what was heard that is new.
    news: watch::Sender<u64>,
    /// The addresses at which the last call failed, and what was logged of that.
    failing: Mutex<BTreeMap<String, Failing>>,
    /// Where the members are now. openraft keeps to the address that it was first told.
    addresses: Mutex<BTreeMap<u64, String>>,
    /// Whether another node has said that this one was removed. It is told so once and for all.
    removed: watch::Sender<bool>,
}

impl Peers {
    pub(in crate::raft) fn new(me: PeerIdentity, announcement: Announcement, transport: Arc<dyn Transport>) -> Self {
        Self {
            me,
            announcement,
            transport,
            heard: Mutex::default(),
            news: watch::Sender::new(0),
            failing: Mutex::default(),
            addresses: Mutex::default(),
            removed: watch::Sender::new(false),
        }
    }

    /// What this node says of itself.
    pub(in crate::raft) fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// What the members that this node speaks to said of themselves, in answer to a message of when.
    pub(in crate::raft) fn heard(&self) -> BTreeMap<u64, (Instant, Announcement)> {
        self.heard.lock().clone()
    }

    /// Changes whenever a member says something new of itself.
    pub(in crate::raft) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Who this node is.
    pub(in crate::raft) fn me(&self) -> PeerIdentity {
        self.me
    }

    /// Where `node_id` is, if it is a member.
    pub(super) fn address(&self, node_id: u64) -> Option<String> {
        self.addresses.lock().get(&node_id).cloned()
    }

    /// From now on the members are there.
    pub(in crate::raft) fn learn(&self, addresses: BTreeMap<u64, String>) {
        self.heard.lock().retain(|id, _| addresses.contains_key(id));
        *self.addresses.lock() = addresses;
    }

    /// Some other member, another one for each `turn`.
    pub(in crate::raft) fn any(&self, turn: usize) -> Option<(u64, String)> {
        let addresses = self.addresses.lock();
        let others = addresses.iter().filter(|(id, _)| **id != self.me.node_id);
        let count = others.clone().count().max(1);
        others.skip(turn % count).map(|(id, address)| (*id, address.clone())).next()
    }

    /// Follows whether this node was removed from the cluster.
    pub(in crate::raft) fn removed(&self) -> watch::Receiver<bool> {
        self.removed.subscribe()
    }

    /// An envelope from this node.
    pub(super) fn envelope(&self, to: u64, kind: Kind, payload: Vec<u8>) -> Envelope {
        let PeerIdentity { lineage, node_id } = self.me;
        let announcement = Some(self.announcement.to_message());
        Envelope {
            lineage,
            group: 1,
            from: node_id,
            to,
            kind: kind as u32,
            payload,
            announcement,
            traceparent: String::new(),
        }
    }

    /// Sends one message and waits for its reply.
    pub(in crate::raft) async fn call(
        &self,
        rpc: Rpc,
        address: &str,
        to: u64,
        kind: Kind,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let span = if kind.is_for_a_request() { forwarding(kind, to) } else { Span::none() };
        let envelope = Envelope { traceparent: traceparent(&span), ..self.envelope(to, kind, payload) };
        let asked = monotonic();
        let call = self.within(rpc, address, timeout, self.transport.call(rpc, address, envelope));
        let reply = call.instrument(span).await?;
        self.hear(to, asked, Announcement::of_message(reply.announcement.as_ref()));
        Ok(reply.payload)
    }

    /// What the member at `address` says of itself. Whether it says something is for whoever asks, and no reason to log.
    pub(in crate::raft) async fn ask_status(
        &self,
        address: &str,
        to: u64,
        timeout: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let envelope = self.envelope(to, Kind::Status, Vec::new());
        let asked = tokio::time::timeout(timeout, self.transport.call(Rpc::Status, address, envelope)).await;
        let late = || CallError::Lost { address: address.into(), reason: format!("no reply within {timeout:?}") };
        let answer = asked.unwrap_or_else(|_| Err(late()));
        if answer.as_ref().is_err_and(|error| !error.is_refusal()) {
            self.transport.reconnect(Rpc::Status, address);
        }
        answer.map(|reply| reply.payload)
    }

    /// Notes what `node_id` says of itself, in answer to a message of `asked`. Only of members: their number is bounded.
    fn hear(&self, node_id: u64, asked: Instant, said: Announcement) {
        if self.address(node_id).is_none() {
            return;
        }
        let mut heard = self.heard.lock();
        let known = heard.get(&node_id);
        if known.is_some_and(|(at, _)| *at > asked) {
            return; // An answer that another one has overtaken.
        }
        let is_new = known.is_none_or(|(_, known)| *known != said);
        heard.insert(node_id, (asked, said));
        drop(heard);
        if is_new {
            self.news.send_modify(|count| *count += 1);
        }
    }

    /// Sends a snapshot and waits until it is installed.
    pub(super) async fn send_snapshot(
        &self,
        address: &str,
        parts: ReceiverStream<SnapshotPart>,
        timeout: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let sending = self.transport.send_snapshot(address, parts);
        let reply = self.within(Rpc::Snapshot, address, timeout, sending).await?;
        Ok(reply.payload)
    }

    async fn within(
        &self,
        rpc: Rpc,
        address: &str,
        timeout: Duration,
        call: impl Future<Output = Result<Reply, CallError>>,
    ) -> Result<Reply, CallError> {
        let error = match tokio::time::timeout(timeout, call).await {
            Ok(Ok(reply)) => {
                self.note(address, None);
                return Ok(reply);
            }
            Ok(Err(error)) => self.about_me(error),
            Err(_) => CallError::Lost { address: address.into(), reason: format!("no reply within {timeout:?}") },
        };
        // An older version takes proposals one by one only, and is a good member for all that.
        if rpc != Rpc::ProposeMany || !matches!(error, CallError::NotUnderstood { .. }) {
            self.note(address, Some(&error));
        }
        if matches!(error, CallError::Removed { .. }) {
            self.removed.send_if_modified(|removed| {
                if !*removed {
                    tracing::error!(
                        node_id = self.me.node_id,
                        "this node was removed from the cluster and serves no more"
                    );
                }
                !std::mem::replace(removed, true)
            });
        }
        if !error.is_refusal() {
            self.transport.reconnect(rpc, address);
        }
        Err(error)
    }

    /// The same error, unless it speaks of the removal of somebody else.
    fn about_me(&self, error: CallError) -> CallError {
        match error {
            CallError::Removed { address, removal } if !removal.is_of(self.me) => {
                let reason = "it says that another node than this one was removed".to_owned();
                CallError::Lost { address, reason }
            }
            error => error,
        }
    }

    /// Logs when an address begins to fail, to refuse, to fail for another reason, and to answer again, and not each call in
    /// between.
    fn note(&self, address: &str, error: Option<&CallError>) {
        let mut failing = self.failing.lock();
        let Some(error) = error else {
            if failing.remove(address).is_some() {
                tracing::info!(address, "a node answers again");
            }
            return;
        };
        let refused = error.is_refusal();
        let (now, reason) = (monotonic(), error.to_string());
        let is_known = failing.get(address).is_some_and(|known| {
            known.refused == refused && (known.reason == reason || now.duration_since(known.said) < SAY_AGAIN)
        });
        if !is_known {
            tracing::warn!(address, error = %reason, "a node does not answer as a member of this cluster");
            failing.insert(address.to_owned(), Failing { refused, reason, said: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::super::envelope::Removal;
    use super::*;
    use crate::raft::SupportedLevels;
    use crate::raft::testing::Answers;

    /// Says of everybody that this node was removed.
    fn remover(removal: Removal) -> Arc<dyn Transport> {
        Arc::new(Answers(move |_, address, _| std::future::ready(Err(CallError::Removed { address, removal })).boxed()))
    }

    #[tokio::test]
    async fn only_the_removal_of_this_node_of_this_cluster_counts() {
        let me = PeerIdentity { lineage: 7, node_id: 2 };
        for (lineage, node_id, expected) in [(7, 2, true), (7, 3, false), (8, 2, false), (0, 0, false)] {
            let peers = Peers::new(me, Announcement::none(), remover(Removal::new(lineage, node_id)));
            let called = peers.call(Rpc::Raft, "a:1", 1, Kind::Vote, Vec::new(), Duration::from_secs(1)).await;
            let error = called.expect_err("it refuses everything");
            assert_eq!(*peers.removed().borrow(), expected, "{lineage}/{node_id}: {error}");
            assert_eq!(matches!(error, CallError::Lost { .. }), !expected, "{error}");
        }
    }

    #[test]
    fn what_a_member_says_last_counts_and_nobody_else_is_heard() {
        let me = PeerIdentity { lineage: 7, node_id: 1 };
        let peers = Peers::new(me, Announcement::none(), remover(Removal::new(0, 0)));
        peers.learn(BTreeMap::from([(2, "a:1".to_owned())]));
        let newer = Announcement { levels: SupportedLevels::OURS, ..Announcement::none() };
        let later = monotonic();
        let earlier = later.checked_sub(Duration::from_secs(1)).expect("the machine has run for so long");
        peers.hear(2, later, newer.clone());
        peers.hear(2, earlier, Announcement::none());
        peers.hear(3, later, newer.clone());
        assert_eq!(
            peers.heard(),
            BTreeMap::from([(2, (later, newer))]),
            "one answer was overtaken, and 3 is no member"
        );
        peers.learn(BTreeMap::new());
        assert!(peers.heard().is_empty());
    }
}
