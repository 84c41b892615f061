//! What `proto/` generates: messages, clients and servers. A leaf that only the edges name: the fronts in `api`, the network
//! of `raft`, the command line. No use case takes or returns a type of this module.

#![allow(missing_docs, unreachable_pub, clippy::all)] // Generated; the documentation is the comments of `proto/`.

/// The protocol of SpiceDB.
pub mod authzed {
    pub mod v1 {
        tonic::include_proto!("authzed.api.v1");
    }

    /// Where generated code of other packages looks for it.
    pub mod api {
        pub use super::v1;
    }
}

/// The project's own protocols.
pub mod quorate {
    /// Administration, public.
    pub mod v1 {
        tonic::include_proto!("quorate.v1");
    }

    /// Node to node.
    pub mod peer {
        tonic::include_proto!("quorate.peer");
    }
}

/// Types that several protocols share.
pub mod google {
    pub mod rpc {
        pub use tonic_types::Status;
    }
}

/// All of the above as descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");
