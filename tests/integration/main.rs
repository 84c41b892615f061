//! Integration tests: real node processes on loopback, killed, paused and restarted, spoken to over the public API only.
//!
//! At most one cluster runs at a time (`harness::Cluster` takes turns), since a small machine with three nodes on it is busy
//! enough and elections are timed. Nothing waits by sleeping: what a test waits for it asks for, within a bound.
//! Must not know the product's inside: apart from the generated clients, nothing of the library is used.

mod harness;

mod api_errors;
mod audit;
mod backup;
mod bench;
mod cli;
mod conformance;
mod connections;
mod cost;
mod deadlines;
mod dev;
mod durability;
mod floors;
mod forwarding;
mod gateway;
mod group_commit;
mod handover;
mod history;
mod identity;
mod idle_watchers;
mod import;
mod keys;
mod live_status;
mod main_job;
mod members;
mod metrics;
mod migrate;
mod one_index;
mod overload;
mod power_cut;
mod quotas;
mod recover;
mod regions;
mod retries;
mod snapshot;
mod staleness;
mod tls;
mod traces;
mod upgrade;
mod validate;
mod watch;
mod zookies;
