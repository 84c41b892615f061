//! Upgrades: one node after another under load, versions beside each other, the last step, and no way back from there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use crate::harness::wire::authzed::{Consistency, WriteRelationshipsRequest};
use crate::harness::wire::cluster::status_response::State;
use crate::harness::{
    Client, Cluster, Fault, Load, Node, SETTLE_LIMIT, Settings, copy_folder, eventually, filter, fully, minimize,
    put_back, reason_of, run_at, say, touch,
};

/// No request may need longer than this, its retries included.
const ONE_REQUEST: Duration = Duration::from_secs(30);
/// Between two tries of a request.
const BACK_OFF: Duration = Duration::from_millis(20);

/// What the requests came to.
#[derive(Debug, Default)]
struct Tally {
    written: BTreeSet<String>,
    reads: u64,
    retries: u64,
    failures: Vec<String>,
    longest: Duration,
}

/// Clients that try again what they may, each at one node after another, and nothing else.
struct Traffic {
    tally: Arc<Mutex<Tally>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Traffic {
    fn start(clients: &[Client]) -> Self {
        let (tally, stop, mut tasks) =
            (Arc::new(Mutex::new(Tally::default())), CancellationToken::new(), JoinSet::new());
        for first in 0..clients.len() {
            let mut clients = clients.to_vec();
            clients.rotate_left(first);
            for writes in [true, false] {
                tasks.spawn(work(clients.clone(), format!("t{first}"), writes, stop.clone(), Arc::clone(&tally)));
            }
        }
        Self { tally, stop, tasks }
    }

    /// Waits until so many more writes and reads were answered.
    async fn progress(&self, more: u64) {
        let counts = || {
            let tally = self.tally.lock();
            (tally.written.len() as u64, tally.reads)
        };
        let begin = counts();
        eventually("requests are answered", Duration::from_secs(60), async || {
            let now = counts();
            let enough = now.0 >= begin.0 + more && now.1 >= begin.1 + more;
            if enough || !self.tally.lock().failures.is_empty() { Ok(()) } else { Err(now) }
        })
        .await;
    }

    async fn stop(mut self) -> Tally {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client does not panic");
        }
        std::mem::take(&mut *self.tally.lock())
    }
}

async fn work(clients: Vec<Client>, name: String, writes: bool, stop: CancellationToken, tally: Arc<Mutex<Tally>>) {
    for number in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let tuple = format!("document:{name}-{number}#viewer@user:tom");
        let begin = Instant::now();
        let ask = match number % 2 {
            _ if writes => Ask::Write(&tuple),
            0 => Ask::Check(fully()),
            _ => Ask::Check(minimize()),
        };
        let done = retried(&clients, &tally, &ask).await;
        let mut tally = tally.lock();
        tally.longest = tally.longest.max(begin.elapsed());
        match done {
            Ok(()) if writes => drop(tally.written.insert(tuple)),
            Ok(()) => tally.reads += 1,
            Err(status) => {
                tally.failures.push(format!("{status:?}"));
                return;
            }
        }
    }
}

/// A request that may come again.
enum Ask<'a> {
    /// Of a tuple, under its own name as a key.
    Write(&'a str),
    Check(Option<Consistency>),
}

impl Ask<'_> {
    async fn send(&self, client: &Client) -> Result<(), Status> {
        match self {
            Self::Write(tuple) => {
                let message = WriteRelationshipsRequest { updates: vec![touch(tuple)], ..Default::default() };
                let mut request = Request::new(message);
                request.metadata_mut().insert("quorate-idempotency-key", tuple.parse().expect("plain text"));
                client.permissions.clone().write_relationships(request).await.map(drop)
            }
            Self::Check(asked) => client.check("document:any#view@user:tom", asked.clone()).await.map(drop),
        }
    }
}

