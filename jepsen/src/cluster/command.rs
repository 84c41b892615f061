//! Programs of the system that this one needs: run, and their complaints kept.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// A program of the system failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{command}: {complaint}")]
pub struct SystemError {
    /// What was run.
    pub command: String,
    /// What it said.
    pub complaint: String,
}

/// Where `ip`, `nft`, `mkfs.ext4` and their like are, which is not always on the path.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// Runs `line`, whose words are separated by spaces, and returns what it prints.
pub(super) fn run(line: &str) -> Result<String, SystemError> {
    run_with(line, "")
}

/// As [`run`], with something on its standard input. What else goes on in this program does not wait for it.
pub(super) fn run_with(line: &str, input: &str) -> Result<String, SystemError> {
    tokio::task::block_in_place(|| perform(line, input))
}

fn perform(line: &str, input: &str) -> Result<String, SystemError> {
    let failed = |complaint: String| SystemError { command: line.to_owned(), complaint };
    let mut words = line.split_whitespace();
    let program = words.next().ok_or_else(|| failed("it names no program".to_owned()))?;
    let mut child = Command::new(program)
        .args(words)
        .env("PATH", SYSTEM_PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why by itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the system has this program.
pub(super) fn exists(program: &str) -> bool {
    SYSTEM_PATH.split(':').any(|folder| std::path::Path::new(folder).join(program).is_file())
}

/// What a program of the system prints, without the end of the line; "unknown" if it fails.
#[must_use]
pub fn system(line: &str) -> String {
    run(line).map_or("unknown".to_owned(), |text| text.trim().to_owned())
}
