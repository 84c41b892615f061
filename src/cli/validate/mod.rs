//! `quorate validate`: the assertions of validation files, judged in this process, without a server.

mod document;
mod expectation;
#[cfg(test)]
mod fuzz;
mod judge;
mod problem;
mod yaml;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::{Exit, Failure};
use super::output::Output;
use super::schema::load_below;
use super::text_file;
use document::Document;
use problem::Problem;

use crate::model::TimestampMs;

const EXAMPLES: &str = "\
Examples:
  quorate validate permissions.yaml
  quorate validate tests/*.yaml

A file is YAML with `schema` (or `schemaFile`, a path below the folder of the file), `relationships`, `assertions` with lists
`assertTrue`, `assertFalse` and `assertCaveated`, and `validation`: for a relation or permission, all who have it.
The format is that of `zed validate` and of the SpiceDB playground.";

/// Larger files are refused.
const FILE_BYTES: usize = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ValidateArgs {
    /// Validation files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) async fn run(args: ValidateArgs) -> Result<Exit, Failure> {
    let mut output = Output::new();
    let mut failed = 0;
    for path in &args.files {
        let name = path.display();
        match validate(path).await {
            Ok(outcome) => {
                for problem in &outcome.problems {
                    output.line(problem.at(path))?;
                }
                let (assertions, subjects) = (outcome.assertions, outcome.expectations);
                if outcome.problems.is_empty() {
                    output.line(format_args!("{name}: ok ({assertions} assertions, {subjects} expected relations)"))?;
                } else {
                    failed += 1;
                }
            }
            Err(problem) => {
                failed += 1;
                output.line(problem.at(path))?;
            }
        }
    }
    output.flush()?;
    match failed {
        0 => Ok(Exit::Done),
        _ => Err(Failure::new(format!("{failed} of {} files do not hold", args.files.len()))),
    }
}

/// Reads and judges one file.
async fn validate(path: &Path) -> Result<judge::Outcome, Problem> {
    let text = text_file::read(path, FILE_BYTES).map_err(Problem::whole)?;
    let mut document = Document::parse(&text)?;
    if let Some(file) = document.schema_file.take() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let source = load_below(folder, &file.text)
            .map_err(|problem| Problem::at_line(file.line, format!("schemaFile {:?}: {problem}", file.text)))?;
        document.schema = yaml::Text { line: 1, text: source.text.clone() };
        document.schema_source = Some((folder.join(&file.text), source));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    judge::judge(document, TimestampMs(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))).await
}
