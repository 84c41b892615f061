//! Regions: where the leader is, what is left when one is lost, and what those far away answer.

use std::time::Duration;

use tonic::Request;

use crate::harness::wire::authzed::CheckPermissionRequest;
use crate::harness::wire::authzed::check_permission_response::Permissionship;
use crate::harness::{
    Client, Cluster, Load, Node, SETTLE_LIMIT, Settings, check_item, eventually, fully, reason_of, run_at, say, touch,
    within,
};

/// How long leadership may take to come home: elections, and the back-off before a hand-over.
const HOME_LIMIT: Duration = Duration::from_secs(60);
const CHECK: &str = "document:plan#view@user:tom";
const TUPLE: &str = "document:plan#viewer@user:tom";

/// Three nodes in the north, and what follows in the south.
fn place(index: usize, node: &mut Node) {
    let region = if index < 3 { "north" } else { "south" };
    node.flags = vec![format!("--node-region={region}"), format!("--node-zone={region}-{index}")];
}

/// Sets the home region, as soon as it is known who is there.
async fn make_home(cluster: &Cluster, region: &str) {
    eventually("the home region is set", SETTLE_LIMIT, async || {
        let ran = run_at(cluster, 1, &["cluster", "home-region", region]).await;
        if ran.code == Some(0) { Ok(()) } else { Err(ran) }
    })
    .await;
}

/// Waits until one of these nodes leads.
async fn led_by(cluster: &Cluster, home: &[usize]) -> usize {
    eventually("one of them leads", HOME_LIMIT, async || {
        let leader = cluster.leader().await;
        if home.contains(&leader) { Ok(leader) } else { Err(leader) }
    })
    .await
}

