//! Exchanges: every move takes two things and exchanges their places in one write. Whoever looks sees each thing once. Users
//! sit at desks by the team that they are in, so that lookups go through two relations that are exchanged independently.

use rand::RngExt as _;

use super::{DESKS, Hand, SEATS, USERS};
use crate::history::{Answer, Mode, Outcome, Relationship, Request, Update, Write};

const KINDS: [&str; 3] = ["seat", "team", "desk"];

pub(super) async fn run_mover(mut hand: Hand) {
    while !hand.is_over() {
        let kind = KINDS[hand.random.random_range(0..KINDS.len())];
        let node = hand.any_node();
        let (_, outcome) = hand.ask(node, Request::list(Mode::Full, kind, None)).await;
        let Outcome::Ok(Answer::Listed { relationships: held, .. }) = outcome else { continue };
        // With fewer than two there is nothing to exchange, and what was listed says so to the checkers.
        if held.len() < 2 {
            continue;
        }
        let first = hand.random.random_range(0..held.len());
        let second = (first + hand.random.random_range(1..held.len())) % held.len();
        if held[first].id == held[second].id {
            continue;
        }
        let before = vec![held[first].clone(), held[second].clone()];
        let (mut one, mut other) = (held[first].clone(), held[second].clone());
        std::mem::swap(&mut one.subject, &mut other.subject);
        let updates = before.iter().cloned().map(Update::Delete).chain([one, other].map(Update::Touch)).collect();
        let write = Write { op: hand.name(), only_if: before, updates, idempotency_key: None };
        let node = hand.any_node();
        hand.ask(node, Request::Write(write)).await;
    }
}

/// Lists, in one page and in several, and asks about every thing in every place at once.
pub(super) async fn run_reader(mut hand: Hand) {
    while !hand.is_over() {
        let (mode, node) = (hand.any_mode(), hand.any_node());
        if hand.random.random_bool(0.6) {
            let kind = KINDS[hand.random.random_range(0..KINDS.len())].to_owned();
            let page = hand.random.random_bool(0.5).then(|| hand.random.random_range(1..=3));
            hand.ask(node, Request::List { mode, kind, id: None, page }).await;
            continue;
        }
        let pairs = SEATS.iter().flat_map(|(seat, _)| SEATS.iter().map(move |(_, item)| (seat, item)));
        let question = |(seat, item)| Relationship::of(&format!("seat:{seat}#holds@item:{item}"));
        let questions = pairs.map(question).collect::<Vec<_>>();
        hand.check(node, mode, &questions).await;
    }
}

/// Users who are named in memos: as a reader, as a writer, and as both.
const READERS: [&str; 3] = ["r", "w", "both"];

/// Looks objects and users up, expands, and checks in bulk.
pub(super) async fn run_lookup(mut hand: Hand) {
    while !hand.is_over() {
        let (mode, node) = (hand.any_mode(), hand.any_node());
        let random = &mut hand.random;
        let desk = DESKS[random.random_range(0..DESKS.len())].0.to_owned();
        let user = USERS[random.random_range(0..USERS.len())].to_owned();
        let memo = format!("m{}", random.random_range(0..super::MEMOS));
        let reader = READERS[random.random_range(0..READERS.len())].to_owned();
        let page = random.random_bool(0.7).then(|| random.random_range(1..=3));
        let (of_desk, of_memo) = ("desk".to_owned(), "memo".to_owned());
        let (used, seen) = ("use".to_owned(), "see".to_owned());
        let request = match random.random_range(0..7) {
            0 => Request::Resources { mode, kind: of_desk, permission: used, user, page: None },
            1 => Request::Resources { mode, kind: of_memo, permission: seen, user: reader, page },
            2 => Request::Subjects { mode, kind: of_desk, id: desk, permission: used },
            3 => Request::Subjects { mode, kind: of_memo, id: memo, permission: seen },
            4 => Request::Expand { mode, kind: of_desk, id: desk, permission: used },
            5 => Request::Expand { mode, kind: of_memo, id: memo, permission: seen },
            _ => {
                let question = |(desk, _): &(&str, &str)| Relationship::of(&format!("desk:{desk}#use@user:{user}"));
                Request::Check { mode, questions: DESKS.iter().map(question).collect() }
            }
        };
        hand.ask(node, request).await;
    }
}
