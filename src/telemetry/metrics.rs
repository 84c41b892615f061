//! Metrics: every name, what it counts and in which unit, in this one place. `docs/metrics.md` shows them, and a test holds the
//! two together.
//!
//! What happens is counted where it happens; what *is* (indexes, lag, sizes) is set when somebody looks. There is one set a
//! process, since there is one node in it.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::process;

/// A call, by its method and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The method's name, without its service.
    pub method: &'static str,
    /// The code, as gRPC writes it.
    pub code: &'static str,
}

/// A call, by its method and what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LatencyLabels {
    /// The method's name, without its service.
    pub method: &'static str,
    /// The consistency that was in effect; `none` for a call that reads no state.
    pub consistency: &'static str,
}

/// The part that a node plays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RoleLabels {
    /// waiting, learner, follower, candidate, leader, faulted or removed.
    pub role: &'static str,
}

/// Another member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MemberLabels {
    /// Its id.
    pub member: u64,
}

/// A position in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PositionLabels {
    /// log, committed, applied, snapshot, purged or oldest.
    pub position: &'static str,
}

/// Where the node is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LocalityLabels {
    /// Its region; empty for none.
    pub region: String,
    /// Its zone; empty for none.
    pub zone: String,
}

/// A part of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartLabels {
    /// memtables, block_cache, files or pending_compaction.
    pub part: &'static str,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    /// client, gateway, metrics or peer.
    pub listener: &'static str,
}

/// A connection that the node ended or refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionEndLabels {
    /// client, gateway, metrics or peer.
    pub listener: &'static str,
    /// full, address_full, gave_way, silent, stalled or greedy.
    pub reason: &'static str,
}

/// A request that was more than may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// The limit: key_rate, node_rate, key_concurrency, node_concurrency, watches or memory.
    pub limit: &'static str,
}

/// What a line of the audit log is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuditLabels {
    /// change, read or refused.
    pub kind: &'static str,
}

/// A certificate that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CertificateLabels {
    /// client or peer; the gateway shows what clients are shown.
    pub listener: &'static str,
    /// own or authority.
    pub kind: &'static str,
}

/// The version of the program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    /// Calls that ended.
    pub calls: Family<CallLabels, Counter>,
    /// Time until the answer, or the first message of a stream.
    pub call_duration: Family<LatencyLabels, Histogram, fn() -> Histogram>,
    /// Time for which reads waited for a state that is fresh enough.
    pub freshness_wait: Histogram,
    /// Checks answered, those in a bulk each.
    pub checks: Counter,
    /// Changes that clients of this node made and the log took.
    pub writes: Counter,
    /// Evaluations that were refused because too many waited.
    pub evaluations_refused: Counter,
    /// Evaluations that were given up because they waited too long, or not let in because they would have.
    pub evaluations_shed: Counter,
    /// Evaluations that run or wait.
    pub evaluations: Gauge,
    /// Connections that are open.
    pub connections: Family<ConnectionLabels, Gauge>,
    /// Connections that the node ended or refused.
    pub connections_ended: Family<ConnectionEndLabels, Counter>,
    /// Requests that were refused, by the limit that they met.
    pub requests_refused: Family<RefusalLabels, Counter>,
    /// Watches that are open.
    pub watches: Gauge,
    /// Time of an fsync of the log.
    pub log_sync: Histogram,
    /// Time in which a batch of entries was applied.
    pub apply: Histogram,
    /// Entries applied.
    pub entries_applied: Counter,
    /// Times that the leader, as this node sees it, changed or was lost.
    pub leader_changes: Counter,
    /// 1 for the part that the node plays.
    pub role: Family<RoleLabels, Gauge>,
    /// 1 while requests are welcome.
    pub ready: Gauge,
    /// The Raft term.
    pub term: Gauge,
    /// 1 while a leader is known.
    pub leader_known: Gauge,
    /// The cluster's feature level.
    pub feature_level: Gauge,
    /// 1, with where the node is.
    pub locality: Family<LocalityLabels, Gauge>,
    /// Positions in the log.
    pub position: Family<PositionLabels, Gauge>,
    /// Entries that a member lacks, on the leader.
    pub member_lag: Family<MemberLabels, Gauge>,
    /// How old the node's state may be at most.
    pub state_age: Seconds,
    /// Bytes of the store's parts.
    pub store_bytes: Family<PartLabels, Gauge>,
    /// Lines of the audit log.
    pub audit_lines: Family<AuditLabels, Counter>,
    /// Lines of the audit log that were lost.
    pub audit_lost: Counter,
    /// 1 while the audit log cannot be written.
    pub audit_failing: Gauge,
    /// When certificates end, in seconds since 1970.
    pub certificate_not_after: Family<CertificateLabels, Seconds>,
    process_memory: Gauge,
    process_files: Gauge,
    process_time: Seconds,
}

