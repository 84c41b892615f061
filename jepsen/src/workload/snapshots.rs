//! Exact snapshots, asked again and again on all nodes; and reads with a bound on their age.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Mode, Relationship, Request, Update};

pub(super) async fn run_exact(mut hand: Hand) {
    while !hand.is_over() {
        let Some(token) = hand.any_token() else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let questions = [
            "seat:a#holds@item:w",
            "seat:b#holds@item:w",
            "memo:m0#see@user:r",
            "memo:m0#see@user:w",
            "memo:m0#see@user:both",
        ]
        .map(Relationship::of);
        for _ in 0..2 {
            let node = hand.any_node();
            hand.check(node, Mode::Exact(token), &questions).await;
        }
        if hand.random.random_bool(0.2) {
            let node = hand.any_node();
            let request = Request::list(Mode::Exact(token), "seat", None);
            hand.ask(node, request).await;
        }
    }
}

/// Lets somebody in, shuts them out, and asks from then on with bounds of many sizes, in time and in entries.
pub(super) async fn run_stale(mut hand: Hand) {
    while !hand.is_over() {
        let name = hand.name();
        let granted = Relationship::of(&format!("document:{name}#viewer@user:{name}"));
        let question = Relationship::of(&format!("document:{name}#view@user:{name}"));
        let node = hand.any_node();
        if hand.write(node, vec![Update::Touch(granted.clone())]).await.is_none()
            || hand.write(node, vec![Update::Delete(granted)]).await.is_none()
        {
            continue;
        }
        let in_time = [0, 20, 100, 300, 1000].map(Mode::Stale);
        for mode in in_time.into_iter().chain([0, 3, 30].map(Mode::Lag)) {
            let node = hand.other_node(node);
            hand.check(node, mode, std::slice::from_ref(&question)).await;
        }
    }
}
