//! Changes to the members and to who leads them, while clients write.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::harness::wire::cluster::status_response::State;
use crate::harness::{
    Cluster, Fault, Load, SETTLE_LIMIT, at_least, eventually, exactly, fully, longest_gap, minimize, reason_of, run_at,
    say, touch, within,
};

/// What a transfer may take as a whole on a busy machine.
const TRANSFER_LIMIT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_under_load_without_a_failed_write() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let mut load = Load::start(&cluster.clients(), 4);
    load.progress(50).await;
    for round in 0..6 {
        let old = cluster.leader_among(&[0, 1, 2]).await;
        let new = (old + 1 + round / 3) % 3;
        let to = cluster.status(new).await.node_id;
        // Asked of the leader, of the next one, and of the learner in turn.
        let asked = cluster.client([old, new, learner][round % 3]);
        let begun = Instant::now();
        let transfer = within("a transfer", TRANSFER_LIMIT, async {
            asked.transfer_leader(to).await.map(|t| (t, begun.elapsed()))
        });
        let (done, gap) = longest_gap(cluster.client(new), transfer).await;
        let (answer, took) = done.unwrap();
        assert_eq!((answer.leader_id, cluster.leader_among(&[0, 1, 2]).await), (to, new), "round {round}");
        say(&format!(
            "transfer to node {to}: answered after {took:?}, longest time between two acknowledged writes {gap:?}"
        ));
    }
    load.progress(50).await;
    load.stop().await;
    assert_eq!(load.unknown(), 0, "{}", load.summary());
    load.verify_exactly(&cluster.client(learner)).await;
    say(&format!("transfers: {}", load.summary()));
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_to_no_node_that_cannot_have_it() {
    let mut cluster = Cluster::form(3).await;
    let learner = cluster.add_learner().await;
    let leader = cluster.leader_among(&[0, 1, 2]).await;
    let (leader_id, learner_id) = (cluster.status(leader).await.node_id, cluster.status(learner).await.node_id);
    let client = cluster.client(learner);
    let refused = async |to: u64| {
        let status = client.transfer_leader(to).await.expect_err("it was accepted");
        (status.code(), reason_of(&status).unwrap_or_default())
    };
    assert_eq!(refused(learner_id).await, (Code::FailedPrecondition, "WRONG_STATE".to_owned()));
    assert_eq!(refused(99).await, (Code::NotFound, "UNKNOWN_NODE".to_owned()));

    let same = client.transfer_leader(leader_id).await.unwrap();
    assert!(!same.changed && same.leader_id == leader_id, "{same:?}");

    // A voter that does not answer is refused once its silence is noticed, and the other one is chosen in its place.
    let followers: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
    let silent = cluster.status(followers[0]).await.node_id;
    cluster.nodes[followers[0]].inflict(Fault::Pause);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(refused(silent).await, (Code::FailedPrecondition, "NODE_BEHIND".to_owned()));
    client.write([touch("document:still#viewer@user:tom")]).await.unwrap();
    let chosen = client.transfer_leader(0).await.unwrap();
    assert_eq!(chosen.leader_id, cluster.status(followers[1]).await.node_id, "{chosen:?}");
    cluster.nodes[followers[0]].inflict(Fault::Resume);

    let ran = run_at(&cluster, learner, &["cluster", "transfer-leader", "--to", &leader_id.to_string()]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("node {leader_id} leads, in term")), "{ran:?}");
    let ran = run_at(&cluster, learner, &["cluster", "transfer-leader", "--to", "99"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("UNKNOWN_NODE"), "{ran:?}");
    cluster.assert_same_state().await;
}

