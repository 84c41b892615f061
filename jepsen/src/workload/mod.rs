//! What clients do: each workload a loop that puts one promise at risk, and writes down what it asked and was told.
//!
//! Must not judge anything: a client that finds something odd writes it down like everything else.

mod enemy;
mod floor;
mod hand;
mod order;
mod recorder;
mod register;
mod retry;
mod schema;
mod snapshots;
mod swap;
mod watcher;

pub use hand::{Hand, Stage};
pub use recorder::Recorder;
pub use watcher::{tell_whole_log, watch};

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::history::{Answer, Floor, Mode, Outcome, Relationship, Request, Update, Workload, Write};

const UPDATES_AT_ONCE: usize = 500;

/// Seats and their items at the beginning.
const SEATS: [(&str, &str); 4] = [("a", "w"), ("b", "x"), ("c", "y"), ("d", "z")];

/// Desks and their teams at the beginning.
const DESKS: [(&str, &str); 4] = [("a", "e"), ("b", "f"), ("c", "g"), ("d", "h")];

/// Users, of whom each team has as many.
const USERS: [&str; 8] = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"];

/// How many memos there are, all of which say the same.
const MEMOS: usize = 6;

/// Types that have a floor.
const FLOORS: [(&str, Floor); 2] = [("vault", Floor::Full), ("ledger", Floor::Stale(200))];

/// Writes what the workloads begin with. Fails if any of it is not acknowledged.
pub async fn set_up(stage: &Stage) -> Result<(), String> {
    let mut hand = Hand::new(stage, Workload::Setup, 0);
    let mut facts: Vec<String> = SEATS.iter().map(|(seat, item)| format!("seat:{seat}#holds@item:{item}")).collect();
    facts.extend(DESKS.iter().map(|(desk, team)| format!("desk:{desk}#team@team:{team}")));
    let teams = DESKS.iter().cycle();
    facts.extend(USERS.iter().zip(teams).map(|(user, (_, team))| format!("team:{team}#member@user:{user}")));
    for memo in 0..MEMOS {
        let says = ["reader@user:r", "writer@user:w", "reader@user:both", "writer@user:both"];
        facts.extend(says.map(|says| format!("memo:m{memo}#{says}")));
    }
    facts.extend((0..stage.registers).map(|register| format!("register:r{register}#value@value:zero")));
    let floors = FLOORS.iter().map(|(kind, floor)| ((*kind).to_owned(), *floor)).collect();
    let mut requests = vec![Request::Floors { floors }, Request::Schema { op: hand.name(), version: 0 }];
    for part in facts.chunks(UPDATES_AT_ONCE) {
        let updates = part.iter().map(|text| Update::Touch(Relationship::of(text))).collect();
        requests.push(Request::Write(Write { op: hand.name(), only_if: vec![], updates, idempotency_key: None }));
    }
    for request in requests {
        let (_, outcome) = hand.ask(1, request).await;
        if !matches!(outcome, Outcome::Ok(Answer::Written { .. })) {
            return Err(format!("the cluster cannot be set up: {outcome:?}"));
        }
    }
    Ok(())
}

/// Starts all workloads. They end when the stage's curtain falls.
#[must_use]
pub fn start(stage: &Stage, factor: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut number = 1;
    let mut hand = |workload: Workload| {
        number += 1;
        Hand::new(stage, workload, number)
    };
    // Two and no more: the search over a register's history takes only so many operations.
    for _ in 0..2 {
        tasks.spawn(register::run(hand(Workload::Register)));
    }
    for _ in 0..factor {
        for _ in 0..2 {
            tasks.spawn(enemy::run_a(hand(Workload::EnemyA)));
            tasks.spawn(enemy::run_b(hand(Workload::EnemyB)));
            tasks.spawn(enemy::run_b(hand(Workload::EnemyB)));
            tasks.spawn(snapshots::run_exact(hand(Workload::Exact)));
            tasks.spawn(snapshots::run_stale(hand(Workload::Stale)));
        }
        tasks.spawn(swap::run_mover(hand(Workload::Swap)));
        tasks.spawn(swap::run_reader(hand(Workload::Swap)));
        tasks.spawn(swap::run_lookup(hand(Workload::Lookup)));
        tasks.spawn(swap::run_lookup(hand(Workload::Lookup)));
        tasks.spawn(schema::run_reader(hand(Workload::Schema)));
        tasks.spawn(floor::run(hand(Workload::Floor)));
        tasks.spawn(floor::run(hand(Workload::Floor)));
        let mut two = || [hand(Workload::Order), hand(Workload::Order)];
        tasks.spawn(order::run(two(), two()));
        tasks.spawn(retry::run(hand(Workload::Retry), hand(Workload::Retry)));
    }
    // One alone, so that a schema of unknown outcome is known by its place among the others.
    tasks.spawn(schema::run_writer(hand(Workload::Schema)));
    tasks
}

/// How long one listing of the audit may take, over all attempts.
const AUDIT: Duration = Duration::from_secs(60);

/// Reads everything once more on every node, fully consistent: what is there at the end. Fails if any of it is not answered.
pub async fn audit(stage: &Stage) -> Result<(), String> {
    let mut hand = Hand::new(stage, Workload::Audit, 1_000).patient();
    for node in 1..=stage.cluster.size() {
        let kinds =
            ["seat", "team", "desk", "register", "document", "folder", "memo", "marker", "chain", "vault", "ledger"];
        for kind in kinds {
            let began = Instant::now();
            loop {
                match hand.ask(node, Request::list(Mode::Full, kind, None)).await.1 {
                    Outcome::Ok(_) => break,
                    Outcome::Fail(_) | Outcome::Info(_) if began.elapsed() < AUDIT => {}
                    Outcome::Fail(failure) | Outcome::Info(failure) => {
                        return Err(format!("node {node} does not list every {kind} at the end: {failure:?}"));
                    }
                }
            }
        }
    }
    Ok(())
}
