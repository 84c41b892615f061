//! What a node tells its operator: log lines and metrics.
//!
//! A leaf: it must not know what is being logged or counted.

mod logging;
mod metrics;
mod noted;
mod process;

pub use logging::{LineFormat, LoggingError, start_logging};
pub use metrics::{
    CallLabels, ConnectionEndLabels, ConnectionLabels, LatencyLabels, LocalityLabels, METRICS, MemberLabels, Metrics,
    PartLabels, PositionLabels, RefusalLabels, RoleLabels, seconds,
};
pub use noted::{note_consistency, with_notes};
