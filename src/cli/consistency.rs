//! How fresh an answer must be, as flags.

use clap::ValueEnum;

use super::failure::Failure;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::{Consistency, ZedToken};

/// The consistency of a read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConsistencyArgs {
    /// How fresh the answer must be [default: minimize, or fresh when a zookie is given]
    #[arg(long, value_enum, value_name = "MODE", help_heading = "Consistency")]
    #[arg(requires_if("fresh", "zookie"), requires_if("exact", "zookie"))]
    consistency: Option<Mode>,
    /// Zookie of the write that must be seen (fresh), or of the state that is meant (exact)
    #[arg(long, value_name = "ZOOKIE", help_heading = "Consistency")]
    zookie: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Sees every write acknowledged before now
    Full,
    /// What the node has, if that is not older than it allows (10 s, unless it is configured otherwise)
    Minimize,
    /// At the zookie or later
    Fresh,
    /// At exactly the zookie
    Exact,
}

impl ConsistencyArgs {
    /// As the wire has it.
    pub(super) fn to_wire(&self) -> Result<Consistency, Failure> {
        let token = || self.zookie.clone().map(|token| ZedToken { token });
        let missing = || Failure::usage("--consistency fresh and exact need --zookie");
        let requirement = match self.consistency {
            Some(Mode::Full | Mode::Minimize) if self.zookie.is_some() => {
                return Err(Failure::usage("--zookie goes with --consistency fresh or exact only"));
            }
            Some(Mode::Full) => Requirement::FullyConsistent(true),
            Some(Mode::Minimize) => Requirement::MinimizeLatency(true),
            Some(Mode::Fresh) => Requirement::AtLeastAsFresh(token().ok_or_else(missing)?),
            Some(Mode::Exact) => Requirement::AtExactSnapshot(token().ok_or_else(missing)?),
            None => token().map_or(Requirement::MinimizeLatency(true), Requirement::AtLeastAsFresh),
        };
        Ok(Consistency { requirement: Some(requirement) })
    }
}

/// The consistency that sees every write.
pub(super) fn fully_consistent() -> Consistency {
    Consistency { requirement: Some(Requirement::FullyConsistent(true)) }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Exit;
    use super::*;

    fn requirement(consistency: Option<Mode>, zookie: Option<&str>) -> Result<Requirement, Exit> {
        let args = ConsistencyArgs { consistency, zookie: zookie.map(str::to_owned) };
        args.to_wire().map(|c| c.requirement.expect("always set")).map_err(|failure| failure.exit())
    }

    #[test]
    fn flags_become_the_requirement() {
        let token = || ZedToken { token: "z".to_owned() };
        for (mode, zookie, expected) in [
            (None, None, Requirement::MinimizeLatency(true)),
            (None, Some("z"), Requirement::AtLeastAsFresh(token())),
            (Some(Mode::Full), None, Requirement::FullyConsistent(true)),
            (Some(Mode::Minimize), None, Requirement::MinimizeLatency(true)),
            (Some(Mode::Fresh), Some("z"), Requirement::AtLeastAsFresh(token())),
            (Some(Mode::Exact), Some("z"), Requirement::AtExactSnapshot(token())),
        ] {
            assert_eq!(requirement(mode, zookie), Ok(expected));
        }
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        for (mode, zookie) in
            [(Mode::Fresh, None), (Mode::Exact, None), (Mode::Full, Some("z")), (Mode::Minimize, Some("z"))]
        {
            assert_eq!(requirement(Some(mode), zookie), Err(Exit::Usage), "{mode:?}");
        }
    }
}
