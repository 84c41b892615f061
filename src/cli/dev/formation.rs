//! From nodes that listen to one cluster with a leader, whatever state an earlier start was interrupted in.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use super::POLL;
use super::folder::NodePlace;
use crate::cli::call_error::CallError;
use crate::cli::cluster::state_name;
use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::cli::output::print_line;
use crate::cli::trust::TrustArgs;
use crate::wire::quorate::v1::join_progress::Stage;
use crate::wire::quorate::v1::status_response::State;
use crate::wire::quorate::v1::{InitRequest, JoinRequest, RemoveRequest, StatusRequest, StatusResponse};

/// A call to a node on this machine.
const CALL: Duration = Duration::from_secs(10);
/// Several elections, on a machine that is busy.
const LEADER_PATIENCE: Duration = Duration::from_secs(60);
const JOIN_PATIENCE: Duration = Duration::from_secs(600);

/// What there is to do, given what every node says of itself.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing was formed yet: initialise the first node, let all others join.
    Found,
    /// Some are members: the nodes at these positions still have to become voters.
    Complete(Vec<usize>),
}

/// Makes all nodes voters of one cluster with a leader.
pub(super) async fn form(places: &[NodePlace], key: &str, folder: &Path) -> Result<(), Failure> {
    let mut said = Vec::new();
    for place in places {
        said.push(status(place, key).await?);
    }
    let to_join = match plan(&said).map_err(|problem| start_over(&problem, folder))? {
        Plan::Found => {
            let node = connect(&places[0], key, CALL)?;
            let formed = node.write(|node| async move { node.cluster().init(InitRequest {}).await }).await?;
            print_line(format_args!("Formed cluster {} on node 1", formed.lineage))?;
            (1..places.len()).collect()
        }
        Plan::Complete(missing) => missing,
    };
    let settled: Vec<_> = (0..places.len()).filter(|at| !to_join.contains(at)).map(|at| &places[at]).collect();
    let leader = wait_for_leader(&settled, key, folder).await?;
    let mut peers: Vec<_> = settled.iter().map(|place| place.peer.to_string()).collect();
    for at in to_join {
        if said[at].state() == State::Waiting {
            let_go_lost_member(settled[0], &places[at], key).await?;
        }
        join(&places[at], &peers, key).await?;
        peers.push(places[at].peer.to_string());
    }
    print_line(format_args!("{} nodes vote; node id {leader} leads", places.len()))
}

fn plan(said: &[StatusResponse]) -> Result<Plan, String> {
    let mut lineages: Vec<_> =
        said.iter().filter(|s| s.state() != State::Waiting && !s.lineage.is_empty()).map(|s| &s.lineage).collect();
    lineages.dedup();
    match lineages.as_slice() {
        [] => return Ok(Plan::Found),
        [_] => {}
        _ => return Err("the nodes belong to different clusters".to_owned()),
    }
    let mut missing = Vec::new();
    for (at, node) in said.iter().enumerate() {
        match node.state() {
            State::Waiting | State::Learner => missing.push(at),
            State::Follower | State::Candidate | State::Leader => {}
            state @ (State::Unspecified | State::Faulted | State::Removed) => {
                return Err(format!("node {} is {}", at + 1, state_name(state)));
            }
        }
    }
    if missing.len() == said.len() {
        return Err("no node has a vote".to_owned());
    }
    Ok(Plan::Complete(missing))
}

/// A node without data at the address of a member: its folder was removed. It comes back, but only as another member, and not
/// before the one that it was is let go.
async fn let_go_lost_member(settled: &NodePlace, place: &NodePlace, key: &str) -> Result<(), Failure> {
    let peer = place.peer.to_string();
    for lost in status(settled, key).await?.members.iter().filter(|member| member.peer_address == peer) {
        let (number, node_id) = (place.number, lost.node_id);
        print_line(format_args!(
            "Node {number} has lost its data: node id {node_id} is let go, and node {number} joins under a new id"
        ))?;
        let member = connect(settled, key, JOIN_PATIENCE)?;
        let gone = member.write(|node| async move { node.cluster().remove(RemoveRequest { node_id }).await }).await;
        gone.map_err(|error| Failure::from(error).at(format_args!("node id {node_id} cannot be let go")))?;
    }
    Ok(())
}

