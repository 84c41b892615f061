//! The thread that writes: takes what waits, hands it to the system in one go, and says so to those who wait for it.
//!
//! What cannot be written is kept and tried again until it can: the queue behind it fills meanwhile, and its bound decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::file::Sink;
use crate::telemetry::METRICS;

/// Lines that are written in one go.
const AT_ONCE: usize = 256;
/// Between two attempts to write what could not be written.
const RETRY: Duration = Duration::from_millis(250);

/// What waits for the writer.
pub(super) enum Entry {
    /// A line, and who waits for it.
    Line(Vec<u8>, Option<oneshot::Sender<bool>>),
    /// Nothing: to be looked at.
    Wake,
    /// All that came before is to be written.
    Flush(oneshot::Sender<bool>),
}

/// How the writer does.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Whether lines cannot be written now.
    pub(super) failing: AtomicBool,
    /// Whether the file is to be opened anew.
    pub(super) reopen: AtomicBool,
}

impl Health {
    /// Tells when that changes, and only then.
    pub(super) fn set_failing(&self, failing: bool, why: &dyn std::fmt::Display) {
        if self.failing.swap(failing, Ordering::AcqRel) == failing {
            return;
        }
        METRICS.audit_failing.set(i64::from(failing));
        if failing {
            tracing::error!(%why, "the audit log cannot be written; lines wait, and those that find no place are lost");
        } else {
            tracing::info!("the audit log is written again");
        }
    }
}

/// Writes until nobody can send any more.
pub(super) fn run(mut sink: Sink, mut queue: mpsc::Receiver<Entry>, health: &Arc<Health>) {
    let mut entries = Vec::with_capacity(AT_ONCE);
    while let Some(first) = queue.blocking_recv() {
        entries.push(first);
        while entries.len() < AT_ONCE
            && let Ok(next) = queue.try_recv()
        {
            entries.push(next);
        }
        let (mut lines, mut waiting) = (Vec::new(), Vec::new());
        for entry in entries.drain(..) {
            match entry {
                Entry::Line(line, waiter) => {
                    lines.extend(line);
                    waiting.extend(waiter);
                }
                Entry::Wake => {}
                Entry::Flush(waiter) => waiting.push(waiter),
            }
        }
        write(&mut sink, &lines, waiting, health);
    }
}

fn write(sink: &mut Sink, lines: &[u8], mut waiting: Vec<oneshot::Sender<bool>>, health: &Health) {
    loop {
        let reopened = if health.reopen.swap(false, Ordering::AcqRel) { sink.reopen() } else { Ok(()) };
        let written = reopened.and_then(|()| if lines.is_empty() { Ok(()) } else { sink.append(lines) });
        let is_written = written.is_ok();
        match written {
            Ok(()) => health.set_failing(false, &""),
            Err(error) => health.set_failing(true, &error),
        }
        // Whoever gave up waiting has dropped the other end.
        for waiter in waiting.drain(..) {
            let _ = waiter.send(is_written);
        }
        if is_written {
            return;
        }
        std::thread::sleep(RETRY);
        // The folder may be there again, and the file with it not.
        health.reopen.store(true, Ordering::Release);
    }
}
