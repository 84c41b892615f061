//! `[audit]`: the record of who changed what.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::section::section;
use super::{ConfigError, invalid};
use crate::audit::{AuditTarget, TrailOptions};

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AuditFile {
    /// Nowhere: there is none.
    Off,
    /// To standard output.
    Stdout,
    /// To this file.
    At(PathBuf),
}

impl AuditFile {
    const OFF: &str = "off";
    const STDOUT: &str = "stdout";
}

impl FromStr for AuditFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            Self::OFF => Ok(Self::Off),
            Self::STDOUT => Ok(Self::Stdout),
            path if path.starts_with('/') || path.starts_with('.') => Ok(Self::At(PathBuf::from(path))),
            // A word that was meant to switch something must not become a file of that name.
            _ => Err(format!(
                "write {} or {}, or a path that begins with / or ./, not {text:?}",
                Self::OFF,
                Self::STDOUT
            )),
        }
    }
}

impl fmt::Display for AuditFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(Self::OFF),
            Self::Stdout => f.write_str(Self::STDOUT),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

impl TryFrom<String> for AuditFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AuditFile> for String {
    fn from(file: AuditFile) -> Self {
        file.to_string()
    }
}

section! {
    /// The audit log.
    #[derive(Debug)]
    AuditSection, AuditOverrides, "audit" {
        /// Where the audit log goes: a path that begins with / or ./, stdout, or off [default: off]
        #[arg(value_name = "PATH")]
        file: AuditFile = AuditFile::Off, "audit-file", "QUORATE_AUDIT_FILE";
        /// Of so many reads one is recorded; 1 records all, 0 none [default: 1000]
        #[arg(value_name = "COUNT")]
        reads_sampled: u64 = 1_000, "audit-reads-sampled", "QUORATE_AUDIT_READS_SAMPLED";
        /// Refuse changes for as long as the audit log cannot be written [default: false]
        #[arg(value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        required: bool = false, "audit-required", "QUORATE_AUDIT_REQUIRED";
        /// Size in MiB at which the file makes place for a new one; 0: it grows until somebody moves it away [default: 100]
        #[arg(value_name = "MIB")]
        max_mib: u64 = 100, "audit-max-mib", "QUORATE_AUDIT_MAX_MIB";
        /// How many older files are kept, as PATH.1 and so on [default: 10]
        #[arg(value_name = "COUNT")]
        keep_files: u32 = 10, "audit-keep-files", "QUORATE_AUDIT_KEEP_FILES";
    }
}

impl AuditSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.required && self.file == AuditFile::Off {
            return Err(invalid("audit.required", "is true, and audit.file is off; name a file, or stdout"));
        }
        if self.max_mib > 1 << 20 {
            return Err(invalid("audit.max_mib", format!("is {}; use 0 to 1048576 (a TiB)", self.max_mib)));
        }
        if self.keep_files > 1_000 {
            return Err(invalid("audit.keep_files", format!("is {}; use 0 to 1000", self.keep_files)));
        }
        Ok(())
    }

    /// How the audit log is kept, if there is one.
    #[must_use]
    pub fn trail(&self) -> Option<TrailOptions> {
        let target = match &self.file {
            AuditFile::Off => return None,
            AuditFile::Stdout => AuditTarget::Stdout,
            AuditFile::At(path) => {
                AuditTarget::File { path: path.clone(), most_bytes: self.max_mib << 20, keep: self.keep_files }
            }
        };
        Some(TrailOptions { target, required: self.required, reads_sampled: self.reads_sampled })
    }
}
