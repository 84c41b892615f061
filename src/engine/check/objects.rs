//! Object ids as small numbers, so that a node is a few words and a row costs no allocation once its id was seen.

use foldhash::HashMap;

use crate::engine::plan::MemberId;
use crate::model::ObjectId;

/// An object id within one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ObjectIx(u32);

/// Which of two boolean questions is asked.
///
/// A tuple whose caveat cannot be judged is neither true nor false, and so is what rests on it. Kleene's three-valued logic
/// says how that carries on, and two boolean evaluations say the same: one counts such tuples as absent, the other as
/// present. What is true in the first is true, what is false in the second is false, and what lies between hangs on
/// conditions. An exclusion turns its right side around: `a - b` is certain where `a` is certain and `b` not possible, and
/// possible where `a` is possible and `b` not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// Whether the subject has it whatever the open conditions come to.
    Certain,
    /// Whether the subject has it if the open conditions come out well.
    Possible,
}

/// One `resource#relation`, asked in one mode: what the evaluation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// The relation or permission, and with it the type.
    pub(super) member: MemberId,
    /// The object's id.
    pub(super) object: ObjectIx,
    /// The question.
    pub(super) mode: Mode,
}

impl Node {
    /// The same asked in `mode`.
    pub(super) fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same asked the other way.
    pub(super) fn turned(self) -> Self {
        let mode = match self.mode {
            Mode::Certain => Mode::Possible,
            Mode::Possible => Mode::Certain,
        };
        self.in_mode(mode)
    }

    /// Another member of the same object, in the same mode.
    pub(super) fn beside(self, member: MemberId) -> Self {
        Self { member, ..self }
    }
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
