//! Tests a cluster of real processes by fault injection, and judges what it answered.
//!
//! A run makes a *history* (every request and its answer, with times of one clock) and a *log* (what the cluster says that it
//! committed). [`check`] holds both against the consistency contract with an oracle of its own. Nothing here links the product:
//! an oracle that shares code with what it judges repeats its mistakes.

pub mod check;
pub mod cluster;
pub mod history;
mod lookout;
pub mod nemesis;
pub mod oracle;
pub mod report;
pub mod runner;
pub mod workload;

#[cfg(test)]
mod specimen;
