//! `quorate recover`: what is left of a cluster becomes a new one. Says first what it would do, and does it only when the old
//! cluster is named.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::output::{note, print_line};
use crate::node::Recovery;
use crate::raft::SurvivalReport;

const EXAMPLES: &str = "\
Examples:
  quorate recover --data-dir /var/lib/quorate            what is there, and what would be done
  quorate recover --data-dir /var/lib/quorate --abandon-cluster 8c814030c2050771

For when a majority of the voters is lost for good, and for nothing else: with a majority, a cluster goes on by
itself. The node must be stopped; run this as the user that it runs as. Of several nodes that are left, take the one
whose data ends latest, and empty the folders of the others. Neither the old members nor the old zookies belong to the
new cluster. What was there before is kept in a folder before-ID beside the new data.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RecoverArgs {
    /// Data folder of the node
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Do it: give up the cluster of this id, of which a majority is lost for good
    #[arg(long, value_name = "ID")]
    abandon_cluster: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RecoverArgs) -> Result<Exit, Failure> {
    let recovery = Recovery::prepare(&args.data_dir).await.map_err(|error| Failure::new(error.to_string()))?;
    let report = recovery.report().clone();
    let old = format!("{:016x}", report.membership.lineage);
    let tell = |founded: Option<u64>| {
        if args.json { print_line(document(&report, founded)) } else { print_line(summary(&report)) }
    };
    match args.abandon_cluster.as_deref() {
        Some(named) if named == old => {}
        Some(named) => {
            let message = format!("nothing was changed: this is a node of cluster {old}, not of {named}");
            return Err(Failure::usage(message));
        }
        None => {
            tell(None)?;
            let hint = format!(
                "if the other voters are lost for good, and none of them can come back: repeat this with --abandon-cluster \
                 {old}"
            );
            return Err(Failure::usage("nothing was changed, because this cannot be taken back").hint(hint));
        }
    }
    let founded = recovery.perform().await.map_err(|error| {
        Failure::new(error.to_string())
            .hint("start the node, or repeat the command, to see which of the two clusters it is in")
    })?;
    tell(Some(founded.lineage))?;
    if !args.json {
        print_line(format_args!(
            "node {} is now the only member of cluster {:016x}",
            founded.node_id, founded.lineage
        ))?;
        note("start it, and join others with empty data folders");
    }
    Ok(Exit::Done)
}

fn summary(report: &SurvivalReport) -> String {
    let SurvivalReport { membership, last, last_term, committed, applied, contradicted, lost } = report;
    let mut lines = vec![
        format!("node {} of cluster {:016x}", membership.node_id, membership.lineage),
        format!("data ends at       index {last}, of term {last_term}"),
        format!("known to be there  up to index {committed}; applied up to {applied}"),
        format!("of unknown outcome {} entries, which are kept", last.index().saturating_sub(committed.index())),
    ];
    if *contradicted > 0 {
        lines.push(format!("never committed    {contradicted} entries, which are left out"));
    }
    for member in lost {
        let vote = if member.voter { "voter" } else { "learner" };
        lines.push(format!("given up           node {} ({vote}) at {}", member.node_id, member.address.peer));
    }
    lines.join("\n")
}

fn document(report: &SurvivalReport, founded: Option<u64>) -> Value {
    let lost = report
        .lost
        .iter()
        .map(|member| json!({ "node_id": member.node_id, "voter": member.voter, "peer_address": member.address.peer }));
    json!({
        "node_id": report.membership.node_id,
        "lineage": format!("{:016x}", report.membership.lineage),
        "last_index": report.last.index(),
        "last_term": report.last_term,
        "committed_index": report.committed.index(),
        "applied_index": report.applied.index(),
        "contradicted_entries": report.contradicted,
        "lost": lost.collect::<Vec<_>>(),
        "founded": founded.map(|lineage| format!("{lineage:016x}")),
    })
}
