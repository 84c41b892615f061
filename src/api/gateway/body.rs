//! The bodies of requests: one message, or messages one after the other.
//!
//! Bounded: no message is longer than the gRPC side would take, none may take for ever to arrive, and all of them together
//! take no more than their share of the memory. What takes long to read is read away from the threads of the network.

use std::mem;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::json;
use crate::api::memory::{Memory, Share};
use crate::model::limits;

/// How long the next piece of a body may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a message may take from its first piece to its last.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(60);
/// A shorter text is read faster than it is handed to another thread.
const SHORT_BYTES: usize = 16 << 10;

/// A message of a request, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) message: DynamicMessage,
    _share: Share,
}

/// The one message of a request.
pub(super) async fn one(message: MessageDescriptor, body: Body, memory: &Memory) -> Result<Question, Status> {
    let mut reading = Reading::new(message, body, memory.clone());
    while reading.receive().await? {}
    let Reading { message, received, mut share, .. } = reading;
    off_the_network(received.len(), move || {
        let message = json::parse(message, &received, &mut share)?;
        Ok(Question { message, _share: share })
    })
    .await
}

/// The messages of a request, as they arrive. They may be on lines of their own, or not.
pub(super) fn many(
    message: MessageDescriptor,
    body: Body,
    memory: &Memory,
) -> impl Stream<Item = Result<Question, Status>> + Send + use<> {
    stream::unfold(Some(Reading::new(message, body, memory.clone())), async |reading| {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(message)) => Some((Ok(message), Some(reading))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    })
}

/// Does work on a text of so many bytes where it holds up nobody.
async fn off_the_network<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    if bytes <= SHORT_BYTES {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Status::internal("reading the body of a request broke off")))
}

/// A body of which the beginning is here.
struct Reading {
    message: MessageDescriptor,
    body: BodyDataStream,
    memory: Memory,
    /// What the longest text so far takes.
    share: Share,
    longest: usize,
    /// What has arrived and is not used up.
    received: Vec<u8>,
    /// Whether the body has ended.
    ended: bool,
    /// A message that is incomplete is looked at again when this much is here: each look begins at its start.
    enough: usize,
    /// When the message at hand must be here.
    whole_by: Instant,
}

impl Reading {
    fn new(message: MessageDescriptor, body: Body, memory: Memory) -> Self {
        Self {
            message,
            body: body.into_data_stream(),
            share: memory.share(),
            memory,
            longest: 0,
            received: Vec::new(),
            ended: false,
            enough: 1,
            whole_by: Instant::now() + MESSAGE_PATIENCE,
        }
    }

    /// Takes the next piece. False at the end.
    async fn receive(&mut self) -> Result<bool, Status> {
        let piece = timeout_at(self.whole_by.min(Instant::now() + PIECE_PATIENCE), self.body.next())
            .await
            .map_err(|_| Status::deadline_exceeded("the rest of the request did not arrive in time"))?;
        let Some(piece) = piece else {
            self.ended = true;
            return Ok(false);
        };
        let piece = piece.map_err(|error| Status::cancelled(format!("the request broke off: {error}")))?;
        let length = self.received.len() + piece.len();
        if length > limits::MESSAGE_BYTES {
            let most = limits::MESSAGE_BYTES;
            let message =
                format!("a message of this request is longer than the {most} bytes that one may have; split it");
            return Err(Status::out_of_range(message));
        }
        if length > self.longest {
            // Its values are copied out of it.
            self.share.take(2 * (length - self.longest))?;
            self.longest = length;
        }
        self.received.extend_from_slice(&piece);
        Ok(true)
    }

    /// The next message, once all of it is here.
    async fn next(&mut self) -> Result<Option<Question>, Status> {
        self.whole_by = Instant::now() + MESSAGE_PATIENCE;
        loop {
            if self.ended || self.received.len() >= self.enough {
                match self.take().await? {
                    Some(message) => return Ok(Some(message)),
                    None if self.ended => return Ok(None),
                    None => self.enough = self.received.len() * 2 + 1,
                }
            }
            self.receive().await?;
        }
    }

    /// The first message of what is here, if it is complete.
    async fn take(&mut self) -> Result<Option<Question>, Status> {
        let (message, share, ended) = (self.message.clone(), self.memory.share(), self.ended);
        let mut received = mem::take(&mut self.received);
        let work = move || first(message, &mut received, ended, share).map(|found| (found, received));
        let (found, received) = off_the_network(self.longest, work).await?;
        self.received = received;
        if found.is_some() {
            self.enough = 1;
        }
        Ok(found)
    }
}

