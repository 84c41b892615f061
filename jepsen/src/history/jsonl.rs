//! Files of one JSON value a line.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {error}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// Why.
        error: serde_json::Error,
    },
}

/// Writes `items`, each in a line.
pub fn write_lines<'a, T: Serialize + 'a>(
    path: &Path,
    items: impl IntoIterator<Item = &'a T>,
) -> Result<(), FileError> {
    let io = |error| FileError::Io { path: path.to_owned(), error };
    let mut out = BufWriter::new(File::create(path).map_err(io)?);
    for (position, item) in items.into_iter().enumerate() {
        let line = |error| FileError::Line { path: path.to_owned(), line: position + 1, error };
        serde_json::to_writer(&mut out, item).map_err(line)?;
        out.write_all(b"\n").map_err(io)?;
    }
    out.flush().map_err(io)
}

/// Reads what [`write_lines`] wrote.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, FileError> {
    lines_of(path)?.collect()
}

/// Reads it line by line, for files that are larger than memory should be.
pub fn lines_of<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T, FileError>> + use<'_, T>, FileError> {
    let io = |error| FileError::Io { path: path.to_owned(), error };
    let lines = BufReader::new(File::open(path).map_err(io)?).lines();
    let parse = move |(position, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line.map_err(io)?).map_err(|error| FileError::Line {
            path: path.to_owned(),
            line: position + 1,
            error,
        })
    };
    Ok(lines.enumerate().map(parse))
}
