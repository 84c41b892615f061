//! `x-request-id`: every response says which request it answers, so that a line of the log and a client's complaint can be
//! brought together. A client may choose the id.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::body::Body;
use tracing::Instrument as _;

use super::step::{Answering, Step};

/// Where the id stands.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// A longer id of a client is replaced.
const LONGEST_BYTES: usize = 128;

/// Answers with the id of the request, and logs under it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestIds;

impl<In> Step<In> for RequestIds {
    fn take<E, F>(&self, mut request: Request<In>, call: impl FnOnce(Request<In>) -> F) -> Answering<E>
    where
        E: Send + 'static,
        F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    {
        let id = choose(request.headers());
        // For whoever serves it, and wants to name it.
        request.headers_mut().insert(HEADER, id.clone());
        let span = tracing::info_span!("request", method = request.uri().path(), id = id.to_str().unwrap_or_default());
        let answer = call(request);
        let with_id = async move {
            let mut response = answer.await?;
            response.headers_mut().insert(HEADER, id);
            Ok(response)
        };
        Box::pin(with_id.instrument(span))
    }
}

/// The client's id, if it is harmless, or a fresh one.
pub(super) fn choose(headers: &HeaderMap) -> HeaderValue {
    usable(headers.get(HEADER)).unwrap_or_else(fresh)
}

fn usable(value: Option<&HeaderValue>) -> Option<HeaderValue> {
    let value = value?;
    let fits = !value.is_empty() && value.len() <= LONGEST_BYTES && value.as_bytes().iter().all(u8::is_ascii_graphic);
    fits.then(|| value.clone())
}

fn fresh() -> HeaderValue {
    let id: u128 = rand::random();
    HeaderValue::try_from(format!("{id:032x}")).expect("hexadecimal digits are a valid header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_kept_if_it_is_harmless() {
        let cases = [("abc-1", true), ("", false), ("a b", false)];
        for (text, kept) in cases {
            let value = HeaderValue::from_static(text);
            assert_eq!(usable(Some(&value)).is_some(), kept, "{text:?}");
        }
        assert!(usable(Some(&HeaderValue::try_from("x".repeat(129)).expect("ASCII"))).is_none());
        assert!(usable(None).is_none());
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(fresh(), fresh());
        assert_eq!(fresh().len(), 32);
    }
}
