//! Administration, `quorate.v1`, over what the node can do for its operator.

mod cluster;

pub(super) use cluster::Cluster;
