//! What a client says about freshness, and what it means here: the one place that judges a client's zookie.

use serde::Serialize;

use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode};

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
    /// The requirement on a view in the cluster of `lineage`.
    ///
    /// A token of another cluster says nothing about this one. Where a lower bound is asked for, full consistency satisfies
    /// whatever the client may have meant; an exact state cannot be given at all.
    pub(super) fn requirement(&self, lineage: u64) -> Result<Requirement, Error> {
        match self {
            Self::MinimizeLatency => Ok(Requirement::MinimizeLatency),
            Self::FullyConsistent => Ok(Requirement::FullyConsistent),
            Self::AtLeastAsFresh(token) => {
                let zookie = Zookie::decode(token)?;
                if zookie.lineage == lineage {
                    Ok(Requirement::AtLeastAsFresh(zookie.revision))
                } else {
                    Ok(Requirement::FullyConsistent)
                }
            }
            Self::AtExactSnapshot(token) => {
                let zookie = Zookie::decode(token)?;
                if zookie.lineage == lineage {
                    Ok(Requirement::AtExactSnapshot(zookie.revision))
                } else {
                    const MESSAGE: &str = "this zookie was made by another cluster, so no state of this one is meant; ask \
                                           with at_least_as_fresh, or with a zookie of this cluster";
                    Err(Error::new(ErrorCode::ForeignZookie, MESSAGE))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    #[test]
    fn a_requirement_follows_the_mode_and_the_lineage() {
        let token = |lineage| Zookie { lineage, shard: 0, revision: Revision::new(5) }.encode();
        let (own, foreign) = (token(1), token(2));
        let cases = [
            (Consistency::default(), Ok(Requirement::MinimizeLatency)),
            (Consistency::FullyConsistent, Ok(Requirement::FullyConsistent)),
            (Consistency::AtLeastAsFresh(own.clone()), Ok(Requirement::AtLeastAsFresh(Revision::new(5)))),
            (Consistency::AtLeastAsFresh(foreign.clone()), Ok(Requirement::FullyConsistent)),
            (Consistency::AtExactSnapshot(own), Ok(Requirement::AtExactSnapshot(Revision::new(5)))),
            (Consistency::AtExactSnapshot(foreign), Err(ErrorCode::ForeignZookie)),
            (Consistency::AtLeastAsFresh("GhUKEzE2".to_owned()), Err(ErrorCode::InvalidZookie)),
            (Consistency::AtExactSnapshot(String::new()), Err(ErrorCode::InvalidZookie)),
        ];
        for (consistency, expected) in cases {
            let found = consistency.requirement(1).map_err(|error| error.code);
            assert_eq!(found, expected, "{consistency:?}");
        }
    }
}
