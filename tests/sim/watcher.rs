//! Watchers: each goes on elsewhere, from the last token that it was told, when its node dies or falls silent.

use std::time::Duration;

use futures::FutureExt;
use quorate::consistency::Zookie;
use quorate::service::{StalenessBound, Watch, WatchEvent, WatchKinds, WatchStart};
use tokio::time::timeout;

use crate::client::{Answer, Clients, call};
use crate::history::Watched;
use crate::model::{SCHEMA, change, name};
use crate::net::Request;
use crate::workload::filter_of_relation;

/// A watcher that hears nothing for so long goes elsewhere.
const QUIET: Duration = Duration::from_millis(2500);

impl Clients {
    /// One watcher, for all of the run: from a token on, or from a snapshot; of all tuples, or of those of one relation.
    pub async fn watch(self, start: Option<Zookie>, only: Option<&'static str>) {
        let place = {
            let mut board = self.board.lock();
            let snapshot = if start.is_none() { Some(Vec::new()) } else { None };
            let index = start.map_or(0, |zookie| zookie.revision.index());
            board.watched.push(Watched { only, snapshot, start: index, through: index, ..Watched::default() });
            board.watched.len() - 1
        };
        let mut last = start;
        loop {
            let node = self.any_node();
            let begun = self.net.moment();
            let (stream, mut events) = self.net.open_stream(node);
            let request = self.watch_request(node, stream, last, only);
            if let Some(Ok(Answer::Watching)) = self.ask(node, request).await {
                self.board.lock().watched[place].streams += 1;
                while let Ok(Some(Ok(event))) = timeout(QUIET, events.recv()).await {
                    if last.is_none() {
                        self.board.lock().watched[place].snapshot_seen = Some(self.seen(node, begun));
                    }
                    self.told(place, event, &mut last);
                }
            }
            drop(events);
            if last.is_none() {
                // The snapshot was not whole: it begins anew.
                self.board.lock().watched[place].snapshot = Some(Vec::new());
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn watch_request(&self, node: usize, stream: u64, last: Option<Zookie>, only: Option<&'static str>) -> Request {
        let start = last.map_or(WatchStart::Snapshot, |zookie| WatchStart::After(zookie.encode()));
        let kinds = WatchKinds { tuples: true, schema: true, checkpoints: true };
        let filters = only.map(filter_of_relation).into_iter().collect();
        let watch = Watch { start, object_types: Vec::new(), filters, kinds };
        let net = self.net.clone();
        Box::new(move |services| {
            async move {
                let mut told = services.watch(call(StalenessBound::None), watch).await?;
                tokio::spawn(async move {
                    while let Some(event) = told.recv().await {
                        if !net.stream(node, stream, Some(event)) {
                            return;
                        }
                    }
                    net.stream(node, stream, None);
                });
                Ok(Answer::Watching)
            }
            .boxed()
        })
    }

    fn told(&self, place: usize, event: WatchEvent, last: &mut Option<Zookie>) {
        let mut board = self.board.lock();
        let watched = &mut board.watched[place];
        let (zookie, changes) = match event {
            WatchEvent::Snapshot { updates } => {
                if let Some(tuples) = &mut watched.snapshot {
                    tuples.extend(updates.iter().map(|update| name(&update.tuple)));
                }
                return;
            }
            WatchEvent::Tuples { updates, zookie, .. } => (zookie, updates.iter().map(change).collect()),
            WatchEvent::Schema { zookie } => (zookie, vec![(true, SCHEMA.to_owned())]),
            WatchEvent::Checkpoint { zookie } => (zookie, Vec::new()),
        };
        let index = zookie.revision.index();
        if changes.is_empty() && last.is_none() {
            watched.start = index;
        }
        if !changes.is_empty() {
            watched.told.push((index, changes));
        }
        watched.through = watched.through.max(index);
        *last = Some(zookie);
    }
}
