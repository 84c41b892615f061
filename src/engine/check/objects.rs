//! Object ids as small numbers, so that a node is two words and a row costs no allocation once its id was seen.

use std::collections::HashMap;

use crate::engine::plan::MemberId;
use crate::model::ObjectId;

/// An object id within one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ObjectIx(u32);

/// One `resource#relation`: what the evaluation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// The relation or permission, and with it the type.
    pub(super) member: MemberId,
    /// The object's id.
    pub(super) object: ObjectIx,
}

/// The numbering of ids. Types share it: a node's member says the type.
#[derive(Debug, Default)]
pub(super) struct Objects {
    numbers: HashMap<ObjectId, ObjectIx>,
    ids: Vec<ObjectId>,
}

impl Objects {
    /// The number of `id`.
    pub(super) fn intern(&mut self, id: &ObjectId) -> ObjectIx {
        match self.numbers.get(id) {
            Some(number) => *number,
            None => self.add(id.clone()),
        }
    }

    /// The number of the id that `text` spells; an error says why it is no id.
    pub(super) fn intern_text(&mut self, text: &str) -> Result<ObjectIx, crate::model::NameError> {
        match self.numbers.get(text) {
            Some(number) => Ok(*number),
            None => Ok(self.add(ObjectId::new(text)?)),
        }
    }

    /// The id of a number.
    pub(super) fn id(&self, number: ObjectIx) -> &ObjectId {
        &self.ids[number.0 as usize]
    }

    fn add(&mut self, id: ObjectId) -> ObjectIx {
        let number =
            ObjectIx(u32::try_from(self.ids.len()).expect("a budget of reads bounds the ids of an evaluation"));
        self.ids.push(id.clone());
        self.numbers.insert(id, number);
        number
    }
}
