//! Holds a recorded run against the consistency contract.
//!
//! Each checker judges one property and says how many opportunities there were to break it: a property that was never at risk
//! was not tested. Must not know how a run was made; everything is decided from the record, so that it can be decided again.

mod answers;
mod bounds;
mod certificate;
mod chain;
mod exact;
mod floor;
mod footprint;
mod history_mutants;
mod judgement;
mod keys;
mod once;
mod order;
mod processes;
mod reasons;
mod record;
mod register;
mod regranted;
mod replay;
mod schemas;
mod swap;
#[cfg(test)]
mod tests;
mod thresholds;
mod timeline;
mod verdict;
mod watch;
mod wgl;

pub use history_mutants::{HistoryMutant, mutants_of};
pub use judgement::{Judgement, Validity, judge};
pub use record::{Record, RecordError, Settings};
pub use thresholds::{Shortfall, Thresholds};
pub use verdict::{Anomaly, Property, Verdict};
