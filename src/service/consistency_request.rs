//! What a client says about freshness, and what it means here: the one place that judges a client's zookie.

use serde::Serialize;

use crate::consistency::{Kinship, Requirement, Zookie};
use crate::model::{Error, ErrorCode, Revision};

/// How fresh an answer must be, as the client says it. The default is the one for requests that say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub enum Consistency {
    /// What this node has.
    #[default]
    MinimizeLatency,
    /// Everything acknowledged before the request began.
    FullyConsistent,
    /// Everything up to this token.
    AtLeastAsFresh(String),
    /// The state at this token.
    AtExactSnapshot(String),
}

impl Consistency {
    /// The requirement on a view in a cluster to which a zookie stands as `kinship` says.
    ///
    /// A token of another cluster says nothing about this one. Where a lower bound is asked for, full consistency satisfies
    /// whatever the client may have meant; an exact state cannot be given at all. A token of the cluster that this one was
    /// restored from, for a state that was lost then, is known to ask for more than there is.
    pub(super) fn requirement(&self, kinship: impl Fn(Zookie) -> Result<Kinship, Error>) -> Result<Requirement, Error> {
        match self {
            Self::MinimizeLatency => Ok(Requirement::MinimizeLatency),
            Self::FullyConsistent => Ok(Requirement::FullyConsistent),
            Self::AtLeastAsFresh(token) => {
                let zookie = Zookie::decode(token)?;
                match kinship(zookie)? {
                    Kinship::Shared => Ok(Requirement::AtLeastAsFresh(zookie.revision)),
                    Kinship::Foreign => Ok(Requirement::FullyConsistent),
                    Kinship::Lost { through } => Err(lost(zookie, through)),
                }
            }
            Self::AtExactSnapshot(token) => {
                let zookie = Zookie::decode(token)?;
                match kinship(zookie)? {
                    Kinship::Shared => Ok(Requirement::AtExactSnapshot(zookie.revision)),
                    Kinship::Lost { through } => Err(lost(zookie, through)),
                    Kinship::Foreign => {
                        const MESSAGE: &str = "this zookie was made by another cluster, so no state of this one is meant; \
                                               ask with at_least_as_fresh, or with a zookie of this cluster";
                        Err(Error::new(ErrorCode::ForeignZookie, MESSAGE))
                    }
                }
            }
        }
    }
}

/// What a zookie of a cluster that this one was restored from says, where its state did not come along.
pub(super) fn lost(zookie: Zookie, through: Revision) -> Error {
    let message = format!(
        "the zookie names revision {} of the cluster that this one was restored from, and the backup has {through} at the \
         most: what it saw is lost. Read anew, and use what that answers",
        zookie.revision
    );
    Error::new(ErrorCode::ZookieFromFuture, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_follows_the_mode_and_the_lineage() {
        let token = |lineage| Zookie { lineage, shard: 0, revision: Revision::new(5) }.encode();
        let (own, foreign, lost) = (token(1), token(2), token(3));
        let kinship = |zookie: Zookie| match zookie.lineage {
            1 => Ok(Kinship::Shared),
            2 => Ok(Kinship::Foreign),
            _ => Ok(Kinship::Lost { through: Revision::new(4) }),
        };
        let cases = [
            (Consistency::default(), Ok(Requirement::MinimizeLatency)),
            (Consistency::FullyConsistent, Ok(Requirement::FullyConsistent)),
            (Consistency::AtLeastAsFresh(own.clone()), Ok(Requirement::AtLeastAsFresh(Revision::new(5)))),
            (Consistency::AtLeastAsFresh(foreign.clone()), Ok(Requirement::FullyConsistent)),
            (Consistency::AtExactSnapshot(own), Ok(Requirement::AtExactSnapshot(Revision::new(5)))),
            (Consistency::AtExactSnapshot(foreign), Err(ErrorCode::ForeignZookie)),
            (Consistency::AtLeastAsFresh(lost.clone()), Err(ErrorCode::ZookieFromFuture)),
            (Consistency::AtExactSnapshot(lost), Err(ErrorCode::ZookieFromFuture)),
            (Consistency::AtLeastAsFresh("GhUKEzE2".to_owned()), Err(ErrorCode::InvalidZookie)),
            (Consistency::AtExactSnapshot(String::new()), Err(ErrorCode::InvalidZookie)),
        ];
        for (consistency, expected) in cases {
            let found = consistency.requirement(kinship).map_err(|error| error.code);
            assert_eq!(found, expected, "{consistency:?}");
        }
    }
}
