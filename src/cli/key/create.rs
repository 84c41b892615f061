//! `quorate key create`: the key on standard output, once; its entry, which has a hash only, appended to the file or shown.

use std::fs::OpenOptions;
use std::io::Write as _;
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
    /// Whose key it is: for people, and for the audit log
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
    /// What it is good for; repeat it for several
    #[arg(long, required = true, value_enum, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// Add the entry to this file, which nodes have as client.key_file
    #[arg(long, value_name = "FILE")]
    append_to: Option<PathBuf>,
}

pub(super) fn run(args: CreateArgs) -> Result<Exit, Failure> {
    let mut scopes = args.scope;
    scopes.sort_unstable();
    scopes.dedup();
    let (key, entry) = KeyEntry::generate(&args.name, &scopes);
    let text = entry.to_toml();
    match &args.append_to {
        Some(path) => {
            let written = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(format!("\n{text}").as_bytes()).and_then(|()| file.sync_all()));
            written.map_err(|error| Failure::new(format!("cannot write to {}: {error}", path.display())))?;
            note(format!("added to {}; the key, which is shown this once:", path.display()));
        }
        None => {
            note("for the file that nodes have as client.key_file:");
            note(&text);
            note("the key, which is shown this once:");
        }
    }
    print_line(&key)?;
    Ok(Exit::Done)
}

fn parse_name(text: &str) -> Result<String, String> {
    KeyEntry::check_name(text).map(|()| text.to_owned())
}
