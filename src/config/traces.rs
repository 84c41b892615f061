//! `[traces]`: where a request went and how long it took there, for a collector.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::section::section;
use super::{ConfigError, invalid};
use crate::telemetry::TraceOptions;

/// A part of a whole, kept in millionths, so that it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(u32);

impl Ratio {
    const WHOLE: f64 = 1e6;

    /// From 0.0 to 1.0.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / Self::WHOLE
    }
}

impl TryFrom<f64> for Ratio {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&value) {
            return Err(format!("{value} is no part of a whole; use 0 to 1, for example 0.01"));
        }
        // Between 0 and a million.
        Ok(Self((value * Self::WHOLE).round() as u32))
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.value()
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<f64>().map_err(|error| error.to_string())?.try_into()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

section! {
    /// Traces for an OpenTelemetry collector.
    #[derive(Debug)]
    TracesSection, TracesOverrides, "traces" {
        /// Collector that speaks OTLP over gRPC, as http://HOST:PORT or https://HOST:PORT; off: no traces [default: off]
        #[arg(value_name = "URL")]
        endpoint: String = TracesSection::OFF.to_owned(), "traces-endpoint", "QUORATE_TRACES_ENDPOINT";
        /// Authorities in PEM, one of which must have signed the collector's certificate; none: those of the system
        #[arg(value_name = "FILE")]
        ca: PathBuf = PathBuf::new(), "traces-ca", "QUORATE_TRACES_CA";
        /// Part of the requests that are traced, of those that their client does not trace already [default: 0.01]
        #[arg(value_name = "RATIO")]
        ratio: Ratio = Ratio(10_000), "traces-ratio", "QUORATE_TRACES_RATIO";
        /// What the cluster is called in traces [default: quorate]
        #[arg(value_name = "NAME")]
        service: String = "quorate".to_owned(), "traces-service", "QUORATE_TRACES_SERVICE";
    }
}

impl TracesSection {
    const OFF: &str = "off";

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let is_endpoint = ["http://", "https://"]
            .iter()
            .any(|scheme| self.endpoint.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if self.endpoint != Self::OFF && !is_endpoint {
            // It may have a password in it.
            return Err(invalid("traces.endpoint", "is no collector; use http://HOST:PORT, https://HOST:PORT, or off"));
        }
        if self.service.is_empty() {
            return Err(invalid("traces.service", "is empty; give the cluster a name"));
        }
        Ok(())
    }

    /// Where traces go, if they do; `instance` tells the node from the others.
    #[must_use]
    pub fn options(&self, instance: &str) -> Option<TraceOptions> {
        (self.endpoint != Self::OFF).then(|| TraceOptions {
            endpoint: self.endpoint.clone(),
            ca: (!self.ca.as_os_str().is_empty()).then(|| self.ca.clone()),
            ratio: self.ratio.value(),
            service: self.service.clone(),
            instance: instance.to_owned(),
        })
    }
}
