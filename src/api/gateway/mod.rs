//! The JSON gateway: the same calls over plain HTTP. It translates JSON and streams, and passes each request to the gRPC
//! services of this process, so that keys, deadlines, limits and errors are decided there and nowhere else.

mod body;
mod codec;
#[cfg(test)]
mod fuzz;
mod json;
mod openapi;
mod pass;
mod router;
mod routes;
mod survey;
#[cfg(test)]
mod tests;

pub(super) use pass::refuse;
pub(super) use router::{calls, router};
#[cfg(test)]
pub(super) use routes::grpc_path;
