//! Imports, exports and counters: between messages and what the services take and give.

use tonic::{Code, Status};

use super::filters::to_filter;
use super::requests::{to_consistency, to_limit, to_tuple};
use super::responses::{to_relationship, to_zed_token};
use crate::model::{CounterName, Error, ErrorCode, Tuple, TupleFilter};
use crate::service::{Count, ExportPage, ExportTuples};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::experimental_count_relationships_response::CounterResult;

/// One message of an import, or how its stream broke off.
pub(in crate::api::authzed) fn to_import(
    message: Result<wire::ImportBulkRelationshipsRequest, Status>,
) -> Result<Vec<Tuple>, Error> {
    match message {
        Ok(message) => message.relationships.into_iter().map(|tuple| to_tuple(Some(tuple))).collect(),
        Err(status) => {
            let code = match status.code() {
                Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument => ErrorCode::InvalidArgument,
                // Whoever would be told has most likely gone.
                _ => ErrorCode::Unavailable,
            };
            Err(Error::new(code, format!("the stream of relationships broke off: {}", status.message())))
        }
    }
}

/// An export.
pub(in crate::api::authzed) fn to_export(request: wire::ExportBulkRelationshipsRequest) -> Result<ExportTuples, Error> {
    let filter = request.optional_relationship_filter;
    Ok(ExportTuples {
        consistency: to_consistency(request.consistency)?,
        filter: filter.map(|filter| to_filter(Some(filter))).transpose()?,
        page_tuples: to_limit(request.optional_limit),
        cursor: request.optional_cursor.map(|cursor| cursor.token),
    })
}

/// One page of an export.
pub(in crate::api::authzed) fn from_export(page: ExportPage) -> wire::ExportBulkRelationshipsResponse {
    wire::ExportBulkRelationshipsResponse {
        after_result_cursor: Some(wire::Cursor { token: page.cursor }),
        relationships: page.tuples.iter().map(to_relationship).collect(),
    }
}

/// The name of a counter.
pub(in crate::api::authzed) fn to_counter_name(name: &str) -> Result<CounterName, Error> {
    if name.is_empty() {
        return Err(Error::new(ErrorCode::InvalidArgument, "the counter's name is required"));
    }
    Ok(CounterName::new(name)?)
}

/// A counter to register.
pub(in crate::api::authzed) fn to_counter(
    request: wire::ExperimentalRegisterRelationshipCounterRequest,
) -> Result<(CounterName, TupleFilter), Error> {
    Ok((to_counter_name(&request.name)?, to_filter(request.relationship_filter)?))
}

/// What a counter says.
pub(in crate::api::authzed) fn from_count(count: Count) -> wire::ExperimentalCountRelationshipsResponse {
    let result = match count {
        Count::StillCounting => CounterResult::CounterStillCalculating(true),
        Count::Counted { tuples, zookie } => CounterResult::ReadCounterValue(wire::ReadCounterValue {
            relationship_count: tuples,
            read_at: Some(to_zed_token(zookie)),
        }),
    };
    wire::ExperimentalCountRelationshipsResponse { counter_result: Some(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_needs_a_name_and_a_filter() {
        let filter = Some(wire::RelationshipFilter { resource_type: "document".to_owned(), ..Default::default() });
        let request = |name: &str, relationship_filter| wire::ExperimentalRegisterRelationshipCounterRequest {
            name: name.to_owned(),
            relationship_filter,
        };
        assert!(to_counter(request("abc", filter.clone())).is_ok());
        for refused in [request("", filter.clone()), request("a b", filter), request("abc", None)] {
            assert_eq!(to_counter(refused).expect_err("malformed").code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn an_export_of_everything_has_no_filter() {
        assert_eq!(to_export(Default::default()), Ok(ExportTuples::default()));
        let empty = wire::ExportBulkRelationshipsRequest {
            optional_relationship_filter: Some(Default::default()),
            ..Default::default()
        };
        assert_eq!(to_export(empty).expect("judged by the service").filter, Some(TupleFilter::default()));
    }
}
