//! Registers: each holds one value, which clients read and compare-and-set. A register is left for a new one before its history
//! is too long for a search.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Answer, Mode, Outcome, Relationship, Request, Update, Write};

/// Operations of one client on one register. Two clients share it: well below what the search takes.
const OPERATIONS: u64 = 40;

pub(super) async fn run(mut hand: Hand) {
    // The clients of this workload meet at the same registers, more or less at the same time.
    for round in 0..hand.stage.registers * OPERATIONS {
        if hand.is_over() {
            return;
        }
        let register = format!("r{}", round / OPERATIONS);
        let read = Request::list(Mode::Full, "register", Some(&register));
        let node = hand.any_node();
        let (_, outcome) = hand.ask(node, read).await;
        let Outcome::Ok(Answer::Listed { relationships, .. }) = outcome else { continue };
        let value = |name: &str| Relationship::of(&format!("register:{register}#value@value:{name}"));
        let new = value(&hand.name());
        // A register without a value says so to the checkers.
        let Some(old) = relationships.into_iter().next() else { continue };
        // Now and then a comparison that should fail.
        let expected = if hand.random.random_bool(0.1) { value("nothing") } else { old };
        let updates = vec![Update::Delete(expected.clone()), Update::Touch(new)];
        let write = Write { op: hand.name(), only_if: vec![expected], updates, idempotency_key: None };
        let node = hand.any_node();
        hand.ask(node, Request::Write(write)).await;
    }
}
