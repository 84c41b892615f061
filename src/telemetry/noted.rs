//! What is known of a request only further in, and counted at its edge.

use std::cell::Cell;
use std::future::Future;

tokio::task_local! {
    static CONSISTENCY: Cell<&'static str>;
}

/// Runs `call`; with its answer comes the consistency that was noted meanwhile, `none` if none was.
pub async fn with_notes<F: Future>(call: F) -> (F::Output, &'static str) {
    let noted = async {
        let answer = call.await;
        (answer, CONSISTENCY.with(Cell::get))
    };
    CONSISTENCY.scope(Cell::new("none"), noted).await
}

/// Notes the consistency in effect for the request that this task serves. Nothing happens outside of one.
pub fn note_consistency(name: &'static str) {
    // An error says that nobody counts: in a simulation, or a task of the node's own.
    let _ = CONSISTENCY.try_with(|noted| noted.set(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_call_has_notes_of_its_own() {
        note_consistency("lost");
        assert_eq!(with_notes(async { 1 }).await, (1, "none"));
        let noting = async |name| with_notes(async { note_consistency(name) }).await.1;
        assert_eq!(futures::join!(noting("full"), noting("exact")), ("full", "exact"));
    }
}
