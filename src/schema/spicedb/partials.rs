//! Partials: named groups of members that definitions, and other partials, take in with `...name`.
//!
//! A partial may stand behind its use. Of two with one name the later one counts from there on, as in SpiceDB. What is taken in
//! is shared, not copied; how much may be taken in altogether is bounded, since a few lines can ask for billions of members.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ast::{At, Block, Item, MemberBody, MemberNode};
use crate::model::limits;
use crate::schema::SchemaError;

type Members = Vec<Rc<MemberNode>>;

/// The partials of a text, by name.
pub(super) struct Partials<'a> {
    text: &'a str,
    ready: BTreeMap<String, Members>,
    /// By the name that they wait for, in the order in which they began to.
    waiting: BTreeMap<String, Vec<Waiting>>,
    /// Parts taken in so far.
    taken: usize,
}

struct Waiting {
    name: String,
    items: Vec<SharedItem>,
    /// Which of the items is the reference that could not be followed. Those before it were, and stay so.
    missing: usize,
}

enum SharedItem {
    Member(Rc<MemberNode>),
    Splice(At<String>),
}

impl<'a> Partials<'a> {
    /// Takes the partials of `text` in their order.
    pub(super) fn collect(text: &'a str, partials: Vec<(String, Block)>) -> Result<Self, SchemaError> {
        let mut all = Self { text, ready: BTreeMap::new(), waiting: BTreeMap::new(), taken: 0 };
        for (name, block) in partials {
            let mut open = vec![Waiting { name, items: share(block.items), missing: 0 }];
            // Each one that is ready may free others. A partial waits for one reference after the other, so this ends.
            while let Some(Waiting { name, items, missing }) = open.pop() {
                if let Some((missing, reference)) = all.first_missing(&items, missing) {
                    let key = reference.value.clone();
                    all.waiting.entry(key).or_default().push(Waiting { name, items, missing });
                    continue;
                }
                let members = all.assemble(items)?;
                let freed = all.waiting.remove(&name).unwrap_or_default();
                all.ready.insert(name, members);
                open.extend(freed.into_iter().rev());
            }
        }
        let stuck = all.waiting.values().flatten().filter_map(|waiting| {
            let (_, reference) = all.first_missing(&waiting.items, waiting.missing)?;
            Some((waiting, reference))
        });
        match stuck.min_by_key(|(_, reference)| reference.place.start) {
            None => {}
            Some((Waiting { name, .. }, reference)) => {
                let message = format!(
                    "partial `{name}` needs partial `{}`, which does not exist, or needs `{name}` itself by a circle",
                    reference.value
                );
                return Err(refused(text, reference, message));
            }
        }
        Ok(all)
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.ready.contains_key(name)
    }

    /// The members of a definition with these items.
    pub(super) fn members_of(&mut self, items: Vec<Item>) -> Result<Members, SchemaError> {
        let items = share(items);
        if let Some((_, missing)) = self.first_missing(&items, 0) {
            let message = format!("there is no partial `{}`", missing.value);
            return Err(refused(self.text, missing, message));
        }
        self.assemble(items)
    }

    /// The first reference from item `from` on that cannot be followed.
    fn first_missing<'i>(&self, items: &'i [SharedItem], from: usize) -> Option<(usize, &'i At<String>)> {
        items.iter().enumerate().skip(from).find_map(|(index, item)| match item {
            SharedItem::Member(_) => None,
            SharedItem::Splice(name) if self.has(&name.value) => None,
            SharedItem::Splice(name) => Some((index, name)),
        })
    }

    fn assemble(&mut self, items: Vec<SharedItem>) -> Result<Members, SchemaError> {
        let mut members = Vec::with_capacity(items.len());
        for item in items {
            match item {
                SharedItem::Member(member) => members.push(member),
                SharedItem::Splice(name) => {
                    let found = self.ready.get(&name.value).map(Vec::as_slice).unwrap_or_default();
                    self.taken += found.iter().map(|member| weight(member)).sum::<usize>();
                    if self.taken > limits::SPLICED_PARTS {
                        let most = limits::SPLICED_PARTS;
                        let message =
                            format!("the partials of this schema bring more than {most} parts into definitions");
                        return Err(refused(self.text, &name, message));
                    }
                    members.extend(found.iter().map(Rc::clone));
                }
            }
        }
        Ok(members)
    }
}

fn refused(text: &str, reference: &At<String>, message: String) -> SchemaError {
    SchemaError::parse(text, reference.place.start, message).with_source(text, reference.place.end, "")
}

fn share(items: Vec<Item>) -> Vec<SharedItem> {
    let shared = items.into_iter().map(|item| match item {
        Item::Member(member) => SharedItem::Member(Rc::new(member)),
        Item::Splice(name) => SharedItem::Splice(name),
    });
    shared.collect()
}

/// How much of a member there is to look at again wherever it is taken in.
fn weight(member: &MemberNode) -> usize {
    match &member.body {
        MemberBody::Relation(allowed) => 1 + allowed.len(),
        MemberBody::Permission { annotation, expr } => 1 + expr.size() + annotation.as_ref().map_or(0, Vec::len),
    }
}