/// The ids of the voters and of the learners, as a node has them.
async fn members(cluster: &Cluster, index: usize) -> (Vec<u64>, Vec<u64>) {
    let (voters, learners): (Vec<_>, Vec<_>) = cluster.status(index).await.members.into_iter().partition(|m| m.voter);
    let ids = |members: Vec<_>| members.into_iter().map(|m: crate::harness::wire::cluster::Member| m.node_id).collect();
    (ids(voters), ids(learners))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_taken_and_given_under_load() {
    let cluster = Cluster::form(3).await;
    let mut load = Load::start(&cluster.clients(), 3);
    load.progress(30).await;
    for round in 0..2 {
        // The leader in the first round, and a follower that is asked itself in the second.
        let leader = cluster.leader().await;
        let index = if round == 0 { leader } else { (leader + 1) % 3 };
        let id = cluster.status(index).await.node_id;
        let client = cluster.client(index);
        assert!(within("a demotion", TRANSFER_LIMIT, client.demote(id)).await.unwrap());
        let others: Vec<u64> = (1..=3).filter(|other| *other != id).collect();
        eventually("the node is a learner", SETTLE_LIMIT, async || match members(&cluster, index).await {
            (voters, learners) if voters == others && learners == [id] => Ok(()),
            seen => Err(seen),
        })
        .await;
        eventually("it says so itself", SETTLE_LIMIT, async || match client.status().await.unwrap().state() {
            State::Learner => Ok(()),
            state => Err(state),
        })
        .await;
        assert!(!client.demote(id).await.unwrap(), "it is a learner already");
        load.progress(30).await;
        load.verify(&client).await;
        assert!(within("a promotion", TRANSFER_LIMIT, client.promote(id)).await.unwrap());
        assert!(!client.promote(id).await.unwrap(), "it is a voter already");
        assert_eq!(members(&cluster, cluster.leader().await).await, (vec![1, 2, 3], vec![]));
        load.progress(30).await;
    }
    load.stop().await;
    assert_eq!(load.unknown(), 0, "{}", load.summary());
    load.verify_exactly(&cluster.client(0)).await;
    say(&format!("votes taken and given: {}", load.summary()));
    cluster.assert_same_state().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_lose_the_quorum_is_refused() {
    let mut cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let [down, up] = [(leader + 1) % 3, (leader + 2) % 3];
    let (down_id, up_id) = (cluster.status(down).await.node_id, cluster.status(up).await.node_id);
    cluster.nodes[down].kill();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let client = cluster.client(leader);
    for refused in [client.demote(up_id).await, client.remove(up_id).await] {
        let status = refused.expect_err("two voters, of which one is down, cannot commit");
        assert_eq!((status.code(), reason_of(&status)), (Code::FailedPrecondition, Some("QUORUM_AT_RISK".to_owned())));
    }
    client.write([touch("document:still#viewer@user:tom")]).await.unwrap();
    // The one that is down can go, and of the two that remain one more, and no further.
    assert!(client.remove(down_id).await.unwrap());
    assert!(!client.remove(down_id).await.unwrap(), "it is gone already");
    let status = client.promote(down_id).await.expect_err("it was removed");
    assert_eq!(reason_of(&status).as_deref(), Some("WRONG_STATE"));
    assert!(client.remove(up_id).await.unwrap());
    for refused in [client.demote(1).await, client.remove(cluster.status(leader).await.node_id).await] {
        let status = refused.expect_err("a cluster needs a voter");
        assert!(["QUORUM_AT_RISK", "WRONG_STATE"].contains(&reason_of(&status).unwrap().as_str()), "{status:?}");
    }
    assert_eq!(reason_of(&client.remove(99).await.unwrap_err()).as_deref(), Some("UNKNOWN_NODE"));
    client.write([touch("document:last#viewer@user:tom")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_answers_nothing_and_comes_back_as_another() {
    let mut cluster = Cluster::form(3).await;
    let mut load = Load::start(&cluster.clients()[..2], 3);
    load.progress(20).await;
    let check = "group:plan#member@user:tom";
    let zookie = cluster.client(0).write([touch(check)]).await.unwrap();
    // The first time it runs and may lead, the second time it is down, the third time it is a learner.
    for round in 0..3 {
        let id = cluster.status(2).await.node_id;
        if round == 0 {
            cluster.client(1).transfer_leader(id).await.unwrap();
        }
        if round == 1 {
            cluster.nodes[2].kill();
        }
        if round == 2 {
            cluster.client(0).demote(id).await.unwrap();
        }
        assert!(within("a removal", TRANSFER_LIMIT, cluster.client(0).remove(id)).await.unwrap(), "round {round}");
        if round == 1 {
            assert_eq!(cluster.nodes[2].start().await, "member");
        }
        let gone = cluster.client(2);
        eventually("the node knows that it was removed", SETTLE_LIMIT, async || {
            match gone.status().await.unwrap().state() {
                State::Removed => Ok(()),
                state => Err(state),
            }
        })
        .await;
        for consistency in [None, minimize(), fully(), at_least(&zookie), exactly(&zookie)] {
            let status = gone.check(check, consistency).await.expect_err("a node that was removed answered");
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().contains("removed"), "{status:?}");
        }
        let status = gone.write([touch("document:plan#owner@user:eve")]).await.expect_err("it took a write");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        // It stays so over a restart, and with its data it does not come back.
        cluster.nodes[2].stop().await;
        assert_eq!(cluster.nodes[2].start().await, "member");
        let joined = cluster.client(2).join(vec![cluster.nodes[0].peer_address.clone()], false).await;
        let status = joined.expect_err("an id was used again");
        assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::FailedPrecondition, Some("WRONG_STATE")));
        load.progress(20).await;
        cluster.nodes[2].stop().await;
        cluster.join_anew(2, 0).await;
        assert_ne!(cluster.status(2).await.node_id, id, "an id was used again");
        assert!(cluster.client(2).check(check, fully()).await.unwrap().allowed);
    }
    load.stop().await;
    // One node was killed meanwhile, so a write may have an unknown outcome; none may be lost.
    load.verify_exactly(&cluster.client(2)).await;
    cluster.assert_same_state().await;
}

/// Starts the node at `index`, which is down, at other ports than before.
async fn start_elsewhere(cluster: &mut Cluster, index: usize) {
    let (client, peer) = cluster.spare_addresses();
    let node = &mut cluster.nodes[index];
    node.flags.extend([format!("--client-listen={client}"), format!("--peer-listen={peer}")]);
    (node.client_address, node.peer_address) = (client, peer);
    assert_eq!(node.start().await, "member");
}

/// Where the members are, as a node has it.
async fn addresses(cluster: &Cluster, index: usize) -> Vec<(String, String)> {
    let members = cluster.status(index).await.members;
    members.into_iter().map(|member| (member.client_address, member.peer_address)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_moved_is_found_where_it_is() {
    let mut cluster = Cluster::form(3).await;
    let mut load = Load::start(&cluster.clients()[1..2], 2);
    load.progress(10).await;
    // A follower, and the node that led until it moved.
    for index in [2, 0] {
        if index == 0 {
            let id = cluster.status(0).await.node_id;
            within("a transfer", TRANSFER_LIMIT, cluster.client(1).transfer_leader(id)).await.unwrap();
        }
        assert!(cluster.nodes[index].stop().await.success());
        start_elsewhere(&mut cluster, index).await;
        let there = cluster.nodes.iter().map(|node| (node.client_address.clone(), node.peer_address.clone()));
        let there: Vec<_> = there.collect();
        for asked in [1, index] {
            eventually("the new address is known", SETTLE_LIMIT, async || match addresses(&cluster, asked).await {
                seen if seen == there => Ok(()),
                seen => Err(seen),
            })
            .await;
        }
        load.progress(20).await;
    }
    load.stop().await;
    load.verify_exactly(&cluster.client(0)).await;
    cluster.assert_same_state().await;
    // The two that moved are a majority by themselves.
    cluster.nodes[1].kill();
    cluster.leader_among(&[0, 2]).await;
    eventually("a write", SETTLE_LIMIT, async || {
        cluster.client(2).write([touch("document:moved#viewer@user:tom")]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_takes_nobody_away() {
    let mut cluster = Cluster::form(3).await;
    let leader = cluster.leader().await;
    let index = (leader + 1) % 3;
    let before = addresses(&cluster, leader).await;
    // Nobody is at the one, and another member is at the other.
    for wrong in ["127.0.0.1:9".to_owned(), cluster.nodes[leader].peer_address.clone()] {
        assert!(cluster.nodes[index].stop().await.success());
        cluster.nodes[index].flags = vec![format!("--peer-advertise={wrong}")];
        assert_eq!(cluster.nodes[index].start().await, "member");
        eventually("it is told that it is not there", SETTLE_LIMIT, async || {
            let log = cluster.nodes[index].log();
            if log.contains(&format!("does not answer where it says that it is ({wrong}")) { Ok(()) } else { Err(log) }
        })
        .await;
        cluster.client(leader).write([touch("document:still#viewer@user:tom")]).await.unwrap();
        assert_eq!(addresses(&cluster, leader).await, before);
        cluster.assert_same_state().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_can_be_asked_for_its_own_removal() {
    let mut cluster = Cluster::form(4).await;
    // A follower, and then the leader itself.
    for round in 0..2 {
        let leader = cluster.leader().await;
        let index = if round == 0 { cluster.others(&[leader])[0] } else { leader };
        let id = cluster.status(index).await.node_id;
        let remove = ["cluster", "remove", &id.to_string()];
        let first = run_at(&cluster, index, &remove).await;
        // It may hear of the removal before the leader's answer, and then it does not know whether all of it was done.
        assert!([Some(0), Some(1), Some(4)].contains(&first.code), "{first:?}");
        if first.code != Some(0) {
            assert!(first.err.contains("WRONG_STATE") || first.err.contains("OUTCOME_UNKNOWN"), "{first:?}");
        }
        eventually("it knows that it was removed", SETTLE_LIMIT, async || match cluster.status(index).await.state() {
            State::Removed => Ok(()),
            state => Err(state),
        })
        .await;
        let again = run_at(&cluster, index, &remove).await;
        assert!(again.code == Some(1) && again.err.contains("WRONG_STATE"), "{again:?}");
        cluster.nodes[index].stop().await;
        let gone = cluster.nodes.remove(index);
        drop(gone);
        let rest = cluster.leader().await;
        assert!(cluster.status(rest).await.members.iter().all(|member| member.node_id != id));
        cluster.client(rest).write([touch("document:rest#viewer@user:tom")]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_waited_while_its_node_was_removed_ends() {
    let mut cluster = Cluster::form(3).await;
    let late = cluster.prepare_one_more();
    // Nobody reaches it there, so it comes in and does not get its vote.
    cluster.nodes[late].flags = vec!["--peer-advertise=127.0.0.1:9".into()];
    assert_eq!(cluster.nodes[late].start().await, "waiting");
    let (joiner, peers) = (cluster.client(late), vec![cluster.nodes[1].peer_address.clone()]);
    let waiting = tokio::spawn(async move { joiner.join(peers, false).await });
    eventually("it is a member without a vote", SETTLE_LIMIT, async || match members(&cluster, 0).await {
        (voters, learners) if voters == [1, 2, 3] && learners == [4] => Ok(()),
        seen => Err(seen),
    })
    .await;
    // It shows among the members a moment before its join lets others change them.
    let removed =
        eventually("others may change the members", SETTLE_LIMIT, async || match cluster.client(0).remove(4).await {
            Err(status) if reason_of(&status).as_deref() == Some("MEMBERS_BUSY") => Err(status),
            removed => Ok(removed),
        });
    assert!(removed.await.unwrap());
    let ended = within("the join ends", SETTLE_LIMIT, waiting).await.expect("it does not panic");
    let status = ended.expect_err("a node that was removed came in");
    assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::FailedPrecondition, Some("WRONG_STATE")));
    assert!(status.message().contains("removed from the cluster as node 4"), "{status:?}");
    assert_eq!(members(&cluster, 0).await, (vec![1, 2, 3], vec![]));
}
