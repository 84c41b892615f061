//! What is known of a call only further in, and recorded at its edge. Where nobody records, noting costs nothing.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// What was noted of a call.
#[derive(Debug, Default)]
pub struct Notes {
    /// What was asked for.
    pub what: Option<Value>,
    /// What a read was answered.
    pub answer: Option<Value>,
    /// The state that a read was answered from.
    pub read_at: Option<u64>,
    /// The log index of the first effect.
    pub first_index: Option<u64>,
    /// The log index of the last effect; of most changes there is one.
    pub index: Option<u64>,
    /// Whether the effect was that of an earlier call under the same idempotency key.
    pub repetition: Option<bool>,
}

/// Notes that outlive a call that is given up.
pub type SharedNotes = Arc<Mutex<Notes>>;

tokio::task_local! {
    static NOTES: SharedNotes;
}

/// Runs `call`, whose notes go to `notes`.
pub async fn with_audit_notes<F: Future>(notes: SharedNotes, call: F) -> F::Output {
    NOTES.scope(notes, call).await
}

fn note(write: impl FnOnce(&mut Notes)) {
    // An error says that nobody records: the log is off, or this is no call of a client.
    let _ = NOTES.try_with(|notes| write(&mut notes.lock()));
}

/// Notes what was asked for. `what` is made where somebody records only.
pub fn note_what(what: impl FnOnce() -> Value) {
    note(|notes| notes.what = Some(what()));
}

/// Notes what a read was answered.
pub fn note_answer(answer: impl FnOnce() -> Value) {
    note(|notes| notes.answer = Some(answer()));
}

/// Notes the revision that a read is answered from.
pub fn note_view(index: u64) {
    note(|notes| notes.read_at = Some(index));
}

/// Notes that a change took effect at `index`, now or, as a `repetition`, when it was sent before.
pub fn note_effect(index: u64, repetition: bool) {
    note(|notes| {
        notes.first_index.get_or_insert(index);
        notes.index = Some(index);
        notes.repetition = Some(repetition);
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn each_call_has_notes_of_its_own_and_without_a_reader_none_are_made() {
        note_what(|| panic!("nobody records"));
        let (first, second) = (SharedNotes::default(), SharedNotes::default());
        let change = async |index: u64| {
            note_what(|| json!(index));
            tokio::task::yield_now().await;
            note_effect(index, false);
            note_effect(index + 1, false);
        };
        futures::join!(with_audit_notes(first.clone(), change(1)), with_audit_notes(second.clone(), change(5)));
        for (notes, index) in [(first, 1), (second, 5)] {
            let notes = notes.lock();
            assert_eq!(notes.what, Some(json!(index)));
            assert_eq!((notes.first_index, notes.index), (Some(index), Some(index + 1)));
        }
    }
}