/// The metrics of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// From 100 µs to some 13 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 18))
}

impl Metrics {
    fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("quorate"),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(latency),
            freshness_wait: latency(),
            checks: Counter::default(),
            writes: Counter::default(),
            evaluations_refused: Counter::default(),
            evaluations_shed: Counter::default(),
            evaluations: Gauge::default(),
            connections: Family::default(),
            connections_ended: Family::default(),
            requests_refused: Family::default(),
            watches: Gauge::default(),
            log_sync: latency(),
            apply: latency(),
            entries_applied: Counter::default(),
            leader_changes: Counter::default(),
            role: Family::default(),
            ready: Gauge::default(),
            term: Gauge::default(),
            leader_known: Gauge::default(),
            feature_level: Gauge::default(),
            locality: Family::default(),
            position: Family::default(),
            member_lag: Family::default(),
            state_age: Seconds::default(),
            store_bytes: Family::default(),
            audit_lines: Family::default(),
            audit_lost: Counter::default(),
            audit_failing: Gauge::default(),
            certificate_not_after: Family::default(),
            process_memory: Gauge::default(),
            process_files: Gauge::default(),
            process_time: Seconds::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("calls", "Calls that ended, by method and code", self.calls.clone());
        let duration = "Time until the answer, or the first message of a stream, by method and consistency";
        r.register_with_unit("call_duration", duration, Unit::Seconds, self.call_duration.clone());
        let wait = "Time for which a read waited until the node's state was fresh enough for it";
        r.register_with_unit("freshness_wait", wait, Unit::Seconds, self.freshness_wait.clone());
        r.register("checks", "Checks answered, those in a bulk each", self.checks.clone());
        r.register("writes", "Changes that clients of this node made and the log took", self.writes.clone());
        let refused = "Evaluations refused with RESOURCE_EXHAUSTED, because too many waited";
        r.register("evaluations_refused", refused, self.evaluations_refused.clone());
        let shed = "Evaluations given up with RESOURCE_EXHAUSTED, because they waited too long, or would have";
        r.register("evaluations_shed", shed, self.evaluations_shed.clone());
        r.register("evaluations", "Evaluations that run or wait", self.evaluations.clone());
        self.register_bounds();
        self.register_security();
        let r = &mut self.registry;
        r.register_with_unit("log_sync", "Time of an fsync of the log", Unit::Seconds, self.log_sync.clone());
        let apply = "Time in which a batch of log entries was applied";
        r.register_with_unit("apply", apply, Unit::Seconds, self.apply.clone());
        r.register("entries_applied", "Log entries applied since the start", self.entries_applied.clone());
        let changes = "Times that the leader, as this node sees it, changed or was lost";
        r.register("leader_changes", changes, self.leader_changes.clone());
        r.register("role", "1 for the part that the node plays", self.role.clone());
        r.register("ready", "1 while requests are welcome: what /readyz says", self.ready.clone());
        r.register("term", "The Raft term", self.term.clone());
        r.register("leader_known", "1 while a leader is known", self.leader_known.clone());
        r.register("feature_level", "The cluster's feature level", self.feature_level.clone());
        r.register("locality", "1, with the region and the zone of the node", self.locality.clone());
        r.register("log_position", "Positions in the log, as indexes", self.position.clone());
        let lag = "Entries of the leader's log that a member is not known to have; only the leader says so";
        r.register("member_lag_entries", lag, self.member_lag.clone());
        let age = "How old the node's state may be at most, by its own clock";
        r.register_with_unit("state_age", age, Unit::Seconds, self.state_age.clone());
        r.register_with_unit("store", "Sizes of the store's parts", Unit::Bytes, self.store_bytes.clone());
        let memory = "Memory that the process holds";
        r.register_with_unit("process_resident_memory", memory, Unit::Bytes, self.process_memory.clone());
        r.register("process_open_files", "File descriptors that are open", self.process_files.clone());
        let time = "Processor time of the process, user and system";
        r.register_with_unit("process_cpu", time, Unit::Seconds, self.process_time.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        r.register("build_info", "1, with the version of the program", build);
        self
    }

