//! The listener that the other nodes reach this one by.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::api::standing_of_nodes;
use crate::raft::PeerServer;
use crate::security::{ConnectionLimits, Listener};

/// A node has one connection for each purpose to each other node, a dozen at the most.
pub(super) const CONNECTIONS: ConnectionLimits = ConnectionLimits { most: 1_024, most_from_one: None };
/// Calls at the same time on one connection.
const STREAMS_PER_CONNECTION: u32 = 4_096;
/// All headers of a call.
const HEADER_BYTES: u32 = 16 << 10;
/// As for clients: with more streams that were reset, a connection ends.
const PENDING_RESETS: usize = 256;
const LOCAL_RESETS: usize = 1_024;

/// Serves until `stop`.
pub(super) async fn serve(listener: Listener, peers: PeerServer, stop: CancellationToken) -> Result<(), String> {
    let router = Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS))
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(4)))
        .layer(standing_of_nodes())
        .add_service(peers.into_service());
    let stop = stop.cancelled_owned();
    router.serve_with_incoming_shutdown(listener.into_stream(), stop).await.map_err(|error| error.to_string())
}
