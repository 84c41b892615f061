//! One connection to one node, and operations on it.
//!
//! Requests go out as the bytes that they were prepared as; answers are decoded as far as they are looked at.

use std::marker::PhantomData;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::{BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Extensions, Request, Status};
use tonic_prost::ProstDecoder;

use super::messages::{Accepted, BulkChecked, Checked, Found, Healthy, Loaded, Ranged, Written};
use super::operation::{Call, Listing, Operation, judge_bulk, judge_check, judge_health, judge_import, judge_range};
use crate::model::limits;

/// How an operation that was answered came out.
#[derive(Debug)]
pub(super) enum Answer {
    /// As it should; a write with its zookie.
    Right(Option<String>),
    /// Not as it should, and how.
    Wrong(String),
}

/// What every request carries besides its body.
#[derive(Debug, Clone)]
pub(super) struct Stamp(MetadataMap);

impl Stamp {
    pub(super) fn new(authorization: Option<MetadataValue<Ascii>>, timeout: Duration) -> Self {
        let mut request = Request::new(());
        request.set_timeout(timeout);
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value);
        }
        Self(request.into_parts().0)
    }

    fn request<T>(&self, body: T) -> Request<T> {
        Request::from_parts(self.0.clone(), Extensions::new(), body)
    }
}

/// One connection. Clones share it.
#[derive(Clone)]
pub(super) struct Lane {
    grpc: Grpc<Channel>,
    stamp: Stamp,
}

impl Lane {
    /// A connection to `endpoint`, which is made when it is first used, on the runtime that this is called on.
    pub(super) fn new(endpoint: &Endpoint, stamp: Stamp) -> Self {
        let grpc = Grpc::new(endpoint.connect_lazy()).max_decoding_message_size(limits::MESSAGE_BYTES);
        Self { grpc, stamp }
    }

    /// Makes the call, and holds what comes back against what is right.
    pub(super) async fn perform(&mut self, operation: &Operation) -> Result<Answer, Status> {
        let expected = &operation.expected;
        let judged = match operation.call {
            Call::Health => judge_health(&self.unary::<Healthy>(operation).await?),
            Call::Check => judge_check(expected, &self.unary::<Checked>(operation).await?),
            Call::BulkCheck => judge_bulk(expected, &self.unary::<BulkChecked>(operation).await?),
            Call::EtcdRange => judge_range(expected, &self.unary::<Ranged>(operation).await?),
            Call::EtcdPut | Call::EtcdTransaction => self.unary::<Accepted>(operation).await.map(|_| Ok(()))?,
            Call::Import => judge_import(expected, &self.import(operation).await?),
            Call::LookupResources | Call::LookupSubjects => self.list(operation).await?,
            Call::Write => {
                let written = self.unary::<Written>(operation).await?;
                return Ok(match written.at {
                    Some(token) => Answer::Right(Some(token.token)),
                    None => Answer::Wrong("written without a zookie".to_owned()),
                });
            }
        };
        Ok(judged.map_or_else(Answer::Wrong, |()| Answer::Right(None)))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error}")))
    }

    async fn unary<A: Message + Default + Send + 'static>(&mut self, operation: &Operation) -> Result<A, Status> {
        self.ready().await?;
        let request = self.stamp.request(operation.body.clone());
        let answer = self.grpc.unary(request, path(operation.call), Prepared::<A>::new()).await?;
        Ok(answer.into_inner())
    }

    async fn import(&mut self, operation: &Operation) -> Result<Loaded, Status> {
        self.ready().await?;
        let request = self.stamp.request(tokio_stream::once(operation.body.clone()));
        let answer = self.grpc.client_streaming(request, path(operation.call), Prepared::<Loaded>::new()).await?;
        Ok(answer.into_inner())
    }

    async fn list(&mut self, operation: &Operation) -> Result<Result<(), String>, Status> {
        self.ready().await?;
        let mut listing = match Listing::new(&operation.expected) {
            Ok(listing) => listing,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let request = self.stamp.request(operation.body.clone());
        let answer = self.grpc.server_streaming(request, path(operation.call), Prepared::<Found>::new()).await?;
        let mut found = answer.into_inner();
        while let Some(one) = found.message().await? {
            if let Err(wrong) = listing.add(&one) {
                return Ok(Err(wrong));
            }
        }
        Ok(listing.finish())
    }
}

fn path(call: Call) -> PathAndQuery {
    PathAndQuery::from_static(call.path())
}

/// Bytes out, a message in.
struct Prepared<A>(PhantomData<A>);

impl<A> Prepared<A> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A: Message + Default + Send + 'static> Codec for Prepared<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = AsIs;
    type Decoder = ProstDecoder<A>;

    fn encoder(&mut self) -> Self::Encoder {
        AsIs
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

/// Copies bytes that are a message already.
struct AsIs;

impl Encoder for AsIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}
