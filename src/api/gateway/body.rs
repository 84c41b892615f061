//! The bodies of requests: one message, or messages one after the other.
//!
//! Bounded: no message is longer than the gRPC side would take, and none may take for ever to arrive.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde::de::DeserializeSeed as _;
use tokio::time::timeout;
use tonic::Status;

use super::json;
use crate::model::limits;

/// How long the next piece of a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one message of a request.
pub(super) async fn one(message: MessageDescriptor, body: Body) -> Result<DynamicMessage, Status> {
    let mut reading = Reading::new(message.clone(), body);
    while reading.receive().await? {}
    json::parse(message, &reading.received)
}

/// The messages of a request, as they arrive. They may be on lines of their own, or not.
pub(super) fn many(
    message: MessageDescriptor,
    body: Body,
) -> impl Stream<Item = Result<DynamicMessage, Status>> + Send {
    stream::unfold(Some(Reading::new(message, body)), async |reading| {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(message)) => Some((Ok(message), Some(reading))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    })
}

/// A body of which the beginning is here.
struct Reading {
    message: MessageDescriptor,
    body: BodyDataStream,
    /// What has arrived and is not used up.
    received: Vec<u8>,
    /// Whether the body has ended.
    ended: bool,
    /// A message that is incomplete is looked at again when this much is here: each look begins at its start.
    enough: usize,
}

impl Reading {
    fn new(message: MessageDescriptor, body: Body) -> Self {
        Self { message, body: body.into_data_stream(), received: Vec::new(), ended: false, enough: 1 }
    }

    /// Takes the next piece. False at the end.
    async fn receive(&mut self) -> Result<bool, Status> {
        let piece = timeout(PATIENCE, self.body.next())
            .await
            .map_err(|_| Status::deadline_exceeded("the rest of the request did not arrive in time"))?;
        let Some(piece) = piece else {
            self.ended = true;
            return Ok(false);
        };
        let piece = piece.map_err(|error| Status::cancelled(format!("the request broke off: {error}")))?;
        if self.received.len() + piece.len() > limits::MESSAGE_BYTES {
            let most = limits::MESSAGE_BYTES;
            let message =
                format!("a message of this request is longer than the {most} bytes that one may have; split it");
            return Err(Status::out_of_range(message));
        }
        self.received.extend_from_slice(&piece);
        Ok(true)
    }

    /// The next message, once all of it is here.
    async fn next(&mut self) -> Result<Option<DynamicMessage>, Status> {
        loop {
            if self.ended || self.received.len() >= self.enough {
                match self.take()? {
                    Some(message) => return Ok(Some(message)),
                    None if self.ended => return Ok(None),
                    None => self.enough = self.received.len() * 2 + 1,
                }
            }
            self.receive().await?;
        }
    }

    /// The first message of what is here, if it is complete.
    fn take(&mut self) -> Result<Option<DynamicMessage>, Status> {
        let start = self.received.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start == self.received.len() {
            self.received.clear();
            return Ok(None);
        }
        let mut messages =
            serde_json::Deserializer::from_slice(&self.received).into_iter::<&serde_json::value::RawValue>();
        match messages.next() {
            Some(Ok(text)) => {
                let mut json = serde_json::Deserializer::from_str(text.get());
                let message = self.message.clone().deserialize(&mut json).map_err(|error| json::not_json(&error))?;
                let used = messages.byte_offset();
                self.received.drain(..used);
                self.enough = 1;
                Ok(Some(message))
            }
            Some(Err(error)) if error.is_eof() && !self.ended => Ok(None),
            Some(Err(error)) => Err(json::not_json(&error)),
            None => Ok(None),
        }
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
        let name = |message: DynamicMessage| {
            message.get_field_by_name("token").and_then(|f| f.as_str().map(str::to_owned)).expect("a text")
        };
        let messages: Vec<_> = many(message, body(text, piece)).collect().await;
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
        assert_eq!(one(message, body(&long, 1 << 16)).await.expect_err("too long").code(), Code::OutOfRange);
        let half = format!(r#"{{"token":"{}"}}"#, "x".repeat(limits::MESSAGE_BYTES / 2));
        let many = names(&half.repeat(3), 1 << 20).await;
        assert!(many.len() == 3 && many.iter().all(Result::is_ok));
    }
}
