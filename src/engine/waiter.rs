//! Who waits for an answer, and whether anyone still does: work that nobody waits for is given up.
//!
//! The one place of the engine that looks at a clock. It has no say in what an answer is, only in whether there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Someone who waits for an answer. A clone is the same one. The default waits for ever.
#[derive(Debug, Clone, Default)]
pub struct Waiter(Option<Wait>);

#[derive(Debug, Clone)]
struct Wait {
    until: Instant,
    gone: Arc<AtomicBool>,
}

impl Waiter {
    /// Waits until `deadline`, or until it has gone.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self(Some(Wait { until: deadline, gone: Arc::default() }))
    }

    /// Says that it waits no more.
    pub fn leave(&self) {
        if let Some(wait) = &self.0 {
            wait.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it still waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.as_ref().is_none_or(|wait| !wait.gone.load(Ordering::Relaxed) && Instant::now() < wait.until)
    }
}
