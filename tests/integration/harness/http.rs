//! Plain HTTP/1.1 by hand: for what a well-behaved client would not send, and for a node's metrics.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::node::Node;
use super::wait::within;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends `request` and reads until the other side closes.
pub(crate) async fn exchange(address: &str, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The value of the node's metric whose line begins with `name`, which has its labels; 0 where there is none yet.
pub(crate) async fn metric(node: &Node, name: &str) -> f64 {
    let request = b"GET /metrics HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    let scraped = within("the metrics", PATIENCE, exchange(&node.metrics_address(), request)).await;
    let text = scraped.expect("the metrics are served");
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.map_or(0.0, |line| line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number"))
}
