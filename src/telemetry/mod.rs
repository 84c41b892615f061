//! What a node tells its operator: log lines, metrics and traces.
//!
//! A leaf: it must not know what is being logged or counted.

mod logging;
mod metrics;
mod noted;
mod process;
mod traces;

pub use logging::{LineFormat, LoggingError, start_logging};
pub use metrics::{
    AuditLabels, CallLabels, CertificateLabels, ConnectionEndLabels, ConnectionLabels, LatencyLabels, LocalityLabels,
    METRICS, MemberLabels, Metrics, PartLabels, PositionLabels, RefusalLabels, RoleLabels, seconds,
};
pub use noted::{Noted, note_consistency, note_index, note_key, noted, with_notes};
pub(crate) use traces::part_of_trace;
pub use traces::{TRACE, TRACEPARENT, TraceOptions, Traces, TracesError, continue_trace, may_trace, traceparent};
