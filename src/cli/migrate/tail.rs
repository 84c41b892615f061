//! What the source tells while it is followed: its changes, and now and then how far it is itself.
//!
//! Both are read on tasks of their own, so that a stream that says nothing, or that takes long to begin, holds up nothing.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use super::patience::Patience;
use super::source::{Head, Source};
use crate::cli::call_error::CallError;
use crate::wire::authzed::v1::WatchResponse;

/// Messages that wait to be taken over, each a whole transaction. A source that runs ahead further is held up by its stream.
const AHEAD: usize = 8;
/// Between two looks at how far the source is.
const HEAD_EVERY: Duration = Duration::from_secs(1);

/// The changes after a token. Dropping it ends the watch.
pub(super) struct Tail {
    messages: mpsc::Receiver<Result<WatchResponse, CallError>>,
    _ends: DropGuard,
}

impl Tail {
    /// Begins after `token`; `object_type` is one that the source had then.
    pub(super) fn start(source: &Source, token: &str, object_type: &str) -> Self {
        let (sender, messages) = mpsc::channel(AHEAD);
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let (source, token, object_type) = (source.clone(), token.to_owned(), object_type.to_owned());
        tokio::spawn(async move {
            let told = async {
                if let Err(error) = tell(&source, &token, &object_type, &sender).await {
                    let _ = sender.send(Err(error)).await; // Nobody listens any more.
                }
            };
            ended.run_until_cancelled(told).await;
        });
        Self { messages, _ends: guard }
    }

    /// The next message, or why there is none; then a new tail has to be started.
    pub(super) async fn next(&mut self) -> Result<WatchResponse, CallError> {
        let ended = || Err(CallError::in_stream(Status::unavailable("the watch ended")));
        self.messages.recv().await.unwrap_or_else(ended)
    }

    /// How far the source is, every now and then. The last one is an error that did not pass within `patience`.
    pub(super) fn heads(source: &Source, patience: Duration) -> mpsc::Receiver<Result<Head, CallError>> {
        let (sender, receiver) = mpsc::channel(1);
        let source = source.clone();
        tokio::spawn(async move {
            let mut patience = Patience::new(patience);
            loop {
                let head = match source.head().await {
                    Ok(Some(head)) => {
                        patience.worked();
                        Ok(head)
                    }
                    Ok(None) => Err(CallError::in_stream(Status::not_found("the source has no schema any more"))),
                    Err(error) => match patience.wait(error).await {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    },
                };
                let failed = head.is_err();
                if sender.send(head).await.is_err() || failed {
                    return;
                }
                tokio::time::sleep(HEAD_EVERY).await;
            }
        });
        receiver
    }
}

async fn tell(
    source: &Source,
    token: &str,
    object_type: &str,
    to: &mpsc::Sender<Result<WatchResponse, CallError>>,
) -> Result<(), CallError> {
    match source.probe(token, object_type).await {
        // Of other errors the watch itself tells, if they concern it.
        Err(error) if error.code() == Code::OutOfRange || error.is_transient() => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut stream = source.watch(token).await?;
    loop {
        match stream.message().await.map_err(CallError::in_stream)? {
            Some(message) => {
                if to.send(Ok(message)).await.is_err() {
                    return Ok(()); // Nobody listens any more.
                }
            }
            None => return Err(CallError::in_stream(Status::unavailable("the watch ended"))),
        }
    }
}
