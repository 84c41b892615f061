//! What a migration did, for people and for programs.

use std::fmt::Write as _;

use serde_json::json;

use super::copy::Copied;
use super::follow::Followed;
use super::state::Saved;
use crate::cli::failure::Failure;
use crate::cli::output::print_line;

/// Prints it.
pub(super) fn print(saved: &Saved, copied: Option<&Copied>, followed: &Followed, as_json: bool) -> Result<(), Failure> {
    let retries = copied.map_or(0, |copied| copied.retries) + followed.retries;
    if as_json {
        return print_line(json!({
            "copied": saved.copied,
            "transactions": saved.transactions,
            "changes": saved.changes,
            "retries": retries,
            "caught_up": followed.caught_up,
            "lag_seconds": followed.lag.map(|lag| lag.as_secs_f64()),
            "through": saved.through,
            "zookie": followed.zookie,
        }));
    }
    let mut text = String::new();
    let mut line = |parts: std::fmt::Arguments<'_>| {
        text.write_fmt(parts).expect("writing to a string");
        text.push('\n');
    };
    if let Some(copied) = copied {
        let rate = copied.relationships as f64 / copied.took.as_secs_f64().max(0.001);
        let took = copied.took.as_secs_f64();
        line(format_args!("copied    {} relationships in {took:.1} s ({rate:.0}/s)", copied.relationships));
    } else {
        line(format_args!("copied    {} relationships before", saved.copied));
    }
    line(format_args!("followed  {} transactions, {} changes", saved.transactions, saved.changes));
    if retries > 0 {
        line(format_args!("retries   {retries}"));
    }
    let lag = followed.lag.map(|lag| format!(", {:.1} s behind", lag.as_secs_f64())).unwrap_or_default();
    let standing = if followed.caught_up { "caught up" } else { "not caught up yet" };
    line(format_args!("standing  {standing}{lag}"));
    line(format_args!("source    everything up to {}", saved.through.as_deref().unwrap_or("the start of the copy")));
    if !followed.zookie.is_empty() {
        line(format_args!("zookie    {}", followed.zookie));
    }
    print_line(text.trim_end())
}
