//! Floors for people and for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ByType;
use super::assignment::to_text;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, table};
use crate::wire::quorate::v1::floor::Least;

/// Prints them all.
pub(super) fn print(as_json: bool, version: u64, floors: &ByType, zookie: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    if as_json {
        let floors: Map<String, Value> = floors.iter().map(|(name, least)| (name.clone(), to_json(least))).collect();
        output.json(&json!({ "version": version, "floors": floors, "zookie": zookie }))?;
        return output.flush();
    }
    if floors.is_empty() {
        output.line("no type has a floor")?;
    } else {
        let mut rows = table(&["TYPE", "FLOOR"]);
        for (name, least) in floors {
            rows.add_row([name.clone(), to_text(least)]);
        }
        output.table(&rows)?;
    }
    output.line(format_args!("version: {version}\nzookie: {zookie}"))?;
    output.flush()
}

fn to_json(least: &Least) -> Value {
    match least {
        Least::FullyConsistent(_) => json!({ "fully_consistent": true }),
        Least::MaxStaleness(bound) => {
            let millis = Duration::try_from(*bound).unwrap_or_default().as_millis();
            json!({ "max_staleness_ms": u64::try_from(millis).unwrap_or(u64::MAX) })
        }
    }
}
