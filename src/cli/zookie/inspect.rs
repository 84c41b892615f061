//! `quorate zookie inspect`: without a server, what is in the token; with one, how its state stands to it.

use serde_json::{Value, json};

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::consistency::{Zookie, ZookieError};
use crate::wire::quorate::v1::{StatusRequest, StatusResponse};

const EXAMPLES: &str = "\
Examples:
  quorate zookie inspect AQECAwQFBgcICQoAAAAACwwNDiuVmO0
  quorate zookie inspect AQECAwQFBgcICQoAAAAACwwNDiuVmO0 --compare --endpoint node-2:50051

Without --compare nothing is asked of any node. Exit codes: 5 the token is not a zookie, 6 it is damaged, 7 a newer
version made it, 8 (with --compare) it is of another cluster.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// The token, exactly as a response gave it
    token: String,
    /// Ask the node at --endpoint whether it is of the same cluster and has reached the zookie
    #[arg(long)]
    compare: bool,
}

pub(super) async fn run(connection: &ConnectionArgs, args: &InspectArgs) -> Result<Exit, Failure> {
    let decoded = Zookie::decode(&args.token).map_err(|error| undecodable(&error))?;
    let compared = if args.compare {
        let cluster = connection.open(DEFAULT_TIMEOUT)?;
        let said = cluster.read(|node| async move { node.cluster().status(StatusRequest {}).await }).await?;
        Some((Standing::of(&decoded, &said), said))
    } else {
        None
    };
    let mut output = Output::new();
    if connection.json {
        output.json(&to_json(&decoded, compared.as_ref()))?;
    } else {
        output.line(format_args!("version  {}", Zookie::VERSION))?;
        output.line(format_args!("lineage  {:016x}", decoded.lineage))?;
        output.line(format_args!("shard    {}", decoded.shard))?;
        output.line(format_args!("index    {}", decoded.revision))?;
        if let Some((standing, said)) = &compared {
            output.line(standing.to_text(&decoded, said))?;
        }
    }
    output.flush()?;
    match compared {
        Some((Standing::Foreign, _)) => Ok(Exit::ForeignZookie),
        Some((Standing::Waiting, _)) => {
            Err(Failure::new("the node is not a member of any cluster, so there is nothing to compare with"))
        }
        Some((Standing::Expired | Standing::Reached | Standing::Behind | Standing::Unheard, _)) | None => {
            Ok(Exit::Done)
        }
    }
}

fn undecodable(error: &ZookieError) -> Failure {
    let exit = match error {
        ZookieError::NotAZookie => Exit::NotAZookie,
        ZookieError::Damaged => Exit::DamagedZookie,
        ZookieError::NewerVersion(_) => Exit::NewerZookie,
    };
    Failure::with_exit(exit, error.to_string())
}

/// How a node's state stands to a zookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The node belongs to no cluster.
    Waiting,
    /// The zookie is of another cluster.
    Foreign,
    /// The node has applied it, and keeps the state at it no more: enough for a lower bound, not for an exact state.
    Expired,
    /// The node has applied it.
    Reached,
    /// The node knows that there is such an index, and has yet to apply it.
    Behind,
    /// The node has not heard of such an index.
    Unheard,
}

impl Standing {
    fn of(zookie: &Zookie, said: &StatusResponse) -> Self {
        let index = zookie.revision.index();
        if said.lineage.is_empty() {
            Self::Waiting
        } else if said.lineage != format!("{:016x}", zookie.lineage) {
            Self::Foreign
        } else if index < said.oldest_index {
            Self::Expired
        } else if index <= said.applied_index {
            Self::Reached
        } else if index <= said.committed_index {
            Self::Behind
        } else {
            Self::Unheard
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Foreign => "foreign",
            Self::Expired => "expired",
            Self::Reached => "reached",
            Self::Behind => "behind",
            Self::Unheard => "unheard",
        }
    }

    fn to_text(self, zookie: &Zookie, said: &StatusResponse) -> String {
        let (node, applied, committed) = (said.node_id, said.applied_index, said.committed_index);
        let ahead = |of: u64| zookie.revision.index().saturating_sub(of);
        match self {
            Self::Waiting => "the node waits: it is not a member of any cluster".to_owned(),
            Self::Foreign => format!("of another cluster: node {node} belongs to {}", said.lineage),
            Self::Expired => format!(
                "reached, and no longer kept: node {node} keeps the states from {} on, so it is too old for an exact state",
                said.oldest_index
            ),
            Self::Reached => {
                format!(
                    "reached: node {node} has applied {applied}, {} entries further",
                    applied - zookie.revision.index()
                )
            }
            Self::Behind => {
                format!("not yet: node {node} has applied {applied} and is {} entries behind it", ahead(applied))
            }
            Self::Unheard => format!(
                "unheard of: node {node} knows of {committed} as committed, {} entries before it. Either the node is cut \
                 off or late, or the cluster lost data",
                ahead(committed)
            ),
        }
    }
}

fn to_json(zookie: &Zookie, compared: Option<&(Standing, StatusResponse)>) -> Value {
    let mut value = json!({
        "version": Zookie::VERSION,
        "lineage": format!("{:016x}", zookie.lineage),
        "shard": zookie.shard,
        "index": zookie.revision.index(),
    });
    if let Some((standing, said)) = compared {
        value["compared"] = json!({
            "standing": standing.name(),
            "node_id": said.node_id,
            "lineage": said.lineage,
            "applied_index": said.applied_index,
            "committed_index": said.committed_index,
            "oldest_index": said.oldest_index,
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;

    #[test]
    fn a_nodes_state_stands_to_a_zookie_in_one_of_six_ways() {
        let zookie = Zookie { lineage: 0xab, shard: 0, revision: Revision::new(10) };
        let said = |lineage: &str, applied_index, committed_index| StatusResponse {
            lineage: lineage.to_owned(),
            applied_index,
            committed_index,
            ..StatusResponse::default()
        };
        let own = "00000000000000ab";
        for (said, expected) in [
            (said("", 0, 0), Standing::Waiting),
            (said("00000000000000ac", 99, 99), Standing::Foreign),
            (said(own, 10, 10), Standing::Reached),
            (said(own, 12, 12), Standing::Reached),
            (StatusResponse { oldest_index: 10, ..said(own, 12, 12) }, Standing::Reached),
            (StatusResponse { oldest_index: 11, ..said(own, 12, 12) }, Standing::Expired),
            (said(own, 9, 10), Standing::Behind),
            (said(own, 9, 9), Standing::Unheard),
        ] {
            let found = Standing::of(&zookie, &said);
            assert_eq!(found, expected, "{said:?}");
            assert!(!found.to_text(&zookie, &said).is_empty());
        }
    }

    #[test]
    fn what_does_not_decode_has_an_exit_code_for_each_reason() {
        let good = Zookie { lineage: 7, shard: 0, revision: Revision::new(9) }.encode();
        let damaged = format!("{}B{}", &good[..8], &good[9..]);
        for (token, exit) in
            [("GhUKEzE2", Exit::NotAZookie), (damaged.as_str(), Exit::DamagedZookie), ("AgAAAAAA", Exit::NewerZookie)]
        {
            assert_ne!(token, good);
            assert_eq!(undecodable(&Zookie::decode(token).unwrap_err()).exit(), exit, "{token}");
        }
    }
}
