//! The certificates of a running node: read again from time to time, and at once on SIGHUP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::config::NodeConfig;
use crate::security::{Protocol, Tls, TlsError};

/// Between two looks at the files. Whoever cannot wait sends SIGHUP.
const LOOK: Duration = Duration::from_secs(30);

/// What each listener presents; `None` for one without TLS.
pub(super) struct Certificates {
    pub(super) grpc: Option<Arc<Tls>>,
    pub(super) gateway: Option<Arc<Tls>>,
    pub(super) peer: Option<Arc<Tls>>,
}

impl Certificates {
    /// Reads the files that `config` names.
    pub(super) fn load(config: &NodeConfig) -> Result<Self, TlsError> {
        let load = |files, protocol| Tls::load(files, protocol).map(Arc::new);
        Ok(Self {
            grpc: config.client.tls().map(|files| load(files, Protocol::Http2)).transpose()?,
            gateway: config.client.tls().map(|files| load(files, Protocol::Http1)).transpose()?,
            peer: config.peer.tls().map(|files| load(files, Protocol::Http2)).transpose()?,
        })
    }

    /// Takes over what the files say, whenever they say something new. Never ends.
    pub(super) async fn keep_current(&self) -> Infallible {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be heard; certificates are looked at every {LOOK:?} only");
                None
            }
        };
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = ticks.tick() => {}
                () = told => {}
            }
            self.look();
        }
    }

    fn look(&self) {
        for (listener, tls) in [("client", &self.grpc), ("gateway", &self.gateway), ("peer", &self.peer)] {
            let Some(tls) = tls else { continue };
            match tls.reload() {
                Ok(true) => {
                    tracing::info!(listener, certificate = %tls.files().certificate.display(), "new certificate")
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(listener, %error, "the certificate in force stays in force"),
            }
        }
    }
}
