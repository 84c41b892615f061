//! Floors as use cases: reading and replacing them, and the views that meet them.
//!
//! A view is judged by the floors that this node had applied when the view was there, not by those from before it waited: so
//! an answer at an index meets every floor that was set up to this index.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Call, Consistency, Services};
use crate::audit::note_effect;
use crate::consistency::{Demand, Raised, Requirement, Scope, Zookie};
use crate::model::{Error, ErrorCode, Floor, Floors, Revision, TypeName, limits};
use crate::raft::{CommandBody, Outcome, Refusal, SetFloors};
use crate::store::ReadView;
use crate::telemetry::note_index;

/// How often a view is taken anew because the floors changed meanwhile.
const ATTEMPTS: usize = 5;

/// What an answer is made from.
pub(super) struct Basis {
    /// The state.
    pub(super) view: Arc<dyn ReadView>,
    /// Its name.
    pub(super) zookie: Zookie,
    /// The floor that made the request stricter.
    pub(super) raised: Option<Raised>,
}

/// The floors in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloorsAnswer {
    /// What they are.
    pub floors: Arc<Floors>,
    /// A state that they were in force at.
    pub zookie: Zookie,
}

impl Services {
    /// A view for an answer about `scope` that is as fresh as the client asks and as the floors demand.
    pub(super) async fn basis(&self, call: Call, consistency: &Consistency, scope: Scope<'_>) -> Result<Basis, Error> {
        let (requirement, beside) = (self.requirement(consistency)?, call.staleness.requirement()?);
        let views = self.views()?;
        let mut floors = views.floors(call.store);
        for _ in 0..ATTEMPTS {
            let demand = Demand::raised(&floors, &scope, requirement, beside, views.ceiling())?;
            let view =
                self.view_by_steps(call, &demand).await.map_err(|error| explain(error, demand.raised.as_ref()))?;
            let now = views.floors(call.store);
            let is_met = now.version == floors.version
                || Demand::raised(&now, &scope, requirement, beside, views.ceiling())?.steps == demand.steps;
            if is_met {
                let zookie = self.zookie(view.revision())?;
                return Ok(Basis { view, zookie, raised: demand.raised });
            }
            floors = now;
        }
        const MESSAGE: &str = "the floors kept changing while this request waited; try again";
        Err(Error::new(ErrorCode::Unavailable, MESSAGE))
    }

    /// The latest floors.
    pub async fn read_floors(&self, call: Call) -> Result<FloorsAnswer, Error> {
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let floors = self.views()?.floors(call.store);
        // They may have been set after the view was taken.
        let zookie = self.zookie(view.revision().max(floors.version))?;
        Ok(FloorsAnswer { floors, zookie })
    }

    /// Replaces the floors by `floors`, if `version` is still the one in force. The zookie names the first state under them;
    /// its revision is their version.
    pub async fn set_floors(
        &self,
        call: Call,
        version: Revision,
        floors: BTreeMap<TypeName, Floor>,
    ) -> Result<Zookie, Error> {
        check(&floors)?;
        let set = SetFloors { store: call.store, replaces: version, floors };
        let applied = self.propose(call, CommandBody::SetFloors(set)).await?;
        match applied.outcome {
            Outcome::Done => {
                note_effect(applied.revision.index(), false);
                note_index(applied.revision.index());
                self.zookie(applied.revision)
            }
            Outcome::Refused(Refusal::FloorsChanged { current }) => {
                let message = format!(
                    "the floors were not changed: their version is {current}, and the change was made from {version}; read \
                     them, and make it again"
                );
                Err(Error::new(ErrorCode::Conflict, message).with("current_version", current))
            }
            outcome @ (Outcome::Refused(_) | Outcome::Deleted { .. } | Outcome::Admitted { .. }) => {
                let message = format!("a change of the floors came to an outcome that is not one of it: {outcome:?}");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }
}

fn check(floors: &BTreeMap<TypeName, Floor>) -> Result<(), Error> {
    let (count, most) = (floors.len(), limits::FLOORS_PER_STORE);
    if count > most {
        let message = format!("{count} floors are more than the {most} that there may be");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    for (name, floor) in floors {
        let Floor::MaxStaleness(bound) = floor else { continue };
        if !(1..=u128::from(limits::FLOOR_STALENESS_MS)).contains(&bound.as_millis()) {
            let message = format!(
                "the floor of `{name}` allows an age of {bound:?}; give 1ms to 24h, or make it fully consistent"
            );
            return Err(Error::new(ErrorCode::InvalidArgument, message));
        }
    }
    Ok(())
}

/// Who asked for little should not wonder why so much was needed.
fn explain(mut error: Error, raised: Option<&Raised>) -> Error {
    if let Some(Raised { to, by }) = raised {
        error.message = format!("{} (the floor of `{by}` raised the request to {to})", error.message);
    }
    error
}
