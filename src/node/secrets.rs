//! Keys and certificates of a running node: read again from time to time, and at once on SIGHUP. The audit log is opened anew
//! on that signal.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::audit::Trail;
use crate::config::NodeConfig;
use crate::security::{Doubt, Keyring, KeyringError, Protocol, Tls, TlsError};
use crate::telemetry::{CertificateLabels, METRICS};

/// Between two looks at the files. Whoever cannot wait sends SIGHUP.
const LOOK: Duration = Duration::from_secs(30);

/// SIGHUP. Until there is one of these, the signal ends the process, as the system would have it.
pub(super) struct Hangup(Option<Signal>);

impl Hangup {
    /// From now on SIGHUP is kept for [`Secrets::keep_current`].
    pub(super) fn watch() -> Self {
        Self(
            signal(SignalKind::hangup())
                .inspect_err(|error| {
                    tracing::warn!(
                        %error,
                        "SIGHUP cannot be heard; keys and certificates are looked at every {LOOK:?} only"
                    );
                })
                .ok(),
        )
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// What was last logged against the certificate of a listener.
type Doubts = BTreeMap<&'static str, Doubt>;

/// Why a node has no keys or certificates to begin with.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The clients' keys.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The certificates.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Whom a node lets in, and what each listener presents; `None` for one without TLS.
pub(super) struct Secrets {
    pub(super) keyring: Arc<Keyring>,
    pub(super) grpc: Option<Arc<Tls>>,
    pub(super) gateway: Option<Arc<Tls>>,
    pub(super) peer: Option<Arc<Tls>>,
}

impl Secrets {
    /// Reads the files that `config` names, and takes the keys out of it: what lives as long as the node has their hashes only.
    pub(super) fn load(config: &mut NodeConfig) -> Result<Self, SecretsError> {
        let load = |files, protocol| Tls::load(files, protocol).map(Arc::new);
        let keys = std::mem::take(&mut config.client.keys);
        Ok(Self {
            keyring: Arc::new(Keyring::bounded(&keys, config.client.key_file(), config.limits.of_key())?),
            grpc: config.client.tls().map(|files| load(files, Protocol::Http2)).transpose()?,
            gateway: config.client.tls().map(|files| load(files, Protocol::Http1)).transpose()?,
            peer: config.peer.tls().map(|files| load(files, Protocol::Http2)).transpose()?,
        })
    }

    /// Takes over what the files say, whenever they say something new. Never ends.
    /// On SIGHUP `audit` goes on in a new file.
    pub(super) async fn keep_current(&self, mut hangup: Hangup, audit: Option<&Trail>) -> Infallible {
        let mut doubts = Doubts::default();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = hangup.next() => {
                    if let Some(audit) = audit {
                        audit.reopen();
                    }
                }
            }
            self.look();
            self.judge(&mut doubts);
            self.measure();
        }
    }

    /// Logs what speaks against a certificate, once: an expired one is refused by others, and their log is elsewhere.
    fn judge(&self, doubts: &mut Doubts) {
        // The gateway shows what clients are shown.
        for (listener, tls, among_nodes) in [("client", &self.grpc, false), ("peer", &self.peer, true)] {
            let doubt = tls.as_ref().and_then(|tls| Some((tls.doubt(among_nodes)?, tls.files())));
            let Some((doubt, files)) = doubt else {
                doubts.remove(listener);
                continue;
            };
            if doubts.get(listener) != Some(&doubt) {
                tracing::warn!(listener, certificate = %files.certificate.display(), "the certificate {doubt}");
                doubts.insert(listener, doubt);
            }
        }
    }

    /// Shows when certificates end, to whoever wants to know in time.
    fn measure(&self) {
        for (listener, tls) in [("client", &self.grpc), ("peer", &self.peer)] {
            let Some(tls) = tls else { continue };
            let ends = tls.ends();
            for (kind, end) in [("own", ends.own), ("authority", ends.authority)] {
                let labels = CertificateLabels { listener, kind };
                match end {
                    Some(end) => _ = METRICS.certificate_not_after.get_or_create(&labels).set(end.as_secs_f64()),
                    None => _ = METRICS.certificate_not_after.remove(&labels),
                }
            }
        }
    }

    fn look(&self) {
        match self.keyring.reload() {
            Ok(true) => tracing::info!("new keys"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the keys in force stay in force"),
        }
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

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal as Number, raise};

    use super::*;

    #[tokio::test]
    async fn a_hangup_before_anybody_waits_for_it_is_kept() {
        let mut hangup = Hangup::watch();
        raise(Number::SIGHUP).expect("it is ours");
        tokio::time::timeout(LOOK, hangup.next()).await.expect("it was kept");
    }
}