/// The check, answered by the node itself or not at all, from a state no older than five seconds.
async fn check_nearby(client: &Client) -> bool {
    let item = check_item(CHECK);
    let (resource, permission, subject) = (item.resource, item.permission, item.subject);
    let mut request = Request::new(CheckPermissionRequest { resource, permission, subject, ..Default::default() });
    for (name, value) in [("quorate-max-staleness", "5s"), ("quorate-local-only", "true")] {
        request.metadata_mut().insert(name, value.parse().expect("plain text"));
    }
    let response = client.permissions.clone().check_permission(request).await.expect("a state that is fresh enough");
    response.into_inner().permissionship() == Permissionship::HasPermission
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_at_home_and_a_region_that_is_lost_costs_capacity_only() {
    let mut cluster = Cluster::form_each(5, Settings::default(), place).await;
    let far = cluster.prepare_one_more();
    cluster.nodes[far].flags = vec!["--node-region=west".into()];
    assert_eq!(cluster.nodes[far].start().await, "waiting");
    let peers = vec![cluster.nodes[0].peer_address.clone()];
    cluster.client(far).join(peers, true).await.unwrap();
    let granted = cluster.client(0).write([touch(TUPLE)]).await.unwrap();

    // Only where a voter is can be home: neither nowhere, nor where there are learners alone.
    for nowhere in ["east", "west"] {
        let ran = run_at(&cluster, 0, &["cluster", "home-region", nowhere]).await;
        assert!(ran.code == Some(1) && ran.err.contains("no voter says that it is in region"), "{ran:?}");
    }
    let (north, south) = ([0, 1, 2], [3, 4]);
    make_home(&cluster, "south").await;
    led_by(&cluster, &south).await;
    let status = run_at(&cluster, far, &["cluster", "status"]).await;
    for shown in ["home region south", "REGION", "north-0", "west"] {
        assert!(status.out.contains(shown), "{shown}: {status:?}");
    }
    let json = run_at(&cluster, 0, &["cluster", "status", "--json"]).await.json();
    assert_eq!((json["home_region"].as_str(), json["members"][4]["zone"].as_str()), (Some("south"), Some("south-4")));

    // Who was asked to lead abroad does not for long.
    let abroad = cluster.status(1).await.node_id;
    cluster.client(1).transfer_leader(abroad).await.unwrap();
    let leader = led_by(&cluster, &south).await;

    let mut load = Load::start(&[cluster.client(0), cluster.client(1), cluster.client(far)], 2);
    load.progress(20).await;
    // The leader's failure is one of the home region, until all of it is down: then the others lead.
    cluster.nodes[leader].kill();
    led_by(&cluster, &south).await;
    load.progress(20).await;
    let other = 7 - leader;
    cluster.nodes[other].kill();
    led_by(&cluster, &north).await;
    load.progress(20).await;
    for index in north.into_iter().chain([far]) {
        let client = cluster.client(index);
        let check = eventually("a check", SETTLE_LIMIT, async || client.check(CHECK, fully()).await);
        assert!(check.await.allowed, "node {index}");
    }
    eventually("the learner is fresh again", SETTLE_LIMIT, async || {
        let status = cluster.status(far).await;
        if status.applied_index >= status.committed_index { Ok(()) } else { Err(status) }
    })
    .await;
    assert!(check_nearby(&cluster.client(far)).await);
    assert!(cluster.client(far).check(CHECK, crate::harness::at_least(&granted)).await.unwrap().allowed);

    for index in south {
        assert_eq!(cluster.nodes[index].start().await, "member");
    }
    led_by(&cluster, &south).await;
    load.progress(20).await;
    load.stop().await;
    load.verify_exactly_with(&cluster.client(far), &[TUPLE]).await;
    say(&format!("regions: {}", load.summary()));

    let ran = run_at(&cluster, 0, &["cluster", "home-region", "--none"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    eventually("nowhere is home", SETTLE_LIMIT, async || match cluster.status(far).await.home_region.as_str() {
        "" => Ok(()),
        region => Err(region.to_owned()),
    })
    .await;
    let to = cluster.status(0).await.node_id;
    let moved = within("a transfer", HOME_LIMIT, cluster.client(0).transfer_leader(to)).await.unwrap();
    assert_eq!(moved.leader_id, to);
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_at_home_stand_for_election_first() {
    let flags = ["--election-timeout-min-ms=2000", "--election-timeout-max-ms=3000"].map(String::from).to_vec();
    let adapt = |index, node: &mut Node| {
        let timing = node.flags.clone();
        place(index, node);
        node.flags.extend(timing);
    };
    let mut cluster = Cluster::form_each(5, Settings { flags, ..Settings::default() }, adapt).await;
    make_home(&cluster, "north").await;
    // Elections go by what a node knew when it was started.
    for index in 3..5 {
        assert!(cluster.nodes[index].stop().await.success());
        assert_eq!(cluster.nodes[index].start().await, "member");
    }
    let led_abroad =
        |cluster: &Cluster| [3, 4].map(|index| cluster.nodes[index].log().matches("this node leads").count());
    let mut abroad = 0;
    for _ in 0..3 {
        let leader = led_by(&cluster, &[0, 1, 2]).await;
        cluster.assert_same_state().await;
        let before = led_abroad(&cluster);
        cluster.nodes[leader].kill();
        led_by(&cluster, &cluster.others(&[leader, 3, 4])).await;
        abroad += usize::from(led_abroad(&cluster) != before);
        assert_eq!(cluster.nodes[leader].start().await, "member");
    }
    // Where two at home stood for election at the same moment, it may have been somebody abroad.
    assert!(abroad <= 1, "{abroad} of 3 elections were won abroad");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_region_needs_the_level_that_brought_it() {
    let old = |index, node: &mut Node| {
        place(index, node);
        node.max_level = Some(1);
    };
    let cluster = Cluster::form_each(1, Settings::default(), old).await;
    let ran = run_at(&cluster, 0, &["cluster", "home-region", "north"]).await;
    assert!(ran.code == Some(1) && ran.err.contains("needs feature level 2"), "{ran:?}");
    let error = cluster.client(0).upgrade(2).await.expect_err("it supports one level");
    assert_eq!(reason_of(&error).as_deref(), Some("WRONG_STATE"), "{error:?}");
}
