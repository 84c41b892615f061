//! A cluster of real processes under the hands of this program: their network, their disks, their signals, and a client that
//! speaks the public protocol.
//!
//! With root each node has a network namespace and a file system of its own. Without, they are processes on the loopback
//! interface, and what cannot be done to them is named. Must not know what answers are right.

mod administration;
mod cleanup;
mod client;
mod clock;
mod command;
mod convert;
mod delay;
mod disk;
mod footprint;
mod formation;
mod ground;
mod network;
mod node;
mod reads;
mod rot;
mod wire;
mod zookie;

pub use cleanup::sweep;
pub use client::{Client, WatchTold, Watching, failure_of};
pub use clock::Clock;
pub use command::{SystemError, system};
pub use delay::{Delay, Delayed};
pub use disk::Disk;
pub use formation::{Cluster, ClusterError, NodeStatus, Plan};
pub use ground::Ground;
pub use network::Network;
pub use node::Node;
pub use rot::Rot;
pub use zookie::Zookie;