/// Tries again at the next node while a node says UNAVAILABLE, and what has a key while its outcome is unknown.
async fn retried(clients: &[Client], tally: &Mutex<Tally>, ask: &Ask<'_>) -> Result<(), Status> {
    let deadline = Instant::now() + ONE_REQUEST;
    let mut at = 0;
    loop {
        let Err(status) = ask.send(&clients[at % clients.len()]).await else { return Ok(()) };
        let unknown = reason_of(&status).as_deref() == Some("OUTCOME_UNKNOWN") && matches!(ask, Ask::Write(_));
        if !(status.code() == Code::Unavailable || unknown || unsent(&status)) || Instant::now() > deadline {
            return Err(status);
        }
        at += 1;
        tally.lock().retries += 1;
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Whether no node has seen the request, since its connection was being closed: what other clients send again unasked, and
/// tonic tells as `CANCELLED` of a request that it still held, as `INTERNAL` of one whose stream the node's GOAWAY does not
/// cover (RFC 9113, section 6.8).
fn unsent(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled => status.message() == "operation was canceled",
        Code::Internal => format!("{status:?}").contains("GoAway(b\"\", NO_ERROR, Remote)"),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request() {
    let mut cluster = Cluster::form(3).await;
    let traffic = Traffic::start(&cluster.clients());
    traffic.progress(20).await;
    // The leader last, and then whoever leads then once more: so a leader goes twice.
    let leader = cluster.leader().await;
    let followers = cluster.others(&[leader]);
    for step in [Some(followers[0]), Some(followers[1]), Some(leader), None] {
        let index = match step {
            Some(index) => index,
            None => cluster.leader().await,
        };
        assert!(cluster.nodes[index].stop().await.success());
        let log = cluster.nodes[index].log();
        assert!(!log.contains(" ERROR "), "a planned stop is no error: {log}");
        assert_eq!(cluster.nodes[index].start().await, "member");
        caught_up(&cluster, index).await;
        traffic.progress(20).await;
    }
    let tally = traffic.stop().await;
    say(&format!(
        "rolling restart: {} writes, {} reads, {} retries, the longest request took {:?}",
        tally.written.len(),
        tally.reads,
        tally.retries,
        tally.longest
    ));
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    let (found, _) = cluster.client(0).read(filter("document"), fully()).await.unwrap();
    let found: BTreeSet<String> = found.into_iter().collect();
    let lost: Vec<_> = tally.written.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    cluster.assert_same_state().await;
}

/// Waits until a node that was started answers as a member with all that was committed.
async fn caught_up(cluster: &Cluster, index: usize) {
    eventually("the node has caught up", SETTLE_LIMIT, async || {
        let status = cluster.client(index).status().await.map_err(|error| format!("{error:?}"))?;
        let plays = [State::Leader, State::Follower, State::Learner].contains(&status.state());
        let ready = plays && status.leader_id != 0 && status.applied_index >= status.committed_index;
        if ready { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

/// The two of a majority of three elect anew: a leader sends nothing to a node that lost what it acknowledged to that leader.
async fn another_term(cluster: &mut Cluster, among: [usize; 2]) {
    let before = cluster.status(among[0]).await.term;
    let leader = cluster.leader_among(&among).await;
    cluster.nodes[leader].kill();
    assert_eq!(cluster.nodes[leader].start().await, "member");
    cluster.leader_among(&among).await;
    assert!(cluster.status(among[0]).await.term > before);
}

fn old(_: usize, node: &mut Node) {
    node.max_level = Some(1);
}

/// Restarts a node with the version of now, and says where it is.
async fn replace(cluster: &mut Cluster, index: usize) {
    assert!(cluster.nodes[index].stop().await.success());
    cluster.nodes[index].max_level = None;
    cluster.nodes[index].flags = vec![format!("--node-region=region-{index}"), "--node-zone=a".into()];
    assert_eq!(cluster.nodes[index].start().await, "member");
    caught_up(cluster, index).await;
}

async fn refused(cluster: &Cluster, index: usize) -> Status {
    cluster.client(index).upgrade(2).await.expect_err("the level was raised")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_live_beside_each_other_until_the_last_one_is_replaced() {
    let mut cluster = Cluster::form_each(3, Settings::default(), old).await;
    let learner = cluster.prepare_one_more();
    old(learner, &mut cluster.nodes[learner]);
    assert_eq!(cluster.nodes[learner].start().await, "waiting");
    let peers = vec![cluster.nodes[0].peer_address.clone()];
    cluster.client(learner).join(peers.clone(), true).await.unwrap();
    let mut load = Load::start(&cluster.clients()[..2], 2);
    load.progress(20).await;
    for index in 0..4 {
        let error = refused(&cluster, index).await;
        assert_eq!(reason_of(&error).as_deref(), Some("WRONG_STATE"), "{error:?}");
        assert!(error.message().contains("feature levels 1 to 1"), "{error:?}");
        replace(&mut cluster, index).await;
        load.progress(10).await;
    }
    // Until the last step, every node can go back.
    assert!(cluster.nodes[1].stop().await.success());
    cluster.nodes[1].max_level = Some(1);
    assert_eq!(cluster.nodes[1].start().await, "member");
    caught_up(&cluster, 1).await;
    load.progress(10).await;
    let error = refused(&cluster, 0).await;
    assert!(error.message().contains("node 2 runs"), "{error:?}");
    replace(&mut cluster, 1).await;

    let status = cluster.status(0).await;
    assert_eq!((status.feature_level, status.highest_feature_level), (1, 2));
    assert!(status.members.iter().all(|member| member.region.is_empty()), "level 1 has no place for it: {status:?}");
    let shown = run_at(&cluster, 0, &["cluster", "status"]).await;
    assert!(shown.out.contains("every member supports 2") && !shown.out.contains("REGION"), "{shown:?}");
    // All members must be heard, the learners too.
    cluster.nodes[learner].inflict(Fault::Pause);
    let error = refused(&cluster, 0).await;
    assert_eq!(reason_of(&error).as_deref(), Some("NODE_BEHIND"), "{error:?}");
    cluster.nodes[learner].inflict(Fault::Resume);
    load.progress(10).await;

    let follower = cluster.others(&[cluster.leader_among(&[0, 1, 2]).await, learner])[0];
    let raised = eventually("the level is raised", SETTLE_LIMIT, async || {
        let ran = run_at(&cluster, follower, &["cluster", "upgrade"]).await;
        if ran.code == Some(0) { Ok(ran) } else { Err(ran) }
    })
    .await;
    assert!(raised.out.contains("at feature level 2"), "{raised:?}");
    assert_eq!(cluster.client(0).upgrade(2).await.unwrap(), 2, "to ask again does no harm");
    let error = cluster.client(0).upgrade(1).await.expect_err("it was lowered");
    assert_eq!(reason_of(&error).as_deref(), Some("WRONG_STATE"), "{error:?}");
    eventually("every node says where all are", SETTLE_LIMIT, async || {
        for index in 0..4 {
            let status = cluster.status(index).await;
            let regions: Vec<_> = status.members.iter().map(|member| member.region.clone()).collect();
            if status.feature_level != 2 || regions != ["region-0", "region-1", "region-2", "region-3"] {
                return Err(status);
            }
        }
        Ok(())
    })
    .await;
    load.progress(10).await;
    load.stop().await;
    load.verify_exactly(&cluster.client(learner)).await;
    cluster.assert_same_state().await;
    refuses_to_go_back(&mut cluster, follower).await;
    refuses_old_joiner(&mut cluster, peers).await;
}

/// A version of before does not start with data of a higher level, and says why; the version of now does.
async fn refuses_to_go_back(cluster: &mut Cluster, index: usize) {
    assert!(cluster.nodes[index].stop().await.success());
    cluster.nodes[index].max_level = Some(1);
    cluster.nodes[index].spawn();
    assert_eq!(cluster.nodes[index].ended().await.code(), Some(1));
    let log = cluster.nodes[index].log();
    assert!(log.contains("at feature level 2, and this version supports 1 to 1"), "{log}");
    cluster.nodes[index].max_level = None;
    assert_eq!(cluster.nodes[index].start().await, "member");
    caught_up(cluster, index).await;
}

async fn refuses_old_joiner(cluster: &mut Cluster, peers: Vec<String>) {
    let late = cluster.prepare_one_more();
    old(late, &mut cluster.nodes[late]);
    assert_eq!(cluster.nodes[late].start().await, "waiting");
    let error = cluster.client(late).join(peers, false).await.expect_err("it became a member");
    assert!(error.message().contains("the cluster is at feature level 2"), "{error:?}");
    assert_eq!(cluster.status(late).await.state(), State::Waiting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_of_before_that_slept_through_the_upgrade_applies_nothing_of_it() {
    let settings = Settings { keep_entries: Some(0), ..Settings::default() };
    let mut cluster = Cluster::form_each(3, settings, old).await;
    cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    // The disk of the third node as it was before the upgrade: what a machine has that was restored from an image.
    assert!(cluster.nodes[2].stop().await.success());
    let (data, image) = (cluster.nodes[2].data.clone(), cluster.nodes[2].data.with_extension("image"));
    copy_folder(&data, &image);
    for index in [2, 0, 1] {
        cluster.nodes[index].max_level = None;
        if index != 2 {
            assert!(cluster.nodes[index].stop().await.success());
        }
        assert_eq!(cluster.nodes[index].start().await, "member");
        caught_up(&cluster, index).await;
    }
    eventually("the level is raised", SETTLE_LIMIT, async || cluster.client(0).upgrade(0).await).await;
    cluster.assert_same_state().await;
    assert!(cluster.nodes[2].stop().await.success());
    cluster.nodes[2].max_level = Some(1);

    // By the log: it stops before the first entry that may mean something else to it.
    put_back(&image, &data);
    another_term(&mut cluster, [0, 1]).await;
    cluster.nodes[2].spawn();
    assert_eq!(cluster.nodes[2].ended().await.code(), Some(1));
    let log = cluster.nodes[2].log();
    assert!(log.contains("feature level 2, and this version supports 1 to 1"), "{log}");

    // By a snapshot: it refuses it and keeps what it has.
    put_back(&image, &data);
    another_term(&mut cluster, [0, 1]).await;
    let raised = cluster.status(0).await.applied_index;
    cluster.client(0).write([touch("document:plan#viewer@user:ann")]).await.unwrap();
    for index in [0, 1] {
        cluster.client(index).snapshot().await.unwrap();
    }
    eventually("the log of the upgrade is purged everywhere", SETTLE_LIMIT, async || {
        let statuses = cluster.statuses(&[0, 1]).await;
        if statuses.len() == 2 && statuses.iter().all(|(_, s)| s.purged_index >= raised) {
            Ok(())
        } else {
            Err(statuses)
        }
    })
    .await;
    assert_eq!(cluster.nodes[2].start().await, "member");
    eventually("the snapshot is refused", SETTLE_LIMIT, async || {
        if cluster.nodes[2].log().contains("a snapshot was refused") { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert_eq!(cluster.status(2).await.feature_level, 1);
    cluster.client(0).write([touch("document:plan#viewer@user:eve")]).await.expect("two are a majority");

    assert!(cluster.nodes[2].stop().await.success());
    cluster.nodes[2].max_level = None;
    assert_eq!(cluster.nodes[2].start().await, "member");
    caught_up(&cluster, 2).await;
    cluster.assert_same_state().await;
    assert_eq!(cluster.status(2).await.feature_level, 2);
}
