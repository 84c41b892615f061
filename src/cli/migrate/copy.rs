//! The first part of a migration: all relationships of one state of the source, several pages on their way at a time.
//!
//! Nobody else writes what is copied, and no relationship comes twice, so the order does not matter, and to write a page again
//! changes nothing. What is noted is the place behind the last page before which every page is in.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::destination::Destination;
use super::interrupt::Interrupt;
use super::patience::Patience;
use super::source::{Page, Pages, Source, problem};
use super::state::{Saved, StateFile};
use super::updates::touches;
use crate::cli::call_error::CallError;
use crate::cli::failure::Failure;
use crate::cli::output::progress;
use crate::cli::write_key::WriteKey;

/// Pages on their way at the same time.
const IN_FLIGHT: usize = 8;
/// Pages that wait to be sent.
const AHEAD: usize = 2;

/// What a copy did.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) relationships: u64,
    pub(super) retries: u64,
    pub(super) took: Duration,
}

/// Copies what `saved` does not have yet, and notes in it, and in `file`, how far that came.
pub(super) async fn copy(
    source: &Source,
    destination: &Destination,
    types: &[String],
    patience: Duration,
    (saved, file): (&mut Saved, &mut StateFile),
    interrupt: &mut Interrupt,
) -> Result<Copied, Failure> {
    let started = Instant::now();
    let mut copied = Copied::default();
    let mut pages = ahead(source.export(&saved.start, types, saved.place.clone()), patience);
    let mut on_their_way = FuturesOrdered::new();
    let mut ended = false;
    let bar = progress(None);
    while !(ended && on_their_way.is_empty()) {
        tokio::select! {
            biased;
            () = interrupt.asked() => {
                bar.finish_and_clear();
                file.save(saved)?;
                return Err(Failure::new(format!("stopped after {} relationships", saved.copied))
                    .hint("the same command goes on where it stopped"));
            }
            Some(written) = on_their_way.next() => {
                let written: Result<(Page, u64), Failure> = written;
                let (Page { relationships, place }, retries) = match written {
                    Ok(written) => written,
                    Err(failure) => {
                        bar.finish_and_clear();
                        file.save(saved)?;
                        return Err(failure.hint("the same command goes on where it stopped"));
                    }
                };
                let count = relationships.len() as u64;
                (saved.place, saved.copied) = (Some(place), saved.copied + count);
                (copied.relationships, copied.retries) = (copied.relationships + count, copied.retries + retries);
                file.note(saved)?;
                let rate = copied.relationships as f64 / started.elapsed().as_secs_f64().max(0.001);
                bar.set_message(format!("{} relationships copied, {rate:.0}/s", saved.copied));
            }
            page = pages.recv(), if !ended && on_their_way.len() < IN_FLIGHT => match page {
                None => ended = true,
                Some(Ok(page)) => on_their_way.push_back(write(destination, saved.start.clone(), page)),
                Some(Err(error)) => {
                    bar.finish_and_clear();
                    file.save(saved)?;
                    return Err(problem(&saved.source, error));
                }
            },
        }
    }
    bar.finish_and_clear();
    saved.through = Some(saved.start.clone());
    saved.place = None;
    file.save(saved)?;
    copied.took = started.elapsed();
    Ok(copied)
}

/// Writes a page; what it had to be sent again for.
async fn write(destination: &Destination, start: String, page: Page) -> Result<(Page, u64), Failure> {
    let mut retries = 0;
    for request in touches(page.relationships.clone()) {
        let key = WriteKey::of(&[b"copy", start.as_bytes(), &prost::Message::encode_to_vec(&request)]);
        destination.write(&key, &request, &mut retries).await?;
    }
    Ok((page, retries))
}

/// Reads on a task of its own, and goes on where it was when the source was away for a while.
pub(super) fn ahead(mut pages: Pages, patience: Duration) -> mpsc::Receiver<Result<Page, CallError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut patience = Patience::new(patience);
        loop {
            let page = match pages.next().await {
                Ok(None) => return,
                Ok(Some(page)) => {
                    patience.worked();
                    Ok(page)
                }
                Err(error) => match patience.wait(error).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            let failed = page.is_err();
            if sender.send(page).await.is_err() || failed {
                return;
            }
        }
    });
    receiver
}
