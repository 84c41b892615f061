//! Bearer keys on requests. Health and reflection are served without one.

use std::sync::Arc;

use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::errors::to_status;
use crate::model::{Error, ErrorCode};
use crate::security::{Denied, Keyring};

/// Lets a request pass if it carries one of the keys.
#[derive(Debug, Clone)]
pub(super) struct RequireKey {
    keyring: Arc<Keyring>,
}

impl RequireKey {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring }
    }
}

impl Interceptor for RequireKey {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match self.keyring.admit(bearer(request.metadata())) {
            Ok(()) => Ok(request),
            Err(Denied::Missing) => {
                const MESSAGE: &str = "no preshared key: send it as the metadata `authorization: Bearer KEY`";
                Err(to_status(Error::new(ErrorCode::Unauthenticated, MESSAGE)))
            }
            Err(Denied::Wrong) => {
                Err(to_status(Error::new(ErrorCode::PermissionDenied, "invalid preshared key: invalid token")))
            }
        }
    }
}

/// The key of `authorization: Bearer KEY`; the scheme's case does not matter.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let (scheme, key) = metadata.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_header_decides() {
        let keyring = Arc::new(Keyring::new(&["key"]).expect("one key"));
        let cases = [
            (None, Err(Code::Unauthenticated)),
            (Some("Bearer key"), Ok(())),
            (Some("bearer key"), Ok(())),
            (Some("Bearer other"), Err(Code::PermissionDenied)),
            (Some("Bearer "), Err(Code::Unauthenticated)),
            (Some("Basic key"), Err(Code::Unauthenticated)),
            (Some("key"), Err(Code::Unauthenticated)),
        ];
        for (header, expected) in cases {
            let mut request = Request::new(());
            if let Some(header) = header {
                request.metadata_mut().insert("authorization", header.parse().expect("ASCII"));
            }
            let found = RequireKey::new(Arc::clone(&keyring)).call(request).map(|_| ()).map_err(|status| status.code());
            assert_eq!(found, expected, "{header:?}");
        }
    }
}