async fn join(place: &NodePlace, peers: &[String], key: &str) -> Result<(), Failure> {
    let number = place.number;
    let node = connect(place, key, JOIN_PATIENCE)?;
    let request = JoinRequest { peers: peers.to_vec(), learner: false };
    let mut stream = node
        .read(|node| {
            let request = request.clone();
            async move { node.cluster().join(request).await }
        })
        .await
        .map_err(|error| Failure::from(error).at(format_args!("node {number} cannot join")))?;
    while let Some(step) = stream.message().await.map_err(CallError::in_stream)? {
        if step.stage() == Stage::Voter {
            return print_line(format_args!("Node {number} joined as node id {}", step.node_id));
        }
    }
    Err(Failure::new(format!("node {number} stopped joining before it had a vote; its log is {}", place.log.display()))
        .hint("start again: it goes on where it was"))
}

async fn wait_for_leader(places: &[&NodePlace], key: &str, folder: &Path) -> Result<u64, Failure> {
    let leader = poll(LEADER_PATIENCE, || async {
        for place in places {
            let said = status(place, key).await?;
            if said.state() == State::Leader {
                return Ok(Some(said.node_id));
            }
        }
        Ok(None)
    });
    match leader.await? {
        Some(leader) => Ok(leader),
        None => Err(start_over("the nodes could not agree on a leader", folder)),
    }
}

fn start_over(problem: &str, folder: &Path) -> Failure {
    let folder = folder.display();
    Failure::new(format!("{problem}; their logs are in {folder}"))
        .hint(format!("if the data is not needed: rm -r {folder}, and start again"))
}

/// Asks until there is an answer; `None` when patience ends.
async fn poll<T, F, Answer>(patience: Duration, ask: F) -> Result<Option<T>, Failure>
where
    F: Fn() -> Answer,
    Answer: Future<Output = Result<Option<T>, Failure>>,
{
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(Some(answer));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn status(place: &NodePlace, key: &str) -> Result<StatusResponse, Failure> {
    let node = connect(place, key, CALL)?;
    Ok(node.read(|node| async move { node.cluster().status(StatusRequest {}).await }).await?)
}

fn connect(place: &NodePlace, key: &str, timeout: Duration) -> Result<Connection, Failure> {
    Connection::new(&[place.client.to_string()], &TrustArgs::default(), Some(key), timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: State, lineage: &str) -> StatusResponse {
        StatusResponse { state: state.into(), lineage: lineage.to_owned(), ..StatusResponse::default() }
    }

    #[test]
    fn what_an_earlier_start_left_is_continued_where_possible() {
        use State::{Candidate, Faulted, Follower, Leader, Learner, Waiting};
        let complete = |missing: &[usize]| Some(Plan::Complete(missing.to_vec()));
        for (states, expected) in [
            (vec![(Waiting, ""), (Waiting, ""), (Waiting, "")], Some(Plan::Found)),
            (vec![(Follower, "a"), (Leader, "a"), (Follower, "a")], complete(&[])),
            (vec![(Candidate, "a"), (Waiting, ""), (Waiting, "")], complete(&[1, 2])),
            (vec![(Leader, "a"), (Learner, "a"), (Waiting, "")], complete(&[1, 2])),
            (vec![(Waiting, ""), (Follower, "a"), (Leader, "a")], complete(&[0])),
            (vec![(Leader, "a"), (Leader, "b"), (Waiting, "")], None),
            (vec![(Learner, "a"), (Waiting, "")], None),
            (vec![(Leader, "a"), (Faulted, "a")], None),
        ] {
            let nodes: Vec<_> = states.iter().map(|(state, lineage)| said(*state, lineage)).collect();
            assert_eq!(plan(&nodes).ok(), expected, "{states:?}");
        }
    }
}
