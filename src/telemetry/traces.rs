//! Traces: which way a request went through the nodes and how long each part of it took, sent to a collector by OTLP over gRPC.
//!
//! Spans are those of `tracing` under the target [`TRACE`]. Where no collector is named nobody wants them, and each costs a
//! look at a number. Names of objects and subjects are in no span. Spans that the collector does not take wait up to a bound,
//! then go.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, filter};

/// The target of spans that are traced.
pub const TRACE: &str = "quorate::trace";
/// The header, and the name in the standard (W3C Trace Context), of what continues a trace.
pub const TRACEPARENT: &str = "traceparent";
/// A longer one continues nothing: those of the standard's only version have 55.
const LONGEST_PARENT: usize = 128;

/// Spans that may wait for the collector; more are let go.
const WAITING_SPANS: usize = 4096;
/// Spans that are sent in one message.
const SPANS_AT_ONCE: usize = 512;
/// Between two messages, where there are few spans.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take for one.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last ones may take when the node stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where traces go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceOptions {
    /// `http://HOST:PORT` or `https://HOST:PORT` of a collector that speaks OTLP over gRPC.
    pub endpoint: String,
    /// Authorities in PEM, one of which must have signed its certificate; `None` for those of the system.
    pub ca: Option<PathBuf>,
    /// Of the requests that no client traces already, this part is traced: 0.0 to 1.0.
    pub ratio: f64,
    /// `service.name`.
    pub service: String,
    /// `service.instance.id`: which node it is.
    pub instance: String,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is none, or TLS with it cannot be.
    #[error("traces.endpoint: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    /// The file of authorities cannot be read.
    #[error("traces.ca: cannot read {}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The exporter does not start.
    #[error("traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Traces on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins; nothing is connected yet. Must be called within the runtime, which carries the connection.
    pub fn start(options: &TraceOptions) -> Result<Self, TracesError> {
        let mut endpoint = Endpoint::from_shared(options.endpoint.clone())?;
        if options.endpoint.starts_with("https://") {
            let tls = ClientTlsConfig::new();
            endpoint = endpoint.tls_config(match &options.ca {
                None => tls.with_native_roots(),
                Some(path) => {
                    let authorities = std::fs::read(path);
                    let authorities =
                        authorities.map_err(|source| TracesError::Authorities { path: path.clone(), source })?;
                    tls.ca_certificate(Certificate::from_pem(authorities))
                }
            })?;
        }
        let channel = endpoint.connect_timeout(SEND_TIMEOUT).timeout(SEND_TIMEOUT).connect_lazy();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(SEND_TIMEOUT)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_SPANS)
            .with_max_export_batch_size(SPANS_AT_ONCE)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(options.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", options.instance.clone()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.ratio))))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// What listens to spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("quorate"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_target(false)
            .with_context_activation(false)
            .with_filter(filter::filter_fn(|metadata| metadata.target() == TRACE))
    }

    /// Sends what is left, for a bounded time.
    pub async fn stop(self) {
        // It waits for the thread that sends, which may wait for a collector.
        let stopped = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FAREWELL));
        match tokio::time::timeout(FAREWELL, stopped).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last traces were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last traces were not sent"),
        }
    }
}

/// A span for a part of a request that is traced; none where nothing is, such as in what a node does by itself.
macro_rules! part_of_trace {
    ($name:literal $($fields:tt)*) => {
        if $crate::telemetry::may_trace() && !tracing::Span::current().is_disabled() {
            tracing::trace_span!(target: $crate::telemetry::TRACE, $name $($fields)*)
        } else {
            tracing::Span::none()
        }
    };
}
pub(crate) use part_of_trace;

/// Whether anybody may want spans: the cheap half of the question.
#[must_use]
pub fn may_trace() -> bool {
    LevelFilter::current() >= Level::TRACE
}

struct Parent(String);

impl Extractor for Parent {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Injector for Parent {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = value;
        }
    }
}

/// What continues the trace of `span` elsewhere; empty where it is in none.
#[must_use]
pub fn traceparent(span: &Span) -> String {
    let mut parent = Parent(String::new());
    if !span.is_disabled() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut parent);
    }
    parent.0
}

/// Makes `span`, which has not begun, a part of the trace that `traceparent` names. What is none is as good as absent.
pub fn continue_trace(span: &Span, traceparent: &str) {
    if span.is_disabled() || traceparent.is_empty() || traceparent.len() > LONGEST_PARENT {
        return;
    }
    let context = TraceContextPropagator::new().extract(&Parent(traceparent.to_owned()));
    // An error says that nobody listens to spans.
    let _ = span.set_parent(context);
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn a_trace_goes_on_where_its_parent_says() {
        let options = TraceOptions {
            endpoint: "http://127.0.0.1:1".to_owned(),
            ca: None,
            ratio: 0.0,
            service: "quorate".to_owned(),
            instance: "a".to_owned(),
        };
        let traces = Traces::start(&options).expect("an endpoint");
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            assert!(part_of_trace!("alone").is_disabled(), "nobody asked for it");
            let request = tracing::trace_span!(target: TRACE, "request");
            continue_trace(&request, PARENT);
            let part = request.in_scope(|| part_of_trace!("part"));
            let (first, second) = (traceparent(&request), traceparent(&part));
            assert_eq!(first[..36], PARENT[..36]);
            assert_eq!((&second[..36], &second[52..]), (&PARENT[..36], "-01"), "sampled as the client wishes");
            assert!(first != second && first != PARENT);
            for nonsense in ["", "nonsense", &PARENT.replace('-', ":"), &"0".repeat(1000)] {
                let request = tracing::trace_span!(target: TRACE, "request");
                continue_trace(&request, nonsense);
                assert_ne!(traceparent(&request).get(..36), Some(&PARENT[..36]));
                assert!(!request.context().span().span_context().is_remote());
            }
        });
        let before = std::time::Instant::now();
        traces.stop().await;
        assert!(before.elapsed() < 2 * FAREWELL, "nobody is at the endpoint");
        assert_eq!(traceparent(&Span::none()), "");
    }
}
