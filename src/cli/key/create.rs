//! `quorate key create`: the key on standard output, once; its entry, which has a hash only, appended to the file or shown.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{note, print_line};
use crate::security::{KeyEntry, Scope};

const EXAMPLES: &str = "\
Examples:
  quorate key create billing --scope read --append-to /etc/quorate/keys.toml
  quorate key create importer --scope read --scope write --scope schema

The key is shown once and kept nowhere. A node takes the file up within 30 seconds, or at once on SIGHUP.
To replace a key: create another one under another name, give it to its bearer, and take the old entry out.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CreateArgs {
    /// Whose key it is: for people, and in the message of a call that it is not good for
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
    /// What it is good for; repeat it for several
    #[arg(long, required = true, value_enum, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// Requests a second that its bearer may make of each node [default: what limits.rate_per_key of the node says]
    #[arg(long, value_name = "COUNT")]
    rate: Option<NonZeroU32>,
    /// Requests that may come at once after a pause [default: those of one second]
    #[arg(long, value_name = "COUNT", requires = "rate")]
    burst: Option<NonZeroU32>,
    /// Requests that may be open at the same time on each node [default: what limits.concurrent_requests_per_key says]
    #[arg(long, value_name = "COUNT")]
    concurrent: Option<NonZeroU32>,
    /// Add the entry to this file, which nodes have as client.key_file
    #[arg(long, value_name = "FILE")]
    append_to: Option<PathBuf>,
}

pub(super) fn run(args: CreateArgs) -> Result<Exit, Failure> {
    let mut scopes = args.scope;
    scopes.sort_unstable();
    scopes.dedup();
    let (key, entry) = KeyEntry::generate(&args.name, &scopes);
    let entry = KeyEntry { rate: args.rate, burst: args.burst, concurrent: args.concurrent, ..entry };
    match &args.append_to {
        Some(path) => {
            entry.append_to(path).map_err(|error| Failure::new(error.to_string()))?;
            note(format!("added to {}; the key, which is shown this once:", path.display()));
        }
        None => {
            note("for the file that nodes have as client.key_file:");
            note(entry.to_toml());
            note("the key, which is shown this once:");
        }
    }
    print_line(&key)?;
    Ok(Exit::Done)
}

fn parse_name(text: &str) -> Result<String, String> {
    KeyEntry::check_name(text).map(|()| text.to_owned())
}
