//! The generated client side of the public protocols.
//!
//! The modules are nested as the packages are: that is how generated code names what is in another package.

#![allow(missing_docs, clippy::all)] // Generated; the documentation is the comments of `proto/`.

/// Of the API that others define.
pub(super) mod authzed {
    /// `authzed.api`.
    pub(in crate::cluster) mod api {
        /// `authzed.api.v1`.
        pub(in crate::cluster) mod v1 {
            tonic::include_proto!("authzed.api.v1");
        }
    }
}

/// Of our own API.
pub(super) mod quorate {
    /// `quorate.v1`.
    pub(in crate::cluster) mod v1 {
        tonic::include_proto!("quorate.v1");
    }
}
