//! `quorate schema write`.

use std::io::Read;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::lines;
use crate::cli::output::print_line;
use crate::model::limits;
use crate::wire::authzed::v1::WriteSchemaRequest;

const EXAMPLES: &str = "\
Examples:
  quorate schema write schema.zed
  cat schema.zed | quorate schema write -

The whole schema is replaced. A change that would orphan stored relationships is refused.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WriteArgs {
    /// File with the schema; - is standard input
    file: PathBuf,
}

pub(super) async fn run(connection: &ConnectionArgs, args: WriteArgs) -> Result<Exit, Failure> {
    let schema = read_schema(&args.file)?;
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .write(|node| {
            let request = WriteSchemaRequest { schema: schema.clone() };
            async move { node.schema().write_schema(request).await }
        })
        .await?;
    let zookie = answer.written_at.unwrap_or_default().token;
    if connection.json {
        print_line(json!({ "zookie": zookie }))?;
    } else {
        print_line(format_args!("schema written\nzookie: {zookie}"))?;
    }
    Ok(Exit::Done)
}

fn read_schema(file: &std::path::Path) -> Result<String, Failure> {
    let (input, _) = lines::open(file)?;
    let mut text = String::new();
    input
        .take(limits::SCHEMA_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    if text.len() > limits::SCHEMA_BYTES {
        return Err(Failure::usage(format!("{} is larger than a schema may be (4 MiB)", file.display())));
    }
    Ok(text)
}
