//! `quorate schema write`.

use std::path::PathBuf;

use serde_json::json;

use super::{plan, source};
use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::cli::write_key::KeyArgs;
use crate::wire::authzed::v1::WriteSchemaRequest;

const EXAMPLES: &str = "\
Examples:
  quorate schema write schema.zed
  quorate schema write --dry-run schema.zed
  cat schema.zed | quorate schema write -

The whole schema is replaced. A change that would orphan stored relationships is refused.
Files that the schema imports are put into one text first.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WriteArgs {
    /// Only show what would change; fail if something stands in the way, or if that is not known
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    key: KeyArgs,
    /// File with the schema, with its imports; - is standard input
    file: PathBuf,
}

pub(super) async fn run(connection: &ConnectionArgs, args: WriteArgs) -> Result<Exit, Failure> {
    let source = source::load(&args.file)?;
    if args.dry_run {
        let plan = plan::ask(connection, &source).await?;
        let refusal = plan.refusal();
        plan.print(connection.json)?;
        return refusal.map_or(Ok(Exit::Done), Err);
    }
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let key = args.key.key();
    let answer = cluster
        .write_once(&key, |node| {
            let request = WriteSchemaRequest { schema: source.text.clone() };
            async move { node.schema().write_schema(request).await }
        })
        .await
        .map_err(|error| source.locate(key.explain(error)))?;
    let zookie = answer.written_at.unwrap_or_default().token;
    if connection.json {
        print_line(json!({ "zookie": zookie }))?;
    } else {
        print_line(format_args!("schema written\nzookie: {zookie}"))?;
    }
    Ok(Exit::Done)
}
