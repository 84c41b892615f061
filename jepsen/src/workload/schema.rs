//! The schema changes under load: one client puts version after version into force, others ask what it decides.

use std::time::Duration;

use rand::RngExt as _;

use super::Hand;
use crate::history::{Mode, Relationship, Request};
use crate::oracle::VERSIONS;

const BETWEEN: Duration = Duration::from_millis(1500);

pub(super) async fn run_writer(mut hand: Hand) {
    let mut version = 0;
    while !hand.is_over() {
        tokio::select! {
            () = tokio::time::sleep(BETWEEN) => {}
            () = hand.stage.curtain.cancelled() => return,
        }
        version = (version + 1) % VERSIONS;
        let request = Request::Schema { op: hand.name(), version };
        let node = hand.any_node();
        hand.ask(node, request).await;
    }
}

pub(super) async fn run_reader(mut hand: Hand) {
    let questions = ["memo:m0#see@user:r", "memo:m0#see@user:w", "memo:m0#see@user:both"].map(Relationship::of);
    while !hand.is_over() {
        let mode = match (hand.random.random_range(0..3), hand.any_token()) {
            (0, Some(token)) => Mode::Fresh(token),
            (1, _) => Mode::Full,
            (_, _) => Mode::Minimal,
        };
        let node = hand.any_node();
        hand.check(node, mode, &questions).await;
    }
}
