//! `quorate.v1.ConsistencyService`: the check before content changes, and floors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use crate::api::audit::what;
use crate::api::authzed::{call, from_content_change, to_check_item, to_zed_token};
use crate::api::errors::to_status;
use crate::audit::{note_answer, note_what};
use crate::model::{Error, ErrorCode, Floor, Revision, TypeName};
use crate::service::Services;
use crate::wire::quorate::v1 as wire;
use crate::wire::quorate::v1::consistency_service_server::ConsistencyService;
use crate::wire::quorate::v1::floor::Least;

/// Serves what the authzed API has no call for.
pub(in crate::api) struct Consistency {
    services: Arc<Services>,
}

impl Consistency {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl ConsistencyService for Consistency {
    async fn content_change_check(
        &self,
        request: Request<wire::ContentChangeCheckRequest>,
    ) -> Result<Response<wire::ContentChangeCheckResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let wire::ContentChangeCheckRequest { resource, permission, subject, context } = request.into_inner();
        let item = to_check_item(resource, &permission, subject, context.as_ref()).map_err(to_status)?;
        note_what(|| what::check(&item));
        let answer = self.services.check_content_change(call, item).await.map_err(to_status)?;
        note_answer(|| what::decision(&answer.answer.decision).into());
        Ok(Response::new(from_content_change(&answer)))
    }

    async fn get_floors(
        &self,
        request: Request<wire::GetFloorsRequest>,
    ) -> Result<Response<wire::GetFloorsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let answer = self.services.read_floors(call).await.map_err(to_status)?;
        Ok(Response::new(wire::GetFloorsResponse {
            version: answer.floors.version.index(),
            floors: answer.floors.by_type.iter().map(|(name, floor)| from_floor(name, *floor)).collect(),
            read_at: Some(to_zed_token(answer.zookie)),
        }))
    }

    async fn set_floors(
        &self,
        request: Request<wire::SetFloorsRequest>,
    ) -> Result<Response<wire::SetFloorsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let wire::SetFloorsRequest { expected_version, floors } = request.into_inner();
        let floors = to_floors(floors).map_err(to_status)?;
        note_what(|| what::floors(floors.iter()));
        let set = self.services.set_floors(call, Revision::new(expected_version), floors).await.map_err(to_status)?;
        Ok(Response::new(wire::SetFloorsResponse { version: set.revision.index(), set_at: Some(to_zed_token(set)) }))
    }
}

fn from_floor(name: &TypeName, floor: Floor) -> wire::Floor {
    let least = match floor {
        Floor::FullyConsistent => Least::FullyConsistent(true),
        Floor::MaxStaleness(bound) => Least::MaxStaleness(prost_types::Duration {
            seconds: i64::try_from(bound.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(bound.subsec_nanos()).expect("below a thousand million"),
        }),
    };
    wire::Floor { object_type: name.to_string(), least: Some(least) }
}

fn to_floors(floors: Vec<wire::Floor>) -> Result<BTreeMap<TypeName, Floor>, Error> {
    let mut by_type = BTreeMap::new();
    for wire::Floor { object_type, least } in floors {
        let name = TypeName::new(&object_type)?;
        let floor = to_floor(&name, least)?;
        if by_type.insert(name, floor).is_some() {
            let message = format!("`{object_type}` is given two floors; give it one");
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
    }
    Ok(by_type)
}

fn to_floor(name: &TypeName, least: Option<Least>) -> Result<Floor, Error> {
    let bound = match least {
        Some(Least::FullyConsistent(true)) => return Ok(Floor::FullyConsistent),
        Some(Least::MaxStaleness(bound)) => Duration::try_from(bound).ok(),
        Some(Least::FullyConsistent(false)) | None => None,
    };
    // A fraction of a millisecond would be lost where it is compared.
    match bound.filter(|bound| bound.subsec_nanos().is_multiple_of(1_000_000)) {
        Some(bound) => Ok(Floor::MaxStaleness(bound)),
        None => {
            let message = format!(
                "the floor of `{name}` says nothing; set fully_consistent to true, or max_staleness to a number of whole \
                 milliseconds"
            );
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_survive_the_way_there_and_back() {
        let within = |ms| Floor::MaxStaleness(Duration::from_millis(ms));
        let floors = [("aaa", Floor::FullyConsistent), ("bbb", within(5000)), ("ccc", within(1))];
        let floors: BTreeMap<_, _> = floors.map(|(name, floor)| (TypeName::new(name).expect("valid"), floor)).into();
        let messages: Vec<_> = floors.iter().map(|(name, floor)| from_floor(name, *floor)).collect();
        assert_eq!(to_floors(messages), Ok(floors));
    }

    #[test]
    fn a_floor_says_one_thing_about_one_type() {
        let floor = |name: &str, least| wire::Floor { object_type: name.to_owned(), least };
        let lasting = |seconds, nanos| Some(Least::MaxStaleness(prost_types::Duration { seconds, nanos }));
        let full = Some(Least::FullyConsistent(true));
        let refused = [
            vec![floor("", full)],
            vec![floor("A b", full)],
            vec![floor("aaa", None)],
            vec![floor("aaa", Some(Least::FullyConsistent(false)))],
            vec![floor("aaa", lasting(-1, 0))],
            vec![floor("aaa", lasting(0, 1))],
            vec![floor("aaa", full), floor("aaa", lasting(1, 0))],
        ];
        for floors in refused {
            let text = format!("{floors:?}");
            assert_eq!(to_floors(floors).expect_err(&text).code, ErrorCode::InvalidArgument);
        }
    }
}
