//! Traces: one request's way over two nodes is one trace, at a collector of this process; and a collector that hangs hurts
//! nobody.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::harness::wire::authzed::{CheckPermissionRequest, WriteRelationshipsRequest};
use crate::harness::{Cluster, Load, Settings, check_item, eventually, fully, touch};

const LIMIT: Duration = Duration::from_secs(30);

/// One span, and which node sent it.
#[derive(Debug, Clone)]
struct Seen {
    instance: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: BTreeMap<String, String>,
}

/// A collector, which keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Seen>>>);

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    of.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
            assert_eq!(resource["service.name"], "quorate-test");
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.0.lock().push(Seen {
                    instance: resource["service.instance.id"].clone(),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: attributes(&span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Serves until the guard is dropped; its address.
    fn start(&self) -> (String, DropGuard) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let incoming =
            tonic::transport::server::TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
        let stop = CancellationToken::new();
        let service = TraceServiceServer::new(self.clone());
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
        });
        (format!("http://{address}"), stop.drop_guard())
    }

    fn of_trace(&self, trace: &str) -> Vec<Seen> {
        self.0.lock().iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

fn settings(endpoint: &str, ratio: &str) -> Settings {
    let flags = ["--traces-endpoint", endpoint, "--traces-ratio", ratio, "--traces-service", "quorate-test"];
    Settings { flags: flags.map(str::to_owned).to_vec(), ..Settings::default() }
}

/// A request in the trace `number`, whose client's span is `cafe`.
fn traced<T>(message: T, number: u64) -> (Request<T>, String) {
    let trace = format!("{number:032x}");
    let mut request = Request::new(message);
    let parent = format!("00-{trace}-000000000000cafe-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    (request, trace)
}

/// The spans of a trace, when those of these names from these nodes are there; each hangs on another one of them or on the
/// client.
async fn whole(collector: &Collector, trace: &str, wanted: &[(&str, &str)]) -> Vec<Seen> {
    let spans = eventually("the trace", LIMIT, async || {
        let spans = collector.of_trace(trace);
        let has = |(name, at): &(&str, &str)| spans.iter().any(|span| span.name == *name && span.instance == *at);
        if wanted.iter().all(has) { Ok(spans) } else { Err(spans.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>()) }
    })
    .await;
    for span in &spans {
        let hangs = span.parent == "000000000000cafe" || spans.iter().any(|other| other.id == span.parent);
        assert!(hangs, "{span:?} hangs on nothing in {spans:#?}");
        for (name, value) in &span.attributes {
            assert!(!value.contains("plan") && !value.contains("tom"), "a name in {name} of {span:?}");
        }
    }
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_one_trace_over_the_nodes_that_it_goes_through() {
    let collector = Collector::default();
    let (endpoint, _serves) = collector.start();
    let cluster = Cluster::form_with(3, settings(&endpoint, "0")).await;
    let leader = cluster.leader().await;
    let follower = cluster.others(&[leader])[0];
    let (here, there) = (&cluster.nodes[follower].client_address, &cluster.nodes[leader].client_address);
    let client = cluster.client(follower);

    let write =
        WriteRelationshipsRequest { updates: vec![touch("document:plan#viewer@user:tom")], ..Default::default() };
    let (request, trace) = traced(write, 1);
    client.permissions.clone().write_relationships(request).await.unwrap();
    let method = "authzed.api.v1.PermissionsService/WriteRelationships";
    let wanted =
        [(method, here), ("propose", here), ("forward", here), ("propose for another node", there), ("commit", there)];
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|(name, at)| (*name, at.as_str())).collect();
    let spans = whole(&collector, &trace, &wanted).await;
    let request = spans.iter().find(|span| span.name == method).unwrap();
    assert_eq!(request.parent, "000000000000cafe");
    assert_eq!(request.attributes["quorate.code"], "OK");
    assert_eq!(request.attributes["quorate.key"], "client.keys[0]");
    let commit = spans.iter().find(|span| span.name == "commit").unwrap();
    assert_eq!(commit.attributes["quorate.index"], request.attributes["quorate.index"]);

    let item = check_item("document:plan#view@user:tom");
    let check = CheckPermissionRequest {
        consistency: fully(),
        resource: item.resource,
        permission: item.permission,
        subject: item.subject,
        ..Default::default()
    };
    let (request, trace) = traced(check, 2);
    client.permissions.clone().check_permission(request).await.unwrap();
    let method = "authzed.api.v1.PermissionsService/CheckPermission";
    let wanted = [(method, here), ("read index", here), ("forward", here), ("confirm for another node", there)];
    let more = [("wait until applied", here), ("evaluate", here)];
    let wanted: Vec<(&str, &str)> = wanted.iter().chain(&more).map(|(name, at)| (*name, at.as_str())).collect();
    let spans = whole(&collector, &trace, &wanted).await;
    let request = spans.iter().find(|span| span.name == method).unwrap();
    assert_eq!(request.attributes["quorate.consistency"], "full");

    // What its client does not trace is not, at this ratio; and neither is what nodes do by themselves.
    client.write([touch("document:plan#viewer@user:tom")]).await.unwrap();
    let traces: Vec<String> = collector.0.lock().iter().map(|span| span.trace.clone()).collect();
    assert!(traces.iter().all(|trace| trace.starts_with("0000")), "{traces:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_hurts_nobody() {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut cluster = Cluster::form_with(1, settings(&endpoint, "1")).await;
    let mut load = Load::start(&cluster.clients(), 4);
    load.progress(500).await;
    load.stop().await;
    load.verify_exactly(&cluster.client(0)).await;
    let begun = Instant::now();
    assert!(cluster.nodes[0].stop().await.success());
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
}
