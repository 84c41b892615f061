//! Watchers: read the changes as they come, go on elsewhere when a stream breaks, and write down what they were told.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Stage;
use crate::cluster::{WatchTold, Watching, failure_of};
use crate::history::{Failure, LogEntry, WatchSession};

/// A stream without a message for so long is left: checkpoints come every second while anything is written.
const SILENCE: Duration = Duration::from_secs(4);
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long all of the log may take to be told.
const WHOLE_LOG: Duration = Duration::from_secs(90);

/// Watches until the curtain falls, and keeps what it was told.
pub async fn watch(stage: Stage, number: u64, after: u64) {
    let session = WatchSession::begin(format!("watcher {number}"), after, false);
    let mut watcher = Watcher { session, random: StdRng::seed_from_u64(stage.seed ^ number) };
    let curtain = stage.curtain.clone();
    while !curtain.is_cancelled() {
        let node = watcher.random.random_range(1..=stage.cluster.size());
        // Now and then a watcher leaves by itself, which must cost it nothing.
        let patience = Duration::from_millis(watcher.random.random_range(2_000..20_000));
        tokio::select! {
            () = watcher.follow(&stage, node) => {}
            () = tokio::time::sleep(patience) => {}
            () = curtain.cancelled() => break,
        }
        watcher.session.resumed += 1;
    }
    stage.watches.lock().expect("nothing panics while it holds the watches").push(watcher.session);
}

struct Watcher {
    session: WatchSession,
    random: StdRng,
}

impl Watcher {
    async fn follow(&mut self, stage: &Stage, node: usize) {
        let begun = tokio::time::timeout(SILENCE, stage.cluster.client(node).watch(self.session.through)).await;
        let mut stream = match begun {
            Ok(Ok(stream)) => stream,
            Ok(Err(status)) => {
                self.session.fail(failure_of(&status));
                return tokio::time::sleep(BACK_OFF).await;
            }
            Err(_) => return tokio::time::sleep(BACK_OFF).await,
        };
        while let Ok(next) = tokio::time::timeout(SILENCE, stream.next()).await {
            match next {
                Ok(Some(told)) => note(stage, &mut self.session, told),
                Ok(None) => return,
                Err(status) => return self.session.fail(failure_of(&status)),
            }
        }
    }
}

fn note(stage: &Stage, session: &mut WatchSession, told: WatchTold) {
    match told {
        WatchTold::Through(index) => session.through = index,
        WatchTold::Entry(entry) => {
            session.through = entry.index;
            session.entries.push(stage.entries.lock().expect("nothing panics while it holds the entries").share(entry));
        }
        WatchTold::Nonsense(message) => session.fail(Failure { reason: Failure::NONSENSE.to_owned(), message }),
    }
}

/// All changes up to `through`, as one node tells them.
pub async fn tell_whole_log(stage: &Stage, node: usize, through: u64) -> Result<Vec<LogEntry>, String> {
    let watcher = format!("the log as node {node} tells it, up to {through}");
    let mut session = WatchSession::begin(watcher, 0, true);
    let told = async {
        let mut stream: Watching = stage.cluster.client(node).watch(0).await.map_err(|e| e.to_string())?;
        while session.through < through {
            match stream.next().await.map_err(|error| error.to_string())? {
                Some(told) => note(stage, &mut session, told),
                None => return Err("the watch ended".to_owned()),
            }
        }
        Ok(())
    };
    match tokio::time::timeout(WHOLE_LOG, told).await {
        Ok(result) => result.map_err(|why| format!("the log as node {node} tells it: {why}"))?,
        Err(_) => {
            let at = session.through;
            return Err(format!("the log as node {node} tells it: {at} of {through} after {WHOLE_LOG:?}"));
        }
    }
    let entries = session.entries.iter().map(|entry| LogEntry::clone(entry)).collect();
    stage.watches.lock().expect("nothing panics while it holds the watches").push(session);
    Ok(entries)
}
