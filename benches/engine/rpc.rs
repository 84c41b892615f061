//! A call over the loopback interface that asks nothing: what any RPC costs before there is a question in it.

use criterion::Criterion;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads can be started");
    let mut client = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback interface");
        let address = listener.local_addr().expect("it is bound");
        let (_, health) = tonic_health::server::health_reporter();
        tokio::spawn(Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        HealthClient::new(endpoint.connect().await.expect("it listens"))
    });
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("empty rpc", |b| {
        b.iter(|| runtime.block_on(client.check(HealthCheckRequest::default())).expect("it serves"));
    });
    group.finish();
}
