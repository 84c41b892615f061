//! Messages between the gateway and the services of this process: dynamic on this side, generated on the other.
//!
//! A body that breaks off or does not parse is an item too: it ends the call as a broken connection would, so that half a
//! request is never taken for a whole one.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::body::Question;

/// Sends any message, and receives messages of one kind.
#[derive(Debug, Clone)]
pub(super) struct DynamicCodec {
    pub(super) answer: MessageDescriptor,
}

impl Codec for DynamicCodec {
    type Encode = Result<Question, Status>;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for DynamicCodec {
    type Item = Result<Question, Status>;
    type Error = Status;

    fn encode(&mut self, message: Self::Item, bytes: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message?.message.encode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.answer.clone(), bytes);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