/// Takes the first message out of `received`, unless the rest of it is still to come.
fn first(
    message: MessageDescriptor,
    received: &mut Vec<u8>,
    ended: bool,
    mut share: Share,
) -> Result<Option<Question>, Status> {
    if received.trim_ascii().is_empty() {
        received.clear();
        return Ok(None);
    }
    let mut texts = serde_json::Deserializer::from_slice(received).into_iter::<&RawValue>();
    match texts.next() {
        Some(Ok(text)) => {
            let message = json::parse(message, text.get().as_bytes(), &mut share)?;
            let used = texts.byte_offset();
            received.drain(..used);
            Ok(Some(Question { message, _share: share }))
        }
        Some(Err(error)) if error.is_eof() && !ended => Ok(None),
        Some(Err(error)) => Err(json::not_json(&error)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;

    use super::*;

    fn body(text: &str, piece: usize) -> Body {
        let pieces: Vec<Result<Vec<u8>, Infallible>> = text.as_bytes().chunks(piece).map(|p| Ok(p.to_vec())).collect();
        Body::from_stream(stream::iter(pieces))
    }

    async fn names(text: &str, piece: usize) -> Vec<Result<String, Code>> {
        let message = json::pool().get_message_by_name("authzed.api.v1.ZedToken").expect("it exists");
        let name = |question: Question| {
            question.message.get_field_by_name("token").and_then(|f| f.as_str().map(str::to_owned)).expect("a text")
        };
        let messages: Vec<_> = many(message, body(text, piece), &Memory::default()).collect().await;
        messages.into_iter().map(|message| message.map(name).map_err(|status| status.code())).collect()
    }

    #[tokio::test]
    async fn messages_are_found_however_they_arrive() {
        let named =
            |names: &[&str]| -> Vec<Result<String, Code>> { names.iter().map(|n| Ok((*n).to_owned())).collect() };
        let mut broken = named(&["a"]);
        broken.push(Err(Code::InvalidArgument));
        let cases = [
            ("", named(&[])),
            (" \n ", named(&[])),
            (r#"{"token":"a"}"#, named(&["a"])),
            ("{\"token\":\"a\"}\n{\"token\":\"b}{\"}\n", named(&["a", "b}{"])),
            (r#"{"token":"a"}{} {"token":"c"}"#, named(&["a", "", "c"])),
            (r#"{"token":"a"}{"token":"#, broken.clone()),
            (r#"{"token":"a"} nonsense {"token":"c"}"#, broken.clone()),
            (r#"{"token":"a"}{"tokens":"b"}{"token":"c"}"#, broken),
        ];
        for (text, expected) in cases {
            for piece in [1, 3, 1000] {
                assert_eq!(names(text, piece).await, expected, "{text} in pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_message_is_bounded_and_a_stream_is_not() {
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(limits::MESSAGE_BYTES));
        assert_eq!(names(&long, 1 << 16).await, [Err(Code::OutOfRange)]);
        let message = json::pool().get_message_by_name("authzed.api.v1.ZedToken").expect("it exists");
        assert_eq!(
            one(message, body(&long, 1 << 16), &Memory::default()).await.expect_err("too long").code(),
            Code::OutOfRange
        );
        let half = format!(r#"{{"token":"{}"}}"#, "x".repeat(limits::MESSAGE_BYTES / 2));
        let many = names(&half.repeat(3), 1 << 20).await;
        assert!(many.len() == 3 && many.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn all_bodies_together_are_bounded_and_give_back_what_they_took() {
        let message = json::pool().get_message_by_name("authzed.api.v1.ZedToken").expect("it exists");
        let memory = Memory::new(1 << 20);
        let text = format!(r#"{{"token":"{}"}}"#, "x".repeat(200 << 10));
        let held = [
            one(message.clone(), body(&text, 1 << 14), &memory).await.expect("room for it"),
            one(message.clone(), body(&text, 1 << 14), &memory).await.expect("room for it"),
        ];
        let refused = one(message.clone(), body(&text, 1 << 14), &memory).await.expect_err("no room");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        drop(held);
        // However many there are in a stream, one at a time is held.
        let all: Vec<_> = many(message, body(&text.repeat(10), 1 << 14), &memory).map(|q| q.map(drop)).collect().await;
        assert!(all.len() == 10 && all.iter().all(Result::is_ok), "{all:?}");
    }
}
