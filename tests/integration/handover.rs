//! An orderly stop of the leader: another node leads before it goes, and no client hears of more than a pause.

use std::time::{Duration, Instant};

use crate::harness::{Client, Cluster, Load, Settings, longest_gap, say, touch};

/// Without a leader that hands over, nobody writes for so long at the least.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(3);

fn settings() -> Settings {
    let (least, most) = (ELECTION_TIMEOUT.as_millis().to_string(), "4000".to_owned());
    let flags = ["--election-timeout-min-ms", &least, "--election-timeout-max-ms", &most];
    Settings { flags: flags.map(str::to_owned).to_vec(), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_stopped_costs_no_election() {
    let mut cluster = Cluster::form_with(3, settings()).await;
    for round in 0..2 {
        let leader = cluster.leader().await;
        let others = cluster.others(&[leader]);
        let clients: Vec<Client> = others.iter().map(|index| cluster.client(*index)).collect();
        let mut load = Load::start(&clients, 3);
        load.progress(30).await;
        let writer = clients[0].clone();
        let (status, gap) = longest_gap(writer, cluster.nodes[leader].stop()).await;
        assert!(status.success(), "{status:?}");
        load.progress(30).await;
        load.stop().await;
        say(&format!("a stop of the leader: longest time between two acknowledged writes {gap:?}; {}", load.summary()));
        assert_eq!(load.unknown(), 0, "{}", load.summary());
        assert!(gap < ELECTION_TIMEOUT / 2, "round {round}: no write was acknowledged for {gap:?}");
        load.verify(&clients[1]).await;
        assert_eq!(cluster.nodes[leader].start().await, "member");
    }
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_only_voter_waits_for_nobody() {
    let mut cluster = Cluster::form_with(1, settings()).await;
    cluster.add_learner().await;
    cluster.client(0).write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let begun = Instant::now();
    assert!(cluster.nodes[0].stop().await.success());
    let took = begun.elapsed();
    assert!(took < ELECTION_TIMEOUT, "it took {took:?}");
}
