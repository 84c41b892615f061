//! `quorate schema read`.

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::authzed::v1::ReadSchemaRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate schema read
  quorate schema read > schema.zed";

pub(super) async fn run(connection: &ConnectionArgs) -> Result<Exit, Failure> {
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster.read(|node| async move { node.schema().read_schema(ReadSchemaRequest {}).await }).await?;
    if connection.json {
        let zookie = answer.read_at.unwrap_or_default().token;
        print_line(json!({ "schema": answer.schema_text, "zookie": zookie }))?;
    } else {
        print_line(answer.schema_text.trim_end())?;
    }
    Ok(Exit::Done)
}
