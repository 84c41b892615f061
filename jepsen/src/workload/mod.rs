//! What clients do: each workload a loop that puts one promise at risk, and writes down what it asked and was told.
//!
//! Must not judge anything: a client that finds something odd writes it down like everything else.

mod enemy;
mod hand;
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

use tokio::task::JoinSet;

use crate::history::{Answer, Mode, Outcome, Relationship, Request, Update, Workload, Write};

const UPDATES_AT_ONCE: usize = 500;

/// Seats and their items at the beginning.
const SEATS: [(&str, &str); 4] = [("a", "w"), ("b", "x"), ("c", "y"), ("d", "z")];

/// Writes what the workloads begin with. Fails if any of it is not acknowledged.
pub async fn set_up(stage: &Stage) -> Result<(), String> {
    let mut hand = Hand::new(stage, Workload::Setup, 0);
    let mut facts: Vec<String> = SEATS.iter().map(|(seat, item)| format!("seat:{seat}#holds@item:{item}")).collect();
    facts.extend(["memo:m#reader@user:r", "memo:m#writer@user:w"].map(str::to_owned));
    facts.extend(["memo:m#reader@user:both", "memo:m#writer@user:both"].map(str::to_owned));
    facts.extend((0..stage.registers).map(|register| format!("register:r{register}#value@value:zero")));
    let mut requests = vec![Request::Schema { op: hand.name(), version: 0 }];
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
        tasks.spawn(schema::run_reader(hand(Workload::Schema)));
    }
    // One alone, so that a schema of unknown outcome is known by its place among the others.
    tasks.spawn(schema::run_writer(hand(Workload::Schema)));
    if stage.idempotency {
        for _ in 0..2 * factor {
            tasks.spawn(retry::run(hand(Workload::Retry)));
        }
    }
    tasks
}

/// Reads everything once more on every node, fully consistent: what is there at the end.
pub async fn audit(stage: &Stage) {
    let mut hand = Hand::new(stage, Workload::Audit, 1_000);
    for node in 1..=stage.cluster.size() {
        for kind in ["seat", "register", "document", "folder", "memo", "marker"] {
            hand.ask(node, Request::List { mode: Mode::Full, kind: kind.to_owned(), id: None }).await;
        }
    }
}