    /// What a node holds at once, and what it refused to hold.
    fn register_bounds(&mut self) {
        let r = &mut self.registry;
        r.register("connections", "Connections that are open, by listener", self.connections.clone());
        let ended = "Connections that the node refused or ended by itself, by listener and reason";
        r.register("connections_ended", ended, self.connections_ended.clone());
        let refused = "Requests refused with RESOURCE_EXHAUSTED before they were read, by the limit that they met";
        r.register("requests_refused", refused, self.requests_refused.clone());
        r.register("watches", "Watches that are open", self.watches.clone());
    }

    /// The audit log and the certificates.
    fn register_security(&mut self) {
        let r = &mut self.registry;
        let lines = "Lines of the audit log, by what they are about; the lost ones too";
        r.register("audit_lines", lines, self.audit_lines.clone());
        let lost = "Lines of the audit log that were lost, because they could not be written as fast as they came";
        r.register("audit_lost", lost, self.audit_lost.clone());
        let failing = "1 while the audit log cannot be written";
        r.register("audit_failing", failing, self.audit_failing.clone());
        let ends = "When the first of the certificates of a listener ends, in seconds since 1970, by whose they are";
        let end = self.certificate_not_after.clone();
        r.register_with_unit("certificate_not_after_timestamp", ends, Unit::Seconds, end);
    }

    /// All of it as text (OpenMetrics 1.0). What is set when somebody looks must have been set.
    #[must_use]
    pub fn render(&self) -> String {
        let process = process::observe();
        self.process_memory.set(process.resident_bytes);
        self.process_files.set(process.open_files);
        self.process_time.set(process.time.as_secs_f64());
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string");
        text
    }
}

/// Seconds of a duration, as histograms take them.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `# TYPE quorate_calls counter` names one.
    fn names() -> BTreeSet<String> {
        // A family without a member is not shown.
        drop(METRICS.calls.get_or_create(&CallLabels { method: "other", code: "OK" }));
        drop(METRICS.call_duration.get_or_create(&LatencyLabels { method: "other", consistency: "none" }));
        drop(METRICS.role.get_or_create(&RoleLabels { role: "leader" }));
        let (region, zone) = ("north".to_owned(), String::new());
        drop(METRICS.locality.get_or_create(&LocalityLabels { region, zone }));
        drop(METRICS.position.get_or_create(&PositionLabels { position: "log" }));
        drop(METRICS.member_lag.get_or_create(&MemberLabels { member: 1 }));
        drop(METRICS.audit_lines.get_or_create(&AuditLabels { kind: "change" }));
        drop(METRICS.certificate_not_after.get_or_create(&CertificateLabels { listener: "peer", kind: "own" }));
        drop(METRICS.store_bytes.get_or_create(&PartLabels { part: "files" }));
        drop(METRICS.connections.get_or_create(&ConnectionLabels { listener: "client" }));
        drop(METRICS.connections_ended.get_or_create(&ConnectionEndLabels { listener: "client", reason: "full" }));
        drop(METRICS.requests_refused.get_or_create(&RefusalLabels { limit: "watches" }));
        let text = METRICS.render();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split(' ').next().expect("a name").to_owned()).collect()
    }

    #[test]
    fn the_documentation_names_all_metrics_and_no_other() {
        let page = include_str!("../../docs/metrics.md");
        let documented: BTreeSet<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `quorate_"))
            .map(|rest| format!("quorate_{}", &rest[..rest.find(['`', '{']).expect("a name ends")]))
            .map(|name| name.strip_suffix("_total").map_or(name.clone(), str::to_owned))
            .collect();
        assert_eq!(documented, names());
    }

    #[test]
    fn alerts_and_dashboards_speak_of_metrics_that_exist() {
        let known = names();
        for file in
            [include_str!("../../deploy/prometheus/alerts.yml"), include_str!("../../deploy/grafana/quorate.json")]
        {
            let mut found = 0;
            for (at, _) in file.match_indices("quorate_") {
                let name: String = file[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let base = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                assert!(known.contains(base.unwrap_or(&name)), "{name} is no metric");
                found += 1;
            }
            assert!(found >= 8, "a file without metrics");
        }
    }

    #[test]
    fn what_is_counted_is_shown() {
        METRICS.calls.get_or_create(&CallLabels { method: "CheckPermission", code: "OK" }).inc();
        let text = METRICS.render();
        assert!(text.contains("quorate_calls_total{method=\"CheckPermission\",code=\"OK\"} "), "{text}");
        assert!(text.contains("quorate_process_resident_memory_bytes ") && text.ends_with("# EOF\n"), "{text}");
    }
}
