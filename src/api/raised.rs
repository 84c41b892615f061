//! `quorate-consistency-raised`: an answer says when a floor made its request stricter, to what, and whose floor it was.

use tonic::Response;
use tonic::metadata::{Ascii, MetadataValue};

use crate::service::Raised;

/// Metadata of a response: `fully_consistent (payment)`, `max_staleness=5s (catalog)`.
const HEADER: &str = "quorate-consistency-raised";

/// The response with this message.
pub(super) fn respond<T>(message: T, raised: Option<&Raised>) -> Response<T> {
    let mut response = Response::new(message);
    let value: Option<MetadataValue<Ascii>> = raised.and_then(|raised| raised.to_string().parse().ok());
    if let Some(value) = value {
        response.metadata_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Floor, TypeName};

    #[test]
    fn only_what_was_raised_says_so() {
        let by = TypeName::new("tenant/payment").expect("valid");
        let raised = Raised { to: Floor::FullyConsistent, by };
        let found = respond((), Some(&raised));
        assert_eq!(found.metadata().get(HEADER).expect("it was raised"), "fully_consistent (tenant/payment)");
        assert!(respond((), None).metadata().is_empty());
    }
}
