//! The new-enemy problem, in its two classic shapes. Every chain has users and objects of its own, so that whoever is shut out
//! is never let in again.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Mode, Relationship, Update};

/// Readers of one chain.
const READERS: usize = 3;

/// A: somebody is taken out of a folder, then a document is put into it. There is no state in which they may see it.
pub(super) async fn run_a(mut hand: Hand) {
    while !hand.is_over() {
        let name = hand.name();
        let (folder, document, user) = (format!("folder:{name}"), format!("document:{name}"), format!("user:{name}"));
        let member = Relationship::of(&format!("{folder}#viewer@{user}"));
        let parent = Relationship::of(&format!("{document}#parent@{folder}"));
        let question = Relationship::of(&format!("{document}#view@{user}"));
        let node = hand.any_node();
        if hand.write(node, vec![Update::Touch(member.clone())]).await.is_none() {
            continue;
        }
        let node = hand.any_node();
        if hand.write(node, vec![Update::Delete(member)]).await.is_none() {
            continue;
        }
        let other = hand.other_node(node);
        let stored = hand.write(other, vec![Update::Touch(parent)]).await;
        for _ in 0..READERS {
            let node = hand.any_node();
            let mode = match (hand.random.random_range(0..4), stored) {
                (0 | 1, Some(token)) => Mode::Fresh(token),
                (2, _) => Mode::Full,
                (_, _) => Mode::Minimal,
            };
            hand.check(node, mode, std::slice::from_ref(&question)).await;
        }
    }
}

/// B: somebody is shut out of a document; then, elsewhere, a content check says in which state new content is written; the
/// content is stored with its zookie; whoever reads it, on yet another node, checks with that zookie.
pub(super) async fn run_b(mut hand: Hand) {
    while !hand.is_over() {
        let name = hand.name();
        let (document, user) = (format!("document:{name}"), format!("user:{name}"));
        let granted = Relationship::of(&format!("{document}#viewer@{user}"));
        let question = Relationship::of(&format!("{document}#view@{user}"));
        let node = hand.any_node();
        if hand.write(node, vec![Update::Touch(granted.clone())]).await.is_none() {
            continue;
        }
        // Whatever nodes keep of earlier answers is now wrong soon.
        let reader = hand.any_node();
        hand.check(reader, Mode::Minimal, std::slice::from_ref(&question)).await;
        if hand.write(node, vec![Update::Delete(granted)]).await.is_none() {
            continue;
        }
        let checker = hand.other_node(node);
        let Some(content) = hand.content_check(checker, &question).await else { continue };
        let mut reader = checker;
        for _ in 0..READERS {
            reader = hand.other_node(reader);
            hand.check(reader, Mode::Fresh(content), std::slice::from_ref(&question)).await;
        }
    }
}
