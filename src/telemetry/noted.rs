//! What is known of a request only further in, and counted, traced or recorded at its edge.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

/// What was noted of a request.
#[derive(Debug, Clone)]
pub struct Noted {
    /// The consistency in effect; `none` for what reads no state.
    pub consistency: &'static str,
    /// The log index that it was answered from, or that it took effect at.
    pub index: Option<u64>,
    /// The name of the key that it came with.
    pub key: Option<Arc<str>>,
}

impl Default for Noted {
    fn default() -> Self {
        Self { consistency: "none", index: None, key: None }
    }
}

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// Runs `call`; with its answer comes the consistency that was noted meanwhile, `none` if none was.
pub async fn with_notes<F: Future>(call: F) -> (F::Output, &'static str) {
    let noted = async {
        let answer = call.await;
        (answer, NOTED.with(|noted| noted.borrow().consistency))
    };
    NOTED.scope(RefCell::default(), noted).await
}

fn note(write: impl FnOnce(&mut Noted)) {
    // An error says that nobody counts: in a simulation, or a task of the node's own.
    let _ = NOTED.try_with(|noted| write(&mut noted.borrow_mut()));
}

/// Notes the consistency in effect for the request that this task serves. Nothing happens outside of one.
pub fn note_consistency(name: &'static str) {
    note(|noted| noted.consistency = name);
}

/// Notes the log index that the request is answered from, or took effect at.
pub fn note_index(index: u64) {
    note(|noted| noted.index = Some(index));
}

/// Notes the name of the key that the request came with.
pub fn note_key(name: &Arc<str>) {
    note(|noted| noted.key = Some(Arc::clone(name)));
}

/// What was noted until now of the request that this task serves.
#[must_use]
pub fn noted() -> Noted {
    NOTED.try_with(|noted| noted.borrow().clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_call_has_notes_of_its_own() {
        note_consistency("lost");
        assert_eq!(with_notes(async { 1 }).await, (1, "none"));
        let noting = async |name, index| {
            with_notes(async {
                note_consistency(name);
                note_index(index);
                tokio::task::yield_now().await;
                noted().index
            })
            .await
        };
        assert_eq!(futures::join!(noting("full", 1), noting("exact", 2)), ((Some(1), "full"), (Some(2), "exact")));
        assert_eq!(noted().index, None);
    }
}
