//! Checks: from messages to questions, and from decisions to messages.

use prost::Message as _;
use prost_types::Struct;

use super::json::to_context;
use super::requests::{to_consistency, to_resource, to_subject};
use super::responses::to_zed_token;
use super::traces::to_debug_information;
use crate::api::errors::to_rpc_status;
use crate::caveat::Context;
use crate::model::{Decision, Error, ErrorCode, RelationName, limits};
use crate::service::{BulkCheckAnswer, CheckAnswer, CheckItem, Consistency, Explain, ItemAnswer};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::check_bulk_permissions_pair::Response as PairResponse;
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::quorate::v1 as own;

/// The context of a request, within its bound.
pub(super) fn to_request_context(context: Option<&Struct>) -> Result<Context, Error> {
    let bytes = context.map_or(0, Struct::encoded_len);
    let most = limits::REQUEST_CONTEXT_BYTES;
    if bytes > most {
        let message = format!("the context has {bytes} bytes and may have {most}; leave out what no caveat asks for");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    to_context(context)
}

/// Whether a trace is asked for.
pub(in crate::api::authzed) fn to_explain(with_tracing: bool) -> Explain {
    if with_tracing { Explain::Yes } else { Explain::No }
}

/// One question.
pub(in crate::api) fn to_check_item(
    resource: Option<wire::ObjectReference>,
    permission: &str,
    subject: Option<wire::SubjectReference>,
    context: Option<&Struct>,
) -> Result<CheckItem, Error> {
    Ok(CheckItem {
        resource: to_resource(resource)?,
        permission: RelationName::new(permission)?,
        subject: to_subject(subject)?,
        context: to_request_context(context)?,
    })
}

/// One check.
pub(in crate::api::authzed) fn to_check(
    request: wire::CheckPermissionRequest,
) -> Result<(Consistency, CheckItem), Error> {
    let question = to_check_item(request.resource, &request.permission, request.subject, request.context.as_ref())?;
    Ok((to_consistency(request.consistency)?, question))
}

/// Many checks. One that is malformed makes the whole request so, as in SpiceDB.
pub(in crate::api::authzed) fn to_bulk_check(
    consistency: Option<wire::Consistency>,
    items: &[wire::CheckBulkPermissionsRequestItem],
) -> Result<(Consistency, Vec<CheckItem>), Error> {
    let to_question = |item: &wire::CheckBulkPermissionsRequestItem| {
        to_check_item(item.resource.clone(), &item.permission, item.subject.clone(), item.context.as_ref())
    };
    Ok((to_consistency(consistency)?, items.iter().map(to_question).collect::<Result<_, Error>>()?))
}

fn to_permissionship(decision: &Decision) -> Permissionship {
    match decision {
        Decision::Allowed => Permissionship::HasPermission,
        Decision::Denied => Permissionship::NoPermission,
        Decision::Conditional { .. } => Permissionship::ConditionalPermission,
    }
}

/// What a conditional decision lacks.
pub(super) fn to_partial_caveat_info(decision: &Decision) -> Option<wire::PartialCaveatInfo> {
    match decision {
        Decision::Allowed | Decision::Denied => None,
        Decision::Conditional { missing } => {
            Some(wire::PartialCaveatInfo { missing_required_context: missing.clone() })
        }
    }
}

/// The answer to a check.
pub(in crate::api::authzed) fn from_check(answer: CheckAnswer) -> wire::CheckPermissionResponse {
    wire::CheckPermissionResponse {
        checked_at: Some(to_zed_token(answer.zookie)),
        permissionship: to_permissionship(&answer.answer.decision).into(),
        partial_caveat_info: to_partial_caveat_info(&answer.answer.decision),
        debug_trace: answer.answer.explained.map(to_debug_information),
        optional_expires_at: None,
    }
}

/// The answer to a check before content changes.
pub(in crate::api) fn from_content_change(answer: &CheckAnswer) -> own::ContentChangeCheckResponse {
    own::ContentChangeCheckResponse {
        permissionship: to_permissionship(&answer.answer.decision).into(),
        partial_caveat_info: to_partial_caveat_info(&answer.answer.decision),
        zookie: Some(to_zed_token(answer.zookie)),
    }
}

/// The answer to many checks, each beside its question.
pub(in crate::api::authzed) fn from_bulk_check(
    items: Vec<wire::CheckBulkPermissionsRequestItem>,
    answer: BulkCheckAnswer,
) -> wire::CheckBulkPermissionsResponse {
    let to_pair = |(item, answer): (_, Result<ItemAnswer, _>)| wire::CheckBulkPermissionsPair {
        request: Some(item),
        response: Some(match answer {
            Ok(answer) => PairResponse::Item(wire::CheckBulkPermissionsResponseItem {
                permissionship: to_permissionship(&answer.decision).into(),
                partial_caveat_info: to_partial_caveat_info(&answer.decision),
                debug_trace: answer.explained.map(to_debug_information),
            }),
            Err(error) => PairResponse::Error(to_rpc_status(error)),
        }),
    };
    wire::CheckBulkPermissionsResponse {
        checked_at: Some(to_zed_token(answer.zookie)),
        pairs: items.into_iter().zip(answer.answers).map(to_pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Value;
    use prost_types::value::Kind;

    use super::*;
    use crate::consistency::Zookie;
    use crate::model::Revision;

    const ZOOKIE: Zookie = Zookie { lineage: 3, shard: 0, revision: Revision::new(4) };

    fn text_of(bytes: usize) -> Struct {
        let value = Value { kind: Some(Kind::StringValue("x".repeat(bytes))) };
        Struct { fields: [("k".to_owned(), value)].into() }
    }

    #[test]
    fn a_context_is_bounded_by_its_size_on_the_wire() {
        let overhead = text_of(4000).encoded_len() - 4000;
        let fits = text_of(limits::REQUEST_CONTEXT_BYTES - overhead);
        assert_eq!(fits.encoded_len(), limits::REQUEST_CONTEXT_BYTES);
        assert!(to_request_context(Some(&fits)).expect("fits").get("k").is_some());
        let too_large = text_of(limits::REQUEST_CONTEXT_BYTES - overhead + 1);
        assert_eq!(to_request_context(Some(&too_large)).expect_err("large").code, ErrorCode::InvalidArgument);
        assert!(to_request_context(None).expect("none").is_empty());
    }

    #[test]
    fn a_conditional_decision_says_what_it_lacks() {
        let missing = vec!["one".to_owned(), "two".to_owned()];
        let answer =
            |decision| CheckAnswer { answer: ItemAnswer { decision, explained: None }, zookie: ZOOKIE, raised: None };
        let response = from_check(answer(Decision::Conditional { missing: missing.clone() }));
        assert_eq!(response.permissionship(), Permissionship::ConditionalPermission);
        assert_eq!(response.partial_caveat_info.expect("given").missing_required_context, missing);
        let response = from_check(answer(Decision::Allowed));
        assert_eq!((response.permissionship(), response.partial_caveat_info), (Permissionship::HasPermission, None));
    }

    #[test]
    fn a_failed_item_is_a_status_beside_its_question() {
        let item = |id: &str| wire::CheckBulkPermissionsRequestItem { permission: id.to_owned(), ..Default::default() };
        let answered = |decision| Ok(ItemAnswer { decision, explained: None });
        let no_such = Err(Error::new(ErrorCode::UnknownRelation, "no such"));
        let answers = vec![answered(Decision::Allowed), no_such, answered(Decision::Denied)];
        let answer = BulkCheckAnswer { answers, zookie: ZOOKIE, raised: None };
        let pairs = from_bulk_check(vec![item("first"), item("second"), item("third")], answer).pairs;
        let shown: Vec<_> = pairs
            .into_iter()
            .map(|pair| {
                let answer = match pair.response.expect("given") {
                    PairResponse::Item(item) => Ok(item.permissionship()),
                    PairResponse::Error(status) => Err(status.code),
                };
                (pair.request.expect("given").permission, answer)
            })
            .collect();
        let expected = [
            ("first".to_owned(), Ok(Permissionship::HasPermission)),
            ("second".to_owned(), Err(tonic::Code::FailedPrecondition as i32)),
            ("third".to_owned(), Ok(Permissionship::NoPermission)),
        ];
        assert_eq!(shown, expected);
    }
}
