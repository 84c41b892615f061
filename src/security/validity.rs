//! What others will think of a certificate: whether they refuse it, and from when on. Of plain values and a time that is given.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};

/// So long before its end a certificate is worth a word.
const NEAR_ITS_END: Duration = Duration::from_secs(24 * 3600);

/// Later than any certificate can end: the year is written with four digits (RFC 5280, section 4.1.2.5).
const AFTER_ALL_ENDS: Duration = Duration::from_secs(9_000 * 366 * 24 * 3600);

/// What will have others refuse a certificate that is in force. It stays there all the same: a clock may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Its time is over.
    #[error("has expired: nobody accepts it any more")]
    Expired,
    /// Its time has not come.
    #[error("is not valid yet: see the clock of this machine, and of the one that made it")]
    NotYetValid,
    /// Its time is over soon.
    #[error("expires within a day")]
    ExpiresSoon,
    /// Those who trust whom this node trusts do not accept it.
    #[error("is not accepted by other nodes, if they have the authorities that this one has: {0}")]
    Unaccepted(String),
}

/// When what a listener has in force ends, as time since 1970; `None` where there is nothing, or it cannot be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// What it shows: the certificate, or one of those that lead from it to its authority, whichever ends first.
    pub own: Option<Duration>,
    /// Whom it trusts: the authority that ends first.
    pub authority: Option<Duration>,
}

/// What speaks against `chain` at `now`, where it is shown to those who trust `trusted`. Without that nothing is judged but its
/// time.
pub(super) fn doubt(
    chain: &[CertificateDer<'static>],
    trusted: Option<&[CertificateDer<'static>]>,
    now: UnixTime,
) -> Option<Doubt> {
    // Time is looked at before anything else.
    let roots = trusted.or(chain.get(..1))?;
    match refusal(chain, roots, now) {
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => Some(Doubt::Expired),
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => Some(Doubt::NotYetValid),
        Some(other) if trusted.is_some() => Some(Doubt::Unaccepted(other.to_string())),
        _ => {
            let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + NEAR_ITS_END);
            let then = refusal(chain, roots, later)?;
            let ends = matches!(then, CertificateError::Expired | CertificateError::ExpiredContext { .. });
            ends.then_some(Doubt::ExpiresSoon)
        }
    }
}

/// When the first of these ends, as time since 1970. One that is of no use for TLS is passed over.
pub(super) fn first_end(certificates: &[CertificateDer<'static>]) -> Option<Duration> {
    let end = |one: &CertificateDer<'static>| {
        let alone = std::slice::from_ref(one);
        // Whoever judges it then says when it was over, before anything else that he may have against it.
        match refusal(alone, alone, UnixTime::since_unix_epoch(AFTER_ALL_ENDS)) {
            Some(CertificateError::ExpiredContext { not_after, .. }) => Some(Duration::from_secs(not_after.as_secs())),
            _ => None,
        }
    };
    certificates.iter().filter_map(end).min()
}

/// Why someone who trusts `trusted` refuses `chain` from a client at that time, if he does.
fn refusal(
    chain: &[CertificateDer<'static>],
    trusted: &[CertificateDer<'static>],
    time: UnixTime,
) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let (own, others) = chain.split_first()?;
    match verifier.verify_client_cert(own, others, time) {
        Err(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(until: Duration, authority: bool) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (UNIX_EPOCH.into(), (UNIX_EPOCH + until).into());
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn key() -> KeyPair {
        KeyPair::generate().expect("a key")
    }

    #[test]
    fn the_end_is_that_of_whatever_ends_first() {
        let (day, now) =
            (Duration::from_secs(24 * 3600), SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970"));
        let at = |days: u32| Duration::from_secs(now.as_secs()) + day * days;
        let root_key = key();
        let root = params(at(900), true).self_signed(&root_key).expect("an authority");
        let issuer = Issuer::new(params(at(900), true), root_key);
        let (between_key, until) = (key(), at(20));
        let between = params(until, true).signed_by(&between_key, &issuer).expect("an authority below it");
        let leaf = |until| {
            let own = key();
            let issuer =
                Issuer::new(params(at(20), true), KeyPair::from_pem(&between_key.serialize_pem()).expect("a key"));
            params(until, false).signed_by(&own, &issuer).expect("a certificate").der().clone()
        };
        let ends = |chain: &[CertificateDer<'static>]| first_end(chain);
        assert_eq!(ends(&[leaf(at(3)), between.der().clone()]), Some(at(3)));
        assert_eq!(ends(&[leaf(at(30)), between.der().clone()]), Some(at(20)), "what it hangs on ends before it");
        assert_eq!(ends(&[root.der().clone(), between.der().clone()]), Some(at(20)));
        assert_eq!(ends(&[leaf(day)]), Some(day), "one that is over has ended when it did");
        // 9999-12-31T23:59:59Z: it has no end that is known (RFC 5280, section 4.1.2.5).
        let never = Duration::from_secs(253_402_300_799);
        assert_eq!(ends(&[leaf(never)]), Some(never));
        assert_eq!(ends(&[]), None);
        assert_eq!(ends(&[CertificateDer::from(b"none".to_vec())]), None);
    }
}
