//! `[metrics]`: what the operator's machines ask.

use super::OptionalListen;
use super::section::section;

section! {
    /// Metrics, and whether the node lives and is ready: plain HTTP without a key.
    #[derive(Debug)]
    MetricsSection, MetricsOverrides, "metrics" {
        /// Address for /metrics, /healthz and /readyz (port 0: a free one), or off [default: off]
        #[arg(value_name = "HOST:PORT")]
        listen: OptionalListen = OptionalListen::Off, "metrics-listen", "QUORATE_METRICS_LISTEN";
    }
}
