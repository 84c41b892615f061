//! Seats and items: every move takes two items and exchanges their seats in one write. Whoever looks sees each item once.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Answer, Mode, Outcome, Relationship, Request, Update, Write};

fn all_seats(mode: Mode) -> Request {
    Request::List { mode, kind: "seat".to_owned(), id: None }
}

pub(super) async fn run_mover(mut hand: Hand) {
    while !hand.is_over() {
        let node = hand.any_node();
        let (_, outcome) = hand.ask(node, all_seats(Mode::Full)).await;
        let Outcome::Ok(Answer::Listed { relationships: held, .. }) = outcome else { continue };
        // With fewer than two there is nothing to exchange, and what was listed says so to the checkers.
        if held.len() < 2 {
            continue;
        }
        let first = hand.random.random_range(0..held.len());
        let second = (first + hand.random.random_range(1..held.len())) % held.len();
        let before = vec![held[first].clone(), held[second].clone()];
        let (mut one, mut other) = (held[first].clone(), held[second].clone());
        std::mem::swap(&mut one.subject, &mut other.subject);
        let updates = before.iter().cloned().map(Update::Delete).chain([one, other].map(Update::Touch)).collect();
        let write = Write { op: hand.name(), only_if: before, updates, idempotency_key: None };
        let node = hand.any_node();
        hand.ask(node, Request::Write(write)).await;
    }
}

pub(super) async fn run_reader(mut hand: Hand) {
    while !hand.is_over() {
        let mode = match (hand.random.random_range(0..4), hand.any_token()) {
            (0, Some(token)) => Mode::Fresh(token),
            (1, Some(token)) => Mode::Exact(token),
            (2, _) => Mode::Full,
            (_, _) => Mode::Minimal,
        };
        let node = hand.any_node();
        if hand.random.random_bool(0.5) {
            hand.ask(node, all_seats(mode)).await;
            continue;
        }
        let pairs = super::SEATS.iter().flat_map(|(seat, _)| super::SEATS.iter().map(move |(_, item)| (seat, item)));
        let question = |(seat, item)| Relationship::of(&format!("seat:{seat}#holds@item:{item}"));
        let questions = pairs.map(question).collect::<Vec<_>>();
        hand.check(node, mode, &questions).await;
    }
}
