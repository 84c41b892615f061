//! What a run shows, for people: plots, one page, and the results as data.

mod figures;
mod mutants;
mod page;
mod plots;
#[cfg(test)]
mod tests;

pub use mutants::{ControlRow, MUTANTS, MutantRow, MutantRun, MutantTable};

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::check::{Judgement, Record};
use crate::history::{FileError, lines_of, to_edn};

/// The history once more, in Jepsen's notation.
fn history(folder: &Path) -> Result<(), ReportError> {
    let path = folder.join("history.edn");
    let failed = |error| ReportError::File(path.clone(), error);
    let mut out = BufWriter::new(File::create(&path).map_err(failed)?);
    for event in lines_of::<serde_json::Value>(&Record::history_in(folder))? {
        writeln!(out, "{}", to_edn(&event?)).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] FileError),
    /// A plot.
    #[error("{0}: {1}")]
    Plot(PathBuf, String),
}

/// Writes everything for people, and the history once more as EDN, beside the record in `folder`.
pub fn write(folder: &Path, record: &Record, judgement: &Judgement) -> Result<(), ReportError> {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| ReportError::File(path, error))
    };
    history(folder)?;
    for (register, text) in figures::registers(record) {
        file(&format!("register-{register}.edn"), &text)?;
    }
    let results = json!({
        "valid?": match judgement.valid {
            crate::check::Validity::Valid => json!(true),
            crate::check::Validity::Invalid => json!(false),
            crate::check::Validity::Unknown => json!("unknown"),
        },
        "settings": record.settings,
        "judgement": judgement,
        "figures": figures::summary(record),
    });
    file("results.edn", &(to_edn(&results) + "\n"))?;
    file("results.json", &format!("{results:#}\n"))?;
    let plots = plots::draw(folder, record)?;
    file("report.html", &page::page(record, judgement, &plots, MutantTable::newest_beside(folder).as_ref()))
}
