//! The generated client side of the public protocols.

#![allow(missing_docs, clippy::all)] // Generated; the documentation is the comments of `proto/`.

/// `authzed.api.v1`.
pub(super) mod authzed {
    tonic::include_proto!("authzed.api.v1");
}

/// `quorate.v1`.
pub(super) mod admin {
    tonic::include_proto!("quorate.v1");
}
